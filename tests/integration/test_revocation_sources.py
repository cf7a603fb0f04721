"""Where CRLs come from, as phones feel it: a real web server that is slow, wrong, down or redirecting,
one that lies, files, and every row of the table of states."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import certificates
import client
import crls
import harness
from certificates import general_names, openssl, principal_name
from harness import wait_for

CONFIG = """
daemon off;
pid {here}/nginx.pid;
error_log {here}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
	log_format seen '$uri $status $body_bytes_sent "$http_if_none_match" "$host"';
	access_log {here}/access.log seen;
	client_body_temp_path {here}; proxy_temp_path {here}; fastcgi_temp_path {here};
	uwsgi_temp_path {here}; scgi_temp_path {here};
	types {{ application/pkix-crl crl; }}
	server {{
		listen 127.0.0.1:{port};
		root {here}/www;
		location /loop {{ return 302 http://127.0.0.1:{port}/loop; }}
		location /to-file {{ return 302 file://{here}/www/good.crl; }}
		location /moved/ {{ rewrite ^/moved/(.*)$ /moved-again/$1 redirect; }}
		location /moved-again/ {{ rewrite ^/moved-again/(.*)$ http://127.0.0.1:{port}/$1 permanent; }}
		location /throttled/ {{ rewrite ^/throttled/(.*)$ /$1 break; limit_rate 200; }}
	}}
}}
"""


class WebServer:
    """nginx with one folder of files; the access log tells who asked for what."""

    def __init__(self, directory, port=None):
        self.directory, self.port = directory, port or harness.free_port()
        os.makedirs(os.path.join(directory, "www"), exist_ok=True)
        self.config = os.path.join(directory, "nginx.conf")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(CONFIG.format(here=directory, port=self.port))
        self.start()

    def start(self):
        nginx = shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"])
        self.program = harness.Program("nginx", [nginx, "-c", self.config, "-e", self.config + ".log"],
                                       self.directory)
        wait_for("nginx to listen", lambda: harness.is_listening(self.port), None, self.program)

    def stop(self):
        self.program.stop()

    def url(self, name):
        return "http://127.0.0.1:%d/%s" % (self.port, name)

    def put(self, name, data):
        crls.put(os.path.join(self.directory, "www", name), data)

    def asked(self, pattern):
        """How many lines of the access log say so."""
        with open(os.path.join(self.directory, "access.log"), encoding="ascii") as f:
            return len(re.findall(pattern, f.read()))


class Liar:
    """A server that says another length than it sends, or takes for ever. bodies: by path."""

    def __init__(self):
        self.bodies = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, name):
        return "http://127.0.0.1:%d/%s" % (self.port, name)

    def stop(self):
        self.is_open = False
        self.listener.close()

    def _accept(self):
        while self.is_open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(10)
            try:
                path = connection.recv(4096).split(b" ")[1].decode().strip("/")
                kind, _, _ = path.partition("-")
                getattr(self, "serve_" + kind)(connection, self.bodies.get(path, b""))
            except (OSError, IndexError):
                pass

    @staticmethod
    def head(length):
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n%s\r\n" % length

    def serve_more(self, connection, body):
        """More is promised than comes."""
        connection.sendall(self.head(b"Content-Length: %d\r\n" % (len(body) + 100)) + body)

    def serve_less(self, connection, body):
        """Less is promised than comes."""
        connection.sendall(self.head(b"Content-Length: %d\r\n" % (len(body) - 20)) + body)

    def serve_drip(self, connection, body):
        connection.sendall(self.head(b"Content-Length: %d\r\n" % len(body)))
        for octet in body:
            if not self.is_open:
                return
            connection.sendall(bytes([octet]))
            time.sleep(0.05)

    def serve_endless(self, connection, _):
        connection.sendall(self.head(b"Transfer-Encoding: chunked\r\n"))
        while self.is_open:
            connection.sendall(b"1000\r\n" + b"\0" * 4096 + b"\r\n")

    def serve_good(self, connection, body):
        connection.sendall(self.head(b"Content-Length: %d\r\n" % len(body)) + body)


LDAP_CONFIG = """
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {here}/slapd.pid
database mdb
suffix "o=Test"
rootdn "cn=root,o=Test"
rootpw secret
directory {here}/ldap
maxsize 16777216
access to * by * read
"""


class Directory:
    """slapd with one entry that holds a CRL."""

    def __init__(self, directory, crl):
        self.directory, self.port = directory, harness.free_port()
        os.makedirs(os.path.join(directory, "ldap"))
        config, ldif = os.path.join(directory, "slapd.conf"), os.path.join(directory, "crl.ldif")
        with open(config, "w", encoding="ascii") as f:
            f.write(LDAP_CONFIG.format(here=directory))
        with open(ldif, "w", encoding="ascii") as f:
            f.write("dn: o=Test\nobjectClass: organization\no: Test\n\n"
                    "dn: cn=CA,o=Test\nobjectClass: cRLDistributionPoint\ncn: CA\n"
                    "certificateRevocationList;binary:: %s\n" % base64.b64encode(crl).decode())
        subprocess.run(["/usr/sbin/slapadd", "-q", "-f", config, "-l", ldif], check=True, timeout=60)
        self.program = harness.Program("slapd", [
            "/usr/sbin/slapd", "-d", "none", "-f", config, "-h", "ldap://127.0.0.1:%d" % self.port], directory)
        wait_for("slapd to listen", lambda: harness.is_listening(self.port), None, self.program)

    def url(self, name, attribute="certificateRevocationList;binary"):
        return "ldap://127.0.0.1:%d/%s?%s" % (self.port, name, attribute)

    def stop(self):
        self.program.stop()


class Ca:
    """An issuing authority under the root of the test PKI, with its phones and its CRLs."""

    def __init__(self, root, name, directory):
        self.name = name
        self.authority = root.issue_authority(name)
        self.directory = directory
        self.maker = crls.Maker(self.authority)
        self.phone = self.issue("phone-" + name)
        self.entry = {}

    def issue(self, name, extra=""):
        return self.authority.issue(name, general_names(principal_name(b"bob@contoso.test")), extra=extra)

    def at(self, url, delta=None, **members):
        """Its entry in the trust store."""
        self.entry = dict(members, isRootAuthority=False, certificate=base64.b64encode(
            openssl("x509", "-in", self.authority.certificate, "-outform", "DER")).decode())
        if url:
            self.entry["certificateRevocationListUrl"] = url
        if delta:
            self.entry["deltaCertificateRevocationListUrl"] = delta
        return self


class SourcesCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.web = WebServer(self.directory)
        self.addCleanup(self.web.stop)
        self.root = self.pki.authority("root", self.directory)

    def ca(self, name):
        return Ca(self.root, name, self.directory)

    def start_with(self, *cas, **revocation):
        """A proxy that trusts these; its root has a current CRL in a file."""
        root = {"isRootAuthority": True, "certificateFile": self.pki.path("authority", "root.pem"),
                "certificateRevocationListUrl": "file:" + self.pki.path("crl", "root.crl")}
        with open(self.path("trust.json"), "w", encoding="ascii") as f:
            json.dump({"certificateAuthorities": [root] + [ca.entry for ca in cas]}, f)
        options = dict({"time-limit": "1s", "retry": "200ms"}, **{
            name.replace("_", "-"): value for name, value in revocation.items()})
        return self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "trust": {"store": self.path("trust.json")}, "revocation": options})

    def start_again(self):
        """The proxy that was stopped, with the state that it left."""
        again = self.start(harness.Proxy(self, "http://127.0.0.1:%d" % self.recorder.port, {
            "trust": {"store": self.path("trust.json")}, "revocation": {"time-limit": "1s", "retry": "200ms"}}))
        wait_for("easproxyd to be ready again", lambda: len(again.lines("ready")) > 1, None, again)
        return again

    def view(self, proxy, certificate):
        """What a phone with it gets: the HTTP status, or what its TLS library says of the end."""
        try:
            with proxy.dial(certificate=certificate) as connection:
                return connection.request("OPTIONS", client.PATH).status
        except (client.Closed, OSError) as e:
            return str(e)

    def assert_in(self, proxy, certificate, why=None):
        self.assertEqual(self.view(proxy, certificate), 200, why)

    def assert_out(self, proxy, certificate, refusal="revocation-unavailable", why=None):
        before = len(proxy.lines(refusal=refusal))
        alert = "revoked" if refusal == "certificate-revoked" else "certificate unknown|CERTIFICATE_UNKNOWN"
        self.assertRegex(str(self.view(proxy, certificate)), "(?i)" + alert, why)
        wait_for("a log line with refusal %s%s" % (refusal, " for %s" % why if why else ""),
                 lambda: len(proxy.lines(refusal=refusal)) > before, 5, proxy)

    def until_in(self, proxy, certificate, what):
        wait_for("%s: to get in" % what, lambda: self.view(proxy, certificate) == 200, None, proxy)

    def until_out(self, proxy, certificate, what):
        wait_for("%s: to be shut out" % what, lambda: self.view(proxy, certificate) != 200, None, proxy)

    def crl(self, proxy, *arguments, status=0):
        done = subprocess.run([harness.EASPROXYCTL, "crl", *arguments, "-s", proxy.control], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False, encoding="utf-8")
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done

    def listed(self, proxy, ca):
        """Its entry in crl list --json."""
        found = [a for a in json.loads(self.crl(proxy, "list", "--json").stdout)["authorities"]
                 if "CN=%s," % ca.name in a["issuer"] + ","]
        self.assertEqual(len(found), 1, ca.name)
        return found[0]

    def failure(self, proxy, ca, half="base", place=0):
        return self.listed(proxy, ca)["crls"][place][half].get("error", "")


class StateTest(SourcesCase):
    """The table of DESIGN.md: what a phone gets in each state of its authority's CRL."""

    def test_what_never_worked_shuts_out_and_what_works_decides(self):
        liar = Liar()
        self.addCleanup(liar.stop)
        forger = certificates.self_signed(self.directory, "forger", None, ca=True)
        bad, good = {}, {}

        def add(to, name, url, why=None, data=None, on=None, **members):
            ca = to[name] = self.ca(name)
            ca.at(url, **members)
            ca.why = why
            data = data(ca) if data else ca.maker.make()
            (on.bodies.__setitem__ if on else self.web.put)(url.rpartition("/")[2], data)

        web, dead = self.web.url, harness.free_port()
        add(bad, "never", web("nowhere/never.crl"), "404")
        add(bad, "large", web("large.crl"), "larger than the limit of 2048 bytes",
            lambda ca: ca.maker.make(padding=100))
        add(bad, "slow", web("throttled/slow.crl"), "timed out", lambda ca: ca.maker.make(padding=20))
        add(bad, "forged", web("forged.crl"), "signature", lambda ca: ca.maker.make(key=forger.key))
        add(bad, "other", web("other.crl"), "another name", lambda ca: crls.Maker(self.root).make())
        add(bad, "garbage", web("garbage.crl"), "neither DER nor PEM", lambda ca: os.urandom(300))
        add(bad, "ended", web("ended.crl"), "past its nextUpdate", lambda ca: ca.maker.make(last=-90, following=-30))
        add(bad, "down", "http://127.0.0.1:%d/down.crl" % dead, "connect")
        add(bad, "loop", web("loop"), "redirects followed")
        add(bad, "elsewhere", web("to-file"), 'Protocol "file"')
        add(bad, "more", liar.url("more-1"), "bytes remaining", on=liar)
        add(bad, "less", liar.url("less-1"), "not a whole CRL|malformed|neither DER nor PEM", on=liar)
        add(bad, "drip", liar.url("drip-1"), "timed out", on=liar)
        add(bad, "endless", liar.url("endless-1"), "larger than the limit|timed out", on=liar)
        add(good, "plain", web("plain.crl"))
        add(good, "text", web("text.crl"), None, lambda ca: crls.pem(ca.maker.make()))
        add(good, "moved", web("moved/moved.crl"))
        add(good, "patient", web("throttled/patient.crl"), None, lambda ca: ca.maker.make(padding=10),
            crlTimeLimit="8s")
        add(good, "roomy", web("roomy.crl"), None, lambda ca: ca.maker.make(padding=100), crlSizeLimit="1MB")
        add(good, "late", web("late.crl"), None, lambda ca: ca.maker.make(last=-90, following=-30),
            revocationGrace="1h")
        add(good, "exempt", web("nowhere/exempt"), None, revocationExemptUntil="2099-01-01T00:00:00Z")
        good["open"] = self.ca("open").at(None)

        proxy = self.start_with(*bad.values(), *good.values(), size_limit="2kB")
        for name, ca in good.items():
            self.until_in(proxy, ca.phone, name)
        for name, ca in bad.items():
            with self.subTest(name):
                wait_for("a report on %s" % name, lambda ca=ca: self.failure(proxy, ca), None, proxy)
                self.assertRegex(self.failure(proxy, ca), ca.why)
                self.assertRegex(self.failure(proxy, ca), "^" + re.escape(ca.entry["certificateRevocationListUrl"]))
                self.assertEqual(self.listed(proxy, ca)["state"], "never-fetched")
                self.assert_out(proxy, ca.phone, why=name)
        states = {name: self.listed(proxy, ca)["state"] for name, ca in good.items()}
        self.assertEqual(states, {"plain": "current", "text": "current", "moved": "current", "patient": "current",
                                  "roomy": "current", "late": "grace", "exempt": "exempt", "open": "no-location"})
        self.assertEqual(self.listed(proxy, good["text"])["crls"][0]["base"]["form"], "PEM")
        self.assertEqual(self.listed(proxy, good["plain"])["crls"][0]["base"]["form"], "DER")
        self.assertIn("lives on the authority's grace", self.failure(proxy, good["late"]))
        self.assertTrue(proxy.lines("crl-not-configured"))
        # Each by its own: one that works does not help its neighbour, and refuses whom it names.
        plain = good["plain"]
        self.web.put("plain.crl", plain.maker.make([plain.phone.certificate]))
        self.assertIn("current: phones under it are refused from",
                      self.crl(proxy, "refresh", "CN=plain").stdout)
        self.assert_out(proxy, plain.phone, "certificate-revoked")
        self.assert_in(proxy, good["text"].phone)

    def test_the_last_good_one_goes_on_while_it_is_current(self):
        liar = Liar()
        self.addCleanup(liar.stop)
        forger = certificates.self_signed(self.directory, "forger", None, ca=True)
        names = ("large", "slow", "forged", "replayed", "gone", "short", "older")
        started = time.monotonic()
        cas = {name: self.ca(name) for name in names}
        # All that follows has to happen while the first ones are valid, on a busy machine too.
        valid = max(15, int(25 * (time.monotonic() - started)))
        for name, ca in cas.items():
            ca.at(liar.url("good-" + name) if name in ("slow", "short") else self.web.url(name + ".crl"))
        first = {}
        for name, ca in cas.items():
            ca.maker.number = 200
            first[name] = ca.maker.make(following=valid)
            liar.bodies["good-" + name] = first[name]
            self.web.put(name + ".crl", first[name])
        # Two that end at the same time: one by its grace, and one by its delta.
        graceful = self.ca("graceful").at(self.web.url("graceful.crl"), revocationGrace="%ds" % (valid - 3))
        self.web.put("graceful.crl", graceful.maker.make(following=3))
        paired = self.ca("paired").at(self.web.url("base.crl"), self.web.url("delta.crl"))
        self.web.put("base.crl", paired.maker.make(number=100))
        self.web.put("delta.crl", paired.maker.make(number=101, base=100, following=valid))
        made = time.time()
        proxy = self.start_with(*cas.values(), graceful, paired, size_limit="2kB", refresh="1s")
        for ca in (*cas.values(), graceful, paired):
            self.until_in(proxy, ca.phone, ca.name)

        def shut(name):
            return cas[name].maker.make([cas[name].phone.certificate], padding=100 if name == "large" else 0,
                                        key=forger.key if name == "forged" else None, following=3600)

        # What comes now would shut the phone out, if it were to be believed.
        self.web.put("large.crl", shut("large"))
        self.web.put("forged.crl", shut("forged"))
        self.web.put("replayed.crl", cas["replayed"].maker.make([cas["replayed"].phone.certificate], number=150))
        self.web.put("older.crl", cas["older"].maker.make([cas["older"].phone.certificate], last=-3600))
        os.unlink(os.path.join(self.directory, "www", "gone.crl"))
        liar.serve_good = lambda connection, body: (
            liar.serve_drip if body is first["slow"] else liar.serve_more)(connection, body)
        expected = {"large": "larger than the limit", "slow": "timed out", "forged": "signature",
                    "replayed": "replayed|number", "gone": "404", "short": "bytes remaining",
                    "older": "older|replayed|before"}
        for name, ca in cas.items():
            wait_for("a report on " + name, lambda ca=ca: self.failure(proxy, ca), None, proxy)
            self.assertRegex(self.failure(proxy, ca), expected[name])
        time.sleep(max(0, made + 4.2 - time.time()))
        self.assertEqual(self.listed(proxy, graceful)["state"], "grace")
        self.assert_in(proxy, graceful.phone)
        self.assertLess(time.time() - made, valid - 1, "this machine is too slow for the test")
        for name, ca in cas.items():
            self.assert_in(proxy, ca.phone, name)
            self.assertEqual(self.listed(proxy, ca)["state"], "current")
        time.sleep(max(0, made + valid + 1 - time.time()))
        for ca in (*cas.values(), graceful, paired):
            self.assertEqual(self.listed(proxy, ca)["state"], "stale", ca.name)
            self.assert_out(proxy, ca.phone, why=ca.name)
        self.assertGreater(self.listed(proxy, cas["gone"])["crls"][0]["base"]["failures"], 1)
        # And a good one opens the door again, without anybody's help.
        self.web.put("gone.crl", cas["gone"].maker.make())
        self.until_in(proxy, cas["gone"].phone, "gone and back")
        self.web.put("delta.crl", paired.maker.make(number=102, base=100))
        self.until_in(proxy, paired.phone, "paired again")


class FetchTest(SourcesCase):
    """How it is fetched."""

    def test_what_has_not_changed_is_not_sent_again(self):
        ca = self.ca("cached").at(self.web.url("cached.crl"))
        self.web.put("cached.crl", ca.maker.make())
        # What was changed just now is not believed to be the same.
        before = time.time() - 60
        os.utime(os.path.join(self.directory, "www", "cached.crl"), (before, before))
        proxy = self.start_with(ca)
        self.until_in(proxy, ca.phone, "cached")
        self.assertEqual(self.web.asked(r'/cached.crl 200 [1-9]\d* "-"'), 1)
        for _ in range(3):
            self.crl(proxy, "refresh", "cached")
        self.assertEqual(self.web.asked(r'/cached.crl 200'), 1)
        self.assertEqual(self.web.asked(r'/cached.crl 304 0 "\S+-\S+"'), 3)
        self.assertTrue(self.listed(proxy, ca)["crls"][0]["base"]["unchanged"])
        self.web.put("cached.crl", ca.maker.make([ca.phone.certificate]))
        self.crl(proxy, "refresh", ca.name)
        self.assert_out(proxy, ca.phone, "certificate-revoked")

    def test_through_a_proxy(self):
        ca = self.ca("proxied").at("http://crl.invalid/proxied.crl")
        self.web.put("proxied.crl", ca.maker.make())
        proxy = self.start_with(ca, proxy="127.0.0.1:%d" % self.web.port)
        self.until_in(proxy, ca.phone, "proxied")
        self.assertEqual(self.web.asked(r'/proxied.crl 200 .*"crl.invalid"'), 1)

    def test_a_file_that_is_replaced_bites_at_once(self):
        os.makedirs(self.path("published"))
        file = self.path("published", "file.crl")
        ca = self.ca("filed").at("file:" + file)
        crls.put(file, ca.maker.make())
        proxy = self.start_with(ca)
        with proxy.dial(certificate=ca.phone) as connection:
            self.assertEqual(connection.request("OPTIONS", client.PATH).status, 200)
            crls.put(file, ca.maker.make([ca.phone.certificate]))
            began = time.monotonic()
            self.assertTrue(connection.is_closed_within(5), "the session of the revoked certificate stays open")
            print("cut %.0f ms after the file was renamed" % ((time.monotonic() - began) * 1000))
        self.assert_out(proxy, ca.phone, "certificate-revoked")
        with open(file, "wb") as f:  # written in place, as a script may
            f.write(ca.maker.make())
        self.until_in(proxy, ca.phone, "filed")

    def test_from_a_directory(self):
        ca = self.ca("listed")
        lost = ca.issue("lost-listed")
        directory = Directory(self.directory, ca.maker.make([lost.certificate], padding=100))
        self.addCleanup(directory.stop)
        absent = self.ca("absent").at(directory.url("cn=Nobody,o=Test"))
        other = self.ca("other").at(directory.url("cn=CA,o=Test", "cn"))
        long = self.ca("long").at(directory.url("cn=CA,o=Test"), crlSizeLimit="1kB")
        proxy = self.start_with(ca.at(directory.url("cn=CA,o=Test")), absent, other, long)
        self.until_in(proxy, ca.phone, "listed")
        self.assert_out(proxy, lost, "certificate-revoked")
        wait_for("reports", lambda: self.failure(proxy, absent) and self.failure(proxy, other), None, proxy)
        self.assertRegex(self.failure(proxy, absent), "no such entry|cannot bind|No such object|LDAP")
        self.assertIn("no such attribute", self.failure(proxy, other))
        wait_for("a report", lambda: self.failure(proxy, long), None, proxy)
        self.assertIn("larger than the limit of 1024 bytes", self.failure(proxy, long))
        self.assert_out(proxy, absent.phone)
        self.assert_out(proxy, other.phone)
        directory.stop()
        self.crl(proxy, "refresh", "CN=listed", status=1)
        self.assert_in(proxy, ca.phone)

    def test_a_restart_without_network_knows_what_it_knew(self):
        ca = self.ca("kept").at(self.web.url("kept.crl"))
        lost = ca.issue("lost-kept")
        self.web.put("kept.crl", ca.maker.make([lost.certificate]))
        proxy = self.start_with(ca)
        self.until_in(proxy, ca.phone, "kept")
        proxy.stop()
        self.web.stop()
        again = self.start_again()
        self.assert_in(again, ca.phone)
        self.assert_out(again, lost, "certificate-revoked")
        wait_for("a look that failed", lambda: self.failure(again, ca), None, again)
        self.assertEqual(self.listed(again, ca)["state"], "current")
        self.assert_in(again, ca.phone)


    def test_when_a_key_was_lost_stands_in_the_log(self):
        """The invalidity date (RFC 5280 5.3.2) beside that of the revocation."""
        ca = self.ca("dated").at(self.web.url("dated.crl"))
        lost = ca.issue("lost-dated")
        self.web.put("dated.crl", ca.maker.make())
        proxy = self.start_with(ca)
        with proxy.dial(certificate=lost) as connection:
            self.assertEqual(connection.request("OPTIONS", client.PATH).status, 200)
            self.web.put("dated.crl", ca.maker.make([(lost.certificate, crls.KEY_COMPROMISE, "20250102030405Z")]))
            self.crl(proxy, "refresh", "dated")
            self.assertTrue(connection.is_closed_within(5), "the session of the revoked certificate stays open")
        self.assert_out(proxy, lost, "certificate-revoked")
        for event in ("shut-out", "refused"):
            line, = proxy.lines(event, refusal="certificate-revoked")
            self.assertEqual((line["invalid_since"], line["revocation_reason"]),
                             ("2025-01-02T03:04:05Z", "keyCompromise"))
            self.assertGreater(line["revoked_at"], line["invalid_since"])

    def test_a_revoked_user_has_the_locations_looked_at(self):
        """Else he would have to wait for the next look by itself, here in an hour."""
        ca = self.ca("asked").at(self.web.url("asked.crl"))
        self.web.put("asked.crl", ca.maker.make(last=-60))
        proxy = self.start_with(ca)
        self.until_in(proxy, ca.phone, "asked")
        self.web.put("asked.crl", ca.maker.make(last=5))
        subprocess.run([harness.EASPROXYCTL, "user", "revoke", "bob@contoso.test", "-s", proxy.control], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        wait_for("another look", lambda: self.web.asked("/asked.crl 200") == 2, 5, proxy)
        # That CRL is of a later date, and decides.
        self.until_in(proxy, ca.phone, "revoked, and decided otherwise by a later CRL")


class PairTest(SourcesCase):
    """A base CRL with its delta."""

    def pair(self):
        ca = self.ca("paired").at(self.web.url("base.crl"), self.web.url("delta.crl"))
        ca.held = ca.issue("held-paired")
        self.web.put("base.crl", ca.maker.make([(ca.held.certificate, crls.CERTIFICATE_HOLD)], number=100))
        self.web.put("delta.crl", ca.maker.make(number=101, base=100))
        return ca

    def test_a_delta_revokes_and_restores(self):
        ca = self.pair()
        proxy = self.start_with(ca)
        self.until_in(proxy, ca.phone, "paired")
        self.assert_out(proxy, ca.held, "certificate-revoked")
        with proxy.dial(certificate=ca.phone) as connection:
            self.assertEqual(connection.request("OPTIONS", client.PATH).status, 200)
            self.web.put("delta.crl", ca.maker.make(
                [ca.phone.certificate, (ca.held.certificate, crls.REMOVE_FROM_CRL)], number=102, base=100))
            self.crl(proxy, "refresh", "paired")
            self.assertTrue(connection.is_closed_within(5), "the session of the revoked certificate stays open")
        self.assert_out(proxy, ca.phone, "certificate-revoked")
        self.assert_in(proxy, ca.held)
        entry = self.listed(proxy, ca)["crls"][0]
        self.assertEqual((entry["crl_number"], entry["delta_number"], entry["entries"]), ("100", "102", 1))
        self.assertRegex(self.crl(proxy, "list").stdout, r"delta CRL +http://.*/delta.crl")

        # A delta that was replayed, or belongs to another base, changes nothing and is told of.
        for number, base, why in ((101, 100, "replayed|below|older"), (120, 110, "newer than the base")):
            self.web.put("delta.crl", ca.maker.make(number=number, base=base))
            self.crl(proxy, "refresh", "paired", status=1)
            self.assertRegex(self.failure(proxy, ca, "delta"), why)
            self.assert_out(proxy, ca.phone, "certificate-revoked")
            self.assert_in(proxy, ca.held)

        # What a newer base says counts at once, though its delta is not there.
        os.unlink(os.path.join(self.directory, "www", "delta.crl"))
        self.web.put("base.crl", ca.maker.make([ca.held.certificate], number=130, last=-1))
        self.crl(proxy, "refresh", "paired", status=1)
        self.assert_out(proxy, ca.held, "certificate-revoked")
        self.assert_in(proxy, ca.phone)
        self.web.put("delta.crl", ca.maker.make([ca.phone.certificate], number=131, base=130, last=0))
        self.crl(proxy, "refresh", "paired")
        self.assert_out(proxy, ca.phone, "certificate-revoked")

    def test_a_pair_without_its_delta_lets_nobody_in(self):
        ca = self.pair()
        os.unlink(os.path.join(self.directory, "www", "delta.crl"))
        proxy = self.start_with(ca)
        wait_for("a report", lambda: self.failure(proxy, ca, "delta"), None, proxy)
        self.assert_out(proxy, ca.phone)
        self.assertEqual(self.listed(proxy, ca)["state"], "never-fetched")

    def test_a_restart_without_network_knows_the_pair(self):
        ca = self.pair()
        self.web.put("delta.crl", ca.maker.make([(ca.held.certificate, crls.REMOVE_FROM_CRL)], number=102, base=100))
        lost = ca.issue("lost-paired")
        self.web.put("delta.crl", ca.maker.make([lost.certificate], number=103, base=100))
        proxy = self.start_with(ca)
        self.until_in(proxy, ca.phone, "paired")
        proxy.stop()
        self.web.stop()
        again = self.start_again()
        self.assert_in(again, ca.phone)
        self.assert_out(again, lost, "certificate-revoked")
        self.assert_out(again, ca.held, "certificate-revoked")


class PartsTest(SourcesCase):
    """A CRL in parts, each at a location of its own."""

    def test_each_part_speaks_for_its_own_certificates(self):
        ca = self.ca("parted")
        urls = [self.web.url("part-%d.crl" % i) for i in range(2)]
        ca.at(urls[0], additionalCertificateRevocationLists=[{"certificateRevocationListUrl": urls[1]}])
        phones = [ca.issue("parted-%d" % i, "crlDistributionPoints = URI:" + url) for i, url in enumerate(urls)]

        def publish(i, revoked):
            self.web.put("part-%d.crl" % i, ca.maker.make(revoked, point=crls.distribution_point(urls[i])))

        # The second part names the first part's phone, for which it does not speak.
        publish(0, [])
        publish(1, [phones[0].certificate])
        proxy = self.start_with(ca)
        for phone in phones:
            self.until_in(proxy, phone, "parted")
        self.assertEqual([c["scope"] for c in self.listed(proxy, ca)["crls"]], [["distribution-point"]] * 2)
        # One of neither part cannot be looked up.
        self.assert_out(proxy, ca.phone, "revocation-unknown")
        publish(0, [phones[0].certificate])
        self.crl(proxy, "refresh", "parted")
        self.assert_out(proxy, phones[0], "certificate-revoked")
        self.assert_in(proxy, phones[1])

    def test_a_part_that_is_missing_shuts_out_its_own(self):
        ca = self.ca("halved")
        urls = [self.web.url("half-%d.crl" % i) for i in range(2)]
        ca.at(urls[0], additionalCertificateRevocationLists=[{"certificateRevocationListUrl": urls[1]}])
        phones = [ca.issue("halved-%d" % i, "crlDistributionPoints = URI:" + url) for i, url in enumerate(urls)]
        self.web.put("half-0.crl", ca.maker.make(point=crls.distribution_point(urls[0])))
        proxy = self.start_with(ca)
        self.until_in(proxy, phones[0], "halved")
        wait_for("a report", lambda: self.failure(proxy, ca, place=1), None, proxy)
        self.assert_out(proxy, phones[1], "revocation-unknown")
        self.assertEqual(self.listed(proxy, ca)["state"], "never-fetched")


class CommandTest(SourcesCase):
    """easproxyctl crl."""

    def test_list_and_refresh_say_what_is_and_what_will_be(self):
        first, second = self.ca("first").at(self.web.url("first.crl")), self.ca("second").at(self.web.url("no.crl"))
        self.web.put("first.crl", first.maker.make([first.authority.certificate], number=0xABC, following=7200,
                                                  next_publish=3600))
        proxy = self.start_with(first, second)
        self.until_in(proxy, first.phone, "first")
        text = self.crl(proxy, "list").stdout
        for pattern in (r"2\. .*CN=first", r"current: phones under it are refused from \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
                        "on, unless a newer CRL has come by then", r"number +2748 \(0x0abc\)", r"entries +1, \d+ bytes",
                        "effective +20", "next publish +20", "next update +20", r"signed by +.*CN=first",
                        "never-fetched: phones under it are refused until it has come", "FAILED .* 404"):
            self.assertRegex(text, pattern)
        entry = self.listed(proxy, first)["crls"][0]
        self.assertEqual((entry["crl_number"], entry["entries"]), ("2748", 1))
        self.assertEqual(entry["next_update"] - entry["effective"], 7260)

        for who in ("2", "cn=FIRST", self.listed(proxy, first)["key_id"][:12].upper()):
            before = self.web.asked("/first.crl")
            done = self.crl(proxy, "refresh", who)
            self.assertRegex(done.stdout, "CN=first")
            self.assertNotIn("CN=second", done.stdout)
            self.assertEqual(self.web.asked("/first.crl"), before + 1)
        self.assertRegex(self.crl(proxy, "refresh", status=1).stdout, r"(?s)CN=first.*CN=second.*404")
        self.assertIn("there is no authority 9; there are 3", self.crl(proxy, "refresh", "9", status=1).stderr)
        self.assertRegex(self.crl(proxy, "refresh", "cn=", status=1).stderr, "can mean authority 1 or 2")
        self.assertIn("no authority has", self.crl(proxy, "refresh", "third", status=1).stderr)
        self.assertIn("usage", self.crl(proxy, "lst", status=2).stderr)

    def test_a_control_process_that_died_is_told_again(self):
        ca, other = self.ca("told").at(self.web.url("told.crl")), self.ca("untold").at(self.web.url("no.crl"))
        self.web.put("told.crl", ca.maker.make())
        proxy = self.start_with(ca, other, retry="1h")
        wait_for("a report", lambda: self.failure(proxy, other), None, proxy)
        before = [self.listed(proxy, each)["crls"] for each in (ca, other)]
        old = proxy.pids("control")
        os.kill(old[0], signal.SIGKILL)
        wait_for("another control process", lambda: proxy.pids("control") not in ([], old), None, proxy)

        def is_told():
            done = subprocess.run([harness.EASPROXYCTL, "crl", "list", "--json", "-s", proxy.control],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False)
            return done.returncode == 0 and "404" in done.stdout.decode()
        wait_for("what it knew", is_told, None, proxy)
        self.assertEqual([self.listed(proxy, each)["crls"] for each in (ca, other)], before)


if __name__ == "__main__":
    import unittest
    unittest.main()
