"""What the rules of a policy take of a small request: none of them holds, so that all are gone through."""
import os
import re
import statistics
import subprocess

import context
import driver
import harness
import peers
import rows_request
from table import Row, Target

GROUP = "rules of a policy (easproxyd)"
RULES, SHARE_MAX = 50, 0.02
KINDS = (
    {"mailbox": "user%d@example.com"},
    {"domain": "branch%d.example.com"},
    {"device": "appl%d"},
    {"device-type": "SamsungDevice%d"},
    {"user-agent": "Outlook-iOS-Android/1.%d*"},
    {"command": "Search", "mailbox": "user%d@*"},
    {"issuer": "Issuing CA %d"},
    {"class": "email", "device-type": "iPad%d"})


def rules(count):
    """As an operator would write them, for easproxyd's configuration."""
    made = {}
    for at in range(count):
        rule = {name: [pattern.replace("%d", str(at))] for name, pattern in KINDS[at % len(KINDS)].items()}
        made["rule r%d" % at] = dict(rule, action="deny")
    return made


def judging_us():
    """CPU time of judging one request under RULES rules, without all else (bench_proxy_policy)."""
    program = os.path.join(harness.BUILD, "tests", "bench", "bench_proxy_policy")
    done = subprocess.run([program, str(RULES)], stdout=subprocess.PIPE, check=True)
    return float(re.search(rb"rules: (\d+) ns a request", done.stdout)[1]) / 1000


def measure(bench):
    """All rows of this kind."""
    servers = []
    try:
        for count in (0, 50, 500):
            servers += bench.start(bench.material.crls(10), who=[peers.Easproxyd],
                                   changes={"policy": rules(count)} if count else {})
            servers[-1].name = "%d rules" % count
        who = driver.minted(bench, 64)
        small = rows_request.KINDS[0]
        bench.say("policy: %s" % small.title)
        values = bench.compare(
            servers, bench.scaled(5, 2), lambda server: small.measure(bench, server, who), warm_ups=1)
        yield Row(GROUP, small.title, "\u00b5s", values)
        share = judging_us() / statistics.median(values["0 rules"])
        assert share <= SHARE_MAX, "judging by %d rules takes %.1f %% of a request" % (RULES, 100 * share)
        yield Row(GROUP, "share of a request that judging by %d rules takes" % RULES, "%", {"easproxyd": [100 * share]},
                  Target(100 * SHARE_MAX, True, text="<= %d %%" % (100 * SHARE_MAX)))
    finally:
        context.stop(servers)
