"""Phones of ill will after their handshake, over real TLS 1.3: floods, faults, records that never end, answers that are never
read. Each connection ends with the right alert, what they all take stays bounded, and others are served."""
import ssl
import unittest

import client
import harness
from client import PATH
from record_client import ALERT, CONTENT, HANDSHAKE, RecordClient
from recorder import answer_bytes

LARGE = b"\n".join([b"x" * 999] * 4000)
REQUEST = ("OPTIONS %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % PATH).encode()
MANY = 4000

UNEXPECTED, BAD_MAC, OVERFLOW, ILLEGAL, DECODE = 10, 20, 22, 47, 50


class DeepSleepAttacksTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder(
            lambda received, _: answer_bytes(200, LARGE if received.header("X-Large") else b"mail"))
        self.proxy = self.start_proxy("http://localhost:%d" % self.recorder.port, {"workers": 1})
        self.proxy.wait_until_answering()

    def attacker(self, user="bob"):
        context = client.tls_context(self.pki.ca, self.pki.user(user), minimum_version=ssl.TLSVersion.TLSv1_3)
        phone = RecordClient(self.proxy.port, context, self.directory)
        self.addCleanup(phone.socket.close)
        return phone

    def converse(self, phone):
        phone.send(CONTENT, REQUEST)
        self.assertIn(b" 200 ", phone.read_until(b"mail"))

    def others_are_served(self):
        with self.proxy.dial("alice") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)

    def worker_kb(self):
        worker, = self.proxy.pids("worker")
        return harness.memory_kb(worker)

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

    def test_answers_that_are_never_read_wait_at_the_mail_server(self):
        large = REQUEST.replace(b"\r\n\r\n", b"\r\nX-Large: 1\r\n\r\n")
        phones = [self.attacker() for _ in range(20)]
        for phone in phones:
            self.converse(phone)
        before = self.worker_kb()
        for phone in phones:
            phone.send_raw(phone.update(True) + phone.out.seal(CONTENT, large))
        for _ in range(3):
            self.others_are_served()
        # Of 80 MB.
        self.assertLess(self.worker_kb() - before, 20 * 512 + 4096)
        for phone in phones:
            self.assertIn(LARGE, phone.read_until(LARGE[-5000:]))
            self.assertEqual(phone.updates, 1)

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


if __name__ == "__main__":
    unittest.main()
