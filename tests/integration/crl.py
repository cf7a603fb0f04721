"""CRLs written by hand (RFC 5280 5.1), for those that the openssl command does not make: deltas, and a
million entries. Only the signature is its work."""
import os
import tempfile
import time

from certificates import der, openssl

SEQUENCE, INTEGER, OCTETS, BITS, UTC_TIME, ENUMERATED = 0x30, 0x02, 0x04, 0x03, 0x17, 0x0A
ECDSA_SHA256 = der(SEQUENCE, bytes.fromhex("06082a8648ce3d040302"))
REASON, NUMBER, DELTA, KEY_ID = (bytes.fromhex(oid) for oid in ("0603551d15", "0603551d14", "0603551d1b", "0603551d23"))
CRITICAL = bytes.fromhex("0101ff")


def elements(content):
    """The elements that stand one after the other in content, each whole and as its content."""
    out, at = [], 0
    while at < len(content):
        size, head = content[at + 1], 2
        if size >= 128:
            count = size & 127
            size, head = int.from_bytes(content[at + 2:at + 2 + count], "big"), 2 + count
        out.append((content[at:at + head + size], content[at + head:at + head + size]))
        at += head + size
    return out


def number(value):
    return der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def extension(oid, value, critical=b""):
    return der(SEQUENCE, oid + critical + der(OCTETS, value))


def utc_time(seconds):
    return der(UTC_TIME, time.strftime("%y%m%d%H%M%SZ", time.gmtime(seconds)).encode())


def crl_bytes(authority, crl_number, serials, others=0, base=None, reason=1, days=30):
    """A CRL (DER) of an Authority with a P-256 key. serials: numbers, each with the reason; others: so
    many more without one. base: the number of the base CRL; it is a delta then."""
    certificate = openssl("x509", "-in", authority.certificate, "-outform", "DER")
    fields = [whole for whole, _ in elements(elements(elements(certificate)[0][1])[0][1])]
    key_id = openssl("x509", "-in", authority.certificate, "-noout", "-ext", "subjectKeyIdentifier")
    now = time.time()
    date = utc_time(now)
    reasons = der(SEQUENCE, extension(REASON, der(ENUMERATED, bytes([reason]))))
    entries = [der(SEQUENCE, number(serial) + date + reasons) for serial in serials]
    # 16 octets each, in no order, as CAs give them out.
    head = bytes([SEQUENCE, 18 + len(date), INTEGER, 16, 0x10])
    entries += [head + (n * 0x9E3779B97F4A7C15 % (1 << 120)).to_bytes(15, "big") + date for n in range(1, others + 1)]
    extensions = extension(KEY_ID, der(SEQUENCE, der(0x80, bytes.fromhex(key_id.split()[-1].decode().replace(":", "")))))
    extensions += extension(NUMBER, number(crl_number))
    if base is not None:
        extensions += extension(DELTA, number(base), CRITICAL)
    tbs = der(SEQUENCE, number(1) + ECDSA_SHA256 + fields[5] + date + utc_time(now + days * 86400) + (
        der(SEQUENCE, b"".join(entries)) if entries else b"") + der(0xA0, der(SEQUENCE, extensions)))
    with tempfile.NamedTemporaryFile() as f:
        f.write(tbs)
        f.flush()
        signature = openssl("dgst", "-sha256", "-sign", authority.key, f.name)
    return der(SEQUENCE, tbs + ECDSA_SHA256 + der(BITS, b"\0" + signature))


def put(path, data):
    """In place at once."""
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)
