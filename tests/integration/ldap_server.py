"""OpenLDAP's slapd with a directory of its own in one folder, on free loopback ports, with the
attributes of Active Directory that easproxyd looks at. Started, halted and stopped by pid."""
import os
import signal
import subprocess

from harness import free_port, is_listening, wait_for

BASE = "dc=contoso,dc=test"
READER = "cn=reader," + BASE
PASSWORD = "secret of the reader"

# Active Directory's attributes, under numbers of this test's own; compared without case, as there.
SCHEMA = """
attributetype ( 1.3.6.1.4.1.99999.1.1 NAME 'proxyAddresses'
    EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.2 NAME 'userPrincipalName'
    EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.3 NAME 'altSecurityIdentities'
    EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.4 NAME 'userAccountControl'
    EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.5 NAME 'objectSid'
    EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.99999.1.6 NAME 'certificateUserIds'
    EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.7 NAME 'memberOf'
    EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
objectclass ( 1.3.6.1.4.1.99999.2.1 NAME 'adPerson' SUP top AUXILIARY
    MAY ( proxyAddresses $ userPrincipalName $ altSecurityIdentities $ userAccountControl $ objectSid $
        certificateUserIds $ memberOf ) )
"""

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {folder}/ad.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCertificateFile {chain}
TLSCertificateKeyFile {key}
TLSCACertificateFile {ca}
idletimeout {idle}
{security}
database mdb
suffix "{suffix}"
rootdn "cn=root,{suffix}"
directory {folder}/data
maxsize 268435456
index objectClass,proxyAddresses,userPrincipalName,altSecurityIdentities,mail,objectSid eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
"""


def domain_text(base, people):
    return "dn: %s\nobjectClass: domain\ndc: %s\n\ndn: ou=people,%s\nobjectClass: organizationalUnit\nou: people\n\n" % (
        base, base[3:].partition(",")[0], base) + "".join(
            entry_text(name, attributes, base) for name, attributes in people.items())


def entry_text(name, attributes, base=BASE):
    lines = ["dn: uid=%s,ou=people,%s" % (name, base), "objectClass: inetOrgPerson", "objectClass: adPerson",
             "uid: " + name, "cn: " + name, "sn: " + name]
    for key, values in attributes.items():
        for value in values if isinstance(values, (list, tuple)) else [values]:
            lines.append("%s: %s" % (key, value))
    return "\n".join(lines) + "\n\n"


class Slapd:
    def __init__(self, folder, server, ca, people, idle=0, needs_tls=True, others=None):
        """people: name -> attributes, as text. others: such people of other domains beside BASE, beneath
        dc=test: base -> people."""
        self.folder, self.process = folder, None
        self.port, self.tls_port = free_port(), free_port()
        # libldap takes "localhost" for the name of this host, which is not in the certificate.
        self.url = "ldap://127.0.0.1:%d" % self.port
        self.tls_url = "ldaps://127.0.0.1:%d" % self.tls_port
        self.password_file = self.path("reader.password")
        os.makedirs(self.path("data"))
        self._write("ad.schema", SCHEMA)
        self._write("reader.password", PASSWORD + "\n", 0o600)
        self._write("slapd.conf", CONFIGURATION.format(
            folder=folder, chain=server.certificate, key=server.key, ca=ca, base=BASE, reader=READER, idle=idle,
            security="security tls=128" if needs_tls else "",
            suffix="dc=test" if others else BASE))
        self._add(people, others or {})

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def _write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def _add(self, people, others):
        text = "dn: dc=test\nobjectClass: domain\ndc: test\n\n" if others else ""
        text += domain_text(BASE, people)
        text += "dn: %s\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: %s\n\n" % (READER, PASSWORD)
        self._write("people.ldif", text + "".join(domain_text(*other) for other in others.items()))
        done = subprocess.run(["/usr/sbin/slapadd", "-q", "-f", self.path("slapd.conf"), "-l",
                               self.path("people.ldif")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError("slapadd: %s" % done.stdout.decode())

    def start(self):
        with open(self.path("slapd.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/slapd", "-d", "stats", "-f", self.path("slapd.conf"), "-h",
                 self.url + " " + self.tls_url],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for("slapd on its ports", lambda: is_listening(self.port) and is_listening(self.tls_port))
        return self

    def halt(self):
        """Returns once all of its threads have stopped: until then it may answer."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def searches(self):
        """How many it has been asked for."""
        with open(self.path("slapd.log"), encoding="utf-8", errors="replace") as f:
            return f.read().count(" SRCH base=")
