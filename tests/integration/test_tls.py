"""The handshake as a phone sees it."""
import json
import re
import socket
import ssl
import subprocess
import time
import unittest

import client
import harness
from client import PATH
from harness import wait_for


class TlsTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()

    def proxy_with(self, changes=None):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, changes)
        proxy.wait_until_answering()
        return proxy

    def both_certificates(self):
        return {"listener phones": {"certificate rsa": {
            "chain": self.pki.server_rsa.certificate, "key": self.pki.server_rsa.key}}}

    def s_client(self, proxy, *arguments, user="bob", text=b""):
        bob = self.pki.user(user)
        done = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % proxy.port, "-CAfile", self.pki.ca, "-cert",
             bob.certificate, "-cert_chain", bob.certificate, "-key", bob.key, "-servername", "localhost", *arguments],
            input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
        return done.stdout.decode("utf-8", "replace")

    def status(self, proxy):
        status = subprocess.run([harness.EASPROXYCTL, "status", "-s", proxy.control, "--json"],
                                stdout=subprocess.PIPE, check=True, timeout=20)
        return json.loads(status.stdout)

    def test_a_verdict_is_found_again(self):
        """A path is built once for each certificate and worker, however often its phone comes."""
        proxy = self.proxy_with({"workers": 1, "trust": {"verdict-cache": 2}})

        def figures():
            totals = self.status(proxy)["totals"]
            return [totals["verdict_" + name] for name in ("hits", "misses", "evictions")]
        before = figures()
        for user in ("bob", "bob", "bob", "alice", "bob"):
            with proxy.dial(user) as connection:
                self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        self.assertEqual([now - then for now, then in zip(figures(), before)], [4, 1, 0])
        dave = self.pki.authority("issuing", self.directory).issue("dave", harness.certificates.general_names(
            harness.certificates.principal_name(b"dave@contoso.test")))
        with proxy.dial(certificate=dave) as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        self.assertEqual([now - then for now, then in zip(figures(), before)], [4, 2, 1])
        words = subprocess.run([harness.EASPROXYCTL, "status", "-s", proxy.control], stdout=subprocess.PIPE, check=True,
                               timeout=20).stdout.decode()
        self.assertRegex(words, r"(?m)^ +\d+  certificate verdicts found in the cache$")

    def refused(self, proxy):
        """What the counters say: a flood of connections is not written to the log one by one."""
        return self.status(proxy)["refusals"]

    def wait_until_empty(self, proxy):
        """Connections that were let go count until their worker has seen it."""
        wait_for("connections to be gone", lambda: self.status(proxy)["totals"]["connections_open"] == 0,
                 None, proxy)

    def test_versions_and_ciphers(self):
        proxy = self.proxy_with()
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            with self.subTest(name), proxy.dial("bob", minimum_version=version, maximum_version=version) as connection:
                self.assertEqual(connection.socket.version(), name)
                self.assertRegex(connection.socket.cipher()[0], "GCM|CHACHA20")
                self.assertEqual(connection.socket.selected_alpn_protocol(), "http/1.1")
                self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        for old in ("-tls1", "-tls1_1"):
            with self.subTest(old):
                self.assertIn("no peer certificate available", self.s_client(proxy, old, "-cipher", "ALL:@SECLEVEL=0"))

    def test_tls_1_3_alone_when_configured(self):
        proxy = self.proxy_with({"listener phones": {"tls-min": "1.3"}})
        with self.assertRaises(OSError):
            proxy.dial("bob", maximum_version=ssl.TLSVersion.TLSv1_2)

    def test_rsa_and_ecdsa_from_one_listener(self):
        proxy = self.proxy_with(self.both_certificates())
        for suite, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")):
            output = self.s_client(proxy, "-tls1_2", "-cipher", suite)
            self.assertRegex(output, r"Cipher\s+(is|:) " + suite)
            self.assertIn("Verify return code: 0", output)
        for algorithm, kind in (("rsa_pss_rsae_sha256", "RSA-PSS"), ("ecdsa_secp256r1_sha256", "ECDSA")):
            output = self.s_client(proxy, "-tls1_3", "-sigalgs", algorithm + ":ecdsa_secp256r1_sha256"
                                   if kind == "RSA-PSS" else algorithm)
            self.assertIn("Peer signature type: ", output)

    def test_the_name_chooses_the_certificate(self):
        other = self.pki.authority("issuing", self.directory).issue(
            "other", harness.certificates.general_names(harness.certificates.der(0x82, b"other.test")),
            purpose="serverAuth")
        proxy = self.proxy_with({"listener phones": {"certificate other": {
            "chain": other.certificate, "key": other.key, "server-names": ["other.test", "*.other.test"]}}})
        for name, expected in (("localhost", "mail.contoso.test"), ("other.test", "other"),
                               ("a.other.test", "other"), ("unknown.test", "mail.contoso.test")):
            with self.subTest(name):
                output = self.s_client(proxy, "-servername", name)
                self.assertRegex(output, r"subject=.*CN\s*=\s*" + re.escape(expected))

    def test_the_authorities_are_named_and_no_ticket_is_given(self):
        proxy = self.proxy_with()
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                output = self.s_client(proxy, version, text=b"Q\n")
                self.assertIn("Acceptable client certificate CA names", output)
                self.assertRegex(output, r"CN\s*=\s*Contoso Root CA")
                self.assertRegex(output, r"CN\s*=\s*Contoso Issuing CA")
                self.assertNotIn("New Session Ticket arrived", output)
                self.assertNotIn("TLS session ticket:", output)
                self.assertNotRegex(output, r"Session-ID: [0-9A-F]{8}")

    def test_early_data_renegotiation_and_compression_are_not_there(self):
        output = self.s_client(self.proxy_with(), "-tls1_2")
        self.assertIn("Compression: NONE", output)
        self.assertIn("Secure Renegotiation IS supported", output)

    def test_a_silent_peer_is_let_go(self):
        proxy = self.proxy_with({"limits": {"handshake-time": "1s"}})
        for data in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as s:
                before = time.monotonic()
                s.sendall(data)
                while s.recv(100):
                    pass
                self.assertTrue(0.5 < time.monotonic() - before < 8)
        wait_for("the log", lambda: proxy.lines(refusal="tls-timeout"), 5, proxy)

    def test_what_is_not_tls_is_let_go_at_once(self):
        proxy = self.proxy_with()
        for data in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"A" * 70000, b"\0" * 5000):
            with self.subTest(data[:20]), socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as s:
                try:
                    s.sendall(data)
                    while s.recv(1000):
                        pass
                except ConnectionError:
                    pass
        with proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)

    def test_a_source_gets_only_its_share(self):
        proxy = self.proxy_with({"workers": 1, "limits": {"connections-per-source": 5}})
        self.wait_until_empty(proxy)
        held = [self.enterContext(proxy.dial("bob", source="127.0.0.2")) for _ in range(5)]
        with self.assertRaises(OSError):
            proxy.dial("bob", source="127.0.0.2")
        with proxy.dial("bob", source="127.0.0.3") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        held[0].close()

        def room():
            try:
                proxy.dial("bob", source="127.0.0.2").close()
                return True
            except OSError:
                return False
        wait_for("room for another", room, 5, proxy)
        self.assertGreater(self.refused(proxy)["source-full"], 0)

    def test_all_connections_are_capped(self):
        # With more workers each has its share, and the kernel does not deal them out evenly.
        proxy = self.proxy_with({"workers": 1, "limits": {"connections": 8}})
        self.wait_until_empty(proxy)
        held = []
        with self.assertRaises(OSError):
            for _ in range(12):
                held.append(self.enterContext(proxy.dial("bob")))
        self.assertEqual(len(held), 8)
        self.assertGreater(self.refused(proxy)["connections-full"], 0)


if __name__ == "__main__":
    unittest.main()
