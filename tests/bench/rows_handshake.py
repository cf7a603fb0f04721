"""A phone connects, shows its certificate, asks once, and goes: full handshakes, with one request each."""
import statistics

import context
import driver
import peers
from table import Row, Target, low

GROUP = "full mTLS handshake and one request"
SEEN = 100  # phones that come again and again


class Case:
    """A kind of phone before a kind of server certificate."""

    def __init__(self, title, version="1.3", is_rsa=False, is_seen=True, is_real=False, limit=None):
        self.title, self.version, self.is_rsa, self.is_seen = title, version, is_rsa, is_seen
        self.is_real, self.target = is_real, Target(limit) if limit else None

    def measure(self, bench, server, count):
        """CPU microseconds of one."""
        warm = min(SEEN, max(20, count // 4)) if self.is_seen else 20
        phones = warm if self.is_seen else count + warm
        more = ["--key-type", "rsa"] if self.is_rsa or self.is_real else []
        if self.is_real:
            more += ["--size", "2000", "--intermediates", bench.material.intermediates]
        who = driver.minted(bench, phones, "devices" if self.is_real else "issuing", "--tls", self.version, *more)
        used, _ = driver.measured(bench, server, "handshakes", count, "--warm-up", warm, "--connections", 8, who=who)
        return used * 1e6


SEEN_LIMIT, UNSEEN_LIMIT = 0.55, 0.7
P256 = (
    Case("TLS 1.3, P-256, seen before", limit=SEEN_LIMIT),
    Case("TLS 1.3, P-256, never seen", is_seen=False, limit=UNSEEN_LIMIT),
    Case("TLS 1.2, P-256, seen before", version="1.2"),
    Case("TLS 1.2, P-256, never seen", version="1.2", is_seen=False),
    Case("TLS 1.3, phone RSA 2 kB, 2 intermediates, seen", is_real=True),
    Case("TLS 1.3, phone RSA 2 kB, 2 intermediates, never seen", is_real=True, is_seen=False))
RSA = (
    Case("TLS 1.3, RSA-2048, seen before", is_rsa=True),
    Case("TLS 1.3, RSA-2048, never seen", is_rsa=True, is_seen=False),
    Case("TLS 1.2, RSA-2048, seen before", version="1.2", is_rsa=True),
    Case("TLS 1.2, RSA-2048, never seen", version="1.2", is_rsa=True, is_seen=False))


def compared(bench, crls, cases, rounds, counts, suffix="", **options):
    """counts: how many handshakes of each in a round, by name; the rest do counts[None]."""
    startup = {}
    servers = bench.start(crls, notes=startup, **options)
    try:
        for case in cases:
            title, notes = case.title + suffix, dict(startup)
            bench.say("handshakes: %s" % title)
            yield Row(GROUP, title, "\u00b5s", bench.compare(
                servers, rounds, lambda server, case=case: case.measure(
                    bench, server, counts.get(server.name, counts[None])), notes), case.target, notes)
        for server in servers:
            if crls.count >= 100000:
                print("  %s was ready %.1f s after its start with a CRL of %d" % (
                    server.name, server.start_seconds, crls.count))
    finally:
        context.stop(servers)


def measure(bench):
    """All rows of this kind."""
    material = bench.material
    count, rounds = bench.scaled(200, 40), bench.scaled(9, 2)
    few = material.crls(10)
    yield from compared(bench, few, bench.scaled(P256, P256[:2]), rounds, {None: count})
    yield from compared(bench, few, bench.scaled(RSA, RSA[:1]), bench.scaled(5, 1), {None: count // 2}, is_rsa=True)
    for entries, slow in bench.scaled(((100000, 100), (1000000, 20)), ((100000, 10),)):
        case = Case("TLS 1.3, P-256, seen", limit=0.015 if entries == 1000000 else None)
        yield from compared(bench, material.crls(entries), [case], bench.scaled(5, 1), {None: slow, "easproxyd": count},
                            ", CRL of %s entries" % format(entries, ","))
    if not bench.is_quick:
        yield as_with_few(bench, count)


def as_with_few(bench, count):
    """Whether a CRL of a million costs a handshake anything at all: two easproxyds, one round of each after the other."""
    case, servers = P256[0], []
    try:
        for entries in (10, 1000000):
            servers += bench.start(bench.material.crls(entries), who=[peers.Easproxyd])
            servers[-1].name = "CRL of %d" % entries
        few, many = bench.compare(servers, 5, lambda server: case.measure(bench, server, count)).values()
        return Row(GROUP, "the same by that with a CRL of 10", "x", {
            "easproxyd": [low(many) / low(few), statistics.median(many) / statistics.median(few)]}, Target(1.05, True, text="equal"))
    finally:
        context.stop(servers)
