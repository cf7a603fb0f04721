"""Counts instructions with valgrind's callgrind. What a piece of work takes is the difference of two runs that differ in
nothing but how often it is done: what a program does before and after is in both."""
import os
import re
import subprocess
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("EASPROXY_BUILD", os.path.join(ROOT, "build", "release"))
VALGRIND = "/usr/bin/valgrind"


def callgrind(directory):
    """What goes in front of a program; %p is the process."""
    return [VALGRIND, "--tool=callgrind", "--callgrind-out-file=%s/callgrind.%%p" % directory]


def of_dump(path):
    """{event: count} of one process; None while the file has no end yet."""
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    events, totals = (re.search(r"^%s: (.*)$" % name, text, re.M) for name in ("events", "totals"))
    if events is None or totals is None or not text.endswith("\n"):
        return None
    # Events that never happened are left out at the end of the line.
    counts = [int(word) for word in totals[1].split()]
    names = events[1].split()
    return dict(zip(names, counts + [0] * (len(names) - len(counts))))


def of_file(path):
    """The instructions of one process that has ended."""
    counts = of_dump(path)
    if counts is None:
        raise RuntimeError("reading the counts of callgrind: %s has no total; was the process ended before it could "
                           "write?" % path)
    return counts["Ir"]


def of_program(arguments):
    """(instructions, what it printed) of a program of one process."""
    with tempfile.TemporaryDirectory(prefix="easproxy-callgrind-") as directory:
        done = subprocess.run(callgrind(directory) + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError("counting instructions: %s failed: %s" % (arguments[0], done.stderr.decode()[-500:]))
        files = os.listdir(directory)
        assert len(files) == 1, files
        return of_file(os.path.join(directory, files[0])), done.stdout
