#include "proxy/control_seen.h"

#include <event2/event.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/unicode.h"
#include "config/hex.h"
#include "proxy/control_process.h"
#include "proxy/control_users.h"
#include "proxy/log.h"

enum {
	PENDING_MAX = 256,          /* reports that are written together */
	PENDING_STRANGERS_MAX = 64, /* of them, and so in one second: the others are dropped */
	PRUNE_TICKS = 60,           /* seconds between two looks at what is to be forgotten */
	PRUNE_WRITES = 2000,        /* or so many reports */
	PAGE_MAX = 200,
	PAGE_BYTES = 2 * 1024 * 1024, /* of chains; CONTROL_ANSWER_MAX holds them in base64 */
};

struct control_seen {
	struct event *tick;
	unsigned int ticks, writes; /* since the last pruning */
	uint64_t dropped;
	size_t count, strangers;
	struct state_seen pending[PENDING_MAX];
	struct message messages[PENDING_MAX]; /* what those point into */
};

/* Writing */

void control_seen_flush(struct control *control)
{
	struct control_seen *seen = control->seen;
	struct error err = {""};

	if (seen->count == 0)
		return;
	if (state_seen_put(control->store, seen->pending, seen->count, &err) == -1)
		seen->dropped += seen->count;
	control_store_trouble(control, CONTROL_TROUBLE_SEEN, err.text);
	seen->writes += (unsigned int)seen->count;
	seen->count = seen->strangers = 0;
}

static void prune(struct control *control)
{
	struct control_seen *seen = control->seen;
	struct error err;
	int result = state_seen_prune(control->store, (int64_t)time(NULL), STATE_SEEN_MAX,
		STATE_SEEN_STRANGERS_MAX, &err);

	if (result == -1)
		control_store_trouble(control, CONTROL_TROUBLE_SEEN, err.text);
	seen->writes = 0;
	/* The rest a second from now. */
	seen->ticks = result == 1 ? PRUNE_TICKS : 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	control_seen_flush(control);
	if (++control->seen->ticks > PRUNE_TICKS || control->seen->writes > PRUNE_WRITES)
		prune(control);
}

/* Reports */

void control_seen_take(struct control *control, const struct message *message)
{
	struct control_seen *seen = control->seen;
	struct message *kept = &seen->messages[seen->count];
	struct state_seen *pending = &seen->pending[seen->count];
	bool is_stranger = message->u.seen.mailbox[0] == '\0';

	if (is_stranger && seen->strangers == PENDING_STRANGERS_MAX) {
		seen->dropped++;
		return;
	}
	*kept = *message;
	*pending = (struct state_seen){.chain = span_of(kept->u.seen.chain, kept->u.seen.chain_len),
		.mailbox = kept->u.seen.mailbox,
		.last_seen = (int64_t)time(NULL),
		.refusal = kept->u.seen.refusal == REFUSAL_NONE
				   ? ""
				   : refusal_row((enum refusal)kept->u.seen.refusal)->name};
	memcpy(pending->leaf_sha256, kept->u.seen.leaf_sha256, sizeof(pending->leaf_sha256));
	if (!state_seen_is_sound(pending->chain, pending->leaf_sha256) ||
		!unicode_is_plain(span_of_string(pending->mailbox), false)) {
		seen->dropped++;
		return;
	}
	seen->count++;
	seen->strangers += is_stranger;
	if (seen->count == PENDING_MAX)
		control_seen_flush(control);
}

int control_seen_start(struct control *control, struct error *err)
{
	static const struct timeval second = {.tv_sec = 1};
	static struct control_seen seen; /* large, and there is one */

	control->seen = &seen;
	seen.ticks = PRUNE_TICKS;
	seen.tick = event_new(control->base, -1, EV_PERSIST, on_tick, control);
	if (seen.tick == NULL || event_add(seen.tick, &second) == -1)
		return error_set(err, "out of memory");
	return 0;
}

uint64_t control_seen_dropped(const struct control *control)
{
	return control->seen->dropped;
}

/* The request */

static json_t *base64_of(struct span bytes)
{
	unsigned char text[(SEEN_CHAIN_MAX + 2) / 3 * 4 + 1];

	if (bytes.len > SEEN_CHAIN_MAX) /* no report was that long */
		return NULL;
	return json_stringn(
		(const char *)text, (size_t)EVP_EncodeBlock(text, bytes.data, (int)bytes.len));
}

json_t *control_seen_object(const struct state_seen *seen)
{
	struct span rest = seen->chain, certificate;
	json_t *chain = json_array();
	char sha256[65];

	hex_write(span_of(seen->leaf_sha256, sizeof(seen->leaf_sha256)), sha256);
	while (state_seen_next(&rest, &certificate))
		json_array_append_new(chain, base64_of(certificate));
	return json_pack("{s:I,s:s,s:s,s:I,s:I,s:s,s:I,s:o}", "id", (json_int_t)seen->id, "sha256",
		sha256, "mailbox", seen->mailbox, "first_seen", (json_int_t)seen->first_seen,
		"last_seen", (json_int_t)seen->last_seen, "refusal", seen->refusal, "count",
		(json_int_t)seen->count, "chain", chain);
}

struct page {
	json_t *certificates;
	size_t bytes, count;
	int64_t last_id;
};

static bool append(void *context, const struct state_seen *seen)
{
	struct page *page = context;

	json_array_append_new(page->certificates, control_seen_object(seen));
	page->bytes += seen->chain.len;
	page->count++;
	page->last_id = seen->id;
	return page->bytes < PAGE_BYTES;
}

/* {"after": ID} has the page begin behind that one; "next" is what to give for the page after this
 * one, and is not there at the end. */
void control_request_seen(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	int64_t after = json_integer_value(json_object_get(request->arguments, "after"));
	struct page page = {.certificates = json_array()};
	struct error err;
	json_t *answer;

	control_seen_flush(control);
	if (state_seen_after(control->store, after, PAGE_MAX, append, &page, &err) == -1) {
		json_decref(page.certificates);
		control_answer_error(client, "%s", err.text);
		return;
	}
	answer = json_pack("{s:o}", "certificates", page.certificates);
	if (page.count == PAGE_MAX || page.bytes >= PAGE_BYTES)
		json_object_set_new(answer, "next", json_integer(page.last_id));
	control_answer(client, answer);
}
