"""CRLs byte by byte: full, delta and partitioned ones with any number, times and entries, signed with
the key of an Authority. Faster than `openssl ca`, and able to be wrong on purpose."""
import base64
import datetime
import os

from certificates import der, openssl

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
REMOVE_FROM_CRL, KEY_COMPROMISE, CERTIFICATE_HOLD = 8, 1, 6


def read(data, at=0):
    """The tag, content and end of the value at that place."""
    tag, size, at = data[at], data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, at = int.from_bytes(data[at:at + count], "big"), at + count
    return tag, data[at:at + size], at + size


def parts(content):
    """The values in a content, whole."""
    at, out = 0, []
    while at < len(content):
        _, _, end = read(content, at)
        out.append(content[at:end])
        at = end
    return out


def tbs_parts(path):
    data = openssl("x509", "-in", path, "-outform", "DER")
    return parts(read(read(data)[1])[1])


def serial_of(certificate):
    """Of a PEM file's first certificate, or a number, as DER."""
    if isinstance(certificate, int):
        return integer(certificate)
    return tbs_parts(certificate)[1]


def subject_of(certificate):
    return tbs_parts(certificate)[5]


def integer(number):
    return der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def oid(text):
    return der(0x06, bytes.fromhex(text))


def extension(identifier, value, critical=False):
    return der(0x30, oid(identifier) + (der(0x01, b"\xff") if critical else b"") + der(0x04, value))


def time_of(seconds_from_now):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    return der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def distribution_point(url):
    """An issuingDistributionPoint's distributionPoint."""
    return der(0xA0, der(0xA0, der(0x86, url.encode())))


class Maker:
    """Makes the CRLs of one authority, each with a number one higher than the last."""

    def __init__(self, authority):
        self.authority, self.number = authority, 100
        self.subject = subject_of(authority.certificate)

    def make(self, revoked=(), number=None, base=None, last=-60, following=3600, point=None,
             next_publish=None, padding=0, key=None):
        """DER. revoked: certificate files or serial numbers, or (file, reason), or (file, reason, since when it was
        not to be relied upon, as YYYYMMDDHHMMSSZ). base: the number that a delta starts
        from. point: the content of an issuingDistributionPoint. padding: so many further entries."""
        if number is None:
            self.number += 1
            number = self.number
        date = time_of(-60)
        listed = []
        for file, *more in (entry if isinstance(entry, tuple) else (entry,) for entry in revoked):
            extensions = extension("551d15", der(0x0A, bytes([more[0]]))) if more else b""
            if len(more) > 1:
                extensions += extension("551d18", der(0x18, more[1].encode()))
            listed.append(der(0x30, serial_of(file) + date + (der(0x30, extensions) if extensions else b"")))
        listed += [der(0x30, integer((1 << 120) + i) + date) for i in range(padding)]
        extensions = extension("551d14", integer(number))
        if base is not None:
            extensions += extension("551d1b", integer(base), True)
        if point is not None:
            extensions += extension("551d1c", der(0x30, point), True)
        if next_publish is not None:
            extensions += extension("2b0601040182371504", time_of(next_publish))
        tbs = der(0x30, integer(1) + ECDSA_SHA256 + self.subject + time_of(last) + time_of(following) +
                  (der(0x30, b"".join(listed)) if listed else b"") + der(0xA0, der(0x30, extensions)))
        signature = openssl("dgst", "-sha256", "-sign", key or self.authority.key, stdin=tbs)
        return der(0x30, tbs + ECDSA_SHA256 + der(0x03, b"\0" + signature))


def pem(data):
    return b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(data) + b"-----END X509 CRL-----\n"


def put(path, data):
    """In place at once, as CAs do."""
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)
