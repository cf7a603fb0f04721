"""easproxyctl profile: what is made is what phones can read, and what would not get in is not made."""
import datetime
import json
import os
import plistlib
import subprocess
import unittest

import certificates
import harness
from certificates import general_names, openssl, principal_name
from harness import EASPROXYCTL

PASSWORD = "s3cret word"


def day(days):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y%m%d%H%M%SZ")


class ProfileCase(harness.Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("made"))
        self.issuing = self.pki.authority("issuing", self.path("made"))
        self.password = self.write("password", PASSWORD + "\n")
        self.config = self.configure()
        self.bob = self.p12("bob", self.pki.user("bob"))

    def write(self, name, text):
        with open(self.path(name), "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        return self.path(name)

    def configure(self, **changes):
        return self.write("easproxy.conf", harness.configuration_text(harness.merge({
            "user": "", "state-directory": self.directory, "control-socket": "",
            "listener phones": {"address": ["127.0.0.1:%d" % harness.free_port()], "certificate ecdsa": {
                "chain": self.pki.server.certificate, "key": self.pki.server.key}},
            "trust": {"store": self.pki.trust}, "mailbox": {"domains": ["contoso.test"]},
            "upstream exchange": {"endpoints": ["http://127.0.0.1:80"], "headers": ["X-Mailbox: %{mailbox}"]},
            "autodiscover": {"url": "https://phones.contoso.test"}}, changes)))

    def p12(self, name, certificate, *options, legacy=True):
        path = self.path(name + ".p12")
        openssl("pkcs12", "-export", "-inkey", certificate.key, "-in", certificate.certificate, "-out", path,
                "-passout", "file:" + self.password, *(("-legacy",) if legacy else ()), *options)
        return path

    def run_ctl(self, *arguments, stdin=b""):
        done = subprocess.run([EASPROXYCTL, "profile", *arguments], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False, start_new_session=True)
        return done.returncode, done.stdout, done.stderr.decode()

    def make(self, *arguments, mailbox="bob@contoso.test", p12=None, out=None):
        return self.run_ctl("--mailbox", mailbox, "--p12", p12 or self.bob, "--password-file", self.password,
                            "-c", self.config, "-o", out or self.path("x.mobileconfig"), *arguments)

    def weak(self, name):
        """RSA of 1,024 bits."""
        key, request, made = (self.path("made", "weak" + end) for end in (".key", ".csr", ".pem"))
        openssl("req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=weak")
        extensions = self.write("extensions", "extendedKeyUsage=clientAuth\nsubjectAltName=otherName:1.3.6.1.4.1.311.20.2.3"
                                              ";UTF8:%s\nauthorityKeyIdentifier=keyid\n" % name)
        openssl("x509", "-req", "-in", request, "-CA", self.issuing.certificate, "-CAkey", self.issuing.key,
                "-set_serial", "77", "-days", "90", "-extfile", extensions, "-out", made)
        return certificates.Certificate(made, key)

    def bytes_of(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def made(self):
        return plistlib.loads(self.bytes_of("x.mobileconfig"))

    def lint(self, *arguments, path=None, config=True):
        status, output, errors = self.run_ctl("lint", path or self.path("x.mobileconfig"), "--password-file",
                                              self.password, *(("-c", self.config) if config else ()), *arguments)
        return status, output.decode() + errors


class MakeTest(ProfileCase):
    def test_a_phone_finds_an_account_and_its_certificate(self):
        status, output, errors = self.make("--organization", "Contoso & <Sons>")
        self.assertEqual((status, output), (0, b""), errors)
        self.assertNotIn("problem", errors)
        self.assertNotIn("warning: the", errors)
        profile = self.made()
        self.assertEqual((profile["PayloadType"], profile["PayloadVersion"]), ("Configuration", 1))
        identity, account = profile["PayloadContent"]
        self.assertEqual(account["PayloadType"], "com.apple.eas.account")
        self.assertEqual((account["Host"], account["EmailAddress"], account["UserName"]),
                         ("phones.contoso.test", "bob@contoso.test", "bob@contoso.test"))
        self.assertIs(account["SSL"], True)
        self.assertEqual(account["PayloadCertificateUUID"], identity["PayloadUUID"])
        self.assertEqual(identity["PayloadType"], "com.apple.security.pkcs12")
        self.assertEqual(identity["PayloadContent"], self.bytes_of(self.bob))
        self.assertEqual(account["PayloadOrganization"], "Contoso & <Sons>")
        every = [profile, identity, account]
        self.assertEqual(len({p["PayloadUUID"] for p in every}), 3)
        self.assertEqual(len({p["PayloadIdentifier"] for p in every}), 3)
        self.assertEqual(os.stat(self.path("x.mobileconfig")).st_mode & 0o777, 0o600)
        for payload in every:
            self.assertNotIn("Password", payload)
        self.assertNotIn(PASSWORD.encode(), self.bytes_of("x.mobileconfig"))

    def test_the_same_content_gives_the_same_profile(self):
        self.make()
        first = self.bytes_of("x.mobileconfig")
        self.make()
        self.assertEqual(self.bytes_of("x.mobileconfig"), first)
        self.make("--host", "other.contoso.test")
        self.assertNotEqual(plistlib.loads(first)["PayloadUUID"], self.made()["PayloadUUID"])

    def test_what_else_can_be_in_it(self):
        status, _, errors = self.make("--include-password", "--host", "phones.contoso.test:8443", "--ca", self.pki.ca,
                                      "--ca", self.issuing.certificate)
        self.assertEqual(status, 0, errors)
        self.assertIn("warning: the password will stand in the profile", errors)
        self.assertIn("warning: the host is phones.contoso.test:8443", errors)
        identity, root, issuing, account = self.made()["PayloadContent"]
        self.assertEqual(identity["Password"], PASSWORD)
        self.assertEqual(account["Host"], "phones.contoso.test:8443")
        self.assertEqual((root["PayloadType"], issuing["PayloadType"]),
                         ("com.apple.security.root", "com.apple.security.pkcs1"))
        self.assertEqual(root["PayloadContent"], openssl("x509", "-in", self.pki.ca, "-outform", "DER"))

    def test_problems_are_all_told_and_nothing_is_written(self):
        bob = general_names(principal_name(b"bob@contoso.test"))
        other_root = certificates.self_signed(self.path("made"), "other-root", None, ca=True)
        other = certificates.Authority("other", other_root.certificate, other_root.key, self.path("made"))
        for name, problems, p12, options in (
                ("another mailbox", ["leads to the mailbox alice@contoso.test, not to bob@contoso.test"],
                 self.p12("alice", self.pki.user("alice")), {}),
                ("expired", ["certificate-expired", "has expired on"],
                 self.p12("expired", self.issuing.issue("expired", bob, end=day(-1))), {}),
                ("another CA", ["certificate-untrusted"], self.p12("other", other.issue("others", bob)), {}),
                ("weak", ["certificate-weak"], self.p12("weak", self.weak("bob@contoso.test")), {}),
                ("for servers", ["certificate-purpose"],
                 self.p12("server", self.issuing.issue("server", bob, purpose="serverAuth")), {}),
                ("no name", ["name-missing"], self.p12("nameless", self.issuing.issue("nameless", None)), {}),
                ("another domain", ["domain-not-routable"], self.p12("foreign", self.issuing.issue(
                    "foreign", general_names(principal_name(b"bob@fabrikam.test")))), {}),
                ("revoked", ["certificate-revoked"], self.p12("carol", self.pki.user("carol")),
                 {"mailbox": "carol@contoso.test", "crl": self.pki.path("crl")})):
            with self.subTest(name):
                options = dict(options)
                crl = ("--crl", options.pop("crl")) if "crl" in options else ()
                status, _, errors = self.make(*crl, p12=p12, **options)
                self.assertEqual(status, 1, errors)
                for problem in problems:
                    self.assertRegex(errors, "(?m)^problem: .*" + problem)
                self.assertIn("nothing was written", errors)
                self.assertFalse(os.path.exists(self.path("x.mobileconfig")))
                status, _, errors = self.make(*crl, "--force", p12=p12, **options)
                self.assertEqual(status, 0, errors)
                self.assertTrue(self.made())
                os.unlink(self.path("x.mobileconfig"))

    def test_what_is_still_good_is_warned_of(self):
        bob = general_names(principal_name(b"bob@contoso.test"))
        soon = self.p12("soon", self.issuing.issue("soon", bob, end=day(20)))
        status, _, errors = self.make(p12=soon)
        self.assertEqual(status, 0, errors)
        self.assertRegex(errors, "warning: the certificate expires in (19|20) days")
        modern = self.p12("modern", self.pki.user("bob"), legacy=False)
        status, _, errors = self.make(p12=modern)
        self.assertEqual(status, 0, errors)
        self.assertIn("older phones cannot read it", errors)
        self.assertIn("PBES2 with AES-256-CBC", errors)
        status, _, errors = self.make("--crl", self.pki.path("crl"))
        self.assertEqual((status, errors.count("warning: "), "revoked was not" in errors),
                         (0, self.warnings_of_configuration(errors), False))

    @staticmethod
    def warnings_of_configuration(errors):
        return len([line for line in errors.splitlines() if "warning: " in line and "easproxy.conf" in line])

    def test_what_cannot_be_read_is_never_made(self):
        wrong = self.write("wrong", "guess\n")
        keyless = self.path("keyless.p12")
        openssl("pkcs12", "-export", "-nokeys", "-in", self.pki.user("bob").certificate, "-out", keyless,
                "-passout", "file:" + self.password)
        for name, arguments, said in (
                ("no PKCS#12", ["--p12", self.pki.ca], "it is no PKCS#12 file"),
                ("no key", ["--p12", keyless], "it has no private key"),
                ("no file", ["--p12", self.path("nowhere")], "nowhere"),
                ("wrong password", ["--password-file", wrong], "the password is wrong"),
                ("no password", ["--password-file", self.path("nowhere")], "nowhere"),
                ("no address", ["--mailbox", "bob"], "is no address"),
                ("no host", ["--host", "https://x"], "is no host"),
                ("no CA", ["--ca", self.password], "is no certificate")):
            with self.subTest(name):
                status, _, errors = self.make("--force", *arguments)
                self.assertEqual(status, 2, errors)
                self.assertIn(said, errors)
                self.assertFalse(os.path.exists(self.path("x.mobileconfig")))
        status, _, errors = self.run_ctl("--mailbox", "bob@contoso.test", "--p12", self.bob, "-c", self.config, "-o", "-")
        self.assertEqual(status, 2)
        self.assertIn("no password was given", errors)

    def test_the_host_has_to_be_known(self):
        self.config = self.configure(autodiscover={"url": ""})
        status, _, errors = self.make()
        self.assertEqual(status, 2)
        self.assertIn("--host is missing", errors)

    def test_a_directory_in_a_file_is_asked_and_ldap_is_not(self):
        directory = self.write("mailboxes", "robert@contoso.test upn:bob@contoso.test\n")
        self.config = self.configure(directory={"backend": "file", "file": directory})
        self.assertEqual(self.make(mailbox="robert@contoso.test")[0], 0)
        self.assertEqual(self.make()[0], 1)
        self.config = self.configure(directory={"backend": "ldap", "urls": ["ldaps://127.0.0.1:1"], "bind": "none",
                                                "base": "DC=x"})
        status, _, errors = self.make()
        self.assertEqual(status, 0, errors)
        self.assertIn("was not looked at: the directory is an LDAP server", errors)

    def test_signed_ones_verify(self):
        signer = self.pki.server
        status, _, errors = self.make("--sign", signer.certificate, "--sign-key", signer.key)
        self.assertEqual(status, 0, errors)
        inner = openssl("cms", "-verify", "-inform", "DER", "-in", self.path("x.mobileconfig"), "-CAfile", self.pki.ca,
                        "-purpose", "any")
        self.assertEqual(plistlib.loads(inner)["PayloadType"], "Configuration")
        status, told = self.lint()
        self.assertEqual(status, 0, told)
        self.assertIn("signed by ", told)
        data = bytearray(self.bytes_of("x.mobileconfig"))
        at = data.index(b"phones.contoso.test")
        data[at:at + 6] = b"evil99"
        status, told = self.lint(path=self.write("forged.mobileconfig", bytes(data)))
        self.assertEqual(status, 2, told)
        self.assertIn("signature does not hold", told)
        status, _, errors = self.make("--sign", signer.certificate, "--sign-key", self.pki.user("bob").key)
        self.assertEqual(status, 2)
        self.assertIn("is not that of the certificate", errors)

    def test_passwords_come_by_standard_input_too(self):
        status, output, errors = self.run_ctl(
            "--mailbox", "bob@contoso.test", "--p12", self.bob, "--password-file", "-", "-c", self.config, "-o", "-",
            stdin=PASSWORD.encode() + b"\n")
        self.assertEqual(status, 0, errors)
        self.assertEqual(plistlib.loads(output)["PayloadContent"][1]["Host"], "phones.contoso.test")

    def test_android(self):
        status, output, errors = self.run_ctl(
            "--mailbox", "bob@contoso.test", "--android", "-c", self.config, "--host", "phones.contoso.test:8443",
            "--alias", "mail key", "--device-id", "D1", "--organization", "Contoso")
        self.assertEqual(status, 0, errors)
        programs = {program["package"]: program for program in json.loads(output)}
        gmail = programs["com.google.android.gm"]["configuration"]
        self.assertEqual(gmail, {
            "email_address": "bob@contoso.test", "exchange_host": "phones.contoso.test:8443",
            "exchange_username": "bob@contoso.test", "exchange_device_id": "D1",
            "exchange_login_certificate_alias": "mail key", "exchange_ssl_required": True,
            "exchange_trust_all_certificates": False})
        nine = programs["com.ninefolders.hd3"]["configuration"]
        self.assertEqual((nine["AppServiceHost"], nine["AppServicePort"], nine["AppUseLoginCertificate"]),
                         ("phones.contoso.test", 8443, True))
        for program in programs.values():
            self.assertTrue(program["note"])


class LintTest(ProfileCase):
    def setUp(self):
        super().setUp()
        status, _, errors = self.make("--ca", self.pki.ca)
        self.assertEqual(status, 0, errors)

    def changed(self, change):
        profile = self.made()
        change(profile)
        with open(self.path("changed.mobileconfig"), "wb") as f:
            plistlib.dump(profile, f)
        return self.lint(path=self.path("changed.mobileconfig"))

    def test_what_was_made_is_good(self):
        status, told = self.lint()
        self.assertEqual(status, 0, told)
        self.assertIn("good, with 0 warnings", told)
        status, told = self.lint(config=False)
        self.assertEqual(status, 0, told)
        self.assertIn("there is no configuration", told)

    def test_what_is_wrong_is_told(self):
        def account(profile):
            return next(p for p in profile["PayloadContent"] if p["PayloadType"] == "com.apple.eas.account")

        def identity(profile):
            return next(p for p in profile["PayloadContent"] if p["PayloadType"].endswith("pkcs12"))
        alice = self.bytes_of(self.p12("alice", self.pki.user("alice")))
        for problem, change in (
                ("SSL is false", lambda p: account(p).update(SSL=False)),
                ("'SSL' is missing", lambda p: account(p).pop("SSL")),
                ("'SSL' has to be of the kind boolean, and is string", lambda p: account(p).update(SSL="true")),
                ("'Host' is missing", lambda p: account(p).pop("Host")),
                ("Host is 'https://x'", lambda p: account(p).update(Host="https://x")),
                ("EmailAddress is 'bob'", lambda p: account(p).update(EmailAddress="bob")),
                ("not to eve@contoso.test", lambda p: account(p).update(EmailAddress="eve@contoso.test")),
                ("it has no certificate", lambda p: account(p).pop("PayloadCertificateUUID")),
                ("no payload has that PayloadUUID", lambda p: account(p).update(PayloadCertificateUUID="x")),
                ("which is no certificate with a key",
                 lambda p: account(p).update(PayloadCertificateUUID=account(p)["PayloadUUID"])),
                ("is that of another payload too", lambda p: account(p).update(PayloadUUID=identity(p)["PayloadUUID"])),
                ("has to be 0, 1, 3, 7, 14 or 31", lambda p: account(p).update(MailNumberOfPastDaysToSync=5)),
                ("nothing is switched on", lambda p: account(p).update({"Enable" + name: False for name in (
                    "Mail", "Contacts", "Calendars", "Reminders", "Notes")})),
                ("the PKCS#12 file: it is no PKCS#12 file", lambda p: identity(p).update(PayloadContent=b"x")),
                ("the PKCS#12 file: the password is wrong", lambda p: identity(p).update(Password="x")),
                ("leads to the mailbox alice@contoso.test", lambda p: identity(p).update(PayloadContent=alice)),
                ("it has no ActiveSync account", lambda p: p["PayloadContent"].remove(account(p))),
                ("'PayloadUUID' is missing", lambda p: p.pop("PayloadUUID")),
                ("it is no configuration profile", lambda p: p.update(PayloadType="x")),
                ("an authority in the profile is no certificate",
                 lambda p: p["PayloadContent"][1].update(PayloadContent=b"x"))):
            with self.subTest(problem):
                status, told = self.changed(change)
                self.assertEqual(status, 1, told)
                self.assertRegex(told, "(?m)^problem: .*" + problem.replace("(", r"\(").replace("?", r"\?"))
        for warning, change in (
                ("'Password' is in it", lambda p: identity(p).update(Password=PASSWORD)),
                ("'Password' is in it", lambda p: account(p).update(Password="x")),
                ("the key 'Hots' is unknown here", lambda p: account(p).update(Hots="x")),
                ("autodiscover/url in the configuration leads to", lambda p: account(p).update(Host="a.test")),
                ("not for newer systems", lambda p: account(p).update(HeaderMagic="x"))):
            with self.subTest(warning):
                status, told = self.changed(change)
                self.assertEqual(status, 0, told)
                self.assertRegex(told, "(?m)^warning: .*" + warning)
                self.assertNotIn(PASSWORD, told)

    def test_files_that_are_no_profiles(self):
        evil = b'<!DOCTYPE plist [<!ENTITY x SYSTEM "file:///etc/passwd">]><plist><string>&x;</string></plist>'
        for content, said in (
                (b"", "empty"), (b"hello", "line 1"), (b"bplist00\0", "binary property list"), (evil, "entity"),
                (b"<plist><dict><key>a</key></dict></plist>", "a key without a value"),
                (b"<plist><dict><string>a</string></dict></plist>", "a value without a key"),
                (b"<plist><dict><key>a</key><true/><key>a</key><true/></dict></plist>", "stands twice"),
                (b"<plist>" + b"<array>" * 40, "too deep"), (b"<plist><data>!</data></plist>", "not base64"),
                (b"<html/>", "no element of a property list"), (b"\x30\x03\x02\x01\x01", "signed data")):
            with self.subTest(content):
                status, told = self.lint(path=self.write("odd", content))
                self.assertEqual(status, 2, told)
                self.assertIn(said, told)


if __name__ == "__main__":
    unittest.main()
