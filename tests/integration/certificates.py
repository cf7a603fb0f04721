"""Certificates that scripts/make-pki does not make: the odd, the forged and the outdated. Made by
the openssl command with the keys of the test PKI."""
import base64
import json
import os
import subprocess

PRINCIPAL_NAME = bytes.fromhex("060a2b060104018237140203")  # OID 1.3.6.1.4.1.311.20.2.3
UTF8_STRING, IA5_STRING, BMP_STRING = 0x0C, 0x16, 0x1E


def der(tag, content):
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def principal_name(name, string=UTF8_STRING):
    return der(0xA0, PRINCIPAL_NAME + der(0xA0, der(string, name)))


def rfc822_name(name):
    return der(0x81, name)


def general_names(*names):
    return der(0x30, b"".join(names))


def openssl(*arguments, stdin=None):
    done = subprocess.run(("openssl",) + arguments, input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (" ".join(arguments), done.stderr.decode()))
    return done.stdout


class Certificate:
    """Paths of a PEM file (with its chain) and its key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


class Authority:
    """A CA of which the key is at hand. Everything it makes lies in `directory`."""

    def __init__(self, name, certificate, key, directory, chain=True):
        self.name, self.certificate, self.key, self.directory = name, certificate, key, directory
        self.chain = chain
        self.revoked = []
        self.crl_number = int(openssl("rand", "-hex", "2"), 16) + 1000

    def _path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name, names=None, purpose="clientAuth", ca=False, start=None, end=None, extra="",
              subject=None):
        """A certificate with the GeneralNames `names` (DER, or None for no such extension), signed by
        this CA. start and end: YYYYMMDDHHMMSSZ."""
        key, request, out = (self._path(name + suffix) for suffix in (".key", ".csr", ".pem"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", request, "-subj", subject or "/O=Test/CN=" + name)
        lines = ["[ca]", "default_ca = it", "[it]", "database = " + self._path(name + ".index"),
                 "new_certs_dir = " + self.directory, "default_md = sha256", "policy = any",
                 "rand_serial = yes", "unique_subject = no", "x509_extensions = ext",
                 "[any]", "O = optional", "CN = supplied", "[ext]",
                 "subjectKeyIdentifier = hash", "authorityKeyIdentifier = keyid",
                 "basicConstraints = critical, CA:%s" % ("TRUE" if ca else "FALSE"),
                 "keyUsage = critical, %s" % ("keyCertSign, cRLSign" if ca else "digitalSignature")]
        if purpose and not ca:
            lines.append("extendedKeyUsage = " + purpose)
        if names is not None:
            lines.append("subjectAltName = DER:" + names.hex(":"))
        config = self._path(name + ".cnf")
        with open(config, "w", encoding="ascii") as f:
            f.write("\n".join(lines + [extra, ""]))
        with open(self._path(name + ".index"), "w", encoding="ascii"):
            pass
        times = ["-startdate", start or "20240101000000Z", "-enddate", end or "20491231000000Z"]
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.certificate, "-keyfile",
                self.key, "-in", request, "-out", out, *times)
        if self.chain:
            with open(out, "ab") as leaf, open(self.certificate, "rb") as issuer:
                leaf.write(issuer.read())
        return Certificate(out, key)

    def issue_authority(self, name):
        made = self.issue(name, ca=True)
        return Authority(name, made.certificate, made.key, self.directory)

    def revoke(self, certificate):
        self.revoked.append(certificate.certificate)

    def write_crl(self, path, last=None, following=None):
        """A CRL (DER) of what was revoked, put in place at once. last and following are its
        thisUpdate and nextUpdate, as YYYYMMDDHHMMSSZ; by default from now for 30 days."""
        config, pem = self._path(self.name + ".crl.cnf"), self._path(self.name + ".crl.pem")
        index, number = self._path(self.name + ".crl.index"), self._path(self.name + ".crl.number")
        self.crl_number += 1
        with open(index, "w", encoding="ascii"):
            pass
        with open(number, "w", encoding="ascii") as f:
            f.write("%06X\n" % self.crl_number)
        with open(config, "w", encoding="ascii") as f:
            f.write("[ca]\ndefault_ca = it\n[it]\ndatabase = %s\ncrlnumber = %s\ndefault_md = sha256\n"
                    "crl_extensions = ext\n[ext]\nauthorityKeyIdentifier = keyid\n" % (index, number))
        base = ("ca", "-config", config, "-cert", self.certificate, "-keyfile", self.key)
        for certificate in self.revoked:
            openssl(*base, "-revoke", certificate)
        times = ("-crldays", "30")
        if following:
            times = ("-crl_lastupdate", last, "-crl_nextupdate", following)
        openssl(*base, "-gencrl", *times, "-out", pem)
        openssl("crl", "-in", pem, "-outform", "DER", "-out", path + ".new")
        os.rename(path + ".new", path)


def self_signed(directory, name, names, ca=False):
    key, out = (os.path.join(directory, name + suffix) for suffix in (".key", ".pem"))
    openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", out, "-days", "30", "-subj", "/O=Test/CN=" + name,
            "-addext", "basicConstraints=critical,CA:%s" % ("TRUE" if ca else "FALSE"),
            "-addext", "keyUsage=critical,keyCertSign,cRLSign" if ca else "extendedKeyUsage=clientAuth",
            *(() if names is None else ("-addext", "subjectAltName=DER:" + names.hex(":"))))
    return Certificate(out, key)


def write_trust_store(path, entries):
    """entries: (certificate file, is root, CRL URL or None, and perhaps a dict of further members)."""
    authorities = []
    for certificate, is_root, crl_url, *more in entries:
        entry = {"isRootAuthority": is_root, "certificate": base64.b64encode(
            openssl("x509", "-in", certificate, "-outform", "DER")).decode()}
        if crl_url:
            entry["certificateRevocationListUrl"] = crl_url
        entry.update(*more)
        authorities.append(entry)
    with open(path, "w", encoding="ascii") as f:
        json.dump({"certificateAuthorities": authorities}, f, indent=1)
