"""NIST's path validation test suite (PKITS 1.0.1, from Debian's python3-cryptography-vectors) against
easproxyctl verify: 224 cases in 247 runs, each one twice: with the intermediates that it needs, and with all
that PKITS has; always with all of its CRLs. A certificate that has to be refused is never accepted."""
import collections
import concurrent.futures
import os
import shutil
import subprocess
import unittest

import harness
from harness import EASPROXYCTL

PKITS = "/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data"
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "pkits.tsv")
ANCHOR = "TrustAnchorRootCertificate"
AT = "2012-01-01T00:00:00Z"  # PKITS 2011 is valid to the end of 2030

# Cases that come out otherwise than NIST says, all refused where they could be accepted, and why.
DEVIATIONS = {
    "4.1.4": "DSA is not among the algorithms that a phone's chain may have",
    "4.1.5": "DSA is not among the algorithms that a phone's chain may have",
}

Run = collections.namedtuple("Run", "number accept options leaf intermediates")


def case_of(number):
    return ".".join(number.split(".")[:3])


def read_table():
    runs = []
    with open(TABLE, encoding="ascii") as table:
        for line in table:
            if line.startswith("#"):
                continue
            number, expected, options, leaf, intermediates = line.rstrip("\n").split("\t")
            options = [] if options == "-" else options.replace(
                "nist-", "2.16.840.1.101.3.2.1.48.").split()
            intermediates = [] if intermediates == "-" else intermediates.split()
            runs.append(Run(number, expected == "accept", options, leaf, intermediates))
    return runs


class PkitsTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.assertTrue(os.path.isdir(PKITS), "python3-cryptography-vectors is not installed "
                                              "(scripts/install-packages test)")
        os.mkdir(self.path("ca"))
        shutil.copy(self.certificate(ANCHOR), self.path("ca"))
        self.all_authorities = sorted(
            name[:-4] for name in os.listdir(os.path.join(PKITS, "certs"))
            if not name.endswith("EE.crt") and name != ANCHOR + ".crt")
        self.runs = read_table()

    def certificate(self, name):
        return os.path.join(PKITS, "certs", name + ".crt")

    def verify(self, run, intermediates):
        done = subprocess.run(
            [EASPROXYCTL, "verify", "--ca", self.path("ca"), "--crl", os.path.join(PKITS, "crls"),
             "--at", AT, *run.options, self.certificate(run.leaf),
             *map(self.certificate, intermediates)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            check=False)
        self.assertIn(done.returncode, (0, 1), (run.number, done.stderr.decode()))
        first = done.stdout.decode().split("\n", 1)[0]
        self.assertEqual(first.startswith("accepted"), done.returncode == 0, first)
        return done.returncode == 0, first

    def judge_all(self, choose):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(lambda run: self.verify(run, choose(run)), self.runs))
        wrong = {}
        accepted = []
        for run, (is_accepted, words) in zip(self.runs, results):
            if is_accepted != run.accept:
                wrong.setdefault(case_of(run.number), f"{run.number} {run.leaf}: {words}")
            if is_accepted and not run.accept:
                accepted.append(run.number)
        cases = {case_of(run.number) for run in self.runs}
        print(f"\n{len(cases) - len(wrong)} of {len(cases)} cases as NIST has them, "
              f"{len(accepted)} accepted wrongly")
        for case, words in wrong.items():
            print(f"  {words} ({DEVIATIONS.get(case, 'NOT EXPECTED')})")
        self.assertEqual(accepted, [])
        return set(wrong), cases

    def test_with_the_intermediates_of_each_case(self):
        wrong, cases = self.judge_all(lambda run: run.intermediates)
        self.assertEqual(len(cases), 224)
        self.assertEqual(wrong, set(DEVIATIONS))

    def test_with_all_intermediates(self):
        wrong, _ = self.judge_all(lambda run: self.all_authorities)
        self.assertEqual(wrong, set(DEVIATIONS))


if __name__ == "__main__":
    unittest.main()
