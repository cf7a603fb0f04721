"""Phones that ask for too much: a Ping that a newer one supersedes, heartbeats out of bounds, a storm of
phones, and a phone in a loop. What reaches the mail server, and what the phones are told."""
import collections
import json
import subprocess
import time
import unittest

import client
import harness
from harness import EASPROXYCTL, EASSIM, wait_for
from recorder import answer_bytes
import wbxml
from wbxml import Node

DEFAULTS = {"heartbeat-min": "60s", "storm-rate": 1000, "loop-repeats": 10, "request-rate": 60}


def sync(*collections_, heartbeat=None, wait=None):
    """Collections are pairs of id and key."""
    return Node("AirSync:Sync",
                Node("AirSync:Collections", *(
                    Node("AirSync:Collection", Node("AirSync:SyncKey", key), Node("AirSync:CollectionId", name))
                    for name, key in collections_)),
                Node("AirSync:Wait", str(wait)) if wait else None,
                Node("AirSync:HeartbeatInterval", str(heartbeat)) if heartbeat else None)


class GovernorCase(harness.Case):
    def start_with(self, activesync=None, **changes):
        """A mail server that lets polls wait until they are given up, and answers all else at once."""
        self.waiting, self.left = [], []
        self.server = self.start_recorder(self.serve, backlog=1024)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.server.port, dict(
            changes, activesync=dict(DEFAULTS, **(activesync or {}))))
        self.proxy.wait_until_answering()
        return self.proxy

    def serve(self, received, connection):
        document = wbxml.decode(received.body) if received.body else None
        is_poll = document is not None and (document.get("HeartbeatInterval") or document.get("Wait"))
        if not is_poll:
            return answer_bytes()
        self.waiting.append(received)
        while connection.recv(4096):
            pass
        self.left.append(received)
        return None

    def phone(self, name="bob", **options):
        phone = self.proxy.phone(name, **options)
        self.addCleanup(phone.close)
        return phone

    def twin(self, phone, connection=None):
        """The same device on another connection."""
        twin = self.phone(version=phone.version)
        twin.id, twin.connection = phone.id, connection
        return twin

    def send(self, phone, command, document):
        """Sends a request and does not wait for its answer."""
        if phone.connection is None:
            phone.connection = phone.dial()
        phone.connection.send(client.request_bytes("POST", phone.target(command), phone.headers(
            ("Content-Type", "application/vnd.ms-sync.wbxml")), wbxml.encode(document)))

    def begin_poll(self, phone, command, document):
        before = len(self.waiting)
        self.send(phone, command, document)
        wait_for("the poll to be at the mail server", lambda: len(self.waiting) > before, None, self.proxy)

    def counter(self, name):
        done = subprocess.run([EASPROXYCTL, "status", "--json", "-s", self.proxy.control],
                              stdout=subprocess.PIPE, check=True, timeout=30)
        return json.loads(done.stdout)["totals"][name]

    def assert_still_waits(self, phone):
        self.assertFalse(phone.connection.is_closed_within(0.3))
        self.assertEqual(phone.connection.buffer, b"")

    def assert_ping_ended(self, phone):
        answer = phone.connection.read_answer()
        self.assertEqual((answer.status, answer.wbxml().get("Status")), (200, "1"))
        self.assertEqual(answer.header("Connection"), "close")


    def start_phones(self, activesync, *options):
        """Simulated phones at the stand-in server, and the proxy between them."""
        port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % port, "--heartbeat-min", "0", "--quiet"], self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(port), None, server)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % port, {
            "activesync": dict(DEFAULTS, **activesync),
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]}})
        self.proxy.wait_until_answering()
        return self.start(harness.Program("fleet", [
            EASSIM, "run", "--url", "https://localhost:%d%s" % (self.proxy.port, client.PATH),
            "--pki", self.pki.directory, "--users", "alice,bob", *options], self.directory))


class SupersededTest(GovernorCase):
    def test_a_ping_ends_the_one_before_of_the_same_device(self):
        self.start_with(workers=1)
        old, other = self.phone(), self.phone()
        self.begin_poll(other, "Ping", client.ping(600))
        self.begin_poll(old, "Ping", client.ping(600))
        new = self.twin(old)
        self.begin_poll(new, "Ping", client.ping(600))
        self.assert_ping_ended(old)
        wait_for("its connection to the mail server to end", lambda: len(self.left) == 1, None, self.proxy)
        self.assert_still_waits(new)
        self.assert_still_waits(other)
        wait_for("its line", lambda: self.proxy.lines(
            "request", reason="poll ended: superseded by a newer one", eas_status=1), None, self.proxy)
        self.assertEqual(self.counter("polls_superseded"), 1)
        self.assertEqual(self.counter("polls_open"), 2)

    def test_a_ping_that_goes_by_itself_is_not_missed_by_the_next(self):
        self.start_with(workers=1)
        phone = self.phone()
        for _ in range(3):
            self.begin_poll(phone, "Ping", client.ping(600))
            phone.close()
        wait_for("connections to end", lambda: len(self.left) == 3, None, self.proxy)
        self.assertEqual(self.counter("polls_superseded"), 0)

    def connections_to_workers(self):
        """One connection to each of two workers: a request's id tells which one has it."""
        found = {}

        def has_both():
            connection = self.proxy.dial("bob")
            self.addCleanup(connection.close)
            before = len(self.proxy.lines("request"))
            connection.request("OPTIONS", client.PATH)
            wait_for("its line", lambda: len(self.proxy.lines("request")) > before, None, self.proxy)
            found.setdefault(self.proxy.lines("request")[-1]["id"][:8], connection)
            return len(found) == 2
        wait_for("connections to both workers", has_both, None, self.proxy)
        return list(found.values())

    def test_a_ping_at_another_worker_ends_it_too(self):
        self.start_with(workers=2)
        one, two = self.connections_to_workers()
        old = self.phone()
        old.connection = one
        self.begin_poll(old, "Ping", client.ping(600))
        new = self.twin(old, two)
        self.begin_poll(new, "Ping", client.ping(600))
        self.assert_ping_ended(old)
        wait_for("its connection to the mail server to end", lambda: len(self.left) == 1, None, self.proxy)
        self.assert_still_waits(new)
        self.assertEqual(self.counter("polls_superseded"), 1)

    def test_syncs_of_other_folders_wait_beside_each_other(self):
        self.start_with(workers=1)
        mail = self.phone()
        calendar, anew = self.twin(mail), self.twin(mail)
        self.begin_poll(mail, "Sync", sync(("1", "5"), ("2", "5"), heartbeat=600))
        self.begin_poll(calendar, "Sync", sync(("3", "5"), heartbeat=600))
        ping = self.twin(mail)
        self.begin_poll(ping, "Ping", client.ping(600))
        self.assert_still_waits(mail)
        self.assert_still_waits(calendar)
        self.begin_poll(anew, "Sync", sync(("4", "1"), ("3", "6"), heartbeat=600))
        answer = calendar.connection.read_answer()
        self.assertEqual((answer.status, answer.body), (200, b""))  # nothing has changed
        self.assert_still_waits(mail)
        self.assert_still_waits(ping)


class HeartbeatTest(GovernorCase):
    def ask(self, version, command, document):
        answer = self.phone(version=version).post(command, document)
        self.assertEqual(answer.status, 200)
        return answer.wbxml()

    def test_a_phone_is_told_the_nearest_heartbeat_in_every_version(self):
        self.start_with()
        for version in ("2.5", "12.1", "14.1", "16.1"):
            for asked, nearest in ((5, "60"), (59, "60"), (3541, "3540"), (86400, "3540")):
                with self.subTest(version=version, asked=asked):
                    document = self.ask(version, "Ping", client.ping(asked))
                    self.assertEqual((document.name, document.child("Status"), document.child("HeartbeatInterval")),
                                     ("Ping:Ping", "5", nearest))
        for version in ("14.1", "16.1"):
            for asked, nearest in ((5, "60"), (3541, "3540")):
                with self.subTest(version=version, asked=asked):
                    document = self.ask(version, "Sync", sync(("1", "7"), heartbeat=asked))
                    self.assertEqual((document.name, document.child("Status"), document.child("Limit")),
                                     ("AirSync:Sync", "14", nearest))
        for version in ("12.1", "14.1", "16.1"):
            with self.subTest(version=version, wait=60):
                document = self.ask(version, "Sync", sync(("1", "7"), wait=60))
                self.assertEqual((document.child("Status"), document.child("Limit")), ("14", "59"))
        self.assertEqual(self.server.begun()[1:], [])  # but for the OPTIONS at the start
        self.assertGreater(self.counter("heartbeats_corrected"), 20)

    def test_what_lies_within_passes(self):
        self.start_with({"heartbeat-min": "90s", "heartbeat-max": "10m"})
        self.begin_poll(self.phone(), "Ping", client.ping(90))
        self.begin_poll(self.phone(), "Ping", client.ping(600))
        self.begin_poll(self.phone(), "Sync", sync(("1", "7"), heartbeat=600))
        self.begin_poll(self.phone(), "Sync", sync(("1", "7"), wait=2))
        document = self.ask("14.1", "Sync", sync(("1", "7"), wait=1))
        self.assertEqual((document.child("Status"), document.child("Limit")), ("14", "2"))

    def test_simulated_phones_take_the_heartbeat_that_they_are_told(self):
        fleet = self.start_phones({"heartbeat-min": "4s"}, "--devices", "4", "--duration", "6", "--heartbeat", "1",
                                  "--strict")
        self.assertEqual(fleet.wait(60), 0, fleet.tail(40))
        told = self.proxy.lines("request", command="Ping", eas_status=5)
        self.assertEqual(len(told), 4)  # each phone once
        self.assertTrue(self.proxy.lines("request", command="Ping", heartbeat=4))


class LoopTest(GovernorCase):
    def test_the_same_sync_over_and_over_is_slowed_down(self):
        self.start_with()
        phone, calm = self.phone(), self.phone()
        statuses = collections.Counter()
        for _ in range(20):
            answer = phone.post("Sync", sync(("1", "77"), ("2", "5")))
            statuses[answer.status] += 1
        # Ten repetitions; some more, where a slow machine takes longer than seconds for them.
        self.assertEqual(sum(statuses.values()), 20)
        self.assertIn(statuses[200], range(10, 14))
        self.assertEqual(statuses[503], 20 - statuses[200])
        self.assertIn(int(answer.header("Retry-After")), range(10, 39))
        # It alone, and of it alone that.
        self.assertEqual(phone.post("Sync", sync(("1", "78"), ("2", "5"))).status, 200)
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200)
        self.assertEqual(calm.post("Sync", sync(("1", "77"), ("2", "5"))).status, 200)
        lines = wait_for("its line", lambda: self.proxy.lines("device-loop"), None, self.proxy)
        self.assertEqual([(l["device"], l["loop"], l["level"]) for l in lines],
                         [(phone.id, "same-sync", "warning")])
        self.assertEqual(self.counter("device_loops"), 1)

    def test_simulated_phones_that_are_stuck_ask_no_more_than_they_may(self):
        fleet = self.start_phones({}, "--devices", "3", "--duration", "8", "--send-rate", "0", "--stuck")
        wait_for("three phones in a loop", lambda: len({l["device"] for l in self.proxy.lines("device-loop")}) == 3,
                 None, fleet, self.proxy)
        time.sleep(3)
        for device in {l["device"] for l in self.proxy.lines("device-loop")}:
            syncs = self.proxy.lines("request", device=device, command="Sync")
            # What it fetched at first has other keys.
            self.assertLess(len([l for l in syncs if l["status"] == 200]), 20)
            self.assertEqual(len([l for l in syncs if l.get("refusal") == "device-loop"]), 1)
        fleet.stop()

    def test_who_gets_on_is_not_slowed_down(self):
        self.start_with()
        phone = self.phone()
        began = time.monotonic()
        for key in range(100):
            self.assertEqual(phone.post("Sync", sync(("1", str(key)))).status, 200)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.proxy.lines("device-loop"), [])

    def test_more_than_so_many_requests_a_minute_are_held(self):
        self.start_with({"request-rate": 60})
        phone = self.phone()
        began = time.monotonic()
        for _ in range(60):
            self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200)
        filled = time.monotonic() - began
        began = time.monotonic()
        for _ in range(6):
            self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200)
        # What has leaked out meanwhile passes at once.
        self.assertGreater(time.monotonic() - began, 4.5 - filled)
        self.assertEqual([l["loop"] for l in self.proxy.lines("device-loop")], ["request-rate"])
        self.assertGreater(self.counter("requests_held"), 0)

    def test_many_requests_at_once_are_refused_beyond_what_can_be_held(self):
        self.start_with({"request-rate": 6}, workers=1)
        phones = [self.phone()]
        phones += [self.twin(phones[0]) for _ in range(11)]
        for phone in phones:
            self.send(phone, "FolderSync", client.folder_sync())
        answers = [phone.connection.read_answer() for phone in phones]
        refused = [a for a in answers if a.status == 503]
        self.assertGreaterEqual(len(refused), 4)
        self.assertEqual(len(answers) - len(refused), len([a for a in answers if a.status == 200]))
        for answer in refused:
            self.assertIn(b"device-loop", answer.body)
            self.assertIn(int(answer.header("Retry-After")), range(23, 38))


class StormTest(GovernorCase):
    def test_phones_come_in_evenly_after_a_restart_and_wait_once(self):
        rate, count = 5, 40
        self.start_with({"storm-rate": rate})
        phones = [self.phone() for _ in range(count)]
        comes_at, spread = {}, []
        began = time.monotonic()
        for phone in phones:
            answer = phone.post("FolderSync", client.folder_sync())
            phone.close()
            if answer.status == 503:
                self.assertIn(b"storm", answer.body)
                wait = int(answer.header("Retry-After"))
                comes_at[phone] = time.monotonic() + wait
                spread.append(wait)
            else:
                self.assertEqual(answer.status, 200)
        came = time.monotonic() - began
        expected = count - rate * (came + 3)
        self.assertGreater(len(comes_at), expected)
        for phone in sorted(comes_at, key=comes_at.get):
            time.sleep(max(0, comes_at[phone] - time.monotonic()))
            answer = phone.post("FolderSync", client.folder_sync())
            self.assertEqual(answer.status, 200, "a phone that has waited was sent away again")
            phone.close()
        self.assertLess(time.monotonic() - began, count / rate + 5)
        # No second has more than its share, but for what the rounding to seconds does.
        self.assertLessEqual(max(collections.Counter(
            int(at - began) for at in comes_at.values()).values()), 2 * rate + 1)
        self.assertEqual(len(self.proxy.lines("request", refusal="storm")), len(comes_at))

    def test_simulated_phones_come_when_they_are_told_and_get_all_their_mail(self):
        fleet = self.start_phones({"storm-rate": 3, "heartbeat-min": "1s"}, "--devices", "24", "--rate", "1000",
                                  "--duration", "14", "--send-rate", "1", "--heartbeat", "30")
        self.assertEqual(fleet.wait(90), 0, fleet.tail(40))
        told = collections.Counter(l["device"] for l in self.proxy.lines("request", refusal="storm"))
        self.assertGreater(len(told), 8)
        self.assertEqual(set(told.values()), {1}, "a phone was sent away twice")
        asleep = {l["device"] for l in self.proxy.lines("request", command="Ping")}
        self.assertEqual(len(asleep), 24)

    def test_who_was_let_in_is_not_sent_away(self):
        self.start_with({"storm-rate": 1})
        first = self.phone()
        wait_for("to be let in", lambda: first.post("FolderSync", client.folder_sync()).status == 200)
        others = [self.phone() for _ in range(6)]
        self.assertIn(503, [p.post("FolderSync", client.folder_sync()).status for p in others])
        for _ in range(5):
            self.assertEqual(first.post("FolderSync", client.folder_sync()).status, 200)

    def test_after_an_outage_of_the_mail_server_all_come_in_anew(self):
        self.start_with({"storm-rate": 1})
        first = self.phone()
        wait_for("to be let in", lambda: first.post("FolderSync", client.folder_sync()).status == 200)
        self.server.stop()
        self.assertIn(first.post("FolderSync", client.folder_sync()).status, (502, 503))
        others = [self.phone() for _ in range(6)]
        self.assertIn(503, [p.post("FolderSync", client.folder_sync()).status for p in others])
        answer = first.post("FolderSync", client.folder_sync())
        self.assertEqual(answer.status, 503)
        self.assertIn(b"storm", answer.body)

    def test_what_a_phone_repeats_in_an_outage_is_no_loop(self):
        self.start_with({"loop-repeats": 2, "storm-rate": 0})
        phone = self.phone()
        self.assertEqual(phone.post("Sync", sync(("5", "{k}1"))).status, 200)
        self.server.stop()
        for _ in range(10):
            self.assertIn(phone.post("Sync", sync(("5", "{k}1"))).status, (502, 503))
        self.assertEqual(self.proxy.lines("device-loop"), [])
        self.assertEqual(self.proxy.lines("request", refusal="device-loop"), [])

    def test_retry_after_of_every_503_is_scattered(self):
        self.start_with(**{"upstream exchange": {"health-interval": "0s", "health-failures": 1}})
        self.server.stop()
        told = set()
        for _ in range(20):
            answer = self.phone().post("FolderSync", client.folder_sync())
            if answer.status == 503:
                told.add(int(answer.header("Retry-After")))
        self.assertGreater(len(told), 5)
        self.assertTrue(told <= set(range(15, 46)), told)


if __name__ == "__main__":
    unittest.main()
