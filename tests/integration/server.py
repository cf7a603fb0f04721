"""Server programs of others that tests start, each under the user that it wants, and stop by pid."""
import os
import pwd
import signal
import subprocess


class Server:
    """One server program. It leads a session of its own, so that its whole family can be ended."""

    def __init__(self, name, arguments, log, user=None, directory="/", environment=None, end=signal.SIGTERM):
        self.name, self.log, self.end = name, log, end
        identity = {}
        if user:
            entry = pwd.getpwnam(user)
            identity = {"user": entry.pw_uid, "group": entry.pw_gid,
                        "extra_groups": os.getgrouplist(user, entry.pw_gid)}
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=directory,
                env=environment or dict(os.environ, LC_ALL="C"), start_new_session=True, **identity)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "\n--- the end of %s ---\n%s" % (self.log, "".join(f.readlines()[-20:]))

    def stop(self, patience=10):
        if self.process.poll() is None:
            self.process.send_signal(self.end)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(5)
