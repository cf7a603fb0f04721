#include "proxy/mime_head.h"

#include "proxy/mime_value.h"

enum mime_state {
	MIME_LINE_START, /* of a head */
	MIME_FIELD_NAME,
	MIME_FIELD_VALUE,
	MIME_BODY,
	MIME_ENDED
};

/* What a field is for. Those before MIME_CONTENT_TYPE hold addresses and are enum mime_role. */
enum mime_field {
	MIME_CONTENT_TYPE = MIME_REPLY_TO + 1,
	MIME_DISPOSITION,
	MIME_ENCODING,
	MIME_OTHER
};

enum mime_encoding { MIME_AS_IT_STANDS, MIME_BASE64 };

static const struct field_row {
	const char *name;
	uint8_t field;
} fields[] = {
	{"to", MIME_TO},
	{"cc", MIME_CC},
	{"bcc", MIME_BCC},
	{"from", MIME_FROM},
	{"reply-to", MIME_REPLY_TO},
	{"resent-to", MIME_TO},
	{"resent-cc", MIME_CC},
	{"resent-bcc", MIME_BCC},
	{"content-type", MIME_CONTENT_TYPE},
	{"content-disposition", MIME_DISPOSITION},
	{"content-transfer-encoding", MIME_ENCODING},
};

/* What comes with every signed, encrypted or confirmed message is not what a user attaches. */
static const char *const no_attachments[] = {
	"application/pkcs7-signature",
	"application/x-pkcs7-signature",
	"application/pgp-signature",
	"application/pgp-encrypted",
	"message/delivery-status",
	"message/disposition-notification",
	"text/calendar",
};

/* A head */

static void head_begin(struct mime_head *mime)
{
	mime->state = MIME_LINE_START;
	mime->head_len = 0;
	mime->has_field = false;
	mime->has_type = mime->has_file_name = mime->is_disposed = false;
	mime->encoding = MIME_AS_IT_STANDS;
	memset(&mime->part, 0, sizeof(mime->part));
	memcpy(mime->part.type, "text/plain", sizeof("text/plain"));
}

void mime_head_begin(struct mime_head *mime)
{
	memset(mime, 0, sizeof(*mime));
	mime->is_root = true;
	head_begin(mime);
}

void mime_head_feed(struct mime_head *mime, struct span piece)
{
	mime->at = piece.data;
	mime->end = piece.len > 0 ? piece.data + piece.len : piece.data;
}

static bool has_addresses(const struct mime_head *mime)
{
	return mime->field < MIME_CONTENT_TYPE;
}

static uint8_t field_find(const struct mime_head *mime)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strlen(fields[i].name) == mime->name_len &&
			memcmp(fields[i].name, mime->field_name, mime->name_len) == 0)
			/* Addresses in the head of a part are nobody's. */
			return fields[i].field >= MIME_CONTENT_TYPE || mime->is_root
				       ? fields[i].field
				       : MIME_OTHER;
	return MIME_OTHER;
}

static void boundary_push(struct mime_head *mime, const struct mime_value *value)
{
	memcpy(mime->boundary[mime->depth], value->boundary, value->boundary_len);
	mime->boundary_len[mime->depth++] = value->boundary_len;
}

static void name_note(struct mime_head *mime, const struct mime_value *value, bool is_file_name)
{
	if (!value->has_name || mime->has_file_name)
		return;
	mime->has_file_name = is_file_name;
	memcpy(mime->part.name, value->name, sizeof(mime->part.name));
	if (mime->part.name[0] == '\0')
		memcpy(mime->part.name, "?", sizeof("?"));
}

/* Says what the part is. The boundary stays in `value` until the head has ended. */
static void type_note(struct mime_head *mime, const struct mime_value *value)
{
	if (mime->has_type)
		return;
	mime->has_type = true;
	if (value->type[0] != '\0')
		memcpy(mime->part.type, value->type, sizeof(mime->part.type));
	name_note(mime, value, false);
	if (strncmp(value->type, "multipart/", 10) != 0 || value->boundary_len == 0)
		return;
	if (mime->depth == MIME_DEPTH_MAX) {
		mime->is_beyond = true;
		return;
	}
	boundary_push(mime, value);
	mime->is_container = true;
}

static void value_note(struct mime_head *mime)
{
	struct mime_value value;

	mime_value_read(span_of(mime->value, mime->value_len), &value);
	switch (mime->field) {
	case MIME_CONTENT_TYPE: type_note(mime, &value); break;
	case MIME_DISPOSITION:
		mime->is_disposed |= strcmp(value.type, "attachment") == 0;
		name_note(mime, &value, true);
		break;
	case MIME_ENCODING:
		mime->encoding =
			strcmp(value.type, "base64") == 0 ? MIME_BASE64 : MIME_AS_IT_STANDS;
		break;
	default: break;
	}
}

/* A field has ended; true: with a last address. */
static bool field_end(struct mime_head *mime)
{
	mime->has_field = false;
	if (has_addresses(mime))
		return mime_addresses_end(&mime->addresses);
	if (mime->field != MIME_OTHER)
		value_note(mime);
	return false;
}

static void field_begin(struct mime_head *mime)
{
	mime->field = field_find(mime);
	mime->has_field = true;
	mime->state = MIME_FIELD_VALUE;
	mime->run_end = NULL;
	mime->value_len = 0;
	if (!has_addresses(mime))
		return;
	mime->role = (enum mime_role)mime->field;
	mime_addresses_begin(&mime->addresses);
}

static void head_end(struct mime_head *mime)
{
	mime->is_root = false;
	mime->state = MIME_BODY;
	mime->has_part = !mime->is_container;
	mime->is_container = false;
	mime->part_len = 0;
	mime->line_len = 0;
	mime->eol_len = 0;
}

/* The first character of a line: a field goes on, another one begins, or the head is over. */
static void read_line_start(struct mime_head *mime)
{
	uint8_t c = *mime->at++;

	if (c == '\r')
		return; /* what follows is a line's end, or as good as one */
	if (c == '\n') {
		head_end(mime);
		return;
	}
	mime->name_len = 0;
	if (c == ' ' || c == '\t') {
		mime->state = mime->has_field ? MIME_FIELD_VALUE : MIME_FIELD_NAME;
		mime->run_end = NULL;
		return;
	}
	mime->state = MIME_FIELD_NAME;
	mime->at--;
}

static void read_field_name(struct mime_head *mime)
{
	uint8_t c = *mime->at++;

	if (c == ':') {
		field_begin(mime);
	} else if (c == '\n') {
		mime->state = MIME_LINE_START; /* no field */
	} else if (c != ' ' && c != '\t' && c != '\r' &&
		   mime->name_len <= sizeof(mime->field_name)) {
		if (mime->name_len < sizeof(mime->field_name))
			mime->field_name[mime->name_len] =
				(char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
		mime->name_len++;
	}
}

static const uint8_t *line_end(const struct mime_head *mime)
{
	const uint8_t *found = memchr(mime->at, '\n', (size_t)(mime->end - mime->at));

	return found != NULL ? found + 1 : mime->end;
}

static void keep_value(struct mime_head *mime, struct span run)
{
	size_t room = sizeof(mime->value) - mime->value_len;

	if (run.len > room) {
		mime->is_beyond = true;
		run.len = room;
	}
	memcpy(mime->value + mime->value_len, run.data, run.len);
	mime->value_len = (uint16_t)(mime->value_len + run.len);
}

/* What the piece has of the line; true: an address was found before its end. */
static bool read_field_value(struct mime_head *mime)
{
	if (mime->run_end == NULL) {
		mime->run_end = line_end(mime);
		if (has_addresses(mime))
			mime_addresses_feed(&mime->addresses,
				span_of(mime->at, (size_t)(mime->run_end - mime->at)));
		else if (mime->field != MIME_OTHER)
			keep_value(mime, span_of(mime->at, (size_t)(mime->run_end - mime->at)));
	}
	if (has_addresses(mime) && mime_addresses_next(&mime->addresses))
		return true;
	mime->at = mime->run_end;
	mime->run_end = NULL;
	if (mime->at[-1] == '\n')
		mime->state = MIME_LINE_START;
	return false;
}

/* A field that has ended is dealt with before what follows is taken. */
static bool ends_field(const struct mime_head *mime)
{
	return mime->state == MIME_LINE_START && mime->has_field && *mime->at != ' ' &&
	       *mime->at != '\t';
}

/* One step through a head; true: there is an address. */
static bool head_step(struct mime_head *mime)
{
	const uint8_t *from = mime->at;
	bool has_one = false;

	if (ends_field(mime))
		return field_end(mime);
	switch ((enum mime_state)mime->state) {
	case MIME_LINE_START: read_line_start(mime); break;
	case MIME_FIELD_NAME: read_field_name(mime); break;
	case MIME_FIELD_VALUE: has_one = read_field_value(mime); break;
	case MIME_BODY:
	case MIME_ENDED: break;
	}
	mime->head_len += (uint32_t)(mime->at - from);
	if (mime->head_len > MIME_HEAD_MAX) {
		mime->is_beyond = true;
		mime->state = MIME_ENDED;
	}
	return has_one;
}

/* A body */

static bool is_attachment(const struct mime_head *mime)
{
	if (mime->is_disposed)
		return true;
	for (size_t i = 0; i < sizeof(no_attachments) / sizeof(no_attachments[0]); i++)
		if (strcmp(mime->part.type, no_attachments[i]) == 0)
			return false;
	return mime->part.name[0] != '\0' || strncmp(mime->part.type, "text/", 5) != 0;
}

/* True: a part that holds no others has ended. */
static bool part_end(struct mime_head *mime)
{
	if (!mime->has_part)
		return false;
	mime->has_part = false;
	mime->part.size = mime->encoding == MIME_BASE64 ? mime->part_len * 3 / 4 : mime->part_len;
	mime->part.is_attachment = is_attachment(mime);
	return true;
}

/* Of the line's last bytes: how many are its end, "\n" or "\r\n". */
static uint8_t line_eol_len(const struct mime_head *mime)
{
	if (mime->line_len == 0 || mime->tail[3] != '\n')
		return 0;
	return mime->line_len > 1 && mime->tail[2] == '\r' ? 2 : 1;
}

/* Whether the line is the boundary of this multipart: 0, or 1, or 2 when it is the closing one. */
static int boundary_match(const struct mime_head *mime, uint8_t level)
{
	size_t at = 2 + (size_t)mime->boundary_len[level];
	size_t end = (size_t)mime->line_len;
	bool closes;

	if (mime->line_len > sizeof(mime->line) || end < at ||
		memcmp(mime->line + 2, mime->boundary[level], at - 2) != 0)
		return 0;
	closes = end - at >= 2 && memcmp(mime->line + at, "--", 2) == 0;
	for (at += closes ? 2 : 0; at < end; at++)
		if (strchr(" \t\r\n", mime->line[at]) == NULL || mime->line[at] == '\0')
			return 0;
	return closes ? 2 : 1;
}

/* A line that divides: what it ends, and what it begins. False: it divides nothing. */
static bool line_divides(struct mime_head *mime, bool *has_ended)
{
	if (mime->line_len < 3 || mime->line[0] != '-' || mime->line[1] != '-')
		return false;
	for (uint8_t level = mime->depth; level-- > 0;) {
		int match = boundary_match(mime, level);

		if (match == 0)
			continue;
		*has_ended = part_end(mime);
		mime->depth = (uint8_t)(match == 2 ? level : level + 1);
		mime->begins_part = match == 1;
		return true;
	}
	return false;
}

static void line_count(struct mime_head *mime)
{
	uint8_t eol_len = line_eol_len(mime);
	uint64_t len = mime->line_len - eol_len;

	if (mime->encoding != MIME_BASE64) {
		mime->part_len += mime->eol_len + len;
		mime->eol_len = eol_len;
		return;
	}
	for (int i = 3 - eol_len; i >= 0 && len > 0 && mime->tail[i] == '='; i--)
		len--;
	mime->part_len += len;
}

/* A line is whole; true: a part has ended. */
static bool body_line(struct mime_head *mime)
{
	bool has_ended = false;

	if (!line_divides(mime, &has_ended) && mime->has_part)
		line_count(mime);
	mime->line_len = 0;
	return has_ended;
}

static void keep_line(struct mime_head *mime, struct span run)
{
	size_t tail = sizeof(mime->tail);

	if (mime->line_len < sizeof(mime->line)) {
		size_t room = sizeof(mime->line) - (size_t)mime->line_len;

		memcpy(mime->line + mime->line_len, run.data, run.len < room ? run.len : room);
	}
	if (run.len < tail) {
		memmove(mime->tail, mime->tail + run.len, tail - run.len);
		memcpy(mime->tail + tail - run.len, run.data, run.len);
	} else {
		memcpy(mime->tail, run.data + run.len - tail, tail);
	}
	mime->line_len += run.len;
}

/* Passes over whole lines that divide nothing, as nearly all of a body are: nothing of them is kept. */
static void pass_lines(struct mime_head *mime)
{
	bool is_base64 = mime->encoding == MIME_BASE64;
	uint64_t part_len = mime->part_len;
	const uint8_t *at = mime->at;
	const uint8_t *feed;

	while (at < mime->end && *at != '-' &&
		(feed = memchr(at, '\n', (size_t)(mime->end - at))) != NULL) {
		uint8_t eol_len = feed > at && feed[-1] == '\r' ? 2 : 1;
		size_t len = (size_t)(feed + 1 - at) - eol_len;

		if (is_base64) {
			for (int i = 4 - eol_len; i > 0 && len > 0 && at[len - 1] == '='; i--)
				len--;
		} else {
			part_len += mime->eol_len;
			mime->eol_len = eol_len;
		}
		part_len += len;
		at = feed + 1;
	}
	mime->at = at;
	if (mime->has_part)
		mime->part_len = part_len;
}

static bool body_step(struct mime_head *mime)
{
	const uint8_t *stop;

	if (mime->line_len == 0)
		pass_lines(mime);
	if (mime->at == mime->end)
		return false;
	stop = line_end(mime);
	keep_line(mime, span_of(mime->at, (size_t)(stop - mime->at)));
	mime->at = stop;
	return stop[-1] == '\n' && body_line(mime);
}

/* The end of all; true: it brings an event, *event. */
static bool last_step(struct mime_head *mime, enum mime_event *event)
{
	bool has_one = false;

	*event = MIME_PART;
	if (mime->state < MIME_BODY) {
		*event = MIME_ADDRESS;
		has_one = mime->has_field && field_end(mime);
		head_end(mime);
	} else if (mime->line_len > 0) {
		has_one = body_line(mime);
		mime->begins_part = false;
	} else {
		/* The last line's end was no boundary's. */
		if (mime->encoding != MIME_BASE64)
			mime->part_len += mime->eol_len;
		has_one = part_end(mime);
		mime->state = MIME_ENDED;
	}
	return has_one;
}

enum mime_event mime_head_next(struct mime_head *mime)
{
	enum mime_event event = MIME_MORE;

	while (mime->at < mime->end && mime->state != MIME_ENDED) {
		if (mime->begins_part) {
			mime->begins_part = false;
			head_begin(mime);
		}
		if (mime->state < MIME_BODY && head_step(mime))
			return MIME_ADDRESS;
		if (mime->state == MIME_BODY && mime->at < mime->end && body_step(mime))
			return MIME_PART;
	}
	while (mime->is_finished && mime->state != MIME_ENDED)
		if (last_step(mime, &event))
			return event;
	return MIME_MORE;
}

void mime_head_finish(struct mime_head *mime)
{
	mime_head_feed(mime, (struct span){0});
	mime->is_finished = true;
}
