"""SOGo with its ActiveSync module, and what it needs (PostgreSQL, memcached, Dovecot, Postfix), from
Debian's packages, on free loopback ports, all of it in one folder, started and stopped by pid.

SOGo trusts the request header x-webobjects-remote-user; so the folder stands for a mail server that
only a proxy may reach. Each server runs under its own user, which takes root.
"""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess

from harness import free_port, wait_for
from server import Server

DOMAIN = "contoso.test"
HERE = os.path.dirname(os.path.abspath(__file__))


def answers(port, send, expected):
    """Whether a TCP server on that port says `expected` somewhere in its first answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(send)
            return expected in s.recv(4096)
    except OSError:
        return False


class Stack:
    def __init__(self, directory, users=("alice", "bob", "carol")):
        if os.geteuid() != 0:
            raise RuntimeError("SOGo's servers each run under a user of their own: run this as root")
        # UNIX sockets live here: 107 bytes of path at most.
        assert len(directory) < 60, directory
        self.directory, self.users, self.servers = directory, users, []
        self.port, self.imap, self.smtp, self.database = (free_port() for _ in range(4))
        self.url = "http://127.0.0.1:%d/SOGo" % self.port
        os.makedirs(self.path("log"), exist_ok=True)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def make(self, name, user, mode=0o755):
        os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.path(name), mode)
        shutil.chown(self.path(name), user, pwd.getpwnam(user).pw_gid)
        return self.path(name)

    def configure(self, template, target, **more):
        """A configuration file from its template: @name@ is filled in."""
        values = dict(vars(self), domain=DOMAIN, **more)
        with open(os.path.join(HERE, template), encoding="utf-8") as f:
            text = f.read()
        for name, value in values.items():
            text = text.replace("@%s@" % name, str(value))
        with open(self.path(target), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(target)

    def run(self, name, *arguments, stdin=None, **options):
        done = subprocess.run(arguments, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, check=False, **options)
        if done.returncode != 0:
            raise RuntimeError("%s failed: %s" % (name, done.stdout.decode(errors="replace")))
        return done.stdout

    def launch(self, name, arguments, ready, **options):
        server = Server(name, arguments, self.path("log", name + ".log"), **options)
        self.servers.append(server)
        wait_for("%s to answer" % name, ready, 60, server)

    def start(self):
        try:
            self._start_database()
            self._start_memcached()
            self._start_dovecot()
            self._start_postfix()
            self._start_sogo()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        while self.servers:
            # SOGo's watchdog takes ten seconds and more to end idle workers, with nothing to save.
            self.servers[-1].stop(1 if self.servers[-1].name == "sogod" else 10)
            self.servers.pop()

    def _start_database(self):
        postgres = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.make("pg", "postgres", 0o700)
        entry = pwd.getpwnam("postgres")
        self.run("initdb", postgres + "/initdb", "-D", self.path("pg", "data"), "-U", "postgres",
                 "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions",
                 cwd=self.path("pg"), user=entry.pw_uid, group=entry.pw_gid)
        # Nothing here outlives the test: no data is worth a wait for the disk.
        self.launch("postgres", [
            postgres + "/postgres", "-D", self.path("pg", "data"), "-p", str(self.database),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + self.path("pg"),
            "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
            "-c", "shared_buffers=32MB", "-c", "max_connections=150"],
            lambda: subprocess.run([postgres + "/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.database)],
                                   check=False).returncode == 0,
            user="postgres", directory=self.path("pg"), end=signal.SIGINT)
        rows = ", ".join("('{0}@{1}', '{0}@{1}', 'unused', '{2} Contoso', '{0}@{1}')".format(
            u, DOMAIN, u.capitalize()) for u in self.users)
        psql = (postgres + "/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                str(self.database))
        self.run("psql", *psql, "-U", "postgres", "-d", "postgres",
                 stdin=b"CREATE ROLE sogo LOGIN;\nCREATE DATABASE sogo OWNER sogo;\n")
        self.run("psql", *psql, "-U", "sogo", "-d", "sogo", stdin=(
            "CREATE TABLE users (c_uid text PRIMARY KEY, c_name text, c_password text, c_cn text, mail text);"
            "INSERT INTO users VALUES %s;" % rows).encode())

    def _start_memcached(self):
        sock = self.make("mc", "sogo") + "/sock"
        self.launch("memcached", ["memcached", "-s", sock, "-a", "0700", "-m", "32", "-U", "0"],
                    lambda: os.path.exists(sock), user="sogo")

    def _start_dovecot(self):
        self.make("mail", "mail", 0o700)
        # Whoever reaches this IMAP server is believed: SOGo itself knows no passwords.
        with open(self.path("passwd"), "w", encoding="ascii") as f:
            f.writelines("%s@%s:::::::nopassword=y allow_nets=127.0.0.0/8\n" % (u, DOMAIN) for u in self.users)
        config = self.configure("dovecot.conf.in", "dovecot.conf")
        self.launch("dovecot", ["/usr/sbin/dovecot", "-F", "-c", config],
                    lambda: answers(self.imap, b"", b"* OK"))
        # Dovecot tells HIGHESTMODSEQ only of a folder where a client has asked for CONDSTORE once; SOGo
        # makes its sync keys of it, and without it says "nothing new" for ever.
        for user in self.users:
            address = "%s@%s" % (user, DOMAIN)
            told = self.run("CONDSTORE", "doveadm", "-c", config, "exec", "imap", "-u", address, stdin=(
                b'a ENABLE CONDSTORE\r\nb LIST "" "*" RETURN (STATUS (HIGHESTMODSEQ))\r\nc LOGOUT\r\n'),
                env=dict(os.environ, USER=address))
            if b"HIGHESTMODSEQ 1" not in told:
                raise RuntimeError("Dovecot keeps no HIGHESTMODSEQ for %s: %s" % (address, told))

    def _start_postfix(self):
        self.make("postfix/etc", "root")
        self.make("postfix/queue", "root")
        self.make("postfix/data", "postfix", 0o700)
        with open(self.path("postfix/etc/mailboxes"), "w", encoding="ascii") as f:
            f.writelines("%s@%s ok\n" % (u, DOMAIN) for u in self.users)
        self.configure("postfix-main.cf.in", "postfix/etc/main.cf")
        self.configure("postfix-master.cf.in", "postfix/etc/master.cf")
        self.run("postfix check", "/usr/sbin/postfix", "-c", self.path("postfix/etc"), "check")
        self.launch("postfix", ["/usr/lib/postfix/sbin/master", "-c", self.path("postfix/etc"), "-d", "-s"],
                    lambda: answers(self.smtp, b"", b"220 "),
                    environment=dict(os.environ, LC_ALL="C", MAIL_CONFIG=self.path("postfix/etc")))

    def _start_sogo(self):
        for name in ("sogo", "sogo/defaults", "sogo/spool", "sogo/tmp"):
            self.make(name, "sogo", 0o750)
        plist = self.configure("sogod.plist.in", "sogo/defaults/sogod.plist")
        shutil.chown(plist, "sogo", "sogo")
        # GNUstep reads its paths from the file in GNUSTEP_CONFIG_FILE, HOME makes no difference to it;
        # sogod.plist in the folder named there outranks the package's own sogo.conf.
        with open("/etc/GNUstep/GNUstep.conf", encoding="utf-8") as f:
            lines = f.read().splitlines()
        with open(self.path("sogo/GNUstep.conf"), "w", encoding="utf-8") as f:
            for line in lines:
                if line.startswith("GNUSTEP_USER_DEFAULTS_DIR="):
                    line = "GNUSTEP_USER_DEFAULTS_DIR=" + self.path("sogo/defaults")
                f.write(line + "\n")
        listen = "127.0.0.1:%d" % self.port
        self.launch("sogod", [
            "/usr/sbin/sogod", "-WOUseWatchDog", "YES", "-WONoDetach", "YES", "-WOPort", listen,
            "-WOLogFile", "-", "-WOPidFile", self.path("sogo/sogod.pid")],
            lambda: answers(self.port, (
                "OPTIONS /SOGo/Microsoft-Server-ActiveSync HTTP/1.0\r\nHost: localhost\r\n"
                "x-webobjects-remote-user: %s@%s\r\nContent-Length: 0\r\n\r\n" % (self.users[0], DOMAIN)
            ).encode(), b"14.1"),
            user="sogo", directory=self.path("sogo"), environment={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": self.path("sogo"),
                "LOGNAME": "sogo", "USER": "sogo", "TMPDIR": self.path("sogo/tmp"),
                "GNUSTEP_CONFIG_FILE": self.path("sogo/GNUstep.conf")})

    def deliver(self, user, message):
        """Puts a message into the user's Inbox; it is there when this returns."""
        self.run("dovecot-lda", "/usr/lib/dovecot/dovecot-lda", "-c", self.path("dovecot.conf"), "-e", "-f",
                 "sender@elsewhere.test", "-d", user, stdin=message)
