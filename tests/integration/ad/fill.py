"""Puts people and accounts into the database of a domain that has just been provisioned and does not
run yet. Arguments: smb.conf, and a JSON file with the passwords, the server's address, a folder for key
tables, the name of the web server, and how many people to add beside those with a name. Prints the
SIDs of those, as JSON. Called by domain.py."""
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

AES = 0x18  # msDS-SupportedEncryptionTypes: AES128 and AES256, no RC4
# name: userPrincipalName, mail, proxyAddresses, bits of userAccountControl; @ stands for @DOMAIN
PEOPLE = {
    "alice": ("alice@", "alice@", ["SMTP:alice@", "smtp:alice.adams@", "smtp:sales@"], 0),
    "bob": ("bob@", "bob@", ["SMTP:bob@", "smtp:robert@", "SIP:bob.sip@", "X500:/o=Contoso/cn=bob"], 0),
    "carol": ("carol@", "Carol@Contoso.test", ["SMTP:Carol@Contoso.test", "smtp:carol.c@mail.contoso.test"], 0),
    # Login name, UPN and address have nothing in common.
    "u1042": ("dan.d@mail.contoso.test", "daniel@", ["SMTP:daniel@", "smtp:dan@"], 0),
    "erin": ("erin@", "erin@", ["SMTP:erin@"], dsdb.UF_ACCOUNTDISABLE),
    # "Account is sensitive and cannot be delegated"
    "frank": ("frank@", "frank@", ["SMTP:frank@"], dsdb.UF_NOT_DELEGATED),
    # Active Directory does not keep proxyAddresses unique.
    "grace": ("grace@", "grace@", ["SMTP:grace@", "smtp:shared@"], 0),
    "heidi": ("heidi@", "heidi@", ["SMTP:heidi@", "smtp:shared@"], 0),
}


def services(domain, exchange):
    """name: its SPNs, the services where it may act for others, whether for those who never logged in
    to it by Kerberos, too (protocol transition)."""
    first, second, third = "HTTP/" + exchange, "HTTP/127.0.0.1", "HTTP/127.0.0.2"
    return {
        "svc-ldap": ([], [], False),
        "svc-easproxy": (["HTTP/easproxy." + domain], [first, second, third], True),
        "svc-nodeleg": (["HTTP/nodeleg." + domain], [], False),
        "svc-kerbonly": (["HTTP/kerbonly." + domain], [first, second, third], False),
        # Nobody may act for others at HTTP/other.
        "svc-exchange": ([first, second, "HTTP/other." + domain], [], False),
        "svc-exchange2": ([third], [], False),
    }


def change(db, dn, kind, **attributes):
    lines = ["dn: %s" % dn, "changetype: modify"]
    for name, values in attributes.items():
        if values:
            name = name.replace("_", "-")
            lines += ["%s: %s" % (kind, name)] + ["%s: %s" % (name, v) for v in values] + ["-"]
    db.modify_ldif("\n".join(lines) + "\n")


def find(db, name):
    found = db.search(db.domain_dn(), expression="(sAMAccountName=%s)" % name,
                      attrs=["userAccountControl", "objectSid"])[0]
    return str(found.dn), int(str(found["userAccountControl"][0])), str(
        ndr_unpack(security.dom_sid, found["objectSid"][0]))


def add_people(db, domain, passwords):
    def here(name):
        return name + domain if name.endswith("@") else name

    sids = {}
    for name, (upn, mail, addresses, bits) in PEOPLE.items():
        db.newuser(name, passwords[name], mailaddress=here(mail))
        dn, control, sids[name] = find(db, name)
        change(db, dn, "replace", userPrincipalName=[here(upn)], userAccountControl=[str(control | bits)],
               proxyAddresses=[here(address) for address in addresses])
    return sids


def add_crowd(db, domain, count):
    control = dsdb.UF_NORMAL_ACCOUNT | dsdb.UF_PASSWD_NOTREQD | dsdb.UF_DONT_EXPIRE_PASSWD
    for number in range(count):
        name = "user%d" % number
        address = "%s@%s" % (name, domain)
        db.add({"dn": "CN=%s,CN=Users,%s" % (name, db.domain_dn()), "objectClass": "user", "sAMAccountName": name,
                "userAccountControl": str(control), "userPrincipalName": address, "mail": address,
                "proxyAddresses": "SMTP:" + address})


def add_services(db, accounts, passwords):
    for name, (spns, targets, is_for_anybody) in accounts.items():
        db.newuser(name, passwords[name], setpassword=True)
        dn, control, _ = find(db, name)
        if is_for_anybody:
            control |= dsdb.UF_TRUSTED_TO_AUTHENTICATE_FOR_DELEGATION
        change(db, dn, "replace", userAccountControl=[str(control)], msDS_SupportedEncryptionTypes=[str(AES)],
               servicePrincipalName=spns, msDS_AllowedToDelegateTo=targets)


def main():
    configuration, what = sys.argv[1:3]
    with open(what, encoding="ascii") as f:
        what = json.load(f)
    lp = LoadParm()
    lp.load(configuration)
    domain = lp.get("realm").lower()
    accounts = services(domain, what["exchange"])
    credentials = Credentials()
    credentials.guess(lp)
    db = SamDB(url=os.path.join(lp.get("private dir"), "sam.ldb"), session_info=system_session(lp),
               credentials=credentials, lp=lp)
    db.transaction_start()
    sids = add_people(db, domain, what["passwords"])
    add_crowd(db, domain, what["crowd"])
    add_services(db, accounts, what["passwords"])
    # Samba's own service for that does not run. A ticket is asked for by the name in the URL, which
    # here is an address.
    dn, _, _ = find(db, "DC1$")
    change(db, dn, "add", servicePrincipalName=["ldap/" + what["address"]])
    db.transaction_commit()
    for name, (spns, _, _) in accounts.items():
        keytab = os.path.join(what["folder"], name + ".keytab")
        # An account logs in by its own name, and is called by its SPNs.
        for principal in [name] + spns:
            Net(None, lp).export_keytab(keytab=keytab, principal=principal)
        os.chmod(keytab, 0o600)
    json.dump(sids, sys.stdout)


main()
