/*
 * What is taken out of an answer, as far as HTTP is concerned: the request asks so that the answer can be
 * changed, and an answer that cannot be is not passed on.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/exchange.h"
#include "proxy/http_chars.h"
#include "proxy/policy.h"

enum {
	/* Of what is held back while it is decided: so much in memory, the rest in a file. A download is
	 * let go, or not, at the size that the rule says; this is for what a rule cannot bound. */
	HELD_IN_MEMORY = 64 * 1024,
	HELD_MAX = 64 * 1024 * 1024,
	ATTACHMENT_NAME_MAX = 1024
};

static bool is_about_items(enum eas_command command)
{
	return command == EAS_SYNC || command == EAS_ITEM_OPERATIONS || command == EAS_SEARCH ||
	       command == EAS_FIND || command == EAS_GET_ATTACHMENT;
}

static bool is_about_folders(enum eas_command command)
{
	return command == EAS_FOLDER_SYNC || command == EAS_GET_HIERARCHY;
}

bool exchange_changes_answer(const struct exchange *exchange)
{
	enum eas_command command = exchange->request.command;

	return (exchange->changes.strips != NULL && is_about_items(command)) ||
	       (exchange->changes.hidden_classes != 0 && is_about_folders(command));
}

/* The request */

static bool line_is_of(struct span line, const char *name)
{
	size_t len = strlen(name);

	return line.len > len && line.data[len] == ':' &&
	       strncasecmp((const char *)line.data, name, len) == 0;
}

static bool line_has(struct span line, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i + len <= line.len; i++)
		if (strncasecmp((const char *)line.data + i, text, len) == 0)
			return true;
	return false;
}

static struct span line_take(struct span *text)
{
	const uint8_t *end = memchr(text->data, '\n', text->len);
	size_t len = end != NULL ? (size_t)(end - text->data) + 1 : text->len;
	struct span line = span_of(text->data, len);

	*text = span_of(text->data + len, text->len - len);
	return line;
}

void exchange_narrow_request(struct exchange *exchange, struct http_writer *writer)
{
	struct span left = span_of(exchange->fields, exchange->fields_len);
	bool wants_gzip = false;

	while (left.len > 0) {
		struct span line = line_take(&left);

		if (line_is_of(line, "accept-encoding")) {
			wants_gzip |= line_has(line, "gzip") && !line_has(line, "gzip;q=0");
			continue;
		}
		if (line_is_of(line, "ms-asacceptmultipart") || line_is_of(line, "range") ||
			line_is_of(line, "if-range"))
			continue;
		memcpy(writer->data + writer->len, line.data, line.len);
		writer->len += line.len;
	}
	/* What a download is, and how long, is read from its head. */
	if (wants_gzip && exchange->request.command != EAS_GET_ATTACHMENT)
		http_write_field_text(writer, "Accept-Encoding", "gzip");
}

/* The answer */

static bool is_wbxml(const struct http_head *head)
{
	struct span type = {0};

	http_field_find(head, "content-type", &type);
	return http_media_type_is(type, "application/vnd.ms-sync.wbxml") ||
	       http_media_type_is(type, "application/vnd.ms-sync");
}

static bool asks_for_all_folders(const struct exchange *exchange)
{
	const struct eas_body *facts = exchange->request_facts;

	return facts != NULL && strcmp(eas_body_text(facts, facts->folder_key), "0") == 0;
}

int exchange_filter_make(struct exchange *exchange)
{
	const struct session *session = exchange->session;
	const struct worker *worker = session->worker;
	bool is_changed = exchange_changes_answer(exchange);
	struct answer_filter_terms terms = {
		.changes = exchange->changes,
		.folders = worker->child->folders,
		.owner = {session->credential->mailbox, exchange->request.device_id},
		.has_all_folders = asks_for_all_folders(exchange),
		.now_s = (uint64_t)worker_now(worker),
		.limits = exchange_limits(worker->config),
		.memory_max = HELD_IN_MEMORY,
		.held_max = HELD_MAX,
		.directory = worker->child->spool_directory,
		.out = is_changed ? exchange_answer_out : NULL,
		.context = exchange,
	};

	/* The server is trusted: what it says beyond what we know is the phone's to judge. */
	terms.limits.lets_unknown_pass = true;
	exchange->filter = answer_filter_new(&terms);
	/* Its mailbox has to be there as long as the filter, whatever the directory says meanwhile. */
	if (exchange->filter != NULL && credential_owner(session->credential) != NULL)
		exchange->filter_owner = owner_share(credential_owner(session->credential));
	exchange->answer_is_changed = is_changed;
	return exchange->filter != NULL ? 0 : -1;
}

/* Takes the text up to the character off, decoded; false where it is too long, or no text. */
static bool text_take(const char **at, const char *ends, char *text, size_t size)
{
	size_t len = strcspn(*at, ends), used = 0;
	struct span left = span_of(*at, len);

	*at += len;
	while (left.len > 0 && used + 1 < size) {
		size_t step = left.data[0] == '%' ? 3 : 1;
		int byte = step == 3 ? http_escape_value(left) : left.data[0];

		if (byte <= 0)
			return false;
		text[used++] = (char)byte;
		left = span_of(left.data + step, left.len - step);
	}
	text[used] = '\0';
	return left.len == 0;
}

/* By the names that the phone has for it, from the query: up to 12.1 they may tell what it is. Which of several
 * the server goes by nobody knows. */
static bool download_goes(const struct exchange *exchange, struct span type, uint64_t size)
{
	const struct answer_changes *changes = &exchange->changes;
	const char *at = exchange->request.is_base64 ? "" : exchange->query;
	char name[64], value[ATTACHMENT_NAME_MAX];
	bool is_named = false;

	while (*at != '\0') {
		bool is_name = text_take(&at, "=&", name, sizeof(name)) &&
			       strcasecmp(name, "AttachmentName") == 0;
		bool is_read = true;

		value[0] = '\0';
		if (*at == '=') {
			at++;
			is_read = text_take(&at, "&", value, sizeof(value));
		}
		if (*at == '&')
			at++;
		is_named |= is_name;
		if (is_name && (!is_read || changes->strips(changes->rule, span_of_string(value),
						    type, size)))
			return true;
	}
	return !is_named && changes->strips(changes->rule, (struct span){0}, type, size);
}

/* Of one whose length is not said nobody knows that it is small enough. */
static enum refusal download_begin(
	struct exchange *exchange, const struct http_head *head, const char **reason)
{
	uint64_t size = head->framing == HTTP_LENGTH ? head->content_length : UINT64_MAX;
	struct span type = {0}, coding = {0};
	const uint8_t *parameters;

	http_field_find(head, "content-type", &type);
	http_field_find(head, "content-encoding", &coding);
	if (coding.len > 0 && !span_equal_nocase(coding, "identity")) {
		*reason = "a download in a content coding that was not asked for";
		return REFUSAL_UPSTREAM_MALFORMED;
	}
	parameters = type.len > 0 ? memchr(type.data, ';', type.len) : NULL;
	if (parameters != NULL)
		type.len = (size_t)(parameters - type.data);
	if (!download_goes(exchange, type, size))
		return REFUSAL_NONE;
	*reason = "the attachment is kept from the phone";
	exchange->download_is_refused = true;
	return REFUSAL_POLICY_DENIED;
}

/* What is said of the bytes as they came is not true of what they become. */
static void head_change(struct http_head *head)
{
	http_fields_remove(head,
		HTTP_NAME_BIT(HTTP_NAME_CONTENT_ENCODING) | HTTP_NAME_BIT(HTTP_NAME_CONTENT_MD5) |
			HTTP_NAME_BIT(HTTP_NAME_DIGEST) | HTTP_NAME_BIT(HTTP_NAME_CONTENT_DIGEST) |
			HTTP_NAME_BIT(HTTP_NAME_REPR_DIGEST) | HTTP_NAME_BIT(HTTP_NAME_ETAG) |
			HTTP_NAME_BIT(HTTP_NAME_ACCEPT_RANGES));
	if (head->framing == HTTP_LENGTH)
		head->framing = HTTP_CHUNKED;
}

static enum refusal document_begin(
	struct exchange *exchange, struct http_head *head, const char **reason)
{
	struct span coding = {0};

	http_field_find(head, "content-encoding", &coding);
	if (coding.len > 0 && !span_equal_nocase(coding, "identity") &&
		!span_equal_nocase(coding, "gzip")) {
		*reason = "a content coding of which nothing can be taken out";
		return REFUSAL_UPSTREAM_MALFORMED;
	}
	if (exchange_filter_make(exchange) != 0) {
		*reason = "out of memory";
		return REFUSAL_INTERNAL;
	}
	head_change(head);
	return REFUSAL_NONE;
}

enum refusal exchange_filter_begin(
	struct exchange *exchange, struct http_head *head, const char **reason)
{
	if (!http_has_content(head))
		return REFUSAL_NONE;
	if (!exchange_changes_answer(exchange)) {
		/* What is not learned now is asked for later, also after a reload that brings the
		 * first rule about classes. */
		if (policy_asks_class(exchange->session->worker->policy) &&
			is_about_folders(exchange->request.command) && head->status == 200 &&
			is_wbxml(head))
			exchange_filter_make(exchange);
		return REFUSAL_NONE;
	}
	/* Refusals and redirections have no items in them. */
	if (head->status < 200 || head->status > 299)
		return REFUSAL_NONE;
	if (exchange->request.command == EAS_GET_ATTACHMENT && head->status == 200)
		return download_begin(exchange, head, reason);
	if (head->status == 200 && is_wbxml(head))
		return document_begin(exchange, head, reason);
	*reason = "an answer of a kind of which nothing can be taken out";
	return REFUSAL_UPSTREAM_MALFORMED;
}
