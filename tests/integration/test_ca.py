"""easproxyctl ca: the trust store changed while easproxyd runs, exported and imported, and its CRL
locations tried against a real web server."""
import base64
import json
import os
import random
import socket
import subprocess
import threading
import time
import unittest

import certificates
import client
import crls
import harness
from certificates import openssl
from harness import EASPROXYCTL, wait_for

URL = "http://pki.contoso.test/issuing.crl"


class CaCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.store = self.path("trust.json")

    def ca(self, *arguments, stdin=""):
        """Runs easproxyctl ca on the test's store. Returns exit status and all output."""
        done = subprocess.run([EASPROXYCTL, "ca", *arguments, *self.where()], input=stdin.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        return done.returncode, done.stdout.decode()

    def where(self):
        return ["--store", self.store]

    def ca_done(self, *arguments, **options):
        status, output = self.ca(*arguments, **options)
        self.assertEqual(status, 0, output)
        return output

    def ca_refused(self, *arguments, **options):
        """A change that fails, and leaves the file as it was, to the byte and to the inode."""
        before, was = self.content(), os.stat(self.store)
        status, output = self.ca(*arguments, **options)
        self.assertEqual(status, 1, output)
        self.assertEqual(self.content(), before)
        now = os.stat(self.store)
        self.assertEqual((now.st_ino, now.st_mtime_ns), (was.st_ino, was.st_mtime_ns))
        return output

    def content(self):
        with open(self.store, "rb") as f:
            return f.read()

    def entries(self):
        return json.loads(self.content())["certificateAuthorities"]

    def subjects(self):
        return [entry["subject"] for entry in json.loads(self.ca_done("list", "--json"))]

    def base64(self, path):
        return base64.b64encode(openssl("x509", "-in", path, "-outform", "DER")).decode()

    def authority_pem(self, name):
        return self.pki.path("authority", name + ".pem")

    def alone(self, path):
        """The first certificate of a file with a chain."""
        out = path + ".alone"
        openssl("x509", "-in", path, "-out", out)
        return out

    def new_root(self, name):
        made = certificates.self_signed(self.directory, name, None, ca=True)
        return certificates.Authority(name, made.certificate, made.key, self.directory)

    def write(self, name, value):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        return self.path(name)

    def write_configuration(self, changes=None):
        return self.write("easproxy.conf", harness.configuration_text(harness.merge({
            "user": "", "state-directory": self.directory, "control-socket": self.path("control.sock"),
            "listener phones": {"address": ["127.0.0.1:%d" % harness.free_port()],
                                "certificate a": {"chain": self.pki.server.certificate,
                                                  "key": self.pki.server.key}},
            "trust": {"store": self.store}, "mailbox": {"domains": ["contoso.test"]},
            "upstream exchange": {"endpoints": ["http://127.0.0.1:1"], "login": "header",
                                  "headers": ["X-Mailbox: %{mailbox}"]}}, changes)))

    def write_usual_store(self):
        certificates.write_trust_store(self.store, [
            (self.authority_pem(name), name == "root", "file:" + self.pki.path("crl", name + ".crl"))
            for name in ("root", "issuing")])


class LiveTest(CaCase):
    def setUp(self):
        super().setUp()
        self.write_usual_store()
        self.recorder = self.start_recorder()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "trust": {"store": self.store}, "drain-time": "1s"})
        self.proxy.wait_until_answering()

    def where(self):
        return ["-c", self.proxy.config_path]

    def gets_in(self, certificate):
        try:
            with self.proxy.dial(certificate=certificate) as connection:
                return connection.request("OPTIONS", client.PATH).status == 200
        except (client.Closed, OSError):
            return False

    def issue(self, authority, name):
        return authority.issue(name, certificates.general_names(
            certificates.principal_name((name + "@contoso.test").encode())))

    def test_an_added_authority_counts_without_a_restart_and_a_removed_one_no_more(self):
        root = self.new_root("Partner Root")
        dave = self.issue(root, "dave")
        self.assertFalse(self.gets_in(dave))
        output = self.ca_done("add", root.certificate, "--root")
        self.assertIn("added CN=Partner Root,O=Test (root)", output)
        self.assertIn("easproxyd has taken it over", output)
        wait_for("dave to get in", lambda: self.gets_in(dave), None, self.proxy)
        self.assertIn("removed CN=Partner Root", self.ca_done("remove", "Partner Root"))
        wait_for("dave to be shut out", lambda: not self.gets_in(dave), None, self.proxy)
        self.assertTrue(self.gets_in(self.pki.user("bob")))
        self.assertIsNone(self.proxy.process.poll())

    def test_other_terms_count_without_a_restart(self):
        root = self.new_root("Partner Root")
        dave = self.issue(root, "dave")
        nowhere = "file:" + self.path("nothing.crl")
        self.ca_done("add", root.certificate, "--root", "--crl", nowhere)
        wait_for("the new workers", lambda: self.gets_in(self.pki.user("bob")), None, self.proxy)
        self.assertFalse(self.gets_in(dave))
        self.ca_done("set", "Partner Root", "--exempt-until", "2099-01-01", "--exempt-reason", "no CRL yet")
        self.assertEqual(self.entries()[2]["revocationExemptReason"], "no CRL yet")
        wait_for("dave to get in", lambda: self.gets_in(dave), None, self.proxy)
        self.ca_done("set", "Partner Root", "--exempt-until", "")
        self.assertNotIn("revocationExemptReason", self.entries()[2])
        wait_for("dave to be shut out", lambda: not self.gets_in(dave), None, self.proxy)
        self.ca_done("set", "Partner Root", "--crl", "")
        wait_for("dave to get in again", lambda: self.gets_in(dave), None, self.proxy)

    def test_a_rule_says_for_which_mailboxes_an_authority_may_vouch(self):
        alice, bob = self.pki.user("alice"), self.pki.user("bob")
        self.assertTrue(self.gets_in(alice) and self.gets_in(bob))
        self.ca_done("set", "2", "--rule", "alice@contoso.test,example.org")
        wait_for("bob to be shut out", lambda: not self.gets_in(bob), None, self.proxy)
        self.assertTrue(self.gets_in(alice))
        self.assertTrue(self.proxy.lines(refusal="issuer-not-allowed"))
        # A policy that their certificates do not assert.
        self.ca_done("set", "2", "--rule", "1.3.6.1.4.1.99999.1=contoso.test")
        wait_for("alice to be shut out too", lambda: not self.gets_in(alice), None, self.proxy)
        self.ca_done("set", "2", "--rule", "")
        wait_for("bob to get in again", lambda: self.gets_in(bob), None, self.proxy)

    def test_a_separate_signer_of_crls_counts_once_it_is_added(self):
        """Of the authority's name, with a key of its own, certified by the root for that alone."""
        issuing, bob = self.pki.authority("issuing", self.directory), self.pki.user("bob")
        signer = self.alone(self.pki.authority("root", self.directory).issue(
            "crl-signer", purpose=None, extra="keyUsage = critical, cRLSign",
            subject="/O=Contoso (demo)/CN=Contoso Issuing CA").certificate)
        maker = crls.Maker(issuing)
        os.makedirs(self.path("crl"))

        def publish(*revoked):
            crls.put(self.path("crl", "issuing.crl"), maker.make(revoked, key=self.path("crl-signer.key")))
        publish()
        self.ca_done("set", "2", "--crl", "file:" + self.path("crl", "issuing.crl"))
        wait_for("bob to be shut out", lambda: not self.gets_in(bob), None, self.proxy)
        self.assertTrue(self.proxy.lines("crl-failed"))
        self.assertIn("Contoso Issuing CA", self.ca_done("add", signer, "--crl-signer"))
        wait_for("bob to get in", lambda: self.gets_in(bob), None, self.proxy)
        publish(self.pki.user("alice").certificate)
        wait_for("alice to be shut out", lambda: not self.gets_in(self.pki.user("alice")), None, self.proxy)
        self.assertTrue(self.gets_in(bob))
        # It vouches for nobody.
        self.assertFalse(self.gets_in(self.issue(certificates.Authority(
            "crl-signer", signer, self.path("crl-signer.key"), self.directory), "mallory")))

    def test_a_reload_that_is_refused_puts_the_old_file_back(self):
        before = self.content()
        with open(self.proxy.config_path, "a", encoding="utf-8") as f:
            f.write("\ncolour = \"blue\"\n")
        status, output = self.ca("add", self.new_root("Partner Root").certificate, "--root")
        self.assertEqual(status, 1, output)
        self.assertIn("easproxyd does not take it over", output)
        self.assertIn("is as it was before", output)
        self.assertEqual(self.content(), before)
        self.assertTrue(self.gets_in(self.pki.user("bob")))

    def test_faults_change_nothing(self):
        directory = self.directory
        leaf = self.path("leaf.pem")
        openssl("x509", "-in", self.pki.user("bob").certificate, "-out", leaf)
        orphan = self.alone(self.new_root("Stranger").issue("orphan", ca=True).certificate)
        weak_key, weak = self.path("weak.key"), self.path("weak.pem")
        openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", weak_key, "-out", weak, "-subj", "/CN=Weak",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        expired = self.alone(self.pki.authority("root", directory).issue(
            "expired", ca=True, start="20200101000000Z", end="20210101000000Z").certificate)
        for words, arguments in (
                ("not a CA (basicConstraints", ("add", leaf, "--intermediate")),
                ("no valid path to a root", ("add", orphan, "--intermediate")),
                ("is self-signed: say --root", ("add", weak, "--intermediate")),
                ("an RSA key of 1024 bits", ("add", weak, "--root")),
                ("not self-signed", ("add", self.authority_pem("issuing"), "--root")),
                ("certificate: the same as authority 2's", ("add", self.authority_pem("issuing"), "--intermediate")),
                (": expired", ("add", expired, "--intermediate")),
                ("is not one of chain, leaf, none", ("set", "2", "--check", "perhaps")),
                ("is not a time", ("set", "2", "--grace", "12")),
                ("must begin with http://host", ("set", "2", "--crl", "https://x/y")),
                ("no root authority", ("remove", "1")),
                ("there is no authority 3", ("remove", "3")),
                ("there is no authority \"Nobody\"", ("set", "Nobody", "--grace", "1h")),
                ("line 1: ", ("import", self.write("broken.json", "{"))),
                ("must be a list", ("import", self.write("empty.json", "{}")))):
            with self.subTest(words):
                self.assertIn(words, self.ca_refused(*arguments))
        self.assertEqual(self.proxy.lines("reloaded"), [])

    def test_a_dry_run_judges_the_phones_that_came(self):
        partner = self.new_root("Partner Root")
        dave = self.issue(partner, "dave")
        add = ("add", partner.certificate, "--root")
        self.assertFalse(self.gets_in(dave))
        # What workers have seen is written down within seconds.
        wait_for("dave's certificate to be known",
                 lambda: "1 let in" in self.ca_done(*add, "--dry-run"), None, self.proxy)
        self.ca_done(*add)
        wait_for("dave to get in", lambda: self.gets_in(dave), None, self.proxy)
        output = self.ca_done("remove", "1", "--dry-run")
        self.assertRegex(output, "would be shut out: bob@contoso.test, certificate [0-9a-f]{16}, last seen 20")
        self.assertNotIn("shut out: dave", output)
        self.assertTrue(self.gets_in(self.pki.user("bob")))

    def test_nothing_to_change_reloads_nothing(self):
        self.assertIn("nothing to change", self.ca_done("set", "2", "--check", ""))
        self.assertEqual(self.proxy.lines("reloaded"), [])

    def test_several_adds_at_once_lose_nothing(self):
        roots = [self.new_root("Root %d" % i) for i in range(5)]
        running = [subprocess.Popen([EASPROXYCTL, "ca", "add", root.certificate, "--root", *self.where()],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for root in roots]
        for process in running:
            output, _ = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, output)
        self.assertEqual({s for s in self.subjects() if "CN=Root " in s},
                         {"CN=Root %d,O=Test" % i for i in range(5)})
        self.assertEqual(len(self.entries()), 7)

    def test_without_easproxyd_it_says_so(self):
        self.proxy.stop()
        output = self.ca_done("add", self.new_root("Partner Root").certificate, "--root")
        self.assertIn("no easproxyd runs", output)
        self.assertEqual(len(self.entries()), 3)


class DryRunTest(CaCase):
    """easproxyd's part, what it has seen, is played by the test."""

    def setUp(self):
        super().setUp()
        self.write_usual_store()
        self.config = self.write_configuration()

    def where(self):
        return ["-c", self.config]

    def seen(self, name, certificate):
        chain, pem = [], ""
        with open(certificate.certificate, encoding="ascii") as f:
            for line in f:
                pem = line if "BEGIN" in line else pem + line
                if "END CERTIFICATE" in line:
                    chain.append(base64.b64encode(openssl("x509", "-outform", "DER", stdin=pem.encode())).decode())
        return {"id": 0, "sha256": "00" * 32, "mailbox": name + "@contoso.test", "refusal": "none",
                "last_seen": int(time.time()) - 60, "chain": chain}

    def answer(self, pages):
        """Plays the control socket: one page per request, each with the certificates of one dict."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(self.path("control.sock"))
        server.listen(4)
        self.addCleanup(server.close)
        requests = []

        def serve():
            for number, page in enumerate(pages):
                connection, _ = server.accept()
                with connection:
                    requests.append(json.loads(connection.makefile().readline()))
                    answer = {"ok": True, "certificates": page}
                    if number + 1 < len(pages):
                        answer["next"] = number + 1
                    connection.sendall(json.dumps(answer).encode() + b"\n")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return requests

    def test_it_tells_who_would_be_shut_out_and_let_in(self):
        partner = self.new_root("Partner Root")
        dave = partner.issue("dave", certificates.general_names(certificates.principal_name(b"dave@contoso.test")))
        pages = [[self.seen("alice", self.pki.user("alice"))], [self.seen("dave", dave)]]
        before = self.content()
        requests = self.answer(pages)
        output = self.ca_done("add", partner.certificate, "--root", "--dry-run")
        self.assertIn("would add CN=Partner Root,O=Test (root)", output)
        self.assertIn("would be let in: dave@contoso.test", output)
        self.assertIn("of 2 phones seen in the last 30 days 0 would be shut out and 1 let in", output)
        self.assertIn("revocation is not part of it", output)
        self.assertEqual(requests, [{"request": "seen", "after": 0}, {"request": "seen", "after": 1}])
        self.assertEqual(self.content(), before)

    def test_rules_shut_out_those_whom_they_do_not_name(self):
        self.answer([[self.seen("alice", self.pki.user("alice")), self.seen("bob", self.pki.user("bob"))]])
        output = self.ca_done("set", "2", "--rule", "alice@contoso.test,example.org", "--dry-run")
        self.assertRegex(output, r"would be shut out: bob@contoso.test, .*: issuer-not-allowed")
        self.assertIn("1 would be shut out and 0 let in", output)

    def test_a_removed_issuer_shuts_out(self):
        # The phone sends its issuing CA along, so that only the root decides.
        partner = self.new_root("Partner Root")
        self.ca_done("add", partner.certificate, "--root")
        self.answer([[self.seen("alice", self.pki.user("alice"))]])
        output = self.ca_done("remove", "Contoso Root CA", "--dry-run")
        self.assertIn("would remove CN=Contoso Root CA", output)
        self.assertIn("would be shut out: alice@contoso.test", output)

    def test_an_import_is_tried_with_the_phones_before_it_replaces(self):
        partner = self.new_root("Partner Root")
        dave = partner.issue("dave", certificates.general_names(certificates.principal_name(b"dave@contoso.test")))
        graph = self.write("graph.json", {"certificateAuthorities": [
            {"isRootAuthority": True, "certificate": self.base64(partner.certificate)}]})
        before, both = self.content(), [self.seen("alice", self.pki.user("alice")), self.seen("dave", dave)]
        self.answer([both])
        output = self.ca_done("import", graph, "--dry-run")
        self.assertIn("would be let in: dave@contoso.test", output)
        self.assertIn("of 2 phones seen in the last 30 days 0 would be shut out and 1 let in", output)
        os.unlink(self.path("control.sock"))
        self.answer([both])
        output = self.ca_done("import", graph, "--replace", "--dry-run")
        self.assertRegex(output, "would be shut out: alice@contoso.test, .*: certificate-untrusted")
        self.assertIn("1 would be shut out and 1 let in", output)
        self.assertEqual(self.content(), before)

    def test_the_first_authority_makes_the_store_that_the_configuration_names(self):
        os.unlink(self.store)
        with open(self.config, "a", encoding="utf-8") as f:
            f.write("colour = \"blue\"\n")
        self.assertIn("added CN=Contoso Root CA", self.ca_done("add", self.authority_pem("root"), "--root"))
        self.assertEqual(len(self.entries()), 1)

    def test_without_easproxyd_the_phones_cannot_be_told(self):
        before = self.content()
        output = self.ca_done("set", "2", "--grace", "1h", "--dry-run")
        self.assertIn('revocationGrace: "1h" (was not set)', output)
        self.assertIn("cannot be told: reaching easproxyd", output)
        self.assertEqual(self.content(), before)


class ImportExportTest(CaCase):
    def graph(self):
        return {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x", "value": [{
            "id": "29728ade-6ae4-4ee9-9103-412912537da5",
            "certificateAuthorities": [
                {"isRootAuthority": True, "certificate": self.base64(self.authority_pem("root")),
                 "certificateRevocationListUrl": None, "deltaCertificateRevocationListUrl": None,
                 "issuer": "CN=Contoso Root CA, O=Contoso (demo)", "issuerSki": self.ski("root")},
                {"isRootAuthority": False, "certificate": self.base64(self.authority_pem("issuing")),
                 "certificateRevocationListUrl": URL, "deltaCertificateRevocationListUrl": URL + "+",
                 "issuer": "CN=Contoso Issuing CA, O=Contoso (demo)", "issuerSki": self.ski("issuing")}]}]}

    def legacy(self):
        graph = self.graph()["value"][0]["certificateAuthorities"]
        return [{"authorityType": "RootAuthority" if a["isRootAuthority"] else "IntermediateAuthority",
                 "trustedCertificate": a["certificate"], "crlDistributionPoint": a["certificateRevocationListUrl"],
                 "deltaCrlDistributionPoint": a["deltaCertificateRevocationListUrl"],
                 "trustedIssuer": a["issuer"], "trustedIssuerSKI": a["issuerSki"]} for a in graph]

    def ski(self, name):
        text = openssl("x509", "-in", self.authority_pem(name), "-noout", "-ext", "subjectKeyIdentifier").decode()
        return text.split()[-1].replace(":", "").upper()

    def test_graph_s_configuration_comes_back_as_it_was(self):
        graph = self.graph()
        for document in (graph, graph["value"][0], graph["value"][0]["certificateAuthorities"]):
            output = self.ca_done("import", self.write("graph.json", document))
            self.assertEqual(output.count("added "), 2, output)
            exported = json.loads(self.ca_done("export", "--format", "graph"))
            self.assertEqual(exported["value"][0]["certificateAuthorities"],
                             graph["value"][0]["certificateAuthorities"])
            os.unlink(self.store)

    def test_the_older_list_comes_back_as_it_was(self):
        self.ca_done("import", self.write("old.json", self.legacy()))
        self.assertEqual(json.loads(self.ca_done("export", "--format", "legacy")), self.legacy())
        # And from one to the other.
        self.assertEqual(json.loads(self.ca_done("export", "--format", "graph"))["value"][0]["certificateAuthorities"],
                         self.graph()["value"][0]["certificateAuthorities"])

    def test_what_powershell_writes_is_read(self):
        capitals = [{name[0].upper() + name[1:]: value for name, value in entry.items()} for entry in self.legacy()]
        for entry in capitals:
            entry["AuthorityType"] = 0 if entry["AuthorityType"] == "RootAuthority" else 1
        self.ca_done("import", "-", stdin=json.dumps(capitals))
        self.assertEqual(json.loads(self.ca_done("export", "--format", "legacy")), self.legacy())

    def test_our_own_members_come_back_in_our_own_format(self):
        self.ca_done("import", self.write("graph.json", self.graph()))
        self.ca_done("set", "Contoso Issuing CA", "--crl", URL, "--delta-crl", URL + "+", "--crl", URL + "2",
                     "--crl", URL + "3", "--delta-crl", URL + "3+", "--check", "leaf", "--grace", "12h",
                     "--exempt-until", "2099-01-01T12:00:00Z", "--exempt-reason", "moving", "--crl-size-limit", "200MB",
                     "--crl-time-limit", "60s", "--ocsp", "soft", "--ocsp-url", "http://ocsp.contoso.test/",
                     "--rule", "1.3.6.1.4.1.99999.1=contoso.test,alice@example.org", "--rule", "example.net")
        exported = self.ca_done("export")
        entry = json.loads(exported)["certificateAuthorities"][1]
        self.assertEqual(entry["additionalCertificateRevocationLists"], [
            {"certificateRevocationListUrl": URL + "2"},
            {"certificateRevocationListUrl": URL + "3", "deltaCertificateRevocationListUrl": URL + "3+"}])
        self.assertEqual(entry["rules"], [
            {"policy": "1.3.6.1.4.1.99999.1", "domains": ["contoso.test"], "mailboxes": ["alice@example.org"]},
            {"domains": ["example.net"]}])
        os.unlink(self.store)
        self.ca_done("import", self.write("own.json", exported))
        self.assertEqual(self.ca_done("export"), exported)
        # Microsoft's formats have no place for them.
        self.assertNotIn("revocationGrace", self.ca_done("export", "--format", "graph"))
        listed = self.ca_done("list")
        for words in ("NOTHING IS CHECKED until 2099-01-01T12:00:00Z: moving", "12h after", "200MB", "1m", "soft",
                      "contoso.test alice@example.org (with policy 1.3.6.1.4.1.99999.1)"):
            self.assertIn(words, listed)

    def test_merge_and_replace(self):
        self.ca_done("import", self.write("graph.json", self.graph()))
        self.ca_done("set", "2", "--grace", "1h")
        self.ca_done("add", self.new_root("Ours").certificate, "--root")
        graph = self.graph()
        graph["value"][0]["certificateAuthorities"][1]["certificateRevocationListUrl"] = URL + "new"
        output = self.ca_done("import", self.write("graph.json", graph))
        self.assertIn("changed CN=Contoso Issuing CA", output)
        self.assertIn('certificateRevocationListUrl: "%snew" (was "%s")' % (URL, URL), output)
        self.assertIn("kept 2 as they were", output)
        self.assertEqual(self.entries()[1]["revocationGrace"], "1h")
        output = self.ca_done("import", self.path("graph.json"), "--replace")
        self.assertIn("removed CN=Ours", output)
        self.assertEqual(len(self.entries()), 2)
        self.assertEqual(self.entries()[1]["revocationGrace"], "1h")

    def test_files_beside_the_store_and_what_is_unknown_stay_as_they_were_written(self):
        os.symlink(self.authority_pem("root"), self.path("root.pem"))
        self.write("trust.json", {"note": "by hand", "certificateAuthorities": [
            {"isRootAuthority": True, "certificateFile": "root.pem", "owner": "Kim"}]})
        self.ca_done("add", self.authority_pem("issuing"), "--intermediate", "--crl", URL)
        self.ca_done("set", "1", "--grace", "1h", "--crl", URL + "root")
        document = json.loads(self.content())
        self.assertEqual(document["note"], "by hand")
        self.assertEqual(document["certificateAuthorities"][0], {
            "isRootAuthority": True, "certificateFile": "root.pem", "owner": "Kim", "revocationGrace": "1h",
            "certificateRevocationListUrl": URL + "root"})
        # An export stands alone.
        exported = json.loads(self.ca_done("export"))["certificateAuthorities"][0]
        self.assertEqual(exported["certificate"], self.base64(self.authority_pem("root")))

    def test_every_form_of_certificate_file_is_added(self):
        root, issuing, both = self.authority_pem("root"), self.authority_pem("issuing"), self.path("both.pem")
        with open(both, "wb") as out:
            for path in (root, issuing, self.pki.user("bob").certificate):
                out.write(openssl("x509", "-in", path))
        openssl("x509", "-in", root, "-outform", "DER", "-out", self.path("root.cer"))
        for form in ("DER", "PEM"):
            openssl("crl2pkcs7", "-nocrl", "-certfile", both, "-outform", form, "-out", self.path(form + ".p7b"))
        self.ca_done("add", self.path("root.cer"), "--root")
        self.ca_done("add", issuing, "--intermediate")
        for name in ("both.pem", "DER.p7b", "PEM.p7b"):
            os.unlink(self.store)
            output = self.ca_done("add", self.path(name), "--root", "--intermediate")
            self.assertIn("passed over, not a CA: ", output)
            self.assertEqual([e["isRootAuthority"] for e in self.entries()], [True, False])
        self.assertIn("a CRL location is that of one", self.ca_refused(
            "add", self.path("both.pem"), "--root", "--intermediate", "--crl", URL))

    def test_the_owner_and_the_mode_stay(self):
        self.write_usual_store()
        os.chmod(self.store, 0o640)
        if os.geteuid() == 0:
            os.chown(self.store, 0, 65534)
        was = os.stat(self.store)
        self.ca_done("set", "2", "--grace", "1h")
        now = os.stat(self.store)
        self.assertEqual((now.st_mode, now.st_uid, now.st_gid), (was.st_mode, was.st_uid, was.st_gid))
        self.assertEqual(os.listdir(self.directory), ["trust.json"])

    def test_a_faulty_store_is_mended_by_number(self):
        self.write_usual_store()
        entries = self.entries()
        entries.insert(1, {"isRootAuthority": False, "certificate": "????"})
        self.write("trust.json", {"certificateAuthorities": entries})
        self.assertIn("authority 2: certificate: neither PEM nor base64", self.ca("list")[1])
        self.assertIn("can only be meant by its number, from 1 to 3", self.ca_refused("remove", "Contoso Root CA"))
        self.assertIn("authority 1: certificate: neither", self.ca_refused("remove", "1"))
        self.ca_done("remove", "2")
        self.assertEqual(len(self.subjects()), 2)

    def test_a_certificate_that_was_renewed_shares_its_terms(self):
        self.ca_done("import", self.write("graph.json", self.graph()))
        root = self.pki.authority("root", self.directory)
        renewed = self.path("renewed.pem")
        with open(self.path("ext"), "w", encoding="ascii") as f:
            f.write("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
                    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        openssl("x509", "-x509toreq", "-in", self.authority_pem("issuing"), "-signkey",
                self.pki.path("authority", "issuing.key"), "-out", self.path("renewed.csr"))
        openssl("x509", "-req", "-in", self.path("renewed.csr"), "-CA", root.certificate, "-CAkey", root.key,
                "-set_serial", "77", "-days", "30", "-extfile", self.path("ext"), "-out", renewed)
        self.assertIn("certificateRevocationListUrl: not that of authority 2, which has the same name and key",
                      self.ca_refused("add", renewed, "--intermediate"))
        self.ca_done("add", renewed, "--intermediate", "--crl", URL, "--delta-crl", URL + "+")
        self.ca_done("set", "3", "--grace", "2h")
        self.assertEqual([e.get("revocationGrace") for e in self.entries()], [None, "2h", "2h"])
        self.assertIn("may mean authority 2 or 3", self.ca_refused("remove", "Contoso Issuing CA"))

    def test_every_command_says_that_there_is_no_store_yet(self):
        for arguments in (("list",), ("export",), ("lint",), ("set", "1", "--grace", "1h"), ("remove", "1")):
            with self.subTest(arguments):
                status, output = self.ca(*arguments)
                self.assertEqual(status, 1, output)
                self.assertIn("there is no %s yet; easproxyctl ca add makes it" % self.store, output)

    def test_a_wrong_command_line_says_how(self):
        for arguments in (("add", "x.pem"), ("add", "--root"), ("set", "1"), ("remove",), ("import",), ("list", "x"),
                          ("export", "--format", "yaml"), ("lint", "1", "2"), ("add", "x", "--root", "--crl-signer")):
            with self.subTest(arguments):
                status, output = self.ca(*arguments)
                self.assertEqual(status, 2, output)
                self.assertIn("usage: easproxyctl ca " + arguments[0], output)
        self.assertEqual(self.ca("frobnicate")[0], 2)


class KillTest(CaCase):
    def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new(self):
        self.write_usual_store()
        old = self.content()
        command = [EASPROXYCTL, "ca", "set", "2", "--grace", "1h", *self.where()]
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        duration = time.monotonic() - start
        new = self.content()
        self.assertNotEqual(old, new)
        outcomes = set()
        for i in range(40):
            with open(self.store, "wb") as f:
                f.write(old)
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(duration * (0.5 + random.random() * 0.6))
                process.kill()
                process.wait()
            outcomes.add(self.content())
            self.assertLessEqual(outcomes, {old, new}, "after kill %d" % i)
        self.ca_done("list")


class LintTest(CaCase):
    def setUp(self):
        super().setUp()
        self.port = harness.free_port()
        os.makedirs(self.path("www"))
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as f:
            f.write("daemon off; master_process off; pid %s; error_log stderr; events {}\n"
                    "http { access_log off; %s\n server { listen 127.0.0.1:%d; root %s; } }\n" % (
                        self.path("nginx.pid"),
                        " ".join("%s_temp_path %s;" % (kind, self.path("tmp")) for kind in (
                            "client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
                        self.port, self.path("www")))
        nginx = self.start(harness.Program("nginx", [
            "/usr/sbin/nginx", "-e", "stderr", "-c", self.path("nginx.conf")], self.directory))
        wait_for("nginx", lambda: harness.is_listening(self.port), None, nginx)
        self.issuing = self.pki.authority("issuing", self.directory)
        self.pki.authority("root", self.directory).write_crl(self.path("www", "root.crl"))
        self.issuing.write_crl(self.path("www", "issuing.crl"))
        certificates.write_trust_store(self.store, [
            (self.authority_pem(name), name == "root", self.url(name + ".crl")) for name in ("root", "issuing")])

    def url(self, name):
        return "http://127.0.0.1:%d/%s" % (self.port, name)

    def key_id(self, name):
        text = openssl("x509", "-in", self.authority_pem(name), "-noout", "-ext", "subjectKeyIdentifier").decode()
        return text.split()[-1].replace(":", "").lower()

    def lint(self, *arguments):
        """Exit status, and what is said of each location."""
        status, output = self.ca("lint", "--json", *arguments)
        return status, json.loads(output)

    def lint_one(self, url):
        self.ca_done("set", "2", "--crl", url)
        status, (found,) = self.lint("2")
        self.assertEqual(status, 0 if found["ok"] else 1)
        self.assertEqual(found["ok"], found["problems"] == [])
        return found

    def test_good_locations(self):
        status, found = self.lint()
        self.assertEqual(status, 0, found)
        for one, name in zip(found, ("root", "issuing")):
            self.assertEqual(one["url"], self.url(name + ".crl"))
            self.assertTrue(one["ok"])
            self.assertEqual(one["form"], "DER")
            self.assertEqual(one["size"], os.path.getsize(self.path("www", name + ".crl")))
            self.assertIn("CA", one["signer"])
            self.assertEqual(one["signer"], one["issuer"])
            self.assertEqual(one["key_identifier"], self.key_id(name))
            self.assertGreater(one["next_update"], one["this_update"])
        self.assertEqual(int(found[1]["crl_number"]), self.issuing.crl_number)
        output = self.ca_done("lint")
        self.assertIn("2 locations, 0 with something wrong", output)
        self.assertRegex(output, "next .*, in (29 d 23|30 d 0) h")
        self.assertRegex(output, "number +%d \\(0x0*%x\\)\n" % (self.issuing.crl_number, self.issuing.crl_number))

    def write_with(self, path, extensions):
        """A CRL of the issuing CA with further extensions, as openssl.cnf has them."""
        self.issuing.write_crl(path)
        config, pem = self.path("issuing.crl.cnf"), self.path("issuing.with.pem")
        with open(config, "a", encoding="ascii") as f:
            f.write(extensions + "\n")
        openssl("ca", "-config", config, "-cert", self.issuing.certificate, "-keyfile", self.issuing.key, "-gencrl",
                "-crldays", "7", "-out", pem)
        openssl("crl", "-in", pem, "-outform", "DER", "-out", path)

    def write_delta(self, path, base):
        """A delta CRL that starts from the CRL with that number."""
        number = certificates.der(0x02, base.to_bytes(base.bit_length() // 8 + 1, "big"))
        self.write_with(path, "2.5.29.27 = critical, DER:" + number.hex(":"))

    def test_a_delta_must_fit_its_crl(self):
        base = self.issuing.crl_number
        self.issuing.revoke(self.pki.user("bob"))
        self.write_delta(self.path("www", "delta.crl"), base)
        self.ca_done("set", "2", "--crl", self.url("issuing.crl"), "--delta-crl", self.url("delta.crl"))
        status, found = self.lint("2")
        self.assertEqual(status, 0, found)
        self.assertEqual([one["kind"] for one in found], ["crl", "delta"])
        self.assertEqual(int(found[1]["base_number_hex"], 16), base)
        self.assertEqual([one["entries"] for one in found], [0, 1])
        # One that starts from a CRL that is not there yet.
        self.write_delta(self.path("www", "delta.crl"), base + 100)
        status, found = self.lint("2")
        self.assertEqual(status, 1)
        self.assertEqual([one["ok"] for one in found], [True, False], found)
        self.ca_done("set", "2", "--crl", self.url("delta.crl"), "--delta-crl", self.url("issuing.crl"))
        status, found = self.lint("2")
        self.assertIn("a delta CRL, where a whole one belongs", " ".join(found[0]["problems"]))
        self.assertIn("a whole CRL, where a delta belongs", " ".join(found[1]["problems"]))

    def test_a_part_says_what_it_speaks_for(self):
        self.write_with(self.path("www", "part.crl"),
                        "issuingDistributionPoint = critical, @point\n[point]\nonlyuser = TRUE")
        found = self.lint_one(self.url("part.crl"))
        self.assertTrue(found["ok"], found)
        self.assertEqual(found["scope"], ["phones' certificates alone"])

    def test_an_unknown_critical_extension_is_wrong(self):
        self.write_with(self.path("www", "odd.crl"), "1.3.6.1.4.1.99999.7 = critical, DER:0500")
        found = self.lint_one(self.url("odd.crl"))
        self.assertIn("critical", " ".join(found["problems"]))

    def test_pem_is_remarked(self):
        openssl("crl", "-in", self.path("www", "issuing.crl"), "-inform", "DER", "-out", self.path("www", "pem.crl"))
        found = self.lint_one(self.url("pem.crl"))
        self.assertTrue(found["ok"], found)
        self.assertEqual(found["form"], "PEM")
        self.assertIn("in PEM", " ".join(found["remarks"]))

    def test_what_is_wrong_is_named(self):
        www = self.path("www")
        with open(os.path.join(www, "hello.crl"), "w", encoding="ascii") as f:
            f.write("<html>hello</html>")
        self.issuing.write_crl(os.path.join(www, "old.crl"), "20200101000000Z", "20200201000000Z")
        with open(os.path.join(www, "issuing.crl"), "rb") as f:
            good = f.read()
        with open(os.path.join(www, "forged.crl"), "wb") as f:
            f.write(good[:-1] + bytes([good[-1] ^ 1]))
        stranger = self.new_root("Stranger")
        stranger.write_crl(os.path.join(www, "stranger.crl"))
        for url, words in ((self.url("missing.crl"), "404"),
                           (self.url("hello.crl"), ""),
                           (self.url("old.crl"), "nextUpdate is over"),
                           (self.url("forged.crl"), "signature"),
                           (self.url("stranger.crl"), "nobody in the trust store"),
                           (self.url("root.crl"), ""),
                           ("http://127.0.0.1:%d/x" % harness.free_port(), "onnect"),
                           ("file:" + self.path("nowhere.crl"), "No such file")):
            with self.subTest(url):
                found = self.lint_one(url)
                self.assertFalse(found["ok"], found)
                self.assertIn(words, " ".join(found["problems"]))
        self.assertIn("WRONG", self.ca("lint", "2")[1])

    def test_the_authority_key_identifier_is_that_of_a_key(self):
        """Of the right name, and of another key or of none."""
        def crl_by(name, *options):
            key, ca = self.path(name + ".key"), self.path(name + ".pem")
            openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", ca, "-days", "30", "-subj", "/O=Contoso (demo)/CN=Contoso Issuing CA",
                    "-addext", "basicConstraints=critical,CA:TRUE", *options)
            return certificates.Authority(name, ca, key, self.directory)
        crl_by("twin").write_crl(self.path("www", "twin.crl"))
        found = self.lint_one(self.url("twin.crl"))
        self.assertRegex(" ".join(found["problems"]), "its authorityKeyIdentifier is that of nobody in the trust store")
        self.assertNotEqual(found["key_identifier"], self.key_id("issuing"))
        with open(self.path("www", "bare.crl"), "wb") as f:
            f.write(crls.Maker(self.issuing).make())
        found = self.lint_one(self.url("bare.crl"))
        self.assertIn("it has no authorityKeyIdentifier", " ".join(found["remarks"]))

    def test_bounds_and_proxy_are_those_of_the_configuration(self):
        # nginx takes the host that it is asked for as a proxy for one of its own.
        config = self.write_configuration({"revocation": {
            "proxy": "127.0.0.1:%d" % self.port, "size-limit": "5kB", "time-limit": "3s"}})
        self.ca_done("set", "2", "--crl", URL)
        self.where = lambda: ["-c", config]
        status, (found,) = self.lint("2")
        self.assertEqual(status, 0, found)
        self.assertIn("(of at most 5120) ", self.ca_done("lint", "2"))

    def test_bounds_are_those_of_the_authority(self):
        with open(self.path("www", "large.crl"), "wb") as f:
            f.write(b"\x30" * 3000)
        self.ca_done("set", "2", "--crl-size-limit", "2kB")
        found = self.lint_one(self.url("large.crl"))
        self.assertFalse(found["ok"], found)
        self.assertRegex(" ".join(found["problems"]), "larger|too large|size|bytes")


if __name__ == "__main__":
    unittest.main()
