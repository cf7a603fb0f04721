#include "proxy/child_files.h"

#include <unistd.h>

/* Who needs a file. */
enum holder {
	WORKER = 1 << 0,
	DIRECTORY = 1 << 1,
	TICKET = 1 << 2,
	MINTER = 1 << 3,
	BEARER = 1 << 4,
	SIGNER = 1 << 5,
	PARTS = DIRECTORY | TICKET | MINTER | BEARER | SIGNER,
	SUPERVISOR = 0, /* and nobody else, who read it while it checked the configuration */
};

static unsigned int holders_of(enum role role, enum child_part part)
{
	if (role == ROLE_WORKER)
		return WORKER;
	if (role != ROLE_IDENTITY)
		return 0;
	switch (part) {
	case PART_MAIN: return PARTS;
	case PART_DIRECTORY: return DIRECTORY;
	case PART_TICKET: return TICKET;
	case PART_MINTER: return MINTER;
	case PART_BEARER: return BEARER;
	case PART_SIGNER: return SIGNER;
	case PART_TOKENS: break; /* it is given tickets, and no key */
	}
	return 0;
}

struct listing {
	unsigned int holders;
	int *fds;
	size_t count, max;
};

static void list(struct listing *listing, unsigned int holder, const struct config_file *file)
{
	if ((listing->holders & holder) == 0 || file->fd == -1)
		return;
	if (listing->count == listing->max)
		_exit(1);
	listing->fds[listing->count++] = file->fd;
}

static void list_listeners(struct listing *listing, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		for (size_t j = 0; j < config->listeners[i].certificate_count; j++) {
			const struct config_certificate *certificate =
				&config->listeners[i].certificates[j];

			list(listing, WORKER, &certificate->chain);
			list(listing, WORKER, &certificate->key); /* secret */
		}
}

/* Those of a way to log in that is not the upstream's are nobody's. */
static void list_login(struct listing *listing, const struct config *config)
{
	switch (config->upstream.login) {
	case CONFIG_LOGIN_BASIC:
		list(listing, WORKER, &config->upstream.basic_password); /* secret */
		break;
	case CONFIG_LOGIN_KERBEROS:
		for (size_t i = 0; i < config->kerberos_count; i++)
			list(listing, TICKET, &config->kerberos[i].keytab); /* secret */
		break;
	case CONFIG_LOGIN_MINTED:
		list(listing, MINTER, &config->minted.issuer);
		list(listing, MINTER, &config->minted.key); /* secret */
		list(listing, MINTER, &config->minted.pin); /* secret */
		break;
	case CONFIG_LOGIN_BEARER:
		list(listing, BEARER, &config->bearer.ca);
		list(listing, BEARER, &config->bearer.certificate);
		list(listing, BEARER, &config->bearer.key);           /* secret */
		list(listing, BEARER, &config->bearer.client_secret); /* secret */
		break;
	default: break;
	}
}

size_t child_files(
	const struct config *config, enum role role, enum child_part part, int *fds, size_t max)
{
	struct listing listing = {.holders = holders_of(role, part), .fds = fds, .max = max};

	list(&listing, SUPERVISOR, &config->trust.store);
	list_listeners(&listing, config);
	list(&listing, WORKER, &config->upstream.ca);
	list(&listing, WORKER, &config->devices.quarantine_text);
	if (config->directory.backend == CONFIG_DIRECTORY_LDAP) {
		list(&listing, DIRECTORY, &config->directory.ca);
		list(&listing, DIRECTORY, &config->directory.bind_password); /* secret */
	}
	list_login(&listing, config);
	if (config->assertion.header[0] != '\0')
		list(&listing, SIGNER, &config->assertion.key); /* secret */
	return listing.count;
}
