/*
 * Autodiscover: what easproxyd answers itself, to whom, and what it lets through of an endpoint's answer.
 * For workers.
 */
#ifndef PROXY_ROOM_AUTODISCOVER_H
#define PROXY_ROOM_AUTODISCOVER_H

#include <stdbool.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/http.h"

struct exchange;

/* Answers a GET that names nobody's mailbox: the second version, and where the first one is. False: it is
 * none, or may not be asked by this session. */
bool room_autodiscover_greet(struct exchange *exchange, const struct http_head *head);

/* The head of a POST is there: chooses the room, by autodiscover/mode. */
enum refusal room_autodiscover_enter(struct exchange *exchange, const struct http_head *head);

/* Answers the POST, exchange->collected. */
void room_autodiscover_answer(struct exchange *exchange);

/* mode = forward: an endpoint's whole answer. Answers with what of it a phone may know, or refuses. */
void room_autodiscover_pass(struct exchange *exchange, struct span document);

#endif
