"""easproxyctl upstream test and list where a login has to be got for it: each step, and what is wrong with it."""
import json
import subprocess

import harness
from ad.domain import REALM
from certificates import Certificate
from harness import wait_for
from kerberos_case import EXCHANGE, SPN, KerberosCase
from recorder import answer_bytes
from test_bearer import BearerWorld
from test_minted import MintedCase, Nginx
from test_upstream_cli import VERSIONS, CliCase


class KerberosTest(CliCase, KerberosCase):
    """The same with Samba's domain controller and Apache's mod_auth_gssapi, where Exchange stands."""

    def exchange_by_kerberos(self, **options):
        return self.start_httpd(answer=lambda *_: answer_bytes(200, headers=VERSIONS), **options)

    def way(self, mailbox):
        """Of the proxy that was started last; and that no secret is in it."""
        answer, steps = self.go(self.proxy, mailbox + "@contoso.test")
        self.assertNotRegex(json.dumps(answer), r"[A-Za-z0-9+/]{60}")
        return answer, steps

    def impostor(self):
        self.domain.make_certificate("impostor", EXCHANGE)
        return Certificate(self.domain.path("impostor.pem"), self.domain.path("impostor.key"))

    def login(self):
        return self.list(self.proxy)["logins"][0]

    def test_the_whole_way_to_both_kinds_of_servers(self):
        httpd = self.exchange_by_kerberos()
        urls = ["https://127.0.0.1:%d" % port for port in (httpd.bound, httpd.per_request)]
        self.start_kerberos(urls)
        answer, steps = self.way("daniel")
        self.assertTrue(answer["ok"], answer)
        way = ["directory", "ticket", "connection", "tls", "options", "proof", "anonymous"]
        self.assertEqual([step["step"] for step in answer["steps"]], ["mailbox"] + way + way)
        self.assertIn("u1042@CONTOSO.TEST", steps["directory"]["text"])
        self.assertIn("for HTTP/exchange.contoso.test, until 2", steps["ticket"]["text"])
        self.assertIn("exchange.contoso.test", steps["tls"]["text"])
        self.assertIn("versions 2.5,14.1,16.1", steps["options"]["text"])
        self.assertIn("offered are Negotiate", steps["anonymous"]["text"])
        answer = self.list(self.proxy)
        self.assertEqual((answer["login"], answer["mutual"]), ("kerberos", True))
        self.assertEqual([e["service"] for e in answer["endpoints"]], [SPN, SPN])
        login = answer["logins"][0]
        self.assertEqual((login["login"], login["state"], login["given"], login["cached"]), ("kerberos", "up", 2, 1))
        self.assertGreaterEqual(login["fetched"], 1)
        self.assertGreater(login["fetch_us"], 0)
        # What was got for a test logs no phone in, and what is known for phones shows up.
        with self.dial(self.certificate(mail="daniel@contoso.test")) as connection:
            for _ in range(3):
                self.ask(None, connection)
        login = self.login()
        self.assertGreaterEqual(login["known"], 1)
        text = self.ctl(self.proxy, "list").stdout
        self.assertIn("login kerberos: up", text)
        self.assertIn("ticket for " + SPN, text)

    def test_a_user_who_may_not_be_delegated(self):
        httpd = self.exchange_by_kerberos()
        self.start_kerberos("https://127.0.0.1:%d" % httpd.bound)
        # That others are delegated shows that it is about him.
        self.assertTrue(self.way("alice")[0]["ok"])
        self.recorder.clear()
        answer, steps = self.way("frank")
        self.assertFalse(answer["ok"])
        self.assertFalse(steps["ticket"]["good"])
        self.assertTrue(steps["ticket"]["hint"])
        # The rest of the way is tried as far as it goes without a login.
        self.assertTrue(steps["tls"]["good"])
        self.assertIn("not asked", steps["options"]["text"])
        self.assertEqual(self.recorder.whole(), [])
        self.assertGreaterEqual(self.login()["refused"], 1)

    def test_what_is_not_set_up_is_told(self):
        httpd = self.exchange_by_kerberos()
        url = "https://127.0.0.1:%d" % httpd.bound
        for what, upstream, realm, part in (
                ("no delegation", {}, self.realm(account="svc-nodeleg"), "svc-nodeleg"),
                ("no protocol transition", {}, self.realm(account="svc-kerbonly"), "svc-kerbonly"),
                ("not to that service", {"spn": "HTTP/other.contoso.test"}, self.realm(), "HTTP/other.contoso.test"),
                ("a service that nobody has", {"spn": "HTTP/nobody.contoso.test"}, self.realm(),
                 "HTTP/nobody.contoso.test")):
            with self.subTest(what):
                self.start_kerberos(url, upstream, {REALM: realm})
                answer, steps = self.way("alice")
                self.assertFalse(answer["ok"])
                self.assertFalse(steps["ticket"]["good"], answer)
                self.assertIn(part, steps["ticket"]["text"])
                self.assertTrue(steps["ticket"]["hint"], answer)

    def test_a_server_that_cannot_read_the_ticket(self):
        httpd = self.exchange_by_kerberos(keytabs=[self.domain.keytab_of("svc-nodeleg")])
        self.start_kerberos("https://127.0.0.1:%d" % httpd.bound)
        answer, steps = self.way("alice")
        self.assertFalse(answer["ok"])
        self.assertIn("401", steps["options"]["text"])
        self.assertIn("offered are Negotiate", steps["options"]["text"])
        self.assertIn("upstream/spn", steps["options"]["hint"])

    def test_a_server_that_does_not_prove_who_it_is(self):
        impostor = self.exchange(certificate=self.impostor())
        self.start_kerberos(self.url(impostor, "https"))
        answer, steps = self.way("alice")
        self.assertFalse(answer["ok"])
        self.assertTrue(steps["options"]["good"])
        self.assertIn("no token of the server's", steps["proof"]["text"])
        self.start_kerberos(self.url(impostor, "https"), {"mutual": False})
        answer, steps = self.way("alice")
        self.assertTrue(answer["ok"], answer)
        self.assertNotIn("proof", steps)
        self.assertIn("let in without a login", steps["anonymous"]["text"])

    def test_a_kdc_that_says_nothing_is_down_and_up_again(self):
        httpd = self.exchange_by_kerberos()
        relay = self.start_relay()
        self.start_kerberos("https://127.0.0.1:%d" % httpd.bound,
                            {"login-time": "2s", "login-failed-time": "1s"},
                            {REALM: self.realm(kdcs=["127.0.0.1:%d" % relay.port])})
        wait_for("a login", lambda: self.way("alice")[0]["ok"], None, self.proxy)
        relay.mode = "mute"
        answer, steps = self.way("bob")
        self.assertFalse(answer["ok"])
        self.assertFalse(steps["ticket"]["good"])
        self.assertTrue(steps["ticket"]["hint"], steps)

        def is_down():
            self.way("bob")
            return self.login() if self.login()["state"] == "down" else None
        login = wait_for("the KDC to be down", is_down, None, self.proxy)
        self.assertTrue(login["reason"], login)

        def told(*arguments):
            return subprocess.run([harness.EASPROXYCTL, *arguments, "-s", self.proxy.control], capture_output=True,
                                  text=True, timeout=harness.PATIENCE, check=False).stdout
        status = told("status")
        self.assertRegex(status, r"(?m)^login kerberos: DOWN since 2")
        self.assertIn(login["reason"], status)
        explained = told("explain", self.pki.user("bob").certificate)
        self.assertRegex(explained, r"(?m)^login +kerberos is DOWN: ")
        self.assertIn("upstream test --as bob@contoso.test", explained)
        relay.mode = "pass"
        wait_for("logins to be there again", lambda: self.way("bob")[0]["ok"], None, self.proxy)
        self.assertEqual(self.login()["state"], "up")


class MintedTest(CliCase, MintedCase):
    """Certificates, and nginx that asks for them."""

    def setUp(self):
        super().setUp()
        self.behind.answer = lambda *_: answer_bytes(200, headers=VERSIONS)

    def test_the_whole_way(self):
        self.start_minting()
        answer, steps = self.go(self.proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertEqual([step["step"] for step in answer["steps"]][-5:],
                         ["certificate", "connection", "tls", "options", "anonymous"])
        self.assertIn("refused, as it should be", steps["anonymous"]["text"])
        self.assertNotIn("PRIVATE KEY", json.dumps(answer))
        login = self.list(self.proxy)["logins"][0]
        self.assertEqual((login["login"], login["state"], login["fetched"]), ("minted-certificate", "up", 1))

    def test_a_server_that_does_not_know_the_authority(self):
        self.start_minting(nginx=Nginx(self, self.behind.port, self.pki.ca))
        answer, steps = self.go(self.proxy)
        self.assertFalse(answer["ok"])
        self.assertTrue(steps["certificate"]["good"])
        self.assertIn("minted-certificate/issuer", steps["options"]["hint"])
        self.assertEqual(self.behind.whole(), [])


class BearerTest(BearerWorld, CliCase):
    """Access tokens, and a server that takes those of the authorization server alone."""

    def setUp(self):
        super().setUp()
        self.start_server()

        def answer(received, _):
            if (received.header("Authorization") or "").partition(" ")[2] in self.server.tokens("bob@contoso.test"):
                return answer_bytes(200, headers=VERSIONS)
            return answer_bytes(401, headers=[("WWW-Authenticate", 'Bearer authorization_uri="https://x.test/"')])
        self.recorder.answer = answer

    def test_the_whole_way(self):
        self.begin()
        answer, steps = self.go(self.proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertEqual([step["step"] for step in answer["steps"]][-4:],
                         ["token", "connection", "options", "anonymous"])
        self.assertIn("offered are Bearer", steps["anonymous"]["text"])
        shown = json.dumps(answer) + self.ctl(self.proxy, "list").stdout
        for secret in self.server.tokens("bob@contoso.test") + [self.server.settings["client_secret"]]:
            self.assertNotIn(secret, shown)

    def test_an_authorization_server_that_refuses_or_is_gone(self):
        self.begin()
        answer, steps = self.go(self.proxy, "carol@contoso.test")
        self.assertFalse(answer["ok"])
        self.assertFalse(steps["token"]["good"])
        self.assertTrue(steps["token"]["hint"], steps)
        self.assertTrue(steps["connection"]["good"])
        self.server.end()

        def is_down():
            answer, steps = self.go(self.proxy)
            self.assertFalse(steps["token"]["good"])
            login = self.list(self.proxy)["logins"][0]
            return login if login["state"] == "down" else None
        login = wait_for("logins to be down", is_down, None, self.proxy)
        self.assertTrue(login["reason"], login)
        self.server.begin()
        wait_for("logins to be there again", lambda: self.go(self.proxy)[0]["ok"], None, self.proxy)
        self.assertEqual(self.list(self.proxy)["logins"][0]["state"], "up")

    def test_a_signed_field_beside_a_header(self):
        self.recorder.answer = lambda received, _: answer_bytes(
            200 if received.header("X-Assertion") else 401, headers=VERSIONS)
        proxy = self.start_proxy(self.upstream, {"assertion": {
            "header": "X-Assertion", "key": self.write("shared", "k" * 40)}})
        answer, steps = self.go(proxy)
        self.assertTrue(answer["ok"], answer)
        self.assertTrue(steps["assertion"]["good"])
        self.assertNotIn(self.recorder.whole()[0].header("X-Assertion"), json.dumps(answer))
