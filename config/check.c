#include "config/check.h"

#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/command.h"
#include "config/file.h"
#include "config/memory.h"
#include "config/pki.h"
#include "config/value.h"

static void check_user(const struct check *check)
{
	struct config *config = check->config;
	int line = check->user_line;

	if (geteuid() != 0) {
		config->user[0] = '\0';
		config->group[0] = '\0';
		return;
	}
	if (config->user[0] == '\0')
		fault_warn(check->faults, line, "option 'user' is empty: everything runs as root");
	else if (getpwnam(config->user) == NULL)
		fault_add(check->faults, line,
			"option 'user': there is no user '%s'; make it (useradd --system %s), or "
			"name another",
			config->user, config->user);
	if (config->group[0] != '\0' && getgrnam(config->group) == NULL)
		fault_add(check->faults, check->group_line,
			"option 'group': there is no group '%s'", config->group);
}

static const struct config_address *find_address(
	const struct config *config, const struct config_address *wanted)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		for (size_t j = 0; j < listener->address_count; j++) {
			const struct config_address *address = &listener->addresses[j];

			if (address == wanted)
				return NULL;
			if (address->addr_len == wanted->addr_len &&
				memcmp(&address->addr, &wanted->addr, wanted->addr_len) == 0)
				return address;
		}
	}
	return NULL;
}

static void check_addresses(const struct check *check, const struct config_listener *listener)
{
	const struct config_address *last = NULL;

	for (size_t i = 0; i < listener->address_count; i++) {
		const struct config_address *address = &listener->addresses[i];
		const struct config_address *other = find_address(check->config, address);

		/* One text can mean several addresses; one fault is enough. */
		if (other == NULL || (last != NULL && strcmp(last->text, address->text) == 0 &&
					     last->place.line == address->place.line))
			continue;
		fault_add(check->faults, address->place.line,
			"option 'address' in listener: '%s' is listened on already, line %d",
			address->text, other->place.line);
		last = address;
	}
}

/* The first server name that both have; "" where both are the default; NULL for none. */
static const char *common_name(
	const struct config_certificate *a, const struct config_certificate *b)
{
	if (a->server_name_count == 0 && b->server_name_count == 0)
		return "";
	for (size_t i = 0; i < a->server_name_count; i++)
		for (size_t j = 0; j < b->server_name_count; j++)
			if (strcmp(a->server_names[i], b->server_names[j]) == 0)
				return a->server_names[i];
	return NULL;
}

/* Of two certificates with the same kind of key for the same name, one would never be used. */
static void check_certificates(const struct check *check, const struct config_listener *listener)
{
	const struct config_certificate *list = listener->certificates;
	int *kinds = memory_get(listener->certificate_count, sizeof(*kinds));

	for (size_t i = 0; i < listener->certificate_count; i++) {
		kinds[i] = pki_check_certificate(&list[i], check->faults);
		for (size_t j = 0; j < i && kinds[i] != 0; j++) {
			const char *name = common_name(&list[j], &list[i]);

			if (name != NULL && kinds[i] == kinds[j])
				fault_add(check->faults, list[i].place.line,
					"certificate '%s' is for the same %s%s and kind of key as "
					"'%s'",
					list[i].name, name[0] == '\0' ? "names (all)" : "name ",
					name, list[j].name);
		}
	}
	free(kinds);
}

static void check_listeners(const struct check *check)
{
	for (size_t i = 0; i < check->config->listener_count; i++) {
		const struct config_listener *listener = &check->config->listeners[i];

		check_addresses(check, listener);
		check_certificates(check, listener);
		if (listener->certificate_count == 0)
			fault_add(check->faults, listener->place.line,
				"listener '%s' has no certificate", listener->name);
	}
}

static void check_headers(const struct check *check)
{
	const struct config_upstream *upstream = &check->config->upstream;
	bool is_written = check_login_writes_authorization(upstream);
	bool is_named = false;
	int line = upstream->headers_place.line;

	for (size_t i = 0; i < upstream->header_count; i++) {
		const char *name = upstream->headers[i].name;

		is_named |= value_names_mailbox(upstream->headers[i].value);
		for (size_t j = 0; j < i; j++)
			if (strcasecmp(name, upstream->headers[j].name) == 0)
				fault_add(check->faults, line,
					"option 'headers' in upstream: '%s' stands twice", name);
		if (is_written && strcasecmp(name, "authorization") == 0)
			fault_add(check->faults, line,
				"option 'headers' in upstream: this login writes '%s' itself",
				name);
	}
	if (upstream->login == CONFIG_LOGIN_HEADER && !is_named)
		fault_add(check->faults, line,
			"upstream '%s': login = header needs a field with %%{mailbox} in headers, "
			"such "
			"as \"x-remote-user: %%{mailbox}\"",
			upstream->name);
}

static void check_password(const struct check *check)
{
	const struct config_file *file = &check->config->upstream.basic_password;
	struct error err;
	size_t len;
	char *text = file->fd == -1 ? NULL : config_file_read(file, &len, &err);
	size_t line_len;

	if (text == NULL)
		return;
	line_len = strcspn(text, "\r\n");
	if (line_len == 0 || text[line_len + strspn(text + line_len, "\r\n")] != '\0' ||
		strlen(text) != len)
		fault_add(
			check->faults, file->place.line, "%s: a password is one line", file->path);
	text[line_len] = '\0';
	/* The reason would show the password. */
	if (value_check_template(text, &err) == -1)
		fault_add(check->faults, file->place.line,
			"%s: a password has printable ASCII alone, and %%%% for a percent sign",
			file->path);
	file_wipe(text, len);
}

static void check_basic(const struct check *check)
{
	const struct config_upstream *upstream = &check->config->upstream;
	int line = upstream->place.line;

	if (upstream->login != CONFIG_LOGIN_BASIC) {
		if (upstream->basic_user[0] != '\0' || upstream->basic_password.path[0] != '\0')
			fault_warn(check->faults, line,
				"upstream '%s': basic-user and basic-password-file say nothing "
				"without login = basic",
				upstream->name);
		return;
	}
	if (upstream->basic_user[0] == '\0')
		fault_add(check->faults, line, "upstream '%s': login = basic needs basic-user",
			upstream->name);
	else if (strchr(upstream->basic_user, ':') != NULL)
		fault_add(check->faults, line,
			"upstream '%s': basic-user cannot have a colon (RFC 7617)", upstream->name);
	if (upstream->basic_password.path[0] == '\0')
		fault_add(check->faults, line,
			"upstream '%s': login = basic needs basic-password-file", upstream->name);
	check_password(check);
}

/* What stays on this host, nobody can listen to. */
static bool is_loopback(const struct config_endpoint *endpoint)
{
	return strncmp(endpoint->host, "127.", 4) == 0 || strcmp(endpoint->host, "::1") == 0 ||
	       strcmp(endpoint->host, "localhost") == 0;
}

/* Only a warning: a name server that is away for a moment must not keep easproxyd from starting,
 * and workers go on asking. */
static void check_endpoint_name(const struct check *check, const struct config_endpoint *endpoint)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int status = getaddrinfo(endpoint->host, NULL, &hints, &found);

	if (status == 0)
		freeaddrinfo(found);
	else
		fault_warn(check->faults, endpoint->place.line,
			"endpoint '%s': its name cannot be resolved now: %s", endpoint->text,
			gai_strerror(status));
}

static void check_endpoints(const struct check *check)
{
	const struct config_upstream *upstream = &check->config->upstream;
	bool has_tls = false;

	for (size_t i = 0; i < upstream->endpoint_count; i++) {
		const struct config_endpoint *endpoint = &upstream->endpoints[i];

		has_tls |= endpoint->is_tls;
		check_endpoint_name(check, endpoint);
		if (!endpoint->is_tls && !is_loopback(endpoint))
			fault_warn(check->faults, endpoint->place.line,
				"endpoint '%s': mails and logins cross the network in the clear; "
				"use https",
				endpoint->text);
	}
	if (!has_tls && upstream->endpoint_count > 0 && upstream->ca.path[0] != '\0')
		fault_warn(check->faults, upstream->ca.place.line,
			"upstream '%s': ca says nothing without an https endpoint", upstream->name);
}

static bool is_of_this_machine(const struct config_address *address)
{
	int fd = socket(address->addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_ours = fd != -1 &&
		       bind(fd, (const struct sockaddr *)&address->addr, address->addr_len) == 0;

	if (fd != -1)
		close(fd);
	return is_ours;
}

/* Without the name of its interface, which cannot be written, it binds nowhere. */
static bool is_link_local(const struct config_address *address)
{
	return address->addr.ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)&address->addr)->sin6_addr);
}

static void check_sources(const struct check *check)
{
	const struct config_upstream *upstream = &check->config->upstream;

	for (size_t i = 0; i < upstream->source_count; i++) {
		const struct config_address *source = &upstream->sources[i];

		for (size_t k = 0; k < i; k++)
			if (source->addr_len == upstream->sources[k].addr_len &&
				memcmp(&source->addr, &upstream->sources[k].addr,
					source->addr_len) == 0) {
				fault_add(check->faults, source->place.line,
					"option 'source-addresses' in upstream: '%s' stands twice",
					source->text);
				break;
			}
		if (is_link_local(source))
			fault_warn(check->faults, source->place.line,
				"option 'source-addresses' in upstream: no connection comes from "
				"'%s', which is link-local",
				source->text);
		/* It may be one that moves from machine to machine. */
		else if (!is_of_this_machine(source))
			fault_warn(check->faults, source->place.line,
				"option 'source-addresses' in upstream: '%s' is not an address of "
				"this machine now",
				source->text);
	}
}

static void check_upstream(const struct check *check)
{
	const struct config_upstream *upstream = &check->config->upstream;
	struct error err;

	if (upstream->name == NULL)
		return;
	if (upstream->login == CONFIG_LOGIN_NONE)
		fault_warn(check->faults, upstream->place.line,
			"upstream '%s': with login = none the mail server is not told whose "
			"mailbox it is",
			upstream->name);
	check_endpoints(check);
	check_sources(check);
	check_headers(check);
	check_basic(check);
	check_login(check);
	if (upstream->redirects == CONFIG_REDIRECTS_REWRITE &&
		check->config->autodiscover.url[0] == '\0')
		fault_warn(check->faults, upstream->place.line,
			"upstream '%s': redirects = rewrite sends phones to the url of "
			"autodiscover; as that is not set, they are refused",
			upstream->name);
	if (upstream->ca.fd != -1 && pki_check_bundle(&upstream->ca, &err) == -1)
		fault_add(check->faults, upstream->ca.place.line, "%s", err.text);
}

/* Names that are no addresses lead nowhere without a directory. */
static void check_names(const struct check *check)
{
	const struct config_mailbox *mailbox = &check->config->mailbox;
	int line = mailbox->names_place.line;
	bool has_high = false;

	for (size_t i = 0; i < mailbox->name_count; i++) {
		enum config_name_kind kind = mailbox->names[i];

		has_high |= kind == CONFIG_NAME_SKI || kind == CONFIG_NAME_KEY_SHA1 ||
			    kind == CONFIG_NAME_ISSUER_SERIAL || kind == CONFIG_NAME_SID;
		if (kind > CONFIG_NAME_SMTP_UTF8 &&
			check->config->directory.backend == CONFIG_DIRECTORY_NONE)
			fault_add(check->faults, line,
				"option 'names' in mailbox: '%s' is not an address, so it needs a "
				"directory to be looked up in; set directory/backend",
				config_name_words[kind]);
	}
	if (mailbox->affinity == CONFIG_AFFINITY_HIGH && !has_high)
		fault_add(check->faults, line,
			"option 'affinity' in mailbox: with high nobody comes in, as 'names' has "
			"none of ski, sha1-public-key, issuer-and-serial-number and sid");
}

static void check_bind(const struct check *check)
{
	const struct config_directory *directory = &check->config->directory;
	int line = directory->place.line;
	bool has_password = directory->bind_password.path[0] != '\0';
	struct error err;
	size_t len;
	char *text;

	if (directory->bind == CONFIG_BIND_SIMPLE &&
		(directory->bind_name[0] == '\0' || !has_password))
		fault_add(check->faults, line,
			"directory: bind = simple needs bind-name and bind-password-file; write "
			"bind = none for a server that answers anybody");
	if (directory->bind == CONFIG_BIND_GSSAPI && directory->keytab[0] == '\0')
		fault_add(check->faults, line,
			"directory: bind = gssapi needs keytab, a Kerberos key table with the key "
			"of the account that asks");
	text = directory->bind_password.fd == -1
		       ? NULL
		       : config_file_read(&directory->bind_password, &len, &err);
	if (text == NULL)
		return;
	if (strcspn(text, "\r\n") == 0 || strlen(text) != len ||
		text[strcspn(text, "\r\n") + strspn(text + strcspn(text, "\r\n"), "\r\n")] != '\0')
		fault_add(check->faults, directory->bind_password.place.line,
			"%s: a password is one line", directory->bind_password.path);
	file_wipe(text, len);
}

static void check_ldap(const struct check *check)
{
	const struct config_directory *directory = &check->config->directory;
	struct error err;

	if (directory->url_count == 0)
		fault_add(check->faults, directory->place.line,
			"directory: backend = ldap needs urls, such as "
			"{\"ldaps://dc1.example.com\"}");
	for (size_t i = 0; i < directory->url_count; i++) {
		const struct config_endpoint *url = &directory->urls[i];

		if (!url->is_tls && !directory->start_tls &&
			directory->bind == CONFIG_BIND_SIMPLE && !is_loopback(url))
			fault_add(check->faults, url->place.line,
				"'%s': the password would cross the network in the clear; use "
				"ldaps, or start-tls = on",
				url->text);
	}
	if (directory->ca.fd != -1 && pki_check_bundle(&directory->ca, &err) == -1)
		fault_add(check->faults, directory->ca.place.line, "%s", err.text);
	check_bind(check);
}

static void check_directory(const struct check *check)
{
	const struct config_directory *directory = &check->config->directory;

	if (directory->backend == CONFIG_DIRECTORY_FILE && directory->file[0] == '\0')
		fault_add(check->faults, directory->place.line,
			"directory: backend = file needs file, the path of one");
	if (directory->backend == CONFIG_DIRECTORY_LDAP)
		check_ldap(check);
	if (directory->backend == CONFIG_DIRECTORY_NONE &&
		(directory->file[0] != '\0' || directory->url_count > 0))
		fault_warn(check->faults, directory->place.line,
			"directory: file and urls say nothing with backend = none");
	if (directory->backend == CONFIG_DIRECTORY_NONE && check->config->policy.group_count > 0)
		fault_warn(check->faults, directory->place.line,
			"directory: a rule names the group '%.200s', but with backend = none "
			"nobody "
			"is in any group",
			check->config->policy.groups[0]);
}

static void check_activesync(const struct check *check)
{
	const struct config_activesync *activesync = &check->config->activesync;

	if (activesync->min_protocol > activesync->max_protocol)
		fault_add(check->faults, activesync->place.line,
			"activesync: min-protocol is newer than max-protocol, so that no phone "
			"could speak to easproxyd");
	if (activesync->heartbeat_min_ms > activesync->heartbeat_max_ms)
		fault_add(check->faults, activesync->place.line,
			"activesync: heartbeat-min is longer than heartbeat-max");
	if ((activesync->closed_commands >> command_find("Provision") & 1) != 0)
		fault_warn(check->faults, activesync->place.line,
			"activesync: with Provision among closed-commands phones keep no policy, "
			"and many then do not synchronize");
}

static void check_quarantine(const struct check *check)
{
	const struct config_devices *devices = &check->config->devices;
	const struct config_file *file = &devices->quarantine_text;
	struct error err = {""};
	size_t len;
	char *text = file->fd == -1 ? NULL : config_file_read(file, &len, &err);

	if (text != NULL && (strlen(text) != len || value_check_message(text, &err) == -1))
		fault_add(check->faults, file->place.line, "%s: %s", file->path,
			strlen(text) != len ? "it has a NUL byte" : err.text);
	free(text);
}

void check_config(const struct check *check)
{
	check_user(check);
	check_listeners(check);
	check_upstream(check);
	check_names(check);
	check_directory(check);
	check_activesync(check);
	check_quarantine(check);
}
