"""Access tokens for users, from an authorization server (oauth_server.py) that verifies what it is shown; and the signed
field of `assertion`. A phone comes in by its certificate, and what arrives at the mail server is looked at."""
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import unittest
import urllib.request

import client
import harness
import peek
from harness import wait_for
from holders_case import HoldersCase, spawner_of
from ldap_server import BASE, READER, Slapd
from recorder import answer_bytes

HERE = os.path.dirname(os.path.abspath(__file__))
UPN = "http://schemas.xmlsoap.org/claims/UPN"
HELPER, SIGNER = "eas-bearer", "eas-signer"


class OauthServer(harness.Program):
    """Not started by itself, as it may be killed and started again."""

    def __init__(self, case, keys, **changes):
        self.case = case
        self.settings = {
            "port": harness.free_port(), "order_port": harness.free_port(), "issuer": "easproxy",
            "client_id": "easproxy", "client_login": "client_secret_basic", "client_secret": "a-secret-of-two",
            "public_key": keys.public, "users": ["alice@contoso.test", "bob@contoso.test"], "scopes": ["eas.all"],
            "chain": case.pki.server.certificate, "key": case.pki.server.key}
        self.url = "https://localhost:%d/token" % self.settings["port"]
        self.settings.update({"endpoint": self.url, "audience": self.url}, **changes)
        self.runs = 0
        self.begin()

    def begin(self):
        self.runs += 1
        path = self.case.path("oauth.json")
        with open(path, "w", encoding="ascii") as f:
            json.dump(self.settings, f)
        super().__init__("oauth-%d" % self.runs, [sys.executable, "-B", os.path.join(HERE, "oauth_server.py"), path],
                         self.case.directory)
        self.case.addCleanup(self.end)
        wait_for("the authorization server", lambda: harness.is_listening(self.settings["order_port"]) and
                 harness.is_listening(self.settings["port"]), None, self)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _order(self, path, data=None):
        url = "http://127.0.0.1:%d/%s" % (self.settings["order_port"], path)
        with urllib.request.urlopen(url, data, timeout=harness.PATIENCE) as answer:
            return json.load(answer)

    def tell(self, **changes):
        self.settings.update(changes)
        self._order("settings", json.dumps(changes).encode())

    def entries(self, **fields):
        return [entry for entry in self._order("log") if all(entry.get(k) == v for k, v in fields.items())]

    def tokens(self, user):
        return [entry["token"] for entry in self.entries(user=user)]


class Keys:
    """A pair made for the test, with a certificate of its own."""

    def __init__(self, case, kind, name=None):
        name = name or kind
        self.private, self.public, self.certificate = (case.path(name + end) for end in (".key", ".pub", ".pem"))
        options = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}[kind]
        self.run("req", "-x509", "-newkey", *options, "-nodes", "-keyout", self.private, "-out", self.certificate,
                 "-subj", "/CN=easproxy", "-days", "2")
        os.chmod(self.private, 0o600)
        self.run("pkey", "-in", self.private, "-pubout", "-out", self.public)
        der = self.run("x509", "-in", self.certificate, "-outform", "DER")
        self.thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")

    @staticmethod
    def run(*arguments, **options):
        return subprocess.run(["openssl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                              timeout=60, **options).stdout


class BearerWorld:
    """Of a harness.Case."""

    def setUp(self):
        super().setUp()
        self.keys = Keys(self, "rsa")
        self.recorder = self.start_recorder()
        self.upstream = "http://127.0.0.1:%d" % self.recorder.port

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def start_server(self, **changes):
        self.server = OauthServer(self, self.keys, **changes)
        return self.server

    def bearer(self, **changes):
        return dict({"endpoint": self.server.url, "ca": self.pki.ca, "client-id": "easproxy",
                     "client-secret-file": self.write("client-secret", self.server.settings["client_secret"] + "\n"),
                     "key": self.keys.private, "scope": "eas.all"}, **changes)

    def begin(self, bearer=None, upstream=None, **changes):
        self.proxy = self.start_proxy(self.upstream, harness.merge({
            "upstream exchange": dict({"login": "bearer", "login-time": "3s", "login-failed-time": "1s"},
                                      **(upstream or {})),
            "bearer": self.bearer(**(bearer or {}))}, changes))
        return self.proxy

    def ask(self, user="bob"):
        """The answer to an OPTIONS on a connection of its own, and what the mail server was sent for it."""
        before = len(self.recorder.whole())
        with self.proxy.dial(user) as connection:
            answer = connection.request("OPTIONS", client.PATH)
        whole = self.recorder.whole()[before:]
        return answer, whole[-1] if whole else None

    def assert_let_in(self, user="bob"):
        """And with a token that the server has given for that user."""
        answer, received = self.ask(user)
        self.assertEqual(answer.status, 200, self.proxy.tail())
        mailbox = user + "@contoso.test"
        self.assertEqual(received.header("X-Mailbox"), mailbox)
        self.assertEqual(len(received.all("Authorization")), 1)
        scheme, _, token = received.header("Authorization").partition(" ")
        self.assertEqual(scheme, "Bearer")
        self.assertIn(token, self.server.tokens(mailbox))
        return token

    def assert_refused(self, user, status, refusal):
        answer, received = self.ask(user)
        self.assertEqual(answer.status, status, self.proxy.tail())
        self.assertIsNone(received)
        self.assertEqual(answer.header("Retry-After") is not None, status == 503)
        self.assertIsNone(answer.header("WWW-Authenticate"))
        wait_for("a line with refusal " + refusal, lambda: self.proxy.lines(refusal=refusal), 5, self.proxy)

    def wait_until_let_in(self, user="bob"):
        wait_for("%s to be let in" % user, lambda: self.ask(user)[0].status == 200, None, self.proxy)
        return self.assert_let_in(user)


class BearerCase(BearerWorld, harness.Case):
    pass


class TokenTest(BearerCase):
    def test_each_user_gets_a_token_of_their_own(self):
        self.start_server(thumbprint=self.keys.thumbprint, key_id="key 1")
        self.begin({"certificate": self.keys.certificate, "key-id": "key 1"})
        alice, bob = self.assert_let_in("alice"), self.assert_let_in("bob")
        self.assertNotEqual(alice, bob)
        for _ in range(3):
            self.assertEqual(self.assert_let_in("bob"), bob)
            self.assertEqual(self.assert_let_in("alice"), alice)
        given = self.server.entries(grant="jwt-bearer", client_login="client_secret_basic", scope="eas.all")
        self.assertEqual(len(given), len(self.server.entries()))
        # Each of the two workers may have asked, but for a user the server was asked once.
        self.assertEqual(len(given), 2)

    def test_a_client_says_who_it_is_by_an_assertion(self):
        self.keys = Keys(self, "ec")
        self.start_server(client_login="client_assertion_jwt")
        self.begin({"client-secret-file": None, "client-assertion": True, "algorithm": "ES256"})
        self.assert_let_in("bob")
        self.assertEqual(len(self.server.entries(client_login="client_assertion_jwt")), 1)

    def test_a_saml_assertion_is_good_for_a_token(self):
        self.start_server(issuer="https://edge.contoso.test/saml", audience="urn:login:contoso")
        self.begin({"grant": "saml", "certificate": self.keys.certificate, "issuer": "https://edge.contoso.test/saml",
                    "audience": "urn:login:contoso", "name-format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
                    "attributes": ["urn:example:name = %{local-part}", UPN + " = %{upn}"]})
        self.assert_let_in("bob")
        self.assert_let_in("alice")
        self.assertEqual([entry["attributes"] for entry in self.server.entries(
            grant="saml2-bearer", format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")],
            [{"urn:example:name": "bob"}, {"urn:example:name": "alice"}])

    def test_a_saml_assertion_may_be_signed_with_ecdsa(self):
        self.keys = Keys(self, "ec")
        self.start_server()
        self.begin({"grant": "saml", "algorithm": "ES256"})
        self.assert_let_in("bob")

    def test_a_token_is_renewed_before_it_ends(self):
        self.start_server(life=5)
        self.begin()
        seen = {self.assert_let_in("bob")}
        deadline = time.monotonic() + harness.PATIENCE
        while len(seen) < 3 and time.monotonic() < deadline:
            seen.add(self.assert_let_in("bob"))
            time.sleep(0.2)
        self.assertGreaterEqual(len(seen), 3)
        self.assertEqual(self.proxy.lines("login-failed"), [])

    def test_a_token_that_the_mail_server_refuses_is_renewed_once(self):
        refused = set()

        def answer(received, _):
            is_bad = received.header("Authorization") in refused
            return answer_bytes(401, headers=[("WWW-Authenticate", "Bearer")]) if is_bad else answer_bytes()
        self.recorder.answer = answer
        self.start_server()
        self.begin()
        old = self.assert_let_in("bob")
        time.sleep(1.1)  # one that was got within the last second is not got anew
        refused.add("Bearer " + old)
        self.assertNotEqual(self.assert_let_in("bob"), old)
        self.assertEqual(len(self.server.tokens("bob@contoso.test")), 2)
        # And where it takes no token at all, the phone is not asked for a password.
        self.recorder.answer = lambda received, _: answer_bytes(401, headers=[("WWW-Authenticate", "Bearer")])
        answer, _ = self.ask("bob")
        self.assertEqual(answer.status, 502)
        self.assertIsNone(answer.header("WWW-Authenticate"))

    def test_what_a_phone_says_of_itself_is_not_forwarded(self):
        self.start_server()
        self.begin()
        with self.proxy.dial("bob") as connection:
            answer = connection.request("OPTIONS", client.PATH, [("Authorization", "Bearer of-a-thief")])
        self.assertEqual(answer.status, 200)
        self.assertNotIn(b"of-a-thief", self.recorder.raw)


class DirectoryTest(BearerCase):
    """Names that only the directory knows."""

    def test_the_subject_and_attributes_come_from_the_directory(self):
        os.mkdir(self.path("slapd"))
        slapd = Slapd(self.path("slapd"), self.pki.server, self.pki.ca, {
            "bob": {"proxyAddresses": "SMTP:bob@contoso.test", "userPrincipalName": "b.brown@corp.contoso.test"},
            "alice": {"proxyAddresses": "SMTP:alice@contoso.test"}}).start()
        self.addCleanup(slapd.stop)
        self.start_server(users=["b.brown@corp.contoso.test", "bob@contoso.test"])
        directory = {"backend": "ldap", "urls": [slapd.tls_url], "base": BASE, "bind-name": READER, "ca": self.pki.ca,
                     "bind-password-file": slapd.password_file}
        self.begin({"subject": "%{upn}"}, directory=directory)
        answer, received = self.ask("bob")
        self.assertEqual(answer.status, 200, self.proxy.tail())
        self.assertEqual(received.header("Authorization"),
                         "Bearer " + self.server.tokens("b.brown@corp.contoso.test")[0])
        # Who has none is not asked for.
        self.assert_refused("alice", 403, "login-refused")
        self.proxy.stop()
        self.begin({"grant": "saml", "attributes": [UPN + " = %{upn}", "urn:sid = %{sid}"]}, directory=directory)
        self.assert_let_in("bob")
        entry, = self.server.entries(grant="saml2-bearer")
        self.assertEqual(entry["attributes"], {UPN: "b.brown@corp.contoso.test"})


class OperatorTest(BearerCase):
    """What an operator sees of it."""

    def ctl(self, *arguments):
        done = subprocess.run([harness.EASPROXYCTL, "upstream", *arguments, "--json", "-s", self.proxy.control],
                              stdout=subprocess.PIPE, timeout=harness.PATIENCE * 6, check=False)
        return json.loads(done.stdout)

    def test_a_server_that_is_down_and_up_again_is_shown(self):
        self.recorder.answer = lambda received, _: answer_bytes(
            200 if received.header("Authorization") else 401, headers=[("MS-ASProtocolVersions", "16.1")])
        self.start_server()
        self.begin(upstream={"login-time": "1s"})
        steps = {step["step"]: step for step in self.ctl("test", "--as", "bob@contoso.test")["steps"]}
        self.assertTrue(all(step["good"] for step in steps.values()), steps)
        token, = self.server.tokens("bob@contoso.test")
        self.assertNotIn(token, json.dumps(steps))
        self.server.end()

        def is_down():
            self.assertEqual(self.ask("alice")[0].status, 503)
            return self.proxy.lines("login-down", login="bearer")
        wait_for("the server to count as down", is_down, None, self.proxy)
        shown = json.dumps(self.ctl("list"))
        self.assertIn("connecting to the authorization server", shown)
        steps = self.ctl("test", "--as", "alice@contoso.test")["steps"]
        bad = [step for step in steps if not step["good"]]
        self.assertIn("is it up", bad[0]["hint"])
        self.server.begin()
        wait_for("the server to count as up", lambda: self.proxy.lines("login-up"), None, self.proxy)
        self.wait_until_let_in("alice")
        self.assertNotIn("connecting to the authorization server", json.dumps(self.ctl("list")))


class RefusalTest(BearerCase):
    def test_a_user_that_the_server_does_not_know_is_refused_alone(self):
        self.start_server(users=["alice@contoso.test"])
        self.begin()
        self.assert_refused("bob", 403, "login-refused")
        self.assert_let_in("alice")
        # Remembered for a second, and then asked about again.
        self.server.tell(users=["alice@contoso.test", "bob@contoso.test"])
        self.wait_until_let_in("bob")

    def test_a_client_that_the_server_does_not_know_is_told_so_to_the_operator(self):
        self.start_server(client_secret="another one")
        self.begin({"client-secret-file": self.write("wrong", "not-that-one")})
        self.assert_refused("bob", 503, "login-unavailable")
        line = self.proxy.lines("login-failed")[0]
        self.assertIn("invalid_client", line["message"])
        self.assertIn("client-id", line["hint"])
        self.server.tell(client_secret="not-that-one")
        self.wait_until_let_in("bob")

    def test_a_server_of_another_authority_is_not_asked(self):
        self.start_server()
        self.begin({"ca": self.keys.certificate})
        self.assert_refused("bob", 503, "login-unavailable")
        self.assertIn("bearer/ca", self.proxy.lines("login-failed")[0]["hint"])
        self.assertEqual(self.server.entries(), [])

    def test_an_assertion_of_another_key_gets_nothing(self):
        self.start_server()
        self.begin({"key": Keys(self, "rsa", "other").private})
        self.assert_refused("bob", 403, "login-refused")

    def test_a_key_of_the_wrong_kind_is_a_fault_of_the_configuration(self):
        self.start_server()
        proxy = self.start(harness.Proxy(self, self.upstream, {
            "upstream exchange": {"login": "bearer"}, "bearer": self.bearer(key=Keys(self, "ec").private)}))
        self.assertNotEqual(proxy.wait(), 0)
        self.assertIn("RS256 takes an RSA key", proxy.output())


class OutageTest(BearerCase):
    """Whoever has a token goes on, others get 503 with Retry-After, and all is well again by itself."""

    def check(self, break_it, mend_it, **changes):
        self.start_server(**changes)
        self.begin()
        known = self.assert_let_in("alice")
        break_it(self.server)
        self.assert_refused("bob", 503, "login-unavailable")
        self.assertEqual(self.assert_let_in_with_known("alice"), known)
        mend_it(self.server)
        self.wait_until_let_in("bob")

    def assert_let_in_with_known(self, user):
        """The server may not be there to be asked."""
        answer, received = self.ask(user)
        self.assertEqual(answer.status, 200)
        return received.header("Authorization").partition(" ")[2]

    def test_killed(self):
        self.check(lambda server: server.end(), lambda server: server.begin())

    def test_frozen(self):
        self.check(lambda server: server.signal(signal.SIGSTOP), lambda server: server.signal(signal.SIGCONT))

    def test_slow(self):
        self.check(lambda server: server.tell(delay=30), lambda server: server.tell(delay=0))

    def check_answer(self, answer, said):
        self.check(lambda server: server.tell(answer=answer), lambda server: server.tell(answer="ok"))
        self.assertIn(said, "".join(line["message"] for line in self.proxy.lines("login-failed")))

    def test_an_error_of_its_own(self):
        self.check_answer("error", "500")

    def test_nonsense(self):
        self.check_answer("nonsense", "not JSON")

    def test_an_answer_without_an_end(self):
        self.check_answer("oversized", "more than 65536 bytes")

    def test_a_redirect(self):
        self.check_answer("redirect", "redirect")

    def test_a_clock_ten_minutes_ahead(self):
        self.check(lambda server: server.tell(clock=600), lambda server: server.tell(clock=0))
        self.assertIn("NTP", self.proxy.lines("login-failed")[0]["hint"])

    def test_a_clock_ten_minutes_behind(self):
        self.check(lambda server: server.tell(clock=-600), lambda server: server.tell(clock=0))
        self.assertIn("s behind ours", self.proxy.lines("login-failed")[0]["message"])

    def test_with_login_down_refuse_nobody_goes_on(self):
        self.start_server()
        self.begin(upstream={"login-down": "refuse"})
        self.assert_let_in("alice")
        self.server.end()

        def is_down():
            self.assertEqual(self.ask("bob")[0].status, 503)
            return self.proxy.lines("login-down", login="bearer")
        wait_for("the server to count as down", is_down, None, self.proxy)
        self.assert_refused("alice", 503, "login-unavailable")
        self.server.begin()
        wait_for("alice to be let in", lambda: self.ask("alice")[0].status == 200, None, self.proxy)


class SecretTest(BearerWorld, HoldersCase):
    def test_who_has_the_keys_and_who_the_tokens(self):
        self.start_server()
        holders = [spawner_of(HELPER), HELPER]
        with open(self.bearer()["client-secret-file"], encoding="ascii") as f:
            self.add({"client secret": f.read().strip().encode()}, holders, holders)
        self.add_key("key of assertions", self.keys.private, holders, holders)
        self.begin(workers=1, log={"level": "debug"})
        self.begin_trace(self.proxy, "bob@contoso.test")
        phone = self.phone(self.proxy, "bob")
        for _ in range(2):
            self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200, self.proxy.tail())
        token, = self.server.tokens("bob@contoso.test")
        self.add({"token": token.encode()}, ["eas-worker", "eas-identity", HELPER], is_configured=False)
        self.assert_held_by_their_holders_alone(self.proxy)
        self.assert_untold(self.said(self.proxy, phone))

    def test_an_assertion_that_is_sent_back_is_not_shown(self):
        self.start_server(answer="echo")
        self.begin(log={"level": "debug"})
        self.assert_refused("bob", 403, "login-refused")
        self.assertNotIn("eyJ", self.proxy.output())

    def test_who_has_the_key_of_the_signed_field(self):
        holders = [spawner_of(SIGNER), SIGNER]
        self.add_key("key of the field", self.keys.private, holders, holders)
        self.proxy = self.start_proxy(self.upstream, {
            "assertion": {"header": "X-Signed", "algorithm": "RS256", "key": self.keys.private}})
        _, received = self.ask()
        self.assertIsNotNone(received.header("X-Signed"))
        wait_for("helpers", lambda: peek.named(self.proxy.pid, SIGNER), None, self.proxy)
        self.assert_held_by_their_holders_alone(self.proxy)


class AssertionTest(BearerCase):
    """The signed field, with any login."""

    FIELD = "X-Mailbox-Assertion"

    def begin_signing(self, algorithm, key, login="header", **changes):
        self.proxy = self.start_proxy(self.upstream, {
            "upstream exchange": {"login": login},
            "assertion": dict({"header": self.FIELD, "algorithm": algorithm, "key": key, "audience": "mail",
                               "key-id": "k1"}, **changes)})

    @staticmethod
    def decode(part):
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    def field(self, user="bob"):
        answer, received = self.ask(user)
        self.assertEqual(answer.status, 200, self.proxy.tail())
        self.assertEqual(len(received.all(self.FIELD)), 1)
        return received.header(self.FIELD)

    def claims(self, token, algorithm):
        head, body, _ = token.split(".")
        self.assertEqual(json.loads(self.decode(head)), {"alg": algorithm, "typ": "JWT", "kid": "k1"})
        claims = json.loads(self.decode(body))
        self.assertEqual((claims["iss"], claims["aud"]), ("easproxy", "mail"))
        self.assertLessEqual(claims["nbf"], time.time())
        self.assertGreater(claims["exp"], time.time())
        return claims

    def assert_signed(self, token, keys):
        signed, _, signature = token.rpartition(".")
        signature = self.decode(signature)
        if len(signature) == 64:
            # openssl takes the two numbers in DER.
            numbers = [int.from_bytes(signature[at:at + 32], "big") for at in (0, 32)]
            parts = b""
            for number in numbers:
                octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
                parts += b"\x02" + bytes([len(octets)]) + octets
            signature = b"\x30" + bytes([len(parts)]) + parts
        with open(self.path("signature"), "wb") as f:
            f.write(signature)
        Keys.run("dgst", "-sha256", "-verify", keys.public, "-signature", self.path("signature"), input=signed.encode())

    def test_with_hmac(self):
        secret = "0123456789abcdef0123456789abcdef"
        self.begin_signing("HS256", self.write("shared", secret + "\n"))
        token = self.field()
        signed, _, signature = token.rpartition(".")
        self.assertEqual(self.decode(signature), hmac.digest(secret.encode(), signed.encode(), "sha256"))
        self.assertEqual(self.claims(token, "HS256")["sub"], "bob@contoso.test")
        self.assertEqual(self.claims(self.field("alice"), "HS256")["sub"], "alice@contoso.test")

    def test_with_rsa(self):
        self.begin_signing("RS256", self.keys.private, login="none")
        token = self.field()
        self.assert_signed(token, self.keys)
        self.assertEqual(self.claims(token, "RS256")["sub"], "bob@contoso.test")

    def test_with_ecdsa(self):
        keys = Keys(self, "ec")
        self.begin_signing("ES256", keys.private, login="client-cert")
        self.assert_signed(self.field(), keys)

    def test_it_is_signed_anew_before_it_ends(self):
        self.begin_signing("RS256", self.keys.private, life="10s")
        seen = set()

        def renewed():
            token = self.field()
            seen.add(token)
            self.assertGreater(self.claims(token, "RS256")["exp"], time.time())
            return len(seen) > 3  # two workers, twice
        wait_for("it to be signed anew", renewed, 30, self.proxy)

    def test_a_phone_cannot_bring_one(self):
        self.begin_signing("HS256", self.write("shared", "0123456789abcdef0123456789abcdef"))
        forged = self.field("alice")
        self.recorder.clear()
        with self.proxy.dial("bob") as connection:
            answer = connection.request("OPTIONS", client.PATH, [
                (self.FIELD.lower(), forged), (self.FIELD.replace("-", "_"), forged)])
        self.assertEqual(answer.status, 200)
        received = self.recorder.whole()[-1]
        self.assertNotIn(forged.encode(), self.recorder.raw)
        self.assertEqual(self.claims(received.header(self.FIELD), "HS256")["sub"], "bob@contoso.test")


if __name__ == "__main__":
    unittest.main()
