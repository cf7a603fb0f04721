"""Devices in quarantine: phones that work, see one message that says what to do, and nothing of their mailbox; and that
are back in it by themselves once they are let in."""
import json
import signal
import subprocess
import time
import unittest
import urllib.request

import client
import harness
from client import PATH
from harness import EASPROXYCTL, EASSIM, wait_for
from wbxml import Node

SEED = 11
DEVICE = "eassim%08x%06u" % (SEED, 0)


class QuarantineTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.server_port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % self.server_port, "--quiet", "--require-provision"],
            self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(self.server_port), None, server)
        with open(self.path("quarantine.txt"), "w", encoding="utf-8") as f:
            f.write("Grüße, %{mailbox}!\nRuf 4711 an und nenne %{device-id} (%{device-type}); 100 %% sicher.\n")
        self.proxy = self.start_here()

    def start_here(self, **options):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.server_port, harness.merge({
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]},
            "devices": {"quarantine-subject": "Noch nicht", "quarantine-text": self.path("quarantine.txt")},
        }, options))
        proxy.wait_until_answering()
        return proxy

    def device(self, command, device=DEVICE, *options, mailbox="alice@contoso.test"):
        subprocess.run([EASPROXYCTL, "device", command, device, "--mailbox", mailbox, *options, "-s", self.proxy.control],
                       check=True, timeout=20, stdout=subprocess.DEVNULL)

    def eassim(self, *options):
        self.phones = getattr(self, "phones", 0) + 1
        return self.start(harness.Program("phone-%d" % self.phones, [
            EASSIM, "phone", "--url", "https://localhost:%d%s" % (self.proxy.port, PATH), "--pki", self.pki.directory,
            "--user", "alice", "--seed", str(SEED), "--foreign", *options], self.directory))

    def upstream_requests(self, command=None):
        """But OPTIONS, in which no phone says which device it is."""
        url = "http://127.0.0.1:%d/eassim/requests?mailbox=alice@contoso.test" % self.server_port
        with urllib.request.urlopen(url) as answer:
            return [r for r in json.load(answer) if r["method"] == "POST" and (
                command is None or "Cmd=" + command in r["target"])]

    def in_quarantine(self, version="16.1"):
        """A phone of the test's own."""
        phone = self.proxy.phone("alice", version=version)
        self.addCleanup(phone.close)
        self.device("quarantine", phone.id)
        return phone

    def sync(self, phone, key, folder, *more, heartbeat=None):
        return phone.post("Sync", Node("AirSync:Sync", Node("AirSync:Collections", Node(
            "AirSync:Collection", Node("AirSync:SyncKey", key), Node("AirSync:CollectionId", folder), *more)),
            *([Node("AirSync:HeartbeatInterval", str(heartbeat))] if heartbeat else [])))

    def test_phones_of_every_version_see_one_message_and_nothing_of_the_mailbox(self):
        self.device("quarantine")
        for version in ("12.1", "14.0", "14.1", "16.0", "16.1"):
            phone = self.eassim("--version", version)
            self.assertEqual(phone.wait(30), 0, phone.tail(20))
            self.assertIn("1 new mails", phone.output())
        self.assertEqual(self.upstream_requests(), [])

    def test_the_message_says_what_to_do(self):
        phone = self.in_quarantine()
        folders = phone.post("FolderSync", client.folder_sync()).wbxml()
        inbox = [add for add in folders.find_all("Add") if add.child("Type") == "2"]
        self.assertEqual(len(inbox), 1)
        inbox = inbox[0].child("ServerId")
        key = self.sync(phone, "0", inbox).wbxml().get("SyncKey")
        answer = self.sync(phone, key, inbox).wbxml()
        self.assertEqual(answer.get("Subject"), "Noch nicht")
        self.assertEqual(answer.get("From"), "postmaster@contoso.test")
        text = answer.get("Data")
        self.assertIn("Grüße, alice@contoso.test!", text)
        self.assertIn("nenne %s (Test); 100 %% sicher." % phone.id, text)
        key = answer.get("SyncKey")
        self.assertEqual(self.sync(phone, key, inbox).body, b"")
        begun = time.monotonic()
        self.assertEqual(self.sync(phone, key, inbox, heartbeat=1).body, b"")
        self.assertGreaterEqual(time.monotonic() - begun, 0.9)
        fetched = phone.post("ItemOperations", Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"), Node("AirSync:CollectionId", inbox),
            Node("AirSync:ServerId", answer.get("ServerId"))))).wbxml()
        self.assertEqual(fetched.get("Data"), text)

    def test_a_text_of_ours_where_none_is_given(self):
        self.proxy.stop()
        self.proxy = self.start_here(devices={"quarantine-subject": None, "quarantine-text": None})
        phone = self.in_quarantine()
        key = self.sync(phone, "0", "{easproxy}1").wbxml().get("SyncKey")
        answer = self.sync(phone, key, "{easproxy}1").wbxml()
        self.assertEqual(answer.get("Subject"), "This phone is waiting to be let in")
        self.assertIn(phone.id, answer.get("Data"))

    def test_all_else_is_refused(self):
        mail = b"From: alice@contoso.test\r\nTo: bob@contoso.test\r\n\r\nhello"
        for version in ("12.1", "14.1"):
            phone = self.in_quarantine(version)
            search = Node("Search:Search", Node("Search:Store", Node("Search:Name", "GAL"), Node("Search:Query", "bob")))
            move = Node("Move:MoveItems", Node("Move:Move", Node("Move:SrcMsgId", "1"), Node("Move:SrcFldId", "2"),
                                               Node("Move:DstFldId", "3")))
            for command, document in (("Search", search), ("MoveItems", move), ("SendMail", client.send_mail(mail))):
                if command == "SendMail" and version == "12.1":
                    answer = phone.post("SendMail", extra=[("Content-Type", "message/rfc822")], body=None)
                    continue
                answer = phone.post(command, document)
                if version == "12.1":
                    self.assertEqual(answer.status, 403, command)
                else:
                    self.assertEqual(answer.wbxml().get("Status"), "130", command)
        self.assertEqual(self.upstream_requests(), [])

    def wait_for_sleep(self, phone, count=1):
        """Until the phone is in a Ping that is held here."""
        def polls():
            out = subprocess.run([EASPROXYCTL, "status", "--json", "-s", self.proxy.control], stdout=subprocess.PIPE,
                                 check=True, timeout=20).stdout
            return sum(worker["counters"]["polls_open"] for worker in json.loads(out)["workers"])
        wait_for("the phone to sleep", lambda: polls() >= count, None, self.proxy, phone)

    def test_let_in_it_has_its_mailbox_by_itself(self):
        self.device("quarantine")
        phone = self.eassim("--version", "16.1", "--duration", "600", "--heartbeat", "600")
        self.wait_for_sleep(phone)
        self.assertEqual(self.upstream_requests(), [])
        begun = time.monotonic()
        self.device("allow")
        wait_for("its own mails", lambda: "5 new mails" in phone.output() or phone.output().count("new mails") >= 3,
                 None, self.proxy, phone)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertIn("told that its folders have changed", phone.output())
        self.assertIn("told to begin with its folders anew", phone.output())
        self.assertNotIn("WRONG", phone.output())
        self.assertTrue(self.upstream_requests("FolderSync"))
        self.assertFalse([r for r in self.upstream_requests() if "easproxy}" in r["target"]])
        phone.stop()

    def test_a_phone_that_sleeps_is_put_into_it_and_out_again(self):
        phone = self.eassim("--version", "14.1", "--duration", "600", "--heartbeat", "600")
        wait_for("the phone to sleep", lambda: self.upstream_requests("Ping"), None, self.proxy, phone)
        before = len(phone.output())
        self.device("quarantine")
        wait_for("the message", lambda: "1 new mails" in phone.output()[before:], None, self.proxy, phone)
        reached = len(self.upstream_requests())
        self.wait_for_sleep(phone)
        self.assertEqual(len(self.upstream_requests()), reached)
        before = len(phone.output())
        self.device("allow")
        wait_for("its own mails", lambda: "new mails" in phone.output()[before:], None, self.proxy, phone)
        wait_for("its Ping at the server", lambda: len(self.upstream_requests("Ping")) > 1, None, self.proxy, phone)
        self.assertNotIn("WRONG", phone.output())
        phone.stop()

    def test_an_order_to_wipe_wakes_it(self):
        self.device("quarantine")
        phone = self.eassim("--version", "16.1", "--duration", "600", "--heartbeat", "600", "--expect", "account-wiped")
        self.wait_for_sleep(phone)
        self.device("wipe", DEVICE, "--account-only")
        self.assertEqual(phone.wait(20), 0, phone.tail(20))
        self.assertEqual(self.upstream_requests(), [])

    def test_what_is_held_ends_when_the_worker_finishes(self):
        self.device("quarantine")
        phone = self.eassim("--version", "16.1", "--duration", "600", "--heartbeat", "600")
        self.wait_for_sleep(phone)
        self.proxy.signal(signal.SIGHUP)
        wait_for("its Ping to end", lambda: "nothing in" in phone.output(), None, self.proxy, phone)
        self.wait_for_sleep(phone)
        self.assertNotIn("WRONG", phone.output())
        self.assertEqual(self.upstream_requests(), [])
        phone.stop()

    def test_it_outlives_a_restart(self):
        phone = self.in_quarantine()
        phone.close()
        self.proxy.stop()
        state, control = self.proxy.state, self.proxy.control
        self.proxy = self.start_here(**{"state-directory": state, "control-socket": control})
        phone.dial = lambda: self.proxy.dial("alice")
        answer = phone.post("FolderSync", client.folder_sync()).wbxml()
        self.assertEqual(answer.get("SyncKey"), "{easproxy}1")
        self.assertEqual(self.upstream_requests(), [])

    def test_keys_of_ours_never_reach_the_mail_server(self):
        """Of a device that was never in quarantine here: another node's, or an old one's."""
        phone = self.proxy.phone("alice", version="16.1")
        self.addCleanup(phone.close)
        answer = phone.post("FolderSync", client.folder_sync("{easproxy}1")).wbxml()
        self.assertEqual(answer.get("Status"), "9")
        self.assertEqual(self.sync(phone, "{easproxy}2", "{easproxy}1").wbxml().get("Status"), "12")
        self.assertEqual(self.sync(phone, "{easproxy}2", "5").wbxml().get("Status"), "3")
        self.assertEqual(phone.post("Ping", client.ping(600, "{easproxy}1")).wbxml().get("Status"), "7")
        self.assertEqual(self.upstream_requests(), [])


if __name__ == "__main__":
    unittest.main()
