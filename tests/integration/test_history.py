"""easproxyctl device history: the last exchanges of one phone, whichever worker had them."""
import json
import os
import signal
import subprocess
import time

import client
import harness
import wbxml
from recorder import answer_bytes

WBXML = [("Content-Type", "application/vnd.ms-sync.wbxml")]


def answer(received, _connection):
    if "Cmd=Ping" in received.target:
        return answer_bytes(200, wbxml.encode(wbxml.Node("Ping:Ping", wbxml.Node("Ping:Status", "2"))), WBXML)
    if "Cmd=FolderSync" in received.target:
        return answer_bytes(200, wbxml.encode(wbxml.Node(
            "FolderHierarchy:FolderSync", wbxml.Node("FolderHierarchy:Status", "1"))), WBXML)
    return answer_bytes()


class HistoryTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder(answer)

    def begin(self, **changes):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, changes)
        proxy.wait_until_answering()
        return proxy

    def ctl(self, proxy, *arguments, status=0):
        done = subprocess.run([harness.EASPROXYCTL, "device", "history", *arguments, "-s", proxy.control],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def history(self, proxy, device, *arguments):
        shown = json.loads(self.ctl(proxy, device, "--json", *arguments)[0])
        self.assertEqual(shown["device"], device.lower())
        self.assertEqual(shown["unanswered"], 0)
        return shown["exchanges"]

    def test_each_exchange_leaves_what_the_log_says_of_it(self):
        proxy = self.begin()
        phone = proxy.phone("bob")
        before_ms = int(time.time() * 1000)
        phone.post("FolderSync", client.folder_sync())
        phone.post("Ping", client.ping(480, "5", "6"))
        phone.post("FolderSync", body=b"\x03\x01\x6a\x00\x04nonsense")
        folder_sync, ping, refused = self.history(proxy, phone.id)
        self.assertEqual((folder_sync["command"], folder_sync["version"], folder_sync["status"],
                          folder_sync["eas_status"], folder_sync["endpoint_status"], folder_sync["first"]),
                         ("FolderSync", "14.1", 200, 1, 200, True))
        self.assertEqual((ping["command"], ping["eas_status"], ping["heartbeat"], ping["collections"], ping["poll"]),
                         ("Ping", 2, 480, 2, True))
        self.assertNotIn("first", ping)
        self.assertEqual(refused["refusal"], "wbxml-malformed")
        self.assertTrue(refused["own"])
        self.assertEqual(ping["port"], folder_sync["port"])
        for exchange in (folder_sync, ping, refused):
            self.assertEqual(exchange["mailbox"], "bob@contoso.test")
            self.assertLessEqual(before_ms - 50, exchange["at_ms"])
            self.assertLessEqual(exchange["at_ms"], int(time.time() * 1000) + 50)
            self.assertEqual(exchange["certificate"], folder_sync["certificate"])
        line = proxy.lines("request", command="FolderSync", status=200)[0]
        self.assertEqual((folder_sync["bytes_in"], folder_sync["bytes_out"]), (line["bytes_in"], line["bytes_out"]))
        text, _ = self.ctl(proxy, phone.id)
        self.assertIn("of bob@contoso.test", text)
        self.assertIn("heartbeat (s) 480", text)
        self.assertIn("refused: wbxml-malformed", text)

    def test_the_last_ones_are_kept_and_merged_over_all_workers(self):
        proxy = self.begin(workers=4, devices={"history": 5})
        phone = proxy.phone("bob")
        workers = set()

        # A connection goes to whichever worker is quicker.
        def was_everywhere():
            phone.close()
            phone.post("FolderSync", client.folder_sync())
            workers.update(e["worker"] for e in self.history(proxy, phone.id))
            return len(workers) >= 2
        harness.wait_for("a second worker to serve the phone", was_everywhere, 60, proxy)
        phone.close()
        for n in range(30):
            phone.post("FolderSync", client.folder_sync(str(n)))
        exchanges = self.history(proxy, phone.id)
        self.assertEqual(sorted(exchanges, key=lambda e: e["at_ms"]), exchanges)
        for worker in workers:
            self.assertLessEqual(sum(e["worker"] == worker for e in exchanges), 5)
        self.assertEqual(len([e for e in exchanges if e["worker"] == exchanges[-1]["worker"]]), 5)

    def test_a_device_is_one_mailboxes(self):
        proxy = self.begin()
        bob, alice = proxy.phone("bob"), proxy.phone("alice")
        alice.id = bob.id
        bob.post("FolderSync", client.folder_sync())
        alice.post("Ping", client.ping(60))
        both = self.history(proxy, bob.id)
        self.assertEqual([e["mailbox"] for e in both], ["bob@contoso.test", "alice@contoso.test"])
        self.assertEqual([e["command"] for e in self.history(proxy, bob.id, "--mailbox", "Alice@Contoso.Test")], ["Ping"])
        self.assertEqual(self.history(proxy, bob.id, "--mailbox", "carol@contoso.test"), [])
        # Ids are compared without case.
        self.assertEqual(self.history(proxy, bob.id.lower()), self.history(proxy, bob.id))

    def test_what_is_refused_before_its_device_is_looked_at_is_there_too(self):
        proxy = self.begin()
        phone = proxy.phone("bob")
        phone.post("FolderSync", client.folder_sync())
        phone.post("FolderSync", client.folder_sync(), target=phone.target("FolderSync", "alice@contoso.test"))
        self.assertEqual([e.get("refusal") for e in self.history(proxy, phone.id)], [None, "user-mismatch"])

    def test_nothing_is_remembered_where_that_is_off(self):
        proxy = self.begin(devices={"history": 0})
        phone = proxy.phone("bob")
        phone.post("FolderSync", client.folder_sync())
        self.assertEqual(self.history(proxy, phone.id), [])
        self.assertIn("nothing is remembered", self.ctl(proxy, phone.id)[0])

    def test_many_devices_stay_within_their_bounds(self):
        proxy = self.begin(workers=1, devices={"cache": 16, "history": 3})
        first = proxy.phone("bob")
        first.post("FolderSync", client.folder_sync())
        for n in range(20):
            phone = proxy.phone("bob")
            phone.connection = first.connection
            phone.post("FolderSync", client.folder_sync(str(n)))
        self.assertEqual(self.history(proxy, first.id), [])
        self.assertEqual(len(self.history(proxy, phone.id)), 1)

    def test_a_worker_that_does_not_answer_is_not_waited_for(self):
        proxy = self.begin(workers=2)
        phone = proxy.phone("bob")
        phone.post("FolderSync", client.folder_sync())
        exchanges = self.history(proxy, phone.id)
        pids = {}
        for worker in json.loads(subprocess.run([harness.EASPROXYCTL, "status", "--json", "-s", proxy.control],
                                                stdout=subprocess.PIPE, check=True, timeout=60).stdout)["workers"]:
            pids[worker["slot"]] = worker["pid"]
        other = next(pid for slot, pid in pids.items() if slot != exchanges[0]["worker"])
        os.kill(other, signal.SIGSTOP)
        try:
            before = time.monotonic()
            output, note = self.ctl(proxy, phone.id, "--json")
            self.assertLess(time.monotonic() - before, 15)
        finally:
            os.kill(other, signal.SIGCONT)
        shown = json.loads(output)
        self.assertEqual(shown["unanswered"], 1)
        self.assertEqual(shown["exchanges"], exchanges)
        self.assertIn("1 workers did not answer", note)

    def test_a_wrong_question_is_told(self):
        proxy = self.begin()
        self.assertIn("usage:", self.ctl(proxy, status=2)[1])
        self.assertIn("device id", self.ctl(proxy, "x" * 65, status=1)[1])
