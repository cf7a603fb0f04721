"""What the integration tests share: a private folder per test, free ports, the test PKI, and
programs that are started, waited for and stopped by pid."""
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import certificates
import client
from certificates import Authority, Certificate

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
# Time limits are for the slowest build (sanitizers) on a busy machine.
PATIENCE = float(os.environ.get("EASPROXY_PATIENCE", "20"))


def build_directory():
    """Set by ctest; by hand, the build made last."""
    if os.environ.get("EASPROXY_BUILD"):
        return os.environ["EASPROXY_BUILD"]
    made = glob.glob(os.path.join(ROOT, "build", "*", "proxy", "easproxyd"))
    if not made:
        sys.exit("no build found: set EASPROXY_BUILD, or run scripts/test")
    return os.path.dirname(os.path.dirname(max(made, key=os.path.getmtime)))


BUILD = build_directory()
EASPROXYD = os.path.join(BUILD, "proxy", "easproxyd")
EASPROXYCTL = os.path.join(BUILD, "proxy", "easproxyctl")
EASSIM = os.path.join(BUILD, "tests", "eassim", "eassim")


class Timeout(AssertionError):
    pass


def wait_for(what, condition, seconds=None, *programs):
    """Waits until condition() is true and returns it. On time-out says what for, and shows the ends
    of the programs' logs; a program that has ended meanwhile ends the wait."""
    deadline = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        ended = [p for p in programs if p.process.poll() is not None]
        if ended or time.monotonic() > deadline:
            why = "%s ended" % ended[0].name if ended else "%.0f s passed" % (seconds or PATIENCE)
            raise Timeout("while waiting for %s: %s%s" % (what, why, "".join(p.tail() for p in programs)))
        time.sleep(0.02)


_claims = []


def free_port():
    """A port on which nobody listens, for this process alone until it ends: below those that the kernel
    gives to outgoing connections, and claimed among tests that run at the same time by a name in the
    abstract namespace of UNIX sockets, which needs no file and goes away with the process."""
    for port in random.sample(range(12000, 32000), 2000):
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                claim.bind("\0easproxy-test-port-%d" % port)
                s.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        _claims.append(claim)
        return port
    raise AssertionError("no port between 12000 and 32000 is free")


def is_listening(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def memory_kb(pid, field="VmRSS"):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(re.search(r"^%s:\s+(\d+) kB" % field, f.read(), re.M).group(1))


class Program:
    """A running program, its output in DIRECTORY/NAME.log."""

    def __init__(self, name, arguments, directory, environment=None):
        self.name = name
        self.log = os.path.join(directory, name + ".log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                env=dict(os.environ, **(environment or {})))

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def tail(self, lines=12):
        shown = [line[:400] for line in self.output().splitlines()[-lines:]]
        return "\n--- the end of %s ---\n%s\n" % (self.log, "\n".join(shown))

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=None):
        try:
            return self.process.wait(seconds or PATIENCE)
        except subprocess.TimeoutExpired:
            raise Timeout("%s did not end within %.0f s%s" % (
                self.name, seconds or PATIENCE, self.tail())) from None

    def stop(self):
        """SIGTERM, then SIGKILL to it and to the children it had. Returns the exit status."""
        if self.process.poll() is None:
            family = children(self.pid)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                for pid in family:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        return self.process.returncode


class Pki:
    """The test PKI of scripts/make-pki, made once per build and shared by all tests."""

    def __init__(self):
        self.directory = os.path.join(BUILD, "test-pki")
        subprocess.run([os.path.join(ROOT, "scripts", "make-pki"), self.directory], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        self.ca = self.path("ca.pem")
        self.trust = self.path("trust.json")
        self.server = Certificate(self.path("server.pem"), self.path("server.key"))
        self.server_rsa = Certificate(self.path("server-rsa.pem"), self.path("server-rsa.key"))

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def user(self, name):
        return Certificate(self.path(name + ".pem"), self.path(name + ".key"))

    def authority(self, name, directory):
        """root or issuing, to make odd certificates with, in a directory of the test's own."""
        return Authority(name, self.path("authority", name + ".pem"), self.path("authority", name + ".key"),
                         directory)


def quote(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return "{%s}" % ", ".join(quote(v) for v in value)
    if isinstance(value, int):
        return str(value)
    return '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


def configuration_text(options, depth=0):
    """A nested dict as libconfuse text. A dict under "kind" or "kind title" is a block; a list of
    (key, value) pairs allows a block twice."""
    pairs = options.items() if isinstance(options, dict) else options
    out, indent = [], "\t" * depth
    for key, value in pairs:
        if isinstance(value, dict) or isinstance(value, list) and value and isinstance(value[0], tuple):
            kind, _, title = key.partition(" ")
            head = "%s %s" % (kind, quote(title)) if title else kind
            out.append("%s%s {\n%s%s}\n" % (indent, head, configuration_text(value, depth + 1), indent))
        elif value is not None:
            out.append("%s%s = %s\n" % (indent, key, quote(value)))
    return "".join(out)


def merge(base, changes):
    """base with changes laid over it, blocks into blocks; None takes an option out."""
    out = dict(base)
    for key, value in (changes or {}).items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


class Proxy(Program):
    """easproxyd with a configuration of the test's own on a free port."""

    def __init__(self, case, upstream, changes=None, name="easproxyd", arguments=(), environment=None, wrapper=()):
        self.case, self.port = case, free_port()
        self.config_path = os.path.join(case.directory, name + ".conf")
        self.state = os.path.join(case.directory, name + ".state")
        self.control = os.path.join(self.state, "control.sock")
        os.makedirs(self.state, exist_ok=True)
        urls = [upstream] if isinstance(upstream, str) else list(upstream)
        self.options = merge({
            "user": "",
            "workers": 2,
            "state-directory": self.state,
            "control-socket": self.control,
            "drain-time": "2s",
            "log": {"format": "json", "level": "info"},
            "listener phones": {
                "address": ["127.0.0.1:%d" % self.port],
                "certificate ecdsa": {"chain": case.pki.server.certificate, "key": case.pki.server.key},
            },
            "trust": {"store": case.pki.trust},
            "mailbox": {"domains": ["contoso.test"]},
            # Tests are in more of a hurry than phones; test_governor.py sets what it is about.
            "activesync": {"heartbeat-min": "1s", "storm-rate": 0, "loop-repeats": 0, "request-rate": 0},
            "upstream exchange": {
                "endpoints": urls,
                "login": "header",
                "headers": ["X-Mailbox: %{mailbox}"],
            },
        }, changes)
        # CMakeLists.txt has all tests run both ways.
        if os.environ.get("EASPROXY_TEST_DEEP_SLEEP") == "off":
            self.options.setdefault("deep-sleep", "off")
        self.configure(self.options)
        super().__init__(name, [*wrapper, EASPROXYD, "-c", self.config_path, *arguments], case.directory, environment)

    def configure(self, options):
        self.options = options
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(configuration_text(options))

    def settled_output(self):
        """A worker writes the lines of a turn of its loop together, at its end: what a phone has seen happen may
        not be in the log yet."""
        text = self.output()
        for _ in range(10):
            time.sleep(0.1)
            before, text = text, self.output()
            if text == before:
                break
        return text

    def lines(self, event=None, **fields):
        """Log lines as dicts, those of an event and with these fields."""
        out = []
        for text in self.settled_output().splitlines():
            if text.startswith("{"):
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if (event is None or line.get("event") == event) and all(
                        line.get(k) == v for k, v in fields.items()):
                    out.append(line)
        return out

    def pids(self, role):
        """Of the children of that role: worker, revocation, identity, control."""
        found = []
        for pid in children(self.pid):
            try:
                with open("/proc/%d/comm" % pid, encoding="ascii") as f:
                    if f.read().startswith("eas-" + role[:7]):
                        found.append(pid)
            except OSError:
                pass
        return found

    def wait_until_answering(self, user="bob"):
        """Until the CRLs are loaded and the upstream is there."""
        def answers():
            try:
                with self.dial(user) as connection:
                    return connection.request("OPTIONS", client.PATH).status == 200
            except (client.Closed, OSError):
                return False
        wait_for("%s to get in" % user, answers, None, self)

    def dial(self, user=None, certificate=None, timeout=None, source=None, **options):
        """A TLS connection as that user, or with that certificate, or without any."""
        certificate = certificate or (self.case.pki.user(user) if user else None)
        context = client.tls_context(self.case.pki.ca, certificate, **options)
        return client.Connection(self.port, context, timeout=timeout or PATIENCE, source=source)

    def phone(self, user, **options):
        return client.Device(lambda: self.dial(user), user + "@contoso.test", **options)


class Case(unittest.TestCase):
    """A test with a folder of its own, which is kept when the test fails."""

    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()

    def setUp(self):
        # Short and open to other users: UNIX sockets live here, and servers under users of their own.
        self.directory = tempfile.mkdtemp(prefix="easproxy-")
        os.chmod(self.directory, 0o755)
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        if getattr(self, "_outcome", None) and not self._has_failed():
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            print("logs are kept in %s" % self.directory, file=sys.stderr)

    def _has_failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in getattr(result, "failures", []) + getattr(result, "errors", []))

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self, program):
        self.addCleanup(program.stop)
        return program

    def start_proxy(self, upstream, changes=None, **options):
        self.proxies = getattr(self, "proxies", 0) + 1
        options.setdefault("name", "easproxyd" if self.proxies == 1 else "easproxyd-%d" % self.proxies)
        proxy = self.start(Proxy(self, upstream, changes, **options))
        wait_for("easproxyd to be ready", lambda: proxy.lines("ready"), None, proxy)
        return proxy

    def start_recorder(self, answer=None, **options):
        from recorder import Recorder
        recorder = Recorder(answer, **options)
        self.addCleanup(recorder.stop)
        return recorder


__all__ = ["Case", "Certificate", "EASPROXYCTL", "EASPROXYD", "EASSIM", "PATIENCE", "Pki", "Program", "Proxy",
           "ROOT", "BUILD", "Timeout", "certificates", "children", "client", "configuration_text", "free_port",
           "is_listening", "memory_kb", "merge", "wait_for"]
