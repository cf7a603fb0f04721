"""A phone's side of a connection, byte by byte: what is sent is what the test says, be it HTTP or
not. On top of it, an ActiveSync device that holds conversations."""
import base64
import socket
import ssl
import struct
import urllib.parse
import uuid

import wbxml
from wbxml import Node

PATH = "/Microsoft-Server-ActiveSync"


class Answer:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(values) if values else None

    def wbxml(self):
        return wbxml.decode(self.body)

    def __repr__(self):
        return "%d %s %r" % (self.status, self.reason, self.body[:100])


class Closed(Exception):
    """The other side ended the connection where an answer should have come."""


def tls_context(ca, certificate=None, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.set_alpn_protocols(["http/1.1"])
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    for name, value in options.items():
        setattr(context, name, value)
    return context


class Connection:
    """One TLS (or, without a context, TCP) connection."""

    def __init__(self, port, context=None, host="127.0.0.1", name="localhost", timeout=20, source=None):
        raw = socket.create_connection((host, port), timeout=timeout,
                                       source_address=(source, 0) if source else None)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(raw, server_hostname=name) if context else raw
        except BaseException:
            raw.close()
            raise
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except (ssl.SSLError, ConnectionError) as e:
            raise Closed("%s: %s" % (type(e).__name__, e)) from e
        if not data:
            raise Closed("end of the stream after %r" % self.buffer[:100])
        self.buffer += data

    def read_until(self, end):
        while end not in self.buffer:
            self._more()
        data, _, self.buffer = self.buffer.partition(end)
        return data

    def read_exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_head(self):
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        _, status, reason = (first + " ").split(" ", 2)
        headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
        return Answer(int(status), reason.strip(), headers, b"")

    def read_answer(self, method="POST"):
        """The next answer with its body; 100 Continue is passed over."""
        answer = self.read_head()
        while answer.status == 100:
            answer = self.read_head()
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if answer.header("Transfer-Encoding") == "chunked":
            parts = []
            while True:
                size = int(self.read_until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    break
                parts.append(self.read_exactly(size))
                self.read_exactly(2)
            while self.read_until(b"\r\n"):
                pass
            answer.body = b"".join(parts)
        elif answer.header("Content-Length") is not None:
            answer.body = self.read_exactly(int(answer.header("Content-Length")))
        else:
            while True:
                try:
                    self._more()
                except Closed:
                    break
            answer.body, self.buffer = self.buffer, b""
        return answer

    def request(self, method, target, headers=(), body=None):
        self.send(request_bytes(method, target, headers, body))
        return self.read_answer(method)

    def is_closed_within(self, seconds):
        """Whether the other side ends the connection, sending nothing more."""
        self.socket.settimeout(seconds)
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return True
                self.buffer += data
        except (socket.timeout, ssl.SSLWantReadError):
            return False
        except (ssl.SSLError, ConnectionError):
            return True


def request_bytes(method, target, headers=(), body=None):
    """headers replace the usual ones of the same spelling, and are added as they are otherwise; a
    list of bodies is sent chunked."""
    fields = [("Host", "localhost")] if not any(n == "Host" for n, _ in headers) else []
    fields += list(headers)
    tail = b""
    if isinstance(body, (list, tuple)):
        fields.append(("Transfer-Encoding", "chunked"))
        tail = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in body) + b"0\r\n\r\n"
    elif body is not None:
        fields.append(("Content-Length", str(len(body))))
        tail = body
    lines = ["%s %s HTTP/1.1" % (method, target)] + ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + tail


def folder_sync(key="0"):
    return Node("FolderHierarchy:FolderSync", Node("FolderHierarchy:SyncKey", key))


def ping(seconds, *folders):
    return Node("Ping:Ping", Node("Ping:HeartbeatInterval", str(seconds)), Node("Ping:Folders", *(
        Node("Ping:Folder", Node("Ping:Id", f), Node("Ping:Class", "Email")) for f in folders or ("1",))))


def send_mail(mime, client_id=None):
    return Node("ComposeMail:SendMail", Node("ComposeMail:ClientId", client_id or uuid.uuid4().hex),
                Node("ComposeMail:SaveInSentItems"), Node("ComposeMail:Mime", mime))


class Device:
    """One phone of one user behind a `dial()` that opens a Connection."""

    def __init__(self, dial, user, version="14.1", path=PATH):
        self.dial, self.user, self.version, self.path = dial, user, version, path
        self.id = "T" + uuid.uuid4().hex[:24].upper()
        self.policy_key = "0"
        self.sync_keys, self.folders = {}, {}
        self.connection = None

    def target(self, command, user=None):
        return self.path + "?" + urllib.parse.urlencode({
            "Cmd": command, "User": user or self.user, "DeviceId": self.id, "DeviceType": "Test"})

    def headers(self, *extra):
        return [("MS-ASProtocolVersion", self.version), ("X-MS-PolicyKey", self.policy_key),
                ("User-Agent", "easproxy-test/1"), *extra]

    def packed_target(self, command_code, device_type="Test"):
        """The base64 query of MS-ASHTTP 2.2.1.1.1.1."""
        device = self.id[:16].encode()
        packed = struct.pack("<BBHB", 141, command_code, 0x0409, len(device)) + device + \
            b"\0" + bytes([len(device_type)]) + device_type.encode()
        return self.path + "?" + base64.b64encode(packed).decode()

    def post(self, command, document=None, extra=(), chunks=None, target=None, body=None):
        """POSTs over the kept connection, or over a new one where the last has ended."""
        if body is None and document is not None:
            body = wbxml.encode(document)
        headers = self.headers(*extra)
        if body is not None:
            headers.append(("Content-Type", "application/vnd.ms-sync.wbxml"))
        else:
            body = b""
        if chunks:
            body = [body[at:at + chunks] for at in range(0, len(body), chunks)]
        if self.connection is None:
            self.connection = self.dial()
        answer = self.connection.request("POST", target or self.target(command), headers, body)
        if (answer.header("Connection") or "").lower() == "close":
            self.close()
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
