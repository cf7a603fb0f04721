"""Which process has which secret of a login by Kerberos: the key table, the ticket-granting ticket, the users'
tickets, and the tokens. Session keys are known from what the KDC has said; whoever has one can use the
ticket that belongs to it."""
import os
import resource
import signal
import unittest

import client
import harness
import kerberos_wire
import peek
from ad.domain import REALM
from harness import wait_for
from holders_case import HoldersCase, spawner_of
from kerberos_case import EXCHANGE, SPN, KerberosCase
from kerberos_wire import AS_REP, FOR_AS_REP, FOR_TICKET, Witness
from recorder import Recorder, answer_bytes

COLD, HOT = "eas-ticket", "eas-tokens"
USERS = ("alice", "bob")


class KerberosSecretsTest(HoldersCase, KerberosCase):
    started = {}

    def start_proxy(self, upstream, changes=None, **options):
        return super().start_proxy(upstream, changes, **{**options, **self.started})

    def start_witnessed(self):
        """The KDC is listened to. A recorder stands for the web server, which would keep to itself what it was
        sent; test_kerberos.py shows that a real one takes it."""
        self.kdc = Witness((self.domain.address, 88))
        self.addCleanup(self.kdc.stop)
        self.domain.make_certificate("endpoint", EXCHANGE)
        self.endpoint = Recorder(lambda received, _: answer_bytes(), certificate=harness.Certificate(
            self.domain.path("endpoint.pem"), self.domain.path("endpoint.key")))
        self.addCleanup(self.endpoint.stop)
        proxy = self.start_kerberos(
            "https://127.0.0.1:%d" % self.endpoint.port, {"mutual": False, "login-helpers": 1},
            {REALM: self.realm(kdcs=["127.0.0.1:%d" % self.kdc.port])}, workers=1, log={"level": "debug"},
            directory={"helpers": 1})
        self.phones = {user: self.phone(proxy, user, self.certificate(upn=user + "@contoso.test")) for user in USERS}
        return proxy

    def use(self, phone):
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200, self.proxy.tail())

    def add_the_keys(self):
        keys = kerberos_wire.keys_in(self.domain.keytab_of("svc-easproxy"))
        self.add({"key of the account %d.%d" % (kind, n): key for kind, list in keys.items()
                  for n, key in enumerate(list)}, [COLD, spawner_of(COLD)], [COLD, spawner_of(COLD)])

    def add_what_the_kdc_said(self):
        ours, exchanges = (kerberos_wire.keys_in(self.domain.keytab_of("svc-" + name))
                           for name in ("easproxy", "exchange"))
        told = set()
        for number, reply in enumerate(self.kdc.replies()):
            if reply.kind == AS_REP:
                told.add("our ticket-granting ticket")
                self.add({"key of the ticket-granting ticket (%d)" % number: reply.session_key(
                    "reply", ours, FOR_AS_REP)}, [COLD], is_configured=False)
            elif reply.service == SPN:
                told.add("a user's ticket")
                self.add({"key of a user's ticket (%d)" % number: reply.session_key("ticket", exchanges, FOR_TICKET)},
                         [COLD, HOT], [COLD, HOT], is_configured=False)
            else:
                told.add("a user's ticket to us")
                self.add({"key of a user's ticket to us (%d)" % number: reply.session_key("ticket", ours, FOR_TICKET)},
                         [COLD], is_configured=False, is_kept=False)
        self.assertEqual(told, {"our ticket-granting ticket", "a user's ticket", "a user's ticket to us"})

    def add_what_the_web_server_was_sent(self):
        tokens = {field.partition(" ")[2] for received in self.endpoint.whole() for field in received.all("Authorization")}
        self.assertGreaterEqual(len(tokens), len(USERS))
        for number, token in enumerate(tokens):
            # Good for one connection; on its way it passes through identity.
            self.add({"token %d" % number: token.encode()[-60:]}, ["eas-worker", "eas-identity", HOT],
                     is_configured=False, is_kept=False)

    def test_each_is_with_those_that_need_it_alone(self):
        proxy = self.start_witnessed()
        self.begin_trace(proxy, "bob@contoso.test")
        for phone in self.phones.values():
            self.use(phone)
            self.use(phone)
        self.add_the_keys()
        self.add_what_the_kdc_said()
        self.add_what_the_web_server_was_sent()
        self.assert_held_by_their_holders_alone(proxy)
        self.assert_untold(self.said(proxy, self.phones["bob"], "upstream list", "upstream test --as bob@contoso.test"))

    def cores(self):
        return [name for name in os.listdir(self.directory) if name.startswith("core")]

    def test_a_crash_of_a_helper_leaves_no_core(self):
        """test_login_secrets.py shows that others leave one here."""
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.started = {"arguments": ("--no-sandbox",), "environment": peek.AS_ANY_OTHER}
        proxy = self.start_witnessed()
        self.use(self.phones["alice"])
        for name in (COLD, HOT):
            victims = set(peek.named(proxy.pid, name))
            self.assertNotEqual(victims, set(), name)
            for victim in victims:
                os.kill(victim, signal.SIGSEGV)
            wait_for("another " + name, lambda n=name, v=victims: set(peek.named(proxy.pid, n)) - v, None, proxy)
            self.assertEqual(self.cores(), [], name)
        self.use(self.phones["alice"])
        self.use(self.phones["bob"])


if __name__ == "__main__":
    unittest.main()
