"""Whether a second worker costs the first one anything: what one CPU second does, two workers against one, both free to use
all cores."""
import statistics

import accounting
import context
import driver
import peers
import rows_handshake
import rows_request
from table import Row, Target

GROUP = "two workers against one (easproxyd)"
FLOOR = 0.95
PHONES = 16


def handshakes(bench, server, count):
    """CPU microseconds of one, of a few phones that have come so often before that each worker has seen each of them: one does not
    know what is in the cache of the other."""
    used, _ = driver.measured(bench, server, "handshakes", count, "--warm-up", PHONES * 12, "--connections", 8,
                              who=driver.minted(bench, PHONES))
    return used * 1e6


def measure(bench):
    """All rows of this kind."""
    everywhere = set(accounting.CORES)
    crls = bench.material.crls(10)
    servers = []
    try:
        for workers in (1, 2):
            servers += bench.start(crls, who=[peers.Easproxyd], workers=workers, cores=everywhere)
            servers[-1].name = "%d worker%s" % (workers, "s" if workers > 1 else "")
        who = driver.minted(bench, 64)
        small, seen = rows_request.KINDS[0], rows_handshake.P256[0]
        for title, cost in (
                (small.title, lambda server: small.measure(bench, server, who)),
                (seen.title, lambda server: handshakes(bench, server, bench.scaled(600, 60)))):
            bench.say("workers: %s" % title)
            # Each worker learns for itself which phones there are and that the upstream keeps its connections.
            values = bench.compare(servers, bench.scaled(12, 2), cost, warm_ups=2)
            yield Row(GROUP, title, "\u00b5s", values)
            one, two = values["1 worker"], values["2 workers"]
            # Which round of the one meets which of the other is chance: the lowest are compared, and the medians.
            yield Row(GROUP, title + ", done in a CPU second", "x", {"easproxyd": [
                min(one) / min(two), statistics.median(one) / statistics.median(two)]}, Target(FLOOR, True, at_least=True))
    finally:
        context.stop(servers)
