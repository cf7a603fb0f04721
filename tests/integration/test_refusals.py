"""Every row of config/refusal.def: what a phone makes of it, or where else it is shown.

Each test says by @shows which refusals it shows, and asks for each that it stands in the log. ELSEWHERE names the test
of those that phones cannot be brought to here, or that another test shows with all that belongs to them. A row that is
in neither fails the last test, and so does a name in ELSEWHERE that is no test."""
import ast
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest
import urllib.request

import certificates
import client
import crls
import harness
import wbxml
from certificates import general_names, principal_name
from client import PATH, request_bytes
from harness import EASPROXYCTL, EASSIM, ROOT, wait_for
from recorder import answer_bytes
from wbxml import Node

VERSIONS = ("12.1", "16.1")
ELSEWHERE = {
    # No TLS library sends a certificate that cannot be read, nor half a hello.
    "certificate-unreadable": ("unit/test_auth_verify.c", "test_repeated_extension_is_unreadable"),
    "tls-handshake": ("integration/test_tls.py", "test_what_is_not_tls_is_let_go_at_once"),
    "tls-timeout": ("integration/test_tls.py", "test_a_silent_peer_is_let_go"),
    "connections-full": ("integration/test_tls.py", "test_all_connections_are_capped"),
    "source-full": ("integration/test_tls.py", "test_a_source_gets_only_its_share"),
    # A store of several authorities, or a responder, belongs to them.
    "revocation-unknown": ("integration/test_revocation_sources.py", None),
    "issuer-unknown": ("unit/test_auth_verify.c", None),
    "ocsp-unavailable": ("integration/test_ocsp.py", "test_hard"),
    "issuer-not-allowed": ("integration/test_rules.py", "test_mailboxes_and_policies"),
    "certificate-chain": ("integration/test_no_way_around.py", None),
    "affinity-too-low": ("integration/test_directory.py", None),
    "directory-unavailable": ("integration/test_directory.py", None),
    "name-ambiguous": ("integration/test_no_way_around.py", None),
    # Phones under rules, and storms.
    "policy-document": ("integration/test_policy.py", "test_what_is_too_large_to_be_looked_at_is_refused"),
    "folders-unknown": ("integration/test_rewrite.py", "test_a_phone_whose_folders_are_not_known_shows_them_again"),
    "storm": ("integration/test_governor.py", "test_phones_come_in_evenly_after_a_restart_and_wait_once"),
    "device-loop": ("integration/test_governor.py", "test_many_requests_at_once_are_refused_beyond_what_can_be_held"),
    "autodiscover-malformed": ("integration/test_finding.py", "test_what_is_no_request_is_told_so_in_the_schema"),
    "upstream-redirect": ("integration/test_finding.py",
                          "test_where_the_mail_server_leads_elsewhere_it_waits_and_does_not_leave_us"),
    # Only when memory runs out, or by a fault of ours.
    "internal": ("unit/test_proxy_eas_refusal.c", "test_the_http_status_where_there_is_no_place_for_another"),
    # Logins on the owner's behalf belong to tests of their own.
    "login-unavailable": ("integration/test_login.py",
                          "test_phones_are_told_to_come_back_while_there_is_nobody_to_ask"),
    "login-refused": ("unit/test_proxy_exchange_login.c", "test_who_gets_no_login_is_told_so"),
    "upstream-unproven": ("unit/test_proxy_exchange_login.c", "test_a_server_that_is_not_the_one_gets_no_further"),
    # An answer for a request that comes while we stop.
    "draining": ("unit/test_proxy_eas_refusal.c", "test_the_http_status_where_there_is_no_place_for_another"),
}

SHOWN = set()


def shows(*names):
    SHOWN.update(names)
    return lambda test: test


def rows():
    """name: (TLS alert, HTTP status, EAS status)"""
    with open(os.path.join(ROOT, "config", "refusal.def"), encoding="utf-8") as f:
        found = re.findall(r'^REFUSAL\(\w+, "([^"]+)", (\d+), (\d+), (\d+),', f.read(), re.M)
    return {name: tuple(map(int, numbers)) for name, *numbers in found}


ROWS = rows()


class RefusalsTest(harness.Case):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("pki"))
        shutil.copy(self.pki.ca, self.path("pki", "ca.pem"))
        for user in ("alice", "bob"):
            self.give(user, self.pki.user(user))
        self.issuing = self.pki.authority("issuing", self.directory)

    def give(self, name, certificate):
        """Puts a certificate where simulated phones find it."""
        shutil.copy(certificate.certificate, self.path("pki", name + ".pem"))
        shutil.copy(certificate.key, self.path("pki", name + ".key"))

    def serve(self, *options):
        self.server_port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % self.server_port, "--quiet", *options], self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(self.server_port), None, server)
        return server

    def proxy_with(self, changes=None, answers=True):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.server_port, harness.merge({
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]}}, changes))
        if answers:
            proxy.wait_until_answering()
        return proxy

    def eassim(self, proxy, user, *options):
        self.phones = getattr(self, "phones", 0) + 1
        return self.start(harness.Program("phone-%d" % self.phones, [
            EASSIM, "phone", "--url", "https://localhost:%d%s" % (proxy.port, PATH), "--pki", self.path("pki"),
            "--user", user, "--seed", "5", *options], self.directory))

    def logged(self, proxy, refusal, count=1):
        return wait_for("%s in the log" % refusal, lambda: [
            line for line in proxy.lines(refusal=refusal) if line["event"] in ("request", "refused", "shut-out")][count - 1:],
            None, proxy)

    def is_told(self, proxy, refusal, user, *options, words=None):
        """A phone that meets the refusal does by the row what a phone does: knows the alert, takes itself for blocked, or
        comes again later."""
        alert, http, eas = ROWS[refusal]
        version = options[options.index("--version") + 1] if "--version" in options else "16.1"
        if alert and not words:
            phone = self.eassim(proxy, user, "--expect-refused", *options)
            self.assertEqual(phone.wait(30), 0, phone.tail(20))
            self.assertIn("is refused: alert %d," % alert, phone.output())
        elif http == 503 or (words or "").startswith("HTTP 50"):
            phone = self.eassim(proxy, user, "--duration", "2", *options)
            self.assertEqual(phone.wait(30), 1, phone.tail(20))
            self.assertIn("the server says: later", phone.output())
            self.assertNotIn("WRONG: Status", phone.output())
        else:
            phone = self.eassim(proxy, user, "--expect", "blocked", *options)
            self.assertEqual(phone.wait(30), 0, phone.tail(20))
            self.assertIn(words or ("Status %d" % eas if eas and version != "12.1" else "HTTP %d" % http), phone.output())
        self.logged(proxy, refusal)

    # Certificates, in the handshake

    @shows("certificate-missing", "certificate-untrusted", "certificate-not-yet-valid", "certificate-expired",
           "certificate-purpose", "certificate-weak")
    def test_certificates_that_a_handshake_refuses(self):
        self.serve()
        proxy = self.proxy_with()
        names = general_names(principal_name(b"alice@contoso.test"))
        self.give("stranger", certificates.self_signed(self.directory, "stranger", names))
        self.give("early", self.issuing.issue("early", names, start="20480101000000Z"))
        self.give("late", self.issuing.issue("late", names, end="20250101000000Z"))
        self.give("server", self.issuing.issue("forserver", names, purpose="serverAuth"))
        for refusal, user in (("certificate-untrusted", "stranger"), ("certificate-not-yet-valid", "early"),
                              ("certificate-expired", "late"), ("certificate-purpose", "server")):
            with self.subTest(refusal):
                self.is_told(proxy, refusal, user)
        with self.assertRaises((client.Closed, OSError)):
            with proxy.dial() as connection:
                connection.request("OPTIONS", PATH)
        self.logged(proxy, "certificate-missing")
        proxy.stop()
        proxy = self.proxy_with({"trust": {"algorithms": ["rsa-2048"]}}, answers=False)
        self.is_told(proxy, "certificate-weak", "alice")

    @shows("certificate-revoked", "revocation-unavailable")
    def test_certificates_that_are_revoked_or_cannot_be_looked_up(self):
        self.serve()
        maker = crls.Maker(self.issuing)
        crls.put(self.path("issuing.crl"), maker.make([self.pki.user("alice").certificate]))
        for refusal, url in (("certificate-revoked", "file:" + self.path("issuing.crl")),
                             ("revocation-unavailable", "file:" + self.path("none.crl"))):
            certificates.write_trust_store(self.path("trust.json"), [
                (self.pki.path("authority", "root.pem"), True, None),
                (self.pki.path("authority", "issuing.pem"), False, url)])
            proxy = self.proxy_with({"trust": {"store": self.path("trust.json")}}, answers=refusal == "certificate-revoked")
            self.is_told(proxy, refusal, "alice")
            proxy.stop()

    # Whose mailbox

    @shows("name-missing", "name-invalid", "domain-not-routable", "user-mismatch")
    def test_names_that_lead_nowhere(self):
        """OPTIONS has no words but those of HTTP; a command is answered in its own, from 14.0."""
        self.serve()
        proxy = self.proxy_with()
        self.give("nameless", self.issuing.issue("nameless"))
        self.give("odd", self.issuing.issue("odd", general_names(principal_name(b"al\0ice@contoso.test"))))
        self.give("elsewhere", self.issuing.issue("elsewhere", general_names(principal_name(b"alice@fabrikam.test"))))
        for version in VERSIONS:
            for refusal, user in (("name-missing", "nameless"), ("name-invalid", "odd"), ("domain-not-routable", "elsewhere"),
                                  ("user-mismatch", "alice")):
                with self.subTest(refusal, version=version):
                    domain = "fabrikam.test" if refusal == "user-mismatch" else "contoso.test"
                    self.is_told(proxy, refusal, user, "--version", version, "--domain", domain, words="HTTP 403")
                    self.is_told(proxy, refusal, user, "--version", version, "--domain", domain, "--only-pings")

    @shows("user-unknown", "user-disabled", "user-revoked")
    def test_users_that_may_not_come_in(self):
        self.serve()
        with open(self.path("directory"), "w", encoding="utf-8") as f:
            f.write("bob@contoso.test\ncarol@contoso.test disabled\n")
        self.give("carol", self.issuing.issue("carol", general_names(principal_name(b"carol@contoso.test"))))
        proxy = self.proxy_with({"directory": {"backend": "file", "file": self.path("directory")}}, answers=False)
        self.is_told(proxy, "user-unknown", "alice", words="HTTP 403")
        for version in VERSIONS:
            self.is_told(proxy, "user-unknown", "alice", "--version", version, "--only-pings")
        self.is_told(proxy, "user-disabled", "carol", words="HTTP 403")
        for version in VERSIONS:
            self.is_told(proxy, "user-disabled", "carol", "--version", version, "--only-pings")
        proxy.wait_until_answering()
        subprocess.run([EASPROXYCTL, "user", "revoke", "bob@contoso.test", "-s", proxy.control], check=True, timeout=20,
                       stdout=subprocess.DEVNULL)
        self.is_told(proxy, "user-revoked", "bob", words="HTTP 403")
        for version in VERSIONS:
            self.is_told(proxy, "user-revoked", "bob", "--version", version, "--only-pings")

    # Requests that are none

    @shows("http-malformed", "http-framing", "http-host", "http-version", "head-too-large", "method-not-allowed",
           "path-not-found", "media-type", "expectation", "body-too-large", "query-malformed", "command-unknown",
           "protocol-version", "device-id", "wbxml-malformed", "wbxml-limit", "eas-structure", "protocol-closed",
           "command-closed")
    def test_requests_that_no_phone_sends(self):
        """A faulty or hostile client, byte by byte, in each version: the status by the row, and nothing reaches the
        mail server."""
        self.serve()
        proxy = self.proxy_with({"limits": {"wbxml-depth": 8, "body-size": "10kB"}, "activesync": {
            "max-protocol": "16.1", "min-protocol": "12.1", "closed-commands": ["Search"]}})
        target = PATH + "?Cmd=%s&User=alice@contoso.test&DeviceId=D1&DeviceType=T"
        sync = wbxml.encode(client.folder_sync())
        deep = Node("Email:Body")
        for _ in range(12):
            deep = Node("Email:Body", deep)

        def post(command="FolderSync", version="16.1", body=sync, where=None, extra=(), media="application/vnd.ms-sync.wbxml"):
            return request_bytes("POST", where or target % command, [
                ("MS-ASProtocolVersion", version), ("X-MS-PolicyKey", "0"), ("Content-Type", media), *extra], body)
        for version in VERSIONS:
            cases = {
                "http-malformed": b"POST %s HTTP/1.1\r\nHost : x\r\n\r\n" % PATH.encode(),
                "http-framing": post(version=version, extra=[("Transfer-Encoding", "chunked")]),
                "http-host": b"POST %s HTTP/1.1\r\nContent-Length: 0\r\n\r\n" % PATH.encode(),
                "http-version": b"POST %s HTTP/3.0\r\nHost: x\r\n\r\n" % PATH.encode(),
                "head-too-large": post(version=version, extra=[("X-Long", "x" * 20000)]),
                "method-not-allowed": request_bytes("PUT", PATH, [], b""),
                "path-not-found": post(version=version, where="/owa"),
                "media-type": post(version=version, media="text/plain"),
                "expectation": post(version=version, extra=[("Expect", "miracles")]),
                "body-too-large": post(version=version, body=b"x" * 20000),
                "query-malformed": post(version=version, where=PATH + "?Cmd=Sync&Cmd=Sync"),
                "command-unknown": post("Teleport", version),
                "protocol-version": post(version="17.3"),
                "device-id": post(version=version, where=PATH + "?Cmd=FolderSync&User=alice@contoso.test&DeviceId="
                                  + "x" * 40 + "&DeviceType=T"),
                "wbxml-malformed": post(version=version, body=b"\x03\x01\x6a\x00\xff\xff"),
                "wbxml-limit": post("Sync", version, wbxml.encode(Node("AirSync:Sync", deep))),
                "eas-structure": post(version=version, body=wbxml.encode(client.ping(600))),
                "protocol-closed": post(version="12.0"),
                "command-closed": post("Search", version, wbxml.encode(Node("Search:Search", Node("Search:Store", Node(
                    "Search:Name", "GAL"), Node("Search:Query", "x"))))),
            }
            for refusal, data in cases.items():
                with self.subTest(refusal, version=version), proxy.dial("alice") as connection:
                    connection.send(data)
                    answer = connection.read_answer()
                    _, http, eas = ROWS[refusal]
                    if answer.status == 200:
                        # FolderSync has a word of its own for what is malformed.
                        self.assertIn(answer.wbxml().get("Status"), (str(eas), "10" if refusal == "eas-structure" else ""))
                        self.assertNotIn(version if refusal != "protocol-closed" else "12.0", ("12.0", "12.1"))
                    else:
                        self.assertEqual(answer.status, http)
                    self.logged(proxy, refusal)
        with urllib.request.urlopen("http://127.0.0.1:%d/eassim/requests?mailbox=alice@contoso.test" % self.server_port) as f:
            self.assertNotIn(b"Cmd=", f.read())

    @shows("head-timeout", "body-timeout")
    def test_requests_that_do_not_end(self):
        self.serve()
        proxy = self.proxy_with({"limits": {"head-time": "300ms", "body-time": "300ms"}})
        for refusal, data in (("head-timeout", b"POST / HTTP/1.1\r\nHos"), ("body-timeout", request_bytes(
                "POST", PATH + "?Cmd=FolderSync&User=alice@contoso.test&DeviceId=D1&DeviceType=T", [
                    ("MS-ASProtocolVersion", "16.1"), ("Content-Type", "application/vnd.ms-sync.wbxml"),
                    ("Content-Length", "100")]) + b"\x03\x01")):
            with proxy.dial("alice") as connection:
                connection.send(data)
                self.assertEqual(connection.read_answer().status, ROWS[refusal][1])
            self.logged(proxy, refusal)

    # Devices

    @shows("device-blocked", "device-wipe", "device-wiped", "device-quarantined", "device-unknown", "device-quota",
           "device-unavailable", "policy-denied")
    def test_devices(self):
        self.serve()
        proxy = self.proxy_with({"workers": 1, "policy": {"rule nobody": {"device": ["eassim%08x000000" % 77], "action": "deny"}}})

        def order(command, seed, *options, mailbox="alice@contoso.test"):
            subprocess.run([EASPROXYCTL, "device", command, "eassim%08x%06u" % (seed, 0), "--mailbox", mailbox, *options,
                            "-s", proxy.control], check=True, timeout=20, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for number, version in enumerate(VERSIONS):
            order("block", 100 + number)
            self.is_told(proxy, "device-blocked", "alice", "--version", version, "--seed", str(100 + number))
            order("wipe", 200 + number, "--erase-whole-device")
            phone = self.eassim(proxy, "alice", "--version", version, "--seed", str(200 + number), "--expect", "wiped",
                                "--only-pings")
            self.assertEqual(phone.wait(30), 0, phone.tail(20))
            self.logged(proxy, "device-wipe")
            # Workers hear from control what has become of it.
            known = wait_for("control to know", lambda d="eassim%08x%06u" % (200 + number, 0): proxy.lines(
                "device-state", device=d, state="wiped"), None, proxy)[0]
            wait_for("workers to know", lambda k=known: [
                line for line in proxy.lines("recheck", cause="devices") if line["time"] > k["time"]], None, proxy)
            self.is_told(proxy, "device-wiped", "alice", "--version", version, "--seed", str(200 + number))
            self.is_told(proxy, "policy-denied", "alice", "--version", version, "--seed", "77")
            # A phone that is content, until it wants to send.
            order("quarantine", 300 + number)
            phone = self.eassim(proxy, "alice", "--version", version, "--seed", str(300 + number), "--foreign")
            self.assertEqual(phone.wait(30), 0, phone.tail(20))
            phone = proxy.phone("alice", version=version)
            self.addCleanup(phone.close)
            phone.id = "eassim%08x%06u" % (300 + number, 0)
            answer = phone.post("MoveItems", Node("Move:MoveItems", Node("Move:Move", Node("Move:SrcMsgId", "1"), Node(
                "Move:SrcFldId", "2"), Node("Move:DstFldId", "3"))))
            self.assertEqual(answer.status if version == "12.1" else answer.wbxml().get("Status"),
                             403 if version == "12.1" else "130")
            self.logged(proxy, "device-quarantined")
        proxy.stop()
        proxy = self.proxy_with({"devices": {"binding": "registered"}})
        for version in VERSIONS:
            self.is_told(proxy, "device-unknown", "alice", "--version", version)
        proxy.stop()
        proxy = self.proxy_with({"devices": {"per-mailbox": 1}})
        self.assertEqual(self.eassim(proxy, "alice", "--seed", "1", "--version", "16.1").wait(30), 0)
        for number, version in enumerate(VERSIONS):
            self.is_told(proxy, "device-quota", "alice", "--version", version, "--seed", str(40 + number))
        control = proxy.pids("control")[0]
        os.kill(control, signal.SIGSTOP)
        try:
            self.is_told(proxy, "device-unavailable", "bob", "--duration", "12")
        finally:
            os.kill(control, signal.SIGCONT)

    # The mail server

    @shows("upstream-unavailable", "upstream-unreachable", "upstream-malformed", "upstream-login", "upstream-timeout")
    def test_mail_servers_that_fail(self):
        """The phone hears: later; never that it is its own fault, and never a question for a password."""
        self.over = threading.Event()
        self.addCleanup(self.over.set)
        self.mode = "fine"

        def answer(received, _):
            if received.method == "OPTIONS" and self.mode == "fine":
                return answer_bytes(headers=[("MS-ASProtocolVersions", "12.1,14.1,16.1"), ("MS-ASProtocolCommands", "Sync")])
            if self.mode == "hang":
                self.over.wait(30)
            return {"malformed": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                    "login": answer_bytes(401, headers=[("WWW-Authenticate", "Basic")], reason="Unauthorized")}.get(self.mode)
        recorder = self.start_recorder(answer)
        self.server_port = recorder.port
        proxy = self.proxy_with({"upstream exchange": {"answer-time": "500ms", "health-interval": "0s"}})
        for mode, refusal in (("malformed", "upstream-malformed"), ("login", "upstream-login"),
                              ("hang", "upstream-timeout"), ("closes", "upstream-unreachable")):
            self.mode = mode
            with self.subTest(refusal):
                self.is_told(proxy, refusal, "alice", words="HTTP 502")
        recorder.stop()
        self.is_told(proxy, "upstream-unavailable", "alice", "--duration", "4")

    # Bindings and limits

    @shows("device-second", "device-certificate")
    def test_phones_and_certificates_that_do_not_belong_together(self):
        self.serve()
        proxy = self.proxy_with({"devices": {"binding": "first-use", "renewal": "off"}})
        for user, version in (("alice", "12.1"), ("bob", "16.1")):
            self.assertEqual(self.eassim(proxy, user, "--version", version).wait(30), 0)
            self.is_told(proxy, "device-second", user, "--version", version, "--seed", "6")
            self.give(user + "2", self.issuing.issue(user + "2", general_names(principal_name(b"%s@contoso.test" % user.encode()))))
            self.is_told(proxy, "device-certificate", user + "2", "--version", version)

    @shows("policy-size", "policy-rate")
    def test_phones_that_ask_for_too_much(self):
        self.serve()
        limits = {"rule small": {"mailbox": ["alice@contoso.test"], "command": ["FolderSync"], "action": "limit", "body-size": "1B"},
                  "rule seldom": {"mailbox": ["bob@contoso.test"], "action": "limit", "rate": "2/1m"}}
        proxy = self.proxy_with({"policy": limits})
        for number, version in enumerate(VERSIONS):
            phone = self.eassim(proxy, "alice", "--version", version, "--duration", "2")
            self.assertEqual(phone.wait(30), 1, phone.tail(20))
            self.assertRegex(phone.output(), "FolderSync +WRONG: .*(HTTP 413|Status 122)")
            self.logged(proxy, "policy-size")
            self.is_told(proxy, "policy-rate", "bob", "--version", version, "--seed", str(20 + number))

    # All of them

    def test_every_row_is_shown(self):
        names = set(ROWS)
        self.assertEqual(names - SHOWN - set(ELSEWHERE), set(), "nothing shows what a phone makes of these")
        self.assertEqual((SHOWN | set(ELSEWHERE)) - names, set(), "these are no refusals")
        self.assertEqual(SHOWN & set(ELSEWHERE), set(), "these are shown here")
        for refusal, (path, test) in ELSEWHERE.items():
            with open(os.path.join(ROOT, "tests", path), encoding="utf-8") as f:
                text = f.read()
            if path.endswith(".py"):
                found = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
            else:
                found = set(re.findall(r"^static void (test_\w+)\(", text, re.M))
            code = "REFUSAL_" + refusal.upper().replace("-", "_")
            self.assertTrue(test in found if test else refusal in text or code in text, "%s in %s" % (refusal, path))


if __name__ == "__main__":
    unittest.main()
