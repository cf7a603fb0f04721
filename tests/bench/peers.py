"""easproxyd and its peers, each as a reverse proxy that requires client certificates and looks at CRLs. What a peer is
configured with, and why that is its best, stands in peers/."""
import contextlib
import grp
import os
import pwd
import re
import signal
import socket
import subprocess
import time
import types

import accounting
import harness

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
MODULES = "/usr/lib/apache2/modules"
# A connection of a phone takes two files; some are left for the log, the upstream's idle connections and the like.
SPARE_FILES = 100
STOP_S = 60  # with tens of thousands of phones, on a busy machine


class Setup:
    """What all of them are started with."""

    def __init__(self, bench, crls, upstream, **options):
        self.bench, self.material, self.crls, self.upstream = bench, bench.material, crls, upstream
        self.workers = options.pop("workers", 1)
        self.is_rsa = options.pop("is_rsa", False)
        self.phones = options.pop("phones", 64)  # that wait at the same time
        self.changes = options.pop("changes", {})  # to easproxyd's configuration
        self.cores = options.pop("cores", accounting.PROXY_CORES)
        self.wrapper = options.pop("wrapper", [])  # what goes in front of the program
        assert not options, options


def from_template(name, directory, values):
    """Writes DIRECTORY/NAME from peers/NAME.in."""
    with open(os.path.join(TEMPLATES, name + ".in"), encoding="ascii") as f:
        text = re.sub("@([a-z_0-9]+)@", lambda found: str(values[found[1]]), f.read())
    path = os.path.join(directory, name)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


class Server:
    """One of them, running: one program, or several that share the port."""

    name = None
    start_seconds = 0.0

    def __init__(self, setup):
        self.setup = setup
        self.directory = setup.bench.new_directory(self.name)
        self.port = harness.free_port()
        self.programs = []
        began = time.monotonic()
        try:
            with accounting.pinned(setup.cores):
                self.start()
            self.wait_until_answering(setup.bench.patience)
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - began

    def start(self):
        raise NotImplementedError

    def wait_until_answering(self, seconds):
        harness.wait_for("%s to let a phone in" % self.name, lambda: self.setup.bench.is_let_in(self.port), seconds,
                         *self.programs)

    @property
    def pids(self):
        return [pid for program in self.programs for pid in accounting.family(program.pid)]

    def cpu_seconds(self):
        return sum(map(accounting.cpu_of, self.pids))

    def memory_bytes(self):
        return accounting.memory_bytes(self.pids)

    def reload(self):
        """Takes over what the files now say, without dropping a connection."""
        for program in self.programs:
            program.signal(signal.SIGHUP)

    def stop(self):
        for program in self.programs:
            family = accounting.family(program.pid)
            program.signal(signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                program.wait(STOP_S)
            program.stop()
            for pid in family[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def restart(self):
        """Stops, and starts again on the same port."""
        self.stop()
        self.programs = []
        harness.wait_for("port %d to be free" % self.port, self._is_port_free, STOP_S)
        with accounting.pinned(self.setup.cores):
            self.start()
        harness.wait_for("%s to listen again" % self.name, lambda: harness.is_listening(self.port), STOP_S, *self.programs)

    def _is_port_free(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", self.port))
            except OSError:
                return False
        return True

    def values(self, **more):
        setup = self.setup
        server = "server-rsa" if setup.is_rsa else "server"
        return dict({
            "directory": self.directory, "port": self.port, "upstream": setup.upstream.port,
            "scheme": setup.upstream.scheme, "workers": setup.workers, "descriptors": setup.bench.descriptors,
            "server_chain": setup.material.path(server + ".pem"), "server_key": setup.material.path(server + ".key"),
            "server_both": setup.material.path(server + "-both.pem"), "authorities": setup.material.authorities,
            "ca": setup.material.ca, "crls": setup.crls.pem}, **more)


class Easproxyd(Server):
    name = "easproxyd"

    @staticmethod
    def version():
        text = subprocess.run([harness.EASPROXYCTL, "version"], stdout=subprocess.PIPE, check=True).stdout.decode()
        return text.split()[-1]

    def start(self):
        setup = self.setup
        case = types.SimpleNamespace(directory=self.directory, pki=setup.material)
        server = setup.material.server_rsa if setup.is_rsa else setup.material.server
        # Nothing is switched off: what slows down a phone that asks too often is set to what no phone of the bench
        # reaches.
        upstream = "%s://127.0.0.1:%d" % (setup.upstream.scheme, setup.upstream.port)
        is_tls = setup.upstream.scheme == "https"
        # Under valgrind there can be no sandbox: the filter of system calls would refuse those of valgrind itself.
        arguments = ["--no-sandbox"] if setup.wrapper else []
        options = harness.merge({
            "workers": setup.workers, "log": {"format": "logfmt", "file": os.path.join(self.directory, "requests.log")},
            "drain-time": "5s",
            "limits": {"connections": 1000000, "connections-per-source": 1000000, "idle-time": "1h"},
            "listener phones": {
                "address": ["127.0.0.1:%d" % self.port],
                "certificate ecdsa": {"chain": server.certificate, "key": server.key}},
            "trust": {"store": setup.crls.trust},
            "revocation": {"size-limit": "100MB", "time-limit": "60s", "refresh": "1d"},
            "activesync": {"heartbeat-min": "60s", "storm-rate": 1000000, "loop-repeats": 1000, "request-rate": 60000},
            "upstream exchange": {
                "headers": ["x-webobjects-remote-user: %{mailbox}"], "connections": 20000,
                "host": "localhost" if is_tls else None, "ca": setup.material.ca if is_tls else None}}, setup.changes)
        self.programs = [harness.Proxy(case, upstream, options, arguments=arguments, wrapper=setup.wrapper)]

    def reload(self):
        """What an operator does who cannot wait until CRLs are looked at anyway."""
        subprocess.run([harness.EASPROXYCTL, "refresh", "-s", self.programs[0].control], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)


class Nginx(Server):
    name = "nginx"

    @staticmethod
    def version():
        text = subprocess.run(["/usr/sbin/nginx", "-v"], stderr=subprocess.PIPE, check=True).stderr.decode()
        return text.rpartition("/")[2].split()[0]

    def start(self):
        path = from_template("nginx.conf", self.directory, self.values())
        # Under valgrind the worker has to be able to open what valgrind has made before there were two users.
        user = ["-g", "user root;"] if self.setup.wrapper and os.getuid() == 0 else []
        self.programs = [harness.Program("nginx", self.setup.wrapper + [
            "/usr/sbin/nginx", "-e", os.path.join(self.directory, "nginx-error.log"), "-c", path, *user], self.directory)]


class Haproxy(Server):
    name = "HAProxy"

    @staticmethod
    def version():
        text = subprocess.run(["/usr/sbin/haproxy", "-v"], stdout=subprocess.PIPE, check=True).stdout.decode()
        return text.split()[2].split("-")[0]

    def start(self):
        setup = self.setup
        # As many processes as it takes to have two files for each phone, with room for uneven shares.
        files = setup.bench.descriptors - SPARE_FILES
        processes = max(1, -(-setup.phones * 2 // files))
        if processes > 1:
            processes = max(processes, -(-setup.phones * 23 // (10 * files)))
        server_tls = "ssl verify required ca-file %s verifyhost localhost sni str(localhost)" % setup.material.ca
        path = from_template("haproxy.cfg", self.directory, self.values(
            connections=files // 2, threads=1 if processes > 1 else setup.workers,
            server_tls=server_tls if setup.upstream.scheme == "https" else ""))
        command = setup.wrapper + ["/usr/sbin/haproxy", "-db", "-f", path]
        self.programs = [harness.Program("haproxy-%d" % n, command, self.directory) for n in range(processes)]

    def reload(self):
        """A new process beside the old one, which ends when its connections have (-sf): what the manual calls a
        hitless reload. The CRL does not fit through the runtime API, which takes no more than a buffer at once."""
        path = os.path.join(self.directory, "haproxy.cfg")
        with accounting.pinned(self.setup.cores):
            self.programs += [harness.Program("haproxy-next", [
                "/usr/sbin/haproxy", "-db", "-f", path, "-sf", *(str(p.pid) for p in self.programs)], self.directory)]


class Apache(Server):
    name = "Apache"

    @staticmethod
    def version():
        text = subprocess.run(["/usr/sbin/apache2", "-v"], stdout=subprocess.PIPE, check=True).stdout.decode()
        return text.split()[2].split("/")[-1]

    def start(self):
        setup = self.setup
        processes = setup.workers
        threads = max(64, -(-setup.phones * 11 // (10 * processes)))
        user = pwd.getpwuid(os.getuid()) if os.getuid() != 0 else pwd.getpwnam("www-data")
        path = from_template("apache.conf", self.directory, self.values(
            processes=processes, threads=threads, all_threads=processes * threads, modules=MODULES, user=user.pw_name,
            group=grp.getgrgid(user.pw_gid).gr_name))
        self.programs = [harness.Program("apache", ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", path], self.directory)]

    def reload(self):
        for program in self.programs:
            program.signal(signal.SIGUSR1)


ALL = (Easproxyd, Nginx, Haproxy, Apache)
