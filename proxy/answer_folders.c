/* Folders: which class they are of, and those that are not shown. */
#include <stdio.h>

#include "proxy/answer_filter_parts.h"
#include "wbxml/codepages.h"

/* By MS-ASCMD 2.2.3.186.3, Type. A folder of a kind that nobody knows is of no class that a rule
 * could mean. */
static unsigned int class_of(uint64_t type)
{
	switch (type) {
	case 2: /* Inbox */
	case 3: /* Drafts */
	case 4: /* Deleted Items */
	case 5: /* Sent Items */
	case 6: /* Outbox */
	case 12: /* the user's own */ return EAS_CLASS_EMAIL;
	case 7:
	case 15: return EAS_CLASS_TASKS;
	case 8:
	case 13: return EAS_CLASS_CALENDAR;
	case 9:
	case 14:
	case 19: /* recipients that mail was sent to */ return EAS_CLASS_CONTACTS;
	case 10:
	case 17: return EAS_CLASS_NOTES;
	default: return EAS_CLASS_OTHER;
	}
}

static bool hides(const struct answer_filter *answer)
{
	return answer->terms.changes.hidden_classes != 0;
}

static bool is_hidden(const struct answer_filter *answer, unsigned int class)
{
	return class != 0 && (answer->terms.changes.hidden_classes & 1U << class) != 0;
}

static unsigned int known_class(const struct answer_filter *answer, struct span id)
{
	const struct answer_filter_terms *terms = &answer->terms;

	if (terms->folders == NULL)
		return 0;
	return folder_table_class(terms->folders, &terms->owner, id, terms->now_s);
}

static bool is_folder(const struct answer_filter *answer, uint16_t tag, uint32_t depth)
{
	if (answer->path[0] == WBXML_FOLDERHIERARCHY_FOLDERS)
		return depth == 2 && tag == WBXML_FOLDERHIERARCHY_FOLDER;
	return depth == 3 && answer->path[1] == WBXML_FOLDERHIERARCHY_CHANGES &&
	       (tag == WBXML_FOLDERHIERARCHY_ADD || tag == WBXML_FOLDERHIERARCHY_UPDATE ||
		       tag == WBXML_FOLDERHIERARCHY_DELETE);
}

enum wbxml_filter_choice answer_folders_start(struct answer_filter *answer)
{
	struct answer_folders *folders = &answer->folders;
	uint32_t depth = answer->filter.reader.depth;
	uint16_t tag = answer->path[depth - 1];

	if (is_folder(answer, tag, depth)) {
		folders->depth = depth;
		folders->kind = tag;
		folders->class = 0;
		folders->id_len = 0;
		folders->id_is_bad = false;
		return hides(answer) ? WBXML_FILTER_HOLD : WBXML_FILTER_KEEP;
	}
	if (!hides(answer))
		return WBXML_FILTER_KEEP;
	if (depth == 2 && tag == WBXML_FOLDERHIERARCHY_CHANGES && !answer->filter.reader.is_empty) {
		folders->changes_are_held = true;
		return WBXML_FILTER_HOLD_CONTENT;
	}
	/* It counts what passes, and is written when that is known. */
	if (folders->changes_are_held && depth == 3 && tag == WBXML_FOLDERHIERARCHY_COUNT) {
		folders->count_is_said = true;
		return WBXML_FILTER_DROP;
	}
	if (folders->depth > 0 && depth == folders->depth + 1 &&
		tag == WBXML_FOLDERHIERARCHY_PARENTID)
		return WBXML_FILTER_HOLD;
	return WBXML_FILTER_KEEP;
}

static void folder_value(struct answer_filter *answer, uint16_t tag)
{
	struct answer_folders *folders = &answer->folders;
	struct span value = answer_value(answer);
	uint64_t number = 0;

	switch (tag) {
	case WBXML_FOLDERHIERARCHY_SERVERID:
		/* One with a NUL is no text; nothing is known of such a folder. */
		folders->id_is_bad = value.len == 0 || value.len > sizeof(folders->id) ||
				     memchr(value.data, 0, value.len) != NULL;
		if (folders->id_is_bad)
			break;
		memcpy(folders->id, value.data, value.len);
		folders->id_len = (uint16_t)value.len;
		break;
	case WBXML_FOLDERHIERARCHY_TYPE:
		folders->class = (uint8_t)(answer_number(answer, &number) ? class_of(number)
									  : EAS_CLASS_OTHER);
		break;
	case WBXML_FOLDERHIERARCHY_PARENTID:
		/* What is below a folder that is not shown stands at the top. */
		if (!hides(answer) || !is_hidden(answer, known_class(answer, value)))
			break;
		wbxml_filter_discard(&answer->filter);
		wbxml_filter_insert(
			&answer->filter, WBXML_FOLDERHIERARCHY_PARENTID, span_of_string("0"));
		break;
	default: break;
	}
}

static void folder_learn(struct answer_filter *answer, unsigned int class)
{
	const struct answer_filter_terms *terms = &answer->terms;
	const struct answer_folders *folders = &answer->folders;
	struct span id = span_of(folders->id, folders->id_len);

	if (terms->folders == NULL || id.len == 0)
		return;
	/* One that is not shown stays known, so that all that is said of it later can be left out. */
	if (folders->kind != WBXML_FOLDERHIERARCHY_DELETE && class != 0)
		folder_table_put(terms->folders, &terms->owner, id, class, terms->now_s);
	else if (!is_hidden(answer, class))
		folder_table_forget(terms->folders, &terms->owner, id);
}

static void folder_end(struct answer_filter *answer)
{
	struct answer_folders *folders = &answer->folders;
	unsigned int class = folders->class;

	folders->depth = 0;
	if (folders->kind == WBXML_FOLDERHIERARCHY_DELETE ||
		(class == 0 && folders->kind == WBXML_FOLDERHIERARCHY_UPDATE))
		class = known_class(answer, span_of(folders->id, folders->id_len));
	else if (class == 0)
		class = EAS_CLASS_OTHER;
	folder_learn(answer, class);
	if (!hides(answer))
		return;
	if (is_hidden(answer, class) || folders->id_is_bad) {
		wbxml_filter_discard(&answer->filter);
		answer->counts.folders++;
	} else {
		wbxml_filter_release(&answer->filter);
		folders->passed++;
	}
}

static void changes_end(struct answer_filter *answer)
{
	struct answer_folders *folders = &answer->folders;
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", (unsigned int)folders->passed);

	if (folders->count_is_said)
		wbxml_filter_release_behind(
			&answer->filter, WBXML_FOLDERHIERARCHY_COUNT, span_of(text, (size_t)len));
	else
		wbxml_filter_release(&answer->filter);
	folders->changes_are_held = false;
}

void answer_folders_end(struct answer_filter *answer, uint32_t depth)
{
	struct answer_folders *folders = &answer->folders;
	const struct answer_filter_terms *terms = &answer->terms;
	uint16_t tag = answer->path[depth - 1];

	if (folders->depth > 0 && depth == folders->depth + 1) {
		folder_value(answer, tag);
	} else if (depth == folders->depth) {
		folder_end(answer);
	} else if (depth == 2 && tag == WBXML_FOLDERHIERARCHY_STATUS) {
		folders->is_good = span_equal(answer_value(answer), span_of_string("1"));
	} else if (depth == 2 && folders->changes_are_held) {
		changes_end(answer);
	} else if (depth == 1 && terms->folders != NULL &&
		   (tag == WBXML_FOLDERHIERARCHY_FOLDERS ||
			   (terms->has_all_folders && folders->is_good))) {
		folder_table_has_all(terms->folders, &terms->owner, terms->now_s);
	}
}
