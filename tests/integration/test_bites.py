"""A revocation bites at once: thousands of sleeping phones, and of them exactly those are cut off that
a new CRL names, in less than a second. Measured and printed."""
import json
import os
import re
import subprocess
import time
import unittest

import certificates
import client
import crls
import harness
from harness import EASPROXYCTL, EASSIM, wait_for

PHONES = 5000
REVOKED = range(0, PHONES, PHONES // 50)
MINT_SERIAL = 0x4D000000  # tests/eassim/mint.h


# Sanitizers take many times as long for everything.
IS_SLOW = os.path.basename(harness.BUILD) == "asan"
OTHERS = 200000 if IS_SLOW else 1000000
SLICE_US = 10000 if IS_SLOW else 1000  # of CPU: so long may a slice of a walk hold up requests


def serial_of(number):
    return "%x" % (MINT_SERIAL + number)


def revoked(numbers):
    return [(MINT_SERIAL + number, crls.KEY_COMPROMISE) for number in numbers]


class BitesTest(harness.Case):
    """One fleet for all: to bring 5,000 phones in takes most of the time."""

    def setUp(self):
        super().setUp()
        self.maker = crls.Maker(self.pki.authority("issuing", self.directory))
        self.base, self.delta = self.path("issuing.crl"), self.path("issuing-delta.crl")
        self.publish_base([])
        self.publish_delta([])
        certificates.write_trust_store(self.path("trust.json"), [
            (self.pki.path("authority", "root.pem"), True, "file:" + self.pki.path("crl", "root.crl")),
            (self.pki.path("authority", "issuing.pem"), False, "file:" + self.base)])
        with open(self.path("trust.json"), encoding="ascii") as f:
            store = json.load(f)
        store["certificateAuthorities"][1]["deltaCertificateRevocationListUrl"] = "file:" + self.delta
        with open(self.path("trust.json"), "w", encoding="ascii") as f:
            json.dump(store, f)

    def publish_base(self, numbers, others=0):
        crls.put(self.base, self.maker.make(revoked(numbers), padding=others))
        self.base_number = self.maker.number

    def publish_delta(self, numbers):
        """Returns when it was there."""
        data = self.maker.make(revoked(numbers), base=self.base_number)
        crls.put(self.delta, data)
        return time.time()

    def start_all(self, phones):
        self.server_port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % self.server_port, "--mails", "0", "--quiet"],
            self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(self.server_port), None, server)
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.server_port, {
            "trust": {"store": self.path("trust.json")},
            "revocation": {"refresh": "1h", "size-limit": "100MB", "time-limit": "60s"},
            "limits": {"connections": 2 * phones + 100, "connections-per-source": phones + 100},
            "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"], "connections": phones + 100}})
        self.proxy.wait_until_answering()
        self.fleet = self.start(harness.Program("fleet", [
            EASSIM, "run", "--url", "https://localhost:%d%s" % (self.proxy.port, client.PATH), "--pki",
            self.pki.directory, "--mint", str(phones), "--domain", "contoso.test", "--devices", str(phones),
            "--rate", "400", "--only-pings", "--park", "600", "--verbose", "--json", self.path("fleet.json")], self.directory))
        begun = time.monotonic()
        wait_for("%d sleeping phones" % phones, lambda: self.stats()["polls_waiting"] >= phones, 150, self.fleet,
                 self.proxy)
        print("%d phones asleep after %.1f s" % (phones, time.monotonic() - begun), flush=True)

    def stats(self):
        with client.Connection(self.server_port) as connection:
            return json.loads(connection.request("GET", "/eassim/stats").body)

    def status(self):
        return json.loads(subprocess.run([EASPROXYCTL, "status", "-s", self.proxy.control, "--json"],
                                         stdout=subprocess.PIPE, check=True, timeout=20).stdout)

    def refresh(self):
        subprocess.run([EASPROXYCTL, "refresh", "-s", self.proxy.control], check=True, timeout=20,
                       stdout=subprocess.DEVNULL)

    def refused_phones(self):
        """What the phones say: those that were refused when they came again."""
        return set(map(int, re.findall(r"^phone(\d+) +Ping +WRONG: refused in the TLS handshake: alert 44",
                                       self.fleet.output(), re.M)))

    def lost_phones(self):
        return set(map(int, re.findall(r"^phone(\d+) +Ping +connection lost", self.fleet.output(), re.M)))

    def rechecks(self, since):
        """The workers' lines about the walks that ended after that time."""
        return [line for line in self.proxy.lines("recheck") if seconds_of(line["time"]) >= since - 0.002]

    def show(self, what, published, rechecks):
        cuts = [seconds_of(line["time"]) for line in self.proxy.lines("shut-out")]
        cut = max([at for at in cuts if at >= published], default=None)
        print("%s: %s; in the workers: taking the index over %d us, from its message to the last cut %d us, "
              "%d sessions in %d slices, the longest %d us (%d us of CPU)" % (
                  what, "published to last cut %.1f ms" % ((cut - published) * 1000) if cut else "no cut",
                  max(line["swap_us"] for line in rechecks), max(line.get("last_cut_us", 0) for line in rechecks),
                  sum(line["sessions"] for line in rechecks), sum(line["slices"] for line in rechecks),
                  max(line["longest_slice_us"] for line in rechecks),
                  max(line["longest_slice_cpu_us"] for line in rechecks)), flush=True)
        self.assertLess(max(line["longest_slice_cpu_us"] for line in rechecks), SLICE_US)
        return cut

    def test_fifty_of_five_thousand_sleeping_phones(self):
        self.start_all(PHONES)
        published = self.publish_delta(REVOKED)
        self.refresh()
        wait_for("the revoked phones to come again", lambda: len(self.refused_phones()) >= len(REVOKED), 15, self.proxy)
        cut = self.proxy.lines("shut-out")
        self.assertEqual(sorted(line["serial"] for line in cut), sorted(serial_of(n) for n in REVOKED))
        self.assertEqual({(line["refusal"], line["revocation_reason"]) for line in cut},
                         {("certificate-revoked", "keyCompromise")})
        self.assertEqual(self.stats()["polls_waiting"], PHONES - len(REVOKED))
        self.assertEqual(self.refused_phones(), set(REVOKED))
        self.assertLessEqual(self.lost_phones(), set(REVOKED), "a phone was cut off that is not revoked")
        self.assertEqual(sum(line["closed"] for line in self.rechecks(published)), len(REVOKED))
        self.assertLess(self.show("50 of 5,000", published, self.rechecks(published)) - published, 1)

        # The same with a million others on the base CRL: one more phone goes, and nobody else notices.
        self.publish_base(REVOKED, OTHERS)
        published = self.publish_delta([7])
        self.refresh()
        wait_for("the index of %d entries" % OTHERS, lambda: self.rechecks(published), 60, self.proxy)
        wait_for("phone 7 to come again", lambda: 7 in self.refused_phones(), 15, self.proxy)
        self.assertEqual(self.stats()["polls_waiting"], PHONES - len(REVOKED) - 1)
        self.assertEqual(self.refused_phones(), set(REVOKED) | {7})
        self.show("one of 4,950, %d entries" % OTHERS, published, self.rechecks(published))


def seconds_of(text):
    """Of a log line's RFC 3339 time."""
    from datetime import datetime
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    unittest.main()
