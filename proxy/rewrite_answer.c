/* An answer's head, written anew: answer_table.def says what of it. */
#include "proxy/rewrite.h"

#include "proxy/answer_field.h"
#include "proxy/answer_table.h"

enum { VALUE_MAX = 4 * 1024 };

struct rewriting {
	struct http_writer *writer;
	const struct config *config;
	const struct http_head *head;
	const struct rewrite_terms *terms;
	bool says_when; /* Retry-After was written */
};

static unsigned int min_protocol(const struct rewriting *rewriting)
{
	unsigned int of_config = rewriting->config->activesync.min_protocol;
	unsigned int of_terms = rewriting->terms->min_protocol;

	return of_terms > of_config ? of_terms : of_config;
}

/* A field whose value changes on its way. What is left of nothing is left out. */
static void write_changed(
	struct rewriting *rewriting, const struct http_field *field, enum answer_field_way way)
{
	const struct config_activesync *activesync = &rewriting->config->activesync;
	char text[VALUE_MAX];
	bool is_left = false;

	if (way == FIELD_VERSIONS)
		is_left = answer_field_versions(field->value, min_protocol(rewriting),
			activesync->max_protocol, text, sizeof(text));
	else if (way == FIELD_COMMANDS)
		is_left = answer_field_commands(
			field->value, activesync->closed_commands, text, sizeof(text));
	else if (way == FIELD_COOKIE)
		is_left = answer_field_cookie(field->value, text, sizeof(text));
	if (is_left)
		http_write_field(rewriting->writer, field->name, span_of_string(text));
}

static void write_field(struct rewriting *rewriting, const struct http_field *field)
{
	enum answer_field_way way = answer_field_way(field->name);

	if (way == FIELD_OURS || way == FIELD_INSIDE ||
		http_field_is_hop_by_hop(rewriting->head, field))
		return;
	if (rewriting->terms->content_type != NULL &&
		span_equal_nocase(field->name, "content-type"))
		return;
	if (way == FIELD_RETRY) {
		if (!answer_field_is_retry(field->value) || rewriting->says_when)
			return;
		rewriting->says_when = true;
	}
	if (answer_field_names_endpoint(field->value, &rewriting->config->upstream))
		return;
	if (way == FIELD_PASSES || way == FIELD_RETRY)
		http_write_field_again(rewriting->writer, field);
	else
		write_changed(rewriting, field, way);
}

void rewrite_answer(struct http_writer *writer, const struct config *config,
	const struct http_head *head, const struct rewrite_terms *terms)
{
	struct rewriting rewriting = {
		.writer = writer, .config = config, .head = head, .terms = terms};

	/* Reasons are free text; ours are those of the specification. */
	http_write_status_line(writer, terms->status, span_of_string(http_reason(terms->status)));
	for (size_t i = 0; i < head->field_count; i++)
		write_field(&rewriting, &head->fields[i]);
	if (terms->location != NULL)
		http_write_field_text(writer, "X-MS-Location", terms->location);
	if (terms->content_type != NULL)
		http_write_field_text(writer, "Content-Type", terms->content_type);
	if (terms->status == 503 && !rewriting.says_when)
		http_write_field_number(writer, "Retry-After", terms->retry_after_s);
	if (terms->framing == REWRITE_LENGTH)
		http_write_field_number(writer, "Content-Length", terms->length);
	if (terms->framing == REWRITE_CHUNKED)
		http_write_field_text(writer, "Transfer-Encoding", "chunked");
	if (terms->close || terms->framing == REWRITE_CLOSE)
		http_write_field_text(writer, "Connection", "close");
	http_write_end(writer);
}
