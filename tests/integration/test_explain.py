"""easproxyctl explain: the way of a certificate through the running configuration."""
import json
import subprocess
import unittest

import harness
from harness import certificates


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
        self.assertEqual(answer["mailbox"]["mailbox"], "bob@contoso.test")
        self.assertFalse(answer["user"]["revoked"])
        self.assertTrue(answer["device"]["well_formed"])

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

    def test_what_is_no_certificate_is_said_with_its_name(self):
        status, _, err = self.run_explain(self.proxy.config_path)
        self.assertEqual(status, 1)
        self.assertIn(self.proxy.config_path, err)
        self.assertIn("no certificate", err)
        self.assertEqual(self.run_explain(self.pki.ca, "--nonsense")[0], 2)


if __name__ == "__main__":
    unittest.main()
