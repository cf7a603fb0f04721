"""Rules of the policy: who is refused what, in which words, what never reaches the mail server, and
what phones do with it."""
import json
import subprocess
import time
import unittest

import client
import harness
import wbxml
from client import PATH
from harness import EASPROXYCTL, EASSIM, wait_for
from recorder import answer_bytes
from wbxml import Node


def sync(*collections):
    return Node("AirSync:Sync", Node("AirSync:Collections", *collections))


def collection(identifier="5", *content, cls=None, key="1"):
    """cls: the class that the phone says, as phones of 14.0 and later do, in Options."""
    return Node("AirSync:Collection", Node("AirSync:SyncKey", key), Node("AirSync:CollectionId", identifier),
                Node("AirSync:Options", Node("AirSync:Class", cls)) if cls else None, *content)


def change(subject):
    return Node("AirSync:Commands", Node("AirSync:Change", Node("AirSync:ServerId", "5:1"), Node(
        "AirSync:ApplicationData", Node("Email:Subject", subject))))


def search(store, text="x"):
    return Node("Search:Search", Node("Search:Store", Node("Search:Name", store), Node("Search:Query", text)))


class PolicyTest(harness.Case):
    def begin(self, policy, answer=None, changes=None):
        """A proxy under these rules, before a server that writes down what comes."""
        self.recorder = self.start_recorder(answer)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "policy": policy, **(changes or {})})
        self.proxy.wait_until_answering()
        self.recorder.clear()
        return self.proxy

    def expect(self, phone, command, document, status=None, http=200, reaches=None, **options):
        """What the phone is told: an EAS status, or an HTTP one; what passes reaches the server."""
        before = len(self.recorder.whole())
        answer = phone.post(command, document, **options)
        self.assertEqual(answer.status, http, answer.body)
        if status is not None:
            self.assertEqual(answer.wbxml().get("Status"), str(status), command)
        reaches = status is None and http == 200 if reaches is None else reaches
        self.assertEqual(len(self.recorder.whole()) - before, 1 if reaches else 0, command)
        return answer

    def last_line(self, **fields):
        return wait_for("a line with %s" % fields, lambda: self.proxy.lines("request", **fields), None, self.proxy)[-1]


class RuleTest(PolicyTest):
    def test_a_rule_refuses_in_the_words_of_the_command(self):
        self.begin({"rule out": {"mailbox": ["alice@*"], "action": "deny"}})
        alice, bob = self.proxy.phone("alice"), self.proxy.phone("bob")
        self.expect(alice, "FolderSync", client.folder_sync(), status=130)
        self.expect(alice, "Ping", client.ping(60), status=130)
        self.expect(alice, "SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\nhello"), status=167)
        self.expect(alice, "Settings", Node("Settings:Settings", Node("Settings:Oof")), status=7)
        alice.version = "14.0"
        self.expect(alice, "SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\nhello"), status=120)
        alice.version = "12.1"
        self.expect(alice, "FolderSync", client.folder_sync(), http=403)
        self.expect(alice, "GetAttachment", None, http=500)
        self.expect(bob, "FolderSync", client.folder_sync())
        line = self.last_line(command="FolderSync", refusal="policy-denied")
        self.assertEqual((line["rule"], line["mailbox"]), ("out", "alice@contoso.test"))
        self.assertNotIn("rule", self.last_line(mailbox="bob@contoso.test"))

    def test_the_first_rule_that_matches_decides(self):
        self.begin([("rule friends", {"device-type": ["Test"], "user-agent": ["easproxy-test/*"],
                                      "source": ["127.0.0.0/8", "!127.0.0.9"], "protocol": [">=14.0"], "action": "allow"}),
                    ("rule others", {"command": ["!OPTIONS"], "action": "deny", "status": 126, "http": 401})])
        phone = self.proxy.phone("bob")
        self.expect(phone, "FolderSync", client.folder_sync())
        self.assertEqual(self.last_line(command="FolderSync")["rule"], "friends")
        phone.version = "12.1"
        self.expect(phone, "FolderSync", client.folder_sync(), http=401)
        phone.version = "14.1"
        self.expect(phone, "FolderSync", client.folder_sync(), status=126, target=phone.target("FolderSync").replace(
            "DeviceType=Test", "DeviceType=Toaster"))
        elsewhere = client.Device(lambda: self.proxy.dial("bob", source="127.0.0.9"), "bob@contoso.test")
        self.expect(elsewhere, "FolderSync", client.folder_sync(), status=126)

    def test_a_rule_about_the_hour_holds_at_that_hour(self):
        now = time.localtime()
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        today, tomorrow = days[now.tm_wday], days[(now.tm_wday + 1) % 7]
        self.begin([("rule always", {"time": ["%s,%s" % (today, tomorrow)], "command": ["Ping"], "action": "deny"}),
                    ("rule never", {"time": ["!%s" % today, "!%s" % tomorrow], "command": ["FolderSync"], "action": "deny"})])
        phone = self.proxy.phone("bob")
        self.expect(phone, "Ping", client.ping(60), status=130)
        self.expect(phone, "FolderSync", client.folder_sync())

    def test_options_can_be_refused(self):
        self.begin({"rule curious": {"command": ["OPTIONS"], "mailbox": ["alice@*"], "action": "deny"}})
        with self.proxy.dial("alice") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 403)
        with self.proxy.dial("bob") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 200)

    def test_policies_of_certificates_are_conditions(self):
        self.begin({"rule strange": {"certificate-policy": ["!1.2.3.4.5"], "command": ["Ping"], "action": "deny"},
                    "rule issuers": {"issuer": ["!Nobody's CA"], "command": ["FolderSync"], "action": "deny"}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "Ping", client.ping(60), status=130)
        self.expect(phone, "FolderSync", client.folder_sync(), status=130)
        self.expect(phone, "Sync", sync(collection()))

    def test_items_that_are_changed_are_seen_in_the_body(self):
        self.begin({"rule frozen": {"does": ["change", "delete"], "action": "deny"}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "Sync", sync(collection()))
        self.expect(phone, "Sync", sync(collection("5", change("new"))), status=130)
        # Whatever its framing, and however small the pieces.
        self.expect(phone, "Sync", sync(collection("5", change("new"))), status=130, chunks=3)

    def test_what_is_refused_late_was_never_whole_at_the_server(self):
        self.begin({"rule frozen": {"does": ["change"], "action": "deny"}})
        phone = self.proxy.phone("bob")
        large = sync(collection("5", change("x" * 300000)))
        answer = phone.post("Sync", large, chunks=10000)
        self.assertEqual(answer.wbxml().get("Status") if answer.body else None, "130")
        self.assertTrue(wait_for("the request to begin", self.recorder.begun))
        self.assertEqual(self.recorder.whole(), [])

    def test_wipe_and_quarantine_need_a_device(self):
        self.begin({"rule options": {"command": ["OPTIONS"], "mailbox": ["alice@*"], "action": "quarantine"}})
        with self.proxy.dial("alice") as connection:
            self.assertEqual(connection.request("OPTIONS", PATH).status, 403)


class DocumentTest(PolicyTest):
    def test_xpath_finds_what_no_condition_covers(self):
        self.begin({"rule secrets": {"xpath": ["//email:Subject[contains(., 'Secret')]"], "action": "deny"}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "Sync", sync(collection("5", change("Public plans"))))
        self.expect(phone, "Sync", sync(collection("5", change("Secret plans"))), status=130)
        self.expect(phone, "Sync", sync(collection("5", change("Secret plans"))), status=130, chunks=5)
        self.assertEqual(self.last_line(refusal="policy-denied")["rule"], "secrets")

    def test_the_document_is_seen_for_servers_that_read_xml_too(self):
        self.begin({"rule secrets": {"xpath": ["//email:Subject[contains(., 'Secret')]"], "action": "deny"}},
                   changes={"upstream exchange": {"body": "xml"}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "Sync", sync(collection("5", change("Secret plans"))), status=130)

    def test_what_is_too_large_to_be_looked_at_is_refused(self):
        self.begin({"document-size": "1kB", "rule secrets": {
            "xpath": ["//email:Subject[contains(., 'Secret')]"], "command": ["Sync"], "action": "deny"}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "Sync", sync(collection("5", change("y" * 500))))
        self.expect(phone, "Sync", sync(collection("5", change("y" * 5000))), status=130)
        self.assertEqual(self.last_line(refusal="policy-document")["rule"], "secrets")
        # Where no rule looks into it, it may be as large as it likes.
        self.expect(phone, "SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\n" + b"z" * 50000))

    def test_what_no_rule_looks_into_is_not_kept(self):
        """It is at the server while the phone still sends."""
        self.begin({"rule secrets": {"xpath": ["//email:Subject"], "command": ["Sync"], "action": "deny"},
                    "rule outside": {"recipient-domain": ["rival.test"], "action": "deny"}})
        phone = self.proxy.phone("bob")
        body = wbxml.encode(client.send_mail(b"To: x@contoso.test\r\n\r\n" + b"z" * 400000))
        with self.proxy.dial("bob") as connection:
            connection.send(client.request_bytes("POST", phone.target("SendMail"), phone.headers(
                ("Content-Type", "application/vnd.ms-sync.wbxml"), ("Content-Length", str(len(body))))) + body[:300000])
            wait_for("the server to have most of it", lambda: [
                r for r in self.recorder.begun() if len(self.recorder.raw) > 200000], None, self.proxy)
            connection.send(body[300000:])
            self.assertEqual(connection.read_answer().status, 200)


class LimitTest(PolicyTest):
    def test_large_requests_are_refused_before_they_come(self):
        self.begin({"rule size": {"action": "limit", "body-size": "2kB", "command": ["SendMail"]}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\nhello"))
        self.expect(phone, "SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\n" + b"y" * 3000), status=122)
        self.expect(phone, "SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\n" + b"y" * 3000), status=122, chunks=700)
        line = self.last_line(refusal="policy-size")
        self.assertEqual(line["limit_rule"], "size")
        phone.version = "12.1"
        before = len(self.recorder.whole())
        with self.proxy.dial("bob") as connection:
            answer = connection.request("POST", phone.target("SendMail"), phone.headers(
                ("Content-Type", "message/rfc822")), b"To: x@contoso.test\r\n\r\n" + b"y" * 3000)
        self.assertEqual(answer.status, 413)
        self.assertEqual(len(self.recorder.whole()), before)

    def test_a_device_that_comes_too_often_waits(self):
        self.begin({"rule often": {"action": "limit", "rate": "3/1h", "command": ["FolderSync"]}}, changes={"workers": 1})
        phone, other = self.proxy.phone("bob"), self.proxy.phone("bob")
        phone.version = other.version = "12.1"
        for _ in range(3):
            self.expect(phone, "FolderSync", client.folder_sync())
        answer = self.expect(phone, "FolderSync", client.folder_sync(), http=503)
        self.assertTrue(1000 < int(answer.header("Retry-After")) <= 1200, answer.header("Retry-After"))
        self.expect(phone, "Sync", None)
        self.expect(other, "FolderSync", client.folder_sync())
        self.assertEqual(self.last_line(refusal="policy-rate")["limit_rule"], "often")


    def test_long_heartbeats_are_answered_with_the_longest(self):
        self.begin({"rule short": {"action": "limit", "heartbeat": "10m", "mailbox": ["bob@*"]}})
        answer = self.expect(self.proxy.phone("bob"), "Ping", client.ping(1800), status=5).wbxml()
        self.assertEqual(answer.child("HeartbeatInterval"), "600")
        self.assertEqual(self.last_line(command="Ping")["limit_rule"], "short")
        self.expect(self.proxy.phone("bob"), "Ping", client.ping(600))
        self.expect(self.proxy.phone("alice"), "Ping", client.ping(1800))

    def test_mail_that_leaves_the_company_and_files_can_be_stopped(self):
        self.begin([("rule outside", {"recipient-domain": ["!contoso.test"], "action": "deny"}),
                    ("rule programs", {"attachment": ["*.exe"], "action": "deny"}),
                    ("rule large", {"attachment-larger-than": "1kB", "action": "deny"})])
        phone = self.proxy.phone("bob")

        def mail(to, name, size):
            return client.send_mail(("\r\n".join((
                "From: bob@contoso.test", "To: " + to, "MIME-Version: 1.0",
                'Content-Type: multipart/mixed; boundary="b"', "", "--b", "Content-Type: text/plain", "", "hello", "--b",
                'Content-Type: application/octet-stream; name="%s"' % name, "Content-Transfer-Encoding: 7bit",
                'Content-Disposition: attachment; filename="%s"' % name, "", "x" * size, "--b--", ""))).encode())

        self.expect(phone, "SendMail", mail("alice@contoso.test", "a.txt", 10))
        for to, name, size, rule in (("alice@contoso.test, eve@rival.test", "a.txt", 10, "outside"),
                                     ("alice@contoso.test", "a.EXE", 10, "programs"),
                                     ("alice@contoso.test", "a.txt", 5000, "large")):
            with self.subTest(rule):
                self.expect(phone, "SendMail", mail(to, name, size), status=167)
                self.last_line(command="SendMail", rule=rule)

    def test_folders_are_told_apart_by_what_folder_sync_says_of_them(self):
        folders = Node("FolderHierarchy:FolderSync", Node("FolderHierarchy:Status", "1"), Node(
            "FolderHierarchy:SyncKey", "1"), Node("FolderHierarchy:Changes", Node("FolderHierarchy:Count", "2"), *(Node(
                "FolderHierarchy:Add", Node("FolderHierarchy:ServerId", name), Node("FolderHierarchy:ParentId", "0"), Node(
                    "FolderHierarchy:DisplayName", "x"), Node("FolderHierarchy:Type", kind))
                for name, kind in (("5", "2"), ("7", "7")))))

        def answer(received, _connection):
            if "Cmd=FolderSync" not in received.target:
                return answer_bytes()
            return answer_bytes(body=wbxml.encode(folders), headers=[("Content-Type", "application/vnd.ms-sync.wbxml")])

        self.begin({"rule tasks": {"class": ["tasks"], "action": "deny"}}, answer)
        for version in ("12.1", "14.1"):
            with self.subTest(version):
                phone = self.proxy.phone("bob", version=version)
                phone.id += version.replace(".", "")
                denied = {"http": 403} if version == "12.1" else {"status": 130}
                # Where nothing is known of a folder, the phone is to look at its folders again, whatever it says
                # of this one: it could be any.
                for said in (None, "Email", "Calendar"):
                    self.expect(phone, "Sync", sync(collection("7", cls=said)), status=12)
                    self.last_line(refusal="folders-unknown", rule="tasks")
                self.expect(phone, "Ping", client.ping(60, "7"), status=7)
                self.expect(phone, "FolderSync", client.folder_sync(), reaches=True)
                self.expect(phone, "Sync", sync(collection("5")))
                for said in (None, "Email", "Tasks"):
                    self.expect(phone, "Sync", sync(collection("7", cls=said)), **denied)
                # What it says counts, too.
                self.expect(phone, "Sync", sync(collection("5", cls="Tasks")), **denied)


class ShadowTest(PolicyTest):
    def test_a_rule_in_shadow_only_leaves_its_name_in_the_log(self):
        self.begin([("rule later", {"action": "deny", "shadow": True, "command": ["FolderSync"]}),
                    ("rule watched", {"action": "log", "does": ["change"]})])
        phone = self.proxy.phone("bob")
        self.expect(phone, "FolderSync", client.folder_sync())
        line = self.last_line(command="FolderSync")
        self.assertEqual((line["shadow_rules"], line["status"]), ("later", 200))
        self.expect(phone, "Sync", sync(collection("5", change("new"))))
        line = self.last_line(command="Sync")
        self.assertEqual(line["log_rules"], "watched")
        self.assertNotIn("shadow_rules", line)

    def test_a_whole_policy_in_shadow(self):
        self.begin({"shadow": True, "use": ["read-only"], "rule all": {"action": "wipe"}})
        phone = self.proxy.phone("bob")
        self.expect(phone, "FolderSync", client.folder_sync())
        self.assertEqual(self.last_line(command="FolderSync")["shadow_rules"], "all")
        self.expect(phone, "Sync", sync(collection("5", change("new"))))
        self.assertEqual(self.last_line(command="Sync")["shadow_rules"], "read-only")


class SetTest(PolicyTest):
    def test_file_shares_are_closed_unless_opened(self):
        self.begin(None)
        phone = self.proxy.phone("bob")
        self.expect(phone, "Search", search("DocumentLibrary", "\\\\server\\share"), status=130)
        self.assertEqual(self.last_line(command="Search")["rule"], "block-document-library")
        self.expect(phone, "ItemOperations", Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "DocumentLibrary"),
            Node("DocumentLibrary:LinkId", "\\\\server\\share\\file"))), status=130)
        self.expect(phone, "Search", search("GAL"))
        self.begin({"use": []})
        phone = self.proxy.phone("bob")
        self.expect(phone, "Search", search("DocumentLibrary", "\\\\server\\share"))

    def test_read_only(self):
        self.begin({"use": ["read-only"]})
        phone = self.proxy.phone("bob")
        for command, document, status in (
                ("SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\nhello"), 167),
                ("Sync", sync(collection("5", change("new"))), 130),
                ("MoveItems", Node("Move:MoveItems", Node("Move:Move", Node("Move:SrcMsgId", "5:1"), Node(
                    "Move:SrcFldId", "5"), Node("Move:DstFldId", "6"))), 130),
                ("FolderDelete", Node("FolderHierarchy:FolderDelete", Node("FolderHierarchy:SyncKey", "1"), Node(
                    "FolderHierarchy:ServerId", "5")), 130),
                ("Settings", Node("Settings:Settings", Node("Settings:Oof", Node("Settings:Set", Node(
                    "Settings:OofState", "1")))), 7),
                ("ItemOperations", Node("ItemOperations:ItemOperations", Node(
                    "ItemOperations:EmptyFolderContents", Node("AirSync:CollectionId", "5"))), 130)):
            with self.subTest(command):
                self.expect(phone, command, document, status=status)
        meeting = Node("MeetingResponse:MeetingResponse", Node("MeetingResponse:Request", Node(
            "MeetingResponse:UserResponse", "1"), Node("MeetingResponse:CollectionId", "5"), Node(
                "MeetingResponse:RequestId", "5:1")))
        self.expect(phone, "MeetingResponse", meeting, http=400)
        self.expect(phone, "FolderSync", client.folder_sync())
        self.expect(phone, "Sync", sync(collection()))
        self.expect(phone, "Ping", client.ping(60))
        self.expect(phone, "Settings", Node("Settings:Settings", Node("Settings:Oof", Node("Settings:Get", Node(
            "Settings:BodyType", "Text")))))

    def test_old_versions_are_not_offered_and_not_taken(self):
        versions = ("MS-ASProtocolVersions", "2.5,12.0,12.1,14.0,14.1,16.0,16.1")
        self.begin({"use": ["min-protocol 14.1"]}, lambda received, connection: answer_bytes(headers=[
            versions, ("MS-ASProtocolCommands", "Sync,SendMail")]))
        with self.proxy.dial("bob") as connection:
            answer = connection.request("OPTIONS", PATH)
        self.assertEqual(answer.header("MS-ASProtocolVersions"), "14.1,16.0,16.1")
        phone = self.proxy.phone("bob", version="14.0")
        self.expect(phone, "FolderSync", client.folder_sync(), status=138)
        phone.version = "12.1"
        self.expect(phone, "FolderSync", client.folder_sync(), http=400)
        phone.version = "14.1"
        self.expect(phone, "FolderSync", client.folder_sync())
        self.assertEqual(self.last_line(refusal="protocol-closed")["rule"], "min-protocol")

    def test_attachments_are_not_fetched(self):
        self.begin({"use": ["no-attachments"]})
        phone = self.proxy.phone("bob")
        self.expect(phone, "ItemOperations", Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"),
            Node("AirSyncBase:FileReference", "5:1:0"))), status=130)
        phone.version = "12.1"
        self.expect(phone, "GetAttachment", None, http=500, target=phone.target("GetAttachment") + "&AttachmentName=5:1:0")

    def test_a_set_can_be_for_some(self):
        self.begin({"rule guests": {"mailbox": ["alice@*"], "action": "use", "use": ["read-only"]}})
        self.expect(self.proxy.phone("alice"), "Sync", sync(collection("5", change("new"))), status=130)
        self.assertEqual(self.last_line(mailbox="alice@contoso.test")["rule"], "guests")
        self.expect(self.proxy.phone("bob"), "Sync", sync(collection("5", change("new"))))


class PhoneTest(PolicyTest):
    """What phones do with it."""

    def serve(self, policy, *options):
        port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % port, "--quiet", *options], self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(port), None, server)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % port, {
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]}, "policy": policy})
        self.proxy.wait_until_answering()
        self.server_port = port

    def phone(self, *options, user="bob"):
        """Runs one to its end."""
        result = subprocess.run([
            EASSIM, "phone", "--url", "https://localhost:%d%s" % (self.proxy.port, PATH), "--pki", self.pki.directory,
            "--users", user, *options], capture_output=True, text=True, timeout=60, check=False)
        return result.returncode, result.stdout + result.stderr

    def test_a_phone_that_is_denied_takes_itself_for_blocked(self):
        self.serve({"rule out": {"action": "deny", "command": ["FolderSync"]}})
        status, output = self.phone("--expect", "blocked")
        self.assertEqual(status, 0, output)

    def test_a_phone_of_12_1_that_is_denied_takes_itself_for_blocked(self):
        self.serve({"rule out": {"action": "deny", "command": ["FolderSync"]}})
        status, output = self.phone("--expect", "blocked", "--version", "12.1")
        self.assertEqual(status, 0, output)

    def test_a_phone_that_a_rule_wipes_is_wiped(self):
        self.serve({"rule lost": {"action": "wipe", "user-agent": ["eassim*"], "mailbox": ["bob@*"],
                                  "command": ["Sync"]}})
        status, output = self.phone("--expect", "account-wiped", "--version", "16.1")
        self.assertEqual(status, 0, output)
        self.assertTrue(self.proxy.lines("request", rule="lost"), output)

    def test_an_older_phone_that_a_rule_wipes_is_kept_out(self):
        """It could only be wiped as a whole, which nobody has ordered."""
        self.serve({"rule lost": {"action": "wipe", "command": ["Sync"]}})
        status, output = self.phone("--expect", "blocked", "--version", "14.1")
        self.assertEqual(status, 0, output)

    def test_a_phone_in_quarantine_sees_one_message(self):
        self.serve({"rule strange": {"action": "quarantine", "device-type": ["*"], "command": ["FolderSync"]}})
        status, output = self.phone("--foreign", "--verbose", "--duration", "2")
        self.assertEqual(status, 0, output)
        folders = self.proxy.lines("request", command="FolderSync")
        self.assertEqual(folders[0]["rule"], "strange")
        self.assertNotIn("endpoint_status", folders[0])

    def test_a_phone_that_sees_calendars_alone(self):
        self.serve({"use": ["calendar-only"]})
        phone = self.proxy.phone("bob")
        folders = phone.post("FolderSync", client.folder_sync()).wbxml()
        self.assertEqual({f.child("Type") for f in folders.find_all("Add")}, {"8"})
        calendar = next(folders.find_all("Add")).child("ServerId")
        answer = phone.post("Sync", sync(collection(calendar, key="0"))).wbxml()
        self.assertEqual(answer.get("Status"), "1")
        # The inbox is not shown, and not there for who knows of it.
        answer = phone.post("Sync", sync(collection("5", key="0"))).wbxml()
        self.assertEqual((answer.name, answer.child("Status")), ("AirSync:Sync", "12"))
        answer = phone.post("Ping", client.ping(60, "5")).wbxml()
        self.assertEqual(answer.child("Status"), "7")
        answer = phone.post("SendMail", client.send_mail(b"To: x@contoso.test\r\n\r\nhello")).wbxml()
        self.assertEqual(answer.child("Status"), "167")

    def test_phones_of_every_version_live_under_rules_by_class(self):
        self.serve({"rule tasks": {"class": ["tasks"], "action": "deny", "device-type": ["nobody's"]},
                    "rule notes": {"class": ["sms"], "action": "deny"}})
        for version in ("12.1", "14.1", "16.1"):
            status, output = self.phone("--verbose", "--duration", "1", "--version", version)
            self.assertEqual(status, 0, output)
            self.assertIn("Mail 5", output)

    def test_a_phone_without_attachments_is_content(self):
        self.serve({"use": ["no-attachments"]})
        status, output = self.phone("--verbose", "--duration", "1")
        self.assertEqual(status, 0, output)
        self.assertIn("Mail 5", output)
        self.assertNotIn("attachment", output)
        self.assertTrue([r for r in self.proxy.lines("request", command="Sync") if r.get("stripped")])

    def test_a_phone_that_may_only_read_does(self):
        self.serve({"use": ["read-only"]})
        status, output = self.phone("--verbose", "--duration", "1")
        self.assertEqual(status, 0, output)
        self.assertIn("Mail 5", output)

    def test_phones_live_under_rules_that_let_them(self):
        self.serve({"use": ["block-document-library", "min-protocol 12.1"],
                    "rule watched": {"action": "log"},
                    "rule strangers": {"mailbox": ["!*@contoso.test"], "action": "deny"},
                    "rule size": {"action": "limit", "body-size": "1MB", "rate": "1000/1m"}})
        fleet = self.start(harness.Program("fleet", [
            EASSIM, "run", "--url", "https://localhost:%d%s" % (self.proxy.port, PATH), "--pki", self.pki.directory,
            "--users", "alice,bob", "--devices", "6", "--duration", "3", "--send-rate", "3", "--strict", "--quiet"],
            self.directory))
        self.assertEqual(fleet.wait(60), 0, fleet.tail(60))
        self.assertFalse(self.proxy.lines("request", refusal="policy-denied"))


class ConfigurationTest(PolicyTest):
    def test_other_rules_come_by_a_reload(self):
        self.begin({"rule out": {"action": "deny", "command": ["FolderSync"]}})
        self.expect(self.proxy.phone("bob"), "FolderSync", client.folder_sync(), status=130)
        self.proxy.configure(harness.merge(self.proxy.options, {"policy": {"rule out": {"action": "allow"}}}))
        result = subprocess.run([EASPROXYCTL, "reload", "-s", self.proxy.control], capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.expect(self.proxy.phone("bob"), "FolderSync", client.folder_sync())

    def test_faulty_rules_are_told_with_their_lines_and_change_nothing(self):
        self.begin({"rule out": {"action": "deny", "command": ["FolderSync"]}})
        self.proxy.configure(harness.merge(self.proxy.options, {"policy": {
            "rule out": {"xpath": ["//email:Subject[", "//nowhere:Subject"], "source": ["10.0.0.0/40"]}}}))
        for program in ([EASPROXYCTL, "check", "-c", self.proxy.config_path],
                        [harness.EASPROXYD, "-t", "-c", self.proxy.config_path]):
            result = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
            self.assertNotEqual(result.returncode, 0)
            with open(self.proxy.config_path, encoding="utf-8") as f:
                line = next(n for n, text in enumerate(f, 1) if "xpath" in text)
            for wanted in ("%s:%d: option 'xpath' in rule: '//email:Subject[' is not an XPath" % (
                    self.proxy.config_path, line), "'//nowhere:Subject' is not an XPath: a prefix", "'10.0.0.0/40' is not"):
                self.assertIn(wanted, result.stderr + result.stdout)
        subprocess.run([EASPROXYCTL, "reload", "-s", self.proxy.control], capture_output=True, timeout=60, check=False)
        self.expect(self.proxy.phone("bob"), "FolderSync", client.folder_sync(), status=130)


class CommandLineTest(PolicyTest):
    """easproxyctl policy: without a running easproxyd."""

    def configure(self, policy):
        proxy = harness.Proxy.__new__(harness.Proxy)
        proxy.config_path = self.path("rules.conf")
        proxy.configure({
            "user": "nobody", "listener phones": {
                "address": ["127.0.0.1:8443"],
                "certificate ecdsa": {"chain": self.pki.server.certificate, "key": self.pki.server.key}},
            "trust": {"store": self.pki.trust}, "mailbox": {"domains": ["contoso.test"]},
            "upstream mail": {"endpoints": ["http://127.0.0.1:80"], "headers": ["X-Mailbox: %{mailbox}"]},
            "policy": policy})
        self.config = proxy.config_path

    def run_policy(self, *arguments, data=None):
        return subprocess.run([EASPROXYCTL, "policy", *arguments, "-c", self.config], input=data, capture_output=True,
                              timeout=60, check=False)

    def judge(self, *arguments, data=None):
        """The exit status, and the answer as JSON."""
        result = self.run_policy("test", "--json", *arguments, data=data)
        self.assertEqual(result.stderr, b"")
        return result.returncode, json.loads(result.stdout)

    def test_rules_are_listed_in_their_order_with_those_of_sets(self):
        self.configure([("use", ["min-protocol 14.1"]),
                        ("rule night", {"does": ["send"], "recipient-domain": ["!contoso.test"], "time": ["!mon-fri"],
                                        "action": "deny", "status": 126}),
                        ("rule guests", {"mailbox": ["alice@*"], "action": "use", "use": ["calendar-only"],
                                         "shadow": True})])
        result = self.run_policy("list")
        self.assertEqual(result.returncode, 0, result.stderr)
        text = result.stdout.decode()
        self.assertIn('1. min-protocol: deny, of the set min-protocol 14.1\n\tprotocol = {"<14.1"}\n', text)
        self.assertIn('2. night: deny\n', text)
        self.assertIn('\t-> status = 126\n', text)
        self.assertIn('3. guests: deny, of the set calendar-only, in shadow\n\tmailbox = {"alice@*"}\n', text)
        rules = json.loads(self.run_policy("list", "--json").stdout)
        self.assertEqual([r["name"] for r in rules], ["min-protocol", "night"] + ["guests"] * 5)
        self.assertEqual(rules[1]["conditions"]["recipient-domain"], ["!contoso.test"])

    def test_a_request_is_tried_as_a_whole_as_its_body_or_by_words(self):
        self.configure([("rule secrets", {"xpath": ["//email:Subject[contains(., 'Secret')]"], "mailbox": ["bob@*"],
                                          "action": "deny"}),
                        ("rule old", {"protocol": ["<14.1"], "user-agent": ["easproxy-test/*"], "action": "quarantine"})])
        phone = client.Device(None, "Bob@contoso.test")
        body = wbxml.encode(sync(collection("5", change("Secret plans"))))
        whole = client.request_bytes("POST", phone.target("Sync"), phone.headers(
            ("Content-Type", "application/vnd.ms-sync.wbxml")), body)
        status, answer = self.judge("--request", "-", data=whole)
        self.assertEqual((status, answer["decision"], answer["rule"]), (1, "deny", "secrets"))
        chunked = client.request_bytes("POST", phone.target("Sync"), phone.headers(
            ("Content-Type", "application/vnd.ms-sync.wbxml")), [body[:7], body[7:]])
        self.assertEqual(self.judge("--request", "-", data=chunked)[1]["rule"], "secrets")
        status, answer = self.judge("--request", "-", "--mailbox", "bob@contoso.test", "--version", "16.1", data=body)
        self.assertEqual((status, answer["rule"], answer["command"]), (1, "secrets", "Sync"))
        status, answer = self.judge("--request", "-", "--mailbox", "eve@contoso.test", "--version", "16.1", data=body)
        self.assertEqual((status, answer["decision"]), (0, "allow"))
        self.assertEqual([(r["result"], r.get("condition"), r.get("value")) for r in answer["rules"]], [
            ("does not hold", "does", None),
            ("does not hold", "mailbox", "eve@contoso.test"), ("does not hold", "protocol", None)])
        status, answer = self.judge("--command", "FolderSync", "--version", "12.1", "--user-agent", "EASProxy-Test/2")
        self.assertEqual((status, answer["decision"], answer["rule"]), (1, "quarantine", "old"))
        # What the body would say is not known, and not guessed.
        status, answer = self.judge("--command", "Sync", "--version", "16.1", "--mailbox", "bob@contoso.test")
        self.assertEqual((status, answer["decision"]), (1, "depends on the body"))

    def test_every_fact_can_be_given(self):
        facts = {"device": ("X1", "device"), "device-type": ("iPhone", "device-type"), "model": ("iPhone12C1", "model"),
                 "os": ("iOS 18", "os"), "source": ("192.0.2.7", "source"), "group": ("staff", "group"),
                 "issuer": ("CN=Phones CA,O=X", "issuer")}
        for option, (value, name) in facts.items():
            with self.subTest(option):
                self.configure({"rule one": {name: [value], "action": "deny"}})
                self.assertEqual(self.judge("--command", "OPTIONS")[0], 0)
                self.assertEqual(self.judge("--command", "OPTIONS", "--" + option, value)[0], 1)
        self.configure({"rule one": {"time": ["sat,sun"], "action": "deny"}})
        self.assertEqual(self.judge("--command", "OPTIONS", "--time", "2026-11-26T12:00:00Z")[0], 0)
        self.assertEqual(self.judge("--command", "OPTIONS", "--time", "2026-11-28T12:00:00Z")[0], 1)
        self.configure({"rule one": {"issuer": ["!CN=Nobody"], "action": "deny"}})
        self.assertEqual(self.judge("--command", "OPTIONS", "--cert", self.pki.user("bob").certificate)[0], 1)

    def test_the_set_that_would_change_the_answer_is_named(self):
        self.configure({"use": ["no-attachments"], "rule slow": {"action": "limit", "rate": "1/1m"}})
        result = self.run_policy("test", "--request", "-", "--version", "16.1", data=wbxml.encode(sync(collection())))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"its answer is changed by the rule no-attachments", result.stdout)
        self.assertIn(b"within the limits of the rule slow", result.stdout)

    def test_what_cannot_be_tried_says_why(self):
        self.configure({"rule one": {"action": "deny"}})
        for arguments, data, wanted in (
                (("--version", "12"), None, b"'12' is no protocol version"),
                (("--command", "Sink"), None, b"'Sink' is not a command"),
                (("--source", "here"), None, b"'here' is not an address"),
                (("--source", "999"), None, b"'999' is not an address"),
                (("--mailbox", "bob"), None, b"'bob' is not the address of one"),
                (("--command", "Sync", "--request", "-"), b"Subject: no WBXML\r\n\r\n", b"neither WBXML nor an HTTP request"),
                (("--time", "noon"), None, b"--time: "),
                (("--cert", "/nowhere"), None, b"opening /nowhere"),
                (("--request", "-"), b"\x03\x01\x6a\x00\x45", b"refused before any rule: wbxml-malformed"),
                (("--request", "-"), b"POST /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n", b"path-not-found"),
                (("--nothing",), None, b"usage: easproxyctl policy test")):
            with self.subTest(arguments):
                result = self.run_policy("test", *arguments, data=data)
                self.assertEqual(result.returncode, 2)
                self.assertIn(wanted, result.stderr)


if __name__ == "__main__":
    unittest.main()
