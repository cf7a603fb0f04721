"""kill -9 of any child while phones sync: the others go on, the child is back, and no wrong answer
was given."""
import os
import signal
import time
import unittest

import client
import harness
from client import PATH
from harness import children, wait_for
from load import Load, echo


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class KillTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder(echo)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port)
        self.proxy.wait_until_answering()

    def kill_one(self, role):
        """kill -9, and wait for another in its place."""
        victim = self.proxy.pids(role)[0]
        count = len(self.proxy.pids(role))
        os.kill(victim, signal.SIGKILL)
        wait_for("another %s" % role, lambda: victim not in self.proxy.pids(role)
                 and len(self.proxy.pids(role)) == count, None, self.proxy)

    def test_helpers_may_die_at_any_time(self):
        for role in ("revocation", "identity", "control"):
            with self.subTest(role):
                workers = self.proxy.pids("worker")
                with Load(self.proxy) as load:
                    wait_for("the load to run", lambda load=load: load.right > 20)
                    self.kill_one(role)
                    right = load.right
                    wait_for("the load to go on", lambda load=load, right=right: load.right > right + 20)
                self.assertEqual(load.wrong, [])
                self.assertEqual(self.proxy.pids("worker"), workers)

    def test_a_worker_takes_only_its_own_connections_with_it(self):
        lines = [self.enterContext(self.proxy.dial(("alice", "bob")[n % 2])) for n in range(24)]
        for line in lines:
            self.assertEqual(line.request("OPTIONS", PATH).status, 200)
        with Load(self.proxy, allows_lost=True) as load:
            wait_for("the load to run", lambda: load.right > 20)
            self.kill_one("worker")
            right = load.right
            wait_for("the load to go on", lambda: load.right > right + 50)
        self.assertEqual(load.wrong, [])
        self.assertGreater(load.right, 70)
        survivors = 0
        for line in lines:
            try:
                survivors += line.request("OPTIONS", PATH).status == 200
            except (client.Closed, OSError):
                pass
        self.assertTrue(0 < survivors < len(lines), "%d of %d went on" % (survivors, len(lines)))

    def test_all_at_once(self):
        with Load(self.proxy, allows_lost=True) as load:
            wait_for("the load to run", lambda: load.right > 20)
            before = children(self.proxy.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_for("new children", lambda: len(children(self.proxy.pid)) == len(before)
                     and not set(children(self.proxy.pid)) & set(before), None, self.proxy)
            right = load.right
            wait_for("the load to go on", lambda: load.right > right + 50)
        self.assertEqual(load.wrong, [])

    def test_revocation_holds_while_its_process_is_away(self):
        os.kill(self.proxy.pids("revocation")[0], signal.SIGKILL)
        for _ in range(5):
            with self.assertRaises((client.Closed, OSError)), self.proxy.dial("carol") as connection:
                connection.request("OPTIONS", PATH)
            time.sleep(0.1)
        self.assertEqual([r for r in self.recorder.whole() if "carol" in str(r.headers)], [])

    def test_children_do_not_outlive_the_supervisor(self):
        family = children(self.proxy.pid)
        self.assertGreaterEqual(len(family), 5)
        os.kill(self.proxy.pid, signal.SIGKILL)
        self.proxy.wait()
        wait_for("its children to end", lambda: not [pid for pid in family if is_running(pid)], 10)


if __name__ == "__main__":
    unittest.main()
