#include "proxy/eas_multipart.h"

enum { COUNT_LEN = 4, ENTRY_LEN = 8 };

void eas_multipart_begin(struct eas_multipart *multipart)
{
	memset(multipart, 0, sizeof(*multipart));
}

void eas_multipart_feed(struct eas_multipart *multipart, struct span piece)
{
	multipart->at = piece.data;
	multipart->end = piece.len > 0 ? piece.data + piece.len : piece.data;
}

static uint32_t number_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static bool count_read(struct eas_multipart *multipart)
{
	multipart->part_count = number_at(multipart->number);
	multipart->last_end = COUNT_LEN + (uint64_t)multipart->part_count * ENTRY_LEN;
	return multipart->part_count > 0 && multipart->part_count <= EAS_MULTIPART_PARTS_MAX;
}

static bool entry_read(struct eas_multipart *multipart)
{
	uint64_t begin = number_at(multipart->number);
	uint32_t len = number_at(multipart->number + 4);

	if (begin < multipart->last_end || begin + len > UINT32_MAX)
		return false;
	multipart->last_end = begin + len;
	if (multipart->parts_read == 0) {
		multipart->document_begin = begin;
		multipart->document_end = multipart->last_end;
	} else if (len > multipart->largest_part) {
		multipart->largest_part = len;
	}
	multipart->parts_read++;
	return true;
}

/* True: the table goes on. */
static bool is_in_table(const struct eas_multipart *multipart)
{
	return multipart->part_count == 0 || multipart->parts_read < multipart->part_count;
}

static bool table_byte(struct eas_multipart *multipart)
{
	size_t len = multipart->part_count == 0 ? COUNT_LEN : ENTRY_LEN;

	multipart->number[multipart->number_len++] = *multipart->at++;
	multipart->offset++;
	if (multipart->number_len < len)
		return true;
	multipart->number_len = 0;
	return len == COUNT_LEN ? count_read(multipart) : entry_read(multipart);
}

enum eas_multipart_result eas_multipart_next(struct eas_multipart *multipart)
{
	uint64_t left, from, to;

	while (!multipart->has_failed && is_in_table(multipart) && multipart->at < multipart->end)
		multipart->has_failed = !table_byte(multipart);
	if (multipart->has_failed)
		return EAS_MULTIPART_ERROR;
	left = (uint64_t)(multipart->end - multipart->at);
	if (left == 0)
		return EAS_MULTIPART_MORE;
	from = multipart->offset;
	to = from + left;
	multipart->document = (struct span){0};
	if (from < multipart->document_end && to > multipart->document_begin) {
		uint64_t begin =
			from > multipart->document_begin ? from : multipart->document_begin;
		uint64_t end = to < multipart->document_end ? to : multipart->document_end;

		multipart->document =
			span_of(multipart->at + (begin - from), (size_t)(end - begin));
	}
	multipart->offset = to;
	multipart->at = multipart->end;
	return multipart->document.len > 0 ? EAS_MULTIPART_DOCUMENT : EAS_MULTIPART_MORE;
}

int eas_multipart_finish(const struct eas_multipart *multipart)
{
	return !multipart->has_failed && !is_in_table(multipart) &&
			       multipart->offset >= multipart->last_end
		       ? 0
		       : -1;
}
