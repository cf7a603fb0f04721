"""Users who are revoked: what easproxyctl user does, that phones are out, that nothing of it is lost by
kill -9, and the record of the certificates that came."""
import base64
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import client
import crls
import harness
from client import PATH
from harness import EASPROXYCTL, wait_for


def ask(path, request, timeout=None):
    """One request at the control socket; None when nobody answered."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout or harness.PATIENCE)
            s.connect(path)
            s.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
    except OSError:
        return None
    return json.loads(answer) if answer.endswith(b"\n") else None


class UsersCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.upstream = "http://127.0.0.1:%d" % self.recorder.port

    def ctl(self, proxy, *arguments):
        return subprocess.run([EASPROXYCTL, *arguments, "-s", proxy.control], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False)

    def done(self, proxy, *arguments):
        result = self.ctl(proxy, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def users(self, proxy):
        """The revoked ones, by mailbox."""
        lines = self.done(proxy, "user", "list", "--json").splitlines()
        return {user["mailbox"]: user for user in map(json.loads, lines)}

    def show(self, proxy, mailbox):
        return json.loads(self.done(proxy, "user", "show", mailbox, "--json"))

    def status(self, proxy):
        return json.loads(self.done(proxy, "status", "--json"))

    def gets_in(self, proxy, user):
        try:
            with proxy.dial(user) as connection:
                return connection.request("OPTIONS", PATH).status == 200
        except (client.Closed, OSError):
            return False

    def start_with_own_crls(self):
        """A proxy whose CRLs the test can write: root.crl, issuing.crl in its directory."""
        for name in ("root.crl", "issuing.crl"):
            shutil.copy(self.pki.path("crl", name), self.path(name))
        harness.certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", name + ".pem"), name == "root", "file:" + self.path(name + ".crl"))
            for name in ("root", "issuing")])
        proxy = self.start_proxy(self.upstream, {"trust": {"store": self.path("trust.json")}})
        proxy.wait_until_answering()
        return proxy


class CommandTest(UsersCase):
    def setUp(self):
        super().setUp()
        self.proxy = self.start_proxy(self.upstream)

    def test_a_revoked_user_is_listed_and_shown_with_who_did_it_and_why(self):
        before = int(time.time())
        output = self.done(self.proxy, "user", "revoke", "Bob@CONTOSO.test", "--reason", "phone lost")
        self.assertRegex(output, r"^bob@contoso\.test is revoked: valid from \d{4}-\d\d-\d\dT")
        user = self.users(self.proxy)["bob@contoso.test"]
        self.assertTrue(before <= user["valid_from"] <= time.time())
        self.assertEqual((user["reason"], user["user_id"]), ("phone lost", os.getuid()))
        shown = self.show(self.proxy, "bob@contoso.test")
        self.assertTrue(shown["revoked"])
        self.assertEqual([a["state"] for a in shown["authorities"]], ["waits", "waits"])
        text = self.done(self.proxy, "user", "show", "bob@contoso.test")
        self.assertRegex(text, r"(?s)bob@contoso\.test is revoked\n.*reason: phone lost\n.*waits for a later CRL than")
        self.assertIn("bob@contoso.test", self.done(self.proxy, "user", "list"))
        self.assertEqual(self.status(self.proxy)["state_store"]["revoked_users"], 1)
        self.assertIn("state store: ok; users revoked: 1;", self.done(self.proxy, "status"))
        line = self.proxy.lines("user-revoked")[0]
        self.assertEqual((line["mailbox"], line["reason"], line["user_id"]),
                         ("bob@contoso.test", "phone lost", os.getuid()))

    def test_allow_takes_it_back(self):
        self.done(self.proxy, "user", "revoke", "bob@contoso.test")
        self.assertEqual(self.done(self.proxy, "user", "allow", "BOB@contoso.test"),
                         "bob@contoso.test is not revoked any more\n")
        self.assertEqual(self.users(self.proxy), {})
        self.assertFalse(self.show(self.proxy, "bob@contoso.test")["revoked"])
        self.assertEqual(self.done(self.proxy, "user", "allow", "bob@contoso.test"), "bob@contoso.test was not revoked\n")

    def test_a_date_that_is_not_in_the_future_is_not_set(self):
        for date in ("2020-01-01", "2020-01-01T12:00:00Z", "2020-01-01T12:00:00+01:00", "1970-01-01"):
            result = self.ctl(self.proxy, "user", "revoke", "bob@contoso.test", "--valid-from", date)
            self.assertEqual(result.returncode, 1)
            self.assertIn("nothing was changed: valid-from is not in the future", result.stderr)
        self.assertEqual(self.users(self.proxy), {})

    def test_a_date_in_the_future_is_set_to_now(self):
        result = self.ctl(self.proxy, "user", "revoke", "bob@contoso.test", "--valid-from", "2120-02-29T00:00:00-08:00")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("note: valid-from was in the future: it is set to the current time", result.stderr)
        self.assertLessEqual(self.users(self.proxy)["bob@contoso.test"]["valid_from"], time.time())

    def test_a_second_revocation_moves_valid_from_forward(self):
        self.done(self.proxy, "user", "revoke", "bob@contoso.test", "--reason", "phone lost")
        first = self.users(self.proxy)["bob@contoso.test"]
        wait_for("the next second", lambda: time.time() >= first["valid_from"] + 1)
        self.done(self.proxy, "user", "revoke", "bob@contoso.test")
        second = self.users(self.proxy)["bob@contoso.test"]
        self.assertGreater(second["valid_from"], first["valid_from"])
        self.assertEqual(second["reason"], "phone lost")

    def test_names_that_are_no_mailbox_are_refused(self):
        result = self.ctl(self.proxy, "user", "revoke", "bob")
        self.assertEqual(result.returncode, 1)
        self.assertIn("did you mean bob@contoso.test?", result.stderr)
        for name in ("", "@", "@contoso.test", "bob@", "bob@contoso@test", "b ob@contoso.test", "bob@-.test",
                     "bob\n@contoso.test", "b\u202eob@contoso.test", "x" * 65 + "@contoso.test",
                     "\u00e9" * 200, "x" + "\u00e9" * 200 + "@contoso.test"):
            for command in ("revoke", "allow", "show"):
                result = self.ctl(self.proxy, "user", command, name)
                self.assertEqual(result.returncode, 1, (command, name))
                self.assertRegex(result.stderr, "is not the address of a mailbox|did you mean", name)
        self.assertEqual(self.users(self.proxy), {})

    def test_a_domain_that_is_not_ours_is_doubted(self):
        result = self.ctl(self.proxy, "user", "revoke", "bob@fabrikam.test")
        self.assertEqual(result.returncode, 0)
        self.assertIn("note: fabrikam.test is not among mailbox/domains", result.stderr)

    def test_wrong_command_lines_are_usage_errors(self):
        for arguments in ((), ("revoke",), ("revoke", "a@b.test", "c@d.test"), ("revoke", "a@b.test", "--json"),
                          ("revoke", "a@b.test", "--valid-from"), ("revoke", "a@b.test", "--valid-from", "tomorrow"),
                          ("revoke", "a@b.test", "--valid-from", "2120-02-30"),
                          ("revoke", "a@b.test", "--valid-from", "1969-12-31"),
                          ("revoke", "a@b.test", "--valid-from", "2120-01-01T24:00:00Z"),
                          ("revoke", "a@b.test", "--valid-from", "2120-01-01T00:00:00"),
                          ("list", "a@b.test"), ("list", "--reason", "x"), ("allow",), ("show",), ("forget", "a@b.test")):
            result = self.ctl(self.proxy, "user", *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("usage:", result.stderr)
        self.assertEqual(self.ctl(self.proxy, "seen", "x").returncode, 2)

    def test_requests_that_easproxyctl_does_not_write_are_refused(self):
        for request in ({"request": "user-revoke"}, {"request": "user-revoke", "mailbox": 1},
                        {"request": "user-revoke", "mailbox": "a@contoso.test", "valid_from": "now"},
                        {"request": "user-revoke", "mailbox": "a@contoso.test", "reason": "x" * 256},
                        {"request": "user-revoke", "mailbox": "a@contoso.test", "reason": "a\nb"},
                        {"request": "user-show", "mailbox": None}):
            self.assertFalse(ask(self.proxy.control, request)["ok"], request)
        self.assertEqual(self.users(self.proxy), {})

    def test_a_long_list_comes_in_pages(self):
        names = ["user%04d@contoso.test" % n for n in range(1205)]
        database = sqlite3.connect(os.path.join(self.proxy.state, "state.db"))
        with database:
            database.executemany("INSERT INTO revoked_user VALUES (?, 1, 1, 0, '')", [(name,) for name in names])
            database.execute("UPDATE counter SET value = value + 1 WHERE name = 'users'")
        database.close()
        self.assertEqual(list(self.users(self.proxy)), names)
        # What another process has written is taken over within a second or so.
        wait_for("the workers to be told", lambda: self.status(self.proxy)["state_store"]["revoked_users"] == 1205)

    def test_revocations_outlive_a_restart_and_a_reload(self):
        self.done(self.proxy, "user", "revoke", "bob@contoso.test")
        self.done(self.proxy, "reload")
        self.assertEqual(list(self.users(self.proxy)), ["bob@contoso.test"])
        self.done(self.proxy, "user", "revoke", "alice@contoso.test")
        self.assertEqual(self.proxy.stop(), 0)
        again = self.start_proxy(self.upstream, {"state-directory": self.proxy.state})
        self.assertEqual(list(self.users(again)), ["alice@contoso.test", "bob@contoso.test"])
        self.assertEqual(self.status(again)["state_store"]["revoked_users"], 2)


class EffectTest(UsersCase):
    def test_a_revoked_user_is_out_at_once_and_others_stay(self):
        proxy = self.start_proxy(self.upstream)
        proxy.wait_until_answering()
        with proxy.dial("bob") as bob, proxy.dial("alice") as alice:
            for connection in (bob, alice):
                self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
            self.done(proxy, "user", "revoke", "bob@contoso.test")
            def is_out():
                try:
                    return bob.request("OPTIONS", PATH).status == 403
                except (client.Closed, OSError):
                    return True
            wait_for("bob to be out", is_out, 3, proxy)
            self.assertFalse(self.gets_in(proxy, "bob"))
            self.assertEqual(alice.request("OPTIONS", PATH).status, 200)
        self.assertGreaterEqual(self.status(proxy)["refusals"].get("user-revoked", 0), 1)
        self.done(proxy, "user", "allow", "bob@contoso.test")
        wait_for("bob to be in again", lambda: self.gets_in(proxy, "bob"), 3, proxy)

    def test_it_holds_across_restarts_of_control_and_reloads(self):
        proxy = self.start_proxy(self.upstream)
        proxy.wait_until_answering()
        self.done(proxy, "user", "revoke", "bob@contoso.test")
        victim = proxy.pids("control")[0]
        os.kill(victim, signal.SIGKILL)
        wait_for("another control process", lambda: proxy.pids("control") not in ([], [victim]), None, proxy)
        self.assertFalse(self.gets_in(proxy, "bob"))
        wait_for("control to answer", lambda: ask(proxy.control, {"request": "user-list"}))
        self.done(proxy, "reload")
        self.assertFalse(self.gets_in(proxy, "bob"))
        self.assertTrue(self.gets_in(proxy, "alice"))

    def test_a_later_crl_decides(self):
        """DESIGN: out until a CRL with a later effective date is there, which then decides."""
        proxy = self.start_with_own_crls()
        issuing = self.pki.authority("issuing", self.directory)
        for user in ("alice", "bob"):
            self.done(proxy, "user", "revoke", user + "@contoso.test")
            self.assertFalse(self.gets_in(proxy, user))
        valid_from = self.users(proxy)["bob@contoso.test"]["valid_from"]
        wait_for("a later second", lambda: time.time() >= valid_from + 1.1)
        issuing.revoke(self.pki.user("bob"))
        issuing.write_crl(self.path("issuing.crl"))
        self.done(proxy, "refresh")
        wait_for("the later CRL", lambda: [a["state"] for a in self.show(proxy, "alice@contoso.test")["authorities"]]
                 == ["waits", "decides"], None, proxy)
        wait_for("alice to be in again", lambda: self.gets_in(proxy, "alice"), 3, proxy)
        self.assertFalse(self.gets_in(proxy, "bob"))
        self.assertIn("decides\n", self.done(proxy, "user", "show", "alice@contoso.test"))


    def test_a_crl_from_ahead_of_our_clock_does_not_decide(self):
        """It was there before the revocation, whatever its effective date says."""
        proxy = self.start_with_own_crls()
        maker = crls.Maker(self.pki.authority("issuing", self.directory))
        ahead = int(time.time()) + 100
        crls.put(self.path("issuing.crl"), maker.make(number=1 << 40, last=120))
        self.done(proxy, "refresh")
        wait_for("the CRL from ahead of our clock", lambda: any(
            a.get("this_update", 0) > ahead for a in self.status(proxy)["authorities"]), None, proxy)
        revoked = self.ctl(proxy, "user", "revoke", "bob@contoso.test")
        self.assertEqual(revoked.returncode, 0)
        self.assertIn("clock", revoked.stderr)
        self.assertFalse(self.gets_in(proxy, "bob"))
        self.assertTrue(self.gets_in(proxy, "alice"))
        self.assertGreater(self.users(proxy)["bob@contoso.test"]["valid_from"], ahead)


class StoreTest(UsersCase):
    def run_to_its_end(self, state):
        proxy = self.start(harness.Proxy(self, self.upstream, {"state-directory": state}, name="second"))
        self.assertEqual(proxy.wait(), 1)
        return proxy.output()

    def stop_with_users(self, count):
        proxy = self.start_proxy(self.upstream)
        for n in range(count):
            self.assertTrue(ask(proxy.control, {"request": "user-revoke", "mailbox": "user%d@contoso.test" % n})["ok"])
        self.assertEqual(proxy.stop(), 0)
        return os.path.join(proxy.state, "state.db"), proxy.state

    def test_it_does_not_start_with_a_damaged_store_and_says_how_to_mend_it(self):
        path, state = self.stop_with_users(3)
        self.assertEqual(os.path.getsize(path + "-wal"), 0)  # all is in the one file now
        with open(path, "r+b") as f:
            f.write(b"This is a letter, and no database.")
        output = self.run_to_its_end(state)
        self.assertIn(path, output)
        self.assertIn("restore it from a backup, or move it away", output)
        for suffix in ("", "-wal", "-shm"):
            os.rename(path + suffix, path + suffix + ".broken")
        third = self.start_proxy(self.upstream, {"state-directory": state})
        self.assertEqual(self.users(third), {})

    def test_it_does_not_start_with_the_store_of_another_program(self):
        state = self.path("other")
        os.makedirs(state, 0o700)
        database = sqlite3.connect(os.path.join(state, "state.db"))
        with database:
            database.execute("CREATE TABLE letters (body TEXT)")
        database.close()
        self.assertIn("is a database of another program", self.run_to_its_end(state))

    def test_a_reload_does_not_take_over_a_damaged_store(self):
        proxy = self.start_proxy(self.upstream)
        proxy.wait_until_answering()
        os.makedirs(self.path("other"), 0o700)
        with open(self.path("other", "state.db"), "wb") as f:
            f.write(b"This is a letter, and no database." * 100)
        proxy.configure(harness.merge(proxy.options, {"state-directory": self.path("other")}))
        self.assertEqual(self.ctl(proxy, "reload").returncode, 1)
        self.assertEqual(self.status(proxy)["generation"], 1)
        self.assertTrue(self.gets_in(proxy, "bob"))

    def test_a_store_that_vanishes_lets_nobody_in(self):
        """An empty one in its place would say that nobody is revoked."""
        proxy = self.start_proxy(self.upstream)
        proxy.wait_until_answering()
        self.done(proxy, "user", "revoke", "bob@contoso.test")
        for suffix in ("", "-wal", "-shm"):
            os.unlink(os.path.join(proxy.state, "state.db" + suffix))
        proxy.signal(signal.SIGHUP)
        wait_for("the reload to fail", lambda: proxy.lines("reload-failed"), None, proxy)
        self.assertFalse(self.gets_in(proxy, "bob"))
        os.kill(proxy.pids("control")[0], signal.SIGKILL)
        wait_for("control to say what is missing", lambda: [
            line for line in proxy.lines("start-failed") if "state.db is gone" in line["message"]], None, proxy)
        self.assertFalse(self.gets_in(proxy, "bob"))
        self.assertTrue(self.gets_in(proxy, "alice"))
        self.assertFalse(os.path.exists(os.path.join(proxy.state, "state.db")))

    def test_addresses_are_for_the_owner_alone(self):
        path, _ = self.stop_with_users(1)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)


class KillTest(UsersCase):
    ROUNDS = 20

    def setUp(self):
        super().setUp()
        self.acknowledged, self.next, self.must_stop = [], 0, False
        self.state = self.path("state")
        os.makedirs(self.state, 0o700)
        self.proxy = self.start_proxy(self.upstream, {"workers": 1, "state-directory": self.state})
        self.random = random.Random(20261126)

    def revoke_until_told_to_stop(self):
        while not self.must_stop:
            name = "user%d@contoso.test" % self.next
            self.next += 1
            answer = ask(self.proxy.control, {"request": "user-revoke", "mailbox": name}, 5)
            if answer is None:
                time.sleep(0.005)
            elif answer["ok"]:
                self.acknowledged.append(name)

    def kill(self, whole):
        victim = self.proxy.pid if whole else wait_for("control", lambda: self.proxy.pids("control"), None, self.proxy)[0]
        os.kill(victim, signal.SIGKILL)
        if whole:
            family = harness.children(self.proxy.pid)
            self.proxy.wait()
            wait_for("its children to end", lambda: not any(os.path.exists("/proc/%d" % pid) for pid in family))
            self.proxy = self.start_proxy(self.upstream, {"workers": 1, "state-directory": self.state})
        return victim

    def test_every_acknowledged_revocation_outlives_kill_9(self):
        for number in range(self.ROUNDS):
            self.must_stop = False
            writer = threading.Thread(target=self.revoke_until_told_to_stop)
            writer.start()
            count = len(self.acknowledged)
            try:
                wait_for("revocations to be written", lambda: len(self.acknowledged) > count)  # pylint: disable=cell-var-from-loop
                time.sleep(self.random.random() * 0.05)
                self.kill(whole=number % 4 == 3)
            finally:
                self.must_stop = True
                writer.join()
            wait_for("control to answer", lambda: ask(self.proxy.control, {"request": "user-list"}), None, self.proxy)
            missing = set(self.acknowledged) - set(self.users(self.proxy))
            self.assertEqual(missing, set(), "after round %d" % number)
        self.assertGreaterEqual(len(self.acknowledged), self.ROUNDS)
        self.assertEqual(self.proxy.stop(), 0)
        database = sqlite3.connect(os.path.join(self.state, "state.db"))
        self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        database.close()
        print("%d revocations acknowledged over %d kills" % (len(self.acknowledged), self.ROUNDS))


class SeenTest(UsersCase):
    def seen(self, proxy):
        return [json.loads(line) for line in self.done(proxy, "seen", "--json").splitlines()]

    @staticmethod
    def sha256(certificate):
        der = harness.certificates.openssl("x509", "-in", certificate.certificate, "-outform", "DER")
        return hashlib.sha256(der).hexdigest(), der

    def test_who_came_is_remembered_with_the_certificate_and_what_became_of_it(self):
        proxy = self.start_proxy(self.upstream)
        proxy.wait_until_answering("bob")
        self.assertFalse(self.gets_in(proxy, "carol"))  # revoked by the CRL of the test PKI
        stranger = harness.certificates.self_signed(self.directory, "stranger", None)
        with self.assertRaises((client.Closed, OSError)), proxy.dial(certificate=stranger) as connection:
            connection.request("OPTIONS", PATH)
        def all_are_there():
            found = {c["sha256"]: c for c in self.seen(proxy)}
            return found if len(found) >= 3 else None
        found = wait_for("three certificates", all_are_there, None, proxy)
        digest, der = self.sha256(self.pki.user("bob"))
        self.assertEqual((found[digest]["mailbox"], found[digest]["refusal"]), ("bob@contoso.test", ""))
        self.assertEqual(base64.b64decode(found[digest]["chain"][0]), der)
        self.assertGreaterEqual(len(found[digest]["chain"]), 2)
        self.assertEqual(found[self.sha256(self.pki.user("carol"))[0]]["refusal"], "certificate-revoked")
        self.assertEqual(found[self.sha256(stranger)[0]]["mailbox"], "")
        self.assertNotEqual(found[self.sha256(stranger)[0]]["refusal"], "")
        text = self.done(proxy, "seen")
        self.assertRegex(text, r"came in  bob@contoso\.test\n  subject .*\n  issuer  CN=Contoso Issuing CA")
        self.assertIn(digest, self.done(proxy, "user", "show", "bob@contoso.test"))
        store = self.status(proxy)["state_store"]
        self.assertEqual((store["certificates"], store["reports_dropped"]), (3, 0))

    def test_pages_hold_together(self):
        proxy = self.start_proxy(self.upstream)
        database = sqlite3.connect(os.path.join(proxy.state, "state.db"))
        der = bytes([0x30, 0x82, 0x0F, 0xFC]) + bytes(0xFFC)
        now = int(time.time())
        with database:
            database.executemany(
                "INSERT INTO seen (leaf_sha256, chain, mailbox, first_seen, last_seen, refusal, count)"
                " VALUES (?, ?, ?, ?, ?, '', 1)",
                [(hashlib.sha256(b"%d" % n).digest(), der * 3, "user%d@contoso.test" % n, now, now) for n in range(450)])
        database.close()
        found = self.seen(proxy)
        self.assertEqual([c["mailbox"] for c in found], ["user%d@contoso.test" % n for n in range(450)])
        self.assertEqual([len(c["chain"]) for c in found], [3] * 450)
        page = ask(proxy.control, {"request": "seen", "after": 440})
        self.assertEqual(([c["id"] for c in page["certificates"]], "next" in page), (list(range(441, 451)), False))


if __name__ == "__main__":
    harness.unittest.main()
