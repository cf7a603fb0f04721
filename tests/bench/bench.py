#!/usr/bin/python3
"""Measures easproxyd beside nginx, HAProxy and Apache httpd, each as a reverse proxy that requires client certificates and
looks at CRLs: the same load, the same upstream, the same core, one round of each after the other. Prints one table;
docs/performance.md says how to read it. Fails when an answer is wrong or easproxyd cannot be measured, and not
when a target is missed: time on a busy machine is no test.
"""
import argparse
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))

import accounting  # noqa: E402
import chart  # noqa: E402
import context  # noqa: E402
import peers  # noqa: E402
import table  # noqa: E402

KINDS = ("handshake", "request", "sleep", "crl", "wbxml", "policy", "workers", "instructions")
ON_DEMAND = ("http2",)


def measure(bench, kind):
    """The rows of a kind, from rows_KIND.py."""
    return importlib.import_module("rows_" + kind).measure(bench)


def about(bench, seconds):
    def first(path, key):
        with open(path, encoding="utf-8") as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.startswith(key)), "unknown")
    done = subprocess.run(["openssl", "version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    return {"date": time.strftime("%Y-%m-%d"), "quick": bench.is_quick, "seconds": round(seconds),
            "processor": first("/proc/cpuinfo", "model name"), "cores": len(accounting.CORES),
            "openssl": done[1], "versions": {kind.name: kind.version() for kind in bench.who}}


BEGIN, END = "<!-- begin: made by scripts/bench -->\n", "<!-- end -->\n"


def within(path, made):
    """What is to be in the file: what was made, between the two marks where the file has them."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            before, begin, rest = f.read().partition(BEGIN)
        _, end, after = rest.partition(END)
        if begin and end:
            return before + begin + "\n" + made + "\n" + end + after
    return made


def footnote(facts):
    return "%s; %s, OpenSSL %s, %d cores, %s; %d s in all." % (
        ", ".join("%s %s" % item for item in facts["versions"].items()), facts["processor"], facts["openssl"],
        facts["cores"], facts["date"], facts["seconds"])


def can_be_written(path):
    if os.path.exists(path):
        return os.path.isfile(path) and os.access(path, os.W_OK)
    return os.access(os.path.dirname(os.path.abspath(path)), os.W_OK)


def options_of_run():
    """All of it is looked at before anything is measured."""
    parser = argparse.ArgumentParser(prog="scripts/bench", allow_abbrev=False,
                                     description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="every kind of row with small counts")
    parser.add_argument("--rows", default=",".join(KINDS), help="some of: %s; or %s" % (", ".join(KINDS), ", ".join(ON_DEMAND)))
    parser.add_argument("--peers", default=",".join(kind.name for kind in peers.ALL[1:]), help="some of: %(default)s; or none")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, each round")
    parser.add_argument("--svg", metavar="FILE", help="draw them")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there, between the marks of docs/performance.md")
    options = parser.parse_args()
    options.rows = options.rows.split(",")
    if not set(options.rows) <= set(KINDS + ON_DEMAND):
        parser.error("--rows: there are %s" % ", ".join(KINDS + ON_DEMAND))
    options.peers = [name.lower() for name in options.peers.split(",") if name != "none"]
    if not set(options.peers) <= {kind.name.lower() for kind in peers.ALL[1:]}:
        parser.error("--peers: there are %s; or none" % ", ".join(kind.name for kind in peers.ALL[1:]))
    for option in ("json", "svg", "markdown"):
        path = getattr(options, option)
        if path and not can_be_written(path):
            parser.error("--%s: %s cannot be written" % (option, path))
    return options


def main():
    options = options_of_run()
    who = [kind for kind in peers.ALL if kind is peers.Easproxyd or kind.name.lower() in options.peers]
    order = [kind.name for kind in who]

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped then, too
    rows, failures, began = [], [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="easproxy-bench-") as directory:
        bench = context.Bench(directory, options.quick, who)
        try:
            for kind in (kind for kind in KINDS + ON_DEMAND if kind in options.rows):
                try:
                    rows.extend(measure(bench, kind))
                except context.PROBLEMS as e:
                    failures.append("%s: %s" % (kind, e))  # what was measured before, and the other kinds, still count
        finally:
            bench.stop()
        facts = about(bench, time.monotonic() - began)
    print(table.text(rows, order))
    print("lowest / median of the rounds; ratio: to the best peer; spread: (most - least) / median, of easproxyd or the best\n"
          "peer. CPU time and PSS of the proxy's processes alone.\n" + footnote(facts))
    for path, make in (
            (options.json, lambda: table.as_json(rows, facts)),
            (options.markdown, lambda: within(options.markdown, table.markdown(rows, order) + footnote(facts) + "\n")),
            (options.svg, lambda: chart.svg(rows, "easproxyd and its peers, by the best peer of each row"))):
        if path:
            content = make()
            with open(path, "w", encoding="utf-8") as f:
                f.write(content)
    for failure in failures:
        print("FAILED  %s" % failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
