"""Who is out stays out, whatever else happens: on connections that are open, in the middle of an upload,
asleep in Ping, with an old TLS session, across a reload, and after a restart without network."""
import functools
import http.server
import os
import signal
import ssl
import subprocess
import threading
import time
import unittest

import certificates
import client
import harness
import wbxml
from client import PATH, request_bytes
from harness import EASPROXYCTL, wait_for
from recorder import Recorder, answer_bytes

HEADERS = [("MS-ASProtocolVersion", "14.1"), ("Content-Type", "application/vnd.ms-sync.wbxml")]
AT_ONCE = 1.0  # second


def target(command, user):
    return PATH + "?Cmd=%s&User=%s%%40contoso.test&DeviceId=D1&DeviceType=T" % (command, user)


def ping_bytes(user):
    return request_bytes("POST", target("Ping", user), HEADERS, wbxml.encode(client.ping(600)))


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class HoldsCase(harness.Case):
    """CRLs over HTTP, so that the network can go away, and an endpoint that lets Pings sleep."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("crl"))
        self.files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
            QuietFiles, directory=self.path("crl")))
        threading.Thread(target=self.files.serve_forever, daemon=True).start()
        self.addCleanup(self.files.server_close)
        self.addCleanup(self.files.shutdown)
        self.issuing = self.pki.authority("issuing", self.directory)
        self.other = self.pki.authority("root", self.directory).issue_authority("other-issuing")
        self.chain_of_other = certificates.Authority("other-issuing", self.other.certificate, self.other.key,
                                                     self.directory)
        self.issuing.write_crl(self.path("crl", "issuing.crl"))
        self.chain_of_other.write_crl(self.path("crl", "other.crl"))
        self.write_store()
        self.is_over = False
        self.recorder = self.start_recorder(self.answer)
        self.addCleanup(setattr, self, "is_over", True)
        self.proxy = self.start_here()

    def write_store(self, with_issuing=True, issuing=None):
        url = "http://127.0.0.1:%d/" % self.files.server_address[1]
        entries = [(self.pki.path("authority", "root.pem"), True, "file:" + self.pki.path("crl", "root.crl")),
                   (self.other.certificate, False, url + "other.crl")]
        if with_issuing:
            entries.append((self.pki.path("authority", "issuing.pem"), False, url + "issuing.crl", issuing or {}))
        certificates.write_trust_store(self.path("trust.json"), entries)

    def answer(self, received, _):
        while "Cmd=Ping" in received.target and not self.is_over:
            time.sleep(0.05)
        return answer_bytes()

    def start_here(self, **options):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "trust": {"store": self.path("trust.json")}, "drain-time": "20s",
            "revocation": {"refresh": "1s", "retry": "200ms"}}, **options)
        return proxy

    def dial(self, user, **options):
        return self.enterContext(self.proxy.dial(user, **options))

    def is_let_in(self, user, **options):
        """Whether a new connection of the user gets an answer of the endpoint's."""
        try:
            with self.proxy.dial(user, **options) as connection:
                return connection.request("OPTIONS", PATH).status == 200
        except (client.Closed, OSError):
            return False

    def keep_alive(self, user, **options):
        """A connection that has had an answer."""
        connection = self.dial(user, **options)
        self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        return connection

    def sleep_in_ping(self, user, **options):
        connection = self.dial(user, **options)
        before = len(self.recorder.whole())
        connection.send(ping_bytes(user))
        wait_for("%s's Ping at the endpoint" % user, lambda: len(self.recorder.whole()) > before, None, self.proxy)
        return connection

    def begin_upload(self, user):
        """A mail of which a megabyte has been sent, and the end has not."""
        connection = self.dial(user)
        body = wbxml.encode(client.send_mail(b"x" * 2000000))
        request = request_bytes("POST", target("SendMail", user), HEADERS, body)
        self.sent = len(self.recorder.begun())
        connection.send(request[:1000000])
        wait_for("the upload to begin", lambda: len(self.recorder.begun()) > self.sent, None, self.proxy)
        return connection, request[1000000:]

    def assert_never_whole(self):
        self.assertFalse([r for r in self.recorder.whole() if "SendMail" in r.target], "an upload got there whole")

    def assert_out_at_once(self, connection, what, begun):
        left = max(0.05, begun + AT_ONCE - time.monotonic())
        self.assertTrue(connection.is_closed_within(left), "%s is still open" % what)

    def revoke(self, user):
        """By a new CRL. Returns when its index has been taken over by a worker: from then on it counts."""
        known = len(self.proxy.lines("recheck", cause="crl"))
        self.issuing.revoke(self.pki.user(user))
        self.issuing.write_crl(self.path("crl", "issuing.crl"))
        wait_for("the new CRL", lambda: len(self.proxy.lines("recheck", cause="crl")) > known, None, self.proxy)
        return time.monotonic()

    def reload(self):
        before = len(self.proxy.lines("reloaded"))
        self.proxy.signal(signal.SIGHUP)
        wait_for("the reload", lambda: len(self.proxy.lines("reloaded")) > before, None, self.proxy)
        return time.monotonic()

    def restart(self, **options):
        state, control = self.proxy.state, self.proxy.control
        self.proxy.stop()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, harness.merge({
            "trust": {"store": self.path("trust.json")}, "state-directory": state, "control-socket": control,
            "revocation": {"refresh": "1s", "retry": "200ms"}}, options))
        self.proxy.state, self.proxy.control = state, control


class RevokedTest(HoldsCase):
    def setUp(self):
        super().setUp()
        self.proxy.wait_until_answering("bob")

    def test_on_a_kept_connection_in_an_upload_and_asleep(self):
        kept, asleep = self.keep_alive("bob"), self.sleep_in_ping("bob")
        upload, rest = self.begin_upload("bob")
        alice, alices_ping = self.keep_alive("alice"), self.sleep_in_ping("alice")
        begun = self.revoke("bob")
        for connection, what in ((asleep, "the Ping"), (upload, "the upload"), (kept, "the kept connection")):
            self.assert_out_at_once(connection, what, begun)
        try:
            upload.send(rest)
        except OSError:
            pass
        self.assertFalse(self.is_let_in("bob"))
        self.assertEqual(alice.request("OPTIONS", PATH).status, 200)
        self.assertFalse(alices_ping.is_closed_within(0.3))
        self.assert_never_whole()
        cut = self.proxy.lines("shut-out")
        self.assertEqual([(line["mailbox"], line["refusal"], line["revocation_reason"]) for line in cut],
                         [("bob@contoso.test", "certificate-revoked", "unspecified")] * 3)
        self.assertRegex(cut[0]["revoked_at"], r"^20\d\d-\d\d-\d\dT\d\d:00:00Z$")
        self.assertIn("Contoso Issuing CA", cut[0]["authority"])

    def test_an_old_session_or_ticket_gets_a_full_handshake_and_its_refusal(self):
        """Sessions from a server with the same name and certificate that does give tickets."""
        generous = Recorder(certificate=self.pki.server)
        self.addCleanup(generous.stop)
        for version, options in (("TLSv1_2", 0), ("TLSv1_2", ssl.OP_NO_TICKET), ("TLSv1_3", 0)):
            with self.subTest(version, ticket=not options):
                context = client.tls_context(
                    self.pki.ca, self.pki.user("bob"), maximum_version=ssl.TLSVersion[version])
                context.options |= options
                session = self.session_from(generous.port, context)
                self.assertTrue(self.offer(generous.port, context, session), "the session is good where it is from")
                self.assertFalse(self.offer(self.proxy.port, context, session), "the proxy resumed it")
                # Nor does the proxy give anything that could be offered.
                with client.Connection(self.proxy.port, context) as connection:
                    self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
                    own = connection.socket.session
                self.assertFalse(own is not None and own.has_ticket)
                if own is not None:
                    self.assertFalse(self.offer(self.proxy.port, context, own), "the proxy resumed its own")
        self.revoke("bob")
        for version in ("TLSv1_2", "TLSv1_3"):
            context = client.tls_context(self.pki.ca, self.pki.user("bob"), maximum_version=ssl.TLSVersion[version])
            session = self.session_from(generous.port, context)
            with self.assertRaises((OSError, client.Closed)):
                self.offer(self.proxy.port, context, session)
        refused = self.proxy.lines("refused")
        self.assertEqual({line["refusal"] for line in refused}, {"certificate-revoked"})
        self.assertEqual({line["tls"] for line in refused}, {"TLSv1.2", "TLSv1.3"})

    def session_from(self, port, context):
        """The connection stays open: a server without tickets may forget the session with its end."""
        connection = self.enterContext(client.Connection(port, context))
        connection.request("GET", "/")
        self.assertIsNotNone(connection.socket.session)
        return connection.socket.session

    def offer(self, port, context, session):
        """Whether the server there resumes the session; its answer shows that it let the phone in."""
        import socket
        with socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE) as raw:
            with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
                tls.sendall(request_bytes("OPTIONS", PATH))
                if not tls.recv(1000):
                    raise client.Closed("no answer")
                return tls.session_reused

    def test_across_a_reload(self):
        self.revoke("bob")
        self.reload()
        self.assertFalse(self.is_let_in("bob"))
        self.assertTrue(self.is_let_in("alice"))

    def test_in_workers_that_are_still_finishing(self):
        """The old configuration's workers hear of it too."""
        upload, _ = self.begin_upload("bob")
        alice, rest = self.begin_upload("alice")
        self.reload()
        self.assertFalse(upload.is_closed_within(0.3))
        self.issuing.revoke(self.pki.user("bob"))
        self.issuing.write_crl(self.path("crl", "issuing.crl"))
        self.assertTrue(upload.is_closed_within(5), "an old worker's upload goes on")
        alice.send(rest)
        self.assertEqual(alice.read_answer().status, 200)
        self.assertFalse([r for r in self.recorder.whole() if "SendMail" in r.target and "bob" in r.target])

    def test_across_a_restart_without_network(self):
        self.revoke("bob")
        self.files.shutdown()
        self.files.server_close()
        self.restart()
        wait_for("alice to get in", lambda: self.is_let_in("alice"), None, self.proxy)
        self.assertFalse(self.is_let_in("bob"))
        self.assertTrue(self.proxy.lines("refused", refusal="certificate-revoked"))

    def test_an_authority_taken_out_of_the_store(self):
        carla = self.chain_of_other.issue("carla", certificates.general_names(
            certificates.principal_name(b"carla@contoso.test")))
        kept, asleep = self.keep_alive("bob"), self.sleep_in_ping("bob")
        upload, _ = self.begin_upload("bob")
        stays, rest = self.dial(None, certificate=carla), wbxml.encode(client.folder_sync())
        stays.send(request_bytes("POST", target("FolderSync", "carla"), HEADERS, rest)[:-5])
        self.write_store(with_issuing=False)
        begun = self.reload()
        for connection, what in ((asleep, "the Ping"), (upload, "the upload"), (kept, "the kept connection")):
            self.assert_out_at_once(connection, what, begun)
        self.assert_never_whole()
        self.assertFalse(self.is_let_in("bob"))
        # Another authority's phone finishes what it was doing, in the old worker, and comes again.
        stays.send(rest[-5:])
        self.assertEqual(stays.read_answer().status, 200)
        self.assertTrue(self.is_let_in(None, certificate=carla))
        self.assertEqual({line["refusal"] for line in self.proxy.lines("shut-out")}, {"certificate-untrusted"})

    def test_other_settings_of_who_may_come_in(self):
        """Nobody is known to be welcome under them before being asked again."""
        asleep = self.sleep_in_ping("bob")
        upload, _ = self.begin_upload("alice")
        self.proxy.configure(harness.merge(self.proxy.options, {"mailbox": {"domains": ["fabrikam.test"]}}))
        begun = self.reload()
        self.assert_out_at_once(asleep, "the Ping", begun)
        self.assert_out_at_once(upload, "the upload", begun)
        self.assertFalse(self.is_let_in("bob"))
        self.assert_never_whole()

    def test_a_reload_that_changes_nothing_cuts_off_nobody(self):
        upload, rest = self.begin_upload("bob")
        self.reload()
        upload.send(rest)
        self.assertEqual(upload.read_answer().status, 200)
        self.assertEqual(self.proxy.lines("shut-out"), [])


class TimeTest(HoldsCase):
    """Nothing comes, but time passes: what was good ceases to be, and that counts at once too."""

    def setUp(self):
        super().setUp()
        self.proxy.wait_until_answering("bob")

    @staticmethod
    def moment(seconds):
        """So many seconds from now, a whole one, as UNIX time and as YYYYMMDDHHMMSSZ."""
        unix = int(time.time()) + seconds
        return unix, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(unix))

    def assert_ends_at(self, unix, connections, refusal, **options):
        """Within a second, and not before. options: of who tries to come in afterwards."""
        self.assertLess(time.time() + 0.5, unix, "this machine is too slow for this test")
        time.sleep(unix - 0.3 - time.time())
        for connection in connections:
            self.assertFalse(connection.is_closed_within(0.01), "it ended before its time")
        begun = time.monotonic() + unix - time.time()
        for connection in connections:
            self.assert_out_at_once(connection, "a connection", begun)
        cut = self.proxy.lines("shut-out")
        self.assertEqual([line["refusal"] for line in cut], [refusal] * len(connections))
        self.assertFalse(self.is_let_in("bob", **options))

    def test_a_crl_that_ends(self):
        asleep, kept = self.sleep_in_ping("bob"), self.keep_alive("bob")
        carla = self.chain_of_other.issue("carla", certificates.general_names(
            certificates.principal_name(b"carla@contoso.test")))
        carlas = self.keep_alive(None, certificate=carla)
        end, text = self.moment(8)
        known = len(self.proxy.lines("recheck", cause="crl"))
        self.issuing.write_crl(self.path("crl", "issuing.crl"), self.moment(0)[1], text)
        wait_for("the new CRL", lambda: len(self.proxy.lines("recheck", cause="crl")) > known, None, self.proxy)
        self.assert_ends_at(end + 1, [asleep, kept], "revocation-unavailable")
        self.assertEqual(carlas.request("OPTIONS", PATH).status, 200)

    def test_a_grace_that_ends(self):
        self.write_store(issuing={"revocationGrace": "7s"})
        self.reload()
        end, text = self.moment(3)
        known = len(self.proxy.lines("recheck", cause="crl"))
        self.issuing.write_crl(self.path("crl", "issuing.crl"), self.moment(0)[1], text)
        wait_for("the new CRL", lambda: len(self.proxy.lines("recheck", cause="crl")) > known, None, self.proxy)
        asleep = self.sleep_in_ping("bob")
        self.assert_ends_at(end + 8, [asleep], "revocation-unavailable")

    def test_an_exemption_that_ends(self):
        self.issuing.revoke(self.pki.user("bob"))
        self.issuing.write_crl(self.path("crl", "issuing.crl"))
        end, _ = self.moment(9)
        self.write_store(issuing={"revocationExemptUntil": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))})
        self.reload()
        asleep, kept = self.sleep_in_ping("bob"), self.keep_alive("bob")
        self.assert_ends_at(end, [asleep, kept], "certificate-revoked")

    def test_a_certificate_that_expires(self):
        end, text = self.moment(8)
        short = self.issuing.issue("short", certificates.general_names(
            certificates.principal_name(b"bob@contoso.test")), end=text)
        asleep = self.sleep_in_ping("bob", certificate=short)
        bobs = self.keep_alive("bob")
        self.assert_ends_at(end + 1, [asleep], "certificate-expired", certificate=short)
        self.assertEqual(bobs.request("OPTIONS", PATH).status, 200)


class UserTest(HoldsCase):
    """The same for everything of a user's, whatever certificate."""

    def setUp(self):
        super().setUp()
        self.proxy.wait_until_answering("bob")

    def user(self, *arguments):
        subprocess.run([EASPROXYCTL, "user", arguments[0], "-s", self.proxy.control, *arguments[1:]], check=True,
                       stdout=subprocess.DEVNULL, timeout=20)
        return time.monotonic()

    def test_on_a_kept_connection_in_an_upload_and_asleep(self):
        kept, asleep = self.keep_alive("bob"), self.sleep_in_ping("bob")
        upload, _ = self.begin_upload("bob")
        alice, alices_ping = self.keep_alive("alice"), self.sleep_in_ping("alice")
        begun = self.user("revoke", "bob@contoso.test")
        for connection, what in ((asleep, "the Ping"), (upload, "the upload"), (kept, "the kept connection")):
            self.assert_out_at_once(connection, what, begun)
        self.assert_never_whole()
        self.assertEqual(alice.request("OPTIONS", PATH).status, 200)
        self.assertFalse(alices_ping.is_closed_within(0.3))
        # The first request of a new connection is told.
        with self.proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 403)
        self.assertEqual([(line["mailbox"], line["refusal"]) for line in self.proxy.lines("shut-out")],
                         [("bob@contoso.test", "user-revoked")] * 3)
        self.assertTrue(self.proxy.lines("request", refusal="user-revoked", mailbox="bob@contoso.test"))

    def test_across_a_reload_and_a_restart_until_he_is_allowed(self):
        self.user("revoke", "bob@contoso.test")
        self.assertFalse(self.is_let_in("bob"))
        self.reload()
        self.assertFalse(self.is_let_in("bob"))
        self.restart()
        wait_for("alice to get in", lambda: self.is_let_in("alice"), None, self.proxy)
        self.assertFalse(self.is_let_in("bob"))
        self.user("allow", "bob@contoso.test")
        wait_for("bob to get in again", lambda: self.is_let_in("bob"), 2, self.proxy)
        self.reload()
        self.assertTrue(self.is_let_in("bob"))

    def test_in_workers_that_are_still_finishing(self):
        upload, _ = self.begin_upload("bob")
        alice, rest = self.begin_upload("alice")
        self.reload()
        self.assertFalse(upload.is_closed_within(0.3))
        begun = self.user("revoke", "bob@contoso.test")
        self.assert_out_at_once(upload, "an old worker's upload", begun)
        alice.send(rest)
        self.assertEqual(alice.read_answer().status, 200)

    def test_workers_that_are_started_later_know_too(self):
        self.user("revoke", "bob@contoso.test")
        pids = self.proxy.pids("worker")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_for("new workers", lambda: len(self.proxy.pids("worker")) == len(pids) and not set(
            self.proxy.pids("worker")) & set(pids), None, self.proxy)
        wait_for("alice to get in", lambda: self.is_let_in("alice"), None, self.proxy)
        self.assertFalse(self.is_let_in("bob"))

    def test_a_later_crl_decides(self):
        """It lets those in whom it does not name, and the others stay out for that reason."""
        self.user("revoke", "bob@contoso.test")
        self.user("revoke", "alice@contoso.test")
        time.sleep(1.1)  # the dates of CRLs are whole seconds
        self.assertFalse(self.is_let_in("bob") or self.is_let_in("alice"))
        self.revoke("alice")
        wait_for("bob to get in again", lambda: self.is_let_in("bob"), 5, self.proxy)
        self.assertFalse(self.is_let_in("alice"))
        self.assertTrue(self.proxy.lines("refused", refusal="certificate-revoked"))


if __name__ == "__main__":
    unittest.main()
