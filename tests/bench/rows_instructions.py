"""Instructions in user space of one handshake and one request, counted by callgrind in the process that serves phones. They are
the same on a busy machine; what the kernel does is not in them, nor what a cache miss costs."""
import glob
import os
import stat
import subprocess

import accounting
import context
import driver
import harness
import instructions
import peers
import rows_handshake
import rows_request
from table import Row, Target

GROUP = "instructions in user space (callgrind)"


class Counted:
    """A server under callgrind."""

    def __init__(self, bench, kind):
        self.folder = bench.new_directory("callgrind")
        wrapper = os.path.join(self.folder, "counted")
        # --trace-children: children can be told to write down their counts, too.
        words = instructions.callgrind(self.folder) + ["--trace-children=yes"]
        with open(wrapper, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexec %s \"$@\"\n" % " ".join("'%s'" % word for word in words))
        os.chmod(wrapper, os.stat(wrapper).st_mode | stat.S_IXUSR)
        self.server = kind(peers.Setup(bench, bench.material.crls(10), bench.upstream(), wrapper=[wrapper]))
        self.name, self.port = self.server.name, self.server.port
        self.worker = self._worker()

    def _worker(self):
        program = self.server.programs[0]
        if isinstance(self.server, peers.Easproxyd):
            return program.pids("worker")[0]
        return (accounting.family(program.pid) + [program.pid])[1]

    def counts(self):
        """Instructions since it was asked last."""
        pattern = os.path.join(self.folder, "callgrind.%d.*" % self.worker)
        before = set(glob.glob(pattern))
        subprocess.run(["vgdb", "--pid=%d" % self.worker, "dump"], check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        harness.wait_for("callgrind's counts of %s" % self.name, lambda: set(glob.glob(pattern)) - before, 30)
        new, = set(glob.glob(pattern)) - before
        return harness.wait_for("their totals", lambda: instructions.of_dump(new), 30)["Ir"]


def counted(bench, server, mode, count, *arguments, who=()):
    """Instructions of one operation."""
    with driver.Load(bench, server, mode, "--count", count, "--hold", *arguments, who=who, patience=300) as load:
        load.hear()
        server.counts()
        load.say("go")
        said = load.hear()
        if said["right"] != count:
            raise driver.Wrong("%s: %d right answers of %d" % (load.name, said["right"], count))
        return server.counts() / count


def rows_of(bench):
    """(title, unit, target, how it is measured); a handshake one at a time, so that each run does the same."""
    seen, unseen = rows_handshake.P256[:2]
    count, warm = bench.scaled(60, 15), 15
    for case in bench.scaled((seen, unseen), (seen,)):
        who = driver.minted(bench, warm if case.is_seen else warm + count, "issuing", "--tls", case.version)
        yield case.title, "million", case.target, lambda server, who=who: counted(
            bench, server, "handshakes", count, "--warm-up", warm, who=who) / 1e6
    kinds = bench.scaled(rows_request.KINDS, rows_request.KINDS[:1])
    for kind, count_of in zip(kinds, (bench.scaled(640, 128), bench.scaled(64, 16), bench.scaled(8, 4))):
        yield kind.title, "thousand" + (" a MB" if kind.megabytes else ""), Target(kind.limit), \
            lambda server, kind=kind, count_of=count_of: counted(
                bench, server, "requests", count_of, *kind.arguments(), who=driver.minted(bench, 64)
            ) / 1e3 / (kind.megabytes or 1)


def measure(bench):
    """All rows of this kind."""
    servers = []
    notes = {}
    kinds = [kind for kind in bench.who if kind is not peers.Apache]
    try:
        for kind in (kind for kind in kinds if kind in bench.few_peers()):
            bench.say("%s under callgrind" % kind.name)
            servers.append(Counted(bench, kind))
        for title, unit, target, cost in rows_of(bench):
            bench.say("instructions: %s" % title)
            yield Row(GROUP, title, unit, bench.compare(servers, 1, cost, notes), target, notes)
    finally:
        context.stop([counted.server for counted in servers])
