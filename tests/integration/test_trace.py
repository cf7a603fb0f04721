"""easproxyctl trace: one phone followed live, at whichever worker it is; nothing secret is shown, no phone
waits for who watches, and what is lost is counted."""
import gzip
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import client
import harness
import wbxml
from recorder import answer_bytes
from wbxml import Node

WBXML = [("Content-Type", "application/vnd.ms-sync.wbxml")]
MULTIPART = [("Content-Type", "application/vnd.ms-sync.multipart")]
PASSWORD, IMEI, BODY = "hunter2-0815", "490154203237518", "the plan of the summer party"


def settings():
    return Node("Settings:Settings",
                Node("Settings:DevicePassword", Node("Settings:Set", Node("Settings:Password", PASSWORD))),
                Node("Settings:DeviceInformation", Node("Settings:Set", Node("Settings:Model", "Phone 9"),
                                                        Node("Settings:IMEI", IMEI))))


def mail_answer(text=BODY):
    return wbxml.encode(Node("AirSync:Sync", Node("AirSync:Collections", Node(
        "AirSync:Collection", Node("AirSync:SyncKey", "2"), Node("AirSync:CollectionId", "5"), Node("AirSync:Status", "1"),
        Node("AirSync:Commands", Node("AirSync:Add", Node("AirSync:ServerId", "5:1"), Node(
            "AirSync:ApplicationData", Node("Email:Subject", "Party"), Node("Email:From", "a@contoso.test"), Node(
                "AirSyncBase:Body", Node("AirSyncBase:Type", "1"), Node("AirSyncBase:Data", text)))))))))


def sync_request(key="1"):
    return Node("AirSync:Sync", Node("AirSync:Collections", Node(
        "AirSync:Collection", Node("AirSync:SyncKey", key), Node("AirSync:CollectionId", "5"))))


def multipart(document, *parts):
    offset, table = 4 + 8 * (1 + len(parts)), b""
    for part in (document,) + parts:
        table += struct.pack("<II", offset, len(part))
        offset += len(part)
    return struct.pack("<I", 1 + len(parts)) + table + document + b"".join(parts)


class Trace:
    """A running easproxyctl trace --json."""

    def __init__(self, case, proxy, target, *arguments):
        self.process = subprocess.Popen([harness.EASPROXYCTL, "trace", target, "--json", *arguments, "-s", proxy.control],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        case.addCleanup(self.stop)
        self.case, self.proxy, self.text, self.events = case, proxy, b"", []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait("trace")

    def _read(self):
        for line in self.process.stdout:
            self.text += line
            self.events.append(json.loads(line))

    def of(self, event, **fields):
        return [e for e in list(self.events)
                if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def wait(self, event, count=1, **fields):
        harness.wait_for("%d events %s %r" % (count, event, fields),
                         lambda: len(self.of(event, **fields)) >= count, None, self.proxy)
        return self.of(event, **fields)[count - 1]

    def end(self):
        """Waits until it is over by itself."""
        self.case.assertEqual(self.process.wait(harness.PATIENCE), 0, self.process.stderr.read())
        self.reader.join()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class TraceTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.answers = {}
        self.recorder = self.start_recorder(self.answer)

    def answer(self, received, _connection):
        for command, answer in self.answers.items():
            if "Cmd=%s&" % command in received.target:
                return answer(received) if callable(answer) else answer
        return answer_bytes()

    def begin(self, **changes):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, changes)
        proxy.wait_until_answering()
        return proxy

    def phone(self, proxy, user):
        phone = proxy.phone(user)
        self.addCleanup(phone.close)
        return phone

    def test_one_of_two_phones_is_followed_at_all_workers(self):
        self.answers["Sync"] = answer_bytes(200, mail_answer(), WBXML)
        proxy = self.begin(workers=2)
        bob, alice = self.phone(proxy, "bob"), self.phone(proxy, "alice")
        trace = Trace(self, proxy, bob.id.swapcase())
        self.assertEqual(trace.events[0]["workers"], 2)

        def was_at_both():
            for phone in (bob, alice):
                phone.close()
                self.assertEqual(phone.post("Sync", sync_request()).status, 200)
            return len({e["worker"] for e in trace.of("end")}) == 2
        harness.wait_for("both workers to be seen", was_at_both, 60, proxy)
        harness.wait_for("as many ends as begins", lambda: len(trace.of("begin")) == len(trace.of("end")), None, proxy)
        self.assertEqual([e["n"] for e in trace.events], list(range(1, len(trace.events) + 1)))
        self.assertNotIn(alice.id.encode(), trace.text)
        for begin in trace.of("begin"):
            end = trace.of("end", id=begin["id"])[0]
            self.assertEqual((end["command"], end["version"], end["status"], end["mailbox"]),
                             ("Sync", "14.1", 200, "bob@contoso.test"))
            self.assertIn("<CollectionId>5</CollectionId>", end["request"]["text"])
            self.assertIn("<From xmlns=\"Email\">a@contoso.test</From>", end["answer"]["text"])
            self.assertEqual(end["answer"]["form"], "wbxml")

    def test_secrets_are_never_shown_and_content_only_where_it_is_asked_for(self):
        self.answers["Sync"] = answer_bytes(200, mail_answer(), WBXML)
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        short, full = Trace(self, proxy, bob.id), Trace(self, proxy, "BOB@contoso.test", "--content")
        mime = "From: bob@contoso.test\r\nSubject: %s\r\n\r\n%s\r\n" % (BODY, BODY)
        bob.post("Settings", settings())
        bob.post("Sync", sync_request())
        bob.post("SendMail", client.send_mail(mime.encode()))
        for trace in (short, full):
            trace.wait("end", 3)
            self.assertNotIn(PASSWORD.encode(), trace.text)
            self.assertNotIn(IMEI.encode(), trace.text)
            asked, sent = trace.of("end", command="Settings")[0], trace.of("end", command="SendMail")[0]
            self.assertIn("w:masked=\"secret\"></Password>", asked["request"]["text"])
            self.assertIn("…7518</IMEI>", asked["request"]["text"])
            self.assertIn("From: bob@contoso.test", sent["request"]["text"])
        self.assertNotIn(BODY.encode(), short.text)
        self.assertNotIn(b"Party", short.text)
        self.assertIn("[%d bytes]" % len(BODY), short.of("end", command="Sync")[0]["answer"]["text"])
        self.assertIn("[%d bytes]" % len(mime), short.of("end", command="SendMail")[0]["request"]["text"])
        self.assertEqual(full.text.count(BODY.encode()), 3)
        self.assertEqual([line["content"] for line in proxy.lines("trace")], [False, True])
        self.assertEqual([line["target"] for line in proxy.lines("trace")], [bob.id.lower(), "bob@contoso.test"])
        self.assertEqual({line["user_id"] for line in proxy.lines("trace")}, {os.getuid()})
        self.assertNotIn(PASSWORD, proxy.output())

    def test_what_a_person_sees_has_documents_and_no_secrets(self):
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        shown = subprocess.Popen([harness.EASPROXYCTL, "trace", bob.id, "--for", "3s", "-s", proxy.control],
                                 stdout=subprocess.PIPE)
        harness.wait_for("the trace to begin", lambda: proxy.lines("trace"), None, proxy)
        time.sleep(0.2)
        bob.post("Settings", settings())
        text = shown.communicate(timeout=harness.PATIENCE)[0].decode()
        self.assertEqual(shown.returncode, 0)
        self.assertIn("following %s" % bob.id.lower(), text)
        self.assertIn(" > Settings 14.1 ", text)
        self.assertIn("      <DevicePassword>\n", text)
        self.assertIn("over: time, 3 events, 0 lost", text)
        self.assertNotIn(PASSWORD, text)

    def test_a_mailbox_means_all_of_its_phones(self):
        proxy = self.begin()
        phones = [self.phone(proxy, "bob") for _ in range(3)]
        trace = Trace(self, proxy, "bob@contoso.test", "--bodies", "off")
        for phone in phones + [self.phone(proxy, "alice")]:
            phone.post("FolderSync", client.folder_sync())
        trace.wait("end", 3)
        self.assertEqual({e["device"] for e in trace.of("begin")}, {phone.id for phone in phones})
        self.assertNotIn("request", trace.of("end")[0])

    def test_compressed_and_multipart_answers_are_shown_as_what_is_in_them(self):
        self.answers["Sync"] = answer_bytes(200, gzip.compress(mail_answer()), WBXML + [("Content-Encoding", "gzip")])
        document = wbxml.encode(Node("ItemOperations:ItemOperations", Node("ItemOperations:Status", "1")))
        self.answers["ItemOperations"] = answer_bytes(200, multipart(document, BODY.encode()), MULTIPART)
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id)
        bob.post("Sync", sync_request(), extra=[("Accept-Encoding", "gzip")])
        bob.post("ItemOperations", Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"), Node("AirSync:CollectionId", "5"),
            Node("AirSync:ServerId", "5:1"))), extra=[("MS-ASAcceptMultiPart", "T")])
        first, second = trace.wait("end", 1)["answer"], trace.wait("end", 2)["answer"]
        self.assertTrue(first["gzip"])
        self.assertIn("<SyncKey>2</SyncKey>", first["text"])
        self.assertEqual(second["form"], "multipart")
        self.assertIn("<Status>1</Status>", second["text"])
        self.assertIn("[part 1: %d bytes]" % len(BODY), second["text"])
        self.assertNotIn(BODY.encode(), trace.text)

    def test_where_the_server_reads_xml_the_phones_side_is_shown(self):
        self.answers["FolderSync"] = answer_bytes(
            200, b"<FolderSync xmlns='FolderHierarchy'><Status>1</Status></FolderSync>", [("Content-Type", "text/xml")])
        proxy = self.begin(**{"upstream exchange": {"body": "xml", "xml-dialect": "exact"}})
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id)
        bob.post("FolderSync", client.folder_sync())
        end = trace.wait("end")
        self.assertEqual((end["request"]["form"], end["answer"]["form"]), ("wbxml", "wbxml"))
        self.assertIn("<SyncKey>0</SyncKey>", end["request"]["text"])
        self.assertIn("<Status>1</Status>", end["answer"]["text"])

    def test_a_long_body_is_cut_and_what_is_shown_of_it_is_whole_xml(self):
        self.answers["Sync"] = answer_bytes(200, mail_answer("x" * 50000), WBXML)
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id, "--max-body", "1kB")
        bob.post("Sync", sync_request())
        answer = trace.wait("end")["answer"]
        self.assertEqual(answer["cut_at"], 1024)
        self.assertGreater(answer["bytes"], 50000)
        self.assertIn("bytes and more]</Data>", answer["text"])
        self.assertTrue(answer["text"].endswith("</Sync>\n"))
        self.assertNotIn("fault", answer)

    def test_what_easproxy_answers_itself_is_shown_too(self):
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id)
        bob.post("FolderSync", client.folder_sync(), target=bob.target("FolderSync", "alice@contoso.test"))
        end = trace.wait("end")
        self.assertEqual((end["status"], end["refusal"], end["answer"]["form"]), (403, "user-mismatch", "text"))
        self.assertIn("user-mismatch: ", end["answer"]["text"])
        bob.post("FolderSync", body=b"\x03\x01\x6a\x00\x02")
        end = trace.wait("end", 2)
        self.assertEqual(end["refusal"], "wbxml-malformed")
        self.assertIn("byte 4", end["request"]["fault"])

    def test_a_ping_that_slept_before_is_told_at_its_end(self):
        woken = threading.Event()

        def wake(_received):
            woken.wait(harness.PATIENCE)
            return answer_bytes(200, wbxml.encode(Node("Ping:Ping", Node("Ping:Status", "2"))), WBXML)
        self.answers["Ping"] = wake
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        pinging = threading.Thread(target=lambda: bob.post("Ping", client.ping(480)))
        pinging.start()
        harness.wait_for("the Ping to sleep", lambda: [r for r in self.recorder.whole() if "Cmd=Ping" in r.target])
        trace = Trace(self, proxy, bob.id)
        woken.set()
        pinging.join()
        end = trace.wait("end")
        self.assertEqual((end["command"], end["begun_before"], end["eas_status"], end["poll"]), ("Ping", True, 2, True))

    def test_it_ends_with_its_time_and_costs_nothing_afterwards(self):
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id, "--for", "1s")
        trace.end()
        self.assertEqual((trace.events[-1]["event"], trace.events[-1]["reason"]), ("over", "time"))
        bob.post("FolderSync", client.folder_sync())
        self.assertEqual(trace.of("begin"), [])
        self.assertEqual([(l["reason"], l["target"]) for l in proxy.lines("trace-over")], [("time", bob.id.lower())])

    def test_it_ends_when_nobody_watches_any_more(self):
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        Trace(self, proxy, bob.id, "--for", "1h").stop()
        harness.wait_for("the end of the trace", lambda: proxy.lines("trace-over", reason="client gone"), None, proxy)
        self.assertEqual(bob.post("FolderSync", client.folder_sync()).status, 200)

    def test_a_few_run_at_once_and_no_more(self):
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        traces = [Trace(self, proxy, bob.id) for _ in range(4)]
        done = subprocess.run([harness.EASPROXYCTL, "trace", bob.id, "-s", proxy.control], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"4 traces are running already", done.stderr)
        bob.post("FolderSync", client.folder_sync())
        for trace in traces:
            trace.wait("end")
        traces[0].stop()
        harness.wait_for("the end of one", lambda: proxy.lines("trace-over"), None, proxy)
        Trace(self, proxy, bob.id)

    def test_a_slow_reader_loses_events_and_no_phone_waits(self):
        self.answers["Sync"] = answer_bytes(200, mail_answer("y" * 60000), WBXML)
        proxy = self.begin(workers=1)
        bob = self.phone(proxy, "bob")
        with socket.socket(socket.AF_UNIX) as watcher:
            watcher.connect(proxy.control)
            watcher.sendall(json.dumps({"request": "trace", "target": bob.id, "time_ms": 60000,
                                        "content": True}).encode() + b"\n")
            harness.wait_for("the trace to begin", lambda: proxy.lines("trace"), None, proxy)
            for n in range(200):
                before = time.monotonic()
                self.assertEqual(bob.post("Sync", sync_request(str(n))).status, 200)
                self.assertLess(time.monotonic() - before, 5)
            # It reads at last: what had waited, and from then on how many were lost.
            lines = watcher.makefile("rb")
            numbers, dropped, events = [], 0, 0
            self.assertTrue(json.loads(lines.readline())["ok"])
            bob.post("FolderSync", client.folder_sync())
            for line in lines:
                event = json.loads(line)
                numbers.append(event["n"])
                dropped += event.get("dropped", 0)
                events += event["event"] in ("begin", "end")
                if event["event"] == "end" and event["command"] == "FolderSync":
                    break
                if dropped and event["event"] in ("gap",):
                    bob.post("FolderSync", client.folder_sync())
        self.assertEqual(numbers, list(range(2, 2 + len(numbers))))
        self.assertGreater(dropped, 0)
        self.assertGreaterEqual(events + dropped, 400)
        self.assertLess(harness.memory_kb(proxy.pids("control")[0]), 600000)

    def test_a_worker_that_dies_is_told_and_the_next_one_follows_on(self):
        proxy = self.begin(workers=1)
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id)
        bob.post("FolderSync", client.folder_sync())
        trace.wait("end")
        bob.close()
        os.kill(proxy.pids("worker")[0], signal.SIGKILL)
        trace.wait("worker-gone")
        trace.wait("worker-came")
        proxy.wait_until_answering()
        bob.post("FolderSync", client.folder_sync("1"))
        trace.wait("end", 2)

    def test_it_goes_on_after_a_reload(self):
        proxy = self.begin()
        bob = self.phone(proxy, "bob")
        trace = Trace(self, proxy, bob.id, "--for", "5m")
        bob.post("FolderSync", client.folder_sync())
        trace.wait("end")
        subprocess.run([harness.EASPROXYCTL, "reload", "-s", proxy.control], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        trace.wait("over", reason="reload")
        trace.wait("trace", 2)
        bob.close()
        bob.post("FolderSync", client.folder_sync("1"))
        trace.wait("end", 2)

    def test_who_ends_with_control_is_told(self):
        proxy = self.begin()
        trace = Trace(self, proxy, "bob@contoso.test")
        os.kill(proxy.pids("control")[0], signal.SIGKILL)
        self.assertEqual(trace.process.wait(harness.PATIENCE), 1)
        self.assertIn(b"control process of easproxyd has ended", trace.process.stderr.read())
        self.assertEqual(self.phone(proxy, "bob").post("FolderSync", client.folder_sync()).status, 200)

    def test_after_a_new_control_process_nobody_sees_whom_the_last_one_followed(self):
        woken = threading.Event()

        def wake(_received):
            woken.wait(harness.PATIENCE)
            return answer_bytes(200, wbxml.encode(Node("Ping:Ping", Node("Ping:Status", "2"))), WBXML)
        self.answers["Ping"] = wake
        proxy = self.begin(workers=1)
        bob, alice = self.phone(proxy, "bob"), self.phone(proxy, "alice")
        Trace(self, proxy, bob.id)
        pinging = threading.Thread(target=lambda: bob.post("Ping", client.ping(480)))
        pinging.start()
        harness.wait_for("the Ping to sleep", lambda: [r for r in self.recorder.whole() if "Cmd=Ping" in r.target])
        os.kill(proxy.pids("control")[0], signal.SIGKILL)
        harness.wait_for("another control process", lambda: len(proxy.pids("control")) == 1, None, proxy)
        trace = Trace(self, proxy, alice.id)
        harness.wait_for("the worker to be followed", lambda: trace.events[0]["workers"] == 1 or trace.of("worker-came"),
                         None, proxy)
        woken.set()
        pinging.join()
        alice.post("FolderSync", client.folder_sync())
        trace.wait("end", mailbox="alice@contoso.test")
        self.assertNotIn(b"bob@contoso.test", trace.text)

    def test_a_wrong_command_line_is_told(self):
        for arguments in ((), ("a", "b"), ("a", "--for", "2h"), ("a", "--for", "0s"), ("a", "--bodies", "maybe"),
                          ("a", "--max-body", "1GB"), ("a", "--nonsense")):
            done = subprocess.run([harness.EASPROXYCTL, "trace", *arguments], stderr=subprocess.PIPE,
                                  stdout=subprocess.PIPE, timeout=60, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"usage:", done.stderr)
