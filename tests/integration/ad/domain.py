"""An Active Directory domain: Samba's domain controller, LDAP and KDC alone, from Debian's packages,
in one folder, on a loopback address of its own (its ports are fixed). Started and stopped by pid."""
import json
import os
import secrets
import signal
import socket
import subprocess

from certificates import openssl
from harness import wait_for

REALM, DOMAIN, BASE = "CONTOSO.TEST", "contoso.test", "DC=contoso,DC=test"
READER = "svc-ldap"
HERE = os.path.dirname(os.path.abspath(__file__))
PEOPLE = ("alice", "bob", "carol", "u1042", "erin", "frank", "grace", "heidi")

SAMBA = """
[global]
    netbios name = DC1
    realm = {realm}
    workgroup = CONTOSO
    server role = active directory domain controller
    server services = ldap, kdc
    disable netbios = yes
    interfaces = {address}/8
    bind interfaces only = yes
    ldap server require strong auth = yes
    tls enabled = yes
    tls cafile = {folder}/ca.pem
    tls certfile = {folder}/dc1.pem
    tls keyfile = {folder}/dc1.key
    private dir = {folder}/dc/private
    state directory = {folder}/dc/state
    cache directory = {folder}/dc/cache
    lock directory = {folder}/dc/run
    pid directory = {folder}/dc/run
    ncalrpc dir = {folder}/dc/run/ncalrpc
    binddns dir = {folder}/dc/bind-dns
    ntp signd socket directory = {folder}/dc/run/ntp_signd
    winbindd socket directory = {folder}/dc/run/winbindd
    logging = file
    log file = {folder}/samba.log
    log level = 1
"""

KERBEROS = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = {address}:88
    }}
"""


def free_address():
    """A loopback address on which nobody has the ports of a domain controller."""
    for _ in range(50):
        address = "127.88.%d.%d" % (secrets.randbelow(250) + 1, secrets.randbelow(250) + 1)
        try:
            for port in (88, 389, 464, 636, 3268, 3269):
                with socket.socket() as s:
                    s.bind((address, port))
        except OSError:
            continue
        return address
    raise RuntimeError("the ports of a domain controller are taken on all of loopback")


class Domain:
    def __init__(self, folder):
        if os.geteuid() != 0:
            raise RuntimeError("a domain controller has ports below 1024: run this as root")
        # UNIX sockets live here: 107 bytes of path at most.
        assert len(folder) < 60, folder
        self.folder, self.address, self.process = folder, free_address(), None
        self.url, self.tls_url = "ldap://" + self.address, "ldaps://" + self.address
        self.ca = self.path("ca.pem")
        self.krb5_config = self.path("krb5.conf")
        self.keytab = self.path(READER + ".keytab")
        self.password_file = self.path("reader.password")
        self.passwords = {name: "Aa1-" + secrets.token_hex(12) for name in PEOPLE + (READER, "Administrator")}
        self._write("krb5.conf", KERBEROS.format(realm=REALM, address=self.address))
        self._write("smb.conf", SAMBA.format(realm=REALM, address=self.address, folder=folder))
        self._write("reader.password", self.passwords[READER] + "\n", 0o600)
        self._write("passwords.json", json.dumps(self.passwords), 0o600)
        self._make_certificates()
        self._provision()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def _write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def _make_certificates(self):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-days", "30", "-keyout", self.path("ca.key"), "-out", self.ca, "-subj",
                "/CN=CA of the domain", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign")
        openssl("req", *key, "-keyout", self.path("dc1.key"), "-out", self.path("dc1.csr"), "-subj",
                "/CN=dc1." + DOMAIN)
        self._write("dc1.ext", "subjectAltName=DNS:dc1.%s,IP:%s\nextendedKeyUsage=serverAuth\n" % (
            DOMAIN, self.address))
        openssl("x509", "-req", "-in", self.path("dc1.csr"), "-CA", self.ca, "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-days", "30", "-extfile", self.path("dc1.ext"), "-out", self.path("dc1.pem"))
        os.chmod(self.path("dc1.key"), 0o600)

    def _run(self, *arguments):
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, KRB5_CONFIG=self.krb5_config,
                                       LDAPTLS_CACERT=self.ca), timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError("%s: %s%s" % (arguments[0], done.stdout.decode()[-2000:], done.stderr.decode()[-2000:]))
        return done.stdout.decode()

    def _provision(self):
        self._run("samba-tool", "domain", "provision", "--realm=" + REALM, "--domain=CONTOSO",
                  "--server-role=dc", "--dns-backend=NONE", "--host-name=dc1", "--host-ip=" + self.address,
                  "--targetdir=" + self.path("dc"), "--adminpass=" + self.passwords["Administrator"],
                  "--option=interfaces=%s/8" % self.address, "--option=bind interfaces only=yes")
        for name in ("run/ncalrpc", "cache"):
            os.makedirs(self.path("dc", name), exist_ok=True)
        out = self._run("/usr/bin/python3", os.path.join(HERE, "fill.py"), self.path("smb.conf"),
                        self.path("passwords.json"), self.address, self.folder)
        self.sids = json.loads(out.splitlines()[-1])

    def start(self):
        with open(self.path("console.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/samba", "-F", "--no-process-group", "-s", self.path("smb.conf"), "-M", "single"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=dict(os.environ, KRB5_CONFIG=self.krb5_config))
        for port in (389, 636, 88):
            wait_for("samba on port %d" % port, lambda port=port: self._answers(port), 60)
        return self

    def _answers(self, port):
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex((self.address, port)) == 0

    def modify(self, name, ldif):
        """Changes somebody in the running directory, as its administrator."""
        self._write("change.ldif", "dn: CN=%s,CN=Users,%s\nchangetype: modify\n%s" % (name, BASE, ldif))
        self._run("ldapmodify", "-x", "-H", self.tls_url, "-D", "Administrator@" + DOMAIN, "-w",
                  self.passwords["Administrator"], "-f", self.path("change.ldif"))

    def add(self, name, ldif):
        self._write("change.ldif", "dn: CN=%s,CN=Users,%s\nchangetype: add\n%s" % (name, BASE, ldif))
        self._run("ldapmodify", "-x", "-H", self.tls_url, "-D", "Administrator@" + DOMAIN, "-w",
                  self.passwords["Administrator"], "-f", self.path("change.ldif"))

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(5)
