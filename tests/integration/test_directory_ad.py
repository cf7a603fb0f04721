"""Whose mailbox a certificate opens by Active Directory: Samba's domain controller, with the attributes,
the comparisons and the demands on logins of the real one."""
import os
import shutil
import signal
import tempfile
import unittest

import harness
from ad.domain import BASE, READER, REALM, Domain
from certificates import principal_name, rfc822_name
from test_directory import Bound, DirectoryCase, rules_for, sid_extension


class ActiveDirectoryTest(DirectoryCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.mkdtemp(prefix="easproxy-ad-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.domain = Domain(folder).start()
        cls.addClassCleanup(cls.domain.stop)

    def start_ad(self, changes=None, mailbox=None, policy=None, **options):
        self.recorder = self.start_recorder()
        self.proxy = self.start_proxy("http://127.0.0.1:%d" % self.recorder.port, {
            "mailbox": mailbox or {}, "policy": policy or {}, "directory": harness.merge({
                "backend": "ldap", "urls": [self.domain.tls_url], "ca": self.domain.ca, "base": BASE,
                "bind-name": "%s@%s" % (READER, REALM.lower()), "bind-password-file": self.domain.password_file,
                "filter": "(objectCategory=person)", "cache-time": "1s", "negative-cache-time": "1s",
                "connect-time": "2s", "answer-time": "2s"}, changes)}, **options)
        return self.proxy

    def upn(self, name):
        return self.certificate("ad-upn-" + name.encode().hex()[:40], principal_name(name.encode()))

    def mail(self, name):
        return self.certificate("ad-mail-" + name.encode().hex()[:40], rfc822_name(name.encode()))

    def test_people_are_found_by_upn_and_by_any_of_their_addresses(self):
        proxy = self.start_ad()
        for certificate, mailbox in (
                (self.upn("alice@contoso.test"), "alice"), (self.mail("alice.adams@contoso.test"), "alice"),
                (self.mail("SALES@contoso.test"), "alice"), (self.mail("robert@contoso.test"), "bob"),
                (self.upn("CAROL@contoso.test"), "carol"), (self.mail("carol.c@mail.contoso.test"), "carol"),
                (self.upn("dan.d@mail.contoso.test"), "daniel"), (self.mail("dan@contoso.test"), "daniel"),
                (self.mail("grace@contoso.test"), "grace"), (self.mail("heidi@contoso.test"), "heidi")):
            self.assert_opens(certificate, mailbox + "@contoso.test")
        dan = self.upn("dan.d@mail.contoso.test")
        for user, status in (("dan.d@mail.contoso.test", 200), ("CONTOSO\\u1042", 200), ("dan@contoso.test", 200),
                             ("daniel", 200), ("u1041", 403), ("alice@contoso.test", 403)):
            self.assert_user(dan, user, status)
        self.assert_refused(self.mail("shared@contoso.test"), "name-ambiguous")
        self.assert_refused(self.upn("erin@contoso.test"), "user-disabled")
        self.assert_refused(self.mail("erin@contoso.test"), "user-disabled")
        for certificate in (self.upn("daniel@contoso.test"), self.mail("bob.sip@contoso.test"),
                            self.upn("u1042@contoso.test"), self.upn("\u00e1lice@contoso.test"),
                            self.mail("a*@contoso.test"), self.upn("svc-ldap@contoso.test")):
            self.assert_refused(certificate, "user-unknown")
        self.assertEqual(proxy.lines("directory-failed"), [])

    def test_bindings_and_sids_of_high_affinity(self):
        phone = self.certificate("ad-bound")
        bound = Bound(phone)
        self.domain.modify("frank", "replace: altSecurityIdentities\naltSecurityIdentities: %s\n"
                           "altSecurityIdentities: %s\n" % (bound.serial, bound.ski))
        for kind in ("issuer-and-serial-number", "ski", "sha1-public-key"):
            with self.subTest(kind):
                proxy = self.start_ad(mailbox={"names": [kind, "principal-name"], "affinity": "high"})
                if kind == "sha1-public-key":
                    self.assert_refused(phone, "user-unknown")
                else:
                    self.assert_opens(phone, "frank@contoso.test")
                self.assert_refused(self.upn("alice@contoso.test"), "affinity-too-low")
                proxy.stop()
        self.start_ad(mailbox={"names": ["sid"], "affinity": "high"})
        sid = self.domain.sids["u1042"]
        self.assert_opens(self.certificate("ad-sid", extra=sid_extension(sid)), "daniel@contoso.test")
        self.assert_refused(self.certificate("ad-sid-1", extra=sid_extension(sid + "1")), "user-unknown")

    def test_logins_by_start_tls_and_by_kerberos(self):
        alice = self.upn("alice@contoso.test")
        for what, changes in (
                ("StartTLS", {"urls": [self.domain.url]}),
                ("Kerberos, which encrypts", {
                    "urls": [self.domain.url], "start-tls": False, "bind": "gssapi", "bind-name": "",
                    "bind-password-file": "", "keytab": self.domain.keytab})):
            with self.subTest(what):
                proxy = self.start_ad(changes, environment={"KRB5_CONFIG": self.domain.krb5_config})
                self.assert_opens(alice, "alice@contoso.test")
                self.assertEqual(proxy.lines("directory-failed") + proxy.lines("helper-died"), [])
                proxy.stop()

    def test_groups_within_groups_count_where_they_are_asked_for(self):
        inner, outer, other = ("CN=%s,CN=Users,%s" % (name, BASE) for name in ("Inner", "Outer, all", "Other"))
        outer = outer.replace("Outer, all", "Outer\\, all")
        for name, member in (("Inner", "CN=alice,CN=Users," + BASE), ("Outer\\, all", inner), ("Other", outer)):
            self.domain.add(name, "objectClass: group\nsAMAccountName: %s\nmember: %s\n" % (
                name.partition("\\")[0], member))
        alice, bob = self.upn("alice@contoso.test"), self.upn("bob@contoso.test")
        for nesting, groups in ((False, [inner]), (True, [inner, outer, other])):
            with self.subTest(nesting=nesting):
                proxy = self.start_ad({"group-nesting": nesting}, policy=rules_for(
                    inner, outer, other, "CN=Domain Users,CN=Users," + BASE))
                self.assertEqual(self.groups_of(alice), [group.lower() for group in groups])
                self.assertEqual(self.groups_of(bob), [])
                self.assertEqual(proxy.lines("directory-failed"), [])
                proxy.stop()

    def test_what_is_changed_there_holds_here_after_the_cache_time(self):
        self.start_ad()
        bob = self.upn("bob@contoso.test")
        self.assert_opens(bob, "bob@contoso.test")
        self.domain.modify("bob", "replace: userAccountControl\nuserAccountControl: 514\n")
        self.wait_until_answered(bob, (403, None), "bob to be refused", 5)
        self.domain.modify("bob", "replace: userAccountControl\nuserAccountControl: 512\n")
        self.wait_until_opens(bob, "bob@contoso.test", 5)

    def test_a_halted_domain_controller_is_used_again_when_it_goes_on(self):
        self.start_ad()
        alice = self.upn("alice@contoso.test")
        self.assert_opens(alice, "alice@contoso.test")
        os.kill(self.domain.process.pid, signal.SIGSTOP)
        try:
            harness.wait_for("the directory to count as down", lambda: (
                self.ask(self.upn("carol@contoso.test")) == (503, None) and self.proxy.lines("directory-down")),
                30, self.proxy)
        finally:
            os.kill(self.domain.process.pid, signal.SIGCONT)
        self.wait_until_opens(alice, "alice@contoso.test", 20)


if __name__ == "__main__":
    unittest.main()
