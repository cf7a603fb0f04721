"""Requests on connections that are kept: a small Sync, an answer of 100 kB, a mail of 5 MB; CPU time and system calls."""
import accounting
import context
import driver
from table import Row, Target

GROUP = "requests on kept connections"


class Kind:
    """megabytes: of the body that counts; 0 where the request itself does."""

    def __init__(self, name, title, connections, counts, traced, megabytes=0.0, limit=None):
        self.name, self.title, self.connections, self.counts = name, title, connections, counts
        self.traced, self.megabytes, self.limit = traced, megabytes, limit

    def arguments(self):
        return ["--connections", self.connections, "--kind", self.name]

    def unit(self):
        return "\u00b5s a MB" if self.megabytes else "\u00b5s"

    def measure(self, bench, server, who):
        used, _ = driver.measured(bench, server, "requests", bench.scaled(*self.counts), *self.arguments(), who=who)
        return used * 1e6 / (self.megabytes or 1)

    def system_calls(self, bench, server, who):
        """Of one request, in a round of its own under strace."""
        count = self.traced
        with driver.Load(bench, server, "requests", "--count", count, "--hold", *self.arguments(), who=who) as load:
            load.hear()
            tracer = accounting.SystemCalls(server.pids)
            load.say("go")
            load.hear()
            counts = tracer.stop()
        return sum(counts.values()) / count


KINDS = (
    Kind("sync200", "Sync of 200 B, 32 connections", 32, (8000, 1600), 640, limit=1.0),
    Kind("answer100k", "Sync answer of 100 kB", 16, (800, 160), 160, 0.1, limit=1.1),
    Kind("sendmail5m", "SendMail of 5 MB", 4, (30, 6), 8, 5.0, limit=1.1))


def measure(bench):
    """All rows of this kind."""
    startup = {}
    servers = bench.start(bench.material.crls(10), notes=startup)
    who = driver.minted(bench, 64)
    try:
        for kind in KINDS:
            bench.say("requests: %s" % kind.title)
            notes = dict(startup)
            yield Row(GROUP, kind.title, kind.unit(), bench.compare(
                servers, bench.scaled(7, 2), lambda server, kind=kind: kind.measure(bench, server, who), notes, warm_ups=1),
                Target(kind.limit), notes)
        for kind in KINDS:
            bench.say("system calls: %s" % kind.title)
            notes = dict(startup)
            yield Row(GROUP, "system calls of a " + kind.title, "calls", bench.compare(
                servers, 1, lambda server, kind=kind: kind.system_calls(bench, server, who), notes), None, notes)
    finally:
        context.stop(servers)
