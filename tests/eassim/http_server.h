/*
 * The HTTP/1.1 side of `eassim serve`: takes whole requests, hands them to one function, and writes
 * answers in any framing, broken ones included. Deliberately not proxy/http.h, so that a mistake
 * there cannot hide behind the same mistake here. It is a simulator: bodies are held in memory.
 */
#ifndef EASSIM_HTTP_SERVER_H
#define EASSIM_HTTP_SERVER_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/error.h"
#include "config/span.h"

enum {
	SERVER_FIELD_MAX = 128,
	SERVER_HEAD_MAX = 64 * 1024,
	SERVER_BODY_MAX = 32 * 1024 * 1024,
	SERVER_ANSWER_FIELD_MAX = 16
};

struct server_field {
	const char *name, *value;
};

/* A request exactly as it came; everything lives until it is answered. */
struct server_request {
	const char *method, *target, *version;
	struct server_field *fields; /* in the order of arrival */
	size_t field_count;
	struct span body; /* without chunk framing */
	bool is_chunked;
};

enum answer_manner {
	ANSWER_LENGTH,      /* Content-Length */
	ANSWER_CHUNKED,     /* in pieces of several sizes */
	ANSWER_UNTIL_CLOSE, /* HTTP/1.0, ends with the connection */
	ANSWER_SLOW,        /* right, but a few bytes at a time */
	ANSWER_FLIP,        /* one bit of the body is another */
	ANSWER_CUT,         /* ends in the middle of the body, or of the head where there is none */
	ANSWER_GARBAGE,     /* not HTTP */
	ANSWER_DROP,        /* the connection closes instead */
	ANSWER_HANG,        /* never comes */
};

struct server_answer {
	unsigned int status;
	const char *reason; /* NULL: the usual one */
	const char *content_type;
	struct server_field fields[SERVER_ANSWER_FIELD_MAX];
	size_t field_count;
	struct span body;
	enum answer_manner manner;
};

struct server_options {
	const char *listen;   /* "127.0.0.1:8080" */
	SSL_CTX *tls;         /* NULL: plain; borrowed */
	bool refuses_chunked; /* answers chunked requests with 500, as SOGo does */
	bool closes_each;     /* closes after each answer, without saying so, as SOGo does */
	bool answers_chunked;
};

struct server_conn;
typedef void (*server_on_request)(struct server_conn *, const struct server_request *, void *arg);
typedef void (*server_on_gone)(void *arg);

struct http_server;

/* NULL with err when the address cannot be had. The options are copied; their strings are not. */
struct http_server *http_server_new(struct event_base *base, const struct server_options *options,
	server_on_request on_request, void *arg, struct error *err);
void http_server_free(struct http_server *server);
uint16_t http_server_port(const struct http_server *server);

/* "127.0.0.1:8080"; port 0 is any free one. 0 or -1. */
int server_address_read(const char *text, struct sockaddr_storage *address, int *len);
/* Of a socket that listens; 0 where it cannot be told. */
uint16_t server_socket_port(int fd);

/* Requests that were refused before they reached the handler: not HTTP/1.1, or chunked where that is
 * not taken. */
uint64_t http_server_refused(const struct http_server *server);

/* Answers the request at hand; afterwards the request and its bytes are gone. */
void server_conn_answer(struct server_conn *conn, const struct server_answer *answer);

/* Whom to tell when the peer closes before it has been answered; once, then forgotten. */
void server_conn_watch(struct server_conn *conn, server_on_gone on_gone, void *arg);

/* "192.0.2.1:4321" of the peer. */
const char *server_conn_peer(const struct server_conn *conn);

/* The value of the first field of that name without case, NULL where there is none; *count may be
 * NULL. */
const char *server_field_find(
	const struct server_request *request, const char *name, size_t *count);

#endif
