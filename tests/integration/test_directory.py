"""Whose mailbox a certificate opens, by a directory in a file and by OpenLDAP's slapd: what is found
by what, and what happens while the directory changes, is down, hangs or is slow."""
import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import client
import harness
from certificates import der, general_names, openssl, principal_name, rfc822_name
from ldap_server import BASE, READER, Slapd
import wbxml

SID = "S-1-5-21-1111111111-2222222222-3333333333-1104"


def smtp_utf8_name(name):
    return der(0xA0, bytes.fromhex("06082b06010505070809") + der(0xA0, der(0x0C, name)))


def sid_extension(sid):
    """What the CA of Active Directory puts in."""
    name = der(0xA0, bytes.fromhex("060a2b060104018237190201") + der(0xA0, der(0x04, sid.encode())))
    return "1.3.6.1.4.1.311.25.2 = DER:" + der(0x30, name).hex(":")


def sid_bytes(sid):
    parts = [int(p) for p in sid.split("-")[3:]]
    return bytes([1, len(parts)]) + int(sid.split("-")[2]).to_bytes(6, "big") + b"".join(
        p.to_bytes(4, "little") for p in parts)


class Bound:
    """What a certificate can be known by, worked out by the openssl command."""

    def __init__(self, certificate):
        def ask(*arguments):
            return openssl("x509", "-in", certificate.certificate, "-noout", *arguments).decode()
        serial = bytes.fromhex(ask("-serial").strip().partition("=")[2])
        issuer, subject = (ask(what, "-nameopt", "RFC2253,-dn_rev").strip().partition("=")[2]
                           for what in ("-issuer", "-subject"))
        key = openssl("pkey", "-pubin", "-outform", "DER", stdin=openssl(
            "x509", "-in", certificate.certificate, "-noout", "-pubkey"))
        self.ski = "X509:<SKI>" + ask("-ext", "subjectKeyIdentifier").split("\n")[1].strip().replace(":", "").lower()
        # The bits of a P-256 key are the last 65 bytes.
        self.key = "X509:<SHA1-PUKEY>" + hashlib.sha1(key[-65:]).hexdigest()
        self.serial = "X509:<I>%s<SR>%s" % (issuer, serial[::-1].hex())
        self.both = "X509:<I>%s<S>%s" % (issuer, subject)
        self.subject = "X509:<S>" + subject


def rules_for(*groups):
    """A policy that names them, and does nothing about them."""
    return {"rule groups": {"group": list(groups), "action": "log"}}


class DirectoryCase(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = tempfile.mkdtemp(prefix="easproxy-directory-")
        cls.addClassCleanup(shutil.rmtree, cls.made, ignore_errors=True)
        cls.issuing = cls.pki.authority("issuing", cls.made)

    def certificate(self, name, *names, **options):
        return self.issuing.issue(name, general_names(*names) if names else None, **options)

    def start_with(self, directory, mailbox=None, **more):
        self.recorder = self.start_recorder()
        changes = {"directory": directory, "mailbox": mailbox or {}}
        changes.update(more)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, changes)
        return self.proxy

    def ask(self, certificate):
        """The answer to an OPTIONS, and the mailbox that it was forwarded for."""
        before = len(self.recorder.whole())
        with self.proxy.dial(certificate=certificate) as connection:
            answer = connection.request("OPTIONS", client.PATH)
        whole = self.recorder.whole()[before:]
        return answer.status, whole[-1].header("X-Mailbox") if whole else None

    def assert_opens(self, certificate, mailbox):
        self.assertEqual(self.ask(certificate), (200, mailbox))

    def assert_refused(self, certificate, refusal, status=403):
        before = len(self.proxy.lines(refusal=refusal))
        self.assertEqual(self.ask(certificate), (status, None))
        harness.wait_for("a line with refusal %s" % refusal,
                         lambda: len(self.proxy.lines(refusal=refusal)) > before, 5, self.proxy)

    def assert_user(self, certificate, user, status):
        """A phone that gives that User."""
        phone = client.Device(lambda: self.proxy.dial(certificate=certificate), user)
        self.addCleanup(phone.close)
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, status, user)

    def groups_of(self, certificate):
        """In which of the groups that rules name, as easproxyctl explain has it."""
        done = subprocess.run([harness.EASPROXYCTL, "explain", "--json", "-s", self.proxy.control,
                               certificate.certificate], stdout=subprocess.PIPE, timeout=harness.PATIENCE, check=False)
        return json.loads(done.stdout)["mailbox"]["groups"]

    def wait_until_answered(self, certificate, answer, what, seconds=15):
        def is_answered():
            try:
                return self.ask(certificate) == answer
            except (client.Closed, ConnectionError):
                return False  # the mailbox was taken away while the request was under way
        harness.wait_for(what, is_answered, seconds, self.proxy)

    def wait_until_opens(self, certificate, mailbox, seconds=15):
        self.wait_until_answered(certificate, (200, mailbox), "%s to be opened" % mailbox, seconds)


class FileTest(DirectoryCase):
    def write(self, text):
        path = self.path("mailboxes")
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)
        return path

    def start_file(self, text, mailbox=None):
        return self.start_with({"backend": "file", "file": self.write(text)}, mailbox)

    def test_each_kind_of_name_leads_to_its_mailbox(self):
        plain = self.certificate("plain")
        bound = Bound(plain)
        sid = self.certificate("sid", extra=sid_extension(SID))
        self.start_file(
            "# who is here\n"
            "alice@contoso.test  smtp:alice.adams@contoso.test upn:alice@corp.local\n"
            "bob@contoso.test\n"
            "ski@contoso.test %s\n"
            "sid@contoso.test sid:%s\n"
            "m\u00fcller@contoso.test\n"
            "gone@contoso.test disabled\n" % (bound.ski, SID),
            {"names": ["sid", "principal-name", "rfc822-name", "smtp-utf8-mailbox", "ski"]})
        self.assert_opens(plain, "ski@contoso.test")
        self.assert_opens(sid, "sid@contoso.test")
        upn = self.certificate("upn", principal_name(b"Alice@corp.local"))
        self.assert_opens(upn, "alice@contoso.test")
        for user, status in (("alice@corp.local", 200), ("Alice.Adams@contoso.test", 200), ("alice", 200),
                             ("adams", 403), ("bob@contoso.test", 403), ("bob@corp.local", 403)):
            self.assert_user(upn, user, status)
        alias = self.certificate("alias", rfc822_name(b"ALICE.adams@Contoso.test"))
        self.assert_opens(alias, "alice@contoso.test")
        self.assert_opens(self.certificate("same", principal_name(b"bob@contoso.test")), "bob@contoso.test")
        utf8 = self.certificate("utf8", smtp_utf8_name("mu\u0308ller@contoso.test".encode()))
        self.assertEqual(self.ask(utf8), (200, "m\u00fcller@contoso.test".encode().decode("latin-1")))
        two = self.certificate("two", rfc822_name(b"bob@contoso.test"), rfc822_name(b"alice@contoso.test"))
        self.assert_refused(two, "name-ambiguous")
        self.assert_refused(self.certificate("gone", principal_name(b"gone@contoso.test")), "user-disabled")
        self.assert_refused(self.certificate("nobody", principal_name(b"nobody@contoso.test")), "user-unknown")
        # An address that is a mailbox elsewhere is not one here.
        self.assert_refused(self.certificate("alias-upn", principal_name(b"alice.adams@contoso.test")),
                            "user-unknown")

    def test_bindings_are_those_of_active_directory(self):
        certificates = [self.certificate("b%d" % i) for i in range(4)]
        bound = [Bound(c) for c in certificates]
        self.start_file('key@contoso.test %s\nserial@contoso.test "%s"\nboth@contoso.test "%s"\n'
                        'subject@contoso.test "%s"\n' % (
                            bound[0].key.upper(), bound[1].serial, bound[2].both, bound[3].subject),
                        {"names": ["sha1-public-key", "issuer-and-serial-number", "issuer-and-subject", "subject"]})
        for certificate, mailbox in zip(certificates, ("key", "serial", "both", "subject")):
            self.assert_opens(certificate, mailbox + "@contoso.test")

    def test_low_affinity_is_not_enough_where_high_is_asked_for(self):
        bound = self.certificate("bound", principal_name(b"alice@contoso.test"))
        upn = self.certificate("only-upn", principal_name(b"alice@contoso.test"))
        self.start_file("alice@contoso.test %s\n" % Bound(bound).ski,
                        {"names": ["principal-name", "ski"], "affinity": "high"})
        self.assert_opens(bound, "alice@contoso.test")
        self.assert_refused(upn, "affinity-too-low")

    def test_a_new_file_takes_effect_and_a_faulty_one_does_not(self):
        alice = self.certificate("alice-f", principal_name(b"alice@contoso.test"))
        self.start_file("alice@contoso.test\n")
        self.assert_opens(alice, "alice@contoso.test")
        self.write("adams@contoso.test upn:alice@contoso.test\n")
        self.wait_until_opens(alice, "adams@contoso.test", 5)
        self.write("alice@contoso.test\nbob@contoso.test smtp:alice@contoso.test\n")
        harness.wait_for("the fault in the log", lambda: self.proxy.lines("directory-faulty"), 5, self.proxy)
        message = self.proxy.lines("directory-faulty")[0]["message"]
        self.assertIn("mailboxes:2: 'alice@contoso.test' leads to another mailbox already, line 1", message)
        self.assert_opens(alice, "adams@contoso.test")
        os.unlink(self.path("mailboxes"))
        self.assert_opens(alice, "adams@contoso.test")
        self.write("bob@contoso.test\n")
        self.wait_until_answered(alice, (403, None), "alice to be unknown", 5)

    def test_a_file_says_who_is_in_which_group(self):
        alice, bob, carol = (self.certificate("g-" + name, principal_name(name.encode() + b"@contoso.test"))
                             for name in ("alice", "bob", "carol"))
        text = "alice@contoso.test group:SALES \"group:Field Staff\"\nbob@contoso.test%s\ncarol@contoso.test\n"
        self.start_with({"backend": "file", "file": self.write(text % " group:nobody-asks")}, policy=rules_for(
            "sales", "field staff"))
        self.assertEqual(self.groups_of(alice), ["sales", "field staff"])
        self.assertEqual(self.groups_of(bob), [])
        self.assertEqual(self.groups_of(carol), [])
        self.write(text % " group:sales")
        harness.wait_for("bob to be in it", lambda: self.groups_of(bob) == ["sales"], 5, self.proxy)

    def test_a_ping_ends_when_its_owner_is_in_other_groups(self):
        alice, bob = (self.certificate("g-%s2" % name, principal_name(name.encode() + b"@contoso.test"))
                      for name in ("alice", "bob"))
        path = self.write("alice@contoso.test\nbob@contoso.test\n")
        over = threading.Event()
        self.addCleanup(over.set)
        self.recorder = self.start_recorder(lambda received, connection: over.wait(60) and None)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "directory": {"backend": "file", "file": path}, "policy": rules_for("sales")})
        asleep = []
        for certificate, user in ((alice, "alice"), (bob, "bob")):
            phone = client.Device(lambda c=certificate: self.proxy.dial(certificate=c), user + "@contoso.test")
            self.addCleanup(phone.close)
            phone.connection = phone.dial()
            phone.connection.send(client.request_bytes("POST", phone.target("Ping"), phone.headers(
                ("Content-Type", "application/vnd.ms-sync.wbxml")), wbxml.encode(client.ping(600))))
            asleep.append(phone.connection)
        harness.wait_for("both to sleep", lambda: len(self.recorder.whole()) == 2, None, self.proxy)
        self.write("alice@contoso.test\nbob@contoso.test group:sales\n")
        answer = asleep[1].read_answer()
        self.assertEqual((answer.status, answer.wbxml().get("Status")), (200, "1"))
        self.assertFalse(asleep[0].is_closed_within(0.5))
        self.assertEqual(asleep[0].buffer, b"")
        harness.wait_for("its line", lambda: self.proxy.lines("request", reason="poll ended: other groups"), 5)

    def test_a_group_without_a_directory_is_a_warning(self):
        proxy = harness.Proxy(self, "http://127.0.0.1:9", {"policy": rules_for("sales")}, arguments=["-t"])
        self.assertEqual(proxy.wait(), 0, proxy.output())
        self.assertIn("a rule names the group 'sales', but with backend = none nobody is in any", proxy.output())

    def test_a_faulty_file_is_told_at_the_start(self):
        path = self.write("alice@contoso.test\n\nbob smtp:x\n")
        proxy = harness.Proxy(self, "http://127.0.0.1:9", {"directory": {"backend": "file", "file": path}},
                              arguments=["-t"])
        self.assertEqual(proxy.wait(), 1)
        self.assertIn("%s:3: 'bob' is not a mailbox" % path, proxy.output())


class SlowServer:
    """Passes bytes on to an LDAP server; or takes connections and says nothing."""

    def __init__(self, port):
        self.target, self.is_mute = port, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(near)
            far = socket.create_connection(("127.0.0.1", self.target))
            self.open.append(far)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        try:
            while True:
                data = one.recv(65536)
                while self.is_mute:
                    time.sleep(0.05)
                if not data:
                    break
                other.sendall(data)
        except OSError:
            pass
        for s in (one, other):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.is_mute = False
        for s in [self.listener] + self.open:
            s.close()


class SlapdTest(DirectoryCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.phones = {}
        bound = cls.phones["bound"] = cls.issuing.issue("l-bound", None)
        people = {"user%d" % i: {
            "mail": "user%d@contoso.test" % i, "userPrincipalName": "u%04d@corp.local" % i,
            "proxyAddresses": ["SMTP:User%d@contoso.test" % i, "smtp:alias%d@contoso.test" % i],
            "userAccountControl": "512"} for i in range(1000)}
        people["bound"] = {"mail": "bound@contoso.test", "altSecurityIdentities": Bound(bound).serial}
        people["sid"] = {"mail": "sid@contoso.test", "objectSid:": base64.b64encode(sid_bytes(SID)).decode()}
        for kind in ("ski", "key", "upn"):
            cls.phones["entra-" + kind] = cls.issuing.issue("l-entra-" + kind, general_names(
                principal_name(b"card-1234@corp.local")) if kind == "upn" else None)
        people["entra"] = {"mail": "entra@contoso.test", "certificateUserIds": [
            Bound(cls.phones["entra-ski"]).ski, Bound(cls.phones["entra-key"]).key.upper(),
            "X509:<PN>card-1234@corp.local"]}
        people["user1"]["memberOf"] = ["cn=sales,ou=groups," + BASE, "cn=Jane\\2C Smith's,ou=groups," + BASE]
        people["user2"]["memberOf"] = ["cn=sales,ou=old groups," + BASE]
        people["off"] = {"mail": "off@contoso.test", "userAccountControl": "514"}
        people["twin1"] = {"mail": "twin1@contoso.test", "proxyAddresses": ["smtp:twins@contoso.test"]}
        people["twin2"] = {"mail": "twin2@contoso.test", "proxyAddresses": ["smtp:twins@contoso.test"]}
        people["empty"] = {"userPrincipalName": "empty@contoso.test"}
        cls.people = people
        for i in range(6):
            cls.phones["user%d" % i] = cls.issuing.issue(
                "l-user%d" % i, general_names(principal_name(b"u%04d@corp.local" % i)))

    def start_slapd(self, **options):
        folder = self.path("slapd")
        os.makedirs(folder)
        self.slapd = Slapd(folder, self.pki.server, self.pki.ca, self.people, **options).start()
        self.addCleanup(self.slapd.stop)
        return self.slapd

    def start_ldap(self, changes=None, mailbox=None, url=None, **options):
        slapd = self.start_slapd(**options)
        return self.start_with(harness.merge({
            "backend": "ldap", "urls": [url or slapd.tls_url], "ca": self.pki.ca, "base": BASE,
            "bind-name": READER, "bind-password-file": slapd.password_file,
            "connect-time": "1s", "answer-time": "1s"}, changes), mailbox)

    def test_each_kind_of_name_leads_to_its_mailbox(self):
        proxy = self.start_ldap(mailbox={"names": [
            "principal-name", "rfc822-name", "sid", "issuer-and-serial-number"]})
        for i in range(4):
            self.assert_opens(self.phones["user%d" % i], "user%d@contoso.test" % i)
        self.assert_opens(self.certificate("l-alias", rfc822_name(b"Alias999@contoso.test")),
                          "user999@contoso.test")
        self.assert_opens(self.certificate("l-primary", rfc822_name(b"user7@contoso.test")), "user7@contoso.test")
        self.assert_opens(self.phones["bound"], "bound@contoso.test")
        self.assert_opens(self.certificate("l-sid", extra=sid_extension(SID)), "sid@contoso.test")
        self.assert_refused(self.certificate("l-off", rfc822_name(b"off@contoso.test")), "user-disabled")
        self.assert_refused(self.certificate("l-twins", rfc822_name(b"twins@contoso.test")), "name-ambiguous")
        self.assert_refused(self.certificate("l-empty", principal_name(b"empty@contoso.test")), "user-unknown")
        for name in (b"nobody@contoso.test", b"*@contoso.test", b"u000*@corp.local", "u000\u0131@corp.local".encode()):
            with self.subTest(name):
                self.assert_refused(self.certificate("l-x%s" % name.hex(), principal_name(name)), "user-unknown")
        self.assertEqual(proxy.lines(level="error"), [])

    def test_groups_are_those_of_memberof(self):
        sales, jane = "CN=Sales, OU=Groups, " + BASE.upper(), "cn=Jane\\, Smith's,ou=groups," + BASE
        for nesting in (False, True):  # which other servers than Active Directory know nothing of
            with self.subTest(nesting=nesting):
                slapd = getattr(self, "slapd", None) or self.start_slapd()
                proxy = self.start_with({
                    "backend": "ldap", "urls": [slapd.tls_url], "ca": self.pki.ca, "base": BASE,
                    "bind-name": READER, "bind-password-file": slapd.password_file, "group-nesting": nesting},
                    policy=rules_for(sales, jane, "sales"))
                self.assert_opens(self.phones["user1"], "user1@contoso.test")
                self.assertEqual(self.groups_of(self.phones["user1"]), [sales.lower(), jane.lower()])
                self.assertEqual(self.groups_of(self.phones["user0"]), [])
                self.assertEqual(self.groups_of(self.phones["user2"]), [])
                self.assertEqual(proxy.lines("directory-failed"), [])
                proxy.stop()

    def test_values_of_entra_s_certificate_user_ids_bind(self):
        self.start_ldap(mailbox={"names": ["principal-name", "ski", "sha1-public-key"]})
        for kind in ("ski", "key", "upn"):
            self.assert_opens(self.phones["entra-" + kind], "entra@contoso.test")

    def test_what_is_known_is_used_no_longer_than_configured(self):
        self.start_ldap({"when-down": "use-known", "use-known-for": "6s", "cache-time": "1s"})
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        asked = time.monotonic()
        self.slapd.stop()
        time.sleep(1.2)
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        self.assertLess(time.monotonic() - asked, 5, "this machine is too slow for this test")
        time.sleep(max(0.0, asked + 7 - time.monotonic()))
        self.assert_refused(self.phones["user0"], "directory-unavailable", 503)

    def test_explain_names_the_entry(self):
        self.start_ldap(mailbox={"names": ["principal-name", "rfc822-name"]})
        harness.wait_for("user0 to get in", lambda: self.ask(self.phones["user0"])[0] == 200, None, self.proxy)
        for certificate, refusal, mailbox, why in (
                (self.phones["user0"], "none", "user0@contoso.test", "uid=user0,ou=people," + BASE),
                (self.certificate("l-e-off", rfc822_name(b"off@contoso.test")), "user-disabled", "", "uid=off,"),
                (self.certificate("l-e-twins", rfc822_name(b"twins@contoso.test")), "name-ambiguous", "",
                 "rfc822-name twins@contoso.test"),
                (self.certificate("l-e-nobody", rfc822_name(b"nobody@contoso.test")), "user-unknown", "",
                 "rfc822-name nobody@contoso.test")):
            with self.subTest(refusal):
                done = subprocess.run([harness.EASPROXYCTL, "explain", "-s", self.proxy.control, "--json",
                                       certificate.certificate], stdout=subprocess.PIPE, timeout=60, check=False)
                answer = json.loads(done.stdout)
                self.assertEqual((answer["refusal"], answer["mailbox"]["mailbox"]), (refusal, mailbox))
                self.assertIn(why, answer["mailbox"]["reason"])
        self.slapd.stop()
        done = subprocess.run([harness.EASPROXYCTL, "explain", "-s", self.proxy.control,
                               self.phones["user1"].certificate], stdout=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"mailbox +directory-unavailable \(.*Can't contact LDAP server\)")

    def test_answers_are_remembered_and_asked_for_once(self):
        self.start_ldap({"helpers": 1, "cache-time": "2s", "negative-cache-time": "2s"})
        nobody = self.certificate("l-nobody", principal_name(b"nobody@contoso.test"))
        for _ in range(5):
            self.assert_opens(self.phones["user0"], "user0@contoso.test")
            self.assert_refused(nobody, "user-unknown")
        self.assertEqual(self.slapd.searches(), 2)
        time.sleep(2.2)
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        self.assertEqual(self.slapd.searches(), 3)

    def test_start_tls_and_lost_idle_connections(self):
        slapd = self.start_slapd(idle=1)
        self.start_with({"backend": "ldap", "urls": [slapd.url], "ca": self.pki.ca, "base": BASE, "helpers": 1,
                         "bind-name": READER, "bind-password-file": slapd.password_file},
                        user="nobody" if os.geteuid() == 0 else "")
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        time.sleep(2.5)
        self.assert_opens(self.phones["user1"], "user1@contoso.test")
        self.assertEqual(self.proxy.lines("directory-failed"), [])

    def test_a_server_whose_certificate_does_not_verify_is_not_asked(self):
        self.start_ldap({"ca": None}) # the system's authorities do not vouch for it
        self.assert_refused(self.phones["user0"], "directory-unavailable", 503)
        harness.wait_for("the reason in the log", lambda: self.proxy.lines("directory-failed"), 5, self.proxy)
        self.assertEqual(self.slapd.searches(), 0)

    def test_a_wrong_password_is_told(self):
        self.start_slapd()
        path = self.path("wrong")
        with open(path, "w", encoding="ascii") as f:
            f.write("wrong\n")
        os.chmod(path, 0o600)
        self.start_with({"backend": "ldap", "urls": [self.slapd.tls_url], "ca": self.pki.ca, "base": BASE,
                         "bind-name": READER, "bind-password-file": path})
        self.assert_refused(self.phones["user0"], "directory-unavailable", 503)
        line = harness.wait_for("a line", lambda: self.proxy.lines("directory-failed"), 5, self.proxy)[0]
        self.assertIn("logging in to %s: Invalid credentials" % self.slapd.tls_url, line["message"])
        self.assertNotIn("wrong", line["message"])

    def down_and_up(self, down, up, seconds):
        """Known and unknown phones while the directory is down, and that it comes back by itself."""
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        time.sleep(1.1)
        down()
        began = time.monotonic()
        self.assertIn(self.ask(self.phones["user1"]), [(503, None)])
        self.assertLess(time.monotonic() - began, seconds)
        for i in (2, 3, 4):
            self.assertEqual(self.ask(self.phones["user%d" % i]), (503, None))
        harness.wait_for("the directory to count as down", lambda: self.proxy.lines("directory-down"), 10, self.proxy)
        return up

    def test_what_is_known_is_used_while_the_server_is_gone(self):
        self.start_ldap({"when-down": "use-known", "use-known-for": "1m", "cache-time": "1s"})
        self.down_and_up(self.slapd.stop, None, 4)
        # Down: nothing waits for it any more.
        began = time.monotonic()
        for _ in range(5):
            self.assert_opens(self.phones["user0"], "user0@contoso.test")
        self.assertLess(time.monotonic() - began, 3)
        self.slapd.start()
        self.wait_until_opens(self.phones["user5"], "user5@contoso.test", 20)
        harness.wait_for("the directory to be up", lambda: self.proxy.lines("directory-up"), 5, self.proxy)

    def test_nothing_is_used_while_the_server_hangs_where_so_configured(self):
        proxy = self.start_ldap({"cache-time": "1s", "helpers": 2})
        self.down_and_up(self.slapd.halt, None, 4)
        self.assertEqual(self.ask(self.phones["user0"]), (503, None))
        identity, = proxy.pids("identity")
        self.slapd.go_on()
        self.wait_until_opens(self.phones["user0"], "user0@contoso.test", 20)
        self.wait_until_opens(self.phones["user5"], "user5@contoso.test", 20)
        self.assertEqual(proxy.pids("identity"), [identity])
        self.assertEqual(proxy.lines("child-died"), [])

    def test_a_server_that_says_nothing_costs_a_helper_and_not_the_process(self):
        slapd = self.start_slapd(needs_tls=False)
        slow = SlowServer(slapd.port)
        self.addCleanup(slow.stop)
        proxy = self.start_with({
            "backend": "ldap", "urls": ["ldap://127.0.0.1:%d" % slow.port], "start-tls": False, "base": BASE,
            "bind-name": READER, "bind-password-file": slapd.password_file, "helpers": 1, "cache-time": "1h",
            "connect-time": "500ms", "answer-time": "500ms"})
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        slow.is_mute = True
        waiting = threading.Thread(target=self.ask, args=(self.phones["user1"],), daemon=True)
        waiting.start()
        began = time.monotonic()
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        self.assertLess(time.monotonic() - began, 0.5, "somebody who is known waited for somebody who is not")
        waiting.join(10)
        slow.is_mute = False
        self.wait_until_opens(self.phones["user2"], "user2@contoso.test", 20)
        self.assertEqual(proxy.lines("child-died"), [])

    def test_nothing_is_left_of_a_killed_identity_process(self):
        proxy = self.start_ldap({"helpers": 3})
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        identity, = proxy.pids("identity")
        spawner, = harness.children(identity)
        helpers = harness.children(spawner)
        self.assertEqual(len(helpers), 3)
        os.kill(helpers[0], signal.SIGKILL)
        harness.wait_for("another helper", lambda: len(harness.children(spawner)) == 3 and
                         helpers[0] not in harness.children(spawner), 5, proxy)
        self.assert_opens(self.phones["user1"], "user1@contoso.test")
        family = [spawner] + harness.children(spawner)
        os.kill(identity, signal.SIGKILL)
        harness.wait_for("its helpers to end", lambda: not any(os.path.exists("/proc/%d" % p) for p in family), 5, proxy)
        self.wait_until_opens(self.phones["user2"], "user2@contoso.test")

    def test_the_second_server_is_asked_when_the_first_is_gone(self):
        slapd = self.start_slapd()
        self.start_with({"backend": "ldap", "urls": ["ldaps://127.0.0.1:%d" % harness.free_port(), slapd.tls_url],
                         "ca": self.pki.ca, "base": BASE, "bind-name": READER,
                         "bind-password-file": slapd.password_file})
        self.assert_opens(self.phones["user0"], "user0@contoso.test")
        self.assertEqual(self.proxy.lines("directory-failed"), [])


if __name__ == "__main__":
    unittest.main()
