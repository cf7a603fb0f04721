#include "auth/ticket_wallet.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "auth/ticket_settings.h"

enum {
	/* A context's number is its slot in the low bits and how often that was taken in the high ones. */
	SLOT_BITS = 16,
	CONTEXT_MAX = (1 << SLOT_BITS) - 1,
	CONTEXTS_PER_TICKET = 2,
};

static gss_OID_desc spnego = {.length = 6, .elements = (void *)"\x2b\x06\x01\x05\x05\x02"};

struct kept {
	TAILQ_ENTRY(kept) age; /* the most recently used first */
	LIST_ENTRY(kept) bucket;
	uint64_t key;
	struct ticket ticket; /* without bytes: free */
};

/* A login whose server has not proved itself yet. */
struct open {
	TAILQ_ENTRY(open) age; /* the latest first; of the free ones, which to take next first */
	gss_ctx_id_t context;
	gss_name_t service;
	uint64_t key;
	uint32_t number; /* 0: free */
	uint16_t taken;  /* never 0 once it was taken */
};

LIST_HEAD(kept_bucket, kept);
TAILQ_HEAD(kept_list, kept);
TAILQ_HEAD(open_list, open);

struct ticket_wallet {
	krb5_context krb5; /* as long as there is one, krb5.conf stays parsed */
	krb5_ccache cache; /* holds one ticket while a token is made from it */
	char *cache_name;
	bool is_mutual;
	size_t kept_count, bucket_mask;
	struct kept *kept;
	struct kept_bucket *buckets;
	struct kept_list by_age, free;
	size_t open_max, open_count;
	struct open *open;
	struct open_list open_by_age, open_free;
};

static int start_library(struct ticket_wallet *wallet, struct error *err)
{
	if (ticket_settings_mute(err) == -1)
		return -1;
	if (krb5_init_context(&wallet->krb5) != 0 ||
		krb5_cc_new_unique(wallet->krb5, "MEMORY", NULL, &wallet->cache) != 0 ||
		krb5_cc_get_full_name(wallet->krb5, wallet->cache, &wallet->cache_name) != 0)
		return error_set(err, "starting the Kerberos library: it cannot read its settings");
	return 0;
}

static int make_room(struct ticket_wallet *wallet, size_t tickets, struct error *err)
{
	size_t bucket_count = 1;

	while (bucket_count < tickets)
		bucket_count *= 2;
	wallet->bucket_mask = bucket_count - 1;
	wallet->open_max = tickets < CONTEXT_MAX / CONTEXTS_PER_TICKET
				   ? tickets * CONTEXTS_PER_TICKET
				   : CONTEXT_MAX;
	wallet->buckets = calloc(bucket_count, sizeof(*wallet->buckets));
	wallet->kept = calloc(tickets, sizeof(*wallet->kept));
	wallet->open = calloc(wallet->open_max, sizeof(*wallet->open));
	if (wallet->buckets == NULL || wallet->kept == NULL || wallet->open == NULL)
		return error_sys(err, "making room for the tickets of %zu users", tickets);
	for (size_t i = 0; i < tickets; i++)
		TAILQ_INSERT_TAIL(&wallet->free, &wallet->kept[i], age);
	for (size_t i = 0; i < wallet->open_max; i++)
		TAILQ_INSERT_TAIL(&wallet->open_free, &wallet->open[i], age);
	return 0;
}

struct ticket_wallet *ticket_wallet_new(size_t tickets, bool is_mutual, struct error *err)
{
	struct ticket_wallet *wallet = calloc(1, sizeof(*wallet));

	if (wallet == NULL) {
		error_sys(err, "making room for tickets");
		return NULL;
	}
	TAILQ_INIT(&wallet->by_age);
	TAILQ_INIT(&wallet->free);
	TAILQ_INIT(&wallet->open_by_age);
	TAILQ_INIT(&wallet->open_free);
	wallet->is_mutual = is_mutual;
	if (start_library(wallet, err) == 0 && make_room(wallet, tickets, err) == 0)
		return wallet;
	ticket_wallet_free(wallet);
	return NULL;
}

void ticket_wallet_free(struct ticket_wallet *wallet)
{
	if (wallet == NULL)
		return;
	while (!TAILQ_EMPTY(&wallet->by_age))
		ticket_wallet_drop(wallet, TAILQ_FIRST(&wallet->by_age)->key);
	while (!TAILQ_EMPTY(&wallet->open_by_age))
		ticket_wallet_forget(wallet, TAILQ_FIRST(&wallet->open_by_age)->number);
	free(wallet->open);
	free(wallet->kept);
	free(wallet->buckets);
	krb5_free_string(wallet->krb5, wallet->cache_name);
	if (wallet->cache != NULL)
		krb5_cc_destroy(wallet->krb5, wallet->cache);
	if (wallet->krb5 != NULL)
		krb5_free_context(wallet->krb5);
	free(wallet);
}

/* Kept tickets. Keys are numbers that identity counts up: no one outside chooses which share a bucket. */

static struct kept_bucket *bucket_of(struct ticket_wallet *wallet, uint64_t key)
{
	return &wallet->buckets[key & wallet->bucket_mask];
}

static struct kept *find_kept(struct ticket_wallet *wallet, uint64_t key)
{
	struct kept *kept;

	LIST_FOREACH(kept, bucket_of(wallet, key), bucket)
		if (kept->key == key)
			break;
	if (kept == NULL)
		return NULL;
	TAILQ_REMOVE(&wallet->by_age, kept, age);
	TAILQ_INSERT_HEAD(&wallet->by_age, kept, age);
	return kept;
}

static void release_kept(struct ticket_wallet *wallet, struct kept *kept)
{
	ticket_clear(&kept->ticket);
	TAILQ_REMOVE(&wallet->by_age, kept, age);
	LIST_REMOVE(kept, bucket);
	TAILQ_INSERT_HEAD(&wallet->free, kept, age);
	wallet->kept_count--;
}

static struct kept *take_kept(struct ticket_wallet *wallet, uint64_t key)
{
	struct kept *kept;

	if (TAILQ_EMPTY(&wallet->free))
		release_kept(wallet, TAILQ_LAST(&wallet->by_age, kept_list));
	kept = TAILQ_FIRST(&wallet->free);
	TAILQ_REMOVE(&wallet->free, kept, age);
	kept->key = key;
	LIST_INSERT_HEAD(bucket_of(wallet, key), kept, bucket);
	TAILQ_INSERT_HEAD(&wallet->by_age, kept, age);
	wallet->kept_count++;
	return kept;
}

int ticket_wallet_put(struct ticket_wallet *wallet, uint64_t key, struct ticket *ticket)
{
	struct ticket_parts parts;
	struct kept *kept;

	if (ticket->bytes == NULL ||
		ticket_read(span_of(ticket->bytes, ticket->len), &parts) == -1) {
		ticket_clear(ticket);
		return -1;
	}
	kept = find_kept(wallet, key);
	if (kept == NULL)
		kept = take_kept(wallet, key);
	ticket_clear(&kept->ticket);
	kept->ticket = *ticket;
	kept->ticket.valid_until = parts.end_time;
	*ticket = (struct ticket){0};
	return 0;
}

void ticket_wallet_drop(struct ticket_wallet *wallet, uint64_t key)
{
	struct kept *kept = find_kept(wallet, key);
	struct open *open = TAILQ_FIRST(&wallet->open_by_age), *next;

	if (kept != NULL)
		release_kept(wallet, kept);
	for (; open != NULL; open = next) {
		next = TAILQ_NEXT(open, age);
		if (open->key == key)
			ticket_wallet_forget(wallet, open->number);
	}
}

size_t ticket_wallet_count(const struct ticket_wallet *wallet)
{
	return wallet->kept_count;
}

/* Open contexts. */

static struct open *find_open(struct ticket_wallet *wallet, uint32_t number)
{
	size_t slot = number & CONTEXT_MAX;

	if (number == 0 || slot >= wallet->open_max || wallet->open[slot].number != number)
		return NULL;
	return &wallet->open[slot];
}

static void release_open(struct ticket_wallet *wallet, struct open *open)
{
	OM_uint32 ignored;

	gss_delete_sec_context(&ignored, &open->context, NULL);
	gss_release_name(&ignored, &open->service);
	open->number = 0;
	TAILQ_REMOVE(&wallet->open_by_age, open, age);
	TAILQ_INSERT_TAIL(&wallet->open_free, open, age);
	wallet->open_count--;
}

/* The context and the name become the wallet's. */
static uint32_t keep_open(
	struct ticket_wallet *wallet, uint64_t key, gss_ctx_id_t context, gss_name_t service)
{
	struct open *open;

	if (TAILQ_EMPTY(&wallet->open_free))
		release_open(wallet, TAILQ_LAST(&wallet->open_by_age, open_list));
	open = TAILQ_FIRST(&wallet->open_free);
	TAILQ_REMOVE(&wallet->open_free, open, age);
	TAILQ_INSERT_HEAD(&wallet->open_by_age, open, age);
	open->context = context;
	open->service = service;
	open->key = key;
	if (++open->taken == 0)
		open->taken = 1;
	open->number = (uint32_t)open->taken << SLOT_BITS | (uint32_t)(open - wallet->open);
	wallet->open_count++;
	return open->number;
}

void ticket_wallet_forget(struct ticket_wallet *wallet, uint32_t context)
{
	struct open *open = find_open(wallet, context);

	if (open != NULL)
		release_open(wallet, open);
}

size_t ticket_wallet_open_count(const struct ticket_wallet *wallet)
{
	return wallet->open_count;
}

/* Tokens. */

/* In the library's words. Only a failure that GSSAPI has no words for has some of the mechanism's. */
static void explain(struct login_fault *fault, const char *what, OM_uint32 major, OM_uint32 minor,
	const char *hint)
{
	bool is_special = GSS_ROUTINE_ERROR(major) == GSS_S_FAILURE;
	gss_buffer_desc words = GSS_C_EMPTY_BUFFER;
	OM_uint32 ignored, more = 0;

	gss_display_status(&ignored, is_special ? minor : major,
		is_special ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, &spnego, &more, &words);
	login_fault_set(fault, LOGIN_UNAVAILABLE, hint, "%s: %.*s", what, (int)words.length,
		words.value != NULL ? (char *)words.value : "");
	gss_release_buffer(&ignored, &words);
}

static krb5_error_code parse_name(
	const struct ticket_wallet *wallet, struct span name, krb5_principal *principal)
{
	char text[TICKET_NAME_MAX + 1];

	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return krb5_parse_name(wallet->krb5, text, principal);
}

/* The one ticket in the cache. */
static krb5_error_code load(const struct ticket_wallet *wallet, const struct ticket_parts *parts)
{
	/* The library copies all that it is given. */
	krb5_creds ticket = {
		.keyblock = {.enctype = parts->key_type,
			.length = (unsigned int)parts->key.len,
			.contents = (krb5_octet *)parts->key.data},
		.times = {.authtime = (krb5_timestamp)parts->login_time,
			.starttime = (krb5_timestamp)parts->begin_time,
			.endtime = (krb5_timestamp)parts->end_time},
		.ticket_flags = (krb5_flags)parts->flags,
		.ticket = {.length = (unsigned int)parts->encrypted.len,
			.data = (char *)parts->encrypted.data},
	};
	krb5_error_code code = parse_name(wallet, parts->user, &ticket.client);

	if (code == 0)
		code = parse_name(wallet, parts->service, &ticket.server);
	if (code == 0)
		code = krb5_cc_initialize(wallet->krb5, wallet->cache, ticket.client);
	if (code == 0)
		code = krb5_cc_store_cred(wallet->krb5, wallet->cache, &ticket);
	krb5_free_principal(wallet->krb5, ticket.server);
	krb5_free_principal(wallet->krb5, ticket.client);
	return code;
}

/* The cache becomes empty; the library wipes the session key. */
static void unload(const struct ticket_wallet *wallet)
{
	krb5_principal user = NULL;

	if (krb5_cc_get_principal(wallet->krb5, wallet->cache, &user) == 0)
		krb5_cc_initialize(wallet->krb5, wallet->cache, user);
	krb5_free_principal(wallet->krb5, user);
}

/* What is in the cache, for SPNEGO, which is to offer Kerberos and nothing else. */
static OM_uint32 acquire(
	const struct ticket_wallet *wallet, gss_cred_id_t *credential, OM_uint32 *minor)
{
	gss_key_value_element_desc element = {.key = "ccache", .value = wallet->cache_name};
	const gss_key_value_set_desc store = {.count = 1, .elements = &element};
	gss_OID_set_desc outer = {.count = 1, .elements = &spnego};
	gss_OID_set_desc inner = {.count = 1, .elements = (gss_OID)gss_mech_krb5};
	OM_uint32 major = gss_acquire_cred_from(minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &outer,
		GSS_C_INITIATE, &store, credential, NULL, NULL);

	return GSS_ERROR(major) ? major : gss_set_neg_mechs(minor, *credential, &inner);
}

static OM_uint32 flags_of(const struct ticket_wallet *wallet)
{
	/* Never GSS_C_DELEG_FLAG. */
	return wallet->is_mutual ? GSS_C_MUTUAL_FLAG : 0;
}

static bool take_bytes(struct ticket_token *token, const gss_buffer_desc *bytes)
{
	if (bytes->length == 0 || bytes->length > sizeof(token->bytes))
		return false;
	memcpy(token->bytes, bytes->value, bytes->length);
	token->len = bytes->length;
	return true;
}

/* From the ticket in the cache. */
static int make_token(struct ticket_wallet *wallet, const struct kept *kept, struct span service,
	struct ticket_token *token, struct login_fault *fault)
{
	gss_buffer_desc text = {.length = service.len, .value = (void *)service.data};
	gss_buffer_desc bytes = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
	gss_ctx_id_t context = GSS_C_NO_CONTEXT;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 minor = 0, ignored, major = acquire(wallet, &credential, &minor);
	int result = -1;

	if (!GSS_ERROR(major))
		major = gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
	if (!GSS_ERROR(major))
		major = gss_init_sec_context(&minor, credential, &context, name, &spnego,
			flags_of(wallet), GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS,
			GSS_C_NO_BUFFER, NULL, &bytes, NULL, NULL);
	if (GSS_ERROR(major))
		explain(fault, "making a token from the user's ticket", major, minor, NULL);
	else if (!take_bytes(token, &bytes))
		login_fault_set(fault, LOGIN_UNAVAILABLE, NULL,
			"the token made from the user's ticket is larger than %d bytes",
			LOGIN_SECRET_MAX);
	else
		result = 0;
	if (result == 0 && wallet->is_mutual) {
		token->context = keep_open(wallet, kept->key, context, name);
	} else {
		gss_delete_sec_context(&ignored, &context, NULL);
		gss_release_name(&ignored, &name);
	}
	gss_release_cred(&ignored, &credential);
	if (bytes.value != NULL)
		OPENSSL_cleanse(bytes.value, bytes.length);
	gss_release_buffer(&ignored, &bytes);
	return result;
}

enum ticket_token_status ticket_wallet_token(struct ticket_wallet *wallet, uint64_t key,
	int64_t now, struct ticket_token *token, struct login_fault *fault)
{
	struct kept *kept = find_kept(wallet, key);
	struct ticket_parts parts;
	int result = -1;

	token->len = 0;
	token->context = 0;
	if (kept != NULL && kept->ticket.valid_until <= now) {
		release_kept(wallet, kept);
		kept = NULL;
	}
	if (kept == NULL)
		return TICKET_TOKEN_NO_TICKET;
	token->valid_until = kept->ticket.valid_until;
	if (ticket_read(span_of(kept->ticket.bytes, kept->ticket.len), &parts) == -1 ||
		load(wallet, &parts) != 0)
		login_fault_set(fault, LOGIN_UNAVAILABLE, NULL, "the user's ticket cannot be used");
	else
		result = make_token(wallet, kept, parts.service, token, fault);
	unload(wallet);
	return result == 0 ? TICKET_TOKEN_MADE : TICKET_TOKEN_FAILED;
}

bool ticket_wallet_prove(struct ticket_wallet *wallet, uint32_t context, struct span answer,
	struct login_fault *fault)
{
	static const char hint[] =
		"Does Exchange run as the account that has the SPN, and nobody else (setspn -X)? "
		"Are the clocks alike?";
	gss_buffer_desc in = {.length = answer.len, .value = (void *)answer.data};
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	struct open *open = find_open(wallet, context);
	OM_uint32 major, minor, ignored, flags = 0;

	if (open == NULL) {
		login_fault_set(fault, LOGIN_UNAVAILABLE, NULL,
			"the mail server's token came too late: the login is forgotten");
		return false;
	}
	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &open->context, open->service,
		&spnego, flags_of(wallet), GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS, &in, NULL,
		&out, &flags, NULL);
	gss_release_buffer(&ignored, &out);
	release_open(wallet, open);
	if (major == GSS_S_COMPLETE && (flags & GSS_C_MUTUAL_FLAG) != 0)
		return true;
	if (GSS_ERROR(major))
		explain(fault, "the mail server's token does not prove who it is", major, minor,
			hint);
	else
		login_fault_set(fault, LOGIN_UNAVAILABLE, hint,
			"the mail server's token does not prove who it is: it wants to go on");
	return false;
}
