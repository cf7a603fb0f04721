/* A body, from its first byte to its last: which place an element has, and what becomes of its text. */
#include "proxy/eas_body.h"

#include <stdlib.h>

#include "proxy/eas_body_parts.h"
#include "proxy/spares.h"

enum { HEARTBEAT_MAX_S = 3540 }; /* MS-ASCMD 2.2.3.88: the longest that Exchange grants */

static const char out_of_memory[] = "out of memory";
static const char not_multipart[] =
	"not a multipart body, or one with parts that overlap or are missing";
static const char no_such_part[] = "a Part that is not there";

static struct spares spare_bodies = {.size = sizeof(struct eas_body)};
static struct spares spare_works = {.size = sizeof(struct eas_body_work)};

struct eas_body *eas_body_new(const struct eas_body_terms *terms)
{
	struct eas_body *body = spares_take(&spare_bodies);
	struct eas_body_work *work = spares_take(&spare_works);
	struct wbxml_limits limits = terms->limits;

	if (body == NULL || work == NULL) {
		spares_give(&spare_bodies, body);
		spares_give(&spare_works, work);
		return NULL;
	}
	*body = (struct eas_body){.work = work, .sends_mail = terms->kind == EAS_BODY_MIME};
	limits.lets_unknown_pass = !terms->needs_known_tags;
	wbxml_reader_init(&work->reader, &limits);
	eas_structure_begin(&work->structure, terms->command, terms->version, terms->is_strict);
	work->folder_class = terms->folder_class;
	work->context = terms->context;
	work->is_answer = terms->is_answer;
	work->is_judged = !terms->is_answer && !terms->judges_nothing;
	work->kind = (uint8_t)terms->kind;
	work->collection = work->attachment = EAS_BODY_NONE_OPEN;
	work->level_count = 0;
	work->levels[0] = (struct eas_body_level){
		.place = terms->is_answer ? EAS_PLACE_ANSWER : EAS_PLACE_REQUEST};
	work->part_max = 0;
	work->mime = NULL;
	work->addresses = NULL;
	work->multipart = NULL;
	return body;
}

static void work_free(struct eas_body *body)
{
	if (body->work == NULL)
		return;
	free(body->work->mime);
	free(body->work->addresses);
	free(body->work->multipart);
	spares_give(&spare_works, body->work);
	body->work = NULL;
}

void eas_body_free(struct eas_body *body)
{
	if (body == NULL)
		return;
	work_free(body);
	free(body->texts);
	spares_give(&spare_bodies, body);
}

/* Refusals: the first one stays. */

static void refuse(struct eas_body *body, enum refusal refusal, const char *text)
{
	if (body->refusal != REFUSAL_NONE)
		return;
	body->refusal = refusal;
	body->fault_text = text;
}

static void refuse_fault(struct eas_body *body)
{
	enum wbxml_fault fault = body->work->reader.fault;

	refuse(body,
		fault == WBXML_FAULT_DEPTH || fault == WBXML_FAULT_ELEMENTS
			? REFUSAL_WBXML_LIMIT
			: REFUSAL_WBXML_MALFORMED,
		wbxml_fault_text(fault));
}

static void refuse_structure(struct eas_body *body)
{
	body->structure = REFUSAL_EAS_STRUCTURE;
	body->structure_status = body->work->structure.status;
	body->structure_text = body->work->structure.text;
	refuse(body, REFUSAL_EAS_STRUCTURE, body->structure_text);
}

/* Elements */

static bool start_is_right(
	struct eas_body_work *work, struct eas_body_level *around, uint16_t parent, uint16_t place)
{
	const struct wbxml_tag *tag = work->reader.tag;

	if (work->reader.depth == 1 && !eas_structure_root(&work->structure, tag))
		return false;
	return eas_structure_start(&work->structure, tag, parent, place, &around->seen);
}

static void element_start(struct eas_body *body)
{
	struct eas_body_work *work = body->work;
	struct eas_body_level *around = &work->levels[work->level_count];
	uint16_t parent = EAS_PLACE_NONE;
	uint16_t place;

	if (work->reader.depth == 1)
		body->root = work->reader.tag->id;
	if (work->reader.depth == work->level_count + 1U)
		parent = around->place;
	place = eas_place_below(parent, work->reader.tag->id, work->is_answer);
	if (work->is_judged && !start_is_right(work, around, parent, place)) {
		refuse_structure(body);
		return;
	}
	if (place == EAS_PLACE_NONE) {
		/* Of what is in it nothing counts but which tags there are, if they are judged. */
		wbxml_reader_skip(&work->reader, work->is_judged);
		return;
	}
	/* An element that may be anywhere says all by being there. */
	if (parent != EAS_PLACE_NONE && work->level_count < EAS_PLACE_DEPTH_MAX) {
		around[1] = (struct eas_body_level){.place = place};
		work->level_count++;
		work->text_len = 0;
		work->capture_len = 0;
	}
	if (eas_places[place].what != EAS_WHAT_NOTHING)
		eas_body_note_start(body, (enum eas_what)eas_places[place].what);
}

static void capture(struct eas_body_work *work, struct span text)
{
	size_t room = sizeof(work->capture) - work->capture_len;
	size_t len = text.len < room ? text.len : room;

	memcpy(work->capture + work->capture_len, text.data, len);
	work->capture_len = (uint16_t)(work->capture_len + len);
}

static void element_text(struct eas_body *body)
{
	struct eas_body_work *work = body->work;
	struct span text = work->reader.text;
	uint16_t place;
	int status = 0;

	if (work->reader.depth != work->level_count || text.len == 0)
		return;
	place = work->levels[work->level_count].place;
	work->text_len += text.len;
	if (work->is_judged && !eas_structure_text(&work->structure, place, work->text_len)) {
		refuse_structure(body);
		return;
	}
	switch ((enum eas_what)eas_places[place].what) {
	case EAS_WHAT_MIME: status = eas_body_note_mime(body, text); break;
	case EAS_WHAT_ADDRESSES: status = eas_body_note_addresses(body, text); break;
	default: capture(work, text); break;
	}
	if (status != 0)
		refuse(body, REFUSAL_INTERNAL, out_of_memory);
}

static void element_end(struct eas_body *body)
{
	struct eas_body_work *work = body->work;
	const struct eas_body_level *level = &work->levels[work->level_count];
	const struct eas_place *here = &eas_places[level->place];

	if (work->reader.depth + 1 != work->level_count)
		return;
	if (work->is_judged && eas_structure_asks(here) &&
		!eas_structure_end(&work->structure, level->place, level->seen,
			span_of(work->capture, work->capture_len))) {
		refuse_structure(body);
		return;
	}
	if (here->what != EAS_WHAT_NOTHING)
		eas_body_note_end(body, (enum eas_what)here->what);
	work->level_count--;
	/* What follows is not the text of the element around it that came before. */
	work->capture_len = 0;
	work->text_len = 0;
}

/* Bodies */

static void feed_document(struct eas_body *body, struct span piece)
{
	struct wbxml_reader *reader = &body->work->reader;
	enum wbxml_event event = WBXML_MORE;

	wbxml_reader_feed(reader, piece.data, piece.len);
	while (body->refusal == REFUSAL_NONE && (event = wbxml_reader_next(reader)) > WBXML_MORE) {
		switch (event) {
		case WBXML_START: element_start(body); break;
		case WBXML_TEXT:
		case WBXML_OPAQUE: element_text(body); break;
		case WBXML_END: element_end(body); break;
		case WBXML_MORE:
		case WBXML_ERROR: break;
		}
	}
	if (event == WBXML_ERROR)
		refuse_fault(body);
}

static void feed_multipart(struct eas_body *body, struct span piece)
{
	struct eas_body_work *work = body->work;
	enum eas_multipart_result result;

	if (work->multipart == NULL) {
		work->multipart = malloc(sizeof(*work->multipart));
		if (work->multipart == NULL) {
			refuse(body, REFUSAL_INTERNAL, out_of_memory);
			return;
		}
		eas_multipart_begin(work->multipart);
	}
	eas_multipart_feed(work->multipart, piece);
	while ((result = eas_multipart_next(work->multipart)) == EAS_MULTIPART_DOCUMENT)
		feed_document(body, work->multipart->document);
	if (result == EAS_MULTIPART_ERROR)
		refuse(body, REFUSAL_WBXML_MALFORMED, not_multipart);
}

enum refusal eas_body_feed(struct eas_body *body, struct span piece)
{
	if (body->refusal != REFUSAL_NONE || body->work == NULL)
		return body->refusal;
	switch ((enum eas_body_kind)body->work->kind) {
	case EAS_BODY_MIME:
		if (eas_body_note_mime(body, piece) != 0)
			refuse(body, REFUSAL_INTERNAL, out_of_memory);
		break;
	case EAS_BODY_MULTIPART: feed_multipart(body, piece); break;
	case EAS_BODY_WBXML:
	case EAS_BODY_XML:
	case EAS_BODY_NONE: feed_document(body, piece); break;
	}
	return body->refusal;
}

static void end_multipart(struct eas_body *body)
{
	const struct eas_multipart *multipart = body->work->multipart;

	if (body->refusal != REFUSAL_NONE)
		return;
	if (multipart == NULL || eas_multipart_finish(multipart) != 0) {
		refuse(body, REFUSAL_WBXML_MALFORMED, not_multipart);
		return;
	}
	if (body->work->part_max >= multipart->part_count)
		refuse(body, REFUSAL_WBXML_MALFORMED, no_such_part);
	if (multipart->largest_part > body->largest_attachment)
		body->largest_attachment = multipart->largest_part;
}

enum refusal eas_body_end(struct eas_body *body)
{
	struct eas_body_work *work = body->work;

	if (work == NULL)
		return body->refusal;
	if (work->kind == EAS_BODY_MULTIPART)
		end_multipart(body);
	if (work->kind == EAS_BODY_MIME)
		eas_body_note_mime_end(body);
	else if (body->refusal == REFUSAL_NONE && wbxml_reader_finish(&work->reader) != 0)
		refuse_fault(body);
	body->is_whole = body->refusal == REFUSAL_NONE;
	body->unknown_tags = work->reader.unknown_tags;
	body->later_tags = work->structure.later_tags;
	work_free(body);
	eas_body_texts_trim(body);
	return body->refusal;
}

/* How long the packed struct is, the struct without its pointers to memory of its own, and the texts. */
size_t eas_body_pack(const struct eas_body *body, uint8_t *packed)
{
	struct eas_body bare = *body;
	uint16_t len;

	bare.texts = NULL;
	bare.work = NULL;
	bare.texts_capacity = body->texts_len;
	len = (uint16_t)zero_run_pack(&bare, sizeof(bare), packed + sizeof(len));
	memcpy(packed, &len, sizeof(len));
	if (body->texts_len > 0)
		memcpy(packed + sizeof(len) + len, body->texts, body->texts_len);
	return sizeof(len) + len + body->texts_len;
}

void eas_body_view(uint8_t *packed, struct eas_body *body)
{
	uint16_t len;

	memcpy(&len, packed, sizeof(len));
	zero_run_unpack(packed + sizeof(len), len, body, sizeof(*body));
	/* Nothing is written to what has no room left. */
	if (body->texts_len > 0)
		body->texts = (char *)packed + sizeof(len) + len;
}

struct eas_body *eas_body_unpack(uint8_t *packed)
{
	struct eas_body *body = malloc(sizeof(*body));
	char *texts = NULL;

	if (body == NULL)
		return NULL;
	eas_body_view(packed, body);
	if (body->texts_len == 0)
		return body;
	texts = malloc(body->texts_len);
	if (texts == NULL) {
		free(body);
		return NULL;
	}
	memcpy(texts, body->texts, body->texts_len);
	body->texts = texts;
	return body;
}

const char *eas_body_fault_text(const struct eas_body *body)
{
	return body->fault_text;
}

uint32_t eas_body_items(const struct eas_body *body)
{
	return body->adds + body->changes + body->deletes + body->fetches;
}

size_t eas_body_memory(const struct eas_body *body)
{
	const struct eas_body_work *work = body->work;
	size_t len = sizeof(*body) + body->texts_capacity;

	if (work == NULL)
		return len;
	return len + sizeof(*work) + (work->mime != NULL ? sizeof(*work->mime) : 0) +
	       (work->addresses != NULL ? sizeof(*work->addresses) : 0) +
	       (work->multipart != NULL ? sizeof(*work->multipart) : 0);
}

uint32_t eas_body_poll_time(
	enum eas_command command, enum eas_body_kind kind, const struct eas_body *body)
{
	if (command != EAS_PING && command != EAS_SYNC)
		return 0;
	if (kind == EAS_BODY_NONE || body == NULL)
		return HEARTBEAT_MAX_S;
	if (body->heartbeat_s > 0)
		return body->heartbeat_s < HEARTBEAT_MAX_S ? body->heartbeat_s : HEARTBEAT_MAX_S;
	/* What is left out was said in an earlier request, which may have gone another way. */
	return command == EAS_PING || body->is_partial ? HEARTBEAT_MAX_S : 0;
}
