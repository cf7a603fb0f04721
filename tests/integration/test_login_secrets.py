"""Who has which secret, and who may look: what easproxyd is given to log in with stays in the process that
needs it, and nobody else reads it there, alive or dead."""
import os
import resource
import signal
import ssl
import subprocess
import sys
import unittest

import client
import harness
import peek
from certificates import openssl
from harness import wait_for
from holders_case import HoldersCase, spawner_of
from ldap_server import BASE, PASSWORD, READER, Slapd

MINTER = "eas-minter"
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
# Run as another user: which of these files of that process can be read?
LOOK = """
import os, sys
for name in ("environ", "maps", "mem", "fd"):
    path = "/proc/%s/%s" % (sys.argv[1], name)
    try:
        os.listdir(path) if name == "fd" else open(path, "rb").close()
        print(name)
    except PermissionError:
        pass
"""


class PrivacyTest(HoldersCase):
    """With and without the sandbox."""

    def setUp(self):
        super().setUp()
        self.upstream = "http://127.0.0.1:%d" % self.start_recorder().port

    def start_as_nobody(self, *arguments):
        with open(self.pki.trust, encoding="ascii") as f:
            trust = self.write("trust.json", f.read(), 0o644)
        return self.start_proxy(self.upstream, {
            "user": "nobody", "workers": 1, "trust": {"store": trust}, "directory": {
                "backend": "ldap", "urls": ["ldap://127.0.0.1:%d" % harness.free_port()], "base": "dc=test",
                "bind": "none", "helpers": 1}}, arguments=arguments)

    @staticmethod
    def seen_by_nobody(pid):
        done = subprocess.run(["/usr/bin/python3", "-c", LOOK, str(pid)], user="nobody", group="nogroup", extra_groups=[],
                              stdout=subprocess.PIPE, check=True)
        return done.stdout.decode().split()

    def test_others_of_the_same_user_see_nothing(self):
        with subprocess.Popen(["sleep", "60"], user="nobody", group="nogroup", extra_groups=[]) as other:
            try:
                self.assertLessEqual({"environ", "maps", "fd"}, set(self.seen_by_nobody(other.pid)))
            finally:
                other.kill()
        for arguments in ((), ("--no-sandbox",)):
            with self.subTest(arguments=arguments):
                proxy = self.start_as_nobody(*arguments)
                wait_for("a helper of the directory", lambda p=proxy: peek.named(p.pid, "eas-directory"), None, proxy)
                for pid in peek.family(proxy.pid):
                    self.assertEqual(self.seen_by_nobody(pid), [], peek.name_of(pid))
                    with open("/proc/%d/limits" % pid, encoding="ascii") as f:
                        self.assertRegex(f.read(), r"Max core file size +0 +0 ", peek.name_of(pid))
                proxy.stop()

    def cores(self):
        return [name for name in os.listdir(self.directory) if name.startswith("core")]

    def test_a_crash_leaves_no_core(self):
        with open(CORE_PATTERN, encoding="ascii") as f:
            pattern = f.read().strip()
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, limits)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # Where cores go to a program or to another folder, whether one was left cannot be seen from here.
        if pattern[:1] not in "|/":
            subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], cwd=self.directory,
                           check=False)
            self.assertEqual(len(self.cores()), 1, pattern)
            os.unlink(self.path(self.cores()[0]))
        # Without a sandbox, which would forbid to write one.
        proxy = self.start_proxy(self.upstream, {"workers": 1}, arguments=("--no-sandbox",),
                                 environment=peek.AS_ANY_OTHER)
        for role in ("worker", "identity", "revocation", "control"):
            victim = proxy.pids(role)[0]
            os.kill(victim, signal.SIGSEGV)
            wait_for("another " + role, lambda r=role, v=victim: proxy.pids(r) not in ([], [v]), None, proxy)
            self.assertEqual(self.cores(), [], role)
        proxy.signal(signal.SIGSEGV)
        self.assertEqual(proxy.wait(), -signal.SIGSEGV)
        self.assertEqual(self.cores(), [])



class ConfiguredTest(HoldersCase):
    """Each secret is with those that need it, with nobody else, and in nothing that is said."""

    def begin(self, upstream, **changes):
        proxy = self.start_proxy(upstream, harness.merge({"workers": 1, "log": {"level": "debug"}}, changes))
        self.begin_trace(proxy, "bob@contoso.test")
        phone = self.phone(proxy, "bob")
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200, proxy.tail())
        self.assertEqual(phone.post("FolderSync", client.folder_sync()).status, 200, proxy.tail())
        return proxy, phone

    def test_keys_of_servers_and_passwords(self):
        """Passwords are read when they are used, and wiped."""
        self.add_key("ECDSA key", self.pki.server.key, ["eas-worker"], ["eas-worker"])
        self.add_key("RSA key", self.pki.server_rsa.key, ["eas-worker"], ["eas-worker"])
        slapd = Slapd(self.folder("slapd"), self.pki.server, self.pki.ca, {
            "bob": {"proxyAddresses": "SMTP:bob@contoso.test"}}).start()
        self.addCleanup(slapd.stop)
        self.add({"password of the directory": PASSWORD.encode()}, *[[spawner_of("eas-directory"), "eas-directory"]] * 2)
        recorder = self.start_recorder()
        proxy, phone = self.begin(
            "http://127.0.0.1:%d" % recorder.port,
            **{"listener phones": {"certificate rsa": {
                "chain": self.pki.server_rsa.certificate, "key": self.pki.server_rsa.key}},
               "directory": {
                "backend": "ldap", "urls": [slapd.tls_url], "base": BASE, "helpers": 1, "bind-name": READER, "ca": self.pki.ca,
                "bind-password-file": slapd.password_file},
               "upstream exchange": {
                "login": "basic", "basic-user": "%{mailbox}",
                "basic-password-file": self.add_text("basic-password", ["eas-worker"], ["eas-worker"], is_kept=False)}})
        self.add({"login": recorder.whole()[-1].header("Authorization").encode()[-40:]}, ["eas-worker"],
                 is_configured=False, is_kept=False)
        self.assert_held_by_their_holders_alone(proxy)
        self.assert_untold(self.said(proxy, phone))

    def make_users_authority(self):
        """Who signs the certificates that are minted."""
        chain, key = self.path("users.pem"), self.path("users.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
                key, "-out", chain, "-subj", "/CN=Users", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
                "-addext", "keyUsage=critical,keyCertSign")
        os.chmod(key, 0o600)
        return chain, key

    def start_endpoint(self, users=None):
        """It asks for client certificates, of that authority."""
        endpoint = self.start_recorder(certificate=self.pki.server)
        if users:
            endpoint.context.verify_mode = ssl.CERT_REQUIRED
            endpoint.context.load_verify_locations(users)
        return endpoint, "https://localhost:%d" % endpoint.port

    def test_the_key_that_certificates_are_minted_with(self):
        chain, key = self.make_users_authority()
        self.add_key("issuing key", key, [MINTER], [spawner_of(MINTER), MINTER])
        endpoint, url = self.start_endpoint(chain)
        proxy, phone = self.begin(url, **{
            "minted-certificate": {"issuer": chain, "key": key},
            "upstream exchange": {"login": "minted-certificate", "headers": None, "ca": self.pki.ca}})
        self.assertGreaterEqual(len(endpoint.whole()), 2)
        self.assert_held_by_their_holders_alone(proxy)
        self.assert_untold(self.said(proxy, phone, "upstream list", "upstream test --as bob@contoso.test"))

    def folder(self, name):
        os.mkdir(self.path(name))
        return self.path(name)


if __name__ == "__main__":
    unittest.main()
