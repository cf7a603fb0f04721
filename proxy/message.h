/*
 * The messages between processes: one SOCK_SEQPACKET packet is one struct message; at most one
 * descriptor travels beside it. All types are in this one table. What a child sends is checked by
 * the supervisor as if it came from outside.
 */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include <stdint.h>

#include "auth/directory.h"
#include "auth/identity_names.h"
#include "auth/login.h"
#include "auth/mailbox.h"
#include "auth/ocsp.h"
#include "auth/revocation.h"
#include "auth/revocation_index.h"
#include "auth/trust_store.h"
#include "config/error.h"
#include "config/refusal.h"
#include "proxy/device_facts.h"
#include "proxy/device_grant.h"
#include "proxy/eas.h"
#include "proxy/governor_state.h"
#include "proxy/history.h"

enum message_type {
	/* child -> supervisor */
	MESSAGE_READY = 1, /* start-up is done */
	MESSAGE_INDEX,     /* revocation -> supervisor -> workers, control: u.index, with the
				   index's fd */
	MESSAGE_CRL,       /* revocation -> supervisor -> control: u.crl */
	MESSAGE_RELOAD,    /* control -> supervisor: as SIGHUP */
	MESSAGE_RELOADED,  /* supervisor -> control: u.text: "" or the faults (cut) */
	MESSAGE_REFRESH,   /* control -> supervisor -> revocation: u.refresh: look for CRLs now */
	/* supervisor -> child */
	MESSAGE_PEER,  /* u.peer: a channel to another child, with its fd */
	MESSAGE_START, /* worker: all indexes and peers that there are have been sent */
	MESSAGE_LOG,   /* the log file was reopened, with the new fd */
	MESSAGE_DRAIN, /* finish: u.drain */
	MESSAGE_USERS, /* control -> supervisor -> workers, identity: the users that are out, with the
			    sealed memory file of auth/user_index.h; sent before READY and at every
			    change */
	MESSAGE_DEVICES, /* likewise what is held against devices, with that of proxy/device_index.h */
	MESSAGE_TRUST, /* supervisor -> workers of an older generation: u.trust */
	/* worker <-> identity, control <-> identity */
	MESSAGE_MAILBOX_QUERY,  /* u.mailbox_query */
	MESSAGE_MAILBOX_ANSWER, /* u.mailbox_answer */
	MESSAGE_DIRECTORY_CHANGED, /* identity -> worker: mailboxes that were found may be others now */
	MESSAGE_LOGIN_QUERY, /* u.login_query: a login on somebody's behalf, or one of its secrets */
	MESSAGE_LOGIN_ANSWER, /* u.login_answer */
	MESSAGE_LOGIN_PROOF, /* u.login_proof: the mail server's own token; also identity <-> helper */
	MESSAGE_LOGIN_PROVEN, /* u.login_proven: whether it was good */
	MESSAGE_LOGIN_FORGET, /* u.login_forget: no proof will come; also identity -> helper */
	MESSAGE_LOGIN_DROP, /* u.login_drop, both ways: what is known for somebody is not to be used any more */
	MESSAGE_LOGIN_STATE, /* identity -> control: u.login_state: who gives logins is down, or up */
	/* identity <-> its helper processes (identity_helpers.h) */
	MESSAGE_HELPER, /* -> spawner: ends helper u.helper.slot, if there is one, and starts another;
			   the way back with the channel to it */
	MESSAGE_DIRECTORY_QUESTION, /* u.directory_question */
	MESSAGE_DIRECTORY_ANSWER,   /* u.directory_answer */
	MESSAGE_LOGIN_JOB,          /* u.login_job: a login is to be got */
	MESSAGE_LOGIN_DONE, /* u.login_done; for Kerberos the ticket is in the memory file beside it */
	MESSAGE_TICKET_PUT,  /* u.ticket: keep the ticket in the memory file beside it */
	MESSAGE_TICKET_DROP, /* u.ticket: wipe it */
	MESSAGE_TOKEN_JOB,   /* u.ticket: a token from it; answered by LOGIN_DONE */
	/* worker -> control */
	MESSAGE_SEEN, /* u.seen: a certificate, and what became of it */
	/* worker <-> revocation */
	MESSAGE_OCSP_QUERY,  /* u.ocsp_query */
	MESSAGE_OCSP_ANSWER, /* u.ocsp_answer */
	/* worker <-> control */
	MESSAGE_DEVICE_QUERY, /* u.device_query: a device that the worker does not know yet; answered */
	MESSAGE_DEVICE_ANSWER, /* u.device_answer */
	MESSAGE_DEVICE_REPORT, /* u.device_report: what a device that is known has said since */
	MESSAGE_DEVICE_ORDER, /* u.device_order: a rule of the policy says what a device is from now on */
	MESSAGE_DEVICE_WIPED, /* u.device_wiped: a device was sent its wipe, or has acknowledged it */
	MESSAGE_DEVICE_NOTED, /* u.device_noted: an order or a wipe was written down; until then it is sent
				 again */
	/* worker -> control -> another worker */
	MESSAGE_POLL_SUPERSEDED, /* u.poll_superseded: a device's long poll is at the first one now */
	/* control <-> worker: easproxyctl upstream test */
	MESSAGE_UPSTREAM_TEST, /* u.upstream_test */
	MESSAGE_UPSTREAM_STEP, /* u.upstream_step: how far it has come */
	/* control <-> worker: what one device does */
	MESSAGE_HISTORY_QUERY, /* u.history_query: the last exchanges of a device */
	MESSAGE_HISTORY,       /* u.history: some of them, or that there are no more */
	MESSAGE_TRACE,         /* u.trace: follow it from now on, or no more */
	MESSAGE_TRACED,        /* u.traced: a piece of what was seen of it */
	MESSAGE_TRACE_MORE,    /* a piece was taken: there is room for another one */
};

enum { LOGIN_PROOF_MAX = 8 * 1024 };
enum { SEEN_CHAIN_MAX = 12 * 1024, MESSAGE_HISTORY_RECORDS = 64, MESSAGE_TRACED_BYTES = 8 * 1024 };

enum role {
	ROLE_SUPERVISOR,
	ROLE_WORKER,
	ROLE_REVOCATION,
	ROLE_IDENTITY,
	ROLE_CONTROL,
	ROLE_COUNT
};

const char *role_name(enum role role); /* "worker" */

/* An index, and what it was made of. */
struct message_index {
	uint32_t authority;
	uint32_t place; /* which of its CRL locations */
	struct revocation_facts facts;
};

/* How the last look at a CRL location went: a struct revocation_report. */
struct message_crl {
	uint32_t authority, place;
	uint32_t is_delta, is_unchanged; /* 0 or 1 */
	uint32_t form;                   /* enum revocation_form */
	uint32_t failures;
	uint32_t compile_ms;
	int64_t looked_at, next_look, began_ns;
	char error[480]; /* "": it went well */
};

struct mailbox_answer {
	uint64_t id; /* of the question */
	uint32_t refusal;
	int64_t valid_until; /* UNIX seconds: to be asked again afterwards; INT64_MAX: not before the
				configuration changes */
	char mailbox[MAILBOX_MAX + 1];       /* lower case; "" with a refusal */
	char users[DIRECTORY_USERS_MAX + 1]; /* other names for the owner: auth/directory.h */
	uint64_t groups;                     /* likewise */
	char reason
		[200]; /* printable; with a refusal why, else who says so ("" without a directory) */
};

/* Of one device, oldest first. */
struct message_history {
	uint64_t id;      /* of the question */
	uint32_t is_last; /* 1: the worker has no more; it has no records */
	uint32_t count;
	char mailbox[MAILBOX_MAX + 1];
	char device_id[EAS_DEVICE_ID_MAX + 1];
	struct history_record records[MESSAGE_HISTORY_RECORDS];
};

/* An event is one JSON object; its pieces come in their order. */
struct message_traced {
	uint32_t trace;   /* which */
	uint32_t dropped; /* events that were not sent before this one */
	uint32_t total;   /* bytes of the event */
	uint32_t offset, len;
	char bytes[MESSAGE_TRACED_BYTES];
};

struct message_device_order {
	uint64_t number;
	char mailbox[MAILBOX_MAX + 1];
	char device_id[EAS_DEVICE_ID_MAX + 1]; /* lower case */
	uint32_t state;                        /* enum device_state */
	char reason[128];                      /* "rule NAME" */
};

struct message_device_wiped {
	uint64_t number;
	char mailbox[MAILBOX_MAX + 1];
	char device_id[EAS_DEVICE_ID_MAX + 1]; /* lower case */
	uint32_t is_sent;    /* 1: it was sent to the device, which has not answered yet */
	uint32_t is_revoked; /* 1: by a revoked certificate, see control_device_wipe.c */
	uint32_t kind;       /* DEVICE_WIPE_ACCOUNT or DEVICE_WIPE_ALL */
	uint32_t status;     /* MS-ASPROV 2.2.2.54.1: 1 done, 2 failed */
	uint32_t version;    /* of the protocol */
	int64_t at;          /* UNIX seconds */
	/* The certificate. */
	uint8_t leaf_sha256[32];
	struct serial serial;
	char issuer[DEVICE_ISSUER_MAX + 1];
	int64_t not_before; /* UNIX seconds */
};

/* A secret, and what became of getting it. All who handle one wipe it afterwards. */
struct message_login_answer {
	uint64_t id; /* of the question */
	uint32_t refusal;
	uint32_t
		context; /* Kerberos: what the mail server's own token is checked against; 0: nothing */
	int64_t valid_until; /* UNIX seconds */
	/* Likewise: the directory is to be asked then whose the mailbox is. INT64_MAX: it was not. */
	int64_t account_until;
	uint32_t was_known; /* 1: nobody had to be asked but for a token from a ticket */
	/* Microseconds; 0: not done. */
	uint32_t directory_us, fetch_us, token_us;
	char account[DIRECTORY_ACCOUNT_MAX + DIRECTORY_REALM_MAX + 2]; /* whose login it is */
	struct login_fault fault;                                      /* with a refusal */
	uint32_t secret_len;
	uint8_t secret[LOGIN_SECRET_MAX];
};

struct message_login_done {
	uint32_t status; /* enum login_status */
	uint32_t context;
	int64_t valid_until;
	struct login_fault fault; /* unless GIVEN */
	uint32_t secret_len;
	uint8_t secret[LOGIN_SECRET_MAX];
};

struct message {
	uint32_t type;
	union {
		struct message_index index;
		struct message_crl crl;
		struct {
			uint32_t authority; /* UINT32_MAX: all */
		} refresh;
		struct {
			uint32_t role, slot;
		} peer;
		struct {
			uint32_t time_ms;
		} drain;
		struct {
			uint64_t id; /* of the asking session; the answer repeats it */
			struct identity_names names;
		} mailbox_query;
		struct mailbox_answer mailbox_answer;
		struct {
			uint32_t slot;
		} helper;
		struct {
			uint64_t id;
			uint32_t kind;     /* enum login_kind */
			uint32_t is_fresh; /* 1: what is known is no good: get another */
			char mailbox[MAILBOX_MAX + 1];       /* lower case */
			char service[LOGIN_SERVICE_MAX + 1]; /* Kerberos: the SPN */
		} login_query;
		struct message_login_answer login_answer;
		struct {
			uint64_t id;
			uint32_t context;
			uint32_t len;
			uint8_t token[LOGIN_PROOF_MAX];
		} login_proof;
		struct {
			uint64_t id;
			uint32_t is_proven; /* 0 or 1 */
			char reason[LOGIN_TEXT_MAX + 1];
		} login_proven;
		struct {
			uint32_t context;
		} login_forget;
		struct {
			char mailbox[MAILBOX_MAX + 1]; /* lower case */
		} login_drop;
		struct {
			uint32_t kind;    /* enum login_kind; LOGIN_KIND_COUNT: the directory */
			uint32_t is_down; /* 0 or 1 */
			int64_t since;    /* UNIX seconds */
			struct login_fault fault; /* while it is down */
		} login_state;
		struct {
			uint32_t kind; /* enum login_kind */
			struct login_subject subject;
			char service[LOGIN_SERVICE_MAX + 1];
		} login_job;
		struct message_login_done login_done;
		struct {
			uint64_t key; /* whose and for what, as identity numbers them */
			int64_t valid_until;
		} ticket;
		struct {
			uint64_t id;                   /* of the question; the steps repeat it */
			char mailbox[MAILBOX_MAX + 1]; /* lower case */
			char endpoint[256];            /* URL; "": any */
		} upstream_test;
		struct {
			uint64_t id;
			uint32_t is_last, is_good; /* 0 or 1 */
			uint32_t time_us;
			char step[32];
			char text[400], hint[400]; /* printable */
		} upstream_step;
		struct directory_question directory_question;
		struct directory_answer directory_answer;
		struct {
			/* Bit n: authority n of the store that the worker was born with is not
			 * trusted any more, or on other terms. */
			uint64_t withdrawn[AUTHORITY_MAX / 64];
		} trust;
		struct {
			uint8_t leaf_sha256[32];
			uint32_t refusal; /* NONE: it came in */
			uint32_t chain_len;
			char mailbox[MAILBOX_MAX + 1]; /* "" until known */
			uint8_t chain[SEEN_CHAIN_MAX]; /* DER: the leaf, then what was sent beside
							  it; what does not fit whole is left out */
		} seen;
		struct {
			uint8_t leaf_sha256[32];
			uint32_t authority; /* the issuer */
			struct serial serial;
			char url[OCSP_URL_MAX + 1]; /* of the certificate's AIA; "": none */
		} ocsp_query;
		struct {
			uint8_t leaf_sha256[32];
			int64_t asked_at; /* UNIX seconds: when the responder gave it */
			struct ocsp_result result;
		} ocsp_answer;
		struct {
			uint64_t number;
			uint32_t
				waits; /* 0: only to be told what is known, 1: whether it may come in */
			struct device_facts facts;
		} device_query;
		struct {
			uint64_t number; /* of the question */
			char mailbox[MAILBOX_MAX + 1];
			char device_id[EAS_DEVICE_ID_MAX + 1];
			uint32_t refusal;
			struct device_grant grant; /* without a refusal */
		} device_answer;
		struct {
			struct device_facts facts;
		} device_report;
		struct {
			uint64_t number; /* of the message that was written down */
		} device_noted;
		struct message_device_order device_order;
		struct message_device_wiped device_wiped;
		struct {
			uint64_t id;                   /* of the question; the answers repeat it */
			char mailbox[MAILBOX_MAX + 1]; /* "": any */
			char device_id[EAS_DEVICE_ID_MAX + 1]; /* lower case */
		} history_query;
		struct message_history history;
		struct {
			uint32_t id; /* of the trace */
			uint32_t is_on;
			uint32_t time_ms; /* that it still lasts */
			uint32_t body_max;
			uint32_t with_bodies, with_content;    /* 0 or 1 */
			char mailbox[MAILBOX_MAX + 1];         /* "": any */
			char device_id[EAS_DEVICE_ID_MAX + 1]; /* lower case; "": any */
		} trace;
		struct message_traced traced;
		struct {
			char mailbox[MAILBOX_MAX + 1];
			char device_id[EAS_DEVICE_ID_MAX + 1]; /* lower case */
			uint32_t slot;     /* of the worker that has the old one */
			uint32_t command;  /* EAS_PING or EAS_SYNC */
			uint64_t begun_us; /* of the new one, clock_us() */
			struct governor_collections collections; /* that it is for */
		} poll_superseded;
		char text[1024];
	} u;
};

/* Sends without blocking. passed_fd -1: none; it stays the caller's. Returns 0, or -1 with errno
 * (EAGAIN: the other side does not read; EINVAL: more bytes at its end than there is room for). Only the
 * used member of the union is sent, and of bytes at its end those that are used. */
int message_send(int fd, const struct message *message, int passed_fd);

/* Of the message on the wire: what lies behind is not sent. 0 for an unknown type. */
size_t message_size(const struct message *message);

/* Wipes what message_send() sends or message_receive() has filled, for messages with secrets. */
void message_wipe(struct message *message);

/* Receives one without blocking. *passed_fd is -1 or the caller's to close. Returns 1, 0 at the end
 * of the channel, -1 with errno (EAGAIN: none there; EBADMSG: wrong size or type). The rest of the
 * union is zeroed; strings are always terminated. */
int message_receive(int fd, struct message *message, int *passed_fd);

#endif
