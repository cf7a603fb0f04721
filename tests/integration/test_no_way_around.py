"""No request reaches the upstream without a mailbox resolved from a verified, unrevoked certificate.
Each test tries ways around that. The upstream writes down all it is sent; afterwards it holds
nothing, or exactly the mailbox of the certificate and no field that a phone made up."""
import base64
import os
import re
import shutil
import ssl
import struct
import tempfile
import time
import unittest

import certificates
import client
import harness
import wbxml
from certificates import general_names, principal_name, rfc822_name
from client import PATH, request_bytes
from recorder import answer_bytes

CONTOSO = "@contoso.test"
IDENTITY_FIELDS = ("x-mailbox", "authorization", "proxy-authorization", "remote-user", "x-remote-user",
                   "x-forwarded-user", "x-webobjects-remote-user", "x-legacy-owner", "client-cert",
                   "client-cert-chain")


def upn(name):
    return general_names(principal_name(name.encode() if isinstance(name, str) else name))


def looks_like(name):
    """A field name as a lenient server may read it."""
    return name.lower().replace("_", "-").replace(".", "-").replace(" ", "-")


def sync_bytes(headers=(), target=None, **options):
    """A FolderSync of bob's phone; headers come first or last by their order in `headers`."""
    return request_bytes("POST", target or PATH + "?Cmd=FolderSync&User=bob%40contoso.test&DeviceId=D1&DeviceType=T",
                         [("MS-ASProtocolVersion", "14.1"), ("Content-Type", "application/vnd.ms-sync.wbxml"),
                          *headers], wbxml.encode(client.folder_sync()), **options)


class WayAroundCase(harness.Case):
    def assert_nothing_arrived(self, recorder):
        self.assertEqual(recorder.whole(), [], "requests reached the upstream")

    def assert_bob_alone(self, recorder, count=1):
        whole = recorder.whole()
        self.assertEqual(len(whole), count, whole)
        for received in whole:
            self.assertEqual(received.header("X-Mailbox"), "bob@contoso.test")
            for name, value in received.headers:
                if looks_like(name) in IDENTITY_FIELDS and (name, value) != ("X-Mailbox", "bob@contoso.test"):
                    self.fail("the upstream was sent %s: %s" % (name, value))
                self.assertNotIn("alice", value)
            self.assertEqual(len(received.all("X-Mailbox")), 1)

    def assert_refused_by_tls(self, proxy, recorder, certificate, refusal, version=None):
        """The handshake fails, or in TLS 1.3 what follows it."""
        before = len(proxy.lines(refusal=refusal))
        options = {"maximum_version": version} if version else {}
        with self.assertRaises((client.Closed, OSError)):
            with proxy.dial(certificate=certificate, **options) as connection:
                connection.send(sync_bytes())
                connection.read_answer()
        harness.wait_for("a log line with refusal %s" % refusal,
                         lambda: len(proxy.lines(refusal=refusal)) > before, 5, proxy)
        self.assertEqual(recorder.begun(), [])


class CertificateTest(WayAroundCase):
    """Who the certificate says one is, and whether it may say so."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = tempfile.mkdtemp(prefix="easproxy-certificates-")
        cls.addClassCleanup(shutil.rmtree, cls.made, ignore_errors=True)
        os.chmod(cls.made, 0o755)
        root = cls.pki.authority("root", cls.made)
        cls.issuing = cls.pki.authority("issuing", cls.made)
        # Next to the usual two: a root whose CRL location nobody configured.
        free = certificates.self_signed(cls.made, "free-root", None, ca=True)
        cls.free = certificates.Authority("free", free.certificate, free.key, cls.made)
        cls.revoked_intermediate = root.issue_authority("lost-issuing")
        root.revoke(certificates.Certificate(cls.revoked_intermediate.certificate, None))
        root.write_crl(os.path.join(cls.made, "root.crl"))
        cls.trust = os.path.join(cls.made, "trust.json")
        certificates.write_trust_store(cls.trust, [
            (cls.pki.path("authority", "root.pem"), True, "file:" + os.path.join(cls.made, "root.crl")),
            (cls.pki.path("authority", "issuing.pem"), False, "file:" + cls.pki.path("crl", "issuing.crl")),
            (free.certificate, True, None)])

    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port,
                                      {"trust": {"store": self.trust}})
        # The indexes are there once a good certificate passes.
        self.proxy.wait_until_answering("alice")
        self.recorder.clear()

    def test_certificates_that_do_not_verify(self):
        bob = upn("bob" + CONTOSO)
        other_root = certificates.self_signed(self.directory, "other-root", None, ca=True)
        other = certificates.Authority("other", other_root.certificate, other_root.key, self.directory)
        # The same subject as the real issuing CA, with a key of its own.
        twin_root = certificates.self_signed(self.directory, "twin", None, ca=True)
        twin = certificates.Authority("twin", twin_root.certificate, twin_root.key, self.directory)
        issue = self.issuing.issue
        bob_leaf = self.pki.user("bob")
        leaf_as_ca = certificates.Authority("bob-as-ca", bob_leaf.certificate, bob_leaf.key, self.directory)
        for refusal, name, certificate in (
                ("certificate-missing", "no certificate", None),
                ("certificate-untrusted", "another root", other.issue("untrusted", bob)),
                ("certificate-untrusted", "self-signed", certificates.self_signed(self.directory, "self", bob)),
                ("certificate-untrusted", "a twin's", twin.issue("twins", bob)),
                ("certificate-expired", "expired", issue("expired", bob, end="20250101000000Z")),
                ("certificate-not-yet-valid", "not yet valid", issue("early", bob, start="20480101000000Z")),
                ("certificate-purpose", "for servers", issue("server-only", bob, purpose="serverAuth")),
                ("certificate-chain", "signed by a leaf", leaf_as_ca.issue("by-leaf", bob)),
                ("certificate-revoked", "revoked", self.pki.user("carol")),
                ("certificate-revoked", "under a revoked CA", self.revoked_intermediate.issue("under", bob))):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(name, version=version.name):
                    self.assert_refused_by_tls(self.proxy, self.recorder, certificate, refusal, version)

    def test_an_authority_without_a_crl_location_is_not_checked(self):
        certificate = self.free.issue("free-bob", upn("bob" + CONTOSO))
        with self.proxy.dial(certificate=certificate) as connection:
            connection.send(sync_bytes())
            self.assertEqual(connection.read_answer().status, 200)
        self.assert_bob_alone(self.recorder)

    def test_names_that_lead_to_no_mailbox(self):
        bob = b"bob@contoso.test"
        for refusal, name, names in (
                ("name-missing", "no names at all", None),
                ("name-missing", "a DNS name alone", general_names(certificates.der(0x82, b"contoso.test"))),
                ("name-invalid", "NUL at the end of alice's", upn(b"alice@contoso.test\0.evil.test")),
                ("name-invalid", "NUL in an RFC822 name",
                 general_names(rfc822_name(b"alice@contoso.test\0@evil.test"))),
                ("name-invalid", "empty", upn(b"")),
                ("name-invalid", "empty beside a good one", general_names(principal_name(b""), rfc822_name(bob))),
                ("user-unknown", "not ASCII", upn("b\u00f6b@contoso.test")),
                ("name-invalid", "a full-width @", upn("bob\uff20contoso.test")),
                ("name-invalid", "two @", upn(b"bob@contoso.test@contoso.test")),
                ("name-invalid", "no @", upn(b"bob")),
                ("name-invalid", "line break", upn(b"bob@contoso.test\r\nX-Mailbox: alice@contoso.test")),
                ("name-invalid", "a string type that is not UTF-8",
                 general_names(principal_name("bob@contoso.test".encode("utf-16-be"), certificates.BMP_STRING))),
                ("name-ambiguous", "two people",
                 general_names(principal_name(bob), principal_name(b"alice@contoso.test"))),
                ("domain-not-routable", "another domain", upn(b"bob@fabrikam.test")),
                ("domain-not-routable", "a subdomain", upn(b"bob@sub.contoso.test")),
                ("domain-not-routable", "a domain that ends alike", upn(b"bob@evilcontoso.test"))):
            with self.subTest(name):
                certificate = self.issuing.issue("named", names)
                with self.proxy.dial(certificate=certificate) as connection:
                    answer = connection.request("OPTIONS", PATH)
                    self.assertEqual(answer.status, 403)
                with self.proxy.dial(certificate=certificate) as connection:
                    connection.send(sync_bytes())
                    answer = connection.read_answer()
                if answer.status == 200:  # the protocol's own words for it, 14.0 and later
                    self.assertEqual(answer.wbxml().get("Status"), "125")
                else:
                    self.assertEqual(answer.status, 403)
                self.assertTrue(harness.wait_for(
                    "a log line with refusal " + refusal, lambda r=refusal: self.proxy.lines(refusal=r), 5,
                    self.proxy))
                self.assert_nothing_arrived(self.recorder)

    def test_several_spellings_of_one_mailbox_are_one(self):
        certificate = self.issuing.issue("bobs", general_names(
            principal_name(b"Bob@Contoso.Test"), principal_name(b"bob@contoso.test"), rfc822_name(b"b@other.test")))
        with self.proxy.dial(certificate=certificate) as connection:
            connection.send(sync_bytes())
            self.assertEqual(connection.read_answer().status, 200)
        self.assert_bob_alone(self.recorder)


class RevocationTest(WayAroundCase):
    """What is known of revocation at that moment."""

    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.issuing = self.pki.authority("issuing", self.directory)
        self.crl = self.path("issuing.crl")
        certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", "root.pem"), True, "file:" + self.pki.path("crl", "root.crl")),
            (self.pki.path("authority", "issuing.pem"), False, "file:" + self.crl)])

    def start_here(self):
        return self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "trust": {"store": self.path("trust.json")}, "revocation": {"refresh": "1s", "retry": "200ms"}})

    def ask(self, proxy):
        try:
            with proxy.dial("bob") as connection:
                connection.send(sync_bytes())
                return connection.read_answer().status
        except (client.Closed, OSError):
            return None

    def test_a_crl_that_was_never_there(self):
        proxy = self.start_here()
        self.assert_refused_by_tls(proxy, self.recorder, self.pki.user("bob"), "revocation-unavailable")
        self.issuing.write_crl(self.crl)
        harness.wait_for("bob to get in once the CRL is there", lambda: self.ask(proxy) == 200, None, proxy)
        self.assert_bob_alone(self.recorder)

    def test_a_crl_past_its_next_update(self):
        self.issuing.write_crl(self.crl, "20250101000000Z", "20250201000000Z")
        proxy = self.start_here()
        time.sleep(1)
        self.assert_refused_by_tls(proxy, self.recorder, self.pki.user("bob"), "revocation-unavailable")

    def test_a_crl_of_another_key(self):
        root = certificates.self_signed(self.directory, "forger", None, ca=True)
        certificates.Authority("forger", root.certificate, root.key, self.directory).write_crl(self.crl)
        proxy = self.start_here()
        time.sleep(1)
        self.assert_refused_by_tls(proxy, self.recorder, self.pki.user("bob"), "revocation-unavailable")

    def test_a_crl_that_is_none(self):
        with open(self.crl, "wb") as f:
            f.write(os.urandom(1000))
        proxy = self.start_here()
        time.sleep(1)
        self.assert_refused_by_tls(proxy, self.recorder, self.pki.user("bob"), "revocation-unavailable")

    def test_a_certificate_revoked_meanwhile_ends_open_sessions_too(self):
        self.issuing.write_crl(self.crl)
        released = []

        def answer(received, _):
            from recorder import answer_bytes
            while "Cmd=Ping" in received.target and not released:
                time.sleep(0.05)
            return answer_bytes()

        self.recorder.answer = answer
        proxy = self.start_here()
        harness.wait_for("bob to get in", lambda: self.ask(proxy) == 200, None, proxy)
        idle, asleep, alice = (self.enterContext(proxy.dial(user)) for user in ("bob", "bob", "alice"))
        idle.send(sync_bytes())
        self.assertEqual(idle.read_answer().status, 200)
        asleep.send(request_bytes("POST", PATH + "?Cmd=Ping&User=bob%40contoso.test&DeviceId=D1&DeviceType=T", [
            ("MS-ASProtocolVersion", "14.1"), ("Content-Type", "application/vnd.ms-sync.wbxml")],
            wbxml.encode(client.ping(600))))
        harness.wait_for("the Ping at the upstream", lambda: len(self.recorder.whole()) >= 3, None, proxy)
        self.issuing.revoke(self.pki.user("bob"))
        self.issuing.write_crl(self.crl)
        self.assertTrue(idle.is_closed_within(15), "an idle session of the revoked certificate stays open")
        self.assertTrue(asleep.is_closed_within(15), "a sleeping Ping of the revoked certificate goes on")
        released.append(True)
        self.recorder.clear()
        self.assertIsNone(self.ask(proxy))
        self.assert_nothing_arrived(self.recorder)
        alice.send(request_bytes("OPTIONS", PATH))
        self.assertEqual(alice.read_answer().status, 200)


class RequestTest(WayAroundCase):
    """Bob has a good certificate and wants to be somebody else, or somewhere else."""

    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port,
                                      {"identity-headers": ["x-legacy-owner"]})
        self.proxy.wait_until_answering()
        self.recorder.clear()

    def exchange(self, data):
        """Sends bytes, reads one answer; (status or None, whether the connection then ended)."""
        with self.proxy.dial("bob") as connection:
            connection.send(data)
            try:
                status = connection.read_answer().status
            except (client.Closed, ConnectionError):
                return None, True
            # After an answer of the upstream's it stays open: time for what might arrive behind it.
            return status, connection.is_closed_within(0.3 if status == 200 else 3)

    def test_fields_that_name_somebody_else(self):
        alice, basic = "alice" + CONTOSO, "Basic " + base64.b64encode(b"alice@contoso.test:x").decode()
        attempts = [[(spelling, alice)] * times for times in (1, 2) for spelling in (
            "X-Mailbox", "x-mailbox", "X-MAILBOX", "X_Mailbox", "x_MAILBOX", "X.Mailbox", "Remote-User",
            "REMOTE_USER", "X-Remote-User", "X-Forwarded-User", "X_Forwarded_User", "X-Legacy-Owner",
            "x_legacy.owner",
            "x-webobjects-remote-user", "X-WebObjects-Remote-User", "X_WEBOBJECTS_REMOTE_USER")]
        attempts += [[(name, basic)] for name in (
            "Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization")]
        attempts += [
            [("Authorization", basic), ("Authorization", "Bearer alice")],
            [("Client-Cert", ":YWxpY2U=:")], [("Client-Cert-Chain", ":YWxpY2U=:")],
            [("X-Mailbox", alice), ("x-mailbox", "bob" + CONTOSO)],
            # A hop-by-hop field that takes the asserted one along.
            [("Connection", "X-Mailbox")], [("Connection", "keep-alive, x-mailbox")],
            [("Connection", "x-webobjects-remote-user, X-Mailbox"), ("X-Mailbox", alice)]]
        for attempt in attempts:
            with self.subTest(attempt):
                self.recorder.clear()
                with self.proxy.dial("bob") as connection:
                    connection.send(sync_bytes(attempt))
                    status = connection.read_answer().status
                if status == 200:
                    self.assert_bob_alone(self.recorder)
                else:
                    self.assertEqual(status, 400)
                    self.assert_nothing_arrived(self.recorder)

    def test_a_field_in_a_trailer(self):
        body = wbxml.encode(client.folder_sync())
        head = sync_bytes([("Transfer-Encoding", "chunked")]).split(b"\r\n\r\n")[0]
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
        status, _ = self.exchange(head + b"\r\n\r\n%x\r\n%s\r\n0\r\nX-Mailbox: alice@contoso.test\r\n\r\n" % (
            len(body), body))
        self.assertEqual(status, 200)
        self.assert_bob_alone(self.recorder)
        self.assertNotIn(b"alice", self.recorder.raw)

    def test_a_user_that_is_not_the_mailbox(self):
        def packed(user):
            query = struct.pack("<BBHB", 141, 9, 0x0409, 2) + b"D1" + b"\0\1T" + b"\x08" + bytes([len(user)]) + user
            return PATH + "?" + base64.b64encode(query).decode()

        plain = PATH + "?Cmd=FolderSync&DeviceId=D1&DeviceType=T"
        for target, expected in (
                (plain + "&User=alice%40contoso.test", 403), (plain + "&User=contoso%5Calice", 403),
                (plain + "&User=alice", 403), (plain + "&User=bob%40fabrikam.test", 403),
                (plain + "&User=%61lice%40contoso.test", 403), (packed(b"alice@contoso.test"), 403),
                (packed(b"contoso\\alice"), 403),
                (plain + "&User=bob%40contoso.test&User=alice%40contoso.test", 400),
                (plain + "&User=alice%40contoso.test&User=bob%40contoso.test", 400),
                (plain + "&User=bob%40contoso.test&user=alice%40contoso.test", 400),
                (plain + "&User=bob%40contoso.test%00alice", 400),
                (plain + "&User=bob%40contoso.test%0d%0aX-Mailbox:%20alice", 400)):
            with self.subTest(target):
                headers = [] if "Cmd=" in target else None
                data = sync_bytes(target=target) if headers is not None else request_bytes(
                    "POST", target, [("Content-Type", "application/vnd.ms-sync.wbxml")],
                    wbxml.encode(client.folder_sync()))
                status, _ = self.exchange(data)
                self.assertEqual(status, expected)
                self.assert_nothing_arrived(self.recorder)
        for user in ("bob%40contoso.test", "BOB%40Contoso.Test", "bob", "CONTOSO%5Cbob"):
            with self.subTest(user):
                self.recorder.clear()
                status, _ = self.exchange(sync_bytes(target=plain + "&User=" + user))
                self.assertEqual(status, 200)
                self.assert_bob_alone(self.recorder)

    def test_paths_that_lead_elsewhere(self):
        query = "?Cmd=FolderSync&User=bob&DeviceId=D1&DeviceType=T"
        for path in ("/", "/owa", "/EWS/Exchange.asmx", "/Microsoft-Server-ActiveSync/../owa",
                     "/Microsoft-Server-ActiveSync/..", "/Microsoft-Server-ActiveSync/%2e%2e/owa",
                     "/Microsoft-Server-ActiveSync/%2E%2E%2fowa", "/Microsoft-Server-ActiveSync%2f..%2fowa",
                     "/owa/../Microsoft-Server-ActiveSync", "/./Microsoft-Server-ActiveSync",
                     "//Microsoft-Server-ActiveSync", "/Microsoft-Server-ActiveSync//owa",
                     "/Microsoft-Server-ActiveSync;/owa", "/Microsoft-Server-ActiveSync;x=1",
                     "/Microsoft-Server-ActiveSync\\..\\owa", "/Microsoft-Server-ActiveSync%5c..%5cowa",
                     "/Microsoft-Server-ActiveSync%00", "/Microsoft-Server-ActiveSync%0d%0a",
                     "/Microsoft-Server-ActiveSync/x", "/Microsoft-Server-ActiveSyncX",
                     "/x/Microsoft-Server-ActiveSync", "/Microsoft-Server-ActiveSync%3fx",
                     "/Microsoft-Server-ActiveSync#x", "/Microsoft-Server-ActiveSync\t", "Microsoft-Server-ActiveSync",
                     "/autodiscover/autodiscover.json", "/autodiscover/autodiscover.json/v1.0/bob@contoso.test",
                     "/autodiscover/autodiscover.json?@contoso.test/owa/",
                     "/autodiscover/autodiscover.xml/../../owa", "/autodiscover/other.xml", "/autodiscover/",
                     "/EasHealth", "/healthz"):
            with self.subTest(path):
                status, _ = self.exchange(sync_bytes(target=path + ("" if "?" in path else query)))
                self.assertIn(status, (400, 404))
                self.assertEqual(self.recorder.begun(), [])
        for path in ("/microsoft-server-activesync", "/MICROSOFT-SERVER-ACTIVESYNC"):
            with self.subTest(path):
                self.recorder.clear()
                self.assertEqual(self.exchange(sync_bytes(target=path + query))[0], 200)
                self.assert_bob_alone(self.recorder)

    def test_other_hosts(self):
        good = sync_bytes()
        line, _, rest = good.partition(b"\r\n")
        target = line.split(b" ")[1]
        for name, data in (
                ("absolute form, another host", good.replace(target, b"http://other.test" + target, 1)),
                ("absolute form, another scheme and host", good.replace(target, b"https://other.test" + target, 1)),
                ("absolute form with a user", good.replace(target, b"http://localhost@other.test" + target, 1)),
                ("no Host", good.replace(b"Host: localhost\r\n", b"", 1)),
                ("two Hosts", good.replace(b"Host: localhost", b"Host: localhost\r\nHost: other.test", 1)),
                ("two equal Hosts", good.replace(b"Host: localhost", b"Host: localhost\r\nHost: localhost", 1)),
                ("a path in Host", good.replace(b"Host: localhost", b"Host: localhost/owa", 1)),
                ("a user in Host", good.replace(b"Host: localhost", b"Host: other@localhost", 1)),
                ("two names in Host", good.replace(b"Host: localhost", b"Host: localhost, other.test", 1)),
                ("an asterisk", good.replace(target, b"*", 1)),
                ("authority form", good.replace(target, b"other.test:443", 1))):
            with self.subTest(name):
                status, closed = self.exchange(data)
                self.assertIn(status, (400, 404))
                self.assertTrue(closed or status == 404)
                self.assertEqual(self.recorder.begun(), [])

    def test_methods_that_activesync_does_not_have(self):
        for method in ("GET", "HEAD", "PUT", "DELETE", "TRACE", "PROPFIND", "PATCH"):
            with self.subTest(method):
                self.assertEqual(self.exchange(request_bytes(method, PATH))[0], 405)
                # A body makes some of them malformed as well.
                status, _ = self.exchange(sync_bytes().replace(b"POST", method.encode(), 1))
                self.assertIn(status, (400, 405))
                self.assertEqual(self.recorder.begun(), [])
        for method in (b"CONNECT", b"post", b"POST\t", b"PO ST", b"POST\0", b""):
            with self.subTest(method):
                status, _ = self.exchange(sync_bytes().replace(b"POST", method, 1))
                self.assertIn(status, (400, 405, None))
                self.assertEqual(self.recorder.begun(), [])

    def test_requests_smuggled_behind_others(self):
        body = wbxml.encode(client.folder_sync())
        head = (b"POST %s?Cmd=FolderSync&User=bob&DeviceId=D1&DeviceType=T HTTP/1.1\r\nHost: localhost\r\n"
                b"MS-ASProtocolVersion: 14.1\r\nContent-Type: application/vnd.ms-sync.wbxml\r\n" % PATH.encode())
        hidden = (b"POST %s?Cmd=FolderSync&User=alice&DeviceId=D2&DeviceType=T HTTP/1.1\r\nHost: localhost\r\n"
                  b"X-Mailbox: alice@contoso.test\r\nContent-Length: 0\r\n\r\n" % PATH.encode())
        size = b"%d" % len(body)
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        for name, fields, content in (
                ("CL.TE", b"Content-Length: " + size + b"\r\nTransfer-Encoding: chunked\r\n", chunked + hidden),
                ("TE.CL", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked + hidden),
                ("CL.0", b"Content-Length: 0\r\nContent-Length: " + size + b"\r\n", body + hidden),
                ("CL.CL equal", b"Content-Length: %s\r\nContent-Length: %s\r\n" % (size, size), body + hidden),
                ("CL list", b"Content-Length: %s, %s\r\n" % (size, size), body + hidden),
                ("CL signed", b"Content-Length: +" + size + b"\r\n", body + hidden),
                ("CL negative", b"Content-Length: -1\r\n", body + hidden),
                ("CL hex", b"Content-Length: 0x0d\r\n", body + hidden),
                ("CL with a space", b"Content-Length: 1 3\r\n", body + hidden),
                ("CL empty", b"Content-Length:\r\n", body + hidden),
                ("CL too large", b"Content-Length: 99999999999999999999\r\n", body + hidden),
                ("CL wraps to 13", b"Content-Length: 18446744073709551629\r\n", body + hidden),
                ("CL before the colon", b"Content-Length : " + size + b"\r\n", body + hidden),
                ("TE before the colon", b"Transfer-Encoding : chunked\r\n", chunked + hidden),
                ("TE twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked + hidden),
                ("TE twice, one other", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", chunked + hidden),
                ("TE list", b"Transfer-Encoding: gzip, chunked\r\n", chunked + hidden),
                ("TE xchunked", b"Transfer-Encoding: xchunked\r\n", chunked + hidden),
                ("TE quoted", b'Transfer-Encoding: "chunked"\r\n', chunked + hidden),
                ("TE vertical tab", b"Transfer-Encoding: \x0bchunked\r\n", chunked + hidden),
                ("TE NUL", b"Transfer-Encoding: chunked\0\r\n", chunked + hidden),
                ("TE identity", b"Transfer-Encoding: identity\r\nContent-Length: " + size + b"\r\n", body + hidden),
                ("TE folded", b"Transfer-Encoding:\r\n chunked\r\n", chunked + hidden),
                ("TE behind a bare LF", b"X: y\nTransfer-Encoding: chunked\r\n", chunked + hidden),
                ("TE behind a bare CR", b"X: y\rTransfer-Encoding: chunked\r\n", chunked + hidden),
                ("folded mailbox", b"Content-Length: " + size + b"\r\nX: y\r\n X-Mailbox: alice\r\n", body),
                ("nameless field", b"Content-Length: " + size + b"\r\n: alice\r\n", body),
                ("no colon", b"Content-Length: " + size + b"\r\nX-Mailbox\r\n", body),
                ("space first", b" X-Mailbox: alice\r\nContent-Length: " + size + b"\r\n", body),
                ("chunk size with 0x", b"Transfer-Encoding: chunked\r\n", b"0x" + chunked + hidden),
                ("chunk size signed", b"Transfer-Encoding: chunked\r\n", b"+" + chunked + hidden),
                ("chunk size with a space", b"Transfer-Encoding: chunked\r\n", b" " + chunked + hidden),
                ("chunk size wraps", b"Transfer-Encoding: chunked\r\n",
                 b"1000000000000000" + chunked + hidden),
                ("chunk line with a bare LF", b"Transfer-Encoding: chunked\r\n",
                 chunked.replace(b"\r\n", b"\n", 1) + hidden),
                ("chunk longer than said", b"Transfer-Encoding: chunked\r\n",
                 b"5\r\n" + body + b"\r\n0\r\n\r\n" + hidden),
                ("chunk extension without end", b"Transfer-Encoding: chunked\r\n",
                 b"d;" + b"a" * 1000 + chunked[1:] + hidden),
                ("chunk extension with a bare LF", b"Transfer-Encoding: chunked\r\n",
                 b"d;a\n" + chunked[1:] + hidden)):
            with self.subTest(name):
                self.recorder.clear()
                status, closed = self.exchange(head + fields + b"\r\n" + content)
                self.assertIn(status, (400, 413, None))
                self.assertTrue(closed, "the connection stays open after an ambiguous request")
                self.assert_nothing_arrived(self.recorder)
                self.assertNotIn(b"alice", self.recorder.raw)

    def test_a_request_hidden_in_a_body_stays_a_body(self):
        hidden = sync_bytes([("X-Mailbox", "alice@contoso.test")])
        data = request_bytes("POST", PATH + "?Cmd=SendMail&User=bob&DeviceId=D1&DeviceType=T", [
            ("MS-ASProtocolVersion", "14.1"), ("Content-Type", "application/vnd.ms-sync.wbxml")],
            wbxml.encode(client.send_mail(hidden)))
        status, _ = self.exchange(data)
        self.assertEqual(status, 200)
        received, = self.recorder.whole()
        self.assertEqual(received.all("X-Mailbox"), ["bob@contoso.test"])
        self.assertIn(hidden, received.body)

    def test_pipelined_requests_are_each_asserted(self):
        with self.proxy.dial("bob") as connection:
            connection.send(sync_bytes([("X-Mailbox", "alice@contoso.test")]) * 3)
            for _ in range(3):
                self.assertEqual(connection.read_answer().status, 200)
        self.assert_bob_alone(self.recorder, 3)

    def test_two_people_never_share_what_is_asserted(self):
        alice, bob = (self.enterContext(self.proxy.dial(user)) for user in ("alice", "bob"))
        for turn in range(6):
            for user, connection in (("alice", alice), ("bob", bob)):
                self.recorder.clear()
                answer = connection.request("OPTIONS", PATH)
                self.assertEqual(answer.status, 200)
                received, = self.recorder.whole()
                self.assertEqual(received.all("X-Mailbox"), [user + CONTOSO], "turn %d" % turn)

    def test_autodiscover_is_asserted_too(self):
        body = (b'<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/'
                b'mobilesync/requestschema/2006"><Request><EMailAddress>bob@contoso.test</EMailAddress>'
                b"<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/mobilesync/"
                b"responseschema/2006</AcceptableResponseSchema></Request></Autodiscover>")
        said = (b'<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">'
                b'<Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006">'
                b"<Action><Settings><Server><Type>MobileSync</Type></Server></Settings></Action></Response>"
                b"</Autodiscover>")
        forwarding = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port,
                                      {"autodiscover": {"mode": "forward"}})
        forwarding.wait_until_answering()
        self.recorder.answer = lambda *_: answer_bytes(200, said, [("Content-Type", "text/xml")])
        for path in ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"):
            for proxy in (self.proxy, forwarding):
                with self.subTest(path), proxy.dial("bob") as connection:
                    self.recorder.clear()
                    answer = connection.request("POST", path, [
                        ("Content-Type", "text/xml"), ("X-Mailbox", "alice@contoso.test")], body)
                    self.assertEqual(answer.status, 200)
                    self.assertIn(b"bob@contoso.test", answer.body)
                    if proxy is forwarding:
                        self.assert_bob_alone(self.recorder)
                    else:
                        self.assert_nothing_arrived(self.recorder)


class HealthTest(WayAroundCase):
    """A listener that answers a load balancer lets it in without a certificate: to that path alone."""

    def test_without_a_certificate_there_is_health_and_nothing_else(self):
        recorder = self.start_recorder()
        proxy = self.start_proxy("http://127.0.0.1:%d" % recorder.port,
                                 {"listener phones": {"health-path": "/healthz"}})
        proxy.wait_until_answering()
        recorder.clear()
        with proxy.dial() as connection:
            self.assertEqual(connection.request("GET", "/healthz").status, 200)
        for name, healthy, data in (
                ("a sync", 0, sync_bytes()), ("OPTIONS", 0, request_bytes("OPTIONS", PATH)),
                ("a sync behind health", 1, request_bytes("GET", "/healthz") + sync_bytes()),
                ("a sync as health", 0, sync_bytes(target="/healthz")),
                ("health elsewhere", 0, request_bytes("GET", "/healthz/../Microsoft-Server-ActiveSync")),
                ("health with a query", 1, request_bytes("GET", "/healthz?Cmd=FolderSync&User=bob")),
                ("OPTIONS of health", 0, request_bytes("OPTIONS", "/healthz"))):
            for claim in (b"", b"X-Mailbox: bob@contoso.test\r\n"):
                with self.subTest(name, claim=claim), proxy.dial() as connection:
                    connection.send(data.replace(b"Host: localhost\r\n", b"Host: localhost\r\n" + claim))
                    connection.is_closed_within(0.5)
                    self.assertLessEqual(len(re.findall(rb"^HTTP/1\.1 2", connection.buffer, re.M)), healthy)
                    self.assertEqual(recorder.begun(), [])
        # Certificates that do not hold are refused here as everywhere.
        self.assert_refused_by_tls(proxy, recorder, self.pki.user("carol"), "certificate-revoked")


if __name__ == "__main__":
    unittest.main()
