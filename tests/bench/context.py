"""What all rows of the bench share: the folder, the certificates, the upstreams, how much is done, and who is measured."""
import os
import subprocess
import sys
import time

import accounting
import client
import driver
import material
import peers
import table


WARM_S = 1.5  # a span of time in which nothing happens, not a wait for something
PROBLEMS = (AssertionError, OSError, RuntimeError, client.Closed, subprocess.SubprocessError)


class Bench:
    """One run."""

    def __init__(self, directory, is_quick, who=peers.ALL):
        self.directory, self.is_quick, self.who = directory, is_quick, who
        os.chmod(directory, 0o755)
        self.descriptors = accounting.descriptors_max()
        self.patience = 30 if is_quick else 90
        self.material = material.Material(directory)
        self._upstreams, self._directories = {}, 0

    def few_peers(self):
        """All; with --quick, easproxyd and the first one, where each of them takes long to start."""
        return self.who[:2] if self.is_quick else self.who

    def scaled(self, full, quick):
        return quick if self.is_quick else full

    def new_directory(self, name):
        self._directories += 1
        path = os.path.join(self.directory, "%s-%d" % (name.lower(), self._directories))
        os.mkdir(path)
        os.chmod(path, 0o777)  # workers of nginx and httpd have users of their own
        return path

    def upstream(self, scheme="http"):
        if scheme not in self._upstreams:
            self._upstreams[scheme] = driver.Upstream(self, scheme)
        return self._upstreams[scheme]

    def is_let_in(self, port, name="bob"):
        """Whether that user's phone gets an answer on a new connection."""
        try:
            context = client.tls_context(self.material.ca, self.material.user(name))
            with client.Connection(port, context, timeout=10) as connection:
                return connection.request("OPTIONS", client.PATH).status == 200
        except (client.Closed, OSError):
            return False

    @staticmethod
    def say(what):
        print("measuring %s" % what, file=sys.stderr, flush=True)

    def start(self, crls, upstream=None, who=None, notes=None, **options):
        """Those of `who` that can be started; why one cannot goes to notes."""
        started = []
        for kind in who or self.who:
            try:
                started.append(kind(peers.Setup(self, crls, upstream or self.upstream(), **options)))
            except PROBLEMS as e:
                if kind is peers.Easproxyd:
                    stop(started)
                    raise
                if notes is not None:
                    notes[kind.name] = "does not start: %s" % first_line(e)
        return started

    def compare(self, servers, rounds, measure, notes=None, warm_ups=0):
        """{name: [measure(server) of each round]}, one round of each after the other, each round beginning with
        another. warm_ups: so many rounds before them do not count, and a pause follows, in which idle connections to the
        upstream show that they stay. A peer that fails is left out from then on, and notes say why; easproxyd may not
        fail."""
        values = {server.name: [] for server in servers}
        failed = set()
        for turn in range(-warm_ups, rounds):
            if warm_ups and turn == 0:
                time.sleep(WARM_S)
            first = turn % len(servers)
            for server in servers[first:] + servers[:first]:
                if server.name in failed:
                    continue
                try:
                    value = measure(server)
                    if turn >= 0:
                        values[server.name].append(value)
                except PROBLEMS as e:
                    if server.name == table.OURS:
                        raise
                    failed.add(server.name)
                    values[server.name] = []
                    if notes is not None:
                        notes[server.name] = first_line(e)
        return values

    def stop(self):
        for upstream in self._upstreams.values():
            upstream.stop()


def first_line(problem):
    return (str(problem).strip() or repr(problem)).splitlines()[0][:200]


def stop(servers):
    for server in servers:
        server.stop()
