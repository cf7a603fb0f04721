#include "proxy/policy_words.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/eas_body.h"
#include "proxy/eas_command.h"
#include "proxy/policy.h"

struct word {
	const char *text;
	uint32_t bits;
};

static const struct word class_words[] = {
	{"email", UINT32_C(1) << EAS_CLASS_EMAIL},
	{"calendar", UINT32_C(1) << EAS_CLASS_CALENDAR},
	{"contacts", UINT32_C(1) << EAS_CLASS_CONTACTS},
	{"tasks", UINT32_C(1) << EAS_CLASS_TASKS},
	{"notes", UINT32_C(1) << EAS_CLASS_NOTES},
	{"sms", UINT32_C(1) << EAS_CLASS_SMS},
	{"other", UINT32_C(1) << EAS_CLASS_OTHER},
	{NULL, 0},
};

static const struct word act_words[] = {
	{"send", POLICY_ACT_SEND},
	{"add", POLICY_ACT_ADD},
	{"change", POLICY_ACT_CHANGE},
	{"delete", POLICY_ACT_DELETE},
	{"move", POLICY_ACT_MOVE},
	{"empty", POLICY_ACT_EMPTY},
	{"folder", POLICY_ACT_FOLDER},
	{"respond", POLICY_ACT_RESPOND},
	{"set", POLICY_ACT_SET},
	{"attachment", POLICY_ACT_ATTACHMENT},
	{"search-mailbox", POLICY_ACT_SEARCH_MAILBOX},
	{"search-gal", POLICY_ACT_SEARCH_GAL},
	{"search-documents", POLICY_ACT_SEARCH_DOCUMENTS},
	{NULL, 0},
};

/* What a command does whatever its body says. */
const uint16_t policy_acts_of_command[POLICY_COMMAND_COUNT] = {
	[EAS_SEND_MAIL] = POLICY_ACT_SEND,
	[EAS_SMART_FORWARD] = POLICY_ACT_SEND,
	[EAS_SMART_REPLY] = POLICY_ACT_SEND,
	[EAS_GET_ATTACHMENT] = POLICY_ACT_ATTACHMENT,
	[EAS_CREATE_COLLECTION] = POLICY_ACT_FOLDER,
	[EAS_DELETE_COLLECTION] = POLICY_ACT_FOLDER,
	[EAS_MOVE_COLLECTION] = POLICY_ACT_FOLDER,
	[EAS_FOLDER_CREATE] = POLICY_ACT_FOLDER,
	[EAS_FOLDER_DELETE] = POLICY_ACT_FOLDER,
	[EAS_FOLDER_UPDATE] = POLICY_ACT_FOLDER,
	[EAS_MOVE_ITEMS] = POLICY_ACT_MOVE,
	[EAS_MEETING_RESPONSE] = POLICY_ACT_RESPOND,
};

static const struct {
	const char *text;
	unsigned int version;
} versions[POLICY_VERSION_COUNT] = {
	{"", 0},
	{"2.5", 25},
	{"12.0", 120},
	{"12.1", 121},
	{"14.0", 140},
	{"14.1", 141},
	{"16.0", 160},
	{"16.1", 161},
};

unsigned int policy_version_index(unsigned int version)
{
	switch (version) {
	case 25: return 1;
	case 120: return 2;
	case 121: return 3;
	case 140: return 4;
	case 141: return 5;
	case 160: return 6;
	case 161: return 7;
	default: return 0;
	}
}

#define COMMAND(name) (UINT32_C(1) << (name))

uint32_t policy_commands_doing(uint32_t acts)
{
	static const struct {
		enum eas_command command;
		uint32_t acts;
	} by_body[] = {
		{EAS_SYNC, POLICY_ACT_SEND | POLICY_ACT_ADD | POLICY_ACT_CHANGE |
				   POLICY_ACT_DELETE | POLICY_ACT_ATTACHMENT},
		{EAS_ITEM_OPERATIONS, POLICY_ACT_MOVE | POLICY_ACT_EMPTY | POLICY_ACT_ATTACHMENT |
					      POLICY_ACT_SEARCH_MAILBOX |
					      POLICY_ACT_SEARCH_DOCUMENTS},
		{EAS_SEARCH, POLICY_ACT_SEARCH_MAILBOX | POLICY_ACT_SEARCH_GAL |
				     POLICY_ACT_SEARCH_DOCUMENTS},
		{EAS_FIND, POLICY_ACT_SEARCH_MAILBOX | POLICY_ACT_SEARCH_GAL |
				   POLICY_ACT_SEARCH_DOCUMENTS},
		{EAS_SETTINGS, POLICY_ACT_SET},
	};
	uint32_t commands = 0;

	for (unsigned int i = 0; i < POLICY_COMMAND_COUNT; i++)
		if ((policy_acts_of_command[i] & acts) != 0)
			commands |= COMMAND(i);
	for (size_t i = 0; i < sizeof(by_body) / sizeof(by_body[0]); i++)
		if ((by_body[i].acts & acts) != 0)
			commands |= COMMAND(by_body[i].command);
	return commands;
}

uint32_t policy_commands_with_classes(void)
{
	return COMMAND(EAS_SYNC) | COMMAND(EAS_PING) | COMMAND(EAS_GET_ITEM_ESTIMATE) |
	       COMMAND(EAS_ITEM_OPERATIONS);
}

uint32_t policy_commands_with_mail(void)
{
	return COMMAND(EAS_SYNC) | COMMAND(EAS_SEND_MAIL) | COMMAND(EAS_SMART_REPLY) |
	       COMMAND(EAS_SMART_FORWARD);
}

const char *policy_version_text(unsigned int version)
{
	return versions[policy_version_index(version)].text;
}

unsigned int policy_version_read(const char *text)
{
	for (unsigned int i = 1; i < POLICY_VERSION_COUNT; i++)
		if (strcmp(versions[i].text, text) == 0)
			return versions[i].version;
	return 0;
}

int policy_version_bits(const char *word, uint32_t *bits, struct error *err)
{
	bool is_less = word[0] == '<', is_greater = word[0] == '>';
	bool is_or_equal = (is_less || is_greater) && word[1] == '=';
	unsigned int version = policy_version_read(word + (is_less || is_greater) + is_or_equal);

	if (version == 0)
		return error_set(err,
			"'%.60s' is not a protocol version; there are 2.5, 12.0, 12.1, 14.0, 14.1, "
			"16.0 and 16.1, with <, <=, > or >= in front if need be",
			word);
	*bits = 0;
	for (unsigned int i = 1; i < POLICY_VERSION_COUNT; i++) {
		unsigned int other = versions[i].version;

		if ((is_less && other < version) || (is_greater && other > version) ||
			(other == version && (is_or_equal || !(is_less || is_greater))))
			*bits |= UINT32_C(1) << i;
	}
	return 0;
}

int policy_command_bits(const char *word, uint32_t *bits, struct error *err)
{
	if (strcasecmp(word, "OPTIONS") == 0) {
		*bits = UINT32_C(1) << POLICY_OPTIONS;
		return 0;
	}
	if (strcasecmp(word, "Autodiscover") == 0) {
		*bits = UINT32_C(1) << POLICY_AUTODISCOVER;
		return 0;
	}
	for (unsigned int i = 0; i < EAS_COMMAND_COUNT; i++) {
		if (strcasecmp(word, eas_command_name((enum eas_command)i)) == 0) {
			*bits = UINT32_C(1) << i;
			return 0;
		}
	}
	return error_set(err,
		"'%.60s' is not a command; write one of MS-ASHTTP's, such as Sync, FolderSync or "
		"SendMail, or OPTIONS or Autodiscover",
		word);
}

static int read_word(const struct word *words, const char *text, uint32_t *bits, struct error *err)
{
	char list[200] = "";
	size_t len = 0;

	for (const struct word *w = words; w->text != NULL; w++) {
		if (strcasecmp(w->text, text) == 0) {
			*bits = w->bits;
			return 0;
		}
		len += (size_t)snprintf(
			list + len, sizeof(list) - len, "%s%s", w == words ? "" : ", ", w->text);
	}
	return error_set(err, "'%.60s' is not one of %s", text, list);
}

int policy_class_bits(const char *word, uint32_t *bits, struct error *err)
{
	return read_word(class_words, word, bits, err);
}

int policy_act_bits(const char *word, uint32_t *bits, struct error *err)
{
	return read_word(act_words, word, bits, err);
}

int policy_words_mask(const struct config_words *words, policy_bits_reader *read, uint32_t all,
	uint32_t *mask, const struct config_word **wrong, struct error *err)
{
	uint32_t named = 0, excluded = 0;
	bool names_any = false;

	for (size_t i = 0; i < words->count; i++) {
		const char *text = words->list[i].text;
		bool is_not = text[0] == '!';
		uint32_t bits;

		if (read(text + is_not, &bits, err) == -1) {
			*wrong = &words->list[i];
			return -1;
		}
		if (is_not)
			excluded |= bits;
		else
			named |= bits;
		names_any |= !is_not;
	}
	*mask = (names_any ? named : all) & ~excluded;
	return 0;
}

static void write_words(const struct word *words, uint32_t bits, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (const struct word *w = words; w->text != NULL; w++)
		if ((w->bits & bits) != 0 && len < size)
			len += (size_t)snprintf(
				text + len, size - len, "%s%s", len == 0 ? "" : " ", w->text);
}

void policy_class_words(uint32_t classes, char *text, size_t size)
{
	write_words(class_words, classes, text, size);
}

void policy_act_words(uint32_t acts, char *text, size_t size)
{
	write_words(act_words, acts, text, size);
}
