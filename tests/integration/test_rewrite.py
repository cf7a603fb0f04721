"""Answers that are changed on their way: attachments and folders are taken out, the phone gets a document
that is whole, and what cannot be changed it does not get."""
import base64
import gzip
import struct
import unittest
import zlib

import client
import harness
import wbxml
from harness import EASSIM, wait_for
from recorder import answer_bytes
from wbxml import Node

WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
MULTIPART = ("Content-Type", "application/vnd.ms-sync.multipart")


def rules(*named, **policy):
    """policy { … } with these rules, each for alice alone."""
    return {"policy": dict(policy, **{"rule " + name: dict({"mailbox": ["alice@contoso.test"]}, **options)
                                      for name, options in named})}


STRIP_LARGE = rules(("large-files", {"action": "strip", "larger-than": "100kB"}))
STRIP_KINDS = rules(("kinds", {"action": "strip", "types": ["*.exe", "image/*"]}))
CALENDAR_ONLY = rules(("calendars", {"action": "use", "use": ["calendar-only"]}))


def attachment(name, size):
    return Node("AirSyncBase:Attachment", Node("AirSyncBase:DisplayName", name),
                Node("AirSyncBase:FileReference", "ref-" + name), Node("AirSyncBase:Method", "1"),
                Node("AirSyncBase:EstimatedDataSize", str(size)))


def item(number, *attachments, body="text"):
    return Node("AirSync:Add", Node("AirSync:ServerId", "5:%d" % number), Node(
        "AirSync:ApplicationData", Node("Email:Subject", "Mail %d" % number),
        Node("AirSyncBase:Attachments", *attachments) if attachments else None,
        Node("AirSyncBase:Body", Node("AirSyncBase:Type", "1"), Node("AirSyncBase:Data", body)),
        Node("Email:Read", "0")))


def sync(*items, collection="5"):
    return Node("AirSync:Sync", Node("AirSync:Collections", Node(
        "AirSync:Collection", Node("AirSync:SyncKey", "2"), Node("AirSync:CollectionId", collection),
        Node("AirSync:Status", "1"), Node("AirSync:Commands", *items) if items else None)))


def sync_request(collection="5", name=None):
    return Node("AirSync:Sync", Node("AirSync:Collections", Node(
        "AirSync:Collection", Node("AirSync:Class", name) if name else None, Node("AirSync:SyncKey", "1"),
        Node("AirSync:CollectionId", collection))))


def fetch_request(*references):
    return Node("ItemOperations:ItemOperations", *(
        Node("ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"),
             Node("AirSyncBase:FileReference", r)) for r in references))


def fetched(*properties):
    return Node("ItemOperations:ItemOperations", Node("ItemOperations:Status", "1"), Node(
        "ItemOperations:Response", *(Node(
            "ItemOperations:Fetch", Node("ItemOperations:Status", "1"),
            Node("AirSyncBase:FileReference", "ref-%d" % n),
            Node("ItemOperations:Properties", Node("AirSyncBase:ContentType", kind), content))
            for n, (kind, content) in enumerate(properties))))


def data(size):
    return Node("ItemOperations:Data", base64.b64encode(b"x" * size).decode())


def folder(what, server_id, kind, parent="0"):
    return Node("FolderHierarchy:" + what, Node("FolderHierarchy:ServerId", server_id),
                Node("FolderHierarchy:ParentId", parent), Node("FolderHierarchy:DisplayName", "x"),
                Node("FolderHierarchy:Type", str(kind)))


def gone(server_id):
    return Node("FolderHierarchy:Delete", Node("FolderHierarchy:ServerId", server_id))


def folders(key, *changes):
    return Node("FolderHierarchy:FolderSync", Node("FolderHierarchy:Status", "1"),
                Node("FolderHierarchy:SyncKey", key), Node(
                    "FolderHierarchy:Changes", Node("FolderHierarchy:Count", str(len(changes))), *changes))


def texts(document, tag):
    return [node.text for node in document.find_all(tag)]


class RewriteTest(harness.Case):
    def serve(self, changes, upstream=None):
        """A proxy in front of a server that gives self.next: a document, or bytes."""
        self.next = b""
        self.recorder = self.start_recorder(lambda received, connection: self.answer(received))
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, harness.merge(
            changes, {"upstream exchange": upstream or {}}))
        self.proxy.wait_until_answering()
        self.recorder.clear()
        return self.proxy.phone("alice")

    def answer(self, received):
        if received.method == "OPTIONS":
            return answer_bytes()
        if isinstance(self.next, Node):
            return answer_bytes(200, wbxml.encode(self.next), [WBXML])
        return self.next

    def logged(self, **fields):
        return wait_for("a log line with %s" % fields, lambda: self.proxy.lines("request", **fields), None,
                        self.proxy)[-1]

    # Attachments of items

    def test_attachments_over_a_size_are_gone_and_all_else_is_there(self):
        phone = self.serve(STRIP_LARGE)
        self.next = sync(item(1, attachment("a", 5), attachment("b", 200000)), item(2, attachment("c", 300000)), item(3))
        answer = phone.post("Sync", sync_request())
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("Transfer-Encoding"), "chunked")
        self.assertIsNone(answer.header("Content-Length"))
        self.assertEqual(repr(answer.wbxml()), repr(sync(item(1, attachment("a", 5)), item(2), item(3))))
        line = self.logged(command="Sync")
        self.assertEqual((line["stripped"], line["strip_rule"], line["status"]), (2, "large-files", 200))
        # The connection goes on.
        self.next = sync()
        self.assertEqual(repr(phone.post("Sync", sync_request()).wbxml()), repr(sync()))

    def test_attachments_go_by_name_and_kind(self):
        phone = self.serve(STRIP_KINDS)
        self.next = sync(item(1, attachment("a.exe", 5), attachment("B.EXE", 5), attachment("c.txt", 500000000)))
        self.assertEqual(repr(phone.post("Sync", sync_request()).wbxml()),
                         repr(sync(item(1, attachment("c.txt", 500000000)))))

    def test_another_mailbox_gets_every_byte_as_it_came(self):
        self.serve(STRIP_LARGE)
        self.next = sync(item(1, attachment("b", 200000)))
        answer = self.proxy.phone("bob").post("Sync", sync_request(), [("Accept-Encoding", "gzip, deflate")])
        self.assertEqual(answer.body, wbxml.encode(self.next))
        self.assertEqual(answer.header("Content-Length"), str(len(answer.body)))
        self.assertEqual(self.recorder.whole()[-1].header("Accept-Encoding"), "gzip, deflate")

    def test_compressed_answers_are_changed_and_others_are_not_asked_for(self):
        phone = self.serve(STRIP_LARGE)
        packed = gzip.compress(wbxml.encode(sync(item(1, attachment("b", 200000), attachment("a", 5)))))
        self.next = answer_bytes(200, packed, [WBXML, ("Content-Encoding", "gzip"), ("ETag", '"1"')])
        answer = phone.post("Sync", sync_request(), [("Accept-Encoding", "gzip, deflate, br")])
        self.assertIsNone(answer.header("Content-Encoding"))
        self.assertIsNone(answer.header("ETag"))
        self.assertEqual(repr(answer.wbxml()), repr(sync(item(1, attachment("a", 5)))))
        self.assertEqual(self.recorder.whole()[-1].all("Accept-Encoding"), ["gzip"])
        self.next = sync()
        phone.post("Sync", sync_request())
        self.assertEqual(self.recorder.whole()[-1].all("Accept-Encoding"), [])

    def test_large_answers_pass_in_pieces(self):
        phone = self.serve(STRIP_LARGE)
        small, large = attachment("a", 5), attachment("b", 200000)
        items = [item(n, small, large, body="%d " % n + "x" * 3000) for n in range(1000)]
        body = wbxml.encode(sync(*items))
        self.next = answer_bytes(200, [body[at:at + 7001] for at in range(0, len(body), 7001)], [WBXML], chunked=True)
        answer = phone.post("Sync", sync_request())
        expected = sync(*(item(n, small, body="%d " % n + "x" * 3000) for n in range(1000)))
        self.assertEqual(answer.body, wbxml.encode(expected))
        self.assertEqual(self.logged(command="Sync")["stripped"], 1000)

    def test_a_phone_of_http_1_0_gets_the_end_of_the_connection(self):
        self.serve(STRIP_LARGE)
        self.next = sync(item(1, attachment("b", 200000)))
        phone = self.proxy.phone("alice")
        request = client.request_bytes("POST", phone.target("Sync"), phone.headers(
            ("Content-Type", "application/vnd.ms-sync.wbxml")), wbxml.encode(sync_request()))
        with self.proxy.dial("alice") as connection:
            connection.send(request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
            answer = connection.read_answer()
        self.assertIsNone(answer.header("Transfer-Encoding"))
        self.assertEqual(repr(answer.wbxml()), repr(sync(item(1))))

    def test_answers_in_xml_are_changed_as_well(self):
        phone = self.serve(STRIP_LARGE, {"body": "xml"})
        xml = ('<Sync xmlns="AirSync"><Collections><Collection><Commands><Add><ApplicationData>'
               '<Subject xmlns="Email">a</Subject>%s</ApplicationData></Add></Commands></Collection></Collections></Sync>')
        attachments = '<Attachments xmlns="AirSyncBase"><Attachment><EstimatedDataSize>%d</EstimatedDataSize>' \
                      '</Attachment></Attachments>'
        for size, left in ((200000, []), (2, ["2"])):
            self.next = answer_bytes(200, (xml % (attachments % size)).encode(), [("Content-Type", "text/xml")])
            answer = phone.post("Sync", sync_request()).wbxml()
            self.assertEqual(texts(answer, "EstimatedDataSize"), left)
            self.assertEqual(answer.get("Subject"), "a")

    # What cannot be changed

    def assert_kept(self, answer, reason, count):
        self.assertEqual(answer.status, 502, answer)
        self.assertNotIn(b"secret", answer.body)
        lines = wait_for("the log line", lambda: self.proxy.lines("request", refusal="upstream-malformed")[count:],
                         None, self.proxy)
        self.assertIn(reason, lines[-1]["reason"])

    def test_what_cannot_be_changed_does_not_pass(self):
        phone = self.serve(STRIP_LARGE)
        document = wbxml.encode(sync(item(1, attachment("secret", 200000))))
        for count, (reason, bytes_given) in enumerate((
                ("content coding", answer_bytes(200, zlib.compress(document), [WBXML, ("Content-Encoding", "deflate")])),
                ("kind", answer_bytes(200, document, [("Content-Type", "application/octet-stream")])),
                ("kind", answer_bytes(200, document)),
                ("kind", answer_bytes(206, document, [WBXML])),
                ("kind", answer_bytes(200, struct.pack("<III", 1, 12, len(document)) + document, [MULTIPART])),
                ("too early", answer_bytes(200, document[:-3], [WBXML])),
                ("not the header", answer_bytes(200, b"<html>secret", [WBXML])),
                ("after the end", answer_bytes(200, document + b"secret", [WBXML])),
                ("not gzip", answer_bytes(200, b"secret", [WBXML, ("Content-Encoding", "gzip")])))):
            with self.subTest(reason):
                self.next = bytes_given
                self.assert_kept(phone.post("Sync", sync_request()), reason, count)

    def test_a_malformed_answer_that_is_under_way_is_cut_off(self):
        phone = self.serve(STRIP_LARGE)
        document = wbxml.encode(sync(*(item(n, body="x" * 1000) for n in range(300))))
        self.next = answer_bytes(200, document[:-20] + b"\x04" * 20, [WBXML])
        with self.assertRaises(client.Closed):
            phone.post("Sync", sync_request())
        self.assertEqual(self.logged(refusal="upstream-malformed")["command"], "Sync")

    def test_refusals_of_the_server_pass(self):
        phone = self.serve(STRIP_LARGE)
        self.next = answer_bytes(503, b"later", [("Content-Type", "text/html"), ("Retry-After", "7")])
        answer = phone.post("Sync", sync_request())
        self.assertEqual((answer.status, answer.header("Retry-After")), (503, "7"))
        self.next = answer_bytes(200)
        self.assertEqual(phone.post("Sync", sync_request()).status, 200)

    # Downloads

    def test_a_download_over_the_size_gets_a_status_of_its_own(self):
        phone = self.serve(STRIP_LARGE)
        self.next = fetched(("image/png", data(1000)), ("image/png", data(110000)), ("text/plain", data(100000)))
        answer = phone.post("ItemOperations", fetch_request("ref-0", "ref-1", "ref-2")).wbxml()
        fetches = list(answer.find_all("Fetch"))
        self.assertEqual([f.child("Status") for f in fetches], ["1", "11", "1"])
        self.assertEqual([f.child("FileReference") for f in fetches], ["ref-0", "ref-1", "ref-2"])
        self.assertEqual([len(f.get("Data") or "") for f in fetches], [1336, 0, 133336])
        self.assertIsNone(fetches[1].child("Properties"))
        self.assertEqual(self.logged(command="ItemOperations")["stripped"], 1)

    def test_a_download_of_a_kind_is_denied(self):
        phone = self.serve(STRIP_KINDS)
        self.next = fetched(("image/png", data(10)), ("text/plain", data(300000)))
        answer = phone.post("ItemOperations", fetch_request("ref-0", "ref-1")).wbxml()
        self.assertEqual([f.child("Status") for f in answer.find_all("Fetch")], ["16", "1"])

    def test_multipart_answers_are_not_asked_for(self):
        phone = self.serve(STRIP_LARGE)
        self.next = fetched(("text/plain", data(10)))
        asks = ("MS-ASAcceptMultiPart", "T")
        self.assertEqual(phone.post("ItemOperations", fetch_request("r"), [asks]).status, 200)
        self.assertEqual(self.recorder.whole()[-1].all("MS-ASAcceptMultiPart"), [])
        packed = base64.b64decode(phone.packed_target(19).partition("?")[2])
        target = client.PATH + "?" + base64.b64encode(packed + b"\x07\x01\x03").decode()
        headers = [("Content-Type", "application/vnd.ms-sync.wbxml")]
        with self.proxy.dial("alice") as connection:
            body = wbxml.encode(fetch_request("r"))
            self.assertEqual(connection.request("POST", target, headers, body).status, 200)
            self.assertEqual(base64.b64decode(self.recorder.whole()[-1].target.partition("?")[2]),
                             packed + b"\x07\x01\x01")
        with self.proxy.dial("bob") as connection:
            connection.request("POST", target, headers, body)
            self.assertEqual(self.recorder.whole()[-1].target, target)

    def test_downloads_of_old_versions_are_judged_by_their_head(self):
        phone = self.serve(STRIP_LARGE)
        phone.version = "12.1"
        target = phone.target("GetAttachment") + "&AttachmentName=a.bin"
        for status, size in ((200, 100000), (403, 110000)):
            self.next = answer_bytes(200, b"s" * size, [("Content-Type", "application/octet-stream")])
            answer = phone.post("GetAttachment", target=target, extra=[("Accept-Encoding", "gzip")])
            self.assertEqual(answer.status, status)
            self.assertEqual(self.recorder.whole()[-1].all("Accept-Encoding"), [])
        self.assertEqual(answer.body.count(b"s" * 10), 0)
        self.assertEqual(self.logged(command="GetAttachment", status=403)["stripped"], 1)
        # One whose length is not said could have any.
        self.next = answer_bytes(200, [b"s"], [("Content-Type", "application/octet-stream")], chunked=True)
        self.assertEqual(phone.post("GetAttachment", target=target).status, 403)

    def test_downloads_are_judged_by_every_name_that_is_given_for_them(self):
        phone = self.serve(rules(("programs", {"action": "strip", "types": ["*.exe"]})))
        phone.version = "12.1"
        self.next = answer_bytes(200, b"s", [("Content-Type", "application/octet-stream")])
        for status, names in ((200, "&AttachmentName=a.txt"), (200, ""), (403, "&AttachmentName=a.exe"),
                              (403, "&AttachmentName=a%2eEX%45"), (403, "&attachment%4eame=a.exe"),
                              (403, "&X-AttachmentName=a.txt&AttachmentName=a.exe"),
                              (403, "&AttachmentName=a.txt&AttachmentName=a.exe"),
                              (403, "&AttachmentName=%sa.exe" % ("x" * 1100))):
            with self.subTest(names[:60]):
                self.assertEqual(phone.post("GetAttachment", target=phone.target("GetAttachment") + names).status, status)

    # Folders

    def test_folders_of_other_classes_are_not_shown_nor_synchronized(self):
        phone = self.serve(CALENDAR_ONLY)
        self.next = folders("1", folder("Add", "5", 2), folder("Add", "1", 8), folder("Add", "7", 13, parent="5"))
        answer = phone.post("FolderSync", client.folder_sync()).wbxml()
        self.assertEqual(repr(answer), repr(folders("1", folder("Add", "1", 8), folder("Add", "7", 13))))
        self.assertEqual(self.logged(command="FolderSync")["hidden_folders"], 1)
        # A worker that did not see it knows as well.
        for _ in range(6):
            phone.close()
            self.next = sync(collection="1")
            self.assertEqual(phone.post("Sync", sync_request("1")).wbxml().get("CollectionId"), "1")
            before = len(self.recorder.whole())
            self.assertEqual(phone.post("Sync", sync_request("5")).wbxml().get("Status"), "12")
            self.assertEqual(len(self.recorder.whole()), before)
        self.next = folders("2", folder("Update", "5", 2), gone("1"), gone("5"))
        answer = phone.post("FolderSync", client.folder_sync("1")).wbxml()
        self.assertEqual(repr(answer), repr(folders("2", gone("1"))))

    def test_a_phone_whose_folders_are_not_known_shows_them_again(self):
        phone = self.serve(CALENDAR_ONLY)
        self.next = sync(collection="1")
        self.assertEqual(phone.post("Sync", sync_request("1")).wbxml().get("Status"), "12")
        self.assertEqual(phone.post("FolderSync", client.folder_sync("7")).wbxml().get("Status"), "9")
        self.assertEqual(self.recorder.whole(), [])
        self.next = folders("1", folder("Add", "1", 8))
        phone.post("FolderSync", client.folder_sync())
        self.next = folders("2")
        self.assertEqual(phone.post("FolderSync", client.folder_sync("1")).wbxml().get("SyncKey"), "2")
        self.next = sync(collection="1")
        self.assertEqual(phone.post("Sync", sync_request("1")).wbxml().get("CollectionId"), "1")
        # One that was not among them is not asked for over and over.
        answer = phone.post("Sync", sync_request("nowhere"))
        self.assertEqual((answer.status, bool(answer.header("Retry-After"))), (503, True))
        self.assertTrue(self.logged(refusal="folders-unknown"))

    def test_every_folder_of_a_request_counts(self):
        phone = self.serve(CALENDAR_ONLY)
        calendars = ["c%d" % n for n in range(20)]
        self.next = folders("1", folder("Add", "5", 2), *(folder("Add", c, 13) for c in calendars))
        phone.post("FolderSync", client.folder_sync())
        self.next = sync(collection="c1")

        def ask(*collections):
            return phone.post("Sync", Node("AirSync:Sync", Node("AirSync:Collections", *(
                Node("AirSync:Collection", Node("AirSync:SyncKey", "1"), Node("AirSync:CollectionId", c))
                for c in collections))))

        self.assertEqual(ask(*calendars).wbxml().get("Status"), "1")
        self.assertEqual(ask(*calendars, "5").wbxml().get("Status"), "12")
        self.assertEqual(ask(*calendars, "unheard-of").status, 503)

    def test_a_request_as_the_last_time_has_to_say_its_folders(self):
        phone = self.serve(CALENDAR_ONLY)
        for version in ("12.1", "16.1"):
            phone.version = version
            partial = sync_request("1", "Calendar")
            partial.children.insert(0, Node("AirSync:Partial"))
            interval = Node("Ping:Ping", Node("Ping:HeartbeatInterval", "600"))
            for command, document, status in (("Sync", None, "13"), ("Sync", partial, "13"),
                                              ("Ping", None, "3"), ("Ping", interval, "3")):
                with self.subTest(version, command=command, document=document):
                    self.assertEqual(phone.post(command, document).wbxml().get("Status"), status)
        self.assertEqual(self.recorder.whole(), [])
        self.assertEqual(self.logged(command="Ping", eas_status=3)["refusal"], "folders-unknown")
        # Whom no such rule is about may leave out what the server knows.
        self.next = answer_bytes()
        self.proxy.phone("bob").post("Sync")
        self.assertEqual(len(self.recorder.whole()), 1)

    # Phones

    def test_a_fleet_without_attachments_is_content(self):
        port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % port, "--quiet"], self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(port), None, server)
        proxy = self.start_proxy("http://127.0.0.1:%d" % port, {
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]},
            "policy": {"use": ["no-attachments", "block-document-library"]}})
        proxy.wait_until_answering()
        for version in ("12.1", "14.1", "16.1"):
            fleet = self.start(harness.Program("fleet-" + version, [
                EASSIM, "run", "--url", "https://localhost:%d%s" % (proxy.port, client.PATH), "--pki",
                self.pki.directory, "--users", "alice,bob", "--quiet", "--devices", "6", "--duration", "3",
                "--send-rate", "3", "--version", version, "--strict"], self.directory))
            self.assertEqual(fleet.wait(60), 0, fleet.tail(40))
        self.assertTrue([r for r in proxy.lines("request", command="Sync") if r.get("stripped")])
        self.assertFalse(proxy.lines("request", command="ItemOperations"))
        self.assertFalse(proxy.lines("child-restarted"))


if __name__ == "__main__":
    unittest.main()
