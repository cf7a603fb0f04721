"""Who has which secret, and who may look: what easproxyd is given to log in with stays in the process that
needs it, and nobody else reads it there, alive or dead."""
import os
import resource
import signal
import subprocess
import sys
import unittest

import harness
import peek
from harness import wait_for

CORE_PATTERN = "/proc/sys/kernel/core_pattern"
# Of the build with sanitizers: it would keep cores away by itself, and end in an orderly way.
AS_ANY_OTHER = {"ASAN_OPTIONS": "disable_coredump=0:handle_segv=0:detect_leaks=0"}
# Run as another user: which of these files of that process can be read?
LOOK = """
import os, sys
for name in ("environ", "maps", "mem", "fd"):
    path = "/proc/%s/%s" % (sys.argv[1], name)
    try:
        os.listdir(path) if name == "fd" else open(path, "rb").close()
        print(name)
    except PermissionError:
        pass
"""


class LookCase(harness.Case):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            raise RuntimeError("only root may look into other processes: run this as root")
        self.recorder = self.start_recorder()
        self.upstream = "http://127.0.0.1:%d" % self.recorder.port

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)


class PrivacyTest(LookCase):
    """With and without the sandbox."""

    def start_as_nobody(self, *arguments):
        with open(self.pki.trust, encoding="ascii") as f:
            trust = self.write("trust.json", f.read(), 0o644)
        return self.start_proxy(self.upstream, {
            "user": "nobody", "workers": 1, "trust": {"store": trust}, "directory": {
                "backend": "ldap", "urls": ["ldap://127.0.0.1:%d" % harness.free_port()], "base": "dc=test",
                "bind": "none", "helpers": 1}}, arguments=arguments)

    @staticmethod
    def seen_by_nobody(pid):
        done = subprocess.run(["/usr/bin/python3", "-c", LOOK, str(pid)], user="nobody", group="nogroup", extra_groups=[],
                              stdout=subprocess.PIPE, check=True)
        return done.stdout.decode().split()

    def test_others_of_the_same_user_see_nothing(self):
        with subprocess.Popen(["sleep", "60"], user="nobody", group="nogroup", extra_groups=[]) as other:
            try:
                self.assertLessEqual({"environ", "maps", "fd"}, set(self.seen_by_nobody(other.pid)))
            finally:
                other.kill()
        for arguments in ((), ("--no-sandbox",)):
            with self.subTest(arguments=arguments):
                proxy = self.start_as_nobody(*arguments)
                wait_for("a helper of the directory", lambda p=proxy: "eas-directory" in map(
                    peek.name_of, peek.family(p.pid)), None, proxy)
                for pid in peek.family(proxy.pid):
                    self.assertEqual(self.seen_by_nobody(pid), [], peek.name_of(pid))
                    with open("/proc/%d/limits" % pid, encoding="ascii") as f:
                        self.assertRegex(f.read(), r"Max core file size +0 +0 ", peek.name_of(pid))
                proxy.stop()

    def cores(self):
        return [name for name in os.listdir(self.directory) if name.startswith("core")]

    def test_a_crash_leaves_no_core(self):
        with open(CORE_PATTERN, encoding="ascii") as f:
            pattern = f.read().strip()
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # Where cores go to a program or to another folder, whether one was left cannot be seen from here.
        if pattern[:1] not in "|/":
            subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], cwd=self.directory,
                           check=False)
            self.assertEqual(len(self.cores()), 1, pattern)
            os.unlink(self.path(self.cores()[0]))
        # Without a sandbox, which would forbid to write one.
        proxy = self.start_proxy(self.upstream, {"workers": 1}, arguments=("--no-sandbox",),
                                 environment=AS_ANY_OTHER)
        for role in ("worker", "identity", "revocation", "control"):
            victim = proxy.pids(role)[0]
            os.kill(victim, signal.SIGSEGV)
            wait_for("another " + role, lambda r=role, v=victim: proxy.pids(r) not in ([], [v]), None, proxy)
            self.assertEqual(self.cores(), [], role)
        proxy.signal(signal.SIGSEGV)
        self.assertEqual(proxy.wait(), -signal.SIGSEGV)
        self.assertEqual(self.cores(), [])



class Secret:
    """needles: what gives it away, {name: bytes}. in_memory: the processes that may have it in their
    memory, one of which must; in_files: those that have the file open, beside the supervisor, which
    has all files and gives them to who is started again."""

    def __init__(self, needles, in_memory, in_files=None):
        self.needles, self.in_memory = needles, set(in_memory)
        self.in_files = set(in_memory if in_files is None else in_files)


class HoldersTest(LookCase):
    """Each secret is with those that need it, and with nobody else."""

    def setUp(self):
        super().setUp()
        self.secrets = []

    def add(self, needles, *holders, **options):
        self.secrets.append(Secret(needles, holders, **options))

    def add_text(self, name, *holders, **options):
        """A secret of one line; the path of its file."""
        text = "%s-%s" % (name, os.urandom(12).hex())
        self.add({name: text.encode()}, *holders, **options)
        return self.write(name, text + "\n")

    def add_key(self, name, path, *holders):
        self.add(peek.private_key(name, path), *holders)

    def assert_held_by_their_holders_alone(self, proxy):
        needles = {name: needle for secret in self.secrets for name, needle in secret.needles.items()}
        memory, files = {}, {}
        for pid in peek.family(proxy.pid):
            process = peek.name_of(pid)
            memory.setdefault(process, set()).update(peek.in_memory(pid, needles))
            files.setdefault(process, set()).update(peek.in_descriptors(pid, needles))
            self.assertEqual(peek.in_proc(pid, needles), set(), process)
        for secret in self.secrets:
            names = set(secret.needles)
            self.assertLessEqual({p for p, found in memory.items() if found & names}, secret.in_memory, names)
            self.assertEqual({p for p, found in files.items() if found & names}, secret.in_files | {"easproxyd"}, names)
            if secret.in_memory:
                self.assertTrue(any(memory[p] & names for p in secret.in_memory), names)
        text = proxy.output().encode()
        self.assertEqual([name for name, needle in needles.items() if needle in text], [])

    def test_of_all_configurations(self):
        """Passwords are read when they are used, and wiped."""
        self.add_key("ECDSA key", self.pki.server.key, "eas-worker")
        self.add_key("RSA key", self.pki.server_rsa.key, "eas-worker")
        proxy = self.start_proxy(self.upstream, {
            "workers": 1, "log": {"level": "debug"},
            "listener phones": {"certificate rsa": {
                "chain": self.pki.server_rsa.certificate, "key": self.pki.server_rsa.key}},
            "directory": {
                "backend": "ldap", "urls": ["ldap://127.0.0.1:%d" % harness.free_port()], "base": "dc=test", "helpers": 1,
                "bind-name": "cn=reader,dc=test",
                "bind-password-file": self.add_text("bind-password", "eas-spawner", "eas-directory")},
            "upstream exchange": {
                "login": "basic", "basic-user": "%{mailbox}",
                "basic-password-file": self.add_text("basic-password", in_files={"eas-worker"})}})
        wait_for("a helper of the directory", lambda: "eas-directory" in map(
            peek.name_of, peek.family(proxy.pid)), None, proxy)
        self.assert_held_by_their_holders_alone(proxy)


if __name__ == "__main__":
    unittest.main()
