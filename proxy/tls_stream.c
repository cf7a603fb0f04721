#include "proxy/tls_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	/* Records that are sealed at a time. */
	SEALED_MAX = 4,
	WIRE_OUT = SEALED_MAX * (TLS_CONTENT_MAX + TLS_OVERHEAD_MAX),
	WIRE_IN = 2 * TLS_WIRE_MAX,
};

/* What was received and has not been given to the caller: content, and behind it bytes as they came. */
struct received {
	struct tls_held held;
	const char
		*reason; /* not NULL: the channel has failed, which the caller has yet to be told */
	size_t content_len, wire_len;
	uint8_t bytes[];
};

/* What is sealed and was not taken by the socket. */
struct unsent {
	struct tls_held held;
	size_t len, at;     /* bytes, and how many of them are sent */
	size_t whole;       /* where the first record begins that is not sent whole */
	size_t content_len; /* content that the caller thinks of as not written, and offers again */
	size_t gone;        /* of it: sent whole by now, which the caller has yet to be told */
	uint8_t bytes[];
};

/* All channels of a process take turns with these. */
static uint8_t wire_in[WIRE_IN], wire_out[WIRE_OUT];

static struct received *received_of(const struct tls_records *records)
{
	return (struct received *)tls_records_held(records, TLS_HELD_RECEIVED);
}

static struct unsent *unsent_of(const struct tls_records *records)
{
	return (struct unsent *)tls_records_held(records, TLS_HELD_UNSENT);
}

/* Why a channel has failed that is broken. */
static const char *reason_of(const struct received *received)
{
	return received != NULL && received->reason != NULL ? received->reason : "";
}

static const char *last_reason = "";

const char *tls_stream_failure(void)
{
	return last_reason;
}

static enum tls_result failed(const char *reason)
{
	last_reason = reason;
	return TLS_ERROR;
}

/* Of a record of ours a part may be with the peer: nothing can follow it any more, not even an alert. What
 * the peer has said can still be read. */
static enum tls_result failed_to_send(struct tls_records *records, const char *reason)
{
	records->is_cut = true;
	return failed(reason);
}

/* Whether a call on the socket that has failed may do better later. */
static bool is_for_later(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Sending */

/* Sends what fits. 0, or -1 when the socket is broken. */
static int send_some(int fd, const uint8_t *bytes, size_t len, size_t *sent)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

	*sent = n > 0 ? (size_t)n : 0;
	return n >= 0 || is_for_later() ? 0 : -1;
}

/* Keeps sealed records of which at bytes are sent. 0 or -1. */
static int keep_unsent(struct tls_records *records, const uint8_t *sealed, size_t len, size_t at,
	size_t content_len)
{
	struct unsent *unsent = malloc(sizeof(*unsent) + len);

	if (unsent == NULL)
		return -1;
	*unsent = (struct unsent){.len = len, .at = at, .content_len = content_len};
	memcpy(unsent->bytes, sealed, len);
	tls_records_hold(records, &unsent->held, TLS_HELD_UNSENT);
	return 0;
}

/* How much content is in the records that begin at *whole and are sent whole, which it steps over. */
static size_t count_whole(
	const struct tls_records *records, const uint8_t *sealed, size_t sent, size_t *whole)
{
	size_t content_len = 0;

	while (sent - *whole >= TLS_HEAD) {
		const uint8_t *head = sealed + *whole;
		size_t len = TLS_HEAD + ((size_t)head[3] << 8 | head[4]);

		if (sent - *whole < len)
			break;
		*whole += len;
		content_len += len - tls_records_overhead(records);
	}
	return content_len;
}

/* Sends what is kept, and frees it once nothing of it is left to be told. 0 or -1. */
static int send_unsent(struct tls_records *records, int fd)
{
	struct unsent *unsent = unsent_of(records);
	size_t sent = 0;

	if (unsent->at < unsent->len &&
		send_some(fd, unsent->bytes + unsent->at, unsent->len - unsent->at, &sent) != 0)
		return -1;
	unsent->at += sent;
	unsent->gone += count_whole(records, unsent->bytes, unsent->at, &unsent->whole);
	/* Alerts and key updates are no content. */
	if (unsent->gone > unsent->content_len)
		unsent->gone = unsent->content_len;
	if (unsent->at == unsent->len && unsent->content_len == 0)
		tls_records_drop(records, TLS_HELD_UNSENT);
	return 0;
}

/* What the caller is told of content that was kept. */
static size_t tell_gone(struct tls_records *records, size_t offered)
{
	struct unsent *unsent = unsent_of(records);
	size_t told = unsent->gone < offered ? unsent->gone : offered;

	unsent->gone -= told;
	unsent->content_len -= told;
	if (unsent->at == unsent->len && unsent->content_len == 0)
		tls_records_drop(records, TLS_HELD_UNSENT);
	return told;
}

/* The last thing that is said. What does not fit into the socket at once is not waited for. */
static void say_last(struct tls_records *records, int fd, int alert)
{
	const struct unsent *unsent;
	uint8_t sealed[TLS_OWED_MAX];
	size_t len, sent;

	if (records->is_cut)
		return;
	if (unsent_of(records) != NULL && send_unsent(records, fd) != 0)
		return;
	unsent = unsent_of(records);
	if (unsent != NULL && unsent->at < unsent->len)
		return; /* within another record it would only be noise */
	len = tls_records_seal_alert(records, alert, sealed);
	if (len > 0)
		send_some(fd, sealed, len, &sent);
}

static enum tls_result break_off(struct tls_records *records, int fd, const struct tls_fault *fault)
{
	if (fault->alert != -1)
		say_last(records, fd, fault->alert);
	records->is_broken = true;
	return failed(fault->reason);
}

/* What has to go before content does; nothing is kept in front of it. DONE: all of it has gone. */
static enum tls_result send_owed(struct tls_records *records, int fd)
{
	uint8_t sealed[TLS_OWED_MAX];
	struct tls_fault fault;
	size_t len = tls_records_seal_owed(records, sealed, &fault), sent = 0;

	if (fault.reason != NULL)
		return break_off(records, fd, &fault);
	if (len == 0)
		return TLS_DONE;
	if (send_some(fd, sealed, len, &sent) != 0)
		return failed_to_send(records, "");
	if (sent == len)
		return TLS_DONE;
	return keep_unsent(records, sealed, len, sent, 0) == 0
		       ? TLS_WANTS_WRITE
		       : failed_to_send(records, "out of memory");
}

/* Seals as much as goes at a time: *taken of data. DONE with *sealed_len bytes in wire_out. */
static enum tls_result seal_content(struct tls_records *records, int fd, const uint8_t *data,
	size_t len, size_t *taken, size_t *sealed_len)
{
	*taken = 0;
	*sealed_len = 0;
	for (int i = 0; i < SEALED_MAX && *taken < len; i++) {
		size_t piece = len - *taken;
		struct tls_fault fault;
		size_t record_len;

		if (piece > records->content_max)
			piece = records->content_max;
		record_len = tls_records_seal(
			records, data + *taken, piece, wire_out + *sealed_len, &fault);
		if (record_len == 0) {
			/* What was sealed before has to go out first, for it has its numbers. */
			if (*taken > 0)
				return TLS_DONE;
			return break_off(records, fd, &fault);
		}
		*taken += piece;
		*sealed_len += record_len;
	}
	return TLS_DONE;
}

static enum tls_result write_content(
	struct tls_records *records, int fd, const uint8_t *data, size_t len, size_t *written)
{
	size_t taken, sealed_len, sent = 0, whole = 0;
	enum tls_result result = seal_content(records, fd, data, len, &taken, &sealed_len);

	if (result != TLS_DONE)
		return result;
	if (send_some(fd, wire_out, sealed_len, &sent) != 0)
		return failed_to_send(records, "");
	if (sent == sealed_len) {
		*written = taken;
		return TLS_DONE;
	}
	*written = count_whole(records, wire_out, sent, &whole);
	if (keep_unsent(records, wire_out + whole, sealed_len - whole, sent - whole,
		    taken - *written) != 0)
		return failed_to_send(records, "out of memory");
	return *written > 0 ? TLS_DONE : TLS_WANTS_WRITE;
}

enum tls_result tls_stream_write(
	struct tls_records *records, int fd, const void *data, size_t len, size_t *written)
{
	enum tls_result result;

	*written = 0;
	if (records->is_cut)
		return failed("");
	if (records->is_broken)
		return failed(reason_of(received_of(records)));
	if (unsent_of(records) != NULL) {
		if (send_unsent(records, fd) != 0)
			return failed_to_send(records, "");
		if (unsent_of(records) != NULL) {
			*written = tell_gone(records, len);
			return *written > 0 ? TLS_DONE : TLS_WANTS_WRITE;
		}
	}
	result = send_owed(records, fd);
	return result == TLS_DONE ? write_content(records, fd, data, len, written) : result;
}

/* Receiving */

/* Keeps what the caller gets later. 0 or -1. */
static int keep_received(struct tls_records *records, const char *reason, const uint8_t *content,
	size_t content_len, const uint8_t *wire, size_t wire_len)
{
	struct received *received = malloc(sizeof(*received) + content_len + wire_len);

	if (received == NULL)
		return -1;
	*received = (struct received){
		.reason = reason, .content_len = content_len, .wire_len = wire_len};
	if (content_len > 0)
		memcpy(received->bytes, content, content_len);
	if (wire_len > 0)
		memcpy(received->bytes + content_len, wire, wire_len);
	tls_records_hold(records, &received->held, TLS_HELD_RECEIVED);
	return 0;
}

int tls_stream_give(struct tls_records *records, const void *wire, size_t len)
{
	return len > 0 ? keep_received(records, NULL, NULL, 0, wire, len) : 0;
}

static bool can_open(const struct tls_records *records, const struct received *received)
{
	return tls_records_can_open(
		records, received->bytes + received->content_len, received->wire_len);
}

bool tls_stream_has_pending(const struct tls_records *records)
{
	const struct received *received = received_of(records);

	return records->has_ended ||
	       (received != NULL && (received->content_len > 0 || received->reason != NULL ||
					    can_open(records, received)));
}

/* Content that had no room in an earlier call. */
static size_t give_content(struct tls_records *records, uint8_t *data, size_t capacity)
{
	struct received *received = received_of(records);
	size_t given = received->content_len < capacity ? received->content_len : capacity;

	memcpy(data, received->bytes, given);
	received->content_len -= given;
	memmove(received->bytes, received->bytes + given,
		received->content_len + received->wire_len);
	if (received->content_len == 0 && received->wire_len == 0 && received->reason == NULL)
		tls_records_drop(records, TLS_HELD_RECEIVED);
	return given;
}

/* Receives to behind the first had bytes of wire_in as much as may become capacity bytes of content, or
 * one record. DONE with *len more. */
static enum tls_result receive(
	struct tls_records *records, int fd, size_t had, size_t capacity, size_t *len)
{
	size_t wanted = TLS_WIRE_MAX;
	ssize_t n;

	if (capacity > TLS_CONTENT_MAX)
		wanted = capacity + 2 * tls_records_overhead(records);
	if (wanted < TLS_WIRE_MAX)
		wanted = TLS_WIRE_MAX;
	if (wanted > WIRE_IN)
		wanted = WIRE_IN;
	n = recv(fd, wire_in + had, wanted - had, 0);
	if (n > 0) {
		*len = (size_t)n;
		return TLS_DONE;
	}
	if (n < 0)
		return is_for_later() ? TLS_WANTS_READ : failed("");
	/* Phones often go without a word, and a request that was cut counts for nothing. An endpoint's
	 * answer may end with its connection, so there the end has to be said. */
	if (records->is_server)
		return TLS_EOF;
	records->is_broken = true;
	return failed("unexpected eof while reading");
}

/* Opens the records of wire_in. */
static enum tls_result open_records(struct tls_records *records, int fd, size_t wire_len,
	uint8_t *data, size_t capacity, size_t *len)
{
	struct tls_opened opened = {.beyond_len = 0};
	struct tls_fault fault = {.reason = NULL};
	enum tls_step step = TLS_STEP_NOTHING;
	size_t at = 0;

	while (step == TLS_STEP_NOTHING || (step == TLS_STEP_CONTENT && *len < capacity)) {
		step = tls_records_open(records, wire_in + at, wire_len - at, data + *len,
			capacity - *len, &opened, &fault);
		if (step == TLS_STEP_MORE || step == TLS_STEP_FAULT)
			break;
		at += opened.used;
		*len += opened.in_out;
	}
	if (step == TLS_STEP_FAULT) {
		break_off(records, fd, &fault);
		/* First what was said before. */
		if (*len > 0 && keep_received(records, fault.reason, NULL, 0, NULL, 0) == 0)
			return TLS_DONE;
		return TLS_ERROR;
	}
	/* RFC 8446 6.1: what comes behind close_notify does not count. */
	if (step == TLS_STEP_END)
		return *len > 0 ? TLS_DONE : TLS_EOF;
	if ((at < wire_len || opened.beyond_len > 0) &&
		keep_received(records, NULL, opened.beyond, opened.beyond_len, wire_in + at,
			wire_len - at) != 0) {
		records->is_broken = true;
		return failed("out of memory");
	}
	return *len > 0 ? TLS_DONE : TLS_WANTS_READ;
}

enum tls_result tls_stream_read(
	struct tls_records *records, int fd, void *data, size_t capacity, size_t *len)
{
	struct received *received = received_of(records);
	size_t had = 0, more = 0;
	enum tls_result result;

	*len = 0;
	if (received != NULL && received->content_len > 0) {
		*len = give_content(records, data, capacity);
		return TLS_DONE;
	}
	if (records->is_broken)
		return failed(reason_of(received));
	if (records->has_ended)
		return TLS_EOF;
	if (received != NULL)
		had = received->wire_len;
	if (received == NULL || !can_open(records, received)) {
		result = receive(records, fd, had, capacity, &more);
		if (result != TLS_DONE)
			return result;
	}
	if (received != NULL) {
		memcpy(wire_in, received->bytes, had);
		tls_records_drop(records, TLS_HELD_RECEIVED);
	}
	result = open_records(records, fd, had + more, data, capacity, len);
	/* That there is no renegotiation is said at once; all else that is owed waits for content. */
	if (records->owes_warning && !records->is_broken && !records->is_cut &&
		unsent_of(records) == NULL && send_owed(records, fd) == TLS_ERROR && *len == 0)
		return TLS_ERROR;
	return result;
}

void tls_stream_close(struct tls_records *records, int fd)
{
	if (!records->is_broken)
		say_last(records, fd, SSL_AD_CLOSE_NOTIFY);
	tls_records_drop(records, TLS_HELD_UNSENT);
	tls_records_drop(records, TLS_HELD_RECEIVED);
}
