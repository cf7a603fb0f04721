"""Puts people and accounts into the database of a domain that has just been provisioned and does not
run yet. Arguments: smb.conf, a JSON file with the passwords, the server's address, a folder for key
tables. Prints the SIDs, as JSON. Called by domain.py."""
import json
import os
import sys

from samba import dsdb, enable_net_export_keytab
from samba.auth import system_session
from samba.credentials import Credentials
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

enable_net_export_keytab()
from samba.net import Net  # noqa: E402  pylint: disable=wrong-import-position

READER = "svc-ldap"
# name: userPrincipalName, mail, proxyAddresses, bits of userAccountControl
PEOPLE = {
    "alice": ("alice@contoso.test", "alice@contoso.test",
              ["SMTP:alice@contoso.test", "smtp:alice.adams@contoso.test", "smtp:sales@contoso.test"], 0),
    "bob": ("bob@contoso.test", "bob@contoso.test",
            ["SMTP:bob@contoso.test", "smtp:robert@contoso.test", "SIP:bob.sip@contoso.test",
             "X500:/o=Contoso/cn=bob"], 0),
    "carol": ("carol@contoso.test", "Carol@Contoso.test",
              ["SMTP:Carol@Contoso.test", "smtp:carol.c@mail.contoso.test"], 0),
    # Login name, UPN and address have nothing in common.
    "u1042": ("dan.d@mail.contoso.test", "daniel@contoso.test",
              ["SMTP:daniel@contoso.test", "smtp:dan@contoso.test"], 0),
    "erin": ("erin@contoso.test", "erin@contoso.test", ["SMTP:erin@contoso.test"], dsdb.UF_ACCOUNTDISABLE),
    "frank": ("frank@contoso.test", "frank@contoso.test", ["SMTP:frank@contoso.test"], 0),
    # Active Directory does not keep proxyAddresses unique.
    "grace": ("grace@contoso.test", "grace@contoso.test",
              ["SMTP:grace@contoso.test", "smtp:shared@contoso.test"], 0),
    "heidi": ("heidi@contoso.test", "heidi@contoso.test",
              ["SMTP:heidi@contoso.test", "smtp:shared@contoso.test"], 0),
}


def change(db, dn, kind, **attributes):
    lines = ["dn: %s" % dn, "changetype: modify"]
    for name, values in attributes.items():
        lines += ["%s: %s" % (kind, name)] + ["%s: %s" % (name, v) for v in values] + ["-"]
    db.modify_ldif("\n".join(lines) + "\n")


def find(db, name):
    found = db.search(db.domain_dn(), expression="(sAMAccountName=%s)" % name,
                      attrs=["userAccountControl", "objectSid"])[0]
    return str(found.dn), int(str(found["userAccountControl"][0])), str(
        ndr_unpack(security.dom_sid, found["objectSid"][0]))


def main():
    configuration, passwords_file, address, folder = sys.argv[1:5]
    with open(passwords_file, encoding="ascii") as f:
        passwords = json.load(f)
    lp = LoadParm()
    lp.load(configuration)
    credentials = Credentials()
    credentials.guess(lp)
    db = SamDB(url=os.path.join(lp.get("private dir"), "sam.ldb"), session_info=system_session(lp),
               credentials=credentials, lp=lp)
    sids = {}
    db.transaction_start()
    for name, (upn, mail, addresses, bits) in PEOPLE.items():
        db.newuser(name, passwords[name], mailaddress=mail)
        dn, control, sids[name] = find(db, name)
        change(db, dn, "replace", userPrincipalName=[upn], userAccountControl=[str(control | bits)],
               proxyAddresses=addresses)
    db.newuser(READER, passwords[READER], setpassword=True)
    # Samba's own service for that does not run. A ticket is asked for by the name in the URL, which
    # here is an address.
    dn, _, _ = find(db, "DC1$")
    change(db, dn, "add", servicePrincipalName=["ldap/" + address])
    db.transaction_commit()
    keytab = os.path.join(folder, READER + ".keytab")
    Net(None, lp).export_keytab(keytab=keytab, principal=READER)
    os.chmod(keytab, 0o600)
    json.dump(sids, sys.stdout)


main()
