"""Runs `eassim load`, which plays the phones, and `eassim serve --bench`, which plays the mail server; both check what
they are sent byte by byte."""
import contextlib
import json
import os
import select
import subprocess
import time

import accounting
import client
import harness

SOURCES = "127.0.0.2-127.0.0.9"  # so that one upstream port or listener can have more than 28,000 connections


class Upstream:
    """The one mail server behind all proxies, in a process that can hold as many Pings as it may have files."""

    def __init__(self, bench, scheme="http"):
        self.scheme, self.port = scheme, harness.free_port()
        server = bench.material.server
        tls = ["--tls-cert", server.certificate, "--tls-key", server.key] if scheme == "https" else []
        with accounting.pinned(accounting.OTHER_CORES):
            self.program = harness.Program("upstream-" + scheme, [
                harness.EASSIM, "serve", "--bench", "--listen", "127.0.0.1:%d" % self.port, "--quiet", *tls],
                bench.directory)
        self.context = client.tls_context(bench.material.ca) if tls else None
        harness.wait_for("eassim serve --bench", lambda: harness.is_listening(self.port), None, self.program)

    def _ask(self, method, target):
        with client.Connection(self.port, self.context) as connection:
            answer = connection.request(method, target)
        if answer.status != 200:
            raise RuntimeError("%s %s at eassim serve: %r" % (method, target, answer))
        return json.loads(answer.body)

    def polls_waiting(self):
        return self._ask("GET", "/eassim/stats")["polls_waiting"]

    def wake(self, pace=0):
        """Answers the Pings that wait, so many in a second (0: at once). Returns how many there were."""
        return self._ask("POST", "/eassim/wake?pace=%d" % pace)["polls"]

    def stop(self):
        self.program.stop()


class Wrong(AssertionError):
    """An answer was not what it has to be, or did not come."""


class Load:
    """One run of `eassim load` that has warmed up and waits for the word."""

    def __init__(self, bench, server, mode, *arguments, who=(), patience=120):
        self.bench, self.name, self.patience = bench, "eassim load %s at %s" % (mode, server.name), patience
        self.log = open(os.path.join(bench.directory, "load.log"), "ab")  # pylint: disable=consider-using-with
        self.log_begin = self.log.tell()
        command = [harness.EASSIM, "load", "--connect", "127.0.0.1:%d" % server.port, "--ca", bench.material.ca,
                   "--sources", SOURCES, *who, mode, *(str(argument) for argument in arguments)]
        with accounting.pinned(accounting.OTHER_CORES):
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def say(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, patience=None):
        """Its next line."""
        deadline = time.monotonic() + (patience or self.patience)
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else None
            if not data:
                why = "says nothing for %.0f s" % (patience or self.patience) if data is None else "has ended"
                raise Wrong("%s %s: %s" % (self.name, why, self.complaint()))
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        said = json.loads(line)
        if said.get("wrong"):
            raise Wrong("%s: %d of %d answers are wrong: %s" % (
                self.name, said["wrong"], said.get("count", 0), said.get("examples")))
        return said

    def complaint(self):
        """Its last line on standard error; the file goes with the folder of the run."""
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            f.seek(self.log_begin)
            return (f.read().strip() or "without a word").splitlines()[-1]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                file.close()


def measured(bench, server, mode, count, *arguments, who=()):
    """CPU seconds of the server for one of `count` operations, after a warm-up; and what the load says."""
    with Load(bench, server, mode, "--count", count, "--hold", *arguments, who=who) as load:
        load.hear()  # it is warm
        before = server.cpu_seconds()
        load.say("go")
        said = load.hear()
        used = server.cpu_seconds() - before
    if said["right"] != count:
        raise Wrong("%s: %d right answers of %d" % (load.name, said["right"], count))
    return used / count, said


def minted(bench, phones, authority="issuing", *more):  # pylint: disable=keyword-arg-before-vararg
    """Phones of their own, each with a certificate that nobody has seen before this run."""
    material = bench.material
    return ["--issuer", material.certificate(authority), "--issuer-key", material.key(authority),
            "--phones", str(phones), *more]
