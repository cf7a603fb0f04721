"""Connections whose SSL object is gone, with clients of three makes (OpenSSL, GnuTLS, NSS) and with endpoints that
give tickets and new keys: long conversations, cut anywhere, ended by either side."""
import json
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
import unittest

import client
import harness
from client import PATH
from harness import wait_for
from recorder import answer_bytes

LARGE = bytes(range(256)) * 4000  # a megabyte: 63 records


class Talker:
    """A client program that sends what it reads from its standard input, and writes what it receives."""

    def __init__(self, case, *arguments, stderr=subprocess.DEVNULL):
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        self.said = b""
        case.addCleanup(self.stop)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def type(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hear(self, pattern, count, what):
        """Reads until the pattern has come so many times."""
        until = time.monotonic() + harness.PATIENCE
        while len(re.findall(pattern, self.said)) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                raise AssertionError("%s: %d of %d %s; the end of what it said: %r" % (
                    what, len(re.findall(pattern, self.said)), count, pattern, self.said[-500:]))
            self.said += piece


class Splitter:
    """Passes a TCP connection on in pieces: of `size` bytes, or, with 0, as they come."""

    def __init__(self, port, size):
        self.target, self.size = port, size
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while True:
                data = one.recv(self.size or 1 << 16)
                if not data:
                    other.shutdown(socket.SHUT_WR)
                    return
                other.sendall(data)
        except OSError:
            return


class DeepSleepTest(harness.Case):
    def answer(self, received, _):
        if "large" in received.target or received.header("X-Large"):
            return answer_bytes(200, LARGE, [("Content-Type", "text/plain")])
        return answer_bytes()

    def proxy_with(self, changes=None, recorder=None):
        self.recorder = recorder or self.start_recorder(self.answer)
        scheme = "https" if self.recorder.context else "http"
        proxy = self.start_proxy("%s://localhost:%d" % (scheme, self.recorder.port), changes)
        proxy.wait_until_answering()
        return proxy

    def totals(self, proxy):
        status = subprocess.run([harness.EASPROXYCTL, "status", "-s", proxy.control, "--json"],
                                stdout=subprocess.PIPE, check=True, timeout=20)
        return json.loads(status.stdout)["totals"]

    def s_client(self, port, *arguments):
        bob = self.pki.user("bob")
        return Talker(self, "openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-CAfile", self.pki.ca,
                      "-cert", bob.certificate, "-cert_chain", bob.certificate, "-key", bob.key,
                      "-servername", "localhost", *arguments, stderr=subprocess.STDOUT)

    def gnutls_cli(self, port, *arguments):
        bob = self.pki.user("bob")
        return Talker(self, "gnutls-cli", "--port", str(port), "--x509cafile", self.pki.ca, "--x509certfile",
                      bob.certificate, "--x509keyfile", bob.key, "--inline-commands", *arguments, "localhost")

    def nss_database(self):
        """With the authorities, and bob's certificate and key, as NSS wants them."""
        bob, database = self.pki.user("bob"), self.path("nss")
        os.makedirs(database, exist_ok=True)

        def run(*arguments):
            subprocess.run(arguments, check=True, timeout=60, stdout=subprocess.DEVNULL)
        run("certutil", "-N", "-d", "sql:" + database, "--empty-password")
        with open(self.pki.ca, encoding="ascii") as f:
            authorities = re.findall("-----BEGIN.*?-----END CERTIFICATE-----\n", f.read(), re.DOTALL)
        for n, text in enumerate(authorities):
            with open(self.path("authority.pem"), "w", encoding="ascii") as f:
                f.write(text)
            run("certutil", "-A", "-d", "sql:" + database, "-n", "authority%d" % n, "-t", "CT,,", "-i",
                self.path("authority.pem"))
        run("openssl", "pkcs12", "-export", "-in", bob.certificate, "-inkey", bob.key, "-name", "bob", "-out",
            self.path("bob.p12"), "-passout", "pass:x")
        run("pk12util", "-i", self.path("bob.p12"), "-d", "sql:" + database, "-W", "x", "-K", "")
        return database

    def tstclnt(self, port, version, database):
        return Talker(self, "tstclnt", "-h", "localhost", "-4", "-p", str(port), "-d", "sql:" + database, "-n",
                      "bob", "-V", "%s:%s" % (version, version), "-f", "-w", "")

    REQUEST = ("OPTIONS %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % PATH).encode()

    def converse(self, talker, what, rounds, between=None):
        for n in range(rounds):
            talker.type(self.REQUEST)
            talker.hear(rb"HTTP/1\.1 200", n + 1, what)
            if between:
                between(n)

    def test_openssl_holds_a_long_conversation_with_new_keys(self):
        proxy = self.proxy_with({"workers": 1})
        before = self.totals(proxy)
        talker = self.s_client(proxy.port, "-tls1_3")
        talker.hear(rb"Verify return code: 0", 1, "s_client")

        def new_keys(n):
            if n % 5 == 0:
                talker.type(b"K\n" if n % 2 else b"k\n")
                talker.hear(rb"KEYUPDATE", n // 5 + 1, "s_client")
        self.converse(talker, "s_client", 300, new_keys)
        talker.type(b"Q\n")
        self.assertEqual(talker.process.wait(20), 0)
        after = self.totals(proxy)
        self.assertEqual([after[name] - before[name] for name in ("handshakes", "handshakes_deep", "requests")],
                         [1, 1, 300])

    def test_openssl_of_each_suite(self):
        proxy = self.proxy_with()
        for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
            with self.subTest(suite):
                talker = self.s_client(proxy.port, "-tls1_3", "-ciphersuites", suite)
                talker.hear(suite.encode(), 1, "s_client")
                self.converse(talker, "s_client", 20)
        for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                      "ECDHE-ECDSA-CHACHA20-POLY1305"):
            with self.subTest(suite):
                talker = self.s_client(proxy.port, "-tls1_2", "-cipher", suite)
                talker.hear(suite.encode(), 1, "s_client")
                self.converse(talker, "s_client", 20)
        self.assertEqual({line["cipher"] for line in proxy.lines("request", tls="TLSv1.2")},
                         {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                          "ECDHE-ECDSA-CHACHA20-POLY1305"})

    def test_curl_asks_thousands_of_times_on_one_connection(self):
        proxy = self.proxy_with({"workers": 1})
        bob = self.pki.user("bob")
        for version in ("--tlsv1.3", "--tls-max=1.2"):
            with self.subTest(version):
                before = self.totals(proxy)["handshakes"]
                done = subprocess.run(
                    ["curl", "-s", *version.split("="), "--cacert", self.pki.ca, "--cert", bob.certificate, "--key",
                     bob.key, "-X", "OPTIONS", "-o", "/dev/null", "-w", "%{http_code}\n",
                     "-H", "X-Number: 1", "https://localhost:%d%s#[1-2000]" % (proxy.port, PATH)],
                    stdout=subprocess.PIPE, timeout=120, check=True)
                self.assertEqual(done.stdout, b"200\n" * 2000)
                self.assertEqual(self.totals(proxy)["handshakes"] - before, 1)

    def test_gnutls_holds_a_long_conversation_with_new_keys(self):
        proxy = self.proxy_with()
        for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"):
            with self.subTest(priority):
                talker = self.gnutls_cli(proxy.port, "--priority", priority)
                talker.hear(rb"Handshake was completed", 1, "gnutls-cli")

                def new_keys(n, is_1_3="1.3" in priority):
                    if is_1_3 and n % 40 == 0:  # GnuTLS takes eight a second for an attack
                        talker.type(b"^rekey^\n" if n % 80 else b"^rekey1^\n")
                        talker.hear(rb"Rekey was completed", n // 40 + 1, "gnutls-cli")
                self.converse(talker, "gnutls-cli", 200, new_keys)

    def test_nss_holds_a_long_conversation(self):
        proxy, database = self.proxy_with(), self.nss_database()
        for version, name in (("tls1.3", "TLSv1.3"), ("tls1.2", "TLSv1.2")):
            with self.subTest(version):
                self.converse(self.tstclnt(proxy.port, version, database), "tstclnt", 200)
                wait_for("the log", lambda tls=name: len(proxy.lines("request", tls=tls)) >= 200, None, proxy)

    def test_records_come_split_and_merged_at_every_byte(self):
        """Pieces of one byte to more than a record's head and tag have every boundary at every place."""
        proxy = self.proxy_with()
        for size in (1, 2, 3, 5, 7, 11, 13, 17, 23, 29, 31, 37, 41, 0):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(size=size, version=version):
                    splitter = Splitter(proxy.port, size)
                    self.addCleanup(splitter.stop)
                    context = client.tls_context(self.pki.ca, self.pki.user("bob"), minimum_version=version,
                                                 maximum_version=version)
                    with client.Connection(splitter.port, context) as connection:
                        for _ in range(5):
                            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)

    def test_either_side_ends_in_the_words_of_tls(self):
        """close_notify of the proxy's, as Python's and OpenSSL's libraries want it before the end of a stream."""
        proxy = self.proxy_with()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                with proxy.dial("bob", minimum_version=version, maximum_version=version) as connection:
                    connection.send(self.REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    connection.socket.suppress_ragged_eofs = False
                    said = b""
                    while True:
                        piece = connection.socket.recv(1000)
                        if not piece:
                            break
                        said += piece
                    self.assertIn(b"200", said)
                with proxy.dial("bob", minimum_version=version, maximum_version=version) as connection:
                    self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
                    connection.socket.unwrap()

    def test_nginx_with_tickets_as_the_endpoint(self):
        port = harness.free_port()
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as f:
            f.write("""daemon off; pid %(d)s/pid; error_log %(d)s/error.log; worker_processes 1; events {}
http { access_log off; client_body_temp_path %(d)s/b; proxy_temp_path %(d)s/p; fastcgi_temp_path %(d)s/f;
uwsgi_temp_path %(d)s/u; scgi_temp_path %(d)s/s; keepalive_requests 1000000;
server { listen 127.0.0.1:%(port)d ssl; ssl_certificate %(cert)s; ssl_certificate_key %(key)s;
ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on; ssl_session_cache shared:s:1m;
location / { return 200 "%(text)s"; } } }
""" % {"d": self.directory, "port": port, "cert": self.pki.server.certificate, "key": self.pki.server.key,
                "text": "x" * 2000})
        nginx = harness.Program("nginx", [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", self.path("nginx.conf")],
                                self.directory)
        self.start(nginx)
        wait_for("nginx to listen", lambda: harness.is_listening(port), None, nginx)
        proxy = self.start_proxy("https://localhost:%d" % port, {"workers": 1, "upstream exchange": {"ca": self.pki.ca}})
        proxy.wait_until_answering()

        def connects_of(count):
            before = self.totals(proxy)["upstream_connects"]
            with proxy.dial("bob") as connection:
                for _ in range(count):
                    self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
            return self.totals(proxy)["upstream_connects"] - before
        # Connections are kept once one has shown that nginx keeps them.
        wait_for("connections that are kept", lambda: connects_of(3) == 0, None, proxy)
        self.assertEqual(connects_of(1000), 0)

    def test_an_endpoint_that_takes_new_keys(self):
        """openssl s_server, whose operator types K between the answers."""
        port = harness.free_port()
        server = Talker(self, "openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-tls1_3", "-cert",
                        self.pki.server.certificate, "-key", self.pki.server.key, "-cert_chain",
                        self.pki.server.certificate, stderr=subprocess.STDOUT)
        server.hear(rb"ACCEPT", 1, "s_server")
        proxy = self.start_proxy("https://localhost:%d" % port, {"workers": 1, "upstream exchange": {
            "ca": self.pki.ca, "health-interval": "1h"}})

        def answer(n):
            server.hear(rb"OPTIONS [^\n]*\r?\n(?:[^\n]+\n)*?\r?\n", n + 1, "s_server")
            if n % 2:
                server.type(b"K\n" if n % 4 == 1 else b"k\n")
                time.sleep(0.05)  # it looks at the first letter of what it reads at a time
            server.type(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmail")
        with proxy.dial("bob") as connection:
            for n in range(20):
                connection.send(self.REQUEST)
                answer(n)
                self.assertEqual(connection.read_answer("OPTIONS").status, 200)
                if n == 0:
                    time.sleep(1.5)  # then the connection has shown that it is kept
        self.assertEqual(len(re.findall(rb"CIPHER is", server.said)), 1, server.said)
        self.assertGreaterEqual(len(re.findall(rb"SSL_do_handshake -> 1", server.said)), 9, server.said)

    def test_off_keeps_openssl(self):
        for value, deep in (("on", 20), ("off", 0)):
            with self.subTest(value):
                proxy = self.proxy_with({"workers": 1, "deep-sleep": value})
                before = self.totals(proxy)
                for _ in range(20):
                    with proxy.dial("bob") as connection:
                        self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
                after = self.totals(proxy)
                self.assertEqual([after[name] - before[name] for name in ("handshakes", "handshakes_deep")],
                                 [20, deep])

    def test_large_answers_arrive_whole(self):
        """From an HTTPS endpoint to the phone, a megabyte each: 63 records and more on either side."""
        proxy = self.proxy_with({"upstream exchange": {"ca": self.pki.ca}},
                                self.start_recorder(self.answer, certificate=self.pki.server))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version), proxy.dial(
                    "bob", minimum_version=version, maximum_version=version) as connection:
                for _ in range(10):
                    answer = connection.request("OPTIONS", PATH, [("X-Large", "1")])
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(answer.body, LARGE)


if __name__ == "__main__":
    unittest.main()
