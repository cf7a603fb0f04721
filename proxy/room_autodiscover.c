#include "proxy/room_autodiscover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/address.h"
#include "auth/mailbox.h"
#include "proxy/autodiscover.h"
#include "proxy/exchange.h"
#include "proxy/http_chars.h"
#include "proxy/template.h"

enum { BASE_MAX = 320, ANSWER_MAX = 8 * 1024, URL_MAX = 400 };

static const struct config *config_of(const struct exchange *exchange)
{
	return exchange->session->worker->config;
}

/* Where phones find us, without a path: what the configuration says, else the name by which this one came. */
static void find_base(const struct config *config, struct span host, char base[BASE_MAX])
{
	if (config->autodiscover.url[0] != '\0')
		snprintf(base, BASE_MAX, "%s", config->autodiscover.url);
	else
		snprintf(base, BASE_MAX, "https://%.*s", SPAN_PRINT(host));
}

/* The parser has it as RFC 9110 has it; here nothing but a name or an address, and a port, will do. */
static bool is_host(struct span host)
{
	if (host.len == 0 || host.len > 255)
		return false;
	for (size_t i = 0; i < host.len; i++)
		if (!http_char_is(host.data[i], HTTP_CHAR_HOST) &&
			strchr(":[]", host.data[i]) == NULL)
			return false;
	return true;
}

/* The GETs */

static void greet_json(struct exchange *exchange, struct span query, const char *base)
{
	static const struct own_field fields[] = {{"Cache-Control", "no-store"}};
	char json[AUTODISCOVER_JSON_MAX];
	unsigned int status = autodiscover_write_json(query, base, json);

	exchange_answer_own(exchange, &(struct own_answer){.status = status,
					      .content_type = "application/json",
					      .fields = fields,
					      .field_count = 1,
					      .body = span_of_string(json)});
}

static void greet_xml(struct exchange *exchange, const char *base)
{
	char url[URL_MAX];
	const struct own_field fields[] = {{"Location", url}};

	snprintf(url, sizeof(url), "%s%s", base, autodiscover_xml_path);
	exchange_answer_own(
		exchange, &(struct own_answer){.status = 302, .fields = fields, .field_count = 1});
}

/* Who is let in to be wiped gets nothing else. */
static bool may_ask(struct session *session)
{
	return !session->is_wipe_only && session_check(session) == REFUSAL_NONE;
}

bool room_autodiscover_greet(struct exchange *exchange, const struct http_head *head)
{
	const struct config_autodiscover *config = &config_of(exchange)->autodiscover;
	enum eas_path path;
	char base[BASE_MAX];

	if (head->method != HTTP_GET || head->framing != HTTP_NO_BODY || !is_host(head->host))
		return false;
	path = eas_path_of(head);
	if (!(path == EAS_PATH_AUTODISCOVER_JSON && config->has_v2) &&
		!(path == EAS_PATH_AUTODISCOVER && config->mode != CONFIG_AUTODISCOVER_OFF))
		return false;
	if (!config->is_anonymous && !may_ask(exchange->session))
		return false;
	exchange->request.path = path;
	session_request_read(exchange->session);
	find_base(config_of(exchange), head->host, base);
	if (path == EAS_PATH_AUTODISCOVER_JSON)
		greet_json(exchange, head->query, base);
	else
		greet_xml(exchange, base);
	return true;
}

/* The POST */

enum refusal room_autodiscover_enter(struct exchange *exchange, const struct http_head *head)
{
	char base[BASE_MAX];

	switch (config_of(exchange)->autodiscover.mode) {
	case CONFIG_AUTODISCOVER_OFF: return REFUSAL_PATH_NOT_FOUND;
	case CONFIG_AUTODISCOVER_ANSWER: exchange->room = ROOM_AUTODISCOVER; break;
	case CONFIG_AUTODISCOVER_FORWARD: break;
	}
	if (head->method != HTTP_POST)
		return REFUSAL_METHOD_NOT_ALLOWED;
	if (!is_host(head->host))
		return REFUSAL_HTTP_HOST;
	find_base(config_of(exchange), head->host, base);
	exchange->base = strdup(base);
	return exchange->base != NULL ? REFUSAL_NONE : REFUSAL_INTERNAL;
}

static void send_document(struct exchange *exchange, const struct autodiscover_answer *answer)
{
	static const struct own_field fields[] = {{"Cache-Control", "private"}};
	struct wbxml_buffer document = {.limit = ANSWER_MAX};

	if (autodiscover_write(answer, &document) != 0)
		exchange_refuse(exchange, REFUSAL_INTERNAL, "writing the answer: out of memory");
	else
		exchange_answer_own(
			exchange, &(struct own_answer){.status = 200,
					  .content_type = "text/xml; charset=utf-8",
					  .fields = fields,
					  .field_count = 1,
					  .body = span_of(document.data, document.len)});
	wbxml_buffer_free(&document);
}

/* An error in the words of the schema; the log has it as a refusal. */
static void send_fault(struct exchange *exchange, enum autodiscover_fault fault, const char *reason)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	exchange->refusal = fault == AUTODISCOVER_PROTOCOL ? REFUSAL_USER_MISMATCH
							   : REFUSAL_AUTODISCOVER_MALFORMED;
	snprintf(exchange->reason, sizeof(exchange->reason), "%.150s", reason);
	send_document(exchange,
		&(struct autodiscover_answer){.fault = fault,
			.now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
			/* The end of the request's id, as the log has it. */
			.id = (uint32_t)exchange->session->worker->request_count});
}

static void send_settings(struct exchange *exchange, const char *display_name, const char *address)
{
	char url[URL_MAX];

	snprintf(url, sizeof(url), "%s%s", exchange->base, autodiscover_sync_path);
	send_document(
		exchange, &(struct autodiscover_answer){.address = address,
				  .display_name = display_name[0] != '\0' ? display_name : NULL,
				  .url = url});
}

/* The address that a phone of this one is sent on to; false: to none. */
static bool find_redirect(const struct config_autodiscover *config, const char *address,
	char redirect[IDENTITY_ADDRESS_MAX + 1])
{
	const char *at = strrchr(address, '@');

	for (size_t i = 0; at != NULL && i < config->redirect_count; i++) {
		if (strcmp(config->redirects[i].from, at + 1) != 0)
			continue;
		return snprintf(redirect, IDENTITY_ADDRESS_MAX + 1, "%.*s@%s", (int)(at - address),
			       address, config->redirects[i].to) <= IDENTITY_ADDRESS_MAX;
	}
	return false;
}

static int fill_display_name(const struct exchange *exchange, char *text, size_t size)
{
	const struct template_values values = {.mailbox = exchange->session->credential->mailbox,
		.device_id = "",
		.device_type = "",
		.request_id = exchange->id,
		.client_address = ""};

	return template_fill(config_of(exchange)->autodiscover.display_name, &values, text, size);
}

void room_autodiscover_answer(struct exchange *exchange)
{
	const struct wbxml_buffer *document = exchange->collected;
	const struct credential *credential = exchange->session->credential;
	char address[IDENTITY_ADDRESS_MAX + 1], redirect[IDENTITY_ADDRESS_MAX + 1];
	char display_name[AUTODISCOVER_TEXT_MAX + 1];
	struct error err;
	enum autodiscover_fault fault =
		autodiscover_read(span_of(document->data, document->len), address, &err);

	if (fault != AUTODISCOVER_NO_FAULT)
		send_fault(exchange, fault, err.text);
	else if (credential_is_user(credential, span_of_string(address))) {
		if (fill_display_name(exchange, display_name, sizeof(display_name)) != 0)
			display_name[0] = '\0';
		send_settings(exchange, display_name, credential->mailbox);
	} else if (find_redirect(&config_of(exchange)->autodiscover, address, redirect))
		send_document(exchange, &(struct autodiscover_answer){.redirect = redirect});
	else
		send_fault(exchange, AUTODISCOVER_PROTOCOL,
			"the address is not that of the certificate's mailbox");
}

/* mode = forward */

/* A redirect of the mail server's: to a domain of ours, or to where the configuration sends it on. */
static void pass_redirect(struct exchange *exchange, const char *address)
{
	const struct config *config = config_of(exchange);
	char folded[IDENTITY_ADDRESS_MAX + 1], redirect[IDENTITY_ADDRESS_MAX + 1];
	const char *at;

	if (address_fold(span_of_string(address), folded) != 0)
		folded[0] = '\0'; /* it was looked at when it was read */
	at = strrchr(folded, '@');
	if (find_redirect(&config->autodiscover, folded, redirect))
		send_document(exchange, &(struct autodiscover_answer){.redirect = redirect});
	else if (at != NULL && mailbox_is_routable(&config->mailbox, at + 1))
		send_document(exchange, &(struct autodiscover_answer){.redirect = folded});
	else
		exchange_refuse(exchange, REFUSAL_UPSTREAM_REDIRECT,
			"Autodiscover leads to a domain that is neither in mailbox/domains nor in "
			"autodiscover/redirects");
}

void room_autodiscover_pass(struct exchange *exchange, struct span document)
{
	struct autodiscover_forwarded forwarded;
	struct error err;

	if (autodiscover_read_answer(document, &forwarded, &err) != 0)
		exchange_refuse(exchange, REFUSAL_UPSTREAM_MALFORMED, err.text);
	else if (forwarded.fault != AUTODISCOVER_NO_FAULT)
		send_fault(exchange, forwarded.fault, "the mail server says so");
	else if (forwarded.redirect[0] != '\0')
		pass_redirect(exchange, forwarded.redirect);
	else
		send_settings(
			exchange, forwarded.display_name, exchange->session->credential->mailbox);
}
