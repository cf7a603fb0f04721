"""The registry of devices: who came with what, what an operator says of a device and how soon that holds, which
certificate it may come with, and that nothing of it is lost."""
import json
import os
import pwd
import random
import signal
import sqlite3
import subprocess
import threading
import time

import certificates
import client
import harness
import recorder
import wbxml
from client import PATH, folder_sync
from harness import EASPROXYCTL, wait_for
from test_users import ask
from wbxml import Node


def settings(**information):
    """A Settings request in which the phone says what it is."""
    return Node("Settings:Settings", Node("Settings:DeviceInformation", Node("Settings:Set", *(
        Node("Settings:" + name, value) for name, value in information.items()))))


class DevicesCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.asleep = threading.Event()
        self.may_wake = threading.Event()
        self.recorder = self.start_recorder(self.answer)
        self.upstream = "http://127.0.0.1:%d" % self.recorder.port
        self.addCleanup(self.may_wake.set)

    def answer(self, received, _connection):
        """Pings sleep until the test ends, all else is answered at once."""
        if "Cmd=Ping" in received.target or "Ping" in str(received.header("X-Sleep")):
            self.asleep.set()
            self.may_wake.wait(60)
        return recorder.answer_bytes()

    def start_with(self, **devices):
        proxy = self.start_proxy(self.upstream, {"devices": {k.replace("_", "-"): v for k, v in devices.items()}})
        proxy.wait_until_answering()
        return proxy

    def ctl(self, proxy, *arguments):
        return subprocess.run([EASPROXYCTL, *arguments, "-s", proxy.control], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False)

    def done(self, proxy, *arguments):
        result = self.ctl(proxy, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def fails(self, proxy, *arguments):
        result = self.ctl(proxy, *arguments)
        self.assertEqual(result.returncode, 1, result.stdout)
        return result.stderr

    def devices(self, proxy, *arguments):
        return [json.loads(line) for line in self.done(proxy, "device", "list", "--json", *arguments).splitlines()]

    def ids(self, proxy, *arguments):
        return [device["id"] for device in self.devices(proxy, *arguments)]

    def show(self, proxy, device_id, *arguments):
        lines = self.done(proxy, "device", "show", device_id, "--json", *arguments).splitlines()
        self.assertEqual(len(lines), 1, lines)
        return json.loads(lines[0])

    def phone(self, proxy, user="bob", device_id=None, certificate=None, version="14.1"):
        phone = client.Device(lambda: proxy.dial(user, certificate), user + "@contoso.test", version=version)
        if device_id:
            phone.id = device_id
        self.addCleanup(phone.close)
        return phone

    def status(self, phone, command="FolderSync"):
        """The HTTP status, or the EAS status in a 200."""
        try:
            answer = phone.post(command, folder_sync())
        except (client.Closed, OSError):
            phone.close()
            return None
        if answer.status != 200 or not answer.body:
            return answer.status
        return int(answer.wbxml().get("Status"))

    def refusal(self, proxy, device_id):
        """Of the first request with that id, as it was written."""
        return wait_for("the line of %s" % device_id, lambda: proxy.lines("request", device=device_id), None, proxy)[0]["refusal"]

    def issue(self, name, start="20240101000000Z", mailbox="bob@contoso.test", authority="issuing"):
        if isinstance(authority, str):
            authority = self.pki.authority(authority, self.directory)
        return authority.issue(name, certificates.general_names(certificates.principal_name(mailbox.encode())), start=start)


class RegistryTest(DevicesCase):
    def test_a_device_is_written_down_with_all_that_it_says(self):
        proxy = self.start_with()
        before = int(time.time())
        phone = self.phone(proxy, device_id="ApplDNPQ1", version="16.1")
        self.assertEqual(self.status(phone), 200)
        phone.post("Settings", settings(Model="iPhone12C1", FriendlyName="Bob's", OS="iOS 17.1", OSLanguage="en-GB",
                                        IMEI="350000000000017"))
        device = wait_for("what it is", lambda: (self.devices(proxy) or [{"model": ""}])[0]["model"] and
                          self.show(proxy, "APPLdnpq1"), 20, proxy)
        self.assertEqual((device["id"], device["mailbox"], device["type"], device["protocol"], device["state"]),
                         ("appldnpq1", "bob@contoso.test", "Test", "16.1", "allowed"))
        self.assertEqual((device["model"], device["friendly_name"], device["os"], device["language"]),
                         ("iPhone12C1", "Bob's", "iOS 17.1", "en-GB"))
        self.assertEqual(device["user_agent"], "easproxy-test/1")
        self.assertTrue(before <= device["first_seen"] <= device["last_seen"] <= time.time())
        pem = self.pki.user("bob").certificate
        self.assertEqual(int(device["certificate"]["serial"], 16),
                         int(certificates.openssl("x509", "-in", pem, "-noout", "-serial").decode().split("=")[1], 16))
        self.assertEqual(device["certificate"]["issuer"], "CN=Contoso Issuing CA,O=Contoso (demo)")
        self.assertFalse(device["certificate"]["bound"])
        self.assertNotIn("350000000000017", json.dumps(device))
        text = self.done(proxy, "device", "show", "ApplDNPQ1")
        self.assertRegex(text, r"appldnpq1 of bob@contoso\.test\n  state       allowed\n(?s:.*)  model       iPhone12C1\n")
        self.assertEqual([line["device"] for line in proxy.lines("device-new")], ["appldnpq1"])
        self.assertIn("devices: 1 known\n", self.done(proxy, "status"))

    def test_both_forms_of_the_query_name_the_same_device(self):
        proxy = self.start_with()
        phone = self.phone(proxy, device_id="MixedCase1")
        self.assertEqual(self.status(phone), 200)
        self.assertEqual(phone.post("FolderSync", folder_sync(), target=phone.packed_target(9)).status, 200)
        wait_for("the device", lambda: self.ids(proxy) == ["mixedcase1"], None, proxy)
        self.assertEqual(len(proxy.lines("device-new")), 1)
        self.done(proxy, "device", "block", "MIXEDCASE1")
        self.assertEqual(self.status(phone), 129)
        self.assertEqual(phone.post("FolderSync", folder_sync(), target=phone.packed_target(9)).wbxml().get("Status"), "129")

    def test_lists_are_filtered_and_bounded(self):
        proxy = self.start_with()
        for user, device_id, model in (("bob", "b1", "iPhone12"), ("bob", "b2", "Pixel 8"), ("alice", "a1", "iPhone15")):
            phone = self.phone(proxy, user, device_id)
            phone.post("Settings", settings(Model=model, OS=model[:1] + " 17"))
            phone.close()
        wait_for("three models", lambda: len([d for d in self.devices(proxy) if d["model"]]) == 3, None, proxy)
        self.assertEqual(self.ids(proxy, "--model", "iphone"), ["a1", "b1"])
        self.assertEqual(self.ids(proxy, "--os", "P 17"), ["b2"])
        self.assertEqual(self.ids(proxy), ["a1", "b1", "b2"])
        self.assertEqual(self.ids(proxy, "--mailbox", "BOB@contoso.test"), ["b1", "b2"])
        self.assertEqual(self.ids(proxy, "--limit", "2"), ["a1", "b1"])
        self.assertEqual(self.ids(proxy, "--type", "test", "--mailbox", "bob@contoso.test"), ["b1", "b2"])
        self.assertEqual(self.ids(proxy, "--type", "iPad"), [])
        self.done(proxy, "device", "block", "b2")
        self.assertEqual(self.ids(proxy, "--state", "blocked"), ["b2"])
        self.assertEqual(self.ids(proxy, "--state", "allowed"), ["a1", "b1"])
        self.assertEqual(self.ids(proxy, "--seen-before", "2020-01-01"), [])
        self.assertEqual(self.ids(proxy, "--seen-after", "2020-01-01"), ["a1", "b1", "b2"])
        self.assertIn("is no state: allowed, blocked", self.fails(proxy, "device", "list", "--state", "adored"))
        self.assertRegex(self.done(proxy, "device", "list"), r"last seen .*\n\S+ +allowed +alice@contoso\.test +a1 +Test, iPhone15, i 17\n")

    def test_a_long_list_comes_in_pages(self):
        proxy = self.start_with()
        columns = ("mailbox, id, type, user_agent, model, os, friendly_name, language, version, issuer, serial,"
                   " leaf_sha256, not_before, first_seen, last_seen, is_pinned, is_registered, state, state_at, state_by,"
                   " state_reason, wipe, wipe_ordered_at, wipe_sent_at, wipe_acknowledged_at, wipe_status")
        rows = [("user%05d@contoso.test" % n, "dev", "x", "", "even" if n % 2 == 0 else "odd", "", "", "", 141, "", b"", b"",
                 0, 1, 1, 0, 0, "allowed", 0, "", "", "", 0, 0, 0, 0) for n in range(9000)]
        database = sqlite3.connect(os.path.join(proxy.state, "state.db"))
        with database:
            database.executemany("INSERT INTO device (%s) VALUES (%s)" % (columns, ", ".join("?" * len(rows[0]))), rows)
        database.close()
        self.assertEqual([d["mailbox"] for d in self.devices(proxy)], [row[0] for row in rows])
        self.assertEqual(len(self.devices(proxy, "--model", "ODD")), 4500)
        self.assertEqual(len(self.devices(proxy, "--os", "none")), 0)
        self.assertEqual(len(self.devices(proxy, "--mailbox", "user08999@contoso.test")), 1)

    def test_wrong_command_lines_are_usage_errors(self):
        proxy = self.start_with()
        for arguments in ((), ("list", "x"), ("show",), ("block",), ("block", "a", "b"), ("block", "a", "--json"),
                          ("wipe", "a", "--account-only", "--erase-whole-device"), ("add", "a"), ("list", "--limit", "0"),
                          ("list", "--seen-before", "tomorrow"), ("adore", "a"), ("allow", "a", "--state", "blocked")):
            result = self.ctl(proxy, "device", *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("usage:", result.stderr)
        for name in ("", "a b", "x" * 65, "a@b"):
            self.assertIn("is no device id", self.fails(proxy, "device", "show", name))
        self.assertIn("no device nobody is known", self.fails(proxy, "device", "block", "nobody"))
        for request in ({"request": "device-block"}, {"request": "device-block", "id": 1},
                        {"request": "device-block", "id": "a", "mailbox": "nobody"},
                        {"request": "device-block", "id": "a", "mailbox": "a@contoso.test", "reason": "a\nb"},
                        {"request": "device-add", "id": "a"}):
            self.assertFalse(ask(proxy.control, request)["ok"], request)
        self.assertEqual(self.devices(proxy), [])

    def test_the_registry_is_bounded_and_keeps_what_is_held_against_devices(self):
        proxy = self.start_with(known_max=100)
        self.done(proxy, "device", "block", "shut", "--mailbox", "bob@contoso.test")
        database = sqlite3.connect(os.path.join(proxy.state, "state.db"))
        with database:
            for n in range(150):
                database.execute(
                    "INSERT INTO device SELECT 'user%03d@contoso.test', 'd', type, user_agent, model, os, friendly_name,"
                    " language, version, issuer, serial, leaf_sha256, not_before, 1, %d, 0, 0, 'allowed', 0, '', '', '',"
                    " 0, 0, 0, 0 FROM device WHERE id = 'shut'" % (n, n + 1))
        database.close()
        self.assertEqual(proxy.stop(), 0)
        again = self.start_proxy(self.upstream, {"state-directory": proxy.state, "devices": {"known-max": 100}})
        wait_for("the oldest to be forgotten", lambda: len(self.devices(again)) == 100, None, again)
        self.assertEqual(self.ids(again, "--mailbox", "bob@contoso.test"), ["shut"])
        self.assertEqual(self.ids(again, "--mailbox", "user050@contoso.test"), [])
        self.assertEqual(self.ids(again, "--mailbox", "user051@contoso.test"), ["d"])


class OrderTest(DevicesCase):
    def test_a_blocked_device_is_out_at_once_and_others_stay(self):
        proxy = self.start_with()
        lost, kept = self.phone(proxy, device_id="lost"), self.phone(proxy, device_id="kept")
        for phone in (lost, kept):
            self.assertEqual(self.status(phone), 200)
        self.assertEqual(self.done(proxy, "device", "block", "LOST", "--reason", "left in a taxi"),
                         "lost of bob@contoso.test is blocked\n")
        wait_for("it to be out", lambda: self.status(lost) == 129, 1, proxy)
        old = self.phone(proxy, device_id="lost", version="12.1")
        self.assertEqual(self.status(old), 403)
        self.assertEqual(self.status(kept), 200)
        device = self.show(proxy, "lost")
        self.assertEqual((device["state"], device["reason"], device["state_by"]),
                         ("blocked", "left in a taxi", "user %d" % os.getuid()))
        self.assertIn("by %s: left in a taxi\n" % pwd.getpwuid(os.getuid()).pw_name, self.done(proxy, "device", "show", "lost"))
        line = proxy.lines("device-state")[0]
        self.assertEqual((line["mailbox"], line["device"], line["before"], line["state"], line["who"], line["reason"]),
                         ("bob@contoso.test", "lost", "allowed", "blocked", "user %d" % os.getuid(), "left in a taxi"))
        self.assertEqual(self.done(proxy, "device", "block", "lost"), "lost of bob@contoso.test was blocked already\n")
        self.done(proxy, "device", "allow", "lost")
        wait_for("it to be in again", lambda: self.status(lost) == 200, 1, proxy)

    def sleep(self, proxy, phone):
        """A Ping that sleeps in the proxy; returns what ends it, and when."""
        ended = {}
        def run():
            try:
                ended["answer"] = phone.post("Ping", client.ping(600))
            except (client.Closed, OSError) as e:
                ended["answer"] = e
            ended["at"] = time.monotonic()
        self.asleep.clear()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.assertTrue(self.asleep.wait(harness.PATIENCE))
        wait_for("the Ping to sleep", lambda: json.loads(self.done(proxy, "status", "--json"))["totals"]["polls_open"] > 0)
        return thread, ended

    def end_within_a_second(self, proxy, phone, *arguments):
        thread, ended = self.sleep(proxy, phone)
        self.done(proxy, *arguments)
        done_at = time.monotonic()
        thread.join(harness.PATIENCE)
        self.assertFalse(thread.is_alive(), proxy.tail())
        self.assertLess(ended["at"] - done_at, 1)
        return ended["answer"]

    def test_a_sleeping_ping_ends_within_a_second_on_whatever_worker(self):
        proxy = self.start_with()
        for device_id in ("one", "two", "three", "four"):
            phone = self.phone(proxy, device_id=device_id)
            answer = self.end_within_a_second(proxy, phone, "device", "block", device_id, "--mailbox", "bob@contoso.test")
            self.assertEqual((answer.status, answer.wbxml().get("Status")), (200, "129"))

    def test_a_ping_of_an_older_phone_ends_with_403(self):
        proxy = self.start_with()
        phone = self.phone(proxy, device_id="old", version="12.1")
        answer = self.end_within_a_second(proxy, phone, "device", "block", "old", "--mailbox", "bob@contoso.test")
        self.assertEqual(answer.status, 403)

    def test_a_ping_of_a_device_that_is_forgotten_ends_and_the_device_is_a_new_one(self):
        proxy = self.start_with()
        phone = self.phone(proxy, device_id="gone")
        self.assertEqual(self.status(phone), 200)
        wait_for("the device", lambda: self.ids(proxy) == ["gone"], None, proxy)
        answer = self.end_within_a_second(proxy, phone, "device", "forget", "gone")
        self.assertEqual((answer.status, answer.wbxml().get("Status")), (200, "1"))
        self.assertEqual(self.ids(proxy), [])
        self.assertEqual(len(proxy.lines("device-forgotten", device="gone")), 1)
        self.assertEqual(self.status(phone), 200)
        wait_for("it to be known again", lambda: self.ids(proxy) == ["gone"], None, proxy)

    def test_quarantine_ends_a_ping_so_that_the_phone_comes_again(self):
        proxy = self.start_with()
        phone = self.phone(proxy, device_id="new")
        answer = self.end_within_a_second(proxy, phone, "device", "quarantine", "new", "--mailbox", "bob@contoso.test")
        # The folders are others now: MS-ASCMD 2.2.3.177.11.
        self.assertEqual((answer.status, answer.wbxml().get("Status")), (200, "7"))

    def test_an_id_in_several_mailboxes_means_all_of_them_unless_one_is_named_but_for_what_lets_in_or_wipes(self):
        proxy = self.start_with()
        for user in ("bob", "alice"):
            self.assertEqual(self.status(self.phone(proxy, user, "shared")), 200)
        wait_for("both", lambda: len(self.devices(proxy)) == 2, None, proxy)
        result = self.ctl(proxy, "device", "block", "shared", "--mailbox", "alice@contoso.test")
        self.assertEqual(result.stdout, "shared of alice@contoso.test is blocked\n")
        self.assertEqual(self.status(self.phone(proxy, "bob", "shared")), 200)
        result = self.ctl(proxy, "device", "block", "shared")
        self.assertIn("2 mailboxes have a device of that id: all of them are meant", result.stderr)
        self.assertEqual(self.status(self.phone(proxy, "bob", "shared")), 129)
        # Anybody can give a phone of his the id of somebody else's.
        for order in (("wipe", "--erase-whole-device"), ("allow",), ("forget",)):
            said = self.fails(proxy, "device", order[0], "shared", *order[1:])
            self.assertRegex(said, "nothing was changed: 2 mailboxes have a device shared, .*--mailbox")
        self.assertEqual([d["state"] for d in self.devices(proxy)], ["blocked", "blocked"])
        self.done(proxy, "device", "allow", "shared", "--mailbox", "bob@contoso.test")
        self.assertEqual(self.status(self.phone(proxy, "bob", "shared")), 200)
        self.assertEqual(self.status(self.phone(proxy, "alice", "shared")), 129)

    def test_a_wipe_says_what_it_erases(self):
        proxy = self.start_with()
        self.assertEqual(self.status(self.phone(proxy, device_id="old", version="14.1")), 200)
        self.assertEqual(self.status(self.phone(proxy, device_id="young", version="16.1")), 200)
        wait_for("both", lambda: len(self.devices(proxy)) == 2, None, proxy)
        self.assertRegex(self.fails(proxy, "device", "wipe", "old"), "nothing was changed: .* protocol 14.1, which .*"
                                                                     "--erase-whole-device .* or device block")
        self.assertIn("nothing was changed", self.fails(proxy, "device", "wipe", "old", "--account-only"))
        self.assertEqual(self.show(proxy, "old")["state"], "allowed")
        self.assertIn("of the account alone", self.done(proxy, "device", "wipe", "young"))
        self.assertEqual(self.show(proxy, "young")["state"], "wipe-account")
        self.assertIn("with all that is on it", self.done(proxy, "device", "wipe", "old", "--erase-whole-device"))
        device = self.show(proxy, "old")
        self.assertEqual((device["state"], device["wipe"]["kind"], device["wipe"]["acknowledged_at"]), ("wipe-all", "all", 0))
        self.assertIn("it is not known whether", self.fails(proxy, "device", "wipe", "never", "--mailbox", "bob@contoso.test"))
        result = self.ctl(proxy, "device", "wipe", "never", "--mailbox", "bob@contoso.test", "--account-only")
        self.assertEqual((result.returncode, "the device is not known: it holds when it comes" in result.stderr), (0, True))
        self.assertIn("devices: 3 known, 2 wipe-account, 1 wipe-all\n", self.done(proxy, "status"))
        self.recorder.clear()
        for device_id in ("old", "young"):
            self.assertNotEqual(self.status(self.phone(proxy, device_id=device_id)), 200)
        self.assertEqual(self.recorder.begun(), [])

    def test_a_revocation_that_keeps_phones_from_their_wipe_says_so(self):
        proxy = self.start_with()
        self.done(proxy, "device", "wipe", "lost", "--mailbox", "bob@contoso.test", "--erase-whole-device")
        result = self.ctl(proxy, "user", "revoke", "bob@contoso.test")
        self.assertEqual(result.returncode, 0)
        self.assertIn("1 of their devices are still to be wiped, and cannot come to be told now", result.stderr)
        result = self.ctl(proxy, "device", "wipe", "other", "--mailbox", "bob@contoso.test", "--erase-whole-device")
        self.assertIn("the user bob@contoso.test is revoked, so that the phone cannot come to be told", result.stderr)
        result = self.ctl(proxy, "device", "wipe", "hers", "--mailbox", "alice@contoso.test", "--erase-whole-device")
        self.assertNotIn("revoked", result.stderr)

    def test_it_holds_across_restarts_of_control_reloads_and_a_restart(self):
        proxy = self.start_with()
        self.done(proxy, "device", "block", "lost", "--mailbox", "bob@contoso.test")
        lost = self.phone(proxy, device_id="lost")
        self.assertEqual(self.status(lost), 129)
        victim = proxy.pids("control")[0]
        os.kill(victim, signal.SIGKILL)
        self.assertEqual(self.status(lost), 129)
        wait_for("another control process", lambda: proxy.pids("control") not in ([], [victim]), None, proxy)
        wait_for("control to answer", lambda: ask(proxy.control, {"request": "device-list"}))
        self.done(proxy, "reload")
        lost.close()
        self.assertEqual(self.status(lost), 129)
        self.assertEqual(proxy.stop(), 0)
        again = self.start_proxy(self.upstream, {"state-directory": proxy.state})
        again.wait_until_answering()
        self.assertEqual(self.status(self.phone(again, device_id="lost")), 129)
        self.assertEqual(self.status(self.phone(again, device_id="kept")), 200)

    def test_a_worker_that_is_started_later_knows_it(self):
        proxy = self.start_with()
        self.done(proxy, "device", "block", "lost", "--mailbox", "bob@contoso.test")
        before = proxy.pids("worker")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for("other workers", lambda: len(set(proxy.pids("worker")) - set(before)) == 2, None, proxy)
        proxy.wait_until_answering()
        for _ in range(8):
            phone = self.phone(proxy, device_id="lost")
            self.assertEqual(self.status(phone), 129)


class BindingTest(DevicesCase):
    def test_first_use_binds_a_device_to_its_certificate(self):
        proxy = self.start_with(binding="first-use")
        phone = self.phone(proxy, device_id="bobs")
        self.assertEqual(self.status(phone), 200)
        self.assertTrue(self.show(proxy, "bobs")["certificate"]["bound"])
        self.assertEqual([(l["device"], l["state"]) for l in proxy.lines("device-new")], [("bobs", "allowed")])
        # The same certificate on a second device; and in the other form of the query.
        second = self.phone(proxy, device_id="second")
        self.assertEqual(self.status(second), 129)
        self.assertEqual(self.refusal(proxy, "second"), "device-second")
        self.assertEqual(second.post("FolderSync", folder_sync(), target=second.packed_target(9)).wbxml().get("Status"), "129")
        # Another certificate on the first device: of an earlier date, so that it is no renewal.
        other = self.issue("other", start="20200101000000Z")
        intruder = self.phone(proxy, device_id="BOBS", certificate=other)
        self.assertEqual(self.status(intruder), 129)
        self.assertEqual(self.refusal(proxy, "BOBS"), "device-certificate")
        self.assertEqual(self.ids(proxy), ["bobs"])
        refused = proxy.lines("device-refused")
        self.assertEqual({line["refusal"] for line in refused}, {"device-second", "device-certificate"})
        self.assertEqual({(line["bound_device"], line["bound_mailbox"]) for line in refused if "bound_device" in line},
                         {("bobs", "bob@contoso.test")})
        self.assertEqual(self.status(phone), 200)
        # Another device of the same mailbox with its own certificate.
        third = self.phone(proxy, device_id="third", certificate=other)
        self.assertEqual(self.status(third), 200)
        # The phone was replaced: what is forgotten lets go of its certificate.
        self.done(proxy, "device", "forget", "bobs")
        wait_for("the second one to be let in", lambda: self.status(second) == 200, 3, proxy)
        self.assertEqual(self.status(phone), 129)

    def test_a_device_that_is_asked_about_by_many_requests_at_once_is_asked_about_once(self):
        proxy = self.start_with(binding="first-use")
        phones = [self.phone(proxy, device_id="bobs") for _ in range(12)]
        for phone in phones:
            phone.connection = phone.dial()
        results = []
        threads = [threading.Thread(target=lambda p=phone: results.append(self.status(p))) for phone in phones]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [200] * 12)
        questions = json.loads(self.done(proxy, "status", "--json"))["totals"]["device_questions"]
        self.assertLessEqual(questions, 2, "one for each worker")
        self.assertEqual(len(proxy.lines("device-new")), 1)

    def test_the_next_certificate_of_the_same_issuer_takes_the_place_of_the_last(self):
        proxy = self.start_with(binding="first-use")
        first = self.issue("first", start="20240101000000Z")
        following = self.issue("following", start="20240601000000Z")
        old, new = (self.phone(proxy, device_id="bobs", certificate=c) for c in (first, following))
        self.assertEqual(self.status(old), 200)
        self.assertEqual(self.status(new), 200)
        line = proxy.lines("device-renewed")[0]
        self.assertEqual((line["mailbox"], line["device"]), ("bob@contoso.test", "bobs"))
        self.assertNotEqual(line["serial"], line["serial_before"])
        self.assertEqual(self.show(proxy, "bobs")["certificate"]["serial"], line["serial"])
        # The old one is out, on its open connection as well.
        wait_for("the old one to be out", lambda: self.status(old) == 129, 3, proxy)
        self.assertEqual(self.status(new), 200)

    def test_no_renewal_where_it_is_off_or_of_another_issuer(self):
        proxy = self.start_with(binding="first-use", renewal=False)
        first, following = self.issue("first"), self.issue("following", start="20240601000000Z")
        self.assertEqual(self.status(self.phone(proxy, device_id="bobs", certificate=first)), 200)
        self.assertEqual(self.status(self.phone(proxy, device_id="bobs", certificate=following)), 129)
        proxy.stop()
        again = self.start_proxy(self.upstream, {"state-directory": proxy.state, "devices": {"binding": "first-use"}})
        again.wait_until_answering()
        by_root = self.issue("by-root", start="20240601000000Z", authority="root")
        self.assertEqual(self.status(self.phone(again, device_id="bobs", certificate=by_root)), 129)
        self.assertEqual(self.status(self.phone(again, device_id="bobs", certificate=following)), 200)

    def test_registered_lets_only_known_devices_in(self):
        proxy = self.start_with(binding="registered")
        phone = self.phone(proxy, device_id="BobsNew")
        self.assertEqual(self.status(phone), 129)
        self.assertEqual(self.refusal(proxy, "BobsNew"), "device-unknown")
        self.assertEqual(self.devices(proxy), [])
        self.assertEqual(self.done(proxy, "device", "add", "BobsNew", "--mailbox", "bob@contoso.test"),
                         "bobsnew of bob@contoso.test is registered\n")
        wait_for("it to be let in", lambda: self.status(phone) == 200, 1, proxy)
        device = self.show(proxy, "bobsnew")
        self.assertTrue(device["registered"] and device["certificate"]["bound"])
        self.assertEqual(self.status(self.phone(proxy, "alice", "BobsNew")), 129)
        # What is forgotten is not known any more, and no report brings it back.
        self.done(proxy, "device", "forget", "bobsnew")
        wait_for("it to be out", lambda: self.status(phone) == 129, 1, proxy)
        time.sleep(1.5)
        self.assertEqual(self.devices(proxy), [])

    def test_devices_that_came_before_are_bound_later(self):
        proxy = self.start_with()
        self.assertEqual(self.status(self.phone(proxy, device_id="bobs")), 200)
        wait_for("it to be known", lambda: self.ids(proxy) == ["bobs"], None, proxy)
        proxy.stop()
        again = self.start_proxy(self.upstream, {"state-directory": proxy.state, "devices": {"binding": "registered"}})
        again.wait_until_answering()
        self.assertEqual(self.status(self.phone(again, device_id="bobs")), 200)
        self.assertEqual([line["device"] for line in again.lines("device-bound")], ["bobs"])
        self.assertEqual(self.status(self.phone(again, device_id="another")), 129)

    def test_a_mailbox_has_as_many_devices_as_it_may(self):
        proxy = self.start_with(per_mailbox=2)
        for device_id in ("one", "two"):
            self.assertEqual(self.status(self.phone(proxy, device_id=device_id)), 200)
        third = self.phone(proxy, device_id="three")
        self.assertEqual(self.status(third), 177)
        self.assertEqual(self.status(self.phone(proxy, device_id="three", version="12.1")), 403)
        self.assertEqual(self.refusal(proxy, "three"), "device-quota")
        self.assertEqual(self.status(self.phone(proxy, "alice", "three")), 200)
        self.assertEqual(self.status(self.phone(proxy, device_id="one")), 200)
        self.done(proxy, "device", "forget", "one")
        wait_for("room for the third", lambda: self.status(third) == 200, 3, proxy)

    def test_new_devices_can_be_blocked_or_in_quarantine(self):
        for new, state in (("block", "blocked"), ("quarantine", "quarantined")):
            with self.subTest(new):
                proxy = self.start_proxy(self.upstream, {"devices": {"new": new}}, name="new-" + new)
                proxy.wait_until_answering()
                self.recorder.clear()
                phone = self.phone(proxy, device_id="fresh")
                self.assertNotEqual(self.status(phone, "Sync"), 200)
                device = self.show(proxy, "fresh")
                self.assertEqual((device["state"], device["state_by"]), (state, "admission"))
                self.assertEqual([r for r in self.recorder.begun() if r.method == "POST"], [])
                self.done(proxy, "device", "allow", "fresh")
                wait_for("it to be let in", lambda: self.status(phone) == 200, 1, proxy)  # pylint: disable=cell-var-from-loop
                self.assertEqual(self.show(proxy, "fresh")["state"], "allowed")
                proxy.stop()

    def test_without_control_only_devices_that_are_admitted_go_on(self):
        proxy = self.start_with(binding="first-use")
        known = self.phone(proxy, device_id="bobs")
        self.assertEqual(self.status(known), 200)
        control = proxy.pids("control")[0]
        os.kill(control, signal.SIGSTOP)
        try:
            self.assertEqual(self.status(known), 200)
            fresh = self.phone(proxy, "alice", "alices")
            before = time.monotonic()
            answer = fresh.post("FolderSync", folder_sync())
            self.assertEqual(answer.wbxml().get("Status"), "111")
            self.assertLess(time.monotonic() - before, 8)
            old = self.phone(proxy, "alice", "alices", version="12.1")
            answer = old.post("FolderSync", folder_sync())
            self.assertEqual((answer.status, answer.header("Retry-After") is not None), (503, True))
        finally:
            os.kill(control, signal.SIGCONT)
        wait_for("it to be let in", lambda: self.status(fresh) == 200, None, proxy)

    def test_a_question_to_a_control_process_that_dies_is_asked_again(self):
        proxy = self.start_with(binding="first-use")
        control = proxy.pids("control")[0]
        os.kill(control, signal.SIGSTOP)
        fresh = self.phone(proxy, "alice", "alices")
        results = []
        thread = threading.Thread(target=lambda: results.append(self.status(fresh)))
        thread.start()
        time.sleep(0.5)
        os.kill(control, signal.SIGKILL)
        thread.join()
        self.assertEqual(results, [200], proxy.tail())

    def test_a_request_whose_device_is_asked_about_does_not_reach_the_endpoint_meanwhile(self):
        proxy = self.start_with(binding="registered")
        self.recorder.clear()
        phone = self.phone(proxy, device_id="unknown")
        answer = phone.post("Sync", body=b"\x03\x01\x6a\x00" + b"\x00" * 200000)
        self.assertIn(answer.status, (200, 400, 403))
        self.assertEqual(self.recorder.begun(), [])


class KillTest(DevicesCase):
    ROUNDS = 12

    def setUp(self):
        super().setUp()
        self.acknowledged, self.next, self.must_stop = [], 0, False
        self.state = self.path("state")
        os.makedirs(self.state, 0o700)
        self.proxy = self.start_proxy(self.upstream, {"workers": 1, "state-directory": self.state})
        self.random = random.Random(20261126)

    def block_until_told_to_stop(self):
        while not self.must_stop:
            device_id = "d%d" % self.next
            self.next += 1
            answer = ask(self.proxy.control, {"request": "device-block", "id": device_id, "mailbox": "bob@contoso.test"}, 5)
            if answer is None:
                time.sleep(0.005)
            elif answer["ok"]:
                self.acknowledged.append(device_id)

    def test_every_acknowledged_order_outlives_kill_9(self):
        for number in range(self.ROUNDS):
            self.must_stop = False
            writer = threading.Thread(target=self.block_until_told_to_stop)
            writer.start()
            count = len(self.acknowledged)
            try:
                wait_for("orders to be written", lambda: len(self.acknowledged) > count)  # pylint: disable=cell-var-from-loop
                time.sleep(self.random.random() * 0.05)
                victim = wait_for("control", lambda: self.proxy.pids("control"), None, self.proxy)[0]
                os.kill(victim, signal.SIGKILL)
            finally:
                self.must_stop = True
                writer.join()
            wait_for("control to answer", lambda: ask(self.proxy.control, {"request": "device-list"}), None, self.proxy)
            self.assertEqual(set(self.acknowledged) - set(self.ids(self.proxy, "--state", "blocked")), set(),
                             "after round %d" % number)
        self.assertEqual(self.proxy.stop(), 0)
        database = sqlite3.connect(os.path.join(self.state, "state.db"))
        self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        database.close()


if __name__ == "__main__":
    harness.unittest.main()
