/*
 * What is passed on is written anew from what was parsed, never copied through: the request's head
 * towards an endpoint, with the mailbox asserted and everything taken out that a phone might assert
 * itself; and the answer's head towards the phone. For workers.
 */
#ifndef PROXY_REWRITE_H
#define PROXY_REWRITE_H

#include <stdbool.h>

#include "config/model.h"
#include "proxy/client_fields.h"
#include "proxy/http.h"
#include "proxy/template.h"

/*
 * Writes the request line's fields but for Host, the framing and the empty line, which depend on
 * the endpoint and on how the body is sent: the phone's fields that are left, then the login.
 * client is for CONFIG_LOGIN_CLIENT_CERT, else NULL. content_type NULL: as the phone said; else the
 * body is sent in another form, and no content coding is asked for. writer->has_failed when it does
 * not fit.
 */
void rewrite_request_fields(struct http_writer *writer, const struct config *config,
	const struct http_head *head, const struct template_values *values,
	const char *content_type, const struct client_fields *client);

/* How an answer's body is sent to the phone. */
enum rewrite_framing { REWRITE_NO_LENGTH, REWRITE_LENGTH, REWRITE_CHUNKED, REWRITE_CLOSE };

struct rewrite_terms {
	unsigned int status; /* that the phone is told */
	enum rewrite_framing framing;
	uint64_t length;            /* with REWRITE_LENGTH */
	const char *content_type;   /* NULL: as the endpoint said */
	const char *location;       /* of X-MS-Location; NULL: there is none */
	unsigned int min_protocol;  /* the oldest version that is offered, if config's is older */
	unsigned int retry_after_s; /* with a 503 that does not say when */
	bool close;
};

/* Writes a whole answer head, in rewrite_answer.c: what answer_table.def lets pass, as it has it. */
void rewrite_answer(struct http_writer *writer, const struct config *config,
	const struct http_head *head, const struct rewrite_terms *terms);

#endif
