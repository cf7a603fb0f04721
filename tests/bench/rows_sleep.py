"""Phones that sleep in Ping: what each takes of user space and of the kernel's slab, how soon all are woken, and how soon all
are back after a restart."""
import time

import accounting
import context
import driver
import harness
import peers
from table import OURS, Row, Target, number

GROUP = "sleeping phones"
WORKERS = 3
# httpd's event MPM gives each request that waits for the upstream a thread of its own.
APACHE_MAX = 1000
APACHE_NOTE = "no more than %d are tried: each phone that waits holds a thread" % APACHE_MAX
SETTLE_S = 3
WAKE_S, RECONNECT_S = 10, 30
LIMITS = {"http": 1000, "https": 1500}


def levels(bench, scheme, kind):
    """How many phones sleep, one level after the other."""
    if kind is peers.Apache:
        return [200, APACHE_MAX]
    if bench.is_quick:
        return [100, 300]
    # A process that holds the other end of all of them has a limit of files, too.
    most = min(19000, bench.descriptors - 1000)
    wanted = [1000, 5000, 19000] if scheme == "http" or kind is peers.Easproxyd else [1000, 5000]
    return sorted({min(level, most) for level in wanted})


class Parked:
    """So many phones that sleep behind a server."""

    def __init__(self, bench, server, count):
        self.server, self.count, self.upstream = server, count, server.setup.upstream
        self.load = driver.Load(bench, server, "park", "--count", count, who=driver.minted(bench, count), patience=400)
        try:
            self.hear("park")
            self.wait_for_polls(count)
        except BaseException:
            self.load.stop()
            raise

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


def slopes(values):
    """Bytes for each more, from one level to the next: the level itself is not looked at."""
    steps = sorted(values)
    return [(values[b] - values[a]) / (b - a) for a, b in zip(steps, steps[1:])]


def look_at(bench, kind, scheme):
    findings = Findings()
    counts = levels(bench, scheme, kind)
    server = None
    try:
        server = kind(peers.Setup(bench, bench.material.crls(10), bench.upstream(scheme), workers=WORKERS,
                                  phones=counts[-1]))
        for count in counts:
            bench.say("%d phones asleep at %s, %s upstream" % (count, kind.name, scheme.upper()))
            slab = accounting.slab_bytes()  # of the whole machine
            parked = Parked(bench, server, count)
            try:
                time.sleep(bench.scaled(SETTLE_S, 0.3))
                findings.memory[count] = server.memory_bytes()
                if slab is not None:
                    findings.slab[count] = accounting.slab_bytes() - slab
                if count == counts[-1] and scheme == "http":
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


def measure(bench):
    """All rows of this kind."""
    for scheme in ("http", "https"):
        who = bench.few_peers() if scheme == "https" else [
            kind for kind in bench.who if kind is not peers.Apache or not bench.is_quick]
        found = {kind.name: look_at(bench, kind, scheme) for kind in who}
        notes = {name: f.note for name, f in found.items() if f.note}
        if peers.Apache.name in found and not bench.is_quick:
            notes.setdefault(peers.Apache.name, APACHE_NOTE)
        yield Row(GROUP, "user space for a phone, %s upstream" % scheme.upper(), "B",
                  {name: slopes(f.memory) for name, f in found.items()},
                  Target(LIMITS[scheme], True), notes)
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
        assert not found[OURS].note, found[OURS].note
