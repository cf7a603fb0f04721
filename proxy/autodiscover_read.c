/* Reading: what phones ask, and what endpoints answer. */
#include "proxy/autodiscover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "proxy/autodiscover_xml.h"
#include "proxy/xml_walk.h"

enum { DEPTH_MAX = 12 };

static const struct xml_walk_limits limits = {
	.size = AUTODISCOVER_SIZE_MAX, .depth = DEPTH_MAX, .elements = 1000};

/* Elements by their place; OTHER is one that says nothing to us, with all that is in it. */
enum element {
	NOTHING,
	OTHER,
	AUTODISCOVER,
	REQUEST,
	EMAIL_ADDRESS,
	SCHEMA,
	RESPONSE,
	USER,
	USER_NAME,
	USER_ADDRESS,
	ACTION,
	REDIRECT,
	SETTINGS,
	SERVER,
	SERVER_TYPE,
	ACTION_ERROR,
	ACTION_STATUS,
	FRAME_ERROR,
	FRAME_CODE,
	ELEMENT_COUNT
};

struct row {
	enum element parent;
	const char *name;
	enum element self;
	bool may_repeat;
};

static const struct row request_rows[] = {
	{NOTHING, "Autodiscover", AUTODISCOVER, false},
	{AUTODISCOVER, "Request", REQUEST, false},
	{REQUEST, "EMailAddress", EMAIL_ADDRESS, false},
	{REQUEST, "AcceptableResponseSchema", SCHEMA, false},
	{NOTHING, NULL, NOTHING, false},
};

static const struct row answer_rows[] = {
	{NOTHING, "Autodiscover", AUTODISCOVER, false},
	{AUTODISCOVER, "Response", RESPONSE, false},
	{RESPONSE, "User", USER, false},
	{USER, "DisplayName", USER_NAME, false},
	{USER, "EMailAddress", USER_ADDRESS, false},
	{RESPONSE, "Action", ACTION, false},
	{ACTION, "Redirect", REDIRECT, false},
	{ACTION, "Settings", SETTINGS, false},
	{SETTINGS, "Server", SERVER, true},
	{SERVER, "Type", SERVER_TYPE, true},
	{ACTION, "Error", ACTION_ERROR, false},
	{ACTION_ERROR, "Status", ACTION_STATUS, false},
	{RESPONSE, "Error", FRAME_ERROR, false},
	{FRAME_ERROR, "ErrorCode", FRAME_CODE, false},
	{NOTHING, NULL, NOTHING, false},
};

struct reading {
	const struct row *rows;
	bool (*is_known)(const char *space); /* whether elements of that namespace are meant */
	enum element open[DEPTH_MAX];
	unsigned int depth;
	bool seen[ELEMENT_COUNT];
	bool has_other_root; /* well-formed, but of another schema */
	char texts[ELEMENT_COUNT][AUTODISCOVER_TEXT_MAX + 1];
	bool is_mobile; /* a server's Type was MobileSync */
};

static const struct row *find_row(
	const struct reading *reading, enum element parent, const char *name)
{
	for (const struct row *row = reading->rows; row->name != NULL; row++)
		if (row->parent == parent && strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

static int on_start(void *context, const char *space, const char *name, struct error *err)
{
	struct reading *reading = context;
	enum element parent = reading->depth > 0 ? reading->open[reading->depth - 1] : NOTHING;
	const struct row *row = reading->is_known(space) ? find_row(reading, parent, name) : NULL;

	if (parent == NOTHING && row == NULL) {
		reading->has_other_root = true;
		return error_set(err, "<%.60s> is not the root of a document of this schema", name);
	}
	if (row != NULL && reading->seen[row->self] && !row->may_repeat)
		return error_set(err, "<%.60s> stands twice", name);
	reading->open[reading->depth++] = row != NULL ? row->self : OTHER;
	if (row != NULL)
		reading->seen[row->self] = true;
	return 0;
}

static bool has_text(enum element element)
{
	switch (element) {
	case EMAIL_ADDRESS:
	case SCHEMA:
	case USER_NAME:
	case USER_ADDRESS:
	case REDIRECT:
	case SERVER_TYPE:
	case ACTION_STATUS:
	case FRAME_CODE: return true;
	default: return false;
	}
}

static int on_text(void *context, struct span text, struct error *err)
{
	struct reading *reading = context;
	enum element self = reading->open[reading->depth - 1];
	char *kept = reading->texts[self];

	if (self == OTHER)
		return 0;
	text = xml_walk_trim(text);
	if (text.len == 0)
		return 0;
	if (!has_text(self))
		return error_set(err, "text where only elements belong");
	if (kept[0] != '\0' && self != SERVER_TYPE)
		return error_set(err, "an element within a text");
	if (text.len > AUTODISCOVER_TEXT_MAX)
		return error_set(err, "a text of more than %d bytes", (int)AUTODISCOVER_TEXT_MAX);
	memcpy(kept, text.data, text.len);
	kept[text.len] = '\0';
	if (self == SERVER_TYPE)
		reading->is_mobile |= strcmp(kept, "MobileSync") == 0;
	return 0;
}

static int on_end(void *context, struct error *err)
{
	struct reading *reading = context;

	(void)err;
	reading->depth--;
	return 0;
}

static const struct xml_walk_calls calls = {on_start, on_text, on_end};

/* On the heap, as workers' stacks are not for it. NULL with err filled where memory runs out. */
static struct reading *reading_new(
	const struct row *rows, bool (*is_known)(const char *space), struct error *err)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (reading == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	reading->rows = rows;
	reading->is_known = is_known;
	return reading;
}

static bool is_request_space(const char *space)
{
	return space != NULL && strcmp(space, AUTODISCOVER_REQUEST) == 0;
}

static enum autodiscover_fault judge_request(
	const struct reading *reading, char address[IDENTITY_ADDRESS_MAX + 1], struct error *err)
{
	struct span text = span_of_string(reading->texts[EMAIL_ADDRESS]);

	if (reading->texts[SCHEMA][0] == '\0') {
		error_set(err, "it has no AcceptableResponseSchema");
		return AUTODISCOVER_INVALID;
	}
	if (strcmp(reading->texts[SCHEMA], AUTODISCOVER_ANSWER) != 0) {
		error_set(err, "it wants an answer in the schema %.200s", reading->texts[SCHEMA]);
		return AUTODISCOVER_PROVIDER;
	}
	if (!address_is_sound(text, ADDRESS_UTF8) || address_fold(text, address) != 0) {
		error_set(err, "its EMailAddress is no address");
		return AUTODISCOVER_INVALID;
	}
	return AUTODISCOVER_NO_FAULT;
}

enum autodiscover_fault autodiscover_read(
	struct span document, char address[IDENTITY_ADDRESS_MAX + 1], struct error *err)
{
	struct reading *reading = reading_new(request_rows, is_request_space, err);
	enum autodiscover_fault fault = AUTODISCOVER_INVALID;

	address[0] = '\0';
	if (reading == NULL)
		return fault;
	if (xml_walk(document, &limits, &calls, reading, err) == 0)
		fault = judge_request(reading, address, err);
	else if (reading->has_other_root)
		fault = AUTODISCOVER_PROVIDER; /* Outlook's, say */
	free(reading);
	return fault;
}

static bool is_answer_space(const char *space)
{
	return space != NULL &&
	       (strcmp(space, AUTODISCOVER_ANSWER) == 0 || strcmp(space, AUTODISCOVER_FRAME) == 0);
}

static int take_address(
	const struct reading *reading, enum element element, char *kept, struct error *err)
{
	char folded[IDENTITY_ADDRESS_MAX + 1];
	const char *text = reading->texts[element];

	kept[0] = '\0';
	if (text[0] == '\0')
		return 0;
	if (address_fold(span_of_string(text), folded) != 0)
		return error_set(err, "it has an address that is none");
	snprintf(kept, AUTODISCOVER_TEXT_MAX + 1, "%s", text);
	return 0;
}

static int judge_answer(
	const struct reading *reading, struct autodiscover_forwarded *forwarded, struct error *err)
{
	if (take_address(reading, USER_ADDRESS, forwarded->address, err) != 0 ||
		take_address(reading, REDIRECT, forwarded->redirect, err) != 0)
		return -1;
	snprintf(forwarded->display_name, sizeof(forwarded->display_name), "%s",
		reading->texts[USER_NAME]);
	forwarded->has_server = reading->is_mobile;
	if (reading->seen[FRAME_ERROR])
		forwarded->fault = strcmp(reading->texts[FRAME_CODE], "601") == 0
					   ? AUTODISCOVER_PROVIDER
					   : AUTODISCOVER_INVALID;
	else if (reading->seen[ACTION_ERROR])
		forwarded->fault = AUTODISCOVER_PROTOCOL;
	if (forwarded->fault == AUTODISCOVER_NO_FAULT && !forwarded->has_server &&
		forwarded->redirect[0] == '\0')
		return error_set(err, "it has neither a MobileSync server nor a redirect");
	return 0;
}

int autodiscover_read_answer(
	struct span document, struct autodiscover_forwarded *forwarded, struct error *err)
{
	struct reading *reading = reading_new(answer_rows, is_answer_space, err);
	int status = -1;

	*forwarded = (struct autodiscover_forwarded){.fault = AUTODISCOVER_NO_FAULT};
	if (reading == NULL)
		return -1;
	if (xml_walk(document, &limits, &calls, reading, err) == 0)
		status = judge_answer(reading, forwarded, err);
	free(reading);
	return status;
}
