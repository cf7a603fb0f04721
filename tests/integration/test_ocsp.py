"""OCSP beside CRLs, with OpenSSL's own responder: who is let in, who is not, and what an outage costs."""
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
import unittest

import certificates
import client
import harness
import wbxml
from certificates import openssl, principal_name, general_names
from client import PATH, Closed, request_bytes
from harness import Program, free_port, wait_for
from recorder import answer_bytes


class Responder(Program):
    """`openssl ocsp` with an index of its own: certificates are good (V), revoked (R), or unknown."""

    def __init__(self, case, authority, signer, states, name="responder", port=None):
        self.port, self.index = port or free_port(), case.path(name + ".index")
        self.url = "http://127.0.0.1:%d" % self.port
        self.authority, self.states, self.is_running = authority, {}, False
        with open(self.index + ".attr", "w", encoding="ascii") as f:
            f.write("unique_subject = no\n")
        self.set(states)
        super().__init__(name, [
            "openssl", "ocsp", "-port", str(self.port), "-index", self.index, "-CA", authority.certificate,
            "-rsigner", signer.certificate, "-rkey", signer.key, "-ndays", "1"], case.directory)
        case.start(self)
        # Not by connecting: it spins on a connection that says nothing and ends.
        wait_for("the responder", lambda: "waiting for OCSP" in self.output(), None, self)
        self.is_running = True

    def set(self, states):
        """A dict of certificates; those that were set before keep their state."""
        for certificate, state in states.items():
            serial = openssl("x509", "-in", certificate.certificate, "-noout", "-serial").decode()
            self.states[serial.strip().partition("=")[2]] = state
        with open(self.index + ".new", "w", encoding="ascii") as f:
            for serial, state in self.states.items():
                revoked_at = time.strftime("%y%m%d%H%M%SZ", time.gmtime()) + ",keyCompromise" if state == "R" else ""
                f.write("%s\t491231000000Z\t%s\t%s\tunknown\t/CN=%s\n" % (state, revoked_at, serial, serial))
        os.rename(self.index + ".new", self.index)
        if self.is_running:  # it looks at its index after each answer
            openssl("ocsp", "-issuer", self.authority.certificate, "-cert", next(iter(states)).certificate,
                    "-url", self.url, "-noverify")

    def questions(self):
        """The first lines of the requests that it got."""
        return re.findall("Received request, 1st line: (.*)", self.output())


class SilentResponder:
    """Takes connections and says nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]

    def stop(self):
        self.listener.close()


class OcspTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.asleep = threading.Event()
        self.addCleanup(self.asleep.set)
        self.recorder = self.start_recorder(self.answer)
        self.issuing = self.pki.authority("issuing", self.directory)
        self.alice, self.bob = self.pki.user("alice"), self.pki.user("bob")

    def answer(self, received, _connection):
        if "Cmd=Ping" in received.target:
            self.asleep.wait(60)
        return answer_bytes()

    def signer(self, name="signer", authority=None, purpose="OCSPSigning"):
        return (authority or self.issuing).issue(name, purpose=purpose, extra="noCheck = ignored")

    def responder(self, signer=None, states=None, **options):
        """One that says good of alice and revoked of bob."""
        return Responder(self, self.issuing, signer or self.signer(),
                         {self.alice: "V", self.bob: "R", **(states or {})}, **options)

    def user(self, name, extra=""):
        return self.issuing.issue(name, general_names(principal_name(b"%s@contoso.test" % name.encode())), extra=extra)

    def proxy_with(self, mode, url, revocation=None, more=(), crl=None):
        store = self.path("trust.json")
        members = {"ocsp": mode}
        if url:
            members["ocspUrl"] = url
        certificates.write_trust_store(store, [
            (self.pki.path("authority", "root.pem"), True, "file:" + self.pki.path("crl", "root.crl")),
            (self.issuing.certificate, False, "file:" + (crl or self.pki.path("crl", "issuing.crl")), members),
            *more])
        return self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "workers": 1, "trust": {"store": store}, "revocation": revocation or {}})

    def status(self, proxy, certificate):
        """Of a request over a connection of its own; None: there was no answer."""
        try:
            with proxy.dial(certificate=certificate) as connection:
                return connection.request("OPTIONS", PATH).status
        except (Closed, OSError):
            return None

    def ping(self, proxy, certificate, mailbox):
        connection = proxy.dial(certificate=certificate)
        before = len(self.recorder.whole())
        connection.send(request_bytes("POST", PATH + "?Cmd=Ping&User=%s&DeviceId=D1&DeviceType=T" % mailbox, [
            ("Content-Type", "application/vnd.ms-sync.wbxml"), ("MS-ASProtocolVersion", "14.1")],
            wbxml.encode(client.ping(600))))
        wait_for("the Ping at the upstream", lambda: len(self.recorder.whole()) > before, None, proxy)
        return connection

    def test_soft(self):
        responder = self.responder()
        stranger = self.user("dave")
        proxy = self.proxy_with("soft", responder.url)
        with self.subTest("good lets in, and is remembered"):
            self.assertEqual(self.status(proxy, self.alice), 200)
            self.assertEqual(self.status(proxy, self.alice), 200)
            self.assertEqual([line[:6] for line in responder.questions()], ["GET /M"])
        with self.subTest("revoked shuts out, after the handshake at first"):
            self.assertIsNone(self.status(proxy, self.bob))
            wait_for("the line", lambda: proxy.lines("shut-out", refusal="certificate-revoked"), None, proxy)
            self.assertTrue(proxy.lines("ocsp", status="revoked"), proxy.tail())
        with self.subTest("and in the handshake when it is known, with the alert that says so"):
            with self.assertRaises((ssl.SSLError, Closed)) as caught:
                with proxy.dial(certificate=self.bob) as connection:
                    connection.request("OPTIONS", PATH)
            self.assertIn("revoked", str(caught.exception).lower())
        with self.subTest("unknown: the CRL alone decides"):
            self.assertEqual(self.status(proxy, stranger), 200)
            self.assertIsNone(self.status(proxy, self.pki.user("carol")), "she is on the CRL")
        with self.subTest("nothing known is lost with the revocation process's life"):
            pid = proxy.pids("revocation")[0]
            os.kill(pid, 9)
            self.assertIsNone(self.status(proxy, self.bob))
            self.assertEqual(self.status(proxy, self.alice), 200)
            wait_for("another revocation process",
                     lambda: proxy.pids("revocation") and proxy.pids("revocation")[0] != pid, None, proxy)
            erin = self.user("erin")
            responder.set({erin: "R"})
            self.status(proxy, stranger)
            wait_for("erin to be shut out", lambda: self.status(proxy, erin) is None, None, proxy)
        with self.subTest("responder down: lets in"):
            responder.stop()
            fred = self.user("fred")
            self.assertEqual(self.status(proxy, fred), 200)
            wait_for("the line", lambda: proxy.lines("ocsp-failed"), None, proxy)

    def test_hard(self):
        signer = self.signer()
        port = free_port()
        stranger = self.user("dave")
        proxy = self.proxy_with("hard", "http://127.0.0.1:%d" % port)
        with proxy.dial(certificate=self.alice) as connection:
            with self.subTest("responder down: refused"):
                self.assertEqual(connection.request("OPTIONS", PATH).status, 403)
                wait_for("the line", lambda: proxy.lines(refusal="ocsp-unavailable"), None, proxy)
            with self.subTest("it comes back: let in"):
                responder = self.responder(signer, port=port)
                wait_for("alice to get in", lambda: self.status(proxy, self.alice) == 200, None, proxy)
        with self.subTest("revoked"):
            self.assertIsNone(self.status(proxy, self.bob))
        with self.subTest("unknown: refused"):
            self.assertEqual(self.status(proxy, stranger), 403)
        with self.subTest("what is known to be good stays so without the responder"):
            responder.stop()
            self.assertEqual(self.status(proxy, self.alice), 200)

    def test_the_certificate_names_the_responder(self):
        port = free_port()
        good, revoked = (self.user(name, "authorityInfoAccess = OCSP;URI:http://127.0.0.1:%d" % port)
                         for name in ("gina", "hugo"))
        responder = self.responder(states={good: "V", revoked: "R"}, port=port)
        proxy = self.proxy_with("hard", None, {"ocsp-nonce": True})
        self.assertEqual(self.status(proxy, good), 200)
        self.assertEqual(responder.questions(), ["POST / HTTP/1.1"], "with a nonce there is nothing to cache")
        self.assertIsNone(self.status(proxy, revoked))
        self.assertEqual(self.status(proxy, self.alice), 403, "her certificate names none")

    def explain(self, proxy, certificate):
        """What easproxyctl says, as an object and in words."""
        command = [harness.EASPROXYCTL, "explain", "-s", proxy.control, certificate.certificate]
        object_, words = (subprocess.run(command + more, stdout=subprocess.PIPE, timeout=harness.PATIENCE,
                                         check=False).stdout.decode() for more in (["--json"], []))
        return json.loads(object_), words

    def test_explain_says_what_the_responder_says(self):
        responder = self.responder()
        stranger = self.user("dave")
        for mode, unknown in (("soft", "none"), ("hard", "ocsp-unavailable")):
            proxy = self.proxy_with(mode, responder.url)
            wait_for("the CRLs", lambda proxy=proxy: self.explain(proxy, self.alice)[0]["refusal"] == "none", None, proxy)
            answer, words = self.explain(proxy, self.alice)
            self.assertEqual((answer["ocsp"]["status"], answer["ocsp"]["refusal"]), ("good", "none"))
            self.assertEqual(answer["mailbox"]["mailbox"], "alice@contoso.test")
            self.assertRegex(words, r"OCSP +%s, %s: good, effective 20.*, next update 20" % (mode, responder.url))
            answer, words = self.explain(proxy, self.bob)
            self.assertEqual((answer["ocsp"]["status"], answer["refusal"]), ("revoked", "certificate-revoked"))
            self.assertEqual(answer["chain"][0]["revocation"]["refusal"], "none", "the CRL does not say so")
            self.assertEqual(answer["mailbox"]["mailbox"], "bob@contoso.test")
            self.assertRegex(words, "(?s)REVOKED 20.*, keyCompromise\n.*REFUSED: certificate-revoked")
            answer, _ = self.explain(proxy, stranger)
            self.assertEqual((answer["ocsp"]["status"], answer["refusal"]), ("unknown", unknown))
            pid = proxy.pids("revocation")[0]
            os.kill(pid, 9)
            wait_for("another revocation process", lambda proxy=proxy, pid=pid: proxy.pids("revocation") not in (
                [], [pid]), None, proxy)
            wait_for("its answers", lambda proxy=proxy: self.explain(proxy, self.bob)[0]["ocsp"]["status"] == "revoked",
                     None, proxy)
            if mode == "soft":
                proxy.stop()
        responder.stop()
        answer, words = self.explain(proxy, self.user("erin"))
        self.assertEqual((answer["ocsp"]["status"], answer["refusal"]), ("unavailable", "ocsp-unavailable"))
        self.assertIn("a good answer is asked for: ocsp-unavailable", words)
        # What leads to no root is told nothing by a responder of its own choice.
        forged = certificates.self_signed(self.directory, "forged", general_names(principal_name(b"bob@contoso.test")))
        self.assertNotIn("ocsp", self.explain(proxy, forged)[0])

    def test_revoked_while_a_ping_sleeps(self):
        responder = self.responder(states={self.bob: "V"})
        proxy = self.proxy_with("soft", responder.url, {"ocsp-refresh": "1s"})
        alices = self.ping(proxy, self.alice, "alice%40contoso.test")
        bobs = self.ping(proxy, self.bob, "bob%40contoso.test")
        self.addCleanup(alices.close)
        self.addCleanup(bobs.close)
        self.assertFalse(bobs.is_closed_within(1.5), "nothing has happened yet")
        responder.set({self.bob: "R"})
        began = time.monotonic()
        self.assertTrue(bobs.is_closed_within(harness.PATIENCE), "a Ping of a revoked certificate sleeps on")
        print("%.1f s from the revocation to the end of the Ping" % (time.monotonic() - began))
        wait_for("the line about it", lambda: proxy.lines(refusal="certificate-revoked"), None, proxy)
        self.assertFalse(alices.is_closed_within(1.5), "alice's Ping was ended too")
        self.assertIsNone(self.status(proxy, self.bob))

    def test_silent_responder(self):
        """Who is under it waits for it once; others do not."""
        silent = SilentResponder()
        self.addCleanup(silent.stop)
        other = self.pki.authority("root", self.directory).issue_authority("other")
        judy = other.issue("judy", general_names(principal_name(b"judy@contoso.test")))
        proxy = self.proxy_with("soft", silent.url, {"ocsp-time-limit": "3s"}, [(other.certificate, False, None)])
        self.assertEqual(self.status(proxy, judy), 200)
        with contextlib.ExitStack() as stack:
            began = time.monotonic()
            waiting = stack.enter_context(proxy.dial(certificate=self.alice))
            waiting.send(request_bytes("OPTIONS", PATH))
            slowest = 0
            for _ in range(20):
                start = time.monotonic()
                self.assertEqual(self.status(proxy, judy), 200)
                slowest = max(slowest, time.monotonic() - start)
            spent = time.monotonic() - began
            self.assertEqual(waiting.read_answer().status, 200)
            waited = time.monotonic() - began
        print("20 other phones took %.2f s, the slowest %.3f s; the one under the silent responder %.2f s"
              % (spent, slowest, waited))
        self.assertGreater(waited, 2.5)
        self.assertLess(slowest, 2)
        start = time.monotonic()
        self.assertEqual(self.status(proxy, self.alice), 200)
        self.assertLess(time.monotonic() - start, 2, "no answer is remembered for a while")

    def test_wrong_signers(self):
        other = self.pki.authority("root", self.directory).issue_authority("other")
        for name, signer, why in (
                ("foreign", self.signer("foreign", other), "not issued by the authority itself"),
                ("purpose", self.signer("purpose", purpose="clientAuth"), "lacks the extended key usage")):
            with self.subTest(name):
                responder = self.responder(signer, name=name)
                proxy = self.proxy_with("hard", responder.url)
                self.assertEqual(self.status(proxy, self.alice), 403)
                # That a stranger says so shuts nobody out, nor lets in.
                self.assertEqual(self.status(proxy, self.bob), 403)
                self.assertIn(why, proxy.lines("ocsp-failed")[0]["message"])

    def test_responder_on_the_crl(self):
        """One that has no id-pkix-ocsp-nocheck is looked up like any certificate of its authority."""
        signer = self.issuing.issue("signer", purpose="OCSPSigning")
        responder = self.responder(signer)
        crl = self.path("issuing.crl")
        self.issuing.write_crl(crl)
        proxy = self.proxy_with("hard", responder.url, {"refresh": "1s"}, crl=crl)
        self.assertEqual(self.status(proxy, self.alice), 200)
        self.issuing.revoke(signer)
        self.issuing.write_crl(crl)
        wait_for("its answers to count no more", lambda: self.status(proxy, self.alice) == 403, None, proxy)


if __name__ == "__main__":
    unittest.main()
