"""login = minted-certificate: nginx asks for client certificates and hands them on, so that what stands in
them, and on which connection, is seen behind it."""
import base64
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.parse

import certificates
import client
import crowd
import harness
import holders_case
import ldap_server
import peek
from certificates import openssl
from harness import EASPROXYCTL, EASPROXYD, wait_for
from recorder import Recorder, answer_bytes

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "pin-5e07c6d1a9f2"
SID = "S-1-5-21-1004336348-1177238915-682003330-512"

NGINX = """
daemon off;
{user}
pid {here}/nginx.pid;
error_log {here}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
	access_log off;
	client_body_temp_path {here}; proxy_temp_path {here}; fastcgi_temp_path {here};
	uwsgi_temp_path {here}; scgi_temp_path {here};
	keepalive_requests {requests};
	server {{
		listen 127.0.0.1:{port} ssl;
		ssl_certificate {certificate};
		ssl_certificate_key {key};
		ssl_client_certificate {trusted};
		ssl_verify_client on;
		ssl_verify_depth 3;
		location / {{
			proxy_pass http://127.0.0.1:{behind};
			proxy_set_header X-Verify $ssl_client_verify;
			proxy_set_header X-Subject $ssl_client_s_dn;
			proxy_set_header X-Serial $ssl_client_serial;
			proxy_set_header X-Certificate $ssl_client_escaped_cert;
			proxy_set_header X-Connection $connection;
		}}
	}}
}}
"""


class Nginx:
    def __init__(self, case, behind, trusted, requests=1000):
        self.port = harness.free_port()
        here = case.path("nginx-%d" % self.port)
        os.mkdir(here)
        config = os.path.join(here, "nginx.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(NGINX.format(
                here=here, port=self.port, behind=behind, trusted=trusted, requests=requests,
                user="user root;" if os.geteuid() == 0 else "",
                certificate=case.pki.server.certificate, key=case.pki.server.key))
        program = shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"])
        self.program = case.start(harness.Program(
            "nginx-%d" % self.port, [program, "-c", config, "-e", config + ".log"], here))
        wait_for("nginx to listen", lambda: harness.is_listening(self.port), None, self.program)
        self.url = "https://localhost:%d" % self.port


class Shown:
    """A client certificate as nginx has seen it."""

    def __init__(self, received):
        self.verify, self.subject = received.header("X-Verify"), received.header("X-Subject")
        self.connection, self.serial = received.header("X-Connection"), received.header("X-Serial")
        self.pem = urllib.parse.unquote(received.header("X-Certificate")).encode()

    def text(self, *what):
        return openssl("x509", "-noout", *what, stdin=self.pem).decode()

    def extension(self, oid):
        """The octets of its value."""
        lines = openssl("asn1parse", stdin=self.pem).decode().splitlines()
        at = next(i for i, line in enumerate(lines) if line.endswith(":" + oid))
        return bytes.fromhex(next(line for line in lines[at:] if "[HEX DUMP]" in line).partition("DUMP]:")[2])


class Token:
    """One of SoftHSM's, with a key that was made in it."""

    def __init__(self, case):
        self.folder = case.path("token")
        os.mkdir(self.folder)
        config = os.path.join(self.folder, "softhsm2.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write("directories.tokendir = %s\nobjectstore.backend = file\n" % self.folder)
        self.environment = {"SOFTHSM2_CONF": config}
        self.run("softhsm2-util", "--init-token", "--free", "--label", "gateway", "--so-pin", "87654321", "--pin", PIN)
        self.tool("--login", "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "issuer",
                  "--id", "01")
        self.public = os.path.join(self.folder, "public.der")
        self.tool("--read-object", "--type", "pubkey", "--label", "issuer", "-o", self.public)

    def run(self, *arguments):
        done = subprocess.run(arguments, env=dict(os.environ, **self.environment), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError("%s: %s" % (arguments[0], done.stdout.decode()))

    def tool(self, *arguments):
        self.run("pkcs11-tool", "--module", SOFTHSM, "--token-label", "gateway", *arguments)


    def issuer(self, root, path):
        """A CA's certificate for that key."""
        with open(path + ".ext", "w", encoding="ascii") as f:
            f.write("basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n")
        openssl("x509", "-new", "-subj", "/CN=minting", "-force_pubkey", self.public, "-CA", root.certificate,
                "-CAkey", root.key, "-days", "30", "-extfile", path + ".ext", "-out", path)
        return path


class MintedCase(harness.Case):
    def setUp(self):
        super().setUp()
        root = certificates.self_signed(self.directory, "mint-root", None, ca=True)
        self.root = certificates.Authority("mint-root", root.certificate, root.key, self.directory)
        self.minting = self.root.issue_authority("minting")
        self.behind = self.start_recorder()

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def minted(self, **options):
        """The changes of a configuration that mints."""
        section = {"issuer": self.minting.certificate, "key": self.minting.key}
        section.update({name.replace("_", "-"): value for name, value in options.items()})
        return {"workers": 1, "minted-certificate": section,
                "upstream exchange": {"login": "minted-certificate", "headers": None, "ca": self.pki.ca}}

    def start_minting(self, changes=None, nginx=None, options=None, **more):
        self.nginx = nginx or Nginx(self, self.behind.port, self.root.certificate)
        self.proxy = self.start_proxy(self.nginx.url, harness.merge(self.minted(**(options or {})), changes), **more)
        return self.proxy

    def phone(self, user="bob", certificate=None):
        phone = client.Device(lambda: self.proxy.dial(user, certificate), user + "@contoso.test")
        self.addCleanup(phone.close)
        return phone

    def sync(self, phone):
        return phone.post("FolderSync", client.folder_sync())

    def wait_until_in(self, phone):
        """Until CRLs and upstream are there."""
        def is_in():
            try:
                return self.sync(phone).status == 200
            except (client.Closed, OSError):
                phone.close()
                return False
        wait_for(phone.user + " to get in", is_in, None, self.proxy)

    def shown(self):
        return [Shown(received) for received in self.behind.whole()]

    def ctl(self, *arguments):
        done = subprocess.run([EASPROXYCTL, *arguments, "-s", self.proxy.control], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        return done.stdout.decode()


class CertificateTest(MintedCase):
    def assert_is_bobs(self, shown):
        self.assertEqual(shown.verify, "SUCCESS")
        self.assertEqual(shown.subject, "CN=bob@contoso.test")
        self.assertEqual(len(shown.serial), 40)
        names = shown.text("-ext", "subjectAltName,extendedKeyUsage,keyUsage,basicConstraints")
        for expected in ("email:bob@contoso.test", "TLS Web Client Authentication", "Digital Signature", "CA:FALSE"):
            self.assertIn(expected, names)
        self.assertIn("CN = minting", shown.text("-issuer"))

    def test_the_mail_server_sees_whose_mailbox_it_is(self):
        self.start_minting()
        self.wait_until_in(self.phone())
        shown = self.shown()[-1]
        self.assert_is_bobs(shown)
        self.assertEqual(certificates.general_names(
            certificates.principal_name(b"bob@contoso.test"), certificates.rfc822_name(b"bob@contoso.test")),
            shown.extension("X509v3 Subject Alternative Name"))
        # And nobody else has said so.
        received = self.behind.whole()[-1]
        self.assertEqual(received.all("Authorization") + received.all("X-Mailbox"), [])

    def test_users_may_have_keys_of_rsa(self):
        self.start_minting(options={"key_type": "rsa"})
        self.wait_until_in(self.phone())
        shown = self.shown()[-1]
        self.assert_is_bobs(shown)
        self.assertIn("Public-Key: (2048 bit)", shown.text("-text"))

    def start_slapd(self, people, instead_of=None):
        folder = self.path("slapd" if instead_of is None else "slapd-2")
        os.mkdir(folder)
        slapd = ldap_server.Slapd(folder, self.pki.server, self.pki.ca, people)
        if instead_of is not None:
            instead_of.stop()
            slapd.port, slapd.tls_port = instead_of.port, instead_of.tls_port
            slapd.url, slapd.tls_url = instead_of.url, instead_of.tls_url
        slapd.start()
        self.addCleanup(slapd.stop)
        return slapd

    def test_the_directory_says_which_account_it_is(self):
        numbers = [int(part) for part in SID.split("-")[3:]]
        sid = bytes([1, len(numbers)]) + (5).to_bytes(6, "big") + b"".join(n.to_bytes(4, "little") for n in numbers)
        slapd = self.start_slapd({"bob": {
            "mail": "bob@contoso.test", "userPrincipalName": "b.baker@corp.test",
            "objectSid:": base64.b64encode(sid).decode()}})
        self.start_minting({"directory": {
            "backend": "ldap", "urls": [slapd.tls_url], "ca": self.pki.ca, "base": ldap_server.BASE,
            "bind-name": ldap_server.READER, "bind-password-file": slapd.password_file}})
        self.wait_until_in(self.phone())
        shown = self.shown()[-1]
        self.assertEqual(shown.subject, "CN=bob@contoso.test")
        self.assertIn(certificates.principal_name(b"b.baker@corp.test"),
                      shown.extension("X509v3 Subject Alternative Name"))
        self.assertEqual(shown.extension("1.3.6.1.4.1.311.25.2"), certificates.general_names(certificates.der(
            0xA0, bytes.fromhex("060a2b060104018237190201") +
            certificates.der(0xA0, certificates.der(0x04, SID.encode())))))

    def test_an_address_that_becomes_somebody_elses_gets_their_certificate(self):
        slapd = self.start_slapd({"bob": {"mail": "bob@contoso.test", "userPrincipalName": "b.baker@corp.test"}})
        self.start_minting({"directory": {
            "backend": "ldap", "urls": [slapd.tls_url], "ca": self.pki.ca, "base": ldap_server.BASE, "cache-time": "1s",
            "bind-name": ldap_server.READER, "bind-password-file": slapd.password_file}})
        phone = self.phone()
        self.wait_until_in(phone)

        def principal():
            return self.shown()[-1].extension("X509v3 Subject Alternative Name")
        self.assertIn(certificates.principal_name(b"b.baker@corp.test"), principal())
        self.start_slapd({"robert": {"mail": "bob@contoso.test", "userPrincipalName": "r.baker@corp.test"}}, slapd)

        def is_roberts():
            self.wait_until_in(phone)
            return certificates.principal_name(b"r.baker@corp.test") in principal()
        wait_for("the certificate of the other one", is_roberts, None, self.proxy)
        for _ in range(3):
            self.assertEqual(self.sync(phone).status, 200)
            self.assertIn(certificates.principal_name(b"r.baker@corp.test"), principal())

    def test_no_certificate_of_another_authority_gets_in(self):
        """What easproxyd can do is what nginx lets it do."""
        other = certificates.self_signed(self.directory, "other", None, ca=True)
        self.start_minting(nginx=Nginx(self, self.behind.port, other.certificate))
        phone = self.phone()

        def is_answered():
            try:
                self.sync(phone)
                return True
            except (client.Closed, OSError):
                phone.close()
                return False
        wait_for("an answer", is_answered, None, self.proxy)
        self.assertEqual(self.behind.begun(), [])


class TokenTest(MintedCase):
    def setUp(self):
        super().setUp()
        self.token = Token(self)
        self.section = {
            "issuer": self.token.issuer(self.root, self.path("token-issuer.pem")), "key": None,
            "key_uri": "pkcs11:token=gateway;object=issuer", "pkcs11_module": SOFTHSM,
            "pkcs11_paths": [self.token.folder], "pin_file": self.write("pin", PIN + "\n")}

    def start_with_token(self, changes=None):
        return self.start_minting(changes, options=self.section, environment=self.token.environment)

    def test_the_key_may_be_in_a_token_that_the_user_can_only_read(self):
        if os.geteuid() == 0:
            subprocess.run(["chmod", "-R", "a+rX", self.token.folder], check=True)
            self.start_with_token({"user": "nobody"})
        else:
            self.start_with_token()
        self.wait_until_in(self.phone())
        shown = self.shown()[-1]
        self.assertEqual((shown.verify, shown.subject), ("SUCCESS", "CN=bob@contoso.test"))

    def test_a_wrong_pin_is_told_to_the_operator_and_nobody_gets_in(self):
        self.write("pin", "pin-of-another\n")
        self.start_with_token()
        phone = self.phone()

        def is_refused():
            try:
                return self.sync(phone).status == 503
            except (client.Closed, OSError):
                phone.close()
                return False
        wait_for("a refusal", is_refused, None, self.proxy)
        wait_for("the reason in the log", lambda: [
            line for line in self.proxy.lines("minter") if "PIN" in line["message"]], None, self.proxy)
        self.assertEqual(self.behind.begun(), [])
        self.assertNotIn("pin-of-another", self.proxy.output())

    def check(self, **changes):
        proxy = harness.Proxy.__new__(harness.Proxy)
        proxy.config_path = self.path("check.conf")
        options = harness.merge({
            "user": "nobody" if os.geteuid() == 0 else "", "state-directory": self.directory,
            "listener phones": {"address": ["127.0.0.1:%d" % harness.free_port()], "certificate ecdsa": {
                "chain": self.pki.server.certificate, "key": self.pki.server.key}},
            "trust": {"store": self.pki.trust}, "mailbox": {"domains": ["contoso.test"]},
            "upstream exchange": {"endpoints": ["https://localhost:1"]}},
            self.minted(**dict(self.section, **changes)))
        proxy.configure(options)
        done = subprocess.run([EASPROXYD, "-t", "-c", proxy.config_path], stdin=subprocess.DEVNULL,
                              env=dict(os.environ, **self.token.environment), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, check=False)
        return done.returncode, done.stdout.decode()

    def test_the_check_of_the_configuration_tries_the_token_as_the_user(self):
        if os.geteuid() == 0:
            # Who checks may read it, who will use it may not.
            status, output = self.check()
            self.assertEqual(status, 1, output)
            self.assertIn("minted-certificate: ", output)
        subprocess.run(["chmod", "-R", "a+rX", self.token.folder], check=True)
        status, output = self.check()
        self.assertEqual(status, 0, output)
        status, output = self.check(issuer=self.minting.certificate)
        self.assertEqual(status, 1, output)
        self.assertIn("the key is not that of the first certificate", output)


class LifeTest(MintedCase):
    def issuer_for(self, seconds):
        end = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
        short = self.root.issue("short", ca=True, end=end)
        return {"issuer": short.certificate, "key": short.key}

    def test_it_is_renewed_before_its_end_and_ends_with_its_issuer(self):
        """The shortest life that can be configured is too long for a test, so it is the issuer that ends."""
        end = time.time() + 25
        self.start_minting(nginx=Nginx(self, self.behind.port, self.root.certificate, requests=1),
                           options=self.issuer_for(25))
        phone = self.phone()
        self.wait_until_in(phone)

        def is_renewed():
            self.assertEqual(self.sync(phone).status, 200)
            time.sleep(0.1)
            return len({shown.serial for shown in self.shown()}) > 1
        wait_for("a second certificate", is_renewed, end - time.time(), self.proxy)

        def is_over():
            time.sleep(0.1)
            return self.sync(phone).status == 503
        wait_for("the end of the issuer", is_over, None, self.proxy)
        self.assertEqual({shown.verify for shown in self.shown()}, {"SUCCESS"})

    def test_another_issuer_is_taken_over_by_a_reload(self):
        self.start_minting()
        phone = self.phone()
        self.wait_until_in(phone)
        other = self.root.issue_authority("other-minting")
        self.proxy.configure(harness.merge(self.proxy.options, {
            "minted-certificate": {"issuer": other.certificate, "key": other.key}}))
        self.ctl("reload")

        def is_new():
            self.wait_until_in(phone)
            return "CN = other-minting" in self.shown()[-1].text("-issuer")
        wait_for("a certificate of the new issuer", is_new, None, self.proxy)


class FailureTest(MintedCase):
    def test_a_helper_that_hangs_costs_one_wait_and_is_replaced(self):
        self.start_minting({"upstream exchange": {
            "login-time": "500ms", "login-helpers": 1, "login-failed-time": "0s"}})
        bob = self.phone("bob")
        self.wait_until_in(bob)
        hanging = peek.named(self.proxy.pid, "eas-minter")
        self.assertEqual(len(hanging), 1)
        os.kill(hanging[0], signal.SIGSTOP)
        self.addCleanup(self.go_on, hanging[0])
        alice = self.phone("alice")
        answer = self.sync(alice)
        self.assertEqual(answer.status, 503)
        self.assertGreater(int(answer.header("Retry-After")), 0)
        # Who has a certificate already does not notice.
        self.assertEqual(self.sync(bob).status, 200)
        self.wait_until_in(alice)
        wait_for("the end of the helper", lambda: hanging[0] not in peek.named(self.proxy.pid, "eas-minter"), None,
                 self.proxy)

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


class SeparationTest(MintedCase):
    def test_no_connection_is_ever_used_for_two_users(self):
        self.start_minting()
        users = ["user%02d@contoso.test" % i for i in range(40)]
        issued = crowd.issue_crowd(self.pki.authority("issuing", self.directory), users)
        bob = self.phone()
        self.wait_until_in(bob)

        def is_used_again():
            self.sync(bob)
            seen = [shown.connection for shown in self.shown()]
            return len(set(seen)) < len(seen)
        wait_for("connections to be kept", is_used_again, None, self.proxy)
        failures = []

        def run(mine):
            phones = [client.Device(lambda u=user: self.proxy.dial(None, issued[u]), user) for user in mine]
            for _ in range(5):
                for phone in phones:
                    status = self.sync(phone).status
                    if status != 200:
                        failures.append((phone.user, status))
            for phone in phones:
                phone.close()
        threads = [threading.Thread(target=run, args=(users[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        subjects, requests = {}, 0
        for received in self.behind.whole():
            user = dict(urllib.parse.parse_qsl(received.target.partition("?")[2]))["User"]
            self.assertEqual(received.header("X-Verify"), "SUCCESS")
            self.assertEqual(received.header("X-Subject"), "CN=" + user)
            subjects.setdefault(received.header("X-Connection"), set()).add(user)
            requests += 1
        self.assertGreaterEqual(requests, 200)
        self.assertEqual([users for users in subjects.values() if len(users) > 1], [])
        # Though they are kept.
        self.assertLess(len(subjects), requests / 2)


class MutualServer(Recorder):
    """Asks for client certificates itself, so that the end of a connection is seen."""

    def __init__(self, certificate, trusted):
        self.subjects = {}
        super().__init__(self.reply)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.certificate, certificate.key)
        self.context.load_verify_locations(trusted)
        self.context.verify_mode = ssl.CERT_REQUIRED

    def reply(self, received, connection):
        subject = dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]
        self.subjects.setdefault(subject, set()).add(connection)
        return answer_bytes()

    def open_connections(self, subject):
        return [c for c in self.subjects.get(subject, ()) if c.fileno() != -1]


class RevocationTest(MintedCase):
    def test_who_is_revoked_has_no_connection_left_at_the_mail_server(self):
        server = MutualServer(self.pki.server, self.root.certificate)
        self.addCleanup(server.stop)
        self.proxy = self.start_proxy("https://localhost:%d" % server.port, self.minted())
        bob, alice = self.phone("bob"), self.phone("alice")
        self.wait_until_in(bob)
        self.wait_until_in(alice)
        self.assertNotEqual(server.open_connections("bob@contoso.test"), [])
        self.ctl("user", "revoke", "bob@contoso.test", "--reason", "phone lost")
        wait_for("the end of bob's connections", lambda: not server.open_connections("bob@contoso.test"), None,
                 self.proxy)
        self.assertNotEqual(server.open_connections("alice@contoso.test"), [])
        count = len(server.whole())
        try:
            self.assertNotEqual(self.sync(bob).status, 200)
        except (client.Closed, OSError):
            pass
        self.assertEqual(len(server.whole()), count)
        self.assertEqual(self.sync(alice).status, 200)


class PinTest(holders_case.HoldersCase):
    """The authority's key itself is looked for in test_login_secrets.py."""

    def test_the_pin_of_a_token_is_in_the_minting_helpers_alone(self):
        root = certificates.self_signed(self.directory, "root", None, ca=True)
        token = Token(self)
        self.add({"PIN": PIN.encode()}, ["eas-minter"], ["eas-minter", holders_case.spawner_of("eas-minter")])
        server = MutualServer(self.pki.server, root.certificate)
        self.addCleanup(server.stop)
        proxy = self.start_proxy("https://localhost:%d" % server.port, {
            "workers": 1, "log": {"level": "debug"},
            "upstream exchange": {"login": "minted-certificate", "headers": None, "ca": self.pki.ca},
            "minted-certificate": {
                "issuer": token.issuer(root, self.path("issuer.pem")), "key-uri": "pkcs11:token=gateway;object=issuer",
                "pkcs11-module": SOFTHSM, "pkcs11-paths": [token.folder], "pin-file": self.write("pin", PIN + "\n")}},
            environment=token.environment)
        phone = self.phone(proxy, "bob")
        proxy.wait_until_answering()
        self.begin_trace(proxy, phone.user)
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200)
        self.assert_held_by_their_holders_alone(proxy)
        self.assert_untold(self.said(proxy, phone, "upstream list"))


if __name__ == "__main__":
    harness.unittest.main()
