"""What tests of secrets stand on: which process may have which of them, a search through all processes, and
through all that easproxyd says."""
import base64
import os
import subprocess

import client
import harness
import peek
from test_trace import Trace

# Has the memory files of all configured files, and gives them to who is started again; it wipes what it reads.
SUPERVISOR = "easproxyd"


def spawner_of(name):
    return "the spawner of " + name


def label_of(pid):
    """A process's name; that of a spawner says of what."""
    name = peek.name_of(pid)
    if name != "eas-spawner":
        return name
    return spawner_of(harness.wait_for("a spawner's helper", lambda: harness.children(pid) and peek.name_of(
        harness.children(pid)[0])))


class Secret:
    def __init__(self, needles, in_memory, in_files, is_configured, is_kept):
        self.needles, self.in_memory, self.in_files = needles, set(in_memory), set(in_files)
        self.is_configured, self.is_kept = is_configured, is_kept


def spellings(needle):
    """As it stands, and as texts write bytes."""
    found = {needle, needle.hex().encode(), needle.hex().upper().encode()}
    for ahead in range(3):
        # Without the characters that depend on what stands before and behind it.
        text = base64.b64encode(bytes(ahead) + needle)[4 if ahead else 0:-4]
        found.update((text, text.replace(b"+", b"-").replace(b"/", b"_")))
    return {spelling for spelling in found if len(spelling) >= 10}


class HoldersCase(harness.Case):
    """A test adds what it gives to easproxyd, and what easproxyd got itself with that; after some traffic it
    looks where all of it is."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            raise RuntimeError("only root may look into other processes: run this as root")
        self.secrets, self.traces = [], []

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def add(self, needles, in_memory, in_files=(), is_configured=True, is_kept=True):
        """needles: what gives it away, {name: bytes}. in_memory: the processes that may have it in their memory;
        if is_kept, one of them must. in_files: those that may have a memory file with it open; if
        is_configured (by a file), all of them must, and the supervisor too."""
        for needle in needles.values():
            self.assertGreaterEqual(len(needle), 12)
        self.secrets.append(Secret(needles, in_memory, in_files, is_configured, is_kept))

    def add_text(self, name, in_memory, in_files, is_kept=True):
        """A secret of one line; the path of its file."""
        text = "%s-%s" % (name, os.urandom(12).hex())
        self.add({name: text.encode()}, in_memory, in_files, is_kept=is_kept)
        return self.write(name, text + "\n")

    def add_key(self, name, path, in_memory, in_files):
        self.add(peek.private_key(name, path), in_memory, in_files)

    def needles(self):
        return {name: needle for secret in self.secrets for name, needle in secret.needles.items()}

    def phone(self, proxy, user, certificate=None):
        phone = client.Device(lambda: proxy.dial(user, certificate), user + "@contoso.test")
        self.addCleanup(phone.close)
        return phone

    def begin_trace(self, proxy, mailbox):
        self.traces.append(Trace(self, proxy, mailbox))

    def said(self, proxy, phone, *commands):
        """Where easproxyd speaks of a phone and of itself: name -> bytes."""
        said = {"log": proxy.output().encode()}
        for number, trace in enumerate(self.traces):
            trace.wait("end")
            said["trace %d" % number] = trace.text
        for command in ("status", "device list", "device show " + phone.id, "device history " + phone.id, "user list",
                        "user show " + phone.user, "seen", "crl list", "policy list -c " + proxy.config_path,
                        *commands):
            for arguments in ([], ["--json"]):
                done = subprocess.run([harness.EASPROXYCTL, *command.split(), *arguments, "-s", proxy.control],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      timeout=60, check=False)
                said[" ".join([command] + arguments)] = done.stdout
        return said

    def assert_untold(self, said):
        for secret in self.secrets:
            for name, needle in secret.needles.items():
                for spelling in spellings(needle):
                    self.assertEqual([where for where, text in said.items() if spelling in text], [], name)

    def assert_held_by_their_holders_alone(self, proxy):
        needles = self.needles()
        memory, files = {}, {}
        for pid in peek.family(proxy.pid):
            process = label_of(pid)
            memory.setdefault(process, set()).update(peek.in_memory(pid, needles))
            files.setdefault(process, set()).update(peek.in_descriptors(pid, needles))
            self.assertEqual(peek.in_proc(pid, needles), set(), process)
            with open("/proc/%d/limits" % pid, encoding="ascii") as f:
                self.assertRegex(f.read(), r"Max core file size +0 +0 ", process)
        for secret in self.secrets:
            names = set(secret.needles)
            having = {process for process, found in memory.items() if found & names}
            self.assertLessEqual(having, secret.in_memory, names)
            if secret.is_kept:
                self.assertNotEqual(having, set(), "nobody has %r: a search that finds nothing is none" % names)
            having = {process for process, found in files.items() if found & names}
            if secret.is_configured:
                self.assertEqual(having, secret.in_files | {SUPERVISOR}, names)
            else:
                self.assertLessEqual(having, secret.in_files, names)
