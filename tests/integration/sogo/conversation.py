"""Conversations of phones with SOGo, whatever stands between them: what a tests' class that has a stack and
a proxy runs."""
import base64
import hashlib
import os
import shutil
import struct
import tempfile
import threading
import time
import uuid

import client
import harness
import wbxml
from sogo.stack import DOMAIN, Stack
from wbxml import Node

INBOX, SENT = "2", "5"  # FolderSync's types of folders


def mail(sender, to, subject, text):
    return ("From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@test.invalid>\r\nDate: %s\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\n%s\r\n" % (
                sender, to, subject, uuid.uuid4().hex,
                time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()), text)).encode()


def mail_with_file(to, subject, content):
    return ("From: sender@elsewhere.test\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@test.invalid>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nsee the file\r\n"
            "--b\r\nContent-Type: application/octet-stream; name=\"blob.bin\"\r\n"
            "Content-Disposition: attachment; filename=\"blob.bin\"\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n" % (
                to, subject, uuid.uuid4().hex,
                base64.encodebytes(content).decode().replace("\n", "\r\n"))).encode()


class Phone(client.Device):
    """A device that knows its folders and their sync keys."""

    def command(self, command, document, **options):
        answer = self.post(command, document, **options)
        # SOGo ends the connection after each answer; the proxy need not.
        if answer.status != 200:
            raise AssertionError("%s: %r" % (command, answer))
        return wbxml.decode(answer.body) if answer.body else None

    def sync_folders(self):
        answer = self.command("FolderSync", client.folder_sync())
        assert answer.get("Status") == "1", answer
        self.folders = {}
        for folder in answer.find_all("Add"):
            self.folders.setdefault(folder.child("Type"), folder.child("ServerId"))
        return self

    def sync(self, kind=INBOX, heartbeat=None):
        """One Sync of a folder; the subjects of what it added to their nodes. The first only gets a
        key."""
        folder = self.folders[kind]
        key = self.sync_keys.get(folder, "0")
        parts = [Node("AirSync:SyncKey", key), Node("AirSync:CollectionId", folder)]
        if key != "0":
            parts += [Node("AirSync:DeletesAsMoves", "1"), Node("AirSync:GetChanges", "1"),
                      Node("AirSync:WindowSize", "50"),
                      Node("AirSync:Options", Node("AirSync:FilterType", "0"),
                           Node("AirSync:MIMESupport", "0"), Node(
                               "AirSyncBase:BodyPreference", Node("AirSyncBase:Type", "1"),
                               Node("AirSyncBase:TruncationSize", "4096")))]
        document = Node("AirSync:Sync", Node("AirSync:Collections", Node("AirSync:Collection", *parts)))
        if heartbeat:
            document.children.append(Node("AirSync:HeartbeatInterval", str(heartbeat)))
        answer = self.command("Sync", document)
        if answer is None:
            return {}
        assert answer.get("Status") == "1", answer
        self.sync_keys[folder] = answer.get("SyncKey")
        return {added.get("Subject"): added for added in answer.find_all("Add")}

    def sync_all(self, kind=INBOX):
        """Until nothing more comes: only then does SOGo's key match the folder, and a Ping waits."""
        everything = {}
        if self.folders[kind] not in self.sync_keys:
            self.sync(kind)
        while True:
            some = self.sync(kind)
            everything.update(some)
            if not some:
                return everything

    def fetch(self, *what, options=None, **more):
        parts = [Node("ItemOperations:Store", "Mailbox"), *what]
        if options:
            parts.append(Node("ItemOperations:Options", *options))
        return self.command("ItemOperations", Node(
            "ItemOperations:ItemOperations", Node("ItemOperations:Fetch", *parts)), **more)

    def own_address(self, **options):
        answer = self.command("Settings", Node("Settings:Settings", Node(
            "Settings:UserInformation", Node("Settings:Get"))), **options)
        return answer.get("PrimarySmtpAddress") or answer.get("SmtpAddress")


WHOLE_MESSAGE = (Node("AirSync:MIMESupport", "2"),
                 Node("AirSyncBase:BodyPreference", Node("AirSyncBase:Type", "4")))


class Conversation:
    """The tests, and what they need; for a harness.Case with `stack`, a sogo.stack.Stack that is up, and
    `proxy`, which lets the phones of alice and bob in to their mailboxes there, and carol's not."""

    @classmethod
    def start_stack(cls, **options):
        folder = tempfile.mkdtemp(prefix="easproxy-sogo-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        stack = Stack(folder, **options).start()
        cls.addClassCleanup(stack.stop)
        return stack

    def setUp(self):
        super().setUp()
        self.mark = uuid.uuid4().hex[:12]

    def dial(self, user):
        return self.proxy.dial(user, timeout=90)

    def phone(self, user):
        phone = Phone(lambda: self.dial(user), "%s@%s" % (user, DOMAIN))
        self.addCleanup(phone.close)
        return phone

    def deliver(self, user, subject, text="some text"):
        to = "%s@%s" % (user, DOMAIN)
        self.stack.deliver(to, mail("sender@elsewhere.test", to, subject, text))

    def test_enrolment_shows_the_mailbox_of_the_certificate(self):
        alice = self.phone("alice")
        with alice.dial() as connection:
            answer = connection.request("OPTIONS", alice.path)
        self.assertEqual(answer.status, 200)
        self.assertIn("14.1", answer.header("MS-ASProtocolVersions").split(","))
        self.assertIn("Ping", answer.header("MS-ASProtocolCommands").split(","))
        answer = alice.command("Provision", Node("Provision:Provision", Node("Provision:Policies", Node(
            "Provision:Policy", Node("Provision:PolicyType", "MS-EAS-Provisioning-WBXML")))))
        self.assertEqual(answer.child("Status"), "1")
        self.assertEqual(alice.own_address(), "alice@contoso.test")
        self.assertLessEqual({INBOX, SENT}, set(alice.sync_folders().folders))
        self.assertEqual(self.phone("bob").own_address(), "bob@contoso.test")

    def test_a_delivered_mail_is_synced_and_fetched(self):
        alice = self.phone("alice").sync_folders()
        alice.sync_all()
        text = "text of %s, \u00e9\u00e0\u4e2d\u6587" % self.mark
        self.deliver("alice", "first " + self.mark, text)
        got = alice.sync()
        self.assertEqual(list(got), ["first " + self.mark])
        item = got["first " + self.mark]
        self.assertIn(text, item.get("Data"))
        self.assertEqual(alice.sync(), {})

        where = (Node("AirSync:CollectionId", alice.folders[INBOX]),
                 Node("AirSync:ServerId", item.child("ServerId")))
        answer = alice.fetch(*where, options=WHOLE_MESSAGE)
        self.assertIn("Subject: first " + self.mark, answer.get("Data"))
        parts = alice.post("ItemOperations", Node("ItemOperations:ItemOperations", Node(
            "ItemOperations:Fetch", Node("ItemOperations:Store", "Mailbox"), *where,
            Node("ItemOperations:Options", *WHOLE_MESSAGE))), extra=[("MS-ASAcceptMultiPart", "T")])
        self.assertEqual(parts.header("Content-Type"), "application/vnd.ms-sync.multipart")
        count, = struct.unpack_from("<I", parts.body)
        at, size = struct.unpack_from("<%dI" % (2 * count), parts.body, 4)[-2:]
        self.assertIn(("text of " + self.mark).encode(), parts.body[at:at + size])

    def test_an_attachment_of_a_megabyte_comes_back_unchanged(self):
        alice = self.phone("alice").sync_folders()
        alice.sync_all()
        content = os.urandom(1 << 20)
        self.stack.deliver(alice.user, mail_with_file(alice.user, "file " + self.mark, content))
        reference = alice.sync_all()["file " + self.mark].get("FileReference")
        answer = alice.fetch(Node("AirSyncBase:FileReference", reference))
        back = base64.b64decode(next(answer.find_all("Fetch")).get("Data"))
        self.assertEqual(hashlib.sha256(back).hexdigest(), hashlib.sha256(content).hexdigest())

    def woken(self, poll, subject):
        """What a long poll answers that a mail ends while it waits, and how long after the mail."""
        outcome = {}

        def wait():
            try:
                outcome["answer"] = poll()
            except Exception as e:  # raised again below, where it fails the test
                outcome["error"] = e
            outcome["at"] = time.monotonic()

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        time.sleep(1.5)
        self.assertTrue(waiter.is_alive(), outcome)
        self.deliver("alice", subject)
        delivered = time.monotonic()
        waiter.join(60)
        self.assertIn("at", outcome, "the long poll was not answered")
        if "error" in outcome:
            raise outcome["error"]
        return outcome["answer"], outcome["at"] - delivered

    def test_long_polls_sleep_until_a_mail_comes_or_the_heartbeat_ends(self):
        alice = self.phone("alice").sync_folders()
        alice.sync_all()
        inbox = alice.folders[INBOX]
        with self.subTest("the heartbeat ends"):
            before = time.monotonic()
            answer = alice.command("Ping", client.ping(10, inbox))
            self.assertEqual(answer.child("Status"), "1")
            self.assertGreater(time.monotonic() - before, 8)
        with self.subTest("a mail ends a Ping"):
            answer, late = self.woken(lambda: alice.command("Ping", client.ping(60, inbox)), "wake " + self.mark)
            self.assertEqual(answer.child("Status"), "2")
            self.assertEqual([n.text for n in answer.find_all("Folder")], [inbox])
            self.assertLess(late, 20)
            self.assertEqual(alice.command("Ping", None).child("Status"), "2", "an empty Ping")
            self.assertIn("wake " + self.mark, alice.sync_all())
        with self.subTest("a mail ends a Sync with a heartbeat"):
            got, late = self.woken(lambda: alice.sync(heartbeat=60), "again " + self.mark)
            self.assertIn("again " + self.mark, got)
            self.assertLess(late, 20)

    def test_sent_mail_arrives_from_the_owner_whether_chunked_or_not(self):
        alice, bob = self.phone("alice").sync_folders(), self.phone("bob").sync_folders()
        for how, chunks in (("whole", None), ("chunked", 70)):
            with self.subTest(how):
                subject = "%s %s" % (how, self.mark)
                answer = alice.command("SendMail", client.send_mail(
                    mail(alice.user, bob.user, subject, "for the peer")), chunks=chunks)
                self.assertIsNone(answer)
                got = {}
                harness.wait_for("the mail in the peer's Inbox",
                                 lambda got=got, subject=subject: got.update(bob.sync_all()) or subject in got)
                self.assertIn("for the peer", got[subject].get("Data"))
                self.assertIn(alice.user, got[subject].get("From"))
                self.assertIn(subject, alice.sync_all(SENT))

    def test_a_large_chunked_mail_is_spooled(self):
        alice, bob = self.phone("alice").sync_folders(), self.phone("bob").sync_folders()
        subject, content = "large " + self.mark, os.urandom(1 << 20)
        answer = alice.command("SendMail", client.send_mail(mail_with_file(bob.user, subject, content)),
                               chunks=5000)
        self.assertIsNone(answer)
        got = {}
        harness.wait_for("the mail in the peer's Inbox", lambda: got.update(bob.sync_all()) or subject in got)
        answer = bob.fetch(Node("AirSyncBase:FileReference", got[subject].get("FileReference")))
        self.assertEqual(base64.b64decode(next(answer.find_all("Fetch")).get("Data")), content)

    def test_mailboxes_are_apart(self):
        self.deliver("alice", "secret " + self.mark)
        self.deliver("bob", "other " + self.mark)
        bob = self.phone("bob").sync_folders()
        got = bob.sync_all()
        self.assertIn("other " + self.mark, got)
        self.assertNotIn("secret " + self.mark, got)

    def test_the_packed_query_works(self):
        alice = self.phone("alice")
        answer = alice.command("FolderSync", client.folder_sync(), target=alice.packed_target(9))
        self.assertEqual(answer.get("Status"), "1")

    def test_no_header_of_the_phone_changes_the_mailbox(self):
        basic = "Basic " + base64.b64encode(b"alice@contoso.test:alice-password").decode()
        for spelling in ("x-webobjects-remote-user", "X-WebObjects-Remote-User", "X-WEBOBJECTS-REMOTE-USER",
                         "x_webobjects_remote_user", "X_WebObjects-Remote_User", "REMOTE_USER", "Remote-User"):
            for times in (1, 2):
                with self.subTest(spelling, times=times):
                    bob = self.phone("bob")
                    address = bob.own_address(extra=[(spelling, "alice@contoso.test")] * times + [
                        ("x-webobjects-auth-type", "Basic"), ("Authorization", basic)])
                    self.assertEqual(address, "bob@contoso.test")
        bob = self.phone("bob")
        answer = bob.post("FolderSync", client.folder_sync(), target=bob.target("FolderSync", "alice@contoso.test"))
        self.assertEqual(answer.status, 403)

    def test_the_revoked_certificate_gets_nothing(self):
        with self.assertRaises((client.Closed, OSError)):
            self.phone("carol").post("FolderSync", client.folder_sync())
