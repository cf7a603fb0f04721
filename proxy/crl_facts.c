#include "proxy/crl_facts.h"

#include <stdio.h>
#include <string.h>

#include "config/hex.h"

/* Of a number of 20 octets. */
static void format_decimal(const uint8_t octets[20], char text[52])
{
	uint8_t left[20];
	size_t at = 51;
	bool is_zero = false;

	memcpy(left, octets, sizeof(left));
	text[at] = '\0';
	while (!is_zero) {
		unsigned int rest = 0;

		is_zero = true;
		for (size_t i = 0; i < sizeof(left); i++) {
			rest = rest << 8 | left[i];
			left[i] = (uint8_t)(rest / 10);
			rest %= 10;
			is_zero = is_zero && left[i] == 0;
		}
		text[--at] = (char)('0' + rest);
	}
	memmove(text, text + at, 52 - at);
}

void crl_facts_set_number(json_t *object, const char *name, const uint8_t octets[20])
{
	char hex[41], decimal[52], key[40];

	hex_write_number(span_of(octets, 20), hex);
	if (hex[0] == '\0')
		return;
	format_decimal(octets, decimal);
	json_object_set_new(object, name, json_string(decimal));
	snprintf(key, sizeof(key), "%s_hex", name);
	json_object_set_new(object, key, json_string(hex));
}

void crl_facts_set_moment(json_t *object, const char *name, int64_t moment)
{
	if (moment != 0)
		json_object_set_new(object, name, json_integer(moment));
}

static json_t *signer_of(const struct trust_store *trust, const uint8_t key[32])
{
	char hex[65];

	for (size_t i = 0; i < trust->count; i++)
		if (memcmp(trust->authorities[i].key, key, 32) == 0)
			return json_string(trust->authorities[i].issuer);
	hex_write(span_of(key, 32), hex);
	return json_string(hex);
}

/* What it speaks for, where that is not everything. */
static void set_scope(json_t *object, const struct revocation_scope *scope)
{
	json_t *list = json_array();

	if (scope->only_user)
		json_array_append_new(list, json_string("only-user-certificates"));
	if (scope->only_ca)
		json_array_append_new(list, json_string("only-ca-certificates"));
	if (scope->is_indirect)
		json_array_append_new(list, json_string("indirect"));
	if (scope->reasons != REVOCATION_REASONS_ALL && scope->reasons != 0)
		json_array_append_new(list, json_string("only-some-reasons"));
	if (scope->name_count > 0)
		json_array_append_new(list, json_string("distribution-point"));
	if (json_array_size(list) > 0)
		json_object_set_new(object, "scope", list);
	else
		json_decref(list);
}

void crl_facts_set(
	json_t *object, const struct trust_store *trust, const struct revocation_facts *facts)
{
	crl_facts_set_number(object, "crl_number", facts->crl_number);
	if (facts->has_delta)
		crl_facts_set_number(object, "delta_number", facts->delta_number);
	crl_facts_set_moment(object, "effective", facts->this_update);
	crl_facts_set_moment(object, "base_effective", facts->base_this_update);
	crl_facts_set_moment(object, "next_update", facts->next_update);
	crl_facts_set_moment(object, "next_publish", facts->next_publish);
	json_object_set_new(object, "entries", json_integer((json_int_t)facts->entry_count));
	json_object_set_new(object, "size_bytes", json_integer((json_int_t)facts->size_bytes));
	json_object_set_new(object, "mapped_bytes", json_integer((json_int_t)facts->mapped_size));
	json_object_set_new(object, "signer", signer_of(trust, facts->signer_key));
	set_scope(object, &facts->scope);
}
