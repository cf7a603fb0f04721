"""The whole chain: a phone's certificate, Active Directory's proxyAddresses, a ticket in the owner's name,
Apache httpd's REMOTE_USER, and the mailbox that SOGo opens for it."""
import unittest

import client
from ad.httpd import Httpd
from sogo.conversation import Conversation
from sogo.stack import DOMAIN
from kerberos_case import KerberosCase

# Who logs in, and what SOGo calls him.
LOGINS = {"alice": "alice", "bob": "bob", "carol": "carol", "u1042": "daniel"}


class KerberosSogoTest(Conversation, KerberosCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack = cls.start_stack(users=tuple(LOGINS.values()))
        cls.phones = {"alice": cls.certificate(mail="alice.adams@contoso.test"),
                      "bob": cls.certificate(mail="robert@contoso.test"),
                      "carol": cls.pki.user("carol"),
                      "daniel": cls.certificate(upn="dan.d@mail.contoso.test")}

    def setUp(self):
        super().setUp()
        self.httpd = Httpd(self.folder("httpd"), self.domain, [self.domain.keytab_of("svc-exchange")],
                           self.stack.url, field="x-webobjects-remote-user", logins={
                               "%s@CONTOSO.TEST" % user: "%s@%s" % (login, DOMAIN) for user, login in LOGINS.items()})
        self.addCleanup(self.httpd.stop)
        self.httpd.start()
        self.start_kerberos(self.httpd.url(self.httpd.bound), {"request-buffering": True})

    def dial(self, user):
        return self.proxy.dial(certificate=self.phones[user], timeout=90)

    def test_an_owner_whose_names_have_nothing_in_common_has_one_mailbox(self):
        daniel = self.phone("daniel")
        self.assertEqual(daniel.own_address(), "daniel@contoso.test")
        self.deliver("daniel", "for daniel " + self.mark)
        self.assertIn("for daniel " + self.mark, daniel.sync_folders().sync_all())
        self.assertEqual({line["user"] for line in self.httpd.requests()}, {"u1042@CONTOSO.TEST"})

    def test_whom_the_kdc_does_not_let_us_speak_for_reaches_no_mailbox(self):
        frank = client.Device(lambda: self.proxy.dial(certificate=self.certificate(upn="frank@contoso.test")),
                              "frank@contoso.test")
        self.addCleanup(frank.close)
        self.assertEqual(frank.post("FolderSync", client.folder_sync()).status, 403)
        self.assertEqual(self.httpd.requests(), [])

    def tearDown(self):
        for line in self.httpd.requests():
            self.assertNotEqual(line["status"], 401, line)
        super().tearDown()


if __name__ == "__main__":
    unittest.main()
