"""An authority vouches for the mailboxes that its rules name, and for no others."""
import json
import signal
import time
import unittest

import certificates
import harness
from client import PATH
from harness import wait_for

POLICY = "1.3.6.1.4.1.99999.1.2"


class RulesTest(harness.Case):
    """Two authorities without CRLs: the one of the test PKI, and one with rules, which may itself issue
    any policy (RFC 5280 6.1: a policy counts only when it holds along the whole path)."""

    def setUp(self):
        super().setUp()
        root = self.pki.authority("root", self.directory)
        root.chain = False
        made = root.issue("vouching", ca=True, extra="certificatePolicies = 2.5.29.32.0")
        self.vouching = certificates.Authority("vouching", made.certificate, made.key, self.directory)
        self.recorder = self.start_recorder()
        self.write_store([{"domains": ["contoso.test"]}, {"policy": POLICY, "mailboxes": ["board@fabrikam.test"]}])
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "trust": {"store": self.path("trust.json")}, "mailbox": {"domains": ["contoso.test", "fabrikam.test"]}})
        self.proxy.wait_until_answering("bob")

    def write_store(self, rules):
        path = self.path("trust.json")
        certificates.write_trust_store(path, [(self.pki.path("authority", "root.pem"), True, None),
                                              (self.pki.path("authority", "issuing.pem"), False, None),
                                              (self.vouching.certificate, False, None)])
        with open(path, encoding="ascii") as f:
            store = json.load(f)
        store["certificateAuthorities"][2]["rules"] = rules
        with open(path, "w", encoding="ascii") as f:
            json.dump(store, f)

    def issue(self, name, mailbox, authority=None, policy=None):
        return (authority or self.vouching).issue(
            name, certificates.general_names(certificates.principal_name(mailbox.encode())),
            extra="certificatePolicies = " + policy if policy else "")

    def status(self, certificate):
        with self.proxy.dial(certificate=certificate) as connection:
            return connection.request("OPTIONS", PATH).status

    def test_mailboxes_and_policies(self):
        for name, mailbox, policy, status in (
                ("in-the-domain", "eve@contoso.test", None, 200),
                ("with-the-policy", "board@fabrikam.test", POLICY, 200),
                ("without-the-policy", "board@fabrikam.test", None, 403),
                ("of-another-policy", "board@fabrikam.test", POLICY + ".1", 403),
                ("another-mailbox", "eve@fabrikam.test", POLICY, 403)):
            with self.subTest(name):
                certificate = self.issue(name, mailbox, policy=policy)
                before = len(self.proxy.lines("request", refusal="issuer-not-allowed"))
                self.assertEqual(self.status(certificate), status)
                self.assertEqual(self.status(certificate), status)  # what the cache says is no other
                if status == 403:
                    wait_for("the refusals in the log", lambda n=before: len(self.proxy.lines(
                        "request", refusal="issuer-not-allowed")) == n + 2, None, self.proxy)

    def test_an_authority_of_its_own_making_is_no_way_around(self):
        below = self.vouching.issue_authority("below")
        below.chain = True
        leaf = self.issue("smuggled", "eve@fabrikam.test", below)
        self.assertEqual(self.status(leaf), 403)
        wait_for("the refusal in the log", lambda: self.proxy.lines("request", refusal="issuer-not-allowed"), None,
                 self.proxy)

    def reload(self):
        before = len(self.proxy.lines("reloaded"))
        self.proxy.signal(signal.SIGHUP)
        wait_for("the reload", lambda: len(self.proxy.lines("reloaded")) > before, None, self.proxy)
        return time.monotonic()

    def test_narrower_rules_end_what_they_do_not_allow(self):
        eve, adam = self.issue("eve", "eve@contoso.test"), self.issue("adam", "adam@contoso.test")
        with self.proxy.dial(certificate=eve) as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
            self.write_store([{"mailboxes": ["adam@contoso.test"]}])
            begun = self.reload()
            self.assertTrue(connection.is_closed_within(max(0.05, begun + 1 - time.monotonic())))
        self.assertEqual(self.status(eve), 403)
        self.assertEqual(self.status(adam), 200)
        self.assertEqual(self.status(self.pki.user("bob")), 200)


if __name__ == "__main__":
    unittest.main()
