"""Logging in on the user's behalf by Kerberos: whom the web server takes a phone for, and what happens where
something is wrong."""
import base64
import collections
import os
import shutil
import subprocess
import time
import unittest

import client
import crls
import harness
from ad.domain import REALM, free_address
from harness import wait_for
from kerberos_case import EXCHANGE, SPN, KerberosCase, connections_to, say_for_whom
from ldap_server import READER as SLAPD_READER
from ldap_server import Slapd
from recorder import Recorder, answer_bytes


class ServersTest(KerberosCase):
    """That the servers do what the other tests take for granted, shown by MIT's and curl's programs."""

    def delegate(self, user, account="svc-easproxy", spn=SPN, **environment):
        """Logs in as that account, and takes a ticket for the user; what kvno complains of."""
        own = "FILE:" + self.path("own")
        self.domain.run("kinit", "-k", "-t", self.domain.keytab_of(account), "-c", own, account, **environment)
        try:
            self.domain.run("kvno", "-c", own, "-I", user, "-P", "--out-cache", "FILE:" + self.path("user"), spn,
                            **environment)
        except RuntimeError as e:
            return str(e)
        return ""

    def fetch(self, httpd, port, *paths):
        """By curl, with the ticket of the last delegate(), over one connection."""
        urls = ["https://%s:%d%s" % (httpd.name, port, path) for path in paths]
        return self.domain.run("curl", "-sS", "--cacert", httpd.ca, "--resolve", "%s:%d:127.0.0.1" % (
            httpd.name, port), "--negotiate", "-u", ":", *urls, KRB5CCNAME="FILE:" + self.path("user"))

    def test_the_web_server_knows_for_whom_the_domain_gave_a_ticket(self):
        httpd = self.start_httpd()
        for count, user in ((0, "alice"), (2, "u1042")):
            self.assertEqual(self.delegate(user), "")
            for port in (httpd.per_request, httpd.bound):
                self.assertEqual(self.fetch(httpd, port, "/a", "/b"), "['%s@CONTOSO.TEST']" % user * 2)
                a, b = httpd.wait_for_requests(count + 2, port=port)[count:]
                self.assertEqual((a["target"], a["status"], a["has_token"], b["peer"]), ("/a", 200, True, a["peer"]))
        context = harness.client.tls_context(httpd.ca)
        with client.Connection(httpd.bound, context, name=httpd.name) as connection:
            answer = connection.request("GET", "/")
        self.assertEqual(answer.status, 401)
        self.assertIn("Negotiate", answer.header("WWW-Authenticate"))

    def test_the_domain_controller_gives_no_ticket_where_it_must_not(self):
        for refused, why in (
                ({"user": "erin"}, "policy rejects"), ({"user": "frank"}, "fulfill requested option"),
                ({"user": "alice", "account": "svc-nodeleg"}, "fulfill requested option"),
                ({"user": "alice", "account": "svc-kerbonly"}, "fulfill requested option"),
                ({"user": "alice", "spn": "HTTP/other.contoso.test"}, "fulfill requested option"),
                ({"user": "alice", "spn": "HTTP/nobody.contoso.test"}, "not found"),
                ({"user": "nobody"}, "not found")):
            with self.subTest(**refused):
                self.assertIn(why, self.delegate(**refused))

    def test_a_relay_makes_the_domain_controller_slow_or_mad(self):
        relay = self.start_relay(delay=0.2)
        config = self.domain.kerberos_config("relay.conf", "127.0.0.1:%d" % relay.port)
        before = time.monotonic()
        self.assertEqual(self.delegate("bob", KRB5_CONFIG=config), "")
        self.assertGreater(time.monotonic() - before, 1)
        for mode in ("reset", "nonsense"):
            with self.subTest(mode):
                relay.mode = mode
                with self.assertRaises(RuntimeError):
                    self.delegate("bob", KRB5_CONFIG=config)
        relay.mode = "mute"
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(["kinit", "-k", "-t", self.domain.keytab_of("svc-easproxy"), "-c", "MEMORY:", "svc-easproxy"],
                           env=dict(os.environ, KRB5_CONFIG=config), timeout=1, check=False)

    def test_a_domain_controller_whose_clock_is_wrong_gives_tickets_of_its_own_time(self):
        """MIT's library goes by the KDC's clock, and does not mind; the web server does."""
        httpd = self.start_httpd()
        self.domain.kill()
        self.domain.start(clock_off_by=600)
        try:
            self.assertEqual(self.delegate("alice"), "")
            self.assertNotIn("alice", self.fetch(httpd, httpd.bound, "/"))
        finally:
            self.domain.kill()
            self.domain.start()



class LoginTest(KerberosCase):
    def test_owners_are_known_to_the_web_server_by_their_accounts(self):
        httpd = self.start_httpd()
        for port in (httpd.bound, httpd.per_request):
            self.start_kerberos(httpd.url(port))
            for certificate, user in (
                    (self.certificate(upn="alice@contoso.test"), "alice"),
                    (self.certificate(mail="alice.adams@contoso.test"), "alice"),
                    (self.certificate(upn="CAROL@contoso.test"), "carol"),
                    (self.certificate(mail="carol.c@mail.contoso.test"), "carol"),
                    (self.certificate(upn="dan.d@mail.contoso.test"), "u1042"),
                    (self.certificate(mail="daniel@contoso.test"), "u1042")):
                self.assert_known_as(certificate, user + "@CONTOSO.TEST")
            self.assertEqual(self.recorder.whole()[-1].all("Authorization"), [])
            self.assertEqual(httpd.requests(port, status=401), [])
            self.proxy.stop()

    def test_an_address_that_becomes_somebody_elses_leads_to_their_account(self):
        """Also on a connection that has been logged in for the one who had it, and is in use all the time."""
        person = "objectClass: user\nsAMAccountName: %s\nuserAccountControl: 66080\n%s"
        address = "mail: hall@contoso.test\nproxyAddresses: SMTP:hall@contoso.test\n"
        self.domain.add("hall-one", person % ("hall-one", address))
        self.domain.add("hall-two", person % ("hall-two", ""))
        hall = self.certificate(mail="hall@contoso.test")
        httpd = self.start_httpd()
        self.start_kerberos(httpd.url(httpd.bound), workers=1, directory=self.directory_options(**{"cache-time": "1s"}))

        def is_reused():
            before = connections_to(httpd.bound)
            self.assert_known_as(hall, "hall-one@CONTOSO.TEST")
            return 0 < before == connections_to(httpd.bound)
        wait_for("a connection to be used again", is_reused, 20, self.proxy)
        self.domain.modify("hall-one", "delete: mail\n-\ndelete: proxyAddresses\n-\n")
        self.domain.modify("hall-two", "".join(
            "add: %s\n%s\n-\n" % (line.partition(":")[0], line) for line in address.splitlines()))
        wait_for("hall to be hall-two", lambda: self.ask(hall).header("X-Remote-User") == "hall-two@CONTOSO.TEST", 20,
                 self.proxy)
        for _ in range(5):
            self.assert_known_as(hall, "hall-two@CONTOSO.TEST")

    def test_a_login_comes_with_the_first_request_and_serves_that_user_alone(self):
        httpd = self.start_httpd()
        self.start_kerberos(httpd.url(httpd.bound), workers=1)
        phones = [(self.certificate(upn="%s@contoso.test" % user), "%s@CONTOSO.TEST" % user)
                  for user in ("alice", "bob", "carol")]
        with self.dial(phones[0][0]) as a, self.dial(phones[1][0]) as b, self.dial(phones[2][0]) as c:
            for _ in range(6):
                for (certificate, user), connection in zip(phones, (a, b, c)):
                    self.assert_known_as(certificate, user, connection)
        served = collections.defaultdict(set)
        for line in httpd.wait_for_requests(18):
            served[line["peer"]].add(line["user"])
            self.assertEqual((line["has_token"], line["status"]), (line["number"] == 0, 200), line)
        self.assertEqual([users for users in served.values() if len(users) > 1], [])

    def test_a_server_that_wants_a_token_with_each_request_is_learned(self):
        httpd = self.start_httpd()
        self.start_kerberos(httpd.url(httpd.per_request), workers=1)
        alice = self.certificate(upn="alice@contoso.test")
        bob = self.certificate(upn="bob@contoso.test")

        def is_refused():
            self.assert_known_as(alice, "alice@CONTOSO.TEST")
            return httpd.requests(status=401)
        wait_for("a connection to be used again", is_refused, None, self.proxy)
        before = len(httpd.requests(status=200))
        for _ in range(10):
            self.assert_known_as(alice, "alice@CONTOSO.TEST")
            self.assert_known_as(bob, "bob@CONTOSO.TEST")
        lines = httpd.wait_for_requests(before + 20, status=200)
        self.assertEqual([line["has_token"] for line in lines[before + 1:]], [True] * (len(lines) - before - 1))
        self.assertEqual([line["has_token"] for line in httpd.requests(status=401)], [False],
                         "it refuses once, and never again")
        self.assertTrue([line for line in httpd.requests(status=200) if line["number"] > 0])

    def test_a_login_that_is_refused_is_renewed_once(self):
        times = {"left": 1}

        def answer(received, connection):
            if times["left"] == 0:
                return say_for_whom(received, connection)
            times["left"] -= 1
            return answer_bytes(401, b"no", [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "NTLM")])

        httpd = self.start_httpd(answer=answer)
        self.start_kerberos(httpd.url(httpd.bound), {"login-failed-time": "0s"})
        alice = self.certificate(upn="alice@contoso.test")
        self.assert_known_as(alice, "alice@CONTOSO.TEST")
        self.assertEqual([(line["status"], line["has_token"]) for line in httpd.wait_for_requests(2)],
                         [(401, True), (200, True)])
        times["left"] = 100
        refused = self.assert_refused(alice, "upstream-login", 502)
        self.assertNotIn(b"no", refused.body[:2])
        self.assertEqual(times["left"], 98, "asked twice, and no more")
        times["left"] = 0
        self.assert_known_as(alice, "alice@CONTOSO.TEST")

    def test_whom_the_kdc_gives_no_ticket_is_refused_and_others_are_not(self):
        httpd = self.start_httpd()
        # Without that attribute the directory does not say who is disabled; the KDC does.
        self.start_kerberos(httpd.url(httpd.bound), {"login-helpers": 1}, directory={"control-attribute": ""})
        # When somebody has got in it is known that it is not our account that may not delegate.
        self.assert_known_as(self.certificate(upn="alice@contoso.test"), "alice@CONTOSO.TEST")
        for user, words in (("frank", ["cannot be delegated"]), ("erin", ["disabled"])):
            with self.subTest(user):
                self.assert_refused(self.certificate(upn=user + "@contoso.test"), "login-refused", 403, words)
        self.assert_known_as(self.certificate(upn="alice@contoso.test"), "alice@CONTOSO.TEST")
        self.assertEqual({line["user"] for line in httpd.requests()}, {"alice@CONTOSO.TEST"})

    def test_a_user_who_may_not_be_delegated_keeps_nobody_out_though_he_comes_first(self):
        """The KDC says of him what it says where our own account may not delegate."""
        httpd = self.start_httpd()
        self.start_kerberos(httpd.url(httpd.bound), {"login-failed-time": "0s"})
        for _ in range(6):
            self.assert_refused(self.certificate(upn="frank@contoso.test"), "login-refused", 403, ["sensitive"])
        self.assert_known_as(self.certificate(upn="alice@contoso.test"), "alice@CONTOSO.TEST")
        self.assertEqual(self.proxy.lines("login-down"), [])

    def test_a_phone_that_is_refused_a_login_is_told_so(self):
        httpd = self.start_httpd()
        self.start_kerberos(httpd.url(httpd.bound))
        phone = client.Device(lambda: self.dial(self.certificate(upn="frank@contoso.test")), "frank@contoso.test")
        self.addCleanup(phone.close)
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 403)

    def test_what_is_wrong_with_our_own_account_is_said(self):
        httpd = self.start_httpd()
        alice = self.certificate(upn="alice@contoso.test")
        # Of the first two the KDC says the same as of a user who may not be delegated.
        for what, realm, spn, refusal, words in (
                ("no delegation", {"account": "svc-nodeleg"}, None, "login-refused", "Delegation tab"),
                ("no protocol transition", {"account": "svc-kerbonly"}, None, "login-refused", "Delegation tab"),
                ("an SPN that nobody has", {}, "HTTP/nobody.contoso.test", "login-unavailable", "setspn"),
                ("an SPN that is not on the list", {}, "HTTP/other.contoso.test", "login-unavailable",
                 "Delegation tab")):
            with self.subTest(what):
                self.start_kerberos(httpd.url(httpd.bound), {"spn": spn}, {REALM: self.realm(**realm)})
                answer = self.assert_refused(alice, refusal, 403 if refusal == "login-refused" else 503, [
                    words, spn or "HTTP/" + EXCHANGE])
                self.assertEqual(answer.header("Retry-After") is None, refusal == "login-refused")
                self.proxy.stop()
        self.assertEqual(httpd.requests(), [])

    def test_a_keytab_of_another_account_is_said_at_the_start(self):
        keytab = self.domain.keytab_of("svc-nodeleg")
        with self.assertRaisesRegex(harness.Timeout, "%s has no key of svc-easproxy@CONTOSO.TEST" % keytab):
            self.start_kerberos("https://127.0.0.1:1", None, {REALM: self.realm(keytab=keytab)})

    def test_a_keytab_that_is_no_longer_true_is_said(self):
        httpd = self.start_httpd()
        domain = self.start_domain()
        keytab = self.path("stale.keytab")
        shutil.copy(domain.keytab_of("svc-easproxy"), keytab)
        domain.set_password("svc-easproxy")
        self.start_kerberos(httpd.url(httpd.bound), None, {REALM: self.realm(domain, keytab=keytab)})
        self.assert_refused(self.certificate(upn="alice@contoso.test"), "login-unavailable", 503, ["key table"])

    def test_a_web_server_with_other_keys_lets_nobody_in(self):
        httpd = self.start_httpd([self.domain.keytab_of("svc-exchange2")])
        self.start_kerberos(httpd.url(httpd.bound))
        self.assert_refused(self.certificate(upn="alice@contoso.test"), "upstream-login", 502)
        self.assertEqual([line["status"] for line in httpd.wait_for_requests(2)], [401, 401])
        self.assertEqual(self.recorder.begun(), [])

    def test_each_endpoint_is_called_by_its_own_name(self):
        first = self.start_httpd()
        second = self.start_httpd([self.domain.keytab_of("svc-exchange2")], name="127.0.0.2", address="127.0.0.2")
        self.start_kerberos([first.url(first.bound), second.url(second.bound)], {"host": None})
        phones = [(self.certificate(upn="%s@contoso.test" % user), "%s@CONTOSO.TEST" % user)
                  for user in ("alice", "bob", "carol")]
        for _ in range(5):
            for certificate, user in phones:
                self.assert_known_as(certificate, user)
        for httpd in (first, second):
            self.assertEqual({line["status"] for line in httpd.requests()}, {200})

    def test_users_of_two_realms_log_in_at_their_own_kdc(self):
        other = self.start_domain(realm="FABRIKAM.TEST", exchange=EXCHANGE)
        # What a global catalogue is in a forest: one directory that has both domains.
        slapd = Slapd(self.folder("slapd"), self.pki.server, self.pki.ca, {
            "alice": {"proxyAddresses": "SMTP:alice@contoso.test", "userPrincipalName": "alice@contoso.test"}}, others={
                "dc=fabrikam,dc=test": {"bob": {"proxyAddresses": "SMTP:bob@fabrikam.test",
                                                "userPrincipalName": "bob@fabrikam.test"}},
                "dc=elsewhere,dc=test": {"eve": {"proxyAddresses": "SMTP:eve@elsewhere.test",
                                                 "userPrincipalName": "eve@elsewhere.test"}}}).start()
        self.addCleanup(slapd.stop)
        httpd = self.start_httpd([domain.keytab_of("svc-exchange") for domain in (self.domain, other)])
        self.start_kerberos(httpd.url(httpd.bound), None, {REALM: self.realm(), other.realm: self.realm(other)},
                            mailbox={"domains": ["contoso.test", "fabrikam.test", "elsewhere.test"]},
                            directory={"urls": [slapd.tls_url], "ca": self.pki.ca, "base": "dc=test",
                                       "bind-name": SLAPD_READER, "bind-password-file": slapd.password_file,
                                       "account-attribute": "uid", "filter": None})
        self.assert_known_as(self.certificate(upn="alice@contoso.test"), "alice@CONTOSO.TEST")
        self.assert_known_as(self.certificate(upn="bob@fabrikam.test"), "bob@FABRIKAM.TEST")
        self.assert_refused(self.certificate(upn="eve@elsewhere.test"), "login-refused", 403, ["ELSEWHERE.TEST"])
        with self.subTest("one KDC is gone, and the other realm's users do not notice"):
            other.kill()
            self.assert_known_as(self.certificate(mail="alice@contoso.test"), "alice@CONTOSO.TEST")

    def test_a_server_that_does_not_prove_itself_is_refused(self):
        alice = self.certificate(upn="alice@contoso.test")
        said = {}

        def answer(received, _):
            fields = [("X-Remote-User", "alice@CONTOSO.TEST")]
            if said["field"]:
                fields.append(("WWW-Authenticate", said["field"]))
            return answer_bytes(200, b"the mail of alice", fields)

        self.domain.make_certificate("fake", EXCHANGE)
        fake = Recorder(answer, certificate=harness.Certificate(self.domain.path("fake.pem"), self.domain.path("fake.key")))
        self.addCleanup(fake.stop)
        self.start_kerberos("https://127.0.0.1:%d" % fake.port)
        httpd = self.start_httpd()
        with client.Connection(httpd.bound, client.tls_context(httpd.ca), name=EXCHANGE) as connection:
            stolen = connection.request("GET", "/").header("WWW-Authenticate")
        for what, field in (("no token", None), ("no token in the field", "Negotiate"),
                            ("random bytes", "Negotiate " + base64.b64encode(os.urandom(150)).decode()),
                            ("no base64", "Negotiate ====="), ("another mechanism", "NTLM TlRMTVNTUAACAAAA"),
                            ("what a real one asks for", stolen),
                            ("half of an answer", "Negotiate oYG3MIG0oAMKAQChCwYJKoZIhvcSAQICooGf")):
            with self.subTest(what):
                said["field"] = field
                answer = self.assert_refused(alice, "upstream-unproven", 502)
                self.assertNotIn(b"the mail of alice", answer.body)
        self.proxy.stop()
        self.start_kerberos("https://127.0.0.1:%d" % fake.port, {"mutual": False})
        said["field"] = None
        self.assertEqual(self.ask(alice).body, b"the mail of alice")

    def test_a_servers_proof_for_one_connection_is_none_for_another(self):
        """A fake in the middle has seen what the real server said to somebody, and says it again."""
        httpd = self.start_httpd()
        self.start_kerberos(httpd.url(httpd.bound))
        alice = self.certificate(upn="alice@contoso.test")
        seen = []

        def answer(received, _):
            if not seen:
                context = client.tls_context(httpd.ca)
                with client.Connection(httpd.bound, context, name=EXCHANGE) as connection:
                    real = connection.request("GET", "/", [("Authorization", received.header("Authorization"))])
                seen.append(real.header("WWW-Authenticate"))
            return answer_bytes(200, b"", [("WWW-Authenticate", seen[0])])

        self.domain.make_certificate("fake", EXCHANGE)
        fake = Recorder(answer, certificate=harness.Certificate(self.domain.path("fake.pem"), self.domain.path("fake.key")))
        self.addCleanup(fake.stop)
        self.proxy.stop()
        self.start_kerberos("https://127.0.0.1:%d" % fake.port)
        self.assertEqual(self.ask(alice).status, 200, "the proof that belongs to the token")
        self.assertIn("Negotiate o", seen[0])
        for _ in range(3):
            fake.hang_up()
            self.assert_refused(alice, "upstream-unproven", 502)


class KeptTicketsTest(KerberosCase):
    """The KDC behind a relay, which counts how often it is asked."""

    def start_counted(self, **changes):
        self.relay = self.start_relay()
        self.httpd = self.start_httpd()
        return self.start_kerberos(self.httpd.url(self.httpd.bound), None, {REALM: self.realm(
            kdcs=["127.0.0.1:%d" % self.relay.port])}, **changes)

    def asked(self, certificate, user):
        """How often the KDC was asked for one request of that owner's."""
        before = self.relay.connections
        self.assert_known_as(certificate, user)
        return self.relay.connections - before

    def test_the_kdc_is_asked_once_for_each_user(self):
        self.start_counted()
        alice, bob = (self.certificate(upn=name + "@contoso.test") for name in ("alice", "bob"))
        self.assertGreaterEqual(self.asked(alice, "alice@CONTOSO.TEST"), 2)
        for certificate in (alice, self.certificate(mail="alice.adams@contoso.test")):
            self.assertEqual(self.asked(certificate, "alice@CONTOSO.TEST"), 0)
        self.assertGreaterEqual(self.asked(bob, "bob@CONTOSO.TEST"), 2)
        self.assertEqual(self.asked(bob, "bob@CONTOSO.TEST"), 0)

    def test_a_ticket_that_is_used_is_renewed_before_it_ends(self):
        # Without `kdcs` it may ask at port 88 alone.
        self.relay, self.httpd = self.start_relay(address=(free_address(), 88)), self.start_httpd()
        config = self.domain.kerberos_config("short.conf", self.relay.address[0], life="15s")
        # Samba takes a ticket of less than two minutes, by its own clock, for one of a change of passwords.
        self.domain.kill()
        self.domain.start(clock_off_by=-240)
        self.addCleanup(self.domain.start)
        self.addCleanup(self.domain.kill)
        self.start_kerberos(self.httpd.url(self.httpd.per_request), None, {REALM: self.realm(kdcs=None)},
                            environment={"KRB5_CONFIG": config})
        alice = self.certificate(upn="alice@contoso.test")
        self.assert_known_as(alice, "alice@CONTOSO.TEST")
        begun, before = time.monotonic(), self.relay.connections

        def is_renewed():
            self.assert_known_as(alice, "alice@CONTOSO.TEST")
            return self.relay.connections > before
        wait_for("the KDC to be asked again", is_renewed, 60, self.proxy)
        self.assertGreater(time.monotonic() - begun, 5, "the ticket was kept until then")
        while time.monotonic() < begun + 20:
            self.assert_known_as(alice, "alice@CONTOSO.TEST")
            time.sleep(0.5)

    def test_a_revoked_users_ticket_is_dropped_at_once(self):
        self.start_counted()
        alice, bob = (self.certificate(upn=name + "@contoso.test") for name in ("alice", "bob"))
        for certificate, user in ((alice, "alice"), (bob, "bob")):
            self.asked(certificate, user + "@CONTOSO.TEST")
        before = connections_to(self.httpd.bound)
        self.assertGreaterEqual(before, 2)
        self.ctl("user", "revoke", "alice@contoso.test")
        wait_for("the connections of alice to end", lambda: connections_to(self.httpd.bound) < before, 5, self.proxy)
        self.ctl("user", "allow", "alice@contoso.test")
        wait_for("alice to be in again", lambda: self.ask(alice).status == 200, 5, self.proxy)
        self.assertEqual(self.asked(bob, "bob@CONTOSO.TEST"), 0, "others keep theirs")
        self.ctl("user", "revoke", "alice@contoso.test")
        self.ctl("user", "allow", "alice@contoso.test")
        before = self.relay.connections
        wait_for("a ticket to be taken anew", lambda: self.ask(alice).status == 200 and
                 self.relay.connections > before, 5, self.proxy)

    def test_the_ticket_of_a_revoked_certificate_is_dropped_at_once(self):
        for name in ("root.crl", "issuing.crl"):
            shutil.copy(self.pki.path("crl", name), self.path(name))
        harness.certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", name + ".pem"), name == "root", "file:" + self.path(name + ".crl"))
            for name in ("root", "issuing")])
        self.start_counted(trust={"store": self.path("trust.json")})
        alice = self.certificate(upn="alice@contoso.test")
        wait_for("the CRLs", lambda: self.ask(alice).status == 200, 10, self.proxy)
        self.assertEqual(connections_to(self.httpd.bound), 1)
        maker = crls.Maker(self.issuing)
        crls.put(self.path("issuing.crl"), maker.make([(alice.certificate, crls.CERTIFICATE_HOLD)], number=1 << 40))
        self.ctl("refresh")
        wait_for("the connection of alice to end", lambda: connections_to(self.httpd.bound) == 0, 10, self.proxy)
        crls.put(self.path("issuing.crl"), maker.make(number=(1 << 40) + 1))
        before = self.relay.connections
        self.ctl("refresh")

        def is_in():
            try:
                return self.ask(alice).status == 200
            except (client.Closed, OSError):
                return False
        wait_for("alice to be in again", is_in, 10, self.proxy)
        self.assertGreater(self.relay.connections, before, "the ticket was kept")


if __name__ == "__main__":
    unittest.main()
