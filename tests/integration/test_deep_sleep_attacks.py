"""Phones of ill will after their handshake, over real TLS 1.3: floods, faults, records that never end, answers that are never
read. Each connection ends with the right alert, what they all take stays bounded, and others are served."""
import ssl
import unittest

import client
import harness
from client import PATH
from record_client import ALERT, CONTENT, HANDSHAKE, RecordClient
from recorder import answer_bytes

REQUEST = ("OPTIONS %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % PATH).encode()
MANY = 4000

UNEXPECTED, BAD_MAC, OVERFLOW, ILLEGAL, DECODE = 10, 20, 22, 47, 50


class AttackCase(harness.Case):
    environment = None

    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder(self.answer)
        self.proxy = self.start_proxy("http://localhost:%d" % self.recorder.port, {"workers": 1},
                                      environment=self.environment)
        self.proxy.wait_until_answering()

    def answer(self, *_):
        return answer_bytes(200, b"mail")

    def attacker(self, user="bob", **options):
        context = client.tls_context(self.pki.ca, self.pki.user(user), minimum_version=ssl.TLSVersion.TLSv1_3)
        phone = RecordClient(self.proxy.port, context, self.directory, **options)
        self.addCleanup(phone.socket.close)
        return phone

    def converse(self, phone):
        phone.send(CONTENT, REQUEST)
        self.assertIn(b" 200 ", phone.read_until(b"mail"))

    def others_are_served(self):
        with self.proxy.dial("alice") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)

    def worker_kb(self, field="VmRSS"):
        worker, = self.proxy.pids("worker")
        return harness.memory_kb(worker, field)


class DeepSleepAttacksTest(AttackCase):
    def test_floods_without_content_end(self):
        floods = (
            ("new keys", lambda phone: phone.update(False), 32),
            ("new keys that want an answer", lambda phone: phone.update(True), 32),
            ("empty records", lambda phone: phone.out.seal(CONTENT, b""), 32),
            ("records of padding and nothing else", lambda phone: phone.out.seal(CONTENT, b"", 16384), 32),
            ("user_canceled", lambda phone: phone.out.seal(ALERT, b"\1\x5a"), 4),
        )
        for what, make, allowed in floods:
            with self.subTest(what):
                phone = self.attacker()
                for _ in range(2):  # content in between, and it may begin anew
                    phone.send_raw(b"".join(make(phone) for _ in range(allowed)))
                    self.converse(phone)
                phone.try_to_send(b"".join(make(phone) for _ in range(MANY if "padding" not in what else 100)))
                self.assertEqual(phone.read_alert(), UNEXPECTED)
                self.others_are_served()

    def test_a_fault_ends_with_its_alert(self):
        def changed(phone):
            wire = bytearray(phone.out.seal(CONTENT, REQUEST))
            wire[-1] ^= 1
            return bytes(wire)
        faults = (
            ("a changed tag", changed, BAD_MAC),
            ("no room for a tag", lambda _: b"\x17\3\3\0\x0f" + bytes(15), BAD_MAC),
            ("a record that was sent before", lambda phone: phone.first, BAD_MAC),
            ("a head that says too much", lambda _: b"\x17\3\3\x41\x01", OVERFLOW),
            ("too much content", lambda phone: phone.out.seal(CONTENT, bytes(16385)), OVERFLOW),
            ("nothing but zeros", lambda phone: phone.out.seal(0, b"", 9), UNEXPECTED),
            ("a ChangeCipherSpec in the clear", lambda _: b"\x14\3\3\0\1\1", UNEXPECTED),
            ("an alert in the clear", lambda _: b"\x15\3\3\0\2\1\0", UNEXPECTED),
            ("plain HTTP", lambda _: b"GET / HTTP/1.1\r\n\r\n", UNEXPECTED),
            ("a type that is none", lambda phone: phone.out.seal(99, b"x"), UNEXPECTED),
            ("a ClientHello", lambda phone: phone.out.seal(HANDSHAKE, b"\1\0\0\3\3\3\x09"), UNEXPECTED),
            ("a ticket", lambda phone: phone.out.seal(HANDSHAKE, b"\4\0\0\1x"), UNEXPECTED),
            ("a handshake record of no length", lambda phone: phone.out.seal(HANDSHAKE, b""), UNEXPECTED),
            ("a KeyUpdate with more behind it", lambda phone: phone.out.seal(
                HANDSHAKE, b"\x18\0\0\1\0\x18"), UNEXPECTED),
            ("a KeyUpdate of two bytes", lambda phone: phone.out.seal(HANDSHAKE, b"\x18\0\0\2\0\0"), DECODE),
            ("a KeyUpdate of another wish", lambda phone: phone.out.seal(HANDSHAKE, b"\x18\0\0\1\2"), ILLEGAL),
            ("content within a message", lambda phone: phone.out.seal(
                HANDSHAKE, b"\x18") + phone.out.seal(CONTENT, b"x"), UNEXPECTED),
            ("an alert of three bytes", lambda phone: phone.out.seal(ALERT, b"\2\0\0"), UNEXPECTED),
            ("a fatal alert", lambda phone: phone.out.seal(ALERT, b"\2\x28"), None),
        )
        for what, make, alert in faults:
            with self.subTest(what):
                phone = self.attacker()
                phone.first = phone.out.seal(CONTENT, REQUEST)
                phone.send_raw(phone.first)
                self.assertIn(b" 200 ", phone.read_until(b"mail"))
                phone.send_raw(make(phone))
                self.assertEqual(phone.read_alert(), alert)
        self.others_are_served()

    def test_new_keys_between_all_bytes_are_answered_once(self):
        phone = self.attacker()
        for n in range(10):
            phone.send_raw(b"".join(phone.update(True) + phone.out.seal(CONTENT, REQUEST[at:at + 1])
                                    for at in range(len(REQUEST))))
            self.assertIn(b" 200 ", phone.read_until(b"mail"))
            self.assertEqual(phone.updates, n + 1)
        self.others_are_served()

    def test_records_come_byte_by_byte(self):
        phone = self.attacker()
        for byte in phone.out.seal(CONTENT, REQUEST) + phone.update(True) + phone.out.seal(CONTENT, REQUEST, 200):
            phone.send_raw(bytes((byte,)))
        for _ in range(2):
            self.assertIn(b" 200 ", phone.read_until(b"mail"))
        self.assertEqual(phone.updates, 1)

    def test_records_that_never_end_take_what_they_have_sent(self):
        phones = [self.attacker() for _ in range(40)]
        for phone in phones:
            self.converse(phone)
        before = self.worker_kb()
        for phone in phones:
            record = phone.out.seal(CONTENT, REQUEST + bytes(16384 - len(REQUEST)))
            phone.send_raw(record[:-1])
            phone.last = record[-1] ^ 1
        self.others_are_served()
        # A record each, and what a sanitizer keeps of pieces that were freed.
        self.assertLess(self.worker_kb() - before, 40 * 64 + 4096)
        for phone in phones:  # each has still its own key
            phone.send_raw(bytes((phone.last,)))
            self.assertEqual(phone.read_alert(), BAD_MAC)

    def test_who_comes_back_from_sleep_has_its_key(self):
        """More connections than there are contexts for keys: each speaks, is forgotten, and speaks again."""
        phones = [self.attacker() for _ in range(150)]
        for _ in range(2):
            for phone in phones:
                self.converse(phone)
        for phone in phones:
            phone.send_raw(phone.update(True))
        for phone in phones:
            self.converse(phone)
            self.assertEqual(phone.updates, 1)
        for phone in phones[::3]:
            phone.socket.close()
        for phone in phones[1::3]:
            self.converse(phone)


class NeverReadTest(AttackCase):
    """Phones that ask and do not read: what is for them waits where it comes from, not in a worker's memory. Their
    windows are small, and each answer is longer than all that the kernel holds on both ways."""
    # What the sanitizer keeps of freed memory, to notice its use, is not the proxy's.
    environment = {"ASAN_OPTIONS": "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}
    WINDOW = 4096
    PHONES = 20
    PIECE = b"\n".join([b"x" * 999] * 10)
    PIECES = 6400  # 64 MB
    ASKED_MAX = 64 << 20  # bytes of requests
    # What a worker holds back for a phone: 64 kB, a read's worth above that, and records that are sealed already.
    EACH_KB = 192

    def setUp(self):
        self.poured = {}  # by connection: pieces that the mail server got rid of
        super().setUp()

    def answer(self, received, connection):
        pieces = int(received.header("X-Pieces") or 0)
        if not pieces:
            return answer_bytes(200, b"mail")
        head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * len(self.PIECE))
        connection.sendall(head.encode())
        for _ in range(pieces):
            connection.sendall(self.PIECE)
            self.poured[received.connection] = self.poured.get(received.connection, 0) + 1
        return b""

    def asking_for(self, pieces):
        return REQUEST.replace(b"\r\n\r\n", b"\r\nX-Pieces: %d\r\n\r\n" % pieces)

    def slow_phones(self):
        phones = [self.attacker(receive_buffer=self.WINDOW) for _ in range(self.PHONES)]
        for phone in phones:
            self.converse(phone)
        self.others_are_served()
        return phones

    def wait_until_nothing_moves(self, what, read):
        """Others are served all the while."""
        seen = []

        def stands_still():
            self.others_are_served()
            seen.append(read())
            return len(seen) > 10 and len(set(map(repr, seen[-10:]))) == 1
        harness.wait_for(what + " to stand still", stands_still, None, self.proxy)

    def expect_little_memory(self, before):
        self.assertLess(self.worker_kb("VmHWM") - before, self.PHONES * self.EACH_KB + 1024)

    def test_answers_wait_at_the_mail_server(self):
        phones = self.slow_phones()
        before = self.worker_kb()
        for phone in phones:
            phone.send_raw(phone.update(True) + phone.out.seal(CONTENT, self.asking_for(self.PIECES)))
        harness.wait_for("each answer to begin", lambda: len(self.poured) == self.PHONES, None, self.proxy)
        self.wait_until_nothing_moves("the answers", lambda: sorted(self.poured.items()))
        self.assertLess(max(self.poured.values()), self.PIECES // 2)
        self.expect_little_memory(before)
        # Who reads after all gets it in order, under the new key, while the others' answers go on waiting.
        said = phones[0].read_bytes(len(self.PIECE) * self.PIECES // 4)
        _, _, said = said.partition(b"\r\n\r\n")
        self.assertTrue(said == (self.PIECE * self.PIECES)[:len(said)])
        self.assertEqual(phones[0].updates, 1)
        self.expect_little_memory(before)

    def test_who_asks_on_and_on_is_heard_no_more(self):
        phones = self.slow_phones()
        before = self.worker_kb()
        asked = dict.fromkeys(phones, 0)
        unsent = dict.fromkeys(phones, b"")

        def ask():
            for phone in phones:
                phone.socket.setblocking(False)
                try:
                    while asked[phone] < self.ASKED_MAX:
                        wire = unsent[phone] or phone.out.seal(CONTENT, self.asking_for(1) * 100)
                        unsent[phone] = wire
                        sent = phone.socket.send(wire)
                        unsent[phone] = wire[sent:]
                        asked[phone] += sent
                except BlockingIOError:
                    pass
            return sorted(asked.values()), sorted(self.poured.items())
        self.wait_until_nothing_moves("the requests", ask)
        self.assertLess(max(asked.values()), self.ASKED_MAX)
        self.expect_little_memory(before)


if __name__ == "__main__":
    unittest.main()
