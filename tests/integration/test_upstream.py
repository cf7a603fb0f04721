"""The other half: endpoints that are dead, slow, full, faulty or not who they say, and what exactly
they are sent."""
import base64
import os
import threading
import time
import unittest

import certificates
import client
import harness
import wbxml
from client import PATH
from harness import free_port, wait_for
from recorder import Recorder, answer_bytes
from wbxml import Node

WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
VERSION = ("MS-ASProtocolVersion", "14.1")


def target(command="FolderSync", user="bob"):
    return PATH + "?Cmd=%s&User=%s%%40contoso.test&DeviceId=D1&DeviceType=T" % (command, user)


def url(recorder, path="", scheme="http"):
    return "%s://127.0.0.1:%d%s" % (scheme, recorder.port, path)


class UpstreamCase(harness.Case):
    def sync(self, proxy, **options):
        with proxy.dial("bob") as connection:
            return connection.request("POST", target(**options), [WBXML, VERSION],
                                      wbxml.encode(client.folder_sync()))

    def upstream(self, **changes):
        return {"upstream exchange": {name.replace("_", "-"): value for name, value in changes.items()}}



class SlowHandshakes(Recorder):
    """Begins no TLS handshake until it is let go, and counts how many wait at the same time."""

    def __init__(self, **options):
        self.waiting, self.most, self.go = 0, 0, threading.Event()
        super().__init__(**options)

    def _serve(self, raw, number):
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.go.wait()
        with self.lock:
            self.waiting -= 1
        super()._serve(raw, number)


class CrowdTest(UpstreamCase):
    AT_ONCE = 16  # LINK_DIALS_MAX

    def start_slow(self, **changes):
        self.slow = SlowHandshakes(certificate=self.pki.server)
        self.addCleanup(self.slow.stop)
        self.addCleanup(self.slow.go.set)
        return self.start_proxy("https://localhost:%d" % self.slow.port, harness.merge(
            {"workers": 1}, self.upstream(**{"ca": self.pki.ca, "health_interval": "0s", **changes})))

    def start_crowd(self, proxy, count):
        answers = []

        def ask():
            try:
                answers.append(self.sync(proxy).status)
            except (client.Closed, OSError) as e:
                answers.append(repr(e))
        for _ in range(count):
            threading.Thread(target=ask, daemon=True).start()
        return answers

    def test_many_who_come_at_once_are_connected_a_few_at_a_time(self):
        proxy = self.start_slow(connect_time="60s")
        answers = self.start_crowd(proxy, 50)
        wait_for("so many connections", lambda: self.slow.waiting == self.AT_ONCE, None, proxy)
        self.assertEqual(answers, [])
        self.slow.go.set()
        wait_for("all answers", lambda: len(answers) == 50, None, proxy)
        self.assertEqual(set(answers), {200})
        self.assertLessEqual(self.slow.most, self.AT_ONCE)

    def test_those_in_line_are_told_when_the_endpoint_is_down(self):
        proxy = self.start_slow(connect_time="500ms", health_interval="200ms")
        answers = self.start_crowd(proxy, 50)
        wait_for("all answers", lambda: len(answers) == 50, None, proxy)
        self.assertLessEqual(set(answers), {502, 503})
        self.assertEqual(len(proxy.lines("endpoint-down")), 1)
        self.slow.go.set()
        wait_for("the endpoint to be used again", lambda: self.sync(proxy).status == 200, None, proxy)

    def test_who_waited_for_too_long_is_told(self):
        proxy = self.start_slow(connect_time="60s", answer_time="500ms")
        answers = self.start_crowd(proxy, self.AT_ONCE + 5)
        wait_for("those in line to be answered", lambda: len(answers) == 5, None, proxy)
        self.assertEqual(set(answers), {503})
        self.slow.go.set()
        wait_for("all answers", lambda: len(answers) == self.AT_ONCE + 5, None, proxy)
        self.assertEqual(answers[5:], [200] * self.AT_ONCE)


class FailureTest(UpstreamCase):
    def assert_retry_later(self, answer, *statuses):
        self.assertIn(answer.status, statuses, answer)
        if answer.status == 503:
            self.assertGreater(int(answer.header("Retry-After")), 0)

    def test_nobody_there(self):
        proxy = self.start_proxy("http://127.0.0.1:%d" % free_port())
        answers = []

        def answered():
            try:
                answers.append(self.sync(proxy))
                return True
            except (client.Closed, OSError):
                return False
        wait_for("an answer", answered, None, proxy)
        self.assert_retry_later(answers[-1], 502, 503)

    def test_hanging_up_garbage_and_silence(self):
        replies = {}
        recorder = self.start_recorder(lambda received, connection: replies["now"](connection))
        replies["now"] = lambda _: answer_bytes()
        proxy = self.start_proxy(url(recorder), self.upstream(answer_time="1s", health_failures=100))
        proxy.wait_until_answering()
        for name, reply, status in (
                ("hangs up", lambda _: None, 502),
                ("garbage", lambda _: b"\x15\x03\x01 what?\r\n\r\n", 502),
                ("both lengths", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"0\r\n\r\n", 502),
                ("two lengths", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 502),
                ("a head without end", lambda _: b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100000, 502),
                ("silence", lambda _: time.sleep(4), 504)):
            with self.subTest(name):
                replies["now"] = reply
                self.assertEqual(self.sync(proxy).status, status)
        replies["now"] = lambda _: answer_bytes()
        self.assertEqual(self.sync(proxy).status, 200)

    def test_an_answer_that_ends_too_early_does_not_look_whole(self):
        body = wbxml.encode(Node("FolderHierarchy:FolderSync", Node("FolderHierarchy:Status", "1" * 50)))
        replies = {}
        recorder = self.start_recorder(lambda received, connection: replies["now"](connection))
        replies["now"] = lambda _: answer_bytes()
        proxy = self.start_proxy(url(recorder), self.upstream(health_failures=100))
        proxy.wait_until_answering()
        whole = answer_bytes(200, body, [WBXML])
        chunked = answer_bytes(200, [body], [WBXML], chunked=True)
        for cut in (whole[:-10], chunked[:-5], chunked[:-12]):
            with self.subTest(cut[-20:]):
                replies["now"] = lambda connection, cut=cut: connection.sendall(cut)
                try:
                    answer = self.sync(proxy)
                    self.assertGreaterEqual(answer.status, 500)
                except client.Closed:
                    pass

    def test_an_answer_of_malformed_wbxml_is_counted_not_hidden(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder))
        proxy.wait_until_answering()
        recorder.answer = lambda *_: answer_bytes(200, b"\x03\x01\x6a\x00\x45\x45", [WBXML])
        try:
            self.assertIn(self.sync(proxy).status, (200, 502))
        except client.Closed:
            pass
        wait_for("the log line", lambda: proxy.lines("request", answer_malformed=True), 5, proxy)

    def test_a_request_that_was_sent_is_not_sent_again(self):
        calls = []
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), self.upstream(health_failures=100))
        proxy.wait_until_answering()
        recorder.clear()
        recorder.answer = lambda received, _: calls.append(received)
        with proxy.dial("bob") as connection:
            answer = connection.request("POST", target("SendMail"), [WBXML, VERSION],
                                        wbxml.encode(client.send_mail(b"once")))
        self.assertEqual(answer.status, 502)
        time.sleep(0.5)
        self.assertEqual(len(calls), 1)

    def test_an_idle_connection_that_the_server_closed_costs_no_answer(self):
        def answer(received, connection):
            connection.sendall(answer_bytes())
            return None  # closes without having said so, as SOGo does
        recorder = self.start_recorder(answer)
        proxy = self.start_proxy(url(recorder))
        proxy.wait_until_answering()
        with proxy.dial("bob") as connection:
            for _ in range(20):
                answer = connection.request("POST", target(), [WBXML, VERSION], wbxml.encode(client.folder_sync()))
                self.assertEqual(answer.status, 200)
                time.sleep(0.01)

    def test_connections_are_kept_where_the_server_keeps_them(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), {"workers": 1, "upstream exchange": {"health-interval": "1h"}})
        proxy.wait_until_answering()
        # A connection that stayed open for a second is the proof that the server keeps them.
        time.sleep(1.5)
        before = recorder.connections
        for _ in range(10):
            self.assertEqual(self.sync(proxy).status, 200)
        self.assertEqual(recorder.connections, before)

    def test_health_checks_do_not_pile_up_connections(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), {"workers": 1, "upstream exchange": {"health-interval": "100ms"}})
        wait_for("many checks", lambda: recorder.connections > 10, None, proxy)
        self.assertLessEqual(len(recorder.open), 3)

    def test_what_nobody_asked_for_answers_nobody(self):
        """A second answer right behind one that fills our read to its last byte is still unread when
        the request that waits behind it takes the connection."""
        read_size = 32 * 1024
        text = [("Content-Type", "text/plain")]
        first = answer_bytes(200, b"x" * (read_size - len(answer_bytes(200, b"", text)) - 4), text)
        self.assertEqual(len(first), read_size)

        def answer(received, _):
            if "DeviceId=TWO" in received.target:
                return first + answer_bytes(200, b"", [("X-For", "nobody")])
            return answer_bytes(200, b"", [("X-For", received.header("X-Mailbox"))])
        recorder = self.start_recorder(answer)
        proxy = self.start_proxy(url(recorder), {"workers": 1, "upstream exchange": {"health-interval": "1h"}})
        proxy.wait_until_answering()
        time.sleep(1.5)  # until the endpoint has proven that it keeps connections
        body = wbxml.encode(client.folder_sync())
        requests = b"".join(client.request_bytes("POST", target().replace("D1", name), [WBXML, VERSION], body)
                            for name in ("TWO", "ONE", "ONE"))
        with proxy.dial("bob") as connection:
            connection.send(requests)
            self.assertEqual(connection.read_answer().body.strip(b"x"), b"")
            for _ in range(2):
                self.assertEqual(connection.read_answer().header("X-For"), "bob@contoso.test")


class EndpointTest(UpstreamCase):
    def test_a_dead_endpoint_among_good_ones_costs_no_answer(self):
        good = self.start_recorder()
        proxy = self.start_proxy(["http://127.0.0.1:%d" % free_port(), url(good)],
                                 self.upstream(health_interval="200ms", health_failures=1))
        proxy.wait_until_answering()
        for _ in range(20):
            self.assertEqual(self.sync(proxy).status, 200)

    def test_an_endpoint_that_dies_and_comes_back(self):
        one, two = self.start_recorder(), self.start_recorder()
        proxy = self.start_proxy([url(one), url(two)], self.upstream(health_interval="200ms", health_failures=2))
        proxy.wait_until_answering()
        port = one.port
        one.stop()
        statuses = [self.sync(proxy).status for _ in range(20)]
        self.assertLessEqual(len([s for s in statuses if s != 200]), 2, statuses)
        time.sleep(1)
        self.assertEqual({self.sync(proxy).status for _ in range(10)}, {200})
        again = self.start_recorder(port=port)

        def used():
            self.sync(proxy)
            return again.whole()
        wait_for("requests at the endpoint that came back", used, None, proxy)

    def test_an_endpoint_that_nobody_checks_is_tried_again(self):
        port = free_port()
        proxy = self.start_proxy("http://127.0.0.1:%d" % port,
                                 self.upstream(health_interval="0s", health_failures=1))
        self.assertEqual(self.sync(proxy).status, 502)
        self.assertEqual({self.sync(proxy).status for _ in range(3)} - {502, 503}, set())
        self.start_recorder(port=port)
        wait_for("a request to get through again", lambda: self.sync(proxy).status == 200, None, proxy)

    def test_the_endpoint_with_the_fewest_requests_is_chosen(self):
        slow, quick = (self.start_recorder(lambda *_: time.sleep(1) or answer_bytes()), self.start_recorder())
        proxy = self.start_proxy([url(slow), url(quick)], {"workers": 1})
        proxy.wait_until_answering()
        slow.clear(), quick.clear()
        threads = [threading.Thread(target=self.sync, args=(proxy,)) for _ in range(4)]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for _ in range(6):
            self.sync(proxy)
        for thread in threads:
            thread.join()
        self.assertGreater(len(quick.whole()), len(slow.whole()))

    def test_the_path_prefix_and_host_of_the_endpoint(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder, "/SOGo"), self.upstream(host="mail.contoso.test"))
        proxy.wait_until_answering()
        recorder.clear()
        self.assertEqual(self.sync(proxy).status, 200)
        received, = recorder.whole()
        self.assertEqual(received.target, "/SOGo" + target())
        self.assertEqual(received.all("Host"), ["mail.contoso.test"])


class HttpsTest(UpstreamCase):
    def status_with(self, certificate, **changes):
        recorder = self.start_recorder(certificate=certificate)
        options = dict(ca=self.pki.ca, health_interval="200ms")
        options.update(changes)
        proxy = self.start_proxy(url(recorder, scheme="https"), self.upstream(**options))
        deadline = time.monotonic() + harness.PATIENCE
        while True:
            try:
                status = self.sync(proxy).status
                break
            except (client.Closed, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        return status, recorder

    def test_a_server_that_verifies_is_spoken_to(self):
        status, recorder = self.status_with(self.pki.server)
        self.assertEqual(status, 200)
        self.assertEqual(recorder.whole()[-1].header("X-Mailbox"), "bob@contoso.test")

    def test_a_host_with_a_port_is_verified_without_it(self):
        status, recorder = self.status_with(self.pki.server, host="mail.contoso.test:444")
        self.assertEqual(status, 200)
        self.assertEqual(recorder.whole()[-1].header("Host"), "mail.contoso.test:444")

    def test_tickets_do_not_end_a_kept_connection(self):
        recorder = self.start_recorder(certificate=self.pki.server)
        proxy = self.start_proxy(url(recorder, scheme="https"), {
            "workers": 1, **self.upstream(ca=self.pki.ca, health_interval="200ms")})
        proxy.wait_until_answering()
        time.sleep(1.5)  # a health check's connection has stayed open: proof that they are kept
        before = recorder.connections
        for _ in range(20):
            self.assertEqual(self.sync(proxy).status, 200)
        self.assertLess(recorder.connections - before, 10)  # health checks make some

    def test_servers_that_do_not_verify_get_no_byte(self):
        issuing = self.pki.authority("issuing", self.directory)

        def server(name, alternative, **options):
            return issuing.issue(name, certificates.general_names(alternative), **options)
        ip = certificates.der(0x87, b"\x7f\0\0\1")
        for name, certificate, changes in (
                ("another name", server("other", certificates.der(0x82, b"other.test"), purpose="serverAuth"), {}),
                ("another name, asked for by host",
                 server("ip", ip, purpose="serverAuth"), {"host": "mail.contoso.test"}),
                ("expired", server("old", ip, purpose="serverAuth", end="20250101000000Z"), {}),
                ("for clients", server("client", ip, purpose="clientAuth"), {}),
                ("self-signed", certificates.self_signed(self.directory, "self", certificates.general_names(ip)), {}),
                ("of another CA", self.pki.server, {"ca": self.foreign_ca()})):
            with self.subTest(name):
                status, recorder = self.status_with(certificate, **changes)
                self.assertIn(status, (502, 503))
                self.assertEqual(recorder.begun(), [])

    def foreign_ca(self):
        return certificates.self_signed(self.directory, "foreign", None, ca=True).certificate


class LoginTest(UpstreamCase):
    """What is asserted is exactly what the configuration says."""

    def received(self, **changes):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), self.upstream(**changes))
        proxy.wait_until_answering()
        recorder.clear()
        with proxy.dial("bob") as connection:
            connection.request("POST", target(), [
                WBXML, VERSION, ("Authorization", "Basic eDp5"), ("Client-Cert", ":eA==:"), ("X-Mailbox", "x"),
                ("User-Agent", "Phone/1")], wbxml.encode(client.folder_sync()))
        return recorder.whole()[-1]

    def test_header_templates(self):
        received = self.received(login="header", headers=[
            "X-Mailbox: %{mailbox}", "X-Who: %{local-part} at %{domain}, %{device-id}/%{device-type}, 100%%",
            "X-From: %{client-address}", "X-Id: %{request-id}"])
        self.assertEqual(received.all("X-Mailbox"), ["bob@contoso.test"])
        self.assertEqual(received.all("X-Who"), ["bob at contoso.test, D1/T, 100%"])
        self.assertEqual(received.all("X-From"), ["127.0.0.1"])
        self.assertEqual(len(received.all("X-Id")), 1)
        self.assertEqual(received.all("User-Agent"), ["Phone/1"])
        self.assertEqual(received.all("Authorization"), [])
        self.assertEqual(received.all("Client-Cert"), [])

    def test_none(self):
        received = self.received(login="none", headers=[])
        for name in ("Authorization", "Client-Cert"):
            self.assertEqual(received.all(name), [])

    def test_basic(self):
        password = self.path("password")
        with open(os.open(password, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
            f.write("s3cret %{mailbox}\n")
        received = self.received(login="basic", headers=[], basic_user="%{mailbox}*master",
                                 basic_password_file=password)
        scheme, _, value = received.header("Authorization").partition(" ")
        self.assertEqual(scheme, "Basic")
        self.assertEqual(base64.b64decode(value), b"bob@contoso.test*master:s3cret bob@contoso.test")
        self.assertEqual(len(received.all("Authorization")), 1)

    def test_client_cert(self):
        received = self.received(login="client-cert", headers=["X-Mailbox: %{mailbox}"])
        value, = received.all("Client-Cert")
        leaf = certificates.openssl("x509", "-in", self.pki.user("bob").certificate, "-outform", "DER")
        self.assertEqual(value, ":%s:" % base64.b64encode(leaf).decode())
        self.assertEqual(received.all("X-Mailbox"), ["bob@contoso.test"])
        issuing = certificates.openssl("x509", "-in", self.pki.path("authority", "issuing.pem"), "-outform", "DER")
        self.assertIn(base64.b64encode(issuing).decode(), received.header("Client-Cert-Chain") or "")


    def test_a_login_that_is_not_accepted_does_not_ask_the_phone_for_a_password(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder))
        proxy.wait_until_answering()
        recorder.answer = lambda *_: answer_bytes(401, b"", [("WWW-Authenticate", "Basic")])
        answer = self.sync(proxy)
        self.assertEqual(answer.status, 502)
        self.assertIsNone(answer.header("WWW-Authenticate"))
        self.assertTrue(wait_for("the log line", lambda: proxy.lines(refusal="upstream-login"), 5, proxy))


class FormTest(UpstreamCase):
    """Servers that cannot take what phones send."""

    def test_request_buffering_gives_every_body_a_length(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), self.upstream(request_buffering=True, buffer_memory="16kB"))
        proxy.wait_until_answering()
        for size in (10, 5000, 100000, 3 << 20):
            document = wbxml.encode(client.send_mail(os.urandom(size)))
            for body in (document, [document[at:at + 4000] for at in range(0, len(document), 4000)]):
                with self.subTest(size, chunked=isinstance(body, list)):
                    recorder.clear()
                    with proxy.dial("bob") as connection:
                        self.assertEqual(connection.request(
                            "POST", target("SendMail"), [WBXML, VERSION], body).status, 200)
                    received, = recorder.whole()
                    self.assertIsNone(received.header("Transfer-Encoding"))
                    self.assertEqual(received.header("Content-Length"), str(len(document)))
                    self.assertTrue(received.body == document)

    def test_bodies_as_xml_both_ways(self):
        reply = (b'<?xml version="1.0" encoding="utf-8"?><FolderSync xmlns="FolderHierarchy"><Status>1</Status>'
                 b"<SyncKey>7</SyncKey><Changes><Count>0</Count></Changes></FolderSync>")
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), self.upstream(body="xml"))
        proxy.wait_until_answering()
        recorder.clear()
        recorder.answer = lambda *_: answer_bytes(200, reply, [("Content-Type", "text/xml")])
        answer = self.sync(proxy)
        received, = recorder.whole()
        self.assertIn(b"<SyncKey>0</SyncKey>", received.body.replace(b"\n", b"").replace(b" ", b""))
        self.assertRegex(received.header("Content-Type"), "xml")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("Content-Type"), "application/vnd.ms-sync.wbxml")
        self.assertEqual(answer.wbxml().get("SyncKey"), "7")

    def test_xml_that_is_not_activesync_is_not_passed_on(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy(url(recorder), self.upstream(body="xml"))
        proxy.wait_until_answering()
        for reply in (b"<FolderSync", b"<html/>", b"", b'<!DOCTYPE x [<!ENTITY a "b">]><FolderSync xmlns="FolderHierarchy">'
                      b"<Status>&a;</Status></FolderSync>"):
            with self.subTest(reply):
                recorder.answer = lambda *_, r=reply: answer_bytes(200, r, [("Content-Type", "text/xml")])
                answer = self.sync(proxy)
                self.assertTrue(answer.status == 502 or answer.body == b"", answer)


if __name__ == "__main__":
    unittest.main()
