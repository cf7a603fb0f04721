/*
 * The grammars of single values: what an address, an endpoint, a name or a field looks like. Each
 * function reads one value as it was written. For config/ alone.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/model.h"

/* "0.0.0.0:443", "[::]:443", "*:443", "localhost:8443": appends every socket address that it means
 * to *list. The place of each is left to the caller. -1 with err filled. */
int value_read_address(
	const char *text, struct config_address **list, size_t *count, struct error *err);

/* "192.0.2.7", "2001:db8::7": an address that a connection can come from, with port 0. Fills all but the place;
 * text is the caller's to free. -1 with err filled. */
int value_read_local_address(const char *text, struct config_address *address, struct error *err);

/* "https://mail.example.com:444/prefix". Fills all but the place. -1 with err filled. */
int value_read_endpoint(const char *text, struct config_endpoint *endpoint, struct error *err);

/* "ldaps://dc1.example.com:636". Fills all but the place. -1 with err filled. */
int value_read_ldap_url(const char *text, struct config_endpoint *url, struct error *err);

/* A host and perhaps a port; *port stays as it is without one. *host is the caller's to free. */
int value_read_authority(const char *text, char **host, uint16_t *port, struct error *err);

/* A mail domain, in U-labels or A-labels, as lower-case A-labels that the caller frees. NULL with err
 * filled. */
char *value_read_domain(const char *text, struct error *err);

/* "from.example: to.example". The caller frees both. -1 with err filled. */
int value_read_domain_pair(const char *text, struct config_domain_pair *pair, struct error *err);

/* "name: template". -1 with err filled. */
int value_read_field(const char *text, struct config_header *header, struct error *err);

/* The rest check only: 0, or -1 with err filled. */
int value_check_template(const char *text, struct error *err);

/* The names of auth/login_name.h alone. */
int value_check_login_name(const char *text, struct error *err);

/* The same as value_check_template() of a text of several lines: UTF-8 without control characters but line ends and tabs. */
int value_check_message(const char *text, struct error *err);
int value_check_field_name(const char *text, struct error *err);
int value_check_host_name(const char *text, bool may_have_wildcard, struct error *err);
int value_check_host(const char *text, struct error *err); /* with an optional port */
int value_check_url_path(const char *text, struct error *err);
int value_check_base_url(const char *text, struct error *err);
int value_check_attribute(const char *text, struct error *err);
int value_check_filter(const char *text, struct error *err);
int value_check_title(const char *text, struct error *err);

/* Whether a template has a part that says whose mailbox it is. */
bool value_names_mailbox(const char *text);

/* The same of a text that value_check_login_name() has checked. */
bool value_names_somebody(const char *text);

/* Whether it has in it what no mailbox tells: account, realm, UPN or SID. */
bool value_names_account(const char *text);

/* Letters of ASCII, in place. */
void value_lower(char *text);

#endif
