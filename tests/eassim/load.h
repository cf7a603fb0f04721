/*
 * `eassim load`: many phones that ask the same over and over, or sleep in Ping, so that a benchmark
 * measures what is between them and `eassim serve --bench`. One process, one epoll, a few hundred
 * bytes for a phone that waits. Every answer is compared with what it has to be. This header is
 * what its files share.
 */
#ifndef EASSIM_LOAD_H
#define EASSIM_LOAD_H

#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench_content.h"
#include "config/error.h"
#include "identities.h"
#include "poller.h"
#include "proxy/http.h"
#include "proxy/tls.h"
#include "tally.h"

enum { LOAD_READ_SIZE = 64 * 1024, LOAD_SCRATCH_SIZE = 16 * 1024 };

enum load_mode { LOAD_HANDSHAKES, LOAD_REQUESTS, LOAD_PARK };

struct load_options {
	const char *connect, *server_name, *ca, *sources, *assert_header;
	const char *certificate, *key; /* of all phones; or */
	struct mint_options mint;
	enum load_mode mode;
	enum bench_kind kind;
	uint32_t count, warm_up, connections, pace, timeout_s;
	uint32_t tls_version; /* enum config_tls_version; 0: any */
	bool is_plain;        /* HTTP, without a proxy's TLS */
	bool holds;           /* waits for a line on standard input after the warm-up */
};

/* How a request ended. */
enum load_end {
	LOAD_RIGHT,
	LOAD_OVER, /* a Ping with nothing new: its heartbeat is over, or the server says so */
	LOAD_NOT_CONNECTED, /* no connection could be had */
	LOAD_UNTRUSTED,     /* the server's certificate */
	LOAD_REFUSED,       /* by a TLS alert */
	LOAD_LOST,          /* the connection ended before the whole answer */
	LOAD_TIMED_OUT,
	LOAD_MALFORMED, /* not HTTP */
	LOAD_STATUS,    /* not 200 */
	LOAD_CONTENT,   /* not the bytes that were expected */
	LOAD_END_COUNT
};

enum load_line_state {
	LINE_CLOSED,
	LINE_CONNECTING,
	LINE_HANDSHAKE,
	LINE_ASKING,
	LINE_READING,
	LINE_IDLE
};

struct load;

/* A phone with its connection. */
struct load_line {
	struct poller_item item;
	struct tls tls;
	struct load *load;
	uint64_t asked_us;
	uint8_t *kept; /* an answer's head that has come in part */
	size_t kept_len;
	size_t at; /* written of the request, then compared of the answer's content */
	struct http_body body;
	uint32_t phone, request; /* both are in the token */
	uint8_t state, kind;
	bool has_head, keeps_alive, is_reused;
	bool may_be_right, may_be_over;        /* as far as the content was compared */
	bool is_parked, is_busy, was_answered; /* load_park.c */
};

/* What happened; counted by mode and line. */
struct load_result {
	struct tally_times times;
	struct tally_groups errors;
	uint64_t right, over, connects, handshakes, stale;
	uint64_t begun_us;
	uint64_t cpu_begun_us;
};

struct load {
	struct load_options options;
	struct poller poller;
	struct sockaddr_storage address;
	socklen_t address_len;
	const char *host; /* that the certificate must be for */
	char host_text[256];
	uint32_t source_first, source_count; /* IPv4, host order; count 0: any */
	struct tls_client *tls;
	struct identities *identities;
	struct bench_content content;
	struct load_line *lines;
	uint32_t line_count;
	struct load_result result;
	/* The mode's; why has a word about any end but LOAD_RIGHT. From it a line may be asked or
	 * closed. */
	void (*on_end)(struct load_line *line, enum load_end end, const char *why);
	/* The request is written; NULL: nobody wants to know. */
	void (*on_asked)(struct load_line *line);
	uint8_t buffer[LOAD_READ_SIZE];
	uint8_t scratch[LOAD_SCRATCH_SIZE];
};

uint64_t load_now_us(void);

/* load_line.c */

/* Asks, and connects before if need be. 0, or -1 with why: no connection could be had; on_end is not
 * called then, and never from within. */
int load_line_ask(struct load_line *line, enum bench_kind kind, const char **why);
void load_line_close(struct load_line *line);

/* load.c: count lines, closed, with phone numbers from `first` on. 0, or -1 with err. */
int load_lines_make(struct load *load, uint32_t count, struct error *err);
/* Waits for so long at most, then ends what has taken longer than --timeout. */
void load_step(struct load *load, int timeout_ms);

/* load_result.c */
void load_result_begin(struct load *load); /* from here on it counts */
void load_result_end_of(struct load_line *line, enum load_end end, const char *why);
uint64_t load_result_ended(const struct load *load); /* right or not */
/* The caller owns it. */
json_t *load_result_json(const struct load *load);
/* One line on standard output, at once. Takes the value over. */
void load_print(json_t *value);

/* The modes: the exit status. */
int load_handshakes(struct load *load, struct error *err);
int load_requests(struct load *load, struct error *err);
int load_park(struct load *load, struct error *err);

/* The warm-up of park: phones that come in turn, --connections at a time, ask once and go. 0, or -1 with
 * err. */
int load_visits(struct load *load, struct error *err);

/* After the warm-up: says so, and with --hold waits for a line on standard input. */
void load_warm(struct load *load);

#endif
