/*
 * The record layer of a channel whose SSL object is gone: protects and opens records of TLS 1.3 (RFC
 * 8446 5) and TLS 1.2 (RFC 5246 6.2.3.3) and knows what may still come after a handshake. It does no
 * I/O: bytes come in, bytes go out. docs/deep-sleep.md says why it may be trusted. For proxy/tls*.c.
 */
#ifndef PROXY_TLS_RECORDS_H
#define PROXY_TLS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/tls_keys.h"
#include "proxy/tls_suite.h"

enum {
	TLS_CONTENT_MAX = 16 * 1024, /* of one record, RFC 8446 5.1 */
	TLS_HEAD = 5,                /* type, version, length */
	/* The largest record of either version on the wire: RFC 5246 6.2.3 allows most. */
	TLS_WIRE_MAX = TLS_HEAD + TLS_CONTENT_MAX + 2048,
	/* The most by which a record of ours is longer than its content. */
	TLS_OVERHEAD_MAX = TLS_HEAD + 8 + TLS_TAG,
	/* An alert or a KeyUpdate as a record. */
	TLS_OWED_MAX = TLS_OVERHEAD_MAX + 5,
	/* RFC 8446 5.5: no more than 2^24.5 records under one key of AES-GCM. From the first number on a new
	 * key is agreed on where the version can; at the second one the channel ends. */
	TLS_RECORDS_BEFORE_UPDATE = 1 << 24,
	TLS_RECORDS_MAX = 23726566,
	/* Records in a row without content: more are a flood. */
	TLS_IDLE_RECORDS_MAX = 32,
	/* Warnings in a row: as OpenSSL has it. */
	TLS_WARNINGS_MAX = 4,
	TLS_MESSAGE_HEAD = 4, /* of a handshake message: type, length */
	/* A handshake message that is passed over: as OpenSSL has it. */
	TLS_MESSAGE_MAX = 16 * 1024,
};

enum tls_content {
	TLS_CHANGE_CIPHER_SPEC = 20,
	TLS_ALERT = 21,
	TLS_HANDSHAKE = 22,
	TLS_APPLICATION_DATA = 23
};

enum tls_direction { TLS_IN, TLS_OUT };

struct tls_server_name;

/* What a channel has only now and then: each kind is a struct of its file that begins with this. */
enum tls_held_kind {
	TLS_HELD_RECEIVED, /* tls_stream.c: not yet given to the caller */
	TLS_HELD_UNSENT,   /* tls_stream.c: not yet taken by the socket */
	TLS_HELD_MESSAGE,  /* tls_messages.c: a handshake message that came in pieces */
	TLS_HELD_PEER,     /* tls_takeover.c: the peer's certificates */
};

struct tls_held {
	struct tls_held *next;
	enum tls_held_kind kind;
};

/* All that a channel is while nothing is under way, on the heap, as long as its suite needs it. */
struct tls_records {
	uint64_t sequence[2];         /* of the next record, by direction */
	struct tls_held *held;        /* one of a kind at most; or NULL */
	struct tls_server_name *name; /* tls_takeover.c: or NULL */
	uint16_t content_max;         /* of a record in either direction (RFC 6066 4) */
	uint8_t suite;                /* its number */
	uint8_t place[2];             /* by direction: tls_aead.h */
	uint8_t idle_records;         /* in a row */
	uint8_t warnings : 3;         /* in a row */
	bool is_server : 1;
	bool has_ended : 1;    /* the peer has said that nothing more comes */
	bool is_broken : 1;    /* there was a fault: nothing more is read or said */
	bool is_cut : 1;       /* a record of ours may have been cut: nothing more is said */
	bool owes_update : 1;  /* the peer has asked for a KeyUpdate */
	bool owes_request : 1; /* the peer should be asked for one */
	bool has_asked : 1;    /* it has been */
	bool owes_warning : 1; /* that there is no renegotiation */
	/* Per direction, in TLS 1.3 the traffic secret, else key and IV, which is with AES-GCM the salt,
	 * and what is added to the sequence. */
	uint8_t secrets[];
};

/* What a handshake has left behind. */
struct tls_start {
	const struct tls_suite *suite;
	bool is_server;
	uint16_t content_max;
	/* 1.3: the first application traffic secrets. Both sequences begin with 0. */
	const uint8_t *secret[2];
	/* 1.2: keys and IVs; both Finished had sequence 0. */
	const struct tls_keys *keys[2];
	/* 1.2 with AES-GCM: the explicit nonce of our Finished. Those after it follow it one by one. */
	uint8_t explicit_nonce[8];
};

/* Why a channel has to end. */
struct tls_fault {
	int alert; /* that the peer is to be told; -1: none. close_notify: nobody did wrong */
	const char *reason; /* static */
};

/* NULL when memory runs out. */
struct tls_records *tls_records_new(const struct tls_start *start);
/* Wipes it. What it holds must be gone by then, but for a message. */
void tls_records_free(struct tls_records *records);

/* What protects the direction's records now: the caller wipes it. 0, or -1 when OpenSSL cannot. */
int tls_records_keys(
	const struct tls_records *records, enum tls_direction direction, struct tls_keys *keys);

/* What it holds of that kind, or NULL. */
struct tls_held *tls_records_held(const struct tls_records *records, enum tls_held_kind kind);
/* Has it hold that from now on, and nothing else of that kind: it is on the heap, and stays its file's. */
void tls_records_hold(struct tls_records *records, struct tls_held *held, enum tls_held_kind kind);
/* Frees what it holds of that kind, if anything. */
void tls_records_drop(struct tls_records *records, enum tls_held_kind kind);

/* Receiving */

enum tls_step {
	TLS_STEP_MORE,    /* there is no whole record yet */
	TLS_STEP_CONTENT, /* a record of content */
	TLS_STEP_NOTHING, /* a record that was not for the caller */
	TLS_STEP_END,     /* close_notify */
	TLS_STEP_FAULT    /* the channel has to end: nothing more can be opened */
};

struct tls_opened {
	size_t used;           /* length of the record */
	size_t in_out;         /* bytes of content in out */
	const uint8_t *beyond; /* within wire: the bytes that out had no room for */
	size_t beyond_len;
};

/*
 * Opens the first record of wire. Content goes to out, capacity bytes of it, and stays in its place in
 * wire beyond that. opened is filled for all but MORE and FAULT.
 */
enum tls_step tls_records_open(struct tls_records *records, uint8_t *wire, size_t len, uint8_t *out,
	size_t capacity, struct tls_opened *opened, struct tls_fault *fault);

/* Whether tls_records_open() would say something else than MORE. */
bool tls_records_can_open(const struct tls_records *records, const uint8_t *wire, size_t len);

/* Sending */

/* Seals at most records->content_max bytes of content into one record. Returns its length, or 0 with
 * fault filled. out has room for len + TLS_OVERHEAD_MAX. What is owed has to go first. */
size_t tls_records_seal(struct tls_records *records, const uint8_t *data, size_t len, uint8_t *out,
	struct tls_fault *fault);

/* What has to be sent before any more content: an answer to the peer, or a new key of our own in time.
 * Returns the length, 0 for nothing or with fault->reason not NULL; out: TLS_OWED_MAX. */
size_t tls_records_seal_owed(struct tls_records *records, uint8_t *out, struct tls_fault *fault);

/* An alert, as a warning if it is close_notify, else as fatal. Returns the length, 0 when OpenSSL
 * cannot. out: TLS_OWED_MAX. */
size_t tls_records_seal_alert(struct tls_records *records, int alert, uint8_t *out);

/* By how much a record is longer than its content, with no padding. */
size_t tls_records_overhead(const struct tls_records *records);

#endif
