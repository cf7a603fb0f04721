/*
 * A service ticket as a KDC would give it, made with the service's key alone, and the other end: a web
 * server that takes tokens. So that tickets can be tried without a KDC.
 */
#ifndef TESTS_UNIT_TICKET_MAKER_H
#define TESTS_UNIT_TICKET_MAKER_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <krb5.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/ticket.h"

#define MAKER_SERVICE "HTTP/exchange.contoso.test@CONTOSO.TEST"
#define MAKER_KEYTAB  "MEMORY:ticket-maker"

/* libkrb5 exports what a KDC needs, in no header for others. */
extern krb5_error_code krb5_encrypt_tkt_part(
	krb5_context krb5, const krb5_keyblock *key, krb5_ticket *ticket);
extern krb5_error_code encode_krb5_ticket(const krb5_ticket *ticket, krb5_data **bytes);

struct maker {
	krb5_context krb5;
	krb5_keytab keytab; /* of the web server */
	krb5_keyblock service_key, session_key;
	krb5_principal service;
};

static inline void maker_must(krb5_error_code code)
{
	if (code != 0)
		abort();
}

static inline void maker_open(struct maker *maker)
{
	krb5_keytab_entry entry = {.vno = 1};

	maker_must(krb5_init_context(&maker->krb5));
	maker_must(krb5_c_make_random_key(
		maker->krb5, ENCTYPE_AES256_CTS_HMAC_SHA1_96, &maker->service_key));
	maker_must(krb5_c_make_random_key(
		maker->krb5, ENCTYPE_AES256_CTS_HMAC_SHA1_96, &maker->session_key));
	maker_must(krb5_parse_name(maker->krb5, MAKER_SERVICE, &maker->service));
	maker_must(krb5_kt_resolve(maker->krb5, MAKER_KEYTAB, &maker->keytab));
	entry.principal = maker->service;
	entry.key = maker->service_key;
	maker_must(krb5_kt_add_entry(maker->krb5, maker->keytab, &entry));
}

static inline void maker_close(struct maker *maker)
{
	krb5_kt_close(maker->krb5, maker->keytab);
	krb5_free_principal(maker->krb5, maker->service);
	krb5_free_keyblock_contents(maker->krb5, &maker->service_key);
	krb5_free_keyblock_contents(maker->krb5, &maker->session_key);
	krb5_free_context(maker->krb5);
}

/* The ticket of user ("alice@CONTOSO.TEST") from login until end. The caller clears it. */
static inline struct ticket maker_ticket(
	struct maker *maker, const char *user, int64_t begin, int64_t end)
{
	krb5_enc_tkt_part inside = {.session = &maker->session_key,
		.transited = {.tr_type = 1},
		.times = {.authtime = (krb5_timestamp)begin,
			.starttime = (krb5_timestamp)begin,
			.endtime = (krb5_timestamp)end}};
	krb5_ticket outside = {.server = maker->service, .enc_part2 = &inside};
	struct ticket_parts parts = {.key_type = maker->session_key.enctype,
		.login_time = begin,
		.begin_time = begin,
		.end_time = end,
		.key = span_of(maker->session_key.contents, maker->session_key.length),
		.user = span_of_string(user),
		.service = span_of_string(MAKER_SERVICE)};
	struct ticket ticket;
	krb5_data *bytes;

	maker_must(krb5_parse_name(maker->krb5, user, &inside.client));
	maker_must(krb5_encrypt_tkt_part(maker->krb5, &maker->service_key, &outside));
	maker_must(encode_krb5_ticket(&outside, &bytes));
	parts.encrypted = span_of(bytes->data, bytes->length);
	maker_must(ticket_write(&parts, &ticket));
	krb5_free_data(maker->krb5, bytes);
	krb5_free_data_contents(maker->krb5, &outside.enc_part.ciphertext);
	krb5_free_principal(maker->krb5, inside.client);
	return ticket;
}

/* What a web server does with a token: it learns who comes, and answers with a token of its own, which the
 * caller frees with gss_release_buffer(). False: it does not let this one in. */
static inline bool maker_accept(
	struct span token, char *user, size_t user_size, gss_buffer_desc *answer)
{
	gss_key_value_element_desc element = {.key = "keytab", .value = MAKER_KEYTAB};
	const gss_key_value_set_desc store = {.count = 1, .elements = &element};
	gss_buffer_desc in = {.length = token.len, .value = (void *)token.data};
	gss_buffer_desc name_text = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
	gss_ctx_id_t context = GSS_C_NO_CONTEXT;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major, minor;

	*answer = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	user[0] = '\0';
	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
		GSS_C_ACCEPT, &store, &credential, NULL, NULL);
	if (!GSS_ERROR(major))
		major = gss_accept_sec_context(&minor, &context, credential, &in,
			GSS_C_NO_CHANNEL_BINDINGS, &name, NULL, answer, NULL, NULL, NULL);
	if (major == GSS_S_COMPLETE &&
		!GSS_ERROR(gss_display_name(&minor, name, &name_text, NULL)) &&
		name_text.length < user_size) {
		memcpy(user, name_text.value, name_text.length);
		user[name_text.length] = '\0';
	}
	gss_release_buffer(&minor, &name_text);
	gss_release_name(&minor, &name);
	gss_delete_sec_context(&minor, &context, NULL);
	gss_release_cred(&minor, &credential);
	return major == GSS_S_COMPLETE;
}

#endif
