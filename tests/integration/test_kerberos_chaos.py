"""A KDC that is killed, halted, slow, mad or ten minutes ahead, and a directory that is no better: known users
go on, strangers are told to come again, and all is well by itself once the trouble is over."""
import collections
import contextlib
import unittest

import peek
from ad.domain import REALM
from chaos_case import ChaosCase, Traffic
from crowd import issue_crowd
from harness import wait_for
from kerberos_case import KerberosCase
from ldap_server import BASE, READER, Slapd
from relay import Relay

CROWD = 60
KNOWN = ("alice", "bob")


def is_own(answer, user):
    return answer.status == 200 and answer.header("X-Remote-User") == user + "@CONTOSO.TEST"


class KerberosChaosTest(ChaosCase, KerberosCase):
    kind = "kerberos"
    domain_options = {"crowd": CROWD}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.strangers = collections.deque(issue_crowd(
            cls.issuing, ["user%d@contoso.test" % n for n in range(CROWD)]).values())

    def begin(self, upstream=None, helpers=None, **changes):
        """The KDC behind a relay; no directory, so that nothing else of the domain is in use."""
        self.relay = self.start_relay()
        self.httpd = self.start_httpd()
        self.start_kerberos(self.httpd.url(self.httpd.bound), dict({
            "login-time": "2s", "login-failed-time": "1s", "login-user": "%{local-part}"}, **upstream or {}),
            {REALM: self.realm(kdcs=["127.0.0.1:%d" % self.relay.port])}, **changes)
        self.known = {user: self.certificate(upn=user + "@contoso.test") for user in KNOWN}
        for user, certificate in self.known.items():
            wait_for(user + " to get in", lambda u=user, c=certificate: is_own(self.knock(c), u), None, self.proxy)
        self.begin_counting(ticket=2, tokens=1, **helpers or {})

    @contextlib.contextmanager
    def relay_set(self, **settings):
        before = {name: getattr(self.relay, name) for name in settings}
        for name, value in settings.items():
            setattr(self.relay, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self.relay, name, value)

    @contextlib.contextmanager
    def killed(self):
        self.domain.kill()
        try:
            yield
        finally:
            self.domain.start()

    @contextlib.contextmanager
    def halted(self):
        self.domain.halt()
        try:
            yield
        finally:
            self.domain.go_on()

    @contextlib.contextmanager
    def gone(self):
        """Nobody listens there."""
        self.relay.stop()
        try:
            yield
        finally:
            self.relay = Relay(self.relay.target, self.relay.address, sized=True)
            self.addCleanup(self.relay.stop)

    def troubles(self):
        return (("killed", self.killed), ("gone", self.gone), ("halted", self.halted),
                ("slow", lambda: self.relay_set(delay=3)), ("mad", lambda: self.relay_set(mode="nonsense")),
                ("breaking off", lambda: self.relay_set(mode="reset")))

    def test_a_sick_kdc_keeps_out_strangers_alone(self):
        self.begin(directory={"backend": None})
        for name, trouble in self.troubles():
            with self.subTest(name), Traffic(self.proxy, self.known, is_own) as traffic:
                helpers = set(peek.named(self.proxy.pid, "eas-ticket"))
                with trouble():
                    self.wait_until_down()
                    for user, certificate in self.known.items():
                        self.assert_known_as(certificate, user + "@CONTOSO.TEST")
                    traffic.wait_until_it_moves()
                    self.assertIn("reason", self.status_of())
                    self.assertRegex(self.listed(), "login kerberos: DOWN")
                    self.wait_until_there_are_no_more()
                self.wait_until_up()
                traffic.wait_until_it_moves()
                if name in ("halted", "slow"):
                    self.assertNotEqual(set(peek.named(self.proxy.pid, "eas-ticket")), helpers, "one hung")
                self.assertEqual(traffic.wrong, [])
        self.assertEqual(self.proxy.lines("child-died"), [])

    def test_known_users_wait_too_where_that_is_configured(self):
        self.begin({"login-down": "refuse"}, directory={"backend": None})
        alice = self.known["alice"]
        with self.killed():
            self.wait_until_down()
            self.assert_told_to_come_again(self.knock(alice))
        self.wait_until_up()
        self.assert_known_as(alice, "alice@CONTOSO.TEST")

    def test_helpers_that_die_are_replaced(self):
        self.begin(directory={"backend": None})
        for name in ("eas-ticket", "eas-tokens", "eas-spawner"):
            with self.subTest(name):
                victims = peek.named(self.proxy.pid, name)
                for victim in victims:
                    peek.kill(victim)
                wait_for("others", lambda n=name, v=victims: len(set(peek.named(self.proxy.pid, n)) - set(v)) == len(v),
                         None, self.proxy)
                for user, certificate in self.known.items():
                    wait_for(user + " to be let in", lambda u=user, c=certificate: is_own(self.knock(c), u), None, self.proxy)
                self.wait_until_up()

    def test_a_clock_that_is_ten_minutes_ahead(self):
        """The KDC's: its tickets are good in ten minutes only, and the web server does not take them."""
        self.begin(directory={"backend": None})
        with Traffic(self.proxy, self.known, is_own) as traffic:
            self.domain.kill()
            self.domain.start(clock_off_by=600)
            stranger = self.strangers.popleft()
            self.assertIn(self.knock(stranger).status, (502, 503))
            traffic.wait_until_it_moves()
            self.domain.kill()
            self.domain.start()
            wait_for("the stranger to get in", lambda: self.knock(stranger).status == 200, 40, self.proxy)
            self.wait_until_up()
            self.assertEqual(traffic.wrong, [])

    def begin_with_directory(self, **changes):
        """The directory is a slapd of its own, behind a relay, and the KDC is well."""
        people = {name: {"proxyAddresses": "SMTP:%s@contoso.test" % name, "userPrincipalName": name + "@contoso.test"}
                  for name in [*KNOWN, *("user%d" % n for n in range(CROWD))]}
        self.slapd = Slapd(self.folder("slapd"), self.pki.server, self.pki.ca, people).start()
        self.addCleanup(self.slapd.stop)
        self.front = Relay(("127.0.0.1", self.slapd.tls_port))
        self.addCleanup(self.front.stop)
        self.begin({"login-user": None}, {"directory": 2}, directory=dict({
            "urls": ["ldaps://127.0.0.1:%d" % self.front.port], "ca": self.pki.ca, "base": BASE, "bind-name": READER,
            "bind-password-file": self.slapd.password_file, "account-attribute": "uid", "filter": None,
            "cache-time": "1s", "connect-time": "1s", "answer-time": "1s", "helpers": 2}, **changes))

    @contextlib.contextmanager
    def front_set(self, **settings):
        for name, value in settings.items():
            setattr(self.front, name, value)
        try:
            yield
        finally:
            self.front.mode, self.front.delay = "pass", 0

    @contextlib.contextmanager
    def slapd_halted(self):
        self.slapd.halt()
        try:
            yield
        finally:
            self.slapd.go_on()

    @contextlib.contextmanager
    def slapd_killed(self):
        self.slapd.stop()
        try:
            yield
        finally:
            self.slapd.start()

    def test_a_sick_directory_keeps_out_strangers_alone(self):
        self.begin_with_directory(**{"when-down": "use-known"})
        for name, trouble in (("killed", self.slapd_killed), ("halted", self.slapd_halted),
                              ("slow", lambda: self.front_set(delay=3)), ("mad", lambda: self.front_set(mode="nonsense"))):
            with self.subTest(name), Traffic(self.proxy, self.known, is_own) as traffic:
                with trouble():
                    self.wait_until_down("directory")
                    for user, certificate in self.known.items():
                        self.assert_known_as(certificate, user + "@CONTOSO.TEST")
                    traffic.wait_until_it_moves()
                    self.wait_until_there_are_no_more()
                self.wait_until_up("directory")
                self.assertEqual(traffic.wrong, [])


if __name__ == "__main__":
    unittest.main()
