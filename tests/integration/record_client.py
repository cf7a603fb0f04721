"""A TLS 1.3 client whose handshake is Python's and whose records are its own, so that it can send what no library
would: any content type, any length, any number of new keys."""
import hashlib
import hmac
import os
import socket
import ssl
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

ALERT, HANDSHAKE, CONTENT = 21, 22, 23
KEY_UPDATE, KEY_UPDATE_WISHED = b"\x18\0\0\1\0", b"\x18\0\0\1\1"

SUITES = {
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, hashlib.sha256),
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, hashlib.sha384),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, hashlib.sha256),
}


class Direction:
    """RFC 8446 7.1 to 7.3, and 5.3."""

    def __init__(self, suite, secret):
        self.cipher, self.key_len, self.hash = SUITES[suite]
        self._use(secret)

    def _expand(self, secret, label, length):
        label = b"tls13 " + label
        info = struct.pack("!HB", length, len(label)) + label + b"\0\1"
        return hmac.new(secret, info, self.hash).digest()[:length]

    def _use(self, secret):
        self.secret, self.sequence = secret, 0
        self.aead = self.cipher(self._expand(secret, b"key", self.key_len))
        self.iv = self._expand(secret, b"iv", 12)

    def update(self):
        self._use(self._expand(self.secret, b"traffic upd", self.hash().digest_size))

    def nonce(self):
        number = int.from_bytes(self.iv, "big") ^ self.sequence
        self.sequence += 1
        return number.to_bytes(12, "big")

    def seal(self, kind, data, padding=0):
        plain = data + bytes((kind,)) + bytes(padding)
        head = struct.pack("!BHH", CONTENT, 0x303, len(plain) + 16)
        return head + self.aead.encrypt(self.nonce(), plain, head)

    def open(self, head, data):
        plain = self.aead.decrypt(self.nonce(), data, head).rstrip(b"\0")
        return plain[-1], plain[:-1]


class RecordClient:
    """Shakes hands with a context (TLS 1.3 alone) that is its own; from then on records are sent and read one by one."""

    def __init__(self, port, context, directory, receive_buffer=None):
        keys = os.path.join(directory, "keys-of-%d" % id(self))
        context.keylog_filename = keys
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(received, sent, server_hostname="localhost")
        self.socket = socket.socket()
        self.socket.settimeout(20)
        if receive_buffer:  # before there is a connection, or its window is wider already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(sent.read())
                received.write(self.socket.recv(1 << 16))
        self.socket.sendall(sent.read())
        self.buffer = received.read()
        with open(keys, encoding="ascii") as f:
            secrets = {line.split()[0]: bytes.fromhex(line.split()[2]) for line in f if line[0] != "#"}
        suite = self.tls.cipher()[0]
        self.out = Direction(suite, secrets["CLIENT_TRAFFIC_SECRET_0"])
        self.into = Direction(suite, secrets["SERVER_TRAFFIC_SECRET_0"])
        self.updates = 0  # KeyUpdates that were received

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, data, padding=0):
        self.send_raw(self.out.seal(kind, data, padding))

    def send_raw(self, data):
        self.socket.sendall(data)

    def try_to_send(self, data):
        """Who is attacked may hang up before all of it is sent."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def update(self, is_wished):
        """A KeyUpdate and the key that comes with it, as bytes for the wire."""
        wire = self.out.seal(HANDSHAKE, KEY_UPDATE_WISHED if is_wished else KEY_UPDATE)
        self.out.update()
        return wire

    def _exactly(self, count):
        while len(self.buffer) < count:
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionError:
                piece = b""
            if not piece:
                return None
            self.buffer += piece
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_record(self):
        """(type, content) of the next record, None at the end. Where it is a KeyUpdate, the key is taken."""
        head = self._exactly(5)
        data = self._exactly(struct.unpack("!H", head[3:])[0]) if head else None
        if data is None:
            return None
        kind, content = self.into.open(head, data)
        if kind == HANDSHAKE:
            assert content in (KEY_UPDATE, KEY_UPDATE_WISHED), content
            self.updates += 1
            self.into.update()
        return kind, content

    def read_until(self, end):
        """Content up to and with `end`."""
        said = b""
        while not said.endswith(end):
            record = self.read_record()
            assert record is not None and record[0] in (HANDSHAKE, CONTENT), record
            if record[0] == CONTENT:
                said += record[1]
        return said

    def read_bytes(self, count):
        """Content, at least so much."""
        said = bytearray()
        while len(said) < count:
            record = self.read_record()
            assert record is not None and record[0] in (HANDSHAKE, CONTENT), record
            if record[0] == CONTENT:
                said += record[1]
        return bytes(said)

    def read_alert(self):
        """The description of the alert that ends the connection; None: it ends without."""
        alert = None
        while True:
            record = self.read_record()
            if record is None:
                return alert
            if record[0] == ALERT:
                assert alert is None and record[1][0] == 2, record
                alert = record[1][1]
