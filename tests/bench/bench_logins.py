#!/usr/bin/python3
"""What a login on the owner's behalf costs, for each way to log in: by Kerberos (Samba's domain controller, Apache
httpd with mod_auth_gssapi), by minted certificates (nginx), by access tokens. And what phones that are
in already notice of a thousand others that wake at the same moment, none of whom has a login yet. Prints one
table; asserts nothing about time.
"""
import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
import types

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))

import client  # noqa: E402
import harness  # noqa: E402
import peek  # noqa: E402
from accounting import cpu_of, memory_of  # noqa: E402
from certificates import Authority, openssl  # noqa: E402
from client import PATH  # noqa: E402
from crowd import issue_crowd  # noqa: E402

WORKERS = 2
HELPERS = ("eas-ticket", "eas-tokens", "eas-minter", "eas-bearer")

NGINX = """
worker_processes 1;
worker_rlimit_nofile 8000;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 6000; }}
http {{
	access_log off;
	client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
	uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
	keepalive_requests 100000000;
	keepalive_timeout 3600s;
	upstream exchange {{ server 127.0.0.1:{backend}; keepalive 64; }}
	server {{
		listen 127.0.0.1:{port} ssl backlog=4096;
		ssl_certificate {chain};
		ssl_certificate_key {key};
		{login}
		location / {{
			proxy_pass http://exchange;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header x-webobjects-remote-user bob@contoso.test;
		}}
	}}
}}
"""


class Phone:
    """One user's connection."""

    def __init__(self, proxy, certificate):
        self.line = proxy.dial(certificate=certificate, timeout=120)

    def ask(self):
        """How long it took, in seconds, and the status."""
        before = time.monotonic()
        status = self.line.request("OPTIONS", PATH).status
        return time.monotonic() - before, status


class Meter(threading.Thread):
    """Asks for one phone after the other, one request at a time, and writes down when and how long."""

    def __init__(self, phones):
        super().__init__(daemon=True)
        self.phones, self.seen, self.is_over = phones, [], False

    def run(self):
        at = 0
        while not self.is_over:
            begun = time.monotonic()
            took, status = self.phones[at % len(self.phones)].ask()
            self.seen.append((begun, took, status))
            at += 1

    def between(self, begin, end):
        return sorted(took for begun, took, _ in self.seen if begin <= begun <= end)


def percentile(values, share):
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def wake(proxy, certificates, ready, go, answers):
    """In a process of its own, so that it takes no time from who measures: all connect, wait for the word, ask at
    once, and read what comes."""
    phones = [Phone(proxy, certificate) for certificate in certificates]
    ready.set()
    go.wait()
    begun = time.monotonic()
    for phone in phones:
        phone.line.send(client.request_bytes("OPTIONS", PATH))
    statuses = {}
    for phone in phones:
        status = phone.line.read_answer().status
        statuses[status] = statuses.get(status, 0) + 1
    answers.put((begun, time.monotonic(), statuses))


class Way:
    """One way to log in: its servers, and easproxyd's options for it."""

    def __init__(self, case, backend):
        self.case, self.backend, self.folder = case, backend, tempfile.mkdtemp(prefix="way-", dir=case.directory)
        os.chmod(self.folder, 0o755)
        self.programs = []

    def stop(self):
        for program in reversed(self.programs):
            program.stop()

    def start_nginx(self, login=""):
        port = harness.free_port()
        with open(os.path.join(self.folder, "nginx.conf"), "w", encoding="ascii") as f:
            f.write(NGINX.format(folder=self.folder, port=port, backend=self.backend, login=login,
                                 chain=self.case.pki.server.certificate, key=self.case.pki.server.key))
        program = harness.Program("nginx", ["/usr/sbin/nginx", "-e", os.path.join(self.folder, "nginx-error.log"), "-c",
                                            os.path.join(self.folder, "nginx.conf")], self.folder)
        self.programs.append(program)
        harness.wait_for("nginx", lambda: harness.is_listening(port), None, program)
        return "https://localhost:%d" % port

    def start_proxy(self, url, upstream, **changes):
        proxy = harness.Proxy(self.case, url, harness.merge({
            "workers": WORKERS, "log": {"file": os.path.join(self.folder, "requests.log")},
            "limits": {"connections-per-source": 100000, "idle-time": "1h"}, "upstream exchange": harness.merge({
                "headers": None, "connections": 16000, "login-time": "60s", "login-queue": 10000}, upstream)},
            changes), name="easproxyd-%s" % os.path.basename(self.folder))
        harness.wait_for("easproxyd", lambda: harness.is_listening(proxy.port), None, proxy)
        proxy.wait_until_answering("bob")
        return proxy


class Kerberos(Way):
    name = "kerberos"

    def __init__(self, case, backend):
        from ad.domain import Domain
        from ad.httpd import Httpd
        super().__init__(case, backend)
        # A path that is short enough for its sockets.
        self.short = tempfile.mkdtemp(prefix="easproxy-ad-")
        self.domain = Domain(self.short, crowd=case.crowd_size, model="prefork").start()
        self.programs.append(self.domain)
        self.httpd = Httpd(os.path.join(self.folder, "httpd"), self.domain, [self.domain.keytab_of("svc-exchange")],
                           "http://127.0.0.1:%d" % backend, field="x-webobjects-remote-user")
        self.programs.append(self.httpd.start())

    def stop(self):
        super().stop()
        shutil.rmtree(self.short, ignore_errors=True)

    def start(self, each_time=False):
        from ad.domain import REALM
        port = self.httpd.per_request if each_time else self.httpd.bound
        return self.start_proxy(self.httpd.url(port), {
            "login": "kerberos", "login-user": "%{local-part}", "host": "exchange.contoso.test", "ca": self.domain.ca},
            **{"kerberos " + REALM: {"account": "svc-easproxy", "keytab": self.domain.keytab_of("svc-easproxy"),
                                     "kdcs": [self.domain.address]}})


class Minted(Way):
    name = "minted-certificate"

    def start(self, each_time=False):
        del each_time
        chain, key = os.path.join(self.folder, "users.pem"), os.path.join(self.folder, "users.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
                key, "-out", chain, "-subj", "/CN=Users", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
                "-addext", "keyUsage=critical,keyCertSign")
        os.chmod(key, 0o600)
        url = self.start_nginx("ssl_verify_client on; ssl_client_certificate %s;" % chain)
        return self.start_proxy(url, {"login": "minted-certificate", "ca": self.case.pki.ca}, **{
            "minted-certificate": {"issuer": chain, "key": key}})


class Bearer(Way):
    """The authorization server is the tests' stand-in: how soon it answers is its own affair."""
    name = "bearer"

    def start(self, each_time=False):
        from test_bearer import Keys, OauthServer
        del each_time
        world = types.SimpleNamespace(path=lambda *names: os.path.join(self.folder, *names), pki=self.case.pki,
                                      directory=self.folder, addCleanup=lambda _: None)
        keys = Keys(world, "rsa")
        server = OauthServer(world, keys, client_login="client_secret_basic",
                             users=["bob@contoso.test"] + ["user%d@contoso.test" % n for n in range(self.case.crowd_size)])
        self.programs.append(server)
        secret = os.path.join(self.folder, "client.secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write(server.settings["client_secret"] + "\n")
        os.chmod(secret, 0o600)
        return self.start_proxy(self.start_nginx(), {"login": "bearer", "ca": self.case.pki.ca}, bearer={
            "endpoint": server.url, "ca": self.case.pki.ca, "client-id": "easproxy", "client-secret-file": secret,
            "issuer": "easproxy", "scope": "eas.all", "key": keys.private})


def cpu_by_name(proxy):
    """CPU seconds that the processes of each name have used."""
    used = {}
    for pid in peek.family(proxy.pid):
        name = peek.name_of(pid)
        used[name] = used.get(name, 0) + cpu_of(pid)
    return used


def memory_by_name(proxy):
    used = {}
    for pid in peek.family(proxy.pid):
        name = peek.name_of(pid)
        used[name] = used.get(name, 0) + memory_of(pid)
    return used


def spent(before, after):
    return {name: after[name] - before.get(name, 0) for name in after}


def known_cost(proxy, phones, count):
    """CPU seconds of one request of phones that are known, by process."""
    for phone in phones:
        phone.ask()
    before = cpu_by_name(proxy)
    for n in range(count):
        _, status = phones[n % len(phones)].ask()
        assert status == 200, status
    return {name: used / count for name, used in spent(before, cpu_by_name(proxy)).items()}


def measure(way, sizes, crowd):
    result = types.SimpleNamespace(name=way.name)
    proxy = way.start()
    try:
        known, alone, rest = crowd[:sizes.known], crowd[sizes.known:sizes.known + sizes.alone], crowd[
            sizes.known + sizes.alone:]
        phones = [Phone(proxy, certificate) for certificate in known]
        for phone in phones:
            assert phone.ask()[1] == 200, proxy.tail()
        # One after the other, nobody else being there: what it adds to a request.
        before, firsts, seconds = cpu_by_name(proxy), [], []
        for certificate in alone:
            phone = Phone(proxy, certificate)
            firsts.append(phone.ask()[0])
            seconds.append(phone.ask()[0])
            phone.line.close()
        result.first_ms = 1e3 * (percentile(sorted(firsts), 0.5) - percentile(sorted(seconds), 0.5))
        result.first_cpu = {name: used / len(alone) for name, used in spent(before, cpu_by_name(proxy)).items()}
        # The crowd.
        memory = memory_by_name(proxy)
        meter = Meter(phones)
        meter.start()
        ready, go, answers = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
        waking = multiprocessing.Process(target=wake, args=(proxy, rest, ready, go, answers))
        waking.start()
        ready.wait()
        quiet_from = time.monotonic()
        time.sleep(sizes.quiet)  # a span of time to measure in, not a wait for something
        quiet_to = time.monotonic()
        go.set()
        begun, ended, result.statuses = answers.get(timeout=120)
        meter.is_over = True
        meter.join(60)
        waking.join(10)
        result.crowd, result.crowd_s = len(rest), ended - begun
        result.fresh_per_s = result.statuses.get(200, 0) / result.crowd_s
        result.before, result.during = meter.between(quiet_from, quiet_to), meter.between(begun, ended)
        result.wrong = sum(1 for _, _, status in meter.seen if status != 200)
        result.memory = {name: grown / len(rest) for name, grown in spent(memory, memory_by_name(proxy)).items()}
        result.known_cpu = known_cost(proxy, phones, sizes.requests)
    finally:
        proxy.stop()
    return result


def measure_tokens(way, sizes, crowd, kept):
    """Where the server wants a token with each request: what one costs that comes from a known ticket."""
    proxy = way.start(each_time=True)
    try:
        phones = [Phone(proxy, certificate) for certificate in crowd[:8]]
        cost = known_cost(proxy, phones, sizes.requests)
        threads = [threading.Thread(target=known_cost, args=(proxy, [phone], sizes.requests // 4)) for phone in phones]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        per_s = len(threads) * (sizes.requests // 4) / (time.monotonic() - begun)
        return {name: cost[name] - (kept.get(name, 0) if name == "eas-worker" else 0) for name in cost}, per_s
    finally:
        proxy.stop()


def named(costs, unit, names):
    return ", ".join("%s %.1f" % (name[4:], costs[name] * unit) for name in names if name in costs)


def print_table(results, sizes):
    row = "%-20s %13s %12s %22s %24s"
    print(row % ("", "first login", "logins", "known phones before,", "while a crowd logs in,"))
    print(row % ("", "(added)", "a second", "median / 99 %", "median / 99 %"))
    for r in results:
        before, during = ("%.2f / %.2f ms" % tuple(1e3 * percentile(values, share) for share in (0.5, 0.99))
                          for values in (r.before, r.during))
        print(row % (r.name, "%.1f ms" % r.first_ms, "%.0f" % r.fresh_per_s, before, during))
    for r in results:
        print("\n%s: %d phones of as many users woke at once, and had their answers after %.1f s: %s; meanwhile %d phones\n"
              "got %d answers, %d of them not 200. CPU of a first login, µs: %s. Memory per user whose login is\n"
              "known, kB: %s." % (
                  r.name, r.crowd, r.crowd_s, ", ".join("%d × %d" % (count, status) for status, count in sorted(
                      r.statuses.items())), sizes.known, len(r.during), r.wrong, named(
                      r.first_cpu, 1e6, ("eas-worker", "eas-identity") + HELPERS), named(
                      r.memory, 1e-3, ("eas-worker", "eas-identity") + HELPERS)))
        if hasattr(r, "token_cpu"):
            print("A token with each request, from a known ticket: %.0f a second; CPU, µs: %s." % (
                r.tokens_per_s, named(r.token_cpu, 1e6, ("eas-worker", "eas-identity", "eas-tokens"))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a crowd of 200")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--only", metavar="WAY", help="kerberos, minted-certificate or bearer")
    options = parser.parse_args()
    sizes = types.SimpleNamespace(known=50, alone=20 if options.quick else 50, crowd=200 if options.quick else 1000,
                                  quiet=1 if options.quick else 3, requests=400 if options.quick else 2000)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    results = []
    with tempfile.TemporaryDirectory(prefix="easproxy-bench-") as directory:
        os.chmod(directory, 0o755)
        count = sizes.known + sizes.alone + sizes.crowd
        pki = harness.Pki()
        case = types.SimpleNamespace(directory=directory, pki=pki, crowd_size=count,
                                     path=lambda *names: os.path.join(directory, *names))
        authority = pki.authority("issuing", tempfile.mkdtemp(dir=directory))
        crowd = list(issue_crowd(authority, ["user%d@contoso.test" % n for n in range(count)]).values())
        port = harness.free_port()
        backend = harness.Program("eassim", [
            harness.EASSIM, "serve", "--listen", "127.0.0.1:%d" % port, "--mails", "0", "--record", "0", "--quiet"],
            directory)
        try:
            harness.wait_for("eassim serve", lambda: harness.is_listening(port), None, backend)
            for make in [w for w in (Kerberos, Minted, Bearer) if not options.only or w.name == options.only]:
                print("measuring %s" % make.name, file=sys.stderr, flush=True)
                way = make(case, port)
                try:
                    result = measure(way, sizes, crowd)
                    if make is Kerberos:
                        result.token_cpu, result.tokens_per_s = measure_tokens(way, sizes, crowd, result.known_cpu)
                    results.append(result)
                finally:
                    way.stop()
        finally:
            backend.stop()
    print_table(results, sizes)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump([{key: value for key, value in vars(r).items() if key not in ("before", "during")}
                       for r in results], f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
