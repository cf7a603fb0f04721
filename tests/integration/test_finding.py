"""Finding us: what Autodiscover says, and that no answer of the mail server leads a phone past us."""
import json
import unittest
import xml.etree.ElementTree as ElementTree

import client
import harness
import wbxml
from client import PATH
from harness import EASSIM, wait_for
from recorder import answer_bytes

SCHEMAS = "http://schemas.microsoft.com/exchange/autodiscover/"
REQUEST = SCHEMAS + "mobilesync/requestschema/2006"
ANSWER = SCHEMAS + "mobilesync/responseschema/2006"
FRAME = SCHEMAS + "responseschema/2006"
XML_PATH = "/autodiscover/autodiscover.xml"
JSON_PATH = "/autodiscover/autodiscover.json"
WBXML = ("Content-Type", "application/vnd.ms-sync.wbxml")


def question(address="bob@contoso.test", schema=ANSWER, space=REQUEST):
    return ('<?xml version="1.0" encoding="utf-8"?>\n<Autodiscover xmlns="%s"><Request><EMailAddress>%s</EMailAddress>'
            "<AcceptableResponseSchema>%s</AcceptableResponseSchema></Request></Autodiscover>" % (
                space, address, schema)).encode()


def said(*content):
    return ('<Autodiscover xmlns="%s"><Response xmlns="%s">%s</Response></Autodiscover>' % (
        FRAME, ANSWER, "".join(content))).encode()


def url(recorder, scheme="http"):
    return "%s://127.0.0.1:%d" % (scheme, recorder.port)


class Said:
    """An answer of the schema, by paths such as "Action/Settings/Server/Url"."""

    def __init__(self, body):
        root = ElementTree.fromstring(body)
        assert root.tag == "{%s}Autodiscover" % FRAME, root.tag
        self.response, = root
        assert self.response.tag == "{%s}Response" % ANSWER, self.response.tag

    def get(self, path):
        found = self.response.find("/".join("{%s}%s" % (ANSWER, name) for name in path.split("/")))
        return None if found is None else found.text or ""

    def attribute(self, path, name):
        return self.response.find("/".join("{%s}%s" % (ANSWER, n) for n in path.split("/"))).get(name)


class AutodiscoverCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()

    def start_with(self, **changes):
        proxy = self.start_proxy(url(self.recorder), {
            "autodiscover": {name.replace("_", "-"): value for name, value in changes.items()}})
        proxy.wait_until_answering()
        self.recorder.clear()
        return proxy

    def ask(self, proxy, body=None, user="bob", path=XML_PATH, **options):
        with proxy.dial(user) as connection:
            return connection.request("POST", path, [("Content-Type", "text/xml"), *options.pop("headers", ())],
                                      body or question())


class AnswerTest(AutodiscoverCase):
    """easproxyd answers itself."""

    def test_the_owner_of_the_mailbox_is_told_where_we_are(self):
        proxy = self.start_with(url="https://phones.contoso.test", display_name="%{local-part} of %{domain}")
        for path in (XML_PATH, "/Autodiscover/Autodiscover.xml", "/AUTODISCOVER/AUTODISCOVER.XML"):
            answer = self.ask(proxy, path=path)
            self.assertEqual(answer.status, 200)
            self.assertRegex(answer.header("Content-Type"), "^text/xml")
            found = Said(answer.body)
            self.assertEqual(found.get("User/EMailAddress"), "bob@contoso.test")
            self.assertEqual(found.get("User/DisplayName"), "bob of contoso.test")
            self.assertEqual(found.get("Action/Settings/Server/Type"), "MobileSync")
            for element in ("Url", "Name"):
                self.assertEqual(found.get("Action/Settings/Server/" + element),
                                 "https://phones.contoso.test/Microsoft-Server-ActiveSync")
        self.assertEqual(self.recorder.begun(), [])
        line = wait_for("a line in the log", lambda: proxy.lines("request", command="Autodiscover"), 5, proxy)[0]
        self.assertEqual((line["status"], line["mailbox"]), (200, "bob@contoso.test"))

    def test_without_a_url_it_is_the_name_by_which_the_phone_came(self):
        proxy = self.start_with()
        for host in ("localhost", "autodiscover.contoso.test:8443", "[::1]:444"):
            answer = self.ask(proxy, headers=[("Host", host)])
            self.assertEqual(Said(answer.body).get("Action/Settings/Server/Url"),
                             "https://%s/Microsoft-Server-ActiveSync" % host)

    def test_nobody_is_told_about_another_ones_address(self):
        proxy = self.start_with()
        for address in ("alice@contoso.test", "nobody@contoso.test", "bob@fabrikam.test"):
            answer = self.ask(proxy, question(address))
            self.assertEqual(answer.status, 200)
            found = Said(answer.body)
            self.assertEqual(found.get("Action/Error/Status"), "2")
            self.assertIsNone(found.get("User"))
            self.assertNotIn(b"Microsoft-Server-ActiveSync", answer.body)
        wait_for("three lines in the log", lambda: len(proxy.lines("request", refusal="user-mismatch")) == 3, 5, proxy)

    def test_what_is_no_request_is_told_so_in_the_schema(self):
        proxy = self.start_with()
        outlook = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
        for code, body in (
                ("600", b"hello"), ("600", question("bob")), ("601", question(schema=outlook)), ("601", b"<a/>"),
                ("600", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + question("&x;").split(b"\n")[1]),
                ("600", question().replace(b"utf-8", b"utf-16")[:-1]),
                ("600", question().decode().encode("utf-16")),
                ("600", b'<?xml version="1.0" encoding="EUC-JP"?>' + b"<a" * 10)):
            with self.subTest(body):
                answer = self.ask(proxy, body)
                self.assertEqual(answer.status, 200)
                found = Said(answer.body)
                self.assertEqual(found.get("Error/ErrorCode"), code)
                self.assertRegex(found.attribute("Error", "Time"), r"^\d\d:\d\d:\d\d\.\d{3}$")
                self.assertRegex(found.attribute("Error", "Id"), r"^\d+$")
        self.assertEqual(self.ask(proxy).status, 200)
        wait_for("a line in the log", lambda: proxy.lines("request", refusal="autodiscover-malformed"), 5, proxy)

    def test_bounds(self):
        proxy = self.start_with()
        self.assertEqual(self.ask(proxy, question() + b" " * (64 << 10)).status, 413)
        with proxy.dial("bob") as connection:
            self.assertEqual(connection.request("POST", XML_PATH, [("Content-Type", "text/xml")],
                                                [question(), b" " * (40 << 10), b" " * (40 << 10)]).status, 413)
        with proxy.dial("bob") as connection:
            self.assertEqual(connection.request("POST", XML_PATH, [("Content-Type", "text/xml")],
                                                [question()[:20], question()[20:]]).status, 200)
            self.assertEqual(connection.request("POST", XML_PATH + "?a", [("Content-Type", "text/xml")],
                                                question()).status, 400)

    def test_a_domain_that_has_moved_is_said_in_the_schema(self):
        proxy = self.start_with(redirects=["old.test: contoso.test", "fabrikam.test: example.test"])
        self.assertEqual(Said(self.ask(proxy, question("bob@OLD.test")).body).get("Action/Redirect"),
                         "bob@contoso.test")
        self.assertEqual(Said(self.ask(proxy, question("eve@fabrikam.test")).body).get("Action/Redirect"),
                         "eve@example.test")

    def test_off_is_off(self):
        proxy = self.start_with(mode="off", v2=False)
        self.assertEqual(self.ask(proxy).status, 404)
        with proxy.dial("bob") as connection:
            for path in (XML_PATH, JSON_PATH + "?Protocol=ActiveSync"):
                self.assertEqual(connection.request("GET", path).status, 405)
        self.assertEqual(self.recorder.begun(), [])

    def test_a_get_is_sent_on_to_where_we_are(self):
        proxy = self.start_with(url="https://phones.contoso.test")
        with proxy.dial("bob") as connection:
            answer = connection.request("GET", XML_PATH)
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.header("Location"), "https://phones.contoso.test" + XML_PATH)


class JsonTest(AutodiscoverCase):
    """The second version."""

    def get(self, proxy, target, user="bob"):
        with proxy.dial(user) as connection:
            return connection.request("GET", target)

    def test_every_address_gets_the_same(self):
        proxy = self.start_with(url="https://phones.contoso.test")
        for target in (JSON_PATH + "?Email=bob%40contoso.test&Protocol=ActiveSync&RedirectCount=1",
                       JSON_PATH + "?Email=nobody@nowhere.test&Protocol=activesync",
                       "/Autodiscover/Autodiscover.json/v1.0/alice@contoso.test?Protocol=ActiveSync"):
            answer = self.get(proxy, target)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.header("Content-Type"), "application/json")
            self.assertEqual(json.loads(answer.body), {
                "Protocol": "ActiveSync", "Url": "https://phones.contoso.test/Microsoft-Server-ActiveSync"})
        self.assertEqual(json.loads(self.get(proxy, JSON_PATH + "?Protocol=AutodiscoverV1").body)["Url"],
                         "https://phones.contoso.test" + XML_PATH)
        for query in ("", "?Protocol=Ews", "?Protocol=", "?a@contoso.test/powershell"):
            answer = self.get(proxy, JSON_PATH + query)
            self.assertEqual(answer.status, 400)
            self.assertIn("ErrorCode", json.loads(answer.body))
        self.assertEqual(self.recorder.begun(), [])

    def test_a_certificate_is_asked_for_unless_the_configuration_says_no(self):
        proxy = self.start_with()
        with self.assertRaises((client.Closed, OSError)):
            self.get(proxy, JSON_PATH + "?Protocol=ActiveSync", None)

    def test_anonymous_lets_in_to_nothing_else(self):
        proxy = self.start_with(anonymous=True)
        self.assertEqual(self.get(proxy, JSON_PATH + "?Protocol=ActiveSync", None).status, 200)
        self.assertEqual(self.get(proxy, XML_PATH, None).status, 302)
        for method, target, headers, body in (
                ("POST", XML_PATH, [("Content-Type", "text/xml")], question()),
                ("OPTIONS", PATH, [], None), ("GET", PATH, [], None), ("POST", JSON_PATH, [], b""),
                ("POST", PATH + "?Cmd=FolderSync&User=bob&DeviceId=D1&DeviceType=T",
                 [WBXML, ("MS-ASProtocolVersion", "14.1")], wbxml.encode(client.folder_sync()))):
            with self.subTest(method + " " + target), proxy.dial() as connection:
                self.assertEqual(connection.request(method, target, headers, body).status, 403)
        self.assertEqual(self.recorder.begun(), [])
        # Certificates that do not hold are refused as everywhere.
        with self.assertRaises((client.Closed, OSError)):
            self.get(proxy, JSON_PATH + "?Protocol=ActiveSync", "carol")


class ForwardTest(AutodiscoverCase):
    """The mail server answers; phones learn nothing from it but what is ours."""

    def setUp(self):
        super().setUp()
        self.proxy = self.start_with(mode="forward", url="https://phones.contoso.test",
                                     redirects=["moved.test: example.test"])

    def answer(self, body, status=200, headers=(("Content-Type", "text/xml"),)):
        self.recorder.answer = lambda *_: answer_bytes(status, body, list(headers))
        return self.ask(self.proxy)

    def test_urls_are_ours(self):
        answer = self.answer(said(
            "<Culture>de:de</Culture><User><DisplayName>Bob B.</DisplayName><EMailAddress>bob@contoso.test</EMailAddress>"
            "</User><Action><Settings><Server><Type>MobileSync</Type><Url>https://ex1.corp.local/Microsoft-Server-Active"
            "Sync</Url><Name>https://ex1.corp.local/x</Name></Server><Server><Type>CertEnroll</Type>"
            "<Url>https://ca.corp.local/certsrv</Url><Name/><ServerData>EX1</ServerData></Server></Settings></Action>"))
        self.assertEqual(answer.status, 200)
        found = Said(answer.body)
        self.assertEqual(found.get("User/DisplayName"), "Bob B.")
        self.assertEqual(found.get("Action/Settings/Server/Url"),
                         "https://phones.contoso.test/Microsoft-Server-ActiveSync")
        self.assertNotIn(b"corp.local", answer.body)
        self.assertNotIn(b"EX1", answer.body)
        received, = self.recorder.whole()
        self.assertEqual(received.header("X-Mailbox"), "bob@contoso.test")
        self.assertEqual(received.body, question())

    def test_errors_and_redirects_stay_in_the_schema(self):
        found = Said(self.answer(said("<Action><Error><Status>2</Status><Message>EX1 is down</Message>"
                                      "<DebugData>at EX1</DebugData></Error></Action>")).body)
        self.assertEqual(found.get("Action/Error/Status"), "2")
        self.assertNotIn("EX1", found.get("Action/Error/Message"))
        found = Said(self.answer(said("<Action><Redirect>bob@moved.test</Redirect></Action>")).body)
        self.assertEqual(found.get("Action/Redirect"), "bob@example.test")
        found = Said(self.answer(said("<Action><Redirect>b.b@contoso.test</Redirect></Action>")).body)
        self.assertEqual(found.get("Action/Redirect"), "b.b@contoso.test")
        self.assertEqual(self.answer(said("<Action><Redirect>bob@corp.local</Redirect></Action>")).status, 503)

    def test_what_cannot_be_read_is_not_passed_on(self):
        good = said("<Action><Settings><Server><Type>MobileSync</Type></Server></Settings></Action>")
        for name, body, status in (
                ("a page", b"<html><body>ex1.corp.local</body></html>", 502), ("nothing", b"", 502),
                ("a DTD", b"<!DOCTYPE a>" + good, 502), ("no settings", said("<Action/>"), 502),
                ("too much", good + b" " * (70 << 10), 502), ("good", good, 200)):
            with self.subTest(name):
                answer = self.answer(body)
                self.assertEqual(answer.status, status)
                self.assertNotIn(b"corp.local", answer.body)
        for status, told in ((301, 503), (302, 503), (401, 502), (403, 403), (456, 403), (500, 500)):
            with self.subTest(status):
                answer = self.answer(b"ex1.corp.local", status, [
                    ("Location", "https://ex1.corp.local/"), ("Content-Type", "text/html")])
                self.assertEqual(answer.status, told)
                self.assertNotIn("corp.local", repr(answer.headers) + repr(answer.body))


class UpstreamAnswerTest(harness.Case):
    """What becomes of statuses and fields: docs/http-statuses.md."""

    def setUp(self):
        super().setUp()
        self.recorder = self.start_recorder()

    def start_with(self, *more, **changes):
        proxy = self.start_proxy([url(self.recorder), *(url(r) for r in more)], {"workers": 1, **changes})
        wait_for("bob to get in", lambda: self.options(proxy).status == 200, None, proxy)
        self.recorder.clear()
        return proxy

    def options(self, proxy):
        with proxy.dial("bob") as connection:
            return connection.request("OPTIONS", PATH)

    def sync(self, proxy, command="FolderSync", version="14.1", body=None, device="D1", headers=()):
        with proxy.dial("bob") as connection:
            return connection.request(
                "POST", PATH + "?Cmd=%s&User=bob%%40contoso.test&DeviceId=%s&DeviceType=T" % (command, device),
                [WBXML, ("MS-ASProtocolVersion", version), *headers], body or wbxml.encode(client.folder_sync()))

    def test_statuses_and_fields(self):
        proxy = self.start_with()
        inner = [("Location", "https://ex1.corp.local/owa"), ("X-MS-Location", "https://ex1.corp.local/"),
                 ("X-FEServer", "ex1.corp.local"), ("X-BEServer", "ex2.corp.local"),
                 ("X-CalculatedBETarget", "ex2.corp.local"), ("Server", "corp.local"),
                 ("WWW-Authenticate", "Basic realm=corp.local"), ("X-Any", "http://127.0.0.1:80/"),
                 ("X-MS-Credential-Service-Url", "https://reset.corp.local"), ("Content-Type", "text/html"),
                 ("Set-Cookie", "a=b; domain=.corp.local; path=/EWS")]
        for status, told, refusal in (
                (200, 200, None), (301, 503, "upstream-redirect"), (302, 503, "upstream-redirect"),
                (307, 503, "upstream-redirect"), (308, 503, "upstream-redirect"), (400, 400, None),
                (401, 502, "upstream-login"), (403, 403, None), (404, 404, None), (407, 502, "upstream-login"),
                (449, 449, None), (451, 503, "upstream-redirect"), (456, 403, None), (457, 403, None),
                (500, 500, None), (501, 501, None), (502, 502, None), (503, 503, None), (504, 504, None),
                (505, 505, None), (507, 507, None)):
            with self.subTest(status):
                body = b"<html>ex1.corp.local</html>" if status != 200 else b""
                self.recorder.answer = lambda *_, s=status, b=body: answer_bytes(s, b, inner, reason="EX1.corp.local")
                answer = self.sync(proxy)
                self.assertEqual(answer.status, told)
                self.assertNotIn("corp.local", answer.reason + repr(answer.headers) + repr(answer.body))
                for name in ("WWW-Authenticate", "X-MS-Location", "Location", "X-Any"):
                    self.assertIsNone(answer.header(name))
                if refusal is None:
                    self.assertEqual(answer.header("Set-Cookie"), "a=b; Path=/; Secure; HttpOnly")
                    self.assertEqual(answer.body, b"")
                else:
                    wait_for("a line in the log", lambda r=refusal, s=status: proxy.lines(
                        "request", refusal=r, endpoint_status=s), 5, proxy)
                if told == 503:
                    self.assertGreater(int(answer.header("Retry-After")), 0)
                if told == 449:
                    self.assertEqual(answer.reason, "Retry after sending a PROVISION command")

    def test_a_page_is_no_answer(self):
        proxy = self.start_with()
        self.recorder.answer = lambda *_: answer_bytes(200, b"<html>sign in at ex1.corp.local</html>", [
            ("Content-Type", "text/html; charset=utf-8")])
        answer = self.sync(proxy)
        self.assertEqual(answer.status, 502)
        self.assertNotIn(b"corp.local", answer.body)
        answer = self.options(proxy)
        self.assertEqual((answer.status, answer.body), (200, b""))
        with proxy.dial("bob") as connection:
            answer = connection.request(
                "POST", PATH + "?Cmd=GetAttachment&AttachmentName=a&User=bob%40contoso.test&DeviceId=D1&DeviceType=T",
                [("MS-ASProtocolVersion", "12.1")], b"")
        self.assertEqual((answer.status, answer.body), (200, b"<html>sign in at ex1.corp.local</html>"))
        # An empty one is what some servers say when there is nothing to say.
        self.recorder.answer = lambda *_: answer_bytes(200, b"", [("Content-Type", "text/html")])
        self.assertEqual(self.sync(proxy).status, 200)

    def test_throttling_passes(self):
        proxy = self.start_with()
        self.recorder.answer = lambda *_: answer_bytes(503, b"", [
            ("Retry-After", "77"), ("X-MS-ASThrottle", "CommandFrequency")])
        answer = self.sync(proxy)
        self.assertEqual((answer.status, answer.header("Retry-After"), answer.header("X-MS-ASThrottle")),
                         (503, "77", "CommandFrequency"))

    def test_bodies_of_errors_pass_where_they_are_activesync(self):
        proxy = self.start_with()
        body = wbxml.encode(wbxml.Node("FolderHierarchy:FolderSync", wbxml.Node("FolderHierarchy:Status", "142")))
        self.recorder.answer = lambda *_: answer_bytes(449, body, [WBXML])
        answer = self.sync(proxy)
        self.assertEqual((answer.status, answer.body), (449, body))

    def test_a_redirect_to_another_endpoint_is_followed(self):
        other = self.start_recorder(lambda *_: answer_bytes(200, b"", [("X-From", "other")]))
        for status, field in ((451, "X-MS-Location"), (307, "Location"), (308, "Location")):
            with self.subTest(status):
                proxy = self.start_with(other, **{"upstream exchange": {"health-interval": "1h"}})
                target = url(other) + "/Microsoft-Server-ActiveSync"
                self.recorder.answer = lambda *_, s=status, f=field, t=target: answer_bytes(s, b"moved", [(f, t)])
                other.clear()
                for turn in range(4):
                    answer = self.sync(proxy, device="D%d" % turn)
                    self.assertEqual((answer.status, answer.header("X-From")), (200, "other"))
                self.assertGreater(len(self.recorder.whole()), 0)
                for received in other.whole():
                    self.assertEqual(received.body, wbxml.encode(client.folder_sync()))
                    self.assertEqual(received.all("X-Mailbox"), ["bob@contoso.test"])
                    self.assertEqual(received.all("Host"), ["127.0.0.1:%d" % other.port])
                # The device is known to belong there now.
                self.recorder.clear()
                for turn in range(4):
                    for _ in range(4):
                        self.assertEqual(self.sync(proxy, device="D%d" % turn).status, 200)
                moved = [r for r in self.recorder.whole() if r.method == "POST"]
                self.assertLessEqual(len(moved), 4)
                proxy.stop()

    def test_redirects_in_a_circle_end(self):
        other = self.start_recorder()
        proxy = self.start_with(other)
        here, there = (url(r) + "/Microsoft-Server-ActiveSync" for r in (self.recorder, other))
        self.recorder.answer = lambda *_: answer_bytes(451, b"", [("X-MS-Location", there)])
        other.answer = lambda *_: answer_bytes(451, b"", [("X-MS-Location", here)])
        answer = self.sync(proxy)
        self.assertEqual(answer.status, 503)
        self.assertLessEqual(len(self.recorder.whole()) + len(other.whole()), 4)
        wait_for("a line in the log", lambda: proxy.lines("request", refusal="upstream-redirect"), 5, proxy)

    def test_a_redirect_that_cannot_be_followed_is_told_as_a_pause(self):
        other = self.start_recorder()
        proxy = self.start_with(other)
        answers = {}
        for recorder, target in ((self.recorder, other), (other, self.recorder)):
            answers[recorder] = lambda *_, t=target: answer_bytes(451, b"", [(
                "X-MS-Location", url(t) + "/Microsoft-Server-ActiveSync")])
        # A large body is gone when the answer comes; the phone's next request goes to the right endpoint.
        self.recorder.answer, other.answer = answers[self.recorder], lambda *_: answer_bytes()
        statuses = []
        for turn in range(8):
            statuses.append(self.sync(proxy, "SendMail", device="BIG",
                                      body=wbxml.encode(client.send_mail(b"x" * 200000))).status)
        self.assertLessEqual(statuses.count(503), 1, statuses)
        self.assertEqual(statuses[-4:], [200] * 4)

    def test_refuse_and_unknown_places(self):
        other = self.start_recorder()
        for redirects, target in (("refuse", url(other)), ("follow", "https://127.0.0.1:%d" % other.port),
                                  ("follow", url(other) + "0/"), ("follow", url(other).replace("127.", "u@127.")),
                                  ("follow", "//127.0.0.1:%d/" % other.port), ("follow", ""), ("rewrite", url(other))):
            with self.subTest(redirects, target=target):
                self.recorder.answer = lambda *_: answer_bytes()
                other.answer = lambda *_: answer_bytes()
                proxy = self.start_with(other, **{"upstream exchange": {"redirects": redirects}})
                for recorder in (self.recorder, other):
                    recorder.answer = lambda *_, t=target: answer_bytes(451, b"", [("X-MS-Location", t)])
                answer = self.sync(proxy)
                self.assertEqual(answer.status, 503)
                self.assertIsNone(answer.header("X-MS-Location"))
                proxy.stop()

    def test_rewrite_sends_a_phone_to_our_own_name_once(self):
        proxy = self.start_with(**{"upstream exchange": {"redirects": "rewrite"},
                                   "autodiscover": {"url": "https://phones.contoso.test"}})
        self.recorder.answer = lambda *_: answer_bytes(451, b"", [("X-MS-Location", "https://ex1.corp.local/")])
        answer = self.sync(proxy)
        self.assertEqual(answer.status, 451)
        self.assertEqual(answer.header("X-MS-Location"), "https://phones.contoso.test/Microsoft-Server-ActiveSync")
        for host in ("phones.contoso.test", "Phones.Contoso.Test:443"):
            answer = self.sync(proxy, headers=[("Host", host)])
            self.assertEqual(answer.status, 503)

    def test_versions_and_commands_are_narrowed_and_closed(self):
        proxy = self.start_with(activesync={"min-protocol": "12.1", "max-protocol": "14.1",
                                            "closed-commands": ["Search", "Find"]})
        self.recorder.answer = lambda *_: answer_bytes(200, b"", [
            ("MS-ASProtocolVersions", "2.5,12.0,12.1,14.0,14.1,16.0,16.1"), ("X-MS-RP", "2.5,14.0,14.1,16.0"),
            ("MS-ASProtocolCommands", "Sync,SendMail,Search,Find,Ping"), ("Public", "OPTIONS,POST")])
        answer = self.options(proxy)
        self.assertEqual(answer.header("MS-ASProtocolVersions"), "12.1,14.0,14.1")
        self.assertEqual(answer.header("X-MS-RP"), "14.0,14.1")
        self.assertEqual(answer.header("MS-ASProtocolCommands"), "Sync,SendMail,Ping")
        self.assertEqual(answer.header("Public"), "OPTIONS,POST")
        self.assertEqual(self.sync(proxy).status, 200)
        self.recorder.clear()
        for command, version, status, eas_status in (
                ("FolderSync", "2.5", 400, None), ("FolderSync", "12.0", 400, None),
                ("FolderSync", "16.1", 200, "138"), ("Search", "14.1", 200, "137"), ("Search", "12.1", 501, None),
                ("Find", "14.1", 200, "137")):
            with self.subTest(command, version=version):
                answer = self.sync(proxy, command, version)
                self.assertEqual(answer.status, status)
                if eas_status:
                    self.assertEqual(answer.wbxml().get("Status"), eas_status)
        self.assertEqual(self.recorder.begun(), [])
        for refusal in ("protocol-closed", "command-closed"):
            wait_for("lines in the log", lambda r=refusal: len(proxy.lines("request", refusal=r)) == 3, 5, proxy)


class PhoneTest(harness.Case):
    """What a phone of eassim makes of it."""

    def setUp(self):
        super().setUp()
        self.server_port = harness.free_port()
        server = self.start(harness.Program("eassim-serve", [
            EASSIM, "serve", "--listen", "127.0.0.1:%d" % self.server_port, "--quiet", "--heartbeat-min", "1"],
            self.directory))
        wait_for("eassim serve", lambda: harness.is_listening(self.server_port), None, server)
        self.server = "http://127.0.0.1:%d" % self.server_port
        self.recorder = self.start_recorder()

    def proxy_to(self, *endpoints, **changes):
        proxy = self.start_proxy(list(endpoints), harness.merge({
            "workers": 1, "upstream exchange": {"headers": ["x-webobjects-remote-user: %{mailbox}"]}}, changes))
        proxy.wait_until_answering()
        return proxy

    def phone_ends(self, proxy, *options, status=0):
        phone = self.start(harness.Program("phone", [
            EASSIM, "phone", "--url", "https://localhost:%d%s" % (proxy.port, PATH), "--pki", self.pki.directory,
            "--user", "bob", *options], self.directory))
        self.assertEqual(phone.wait(30), status, phone.tail(20))
        return phone.output()

    def test_of_a_redirect_that_is_followed_it_notices_nothing(self):
        proxy = self.proxy_to(url(self.recorder), self.server)
        self.recorder.answer = lambda *_: answer_bytes(451, b"", [("X-MS-Location", self.server + PATH)])
        for version in ("12.1", "14.1", "16.1"):
            self.phone_ends(proxy, "--version", version, "--strict")
        self.assertTrue(self.recorder.whole())

    def test_where_the_mail_server_leads_elsewhere_it_waits_and_does_not_leave_us(self):
        proxy = self.proxy_to(url(self.recorder))
        self.recorder.answer = lambda *_: answer_bytes(451, b"", [("X-MS-Location", "https://ex1.corp.local" + PATH)])
        told = self.phone_ends(proxy, "--duration", "3", status=1)
        self.assertNotIn("another server", told)
        self.assertNotIn("corp.local", told)
        self.assertIn("503", told)

    def test_without_our_table_it_would_ask_for_a_password(self):
        proxy = self.proxy_to(url(self.recorder))
        for status in (401, 407, 457):
            self.recorder.answer = lambda *_, s=status: answer_bytes(s, b"", [("WWW-Authenticate", "Basic")])
            told = self.phone_ends(proxy, "--duration", "2", status=1)
            self.assertNotIn("password", told)

    def test_it_takes_the_versions_that_are_open(self):
        proxy = self.proxy_to(self.server, activesync={"min-protocol": "14.0", "max-protocol": "14.1"})
        self.phone_ends(proxy, "--version", "14.1")
        for version in ("12.1", "16.1"):
            told = self.phone_ends(proxy, "--version", version, "--duration", "2", status=1)
            self.assertIn("OPTIONS does not offer the version", told)

    def test_a_closed_command_is_told_so(self):
        proxy = self.proxy_to(self.server, activesync={"closed-commands": ["Ping"]})
        told = self.phone_ends(proxy, "--duration", "3", status=1)
        self.assertIn("137", told)
        wait_for("a line in the log", lambda: proxy.lines("request", refusal="command-closed"), 5, proxy)


if __name__ == "__main__":
    unittest.main()
