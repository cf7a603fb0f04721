"""upstream/source-addresses, in a network namespace of its own in which an address has a handful of ports to
connect from: more phones can sleep than one address has ports, and an address that cannot be used is passed over."""
import ctypes
import fcntl
import os
import socket
import struct
import threading
import unittest

import client
import harness
import wbxml
from harness import wait_for
from recorder import Recorder, answer_bytes

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
FIRST_PORT, PORTS, PHONES = 61000, 8, 12


def call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(s, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def use_ports(first, count):
    """The ports that connections of this namespace come from, from now on."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as f:
        f.write("%d %d" % (first, first + count - 1))


class SourceAddressesTest(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        libc = ctypes.CDLL(None, use_errno=True)
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        call(libc.unshare, CLONE_NEWNET)  # for this thread, and all that it starts

        def come_back():
            call(libc.setns, before, CLONE_NEWNET)
            os.close(before)
        cls.addClassCleanup(come_back)
        raise_loopback()

    def setUp(self):
        super().setUp()
        self.go = threading.Event()
        self.recorder = Recorder(self.answer, port=harness.free_port())
        self.addCleanup(self.recorder.stop)
        self.addCleanup(self.go.set)

    def answer(self, received, _connection):
        if "Cmd=Ping" in received.target:
            self.go.wait()
        return answer_bytes()

    def start_with(self, sources, **changes):
        upstream = {"health-interval": "0s", "source-addresses": sources}
        return self.start_proxy("http://127.0.0.1:%d" % self.recorder.port,
                                {"workers": 1, "upstream exchange": upstream, **changes})

    def park(self, proxy):
        """All phones are connected already when the endpoint has to be, with few ports left."""
        phones = [proxy.dial("bob") for _ in range(PHONES)]
        use_ports(FIRST_PORT, PORTS)
        self.addCleanup(use_ports, 32768, 28000)
        for i, phone in enumerate(phones):
            self.addCleanup(phone.close)
            phone.send(client.request_bytes(
                "POST", client.PATH + "?Cmd=Ping&User=bob%%40contoso.test&DeviceId=D%d&DeviceType=T" % i,
                [("Content-Type", "application/vnd.ms-sync.wbxml"), ("MS-ASProtocolVersion", "14.1")],
                wbxml.encode(client.ping(600))))

    def refused(self, proxy):
        return [line for line in proxy.lines("request") if line.get("refusal")]

    def origins(self):
        with self.recorder.lock:
            return [connection.getpeername()[0] for connection in self.recorder.open]

    def test_two_addresses_hold_more_phones_than_one_has_ports(self):
        proxy = self.start_with(["127.0.0.1", "127.0.0.2"])
        self.park(proxy)
        wait_for("all to sleep", lambda: len(self.recorder.begun()) == PHONES, None, proxy)
        self.assertEqual(self.refused(proxy), [])
        for address in ("127.0.0.1", "127.0.0.2"):
            self.assertEqual(self.origins().count(address), PHONES // 2)

    def test_one_address_holds_as_many_as_it_has_ports_and_says_what_would_help(self):
        proxy = self.start_with([])
        self.park(proxy)
        wait_for("the rest to be refused", lambda: len(self.refused(proxy)) == PHONES - PORTS, None, proxy)
        self.assertEqual(len(self.recorder.begun()), PORTS)
        self.assertIn("source-addresses", proxy.output())

    def test_an_address_that_is_not_here_is_passed_over(self):
        proxy = self.start_with(["192.0.2.7", "127.0.0.3"])
        with proxy.dial("bob") as phone:
            self.assertEqual(phone.request("OPTIONS", client.PATH).status, 200)
        self.assertEqual(set(self.origins()), {"127.0.0.3"})

    def test_an_endpoint_gets_addresses_of_its_own_kind(self):
        proxy = self.start_with(["::1"])
        with proxy.dial("bob") as phone:
            self.assertEqual(phone.request("OPTIONS", client.PATH).status, 200)
        self.assertEqual(set(self.origins()), {"127.0.0.1"})


if __name__ == "__main__":
    unittest.main()
