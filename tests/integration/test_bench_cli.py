"""scripts/bench before it measures anything: what it is asked for is looked at first, as a run takes twenty minutes."""
import os
import subprocess
import sys
import types
import unittest

import harness

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BENCH = os.path.join(ROOT, "tests", "bench")
sys.path.insert(0, BENCH)

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


if __name__ == "__main__":
    unittest.main()
