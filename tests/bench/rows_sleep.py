"""Phones that sleep in Ping: what each takes of user space and of the kernel's slab, how soon all are woken, and how soon all
are back after a restart.

Of user space there are two rows. A phone that is known already has come once before, with the same certificate and device, so
that what it adds when it sleeps is its sleep: the connection, on both sides. A phone never seen before adds, besides, all that is
remembered of it, and that stays when it has gone: its certificate with the verdict about it, its device with the history. One that
is known has to come back to the worker that knows it, so there is one worker there; as many phones as the files of one
process allow.
"""
import time

import accounting
import context
import driver
import harness
import peers
from table import OURS, Row, Target, number

GROUP = "sleeping phones"
WORKERS = 3  # where phones have never been seen before
KNOWN_MAX = 9000
# httpd's event MPM gives each request that waits for the upstream a thread of its own.
APACHE_MAX = 1000
APACHE_NOTE = "no more than %d are tried: each phone that waits holds a thread" % APACHE_MAX
SETTLE_S = 3
WAKE_S, RECONNECT_S = 10, 30
LIMITS = {"http": 1000, "https": 1500}


def levels(bench, scheme, kind, is_known):
    """How many phones sleep, one level after the other."""
    if kind is peers.Apache:
        return [200, APACHE_MAX]
    if bench.is_quick:
        return [200, 600]  # more than come at a time, so that what handshakes need is there at the first level
    is_few = scheme == "https" and kind is not peers.Easproxyd
    if is_known:
        most = min(KNOWN_MAX, (bench.descriptors - 1000) // 2)  # a file for each side, both in one process
        wanted = [1000, 3000] if is_few else [1000, 3000, KNOWN_MAX]
    else:
        most = min(19000, bench.descriptors - 1000)  # the process at the other end has a limit of files, too
        wanted = [1000, 5000] if is_few else [1000, 5000, 19000]
    return sorted({min(level, most) for level in wanted})


class Parked:
    """Phones, of which more and more sleep behind a server; with is_known, all of them have come once before any does,
    a few at a time."""

    def __init__(self, bench, server, most, is_known):
        self.server, self.count, self.upstream = server, 0, server.setup.upstream
        self.load = driver.Load(bench, server, "park", "--count", most, "--warm-up", most if is_known else 0, "--hold",
                                who=driver.minted(bench, most), patience=400)
        try:
            self.load.hear()
        except BaseException:
            self.load.stop()
            raise

    def park(self, count):
        """So many, those who sleep already among them."""
        self.count = count
        self.load.say("park %d" % count)
        self.hear("park")
        self.wait_for_polls(count)

    def wait_for_polls(self, count):
        harness.wait_for("%d Pings of %s at the upstream" % (count, self.server.name),
                         lambda: self.upstream.polls_waiting() == count, 60, *self.server.programs)

    def hear(self, what):
        said = self.load.hear()
        said = said.get(what, said)
        if said["parked"] != self.count:
            raise driver.Wrong("%s: after %s %d of %d phones sleep: %s" % (
                self.load.name, what, said["parked"], self.count, said.get("examples")))
        if what == "wake" and (said["answered"] != self.count or said["wrong"]):
            raise driver.Wrong("%s: %d of %d phones were woken: %s" % (
                self.load.name, said["answered"], self.count, said.get("examples")))
        return said

    def wake(self):
        """All at once, and asleep again: seconds until the last one is, and CPU microseconds of the server for one."""
        before, began = self.server.cpu_seconds(), time.monotonic()
        self.load.say("wake")
        self.upstream.wake()
        self.hear("wake")
        took, used = time.monotonic() - began, self.server.cpu_seconds() - before
        self.wait_for_polls(self.count)
        return took, used * 1e6 / self.count

    def reconnect(self):
        """The server is restarted; seconds from when it answers again until all sleep again."""
        self.server.restart()
        began = time.monotonic()
        self.load.say("reconnect")
        self.hear("reconnect")
        took = time.monotonic() - began
        self.wait_for_polls(self.count)
        return took

    def leave(self):
        """Not every server tells the upstream that a phone has gone: what still waits there is answered."""
        self.load.stop()
        self.upstream.wake()
        self.wait_for_polls(0)


class Findings:
    """Of one server, with one kind of upstream."""

    def __init__(self):
        self.memory, self.slab = {}, {}  # bytes by how many sleep
        self.wake_s = self.wake_us = self.reconnect_s = None
        self.note = None

    def slopes(self):
        """Bytes for each more, from one level to the next: the level itself is not looked at."""
        steps = sorted(self.memory)
        return [(self.memory[b] - self.memory[a]) / (b - a) for a, b in zip(steps, steps[1:])]


def look_at(bench, kind, scheme, is_known):
    """What phones take that have never been there before, with what only the largest crowd tells; or that are known."""
    findings = Findings()
    counts = levels(bench, scheme, kind, is_known)
    server = None
    try:
        server = kind(peers.Setup(bench, bench.material.crls(10), bench.upstream(scheme), phones=counts[-1],
                                  workers=1 if is_known else WORKERS))
        slab = accounting.slab_bytes()  # of the whole machine
        parked = Parked(bench, server, counts[-1], is_known)
        try:
            for count in counts:
                bench.say("%d phones asleep at %s, %s upstream, %s" % (
                    count, kind.name, scheme.upper(), "known already" if is_known else "never seen before"))
                parked.park(count)
                time.sleep(bench.scaled(SETTLE_S, 0.3))
                findings.memory[count] = server.memory_bytes()
                if slab is not None:
                    findings.slab[count] = accounting.slab_bytes() - slab
            if scheme == "http" and not is_known:
                findings.wake_s, findings.wake_us = parked.wake()
                findings.reconnect_s = parked.reconnect()
        finally:
            parked.leave()
    except context.PROBLEMS as e:
        findings.note = context.first_line(e)
    finally:
        if server is not None:
            server.stop()
    return findings


def user_space(bench, scheme, who):
    """The two rows of it, and all that was found of phones never seen before."""
    title = "user space for a phone %s, %s upstream"
    rows, found = [], {}
    for is_known in (True, False):
        found = {kind.name: look_at(bench, kind, scheme, is_known) for kind in who}
        notes = {name: f.note for name, f in found.items() if f.note}
        if peers.Apache.name in found and not bench.is_quick:
            notes.setdefault(peers.Apache.name, APACHE_NOTE)
        assert not found[OURS].note, found[OURS].note
        rows.append(Row(GROUP, title % ("known already (its connection)" if is_known else
                                        "never seen before (with its certificate and device)", scheme.upper()), "B",
                        {name: f.slopes() for name, f in found.items()},
                        # With few phones the pages that were not full yet are most of it.
                        Target(LIMITS[scheme], True) if is_known and not bench.is_quick else None, notes))
    return rows, found


def measure(bench):
    """All rows of this kind."""
    for scheme in ("http", "https"):
        who = bench.few_peers() if scheme == "https" else [
            kind for kind in bench.who if kind is not peers.Apache or not bench.is_quick]
        rows, found = user_space(bench, scheme, who)
        yield from rows
        # Of the four sockets that a phone has here two are the proxy's.
        yield Row(GROUP, "kernel slab for its two sockets, %s upstream" % scheme.upper(), "B",
                  {name: [f.slab[max(f.slab)] / max(f.slab) / 2] for name, f in found.items() if f.slab})
        if scheme == "http":
            most = max(max(f.memory, default=0) for f in found.values())
            fewer = {name: "with %d only, so not compared: %s s to wake them, %s s to come back" % (
                max(f.memory), number(f.wake_s), number(f.reconnect_s)) for name, f in found.items()
                if f.memory and max(f.memory) != most and f.reconnect_s is not None}
            for title, unit, field, target, notes in (
                    ("all %d woken and asleep again" % most, "s", "wake_s", Target(WAKE_S, True), fewer),
                    ("all %d back after a restart" % most, "s", "reconnect_s", Target(RECONNECT_S, True), {}),
                    ("CPU of a wake for a phone", "\u00b5s", "wake_us", None, {})):
                yield Row(GROUP, title, unit, {
                    name: [getattr(f, field)] for name, f in found.items()
                    if getattr(f, field) is not None and (unit == "\u00b5s" or name not in fewer)}, target, notes)
