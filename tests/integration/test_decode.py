"""easproxyctl decode and encode: bodies of every kind there and back, secrets, faults."""
import glob
import gzip
import os
import struct
import subprocess

import client
import harness
import wbxml

SAMPLES = os.path.join(harness.ROOT, "tests", "data", "wbxml", "good")
SECRETS = (b"geheim", b"EXAMPLE\\anna", b"1234-5678", b"351756051523999")


def sample(name):
    with open(os.path.join(SAMPLES, name + ".wbxml"), "rb") as f:
        return f.read()


def multipart(*parts):
    offset, table, count = 4 + 8 * len(parts), b"", struct.pack("<I", len(parts))
    for part in parts:
        table += struct.pack("<II", offset, len(part))
        offset += len(part)
    return count + table + b"".join(parts)


class DecodeTest(harness.Case):
    def run_ctl(self, data, *arguments, status=0):
        done = subprocess.run([harness.EASPROXYCTL, *arguments], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout, done.stderr.decode()

    def decode(self, data, *arguments, status=0):
        return self.run_ctl(data, "decode", *arguments, status=status)

    def encode(self, data, status=0):
        return self.run_ctl(data, "encode", status=status)

    def test_decoding_and_encoding_again_loses_nothing_that_a_server_would_see(self):
        # Each of them is in unit/wbxml_xml; here it is the commands' turn.
        for path in sorted(glob.glob(os.path.join(SAMPLES, "*.wbxml")))[::6]:
            with open(path, "rb") as f:
                document = f.read()
            xml, _ = self.decode(document, "--show-secrets")
            back, _ = self.encode(xml)
            self.assertEqual(self.decode(back, "--show-secrets")[0], xml, path)

    def test_a_message_is_readable_and_comes_back_byte_for_byte(self):
        mime = b"From: a@contoso.test\r\nTo: b@contoso.test\r\n\r\n<Hello> & goodbye\r\n"
        document = wbxml.encode(client.send_mail(mime))
        xml, _ = self.decode(document)
        self.assertIn(b"w:opaque=\"lines\">From: a@contoso.test\nTo: b@contoso.test\n\n"
                      b"&lt;Hello&gt; &amp; goodbye\n</Mime>", xml)
        self.assertEqual(self.encode(xml)[0], document)

    def test_secrets_are_masked_unless_asked_for(self):
        found = set()
        for name in ("settings-devicepassword-request", "settings-deviceinformation-request",
                     "search-document-request", "itemoperations-document-request"):
            document = sample(name)
            masked, note = self.decode(document)
            self.assertIn(b"w:masked=\"secret\"", masked)
            self.assertIn("--show-secrets", note)
            shown, note = self.decode(document, "--show-secrets")
            self.assertEqual(note, "")
            self.assertEqual(self.encode(shown)[0], document)
            for secret in SECRETS:
                self.assertNotIn(secret, masked, name)
                found |= {secret} if secret in shown else set()
        self.assertEqual(found, set(SECRETS))
        self.assertIn("…3999".encode(), self.decode(sample("settings-deviceinformation-request"))[0])

    def test_libwbxml_cannot_mask_and_is_not_asked_to_show(self):
        document = sample("settings-devicepassword-request")
        output, fault = self.decode(document, "--dialect", "libwbxml", status=1)
        self.assertEqual(output, b"")
        self.assertIn("Password, which cannot be masked in this dialect", fault)
        self.assertIn(b"1234-5678", self.decode(document, "--dialect", "libwbxml", "--show-secrets")[0])

    def test_a_mask_is_never_encoded(self):
        masked, _ = self.decode(sample("settings-devicepassword-request"))
        output, fault = self.encode(masked, status=1)
        self.assertEqual(output, b"")
        self.assertIn("line 5: a masked value", fault)
        self.assertIn("--show-secrets", fault)

    def test_a_compressed_answer_is_decompressed(self):
        document = sample("sync-add-email-response")
        xml, note = self.decode(gzip.compress(document))
        self.assertEqual(xml, self.decode(document)[0])
        self.assertIn("gzip", note)
        _, fault = self.decode(gzip.compress(document)[:-20], status=1)
        self.assertIn("gzip", fault)

    def test_a_multipart_answer_shows_its_document_and_gives_its_parts(self):
        document = sample("itemoperations-multipart-response")
        body = multipart(document, b"%PDF-1.4 attachment")
        for data in (body, gzip.compress(body)):
            xml, note = self.decode(data, "--command", "ItemOperations")
            self.assertIn(b"<ItemOperations", xml)
            self.assertIn(b"[part 1: 19 bytes]", xml)
            self.assertIn("multipart", note)
            self.assertEqual(self.decode(data, "--part", "1")[0], b"%PDF-1.4 attachment")
            self.assertEqual(self.decode(data, "--part", "0")[0], document)
            self.assertIn("it has 2 parts", self.decode(data, "--part", "2", status=1)[1])

    def test_an_empty_body_means_something_to_those_who_know_whose_it_is(self):
        self.assertIn("too early; --command", self.decode(b"", status=1)[1])
        for command, meaning in (("Sync", "nothing has changed"), ("Ping", "of the last one"),
                                 ("SendMail", "was sent"), ("Provision", "empty body")):
            output, note = self.decode(b"", "--command", command)
            self.assertEqual(output, b"")
            self.assertIn(meaning, note)

    def test_a_message_of_12_1_is_shown_as_text(self):
        mime = b"From: a@contoso.test\r\nSubject: x\x1b[2J\r\n\r\nHello\r\n"
        output, note = self.decode(mime, "--command", "SendMail")
        self.assertEqual(output, b"From: a@contoso.test\nSubject: x?[2J\n\nHello\n")
        self.assertIn("MIME", note)

    def test_a_whole_http_message_is_recognized(self):
        document = sample("settings-devicepassword-request")
        head = (b"POST /Microsoft-Server-ActiveSync?Cmd=Settings&User=bob&DeviceId=Dev1&DeviceType=x HTTP/1.1\r\n"
                b"Host: mail.contoso.test\r\nMS-ASProtocolVersion: 14.1\r\nAuthorization: Basic c2VjcmV0\r\n"
                b"Content-Type: application/vnd.ms-sync.wbxml\r\n")
        whole = head + b"Content-Length: %d\r\n\r\n" % len(document) + document
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(document) + document + b"\r\n0\r\n\r\n"
        for message in (whole, chunked):
            xml, note = self.decode(message)
            self.assertEqual(xml, self.decode(document)[0])
            self.assertIn("POST Settings 14.1 of device Dev1", note)
            self.assertNotIn("c2VjcmV0", note)
        answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        body = gzip.compress(sample("ping-changes-response"))
        xml, note = self.decode(answer % len(body) + body, "--command", "Ping")
        self.assertIn(b"<Ping", xml)
        self.assertIn("HTTP 200", note)
        self.assertIn("ends before its body", self.decode(whole[:-1], status=1)[1])
        self.assertIn("CR LF", self.decode(whole.replace(b"\r\n", b"\n"), status=1)[1])
        self.assertIn("http-host", self.decode(whole.replace(b"Host:", b"Hoste:"), status=1)[1])

    def test_whose_body_it_is_is_said_where_it_does_not_fit(self):
        document = sample("ping-request")
        self.assertEqual(self.decode(document)[1], "")
        self.assertEqual(self.decode(document, "--command", "Ping")[1], "")
        self.assertIn("a document of Ping, not of Sync", self.decode(document, "--command", "Sync")[1])

    def test_an_element_that_nobody_knows_is_shown_by_its_token(self):
        document = sample("ping-request")
        document = document[:7] + b"\x7f\x03?\0\x01" + document[7:]
        xml, note = self.decode(document)
        self.assertIn(b"<unknown-3F>?</unknown-3F>", xml)
        self.assertIn("named by their tokens", note)
        self.assertEqual(self.encode(xml)[0], document)

    def test_a_fault_says_where_it_is_and_what_was_expected(self):
        document = sample("ping-request")
        for data, words in (
                (b"\x02" + document[1:], ("byte 0", "02; expected 03 01 6a 00")),
                (document[:-1], ("ends too early; expected", "in Ping:Ping")),
                (document + b"\x45", ("after the end", "expected nothing after the root")),
                (document[:7] + b"\x85\x01", ("byte 7", "85; expected a tag without the bit 80", "from there: 85 01")),
                (b"Hello", ("byte 0", "expected 03 01 6a 00"))):
            output, fault = self.decode(data, status=1)
            self.assertEqual(output, b"")
            for word in words:
                self.assertIn(word, fault)

    def test_a_wrong_command_line_is_told(self):
        for arguments in (("--command", "Sink"), ("--part", "x"), ("--part", "-1"), ("--hex", "--base64"),
                          ("a", "b"), ("--nonsense",)):
            self.assertIn("usage:", self.decode(b"", *arguments, status=2)[1])
        self.assertIn("'Sink' is not a command", self.decode(b"", "--command", "Sink", status=2)[1])
        ping = bytes.fromhex("03016a00000d0501")
        self.assertIn("it is no multipart answer", self.decode(ping, "--part", "1", status=1)[1])
