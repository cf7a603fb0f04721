"""Phones that are to be wiped, by easproxyd itself: told so whatever they ask, by their version; obeying, refusing and
heedless ones; and a phone whose certificate is revoked, which is let in for that and nothing else."""
import functools
import http.server
import json
import os
import subprocess
import threading
import time
import unittest
import urllib.request

import certificates
import client
import crls
import harness
from client import PATH
from harness import EASPROXYCTL, EASSIM, wait_for
from wbxml import Node

SEED = 7
DEVICE = "eassim%08x%06u" % (SEED, 0)
KEY_COMPROMISE, SUPERSEDED, CESSATION, HOLD, WITHDRAWN = 1, 4, 5, 6, 9


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class WipeCase(harness.Case):
    """A proxy before eassim serve, whose journal shows what has reached it."""

    def setUp(self):
        super().setUp()
        self.server_port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % self.server_port, "--quiet", "--heartbeat-min", "1"],
            self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(self.server_port), None, server)
        self.proxy = self.start_here()

    def changes(self):
        return {}

    def start_here(self, state=None, control=None, **more):
        again = {"state-directory": state, "control-socket": control} if state else {}
        proxy = self.start_proxy("http://127.0.0.1:%d" % self.server_port, harness.merge({
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]},
            "revocation": {"refresh": "1s", "retry": "200ms"}}, {**self.changes(), **again, **more}))
        proxy.control = control or proxy.control
        proxy.wait_until_answering()
        return proxy

    def eassim(self, user, *options, proxy=None, name=None):
        """A phone of that user, running."""
        self.phones = getattr(self, "phones", 0) + 1
        return self.start(harness.Program(name or "phone-%d" % self.phones, [
            EASSIM, "phone", "--url", "https://localhost:%d%s" % ((proxy or self.proxy).port, PATH), "--pki",
            self.pki_directory(), "--user", user, "--seed", str(SEED), *options], self.directory))

    def pki_directory(self):
        return self.pki.directory

    def phone_ends(self, user, *options, status=0, **more):
        """What it has printed, once it has ended with that exit status."""
        phone = self.eassim(user, *options, **more)
        self.assertEqual(phone.wait(30), status, phone.tail(20))
        return phone.output()

    def upstream_requests(self, mailbox=None):
        url = "http://127.0.0.1:%d/eassim/requests" % self.server_port
        if mailbox:
            url += "?mailbox=" + mailbox
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)

    def wait_until_workers_know(self, state, device=DEVICE):
        """Until then one that asks again at once is told what it was told before."""
        known = wait_for("control to know", lambda: self.proxy.lines("device-state", device=device, state=state), None,
                         self.proxy)[-1]
        wait_for("all workers to know", lambda: len({
            line["slot"] for line in self.proxy.lines("recheck")
            if "devices" in line["cause"] and line["time"] > known["time"]}) == len(self.proxy.pids("worker")), None, self.proxy)


class OrderTest(WipeCase):
    """easproxyctl device wipe."""

    def device(self, command, *options, device=DEVICE, mailbox="alice@contoso.test"):
        return subprocess.run([EASPROXYCTL, "device", command, device, "--mailbox", mailbox, *options, "-s",
                               self.proxy.control], check=True, timeout=20, stdout=subprocess.PIPE, text=True).stdout

    def shown(self, device=DEVICE):
        """The device as device show has it."""
        return json.loads(self.device("show", "--json", device=device))

    def reached(self):
        """What of alice's phones has reached the mail server but OPTIONS, in which no phone says which device it is."""
        return [r for r in self.upstream_requests("alice@contoso.test") if r["method"] == "POST"]

    def test_every_version_is_wiped_as_a_whole(self):
        for number, version in enumerate(("12.1", "14.0", "14.1", "16.0", "16.1")):
            device = "eassim%08x%06u" % (number, 0)
            self.device("wipe", "--erase-whole-device", device=device)
            said = self.phone_ends("alice", "--version", version, "--expect", "wiped", "--seed", str(number))
            self.assertIn("is wiped, all of it", said)
            wait_for("the registry", lambda d=device: self.shown(d)["state"] == "wiped", None, self.proxy)
        self.assertEqual(self.reached(), [])

    def test_the_account_alone_from_16_1(self):
        self.device("wipe", "--account-only")
        for version in ("12.1", "14.1", "16.0"):
            self.phone_ends("alice", "--version", version, "--expect", "blocked")
        self.assertIn("16.1", self.proxy.lines("request", refusal="device-blocked")[0]["reason"])
        wait_for("device show to say why", lambda: "it speaks 16.0" in self.device("show"), None, self.proxy)
        begun = int(time.time())
        self.phone_ends("alice", "--version", "16.1", "--expect", "account-wiped")
        wait_for("the registry", lambda: self.shown()["state"] == "wiped", None, self.proxy)
        self.assertEqual(self.reached(), [])
        # Afterwards it is out, also over a restart, and not wiped a second time.
        self.wait_until_workers_know("wiped")
        self.phone_ends("alice", "--version", "16.1", "--expect", "blocked")
        self.restart()
        said = self.phone_ends("alice", "--version", "16.1", "--expect", "blocked")
        self.assertIn("Status 129", said)
        shown = self.shown()["wipe"]
        self.assertEqual((shown["kind"], shown["status"]), ("account", 1))
        self.assertLessEqual(begun, shown["acknowledged_at"])
        self.assertLessEqual(shown["sent_at"], shown["acknowledged_at"])
        self.assertLessEqual(shown["ordered_at"], begun)
        self.device("allow")
        self.phone_ends("alice", "--version", "16.1")
        self.assertTrue(self.reached())

    def restart(self):
        state, control = self.proxy.state, self.proxy.control
        self.proxy.stop()
        self.proxy = self.start_here(state=state, control=control)

    def test_an_order_outlives_a_restart(self):
        self.device("wipe", "--erase-whole-device")
        self.restart()
        self.phone_ends("alice", "--version", "14.1", "--expect", "wiped")
        self.assertEqual(self.reached(), [])

    def test_a_version_that_was_closed_since_is_wiped_all_the_same(self):
        self.proxy.stop()
        self.proxy = self.start_here(activesync={"min-protocol": "14.1", "closed-commands": ["Provision"]})
        phone = self.proxy.phone("alice", version="12.1")
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 400)
        self.device("wipe", "--erase-whole-device", device=phone.id)
        self.assertIsNotNone(phone.post("Provision", Node("Provision:Provision")).wbxml().get("RemoteWipe"))
        phone.post("Provision", Node("Provision:Provision", Node("Provision:RemoteWipe", Node("Provision:Status", "1"))))
        wait_for("the registry", lambda: self.shown(phone.id)["state"] == "wiped", None, self.proxy)
        self.assertEqual(self.reached(), [])

    def test_a_phone_that_sleeps_is_woken(self):
        for version, fate, kind in (("16.1", "account-wiped", "--account-only"), ("12.1", "wiped", "--erase-whole-device")):
            seed = version.replace(".", "")
            phone = self.eassim("alice", "--version", version, "--duration", "600", "--heartbeat", "600", "--expect", fate,
                                "--seed", seed)
            device = "eassim%08x%06u" % (int(seed), 0)
            wait_for("the phone to sleep", lambda d=device: [
                r for r in self.reached() if "Cmd=Ping" in r["target"] and d in r["target"].lower()], None, phone)
            reached, begun = len(self.reached()), time.monotonic()
            self.device("wipe", kind, device=device)
            self.assertEqual(phone.wait(20), 0, phone.tail(20))
            self.assertLess(time.monotonic() - begun, 5)
            self.assertEqual(len(self.reached()), reached)

    def test_phones_that_refuse_or_do_not_heed(self):
        self.device("wipe", "--erase-whole-device")
        self.phone_ends("alice", "--version", "14.1", "--wipe", "ignore", "--expect", "wipe-ignored")
        self.assertEqual(self.shown()["state"], "wipe-all")
        self.phone_ends("alice", "--version", "14.1", "--wipe", "refuse", "--expect", "wipe-refused")
        wait_for("the registry", lambda: self.shown()["state"] == "wipe-failed", None, self.proxy)
        self.assertEqual(self.reached(), [])
        # The order stands, as it was.
        said = self.phone_ends("alice", "--version", "16.1", "--ordinary-provision", "--expect", "wiped")
        self.assertIn("all of it", said)
        wait_for("the registry", lambda: self.shown()["state"] == "wiped", None, self.proxy)

    def test_a_poll_by_sync_is_woken_too(self):
        phone = self.eassim("alice", "--version", "16.1", "--duration", "600", "--heartbeat", "600", "--poll", "sync",
                            "--expect", "account-wiped", "--ordinary-provision")
        wait_for("the phone to sleep", lambda: len([r for r in self.reached() if "Cmd=Sync" in r["target"]]) >= 3, None,
                 phone)
        self.device("wipe", "--account-only")
        self.assertEqual(phone.wait(20), 0, phone.tail(20))


class RevokedCase(WipeCase):
    """trust/revoked-certificates = wipe, and a store with CRLs of the test's own, which it serves."""

    kind = "account"

    def changes(self):
        os.makedirs(self.path("crl"), exist_ok=True)
        self.files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
            QuietFiles, directory=self.path("crl")))
        threading.Thread(target=self.files.serve_forever, daemon=True).start()
        self.addCleanup(self.files.server_close)
        self.addCleanup(self.files.shutdown)
        self.issuing = self.pki.authority("issuing", self.directory)
        self.root = self.pki.authority("root", self.directory)
        self.maker, self.root_maker = crls.Maker(self.issuing), crls.Maker(self.root)
        crls.put(self.path("crl", "issuing.crl"), self.maker.make())
        crls.put(self.path("crl", "root.crl"), self.root_maker.make())
        url = "http://127.0.0.1:%d/" % self.files.server_address[1]
        certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", "root.pem"), True, url + "root.crl"),
            (self.pki.path("authority", "issuing.pem"), False, url + "issuing.crl")])
        return {"trust": {"store": self.path("trust.json"), "revoked-certificates": "wipe", "wipe-kind": self.kind}}

    def revoke(self, *revoked, maker=None, name="issuing.crl"):
        """(user, reason) each. Returns when the index counts."""
        known = len(self.proxy.lines("recheck", cause="crl"))
        entries = [(self.pki.user(user).certificate if user.isalpha() else user, *reason)
                   for user, *reason in revoked]
        crls.put(self.path("crl", name), (maker or self.maker).make(entries))
        wait_for("the new CRL", lambda: len(self.proxy.lines("recheck", cause="crl")) >= known + 2, None, self.proxy)


class RevokedTest(RevokedCase):
    def test_lost_phone_revoked_certificate_wiped_mailbox(self):
        """End to end, with a phone that sleeps in Ping when its certificate is revoked."""
        phone = self.eassim("alice", "--version", "16.1", "--duration", "60", "--heartbeat", "600",
                            "--expect", "account-wiped")
        wait_for("the phone to sleep", lambda: [
            r for r in self.upstream_requests("alice@contoso.test") if "Cmd=Ping" in r["target"]], None, phone)
        reached = len(self.upstream_requests("alice@contoso.test"))
        begun = time.monotonic()
        self.revoke(("alice", KEY_COMPROMISE))
        self.assertEqual(phone.wait(20), 0, phone.tail(20))
        self.assertIn("is wiped of its account", phone.output())
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(len(self.upstream_requests("alice@contoso.test")), reached, "something got through")
        wiped = self.proxy.lines("wiped")
        self.assertEqual(len(wiped), 1)
        self.assertEqual((wiped[0]["device"].lower(), wiped[0]["kind"], wiped[0]["mailbox"]),
                         (DEVICE, "account", "alice@contoso.test"))
        self.assertTrue(wiped[0]["serial"])
        self.assertTrue(self.proxy.lines("wipe-only"))

    def test_reasons_that_do_not_lead_there(self):
        """On hold, superseded, or with no reason: a TLS alert, as without the option."""
        for reason in ((HOLD,), (SUPERSEDED,), ()):
            self.revoke(("alice", *reason))
            phone = self.eassim("alice", "--version", "16.1", "--expect-refused")
            self.assertEqual(phone.wait(20), 0, "%s: %s" % (reason, phone.tail(20)))
        self.assertEqual(self.proxy.lines("wipe-only"), [])
        for reason in (CESSATION, WITHDRAWN):
            self.revoke(("bob", reason))
            self.phone_ends("bob", "--version", "16.1", "--expect", "account-wiped", "--seed", str(reason))

    def test_a_phone_that_does_not_know_account_only_is_blocked(self):
        self.revoke(("alice", KEY_COMPROMISE))
        for version in ("12.1", "14.1", "16.0"):
            said = self.phone_ends("alice", "--version", version, "--expect", "blocked")
            self.assertIn("HTTP 403" if version == "12.1" else "Status 129", said)
        self.assertEqual(self.proxy.lines("wiped"), [])
        self.assertEqual(self.upstream_requests("alice@contoso.test"), [])

    def test_nothing_else_is_answered(self):
        """Not Autodiscover, not the mailbox of another, not a device without an id; and OPTIONS by us."""
        self.revoke(("alice", KEY_COMPROMISE))
        with self.proxy.dial("alice") as connection:
            answer = connection.request("OPTIONS", PATH)
            self.assertEqual(answer.status, 200)
            self.assertIn("16.1", answer.header("MS-ASProtocolVersions"))
        with self.proxy.dial("alice") as connection:
            with self.assertRaises(client.Closed):
                connection.request("POST", "/autodiscover/autodiscover.xml", [("Content-Type", "text/xml")], b"<a/>")
        phone = self.proxy.phone("alice", version="16.1")
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).wbxml().get("Status"), "140")
        self.assertEqual(phone.post("FolderSync", client.folder_sync(), target=phone.target(
            "FolderSync", user="bob@contoso.test")).status, 403)
        self.assertEqual(phone.post("FolderSync", client.folder_sync(), target=PATH + "?Cmd=FolderSync").wbxml().get(
            "Status"), "108")
        answer = phone.post("SendMail", client.send_mail(b"To: b@c\r\n\r\nhello"))
        self.assertEqual(answer.wbxml().get("Status"), "140")
        self.assertEqual(self.upstream_requests("alice@contoso.test"), [])

    def test_a_revoked_authority_leads_nowhere(self):
        """Although the phone's own certificate is revoked with a good reason."""
        self.revoke(("alice", KEY_COMPROMISE))
        self.revoke((self.issuing.certificate, KEY_COMPROMISE), maker=self.root_maker, name="root.crl")
        self.assertEqual(self.eassim("alice", "--version", "16.1", "--expect-refused").wait(20), 0)
        self.assertEqual(self.proxy.lines("wipe-only"), [])

    def test_an_expired_or_foreign_certificate_leads_nowhere(self):
        expired = self.issuing.issue("expired", certificates.general_names(certificates.principal_name(
            b"alice@contoso.test")), end="20250101000000Z")
        foreign = certificates.self_signed(self.directory, "foreign", certificates.general_names(
            certificates.principal_name(b"alice@contoso.test")))
        self.revoke((expired.certificate, KEY_COMPROMISE), (foreign.certificate, KEY_COMPROMISE))
        for certificate in (expired, foreign):
            with self.assertRaises((client.Closed, OSError)):
                with self.proxy.dial(certificate=certificate) as connection:
                    connection.request("OPTIONS", PATH)
        self.assertEqual(self.proxy.lines("wipe-only"), [])

    def test_a_certificate_that_leads_to_no_mailbox_is_refused(self):
        stranger = self.issuing.issue("stranger", certificates.general_names(certificates.principal_name(
            b"alice@elsewhere.test")))
        self.revoke((stranger.certificate, KEY_COMPROMISE))
        phone = client.Device(lambda: self.proxy.dial(certificate=stranger), "alice@elsewhere.test", version="16.1")
        self.assertEqual(phone.post("Provision", Node("Provision:Provision")).wbxml().get("Status"), "125")
        wait_for("its log line", lambda: self.proxy.lines("request", refusal="domain-not-routable"), None, self.proxy)

    def test_let_in_again_it_comes_in_as_before(self):
        """certificateHold apart, a CA may take a certificate off its list."""
        self.revoke(("alice", KEY_COMPROMISE))
        connection = self.enterContext(self.proxy.dial("alice"))
        self.assertEqual(connection.request("OPTIONS", PATH).status, 200)
        self.revoke()
        self.assertTrue(connection.is_closed_within(5), "still in the room")
        self.phone_ends("alice", "--version", "16.1")
        self.assertTrue(self.upstream_requests("alice@contoso.test"))

    def devices(self):
        """The registry, by device id."""
        out = subprocess.run([EASPROXYCTL, "device", "list", "--json", "-s", self.proxy.control], check=True, timeout=20,
                             stdout=subprocess.PIPE, text=True).stdout
        return {device["id"]: device for device in map(json.loads, out.splitlines())}

    def test_the_registry_has_device_certificate_and_time(self):
        self.revoke(("alice", KEY_COMPROMISE))
        begun = int(time.time())
        self.phone_ends("alice", "--version", "16.1", "--expect", "account-wiped")
        device = wait_for("the registry", lambda: self.devices().get(DEVICE), None, self.proxy)
        self.assertEqual(device["state"], "wiped")
        self.assertIn(self.proxy.lines("wiped")[0]["serial"].lower(), json.dumps(device["certificate"]).lower())
        self.assertGreaterEqual(device["wipe"]["acknowledged_at"], begun)
        # From now on it is out; and not wiped anew.
        self.wait_until_workers_know("wiped")
        self.phone_ends("alice", "--version", "16.1", "--expect", "blocked")
        self.assertEqual(len(self.proxy.lines("wiped")), 1)

    def test_a_thief_cannot_have_the_next_phone_count_as_wiped(self):
        """Who has the key of the lost phone says that it is the new one."""
        new = self.issuing.issue("alice2", certificates.general_names(certificates.principal_name(b"alice@contoso.test")))
        phone = client.Device(lambda: self.proxy.dial(certificate=new), "alice@contoso.test", version="16.1")
        self.addCleanup(phone.close)
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).wbxml().get("Status"), "1")
        wait_for("the registry", lambda: phone.id.lower() in self.devices(), None, self.proxy)
        self.revoke(("alice", KEY_COMPROMISE))
        thief = self.proxy.phone("alice", version="16.1")
        self.addCleanup(thief.close)
        thief.id = phone.id
        for _ in range(3):
            self.assertIsNotNone(thief.post("Provision", Node("Provision:Provision")).wbxml().get("AccountOnlyRemoteWipe"))
            self.assertEqual(thief.post("Provision", Node("Provision:Provision", Node(
                "Provision:AccountOnlyRemoteWipe", Node("Provision:Status", "1")))).wbxml().get("Status"), "1")
        time.sleep(1)
        self.assertEqual(self.devices()[phone.id.lower()]["state"], "allowed")
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).wbxml().get("Status"), "1")

    def says_wiped(self, thief, device_id, status="1"):
        """That it is the device with that id, and that its account is wiped, or could not be."""
        thief.id = device_id
        self.assertIsNotNone(thief.post("Provision", Node("Provision:Provision")).wbxml().get("AccountOnlyRemoteWipe"))
        self.assertEqual(thief.post("Provision", Node("Provision:Provision", Node("Provision:AccountOnlyRemoteWipe", Node(
            "Provision:Status", status)))).status, 200)

    def test_a_thief_cannot_fill_the_registry_nor_wipe_the_phone_that_is_awaited(self):
        """Ids that are made up: one device for each certificate, none that counts as one of the mailbox, and not one
        that was registered for the owner and has not come yet."""
        subprocess.run([EASPROXYCTL, "device", "add", "awaited", "--mailbox", "alice@contoso.test", "-s",
                        self.proxy.control], check=True, timeout=20, stdout=subprocess.DEVNULL)
        self.revoke(("alice", KEY_COMPROMISE))
        thief = self.proxy.phone("alice", version="16.1")
        self.addCleanup(thief.close)
        for number in range(5):
            self.says_wiped(thief, "failed%d" % number, "2")
        self.says_wiped(thief, "awaited")
        for number in range(5):
            self.says_wiped(thief, "madeup%d" % number)
        wait_for("the registry", lambda: "madeup0" in self.devices(), None, self.proxy)
        time.sleep(1)
        self.assertEqual({name: device["state"] for name, device in self.devices().items()},
                         {"awaited": "allowed", "madeup0": "wiped"})
        self.assertEqual(self.upstream_requests("alice@contoso.test"), [])

    def test_phones_that_refuse_or_do_not_heed(self):
        self.revoke(("alice", KEY_COMPROMISE))
        self.phone_ends("alice", "--version", "16.1", "--wipe", "ignore", "--expect", "wipe-ignored")
        self.phone_ends("alice", "--version", "16.1", "--wipe", "refuse", "--expect", "wipe-refused")
        self.assertEqual([line["wipe_status"] for line in self.proxy.lines("wipe-failed")], [2])
        # The order stands.
        self.phone_ends("alice", "--version", "16.1", "--ordinary-provision", "--expect", "account-wiped")
        self.assertEqual(self.upstream_requests("alice@contoso.test"), [])


class RevokedDeviceTest(RevokedCase):
    """wipe-kind = device: by every version, all of it."""

    kind = "device"

    def changes(self):
        return harness.merge(super().changes(), {"activesync": {"min-protocol": "14.1"}})

    def test_every_version(self):
        """Also those that are not let in any more."""
        self.revoke(("alice", KEY_COMPROMISE))
        for number, version in enumerate(("12.1", "14.0", "14.1", "16.0", "16.1")):
            said = self.phone_ends("alice", "--version", version, "--expect", "wiped", "--seed", str(number))
            self.assertIn("is wiped, all of it", said)
        self.assertEqual(len(self.proxy.lines("wiped", kind="device")), 5)
        self.assertEqual(self.upstream_requests("alice@contoso.test"), [])


if __name__ == "__main__":
    unittest.main()
