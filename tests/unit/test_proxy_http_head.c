/* Heads of requests and answers: what is understood, and above all what is refused. */
#include <ctype.h>
#include <stdlib.h>

#include "proxy/http.h"
#include "proxy/http_chars.h"
#include "tests/unit/check.h"

enum {
	NONE = REFUSAL_NONE,
	MALFORMED = REFUSAL_HTTP_MALFORMED,
	FRAMING = REFUSAL_HTTP_FRAMING,
	HOST = REFUSAL_HTTP_HOST,
	VERSION = REFUSAL_HTTP_VERSION,
	METHOD = REFUSAL_METHOD_NOT_ALLOWED,
	EXPECTATION = REFUSAL_EXPECTATION
};

/* Bytes with an explicit length, because some hold NULs. */
#define BYTES(text) (text), sizeof(text) - 1

struct row {
	const char *what;
	const char *bytes;
	size_t len;
	unsigned int refusal;
};

static enum refusal request_refusal(const char *bytes, size_t len)
{
	struct http_head head;
	enum http_result result = http_request_parse(&head, bytes, len);

	CU_ASSERT_EQUAL(result, head.refusal == REFUSAL_NONE ? HTTP_DONE : HTTP_REFUSED);
	return head.refusal;
}

static void rows_check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* A copy of the exact size, so that the sanitizer sees a byte read too many. */
		char *copy = malloc(rows[i].len);
		enum refusal refusal;

		memcpy(copy, rows[i].bytes, rows[i].len);
		refusal = request_refusal(copy, rows[i].len);
		free(copy);
		if (refusal != (enum refusal)rows[i].refusal)
			printf("\n    %s: %s, expected %s", rows[i].what,
				refusal_row(refusal)->name,
				refusal_row((enum refusal)rows[i].refusal)->name);
		CU_ASSERT_EQUAL(refusal, rows[i].refusal);
	}
}

#define ROWS_CHECK(rows) rows_check(rows, sizeof(rows) / sizeof((rows)[0]))

#define P "POST /x HTTP/1.1\r\nHost: h\r\n"

static void test_framing(void)
{
	static const struct row rows[] = {
		{"no body", BYTES(P "\r\n"), NONE},
		{"length", BYTES(P "Content-Length: 5\r\n\r\n"), NONE},
		{"length 0", BYTES(P "Content-Length: 0\r\n\r\n"), NONE},
		{"leading zeros are digits", BYTES(P "Content-Length: 007\r\n\r\n"), NONE},
		{"chunked", BYTES(P "Transfer-Encoding: chunked\r\n\r\n"), NONE},
		{"coding names have no case", BYTES(P "Transfer-Encoding: CHUNKED\r\n\r\n"), NONE},
		{"chunked after tab", BYTES(P "Transfer-Encoding:\tchunked\t \r\n\r\n"), NONE},
		{"CL.TE", BYTES(P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
			FRAMING},
		{"TE.CL", BYTES(P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
			FRAMING},
		{"CL.TE in other case",
			BYTES(P "content-length: 5\r\ntransfer-ENCODING: chunked\r\n\r\n"),
			FRAMING},
		{"CL 0 and TE", BYTES(P "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
			FRAMING},
		{"two lengths", BYTES(P "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), FRAMING},
		{"one length twice", BYTES(P "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
			FRAMING},
		{"one length twice, apart",
			BYTES(P "Content-Length: 5\r\nA: b\r\nCONTENT-LENGTH: 5\r\n\r\n"), FRAMING},
		{"listed lengths", BYTES(P "Content-Length: 5, 5\r\n\r\n"), FRAMING},
		{"listed lengths without space", BYTES(P "Content-Length: 5,5\r\n\r\n"), FRAMING},
		{"length and comma", BYTES(P "Content-Length: 5,\r\n\r\n"), FRAMING},
		{"plus", BYTES(P "Content-Length: +5\r\n\r\n"), FRAMING},
		{"minus", BYTES(P "Content-Length: -5\r\n\r\n"), FRAMING},
		{"minus zero", BYTES(P "Content-Length: -0\r\n\r\n"), FRAMING},
		{"hexadecimal", BYTES(P "Content-Length: 0x5\r\n\r\n"), FRAMING},
		{"hexadecimal digits", BYTES(P "Content-Length: a\r\n\r\n"), FRAMING},
		{"fraction", BYTES(P "Content-Length: 5.0\r\n\r\n"), FRAMING},
		{"exponent", BYTES(P "Content-Length: 5e0\r\n\r\n"), FRAMING},
		{"underscore in digits", BYTES(P "Content-Length: 1_0\r\n\r\n"), FRAMING},
		{"space in digits", BYTES(P "Content-Length: 1 0\r\n\r\n"), FRAMING},
		{"quoted", BYTES(P "Content-Length: \"5\"\r\n\r\n"), FRAMING},
		{"empty length", BYTES(P "Content-Length:\r\n\r\n"), FRAMING},
		{"white length", BYTES(P "Content-Length: \t \r\n\r\n"), FRAMING},
		{"no-break space",
			BYTES(P "Content-Length: \xc2\xa0"
				"5\r\n\r\n"),
			FRAMING},
		{"Arabic digit", BYTES(P "Content-Length: \xd9\xa5\r\n\r\n"), FRAMING},
		{"2^63-1", BYTES(P "Content-Length: 9223372036854775807\r\n\r\n"), NONE},
		{"2^63", BYTES(P "Content-Length: 9223372036854775808\r\n\r\n"), FRAMING},
		{"2^64", BYTES(P "Content-Length: 18446744073709551616\r\n\r\n"), FRAMING},
		{"2^64+5", BYTES(P "Content-Length: 18446744073709551621\r\n\r\n"), FRAMING},
		{"huge", BYTES(P "Content-Length: 99999999999999999999999999999999\r\n\r\n"),
			FRAMING},
		{"xchunked", BYTES(P "Transfer-Encoding: xchunked\r\n\r\n"), FRAMING},
		{"chunkedx", BYTES(P "Transfer-Encoding: chunkedx\r\n\r\n"), FRAMING},
		{"chunked, identity", BYTES(P "Transfer-Encoding: chunked, identity\r\n\r\n"),
			FRAMING},
		{"identity", BYTES(P "Transfer-Encoding: identity\r\n\r\n"), FRAMING},
		{"identity, chunked", BYTES(P "Transfer-Encoding: identity, chunked\r\n\r\n"),
			FRAMING},
		{"gzip, chunked", BYTES(P "Transfer-Encoding: gzip, chunked\r\n\r\n"), FRAMING},
		{"chunked, chunked", BYTES(P "Transfer-Encoding: chunked, chunked\r\n\r\n"),
			FRAMING},
		{"comma", BYTES(P "Transfer-Encoding: ,chunked\r\n\r\n"), FRAMING},
		{"trailing comma", BYTES(P "Transfer-Encoding: chunked,\r\n\r\n"), FRAMING},
		{"parameter", BYTES(P "Transfer-Encoding: chunked;a=b\r\n\r\n"), FRAMING},
		{"quoted coding", BYTES(P "Transfer-Encoding: \"chunked\"\r\n\r\n"), FRAMING},
		{"apostrophes", BYTES(P "Transfer-Encoding: 'chunked'\r\n\r\n"), FRAMING},
		{"empty coding", BYTES(P "Transfer-Encoding:\r\n\r\n"), FRAMING},
		{"cow", BYTES(P "Transfer-Encoding: cow\r\n\r\n"), FRAMING},
		{"vertical tab", BYTES(P "Transfer-Encoding: \vchunked\r\n\r\n"), MALFORMED},
		{"form feed", BYTES(P "Transfer-Encoding: \fchunked\r\n\r\n"), MALFORMED},
		{"NUL behind", BYTES(P "Transfer-Encoding: chunked\0\r\n\r\n"), MALFORMED},
		{"no-break space behind", BYTES(P "Transfer-Encoding: chunked\xa0\r\n\r\n"),
			FRAMING},
		{"TE twice",
			BYTES(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
			FRAMING},
		{"TE twice, one odd",
			BYTES(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n"),
			FRAMING},
		{"TE folded", BYTES(P "Transfer-Encoding:\r\n chunked\r\n\r\n"), MALFORMED},
		{"TE folded value", BYTES(P "Transfer-Encoding: chunked\r\n\tx\r\n\r\n"),
			MALFORMED},
		{"TE with space", BYTES(P "Transfer-Encoding : chunked\r\n\r\n"), MALFORMED},
		{"TE with tab", BYTES(P "Transfer-Encoding\t: chunked\r\n\r\n"), MALFORMED},
		{"TE after bare LF", BYTES(P "A: b\nTransfer-Encoding: chunked\r\n\r\n"),
			MALFORMED},
		{"TE after bare CR", BYTES(P "A: b\rTransfer-Encoding: chunked\r\n\r\n"),
			MALFORMED},
		{"TE without colon", BYTES(P "Transfer-Encoding chunked\r\n\r\n"), MALFORMED},
		{"TE in HTTP/1.0",
			BYTES("POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
			FRAMING},
		{"length in HTTP/1.0",
			BYTES("POST /x HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\n\r\n"), NONE},
		{"GET with a body",
			BYTES("GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"), FRAMING},
		{"GET chunked",
			BYTES("GET /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
			FRAMING},
		{"Connection names the length",
			BYTES(P "Connection: content-length\r\nContent-Length: 5\r\n\r\n"),
			MALFORMED},
		{"Connection names Host", BYTES(P "Connection: close, Host\r\n\r\n"), MALFORMED},
	};

	ROWS_CHECK(rows);
}

static void test_lookalikes_do_not_frame(void)
{
	static const char *const fields[] = {"Content_Length: 5", "Content.Length: 5",
		"Transfer_Encoding: chunked", "X-Content-Length: 5", "Content-Length2: 5"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char text[200];
		struct http_head head;
		int len = snprintf(text, sizeof(text), P "%s\r\n\r\n", fields[i]);

		CU_ASSERT_EQUAL(http_request_parse(&head, text, (size_t)len), HTTP_DONE);
		CU_ASSERT_EQUAL(head.framing, HTTP_NO_BODY);
		CU_ASSERT_EQUAL(head.content_length, 0);
	}
}

static void test_field_lines(void)
{
	static const struct row rows[] = {
		{"plain", BYTES(P "A: b\r\n\r\n"), NONE},
		{"no white space", BYTES(P "A:b\r\n\r\n"), NONE},
		{"empty value", BYTES(P "A:\r\n\r\n"), NONE},
		{"colons in the value", BYTES(P "A: b:c: d\r\n\r\n"), NONE},
		{"all token characters", BYTES(P "!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n"), NONE},
		{"8-bit value", BYTES(P "A: \xff\x80\r\n\r\n"), NONE},
		{"space before the colon", BYTES(P "A : b\r\n\r\n"), MALFORMED},
		{"tab before the colon", BYTES(P "A\t: b\r\n\r\n"), MALFORMED},
		{"obs-fold", BYTES(P "A: b\r\n c\r\n\r\n"), MALFORMED},
		{"obs-fold with tab", BYTES(P "A: b\r\n\tc\r\n\r\n"), MALFORMED},
		{"obs-fold of nothing", BYTES(P "A: b\r\n \r\n\r\n"), MALFORMED},
		{"fold before the first field",
			BYTES("POST /x HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n"), MALFORMED},
		{"bare LF at a field's end", BYTES(P "A: b\n\r\n"), MALFORMED},
		{"bare LF in a value", BYTES(P "A: b\nc\r\n\r\n"), MALFORMED},
		{"bare LF in a name", BYTES(P "A\nB: b\r\n\r\n"), MALFORMED},
		{"bare LF as the empty line", BYTES(P "\n"), MALFORMED},
		{"bare CR in a value", BYTES(P "A: b\rc\r\n\r\n"), MALFORMED},
		{"bare CR before CRLF", BYTES(P "A: b\r\r\n\r\n"), MALFORMED},
		{"bare CR in a name", BYTES(P "A\rB: b\r\n\r\n"), MALFORMED},
		{"bare CR before a name", BYTES(P "\rA: b\r\n\r\n"), MALFORMED},
		{"bare CR behind the colon", BYTES(P "A:\rb\r\n\r\n"), MALFORMED},
		{"CR in place of the empty line", BYTES(P "\r\r\n"), MALFORMED},
		{"NUL in a value", BYTES(P "A: b\0c\r\n\r\n"), MALFORMED},
		{"NUL in a name", BYTES(P "A\0: b\r\n\r\n"), MALFORMED},
		{"control character", BYTES(P "A: \x01\r\n\r\n"), MALFORMED},
		{"escape", BYTES(P "A: \x1b[0m\r\n\r\n"), MALFORMED},
		{"DEL", BYTES(P "A: \x7f\r\n\r\n"), MALFORMED},
		{"8-bit name", BYTES(P "\xc3\xa4: b\r\n\r\n"), MALFORMED},
		{"no colon", BYTES(P "A\r\n\r\n"), MALFORMED},
		{"empty name", BYTES(P ": b\r\n\r\n"), MALFORMED},
		{"quoted name", BYTES(P "\"A\": b\r\n\r\n"), MALFORMED},
		{"name in parentheses", BYTES(P "(A): b\r\n\r\n"), MALFORMED},
		{"at sign in a name", BYTES(P "A@: b\r\n\r\n"), MALFORMED},
		{"bracket in a name", BYTES(P "A[0]: b\r\n\r\n"), MALFORMED},
		{"slash in a name", BYTES(P "A/B: b\r\n\r\n"), MALFORMED},
		{"a second request line", BYTES(P "GET / HTTP/1.1\r\n\r\n"), MALFORMED},
		{"bytes behind the head", BYTES(P "\r\nx"), MALFORMED},
		{"no empty line", BYTES(P), MALFORMED},
		{"ends in a name", BYTES(P "A"), MALFORMED},
		{"ends in a value", BYTES(P "A: b"), MALFORMED},
		{"ends with CR", BYTES(P "A: b\r"), MALFORMED},
		{"nothing", BYTES(""), MALFORMED},
	};

	ROWS_CHECK(rows);
}

#define H "\r\nHost: h\r\n\r\n"

static void test_request_lines(void)
{
	static const struct row rows[] = {
		{"POST", BYTES("POST /x HTTP/1.1" H), NONE},
		{"OPTIONS", BYTES("OPTIONS /x?a=b HTTP/1.1" H), NONE},
		{"GET", BYTES("GET / HTTP/1.1" H), NONE},
		{"HTTP/1.0", BYTES("POST /x HTTP/1.0" H), NONE},
		{"an empty line before", BYTES("\r\nPOST /x HTTP/1.1" H), NONE},
		{"two empty lines before", BYTES("\r\n\r\nPOST /x HTTP/1.1" H), MALFORMED},
		{"LF before", BYTES("\nPOST /x HTTP/1.1" H), MALFORMED},
		{"space before", BYTES(" POST /x HTTP/1.1" H), MALFORMED},
		{"two spaces behind the method", BYTES("POST  /x HTTP/1.1" H), MALFORMED},
		{"two spaces behind the target", BYTES("POST /x  HTTP/1.1" H), MALFORMED},
		{"tab behind the method", BYTES("POST\t/x HTTP/1.1" H), MALFORMED},
		{"tab behind the target", BYTES("POST /x\tHTTP/1.1" H), MALFORMED},
		{"vertical tab", BYTES("POST\v/x HTTP/1.1" H), MALFORMED},
		{"space behind the version", BYTES("POST /x HTTP/1.1 " H), MALFORMED},
		{"text behind the version", BYTES("POST /x HTTP/1.1 x" H), MALFORMED},
		{"space in the target", BYTES("POST /x y HTTP/1.1" H), MALFORMED},
		{"HTTP/0.9", BYTES("GET /x\r\n\r\n"), MALFORMED},
		{"no version", BYTES("POST /x" H), MALFORMED},
		{"no version but a space", BYTES("POST /x " H), MALFORMED},
		{"no target", BYTES("POST HTTP/1.1" H), MALFORMED},
		{"empty target", BYTES("POST  HTTP/1.1" H), MALFORMED},
		{"method alone", BYTES("POST" H), MALFORMED},
		{"HTTP/1.10", BYTES("POST /x HTTP/1.10" H), MALFORMED},
		{"HTTP/01.1", BYTES("POST /x HTTP/01.1" H), MALFORMED},
		{"HTTP/1", BYTES("POST /x HTTP/1" H), MALFORMED},
		{"HTTP/1.", BYTES("POST /x HTTP/1." H), MALFORMED},
		{"HTTP/1,1", BYTES("POST /x HTTP/1,1" H), MALFORMED},
		{"HTTP/+1.1", BYTES("POST /x HTTP/+1.1" H), MALFORMED},
		{"http/1.1", BYTES("POST /x http/1.1" H), MALFORMED},
		{"HTTPS/1.1", BYTES("POST /x HTTPS/1.1" H), MALFORMED},
		{"HTTP 1.1", BYTES("POST /x HTTP 1.1" H), MALFORMED},
		{"HTTP/2.0", BYTES("POST /x HTTP/2.0" H), VERSION},
		{"HTTP/1.2", BYTES("POST /x HTTP/1.2" H), VERSION},
		{"HTTP/0.9 by name", BYTES("POST /x HTTP/0.9" H), VERSION},
		{"HTTP/2's preface", BYTES("PRI * HTTP/2.0\r\n\r\n"), VERSION},
		{"bare LF behind the version", BYTES("POST /x HTTP/1.1\nHost: h\r\n\r\n"),
			MALFORMED},
		{"bare CR behind the version", BYTES("POST /x HTTP/1.1\rHost: h\r\n\r\n"),
			MALFORMED},
		{"bare CR in the target", BYTES("POST /x\ry HTTP/1.1" H), MALFORMED},
		{"bare LF in the target", BYTES("POST /x\ny HTTP/1.1" H), MALFORMED},
		{"NUL in the target", BYTES("POST /x\0 HTTP/1.1" H), MALFORMED},
		{"NUL in the method", BYTES("PO\0ST /x HTTP/1.1" H), MALFORMED},
		{"lower-case method", BYTES("post /x HTTP/1.1" H), METHOD},
		{"PUT", BYTES("PUT /x HTTP/1.1" H), METHOD},
		{"HEAD", BYTES("HEAD /x HTTP/1.1" H), METHOD},
		{"TRACE", BYTES("TRACE /x HTTP/1.1" H), METHOD},
		{"POSTS", BYTES("POSTS /x HTTP/1.1" H), METHOD},
		{"CONNECT", BYTES("CONNECT h:443 HTTP/1.1" H), METHOD},
		{"CONNECT without Host", BYTES("CONNECT h:443 HTTP/1.1\r\n\r\n"), HOST},
		{"authority-form with POST", BYTES("POST h:443 HTTP/1.1" H), MALFORMED},
		{"asterisk with OPTIONS", BYTES("OPTIONS * HTTP/1.1" H), NONE},
		{"asterisk with POST", BYTES("POST * HTTP/1.1" H), MALFORMED},
		{"asterisk and more", BYTES("OPTIONS *x HTTP/1.1" H), MALFORMED},
		{"path without slash", BYTES("POST x HTTP/1.1" H), MALFORMED},
		{"fragment", BYTES("POST /x#y HTTP/1.1" H), MALFORMED},
		{"fragment in the query", BYTES("POST /x?a#y HTTP/1.1" H), MALFORMED},
		{"backslash", BYTES("POST /x\\y HTTP/1.1" H), MALFORMED},
		{"quote", BYTES("POST /\"x HTTP/1.1" H), MALFORMED},
		{"angle brackets", BYTES("POST /<x> HTTP/1.1" H), MALFORMED},
		{"braces", BYTES("POST /x?{a} HTTP/1.1" H), MALFORMED},
		{"bar", BYTES("POST /x?a|b HTTP/1.1" H), MALFORMED},
		{"caret", BYTES("POST /x^ HTTP/1.1" H), MALFORMED},
		{"brackets", BYTES("POST /x?a[]=b HTTP/1.1" H), MALFORMED},
		{"8-bit path", BYTES("POST /\xc3\xa4 HTTP/1.1" H), MALFORMED},
		{"8-bit query", BYTES("POST /x?\xff HTTP/1.1" H), MALFORMED},
		{"escapes", BYTES("POST /%41%2f?%zz HTTP/1.1" H), MALFORMED},
		{"escape without digits", BYTES("POST /x% HTTP/1.1" H), MALFORMED},
		{"escape with one digit", BYTES("POST /x%4 HTTP/1.1" H), MALFORMED},
		{"escape of IIS", BYTES("POST /x%u0041 HTTP/1.1" H), MALFORMED},
		{"good escapes", BYTES("POST /%41%2f?%5c HTTP/1.1" H), NONE},
		{"question marks in the query", BYTES("POST /x?a?b/c HTTP/1.1" H), NONE},
		{"empty query", BYTES("POST /x? HTTP/1.1" H), NONE},
		{"TLS", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), MALFORMED},
	};

	ROWS_CHECK(rows);
}

static void test_hosts(void)
{
	static const struct row rows[] = {
		{"name and port", BYTES("POST /x HTTP/1.1\r\nHost: a-b.example.com:443\r\n\r\n"),
			NONE},
		{"IPv4", BYTES("POST /x HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"), NONE},
		{"IPv6", BYTES("POST /x HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n"), NONE},
		{"IPv6 and port", BYTES("POST /x HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"), NONE},
		{"missing", BYTES("POST /x HTTP/1.1\r\n\r\n"), HOST},
		{"missing in HTTP/1.0", BYTES("POST /x HTTP/1.0\r\n\r\n"), HOST},
		{"twice", BYTES("POST /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), HOST},
		{"twice the same", BYTES("POST /x HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), HOST},
		{"listed", BYTES("POST /x HTTP/1.1\r\nHost: a, b\r\n\r\n"), HOST},
		{"empty", BYTES("POST /x HTTP/1.1\r\nHost:\r\n\r\n"), HOST},
		{"user information", BYTES("POST /x HTTP/1.1\r\nHost: u@a\r\n\r\n"), HOST},
		{"path", BYTES("POST /x HTTP/1.1\r\nHost: a/b\r\n\r\n"), HOST},
		{"query", BYTES("POST /x HTTP/1.1\r\nHost: a?b\r\n\r\n"), HOST},
		{"scheme", BYTES("POST /x HTTP/1.1\r\nHost: http://a\r\n\r\n"), HOST},
		{"space", BYTES("POST /x HTTP/1.1\r\nHost: a b\r\n\r\n"), HOST},
		{"escape", BYTES("POST /x HTTP/1.1\r\nHost: %61\r\n\r\n"), HOST},
		{"8-bit", BYTES("POST /x HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"), HOST},
		{"empty port", BYTES("POST /x HTTP/1.1\r\nHost: a:\r\n\r\n"), HOST},
		{"port 0", BYTES("POST /x HTTP/1.1\r\nHost: a:0\r\n\r\n"), HOST},
		{"port 65536", BYTES("POST /x HTTP/1.1\r\nHost: a:65536\r\n\r\n"), HOST},
		{"port with sign", BYTES("POST /x HTTP/1.1\r\nHost: a:+80\r\n\r\n"), HOST},
		{"two ports", BYTES("POST /x HTTP/1.1\r\nHost: a:80:80\r\n\r\n"), HOST},
		{"port alone", BYTES("POST /x HTTP/1.1\r\nHost: :80\r\n\r\n"), HOST},
		{"IPv6 without brackets", BYTES("POST /x HTTP/1.1\r\nHost: ::1\r\n\r\n"), HOST},
		{"open bracket", BYTES("POST /x HTTP/1.1\r\nHost: [::1\r\n\r\n"), HOST},
		{"empty brackets", BYTES("POST /x HTTP/1.1\r\nHost: []\r\n\r\n"), HOST},
		{"IPv6 zone", BYTES("POST /x HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"), HOST},
		{"text behind brackets", BYTES("POST /x HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), HOST},
		{"absolute-form",
			BYTES("POST http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n"), NONE},
		{"absolute-form without case",
			BYTES("POST HTTPS://A.Example/x HTTP/1.1\r\nHost: a.eXample\r\n\r\n"),
			NONE},
		{"absolute-form, default port here",
			BYTES("POST https://a:443/x HTTP/1.1\r\nHost: a\r\n\r\n"), NONE},
		{"absolute-form, default port there",
			BYTES("POST http://a/x HTTP/1.1\r\nHost: a:80\r\n\r\n"), NONE},
		{"absolute-form, other default port",
			BYTES("POST http://a/x HTTP/1.1\r\nHost: a:443\r\n\r\n"), HOST},
		{"absolute-form, other host", BYTES("POST http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"),
			HOST},
		{"absolute-form, longer host",
			BYTES("POST http://ab/x HTTP/1.1\r\nHost: a\r\n\r\n"), HOST},
		{"absolute-form, other port",
			BYTES("POST http://a:81/x HTTP/1.1\r\nHost: a:82\r\n\r\n"), HOST},
		{"absolute-form, user information",
			BYTES("POST http://a@b/x HTTP/1.1\r\nHost: a\r\n\r\n"), HOST},
		{"absolute-form, empty host", BYTES("POST http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
			HOST},
		{"absolute-form, other scheme", BYTES("POST ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
			MALFORMED},
		{"absolute-form, no Host", BYTES("POST http://a/x HTTP/1.1\r\n\r\n"), HOST},
		{"absolute-form, empty path", BYTES("POST http://a HTTP/1.1\r\nHost: a\r\n\r\n"),
			NONE},
		{"absolute-form, backslash",
			BYTES("POST http://a\\b/x HTTP/1.1\r\nHost: a\r\n\r\n"), HOST},
	};

	ROWS_CHECK(rows);
}

static void test_expectations(void)
{
	static const struct row rows[] = {
		{"100-continue", BYTES(P "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"),
			NONE},
		{"100-Continue", BYTES(P "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n"),
			NONE},
		{"another", BYTES(P "Expect: 200-ok\r\n\r\n"), EXPECTATION},
		{"a list", BYTES(P "Expect: 100-continue, x\r\n\r\n"), EXPECTATION},
		{"twice", BYTES(P "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
			EXPECTATION},
		{"empty", BYTES(P "Expect:\r\n\r\n"), EXPECTATION},
	};
	struct http_head head;

	ROWS_CHECK(rows);
	CU_ASSERT_EQUAL(http_request_parse(&head, rows[0].bytes, rows[0].len), HTTP_DONE);
	CU_ASSERT_TRUE(head.expects_continue);
	/* Nothing to wait for. */
	CU_ASSERT_EQUAL(
		http_request_parse(&head, BYTES(P "Expect: 100-continue\r\n\r\n")), HTTP_DONE);
	CU_ASSERT_FALSE(head.expects_continue);
	CU_ASSERT_EQUAL(http_request_parse(
				&head, BYTES("POST /x HTTP/1.0\r\nHost: h\r\n"
					     "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")),
		HTTP_DONE);
	CU_ASSERT_FALSE(head.expects_continue);
}

static bool span_is(struct span span, const char *text)
{
	return span_equal(span, span_of_string(text));
}

static void test_a_request_is_taken_apart(void)
{
	static const char text[] = "\r\nPOST /Microsoft-Server-ActiveSync?Cmd=Sync HTTP/1.1\r\n"
				   "Host: mail.example.com\r\n"
				   "Content-Type:  application/vnd.ms-sync.wbxml \t\r\n"
				   "X-Empty: \r\n"
				   "Content-Length: 1234\r\n\r\n";
	struct http_head head;

	CU_ASSERT_EQUAL(http_request_parse(&head, BYTES(text)), HTTP_DONE);
	CU_ASSERT_EQUAL(head.method, HTTP_POST);
	CU_ASSERT_TRUE(span_is(head.path, "/Microsoft-Server-ActiveSync"));
	CU_ASSERT_TRUE(span_is(head.query, "Cmd=Sync"));
	CU_ASSERT_TRUE(span_is(head.host, "mail.example.com"));
	CU_ASSERT_EQUAL(head.minor_version, 1);
	CU_ASSERT_EQUAL(head.framing, HTTP_LENGTH);
	CU_ASSERT_EQUAL(head.content_length, 1234);
	CU_ASSERT_TRUE(head.keeps_alive);
	CU_ASSERT_EQUAL(head.field_count, 4);
	CU_ASSERT_TRUE(span_is(head.fields[1].name, "Content-Type"));
	CU_ASSERT_TRUE(span_is(head.fields[1].value, "application/vnd.ms-sync.wbxml"));
	CU_ASSERT_TRUE(span_is(head.fields[2].value, ""));

	CU_ASSERT_EQUAL(http_request_parse(&head, BYTES("POST /x HTTP/1.1" H)), HTTP_DONE);
	CU_ASSERT_PTR_NULL(head.query.data);
	CU_ASSERT_EQUAL(http_request_parse(&head, BYTES("POST /x? HTTP/1.1" H)), HTTP_DONE);
	CU_ASSERT_PTR_NOT_NULL(head.query.data);
	CU_ASSERT_EQUAL(head.query.len, 0);
	CU_ASSERT_EQUAL(
		http_request_parse(&head, BYTES("POST http://h/x?y HTTP/1.1" H)), HTTP_DONE);
	CU_ASSERT_TRUE(span_is(head.path, "/x"));
	CU_ASSERT_TRUE(span_is(head.query, "y"));
	CU_ASSERT_EQUAL(http_request_parse(&head, BYTES("POST http://h?y HTTP/1.1" H)), HTTP_DONE);
	CU_ASSERT_TRUE(span_is(head.path, "/"));
	CU_ASSERT_EQUAL(http_request_parse(&head, BYTES("OPTIONS http://h HTTP/1.1" H)), HTTP_DONE);
	CU_ASSERT_TRUE(span_is(head.path, "*"));
}

static void test_connection_decides_about_keeping(void)
{
	static const struct {
		const char *version, *connection;
		bool keeps_alive;
	} rows[] = {
		{"1.1", "", true},
		{"1.1", "Connection: close\r\n", false},
		{"1.1", "Connection: Close\r\n", false},
		{"1.1", "Connection: x-y, close\r\n", false},
		{"1.1", "Connection: keep-alive\r\nConnection: ,close ,\r\n", false},
		{"1.1", "Connection: keep-alive\r\n", true},
		{"1.1", "Connection: closed\r\n", true},
		{"1.1", "Connection:\r\n", true},
		{"1.0", "", false},
		{"1.0", "Connection: Keep-Alive\r\n", true},
		{"1.0", "Connection: keep-alive, close\r\n", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];
		struct http_head head;
		int len = snprintf(text, sizeof(text), "POST /x HTTP/%s\r\nHost: h\r\n%s\r\n",
			rows[i].version, rows[i].connection);

		CU_ASSERT_EQUAL(http_request_parse(&head, text, (size_t)len), HTTP_DONE);
		CU_ASSERT_EQUAL(head.keeps_alive, rows[i].keeps_alive);
	}
}

static void test_a_media_type_is_compared_without_its_parameters(void)
{
	static const struct {
		const char *value;
		bool is_xml;
	} rows[] = {
		{"text/xml", true},
		{"Text/XML", true},
		{"text/xml;charset=utf-8", true},
		{"text/xml \t; charset=utf-8", true},
		{"text/xml2", false},
		{"text/xm", false},
		{"text/xml text/xml", false},
		{";text/xml", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(http_media_type_is(span_of_string(rows[i].value), "text/xml"),
			rows[i].is_xml);
	CU_ASSERT_FALSE(http_media_type_is(span_of(NULL, 0), "text/xml"));
}

static void test_a_field_too_many_is_refused(void)
{
	char text[2000] = P;
	struct http_head head;

	for (int i = 1; i < HTTP_FIELD_MAX; i++)
		strcat(text, "A: b\r\n");
	strcat(text, "\r\n");
	CU_ASSERT_EQUAL(http_request_parse(&head, text, strlen(text)), HTTP_DONE);
	CU_ASSERT_EQUAL(head.field_count, HTTP_FIELD_MAX);
	text[strlen(text) - 2] = '\0';
	strcat(text, "A: b\r\n\r\n");
	CU_ASSERT_EQUAL(http_request_parse(&head, text, strlen(text)), HTTP_REFUSED);
	CU_ASSERT_EQUAL(head.refusal, REFUSAL_HEAD_TOO_LARGE);
}

static void test_answers(void)
{
	static const struct {
		const char *text;
		enum http_result result;
		enum http_framing framing;
		bool keeps_alive;
	} rows[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_DONE, HTTP_LENGTH, true},
		{"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", HTTP_DONE, HTTP_LENGTH, true},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HTTP_DONE, HTTP_LENGTH, true},
		{"HTTP/1.1 449 Retry after sending a PROVISION command\r\nContent-Length: "
		 "0\r\n\r\n",
			HTTP_DONE, HTTP_LENGTH, true},
		{"HTTP/1.1 200 \xd6k\r\nA: \xff\r\nContent-Length: 0\r\n\r\n", HTTP_DONE,
			HTTP_LENGTH, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_DONE, HTTP_CHUNKED,
			true},
		{"HTTP/1.1 200 OK\r\n\r\n", HTTP_DONE, HTTP_UNTIL_CLOSE, false},
		{"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", HTTP_DONE, HTTP_UNTIL_CLOSE,
			false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_DONE, HTTP_LENGTH, false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
			HTTP_DONE, HTTP_LENGTH, true},
		{"HTTP/1.1 100 Continue\r\n\r\n", HTTP_DONE, HTTP_NO_BODY, true},
		{"HTTP/1.1 204 No Content\r\n\r\n", HTTP_DONE, HTTP_NO_BODY, true},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", HTTP_DONE, HTTP_NO_BODY,
			true},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", HTTP_DONE, HTTP_NO_BODY,
			true},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_REFUSED, 0,
			false},
		{"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 101 Switching Protocols\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", HTTP_REFUSED,
			0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", HTTP_REFUSED,
			0, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HTTP_REFUSED, 0,
			false},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200 O\rK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 20 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 2000 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 099 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 600 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 +20 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1  200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1\t200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 200OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/1.1 \r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/2 200\r\n\r\n", HTTP_REFUSED, 0, false},
		{"HTTP/2.0 200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"http/1.1 200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"ICY 200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{"\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
		{" HTTP/1.1 200 OK\r\n\r\n", HTTP_REFUSED, 0, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head head;
		enum http_result result =
			http_answer_parse(&head, rows[i].text, strlen(rows[i].text), HTTP_POST);

		if (result != rows[i].result)
			printf("\n    %s", rows[i].text);
		CU_ASSERT_EQUAL(result, rows[i].result);
		if (result == HTTP_DONE) {
			CU_ASSERT_EQUAL(head.refusal, REFUSAL_NONE);
			CU_ASSERT_EQUAL(head.framing, rows[i].framing);
			CU_ASSERT_EQUAL(head.keeps_alive, rows[i].keeps_alive);
		} else {
			CU_ASSERT_EQUAL(head.refusal, REFUSAL_UPSTREAM_MALFORMED);
		}
	}
}

static void test_an_answer_is_taken_apart(void)
{
	static const char text[] = "HTTP/1.1 503 Service  Unavailable\r\nRetry-After: 30\r\n"
				   "Content-Length: 3\r\n\r\n";
	struct http_head head;
	struct span value;

	CU_ASSERT_EQUAL(http_answer_parse(&head, BYTES(text), HTTP_POST), HTTP_DONE);
	CU_ASSERT_EQUAL(head.status, 503);
	CU_ASSERT_TRUE(span_is(head.reason, "Service  Unavailable"));
	CU_ASSERT_EQUAL(head.content_length, 3);
	CU_ASSERT_EQUAL(http_field_find(&head, "retry-after", &value), 1);
	CU_ASSERT_TRUE(span_is(value, "30"));
	CU_ASSERT_EQUAL(http_field_find(&head, "Retry", &value), 0);
	CU_ASSERT_EQUAL(value.len, 0);
}

static void test_the_end_is_found(void)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		enum http_result result;
		size_t head_len;
	} rows[] = {
		{"a head", BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_DONE, 27},
		{"a head and a body", BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\n\0\nx"), HTTP_DONE,
			27},
		{"a head after an empty line", BYTES("\r\nGET / HTTP/1.1\r\n\r\n"), HTTP_DONE, 20},
		{"nothing", BYTES(""), HTTP_MORE, 0},
		{"a part", BYTES("GET / HTTP/1.1\r\nHost: h\r\n"), HTTP_MORE, 0},
		{"CR alone", BYTES("\r"), HTTP_MORE, 0},
		{"CRLF alone", BYTES("\r\n"), HTTP_MORE, 0},
		{"two empty lines", BYTES("\r\n\r\n"), HTTP_REFUSED, 0},
		{"bare LF", BYTES("GET / HTTP/1.1\nHost"), HTTP_REFUSED, 0},
		{"LF first", BYTES("\n"), HTTP_REFUSED, 0},
		{"LF for the empty line", BYTES("GET / HTTP/1.1\r\nHost: h\r\n\n"), HTTP_REFUSED,
			0},
		{"NUL", BYTES("GET /\0"), HTTP_REFUSED, 0},
		{"NUL in a whole head", BYTES("GET /\0\r\n\r\n"), HTTP_REFUSED, 0},
		{"TLS", BYTES("\x16"), HTTP_REFUSED, 0},
		{"PROXY protocol 2", BYTES("\r\n\r\n\0\r\nQUIT\n"), HTTP_REFUSED, 0},
		{"space first", BYTES(" "), HTTP_REFUSED, 0},
		{"8-bit first", BYTES("\x80"), HTTP_REFUSED, 0},
		{"CR and no LF", BYTES("\rG"), HTTP_REFUSED, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* At once, then byte by byte. */
		for (size_t step = rows[i].len + (rows[i].len == 0); step > 0;
			step = step > 1 ? 1 : 0) {
			size_t scanned = 0, head_len = 0, len = 0;
			enum http_result result = HTTP_MORE;

			while (result == HTTP_MORE && len < rows[i].len) {
				len = len + step > rows[i].len ? rows[i].len : len + step;
				result =
					http_head_find_end(rows[i].bytes, len, &scanned, &head_len);
			}
			if (result != rows[i].result)
				printf("\n    %s", rows[i].what);
			CU_ASSERT_EQUAL(result, rows[i].result);
			if (result == HTTP_DONE)
				CU_ASSERT_EQUAL(head_len, rows[i].head_len);
		}
	}
}

static void test_lists_and_hop_by_hop_fields(void)
{
	static const char text[] = P "Connection: X-One , keep-alive\r\nCONNECTION: x-two\r\n"
				     "X-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n"
				     "Upgrade: h2c\r\nKeep-Alive: 5\r\nTe: trailers\r\n"
				     "Transfer_Encoding: chunked\r\nProxy-Authorization: x\r\n"
				     "Accept-Encoding: gzip;q=0, deflate\r\n\r\n";
	static const bool is_hop_by_hop[] = {
		false, true, true, true, true, false, true, true, true, true, true, false};
	struct http_head head;

	CU_ASSERT_EQUAL_FATAL(http_request_parse(&head, BYTES(text)), HTTP_DONE);
	CU_ASSERT_EQUAL_FATAL(head.field_count, sizeof(is_hop_by_hop));
	for (size_t i = 0; i < head.field_count; i++)
		CU_ASSERT_EQUAL(http_field_is_hop_by_hop(&head, &head.fields[i]), is_hop_by_hop[i]);
	CU_ASSERT_TRUE(http_field_has_token(&head, "Accept-Encoding", "DEFLATE"));
	CU_ASSERT_FALSE(http_field_has_token(&head, "Accept-Encoding", "gzip"));
	CU_ASSERT_FALSE(http_field_has_token(&head, "Accept-Encoding", "def"));
	CU_ASSERT_FALSE(http_field_has_token(&head, "Accept", "deflate"));
}

static void test_names_that_resemble(void)
{
	static const struct {
		const char *name;
		bool resembles;
	} rows[] = {{"x-webobjects-remote-user", true}, {"X-WebObjects-Remote-User", true},
		{"x_webobjects_remote_user", true}, {"X-webobjects.remote_user", true},
		{"x-webobjects-remote-users", false}, {"x-webobjects-remote-use", false},
		{"xwebobjectsremoteuser", false}, {"", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(http_field_resembles(
					span_of_string(rows[i].name), "x-webobjects-remote-user"),
			rows[i].resembles);
}

static void test_the_table_of_characters_is_the_rfcs(void)
{
	static const char unreserved[] = "-._~", sub_delims[] = "!$&'()*+,;=";

	for (int c = 0; c < 256; c++) {
		bool is_ascii_alnum = c < 128 && isalnum(c);
		bool is_token = is_ascii_alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
		bool is_pchar =
			is_ascii_alnum || (c != 0 && (strchr(unreserved, c) != NULL ||
							     strchr(sub_delims, c) != NULL ||
							     strchr(":@%", c) != NULL));
		unsigned int expected = 0;

		expected |= is_token ? HTTP_CHAR_TOKEN : 0u;
		expected |= c == '\t' || (c >= ' ' && c != 0x7f) ? HTTP_CHAR_VALUE : 0u;
		expected |= is_pchar || c == '/' ? HTTP_CHAR_PATH : 0u;
		expected |= is_pchar || c == '/' || c == '?' ? HTTP_CHAR_QUERY : 0u;
		expected |= is_ascii_alnum || (c != 0 && strchr("-._", c) != NULL) ? HTTP_CHAR_HOST
										   : 0u;
		expected |= c < 128 && isdigit(c) ? HTTP_CHAR_DIGIT : 0u;
		expected |= c < 128 && isxdigit(c) ? HTTP_CHAR_HEX : 0u;
		expected |= c == ' ' || c == '\t' ? HTTP_CHAR_SPACE : 0u;
		CU_ASSERT_EQUAL(http_chars[c], expected);
	}
}

static const struct check checks[] = {
	{"a body's length is never ambiguous", test_framing},
	{"names that look like Content-Length are no length", test_lookalikes_do_not_frame},
	{"a media type is compared without its parameters",
		test_a_media_type_is_compared_without_its_parameters},
	{"field lines keep to the grammar", test_field_lines},
	{"request lines keep to the grammar", test_request_lines},
	{"there is one host", test_hosts},
	{"only 100-continue is expected", test_expectations},
	{"a request is taken apart", test_a_request_is_taken_apart},
	{"Connection decides whether it is kept", test_connection_decides_about_keeping},
	{"a field too many is refused", test_a_field_too_many_is_refused},
	{"answers keep to the grammar", test_answers},
	{"an answer is taken apart", test_an_answer_is_taken_apart},
	{"the end of a head is found in pieces", test_the_end_is_found},
	{"lists and hop-by-hop fields are seen", test_lists_and_hop_by_hop_fields},
	{"lookalikes of a name are seen", test_names_that_resemble},
	{"the table of characters is the RFCs'", test_the_table_of_characters_is_the_rfcs},
};

int main(void)
{
	return check_run("proxy/http_head", checks, sizeof(checks) / sizeof(checks[0]));
}
