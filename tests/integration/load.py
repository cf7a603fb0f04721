"""Phones that ask all the time, and notice each answer that is wrong, missing or somebody else's."""
import threading
import time

import client
import wbxml
from client import PATH
from recorder import answer_bytes

HEADERS = [("MS-ASProtocolVersion", "14.1"), ("Content-Type", "application/vnd.ms-sync.wbxml")]


def echo(received, _):
    """An upstream's answer that says whose mailbox was asked for, by which device."""
    document = wbxml.Node("FolderHierarchy:FolderSync", wbxml.Node("FolderHierarchy:Status", "1"), wbxml.Node(
        "FolderHierarchy:SyncKey", "%s %s" % (received.all("X-Mailbox"), received.target)))
    return answer_bytes(200, wbxml.encode(document), [("Content-Type", "application/vnd.ms-sync.wbxml")])


class Load:
    """allows_lost: a connection may end under a request, as when its worker is killed; else only a
    kept connection may, when it is closed just as the next request is written (RFC 9112 9.3.1)."""

    def __init__(self, proxy, users=("alice", "bob"), phones=8, allows_lost=False, requests_each=20):
        self.proxy, self.allows_lost, self.requests_each = proxy, allows_lost, requests_each
        self.wrong, self.lost, self.right = [], 0, 0
        self.lock, self.is_over = threading.Lock(), False
        self.threads = [threading.Thread(target=self._run, args=(users[n % len(users)], n), daemon=True)
                        for n in range(phones)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join(30)

    def _note(self, problem):
        with self.lock:
            self.wrong.append("%.3f %s" % (time.time(), problem))

    def _run(self, user, number):
        device = "LOAD%d" % number
        target = PATH + "?Cmd=FolderSync&User=%s%%40contoso.test&DeviceId=%s&DeviceType=T" % (user, device)
        expected = "%s %s" % (["%s@contoso.test" % user], target)
        body = wbxml.encode(client.folder_sync())
        connection, asked = None, 0
        while not self.is_over:
            try:
                if connection is None:
                    connection, asked = self.proxy.dial(user), 0
                answer = connection.request("POST", target, HEADERS, body)
                asked += 1
            except (client.Closed, OSError) as e:
                if self.allows_lost or asked > 0 and isinstance(e, (client.Closed, ConnectionError)):
                    with self.lock:
                        self.lost += 1
                else:
                    self._note("%s: %r after %d answers" % (user, e, asked))
                if connection is not None:
                    connection.close()
                connection = None
                continue
            if answer.status != 200 or answer.wbxml().get("SyncKey") != expected:
                if not (self.allows_lost and answer.status in (502, 503)):
                    self._note("%s: %r" % (user, answer))
            else:
                with self.lock:
                    self.right += 1
            if (answer.header("Connection") or "").lower() == "close" or asked >= self.requests_each:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
