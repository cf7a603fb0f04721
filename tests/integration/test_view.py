"""What is seen in requests and answers: in the log line, and where a request is none of its command."""
import gzip
import struct

import client
import harness
import wbxml
from recorder import answer_bytes
from wbxml import Node

MULTIPART = ("Content-Type", "application/vnd.ms-sync.multipart")
MIME = (b"From: Bob <bob@contoso.test>\r\nTo: \"Last, First\" <Anna@Example.com>, bo@example.org\r\n"
        b"Cc: team: c@example.org;\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
        b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b"QUJD" * 100 + b"\r\n--b--\r\n")
SYNC_TWICE = Node("AirSync:Sync", Node("AirSync:Wait", "10"), Node("AirSync:HeartbeatInterval", "600"))
NO_KEY = Node("AirSync:Sync", Node("AirSync:Collections", Node("AirSync:Collection", Node("AirSync:CollectionId", "5"))))
UNKNOWN = wbxml.encode(client.ping(60, "5"))[:-1] + b"\x7e\x03x\0\x01\x01"  # a tag that Ping's page does not have


def multipart(document, *parts):
    parts = (document,) + parts
    at = 4 + 8 * len(parts)
    table = struct.pack("<I", len(parts))
    for part in parts:
        table += struct.pack("<II", at, len(part))
        at += len(part)
    return table + b"".join(parts)


class ViewTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()

    def begin(self, **changes):
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, changes)
        proxy.wait_until_answering()
        return proxy

    def line(self, proxy, **fields):
        return harness.wait_for("the log line", lambda: proxy.lines("request", **fields), None, proxy)[-1]

    def test_a_request_that_is_none_of_its_command_is_refused_in_the_commands_words(self):
        proxy = self.begin()
        for command, document, status, reason in (
                ("Sync", SYNC_TWICE, "4", "Wait together with HeartbeatInterval"),
                ("Sync", NO_KEY, "4", "Collection without SyncKey"),
                ("FolderSync", Node("FolderHierarchy:FolderSync"), "10", "FolderSync without SyncKey"),
                ("Ping", client.folder_sync(), "4", "the root is not the command's"),
                ("SendMail", Node("ComposeMail:SendMail", Node("ComposeMail:ClientId", "1")), "103",
                 "SendMail without Mime"),
                ("Settings", Node("Settings:Settings", Node(
                    "Settings:DeviceInformation", Node("Settings:Set"), Node("Settings:Set"),
                ), Node("Settings:DeviceInformation")), "2", "an element twice that may be there once")):
            with self.subTest(command, reason=reason):
                phone = proxy.phone("bob")
                answer = phone.post(command, document)
                self.assertEqual((answer.status, answer.wbxml().child("Status")), (200, status))
                line = self.line(proxy, device=phone.id)
                self.assertEqual((line["refusal"], line["reason"]), ("eas-structure", reason))
                # Before 14.0 the protocol has no words for it.
                phone = proxy.phone("bob")
                phone.version = "12.1"
                if command == "SendMail":
                    continue
                self.assertEqual(phone.post(command, document).status, 400)
        self.assertEqual([r for r in self.recorder.whole() if r.method == "POST"], [])

    def test_unknown_elements_pass_and_are_counted_or_do_not(self):
        proxy = self.begin()
        phone = proxy.phone("bob")
        self.assertEqual(phone.post("Ping", body=UNKNOWN).status, 200)
        self.assertEqual(self.recorder.whole()[-1].body, UNKNOWN)
        self.assertEqual(self.line(proxy, device=phone.id)["unknown_tags"], 1)
        strict = self.begin(activesync={"structure": "strict"})
        phone = strict.phone("bob")
        answer = phone.post("Ping", body=UNKNOWN)
        self.assertEqual((answer.status, answer.wbxml().child("Status")), (200, "4"))
        self.assertEqual(self.line(strict, device=phone.id)["refusal"], "eas-structure")

    def test_the_log_says_whom_a_message_goes_to_and_what_it_carries(self):
        proxy = self.begin()
        old = proxy.phone("bob")
        old.version = "12.1"
        new = proxy.phone("bob")
        self.assertEqual(new.post("SendMail", client.send_mail(MIME)).status, 200)
        connection = old.dial()
        self.assertEqual(connection.request("POST", old.target("SendMail"), old.headers(
            ("Content-Type", "message/rfc822")), MIME).status, 200)
        for phone in (old, new):
            line = self.line(proxy, device=phone.id)
            self.assertEqual((line["recipients"], line["attachments"], line["largest_attachment"]), (3, 1, 300))
            self.assertNotIn("anna", str(line).lower())
            self.assertNotIn("a.pdf", str(line))

    def test_the_log_says_what_a_device_is_without_its_number(self):
        proxy = self.begin()
        phone = proxy.phone("bob")
        phone.post("Settings", Node("Settings:Settings", Node("Settings:DeviceInformation", Node(
            "Settings:Set", Node("Settings:Model", "Phone 9"), Node("Settings:IMEI", "351756051523999"),
            Node("Settings:OS", "OS 9.1"), Node("Settings:PhoneNumber", "+491700000000")))))
        line = self.line(proxy, device=phone.id)
        self.assertEqual((line["device_model"], line["device_os"], line["device_imei"]),
                         ("Phone 9", "OS 9.1", "***********3999"))
        self.assertNotIn("351756051523999", str(line))
        self.assertNotIn("+491700000000", str(line))

    def test_the_stores_and_files_that_are_asked_for_are_seen(self):
        proxy = self.begin()
        phone = proxy.phone("bob")
        phone.post("ItemOperations", Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"),
            Node("AirSyncBase:FileReference", "5%3a1%3a0"))))
        line = self.line(proxy, device=phone.id)
        self.assertEqual((line["stores"], line["file_references"]), ("mailbox", 1))

    def test_multipart_and_compressed_answers_are_looked_into(self):
        document = wbxml.encode(Node(
            "ItemOperations:ItemOperations", Node("ItemOperations:Status", "1"), Node(
                "ItemOperations:Response", Node(
                    "ItemOperations:Fetch", Node("ItemOperations:Status", "1"),
                    Node("AirSyncBase:FileReference", "5%3a1%3a0"), Node(
                        "ItemOperations:Properties", Node("AirSyncBase:ContentType", "image/png"),
                        Node("ItemOperations:Part", "1"))))))
        good, bad = multipart(document, b"x" * 5000), multipart(document)
        proxy = self.begin()
        fetch = Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"),
            Node("AirSyncBase:FileReference", "5%3a1%3a0")))
        for name, body, fields, is_malformed in (
                ("multipart", good, [], False), ("compressed", gzip.compress(good), [("Content-Encoding", "gzip")], False),
                ("a part that is not there", bad, [], True), ("cut", good[:-1], [], True)):
            with self.subTest(name):
                self.recorder.answer = lambda *_, b=body, f=fields: answer_bytes(200, b, [MULTIPART, *f])
                phone = proxy.phone("bob")
                answer = phone.post("ItemOperations", fetch, [("MS-ASAcceptMultiPart", "T"), ("Accept-Encoding", "gzip")])
                self.assertEqual((answer.status, answer.body), (200, body))
                line = self.line(proxy, device=phone.id)
                self.assertEqual(line["answer_document"], "ItemOperations")
                self.assertEqual(line.get("answer_malformed", False), is_malformed)
                self.assertEqual(line["answer_file_references"], 1)
                if not is_malformed:
                    self.assertEqual(line["answer_largest_attachment"], 5000)
