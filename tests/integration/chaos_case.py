"""What tests stand on in which somebody whom easproxyd depends on for logins is killed, halted, slow or mad:
known users who go on all the while, strangers who come, and what is said of it."""
import collections
import json
import subprocess
import threading

import client
import harness
import peek
from client import PATH
from harness import wait_for


class Traffic:
    """Phones of known users, each with a connection that it keeps, asking all the time. is_right(answer, user)
    says what each must get; anything else is noted in `wrong`."""

    def __init__(self, proxy, certificates, is_right):
        self.proxy, self.is_right = proxy, is_right
        self.wrong, self.right, self.is_over = [], dict.fromkeys(certificates, 0), False
        self.threads = [threading.Thread(target=self._run, args=item, daemon=True) for item in certificates.items()]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_until_it_moves()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join(harness.PATIENCE)

    def _run(self, user, certificate):
        connection = None
        while not self.is_over:
            try:
                if connection is None:
                    connection = self.proxy.dial(certificate=certificate)
                answer = connection.request("OPTIONS", PATH)
            except (client.Closed, OSError) as e:
                self.wrong.append("%s: %r" % (user, e))
                connection = None
                continue
            if self.is_right(answer, user):
                self.right[user] += 1
            else:
                self.wrong.append("%s: %r" % (user, answer))
            if (answer.header("Connection") or "").lower() == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def wait_until_it_moves(self, answers=10):
        """Until each of them has got so many right answers more."""
        before = dict(self.right)
        wait_for("%d answers for each known user" % answers, lambda: self.wrong or all(
            self.right[user] >= before[user] + answers for user in before), None, self.proxy)
        assert not self.wrong, self.wrong[:5]


class ChaosCase(harness.Case):
    """`proxy` is the running easproxyd, `kind` the way to log in as `easproxyctl status` calls it, `strangers` the
    certificates, in a deque, of people who have not been let in yet."""

    kind = None

    def status_of(self, client_of="logins"):
        done = subprocess.run([harness.EASPROXYCTL, "status", "--json", "-s", self.proxy.control],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True)
        status = json.loads(done.stdout)
        if client_of == "directory":
            return status["directory"]
        return [login for login in status["logins"] if login["login"] == self.kind][0]

    def listed(self):
        done = subprocess.run([harness.EASPROXYCTL, "upstream", "list", "-s", self.proxy.control],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True)
        return done.stdout.decode()

    def knock(self, certificate):
        with self.proxy.dial(certificate=certificate) as connection:
            return connection.request("OPTIONS", PATH)

    def ask_as_stranger(self):
        """One after the other; who is let in is a stranger no more."""
        certificate = self.strangers.popleft()
        answer = self.knock(certificate)
        if answer.status != 200:
            self.strangers.append(certificate)
        return answer

    def processes(self):
        """How many there are of each kind."""
        return collections.Counter(peek.name_of(pid) for pid in peek.family(self.proxy.pid) if not peek.is_dead(pid))

    def begin_counting(self, **helpers):
        """Once so many helpers of each kind are there (ticket=2) there are never to be more processes."""
        wanted = {"eas-" + name: count for name, count in helpers.items()}
        wait_for("the helpers %r" % wanted, lambda: wanted.items() <= self.processes().items(), None, self.proxy)
        self.size = sum(self.processes().values())

    def wait_until_there_are_no_more(self):
        """Who was ended may take a moment to go."""
        wait_for("at most %d processes" % self.size, lambda: sum(self.processes().values()) <= self.size, None,
                 self.proxy)

    def wait_until_all_are_there(self):
        wait_for("%d processes" % self.size, lambda: sum(self.processes().values()) == self.size, None, self.proxy)

    def assert_told_to_come_again(self, answer):
        self.assertEqual(answer.status, 503, self.proxy.tail())
        self.assertIsNotNone(answer.header("Retry-After"))
        self.assertIsNone(answer.header("WWW-Authenticate"))

    def wait_until_down(self, who="logins"):
        """Strangers are turned away until it counts as down."""
        def is_down():
            self.assert_told_to_come_again(self.ask_as_stranger())
            return self.status_of(who)["state"] == "down"
        wait_for("it to count as down", is_down, None, self.proxy)

    def wait_until_up(self, who="logins"):
        """Nobody does anything for it."""
        def is_up():
            return self.ask_as_stranger().status == 200 and self.status_of(who)["state"] == "up"
        wait_for("strangers to get in again", is_up, 40, self.proxy)
        self.wait_until_all_are_there()
