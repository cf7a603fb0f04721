/*
 * `eassim run`: the fleet and its phones. This header is what its files share; one process, one
 * loop. A phone goes through its steps in the order of enum phone_step, and from PHONE_PING back to
 * PHONE_SYNC or PHONE_SEND.
 */
#ifndef EASSIM_FLEET_H
#define EASSIM_FLEET_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "document.h"
#include "identities.h"
#include "line.h"
#include "tally.h"
#include "wbxml/writer.h"

enum phone_step {
	PHONE_OPTIONS,
	PHONE_PROVISION,
	PHONE_ACKNOWLEDGE,
	PHONE_FOLDERS,
	PHONE_SETTINGS,   /* asks whose mailbox it is */
	PHONE_SYNC_START, /* with key 0 */
	PHONE_SYNC,
	PHONE_FETCH, /* one attachment, once */
	PHONE_PING,
	PHONE_SEND,
	PHONE_WIPE, /* acknowledges the order, and wipes */
	PHONE_STEP_COUNT
};

/* How it ended, where it did not go on. */
enum phone_fate {
	FATE_NONE,
	FATE_WIPED,
	FATE_ACCOUNT_WIPED,
	FATE_WIPE_REFUSED,
	FATE_WIPE_IGNORED,
	FATE_BLOCKED,
	FATE_PASSWORD,
	FATE_MOVED,
	PHONE_FATE_COUNT
};

/* What a phone does when it is told to wipe. */
enum wipe_manner { WIPE_OBEY, WIPE_REFUSE, WIPE_IGNORE };

struct run_options {
	const char *url, *pki, *users, *domain, *source, *server_name, *assert_header, *json_file;
	uint32_t devices, duration_s, heartbeat_s, seed, park_s, mint;
	double send_rate, rate; /* mails and new phones in a second, of the whole fleet */
	unsigned int version;
	enum wipe_manner wipe_manner;
	enum phone_fate expected; /* FATE_NONE: that they go on */
	bool uses_base64, polls_with_sync, expects_refusal, is_strict, is_foreign, is_quiet,
		is_verbose, ends_when_synced, only_pings, is_stuck, asks_ordinarily;
};

struct user {
	char name[128];
	char mailbox[321];
	uint32_t phones_enrolled;
};

/* A mail that a phone has sent, and whether it came. */
struct letter {
	uint64_t sent_us;
	uint32_t recipient; /* of fleet.users */
	bool is_accepted, is_arrived;
};

enum { LETTERS_MAX = 4 * 1024 * 1024, SYNC_KEY_MAX = 64, FOLDER_KEY_MAX = 40 };
static const uint32_t NO_LETTER = UINT32_MAX;

struct phone {
	struct fleet *fleet;
	struct user *user;
	struct line line;
	struct event timer; /* start, or the pause before the next try */
	uint32_t number;
	uint8_t step, tries;          /* tries: failures since the last right answer */
	uint8_t resume;               /* the step that provisioning came between; 0: none */
	uint8_t fate;                 /* enum phone_fate */
	uint8_t told, moves, ignored; /* since the last right answer; moves and orders: ever */
	bool has_wipe_order, wipes_account, has_provisioned_for_403;
	bool is_enrolled, is_asleep, is_done, has_timer, has_fetched, may_have_been_sent;
	uint32_t policy_key, offered_policy_key;
	char sync_key[SYNC_KEY_MAX];
	char folder_key[FOLDER_KEY_MAX]; /* "": from the start */
	char inbox[16];
	char attachment[40];
	uint32_t newest; /* number of the newest mail that was given to it */
	uint32_t letter; /* under way in PHONE_SEND */
	uint32_t heartbeat_s;
	uint64_t asked_us;
};

struct fleet {
	struct run_options options;
	struct event_base *base;
	struct line_world world;
	struct tally tally;
	struct identities *identities; /* one for each user, in their order; NULL without TLS */
	struct user *users;
	uint32_t user_count;
	struct phone *phones;
	uint32_t started, enrolled, asleep, done, refused, stale;
	uint32_t fates[PHONE_FATE_COUNT];
	char fate_text[128]; /* of the phone that has just ended */
	struct letter *letters;
	uint32_t letter_count, letters_arrived, letter_capacity;
	uint32_t source_first, source_count;       /* IPv4, host order; count 0: any */
	char host[256], authority[256], path[256]; /* of the URL */
	bool is_tls, is_ending;
	uint64_t started_us, ending_us;
	double send_debt, start_debt;
	struct event *tick;
};

/* pki.c: the users, their certificates, and the authority of the server. 0, or -1 with err. */
int pki_load(struct fleet *fleet, struct error *err);

/* fleet.c: open, run, close; close it whatever open returned. run returns whether every answer was
 * right, after it has printed the summary. */
int fleet_open(struct fleet *fleet, struct error *err);
bool fleet_run(struct fleet *fleet);
void fleet_close(struct fleet *fleet);

/* phone.c */
void phone_start(struct phone *phone, struct fleet *fleet, uint32_t number);
void phone_stop(struct phone *phone);

/* Wakes the phone from its Ping to send a letter; false when it is not asleep. */
bool phone_send_letter(struct phone *phone, uint32_t letter);

/* Counts a wrong answer, with the phone and its step in the example. */
void phone_wrong(struct phone *phone, const char *what, const char *detail);
void phone_say(const struct phone *phone, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *phone_step_name(const struct phone *phone);

/* phone_ask.c: the request of the present step, whole. */
void phone_request_write(
	struct phone *phone, struct wbxml_buffer *request, enum http_method *method);
void phone_device_id(const struct phone *phone, char text[33]);

/* phone_check.c: looks at a whole answer and, where it is right, moves the phone to its next step.
 * 0, or -1 after phone_wrong(). PHONE_LATER: the server asks to come back in *pause_s. PHONE_TOLD: the
 * phone has to do something else first, which is its step now. PHONE_ENDED: it has met its fate. */
enum { PHONE_RIGHT = 0, PHONE_WRONG = -1, PHONE_LATER = 1, PHONE_TOLD = 2, PHONE_ENDED = 3 };
int phone_check(struct phone *phone, const struct line_answer *answer, uint32_t *pause_s);

/* phone_told.c: whether the answer tells the phone to do something else. As phone_check(), or
 * PHONE_UNTOLD: it does not. */
enum { PHONE_UNTOLD = 4 };
int phone_hear_http(struct phone *phone, const struct http_head *head);
int phone_hear_status(struct phone *phone, const struct document *document, uint32_t *pause_s);
int phone_hear_wipe(struct phone *phone, const struct document *document);
/* The acknowledgement is sent. Returns PHONE_ENDED. */
int phone_wipe(struct phone *phone);
/* "wiped", as --expect has it; and in words: "is wiped, all of it". */
const char *phone_fate_name(enum phone_fate fate);
const char *phone_fate_words(enum phone_fate fate);

/* phone_mail.c: the ItemOperations answer and the mails of a Sync. */
int phone_check_fetch(struct phone *phone, const struct line_answer *answer);
int phone_check_mail(
	struct phone *phone, const struct document *document, const struct document_node *add);

/* letters.c: a new one to that user; NO_LETTER when there are too many. */
uint32_t letter_new(struct fleet *fleet, uint32_t recipient);
void letter_subject(const struct fleet *fleet, uint32_t letter, char *text, size_t size);

/* A mail with this subject has come to this user. 0 also for mails that are no letters; -1: not
 * one that was sent to him. */
int letter_arrived(struct fleet *fleet, const struct user *user, const char *subject);

#endif
