"""What root finds in running processes: bytes in their memory and in the memory files that they have
open, command lines, environments. Tests look there for secrets that must not be there, and in the one
process that must have them, so that a search that finds nothing anywhere is noticed."""
import os
import re
import signal
import subprocess

import harness

# For a build with sanitizers, which would keep cores away by itself and end in an orderly way.
AS_ANY_OTHER = {"ASAN_OPTIONS": "disable_coredump=0:handle_segv=0:detect_leaks=0"}
PIECE = 16 << 20
# AddressSanitizer's shadow, which holds no bytes of the program's and takes terabytes.
AREA_MAX = 4 << 30
KERNELS = ("[vvar]", "[vdso]", "[vsyscall]")


def family(pid):
    pids = [pid]
    for child in harness.children(pid):
        pids += family(child)
    return pids


def named(pid, name):
    """Those processes of a program that call themselves so."""
    return [one for one in family(pid) if name_of(one) == name]


def is_dead(pid):
    """It has ended, though its parent has not been told yet."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def name_of(pid):
    """What a process calls itself, without a worker's number: easproxyd, eas-worker, eas-identity; "": it has gone."""
    try:
        with open("/proc/%d/comm" % pid, encoding="ascii") as f:
            return re.sub(r"-\d+$", "", f.read().strip())
    except OSError:
        return ""


def areas(pid):
    """(from, to) of all that a process may read and that is no file's as it stands on the disk."""
    found = []
    with open("/proc/%d/maps" % pid, encoding="utf-8") as f:
        for line in f:
            place, access, _, _, _, *path = line.split(None, 5)
            path = path[0].strip() if path else ""
            begin, end = (int(part, 16) for part in place.split("-"))
            is_file = path.startswith("/") and not path.startswith("/memfd:") and "w" not in access
            if "r" in access and not is_file and path not in KERNELS and end - begin <= AREA_MAX:
                found.append((begin, end))
    return found


def in_memory(pid, needles):
    """The names of those needles, {name: bytes}, that are in a process's memory."""
    found, longest = set(), max(map(len, needles.values()))
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for begin, end in areas(pid):
            at = begin
            while at < end:
                memory.seek(at)
                try:
                    data = memory.read(min(PIECE + longest, end - at))
                except OSError:
                    break  # given back meanwhile
                found.update(name for name, needle in needles.items() if needle in data)
                at += PIECE
    return found


def in_descriptors(pid, needles):
    """Those that are in memory files which a process has open."""
    found, folder = set(), "/proc/%d/fd" % pid
    for number in os.listdir(folder):
        path = os.path.join(folder, number)
        try:
            if os.readlink(path).startswith("/memfd:"):
                with open(path, "rb") as f:
                    data = f.read()
                found.update(name for name, needle in needles.items() if needle in data)
        except FileNotFoundError:
            pass
    return found


def in_proc(pid, needles):
    """Those in its command line, its environment or its name."""
    data = b""
    for name in ("cmdline", "environ", "comm"):
        with open("/proc/%d/%s" % (pid, name), "rb") as f:
            data += f.read() + b"\n"
    return {name for name, needle in needles.items() if needle in data}


def private_key(name, path):
    """What gives a private key (PEM) away: its secret numbers, most significant byte first as files
    have them and last as OpenSSL computes with them, and a line of the file itself."""
    text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"], stdout=subprocess.PIPE,
                          check=True).stdout.decode()
    needles = {}
    for part, numbers in re.findall(r"^(priv|privateExponent|prime1|prime2):\n((?: +[0-9a-f:]+\n)+)", text, re.M):
        number = bytes.fromhex(re.sub(r"[^0-9a-f]", "", numbers)).lstrip(b"\0")
        needles["%s: %s" % (name, part)] = number
        needles["%s: %s, reversed" % (name, part)] = number[::-1]
    assert needles, text
    with open(path, encoding="ascii") as f:
        lines = [line.strip() for line in f if not line.startswith("-----")]
    # From the middle: the first ones of an RSA key are its modulus, which is public.
    needles[name + ": the file"] = lines[len(lines) // 2].encode()
    return needles


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
