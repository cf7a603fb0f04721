"""Logging in at the mail server on the owner's behalf, as workers do it: whose connection is whose, what happens
where a login is not taken, or not to be had, and what is left of it when its owner is put out. How each kind of login is got has
tests of its own."""
import os
import signal
import ssl
import subprocess
import threading

import certificates
import client
import harness
import peek
import wbxml
from certificates import general_names, principal_name
from client import PATH
from harness import EASPROXYCTL, wait_for
from recorder import answer_bytes

USERS = ("alice", "bob", "dora", "emil")
WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
VERSION = ("MS-ASProtocolVersion", "14.1")
NO_LOGIN = [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Basic realm="mail"')]


def target(user, command="FolderSync"):
    return PATH + "?Cmd=%s&User=%s%%40contoso.test&DeviceId=D1&DeviceType=T" % (command, user)


class LoginCase(harness.Case):
    """With certificates that are made for the owners, which the endpoint asks for."""

    def setUp(self):
        super().setUp()
        self.issuer = certificates.self_signed(self.directory, "Minting CA", None, ca=True)
        issuing = self.pki.authority("issuing", self.directory)
        self.certificates = {user: issuing.issue(user, general_names(principal_name(
            ("%s@contoso.test" % user).encode()))) for user in USERS}

    def start_minting(self, client_ca=None, **upstream):
        self.recorder = self.start_recorder(certificate=self.pki.server,
                                            client_ca=client_ca or self.issuer.certificate)
        self.proxy = self.start_proxy("https://127.0.0.1:%d" % self.recorder.port, {
            "workers": 1,
            "minted-certificate": {"issuer": self.issuer.certificate, "key": self.issuer.key},
            "upstream exchange": harness.merge({
                "login": "minted-certificate", "host": "localhost", "ca": self.pki.ca,
                "health-interval": "1h"}, {k.replace("_", "-"): v for k, v in upstream.items()})})
        return self.proxy

    def dial(self, user):
        return self.proxy.dial(certificate=self.certificates[user])

    def sync(self, user, connection=None):
        if connection is None:
            with self.dial(user) as connection:
                return self.sync(user, connection)
        return connection.request("POST", target(user), [WBXML, VERSION], wbxml.encode(client.folder_sync()))

    def ctl(self, *arguments):
        result = subprocess.run([EASPROXYCTL, *arguments, "-s", self.proxy.control], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout


class ConnectionTest(LoginCase):
    def test_a_connection_is_one_owners_as_long_as_it_lasts(self):
        proxy = self.start_minting()
        wait_for("the proof that connections are kept", lambda: self.sync("bob").status == 200 and
                 len({r.connection for r in self.recorder.whole()}) < len(self.recorder.whole()), None, proxy)
        statuses = []

        def phone(user):
            for _ in range(5):
                with self.dial(user) as connection:
                    statuses.extend(self.sync(user, connection).status for _ in range(4))
        threads = [threading.Thread(target=phone, args=(user,)) for user in USERS * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * len(USERS) * 3 * 20)
        owners = {}
        for received in self.recorder.whole():
            # The field was written for the phone, the certificate shown by the connection.
            self.assertEqual(received.header("X-Mailbox"), received.peer)
            self.assertEqual(owners.setdefault(received.connection, received.peer), received.peer)
        self.assertEqual(set(owners.values()), {user + "@contoso.test" for user in USERS})
        self.assertLess(len(owners), len(self.recorder.whole()) / 2)
        line = proxy.lines("request", mailbox="dora@contoso.test")[-1]
        self.assertEqual(line["login"], "minted-certificate")

    def test_a_full_endpoint_closes_connections_of_others(self):
        proxy = self.start_minting(connections=2)
        self.sync("bob")
        for _ in range(2):
            for user in USERS:
                self.assertEqual(self.sync(user).status, 200)
        wait_for("connections to be closed", lambda: len(self.recorder.open) <= 2, None, proxy)
        for received in self.recorder.whole():
            self.assertEqual(received.header("X-Mailbox"), received.peer)


class RefusedTest(LoginCase):
    def test_a_login_that_is_not_taken_is_tried_once_more(self):
        calls = []

        def answer(received, _):
            calls.append(received)
            return answer_bytes(401, b"log in", NO_LOGIN) if len(calls) == 1 else answer_bytes()
        self.start_minting()
        self.recorder.answer = answer
        answered = self.sync("bob")
        self.assertEqual(answered.status, 200)
        self.assertEqual(len(calls), 2)
        self.assertEqual(calls[0].body, calls[1].body)
        self.assertNotEqual(calls[0].connection, calls[1].connection)

    def test_what_is_too_large_to_be_sent_twice_is_refused_and_told_why(self):
        answers = [answer_bytes(401, b"log in", NO_LOGIN), answer_bytes()]
        self.start_minting()
        self.recorder.answer = lambda *_: answers.pop(0)
        mail = wbxml.encode(client.send_mail(b"x" * 100000))
        with self.dial("bob") as connection:
            for status in (502, 200):
                answered = connection.request("POST", target("bob", "SendMail"), [WBXML, VERSION], mail)
                self.assertEqual(answered.status, status)
        line, = self.proxy.lines("request", refusal="upstream-login")
        self.assertIn("too large", line["reason"])

    def test_a_certificate_that_the_server_does_not_take_is_told_in_its_words(self):
        self.start_minting(client_ca=self.pki.ca)
        self.assertEqual(self.sync("bob").status, 502)
        line, = wait_for("the log line", lambda: self.proxy.lines("request", refusal="upstream-unreachable"), None,
                         self.proxy)
        self.assertIn("alert unknown ca", line["reason"])

    def test_no_phone_is_asked_to_log_in(self):
        self.start_minting()
        self.recorder.answer = lambda *_: answer_bytes(401, b"log in", NO_LOGIN)
        for user in ("bob", "bob", "alice"):
            answered = self.sync(user)
            self.assertEqual(answered.status, 502)
            self.assertIsNone(answered.header("WWW-Authenticate"))
            self.assertNotIn(b"log in", answered.body)
        lines = wait_for("lines in the log", lambda: [
            line for line in [self.proxy.lines("request", refusal="upstream-login")] if len(line) == 3], None,
                         self.proxy)[0]
        self.assertEqual([line["reason"] for line in lines], ["401 to a login that was got anew", "401, and the login was got anew a moment ago",
                                   "401 to a login that was got anew"])

    def test_a_ping_is_logged_in_once_more_and_sleeps(self):
        calls = []

        def answer(received, _):
            calls.append(received)
            return answer_bytes(401, b"", NO_LOGIN) if len(calls) == 1 else answer_bytes(
                200, b"", [WBXML])
        self.start_minting()
        self.recorder.answer = answer
        with self.dial("bob") as connection:
            answered = connection.request("POST", target("bob", "Ping"), [WBXML, VERSION],
                                          wbxml.encode(client.ping(60, "1")))
        self.assertEqual(answered.status, 200)
        self.assertEqual([r.body for r in calls], [wbxml.encode(client.ping(60, "1"))] * 2)


class EndTest(LoginCase):
    def test_connections_end_with_the_right_to_come_in(self):
        proxy = self.start_minting()
        for user in ("alice", "bob"):
            self.assertEqual(self.sync(user).status, 200)
        # Nobody is there; both connections wait for somebody.
        mine = {r.peer for r in self.recorder.whole()}
        self.assertEqual(mine, {"alice@contoso.test", "bob@contoso.test"})
        before = len(self.recorder.open)
        self.assertGreaterEqual(before, 2)
        self.ctl("user", "revoke", "alice@contoso.test")
        wait_for("hers to be closed", lambda: len(self.recorder.open) < before, None, proxy)
        self.recorder.clear()
        self.assertEqual(self.sync("bob").status, 200)
        self.sync("alice")
        wait_for("her refusal", lambda: proxy.lines("request", refusal="user-revoked"), None, proxy)
        self.assertEqual({r.peer for r in self.recorder.whole()}, {"bob@contoso.test"})


class OutageTest(LoginCase):
    def test_a_server_that_demands_a_certificate_is_not_taken_for_dead(self):
        """Health checks have no user whose certificate they could show."""
        proxy = self.start_minting(health_interval="100ms", health_failures=1)
        self.recorder.context.maximum_version = ssl.TLSVersion.TLSv1_2
        connections = self.recorder.connections
        wait_for("many checks", lambda: self.recorder.connections > connections + 10, None, proxy)
        self.assertEqual(self.sync("bob").status, 200)
        self.assertEqual(proxy.lines("endpoint-down"), [])

    def test_phones_are_told_to_come_back_while_there_is_nobody_to_ask(self):
        proxy = self.start_minting(login_time="300ms")
        self.assertEqual(self.sync("bob").status, 200)
        identity, = proxy.pids("identity")
        os.kill(identity, signal.SIGSTOP)
        try:
            # Who is known stays known.
            for _ in range(3):
                self.assertEqual(self.sync("bob").status, 200)
        finally:
            os.kill(identity, signal.SIGCONT)
        minters = peek.named(proxy.pid, "eas-minter")
        self.assertTrue(minters)
        for pid in minters:
            os.kill(pid, signal.SIGSTOP)
        answered = self.sync("alice")
        self.assertEqual(answered.status, 503)
        self.assertGreater(int(answered.header("Retry-After")), 0)
        for pid in minters:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # it did not answer, and was replaced
        wait_for("alice to get in again", lambda: self.sync("alice").status == 200, None, proxy)
