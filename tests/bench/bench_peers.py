#!/usr/bin/python3
"""What a phone costs easproxyd, beside nginx with required client certificates and CRLs: the same
load, the same upstream (eassim serve), the same run. Prints one table, and which share of a request
the rules of a policy take (bench_proxy_policy); more than RULES_SHARE_MAX of it fails.

The cost is that of the proxy's processes alone: user space as PSS (shared pages are counted once),
CPU time as the kernel's own account of all their threads.
"""
import argparse
import glob
import json
import os
import re
import resource
import ssl
import subprocess
import sys
import tempfile
import time
import types

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import certificates  # noqa: E402
import client  # noqa: E402
import harness  # noqa: E402
import wbxml  # noqa: E402

WORKERS = 2
RULES, RULES_SHARE_MAX = 50, 0.02
WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")
VERSION = ("MS-ASProtocolVersion", "14.1")

NGINX = """
worker_processes {workers};
worker_rlimit_nofile 20000;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 16000; }}
http {{
	access_log {directory}/nginx-access.log;
	client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
	uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
	keepalive_requests 100000000;
	keepalive_timeout 3600s;
	upstream exchange {{ server 127.0.0.1:{upstream}; keepalive 64; }}
	server {{
		listen 127.0.0.1:{port} ssl backlog=4096;
		ssl_certificate {pki}/server.pem;
		ssl_certificate_key {pki}/server.key;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_client_certificate {directory}/authorities.pem;
		ssl_verify_client on;
		ssl_verify_depth 3;
		ssl_crl {directory}/crls.pem;
		ssl_session_cache off;
		ssl_session_tickets {tickets};
		location /Microsoft-Server-ActiveSync {{
			proxy_pass http://exchange;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header x-webobjects-remote-user bob@contoso.test;
			proxy_read_timeout 3700s;
		}}
	}}
}}
"""


def family(pid):
    pids = [pid]
    for child in harness.children(pid):
        pids += family(child)
    return pids


def memory_of(pid):
    """Proportional set size of one process, in bytes."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1)) * 1024


def memory_bytes(pid):
    """Of a program with all its processes."""
    return sum(map(memory_of, family(pid)))


def cpu_of(pid):
    """The seconds that all threads of one process have used."""
    total = 0
    for stat in glob.glob("/proc/%d/task/*/schedstat" % pid):
        with open(stat, encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def cpu_seconds(pid):
    return sum(map(cpu_of, family(pid)))


def easproxyd(case, upstream):
    proxy = harness.Proxy(case, "http://127.0.0.1:%d" % upstream, {
        "workers": WORKERS, "log": {"file": os.path.join(case.directory, "requests.log")},
        "limits": {"connections-per-source": 100000, "idle-time": "1h"},
        "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"], "connections": 16000}})
    harness.wait_for("easproxyd", lambda: harness.is_listening(proxy.port), None, proxy)
    proxy.wait_until_answering()
    return proxy


def nginx(case, upstream, tickets):
    port = harness.free_port()
    with open(case.path("authorities.pem"), "wb") as f:
        for name in ("root", "issuing"):
            with open(case.pki.path("authority", name + ".pem"), "rb") as pem:
                f.write(pem.read())
    with open(case.path("crls.pem"), "wb") as f:
        for name in ("root", "issuing"):
            f.write(certificates.openssl("crl", "-inform", "DER", "-in", case.pki.path("crl", name + ".crl")))
    with open(case.path("nginx.conf"), "w", encoding="ascii") as f:
        f.write(NGINX.format(workers=WORKERS, directory=case.directory, upstream=upstream, port=port,
                             pki=case.pki.directory, tickets=tickets))
    program = harness.Program("nginx", [
        "/usr/sbin/nginx", "-e", case.path("nginx-error.log"), "-c", case.path("nginx.conf")], case.directory)
    program.port = port
    harness.wait_for("nginx", lambda: harness.is_listening(port), None, program)
    return program


class Load:
    """Bob's phones, one connection at a time or many."""

    def __init__(self, port, pki):
        self.port = port
        self.context = client.tls_context(pki.ca, pki.user("bob"), minimum_version=ssl.TLSVersion.TLSv1_3)

    def dial(self):
        return client.Connection(self.port, self.context, timeout=60)

    @staticmethod
    def target(command, device="BENCH"):
        return client.PATH + "?Cmd=%s&User=bob%%40contoso.test&DeviceId=%s&DeviceType=T" % (command, device)

    def handshakes(self, count):
        for _ in range(count):
            with self.dial() as connection:
                assert connection.request("OPTIONS", client.PATH).status == 200

    def requests(self, count, connections=32):
        data = client.request_bytes("POST", self.target("FolderSync"), [WBXML, VERSION],
                                    wbxml.encode(client.folder_sync()))
        lines = [self.dial() for _ in range(connections)]
        for _ in range(count // connections):
            for line in lines:
                line.send(data)
            for line in lines:
                assert line.read_answer().status == 200
        for line in lines:
            line.close()

    def pings(self, count):
        """Parks so many Pings and returns their connections."""
        body = wbxml.encode(client.ping(3540, "5"))
        parked = []
        for number in range(count):
            line = self.dial()
            line.send(client.request_bytes("POST", self.target("Ping", "P%d" % number), [WBXML, VERSION], body))
            parked.append(line)
        return parked


def polls_waiting(upstream):
    with client.Connection(upstream) as connection:
        return json.loads(connection.request("GET", "/eassim/stats").body)["polls_waiting"]


def measure(start, case, upstream, sizes):
    program = start()
    try:
        load = Load(program.port, case.pki)
        load.handshakes(20 * WORKERS)
        before = cpu_seconds(program.pid)
        load.handshakes(sizes.handshakes)
        handshake = (cpu_seconds(program.pid) - before) / sizes.handshakes
        load.requests(640)
        before = cpu_seconds(program.pid)
        load.requests(sizes.requests)
        request = (cpu_seconds(program.pid) - before) / sizes.requests
        time.sleep(0.5)
        before = memory_bytes(program.pid)
        parked = load.pings(sizes.pings)
        harness.wait_for("%d parked Pings" % sizes.pings, lambda: polls_waiting(upstream) >= sizes.pings, 60, program)
        time.sleep(1)
        sleeping = (memory_bytes(program.pid) - before) / sizes.pings
        for line in parked:
            line.close()
        harness.wait_for("the Pings to be let go", lambda: polls_waiting(upstream) == 0, 60, program)
        return sleeping, handshake * 1e6, request * 1e6
    finally:
        program.stop()


def policy_us():
    """CPU time of judging one request under RULES rules, none of which holds."""
    bench = os.path.join(harness.BUILD, "tests", "bench", "bench_proxy_policy")
    done = subprocess.run([bench, str(RULES)], stdout=subprocess.PIPE, check=True)
    return float(re.search(rb"rules: (\d+) ns a request", done.stdout)[1]) / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the load")
    parser.add_argument("--pings", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    sizes = types.SimpleNamespace(pings=options.pings or 5000 // scale, handshakes=2000 // scale,
                                  requests=32000 // scale)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    version = subprocess.run(["/usr/sbin/nginx", "-v"], stderr=subprocess.PIPE, check=True).stderr.decode()
    version = "nginx " + version.rpartition("/")[2].split()[0]
    rows = []
    with tempfile.TemporaryDirectory(prefix="easproxy-bench-") as directory:
        os.chmod(directory, 0o755)
        case = types.SimpleNamespace(directory=directory, pki=harness.Pki(),
                                     path=lambda *names: os.path.join(directory, *names))
        port = harness.free_port()
        upstream = harness.Program("eassim", [
            harness.EASSIM, "serve", "--listen", "127.0.0.1:%d" % port, "--mails", "0", "--record", "0", "--quiet"],
            directory)
        try:
            harness.wait_for("eassim serve", lambda: harness.is_listening(port), None, upstream)
            for name, start in (
                    ("easproxyd", lambda: easproxyd(case, port)),
                    (version + ", tickets off", lambda: nginx(case, port, "off")),
                    (version + ", tickets on", lambda: nginx(case, port, "on"))):
                print("measuring %s" % name, file=sys.stderr, flush=True)
                rows.append((name, *measure(start, case, port, sizes)))
        finally:
            upstream.stop()

    print("%-28s %16s %16s %16s" % ("", "sleeping phone", "handshake and", "request on a kept"))
    print("%-28s %16s %16s %16s" % ("", "(user space)", "one request", "connection"))
    for name, sleeping, handshake, request in rows:
        print("%-28s %13.1f kB %13.0f \u00b5s %13.1f \u00b5s" % (name, sleeping / 1000, handshake, request))
    print("\n%d parked Pings, %d handshakes (TLS 1.3, P-256, CRLs of two authorities), %d FolderSyncs over 32\n"
          "connections; %d workers each. CPU time and PSS of the proxy's processes alone." % (
              sizes.pings, sizes.handshakes, sizes.requests, WORKERS))
    policy, request = policy_us(), rows[0][3]
    share = policy / request
    print("\nA policy of %d rules takes %.2f \u00b5s of a request, %.1f %% of what easproxyd takes for one (at most %.0f %%)." % (
        RULES, policy, 100 * share, 100 * RULES_SHARE_MAX))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump([dict(zip(("name", "sleeping_bytes", "handshake_us", "request_us"), row)) for row in rows],
                      f, indent=1)
    return 0 if share < RULES_SHARE_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
