#include "proxy/identity_login.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/user_index.h"
#include "config/clock.h"
#include "proxy/identity_login_room.h"
#include "proxy/log.h"

enum {
	LOG_LINES_MAX = 10,
	LOG_LINE_MS = 1000, /* of refusals: so many at once, then one in this time */
};

static int64_t real_now(void)
{
	return time(NULL);
}

static const struct login_clock real_clock = {.ms = clock_ms, .now = real_now};

struct shared_login *login_counts(const struct identity_login *login, enum login_kind kind)
{
	return &login->child->shared->logins[kind];
}

void login_count_cached(struct identity_login *login)
{
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		atomic_store(&login_counts(login, (enum login_kind)kind)->cached,
			login_cache_count(login->cache, (enum login_kind)kind));
}

void login_log_refused(struct identity_login *login, enum login_kind kind,
	const struct login_subject *subject, const struct login_fault *fault)
{
	struct log_limit *limit = &login->log_limit;
	int64_t now = login->clock->ms();
	struct log_line line;

	while (limit->used > 0 && now - limit->since_ms >= LOG_LINE_MS) {
		limit->used--;
		limit->since_ms += LOG_LINE_MS;
	}
	if (limit->used == 0)
		limit->since_ms = now;
	if (limit->used == LOG_LINES_MAX) {
		limit->left_out++;
		return;
	}
	limit->used++;
	log_begin(&line, CONFIG_LOG_WARNING, "login-failed");
	log_text(&line, "login", login_kind_name(kind));
	log_text(&line, "mailbox", subject->mailbox);
	log_text(&line, "account", subject->account);
	log_text(&line, "realm", subject->realm);
	log_text(&line, "message", fault->text);
	log_text(&line, "hint", fault->hint);
	if (limit->left_out > 0)
		log_number(&line, "left_out", limit->left_out);
	limit->left_out = 0;
	log_end(&line);
}

/* Drops */

static void forget_entry(struct identity_login *login, struct login_entry *entry)
{
	if (entry->known == LOGIN_HAVE)
		atomic_fetch_add(&login_counts(login, entry->kind)->dropped, 1);
	login_entry_forget(login->cache, entry);
}

struct account_visit {
	struct identity_login *login;
	const struct directory_answer *answer;
	bool is_other;
};

static void visit_account(void *context, struct login_entry *entry)
{
	struct account_visit *visit = context;
	const struct config *config = visit->login->config;
	uint8_t hash[LOGIN_SUBJECT_HASH_SIZE];
	struct login_subject subject;
	struct login_fault ignored;

	if (!login_subject_needs_directory(config, entry->kind) ||
		login_subject_fill(config, entry->kind, entry->mailbox, visit->answer, &subject,
			&ignored) != LOGIN_GIVEN)
		return;
	login_subject_hash(&subject, hash);
	if (memcmp(hash, entry->subject, sizeof(hash)) == 0)
		return;
	visit->is_other = true;
	forget_entry(visit->login, entry);
	if (entry->flight != NULL)
		entry->flight->is_void = true;
	memcpy(entry->subject, hash, sizeof(hash));
}

bool identity_login_note(struct identity_login *login, const struct directory_answer *answer)
{
	struct account_visit visit = {.login = login, .answer = answer};

	if (answer->status != DIRECTORY_FOUND)
		return false;
	login_cache_visit(login->cache, answer->mailbox, visit_account, &visit);
	if (visit.is_other)
		login_count_cached(login);
	return visit.is_other;
}

static void on_entry_dropped(void *context, const struct login_entry *entry)
{
	struct identity_login *login = context;

	if (entry->kind == LOGIN_KERBEROS && !login->is_wallet_lost)
		wallet_drop(login->wallet, entry->number);
}

static void visit_to_drop(void *context, struct login_entry *entry)
{
	forget_entry(context, entry);
	if (entry->flight != NULL)
		entry->flight->is_void = true;
}

static void drop_mailbox(struct identity_login *login, const char *mailbox)
{
	login_cache_visit(login->cache, mailbox, visit_to_drop, login);
	login_count_cached(login);
}

struct users_visit {
	struct identity_login *login;
	const struct user_index *index;
};

static void visit_user(void *context, struct login_entry *entry)
{
	const struct users_visit *visit = context;
	int64_t valid_from;

	if (!user_index_find(visit->index, entry->mailbox, &valid_from))
		return;
	/* Whoever came in again after that has a login of after that. */
	if (entry->flight != NULL && entry->flight->begun_at <= valid_from)
		entry->flight->is_void = true;
	if (entry->known != LOGIN_NOTHING && entry->got_at <= valid_from)
		forget_entry(visit->login, entry);
}

void identity_login_take_users(struct identity_login *login, int fd)
{
	struct users_visit visit = {.login = login};
	struct error err;
	struct user_index *index = user_index_open(fd, &err);

	if (index == NULL) {
		log_message(CONFIG_LOG_ERROR, "users", "%s", err.text);
		return;
	}
	visit.index = index;
	login_cache_visit(login->cache, NULL, visit_user, &visit);
	user_index_close(index);
	login_count_cached(login);
}

static void visit_lost(void *context, struct login_entry *entry)
{
	struct identity_login *login = context;

	if (entry->kind == LOGIN_KERBEROS && entry->known == LOGIN_HAVE)
		login_entry_forget(login->cache, entry);
}

static void on_wallet_lost(void *context)
{
	struct identity_login *login = context;

	login->is_wallet_lost = true;
	login_cache_visit(login->cache, NULL, visit_lost, login);
	login->is_wallet_lost = false;
	login_count_cached(login);
}

/* What workers say */

bool identity_login_take(
	struct identity_login *login, struct peer *peer, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_LOGIN_QUERY: return login_request_begin(login, peer, message);
	case MESSAGE_LOGIN_PROOF: return login_proof_begin(login, peer, message);
	case MESSAGE_LOGIN_FORGET:
		return login_forget_begin(login, peer, message->u.login_forget.context);
	case MESSAGE_LOGIN_DROP: drop_mailbox(login, message->u.login_drop.mailbox); return true;
	default: return false;
	}
}

/* Start-up */

static int fork_spawners(struct identity_login *login, struct error *err)
{
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++) {
		if (login->works[kind] == NULL)
			continue;
		login->spawners[kind] = helpers_fork(login->child, login->works[kind], err);
		if (login->spawners[kind] == -1)
			return -1;
	}
	if (login->tokens == NULL)
		return 0;
	login->tokens_spawner = helpers_fork(login->child, login->tokens, err);
	return login->tokens_spawner != -1 ? 0 : -1;
}

struct identity_login *identity_login_open(const struct child *child,
	const struct identity_works *works, const struct login_clock *clock, struct error *err)
{
	struct identity_login *login = calloc(1, sizeof(*login));

	if (login == NULL) {
		error_sys(err, "preparing logins");
		return NULL;
	}
	assert((works->ticket == NULL) == (works->tokens == NULL));
	assert(works->tokens == NULL || works->tokens->count == 1);
	login->child = child;
	login->config = child->config;
	login->clock = clock != NULL ? clock : &real_clock;
	login->works[LOGIN_KERBEROS] = works->ticket;
	login->works[LOGIN_MINTED] = works->minter;
	login->works[LOGIN_BEARER] = works->bearer;
	login->works[LOGIN_ASSERTION] = works->signer;
	login->tokens = works->tokens;
	if (fork_spawners(login, err) == 0)
		return login;
	free(login);
	return NULL;
}

static int start_desk(struct identity_login *login, enum login_kind kind)
{
	const struct config_upstream *config = &login->config->upstream;
	struct shared_login *counts = login_counts(login, kind);
	const struct login_desk_terms terms = {
		.kind = kind,
		.work = login->works[kind],
		.limit_ms = config->login_time_ms,
		.queue = config->login_queue,
		.clock = login->clock->ms,
		.counts = counts,
		.changed = login->changed,
		.context = login->context,
	};

	/* What an identity process before this one has left behind. */
	atomic_store(&counts->is_down, 0);
	atomic_store(&counts->since, (uint64_t)time(NULL));
	atomic_store(&counts->cached, 0);
	atomic_store(&counts->waiting, 0);
	login->desks[kind] = login_desk_new(login->base, &terms, login->spawners[kind]);
	return login->desks[kind] != NULL ? 0 : -1;
}

int identity_login_start(struct identity_login *login, struct event_base *base,
	struct identity_directory *directory, void (*changed)(void *context, enum login_kind kind),
	void *context)
{
	login->base = base;
	login->directory = directory;
	login->changed = changed;
	login->context = context;
	login->cache =
		login_cache_new(login->config->upstream.login_cache, on_entry_dropped, login);
	login->wipe_timer = evtimer_new(base, login_on_wipe_timer, login);
	if (login->cache == NULL || login->wipe_timer == NULL)
		return -1;
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		if (login->works[kind] != NULL && start_desk(login, kind) == -1)
			return -1;
	if (login->tokens == NULL)
		return 0;
	login->wallet = login_wallet_new(base, login->tokens, login->tokens_spawner,
		login->config->upstream.login_time_ms, on_wallet_lost, login);
	return login->wallet != NULL ? 0 : -1;
}

void identity_login_state(
	const struct identity_login *login, enum login_kind kind, struct message *message)
{
	message->type = MESSAGE_LOGIN_STATE;
	message->u.login_state.kind = kind;
	if (login->desks[kind] != NULL)
		message->u.login_state.is_down = login_desk_state(login->desks[kind],
			&message->u.login_state.since, &message->u.login_state.fault);
}

void identity_login_close(struct identity_login *login)
{
	if (login == NULL)
		return;
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		login_desk_free(login->desks[kind]);
	login->is_wallet_lost = true;
	login_cache_free(login->cache);
	login_wallet_free(login->wallet);
	if (login->wipe_timer != NULL)
		event_free(login->wipe_timer);
	free(login);
}
