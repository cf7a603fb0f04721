"""scripts/bench before it measures anything: what it is asked for is looked at first, as a run takes twenty minutes."""
import contextlib
import io
import json
import os
import subprocess
import sys
import types
import unittest

import harness

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BENCH = os.path.join(ROOT, "tests", "bench")
sys.path.insert(0, BENCH)

import check_baseline  # noqa: E402 pylint: disable=wrong-import-position
import context  # noqa: E402 pylint: disable=wrong-import-position
import driver  # noqa: E402 pylint: disable=wrong-import-position


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60,
                          check=False, text=True, **options)


class BenchCommandTest(harness.Case):
    def refuse(self, *options):
        nothing_built = dict(os.environ, EASPROXY_BUILD=self.path("no-build"))
        done = run("/usr/bin/python3", "-B", os.path.join(BENCH, "bench.py"), *options, env=nothing_built)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertIn("usage: scripts/bench ", done.stderr)
        self.assertNotIn("measuring", done.stderr)
        return done.stderr

    def test_a_peer_that_there_is_not_is_refused(self):
        self.assertIn("--peers: there are nginx, HAProxy, Apache", self.refuse("--peers", "nginx,ngnix"))

    def test_a_kind_of_rows_that_there_is_not_is_refused(self):
        self.assertIn("--rows: there are handshake, request, ", self.refuse("--rows", "handshakes"))

    def test_a_file_that_cannot_be_written_is_refused_before_the_run(self):
        missing = self.path("missing", "all.json")
        for option in ("--json", "--svg", "--markdown"):
            self.assertIn("%s: %s cannot be written" % (option, missing), self.refuse(option, missing))
        self.assertIn("cannot be written", self.refuse("--json", self.directory))

    def test_help_builds_and_installs_nothing(self):
        for name in ("apt-get", "cmake", "sudo"):
            with open(self.path(name), "w", encoding="ascii") as f:
                f.write("#!/bin/sh\nexit 3\n")
            os.chmod(self.path(name), 0o755)
        environment = dict(os.environ, PATH=self.directory + ":" + os.environ["PATH"])
        for options, title in ((["--help"], "usage: scripts/bench [-h]"), (["--quick", "-h"], "usage: scripts/bench [-h]"),
                               (["--check", "--help"], "usage: scripts/bench --check [-h]")):
            done = run(os.path.join(ROOT, "scripts", "bench"), *options, env=environment)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn(title, done.stdout)

    def test_what_a_load_complained_of_is_told_with_its_end(self):
        material = types.SimpleNamespace(ca=self.path("no-such-ca.pem"))
        bench = types.SimpleNamespace(directory=self.directory, material=material)
        server = types.SimpleNamespace(name="nobody", port=1)
        load = driver.Load(bench, server, "handshakes", who=["--cert", self.path("none.pem"), "--key", self.path("none.key")])
        self.addCleanup(load.stop)
        with self.assertRaisesRegex(driver.Wrong, "eassim load handshakes at nobody has ended: eassim load: .*none.pem"):
            load.hear()

    def test_a_problem_without_words_has_a_name(self):
        self.assertEqual(context.first_line(AssertionError()), "AssertionError()")
        self.assertEqual(context.first_line(OSError(2, "not there\nat all")), "[Errno 2] not there")


class BaselineTest(unittest.TestCase):
    ROWS = {"a": ("instructions, a", 0.05, 0), "b": ("bytes, b", 0.1, 150)}

    def compare(self, old, new):
        """What is not as it was, and what is said of it."""
        said = io.StringIO()
        rows, check_baseline.ROWS = check_baseline.ROWS, self.ROWS
        try:
            with contextlib.redirect_stdout(said):
                return check_baseline.compare(old, new), said.getvalue()
        finally:
            check_baseline.ROWS = rows

    def test_all_that_is_measured_is_written_down(self):
        with open(check_baseline.BASELINE, encoding="ascii") as f:
            self.assertEqual(list(json.load(f)), list(check_baseline.ROWS))

    def test_what_stays_within_its_tolerance_passes(self):
        self.assertEqual(self.compare({"a": 100, "b": 1000}, {"a": 104, "b": 1149})[0], [])

    def test_what_has_grown_is_named(self):
        names, said = self.compare({"a": 100, "b": 1000}, {"a": 106, "b": 1151})
        self.assertEqual(names, ["a", "b"])
        self.assertEqual(said.count("GROWN"), 2)

    def test_nothing_may_become_little(self):
        for was in (0.0, -20.0):
            self.assertEqual(self.compare({"a": 100, "b": was}, {"a": 100, "b": 120.0})[0], [])
            self.assertEqual(self.compare({"a": 100, "b": was}, {"a": 100, "b": 151.0})[0], ["b"])

    def test_a_row_that_is_not_written_down_is_no_growth_but_fails(self):
        names, said = self.compare({"a": 100}, {"a": 100, "b": 5.0})
        self.assertEqual(names, ["b"])
        self.assertIn("NOT WRITTEN DOWN", said)
        self.assertNotIn("GROWN", said)


if __name__ == "__main__":
    unittest.main()
