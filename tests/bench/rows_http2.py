"""Whether HTTP/2 towards the mail server would pay: nginx and nghttp2's own client, h2load, with the same requests over
HTTP/1.1 and over HTTP/2, so many of them at a time. Not measured unless it is asked for: --rows http2."""
import os
import re
import resource
import socket
import subprocess
import time
import types

import accounting
import harness
import peers
from table import Row

GROUP = "HTTP/2 towards a mail server (nginx, h2load)"
HEADERS = ("Content-Type: application/vnd.ms-sync.wbxml", "MS-ASProtocolVersion: 14.1", "User-Agent: Apple-iPhone15C2/2110.80",
           "X-MS-PolicyKey: 3942919513", "x-webobjects-remote-user: bob@contoso.test")
QUERY = "?Cmd=Sync&User=bob%40contoso.test&DeviceId=APPLDMPK1234567890&DeviceType=iPhone"
SAME_TIME = 32
# How many connections for the requests that are under way at the same time.
WAYS = {"HTTP/1.1": (True, None), "HTTP/2, 4 connections": (False, 4), "HTTP/2, 1 connection": (False, 1)}


class Server(peers.Server):
    """An nginx that stands for the mail server, and a port behind it that takes connections and says nothing."""

    name = "mail-server"

    def start(self):
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port2 = harness.free_port()
        path = peers.from_template("http2.conf", self.directory, {
            "directory": self.directory, "port": self.port, "port2": self.port2, "descriptors": self.setup.bench.descriptors,
            "upstream": self.silent.getsockname()[1], "answer": "x" * 60})
        self.programs = [harness.Program("nginx", [
            "/usr/sbin/nginx", "-e", os.path.join(self.directory, "error.log"), "-c", path], self.directory)]

    def wait_until_answering(self, seconds):
        harness.wait_for("nginx", lambda: harness.is_listening(self.port2), seconds, *self.programs)

    def command(self, is_http1, path, count, connections):
        """h2load with so many requests, as many of them at a time as there is room for, on so many connections."""
        body = os.path.join(self.directory, "body")
        with open(body, "wb") as f:
            f.write(b"\x03\x01\x6a\x00" + b"b" * 196)
        same = count if path == "/never" else SAME_TIME
        connections = connections or same
        return ["h2load", "-n", str(count), "-c", str(connections), "-m", str(1 if is_http1 else -(-same // connections)),
                *(["--h1"] if is_http1 else []), "-d", body, *(w for h in HEADERS for w in ("-H", h)),
                "http://127.0.0.1:%d%s%s" % (self.port if is_http1 else self.port2, path, QUERY)]

    def cost(self, way, count):
        """CPU microseconds of a request at (the server, the client)."""
        is_http1, connections = WAYS[way]
        before, used = self.cpu_seconds(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with accounting.pinned(accounting.OTHER_CORES):
            done = subprocess.run(self.command(is_http1, "/now", count, connections), stdout=subprocess.PIPE, check=True,
                                  timeout=120)
        succeeded = int(re.search(rb"(\d+) succeeded", done.stdout)[1])
        assert succeeded == count, done.stdout.decode()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        return (self.cpu_seconds() - before) * 1e6 / count, client * 1e6 / count

    def waiting(self, way, count):
        """Bytes of a request that waits: user space of (the server, the client), and slab of all sockets."""
        is_http1, connections = WAYS[way]
        before, slab = self.memory_bytes(), accounting.slab_bytes()
        process = subprocess.Popen(self.command(is_http1, "/never", count, connections), stdout=subprocess.DEVNULL)
        try:
            harness.wait_for("requests that wait", lambda: self._connections(process.pid) >= (count if is_http1 else 1), 30)
            time.sleep(2)
            return ((self.memory_bytes() - before) / count, accounting.memory_of(process.pid) / count,
                    (accounting.slab_bytes() - slab) / count)
        finally:
            process.kill()
            process.wait()
            time.sleep(1)

    def stop(self):
        super().stop()
        self.silent.close()

    @staticmethod
    def _connections(pid):
        return len(os.listdir("/proc/%d/fd" % pid)) - 4


def waiting_at_new_one(setup, way):
    """At a server that has no memory left over from the way before."""
    server = Server(setup)
    try:
        return server.waiting(way, setup.bench.scaled(2000, 200))
    finally:
        server.stop()


def measure(bench):
    """All rows of this kind."""
    subprocess.run(["h2load", "--version"], stdout=subprocess.DEVNULL, check=True)
    setup = types.SimpleNamespace(bench=bench, cores=accounting.PROXY_CORES)
    server = Server(setup)
    try:
        count = bench.scaled(30000, 3000)
        costs = {way: [] for way in WAYS}
        for _ in range(bench.scaled(5, 2)):
            for way in WAYS:
                bench.say("requests over %s" % way)
                costs[way].append(server.cost(way, count))
        for at, who in enumerate(("server", "client")):
            yield Row(GROUP, "CPU of a small request, %d at a time, %s" % (SAME_TIME, who), "\u00b5s", {
                way: [cost[at] for cost in rounds] for way, rounds in costs.items()})
    finally:
        server.stop()
    waiting = {way: waiting_at_new_one(setup, way) for way in WAYS}
    for at, who in enumerate(("user space of the server", "user space of the client", "kernel slab, all sockets")):
        yield Row(GROUP, "a request that waits, %s" % who, "B", {way: [found[at]] for way, found in waiting.items()})
