"""A new CRL of a million entries while phones are at work: the memory that it takes at its peak beyond what a CRL of
ten entries needs, the time until what it revokes is refused, and how long a request had to wait meanwhile."""
import contextlib
import multiprocessing
import os
import re
import threading
import time

import client
import context
import peers
from table import Row, Target

GROUP = "taking over a CRL of %s entries, two workers"
MEMORY_MAX_MB = 50
CONNECTIONS = 4
PAUSE_S = 0.002  # between requests, and between looks at memory
MEMFD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+) +/memfd:revocation index", re.M)


def resident(pid):
    """(PSS, of it memory files and the like) of a process, in bytes; zeros when it has ended."""
    try:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
            text = f.read()
        return tuple(int(re.search(r"^%s:\s+(\d+)" % name, text, re.M)[1]) * 1024 for name in ("Pss", "Pss_Shmem"))
    except (OSError, TypeError):
        return 0, 0


class Memory:
    """All memory of a program's processes: PSS, but every compiled index counts whole, once, whether somebody has looked at all of
    its pages or not, and also while it is written and nobody has it mapped."""

    def __init__(self, server):
        self.server, self.indexes = server, {}

    def _workers(self):
        """Of easproxyd; the others have no process that is not needed to serve."""
        return set(self.server.programs[0].pids("worker") if self.server.name == peers.Easproxyd.name else self.server.pids)

    def _indexes_of(self, pid):
        found = {}
        with contextlib.suppress(OSError):
            with open("/proc/%d/maps" % pid, encoding="utf-8", errors="replace") as f:
                for begin, end, inode in MEMFD.findall(f.read()):
                    found[int(inode)] = int(end, 16) - int(begin, 16)
            folder = "/proc/%d/fd" % pid
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    if os.readlink(path).startswith("/memfd:revocation index"):
                        stat = os.stat(path)
                        found[stat.st_ino] = max(found.get(stat.st_ino, 0), stat.st_blocks * 512)
        return found

    def now(self):
        """(of workers, of all)"""
        workers, of_workers, of_all = self._workers(), [0, set()], [0, set()]
        for pid in self.server.pids:
            pss, shared = resident(pid)
            for sums in (of_workers, of_all) if pid in workers else (of_all,):
                sums[0] += pss - shared
            for inode, size in self._indexes_of(pid).items():
                # One that is given back in parts is there as a whole until the last of them has gone.
                self.indexes[inode] = max(size, self.indexes.get(inode, 0))
                for sums in (of_workers, of_all) if pid in workers else (of_all,):
                    sums[1].add(inode)
        return tuple(pss + sum(self.indexes[inode] for inode in seen) for pss, seen in (of_workers, of_all))


class Watch(threading.Thread):
    """Looks at the memory until it is told that it is enough."""

    def __init__(self, memory):
        super().__init__(daemon=True)
        self.memory, self.peak, self.is_over = memory, (0, 0), False

    def run(self):
        while not self.is_over:
            self.peak = tuple(map(max, self.peak, self.memory.now()))
            time.sleep(PAUSE_S)

    def stop(self):
        self.is_over = True
        self.join()
        return self.peak


class Phones(threading.Thread):
    """One request after the other on each of a few kept connections; remembers the longest wait for an answer. A server
    may close a connection that is idle when it takes over a configuration: then the phone connects again, as phones do,
    and that is part of the wait."""

    def __init__(self, bench, server):
        super().__init__(daemon=True)
        self.port, self.tls = server.port, client.tls_context(bench.material.ca, bench.material.user("bob"))
        self.lines = [self._dial() for _ in range(CONNECTIONS)]
        self.longest, self.failure, self.is_over = 0.0, None, False

    def _dial(self):
        return client.Connection(self.port, self.tls, timeout=60)

    def _ask(self, at):
        """The status; on a new connection where the old one has been closed."""
        try:
            return self.lines[at].request("OPTIONS", client.PATH).status
        except (client.Closed, ConnectionError):
            self.lines[at].close()
            self.lines[at] = self._dial()
            return self.lines[at].request("OPTIONS", client.PATH).status

    def run(self):
        at = 0
        while not self.is_over:
            begun = time.monotonic()
            try:
                status = self._ask(at % CONNECTIONS)
            except (client.Closed, OSError) as e:
                self.failure = self.failure or "a phone's connection was ended: %s" % e
                return
            if status != 200:
                self.failure = "a phone's request was answered with %d" % status
                return
            self.longest = max(self.longest, time.monotonic() - begun)
            at += 1
            time.sleep(PAUSE_S)

    def longest_so_far(self):
        """Since it was asked last, in seconds."""
        longest, self.longest = self.longest, 0.0
        return longest

    def stop(self):
        self.is_over = True
        self.join()
        for line in self.lines:
            line.close()


class Refusal(threading.Thread):
    """Comes as carol, again and again, until she is not let in any more."""

    def __init__(self, bench, server):
        super().__init__(daemon=True)
        self.bench, self.server, self.at, self.is_over = bench, server, None, False

    def run(self):
        while not self.is_over and self.at is None:
            if not self.bench.is_let_in(self.server.port, "carol"):
                self.at = time.time()
            time.sleep(PAUSE_S)

    def stop(self):
        self.is_over = True
        self.join()


def level(bench, kind):
    """What the program needs with CRLs of ten entries."""
    servers = bench.start(bench.material.crls(10), who=[kind], workers=2)
    try:
        return Memory(servers[0]).now()
    finally:
        context.stop(servers)


def publish(crls, *revoked):
    """In a process of its own: to sign and to encode a million entries would keep the phones from noticing their answers."""
    process = multiprocessing.Process(target=crls.publish, args=revoked)
    process.start()
    process.join()
    assert process.exitcode == 0
    crls.material.number += len(peers.ALL) * 2  # the child has counted for itself


def take_over(bench, server, crls, patience):
    """(seconds until it holds, peak of memory, longest wait meanwhile, longest wait before)."""
    assert bench.is_let_in(server.port, "carol"), "carol is not let in before she is revoked"
    phones, watch, refusal = Phones(bench, server), Watch(Memory(server)), Refusal(bench, server)
    phones.start()
    try:
        time.sleep(1)  # a span of time to measure in, not a wait for something
        before = phones.longest_so_far()
        watch.start()
        refusal.start()
        publish(crls, bench.material.user("carol").certificate)
        # easproxyd watches the file; the others are told once all is there.
        begun = os.stat(crls.path("issuing.crl")).st_ctime if server.name == peers.Easproxyd.name else time.time()
        server.reload()
        refusal.join(patience)
        assert refusal.at is not None, "the new CRL does not hold after %d s" % patience
        meanwhile = phones.longest_so_far()
        assert phones.failure is None, phones.failure
    finally:
        refusal.stop()
        phones.stop()
        peak = watch.stop()
        publish(crls)  # the next one finds carol let in
    return refusal.at - begun, peak, meanwhile, before


def told_by_workers(server):
    """What the log says of the moments in which workers could not serve."""
    with open(os.path.join(server.directory, "requests.log"), encoding="utf-8", errors="replace") as f:
        walks = [line for line in f if "event=recheck" in line]
    swap, piece = (max(int(found[1]) for found in (re.search(r"%s=(\d+)" % name, line) for line in walks) if found)
                   for name in ("swap_us", "longest_slice_cpu_us"))
    return "a worker was busy with it for %d us at a time at most (%d us to take it, %d us of CPU to look at its sessions)" % (
        max(swap, piece), swap, piece)


def measure(bench):
    """All rows of this kind."""
    entries = bench.scaled(1000000, 100000)
    crls = bench.material.crls(entries)
    workers, everything, time_s, wait, notes = {}, {}, {}, {}, {}
    for kind in bench.few_peers():
        bench.say("a new CRL of %d entries: %s" % (entries, kind.name))
        servers = []
        try:
            few = level(bench, kind)
            servers = bench.start(crls, who=[kind], workers=2)
            took, peak, meanwhile, before = take_over(bench, servers[0], crls, 2 * bench.patience)
        except (*context.PROBLEMS, IndexError) as e:
            if kind is peers.Easproxyd:
                raise
            notes[kind.name] = context.first_line(e)
            continue
        finally:
            context.stop(servers)
        workers[kind.name], everything[kind.name] = ([(high - low) / 1e6] for high, low in zip(peak, few))
        time_s[kind.name], wait[kind.name] = [took], [meanwhile * 1e3]
        notes[kind.name] = "longest in a second before: %.1f ms" % (before * 1e3)
        if kind is peers.Easproxyd:
            notes[kind.name] += "; " + told_by_workers(servers[0])
    group = GROUP % format(entries, ",")
    yield Row(group, "memory of all workers at the peak, beyond that with 10", "MB", workers, Target(MEMORY_MAX_MB, True))
    yield Row(group, "the same of all processes, also of what compiles it", "MB", everything)
    yield Row(group, "until it holds, under load", "s", time_s)
    yield Row(group, "longest wait for an answer meanwhile", "ms", wait, notes=notes)
