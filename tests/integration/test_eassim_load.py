"""eassim load through easproxyd to eassim serve --bench: each mode ends with every answer right, and
what is spoilt on the way is noticed, so that a benchmark can rely on both."""
import json
import subprocess
import unittest

import client
import harness
from harness import EASSIM, PATIENCE, Case, Program, free_port, is_listening, wait_for


class BenchCase(Case):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.server = self.start_server(self.port)

    def start_server(self, port, *options):
        server = self.start(Program("eassim-serve-%d" % port, [
            EASSIM, "serve", "--bench", "--listen", "127.0.0.1:%d" % port,
            "--mailbox-header", "X-Mailbox", *options], self.directory))
        wait_for("eassim serve --bench", lambda: is_listening(port), None, server)
        return server

    def proxy_before(self, *urls, **changes):
        urls = urls or ["http://127.0.0.1:%d" % self.port]
        changes.setdefault("limits", {"connections-per-source": 10000})
        proxy = self.start_proxy(list(urls), changes)
        proxy.wait_until_answering()
        return proxy

    def admin(self, method, target, context=None):
        with client.Connection(self.port, context) as connection:
            return json.loads(connection.request(method, target).body)

    def stats(self):
        return self.admin("GET", "/eassim/stats")

    def bob(self):
        bob = self.pki.user("bob")
        return ["--cert", bob.certificate, "--key", bob.key]

    def many(self, phones):
        return ["--issuer", self.pki.path("authority", "issuing.pem"), "--issuer-key",
                self.pki.path("authority", "issuing.key"), "--phones", str(phones)]

    def arguments(self, proxy, *options):
        return [EASSIM, "load", "--connect", "127.0.0.1:%d" % proxy.port, "--ca", self.pki.ca, *options]

    def load(self, proxy, *options, status=0, timeout=PATIENCE * 3):
        """The result, after the exit status was as expected."""
        done = subprocess.run(self.arguments(proxy, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        self.assertEqual(done.returncode, status, (done.stdout, done.stderr))
        return json.loads(done.stdout.splitlines()[-1])


class TestRounds(BenchCase):
    def test_handshakes_of_one_phone_and_of_many(self):
        proxy = self.proxy_before()
        result = self.load(proxy, *self.bob(), "handshakes", "--count", "20", "--warm-up", "5")
        self.assertEqual((result["count"], result["right"], result["handshakes"]), (20, 20, 20))
        result = self.load(proxy, *self.many(10), "handshakes", "--count", "25", "--connections", "3")
        self.assertEqual((result["right"], result["wrong"], result["errors"]), (25, 0, {}))
        users = {line["mailbox"] for line in proxy.lines("request")}
        self.assertEqual(users - {"bob@contoso.test"}, {"phone%d@contoso.test" % n for n in range(10)})

    def test_both_versions_of_tls_and_long_certificates_of_both_kinds_of_keys(self):
        proxy = self.proxy_before()
        for version, name in (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
            for kind in ("ec", "rsa"):
                before = len(proxy.lines("request", tls=name))
                result = self.load(proxy, *self.many(4), "--key-type", kind, "--size", "2000", "--intermediates",
                                   self.pki.path("authority", "root.pem"), "--tls", version, "--sources",
                                   "127.0.0.2-127.0.0.4", "handshakes", "--count", "6")
                self.assertEqual(result["right"], 6, result)
                wait_for("the log", lambda: len(proxy.lines("request", tls=name)) == before + 6, None, proxy)  # pylint: disable=cell-var-from-loop
        sources = {line["client"] for line in proxy.lines("request", method="OPTIONS")}
        self.assertLessEqual({"127.0.0.2", "127.0.0.3", "127.0.0.4"}, sources)

    def test_requests_of_each_kind_come_once_and_are_answered_right(self):
        proxy = self.proxy_before()
        for kind, command, count in (("sync200", "Sync", 200), ("answer100k", "Sync", 40),
                                     ("foldersync", "FolderSync", 20), ("sendmail5m", "SendMail", 3)):
            before = self.stats()
            result = self.load(proxy, *self.bob(), "requests", "--kind", kind, "--count", str(count),
                               "--connections", "4", "--warm-up", "2")
            after = self.stats()
            self.assertEqual((result["right"], result["wrong"]), (count, 0), result)
            # Nothing was lost and nothing came twice: 4 to connect and 2 to warm up came before.
            self.assertEqual(after["commands"][command] - before["commands"][command], count + 6)
        self.assertEqual(self.stats()["malformed"], 0)

    def test_over_https_to_the_upstream(self):
        port = free_port()
        self.start_server(port, "--tls-cert", self.pki.server.certificate, "--tls-key", self.pki.server.key)
        proxy = self.proxy_before("https://127.0.0.1:%d" % port,
                                  **{"upstream exchange": {"ca": self.pki.ca}})
        for kind, count in (("sync200", 50), ("answer100k", 10), ("sendmail5m", 2)):
            result = self.load(proxy, *self.bob(), "requests", "--kind", kind, "--count", str(count),
                               "--connections", "2")
            self.assertEqual((result["right"], result["wrong"]), (count, 0), result)

    def test_an_untrusted_server_and_a_refused_phone_are_told_apart(self):
        proxy = self.proxy_before()
        result = self.load(proxy, "--ca", self.pki.user("bob").certificate, *self.bob(), "handshakes", "--count",
                           "2", status=1)
        self.assertEqual(result["errors"], {"untrusted": 2})
        carol = self.pki.user("carol")
        result = self.load(proxy, "--cert", carol.certificate, "--key", carol.key, "handshakes", "--count", "2",
                           status=1)
        self.assertEqual(result["errors"], {"refused": 2}, result)

    def test_wrong_options_are_refused(self):
        proxy = self.proxy_before()
        for options in (["requests"], [*self.bob(), "dance"], [*self.bob()], [*self.bob(), "requests", "park"],
                        [*self.bob(), "requests", "--kind", "sync2"], [*self.bob(), "park", "--sources", "x"]):
            done = subprocess.run(self.arguments(proxy, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""), options)
            self.assertIn(b"eassim load: ", done.stderr)

    def test_what_is_said_of_a_wrong_value_names_its_option(self):
        proxy = self.proxy_before()
        for option, value, said in (("--count", "many", "many is not a number from 1 to 1000000000"),
                                    ("--warm-up", "-1", "-1 is not a number from 0 to 1000000000"),
                                    ("--tls", "1.1", "1.1 is neither 1.2 nor 1.3"),
                                    ("--key-type", "dsa", "dsa is neither ec nor rsa"),
                                    ("--kind", "ping", "ping is none of sync200, answer100k, foldersync and sendmail5m"),
                                    ("--sources", "::1", "::1: not addresses, as 127.0.0.2-127.0.0.20")):
            done = subprocess.run(self.arguments(proxy, *self.bob(), "requests", option, value), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr.decode()),
                             (2, b"", "eassim load: %s: %s\n" % (option, said)))


class TestNotices(BenchCase):
    """Each fault of the upstream's, once, among right answers."""

    def spoil(self, kind, command, count=1):
        self.admin("POST", "/eassim/fault?kind=%s&command=%s&count=%d" % (kind, command, count))

    def test_one_flipped_bit(self):
        proxy = self.proxy_before()
        for load, command in (("sync200", "Sync"), ("answer100k", "Sync")):
            self.spoil("flip", command)
            result = self.load(proxy, *self.bob(), "requests", "--kind", load, "--count", "20", "--connections",
                               "1", "--warm-up", "0", status=1)
            # The first one is that which connects.
            self.assertEqual(result["errors"], {"wrong-content": 1}, result)

    def test_cut_dropped_and_malformed_answers(self):
        proxy = self.proxy_before()
        for fault in ("cut", "drop", "garbage", "wbxml", "status"):
            self.spoil(fault, "Sync", 2)
            result = self.load(proxy, *self.bob(), "requests", "--kind", "sync200", "--count", "5", "--connections",
                               "1", status=1)
            self.assertGreaterEqual(result["wrong"], 1, (fault, result))

    def test_an_answer_that_never_comes(self):
        proxy = self.proxy_before()
        self.spoil("hang", "Sync")
        result = self.load(proxy, *self.bob(), "requests", "--kind", "sync200", "--count", "5", "--connections", "1",
                           "--timeout", "1", status=1)
        self.assertEqual(result["errors"], {"timed-out": 1}, result)

    def test_a_changed_request_is_not_taken(self):
        with client.Connection(self.port) as connection:
            answer = connection.request(
                "POST", client.PATH + "?Cmd=SendMail&DeviceType=sendmail5m&DeviceId=A&User=bob",
                [("X-Mailbox", "bob@contoso.test"), ("Content-Type", "application/vnd.ms-sync.wbxml")],
                b"\x03\x01\x6a\x00" + bytes(5000))
        self.assertEqual(answer.status, 400)
        stats = self.stats()
        self.assertEqual((stats["malformed"], stats["mails_sent"]), (1, 0))


class Parked:
    """A running `eassim load park`."""

    def __init__(self, case, proxy, *options):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            case.arguments(proxy, *options, "park"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        case.addCleanup(self.stop)

    def read(self):
        return json.loads(self.process.stdout.readline())

    def say(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command):
        self.say(command)
        return self.read()[command.split()[0]]

    def end(self):
        self.process.stdin.close()
        self.read()
        return self.process.wait(PATIENCE)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()


class TestParked(BenchCase):
    def wait_for_polls(self, count):
        wait_for("%d polls" % count, lambda: self.stats()["polls_waiting"] == count, None, self.server)

    def test_phones_sleep_wake_and_come_back(self):
        proxy = self.proxy_before()
        phones = Parked(self, proxy, *self.many(60), "--count", "60", "--sources", "127.0.0.2-127.0.0.5")
        self.assertEqual(phones.read()["parked"], 60)
        self.wait_for_polls(60)
        self.assertEqual(phones.ask("ping-check")["parked"], 60)

        phones.say("wake")
        self.assertEqual(self.admin("POST", "/eassim/wake"), {"polls": 60})
        woken = phones.read()["wake"]
        self.assertEqual((woken["right"], woken["wrong"], woken["answered"], woken["parked"]), (60, 0, 60, 60))
        self.wait_for_polls(60)

        phones.say("wake idle")
        self.admin("POST", "/eassim/wake?pace=200")
        woken = phones.read()["wake"]
        self.assertEqual((woken["right"], woken["answered"], woken["parked"]), (60, 60, 0))
        back = phones.ask("reconnect")
        self.assertEqual((back["parked"], back["handshakes"], back["wrong"]), (60, 0, 0))

        self.wait_for_polls(60)
        back = phones.ask("reconnect all")
        self.assertEqual((back["parked"], back["handshakes"], back["wrong"]), (60, 60, 0))
        self.wait_for_polls(60)
        stats = self.stats()
        self.assertEqual((stats["commands"]["Ping"], stats["polls_woken"]), (240, 120))
        self.assertEqual(phones.end(), 0)

    def test_phones_come_back_after_a_restart(self):
        proxy = self.proxy_before()
        phones = Parked(self, proxy, *self.many(20), "--count", "20", "--pace", "200")
        self.assertEqual(phones.read()["parked"], 20)
        self.wait_for_polls(20)
        proxy.stop()
        wait_for("the phones to notice", lambda: phones.ask("ping-check")["parked"] == 0)
        again = self.start(harness.Program("easproxyd-again", [harness.EASPROXYD, "-c", proxy.config_path],
                                           self.directory))
        back = phones.ask("reconnect")
        self.assertEqual(back["parked"], 20, back)
        self.wait_for_polls(20)
        self.assertIsNone(again.process.poll())
        self.assertEqual(phones.end(), 1)  # they were lost once

    def test_phones_are_known_before_they_sleep_and_more_and_more_of_them_do(self):
        proxy = self.proxy_before()
        phones = Parked(self, proxy, *self.many(30), "--count", "30", "--warm-up", "30", "--hold")
        visits = phones.read()
        self.assertEqual((visits["warm"], visits["right"], visits["handshakes"]), (30, 30, 30))
        stats = self.stats()
        self.assertEqual((stats["commands"]["Sync"], stats["polls_waiting"]), (30, 0))
        mailboxes = {line["mailbox"] for line in proxy.lines("request", command="Sync")}
        self.assertEqual(len(mailboxes), 30)

        for level in (5, 30):
            phones.say("park %d" % level)
            asleep = phones.read()
            self.assertEqual((asleep["parked"], asleep["phones"], asleep["wrong"]), (level, 30, 0))
            self.wait_for_polls(level)
        phones.say("park 29")
        self.assertIn("30", phones.read()["error"])
        self.assertEqual(phones.end(), 0)

    def test_a_flipped_bit_and_a_missing_answer_are_noticed(self):
        proxy = self.proxy_before()
        phones = Parked(self, proxy, *self.bob(), "--count", "10", "--timeout", "2")
        self.assertEqual(phones.read()["parked"], 10)
        self.wait_for_polls(10)
        self.admin("POST", "/eassim/fault?kind=flip&command=Ping&count=1")
        self.admin("POST", "/eassim/fault?kind=hang&command=Ping&count=1")
        phones.say("wake idle")
        self.admin("POST", "/eassim/wake")
        woken = phones.read()["wake"]
        self.assertEqual((woken["right"], woken["answered"]), (8, 8), woken)
        self.assertEqual(woken["errors"], {"wrong-content": 1})
        self.assertEqual(phones.end(), 1)


if __name__ == "__main__":
    unittest.main()
