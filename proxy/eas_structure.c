#include "proxy/eas_structure.h"

#include "config/span.h"
#include "proxy/eas_command.h"

/* What a command answers to a document that it cannot read (MS-ASCMD 2.2.3.177, from 14.0; 0: the
 * refusal's own, 103), and how many elements it takes (MS-ASCMD 3.1.5.10; 0: no limit). */
static const struct command_terms {
	uint8_t status;
	uint16_t count_max;
	uint8_t count_status;
	const char *count_text;
} terms_of[EAS_COMMAND_COUNT] = {
	[EAS_SYNC] = {4, 200, 4, "more than 200 Add, Change, Delete and Fetch"},
	[EAS_FOLDER_SYNC] = {10, 0, 0, NULL},
	[EAS_FOLDER_CREATE] = {10, 0, 0, NULL},
	[EAS_FOLDER_DELETE] = {10, 0, 0, NULL},
	[EAS_FOLDER_UPDATE] = {10, 0, 0, NULL},
	[EAS_MOVE_ITEMS] = {0, 1000, 0, "more than 1000 Move"},
	/* Exchange's own is 1000, and can be set up to this. */
	[EAS_GET_ITEM_ESTIMATE] = {0, 5000, 0, "more than 5000 Collection"},
	[EAS_MEETING_RESPONSE] = {0, 100, 0, "more than 100 Request"},
	[EAS_SETTINGS] = {2, 0, 0, NULL},
	[EAS_PING] = {4, 0, 0, NULL},
	[EAS_ITEM_OPERATIONS] = {2, 100, 2, "more than 100 Fetch, EmptyFolderContents and Move"},
	[EAS_PROVISION] = {2, 0, 0, NULL},
	[EAS_RESOLVE_RECIPIENTS] = {5, 100, 5, "more than 100 To"},
	[EAS_VALIDATE_CERT] = {2, 100, 2, "more than 100 Certificate"},
	[EAS_FIND] = {2, 0, 0, NULL},
};

static const char not_its_root[] = "the root is not the command's";
static const char unknown_tag[] = "a tag that is in no protocol version";
static const char later_tag[] = "an element of a later protocol version";
static const char twice[] = "an element twice that may be there once";
static const char element_in_text[] = "an element in one that holds text";
static const char text_in_element[] = "text in an element that holds elements";
static const char too_long[] = "a text that is too long";
static const char no_number[] = "a number that is none, or too large";

static const struct command_terms *terms(const struct eas_structure *structure)
{
	static const struct command_terms none;

	return structure->command < EAS_COMMAND_COUNT ? &terms_of[structure->command] : &none;
}

static bool wrong(struct eas_structure *structure, const char *text, uint8_t status)
{
	structure->text = text;
	structure->status = status != 0 ? status : terms(structure)->status;
	return false;
}

void eas_structure_begin(struct eas_structure *structure, enum eas_command command,
	unsigned int version, bool is_strict)
{
	*structure = (struct eas_structure){.version = (uint8_t)version,
		.newest = version != 0 ? (uint8_t)version : UINT8_MAX,
		.command = (uint8_t)command,
		.is_strict = is_strict};
}

bool eas_structure_root(struct eas_structure *structure, const struct wbxml_tag *tag)
{
	const struct eas_command_row *row = eas_command_row((enum eas_command)structure->command);

	/* Commands that were withdrawn have no root that we know. */
	if (row != NULL && row->root != 0 && row->root != tag->id)
		return wrong(structure, not_its_root, 0);
	return true;
}

/* An element that is newer than the request's version, or that nobody knows. */
static bool start_odd(struct eas_structure *structure, const struct wbxml_tag *tag)
{
	if (tag->name == NULL)
		return !structure->is_strict || wrong(structure, unknown_tag, 0);
	structure->later_tags++;
	return !structure->is_strict || wrong(structure, later_tag, 0);
}

static bool start_count(struct eas_structure *structure)
{
	const struct command_terms *limits = terms(structure);

	structure->counted++;
	if (limits->count_max == 0 || structure->counted <= limits->count_max)
		return true;
	return wrong(structure, limits->count_text, limits->count_status);
}

bool eas_structure_start(struct eas_structure *structure, const struct wbxml_tag *tag,
	uint16_t parent, uint16_t place, uint16_t *seen)
{
	const struct eas_place *here = &eas_places[place];
	uint16_t bit;

	if ((tag->version > structure->newest || here->since > structure->newest ||
		    tag->name == NULL) &&
		!start_odd(structure, tag))
		return false;
	if (parent == EAS_PLACE_NONE)
		return true;
	if (eas_places[parent].holds >= EAS_HOLDS_TEXT)
		return wrong(structure, element_in_text, 0);
	if (here->is_counted && !start_count(structure))
		return false;
	if (here->bit == EAS_PLACE_NO_BIT)
		return true;
	bit = (uint16_t)(1U << here->bit);
	if (here->is_single && (*seen & bit) != 0)
		return wrong(structure, twice, 0);
	*seen |= bit;
	return true;
}

bool eas_structure_text(struct eas_structure *structure, uint16_t place, uint64_t len)
{
	const struct eas_place *here = &eas_places[place];

	if (here->holds == EAS_HOLDS_ELEMENTS && len > 0)
		return wrong(structure, text_in_element, 0);
	if (here->text_max > 0 && len > here->text_max)
		return wrong(structure, too_long, 0);
	return true;
}

static bool demand_holds(const struct eas_demand *demand, unsigned int version, uint16_t seen)
{
	uint16_t there = seen & demand->mask;

	if (version != 0 &&
		(version < demand->since || (demand->before != 0 && version >= demand->before)))
		return true;
	switch ((enum eas_demand_kind)demand->kind) {
	case EAS_DEMAND_ALL: return there == demand->mask;
	case EAS_DEMAND_ANY: return there != 0;
	case EAS_DEMAND_NOT_BOTH: return (there & (there - 1)) == 0;
	}
	return false;
}

/* An empty one is taken for 0, as servers do. */
static bool is_number(struct span text)
{
	uint64_t number = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
		if (number > UINT32_MAX)
			return false;
	}
	return true;
}

bool eas_structure_end(
	struct eas_structure *structure, uint16_t place, uint16_t seen, struct span text)
{
	const struct eas_place *here = &eas_places[place];
	const struct eas_demand *demand = &eas_demands[here->demand_first];

	if (here->holds == EAS_HOLDS_NUMBER && !is_number(text))
		return wrong(structure, no_number, 0);
	for (unsigned int i = 0; i < here->demand_count; i++, demand++)
		if (!demand_holds(demand, structure->version, seen))
			return wrong(structure, demand->text, demand->status);
	return true;
}
