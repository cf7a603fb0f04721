"""What tests of logins by Kerberos stand on: Samba's domain controller as directory and KDC, Apache httpd with
mod_auth_gssapi where Exchange stands, and easproxyd between the two."""
import os
import shutil
import subprocess
import tempfile

import harness
from ad.domain import BASE, READER, REALM, Domain
from ad.httpd import Httpd
from certificates import general_names, principal_name, rfc822_name
from client import PATH
from harness import wait_for
from recorder import answer_bytes
from relay import Relay

SPN = "HTTP/exchange.contoso.test"
EXCHANGE = "exchange.contoso.test"


def say_for_whom(received, _):
    return answer_bytes(body=str(received.all("X-Remote-User")).encode())


def connections_to(port):
    """How many connections to that port of loopback are open."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        lines = [line.split() for line in f.readlines()[1:]]
    return sum(1 for line in lines if int(line[2].partition(":")[2], 16) == port and line[3] == "01")


class KerberosCase(harness.Case):
    """One domain for all tests of a class, and what each needs of web servers, certificates and proxies."""

    domain_options = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.domain = cls.start_domain(**cls.domain_options)
        cls.made = tempfile.mkdtemp(prefix="easproxy-kerberos-")
        cls.addClassCleanup(shutil.rmtree, cls.made, ignore_errors=True)
        cls.issuing = cls.pki.authority("issuing", cls.made)
        cls.certificates = {}

    @classmethod
    def start_domain(cls, **options):
        folder = tempfile.mkdtemp(prefix="easproxy-ad-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        domain = Domain(folder, **options)
        cls.addClassCleanup(domain.stop)
        return domain.start()

    @classmethod
    def certificate(cls, upn=None, mail=None):
        """With that Principal Name or that address in it, and no other name."""
        name = upn or mail
        if (upn, mail) not in cls.certificates:
            cls.certificates[upn, mail] = cls.issuing.issue(
                "kerberos-" + name.encode().hex(),
                general_names((principal_name if upn else rfc822_name)(name.encode())))
        return cls.certificates[upn, mail]

    def start_httpd(self, keytabs=None, answer=say_for_whom, recorder=None, **options):
        """In front of a recorder; without a word of the test's it says for whom it was asked."""
        self.recorder = recorder or self.start_recorder(answer)
        httpd = Httpd(self.folder("httpd"), self.domain, keytabs or [self.domain.keytab_of("svc-exchange")],
                      "http://127.0.0.1:%d" % self.recorder.port, **options)
        self.addCleanup(httpd.stop)
        return httpd.start()

    def folder(self, name):
        """A new one, which servers under users of their own get into."""
        path = tempfile.mkdtemp(prefix=name + "-", dir=self.directory)
        os.chmod(path, 0o755)
        return path

    def start_relay(self, domain=None, **options):
        relay = Relay(((domain or self.domain).address, 88), sized=True, **options)
        self.addCleanup(relay.stop)
        return relay

    def realm(self, domain=None, account="svc-easproxy", **changes):
        domain = domain or self.domain
        return harness.merge({"account": account, "keytab": domain.keytab_of(account), "kdcs": [domain.address]},
                             changes)

    def directory_options(self, **changes):
        return harness.merge({
            "backend": "ldap", "urls": [self.domain.tls_url], "ca": self.domain.ca, "base": BASE,
            "bind-name": "%s@%s" % (READER, REALM.lower()), "bind-password-file": self.domain.password_file,
            "filter": "(objectCategory=person)"}, changes)

    def start_kerberos(self, urls, upstream=None, realms=None, environment=None, **changes):
        """realms: name -> the options of its section; without, the domain's own."""
        sections = {"kerberos " + name: options for name, options in (realms or {REALM: self.realm()}).items()}
        self.proxy = self.start_proxy(urls, harness.merge({
            "directory": self.directory_options(), **sections, "upstream exchange": harness.merge({
                "login": "kerberos", "headers": None, "host": EXCHANGE, "ca": self.domain.ca}, upstream)}, changes),
            environment=environment)
        return self.proxy

    def dial(self, certificate):
        return self.proxy.dial(certificate=certificate)

    def ask(self, certificate, connection=None, method="OPTIONS", target=PATH):
        """The answer to one request, over a connection of its own or a kept one."""
        if connection is None:
            with self.dial(certificate) as connection:
                return self.ask(certificate, connection, method, target)
        answer = connection.request(method, target)
        self.assertIsNone(answer.header("WWW-Authenticate"), "asked for a login")
        self.assertNotEqual(answer.status, 401)
        return answer

    def assert_known_as(self, certificate, user, connection=None):
        answer = self.ask(certificate, connection)
        self.assertEqual((answer.status, answer.header("X-Remote-User")), (200, user), self.proxy.tail())

    def assert_refused(self, certificate, refusal, status, words=()):
        """And the log says why, in these words."""
        before = len(self.proxy.lines(refusal=refusal))
        answer = self.ask(certificate)
        self.assertEqual((answer.status, answer.header("X-Remote-User")), (status, None), self.proxy.tail())
        wait_for("a line with refusal %s" % refusal, lambda: len(self.proxy.lines(refusal=refusal)) > before, 5,
                 self.proxy)
        for word in words:
            self.assertIn(word, self.proxy.output())
        return answer

    def ctl(self, *arguments):
        done = subprocess.run([harness.EASPROXYCTL, *arguments, "-s", self.proxy.control], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()
