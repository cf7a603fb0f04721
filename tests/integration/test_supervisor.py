"""What the supervisor sees to: that it starts whole or not at all, alone, and answers easproxyctl."""
import functools
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import unittest

import harness
from harness import EASPROXYCTL, EASPROXYD, wait_for


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class SupervisorCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.upstream = "http://127.0.0.1:%d" % self.recorder.port

    def run_again(self, config_path, *arguments):
        """A second easproxyd, which is expected to end by itself: its exit status and its words."""
        result = subprocess.run([EASPROXYD, "-c", config_path, *arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=harness.PATIENCE, check=False)
        return result.returncode, result.stdout

    def ctl(self, proxy, *arguments):
        return subprocess.run([EASPROXYCTL, arguments[0], "-s", proxy.control, *arguments[1:]],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=harness.PATIENCE, check=False)

    def status(self, proxy):
        result = self.ctl(proxy, "status", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)


class StartTest(SupervisorCase):
    def test_ready_says_where_it_listens(self):
        proxy = self.start_proxy(self.upstream)
        ready = proxy.lines("ready")[0]
        self.assertEqual(ready["listen"], "127.0.0.1:%d" % proxy.port)
        self.assertEqual((ready["workers"], ready["generation"], ready["pid"]), (2, 1, proxy.pid))

    def test_an_address_in_use_is_named_and_nothing_starts(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            proxy = self.start(harness.Proxy(self, self.upstream, {
                "listener phones": {"address": ["127.0.0.1:%d" % other.getsockname()[1]]}}))
            self.assertEqual(proxy.wait(), 1)
            self.assertRegex(proxy.output(), r"easproxyd\.conf:\d+: .*binding 127\.0\.0\.1:%d: Address already in use"
                             % other.getsockname()[1])
        self.assertEqual(proxy.lines("ready"), [])

    def test_a_second_one_does_not_join_in(self):
        """SO_REUSEPORT would let it, and it would get half of the phones."""
        proxy = self.start_proxy(self.upstream)
        options = harness.merge(proxy.options, {"control-socket": self.path("other.sock")})
        with open(self.path("second.conf"), "w", encoding="utf-8") as f:
            f.write(harness.configuration_text(options))
        status, output = self.run_again(self.path("second.conf"))
        self.assertEqual(status, 1)
        self.assertIn("Address already in use", output)

    def test_the_control_socket_of_a_living_one_is_left_alone(self):
        proxy = self.start_proxy(self.upstream)
        options = harness.merge(proxy.options, {
            "listener phones": {"address": ["127.0.0.1:%d" % harness.free_port()]}})
        with open(self.path("second.conf"), "w", encoding="utf-8") as f:
            f.write(harness.configuration_text(options))
        status, output = self.run_again(self.path("second.conf"))
        self.assertEqual(status, 1)
        self.assertIn("another easproxyd listens on", output)
        self.assertEqual(self.status(proxy)["pid"], proxy.pid)

    def test_the_control_socket_of_a_dead_one_is_replaced(self):
        first = self.start_proxy(self.upstream)
        first.signal(signal.SIGKILL)
        first.wait()
        self.assertTrue(os.path.exists(first.control))
        second = self.start_proxy(self.upstream, {"control-socket": first.control}, name="second")
        second.control = first.control
        self.assertEqual(self.status(second)["pid"], second.pid)

    def test_the_pid_file_is_locked_and_taken_away(self):
        pid_file = self.path("pid")
        proxy = self.start_proxy(self.upstream, arguments=("--pid-file", pid_file))
        with open(pid_file, encoding="ascii") as f:
            self.assertEqual(f.read(), "%d\n" % proxy.pid)
        other = harness.merge(proxy.options, {"control-socket": self.path("other.sock"), "listener phones": {
            "address": ["127.0.0.1:%d" % harness.free_port()]}})
        with open(self.path("second.conf"), "w", encoding="utf-8") as f:
            f.write(harness.configuration_text(other))
        status, output = self.run_again(self.path("second.conf"), "--pid-file", pid_file)
        self.assertEqual(status, 1)
        self.assertIn("another easproxyd is running", output)
        self.assertEqual(proxy.stop(), 0)
        self.assertFalse(os.path.exists(pid_file))
        self.assertFalse(os.path.exists(proxy.control))

    def test_a_state_directory_that_others_can_write_to_is_refused(self):
        os.makedirs(self.path("open"))
        os.chmod(self.path("open"), 0o777)
        proxy = self.start(harness.Proxy(self, self.upstream, {"state-directory": self.path("open")}))
        self.assertEqual(proxy.wait(), 1)
        self.assertIn("can be written to by others", proxy.output())

    def test_a_crl_comes_over_http_through_the_sandbox(self):
        """Name resolution and download happen in a process that may do little else."""
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(QuietFiles, directory=self.pki.path("crl")))
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        harness.certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", name + ".pem"), name == "root",
             "http://localhost:%d/%s.crl" % (server.server_port, name)) for name in ("root", "issuing")])
        proxy = self.start_proxy(self.upstream, {"trust": {"store": self.path("trust.json")}})
        self.assertEqual([a["state"] for a in self.status(proxy)["authorities"]], ["current", "current"])
        self.assertEqual(proxy.lines("child-died"), [])
        self.assertTrue(os.path.exists(os.path.join(proxy.state, "spool")))
        self.assertEqual(len([n for n in os.listdir(proxy.state) if n.endswith(".base")]), 2)


class ControlTest(SupervisorCase):
    def setUp(self):
        super().setUp()
        self.proxy = self.start_proxy(self.upstream)

    def ask(self, data):
        """What the control socket answers to raw bytes; b"" when it hangs up."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(harness.PATIENCE)
            s.connect(self.proxy.control)
            s.sendall(data)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            return answer

    def test_status_counts_restarts_and_refusals(self):
        victim = self.proxy.pids("identity")[0]
        os.kill(victim, signal.SIGKILL)
        wait_for("another identity process", lambda: self.proxy.pids("identity") not in ([], [victim]), None, self.proxy)
        self.proxy.wait_until_answering()
        with self.assertRaises((harness.client.Closed, OSError)), self.proxy.dial("carol") as connection:
            connection.request("OPTIONS", harness.client.PATH)
        status = self.status(self.proxy)
        self.assertEqual(status["restarts"], {"worker": 0, "revocation": 0, "identity": 1, "control": 0})
        self.assertEqual(status["refusals"].get("certificate-revoked"), 1)
        self.assertGreaterEqual(status["totals"]["handshakes"], 1)
        self.assertEqual([a["entries"] for a in status["authorities"]], [0, 1])
        self.assertEqual(len(status["workers"]), 2)
        text = self.ctl(self.proxy, "status").stdout
        self.assertIn("certificate-revoked", text)
        self.assertRegex(text, r"\n +1  identity\n")

    def test_reload_waits_for_the_new_generation(self):
        before = set(harness.children(self.proxy.pid))
        result = self.ctl(self.proxy, "reload")
        self.assertEqual((result.returncode, result.stdout), (0, "reloaded\n"), result.stderr)
        self.assertEqual(self.status(self.proxy)["generation"], 2)
        wait_for("the old processes to end", lambda: not before & set(harness.children(self.proxy.pid)),
                 None, self.proxy)
        self.assertEqual(len(harness.children(self.proxy.pid)), len(before))

    def test_reload_tells_every_fault_and_changes_nothing(self):
        before = harness.children(self.proxy.pid)
        self.proxy.configure(harness.merge(self.proxy.options, {"workers": "many", "colour": "blue"}))
        result = self.ctl(self.proxy, "reload")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"easproxyd\.conf:\d+: .*workers")
        self.assertRegex(result.stderr, r"easproxyd\.conf:\d+: .*colour")
        self.assertEqual(harness.children(self.proxy.pid), before)
        self.assertEqual(self.status(self.proxy)["generation"], 1)

    def test_refresh_closes_a_door_that_a_new_crl_shuts(self):
        for name in ("root.crl", "issuing.crl"):
            shutil.copy(self.pki.path("crl", name), self.path(name))
        harness.certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", name + ".pem"), name == "root", "file:" + self.path(name + ".crl"))
            for name in ("root", "issuing")])
        proxy = self.start_proxy(self.upstream, {"trust": {"store": self.path("trust.json")}}, name="second")
        with proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", harness.client.PATH).status, 200)
            issuing = self.pki.authority("issuing", self.directory)
            issuing.revoke(self.pki.user("bob"))
            issuing.write_crl(self.path("issuing.crl"))
            self.assertEqual(self.ctl(proxy, "refresh").returncode, 0)
            wait_for("the new CRL", lambda: self.status(proxy)["authorities"][1]["crl_number"]
                     == self.hex_number(issuing.crl_number), None, proxy)
            with self.assertRaises((harness.client.Closed, OSError)):
                connection.request("OPTIONS", harness.client.PATH)
        with self.assertRaises((harness.client.Closed, OSError)), proxy.dial("bob") as connection:
            connection.request("OPTIONS", harness.client.PATH)

    @staticmethod
    def hex_number(number):
        return number.to_bytes((number.bit_length() + 7) // 8, "big").hex()

    def test_nonsense_does_no_harm(self):
        self.assertEqual(json.loads(self.ask(b"format\n")), {"ok": False, "error": "unknown request"})
        self.assertEqual(json.loads(self.ask(b"status\0\n")), {"ok": False, "error": "unknown request"})
        self.assertEqual(self.ask(b"x" * 70000), b"")
        self.assertEqual(json.loads(self.ask(b"\n" * 100)), {"ok": False, "error": "unknown request"})
        for text in (b'{"request": "format"}', b'{"request": 1}', b"{}", b'{"request": "status\\u0000"}'):
            self.assertFalse(json.loads(self.ask(text + b"\n"))["ok"], text)
        self.assertRegex(json.loads(self.ask(b'{"request": "status"\n'))["error"], "the request is not JSON: ")
        self.assertFalse(json.loads(self.ask(b'{"a":' * 5000 + b"\n"))["ok"])
        padded = b'{"request": "status", "padding": "%s"}\n' % (b"x" * 60000)
        self.assertTrue(json.loads(self.ask(padded))["ok"])
        idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for s in idle:
            s.settimeout(5)
            s.setblocking(False)
            try:
                s.connect(self.proxy.control)
            except BlockingIOError:
                break
        for s in idle:
            s.close()
        self.assertEqual(self.status(self.proxy)["restarts"]["control"], 0)

    def test_ctl_says_when_nobody_is_there(self):
        self.proxy.stop()
        result = self.ctl(self.proxy, "status")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"reaching easproxyd on .*: No such file or directory")


if __name__ == "__main__":
    unittest.main()
