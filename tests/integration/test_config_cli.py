"""easproxyd -t and easproxyctl: every fault of a configuration with its place, in one run, and
nothing started."""
import os
import re
import shutil
import struct
import subprocess
import unittest

import harness
from harness import EASPROXYCTL, EASPROXYD


class ConfigurationTest(harness.Case):
    def setUp(self):
        super().setUp()
        for name in ("server.pem", "server.key", "server-rsa.key", "trust.json"):
            shutil.copy(self.pki.path(name), self.path(name))
        self.good = """
user = ""
state-directory = "%s"
control-socket = ""
listener phones {
	address = {"127.0.0.1:%d"}
	certificate default {
		chain = "server.pem"
		key = "server.key"
	}
}
trust {
	store = "trust.json"
}
mailbox {
	domains = {"contoso.test"}
}
upstream exchange {
	endpoints = {"http://127.0.0.1:1"}
	headers = {"x-mailbox: %%{mailbox}"}
}
""" % (self.directory, harness.free_port())

    def run_program(self, *arguments):
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30, check=False, cwd=self.directory)
        return done.returncode, done.stdout.decode()

    def check(self, text, program=(EASPROXYD, "-t", "-c")):
        with open(self.path("easproxy.conf"), "w", encoding="utf-8") as f:
            f.write(text)
        return self.run_program(*program, self.path("easproxy.conf"))

    def line_of(self, text, needle):
        return text[:text.index(needle)].count("\n") + 1

    def test_a_good_one(self):
        status, output = self.check(self.good)
        self.assertEqual(status, 0, output)

    def keytab(self, principal, realm):
        """With one AES key, of nobody."""
        def counted(data):
            return struct.pack(">H", len(data)) + data
        entry = struct.pack(">H", 1) + counted(realm.encode()) + counted(principal.encode())
        entry += struct.pack(">IIB", 1, 0, 2) + struct.pack(">H", 18) + counted(b"\x01" * 32) + struct.pack(">I", 2)
        return b"\x05\x02" + struct.pack(">i", len(entry)) + entry

    def test_the_manuals_examples_of_logins_are_valid(self):
        with open(os.path.join(harness.ROOT, "docs", "man", "easproxy.conf.5.scd"), encoding="utf-8") as f:
            logins = f.read().split("\n# LOGINS\n")[1].split("\n# DEVICES\n")[0]
        examples = logins.split("```\n")[1::2]
        self.assertGreater(len(examples), 4)
        os.mkdir(self.path("tls"))
        for name, option in (("assertion", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])):
            subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", *option, "-subj", "/CN=" + name,
                            "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem")],
                           check=True, capture_output=True, timeout=60)
        shutil.copy(self.path("assertion.pem"), self.path("minting-ca.pem"))
        shutil.copy(self.path("assertion.key"), self.path("minting.key"))
        shutil.copy(self.pki.ca, self.path("tls", "corp-ca.pem"))
        for name, content in (("directory.password", b"x\n"),
                              ("easproxy.keytab", self.keytab("svc-easproxy", "CORP.EXAMPLE.COM"))):
            with open(self.path(name), "wb") as f:
                f.write(content)
        for name in os.listdir(self.directory):
            if name.endswith((".key", ".password", ".keytab")):
                os.chmod(self.path(name), 0o600)
        for example in examples:
            with self.subTest(example):
                text = re.sub(r"upstream exchange \{.*?\n\}\n", "", self.good, flags=re.S) + example
                # There is no token here; which key signs makes no difference to the rest.
                text = re.sub(r"\tkey-uri.*\n\tpkcs11.*\n\tpin-file.*\n", "\tkey = \"minting.key\"\n", text)
                if "algorithm" not in text:
                    text = text.replace("assertion.", "rsa.")
                if "login = minted-certificate" in text:
                    text += re.search(r"directory \{.*?\n\}\n", logins, re.S).group(0)
                status, output = self.check(text)
                self.assertEqual(status, 0, output + text)

    def test_each_fault_says_its_line_and_all_come_in_one_run(self):
        os.chmod(self.path("server.key"), 0o644)
        text = self.good
        for old, new in (('user = ""', 'colour = "blue"\nuser = ""'),
                         ("trust {", "trust {\n\tdepth = deep"),
                         ('store = "trust.json"', 'store = "missing.json"'),
                         ('endpoints = {"http://127.0.0.1:1"}', 'endpoints = {"gopher://127.0.0.1:1"}'),
                         ("%{mailbox}", "%{mailboks}"),
                         ('listener phones {', 'log {\n\tlevel = loud\n}\nlimits {\n\thead-time = "10 parsecs"\n}\n'
                          'listener phones {')):
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        status, output = self.check(text)
        self.assertEqual(status, 1, output)
        for needle in ("colour", "deep", "missing.json", "parsecs", "gopher", "mailboks", "loud", "server.key"):
            with self.subTest(needle):
                said = [l for l in output.splitlines() if needle in l]
                self.assertTrue(said, output)
                self.assertRegex(said[0], r"easproxy\.conf:%d: " % self.line_of(text, needle))
        self.assertEqual(len(set(output.splitlines())), len(output.splitlines()), "a fault is said twice")

    def test_faults_one_by_one(self):
        for name, old, new, expected in (
                ("the key of another certificate", 'key = "server.key"', 'key = "server-rsa.key"', "not the key"),
                ("no such file", 'chain = "server.pem"', 'chain = "nowhere.pem"', "nowhere.pem"),
                ("a file that is no certificate", 'chain = "server.pem"', 'chain = "trust.json"', "trust.json"),
                ("an address that does not resolve", 'address = {"127.0.0.1:', 'address = {"no-such-host.invalid:',
                 "no-such-host"),
                ("no listener", re.search(r"listener phones \{.*?\n\}\n", self.good, re.S).group(0), "", "listener"),
                ("no domains", 'domains = {"contoso.test"}', "", "domains"),
                ("a block that does not end", "mailbox {", "mailbox {{", ""),
                ("a line break in a header", "x-mailbox: ", "x-mailbox\\r\\nx: ", ""),
                ("a header that is the proxy's own", "x-mailbox: ", "Content-Length: ", "")):
            with self.subTest(name):
                self.assertIn(old, self.good)
                status, output = self.check(self.good.replace(old, new, 1))
                self.assertEqual(status, 1, output)
                self.assertRegex(output, r"easproxy\.conf:\d+: ")
                self.assertIn(expected, output)

    def test_the_same_address_twice(self):
        listener = re.search(r"listener phones \{.*?\n\}\n", self.good, re.S).group(0)
        status, output = self.check(self.good + listener.replace("phones", "again"))
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"easproxy\.conf:\d+: ")

    def test_nothing_starts_on_a_bad_one(self):
        with open(self.path("easproxy.conf"), "w", encoding="utf-8") as f:
            f.write(self.good.replace("domains", "domain"))
        status, output = self.run_program(EASPROXYD, "-c", self.path("easproxy.conf"))
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"easproxy\.conf:\d+: ")

    def test_easproxyctl_checks_too(self):
        self.assertEqual(self.check(self.good, (EASPROXYCTL, "check", "-c"))[0], 0)
        status, output = self.check(self.good.replace("domains", "domain"), (EASPROXYCTL, "check", "-c"))
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"easproxy\.conf:\d+: ")

    def test_every_command_says_how_it_is_used_when_it_is_asked(self):
        status, output = self.run_program(EASPROXYCTL, "--help")
        self.assertEqual(status, 0)
        self.assertTrue(all(len(line) <= 100 for line in output.splitlines()), output)
        names = [line.split()[0] for line in output.splitlines() if line.startswith("  ") and line[2].isalpha()]
        self.assertIn("explain", names)
        lines = [[name] for name in names if name not in ("version", "help")]
        lines += [["ca", name] for name in ("list", "add", "set", "remove", "import", "export", "lint")]
        lines += [["crl", name] for name in ("list", "refresh")]
        lines += [["user", name] for name in ("revoke", "allow", "show", "list")]
        for line in lines:
            usage = "usage: easproxyctl " + (" ".join(line) if line[0] != "crl" else "crl")
            for asked in (line + ["--help"], line + ["-h"], ["help"] + line):
                with self.subTest(asked):
                    status, output = self.run_program(EASPROXYCTL, *asked)
                    self.assertEqual(status, 0, output)
                    self.assertTrue(output.startswith(usage), output)
        self.assertEqual(self.run_program(EASPROXYCTL, "help", "frobnicate")[0], 2)
        self.assertEqual(self.run_program(EASPROXYCTL, "refusals", "--frobnicate")[0], 2)

    def test_the_sample_names_every_option(self):
        with open(os.path.join(harness.ROOT, "config", "options.def"), encoding="utf-8") as f:
            names = set(re.findall(r'^OPTION\(\w+, "([^"]+)"', f.read(), re.M))
        self.assertGreater(len(names), 40)
        with open(os.path.join(harness.ROOT, "config", "easproxy.conf"), encoding="utf-8") as f:
            sample = f.read()
        missing = [n for n in names if not re.search(r"^\s*#?%s = " % re.escape(n), sample, re.M)]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
