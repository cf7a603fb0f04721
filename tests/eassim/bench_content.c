#include "bench_content.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wbxml/writer.h"

enum {
	ANSWER_SIZE = 100 * 1000,
	MAIL_SIZE = 5 * 1000 * 1000,
	TEXT_SIZE = 3600, /* of one mail in the large answer */
	LINE_BYTES = 57,  /* 76 characters of base64, RFC 2045 6.8 */
	CONTENT_MAX = 8 * 1000 * 1000
};

/* In a document until the token is written over it. */
static const char placeholder[BENCH_TOKEN_LEN + 1] = "@@token@@token@@";

static const struct {
	const char *name, *command;
} kinds[BENCH_KIND_COUNT] = {
	[BENCH_OPTIONS] = {"options", NULL},
	[BENCH_SYNC200] = {"sync200", "Sync"},
	[BENCH_ANSWER100K] = {"answer100k", "Sync"},
	[BENCH_FOLDERSYNC] = {"foldersync", "FolderSync"},
	[BENCH_SENDMAIL5M] = {"sendmail5m", "SendMail"},
	[BENCH_PING] = {"ping", "Ping"},
};

const char *bench_kind_name(enum bench_kind kind)
{
	return kinds[kind].name;
}

const char *bench_kind_command(enum bench_kind kind)
{
	return kinds[kind].command;
}

enum bench_kind bench_kind_find(struct span name)
{
	enum bench_kind kind = BENCH_OPTIONS;

	while (kind < BENCH_KIND_COUNT && !span_equal(name, span_of_string(kinds[kind].name)))
		kind++;
	return kind;
}

void bench_token(char token[BENCH_TOKEN_LEN], uint32_t phone, uint32_t request)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 8; i++) {
		token[7 - i] = digits[phone >> 4 * i & 15];
		token[15 - i] = digits[request >> 4 * i & 15];
	}
}

void bench_bytes_mark(struct bench_bytes *bytes, const char token[BENCH_TOKEN_LEN])
{
	if (bytes->token_at < bytes->len)
		memcpy(bytes->data + bytes->token_at, token, BENCH_TOKEN_LEN);
}

/* The part of a piece that lies in [from, to) of the whole. */
static struct span part(struct span piece, size_t offset, size_t from, size_t to)
{
	size_t begin = from > offset ? from - offset : 0;
	size_t end = to > offset ? to - offset : 0;

	if (end > piece.len)
		end = piece.len;
	return begin < end ? span_of(piece.data + begin, end - begin) : span_of(NULL, 0);
}

static size_t later(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t token_end(const struct bench_bytes *bytes)
{
	return bytes->token_at < bytes->len ? bytes->token_at + BENCH_TOKEN_LEN : bytes->len;
}

/* All but the token. */
static bool surroundings_match(const struct bench_bytes *bytes, size_t offset, struct span piece)
{
	size_t end = token_end(bytes);
	struct span before, after;

	if (offset > bytes->len || piece.len > bytes->len - offset)
		return false;
	before = part(piece, offset, 0, bytes->token_at);
	after = part(piece, offset, end, bytes->len);
	return (before.len == 0 || memcmp(before.data, bytes->data + offset, before.len) == 0) &&
	       (after.len == 0 ||
		       memcmp(after.data, bytes->data + later(offset, end), after.len) == 0);
}

bool bench_bytes_match(const struct bench_bytes *bytes, size_t offset, struct span piece,
	const char token[BENCH_TOKEN_LEN])
{
	struct span found = part(piece, offset, bytes->token_at, token_end(bytes));

	return surroundings_match(bytes, offset, piece) &&
	       (found.len == 0 ||
		       memcmp(found.data, token + later(offset, bytes->token_at) - bytes->token_at,
			       found.len) == 0);
}

bool bench_bytes_take(const struct bench_bytes *bytes, size_t offset, struct span piece,
	char token[BENCH_TOKEN_LEN])
{
	struct span found = part(piece, offset, bytes->token_at, token_end(bytes));

	if (!surroundings_match(bytes, offset, piece))
		return false;
	if (found.len > 0)
		memcpy(token + later(offset, bytes->token_at) - bytes->token_at, found.data,
			found.len);
	return true;
}

/* Documents */

/* A phone asks for all its folders at once. The answer leaves out those without news. */
static void calendar_request(struct wbxml_writer *w)
{
	wbxml_write_start(w, WBXML_AIRSYNC_COLLECTION);
	wbxml_write_element(w, WBXML_AIRSYNC_SYNCKEY, "1839402715");
	wbxml_write_element(w, WBXML_AIRSYNC_COLLECTIONID, "1");
	wbxml_write_element(w, WBXML_AIRSYNC_GETCHANGES, NULL);
	wbxml_write_start(w, WBXML_AIRSYNC_OPTIONS);
	wbxml_write_element(w, WBXML_AIRSYNC_FILTERTYPE, "5");
	wbxml_write_start(w, WBXML_AIRSYNCBASE_BODYPREFERENCE);
	wbxml_write_element(w, WBXML_AIRSYNCBASE_TYPE, "1");
	wbxml_write_element(w, WBXML_AIRSYNCBASE_TRUNCATIONSIZE, "32768");
	wbxml_write_end(w);
	wbxml_write_end(w);
	wbxml_write_end(w);
}

static void sync_request(struct wbxml_writer *w, enum bench_kind kind)
{
	bool is_large = kind == BENCH_ANSWER100K;

	wbxml_write_start(w, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(w, WBXML_AIRSYNC_COLLECTIONS);
	wbxml_write_start(w, WBXML_AIRSYNC_COLLECTION);
	wbxml_write_element(w, WBXML_AIRSYNC_SYNCKEY, placeholder);
	wbxml_write_element(w, WBXML_AIRSYNC_COLLECTIONID, "5");
	wbxml_write_element(w, WBXML_AIRSYNC_DELETESASMOVES, NULL);
	wbxml_write_element(w, WBXML_AIRSYNC_GETCHANGES, NULL);
	wbxml_write_element(w, WBXML_AIRSYNC_WINDOWSIZE, is_large ? "100" : "25");
	wbxml_write_start(w, WBXML_AIRSYNC_OPTIONS);
	wbxml_write_element(w, WBXML_AIRSYNC_FILTERTYPE, "3");
	wbxml_write_element(w, WBXML_AIRSYNC_MIMETRUNCATION, "8");
	wbxml_write_element(w, WBXML_AIRSYNC_MIMESUPPORT, "2");
	for (int type = 0; type < 2; type++) {
		wbxml_write_start(w, WBXML_AIRSYNCBASE_BODYPREFERENCE);
		wbxml_write_element(w, WBXML_AIRSYNCBASE_TYPE, type == 0 ? "2" : "4");
		wbxml_write_element(w, WBXML_AIRSYNCBASE_TRUNCATIONSIZE, "200000");
		wbxml_write_element(w, WBXML_AIRSYNCBASE_ALLORNONE, "0");
		wbxml_write_end(w);
	}
	wbxml_write_end(w);
	wbxml_write_start(w, WBXML_AIRSYNC_COMMANDS);
	for (int i = 0; i < 2; i++) {
		wbxml_write_start(w, WBXML_AIRSYNC_CHANGE);
		wbxml_write_element(w, WBXML_AIRSYNC_SERVERID, i == 0 ? "5:1027" : "5:1031");
		wbxml_write_start(w, WBXML_AIRSYNC_APPLICATIONDATA);
		wbxml_write_element(w, WBXML_EMAIL_READ, "1");
		wbxml_write_end(w);
		wbxml_write_end(w);
	}
	wbxml_write_end(w);
	wbxml_write_end(w);
	calendar_request(w);
	wbxml_write_end(w);
	wbxml_write_end(w);
}

/* Words by a generator of a few lines: the same in every process, and no two mails alike. */
static void mail_text(char text[TEXT_SIZE + 1], uint32_t number)
{
	static const char *const words[] = {"the", "quarter", "meeting", "und", "please", "figures",
		"Angebot", "on", "Thursday", "which", "we", "sent", "for", "Lieferung", "room",
		"with", "regards", "project", "a", "delayed", "to", "mit", "invoice", "is",
		"attached", "herewith", "call", "me", "back", "tomorrow", "gr\xC3\xBC\xC3\x9F",
		"budget"};
	uint32_t state = number * 2654435761u + 1;
	size_t len = 0;

	while (len < TEXT_SIZE) {
		const char *word = words[state >> 27];
		size_t word_len = strlen(word);

		state = state * 1664525u + 1013904223u;
		if (len + word_len + 2 > TEXT_SIZE) {
			memset(text + len, '.', TEXT_SIZE - len);
			break;
		}
		memcpy(text + len, word, word_len);
		len += word_len;
		text[len++] = state >> 28 == 0 ? '\n' : ' ';
	}
	text[TEXT_SIZE] = '\0';
}

static void mail_add(struct wbxml_writer *w, uint32_t number)
{
	static const uint8_t conversation[22] = {1, 0xD5, 0x61, 0x9A, 0x3C, 0x77, 0x00, 0x12};
	char text[TEXT_SIZE + 1], id[24], subject[64], from[96];

	mail_text(text, number);
	snprintf(id, sizeof(id), "5:%u", 1100 + number);
	snprintf(subject, sizeof(subject), "AW: Angebot Nr. %u, revised figures", 7000 + number);
	snprintf(from, sizeof(from), "\"Karla Muster %u\" <karla.muster%u@fabrikam.test>", number,
		number);
	wbxml_write_start(w, WBXML_AIRSYNC_ADD);
	wbxml_write_element(w, WBXML_AIRSYNC_SERVERID, id);
	wbxml_write_start(w, WBXML_AIRSYNC_APPLICATIONDATA);
	wbxml_write_element(w, WBXML_EMAIL_TO, "\"Bob Beispiel\" <bob@contoso.test>");
	wbxml_write_element(w, WBXML_EMAIL_FROM, from);
	wbxml_write_element(w, WBXML_EMAIL_SUBJECT, subject);
	wbxml_write_element(w, WBXML_EMAIL_REPLYTO, from);
	wbxml_write_element(w, WBXML_EMAIL_DATERECEIVED, "2026-03-02T08:15:00.000Z");
	wbxml_write_element(w, WBXML_EMAIL_DISPLAYTO, "Bob Beispiel");
	wbxml_write_element(w, WBXML_EMAIL_THREADTOPIC, subject + 4);
	wbxml_write_element(w, WBXML_EMAIL_IMPORTANCE, "1");
	wbxml_write_element(w, WBXML_EMAIL_READ, "0");
	wbxml_write_start(w, WBXML_AIRSYNCBASE_BODY);
	wbxml_write_element(w, WBXML_AIRSYNCBASE_TYPE, "1");
	wbxml_write_element(w, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, "3600");
	wbxml_write_element(w, WBXML_AIRSYNCBASE_DATA, text);
	wbxml_write_end(w);
	wbxml_write_element(w, WBXML_EMAIL_MESSAGECLASS, "IPM.Note");
	wbxml_write_element(w, WBXML_EMAIL_INTERNETCPID, "65001");
	wbxml_write_element(w, WBXML_EMAIL_CONTENTCLASS, "urn:content-classes:message");
	wbxml_write_element(w, WBXML_AIRSYNCBASE_NATIVEBODYTYPE, "1");
	wbxml_write_start(w, WBXML_EMAIL2_CONVERSATIONID);
	wbxml_write_opaque(w, span_of(conversation, 16));
	wbxml_write_end(w);
	wbxml_write_start(w, WBXML_EMAIL2_CONVERSATIONINDEX);
	wbxml_write_opaque(w, span_of(conversation, sizeof(conversation)));
	wbxml_write_end(w);
	wbxml_write_end(w);
	wbxml_write_end(w);
}

static void sync_answer(struct wbxml_writer *w, enum bench_kind kind)
{
	wbxml_write_start(w, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(w, WBXML_AIRSYNC_COLLECTIONS);
	wbxml_write_start(w, WBXML_AIRSYNC_COLLECTION);
	wbxml_write_element(w, WBXML_AIRSYNC_SYNCKEY, placeholder);
	wbxml_write_element(w, WBXML_AIRSYNC_COLLECTIONID, "5");
	wbxml_write_element(w, WBXML_AIRSYNC_STATUS, "1");
	if (kind == BENCH_ANSWER100K) {
		wbxml_write_start(w, WBXML_AIRSYNC_COMMANDS);
		for (uint32_t number = 0; w->out->len < ANSWER_SIZE - TEXT_SIZE / 2; number++)
			mail_add(w, number);
		wbxml_write_end(w);
	}
	wbxml_write_end(w);
	wbxml_write_end(w);
	wbxml_write_end(w);
}

static void folder_sync(struct wbxml_writer *w, bool is_answer)
{
	wbxml_write_start(w, WBXML_FOLDERHIERARCHY_FOLDERSYNC);
	if (is_answer)
		wbxml_write_element(w, WBXML_FOLDERHIERARCHY_STATUS, "1");
	wbxml_write_element(w, WBXML_FOLDERHIERARCHY_SYNCKEY, placeholder);
	if (is_answer) {
		wbxml_write_start(w, WBXML_FOLDERHIERARCHY_CHANGES);
		wbxml_write_element(w, WBXML_FOLDERHIERARCHY_COUNT, "0");
		wbxml_write_end(w);
	}
	wbxml_write_end(w);
}

static void ping_request(struct wbxml_writer *w)
{
	wbxml_write_start(w, WBXML_PING_PING);
	wbxml_write_element(w, WBXML_PING_HEARTBEATINTERVAL, "3540");
	wbxml_write_start(w, WBXML_PING_FOLDERS);
	wbxml_write_start(w, WBXML_PING_FOLDER);
	wbxml_write_element(w, WBXML_PING_ID, placeholder);
	wbxml_write_element(w, WBXML_PING_CLASS, "Email");
	wbxml_write_end(w);
	wbxml_write_end(w);
	wbxml_write_end(w);
}

static void ping_answer(struct wbxml_writer *w, bool has_news)
{
	wbxml_write_start(w, WBXML_PING_PING);
	wbxml_write_element(w, WBXML_PING_STATUS, has_news ? "2" : "1");
	if (has_news) {
		wbxml_write_start(w, WBXML_PING_FOLDERS);
		wbxml_write_element(w, WBXML_PING_FOLDER, placeholder);
		wbxml_write_end(w);
	}
	wbxml_write_end(w);
}

static void mime_attachment(struct wbxml_buffer *mime)
{
	unsigned char bytes[LINE_BYTES], line[80];
	uint32_t state = 1;

	while (mime->len < MAIL_SIZE && !mime->has_failed) {
		for (int i = 0; i < LINE_BYTES; i++) {
			state = state * 1664525u + 1013904223u;
			bytes[i] = (unsigned char)(state >> 24);
		}
		wbxml_buffer_append(mime, line, (size_t)EVP_EncodeBlock(line, bytes, LINE_BYTES));
		wbxml_buffer_append(mime, "\r\n", 2);
	}
}

static void mime_write(struct wbxml_buffer *mime)
{
	static const char head[] =
		"From: \"Bob Beispiel\" <bob@contoso.test>\r\n"
		"To: \"Karla Muster\" <karla.muster@fabrikam.test>\r\n"
		"Subject: =?utf-8?Q?Pl=C3=A4ne?=\r\n"
		"Date: Mon, 02 Mar 2026 08:15:00 +0000\r\n"
		"Message-ID: <bench-5m@phone.contoso.test>\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/mixed; boundary=\"----=_Part_5m\"\r\n\r\n"
		"------=_Part_5m\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n\r\n"
		"Here are the plans.\r\n"
		"------=_Part_5m\r\n"
		"Content-Type: application/pdf; name=\"plans.pdf\"\r\n"
		"Content-Disposition: attachment; filename=\"plans.pdf\"\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\n";
	static const char end[] = "------=_Part_5m--\r\n";

	wbxml_buffer_append(mime, head, sizeof(head) - 1);
	mime_attachment(mime);
	wbxml_buffer_append(mime, end, sizeof(end) - 1);
}

static void send_mail_request(struct wbxml_writer *w)
{
	struct wbxml_buffer mime = {.limit = CONTENT_MAX};

	mime_write(&mime);
	wbxml_write_start(w, WBXML_COMPOSEMAIL_SENDMAIL);
	wbxml_write_element(w, WBXML_COMPOSEMAIL_CLIENTID, placeholder);
	wbxml_write_element(w, WBXML_COMPOSEMAIL_SAVEINSENTITEMS, NULL);
	wbxml_write_start(w, WBXML_COMPOSEMAIL_MIME);
	wbxml_write_opaque(w, span_of(mime.data, mime.len));
	wbxml_write_end(w);
	wbxml_write_end(w);
	w->out->has_failed = w->out->has_failed || mime.has_failed;
	wbxml_buffer_free(&mime);
}

static void request_write(struct wbxml_writer *w, enum bench_kind kind)
{
	switch (kind) {
	case BENCH_SYNC200:
	case BENCH_ANSWER100K: sync_request(w, kind); break;
	case BENCH_FOLDERSYNC: folder_sync(w, false); break;
	case BENCH_SENDMAIL5M: send_mail_request(w); break;
	default: ping_request(w); break;
	}
}

static void answer_write(struct wbxml_writer *w, enum bench_kind kind)
{
	switch (kind) {
	case BENCH_PING: ping_answer(w, true); break;
	case BENCH_FOLDERSYNC: folder_sync(w, true); break;
	default: sync_answer(w, kind); break;
	}
}

/* Takes the buffer over and finds where the token goes. */
static int bytes_keep(struct bench_bytes *bytes, struct wbxml_buffer *out, struct error *err)
{
	const uint8_t *found;

	if (out->has_failed) {
		wbxml_buffer_free(out);
		return error_set(err, "making what the bench sends: out of memory");
	}
	found = memmem(out->data, out->len, placeholder, BENCH_TOKEN_LEN);
	*bytes = (struct bench_bytes){.data = out->data,
		.len = out->len,
		.token_at = found != NULL ? (size_t)(found - out->data) : out->len};
	return 0;
}

int bench_content_make(struct bench_content *content, struct error *err)
{
	struct wbxml_writer w;

	*content = (struct bench_content){.ping_over = {.len = 0}};
	for (enum bench_kind kind = BENCH_SYNC200; kind < BENCH_KIND_COUNT; kind++) {
		struct wbxml_buffer request = {.limit = CONTENT_MAX};
		struct wbxml_buffer answer = {.limit = CONTENT_MAX};

		wbxml_write_header(&w, &request);
		request_write(&w, kind);
		if (bytes_keep(&content->requests[kind], &request, err) != 0)
			return -1;
		if (kind == BENCH_SENDMAIL5M) /* MS-ASCMD 2.2.1.17: nothing, when it was taken */
			continue;
		wbxml_write_header(&w, &answer);
		answer_write(&w, kind);
		if (bytes_keep(&content->answers[kind], &answer, err) != 0)
			return -1;
	}
	{
		struct wbxml_buffer over = {.limit = CONTENT_MAX};

		wbxml_write_header(&w, &over);
		ping_answer(&w, false);
		return bytes_keep(&content->ping_over, &over, err);
	}
}

void bench_content_free(struct bench_content *content)
{
	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++) {
		free(content->requests[kind].data);
		free(content->answers[kind].data);
	}
	free(content->ping_over.data);
}
