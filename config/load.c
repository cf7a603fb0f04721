/* config_load(): the order in which a configuration is read, and what makes it whole. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/check.h"
#include "config/fault.h"
#include "config/memory.h"
#include "config/model.h"
#include "config/syntax.h"
#include "config/take.h"
#include "config/text.h"
#include "config/value.h"

struct loading {
	struct taking taking;
	struct text text;
	cfg_t *tree;
	size_t certificate_count; /* seen so far, for the lines of the next */
};

static int section_line(const struct loading *loading, enum option_section section, size_t nth)
{
	return text_section_line(&loading->text, section, nth);
}

static struct config_place place_of(const struct loading *loading, enum option_section section)
{
	return (struct config_place){
		loading->taking.config->path, section_line(loading, section, 0)};
}

static char *take_title(const struct loading *loading, cfg_t *section, int line)
{
	struct error err;

	if (value_check_title(cfg_title(section), &err) == -1)
		fault_add(loading->taking.faults, line, "%s: %s", cfg_name(section), err.text);
	return memory_copy(cfg_title(section));
}

static void load_certificate(
	struct loading *loading, cfg_t *section, struct config_certificate *certificate)
{
	int line = section_line(loading, SECTION_CERTIFICATE, loading->certificate_count++);

	certificate->place = (struct config_place){loading->taking.config->path, line};
	certificate->name = take_title(loading, section, line);
	take_section(&loading->taking, SECTION_CERTIFICATE, section, certificate, line);
}

static void load_listener(
	struct loading *loading, cfg_t *section, struct config_listener *listener, size_t nth)
{
	int line = section_line(loading, SECTION_LISTENER, nth);

	listener->place = (struct config_place){loading->taking.config->path, line};
	listener->name = take_title(loading, section, line);
	take_section(&loading->taking, SECTION_LISTENER, section, listener, line);
	listener->certificate_count = cfg_size(section, "certificate");
	listener->certificates =
		memory_get(listener->certificate_count, sizeof(*listener->certificates));
	for (unsigned int i = 0; i < listener->certificate_count; i++)
		load_certificate(loading, cfg_getnsec(section, "certificate", i),
			&listener->certificates[i]);
}

static void load_listeners(struct loading *loading)
{
	struct config *config = loading->taking.config;

	config->listener_count = cfg_size(loading->tree, "listener");
	config->listeners = memory_get(config->listener_count, sizeof(*config->listeners));
	for (unsigned int i = 0; i < config->listener_count; i++)
		load_listener(loading, cfg_getnsec(loading->tree, "listener", i),
			&config->listeners[i], i);
	if (config->listener_count == 0)
		fault_add(loading->taking.faults, loading->text.line_count,
			"there is no listener; add one with an address and a certificate");
}

static void load_upstream(struct loading *loading)
{
	struct config_upstream *upstream = &loading->taking.config->upstream;
	const struct option *headers = option_find(SECTION_UPSTREAM, "headers", 7);
	const struct syntax_value *first;
	size_t count = cfg_size(loading->tree, "upstream");
	int line = section_line(loading, SECTION_UPSTREAM, 0);
	cfg_t *section;

	if (count == 0) {
		fault_add(loading->taking.faults, line,
			"there is no upstream; add one with the endpoints of the mail server");
		return;
	}
	section = cfg_getnsec(loading->tree, "upstream", 0);
	upstream->place = (struct config_place){loading->taking.config->path, line};
	upstream->name = take_title(loading, section, line);
	take_section(&loading->taking, SECTION_UPSTREAM, section, upstream, line);
	first = syntax_value(section, headers, 0);
	upstream->headers_place = (struct config_place){
		loading->taking.config->path, first == NULL ? line : first->line};
	for (size_t i = 1; i < count; i++)
		fault_add(loading->taking.faults, section_line(loading, SECTION_UPSTREAM, i),
			"there can be one upstream only; it may have several endpoints");
}

static void load_kerberos(struct loading *loading)
{
	struct config *config = loading->taking.config;

	config->kerberos_count = cfg_size(loading->tree, "kerberos");
	config->kerberos = memory_get(config->kerberos_count, sizeof(*config->kerberos));
	for (unsigned int i = 0; i < config->kerberos_count; i++) {
		struct config_kerberos *kerberos = &config->kerberos[i];
		cfg_t *section = cfg_getnsec(loading->tree, "kerberos", i);
		int line = section_line(loading, SECTION_KERBEROS, i);

		kerberos->keytab.fd = -1;
		kerberos->place = (struct config_place){config->path, line};
		kerberos->realm = take_title(loading, section, line);
		take_section(&loading->taking, SECTION_KERBEROS, section, kerberos, line);
	}
}

static void load_single(struct loading *loading, enum option_section section, void *base)
{
	take_section(&loading->taking, section,
		cfg_getsec(loading->tree, option_sections[section].name), base,
		section_line(loading, section, 0));
}

static void load_rule(struct loading *loading, cfg_t *section, struct config_rule *rule, size_t nth)
{
	int line = section_line(loading, SECTION_RULE, nth);

	rule->place = (struct config_place){loading->taking.config->path, line};
	rule->name = take_title(loading, section, line);
	take_section(&loading->taking, SECTION_RULE, section, rule, line);
}

/* Of all rules together, so that whom a rule means can be told by a bit. */
static void collect_groups(struct loading *loading, const struct config_words *words)
{
	struct config_policy *policy = &loading->taking.config->policy;

	for (size_t i = 0; i < words->count; i++) {
		const char *text = words->list[i].text;
		const char *group = text + (text[0] == '!');
		size_t known = 0;

		while (known < policy->group_count && strcasecmp(policy->groups[known], group) != 0)
			known++;
		if (known < policy->group_count)
			continue;
		if (known == CONFIG_GROUPS_MAX) {
			fault_add(loading->taking.faults, words->list[i].line,
				"option 'group' in rule: more than %d groups in all rules",
				CONFIG_GROUPS_MAX);
			return;
		}
		policy->groups =
			memory_grow(policy->groups, policy->group_count, sizeof(*policy->groups));
		policy->groups[policy->group_count] = memory_copy(group);
		value_lower(policy->groups[policy->group_count++]);
	}
}

static void load_policy(struct loading *loading)
{
	struct config_policy *policy = &loading->taking.config->policy;
	cfg_t *section = cfg_getsec(loading->tree, option_sections[SECTION_POLICY].name);

	load_single(loading, SECTION_POLICY, policy);
	policy->rule_count = cfg_size(section, "rule");
	policy->rules = memory_get(policy->rule_count, sizeof(*policy->rules));
	for (unsigned int i = 0; i < policy->rule_count; i++) {
		load_rule(loading, cfg_getnsec(section, "rule", i), &policy->rules[i], i);
		collect_groups(loading, &policy->rules[i].group);
	}
}

static int option_line(const struct loading *loading, const char *name)
{
	const struct option *option = option_find(SECTION_ROOT, name, strlen(name));
	const struct syntax_value *value = syntax_value(loading->tree, option, 0);

	return value == NULL ? 1 : value->line;
}

static void load_model(struct loading *loading)
{
	struct config *config = loading->taking.config;

	take_section(&loading->taking, SECTION_ROOT, loading->tree, config, 1);
	load_single(loading, SECTION_LOG, &config->log);
	load_single(loading, SECTION_LIMITS, &config->limits);
	load_single(loading, SECTION_TRUST, &config->trust);
	load_single(loading, SECTION_REVOCATION, &config->revocation);
	load_single(loading, SECTION_MAILBOX, &config->mailbox);
	load_single(loading, SECTION_DIRECTORY, &config->directory);
	config->directory.place = place_of(loading, SECTION_DIRECTORY);
	load_single(loading, SECTION_DEVICES, &config->devices);
	load_single(loading, SECTION_ACTIVESYNC, &config->activesync);
	config->activesync.place = place_of(loading, SECTION_ACTIVESYNC);
	load_single(loading, SECTION_AUTODISCOVER, &config->autodiscover);
	load_policy(loading);
	load_listeners(loading);
	load_upstream(loading);
	load_kerberos(loading);
	load_single(loading, SECTION_MINTED, &config->minted);
	load_single(loading, SECTION_BEARER, &config->bearer);
	load_single(loading, SECTION_ASSERTION, &config->assertion);
	config->minted.place = place_of(loading, SECTION_MINTED);
	config->bearer.place = place_of(loading, SECTION_BEARER);
	config->assertion.place = place_of(loading, SECTION_ASSERTION);
}

static void add_identity_header(struct config *config, const char *name)
{
	for (size_t i = 0; i < config->identity_header_count; i++)
		if (strcasecmp(config->identity_headers[i], name) == 0)
			return;
	config->identity_headers = memory_grow(config->identity_headers,
		config->identity_header_count, sizeof(*config->identity_headers));
	config->identity_headers[config->identity_header_count] = memory_copy(name);
	value_lower(config->identity_headers[config->identity_header_count++]);
}

/* What is not written but follows. */
static void complete_model(struct config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->workers == 0)
		config->workers = cores < 1 ? 1 : cores > 128 ? 128 : (uint32_t)cores;
	config->directory.group_count = config->policy.group_count;
	config->directory.groups = config->policy.groups;
	add_identity_header(config, "client-cert");
	add_identity_header(config, "client-cert-chain");
	for (size_t i = 0; i < config->upstream.header_count; i++)
		add_identity_header(config, config->upstream.headers[i].name);
	if (config->assertion.header[0] != '\0')
		add_identity_header(config, config->assertion.header);
}

struct store_fault_context {
	struct faults *faults;
	int line;
};

static void on_store_fault(void *context, const char *text)
{
	struct store_fault_context *store = context;

	fault_add_foreign(store->faults, store->line, text);
}

static void check_store(const struct loading *loading, config_store_check *store_check)
{
	const struct config_file *store = &loading->taking.config->trust.store;
	struct store_fault_context context = {loading->taking.faults, store->place.line};

	if (store_check == NULL || store->fd == -1)
		return;
	if (store_check(store, on_store_fault, &context) == -1)
		loading->taking.faults->has_error = true;
}

/* Directory of the configuration, absolute: children of the supervisor may stand elsewhere. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL
			    ? memory_copy(".")
			    : memory_copy_part(path, slash == path ? 1 : (size_t)(slash - path));
	char *absolute = realpath(dir, NULL);

	if (absolute == NULL)
		return dir;
	free(dir);
	return absolute;
}

/* A broken grammar makes guesses of all that was found before; only the break is reported. */
static cfg_t *parse(struct text *text, struct faults *faults)
{
	struct faults broken;
	cfg_t *tree;

	if (text_strip_unknown(text, faults) == -1)
		return NULL;
	faults_begin(&broken, faults->file);
	tree = syntax_parse(text, &broken);
	if (tree == NULL) {
		faults_clear(faults);
		*faults = broken;
	}
	return tree;
}

static void load(struct loading *loading, config_store_check *store_check)
{
	struct config *config = loading->taking.config;
	struct check check = {.config = config, .faults = loading->taking.faults};

	if (text_read(&loading->text, config->path, check.faults) == -1 ||
		text_clean(&loading->text, check.faults) == -1)
		return;
	loading->tree = parse(&loading->text, check.faults);
	if (loading->tree == NULL)
		return;
	load_model(loading);
	check.user_line = option_line(loading, "user");
	check.group_line = option_line(loading, "group");
	check_config(&check);
	check_store(loading, store_check);
	complete_model(config);
}

static struct config *make_config(const char *path)
{
	struct config *config = memory_get(1, sizeof(*config));

	config->path = memory_copy(path);
	config->trust.store.fd = -1;
	config->upstream.ca.fd = -1;
	config->upstream.basic_password.fd = -1;
	config->devices.quarantine_text.fd = -1;
	config->directory.ca.fd = -1;
	config->directory.bind_password.fd = -1;
	config->minted.issuer.fd = -1;
	config->minted.key.fd = -1;
	config->minted.pin.fd = -1;
	config->bearer.ca.fd = -1;
	config->bearer.client_secret.fd = -1;
	config->bearer.key.fd = -1;
	config->bearer.certificate.fd = -1;
	config->assertion.key.fd = -1;
	return config;
}

struct config *config_load(const char *path, config_store_check *store_check, config_report *report,
	void *report_context)
{
	struct config *config = make_config(path);
	char *dir = directory_of(path);
	struct faults faults;
	struct loading loading = {.taking = {config, &faults, dir}};

	faults_begin(&faults, config->path);
	load(&loading, store_check);
	if (loading.tree != NULL)
		cfg_free(loading.tree);
	text_free(&loading.text);
	free(dir);
	if (faults_report(&faults, report, report_context) == -1) {
		config_free(config);
		return NULL;
	}
	return config;
}
