"""A fleet of simulated phones through easproxyd to the stand-in server: they enrol, sleep in Ping,
wake on mail, send, and compare all they get with what their mailboxes hold."""
import json
import os
import signal
import subprocess
import time
import unittest

import client
import harness
from harness import EASSIM, wait_for

PATH = client.PATH


class SyncTest(harness.Case):
    def serve(self, *options):
        self.server_port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % self.server_port, "--quiet", *options], self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(self.server_port), None, server)
        return server

    def proxy_to_server(self, changes=None, headers=("x-webobjects-remote-user: %{mailbox}",), path=""):
        proxy = self.start_proxy("http://127.0.0.1:%d%s" % (self.server_port, path), harness.merge(
            {"upstream exchange": {"headers": list(headers)}}, changes))
        proxy.wait_until_answering()
        return proxy

    def fleet(self, proxy, *options, name="fleet", users="alice,bob"):
        return self.start(harness.Program(name, [
            EASSIM, "run", "--url", "https://localhost:%d%s" % (proxy.port, PATH), "--pki", self.pki.directory,
            "--users", users, "--quiet", "--json", self.path(name + ".json"), *options], self.directory))

    def assert_all_right(self, fleet, seconds=90):
        status = fleet.wait(seconds)
        self.assertEqual(status, 0, fleet.tail(60))
        with open(self.path(fleet.name + ".json"), encoding="utf-8") as f:
            return json.load(f)

    def server(self, method, target):
        with client.Connection(self.server_port) as connection:
            return json.loads(connection.request(method, target).body)

    def test_phones_enrol_sleep_wake_and_send(self):
        self.serve("--require-provision")
        proxy = self.proxy_to_server()
        fleet = self.fleet(proxy, "--devices", "30", "--duration", "6", "--send-rate", "5", "--strict")
        wait_for("sleeping phones", lambda: self.server("GET", "/eassim/stats")["polls_waiting"] >= 20, None, fleet)
        self.server("POST", "/eassim/mail?mailbox=bob%40contoso.test")
        self.assert_all_right(fleet)
        stats = self.server("GET", "/eassim/stats")
        self.assertEqual(stats["devices"], 30)
        self.assertGreater(stats["polls_woken"], 10)
        self.assertGreater(stats["mails_sent"], 5)
        self.assertEqual(stats["mails_undeliverable"], 0)
        for refused in ("refused_without_mailbox", "refused_ambiguous_mailbox", "malformed"):
            self.assertEqual(stats[refused], 0, refused)
        requests = proxy.lines("request")
        self.assertEqual({r.get("mailbox") for r in requests}, {"alice@contoso.test", "bob@contoso.test"})
        for command in ("Provision", "FolderSync", "Sync", "Ping", "SendMail"):
            self.assertTrue([r for r in requests if r.get("command") == command], command)

    def test_every_version_and_query(self):
        self.serve()
        proxy = self.proxy_to_server()
        for version in ("12.1", "14.0", "14.1", "16.0", "16.1"):
            for query in ((), ("--base64",)):
                with self.subTest(version, query=query):
                    fleet = self.fleet(proxy, "--devices", "2", "--duration", "1", "--version", version, "--strict",
                                       *query, name="fleet-%s%s" % (version, len(query)))
                    self.assert_all_right(fleet)

    def test_long_syncs(self):
        self.serve()
        proxy = self.proxy_to_server()
        self.assert_all_right(self.fleet(proxy, "--devices", "6", "--duration", "3", "--poll", "sync", "--strict",
                                         "--send-rate", "3"))

    def test_the_revoked_phone_stays_out(self):
        self.serve()
        proxy = self.proxy_to_server()
        self.server("DELETE", "/eassim/requests")
        self.assert_all_right(self.fleet(proxy, "--devices", "3", "--duration", "1", "--expect-refused", users="carol"))
        self.assertEqual(self.server("GET", "/eassim/requests"), [])
        self.assertTrue(proxy.lines("refused", refusal="certificate-revoked"))

    def test_servers_of_other_kinds(self):
        for name, options, changes, headers in (
                ("chunked answers", ("--chunked",), {}, None),
                ("as SOGo", ("--close", "--no-chunked-requests"), {"request-buffering": True}, None),
                ("XML", ("--xml",), {"body": "xml"}, None),
                ("Client-Cert", ("--mailbox-from", "client-cert"), {"login": "client-cert"}, ())):
            with self.subTest(name):
                self.serve(*options)
                proxy = self.proxy_to_server({"upstream exchange": changes}, *(() if headers is None else (headers,)))
                self.assert_all_right(self.fleet(proxy, "--devices", "4", "--duration", "2", "--send-rate", "4",
                                                 "--strict", name="fleet-" + name.replace(" ", "-")))

    def test_a_master_user_logs_in_for_everybody(self):
        password = self.path("password")
        with open(os.open(password, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
            f.write("secret\n")
        self.serve("--mailbox-from", "basic")
        proxy = self.proxy_to_server({"upstream exchange": {
            "login": "basic", "basic-user": "%{mailbox}*master", "basic-password-file": password}}, ())
        self.assert_all_right(self.fleet(proxy, "--devices", "4", "--duration", "2", "--strict"))

    def test_faulty_answers_harm_nobody(self):
        self.serve()
        proxy = self.proxy_to_server()
        fleet = self.fleet(proxy, "--devices", "8", "--duration", "8", "--send-rate", "2")
        wait_for("phones", lambda: self.server("GET", "/eassim/stats")["devices"] >= 4, None, fleet)
        for kind in ("cut", "drop", "garbage", "slow", "until-close", "chunked"):
            self.server("POST", "/eassim/fault?kind=%s&count=3&command=Sync" % kind)
            time.sleep(0.5)
        self.assert_all_right(fleet)
        self.assertEqual(len(proxy.pids("worker")), 2)
        self.assertFalse(proxy.lines("child-restarted"))

    def test_a_fleet_notices_neither_reloads_nor_kills(self):
        self.serve("--require-provision")
        proxy = self.proxy_to_server({"drain-time": "2s"})
        fleet = self.fleet(proxy, "--devices", "40", "--duration", "12", "--send-rate", "5")
        wait_for("phones", lambda: self.server("GET", "/eassim/stats")["devices"] >= 40, None, fleet)
        for turn in range(2):
            reloaded = len(proxy.lines("reloaded"))
            proxy.signal(signal.SIGHUP)
            wait_for("the reload", lambda n=reloaded: len(proxy.lines("reloaded")) > n, None, proxy)
        for role in ("worker", "identity", "revocation", "control"):
            count = len(proxy.pids(role))
            victim = proxy.pids(role)[-1]
            os.kill(victim, signal.SIGKILL)
            wait_for("another %s" % role, lambda r=role, v=victim: v not in proxy.pids(r) and proxy.pids(r), None,
                     proxy)
            self.assertGreaterEqual(count, 1)
        self.assert_all_right(fleet)
        stats = self.server("GET", "/eassim/stats")
        self.assertEqual(stats["refused_without_mailbox"] + stats["refused_ambiguous_mailbox"], 0)

    def test_a_captured_body_decodes(self):
        """easproxyctl shows what a phone sent."""
        import wbxml
        done = subprocess.run([harness.EASPROXYCTL, "decode"], input=wbxml.encode(client.ping(480, "5")),
                              stdout=subprocess.PIPE, check=True, timeout=20)
        self.assertIn(b"480", done.stdout)


if __name__ == "__main__":
    unittest.main()
