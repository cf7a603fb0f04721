/* Whom a message goes to and what it carries, in pieces of any size. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/mime_head.h"
#include "proxy/mime_value.h"
#include "tests/unit/check.h"

static char shown[8192];
static size_t shown_len;

__attribute__((format(printf, 1, 2))) static void show(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	shown_len +=
		(size_t)vsnprintf(shown + shown_len, sizeof(shown) - shown_len, format, arguments);
	va_end(arguments);
	if (shown_len >= sizeof(shown))
		abort();
}

static void show_events(struct mime_head *mime)
{
	static const char *const roles[] = {"to", "cc", "bcc", "from", "reply"};
	enum mime_event event;

	while ((event = mime_head_next(mime)) != MIME_MORE)
		if (event == MIME_ADDRESS)
			show("%s <%.*s>\n", roles[mime->role], SPAN_PRINT(mime->addresses.address));
		else
			show("%s %s \"%s\" %llu\n", mime->part.is_attachment ? "file" : "part",
				mime->part.type, mime->part.name,
				(unsigned long long)mime->part.size);
}

static const char *read_in_pieces(struct span message, size_t piece)
{
	static struct mime_head mime;

	shown_len = 0;
	shown[0] = '\0';
	mime_head_begin(&mime);
	for (size_t at = 0; at < message.len; at += piece) {
		size_t len = message.len - at < piece ? message.len - at : piece;
		uint8_t *copy = malloc(len);

		memcpy(copy, message.data + at, len);
		mime_head_feed(&mime, span_of(copy, len));
		show_events(&mime);
		free(copy);
	}
	mime_head_finish(&mime);
	show_events(&mime);
	if (mime.is_beyond)
		show("beyond\n");
	return shown;
}

struct row {
	const char *message, *shown;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t piece = 1; piece <= strlen(rows[i].message) + 1; piece++) {
			const char *seen = read_in_pieces(span_of_string(rows[i].message), piece);

			if (strcmp(seen, rows[i].shown) != 0) {
				printf("\n%s\nin pieces of %zu:\n%s", rows[i].message, piece, seen);
				CU_FAIL("something else was seen");
				break;
			}
		}
}

static void test_addresses(void)
{
	static const struct row rows[] = {
		{"a@x.org", "to <a@x.org>\n"},
		{"A@X.Org, b@x.org", "to <a@x.org>\nto <b@x.org>\n"},
		{"Anna <a@x.org>,Bo <b@x.org>", "to <a@x.org>\nto <b@x.org>\n"},
		{"\"Last, First\" <a@x.org>", "to <a@x.org>\n"},
		{"\"a \\\" <no@x.org>, b\" <a@x.org>", "to <a@x.org>\n"},
		{"\"a b\"@x.org", "to <\"a b\"@x.org>\n"},
		{"a@x.org (Anna (the \\) other), no@x.org)", "to <a@x.org>\n"},
		{"Anna <a(comment)@x.org>", "to <a@x.org>\n"},
		{"=?utf-8?Q?Anna=2C_B?= <a@x.org>", "to <a@x.org>\n"},
		{"a @ x . org", "to <a@x.org>\n"},
		{"a@[192.0.2.1], b@[IPv6:2001:db8::1]",
			"to <a@[192.0.2.1]>\nto <b@[ipv6:2001:db8::1]>\n"},
		{"friends: a@x.org, Bo <b@x.org>;, c@x.org",
			"to <a@x.org>\nto <b@x.org>\nto <c@x.org>\n"},
		{"undisclosed-recipients:;", ""},
		{"<@relay.org,@other.org:a@x.org>", "to <a@x.org>\n"},
		{"a@x.org,,; b@x.org;", "to <a@x.org>\nto <b@x.org>\n"},
		{"<a@x.org><b@x.org>", "to <a@x.org>\nto <b@x.org>\n"},
		{"<a@x.org>: <b@x.org>", "to <a@x.org>\nto <b@x.org>\n"},
		{"<>", ""},
		{"", ""},
		/* Nobody is lost because of what is malformed. */
		{"bob", "to <bob>\n"},
		{"<a@x.org", "to <a@x.org>\n"},
		{"\"a <a@x.org>", "to <\"a <a@x.org>>\n"},
		{"(a@x.org", "to <(>\n"},
		{"a@x.org (b@x.org", "to <a@x.org(>\n"},
	};
	char message[400], wanted[400];
	struct row row = {message, wanted};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(message, sizeof(message), "To: %s\r\n\r\n", rows[i].message);
		snprintf(wanted, sizeof(wanted), "%spart text/plain \"\" 0\n", rows[i].shown);
		check_rows(&row, 1);
	}
}

static void test_heads(void)
{
	static const struct row rows[] = {
		{"From: a@x.org\r\nReply-To: r@x.org\r\nTo: b@x.org,\r\n\tc@x.org\r\nCC:d@x.org\r\n"
		 "bCc : e@x.org\r\nSubject: f@x.org\r\n\r\nTo: g@x.org\r\n",
			"from <a@x.org>\nreply <r@x.org>\nto <b@x.org>\nto <c@x.org>\ncc "
			"<d@x.org>\n"
			"bcc <e@x.org>\npart text/plain \"\" 13\n"},
		/* Line ends without CR, no blank line, nothing at all. */
		{"To: a@x.org\nCc: b@x.org\n\nx",
			"to <a@x.org>\ncc <b@x.org>\npart text/plain \"\" 1\n"},
		{"To: a@x.org", "to <a@x.org>\npart text/plain \"\" 0\n"},
		{"", "part text/plain \"\" 0\n"},
		{"\r\nTo: a@x.org", "part text/plain \"\" 11\n"},
		/* An address that is folded in its middle; one that a line without colon interrupts. */
		{"To: a\r\n @x.org\r\n\r\n", "to <a@x.org>\npart text/plain \"\" 0\n"},
		{"To: a@x.org,\r\nno field\r\nTo: b@x.org\r\n\r\n",
			"to <a@x.org>\nto <b@x.org>\npart text/plain \"\" 0\n"},
		{"Resent-To: a@x.org\r\nResent-Bcc: b@x.org\r\n\r\n",
			"to <a@x.org>\nbcc <b@x.org>\npart text/plain \"\" 0\n"},
		{"A-field-whose-name-is-longer-than-any-that-is-known: a@x.org\r\n\r\n",
			"part text/plain \"\" 0\n"},
	};

	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_parts(void)
{
	static const struct row rows[] = {
		{"Content-Type: text/html; charset=utf-8\r\n\r\n<p>", "part text/html \"\" 3\n"},
		{"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: "
		 "base64\r\n\r\n"
		 "AAAA\r\nAAA=\r\n",
			"file application/pdf \"a.pdf\" 5\n"},
		{"Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\npreamble\r\n--b "
		 "1\r\n\r\nhello\r\n"
		 "--b 1\r\nContent-Type: image/PNG\r\nContent-Disposition: inline; filename=\"a "
		 "b.png\"\r\n"
		 "content-transfer-encoding:BASE64\r\n\r\nAAAA\r\n--b 1--\r\nepilogue\r\n--b "
		 "1\r\n\r\nmore",
			"part text/plain \"\" 5\nfile image/png \"a b.png\" 3\n"},
		/* Nested, and the outer one ends the inner one. */
		{"Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: "
		 "multipart/alternative;"
		 "\n boundary=i\n\n--i\n\n12\n--i\nContent-Type: text/html\n\n1234\n--o\n"
		 "Content-Disposition: attachment\n\nxyz\n--o--\n",
			"part text/plain \"\" 2\npart text/html \"\" 4\nfile text/plain \"\" 3\n"},
		/* Lines that only look like boundaries. */
		{"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bb\n--\n-b\n --b\n--b "
		 "x\n--b \t\n\ny",
			"part text/plain \"\" 21\npart text/plain \"\" 1\n"},
		/* What comes with signatures, receipts and invitations is no attachment. */
		{"Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n"
		 "Content-Type: application/pkcs7-signature; name=smime.p7s\n\ns\n--b--\n",
			"part text/plain \"\" 1\npart application/pkcs7-signature \"smime.p7s\" "
			"1\n"},
		{"Content-Type: text/calendar; method=REQUEST; name=invite.ics\n\nx",
			"part text/calendar \"invite.ics\" 1\n"},
		/* A message in a message is one attachment, whatever it holds. */
		{"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: "
		 "message/rfc822\n\n"
		 "To: no@x.org\nContent-Type: multipart/mixed; boundary=c\n\n--c\n"
		 "Content-Type: image/png\n\nx\n--b--\n",
			"file message/rfc822 \"\" 86\n"},
		/* A multipart without a boundary cannot be looked into: it counts as one attachment. */
		{"Content-Type: multipart/mixed\n\n--b\n\nx", "file multipart/mixed \"\" 6\n"},
		/* No address from a part's head. */
		{"Content-Type: multipart/mixed; boundary=b\n\n--b\nTo: no@x.org\n\nx\n--b--",
			"part text/plain \"\" 1\n"},
		/* The first type counts, the name of the disposition wins. */
		{"Content-Type: image/png; name=a.png\nContent-Type: text/plain\n"
		 "Content-Disposition: attachment; filename=b.exe\n\n",
			"file image/png \"b.exe\" 0\n"},
		{"Content-Disposition: attachment; filename=\"\"\n\n", "file text/plain \"?\" 0\n"},
		/* Cut within a head, and right behind a boundary. */
		{"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png",
			"file image/png \"\" 0\n"},
		{"Content-Type: multipart/mixed; boundary=b\n\n--b\n", ""},
	};

	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_names(void)
{
	static const struct {
		const char *value, *type, *name;
	} rows[] = {
		{"attachment; filename=a.pdf", "attachment", "a.pdf"},
		{"ATTACHMENT;FileName = \"a b.pdf\" ; size=3", "attachment", "a b.pdf"},
		{"attachment; filename=\"a\\\"b.pdf\"", "attachment", "a\"b.pdf"},
		{"attachment; filename=\"a;b.pdf\"", "attachment", "a;b.pdf"},
		{"attachment; filename=\"never ends", "attachment", "never ends"},
		{"text/plain; name=\"=?utf-8?Q?Pl=C3=A4ne_1?=\"", "text/plain", "Pl\xc3\xa4ne 1"},
		{"text/plain; name=\"=?UTF-8?B?w6QudHh0?=\"", "text/plain", "\xc3\xa4.txt"},
		{"text/plain; name=\"=?iso-8859-1?q?=E4?= =?iso-8859-1?q?=F6?= x\"", "text/plain",
			"\xc3\xa4\xc3\xb6 x"},
		{"text/plain; name=\"=?utf-8*de?q?a?=\"", "text/plain", "a"},
		{"text/plain; name=\"=?koi8-r?q?a?=\"", "text/plain", "=?koi8-r?q?a?="},
		{"text/plain; name=\"=?utf-8?b?!?=\"", "text/plain", "=?utf-8?b?!?="},
		{"text/plain; name=\"=?utf-8?q?a\"", "text/plain", "=?utf-8?q?a"},
		{"attachment; filename*=utf-8''Pl%C3%A4ne%201", "attachment", "Pl\xc3\xa4ne 1"},
		{"attachment; filename*=iso-8859-1'en'%e4", "attachment", "\xc3\xa4"},
		{"attachment; filename*=\"iso-8859-1''%e4\"", "attachment", "\xc3\xa4"},
		{"attachment; filename*=%41b", "attachment", "Ab"},
		{"attachment; filename*=utf-8''a; filename=b", "attachment", "a"},
		{"attachment; filename=b; filename*=utf-8''a", "attachment", "a"},
		{"attachment; filename*0=ab; filename*1=\"c d\"; filename*2*=%65", "attachment",
			"abc de"},
		{"attachment; filename*0*=utf-8''%C3; filename*1*=%A4", "attachment", "\xc3\xa4"},
		{"attachment; filename*0=a; filename*2=c", "attachment", "a"},
		{"attachment; filename", "attachment", ""},
		{"attachment; =x; filename=a", "attachment", "a"},
		{"", "", ""},
		{";;;", "", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mime_value value;

		mime_value_read(span_of_string(rows[i].value), &value);
		if (strcmp(value.type, rows[i].type) != 0 || strcmp(value.name, rows[i].name) != 0)
			printf("\n%s: %s, %s", rows[i].value, value.type, value.name);
		CU_ASSERT_STRING_EQUAL(value.type, rows[i].type);
		CU_ASSERT_STRING_EQUAL(value.name, rows[i].name);
	}
}

/* Without its end. */
static void put(char *to, const char *text)
{
	for (size_t i = 0; text[i] != '\0'; i++)
		to[i] = text[i];
}

static void test_bounds(void)
{
	static char message[1 << 20];
	static struct mime_head mime;
	size_t len = 0;

	/* Deeper than is followed: what is inside counts as one part. */
	for (int depth = 0; depth < 2 * MIME_DEPTH_MAX; depth++)
		len += (size_t)snprintf(message + len, sizeof(message) - len,
			"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", depth, depth);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(read_in_pieces(span_of(message, len), 1000), "file multipart/mixed"));
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "beyond"));
	/* A head without an end. */
	memset(message, 'x', sizeof(message));
	put(message, "To: a@x.org\nX: ");
	read_in_pieces(span_of(message, sizeof(message)), 4096);
	CU_ASSERT_STRING_EQUAL(shown, "to <a@x.org>\nbeyond\n");
	/* An address without an end. */
	memset(message, 'x', sizeof(message));
	put(message, "To: ");
	mime_head_begin(&mime);
	mime_head_feed(&mime, span_of(message, 1000));
	CU_ASSERT_EQUAL(mime_head_next(&mime), MIME_MORE);
	mime_head_finish(&mime);
	CU_ASSERT_EQUAL(mime_head_next(&mime), MIME_ADDRESS);
	CU_ASSERT_TRUE(mime.addresses.is_cut);
	CU_ASSERT_EQUAL(mime.addresses.address.len, MIME_ADDRESS_MAX);
	/* A value without an end. */
	put(message, "Content-Type: ");
	message[2000] = '\n';
	message[2001] = '\n';
	CU_ASSERT_PTR_NOT_NULL(strstr(read_in_pieces(span_of(message, 3000), 100), "beyond"));
	CU_ASSERT_TRUE(sizeof(struct mime_head) <= 3200);
}

static const struct check checks[] = {
	{"addresses are found in lists of every form", test_addresses},
	{"heads say whom a message is from and goes to", test_heads},
	{"parts are told apart, and attachments among them", test_parts},
	{"names are decoded", test_names},
	{"everything has a bound", test_bounds},
};

int main(void)
{
	return check_run("proxy/mime_head", checks, sizeof(checks) / sizeof(checks[0]));
}
