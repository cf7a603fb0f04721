"""easproxyctl verify: exit status, the line with the refusal, JSON, and a configuration's own terms."""
import datetime
import json
import os
import shutil
import subprocess

import harness
from certificates import general_names, principal_name, write_trust_store
from harness import EASPROXYCTL

ALICE = general_names(principal_name(b"alice@contoso.test"))


def days_from_now(days):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)


class VerifyTest(harness.Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("ca"))
        os.mkdir(self.path("crl"))
        os.mkdir(self.path("made"))
        self.root = self.pki.authority("root", self.path("made"))
        self.issuing = self.pki.authority("issuing", self.path("made"))
        for authority in (self.root, self.issuing):
            shutil.copy(authority.certificate, self.path("ca"))
            authority.write_crl(self.path("crl", authority.name + ".crl"))
        self.alice = self.issuing.issue("alice", ALICE).certificate

    def verify(self, *arguments):
        done = subprocess.run([EASPROXYCTL, "verify", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def verify_here(self, *arguments):
        return self.verify("--ca", self.path("ca"), "--crl", self.path("crl"), *arguments)

    def test_accepted(self):
        status, output, errors = self.verify_here(self.alice)
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(output.startswith("accepted\n"), output)
        self.assertIn("CN=alice", output)

    def test_refused_says_code_and_reason(self):
        self.issuing.revoked.append(self.alice)
        self.issuing.write_crl(self.path("crl", "issuing.crl"))
        status, output, _ = self.verify_here(self.alice)
        self.assertEqual(status, 1)
        self.assertRegex(output, r"^refused: certificate-revoked: serial [0-9a-f]+ of .* at depth 0 "
                                 r"was revoked on 20\d\d-")
        self.assertEqual(self.verify("--ca", self.path("ca"), "--no-crl", self.alice)[0], 0)

    def test_json(self):
        os.unlink(self.path("crl", "root.crl"))
        at = days_from_now(2).strftime("%Y-%m-%dT%H:%M:%SZ")
        status, output, _ = self.verify_here("--json", "--at", at, self.alice)
        self.assertEqual(status, 1)
        told = json.loads(output)
        self.assertFalse(told["accepted"])
        self.assertEqual(told["refusal"], "revocation-unavailable")
        self.assertEqual(told["at"], at)
        self.assertEqual(len(told["chain"]), 2)

    def test_time_is_the_one_that_is_asked_for(self):
        first, last = (days_from_now(days).strftime("%Y%m%d%H%M%SZ") for days in (10, 20))
        for authority in (self.issuing, self.root):
            authority.write_crl(self.path("crl", authority.name + ".crl"), first, last)
        for days, status in ((5, 1), (15, 0), (25, 1), (365 * 40, 1)):
            at = days_from_now(days)
            for text in (at.strftime("%Y-%m-%d"), at.strftime("%Y%m%d%H%M%SZ"), str(int(at.timestamp()))):
                self.assertEqual(self.verify_here("--at", text, self.alice)[0], status, text)

    def test_bundles_are_read_too(self):
        for form in ("DER", "PEM"):
            subprocess.run(["openssl", "crl2pkcs7", "-nocrl", "-certfile", self.root.certificate, "-certfile",
                            self.issuing.certificate, "-outform", form, "-out", self.path("ca.p7b")],
                           check=True, timeout=30)
            status, output, errors = self.verify("--ca", self.path("ca.p7b"), "--no-crl", self.alice)
            self.assertEqual(status, 0, output + errors)

    def test_what_is_wrong_is_named_with_its_option(self):
        for option, value in (("--at", "tomorrow"), ("--policy", "1.2.x")):
            status, _, errors = self.verify_here(option, value, self.alice)
            self.assertEqual(status, 2)
            self.assertIn("%s: '%s' is not" % (option, value), errors)

    def test_purpose_is_asked_for_by_configurations_only(self):
        plain = self.issuing.issue("plain", ALICE, purpose=None).certificate
        other = self.issuing.issue("other", ALICE, purpose="serverAuth").certificate
        self.assertEqual(self.verify_here(plain)[0], 0)
        status, output, _ = self.verify_here(other)
        self.assertEqual(status, 1)
        self.assertIn("certificate-purpose", output)
        config = self.write_configuration("")
        status, output, _ = self.verify("--config", config, "--crl", self.path("crl"), plain)
        self.assertEqual(status, 1, output)
        self.assertIn("no extended key usage", output)
        config = self.write_configuration("require-client-auth = off")
        self.assertEqual(self.verify("-c", config, "--crl", self.path("crl"), plain)[0], 0)
        config = self.write_configuration('require-client-auth = off algorithms = {"rsa-4096"}')
        self.assertIn("certificate-weak",
                      self.verify("--config", config, "--crl", self.path("crl"), plain)[1])

    def write_configuration(self, trust):
        for name in ("server.pem", "server.key"):
            shutil.copy(self.pki.path(name), self.path(name))
        write_trust_store(self.path("trust.json"), [(self.root.certificate, True, None),
                                                    (self.issuing.certificate, False, None)])
        with open(self.path("easproxy.conf"), "w", encoding="utf-8") as file:
            file.write("""
user = ""
state-directory = "%s"
listener phones {
	address = {"127.0.0.1:8443"}
	certificate default { chain = "server.pem" key = "server.key" }
}
trust { store = "trust.json" %s }
mailbox { domains = {"contoso.test"} }
upstream exchange {
	endpoints = {"http://127.0.0.1:1"}
	headers = {"x-mailbox: %%{mailbox}"}
}
""" % (self.directory, trust))
        return self.path("easproxy.conf")

    def test_wrong_command_lines_and_files_have_a_status_of_their_own(self):
        ca = ("--ca", self.path("ca"))
        for arguments in ((), (self.alice,), (*ca, self.alice), (*ca, "--no-crl"),
                          (*ca, "--no-crl", "--crl", self.path("crl"), self.alice),
                          (*ca, "--no-crl", "--at", "soon", self.alice),
                          (*ca, "--no-crl", "--policy", "x", self.alice),
                          (*ca, "--no-crl", "--what", self.alice),
                          (*ca, "--no-crl", self.path("nothing.pem")),
                          ("--ca", self.path("nowhere"), "--no-crl", self.alice),
                          (*ca, "--no-crl", self.alice, self.path("trust.txt"))):
            status, output, errors = self.verify(*arguments)
            self.assertEqual((status, output), (2, ""), arguments)
            self.assertIn("easproxyctl verify: ", errors)
