#include "config/take.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/algorithm.h"
#include "config/command.h"
#include "config/file.h"
#include "config/memory.h"
#include "config/oid.h"
#include "config/pki.h"
#include "config/value.h"

enum { WORD_MAX = 1023 };

/* One option under way. */
struct item {
	const struct taking *taking;
	const struct option *option;
	void *base; /* the section's struct */
	int line;
};

static void item_fault(const struct item *item, const char *text)
{
	char words[80];

	option_describe(item->option, words, sizeof(words));
	fault_add(item->taking->faults, item->line, "%s: %s", words, text);
}

static void *item_field(const struct item *item)
{
	return (char *)item->base + item->option->offset;
}

static void store_number(const struct item *item, uint64_t value)
{
	uint32_t small = (uint32_t)value;

	switch (item->option->size) {
	case sizeof(bool): *(bool *)item_field(item) = value != 0; break;
	case sizeof(uint32_t): memcpy(item_field(item), &small, sizeof(small)); break;
	default:
		assert(item->option->size == sizeof(uint64_t)); /* no other numbers in the model */
		memcpy(item_field(item), &value, sizeof(value));
	}
}

static struct config_place item_place(const struct item *item)
{
	return (struct config_place){item->taking->config->path, item->line};
}

static int check_length(const struct item *item, const char *text, struct error *err)
{
	size_t len = strlen(text);

	if (len > item->option->max)
		return error_set(
			err, "longer than %llu characters", (unsigned long long)item->option->max);
	if (len < item->option->min)
		return error_set(err, "it cannot be empty");
	return 0;
}

static int check_text(const struct item *item, const char *text, struct error *err)
{
	if (check_length(item, text, err) == -1)
		return -1;
	if (text[0] == '\0')
		return 0;
	switch (item->option->type) {
	case OPTION_URL_PATH: return value_check_url_path(text, err);
	case OPTION_HOST: return value_check_host(text, err);
	case OPTION_TEMPLATE: return value_check_template(text, err);
	case OPTION_CIPHERS: return pki_check_ciphers(text, err);
	case OPTION_ATTRIBUTE: return value_check_attribute(text, err);
	case OPTION_FILTER: return value_check_filter(text, err);
	case OPTION_BASE_URL: return value_check_base_url(text, err);
	default: return 0;
	}
}

/* A relative path counts from the directory of the configuration. */
static char *resolve(const struct item *item, const char *text)
{
	if (item->option->type != OPTION_PATH || text[0] == '\0')
		return memory_copy(text);
	return file_path(item->taking->dir, text);
}

static int take_text(const struct item *item, const char *text, struct error *err)
{
	char **field = item_field(item);

	if (check_text(item, text, err) == -1)
		return -1;
	free(*field);
	*field = resolve(item, text);
	return 0;
}

static int take_file(const struct item *item, const char *text, struct error *err)
{
	struct config_file *file = item_field(item);

	file->place = item_place(item);
	if (text[0] == '\0' && item->option->min == 0)
		return 0;
	if (text[0] == '\0')
		return error_set(err, "it cannot be empty");
	free(file->path);
	file->path = file_path(item->taking->dir, text);
	return file_seal(file, (size_t)item->option->max, item->option->type == OPTION_SECRET, err);
}

static int take_single(const struct item *item, const char *text, struct error *err)
{
	uint64_t number;

	switch (item->option->type) {
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_TIME:
	case OPTION_SWITCH:
	case OPTION_CHOICE:
		if (option_read_number(item->option, text, &number, err) == -1)
			return -1;
		store_number(item, number);
		return 0;
	case OPTION_FILE:
	case OPTION_SECRET: return take_file(item, text, err);
	default: return take_text(item, text, err);
	}
}

static int append_name(char ***list, size_t *count, const char *text, struct error *err)
{
	char *name = memory_copy(text);

	value_lower(name);
	for (size_t i = 0; i < *count; i++) {
		if (strcmp((*list)[i], name) == 0) {
			free(name);
			return error_set(err, "'%.100s' stands twice", text);
		}
	}
	*list = memory_grow(*list, *count, sizeof(**list));
	(*list)[(*count)++] = name;
	return 0;
}

const char *const config_name_words[CONFIG_NAME_COUNT] = {
	[CONFIG_NAME_PRINCIPAL] = "principal-name",
	[CONFIG_NAME_RFC822] = "rfc822-name",
	[CONFIG_NAME_SMTP_UTF8] = "smtp-utf8-mailbox",
	[CONFIG_NAME_SKI] = "ski",
	[CONFIG_NAME_KEY_SHA1] = "sha1-public-key",
	[CONFIG_NAME_ISSUER_SERIAL] = "issuer-and-serial-number",
	[CONFIG_NAME_ISSUER_SUBJECT] = "issuer-and-subject",
	[CONFIG_NAME_SUBJECT] = "subject",
	[CONFIG_NAME_SID] = "sid",
};

static int take_name_kind(const struct item *item, const char *text, struct error *err)
{
	struct config_mailbox *mailbox = item->base;
	enum config_name_kind kind = 0;
	char words[200] = "";
	size_t len = 0;

	while (kind < CONFIG_NAME_COUNT && strcmp(text, config_name_words[kind]) != 0) {
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s",
			kind == 0 ? "" : ", ", config_name_words[kind]);
		kind++;
	}
	if (kind == CONFIG_NAME_COUNT)
		return error_set(err, "'%.100s' is not one of %s", text, words);
	for (size_t i = 0; i < mailbox->name_count; i++)
		if (mailbox->names[i] == kind)
			return error_set(err, "'%s' stands twice", text);
	mailbox->names = memory_grow(mailbox->names, mailbox->name_count, sizeof(*mailbox->names));
	mailbox->names[mailbox->name_count++] = kind;
	mailbox->names_place = item_place(item);
	return 0;
}

static int take_algorithm(struct config_trust *trust, const char *text, struct error *err)
{
	enum config_algorithm algorithm = algorithm_find(text);

	if (algorithm == ALGORITHM_COUNT)
		return error_set(err,
			"'%.100s' is not one of rsa-1024, rsa-2048, rsa-3072, rsa-4096, "
			"ecdsa-p256, "
			"ecdsa-p384, ecdsa-p521, ed25519, ed448",
			text);
	if ((trust->algorithms >> algorithm & 1) != 0)
		return error_set(err, "'%s' stands twice", text);
	trust->algorithms |= UINT32_C(1) << algorithm;
	return 0;
}

static int take_choice(const struct item *item, const char *text, struct error *err)
{
	uint32_t *mask = item_field(item);
	uint64_t value;

	if (option_read_number(item->option, text, &value, err) == -1)
		return -1;
	if ((*mask >> value & 1) != 0)
		return error_set(err, "'%s' stands twice", text);
	*mask |= UINT32_C(1) << value;
	return 0;
}

static int take_command(struct config_activesync *activesync, const char *text, struct error *err)
{
	unsigned int command = command_find(text);

	if (command == COMMAND_COUNT)
		return error_set(err,
			"'%.100s' is not the name of a command, such as Search, as the "
			"specification writes it",
			text);
	if ((activesync->closed_commands >> command & 1) != 0)
		return error_set(err, "'%s' stands twice", text);
	activesync->closed_commands |= UINT32_C(1) << command;
	return 0;
}

static int take_domain_pair(
	struct config_autodiscover *autodiscover, const char *text, struct error *err)
{
	struct config_domain_pair pair;

	if (value_read_domain_pair(text, &pair, err) == -1)
		return -1;
	for (size_t i = 0; i < autodiscover->redirect_count; i++)
		if (strcmp(autodiscover->redirects[i].from, pair.from) == 0) {
			free(pair.from);
			free(pair.to);
			return error_set(err, "'%.100s': the first domain stands twice", text);
		}
	autodiscover->redirects = memory_grow(autodiscover->redirects, autodiscover->redirect_count,
		sizeof(*autodiscover->redirects));
	autodiscover->redirects[autodiscover->redirect_count++] = pair;
	return 0;
}

static int take_field(struct config_upstream *upstream, const char *text, struct error *err)
{
	struct config_header header;

	if (value_read_field(text, &header, err) == -1)
		return -1;
	upstream->headers =
		memory_grow(upstream->headers, upstream->header_count, sizeof(*upstream->headers));
	upstream->headers[upstream->header_count++] = header;
	return 0;
}

static int take_endpoint(const struct item *item, const char *text, struct error *err)
{
	struct config_upstream *upstream = item->base;
	struct config_endpoint endpoint = {.place = item_place(item)};

	for (size_t i = 0; i < upstream->endpoint_count; i++)
		if (strcmp(upstream->endpoints[i].text, text) == 0)
			return error_set(err, "'%.100s' stands twice", text);
	if (value_read_endpoint(text, &endpoint, err) == -1)
		return -1;
	upstream->endpoints = memory_grow(
		upstream->endpoints, upstream->endpoint_count, sizeof(*upstream->endpoints));
	upstream->endpoints[upstream->endpoint_count++] = endpoint;
	return 0;
}

static int take_ldap_url(const struct item *item, const char *text, struct error *err)
{
	struct config_directory *directory = item->base;
	struct config_endpoint url = {.place = item_place(item)};

	for (size_t i = 0; i < directory->url_count; i++)
		if (strcmp(directory->urls[i].text, text) == 0)
			return error_set(err, "'%.100s' stands twice", text);
	if (value_read_ldap_url(text, &url, err) == -1)
		return -1;
	directory->urls =
		memory_grow(directory->urls, directory->url_count, sizeof(*directory->urls));
	directory->urls[directory->url_count++] = url;
	return 0;
}

static int take_domain(struct config_mailbox *mailbox, const char *text, struct error *err)
{
	char *domain = value_read_domain(text, err);
	int result;

	if (domain == NULL)
		return -1;
	result = append_name(&mailbox->domains, &mailbox->domain_count, domain, err);
	free(domain);
	return result;
}

static int take_address(const struct item *item, const char *text, struct error *err)
{
	struct config_listener *listener = item->base;
	size_t before = listener->address_count;

	if (value_read_address(text, &listener->addresses, &listener->address_count, err) == -1)
		return -1;
	for (size_t i = before; i < listener->address_count; i++)
		listener->addresses[i].place = item_place(item);
	return 0;
}

static int take_local_address(const struct item *item, const char *text, struct error *err)
{
	struct config_upstream *upstream = item->base;
	struct config_address address;

	if (value_read_local_address(text, &address, err) == -1)
		return -1;
	address.place = item_place(item);
	upstream->sources =
		memory_grow(upstream->sources, upstream->source_count, sizeof(*upstream->sources));
	upstream->sources[upstream->source_count++] = address;
	return 0;
}

/* Case and order are kept: easproxyctl policy list shows the words. */
static int take_word(const struct item *item, const char *text, struct error *err)
{
	struct config_words *words = item_field(item);

	if (text[0] == '\0' || strcmp(text, "!") == 0)
		return error_set(err, "an entry cannot be empty");
	if (strlen(text) > WORD_MAX)
		return error_set(err, "'%.40s…' is longer than %d characters", text, WORD_MAX);
	for (size_t i = 0; i < words->count; i++)
		if (strcmp(words->list[i].text, text) == 0)
			return error_set(err, "'%.100s' stands twice", text);
	words->list = memory_grow(words->list, words->count, sizeof(*words->list));
	words->list[words->count++] = (struct config_word){memory_copy(text), item->line};
	return 0;
}

static int take_entry(const struct item *item, const char *text, struct error *err)
{
	struct config_certificate *certificate = item->base;
	struct config_trust *trust = item->base;
	struct config_directory *directory = item->base;
	struct config *config = item->base;

	switch (item->option->type) {
	case OPTION_ADDRESSES: return take_address(item, text, err);
	case OPTION_LOCAL_ADDRESSES: return take_local_address(item, text, err);
	case OPTION_ENDPOINTS: return take_endpoint(item, text, err);
	case OPTION_NAME_KINDS: return take_name_kind(item, text, err);
	case OPTION_ALGORITHMS: return take_algorithm(item->base, text, err);
	case OPTION_CHOICES: return take_choice(item, text, err);
	case OPTION_POLICIES:
		if (oid_check(text, err) == -1)
			return -1;
		return append_name(&trust->policies, &trust->policy_count, text, err);
	case OPTION_FIELDS: return take_field(item->base, text, err);
	case OPTION_FIELD_NAMES:
		if (value_check_field_name(text, err) == -1)
			return -1;
		return append_name(
			&config->identity_headers, &config->identity_header_count, text, err);
	case OPTION_DOMAINS: return take_domain(item->base, text, err);
	case OPTION_LDAP_URLS: return take_ldap_url(item, text, err);
	case OPTION_ATTRIBUTES:
		if (value_check_attribute(text, err) == -1)
			return -1;
		return append_name(&directory->binding_attributes,
			&directory->binding_attribute_count, text, err);
	case OPTION_COMMANDS: return take_command(item->base, text, err);
	case OPTION_DOMAIN_PAIRS: return take_domain_pair(item->base, text, err);
	case OPTION_WORDS: return take_word(item, text, err);
	case OPTION_HOST_NAMES:
		if (value_check_host_name(text, true, err) == -1)
			return -1;
		return append_name(
			&certificate->server_names, &certificate->server_name_count, text, err);
	default: return error_set(err, "not a list");
	}
}

static int take_value(const struct item *item, const char *text, struct error *err)
{
	return option_is_list(item->option) ? take_entry(item, text, err)
					    : take_single(item, text, err);
}

/* {"a", "b"} of the table: what stands in quotes. */
static void take_default_list(const struct item *item)
{
	const char *p = item->option->fallback;

	while ((p = strchr(p, '"')) != NULL) {
		const char *end = strchr(++p, '"');
		char *entry = memory_copy_part(p, (size_t)(end - p));
		struct error err;

		if (take_value(item, entry, &err) == -1)
			abort(); /* a default of the table is wrong */
		free(entry);
		p = end + 1;
	}
}

static void take_default(const struct item *item)
{
	struct error err;
	char words[80];

	if (item->option->fallback == NULL) {
		option_describe(item->option, words, sizeof(words));
		fault_add(item->taking->faults, item->line, "%s is missing: %s", words,
			item->option->help);
	} else if (option_is_list(item->option)) {
		take_default_list(item);
	} else if (take_value(item, item->option->fallback, &err) == -1) {
		item_fault(item, err.text);
	}
}

/* Whether the option is among those that config->grounds is about. The store is compared by what is in
 * it. */
static bool is_grounds(const struct option *option)
{
	static const char *const sections[] = {"trust", "mailbox", "directory"};
	const char *section = option_sections[option->section].name;

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (strcmp(section, sections[i]) == 0)
			return strcmp(option->name, "store") != 0;
	return false;
}

/* FNV-1a. Each text with its NUL, so that {"ab"} and {"a", "b"} are not the same. */
static void add_to_grounds(const struct item *item, const char *text)
{
	uint64_t sum = item->taking->config->grounds;
	const char *p = text;

	do
		sum = (sum ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	while (*p++ != '\0');
	item->taking->config->grounds = sum;
}

/* A wrong value is reported; its default goes on, so that nothing else is found wrong because of it. */
static void take_written(const struct item *item, const char *text)
{
	struct error err;

	if (take_value(item, text, &err) == 0)
		return;
	item_fault(item, err.text);
	if (!option_is_list(item->option) && item->option->fallback != NULL)
		(void)take_value(item, item->option->fallback, &err);
}

static void check_entries(const struct item *item, size_t count)
{
	if (count > item->option->max) {
		char text[80];

		snprintf(text, sizeof(text), "more than %llu entries",
			(unsigned long long)item->option->max);
		item_fault(item, text);
	}
}

static void take_option(
	const struct taking *taking, const struct option *option, cfg_t *cfg, void *base, int line)
{
	struct item item = {taking, option, base, line};
	cfg_opt_t *opt = cfg_getopt(cfg, option->name);
	size_t count = cfg_opt_size(opt);
	bool is_set = (opt->flags & CFGF_MODIFIED) != 0;

	if (is_grounds(option))
		add_to_grounds(&item, option->name);
	if (count == 0 && (!is_set || option->min > 0)) {
		take_default(&item);
		return;
	}
	for (size_t i = 0; i < count && (i < option->max || !option_is_list(option)); i++) {
		const struct syntax_value *value = syntax_value(cfg, option, i);

		item.line = value->line;
		if (is_grounds(option))
			add_to_grounds(&item, value->text);
		take_written(&item, value->text);
	}
	if (option_is_list(option))
		check_entries(&item, count);
}

/* So that a field is never NULL, whatever is found wrong, and no descriptor is taken for one. */
static void clear_option(const struct option *option, void *base)
{
	void *field = (char *)base + option->offset;

	switch (option->type) {
	case OPTION_FILE:
	case OPTION_SECRET:
		*(struct config_file *)field =
			(struct config_file){.path = memory_copy(""), .fd = -1};
		break;
	case OPTION_TEXT:
	case OPTION_PATH:
	case OPTION_URL_PATH:
	case OPTION_HOST:
	case OPTION_CIPHERS:
	case OPTION_ATTRIBUTE:
	case OPTION_FILTER:
	case OPTION_BASE_URL:
	case OPTION_TEMPLATE: *(char **)field = memory_copy(""); break;
	default: break;
	}
}

void take_section(
	const struct taking *taking, enum option_section section, cfg_t *cfg, void *base, int line)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];

		if (option->section != section)
			continue;
		clear_option(option, base);
		take_option(taking, option, cfg, base, line);
	}
}
