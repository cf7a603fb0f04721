#include "proxy/login_table.h"

#include <event2/event_struct.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>

#include "config/clock.h"
#include "proxy/privacy.h"

enum {
	SLICE_LOGINS = 256, /* looked at in one turn of the loop */
	/* A secret is not used to its last second: the request is under way for a while, and clocks
	 * differ. Of a short life only a tenth is left. */
	SPARE_S = 30,
};

LIST_HEAD(login_bucket, login);
TAILQ_HEAD(login_list, login);

struct login_secret {
	int64_t valid_until, usable_until, renew_at; /* UNIX seconds */
	uint64_t since_us;
	struct tls_identity *identity; /* MINTED; NULL otherwise */
	size_t len;
	char text[]; /* the others */
};

struct login_table {
	struct login_table_calls calls;
	struct event_base *base;
	size_t max, count;
	uint64_t seed; /* so that nobody can choose names that share a bucket */
	bool needs_identity;
	struct login_list all;
	struct login_list uses; /* those that nobody has pinned */
	struct event slice_event;
	struct login *next; /* to be looked at; NULL: the end of the list */
	bool is_looking, looks_again;
	size_t mask;
	struct login_bucket *buckets;
};

static void on_slice(evutil_socket_t fd, short what, void *arg);

/* Secrets */

static void secret_free(struct login_secret *secret)
{
	if (secret == NULL)
		return;
	tls_identity_free(secret->identity);
	OPENSSL_cleanse(secret->text, secret->len);
	free(secret);
}

static void login_wipe(struct login *login)
{
	for (size_t i = 0; i < LOGIN_KIND_COUNT; i++) {
		secret_free(login->secrets[i]);
		login->secrets[i] = NULL;
	}
}

static int64_t table_now(const struct login_table *table)
{
	struct timeval now;

	if (event_base_gettimeofday_cached(table->base, &now) != 0)
		return (int64_t)time(NULL);
	return (int64_t)now.tv_sec;
}

int64_t login_now(const struct login *login)
{
	return table_now(login->table);
}

int login_keep_secret(struct login *login, enum login_kind kind, struct span secret,
	int64_t valid_until, struct error *err)
{
	int64_t now = login_now(login);
	int64_t life = valid_until > now ? valid_until - now : 0;
	size_t len = kind == LOGIN_MINTED ? 0 : secret.len;
	struct login_secret *kept = calloc(1, sizeof(*kept) + len);

	if (kept == NULL)
		return error_set(err, "keeping a login: out of memory");
	kept->valid_until = valid_until;
	kept->usable_until = valid_until - (life / 10 < SPARE_S ? life / 10 : SPARE_S);
	kept->renew_at = now + life - life / 5;
	kept->since_us = clock_us();
	kept->len = len;
	if (len > 0)
		memcpy(kept->text, secret.data, len);
	if (kind == LOGIN_MINTED) {
		privacy_wipe(true); /* of what the key is decoded from */
		kept->identity = tls_identity_new(secret, err);
		privacy_wipe(false);
		if (kept->identity == NULL) {
			free(kept);
			return -1;
		}
	}
	secret_free(login->secrets[kind]);
	login->secrets[kind] = kept;
	return 0;
}

static const struct login_secret *usable_secret(const struct login *login, enum login_kind kind)
{
	const struct login_secret *secret = login->secrets[kind];

	return secret != NULL && login_now(login) < secret->usable_until ? secret : NULL;
}

bool login_has_secret(const struct login *login, enum login_kind kind, bool *wants_renewal)
{
	const struct login_secret *secret = usable_secret(login, kind);

	*wants_renewal = secret != NULL && login_now(login) >= secret->renew_at;
	return secret != NULL;
}

struct span login_secret(const struct login *login, enum login_kind kind)
{
	const struct login_secret *secret = usable_secret(login, kind);

	return secret != NULL ? span_of(secret->text, secret->len) : (struct span){0};
}

int64_t login_valid_until(const struct login *login, enum login_kind kind)
{
	const struct login_secret *secret = usable_secret(login, kind);

	return secret != NULL ? secret->usable_until : INT64_MIN;
}

uint64_t login_secret_since(const struct login *login, enum login_kind kind)
{
	return login->secrets[kind] != NULL ? login->secrets[kind]->since_us : 0;
}

void login_table_set_needs_identity(struct login_table *table)
{
	table->needs_identity = true;
}

bool login_needs_identity(const struct login *login)
{
	return login->table->needs_identity;
}

const struct tls_identity *login_identity(const struct login *login)
{
	const struct login_secret *secret = usable_secret(login, LOGIN_MINTED);

	return secret != NULL ? secret->identity : NULL;
}

/* Table */

struct login_table *login_table_new(
	struct event_base *base, size_t max, const struct login_table_calls *calls)
{
	struct login_table *table = calloc(1, sizeof(*table));
	size_t buckets = 16;

	while (buckets < max)
		buckets *= 2;
	if (table == NULL)
		return NULL;
	table->calls = *calls;
	table->base = base;
	table->max = max;
	table->mask = buckets - 1;
	table->buckets = calloc(buckets, sizeof(*table->buckets));
	TAILQ_INIT(&table->all);
	TAILQ_INIT(&table->uses);
	if (table->buckets == NULL ||
		getrandom(&table->seed, sizeof(table->seed), 0) != (ssize_t)sizeof(table->seed) ||
		evtimer_assign(&table->slice_event, base, on_slice, table) != 0) {
		free(table->buckets);
		free(table);
		return NULL;
	}
	return table;
}

static void login_free(struct login *login)
{
	login_wipe(login);
	credential_free(login->credential);
	free(login);
}

void login_table_free(struct login_table *table)
{
	if (table == NULL)
		return;
	while (!TAILQ_EMPTY(&table->all))
		login_end(TAILQ_FIRST(&table->all));
	event_del(&table->slice_event);
	free(table->buckets);
	free(table);
}

size_t login_table_count(const struct login_table *table)
{
	return table->count;
}

static uint64_t hash_of(const struct login_table *table, const char *mailbox)
{
	uint64_t hash = table->seed;

	for (; *mailbox != '\0'; mailbox++)
		hash = (hash ^ (uint8_t)*mailbox) * UINT64_C(0x100000001b3);
	hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return hash ^ hash >> 32;
}

static struct login *find(const struct login_table *table, uint64_t hash, const char *mailbox)
{
	struct login *login;

	LIST_FOREACH(login, &table->buckets[hash & table->mask], bucket_link)
		if (login->hash == hash && strcmp(login->mailbox, mailbox) == 0)
			return login;
	return NULL;
}

struct login *login_table_find(const struct login_table *table, const char *mailbox)
{
	return find(table, hash_of(table, mailbox), mailbox);
}

static void make_room(struct login_table *table, size_t max)
{
	while (table->count > max && !TAILQ_EMPTY(&table->uses))
		login_end(TAILQ_LAST(&table->uses, login_list));
}

static struct login *add(struct login_table *table, uint64_t hash, const char *mailbox)
{
	size_t len = strlen(mailbox);
	struct login *login = calloc(1, sizeof(*login) + len + 1);

	if (login == NULL)
		return NULL;
	make_room(table, table->max - 1);
	login->table = table;
	login->hash = hash;
	memcpy(login->mailbox, mailbox, len + 1);
	LIST_INIT(&login->idle);
	LIST_INSERT_HEAD(&table->buckets[hash & table->mask], login, bucket_link);
	TAILQ_INSERT_TAIL(&table->all, login, entry);
	TAILQ_INSERT_HEAD(&table->uses, login, use_link);
	table->count++;
	return login;
}

struct login *login_table_pin(struct login_table *table, const char *mailbox)
{
	uint64_t hash = hash_of(table, mailbox);
	struct login *login = find(table, hash, mailbox);

	if (login == NULL)
		login = add(table, hash, mailbox);
	if (login != NULL)
		login_pin(login);
	return login;
}

void login_pin(struct login *login)
{
	if (login->pins++ == 0)
		TAILQ_REMOVE(&login->table->uses, login, use_link);
}

void login_unpin(struct login *login)
{
	struct login_table *table = login->table;

	if (--login->pins > 0)
		return;
	if (login->is_over) {
		login_free(login);
		return;
	}
	TAILQ_INSERT_HEAD(&table->uses, login, use_link);
	make_room(table, table->max);
}

void login_use(struct login *login, struct credential *credential)
{
	if (login->credential == credential)
		return;
	credential_free(login->credential);
	login->credential = credential_share(credential);
}

bool login_is_in_use(const struct login *login)
{
	return !login->is_over;
}

void login_close_idle(struct login *login)
{
	while (!LIST_EMPTY(&login->idle))
		link_free(LIST_FIRST(&login->idle));
}

void login_end(struct login *login)
{
	struct login_table *table = login->table;

	if (login->is_over)
		return;
	if (table->next == login)
		table->next = TAILQ_NEXT(login, entry);
	login->is_over = true;
	LIST_REMOVE(login, bucket_link);
	TAILQ_REMOVE(&table->all, login, entry);
	table->count--;
	if (login->pins == 0)
		TAILQ_REMOVE(&table->uses, login, use_link);
	login_wipe(login);
	login_close_idle(login);
	if (login->pins == 0)
		login_free(login);
}

/* Connections */

void login_begin_link(struct login *login, struct link *link)
{
	link->login = login;
	login_pin(login);
}

void login_keep_link(struct login *login, struct link *link)
{
	LIST_INSERT_HEAD(&login->idle, link, login_entry);
	login_unpin(login);
}

void login_take_link(struct login *login, struct link *link)
{
	LIST_REMOVE(link, login_entry);
	login_pin(login);
}

void login_end_link(struct login *login, struct link *link)
{
	const struct login_table_calls *calls = &login->table->calls;

	if (link->login_context != 0)
		calls->forget(calls->context, link->login_context);
	if (link->state == LINK_IDLE)
		LIST_REMOVE(link, login_entry);
	else
		login_unpin(login);
}

/* Grounds */

/* That a CRL or a directory cannot be read keeps people out, but is no word against them. */
static bool is_about_owner(enum refusal refusal)
{
	return refusal == REFUSAL_CERTIFICATE_REVOKED || refusal == REFUSAL_CERTIFICATE_EXPIRED ||
	       refusal == REFUSAL_CERTIFICATE_UNTRUSTED || refusal == REFUSAL_USER_REVOKED;
}

static void put_out(struct login *login, enum refusal refusal)
{
	const struct login_table_calls *calls = &login->table->calls;

	if (is_about_owner(refusal))
		calls->drop(calls->context, login->mailbox);
	login_end(login);
}

static void judge(struct login *login)
{
	const struct login_table_calls *calls = &login->table->calls;
	const struct credential *credential = login->credential;
	enum refusal refusal;

	if (credential == NULL)
		return; /* nothing has been shown for it yet */
	refusal = calls->judge(calls->context, credential);
	if (refusal == REFUSAL_NONE && credential->refusal != REFUSAL_DIRECTORY_UNAVAILABLE)
		refusal = credential->refusal;
	if (refusal != REFUSAL_NONE || strcmp(credential->mailbox, login->mailbox) != 0)
		put_out(login, refusal);
}

void login_table_put_out(
	struct login_table *table, const struct credential *credential, enum refusal refusal)
{
	struct login *login = login_table_find(table, credential->mailbox);

	if (login != NULL && login->credential != NULL &&
		memcmp(login->credential->accepted->leaf_sha256, credential->accepted->leaf_sha256,
			sizeof(credential->accepted->leaf_sha256)) == 0)
		put_out(login, refusal);
}

void login_table_end_all(struct login_table *table)
{
	while (!TAILQ_EMPTY(&table->all))
		login_end(TAILQ_FIRST(&table->all));
}

static void slice_later(struct login_table *table)
{
	static const struct timeval at_once = {0, 0};

	event_add(&table->slice_event, &at_once);
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
	struct login_table *table = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < SLICE_LOGINS && table->next != NULL; i++) {
		struct login *login = table->next;

		table->next = TAILQ_NEXT(login, entry);
		judge(login);
	}
	if (table->next == NULL && table->looks_again) {
		table->looks_again = false;
		table->next = TAILQ_FIRST(&table->all);
	}
	table->is_looking = table->next != NULL;
	if (table->is_looking)
		slice_later(table);
}

void login_table_recheck(struct login_table *table)
{
	/* In the middle of a walk: to its end, and then from the beginning, so that changes that come
	 * fast cannot keep it from the logins at the end. */
	if (table->is_looking) {
		table->looks_again = true;
		return;
	}
	table->next = TAILQ_FIRST(&table->all);
	table->is_looking = table->next != NULL;
	if (table->is_looking)
		slice_later(table);
}
