"""The proof that nobody gets at another's mailbox through a connection that is logged in: hundreds of users at
once, while logins are refused, connections end, and there are fewer of them than users."""
import collections
import threading
import unittest

import client
import wbxml
from crowd import issue_crowd
from recorder import answer_bytes
from kerberos_case import KerberosCase


class CrowdTest(KerberosCase):
    PHONES, REQUESTS = 300, 8
    domain_options = {"crowd": PHONES, "model": "prefork"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.crowd = issue_crowd(cls.issuing, ["user%d@contoso.test" % number for number in range(cls.PHONES)])

    def sometimes_refuse(self, received, _):
        """Each seventh request is refused the first time it comes, as if the login had run out."""
        mark = wbxml.decode(received.body).get("SyncKey")
        with self.lock:
            self.served += 1
            if self.served % 7 == 0 and mark not in self.refused:
                self.refused.add(mark)
                return answer_bytes(401, b"", [("WWW-Authenticate", "Negotiate")])
        document = client.folder_sync("%s %s" % (mark, received.all("X-Remote-User")))
        return answer_bytes(200, wbxml.encode(document), [("Content-Type", "application/vnd.ms-sync.wbxml")])

    def phone(self, address, certificate, number):
        user = address.partition("@")[0] + "@CONTOSO.TEST"
        device = client.Device(lambda: self.proxy.dial(certificate=certificate, timeout=90), address)
        for n in range(self.REQUESTS):
            mark = "%d.%d" % (number, n)
            try:
                with self.turns:
                    answer = device.post("FolderSync", client.folder_sync(mark))
            except (client.Closed, OSError) as e:
                self.note("lost", "%s: %r" % (user, e))
                device.close()
                continue
            if answer.status != 200:
                self.note("refused", "%s: %r" % (user, answer))
            elif answer.header("X-Remote-User") == user and answer.wbxml().get("SyncKey") == "%s %s" % (mark, [user]):
                self.note("right", user)
            else:
                self.note("wrong", "%s: %r %r" % (user, answer, answer.header("X-Remote-User")))
            if (n + number) % 3 == 0:
                device.close()
        device.close()

    def note(self, what, who):
        with self.lock:
            self.seen[what].append(who)

    def run_crowd(self, port_of, at_once, connections):
        """at_once: how many requests may be under way. connections: how many each worker may have upstream."""
        self.lock, self.seen, self.refused, self.served = threading.Lock(), collections.defaultdict(list), set(), 0
        self.turns = threading.Semaphore(at_once)
        httpd = self.start_httpd(answer=self.sometimes_refuse, requests_each=11, processes=6)
        self.start_kerberos(httpd.url(port_of(httpd)), {
            "connections": connections, "connect-time": "60s", "login-time": "60s", "login-failed-time": "0s"},
            workers=2, directory={"answer-time": "60s", "connect-time": "60s"})
        threads = [threading.Thread(target=self.phone, args=(address, certificate, number), daemon=True)
                   for number, (address, certificate) in enumerate(self.crowd.items())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
        self.assertEqual([thread for thread in threads if thread.is_alive()], [], self.proxy.tail())
        self.assertEqual(self.seen["wrong"], [])
        total = self.PHONES * self.REQUESTS
        self.assertEqual(sum(len(who) for who in self.seen.values()), total)
        self.assertGreater(len(self.seen["right"]), 0.95 * total, [
            (what, len(who), who[:3]) for what, who in self.seen.items()])
        self.assertEqual(len(set(self.seen["right"])), self.PHONES)
        self.assert_connections_are_apart(httpd)
        return httpd

    def assert_connections_are_apart(self, httpd):
        """Each connection that the web server saw brought the requests of one user."""
        connections, current = [], {}
        for line in httpd.requests():
            if line["number"] == 0:
                current[line["peer"]] = set()
                connections.append(current[line["peer"]])
            if line["user"] not in ("", "-"):
                current[line["peer"]].add(line["user"])
        self.assertEqual([users for users in connections if len(users) > 1], [])

    def test_hundreds_of_users_at_once_each_get_their_own(self):
        httpd = self.run_crowd(lambda httpd: httpd.bound, self.PHONES, 1000)
        reused = [line for line in httpd.requests(status=200) if line["number"] > 0]
        self.assertGreater(len(reused), 100, "connections were used again")

    def test_hundreds_of_users_share_few_connections_one_after_another(self):
        self.run_crowd(lambda httpd: httpd.bound, 30, 30)

    def test_hundreds_of_users_at_a_server_that_wants_a_token_each_time(self):
        self.run_crowd(lambda httpd: httpd.per_request, 30, 1000)


if __name__ == "__main__":
    unittest.main()
