"""SIGHUP, SIGTERM and SIGUSR1 while phones sync."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

import client
import harness
import wbxml
from client import PATH, request_bytes
from harness import wait_for
from load import HEADERS, Load, echo
from recorder import answer_bytes

SEARCH = wbxml.encode(wbxml.Node("Search:Search", wbxml.Node(
    "Search:Store", wbxml.Node("Search:Name", "GAL"), wbxml.Node("Search:Query", "bob"))))


def slowly(received, connection):
    if "Cmd=Ping" in received.target:
        while connection.fileno() >= 0:
            time.sleep(0.1)
    if "Cmd=Search" in received.target:
        time.sleep(2)
    return echo(received, connection)


def target(command):
    return PATH + "?Cmd=%s&User=bob%%40contoso.test&DeviceId=D1&DeviceType=T" % command


class ReloadTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder(slowly)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {"drain-time": "3s"})
        self.proxy.wait_until_answering()

    def reload(self, changes=None):
        before = len(self.proxy.lines("reloaded"))
        if changes is not None:
            self.proxy.configure(harness.merge(self.proxy.options, changes))
        self.proxy.signal(signal.SIGHUP)
        wait_for("the reload", lambda: len(self.proxy.lines("reloaded")) > before, None, self.proxy)

    def test_reloads_under_load_drop_no_request(self):
        with Load(self.proxy) as load:
            wait_for("the load to run", lambda: load.right > 50)
            for _ in range(4):
                self.reload()
                time.sleep(1)
            right = load.right
            wait_for("the load to go on", lambda: load.right > right + 50)
        self.assertEqual(load.wrong, [])
        wait_for("the old workers to go", lambda: len(self.proxy.pids("worker")) == 2, None, self.proxy)

    def test_what_is_new_holds_for_the_next_request(self):
        self.reload({"upstream exchange": {"headers": ["X-Mailbox: %{mailbox}", "X-New: %{domain}"]}})
        self.recorder.clear()
        with self.proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        self.assertEqual(self.recorder.whole()[-1].all("X-New"), ["contoso.test"])

    def test_a_request_under_way_is_finished_by_the_old_worker(self):
        with self.proxy.dial("bob") as connection:
            connection.send(request_bytes("POST", target("Search"), HEADERS, SEARCH))
            wait_for("the request at the upstream", lambda: [
                r for r in self.recorder.whole() if "Search" in r.target], None, self.proxy)
            self.reload()
            self.assertEqual(connection.read_answer().status, 200)

    def test_sleeping_pings_are_told_to_ping_again(self):
        lines = [self.enterContext(self.proxy.dial("bob")) for _ in range(6)]
        for number, line in enumerate(lines):
            line.send(request_bytes("POST", target("Ping").replace("=D1", "=D%d" % number), HEADERS,
                                    wbxml.encode(client.ping(600))))
        wait_for("the Pings at the upstream", lambda: len([
            r for r in self.recorder.whole() if "Ping" in r.target]) == 6, None, self.proxy)
        self.reload()
        for line in lines:
            answer = line.read_answer()
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.wbxml().get("Status"), "1")

    def test_a_faulty_configuration_changes_nothing(self):
        with open(self.proxy.config_path, "a", encoding="utf-8") as f:
            f.write("\ncolour = \"blue\"\n")
        with open(self.proxy.config_path, encoding="utf-8") as f:
            lines = f.read().count("\n")
        pids = self.proxy.pids("worker")
        self.proxy.signal(signal.SIGHUP)
        wait_for("the refusal", lambda: self.proxy.lines("reload-failed"), None, self.proxy)
        fault, = self.proxy.lines("configuration-fault")
        self.assertRegex(fault["message"], r"easproxyd\.conf:%d: .*colour" % lines)
        self.assertEqual(self.proxy.pids("worker"), pids)
        with self.proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        self.reload({})

    def test_another_certificate_is_shown_after_a_reload(self):
        other = self.pki.authority("issuing", self.directory).issue(
            "renewed", harness.certificates.general_names(harness.certificates.der(0x82, b"localhost")),
            purpose="serverAuth")

        def serial():
            with self.proxy.dial("bob") as connection:
                return connection.socket.getpeercert()["serialNumber"]
        before = serial()
        self.reload({"listener phones": {"certificate ecdsa": {"chain": other.certificate, "key": other.key}}})
        wait_for("the new certificate", lambda: serial() != before, None, self.proxy)

    def test_a_listener_can_come_and_go(self):
        port = harness.free_port()
        address = self.proxy.options["listener phones"]["address"]
        self.reload({"listener phones": {"address": address + ["127.0.0.1:%d" % port]}})
        self.assertTrue(harness.is_listening(port))
        self.reload({"listener phones": {"address": address}})
        wait_for("the port to close", lambda: not harness.is_listening(port), None, self.proxy)


class StopTest(harness.Case):
    def start_here(self, changes=None, **options):
        self.recorder = self.start_recorder(slowly)
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, changes, **options)
        proxy.wait_until_answering()
        return proxy

    def test_sigterm_finishes_what_is_under_way(self):
        proxy = self.start_here({"drain-time": "10s"})
        with proxy.dial("bob") as connection:
            connection.send(request_bytes("POST", target("Search"), HEADERS, SEARCH))
            wait_for("the request at the upstream", lambda: [
                r for r in self.recorder.whole() if "Search" in r.target], None, proxy)
            proxy.signal(signal.SIGTERM)
            wait_for("the port to close", lambda: not harness.is_listening(proxy.port), 5, proxy)
            self.assertEqual(connection.read_answer().status, 200)
        self.assertEqual(proxy.wait(8), 0)

    def test_sigterm_does_not_wait_for_the_idle(self):
        proxy = self.start_here({"drain-time": "30s"})
        with proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
            proxy.signal(signal.SIGTERM)
            self.assertEqual(proxy.wait(8), 0)

    def test_the_log_file_is_opened_anew_on_sigusr1(self):
        log = self.path("requests.log")
        self.recorder = self.start_recorder()
        proxy = self.start(harness.Proxy(self, "http://127.0.0.1:%d" % self.recorder.port, {"log": {"file": log}}))
        wait_for("easproxyd", lambda: harness.is_listening(proxy.port), None, proxy)
        proxy.wait_until_answering()

        def has_request(path):
            if not os.path.exists(path):
                return False
            with open(path, encoding="utf-8") as f:
                return '"request"' in f.read()
        wait_for("a line in the log", lambda: has_request(log), 5, proxy)
        os.rename(log, log + ".1")
        proxy.signal(signal.SIGUSR1)
        wait_for("the new log", lambda: os.path.exists(log), 5, proxy)

        def asked():
            proxy.wait_until_answering()
            return has_request(log)
        wait_for("a line in the new log", asked, 5, proxy)

    def test_sigusr1_counts_while_it_starts_too(self):
        log = self.path("requests.log")
        self.recorder = self.start_recorder()
        proxy = self.start(harness.Proxy(self, "http://127.0.0.1:%d" % self.recorder.port, {"log": {"file": log}}))
        wait_for("the log", lambda: os.path.exists(log), 5, proxy)
        os.rename(log, log + ".1")
        proxy.signal(signal.SIGUSR1)
        wait_for("the new log", lambda: os.path.exists(log), 5, proxy)

    def test_systemd_s_sockets_and_readiness(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(self.path("notify"))
        notify.settimeout(harness.PATIENCE)
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        self.recorder = self.start_recorder()
        proxy = harness.Proxy.__new__(harness.Proxy)
        proxy.__init__(self, "http://127.0.0.1:%d" % self.recorder.port, {"listener phones": {
            "address": ["127.0.0.1:%d" % listener.getsockname()[1]]}}, arguments=["-t"])
        proxy.wait()
        proxy.port = listener.getsockname()[1]
        with open(proxy.log, "ab") as log:
            proxy.process = subprocess.Popen(
                ["/bin/bash", "-c", "LISTEN_PID=$$ exec \"$@\" 3<&%d" % listener.fileno(), "bash", harness.EASPROXYD,
                 "-c", proxy.config_path], pass_fds=[listener.fileno()], stdout=log, stderr=log, cwd=self.directory,
                env=dict(os.environ, LISTEN_FDS="1", NOTIFY_SOCKET=self.path("notify")))
        self.start(proxy)
        self.assertIn(b"READY=1", notify.recv(4096))
        proxy.wait_until_answering()


class UnprivilegedTest(harness.Case):
    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_children_become_the_configured_user(self):
        recorder = self.start_recorder()
        os.makedirs(self.path("easproxyd.state"))
        shutil.chown(self.path("easproxyd.state"), "nobody", "nogroup")
        os.makedirs(self.path("crl"))
        for name in ("root.crl", "issuing.crl"):
            with open(self.pki.path("crl", name), "rb") as source, open(self.path("crl", name), "wb") as copy:
                copy.write(source.read())
        harness.certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", name + ".pem"), name == "root", "file:" + self.path("crl", name + ".crl"))
            for name in ("root", "issuing")])
        proxy = self.start_proxy("http://127.0.0.1:%d" % recorder.port, {
            "user": "nobody", "trust": {"store": self.path("trust.json")}})
        proxy.wait_until_answering()
        pids = harness.children(proxy.pid)
        self.assertGreaterEqual(len(pids), 5)
        for pid in pids:
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                status = f.read()
            name = re.search(r"^Name:\s+(\S+)", status, re.M).group(1)
            with self.subTest(name):
                self.assertNotIn("\t0", re.search(r"^Uid:(.*)", status, re.M).group(1))
                self.assertNotIn("\t0", re.search(r"^Gid:(.*)", status, re.M).group(1))
                self.assertRegex(status, r"CapEff:\s+0{16}\n")
                self.assertRegex(status, r"CapBnd:\s+\S+")
                self.assertRegex(status, r"NoNewPrivs:\s+1")
                self.assertRegex(status, r"Seccomp:\s+2")


if __name__ == "__main__":
    unittest.main()
