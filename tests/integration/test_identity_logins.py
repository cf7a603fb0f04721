"""What the identity process knows of logins, as status counts it: one for all workers, and none of users who are
out, with or without a connection of theirs."""
import json
import os
import signal

import harness
from harness import wait_for
from recorder import answer_bytes
from test_minted import MintedCase


class IdentityLoginsTest(MintedCase):
    def start_over(self, **changes):
        """In front of a mail server that takes whoever comes."""
        def answer(*_):
            return answer_bytes(headers=[("MS-ASProtocolVersions", "14.1,16.1")])
        recorder = self.start_recorder(answer, certificate=self.pki.server)
        self.proxy = self.start_proxy("https://localhost:%d" % recorder.port,
                                      harness.merge(self.minted(), changes))

    def counts(self):
        logins = json.loads(self.ctl("status", "--json"))["logins"]
        return next(kind for kind in logins if kind["login"] == "minted-certificate")

    def wait_for_count(self, name, expected):
        wait_for("%d %s" % (expected, name), lambda: self.counts()[name] == expected, None, self.proxy)

    def test_a_phone_at_several_workers_gets_one_certificate(self):
        self.start_over(workers=4)
        self.wait_until_in(self.phone())
        for _ in range(100):
            if self.counts()["given"] >= 3:
                break
            phone = self.phone()
            self.sync(phone)
            phone.close()
        counts = self.counts()
        self.assertGreaterEqual(counts["given"], 3)
        self.assertEqual((counts["fetched"], counts["known"]), (1, counts["given"] - 1))
        self.assertEqual(counts["cached"], 1)

    def test_what_is_known_of_users_who_are_out_goes_without_a_worker_saying_so(self):
        self.start_over(workers=1)
        # A worker keeps nothing of a test, and so has nothing to report later.
        for user in ("alice", "bob"):
            self.ctl("upstream", "test", "--as", user + "@contoso.test")
        self.wait_for_count("cached", 2)
        self.ctl("user", "revoke", "bob@contoso.test", "--reason", "phone lost")
        self.wait_for_count("dropped", 1)
        self.assertEqual(self.counts()["cached"], 1)  # alice's

    def test_another_identity_process_begins_with_what_is_known_then(self):
        self.start_over(workers=1)
        self.ctl("upstream", "test", "--as", "bob@contoso.test")
        self.wait_for_count("cached", 1)
        os.kill(self.proxy.pids("identity")[0], signal.SIGKILL)
        self.wait_for_count("cached", 0)
        wait_for("logins by the new one", lambda: self.is_good("bob@contoso.test"), None, self.proxy)
        self.assertEqual(self.counts()["cached"], 1)

    def is_good(self, mailbox):
        try:
            self.ctl("upstream", "test", "--as", mailbox)
        except AssertionError:
            return False
        return True
