"""The keys, certificates and CRLs of the bench, in a folder of their own: what easproxyd and its peers are given alike.

  root ── issuing              P-256; phones with small certificates
     └─── middle ── devices    RSA-2048; phones with certificates of real size, two intermediates
"""
import base64
import os
import subprocess

import certificates
import crls
import harness
from certificates import Certificate, openssl

AUTHORITIES = ("root", "issuing", "middle", "devices")
FEW = 10
_ENTRY_HEAD = bytes.fromhex("30210210")  # revokedCertificate: 33 bytes; userCertificate: an INTEGER of 16 bytes


def crl_entries(count):
    """So many revoked certificates with serial numbers as CAs choose them now: 16 random bytes."""
    numbers, date = bytearray(os.urandom(16 * count)), crls.time_of(-3600)
    parts = []
    for at in range(0, len(numbers), 16):
        numbers[at] = numbers[at] & 0x3F | 0x40  # positive, and no shorter
        parts.append(_ENTRY_HEAD + numbers[at:at + 16] + date)
    return b"".join(parts)


def write_pem(path, kind, *documents):
    with open(path + ".new", "wb") as f:
        for document in documents:
            text = base64.b64encode(document)
            f.write(b"-----BEGIN %s-----\n" % kind)
            f.write(b"\n".join(text[at:at + 64] for at in range(0, len(text), 64)))
            f.write(b"\n-----END %s-----\n" % kind)
    os.rename(path + ".new", path)


class Crls:
    """One choice of CRLs: that of issuing has `count` entries, the others have few. trust is the trust store of
    easproxyd, pem the file of the peers."""

    def __init__(self, material, name, count):
        self.material, self.count = material, count
        self.directory = material.path("crls-" + name)
        os.makedirs(self.directory, exist_ok=True)
        self.trust, self.pem = self.path("trust.json"), self.path("crls.pem")
        self.entries = {authority: crl_entries(FEW) for authority in AUTHORITIES}
        self.grow(count)
        self.publish()
        certificates.write_trust_store(self.trust, [
            (material.certificate(authority), authority == "root", "file:" + self.path(authority + ".crl"))
            for authority in AUTHORITIES])

    def path(self, name):
        return os.path.join(self.directory, name)

    def grow(self, count):
        """From the next publish() on."""
        self.count = count
        self.entries["issuing"] = crl_entries(count)

    def publish(self, *revoked):
        """New CRLs of all authorities, with these certificates of issuing in them, too."""
        made = []
        for name in AUTHORITIES:
            more = b""
            if name == "issuing":
                more = b"".join(certificates.der(0x30, crls.serial_of(file) + crls.time_of(-60)) for file in revoked)
            made.append(self.material.sign_crl(name, self.entries[name] + more))
            crls.put(self.path(name + ".crl"), made[-1])
        write_pem(self.pem, b"X509 CRL", *made)


class Material(harness.Pki):
    """What harness.Pki is to the tests, in a folder that is made for each run."""

    def __init__(self, directory):  # pylint: disable=super-init-not-called
        self.directory = os.path.join(directory, "pki")
        subprocess.run([os.path.join(harness.ROOT, "scripts", "make-pki"), self.directory, "--users", "bob carol",
                        "--revoked", ""], check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.ca, self.trust = self.path("ca.pem"), self.path("trust.json")
        self.server = Certificate(self.path("server.pem"), self.path("server.key"))
        self.server_rsa = Certificate(self.path("server-rsa.pem"), self.path("server-rsa.key"))
        self.number = 1
        self._issue_authority("middle", "root")
        self._issue_authority("devices", "middle")
        self.authorities = self.path("authorities.pem")
        self._join(self.authorities, *map(self.certificate, AUTHORITIES))
        self.intermediates = self.path("intermediates.pem")
        self._join(self.intermediates, self.certificate("devices"), self.certificate("middle"))
        for name in ("server", "server-rsa"):
            self._join(self.path(name + "-both.pem"), self.path(name + ".pem"), self.path(name + ".key"))
        self._crls = {}

    def certificate(self, authority):
        return self.path("authority", authority + ".pem")

    def key(self, authority):
        return self.path("authority", authority + ".key")

    def crls(self, count):
        """Made when asked for first."""
        if count not in self._crls:
            self._crls[count] = Crls(self, str(count), count)
        return self._crls[count]

    def new_crls(self, count):
        """For one that will change them."""
        self.number += 1
        return Crls(self, "%d-of-its-own-%d" % (count, self.number), count)

    @staticmethod
    def _join(path, *files):
        with open(path, "wb") as out:
            for file in files:
                with open(file, "rb") as f:
                    out.write(f.read())

    def _issue_authority(self, name, issuer):
        extensions = self.path("extensions")
        with open(extensions, "w", encoding="ascii") as f:
            f.write("basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n"
                    "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n")
        request = openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key(name),
                          "-subj", "/O=Contoso (demo)/CN=Contoso %s CA" % name.capitalize())
        made = openssl("x509", "-req", "-CA", self.certificate(issuer), "-CAkey", self.key(issuer), "-days", "365",
                       "-sha256", "-set_serial", "0x4" + os.urandom(15).hex(), "-extfile", extensions, stdin=request)
        with open(self.certificate(name), "wb") as f:
            f.write(made)

    def sign_crl(self, name, entries):
        """DER, valid for a day."""
        self.number += 1
        is_rsa = name in ("middle", "devices")
        algorithm = bytes.fromhex("300d06092a864886f70d01010b0500") if is_rsa else crls.ECDSA_SHA256
        identifier = crls.extension("551d23", certificates.der(0x30, certificates.der(0x80, self._key_identifier(name))))
        tbs = certificates.der(0x30, b"".join((
            crls.integer(1), algorithm, crls.subject_of(self.certificate(name)), crls.time_of(-60),
            crls.time_of(86400), certificates.der(0x30, entries),
            certificates.der(0xA0, certificates.der(0x30, identifier + crls.extension(
                "551d14", crls.integer(self.number)))))))
        signature = openssl("dgst", "-sha256", "-sign", self.key(name), stdin=tbs)
        return certificates.der(0x30, tbs + algorithm + certificates.der(0x03, b"\0" + signature))

    def _key_identifier(self, name):
        text = openssl("x509", "-in", self.certificate(name), "-noout", "-ext", "subjectKeyIdentifier").decode()
        return bytes.fromhex(text.split()[-1].replace(":", ""))
