"""What passes between easproxyd and a KDC, and the session keys in it: whoever has the account's key can
decrypt them (RFC 4120; AES by RFC 3961 and 3962). So a test knows by what bytes to find them elsewhere."""
import math
import struct
import subprocess

from crls import parts, read
from relay import Relay

AES = {17: 16, 18: 32}  # encryption type -> octets of its key
AS_REP, TGS_REP = 0x6B, 0x6D
FOR_TICKET, FOR_AS_REP = 2, 3  # key usages


def aes(key, data, decrypt=False):
    """Block by block, without any chaining."""
    return subprocess.run(["openssl", "enc", "-d" if decrypt else "-e", "-aes-%d-ecb" % (8 * len(key)), "-nopad",
                           "-K", key.hex()], input=data, stdout=subprocess.PIPE, check=True).stdout


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def folded(data, size=16):
    """RFC 3961 5.1, n-fold."""
    number, bits = int.from_bytes(data, "big"), 8 * len(data)
    whole = math.lcm(size, len(data))
    copies = b""
    for copy in range(whole // len(data)):
        turn = 13 * copy % bits
        copies += (number >> turn | (number << (bits - turn)) & ((1 << bits) - 1)).to_bytes(len(data), "big")
    total = sum(int.from_bytes(copies[at:at + size], "big") for at in range(0, whole, size))
    while total >> (8 * size):
        total = (total & ((1 << 8 * size) - 1)) + (total >> (8 * size))
    return total.to_bytes(size, "big")


def derived(key, usage):
    """The key that content of this use is encrypted with."""
    first = aes(key, folded(struct.pack(">IB", usage, 0xAA)))
    return (first + aes(key, first))[:len(key)]


def decrypted(key, usage, data):
    """CBC with ciphertext stealing, without its HMAC and its confounder."""
    data = data[:-12]
    key = derived(key, usage)
    last = len(data) % 16 or 16
    head, full, rest = data[:-16 - last], data[-16 - last:-last], data[-last:]
    steal = aes(key, full, decrypt=True)
    rest_whole = rest + steal[last:]
    blocks = aes(key, head + rest_whole, decrypt=True)
    return xor(blocks, bytes(16) + head)[16:] + xor(steal, rest_whole)[:last]


def keys_in(keytab):
    """The AES keys of a keytab, of whatever principal: {encryption type: [key]}."""
    with open(keytab, "rb") as f:
        data = f.read()
    assert data[:2] == b"\x05\x02"
    at, keys = 2, {}
    while at < len(data):
        size, = struct.unpack_from(">i", data, at)
        entry, at = data[at + 4:at + 4 + abs(size)], at + 4 + abs(size)
        if size <= 0:
            continue
        count, place = struct.unpack_from(">H", entry)[0] + 1, 2
        for _ in range(count):
            place += 2 + struct.unpack_from(">H", entry, place)[0]
        kind, length = struct.unpack_from(">HH", entry, place + 9)
        if kind in AES:
            keys.setdefault(kind, []).append(entry[place + 13:place + 13 + length])
    return keys


def fields(sequence):
    """{number: content of that field} of a DER sequence."""
    return {part[0] & 0x1F: read(part)[1] for part in parts(read(sequence)[1])}


class Reply:
    """A KDC's answer with a ticket."""

    def __init__(self, data):
        self.kind, content, _ = read(data)
        whole = fields(content)
        ticket = fields(read(whole[5])[1])
        self.service = "/".join(read(part)[1].decode() for part in parts(read(fields(ticket[2])[1])[1]))
        self.encrypted = {name: fields(where) for name, where in (("ticket", ticket[3]), ("reply", whole[6]))}

    def cipher(self, name):
        return read(self.encrypted[name][2])[1]

    def session_key(self, name, keys, usage):
        """Of its "ticket" or its "reply", decrypted with the one of these keys that fits."""
        for key in keys[read(self.encrypted[name][0])[1][-1]]:
            try:
                inner = fields(read(decrypted(key, usage, self.cipher(name)))[1])
                found = fields(inner[1 if name == "ticket" else 0])
                kind, session_key = read(found[0])[1][-1], read(found[1])[1]
            except (IndexError, KeyError):
                continue  # another key
            if AES.get(kind) == len(session_key):
                return session_key
        raise AssertionError("no key of the keytab fits the %s for %s" % (name, self.service))


class Witness(Relay):
    """A relay to a KDC that keeps what it said."""

    def __init__(self, target, **options):
        self.said = {}
        super().__init__(target, sized=True, **options)

    def _write(self, to, data):
        self.said.setdefault(to, bytearray()).extend(data)
        super()._write(to, data)

    def replies(self):
        found = []
        for said in list(self.said.values()):
            said, at = bytes(said), 0
            while at + 4 < len(said):
                size, = struct.unpack_from(">I", said, at)
                message, at = said[at + 4:at + 4 + size], at + 4 + size
                if len(message) == size and message[0] in (AS_REP, TGS_REP):
                    found.append(Reply(message))
        return found
