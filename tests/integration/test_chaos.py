"""Phones that break off, lie and babble at random, in front of an endpoint that does the same, while
the configuration is reloaded. Whatever happens: no process dies, nothing stays open, and nobody gets
into, or is shown, another one's mailbox. EASPROXY_SEED and EASPROXY_CHAOS_SECONDS choose another run
and a longer one."""
import json
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

import client
import harness
import wbxml
from client import PATH, request_bytes
from harness import EASPROXYCTL, wait_for
from recorder import Recorder, answer_bytes
from wbxml import Node

SECONDS = float(os.environ.get("EASPROXY_CHAOS_SECONDS", "7"))
SEED = int(os.environ.get("EASPROXY_SEED", "2"))
PHONES = 12
USERS = ("alice", "bob")
WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
VERSION = ("MS-ASProtocolVersion", "14.1")
GAUGES = ("connections_open", "polls_open", "upstream_connections_open")


def reset(connection):
    """Ends it with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Endpoint(Recorder):
    """Tells in X-For whom it takes a request to come from, and in X-Device which one it answers."""

    def __init__(self, seed, **options):
        self.random = random.Random(seed)
        self.is_frozen = False
        super().__init__(self.answer_at_random, **options)

    def answer_at_random(self, received, connection):
        device = re.search(r"DeviceId=(\w+)", received.target)
        fields = [("X-For", ",".join(received.all("X-Mailbox"))), ("X-Device", device.group(1) if device else ""),
                  self.random.choice([WBXML, ("Content-Type", "text/plain")])]
        content = self.random.choice([b"", b"x", wbxml.encode(client.folder_sync()), b"y" * 40000])
        answer = self.random.choice([
            answer_bytes(200, content, fields),
            answer_bytes(200, [content[:7], content[7:]], fields, chunked=True),
            answer_bytes(449, content, fields, reason="Odd"),
            b"HTTP/1.1 103 Early\r\n\r\n" * 3 + answer_bytes(200, content, fields)])
        while self.is_frozen:
            time.sleep(0.05)
        fault = self.random.randrange(14)
        cut = self.random.randrange(len(answer))
        if fault == 0:
            return None
        if fault == 1:
            connection.sendall(answer[:cut])
            return None
        if fault == 2:
            connection.sendall(answer[:cut])
            time.sleep(self.random.random() / 5)
            return answer[cut:]
        if fault == 3:  # with the answer, so that it is there before anybody is next
            return answer + answer_bytes(200, b"", [("X-For", "stray"), ("X-Device", "stray")])
        if fault == 4:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
        if fault == 5:
            connection.sendall(answer[:cut])
            reset(connection)
            return None
        if fault == 6:
            return answer_bytes(204) if self.random.random() < 0.5 else b"HTTP/1.1 304 Not Modified\r\n\r\n"
        if fault == 7:
            time.sleep(self.random.random())
        return answer


class Phone:
    """One after the other, every connection something else."""

    def __init__(self, test, number):
        self.test, self.proxy, self.number = test, test.proxy, number
        self.random = random.Random(SEED * 1000 + number)
        self.count, self.good = 0, 0

    def run(self, until):
        scripts = [self.sync, self.sync, self.sync, self.pipeline, self.break_off, self.mutate, self.lie, self.flood,
                   self.half_close, self.babble, self.shake_half_a_hand, self.upload, self.ping, self.bad_upload]
        while time.monotonic() < until:
            self.user = self.random.choice(USERS)
            try:
                self.random.choice(scripts)()
            except (client.Closed, OSError, ssl.SSLError):
                pass

    def dial(self):
        return client.Connection(self.proxy.port, self.test.contexts[self.user], timeout=4)

    def request(self, command="FolderSync", body=None, extra=(), user=None, prefix=""):
        """The device's id says who really asks."""
        self.count += 1
        device = "%s%s0%d0%d" % (prefix, self.user, self.number, self.count)
        target = PATH + "?Cmd=%s&User=%s%%40contoso.test&DeviceId=%s&DeviceType=T" % (
            command, user or self.user, device)
        return device, request_bytes("POST", target, [WBXML, VERSION, *extra],
                                     wbxml.encode(client.folder_sync()) if body is None else body)

    def check(self, answer, device):
        """An endpoint's answer is one to this user's request."""
        if answer.header("X-For") is not None:
            self.good += 1
            self.test.note(answer.header("X-For") == self.user + "@contoso.test" and
                           answer.header("X-Device") == device,
                           "%s was shown %r" % (device, answer.headers))

    def sync(self):
        with self.dial() as connection:
            for _ in range(self.random.randrange(1, 6)):
                device, data = self.request()
                connection.send(data)
                answer = connection.read_answer()
                self.check(answer, device)
                if answer.header("Connection") == "close":
                    return

    def pipeline(self):
        requests = [self.request() for _ in range(5)]
        data = b"".join(r for _, r in requests)
        at = self.random.randrange(len(data))
        with self.dial() as connection:
            connection.send(data[:at])
            time.sleep(self.random.random() / 20)
            connection.send(data[at:])
            for device, _ in requests:
                self.check(connection.read_answer(), device)

    def break_off(self):
        _, data = self.request()
        connection = self.dial()
        connection.send(data[:self.random.randrange(len(data) + 1)])
        time.sleep(self.random.random() / 10)
        if self.random.random() < 0.5:
            reset(connection.socket)
        connection.close()

    def half_close(self):
        _, data = self.request()
        with self.dial() as connection:
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
            connection.read_answer()

    def mutate(self):
        data = bytearray(self.request()[1])
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(data))
            if self.random.random() < 0.5:
                data[at] = self.random.randrange(256)
            else:
                data[at:at] = self.random.choice([b"\r\n", b"\0", b" ", b"\n", b"%00", b"&", b"A" * 5000])
        at = self.random.randrange(len(data))
        with self.dial() as connection:
            connection.send(data[:at])
            time.sleep(self.random.random() / 20)
            connection.send(data[at:])
            connection.read_answer()

    def lie(self):
        other = USERS[1 - USERS.index(self.user)]
        name = self.random.choice(["X-Mailbox", "x-mailbox", "X_Mailbox", "X.Mailbox", "X-Mailbox "])
        extra = self.random.choice([[(name, other + "@contoso.test")], [("Transfer-Encoding", "chunked")],
                                    [("Connection", "X-Mailbox, Content-Length")], [("Content-Length", "3")], []])
        _, inner = self.request(user=other, prefix="refused")
        device, data = self.request(extra=extra, user=self.random.choice([self.user, other]))
        with self.dial() as connection:
            connection.send(data + inner)
            self.check(connection.read_answer(), device)
            self.test.note(connection.read_answer().status >= 400, "%s got in as %s" % (self.user, other))

    def flood(self):
        """Answers that nobody takes."""
        data = self.request()[1] * 20
        connection = self.dial()
        connection.send(data)
        time.sleep(self.random.random() / 2)
        reset(connection.socket)

    def babble(self):
        with client.Connection(self.proxy.port, timeout=4) as connection:
            connection.send(bytes(self.random.randrange(256) for _ in range(300)))
            connection.read_head()

    def shake_half_a_hand(self):
        """Every byte of the handshake up to some point, then silence, an end or a reset."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.test.contexts[self.user].wrap_bio(incoming, outgoing, server_hostname="localhost")
        left = self.random.randrange(3000)
        raw = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=4)
        with raw:
            while left > 0:
                try:
                    tls.do_handshake()
                    left = 0
                except ssl.SSLWantReadError:
                    pass
                data = outgoing.read()[:left]
                left -= len(data) if data else left
                raw.sendall(data)
                if left > 0:
                    received = raw.recv(65536)
                    left = left if received else 0
                    incoming.write(received)
            time.sleep(self.random.random() / 2)
            if self.random.random() < 0.5:
                reset(raw)

    def upload(self):
        mime = b"Subject: x\r\n\r\n" + b"z" * self.random.randrange(200000)
        body = wbxml.encode(client.send_mail(mime))
        size = self.random.choice([100, 5000, len(body)])
        if self.random.random() < 0.7:
            body = [body[at:at + size] for at in range(0, len(body), size)]
        device, data = self.request("SendMail", body)
        with self.dial() as connection:
            if self.random.random() < 0.3:
                connection.send(data[:self.random.randrange(len(data))])
                time.sleep(self.random.random() / 10)
                return
            connection.send(data)
            self.check(connection.read_answer(), device)

    def bad_upload(self):
        """A document whose last bytes are wrong: the endpoint must never have all of it."""
        body = wbxml.encode(client.send_mail(b"z" * self.random.choice([10, 33000, 150000])))
        body = self.random.choice([body[:-1], body + b"\1", body[:-2] + b"\xff\xff"])
        size = self.random.choice([1000, 40000])
        chunks = [body[at:at + size] for at in range(0, len(body), size)]
        _, data = self.request("SendMail", self.random.choice([body, chunks]), prefix="refused")
        with self.dial() as connection:
            connection.send(data)
            answer = connection.read_answer()
            self.test.note(answer.status >= 400 or answer.header("X-For") is not None or len(answer.body) > 0,
                           "a broken document got %r" % answer)

    def ping(self):
        device, data = self.request("Ping", wbxml.encode(client.ping(60)))
        with self.dial() as connection:
            connection.send(data)
            if self.random.random() < 0.5:
                self.check(connection.read_answer(), device)


class ChaosTest(harness.Case):
    def start_endpoint(self, **options):
        self.endpoint = Endpoint(SEED, **options)
        self.addCleanup(self.endpoint.stop)
        return "%s://localhost:%d" % ("https" if options else "http", self.endpoint.port)

    def setUp(self):
        super().setUp()
        url, changes = self.choose()
        self.proxy = self.start_proxy(url, {
            "drain-time": "1s",
            "limits": {"handshake-time": "1s", "head-time": "1s", "body-time": "2s", "idle-time": "2s"},
            "upstream exchange": dict(changes, **{
                "answer-time": "2s", "poll-margin": "1s", "idle-time": "2s", "health-failures": 100,
                "health-interval": "5s"})})
        self.proxy.wait_until_answering()
        self.contexts = {user: client.tls_context(self.pki.ca, self.pki.user(user)) for user in USERS}
        self.wrong = []

    def choose(self):
        """The endpoint's address, and how it is spoken to."""
        return self.start_endpoint(), {}

    def note(self, is_right, text):
        if not is_right:
            self.wrong.append(text)

    def ctl(self, *arguments):
        return subprocess.run([EASPROXYCTL, *arguments, "-s", self.proxy.control], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=harness.PATIENCE, check=False)

    def status(self):
        result = self.ctl("status", "--json")
        return json.loads(result.stdout) if result.returncode == 0 else {}

    def gauges(self):
        counters = self.status().get("totals", {})
        return {name: counters.get(name) for name in GAUGES}

    def descriptors(self):
        return [len(os.listdir("/proc/%d/fd" % pid)) for pid in self.proxy.pids("worker")]

    def disturb(self, until):
        """Reloads, looks for CRLs, and an endpoint that stands still."""
        dice = random.Random(SEED)
        while time.monotonic() < until:
            time.sleep(0.5 + dice.random())
            what = dice.randrange(3)
            if what == 0:
                self.proxy.signal(signal.SIGHUP)
            elif what == 1:
                self.ctl("refresh")
            else:
                self.endpoint.is_frozen = True
                time.sleep(dice.random() / 2)
                self.endpoint.is_frozen = False

    def run_phones(self):
        until = time.monotonic() + SECONDS
        phones = [Phone(self, number) for number in range(PHONES)]
        threads = [threading.Thread(target=phone.run, args=(until,)) for phone in phones]
        for thread in threads:
            thread.start()
        self.disturb(until)
        for thread in threads:
            thread.join()
        return phones

    def check_requests(self):
        for received in self.endpoint.begun():
            if not received.target.startswith(PATH):
                continue
            mailboxes = [v for n, v in received.headers if re.sub("[^a-z]", "", n.lower()) == "xmailbox"]
            self.assertEqual(len(mailboxes), 1, received.headers)
            device = re.search(r"DeviceId=(refused)?(alice|bob)0\d+(&|$)", received.target)
            if device:
                self.assertEqual(mailboxes[0], device.group(2) + "@contoso.test", received)
            self.assertFalse(received.is_whole and "refused" in received.target, received)

    def test_nothing_dies_nothing_stays_and_nobody_is_somebody_else(self):
        phones = self.run_phones()
        self.check_requests()
        self.assertEqual(self.wrong, [])
        good = sum(phone.good for phone in phones)
        print("%d requests begun, %d answers checked" % (sum(phone.count for phone in phones), good), file=sys.stderr)
        self.assertGreater(good, 20, "too few requests got through for a test")
        none = dict.fromkeys(GAUGES, 0)
        try:
            wait_for("gauges at zero", lambda: self.gauges() == none, None, self.proxy)
        except harness.Timeout:
            self.assertEqual(self.gauges(), none)
        self.assertEqual(self.proxy.lines("child-died") + self.proxy.lines("child-killed"), [])
        self.assertNotIn("ERROR: AddressSanitizer", self.proxy.output())
        # Descriptors: as many as workers have that have seen nothing.
        before = self.descriptors()
        reloads = len(self.proxy.lines("reloaded"))
        self.proxy.signal(signal.SIGHUP)
        wait_for("the reload", lambda: len(self.proxy.lines("reloaded")) > reloads and
                 len(self.proxy.pids("worker")) == 2, None, self.proxy)
        self.assertLessEqual(max(before), max(self.descriptors()) + 1)


class BufferedChaosTest(ChaosTest):
    """The same through spool files, and with TLS on the other side too."""

    def choose(self):
        return self.start_endpoint(certificate=self.pki.server), {
            "ca": self.pki.ca, "request-buffering": True, "buffer-memory": "4kB"}


if __name__ == "__main__":
    unittest.main()
