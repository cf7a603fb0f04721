#!/usr/bin/python3
"""What may not grow: instructions, system calls and bytes that easproxyd takes for things that it does all the time, against those
that are written down in baseline.json beside this file. Counts stay what they are on a busy machine, where seconds do
not.

  check_baseline.py            measures, prints old, new and change; 1 where something has grown beyond its tolerance
  check_baseline.py --update   measures, and writes down what was found

Instructions are callgrind's, of one worker, which is told between two kinds of work to write down what it has counted;
the load is one phone after the other, so that each run does the same. System calls are strace's, and bytes are PSS of all
processes, of an easproxyd without valgrind: what two thousand further sleeping phones add, and what of it is still there
when they have gone.
"""
import argparse
import glob
import json
import os
import re
import resource
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time

import instructions

sys.path.insert(0, os.path.join(instructions.ROOT, "tests", "integration"))
os.environ.setdefault("EASPROXY_BUILD", instructions.BUILD)
os.environ.setdefault("EASPROXY_PATIENCE", "90")

import client  # noqa: E402
import harness  # noqa: E402
import wbxml  # noqa: E402
from crowd import issue_crowd  # noqa: E402
from recorder import Recorder, answer_bytes  # noqa: E402

BASELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.json")
WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
MB = 1 << 20
HANDSHAKES, REQUESTS, MEGABYTES = 40, 400, 8
ROUNDS_WBXML, ROUNDS_POLICY = (2, 8), (20, 220)
PINGS_FEW, PINGS_MANY = 500, 2500

# name: (what it is, by how much it may grow, and below which difference nothing counts)
ROWS = {
    "handshake_seen": ("instructions, TLS 1.3 handshake and one request, P-256, phone seen before", 0.03, 0),
    "handshake_calls": ("system calls of that, waiting aside", 0.15, 1),
    "handshake_unseen": ("the same, phone never seen", 0.03, 0),
    "request": ("instructions, Sync of 200 bytes on a kept connection", 0.03, 0),
    "request_calls": ("system calls of that, waiting aside", 0.15, 0.3),
    "mb_to_phone": ("instructions, MB of a Sync answer", 0.05, 0),
    "mb_from_phone": ("instructions, MB of a SendMail", 0.05, 0),
    "wbxml_element": ("instructions, element of a Sync answer, reader alone", 0.02, 0),
    "policy_rule_50": ("instructions, rule of 50 that are gone through", 0.03, 0),
    "policy_rule_500": ("instructions, rule of 500 that are gone through", 0.03, 0),
    "sleeping_phone": ("bytes, sleeping phone, HTTP upstream", 0.1, 150),
    "departed_phone": ("bytes, left behind by a phone that has slept and gone", 0.1, 150),
}


class Ground:
    """A folder and certificates, in the shape in which the harness of the integration tests wants them."""

    def __init__(self, directory):
        self.directory, self.pki = directory, harness.Pki()
        os.chmod(directory, 0o755)

    def path(self, *names):
        return os.path.join(self.directory, *names)


class Counted:
    """An easproxyd with one worker under callgrind."""

    def __init__(self, ground, upstream):
        self.ground = ground
        wrapper = ground.path("counted")
        command = instructions.callgrind(ground.directory) + [
            # Makes that children can be told to write down their counts, too.
            "--trace-children=yes", harness.EASPROXYD]
        with open(wrapper, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexec %s \"$@\"\n" % " ".join("'%s'" % word for word in command))
        os.chmod(wrapper, os.stat(wrapper).st_mode | stat.S_IXUSR)
        plain, harness.EASPROXYD = harness.EASPROXYD, wrapper
        try:
            # The filter of system calls would refuse those of valgrind itself.
            self.proxy = harness.Proxy(ground, upstream, {
                "workers": 1, "log": {"format": "logfmt", "file": ground.path("requests.log")}},
                name="counted-easproxyd", arguments=["--no-sandbox"])
        finally:
            harness.EASPROXYD = plain
        try:
            self.proxy.wait_until_answering()
        except BaseException:
            self.proxy.stop()
            raise
        self.worker = self.proxy.pids("worker")[0]

    def counted(self):
        """The instructions of the worker since it was asked last."""
        pattern = self.ground.path("callgrind.%d.*" % self.worker)
        before = set(glob.glob(pattern))
        subprocess.run(["vgdb", "--pid=%d" % self.worker, "dump"], check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for("callgrind to write down its counts", lambda: set(glob.glob(pattern)) - before, 20, self.proxy)
        new, = set(glob.glob(pattern)) - before
        return harness.wait_for("its totals", lambda: instructions.of_dump(new), 20, self.proxy)["Ir"]


def post(connection, command, body):
    target = client.PATH + "?Cmd=%s&User=bob%%40contoso.test&DeviceId=BASELINE&DeviceType=T" % command
    headers = [WBXML, ("MS-ASProtocolVersion", "16.1"), ("X-MS-PolicyKey", "0")]
    answer = connection.request("POST", target, headers, body)
    assert answer.status == 200, answer
    return answer


def element(name, *content):
    return wbxml.Node(name, *content)


def sync_request():
    """A phone asks for what is new in one folder: some 200 bytes with its head's fields aside."""
    return wbxml.encode(element("AirSync:Sync", element("AirSync:Collections", element(
        "AirSync:Collection", element("AirSync:SyncKey", "{5f0c8a16-9d5e-4b0e-8a50-3b6f6f3c1a6b}17"),
        element("AirSync:CollectionId", "5"), element("AirSync:DeletesAsMoves", "1"),
        element("AirSync:GetChanges", "1"), element("AirSync:WindowSize", "25"), element(
            "AirSync:Options", element("AirSync:FilterType", "5"), element("AirSync:MIMESupport", "2"), element(
                "AirSyncBase:BodyPreference", element("AirSyncBase:Type", "2"),
                element("AirSyncBase:TruncationSize", "51200")))))))


def sync_answer(size):
    """Messages until it is so large."""
    message = element("AirSync:Add", element("AirSync:ServerId", "5:17"), element(
        "AirSync:ApplicationData", element("Email:To", "\"Anna\" <anna@contoso.test>"),
        element("Email:From", "\"Bo\" <bo@contoso.test>"), element("Email:Subject", "What we said on Monday"),
        element("Email:DateReceived", "2026-11-23T09:00:00.000Z"), element("Email:Read", "0"), element(
            "AirSyncBase:Body", element("AirSyncBase:Type", "2"), element("AirSyncBase:EstimatedDataSize", "2000"),
            element("AirSyncBase:Data", "What was said on Monday. " * 80))))
    count = size // len(wbxml.encode(message)) + 1
    return wbxml.encode(element("AirSync:Sync", element("AirSync:Collections", element(
        "AirSync:Collection", element("AirSync:SyncKey", "18"), element("AirSync:CollectionId", "5"),
        element("AirSync:Status", "1"), element("AirSync:Commands", *[message] * count)))))


class Answers:
    """What the mail server says; `sync` is replaced between two kinds of work."""

    def __init__(self):
        self.small = wbxml.encode(element("AirSync:Sync", element("AirSync:Collections", element(
            "AirSync:Collection", element("AirSync:SyncKey", "18"), element("AirSync:CollectionId", "5"),
            element("AirSync:Status", "1")))))
        self.large = sync_answer(MB)
        self.sync = self.small

    def __call__(self, received, connection):
        if "Cmd=Sync" in received.target or "Cmd=" not in received.target and received.method == "POST":
            return answer_bytes(200, self.sync, [WBXML])
        return answer_bytes(200)


def tls_of(ground, certificate=None):
    return client.tls_context(ground.pki.ca, certificate or ground.pki.user("bob"),
                              minimum_version=ssl.TLSVersion.TLSv1_3)


def dial(proxy, tls):
    return client.Connection(proxy.port, tls, timeout=harness.PATIENCE)


def handshakes(proxy, contexts):
    for tls in contexts:
        with dial(proxy, tls) as connection:
            assert connection.request("OPTIONS", client.PATH).status == 200


def count_instructions(ground):
    """Rows of what a worker does."""
    answers = Answers()
    upstream = Recorder(answers)
    bob = tls_of(ground)
    crowd = [tls_of(ground, certificate) for certificate in issue_crowd(
        ground.pki.authority("issuing", ground.directory),
        ["phone%d@contoso.test" % number for number in range(HANDSHAKES + 5)]).values()]
    found = {}
    counted = Counted(ground, "http://127.0.0.1:%d" % upstream.port)
    proxy = counted.proxy
    try:
        handshakes(proxy, [bob] * 5 + crowd[:5])
        counted.counted()
        handshakes(proxy, [bob] * HANDSHAKES)
        found["handshake_seen"] = counted.counted() / HANDSHAKES
        handshakes(proxy, crowd[5:])
        found["handshake_unseen"] = counted.counted() / HANDSHAKES
        with dial(proxy, bob) as connection:
            for name, count, command, body, answer in (
                    ("request", REQUESTS, "Sync", sync_request(), answers.small),
                    ("mb_to_phone", MEGABYTES, "Sync", sync_request(), answers.large),
                    ("mb_from_phone", MEGABYTES, "SendMail", wbxml.encode(client.send_mail(
                        b"From: bob@contoso.test\r\nTo: anna@contoso.test\r\nSubject: a\r\n\r\n" +
                        b"All of this is only text.\r\n" * (MB // 27), "baseline")), answers.small)):
                answers.sync = answer
                post(connection, command, body)
                counted.counted()
                for _ in range(count):
                    post(connection, command, body)
                size = max(len(body), len(answer)) / MB if name.startswith("mb") else 1
                found[name] = counted.counted() / count / size
    finally:
        proxy.stop()
        upstream.stop()
    return found


class Traced:
    """The system calls of a process, from the beginning of the block to its end."""

    def __init__(self, ground, pid):
        self.path, self.count = ground.path("strace"), 0
        self.arguments = ["strace", "-f", "-qq", "-o", self.path, "-p", str(pid)]
        self.status = "/proc/%d/status" % pid

    def _is_traced(self):
        with open(self.status, encoding="ascii") as f:
            return "TracerPid:\t0\n" not in f.read()

    def __enter__(self):
        self.process = subprocess.Popen(self.arguments)  # pylint: disable=consider-using-with
        harness.wait_for("strace to get hold of the worker", self._is_traced)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        with open(self.path, encoding="utf-8", errors="replace") as f:
            # How often it waits depends on what else the machine does.
            self.count = sum(1 for line in f if "epoll_wait(" not in line and "<unfinished" not in line)


def count_system_calls(ground):
    answers = Answers()
    upstream = Recorder(answers)
    proxy = harness.Proxy(ground, "http://127.0.0.1:%d" % upstream.port, {
        "workers": 1, "log": {"format": "logfmt", "file": ground.path("requests.log")}})
    bob = tls_of(ground)
    try:
        proxy.wait_until_answering()
        worker = proxy.pids("worker")[0]
        handshakes(proxy, [bob] * 5)
        with Traced(ground, worker) as traced:
            handshakes(proxy, [bob] * HANDSHAKES)
        found = {"handshake_calls": traced.count / HANDSHAKES}
        with dial(proxy, bob) as connection:
            post(connection, "Sync", sync_request())
            with Traced(ground, worker) as traced:
                for _ in range(REQUESTS):
                    post(connection, "Sync", sync_request())
        found["request_calls"] = traced.count / REQUESTS
    finally:
        proxy.stop()
        upstream.stop()
    return found


def count_programs():
    """Rows of what the bench programs of the rooms do."""
    def difference(rounds, *arguments):
        few, many = (instructions.of_program([os.path.join(instructions.BUILD, "tests", "bench", arguments[0]),
                                              *arguments[1:], str(count)]) for count in rounds)
        return (many[0] - few[0]) / (rounds[1] - rounds[0]), many[1]
    samples = os.path.join(instructions.ROOT, "tests", "data", "wbxml", "good")
    document, said = difference(ROUNDS_WBXML, "bench_wbxml_reader", "ours", "sync", samples)
    none, fifty, many = (difference(ROUNDS_POLICY, "bench_proxy_policy", rules)[0] for rules in ("0", "50", "500"))
    return {"wbxml_element": document / json.loads(said)["elements"], "policy_rule_50": (fifty - none) / 50,
            "policy_rule_500": (many - none) / 500}


def family(pid):
    return [pid] + [one for child in harness.children(pid) for one in family(child)]


def memory_bytes(pid):
    total = 0
    for one in family(pid):
        with open("/proc/%d/smaps_rollup" % one, encoding="ascii") as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1]) * 1024
    return total


def sleeping_phone(ground):
    """Bytes that one further phone takes while it sleeps, and those that are still there when it has gone."""
    upstream = harness.free_port()
    server = harness.Program("eassim-serve", [harness.EASSIM, "serve", "--listen", "127.0.0.1:%d" % upstream, "--mails", "0",
                                              "--record", "0", "--quiet"], ground.directory)
    lines, levels = [], []
    try:
        harness.wait_for("eassim serve", lambda: harness.is_listening(upstream), None, server)
        proxy = harness.Proxy(ground, "http://127.0.0.1:%d" % upstream, {
            "workers": 1, "log": {"format": "logfmt", "file": ground.path("requests.log")},
            "limits": {"connections": 10000, "connections-per-source": 10000},
            "upstream exchange": {"connections": 10000, "headers": ["x-webobjects-remote-user: %{mailbox}"]}})
        try:
            proxy.wait_until_answering()
            tls = tls_of(ground)
            body = wbxml.encode(client.ping(3540, "5"))

            def waiting():
                with client.Connection(upstream) as connection:
                    return json.loads(connection.request("GET", "/eassim/stats").body)["polls_waiting"]

            def level(count):
                harness.wait_for("%d sleeping phones" % count, lambda: waiting() == count, None, proxy, server)
                time.sleep(3)  # until what is given back a moment later has been
                levels.append(memory_bytes(proxy.pid))
            for count in (PINGS_FEW, PINGS_MANY):
                for number in range(len(lines), count):
                    line = dial(proxy, tls)
                    target = client.PATH + "?Cmd=Ping&User=bob%%40contoso.test&DeviceId=P%d&DeviceType=T" % number
                    line.send(client.request_bytes("POST", target, [WBXML, ("MS-ASProtocolVersion", "16.1")], body))
                    lines.append(line)
                level(count)
            while len(lines) > PINGS_FEW:
                lines.pop().close()
            level(PINGS_FEW)
        finally:
            proxy.stop()
    finally:
        server.stop()
        for line in lines:
            line.close()
    few, many, few_again = levels
    # Pages of libraries count by halves as soon as another program has them, too.
    assert many > few, "phones fell asleep, and memory fell from %d to %d bytes: is another easproxyd, or what uses " \
        "its libraries, being started or ended on this machine?" % (few, many)
    more = PINGS_MANY - PINGS_FEW
    return {"sleeping_phone": (many - few) / more, "departed_phone": (few_again - few) / more}


def measure():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    found = {}
    for part in (count_instructions, count_system_calls, sleeping_phone):
        directory = tempfile.mkdtemp(prefix="easproxy-baseline-")
        try:
            found.update(part(Ground(directory)))
        except BaseException:
            print("logs are kept in %s" % directory, file=sys.stderr)
            raise
        shutil.rmtree(directory)
    found.update(count_programs())
    return {name: round(value, 1) for name, value in found.items()}


def compare(old, new):
    """Prints all rows; the names of those that have grown too much, or are not written down."""
    print("%-72s %13s %13s %8s  %s" % ("", "baseline", "now", "change", "may grow by"))
    names = []
    for name, (title, tolerance, slack) in ROWS.items():
        was, now = old.get(name), new[name]
        if was is None:
            print("%-72s %13s %13.1f: NOT WRITTEN DOWN" % (title, "none", now))
            names.append(name)
            continue
        is_grown = now > max(was * (1 + tolerance), was + slack)
        change = "%.1f%%" % (100 * (now / was - 1)) if was > 0 else ""  # bytes that are left behind may be none
        print("%-72s %13.1f %13.1f %8s  %.0f %%%s" % (title, was, now, change, 100 * tolerance,
                                                     ": GROWN" if is_grown else ""))
        names += [name] * is_grown
    return names


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --check", description="Holds what easproxyd takes against what it took before.")
    parser.add_argument("--update", action="store_true", help="write down what is measured")
    options = parser.parse_args()
    begun = time.monotonic()
    old = {}
    if os.path.exists(BASELINE):
        with open(BASELINE, encoding="ascii") as f:
            old = json.load(f)
    new = measure()
    grown = compare(old, new)
    print("\nmeasured in %.0f s" % (time.monotonic() - begun))
    if options.update:
        with open(BASELINE, "w", encoding="ascii") as f:
            json.dump({name: new[name] for name in ROWS}, f, indent="\t")
            f.write("\n")
        print("written down in %s" % os.path.relpath(BASELINE, instructions.ROOT))
        return 0
    if grown:
        print("grown beyond the tolerance, or not written down: %s. If that is meant, say why in docs/performance.md and\n"
              "run scripts/bench --check --update." % ", ".join(grown))
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
