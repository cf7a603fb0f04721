"""Client certificates for many people, made quickly: all with one key, and each signed by one run of the
openssl command."""
import base64
import os

from certificates import Certificate, der, general_names, openssl, principal_name
from crls import extension, integer, parts, read


def names_extension(address):
    return extension("551d11", general_names(principal_name(address.encode())))


def issue_crowd(authority, addresses):
    """address -> Certificate with it as Principal Name, and nothing else that tells one from another."""
    pattern = authority.issue("crowd", general_names(principal_name(b"nobody@contoso.test")))
    pattern_der = openssl("x509", "-in", pattern.certificate, "-outform", "DER")
    tbs, algorithm, _ = parts(read(pattern_der)[1])
    fields = parts(read(tbs)[1])  # version, serial number, algorithm, issuer, validity, subject, key, extensions
    others = [e for e in parts(read(read(fields[7])[1])[1]) if bytes.fromhex("0603551d11") not in e]
    with open(authority.certificate, "rb") as f:
        chain = f.read()
    made = {}
    for number, address in enumerate(addresses):
        names = der(0xA3, der(0x30, b"".join(others + [names_extension(address)])))
        content = der(0x30, b"".join([fields[0], integer((1 << 100) + number)] + fields[2:7] + [names]))
        signature = openssl("dgst", "-sha256", "-sign", authority.key, stdin=content)
        path = os.path.join(authority.directory, "crowd-%d.pem" % number)
        whole = der(0x30, content + algorithm + der(0x03, b"\0" + signature))
        with open(path, "wb") as f:
            f.write(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(whole) +
                    b"-----END CERTIFICATE-----\n" + chain)
        made[address] = Certificate(path, pattern.key)
    return made
