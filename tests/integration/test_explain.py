"""easproxyctl explain: the way of a certificate through the running configuration."""
import json
import os
import subprocess
import unittest

import client
import crls
import harness
from harness import certificates, wait_for


class ExplainTest(harness.Case):

    def setUp(self):
        super().setUp()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.start_recorder().port)
        self.proxy.wait_until_answering()

    def run_explain(self, certificate, *arguments):
        done = subprocess.run(
            [harness.EASPROXYCTL, "explain", "-s", self.proxy.control, *arguments, certificate],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE, check=False, text=True)
        return done.returncode, done.stdout, done.stderr

    def explain(self, certificate, *arguments):
        status, out, err = self.run_explain(certificate, "--json", *arguments)
        self.assertEqual(err, "")
        answer = json.loads(out)
        self.assertEqual(status, 0 if answer["refusal"] == "none" else 1)
        return answer

    def issue(self, *arguments, **options):
        return self.pki.authority("issuing", self.directory).issue(*arguments, **options).certificate

    def test_a_good_certificate_is_followed_to_its_mailbox(self):
        answer = self.explain(self.pki.user("bob").certificate, "--device", "ApplDN6L1234")
        self.assertEqual(answer["refusal"], "none")
        self.assertEqual(len(answer["chain"]), 3)
        for link in answer["chain"][:2]:
            self.assertEqual(link["revocation"]["refusal"], "none")
            crl = link["revocation"]["crls"][0]
            self.assertLess(crl["effective"], crl["next_update"])
            self.assertEqual(int(crl["crl_number"]), int(crl["crl_number_hex"], 16))
            self.assertEqual(crl["signer"], link["issuer"])
        self.assertEqual(answer["mailbox"]["mailbox"], "bob@contoso.test")
        self.assertFalse(answer["user"]["revoked"])
        self.assertTrue(answer["device"]["well_formed"])
        self.assertEqual((answer["device"]["known"], answer["device"]["state"]), (False, "allowed"))

    def test_the_words_say_what_the_json_says(self):
        status, out, _ = self.run_explain(self.pki.user("carol").certificate)
        self.assertEqual(status, 1)
        for words in ("REVOKED", "REFUSED: certificate-revoked", "what to do", "AADSTS500183", "carol@contoso.test",
                      "effective"):
            self.assertIn(words, out)

    def test_each_step_that_stops_a_phone_is_named(self):
        other = certificates.principal_name(b"eve@elsewhere.test")
        bob = certificates.principal_name(b"bob@contoso.test")
        for what, certificate, refusal in (
                ("revoked", self.pki.user("carol").certificate, "certificate-revoked"),
                ("another domain", self.issue("eve", certificates.general_names(other)), "domain-not-routable"),
                ("no name", self.issue("nobody"), "name-missing"),
                ("a wrong purpose", self.issue("server", certificates.general_names(bob), "serverAuth"),
                 "certificate-purpose"),
                ("expired", self.issue("old", certificates.general_names(bob), start="20200101000000Z",
                                       end="20200201000000Z"), "certificate-expired")):
            with self.subTest(what):
                answer = self.explain(certificate)
                self.assertEqual(answer["refusal"], refusal)
                self.assertNotEqual(answer["remedy"], "")

    def test_a_revoked_user_is_out_until_a_later_crl(self):
        subprocess.run([harness.EASPROXYCTL, "user", "revoke", "-s", self.proxy.control, "bob@contoso.test"],
                       stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=harness.PATIENCE, check=True)
        answer = self.explain(self.pki.user("bob").certificate)
        self.assertEqual(answer["refusal"], "user-revoked")
        self.assertTrue(answer["user"]["is_out"])
        self.assertLessEqual(answer["user"]["effective"], answer["user"]["valid_from"])

    def test_several_faults_are_all_shown_and_the_first_decides(self):
        """Expired, revoked, of another domain: as the phone meets them."""
        authority = self.pki.authority("issuing", self.directory)
        old = authority.issue("old", certificates.general_names(
            certificates.principal_name(b"eve@elsewhere.test"), certificates.rfc822_name(b"bob@contoso.test")),
                              start="20200101000000Z", end="20200201000000Z")
        authority.revoke(old)
        os.makedirs(self.path("crl"))
        authority.write_crl(self.path("crl", "issuing.crl"))
        certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", "root.pem"), True, "file:" + self.pki.path("crl", "root.crl")),
            (self.pki.path("authority", "issuing.pem"), False, "file:" + self.path("crl", "issuing.crl"))])
        self.proxy = self.start_proxy("http://127.0.0.1:9", {"trust": {"store": self.path("trust.json")}})
        wait_for("the CRLs", lambda: self.explain(self.pki.user("bob").certificate)["refusal"] == "none", None,
                 self.proxy)
        answer = self.explain(old.certificate)
        self.assertEqual(answer["refusal"], "certificate-expired")
        self.assertEqual(answer["aadsts"], "AADSTS500172")
        self.assertEqual([(name["kind"], name["value"]) for name in answer["names"]["values"][:2]],
                         [("principal-name", "eve@elsewhere.test"), ("rfc822-name", "bob@contoso.test")])
        self.assertEqual([name["kind"] for name in answer["names"]["values"][2:]],
                         ["ski", "sha1-public-key", "issuer", "serial", "subject"])
        self.assertEqual(answer["mailbox"]["refusal"], "domain-not-routable")
        leaf = answer["chain"][0]
        self.assertEqual((leaf["key"], leaf["signature"]), ("P-256", "ecdsa-with-SHA256"))
        self.assertLess(leaf["not_after"], answer["now"])
        # Of one that is still valid it is the CRL that decides, and which one is said.
        new = authority.issue("new", certificates.general_names(certificates.principal_name(b"eve@elsewhere.test")))
        authority.revoke(new)
        authority.write_crl(self.path("crl", "issuing.crl"))
        wait_for("the new CRL", lambda: self.explain(new.certificate)["refusal"] == "certificate-revoked", None,
                 self.proxy)
        revocation = self.explain(new.certificate)["chain"][0]["revocation"]
        self.assertEqual(revocation["found_in"], "file:" + self.path("crl", "issuing.crl"))
        self.assertEqual(int(revocation["crls"][0]["crl_number"]), authority.crl_number)
        self.assertIn("domain-not-routable", self.run_explain(new.certificate)[1])

    def test_a_base_and_its_delta_are_told_apart(self):
        authority = self.pki.authority("issuing", self.directory)
        maker = crls.Maker(authority)
        dave = authority.issue("dave", certificates.general_names(certificates.principal_name(b"dave@contoso.test")))
        crls.put(self.path("base.crl"), maker.make(number=0x100, last=-3600))
        crls.put(self.path("delta.crl"), maker.make([(dave.certificate, crls.KEY_COMPROMISE, "20250102030405Z")],
                                                    number=0x1ab, base=0x100))
        certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", "root.pem"), True, "file:" + self.pki.path("crl", "root.crl")),
            (self.pki.path("authority", "issuing.pem"), False, "file:" + self.path("base.crl"),
             {"deltaCertificateRevocationListUrl": "file:" + self.path("delta.crl")})])
        self.proxy = self.start_proxy("http://127.0.0.1:9", {"trust": {"store": self.path("trust.json")}})
        wait_for("the CRLs", lambda: self.explain(dave.certificate)["refusal"] == "certificate-revoked", None, self.proxy)
        crl = self.explain(dave.certificate)["chain"][0]["revocation"]["crls"][0]
        self.assertEqual((int(crl["crl_number"]), int(crl["delta_number"])), (0x100, 0x1ab))
        self.assertAlmostEqual(crl["effective"] - crl["base_effective"], 3540, delta=30)
        self.assertRegex(self.run_explain(dave.certificate)[1],
                         r"(?s)number 256 \(0x0100\) of 20.* with delta 427 \(0x01ab\), effective 20.*"
                         r"REVOKED 20.*, keyCompromise, on file:.*invalid since 2025-01-02T03:04:05Z")

    def test_the_directory_s_entry_is_named(self):
        with open(self.path("mailboxes"), "w", encoding="ascii") as f:
            f.write("# who\nbob@contoso.test upn:b0815@corp.local\ncarol@contoso.test disabled\n"
                    "one@contoso.test smtp:both@contoso.test\n")
        self.proxy = self.start_proxy("http://127.0.0.1:9", {
            "directory": {"backend": "file", "file": self.path("mailboxes")}})

        def named(name, kind=certificates.principal_name):
            return self.issue("by-" + name.partition("@")[0], certificates.general_names(kind(name.encode())))
        good = named("b0815@corp.local")
        wait_for("the CRLs", lambda: self.explain(good)["refusal"] == "none", None, self.proxy)
        answer = self.explain(good)
        self.assertEqual((answer["mailbox"]["mailbox"], answer["mailbox"]["reason"]),
                         ("bob@contoso.test", self.path("mailboxes") + ":2"))
        self.assertRegex(self.run_explain(good)[1], r"mailbox +bob@contoso.test \(.*mailboxes:2\)")
        for certificate, refusal, why in (
                (named("carol@contoso.test"), "user-disabled", "mailboxes:3"),
                (named("nobody@contoso.test"), "user-unknown", "principal-name nobody@contoso.test")):
            answer = self.explain(certificate)
            self.assertEqual((answer["refusal"], answer["mailbox"]["refusal"]), (refusal, refusal))
            self.assertIn(why, answer["mailbox"]["reason"])

    def test_what_is_no_certificate_is_said_with_its_name(self):
        status, _, err = self.run_explain(self.proxy.config_path)
        self.assertEqual(status, 2)
        self.assertIn(self.proxy.config_path, err)
        self.assertIn("no certificate", err)
        status, _, err = self.run_explain(self.path("missing.pem"))
        self.assertEqual(status, 2)
        self.assertIn("there is no such file", err)
        self.assertEqual(self.run_explain(self.pki.ca, "--nonsense")[0], 2)

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], check=True, timeout=harness.PATIENCE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def test_a_certificate_of_the_log_is_found_by_serial_or_sha256(self):
        carol = self.pki.user("carol").certificate
        with self.assertRaises((client.Closed, OSError)), self.proxy.dial("carol") as connection:
            connection.request("OPTIONS", client.PATH)
        harness.wait_for("the refusal in the log", lambda: self.proxy.lines("refused"), None, self.proxy)
        serial = self.proxy.lines("refused")[0]["serial"]
        openssl_serial = self.openssl("x509", "-in", carol, "-noout", "-serial").strip().partition("=")[2]
        sha256 = self.openssl("x509", "-in", carol, "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]
        for name in (serial, serial[:8], openssl_serial, sha256, sha256[:23]):
            with self.subTest(name):
                status, out, err = self.run_explain(name)
                self.assertEqual(status, 1, err)
                self.assertIn("CN=carol", out)
        status, _, err = self.run_explain("00112233")
        self.assertEqual(status, 2)
        self.assertIn("easproxyctl seen lists them", err)

    def test_a_bundle_is_read_whatever_its_order(self):
        bundle = self.path("bob.p7b")
        self.openssl("crl2pkcs7", "-nocrl", "-certfile", self.pki.ca, "-certfile", self.pki.user("bob").certificate,
                     "-outform", "DER", "-out", bundle)
        self.assertEqual(self.explain(bundle)["mailbox"]["mailbox"], "bob@contoso.test")

    def test_it_writes_what_other_commands_and_directories_write(self):
        _, out, _ = self.run_explain(self.pki.user("carol").certificate)
        self.assertRegex(out, r"number \d+ \(0x[0-9a-f]+\), effective \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, ")
        self.assertRegex(out, r"serial [0-9a-f]+, (P-256|RSA 2048), ")
        self.assertRegex(out, r"REVOKED \S+Z, [a-zA-Z]+, on file:")
        self.assertRegex(out, r"ski X509:<SKI>[0-9a-f]{40}\n")
        self.assertRegex(out, r"issuer-and-serial-number X509:<I>\S.*<SR>[0-9a-f]+\n")


if __name__ == "__main__":
    unittest.main()
