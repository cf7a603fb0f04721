"""An Active Directory domain: Samba's domain controller, LDAP and KDC alone, from Debian's packages,
in one folder, on a loopback address of its own (its ports are fixed), so that several stand side by
side. Started, halted and stopped by pid."""
import glob
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
# What each may do stands in fill.py.
SERVICES = (READER, "svc-easproxy", "svc-nodeleg", "svc-kerbonly", "svc-exchange", "svc-exchange2")

SAMBA = """
[global]
    netbios name = DC1
    realm = {realm}
    workgroup = {workgroup}
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
    forwardable = true
    ticket_lifetime = {life}
    udp_preference_limit = 1
[realms]
    {realm} = {{
{kdcs}
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
    """crowd: so many people beside those with a name, user0 and so on, with addresses and no
    passwords. exchange: the name of the web server that svc-exchange stands for. model: samba's
    process model; with prefork several processes answer, which is for load."""

    def __init__(self, folder, realm=REALM, crowd=0, exchange=None, model="single"):
        if os.geteuid() != 0:
            raise RuntimeError("a domain controller has ports below 1024: run this as root")
        # UNIX sockets live here: 107 bytes of path at most.
        assert len(folder) < 60, folder
        self.folder, self.address, self.process = folder, free_address(), None
        self.realm, self.name, self.model = realm, realm.lower(), model
        self.base = ",".join("DC=" + part for part in self.name.split("."))
        self.url, self.tls_url = "ldap://" + self.address, "ldaps://" + self.address
        self.ca = self.path("ca.pem")
        self.krb5_config = self.kerberos_config("krb5.conf", self.address)
        self.keytab = self.keytab_of(READER)
        self.password_file = self.path("reader.password")
        self.passwords = {name: "Aa1-" + secrets.token_hex(12) for name in PEOPLE + SERVICES + ("Administrator",)}
        self._write("smb.conf", SAMBA.format(realm=realm, workgroup=realm.split(".", maxsplit=1)[0],
                                             address=self.address, folder=folder))
        self._write("reader.password", self.passwords[READER] + "\n", 0o600)
        self._write("fill.json", json.dumps({
            "passwords": self.passwords, "address": self.address, "folder": folder, "crowd": crowd,
            "exchange": exchange or "exchange." + self.name}), 0o600)
        self._make_certificates()
        self._provision()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def keytab_of(self, account):
        """The keys of one of SERVICES, readable by root alone."""
        return self.path(account + ".keytab")

    def principal(self, account):
        return "%s@%s" % (account, self.realm)

    def kerberos_config(self, name, *kdcs, life="10h"):
        """A krb5.conf with these KDCs, HOST or HOST:PORT, instead of the domain's own. life: for how long
        tickets are asked for."""
        self._write(name, KERBEROS.format(realm=self.realm, life=life, kdcs="\n".join(
            "        kdc = " + kdc for kdc in kdcs)))
        return self.path(name)

    def _write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def _make_certificates(self):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-keyout", self.path("ca.key"), "-out", self.ca, "-subj",
                "/CN=CA of the domain " + self.name, "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign")
        self.make_certificate("dc1", "dc1." + self.name, self.address)

    def make_certificate(self, file, name, address="127.0.0.1"):
        """A server's certificate of the domain's CA: the files FILE.pem and FILE.key of the folder."""
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                self.path(file + ".key"), "-out", self.path(file + ".csr"), "-subj", "/CN=" + name)
        self._write(file + ".ext", "subjectAltName=DNS:%s,IP:%s\nextendedKeyUsage=serverAuth\n" % (name, address))
        openssl("x509", "-req", "-in", self.path(file + ".csr"), "-CA", self.ca, "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-days", "30", "-extfile", self.path(file + ".ext"), "-out",
                self.path(file + ".pem"))
        os.chmod(self.path(file + ".key"), 0o600)

    def run(self, *arguments, **environment):
        """A program that is to find this domain. What it printed; if it fails, an error with that."""
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, **{"KRB5_CONFIG": self.krb5_config, "LDAPTLS_CACERT": self.ca,
                                                   **environment}), timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError("%s: %s%s" % (arguments[0], done.stdout.decode()[-2000:], done.stderr.decode()[-2000:]))
        return done.stdout.decode()

    def _provision(self):
        self.run("samba-tool", "domain", "provision", "--realm=" + self.realm,
                 "--domain=" + self.realm.split(".", maxsplit=1)[0],
                 "--server-role=dc", "--dns-backend=NONE", "--host-name=dc1", "--host-ip=" + self.address,
                 "--targetdir=" + self.path("dc"), "--adminpass=" + self.passwords["Administrator"],
                 "--option=interfaces=%s/8" % self.address, "--option=bind interfaces only=yes")
        for name in ("run/ncalrpc", "cache"):
            os.makedirs(self.path("dc", name), exist_ok=True)
        # Samba's modules belong to Debian's own interpreter, whatever python3 is in PATH.
        out = self.run("/usr/bin/python3", os.path.join(HERE, "fill.py"), self.path("smb.conf"),
                       self.path("fill.json"))
        self.sids = json.loads(out.splitlines()[-1])

    def start(self, clock_off_by=0):
        """clock_off_by: by how many seconds its clock is ahead of everybody else's."""
        environment = dict(os.environ, KRB5_CONFIG=self.krb5_config)
        if clock_off_by:
            environment.update(LD_PRELOAD=glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0],
                               FAKETIME="%+d" % clock_off_by, FAKETIME_DONT_FAKE_MONOTONIC="1")
        with open(self.path("console.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/samba", "-F", "--no-process-group", "-s", self.path("smb.conf"), "-M", self.model],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment)
        for port in (389, 636, 88):
            wait_for("samba on port %d" % port, lambda port=port: self._answers(port), 60)
        return self

    def _answers(self, port):
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex((self.address, port)) == 0

    def modify(self, name, ldif):
        """Changes somebody in the running directory, as its administrator."""
        self._change("dn: CN=%s,CN=Users,%s\nchangetype: modify\n%s" % (name, self.base, ldif))

    def add(self, name, ldif):
        self._change("dn: CN=%s,CN=Users,%s\nchangetype: add\n%s" % (name, self.base, ldif))

    def set_password(self, name):
        """A new one, whereupon keytabs that were made before are good for nothing."""
        self.run("samba-tool", "user", "setpassword", name, "--newpassword=Aa1-" + secrets.token_hex(12),
                 "--configfile=" + self.path("smb.conf"))

    def _change(self, ldif):
        self._write("change.ldif", ldif)
        self.run("ldapmodify", "-x", "-H", self.tls_url, "-D", "Administrator@" + self.name, "-w",
                 self.passwords["Administrator"], "-f", self.path("change.ldif"))

    def _signal(self, number):
        """To all of its processes: they are one group."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def halt(self):
        """It takes connections from now on, and says nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self):
        self._signal(signal.SIGCONT)

    def kill(self):
        """It is gone at once; start() brings it back with all that was in it."""
        self._signal(signal.SIGKILL)
        self.process.wait(5)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.go_on()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
