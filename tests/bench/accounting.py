"""What a program costs, by the kernel's own account: CPU time of all its threads, memory of all its processes (PSS: pages
that several share are counted once), the kernel's slab, and system calls."""
import contextlib
import glob
import os
import re
import resource
import signal
import subprocess
import tempfile
import time

import harness

CORES = sorted(os.sched_getaffinity(0))
# The proxies have the first core to themselves; load, upstream and whoever measures share the others.
PROXY_CORES = {CORES[0]}
OTHER_CORES = set(CORES[1:]) or PROXY_CORES


@contextlib.contextmanager
def pinned(cores):
    """What is started meanwhile stays on these cores, with all that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid):
    pids = [pid]
    for child in harness.children(pid):
        pids += family(child)
    return pids


def _proportional(pid, field):
    """A line of smaps_rollup, in bytes; 0 when the process has ended."""
    try:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
            return int(re.search(r"^%s:\s+(\d+)" % field, f.read(), re.M).group(1)) * 1024
    except (OSError, AttributeError):
        return 0


def memory_of(pid):
    """Proportional set size of one process, in bytes."""
    return _proportional(pid, "Pss")


def memory_files(pids):
    """Bytes of all memory files (memfd_create) that these processes hold or map: they are there as a whole, also where
    no process has touched a page yet."""
    sizes = {}
    for pid in pids:
        paths = glob.glob("/proc/%d/fd/*" % pid)
        with contextlib.suppress(OSError), open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as f:
            for line in f:
                if "/memfd:" in line:
                    # As map_files names them: without leading zeros.
                    first, _, last = line.split()[0].partition("-")
                    paths.append("/proc/%d/map_files/%x-%x" % (pid, int(first, 16), int(last, 16)))
        for path in paths:
            with contextlib.suppress(OSError):
                if os.readlink(path).startswith("/memfd:"):
                    found = os.stat(path)
                    sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def memory_bytes(pids):
    """Of all these processes together."""
    mapped = sum(_proportional(pid, "Pss_Shmem") for pid in pids)
    return sum(map(memory_of, pids)) - mapped + max(mapped, memory_files(pids))


def cpu_of(pid):
    """The seconds that all threads of one process have used."""
    total = 0
    for stat in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            with open(stat, encoding="ascii") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass  # a thread that has just ended
    return total / 1e9


def cpu_seconds(pid):
    return sum(map(cpu_of, family(pid)))


# What a connection has there. Names that other work on the machine moves about (dentry, kmalloc) are left out.
SLABS = ("TCP", "TCPv6", "sock_inode_cache", "filp", "lsm_file_cache", "eventpoll_epi", "ep_head")


def slab_bytes():
    """The kernel's small objects for sockets and files, and of what epoll remembers; None where it does not tell."""
    try:
        with open("/proc/slabinfo", encoding="ascii") as f:
            lines = [line.split() for line in f]
    except OSError:
        return None
    return sum(int(words[1]) * int(words[3]) for words in lines if words[0] in SLABS)


def descriptors_max():
    """The files that one process may have here: what bounds connections."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return limit


class SystemCalls:
    """Counts the system calls of a program's processes by strace, while it runs. What takes CPU time meanwhile is
    strace: such a round measures nothing else."""

    def __init__(self, pids):
        self.file = tempfile.NamedTemporaryFile(mode="r", prefix="easproxy-strace-")
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-c", "-S", "calls", "-o", self.file.name] + [
                word for pid in pids for word in ("-p", str(pid))], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 5
        while not all(self._is_traced(pid) for pid in pids):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise OSError("strace does not get hold of the processes: %s" % self._give_up())
            time.sleep(0.02)

    @staticmethod
    def _is_traced(pid):
        tracers = []
        for status in glob.glob("/proc/%d/task/*/status" % pid):
            with contextlib.suppress(OSError), open(status, encoding="ascii") as f:
                tracers.append(re.search(r"^TracerPid:\s+(\d+)", f.read(), re.M).group(1) != "0")
        return all(tracers)

    def _give_up(self):
        self.process.kill()
        return self.process.communicate()[1].decode().strip()

    def stop(self):
        """{name: calls} since the beginning."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        counts = {}
        with self.file as f:
            for line in f:
                found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
                if found and found[2] != "total":
                    counts[found[2]] = int(found[1])
        return counts
