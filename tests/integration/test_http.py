"""Bodies on their way: streamed in both directions with bounded memory, held back until they are
known to be whole, timed, and answered in order."""
import os
import threading
import time
import unittest

import client
import harness
import wbxml
from client import PATH, request_bytes
from harness import memory_kb, wait_for
from recorder import answer_bytes

WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
VERSION = ("MS-ASProtocolVersion", "14.1")


def target(command):
    return PATH + "?Cmd=%s&User=bob%%40contoso.test&DeviceId=D1&DeviceType=T" % command


class HttpCase(harness.Case):
    changes = None
    environment = None

    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, self.changes,
                                      environment=self.environment)
        self.proxy.wait_until_answering()
        self.recorder.clear()

    def dial(self, **options):
        return self.enterContext(self.proxy.dial("bob", **options))


class StreamTest(HttpCase):
    def test_a_request_arrives_as_it_was_sent(self):
        mime = os.urandom(300000)
        document = wbxml.encode(client.send_mail(mime))
        for name, body in (("with a length", document),
                           ("chunked", [document[at:at + 777] for at in range(0, len(document), 777)]),
                           ("chunked, byte by byte", [document[at:at + 1] for at in range(3000)] + [document[3000:]])):
            with self.subTest(name):
                self.recorder.clear()
                answer = self.dial().request("POST", target("SendMail"), [WBXML, VERSION], body)
                self.assertEqual(answer.status, 200)
                received, = self.recorder.whole()
                self.assertEqual(received.body, document)
                self.assertEqual(received.header("Content-Type"), WBXML[1])
                self.assertEqual(received.header("MS-ASProtocolVersion"), "14.1")

    def test_tiny_chunks_are_put_together(self):
        """Each in a packet of its own would have one phone keep a whole worker busy."""
        document = wbxml.encode(client.send_mail(os.urandom(100000)))
        answer = self.dial().request("POST", target("SendMail"), [WBXML, VERSION],
                                     [document[at:at + 1] for at in range(len(document))])
        self.assertEqual(answer.status, 200)
        received, = self.recorder.whole()
        self.assertEqual(received.body, document)
        self.assertLess(len(self.recorder.raw), len(document) + 5000)

    def test_an_answer_arrives_as_it_was_sent(self):
        document = wbxml.encode(wbxml.Node(
            "ItemOperations:ItemOperations", wbxml.Node("ItemOperations:Status", "1"),
            *(wbxml.Node("ItemOperations:Fetch", wbxml.Node(
                "ItemOperations:Properties", wbxml.Node("ItemOperations:Data", "x" * 50000))) for _ in range(40))))
        gzip_like = os.urandom(100000)  # an answer that is not WBXML is passed as it is
        for name, reply, expected in (
                ("with a length", answer_bytes(200, document, [WBXML]), document),
                ("chunked", answer_bytes(200, [document[a:a + 1000] for a in range(0, len(document), 1000)],
                                         [WBXML], chunked=True), document),
                ("until close", b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.ms-sync.wbxml\r\n"
                 b"Connection: close\r\n\r\n" + document, document),
                ("a file", answer_bytes(200, gzip_like, [("Content-Type", "application/octet-stream")]), gzip_like),
                ("nothing", answer_bytes(200), b"")):
            with self.subTest(name):
                self.recorder.answer = lambda received, _, reply=reply: reply
                answer = self.dial().request("POST", target("ItemOperations"), [WBXML, VERSION],
                                             wbxml.encode(wbxml.Node("ItemOperations:ItemOperations")))
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.body, expected)

    def test_fields_of_an_answer_pass_and_hop_by_hop_ones_do_not(self):
        self.recorder.answer = lambda *_: answer_bytes(200, b"", [
            ("MS-Server-ActiveSync", "15.2"), ("X-MS-Location", "x"), ("Keep-Alive", "timeout=5"),
            ("Connection", "X-Secret"), ("X-Secret", "1"), ("WWW-Authenticate", "Basic")])
        answer = self.dial().request("OPTIONS", PATH)
        self.assertEqual(answer.header("MS-Server-ActiveSync"), "15.2")
        self.assertIsNone(answer.header("Keep-Alive"))
        self.assertIsNone(answer.header("X-Secret"))

    def test_statuses_pass(self):
        for status in (200, 400, 403, 449, 500, 503):
            with self.subTest(status):
                self.recorder.answer = lambda *_, s=status: answer_bytes(
                    s, b"", [("X-MS-Location", "https://other.test/"), ("Retry-After", "17")], reason="Because")
                answer = self.dial().request("OPTIONS", PATH)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.header("Retry-After"), "17")

    def test_expect_continue(self):
        connection = self.dial()
        body = wbxml.encode(client.folder_sync())
        whole = request_bytes("POST", target("FolderSync"), [WBXML, VERSION, ("Expect", "100-continue")], body)
        connection.send(whole[:-len(body)])
        self.assertEqual(connection.read_head().status, 100)
        connection.send(body)
        self.assertEqual(connection.read_answer().status, 200)
        self.assertEqual(self.recorder.whole()[0].body, body)

    def test_expect_continue_of_a_refused_request_gets_its_refusal_at_once(self):
        connection = self.dial()
        body = wbxml.encode(client.folder_sync())
        whole = request_bytes("POST", PATH + "?Cmd=FolderSync&User=alice&DeviceId=D1&DeviceType=T", [
            WBXML, VERSION, ("Expect", "100-continue")], body)
        connection.send(whole[:-len(body)])
        self.assertEqual(connection.read_head().status, 403)
        connection = self.dial()
        connection.send(whole.replace(b"100-continue", b"200-maybe")[:-len(body)])
        self.assertEqual(connection.read_head().status, 417)

    def test_pipelined_requests_are_answered_in_order(self):
        def answer(received, _):
            if "DeviceId=D1&" in received.target:
                time.sleep(0.5)
            return answer_bytes(200, b"", [("X-Device", received.target)])
        self.recorder.answer = answer
        connection = self.dial()
        data = b"".join(request_bytes("POST", target("FolderSync").replace("D1", "D%d" % n), [WBXML, VERSION],
                                      wbxml.encode(client.folder_sync())) for n in range(1, 6))
        connection.send(data[:700])
        time.sleep(0.1)
        connection.send(data[700:])
        for n in range(1, 6):
            self.assertIn("DeviceId=D%d&" % n, connection.read_answer().header("X-Device"))

    def test_bytes_may_come_one_at_a_time(self):
        connection = self.dial()
        data = request_bytes("POST", target("FolderSync"), [WBXML, VERSION], wbxml.encode(client.folder_sync()))
        for at in range(len(data)):
            connection.send(data[at:at + 1])
        self.assertEqual(connection.read_answer().status, 200)

    def test_http_1_0_and_connection_close_end_the_connection(self):
        for data in (b"OPTIONS %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % PATH.encode(),
                     request_bytes("OPTIONS", PATH, [("Connection", "close")])):
            connection = self.dial()
            connection.send(data)
            self.assertEqual(connection.read_answer().status, 200)
            self.assertTrue(connection.is_closed_within(5))


class MemoryTest(HttpCase):
    # What the sanitizer keeps of freed memory, to notice its use, is not the proxy's.
    environment = {"ASAN_OPTIONS": "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}

    def test_twenty_megabytes_take_no_memory_to_speak_of(self):
        document = wbxml.encode(client.send_mail(os.urandom(20 << 20)))
        big = wbxml.encode(wbxml.Node("ItemOperations:ItemOperations", wbxml.Node(
            "ItemOperations:Response", wbxml.Node("ItemOperations:Fetch", wbxml.Node(
                "ItemOperations:Properties", wbxml.Node("ItemOperations:Data", os.urandom(20 << 20)))))))
        self.recorder.answer = lambda received, _: answer_bytes(
            200, big if "ItemOperations" in received.target else b"", [WBXML])
        connection = self.dial(timeout=90)
        connection.request("POST", target("FolderSync"), [WBXML, VERSION], wbxml.encode(client.folder_sync()))
        pids = self.proxy.pids("worker")
        before = {pid: memory_kb(pid) for pid in pids}
        answer = connection.request("POST", target("SendMail"), [WBXML, VERSION], document)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.recorder.whole()[-1].body, document)
        answer = connection.request("POST", target("ItemOperations"), [WBXML, VERSION],
                                    wbxml.encode(wbxml.Node("ItemOperations:ItemOperations")))
        self.assertTrue(answer.body == big)
        for pid in pids:
            peak = memory_kb(pid, "VmHWM")
            self.assertLess(peak - before[pid], 8192, "a worker grew by %d kB" % (peak - before[pid]))

    def test_a_phone_that_reads_slowly_holds_up_only_itself(self):
        big = b"\x03\x01\x6a\x00\x00\x14\x45\x4d\xc3" + wbxml.length_bytes(8 << 20) + os.urandom(8 << 20) + b"\1\1"
        self.recorder.answer = lambda received, _: answer_bytes(
            200, big if "ItemOperations" in received.target else b"", [WBXML])
        slow = self.dial()
        before = {pid: memory_kb(pid) for pid in self.proxy.pids("worker")}
        slow.send(request_bytes("POST", target("ItemOperations"), [WBXML, VERSION],
                                wbxml.encode(wbxml.Node("ItemOperations:ItemOperations"))))
        time.sleep(1)
        for pid, kb in before.items():
            self.assertLess(memory_kb(pid) - kb, 4096, "an answer that nobody reads is kept in memory")
        for _ in range(10):
            self.assertEqual(self.dial().request("OPTIONS", PATH).status, 200)
        self.assertEqual(slow.read_answer().body, big)


class HoldBackTest(HttpCase):
    """An upstream acts on nothing that it has not got to its end, so a refused request leaves no
    trace there."""

    def test_a_document_that_breaks_at_its_end_never_gets_there(self):
        good = wbxml.encode(client.send_mail(os.urandom(200000)))
        for name, document in (
                ("the last END is missing", good[:-1]), ("two ENDs are missing", good[:-2]),
                ("a byte more", good + b"\x01"), ("a second document", good + good),
                ("an unknown page at the end", good[:-1] + b"\x00\x63\x05\x01"),
                ("a literal at the end", good[:-1] + b"\x04\x01"),
                ("an opaque that claims more", good[:-2] + b"\x50\xc3\xff\xff\xff\xff\x0f")):
            for framing in ("length", "chunked"):
                with self.subTest(name, framing=framing):
                    self.recorder.clear()
                    body = document if framing == "length" else [
                        document[at:at + 5000] for at in range(0, len(document), 5000)]
                    answer = self.dial().request("POST", target("SendMail"), [WBXML, VERSION], body)
                    self.assertEqual(answer.status, 400)
                    time.sleep(0.2)
                    self.assertEqual(self.recorder.whole(), [])

    def test_a_document_that_breaks_late_in_the_stream(self):
        document = bytearray(wbxml.encode(client.send_mail(os.urandom(2 << 20))))
        document[-1:] = b"\x02\x01"  # an ENTITY, which ActiveSync does not have
        connection = self.dial()
        connection.send(request_bytes("POST", target("SendMail"), [WBXML, VERSION], bytes(document))[:-1])
        # All but the end is under way, as far as the held-back tail allows, or refused already.
        connection.send(document[-1:])
        try:
            self.assertEqual(connection.read_answer().status, 400)
        except client.Closed:
            pass
        time.sleep(0.2)
        self.assertEqual(self.recorder.whole(), [])
        refused = wait_for("the log line", lambda: self.proxy.lines(refusal="wbxml-malformed"), 5, self.proxy)
        self.assertEqual(refused[-1].get("mailbox"), "bob@contoso.test")

    def test_a_phone_that_leaves_in_the_middle(self):
        document = wbxml.encode(client.send_mail(os.urandom(500000)))
        for body in (document, [document]):
            self.recorder.clear()
            with self.proxy.dial("bob") as connection:
                connection.send(request_bytes("POST", target("SendMail"), [WBXML, VERSION], body)[:-20])
                time.sleep(0.3)
            time.sleep(0.3)
            self.assertEqual(self.recorder.whole(), [])

    def test_nesting_and_counts_are_bounded(self):
        deep = b"\x03\x01\x6a\x00" + b"\x45" * 5000 + b"\x01" * 5000
        for name, document in (("deep", deep), ("huge", b"\x03\x01\x6a\x00\x45" + b"\x05" * 400000 + b"\x01")):
            with self.subTest(name):
                answer = self.dial().request("POST", target("Sync"), [WBXML, VERSION], document)
                self.assertEqual(answer.status, 400)
                self.assertEqual(self.recorder.whole(), [])


class LimitTest(HttpCase):
    changes = {"limits": {"head-time": "1s", "body-time": "1s", "idle-time": "1s", "head-size": "8kB",
                          "body-size": "100kB"}}

    def test_slow_and_silent_phones_are_let_go(self):
        half_body = request_bytes("POST", target("SendMail"), [WBXML, VERSION],
                                  wbxml.encode(client.send_mail(b"x" * 1000)))[:-500]
        for name, data in (("idle", b""), ("half a head", b"POST / HTTP/1.1\r\nHost: l"), ("half a body", half_body)):
            with self.subTest(name):
                connection = self.dial()
                connection.send(data)
                before = time.monotonic()
                self.assertTrue(connection.is_closed_within(10), name)
                self.assertGreater(time.monotonic() - before, 0.5)
                self.assertTrue(connection.buffer == b"" or connection.buffer.startswith(b"HTTP/1.1 408"),
                                connection.buffer)
                self.assertEqual(self.recorder.whole(), [])

    def test_a_head_that_drips_does_not_get_more_time(self):
        connection, before = self.dial(), time.monotonic()
        with self.assertRaises((client.Closed, OSError)):
            for byte in b"OPTIONS /Microsoft-Server-ActiveSync HTTP/1.1\r\nHost: localhost\r\nX-Drip: " + b"x" * 200:
                connection.send(bytes([byte]))
                time.sleep(0.05)
        self.assertLess(time.monotonic() - before, 8)

    def test_sizes_are_bounded(self):
        connection = self.dial()
        answer = connection.request("OPTIONS", PATH, [("X-Large", "x" * 9000)])
        self.assertEqual(answer.status, 431)
        answer = self.dial().request("OPTIONS", PATH, [("X-%d" % n, "x") for n in range(100)])
        self.assertEqual(answer.status, 431)
        document = wbxml.encode(client.send_mail(b"x" * 200000))
        for body in (document, [document[at:at + 1000] for at in range(0, len(document), 1000)]):
            connection = self.dial()
            try:
                self.assertEqual(connection.request("POST", target("SendMail"), [WBXML, VERSION], body).status, 413)
            except (client.Closed, ConnectionError):
                self.assertTrue(wait_for("the log line", lambda: self.proxy.lines(refusal="body-too-large"), 5,
                                         self.proxy))
        self.assertEqual(self.recorder.whole(), [])

    def test_a_long_poll_outlives_the_idle_time(self):
        self.recorder.answer = lambda *_: time.sleep(3) or answer_bytes()
        connection = self.dial()
        answer = connection.request("POST", target("Ping"), [WBXML, VERSION], wbxml.encode(client.ping(60)))
        self.assertEqual(answer.status, 200)


class HealthTest(HttpCase):
    changes = {"listener phones": {"health-path": "/healthz"}}

    def test_the_health_path_is_answered_here_and_nothing_else_of_it(self):
        self.assertEqual(self.dial().request("GET", "/healthz").status, 200)
        self.assertEqual(self.dial().request("GET", "/healthy").status, 405)
        self.assertEqual(self.dial().request("POST", "/healthz", [WBXML, VERSION], b"").status, 404)
        self.assertEqual(self.recorder.begun(), [])


class GreedTest(HttpCase):
    changes = {"listener phones": {"health-path": "/healthz"}}

    def test_who_takes_no_answers_may_not_go_on_asking(self):
        """Without a certificate even. What the kernel's buffers hold goes in, and not a memory's worth."""
        connection = self.enterContext(self.proxy.dial(timeout=2))
        requests = request_bytes("GET", "/healthz") * 10000
        with self.assertRaises(TimeoutError):
            for _ in range(100):
                connection.send(requests)
        self.assertEqual(self.dial().request("OPTIONS", PATH).status, 200)

    def test_who_takes_the_answers_later_gets_all_of_them(self):
        connection = self.dial()
        count = 3000
        sender = threading.Thread(target=connection.send, args=(request_bytes("GET", "/healthz") * count,))
        sender.start()
        time.sleep(0.5)
        for _ in range(count):
            self.assertEqual(connection.read_answer().status, 200)
        sender.join()

    def test_who_has_no_certificate_is_refused_once_a_connection(self):
        connection = self.enterContext(self.proxy.dial())
        connection.send(request_bytes("OPTIONS", PATH) * 100)
        answer = connection.read_answer()
        self.assertEqual(answer.status, 403)
        self.assertEqual(answer.header("Connection"), "close")
        self.assertTrue(connection.is_closed_within(5))
        self.assertEqual(connection.buffer, b"")


class PiecesTest(HttpCase):
    def test_refused_requests_may_come_in_pieces(self):
        """What is kept of a request that is not whole yet goes when its refusal is the last answer."""
        whole = request_bytes("POST", target("FolderSync"), [WBXML, VERSION], b"nothing like WBXML")
        for name, data in (("a head", b"POST /x HTTP/1.9\r\nHost: localhost\r\n\r\n"),
                           ("a head without end", b"POST /x HTTP/1.1\r\nX: " + b"x" * 100000),
                           ("a body", whole)):
            for at in (5, len(data) - 3):
                with self.subTest(name, at=at), self.proxy.dial("bob") as connection:
                    connection.send(data[:at])
                    time.sleep(0.1)
                    connection.send(data[at:])
                    self.assertGreaterEqual(connection.read_answer().status, 200)
        self.assertEqual(self.proxy.lines("child-died"), [])


class ManyTest(HttpCase):
    def test_many_at_once(self):
        failures = []

        def phone():
            try:
                with self.proxy.dial("bob") as connection:
                    for _ in range(20):
                        if connection.request("OPTIONS", PATH).status != 200:
                            failures.append("status")
            except Exception as e:
                failures.append(e)
        threads = [threading.Thread(target=phone) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.recorder.whole()), 400)


if __name__ == "__main__":
    unittest.main()
