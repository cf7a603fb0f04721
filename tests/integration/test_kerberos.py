"""Logging in on the user's behalf by Kerberos: whom the web server takes a phone for, and what happens where
something is wrong."""
import os
import subprocess
import time
import unittest

import client
from kerberos_case import SPN, KerberosCase


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
        for user in ("alice", "u1042"):
            self.assertEqual(self.delegate(user), "")
            for port in (httpd.per_request, httpd.bound):
                self.assertEqual(self.fetch(httpd, port, "/a", "/b"), "['%s@CONTOSO.TEST']" % user * 2)
                a, b = httpd.requests(port)[-2:]
                self.assertEqual((a["target"], a["status"], a["has_token"], b["peer"]), ("/a", 200, True, a["peer"]))
        context = client.tls_context(httpd.ca)
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



if __name__ == "__main__":
    unittest.main()
