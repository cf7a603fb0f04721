"""Apache httpd with mod_auth_gssapi where Exchange's IIS stands: it lets nobody in but by Kerberos, says
in a field of each answer whom it took the sender for, and hands requests on to a backend. A port for
each of two kinds: on `per_request` every request brings a token of its own; on `bound` the first token
of a connection speaks for all requests after it, as IIS does unless told otherwise."""
import json
import os
import pwd
import shutil
import socket

from harness import free_port, wait_for
from server import Server

MODULES = ("mpm_event", "authn_core", "authz_core", "authz_user", "auth_gssapi", "headers", "setenvif", "ssl", "proxy",
           "proxy_http")

# The log tells whether a request brought a token, never the token.
CONFIGURATION = """
ServerRoot {folder}
ServerName {name}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
LogLevel warn auth_gssapi:info
LogFormat "{{\\"port\\":%{{local}}p,\\"peer\\":%{{remote}}p,\\"number\\":%k,\\"has_token\\":\\"%{{has_token}}e\\",\
\\"user\\":\\"%{{X-Remote-User}}o\\",\\"status\\":%>s,\\"method\\":\\"%m\\",\\"target\\":\\"%U%q\\"}}" requests
CustomLog {folder}/access.log requests
User www-data
Group www-data
{modules}
Mutex file:{folder}/run default
StartServers {processes}
ServerLimit {processes}
ThreadsPerChild 64
MaxRequestWorkers {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
AsyncRequestWorkerFactor 10
Timeout 3700
KeepAliveTimeout 120
MaxKeepAliveRequests {requests_each}
Listen {address}:{per_request}
Listen {address}:{bound}
AcceptFilter https none
SetEnvIf Authorization "^Negotiate " has_token
ProxyPreserveHost On
ProxyTimeout 3700
ProxyPass / {backend}/ disablereuse=On
{hosts}
"""

# mod_auth_gssapi takes nothing over from one Location into another: each has all of it.
HOST = """
<VirtualHost {address}:{port}>
    ServerName {name}
    SSLEngine on
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLCertificateFile {folder}/tls.pem
    SSLCertificateKeyFile {folder}/tls.key
    <Location />
        AuthType GSSAPI
        AuthName "Exchange"
        GssapiCredStore keytab:{folder}/keytab
        GssapiAllowedMech krb5
        GssapiLocalName Off
        GssapiConnectionBound {is_bound}
        Require valid-user
        Header always set X-Remote-User "expr=%{{REMOTE_USER}}"
        RequestHeader unset Authorization
        RequestHeader unset {field}
        {logins}
    </Location>
</VirtualHost>
"""


class Httpd:
    """folder: of its own. keytabs: whose services it may be called by. name: its own, with certificate of
    domain's CA. backend: where requests go then; it finds the sender in the field `field`: as Apache has
    it, or by `logins` (ACCOUNT@REALM: what to say instead), and nothing for whom is not in there.
    requests_each: after so many a connection is ended; 0: never. processes: of 64 threads each; a
    connection occupies one while it waits for its first request."""

    def __init__(self, folder, domain, keytabs, backend, name="exchange.contoso.test", field="X-Remote-User",
                 logins=None, requests_each=0, address="127.0.0.1", processes=2):
        self.folder, self.address = folder, address
        self.per_request, self.bound = free_port(), free_port()
        self.name, self.ca = name, domain.ca
        os.makedirs(self.path("run"))
        shutil.chown(self.path("run"), "www-data")
        domain.make_certificate("httpd-%d" % self.bound, name, address)
        for suffix in (".pem", ".key"):
            shutil.copy(domain.path("httpd-%d%s" % (self.bound, suffix)), self.path("tls" + suffix))
        self.use_keytabs(*keytabs)
        if logins is None:
            lines = ['RequestHeader set %s "expr=%%{REMOTE_USER}"' % field]
        else:
            lines = ["RequestHeader set %s %s \"expr=%%{REMOTE_USER} == '%s'\"" % (field, login, user)
                     for user, login in logins.items()]
        hosts = "".join(HOST.format(port=port, name=name, address=address, folder=folder, is_bound=is_bound, field=field,
                                    logins="\n        ".join(lines))
                        for port, is_bound in ((self.per_request, "Off"), (self.bound, "On")))
        with open(self.path("httpd.conf"), "w", encoding="ascii") as f:
            f.write(CONFIGURATION.format(
                folder=folder, name=name, address=address, per_request=self.per_request, bound=self.bound, backend=backend,
                requests_each=requests_each, processes=processes, threads=64 * processes, hosts=hosts, modules="\n".join(
                    "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so" % (m, m) for m in MODULES)))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def use_keytabs(self, *keytabs):
        """Takes effect at the next start. A keytab is two bytes of version, and its entries."""
        content = b"\x05\x02"
        for keytab in keytabs:
            with open(keytab, "rb") as f:
                content += f.read()[2:]
        with open(self.path("keytab"), "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(content)
        owner = pwd.getpwnam("www-data")
        os.chown(self.path("keytab"), owner.pw_uid, owner.pw_gid)

    def url(self, port):
        return "https://%s:%d" % (self.address, port)

    def start(self):
        # A token that was seen before is refused: nobody may send one twice.
        self.server = Server("httpd", ["/usr/sbin/apache2", "-f", self.path("httpd.conf"), "-DFOREGROUND"],
                             self.path("console.log"), environment={
                                 "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                                 "KRB5RCACHENAME": "file2:" + self.path("run", "replays")})
        wait_for("httpd to answer", lambda: self._answers(self.per_request) and self._answers(self.bound), 30,
                 self.server)
        return self

    def _answers(self, port):
        with socket.socket() as s:
            return s.connect_ex((self.address, port)) == 0

    def stop(self):
        self.server.stop()

    def requests(self, port=None, **fields):
        """What its log tells of each request that was answered, in that order: port, peer (the other end's
        port, which names the connection), number (of the requests before it there), has_token, user,
        status, method, target."""
        with open(self.path("access.log"), encoding="ascii", errors="replace") as f:
            lines = [json.loads(line) for line in f if line.endswith("\n")]
        for line in lines:
            line["has_token"] = line["has_token"] == "1"
        return [line for line in lines if (port is None or line["port"] == port) and all(
            line[name] == value for name, value in fields.items())]

    def wait_for_requests(self, count, **fields):
        """The same, once so many are there: it writes them down after it has answered."""
        wait_for("httpd to log %d requests" % count, lambda: len(self.requests(**fields)) >= count, None, self.server)
        return self.requests(**fields)
