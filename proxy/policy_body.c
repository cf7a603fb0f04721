#include "proxy/policy_body.h"

#include "wbxml/codepages.h"

bool policy_body_repeats(const struct eas_body *body)
{
	if (body->root != WBXML_AIRSYNC_SYNC && body->root != WBXML_PING_PING)
		return false;
	return body->is_partial || body->collection_count == 0;
}

/* What the phone says of a folder, and what FolderSync said: where they differ, both count. The phone's word alone
 * is not enough: it could say of its mail that it is a calendar. */
static uint8_t classes_of(const struct eas_body *body, policy_class_of *class_of, void *context)
{
	uint32_t classes = body->classes | body->unnamed_classes;

	if (policy_body_repeats(body))
		classes |= 1U << EAS_CLASS_UNSAID;
	for (uint32_t i = 0; i < body->collection_count && i < EAS_COLLECTIONS_NAMED; i++) {
		struct span id = span_of_string(eas_body_collection_id(body, i));
		unsigned int class = class_of(context, id);

		classes |= 1U << class;
	}
	return (uint8_t)classes;
}

static uint32_t acts_in_items(enum eas_command command, const struct eas_body *body)
{
	uint32_t acts = 0;

	switch (command) {
	case EAS_SYNC:
		acts |= body->adds > 0 ? POLICY_ACT_ADD : 0;
		acts |= body->changes > 0 ? POLICY_ACT_CHANGE : 0;
		acts |= body->deletes > 0 ? POLICY_ACT_DELETE : 0;
		break;
	case EAS_ITEM_OPERATIONS:
		acts |= body->changes > 0 ? POLICY_ACT_MOVE : 0;
		acts |= body->empties_folder ? POLICY_ACT_EMPTY : 0;
		acts |= body->file_reference_count > 0 ? POLICY_ACT_ATTACHMENT : 0;
		break;
	default: break;
	}
	return acts;
}

static uint32_t acts_of(enum eas_command command, const struct eas_body *body)
{
	static const uint8_t set = EAS_SETTING_OOF_SET | EAS_SETTING_DEVICE_PASSWORD;
	/* Of a store that MS-ASCMD does not know nobody knows where it leads. */
	static const uint8_t documents = EAS_STORE_DOCUMENT_LIBRARY | EAS_STORE_OTHER;
	uint32_t acts = acts_in_items(command, body);

	acts |= body->sends_mail ? POLICY_ACT_SEND : 0;
	acts |= (body->settings & set) != 0 ? POLICY_ACT_SET : 0;
	acts |= (body->stores & EAS_STORE_MAILBOX) != 0 ? POLICY_ACT_SEARCH_MAILBOX : 0;
	acts |= (body->stores & EAS_STORE_GAL) != 0 ? POLICY_ACT_SEARCH_GAL : 0;
	acts |= (body->stores & documents) != 0 ? POLICY_ACT_SEARCH_DOCUMENTS : 0;
	return acts;
}

static void take_files(struct policy_facts *facts, const struct eas_body *body)
{
	size_t count = body->attachment_count;

	facts->attachments_are_cut = count > EAS_ATTACHMENTS_NAMED || body->texts_are_cut;
	if (count > EAS_ATTACHMENTS_NAMED)
		count = EAS_ATTACHMENTS_NAMED;
	for (size_t i = 0; i < count; i++) {
		const struct eas_attachment *file = &body->attachments[i];

		facts->attachments[i].name = span_of_string(eas_body_text(body, file->name));
		facts->attachments[i].type = span_of_string(eas_body_text(body, file->type));
	}
	facts->attachment_count = count;
	facts->attachment_largest = body->largest_attachment;
}

static void take_recipients(struct policy_facts *facts, const struct eas_body *body)
{
	size_t count = body->recipient_count;

	facts->recipients_are_cut = count > EAS_RECIPIENTS_NAMED || body->texts_are_cut;
	if (count > EAS_RECIPIENTS_NAMED)
		count = EAS_RECIPIENTS_NAMED;
	for (size_t i = 0; i < count; i++)
		facts->recipients[i] = span_of_string(eas_body_recipient(body, i));
	facts->recipient_count = count;
}

void policy_take_body(struct policy_facts *facts, const struct eas_body *body,
	policy_class_of *class_of, void *context)
{
	facts->classes = classes_of(body, class_of, context);
	facts->acts = acts_of(facts->command, body);
	take_files(facts, body);
	take_recipients(facts, body);
}
