/* Attachments: out of items, out of messages in MIME, and as downloads. */
#include <stdlib.h>
#include <string.h>

#include "proxy/answer_filter_parts.h"
#include "wbxml/codepages.h"

/* MS-ASCMD 2.2.3.177.8, of ItemOperations. */
static const char status_too_large[] = "11";
static const char status_denied[] = "16";

static struct span name_span(const struct answer_name *name)
{
	return span_of(name->text, name->len);
}

static bool goes(
	const struct answer_filter *answer, struct span name, struct span type, uint64_t size)
{
	const struct answer_changes *changes = &answer->terms.changes;

	return changes->strips(changes->rule, name, type, size);
}

/* What is held is better withheld than cut off. */
static bool is_too_much(const struct answer_filter *answer)
{
	return wbxml_filter_held(&answer->filter) > answer->terms.held_max / 2;
}

static bool may_hold(const struct answer_filter *answer)
{
	return wbxml_filter_holds(&answer->filter) < WBXML_FILTER_HOLDS_MAX;
}

/* An element within something else that is looked at. No server of ours answers so, and what is in it could not
 * be judged. */
static enum wbxml_filter_choice misplaced(struct answer_filter *answer)
{
	answer->fault = "an element in it where none can be";
	answer->filter.has_failed = true;
	return WBXML_FILTER_DROP;
}

/* Attachments of an item */

static bool is_list(uint16_t tag)
{
	return tag == WBXML_AIRSYNCBASE_ATTACHMENTS || tag == WBXML_EMAIL_ATTACHMENTS ||
	       tag == WBXML_CALENDAR_ATTACHMENTS;
}

static bool is_attachment(uint16_t tag)
{
	return tag == WBXML_AIRSYNCBASE_ATTACHMENT || tag == WBXML_EMAIL_ATTACHMENT ||
	       tag == WBXML_CALENDAR_ATTACHMENT;
}

/* What the server says about attachments that the phone itself has just added: names for them, without
 * which it would add them again. */
static bool is_answer_to_upload(const struct answer_filter *answer)
{
	return answer->path[0] == WBXML_AIRSYNC_SYNC &&
	       answer->path[3] == WBXML_AIRSYNC_RESPONSES && answer->path[4] != WBXML_AIRSYNC_FETCH;
}

static enum wbxml_filter_choice list_start(struct answer_filter *answer, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;

	strip->list_depth = depth;
	strip->list_stripped = 0;
	strip->list_is_held = !answer->filter.reader.is_empty && may_hold(answer);
	return strip->list_is_held ? WBXML_FILTER_HOLD : WBXML_FILTER_KEEP;
}

static enum wbxml_filter_choice attachment_start(struct answer_filter *answer, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;

	strip->attachment_depth = depth;
	strip->has_size = false;
	strip->name_is_cut = false;
	strip->name.len = strip->other_name.len = strip->type.len = 0;
	return WBXML_FILTER_HOLD;
}

static void attachment_value(struct answer_filter *answer, uint16_t tag)
{
	struct answer_strip *strip = &answer->strip;

	switch (tag) {
	case WBXML_AIRSYNCBASE_DISPLAYNAME:
	case WBXML_EMAIL_DISPLAYNAME:
		strip->name = answer->value;
		strip->name_is_cut |= answer->value_is_cut;
		break;
	case WBXML_EMAIL_ATTNAME: strip->other_name = answer->value; break;
	case WBXML_AIRSYNCBASE_CONTENTTYPE: strip->type = answer->value; break;
	case WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE:
	case WBXML_EMAIL_ATTSIZE: strip->has_size = answer_number(answer, &strip->size); break;
	default: break;
	}
}

static bool attachment_goes(const struct answer_filter *answer)
{
	const struct answer_strip *strip = &answer->strip;
	/* One whose size the server keeps to itself could have any. */
	uint64_t size = strip->has_size ? strip->size : UINT64_MAX;

	return strip->name_is_cut ||
	       goes(answer, name_span(&strip->name), name_span(&strip->type), size) ||
	       (strip->other_name.len > 0 &&
		       goes(answer, name_span(&strip->other_name), name_span(&strip->type), size));
}

static void attachment_end(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;

	strip->attachment_depth = 0;
	if (attachment_goes(answer)) {
		wbxml_filter_discard(&answer->filter);
		strip->list_stripped++;
		answer->counts.attachments++;
		return;
	}
	wbxml_filter_release(&answer->filter);
	if (strip->list_is_held)
		wbxml_filter_release(&answer->filter);
	strip->list_is_held = false;
}

/* A list of which nothing is left goes as a whole: an item without attachments has none. */
static void list_end(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;

	if (strip->list_is_held && strip->list_stripped > 0)
		wbxml_filter_discard(&answer->filter);
	strip->list_is_held = false;
	strip->list_depth = 0;
}

/* Downloads. The Status stands in front of what decides about it, so that it is kept aside. */

static enum wbxml_filter_choice fetch_start(struct answer_filter *answer, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;

	strip->fetch_depth = depth;
	strip->properties_depth = 0;
	strip->properties_are_held = false;
	strip->status_len = 0;
	strip->total = strip->data_len = 0;
	strip->type.len = 0;
	strip->fetch_is_held = !answer->filter.reader.is_empty;
	return strip->fetch_is_held ? WBXML_FILTER_HOLD_CONTENT : WBXML_FILTER_KEEP;
}

static bool fetch_is_possible(const struct answer_filter *answer)
{
	return answer->strip.list_depth == 0 && answer->strip.body_depth == 0 &&
	       wbxml_filter_holds(&answer->filter) == 0;
}

static void fetch_release(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;

	if (strip->properties_are_held)
		wbxml_filter_release(&answer->filter);
	strip->properties_are_held = false;
	if (strip->fetch_is_held && strip->status_len > 0)
		wbxml_filter_release_behind(&answer->filter, WBXML_ITEMOPERATIONS_STATUS,
			span_of(strip->status, strip->status_len));
	else if (strip->fetch_is_held)
		wbxml_filter_release(&answer->filter);
	strip->fetch_is_held = false;
}

static void status_set(struct answer_strip *strip, struct span text)
{
	strip->status_len =
		(uint16_t)(text.len < sizeof(strip->status) ? text.len : sizeof(strip->status));
	memcpy(strip->status, text.data, strip->status_len);
}

static uint64_t download_size(const struct answer_strip *strip)
{
	uint64_t size = strip->data_len / 4 * 3; /* of base64 */

	return size > strip->total ? size : strip->total;
}

static void download_withhold(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;
	bool is_by_size = goes(answer, (struct span){0}, (struct span){0}, download_size(strip));

	wbxml_filter_discard(&answer->filter);
	strip->properties_are_held = false;
	strip->properties_depth = 0;
	status_set(strip, span_of_string(is_by_size ? status_too_large : status_denied));
	answer->counts.downloads++;
}

static bool download_goes(const struct answer_filter *answer, uint64_t size)
{
	return goes(answer, (struct span){0}, name_span(&answer->strip.type), size);
}

/* What stands in Properties of a download; in those of an item there is always something else. */
static bool is_of_download(uint16_t tag)
{
	switch (tag) {
	case WBXML_ITEMOPERATIONS_RANGE:
	case WBXML_ITEMOPERATIONS_TOTAL:
	case WBXML_ITEMOPERATIONS_VERSION:
	case WBXML_ITEMOPERATIONS_DATA:
	case WBXML_ITEMOPERATIONS_PART:
	case WBXML_AIRSYNCBASE_CONTENTTYPE: return true;
	default: return false;
	}
}

static void property_start(struct answer_filter *answer, uint16_t tag)
{
	bool is_content = tag == WBXML_ITEMOPERATIONS_DATA || tag == WBXML_ITEMOPERATIONS_PART;

	if (!is_of_download(tag) ||
		(is_content && answer->strip.type.len > 0 && !download_goes(answer, UINT64_MAX)))
		fetch_release(answer);
	/* Its bytes are where we do not see them. */
	else if (tag == WBXML_ITEMOPERATIONS_PART)
		answer->strip.total = UINT64_MAX;
}

static enum wbxml_filter_choice in_fetch_start(
	struct answer_filter *answer, uint16_t tag, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;

	if (depth == strip->fetch_depth + 1 && tag == WBXML_ITEMOPERATIONS_STATUS)
		return strip->status_len == 0 ? WBXML_FILTER_HOLD : WBXML_FILTER_KEEP;
	if (depth == strip->fetch_depth + 1 && tag == WBXML_ITEMOPERATIONS_PROPERTIES &&
		strip->properties_depth == 0) {
		strip->properties_depth = depth;
		strip->properties_are_held = true;
		return WBXML_FILTER_HOLD;
	}
	if (strip->properties_are_held && depth == strip->properties_depth + 1)
		property_start(answer, tag);
	return WBXML_FILTER_KEEP;
}

/* "0-499": how much there is at least. */
static void range_note(struct answer_filter *answer)
{
	const struct answer_name *value = &answer->value;
	const char *dash = memchr(value->text, '-', value->len);
	uint64_t end = 0;

	if (dash == NULL || value->text + value->len - dash > 16)
		return;
	for (const char *at = dash + 1; at < value->text + value->len; at++) {
		if (*at < '0' || *at > '9')
			return;
		end = end * 10 + (uint64_t)(*at - '0');
	}
	if (end + 1 > answer->strip.total)
		answer->strip.total = end + 1;
}

static void property_value(struct answer_filter *answer, uint16_t tag)
{
	struct answer_strip *strip = &answer->strip;
	uint64_t number;

	if (tag == WBXML_AIRSYNCBASE_CONTENTTYPE)
		strip->type = answer->value;
	else if (tag == WBXML_ITEMOPERATIONS_RANGE)
		range_note(answer);
	else if (tag == WBXML_ITEMOPERATIONS_TOTAL && answer_number(answer, &number) &&
		 number > strip->total)
		strip->total = number;
}

static void in_fetch_end(struct answer_filter *answer, uint16_t tag, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;

	if (depth == strip->fetch_depth) {
		fetch_release(answer);
		strip->fetch_depth = 0;
	} else if (strip->fetch_is_held && depth == strip->fetch_depth + 1 &&
		   tag == WBXML_ITEMOPERATIONS_STATUS && strip->status_len == 0 &&
		   answer->value.len > 0) {
		status_set(strip, answer_value(answer));
		wbxml_filter_discard(&answer->filter);
	} else if (depth == strip->properties_depth) {
		if (strip->properties_are_held && download_goes(answer, download_size(strip)))
			download_withhold(answer);
		else if (strip->properties_are_held)
			wbxml_filter_release(&answer->filter);
		strip->properties_are_held = false;
	} else if (strip->properties_are_held && depth == strip->properties_depth + 1) {
		property_value(answer, tag);
	}
}

static void in_fetch_text(struct answer_filter *answer, uint16_t tag, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;

	if (!strip->properties_are_held || depth != strip->properties_depth + 1 ||
		tag != WBXML_ITEMOPERATIONS_DATA)
		return;
	strip->data_len += answer->filter.reader.text.len;
	if (download_goes(answer, download_size(strip)) || is_too_much(answer))
		download_withhold(answer);
}

/* Messages in MIME. Truncated stands in front of what decides about it, too. */

static struct span truncated_value(const struct answer_strip *strip)
{
	return span_of_string(strip->is_truncated ? "1" : "0");
}

/* What was kept aside goes where we are. */
static void truncated_write(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;

	if (strip->truncated_is_said)
		wbxml_filter_insert(&answer->filter, strip->truncated_tag, truncated_value(strip));
	strip->truncated_is_said = false;
}

static void body_start(struct answer_filter *answer, uint32_t depth, uint16_t truncated_tag)
{
	struct answer_strip *strip = &answer->strip;

	truncated_write(answer);
	strip->body_depth = depth;
	strip->truncated_tag = truncated_tag;
	strip->is_mime = true; /* until its Type says other */
	strip->truncated_is_said = false;
}

static bool is_mime_text(uint16_t tag)
{
	return tag == WBXML_AIRSYNCBASE_DATA || tag == WBXML_EMAIL_MIMEDATA;
}

static enum wbxml_filter_choice in_body_start(struct answer_filter *answer, uint16_t tag)
{
	struct answer_strip *strip = &answer->strip;

	if (tag == WBXML_AIRSYNCBASE_TYPE && strip->truncated_tag == WBXML_AIRSYNCBASE_TRUNCATED)
		return WBXML_FILTER_KEEP;
	if (tag == strip->truncated_tag && strip->is_mime && !strip->truncated_is_said)
		return WBXML_FILTER_HOLD;
	if (strip->is_mime && is_mime_text(tag) && !answer->filter.reader.is_empty) {
		strip->mime_depth = strip->body_depth + 1;
		strip->mime = malloc(sizeof(*strip->mime));
		if (strip->mime != NULL)
			mime_head_begin(strip->mime);
		return WBXML_FILTER_HOLD;
	}
	/* What stands behind the text. */
	if (!strip->is_mime || is_mime_text(tag) || tag == WBXML_AIRSYNCBASE_PREVIEW ||
		tag == WBXML_ITEMOPERATIONS_PART)
		truncated_write(answer);
	return WBXML_FILTER_KEEP;
}

static void mime_over(struct answer_strip *strip)
{
	free(strip->mime);
	strip->mime = NULL;
	strip->mime_depth = 0;
}

static void mime_withhold(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;

	mime_over(strip);
	wbxml_filter_discard(&answer->filter);
	strip->truncated_is_said = true;
	strip->is_truncated = true;
	truncated_write(answer);
	answer->counts.bodies++;
}

/* Whether a part that has ended has to go. What cannot be seen could be anything. */
static bool mime_goes(const struct answer_filter *answer)
{
	struct mime_head *mime = answer->strip.mime;
	const struct mime_part *part = &mime->part;
	enum mime_event event;

	while ((event = mime_head_next(mime)) != MIME_MORE)
		if (event == MIME_PART && part->is_attachment &&
			goes(answer, span_of_string(part->name), span_of_string(part->type),
				part->size))
			return true;
	return mime->is_beyond;
}

static void mime_text(struct answer_filter *answer)
{
	struct mime_head *mime = answer->strip.mime;

	if (mime != NULL)
		mime_head_feed(mime, answer->filter.reader.text);
	if (mime == NULL || mime_goes(answer) || is_too_much(answer))
		mime_withhold(answer);
}

static void mime_end(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;

	if (strip->mime != NULL)
		mime_head_finish(strip->mime);
	if (strip->mime == NULL || mime_goes(answer)) {
		mime_withhold(answer);
		return;
	}
	mime_over(strip);
	if (strip->truncated_is_said)
		wbxml_filter_release_behind(
			&answer->filter, strip->truncated_tag, truncated_value(strip));
	else
		wbxml_filter_release(&answer->filter);
	strip->truncated_is_said = false;
}

static void in_body_end(struct answer_filter *answer, uint16_t tag, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;
	uint64_t number = 0;

	if (depth == strip->body_depth) {
		truncated_write(answer);
		strip->body_depth = 0;
	} else if (depth != strip->body_depth + 1) {
		return;
	} else if (depth == strip->mime_depth) {
		mime_end(answer);
	} else if (tag == WBXML_AIRSYNCBASE_TYPE) {
		strip->is_mime = !answer_number(answer, &number) || number == 4;
	} else if (tag == strip->truncated_tag && strip->is_mime && !strip->truncated_is_said) {
		strip->truncated_is_said = true;
		/* An empty boolean counts as 1. */
		strip->is_truncated = answer->value.len == 0 || answer->value.text[0] == '1';
		wbxml_filter_discard(&answer->filter);
	}
}

/* All of it */

/* Find tells of an attachment that nobody will see. Only where none at all is left it can be said that
 * there is none. */
static enum wbxml_filter_choice has_attachments_start(struct answer_filter *answer)
{
	if (!goes(answer, (struct span){0}, (struct span){0}, 1))
		return WBXML_FILTER_KEEP;
	wbxml_filter_insert(&answer->filter, WBXML_FIND_HASATTACHMENTS, span_of_string("0"));
	return WBXML_FILTER_DROP;
}

/* In 2.5 a message in MIME is no element of its own, but two of the item's. */
static bool is_of_body(const struct answer_strip *strip, uint16_t tag)
{
	return strip->truncated_tag == WBXML_AIRSYNCBASE_TRUNCATED ||
	       tag == WBXML_EMAIL_MIMETRUNCATED || tag == WBXML_EMAIL_MIMEDATA;
}

/* Within a Truncated that is written anew elsewhere. */
static bool is_in_truncated(const struct answer_filter *answer, uint32_t depth)
{
	const struct answer_strip *strip = &answer->strip;

	return strip->body_depth > 0 && depth == strip->body_depth + 2 && strip->is_mime &&
	       !strip->truncated_is_said && answer->path[depth - 2] == strip->truncated_tag;
}

enum wbxml_filter_choice answer_strip_start(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;
	uint32_t depth = answer->filter.reader.depth;
	uint16_t tag = answer->path[depth - 1];

	if (strip->mime_depth > 0 || is_in_truncated(answer, depth))
		return misplaced(answer);
	if (strip->fetch_is_held) {
		enum wbxml_filter_choice choice = in_fetch_start(answer, tag, depth);

		/* Nothing else is looked for until it is known to be an item. */
		if (strip->fetch_is_held)
			return choice;
	}
	if (depth == 3 && tag == WBXML_ITEMOPERATIONS_FETCH &&
		answer->path[0] == WBXML_ITEMOPERATIONS_ITEMOPERATIONS)
		return fetch_is_possible(answer) ? fetch_start(answer, depth) : misplaced(answer);
	if (strip->list_depth > 0) {
		if (depth == strip->list_depth + 1 && is_attachment(tag) && may_hold(answer))
			return attachment_start(answer, depth);
		return WBXML_FILTER_KEEP;
	}
	if (strip->body_depth > 0 && depth == strip->body_depth + 1 && is_of_body(strip, tag))
		return in_body_start(answer, tag);
	if (strip->body_depth > 0 && strip->truncated_tag == WBXML_AIRSYNCBASE_TRUNCATED)
		return WBXML_FILTER_KEEP;
	if (is_list(tag) && !is_answer_to_upload(answer))
		return list_start(answer, depth);
	if (tag == WBXML_FIND_HASATTACHMENTS)
		return has_attachments_start(answer);
	if (tag == WBXML_AIRSYNCBASE_BODY || tag == WBXML_AIRSYNCBASE_BODYPART) {
		if (!answer->filter.reader.is_empty)
			body_start(answer, depth, WBXML_AIRSYNCBASE_TRUNCATED);
		return WBXML_FILTER_KEEP;
	}
	if (depth > 1 && strip->body_depth == 0 &&
		(tag == WBXML_EMAIL_MIMETRUNCATED || tag == WBXML_EMAIL_MIMEDATA)) {
		body_start(answer, depth - 1, WBXML_EMAIL_MIMETRUNCATED);
		return in_body_start(answer, tag);
	}
	return WBXML_FILTER_KEEP;
}

void answer_strip_text(struct answer_filter *answer)
{
	struct answer_strip *strip = &answer->strip;
	uint32_t depth = answer->filter.reader.depth;
	uint16_t tag = answer->path[depth - 1];

	if (strip->fetch_is_held)
		in_fetch_text(answer, tag, depth);
	else if (strip->mime_depth == depth)
		mime_text(answer);
}

void answer_strip_end(struct answer_filter *answer, uint32_t depth)
{
	struct answer_strip *strip = &answer->strip;
	uint16_t tag = answer->path[depth - 1];

	if (strip->attachment_depth > 0) {
		if (depth == strip->attachment_depth + 1)
			attachment_value(answer, tag);
		else if (depth == strip->attachment_depth)
			attachment_end(answer);
	} else if (depth == strip->list_depth) {
		list_end(answer);
	} else if (strip->body_depth > 0) {
		in_body_end(answer, tag, depth);
	} else if (strip->fetch_depth > 0) {
		in_fetch_end(answer, tag, depth);
	}
}

void answer_strip_free(struct answer_filter *answer)
{
	mime_over(&answer->strip);
}
