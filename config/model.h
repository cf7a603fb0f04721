/*
 * The configuration as a value: what easproxy.conf said, checked whole, with every default filled
 * in. Made by config_load(), never changed afterwards; children of the supervisor inherit it by
 * fork. Sizes are bytes, times are milliseconds. Strings are never NULL; "" means unset.
 *
 * Files whose content a worker needs (certificates, keys, CA bundles) are read once, while the
 * configuration is checked, into sealed memory files: a struct config_file names the path for
 * messages and holds the descriptor. A worker that is started again reads the same bytes that were
 * checked, without reaching the file system.
 */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/error.h"

/* Where an option stood, for messages about it: "file:line". */
struct config_place {
	const char *file;
	int line;
};

struct config_file {
	char *path;
	int fd; /* a sealed memfd with the content; -1 when no file is configured */
	struct config_place place;
};

/* One address that a socket is bound to. A text that means several ("*:443", "localhost:8443")
 * gives one each, so that IPv6 sockets have to be opened with IPV6_V6ONLY. */
struct config_address {
	char *text; /* as written, for messages */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct config_place place;
};

/* One server certificate with its key. ECDSA and RSA can both be given for the same names. */
struct config_certificate {
	char *name;               /* for messages */
	struct config_file chain; /* PEM, leaf first */
	struct config_file key;   /* PEM */
	size_t server_name_count;
	char **server_names; /* SNI names, lower case, "*.example.com" allowed; none: the default one */
	struct config_place place;
};

enum config_tls_version { CONFIG_TLS_1_2 = 0x0303, CONFIG_TLS_1_3 = 0x0304 };

struct config_listener {
	char *name;
	size_t address_count;
	struct config_address *addresses;
	size_t certificate_count; /* at least 1 */
	struct config_certificate *certificates;
	enum config_tls_version tls_min;
	char *ciphers;     /* OpenSSL's cipher list for TLS 1.2 */
	char *health_path; /* GET of this path is answered by us, without a client certificate's
			      mailbox; "": no such path */
	struct config_place place;
};

struct config_limits {
	uint32_t connections;            /* all workers together */
	uint32_t connections_per_source; /* per worker and source (IPv4 address or IPv6 /64) */
	uint32_t handshake_time_ms;      /* from accept to the end of the handshake */
	uint32_t head_time_ms;           /* from the first byte of a head to its last */
	uint32_t body_time_ms;           /* without a byte of the body, or of the answer taken */
	uint32_t idle_time_ms;           /* between requests */
	uint32_t head_size;              /* of a request or an answer */
	uint64_t body_size;              /* of a request */
	uint32_t wbxml_depth;            /* nesting of elements */
	uint32_t wbxml_elements;         /* in one document */
};

enum config_log_format { CONFIG_LOG_JSON, CONFIG_LOG_LOGFMT };
enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

struct config_log {
	enum config_log_format format;
	enum config_log_level level;
	char *file; /* "": standard error */
};

/* What becomes of a phone whose certificate is revoked: refused in the handshake, or let in to be told to
 * wipe, and to nothing else. */
enum config_revoked { CONFIG_REVOKED_REFUSE, CONFIG_REVOKED_WIPE };
enum config_wipe { CONFIG_WIPE_ACCOUNT, CONFIG_WIPE_DEVICE };

struct config_trust {
	struct config_file store; /* JSON, see auth/trust_store.h */
	uint32_t security_level;  /* OpenSSL's, 1 to 5; default 2 */
	uint32_t depth;           /* most intermediates in a chain */
	uint32_t algorithms;      /* a mask, see config/algorithm.h */
	bool needs_client_auth;   /* the leaf must say that it is for TLS clients */
	bool is_any_leaf;         /* RFC 5280 alone: CAs too, whatever the key usage; no option */
	size_t policy_count;      /* 0: any policy will do */
	char **policies;          /* RFC 5280 6.1.1 (c), dotted decimal */
	bool explicit_policy, inhibit_policy_mapping, inhibit_any_policy; /* (f), (e), (g) */
	uint32_t verdict_cache; /* verdicts kept per worker */
	enum config_revoked revoked_certificates;
	uint32_t wipe_reasons; /* bit n: the reason code n of RFC 5280 5.3.1 */
	enum config_wipe wipe_kind;
};

struct config_revocation {
	uint64_t size_limit;    /* of one downloaded CRL */
	uint32_t time_limit_ms; /* of one download */
	uint32_t refresh_ms;    /* longest time between two looks at a location */
	uint32_t retry_ms;      /* after a failure; longer after several */
	char *proxy;            /* host or host:port of an HTTP proxy for downloads; "": none */
	uint32_t ocsp_time_limit_ms; /* of one question to an OCSP responder */
	uint32_t ocsp_refresh_ms;    /* longest time between two questions about one certificate */
	bool ocsp_nonce;             /* sent, and asked back */
};

/* By what a certificate leads to a mailbox. All but the first three need a directory. */
enum config_name_kind {
	CONFIG_NAME_PRINCIPAL,
	CONFIG_NAME_RFC822,
	CONFIG_NAME_SMTP_UTF8,
	CONFIG_NAME_SKI,
	CONFIG_NAME_KEY_SHA1,
	CONFIG_NAME_ISSUER_SERIAL,
	CONFIG_NAME_ISSUER_SUBJECT,
	CONFIG_NAME_SUBJECT,
	CONFIG_NAME_SID,
	CONFIG_NAME_COUNT
};

/* The words for them in the configuration: "principal-name". */
extern const char *const config_name_words[CONFIG_NAME_COUNT];

enum config_affinity { CONFIG_AFFINITY_LOW, CONFIG_AFFINITY_HIGH };

struct config_mailbox {
	size_t name_count;
	enum config_name_kind *names; /* in order of preference */
	struct config_place names_place;
	enum config_affinity affinity; /* the least that is enough */
	size_t domain_count;
	char **domains; /* routable ones, lower case, in A-labels */
};

enum config_directory_backend {
	CONFIG_DIRECTORY_NONE,
	CONFIG_DIRECTORY_FILE,
	CONFIG_DIRECTORY_LDAP,
};
enum config_bind { CONFIG_BIND_NONE, CONFIG_BIND_SIMPLE, CONFIG_BIND_GSSAPI };
enum config_scope { CONFIG_SCOPE_SUB, CONFIG_SCOPE_ONE, CONFIG_SCOPE_BASE };
enum config_when_down { CONFIG_WHEN_DOWN_REFUSE, CONFIG_WHEN_DOWN_USE_KNOWN };

struct config_directory {
	enum config_directory_backend backend;
	char *file; /* backend = file */
	/* backend = ldap */
	size_t url_count;
	struct config_endpoint *urls; /* is_tls: ldaps; tried in order */
	bool start_tls;
	struct config_file ca; /* PEM bundle; unset: the system's store */
	enum config_bind bind;
	char *bind_name;
	struct config_file bind_password; /* one line */
	char *keytab;                     /* bind = gssapi */
	char *base;
	enum config_scope scope;
	char *filter; /* that every entry has to pass */
	char *address_attribute, *mail_attribute, *upn_attribute, *sid_attribute;
	char *control_attribute; /* AD's userAccountControl */
	char *account_attribute; /* AD's sAMAccountName */
	size_t binding_attribute_count;
	char **binding_attributes;
	uint32_t connect_time_ms, answer_time_ms;
	uint32_t helpers; /* processes, each of which asks one question at a time */
	uint32_t cache_entries;
	uint32_t cache_time_ms, negative_cache_time_ms;
	enum config_when_down when_down;
	uint32_t use_known_for_ms;
	char *group_attribute; /* the groups that somebody is in */
	bool group_nesting;    /* groups in groups, by Active Directory's rule */
	/* Those of policy, borrowed. */
	size_t group_count;
	char **groups;
	struct config_place place;
};

enum config_login {
	CONFIG_LOGIN_NONE,
	CONFIG_LOGIN_HEADER,      /* the fields of `headers` say whose mailbox it is */
	CONFIG_LOGIN_CLIENT_CERT, /* RFC 9440 Client-Cert and Client-Cert-Chain, and `headers` */
	CONFIG_LOGIN_BASIC,       /* Authorization: Basic from the two templates, and `headers` */
	CONFIG_LOGIN_KERBEROS,    /* a ticket in the owner's name, RFC 4559 */
	CONFIG_LOGIN_MINTED,      /* a TLS client certificate made for the owner */
	CONFIG_LOGIN_BEARER,      /* an access token for the owner, RFC 6750 */
};

enum config_login_down { CONFIG_LOGIN_DOWN_USE_KNOWN, CONFIG_LOGIN_DOWN_REFUSE };

enum config_body { CONFIG_BODY_WBXML, CONFIG_BODY_XML };

enum config_xml_dialect {
	CONFIG_XML_EXACT,    /* namespaces as the code pages are named: what MS-ASWBXML writes */
	CONFIG_XML_LIBWBXML, /* namespaces, DOCTYPE and prefixes as libwbxml's tools write them */
};

/* A field that is added to every request: a name and a template. Templates know %{mailbox},
 * %{local-part}, %{domain}, %{device-id}, %{device-type}, %{request-id}, %{client-address} and %%;
 * they are checked when the configuration is. */
struct config_header {
	char *name;
	char *value;
};

struct config_endpoint {
	char *text; /* the URL as written */
	char *host; /* without brackets */
	uint16_t port;
	bool is_tls;
	char *path_prefix; /* before /Microsoft-Server-ActiveSync, e.g. "/SOGo"; "" for none */
	struct config_place place;
};

/* An endpoint that sends a phone elsewhere (451, 307, 308). */
enum config_redirects {
	CONFIG_REDIRECTS_FOLLOW, /* easproxyd goes there itself, if it is another endpoint */
	CONFIG_REDIRECTS_REWRITE, /* the phone is sent to autodiscover/url, if it came by another name */
	CONFIG_REDIRECTS_REFUSE
};

struct config_upstream {
	char *name;
	size_t endpoint_count; /* at least 1 */
	struct config_endpoint *endpoints;
	char *host;            /* Host (and SNI) sent; "": the endpoint's own */
	struct config_file ca; /* PEM bundle for HTTPS endpoints; unset: the system's store */
	enum config_login login;
	size_t header_count;
	struct config_header *headers;
	struct config_place headers_place;
	char *basic_user;                  /* template */
	struct config_file basic_password; /* one line; the template's %{mailbox} is filled too */
	bool request_buffering;            /* collect bodies and send them with Content-Length */
	uint64_t buffer_memory; /* collected beyond this, a body goes to an unlinked file */
	enum config_body body;
	enum config_xml_dialect xml_dialect;
	uint32_t connections; /* per worker and endpoint */
	size_t source_count;
	struct config_address *sources; /* port 0: where connections come from, in turn; none: the
					   kernel chooses */
	uint32_t connect_time_ms;
	uint32_t answer_time_ms; /* from the end of the request to the head of the answer, for
				     commands that do not poll */
	uint32_t poll_margin_ms; /* added to the heartbeat of a long poll */
	uint32_t idle_time_ms;   /* an idle upstream connection is kept so long */
	uint32_t health_interval_ms;
	uint32_t health_failures; /* so many in a row: the endpoint is down */
	char *health_path;        /* "": connecting is enough */
	enum config_redirects redirects;
	/* login = kerberos, minted-certificate, bearer */
	char *spn;                /* HTTP/%{host}, the host being the endpoint's */
	char *login_user;         /* template; "": the account that the directory has */
	uint32_t login_time_ms;   /* the longest wait for a login */
	uint32_t login_cache;     /* users whose logins are kept */
	uint32_t login_helpers;   /* processes, each of which gets one login at a time */
	uint32_t login_queue;     /* logins that may wait for them */
	uint32_t login_failed_ms; /* how long it is remembered that somebody gets none */
	enum config_login_down login_down;
	bool mutual; /* the endpoint has to prove who it is, too */
	struct config_place place;
};

/* An entry of a list as it was written, for what other rooms read the meaning of. */
struct config_word {
	char *text;
	int line;
};

struct config_words {
	size_t count;
	struct config_word *list;
};

/* How easproxyd logs in at the KDCs of one realm. */
struct config_kerberos {
	char *realm;
	char *account; /* sAMAccountName, not an SPN */
	struct config_file keytab;
	struct config_words kdcs; /* "host" or "host:port"; none: /etc/krb5.conf says */
	struct config_place place;
};

enum config_key_type { CONFIG_KEY_EC, CONFIG_KEY_RSA };

struct config_minted {
	struct config_file issuer; /* PEM: the CA, then what is above it */
	struct config_file key;    /* PEM; or */
	char *key_uri;             /* RFC 7512, with */
	char *pkcs11_module;
	struct config_words pkcs11_paths; /* absolute: what the module may read */
	struct config_file pin;           /* one line; unset: none */
	enum config_key_type key_type;
	uint32_t life_ms;
	char *crl_url; /* of the authority's CRL, as certificates name it; "": they name none */
	bool sid;      /* with Active Directory's SID extension, where the SID is known */
	struct config_place place;
};

enum config_grant { CONFIG_GRANT_JWT, CONFIG_GRANT_SAML };
enum config_signature { CONFIG_SIGNATURE_HS256, CONFIG_SIGNATURE_RS256, CONFIG_SIGNATURE_ES256 };

struct config_bearer {
	char *endpoint;        /* https://…, the token endpoint of RFC 6749 3.2 */
	uint16_t port;         /* of it */
	struct config_file ca; /* PEM bundle; unset: the system's store */
	enum config_grant grant;
	char *client_id;
	struct config_file client_secret; /* one line; unset: none */
	bool client_assertion; /* easproxyd says who it is by a JWT of its own (RFC 7523 2.2) */
	char *issuer, *audience, *scope;
	char *subject;                  /* template, see auth/login_name.h */
	char *name_format;              /* of a SAML assertion's NameID: a URI */
	struct config_words attributes; /* "URI = template", in a SAML assertion */
	struct config_file key;         /* PEM: signs the assertions */
	struct config_file certificate; /* PEM; unset: none */
	char *key_id;
	enum config_signature algorithm;
	uint32_t assertion_life_ms;
	struct config_place place;
};

struct config_assertion {
	char *header; /* of the field; "": none is sent */
	enum config_signature algorithm;
	struct config_file key; /* PEM, or for HS256 the bytes themselves */
	char *key_id, *issuer, *audience;
	uint32_t life_ms;
	struct config_place place;
};

enum config_binding { CONFIG_BINDING_OFF, CONFIG_BINDING_FIRST_USE, CONFIG_BINDING_REGISTERED };
enum config_new_device {
	CONFIG_NEW_DEVICE_ALLOW,
	CONFIG_NEW_DEVICE_QUARANTINE,
	CONFIG_NEW_DEVICE_BLOCK
};

struct config_devices {
	enum config_binding binding;
	bool renewal;                 /* a bound device may come with the next certificate */
	enum config_new_device fresh; /* what becomes of a device that was never seen */
	uint32_t per_mailbox;         /* 0: no bound */
	uint32_t known_max;           /* in the registry */
	char *quarantine_subject;
	struct config_file quarantine_text; /* with %{…}, see config_message_check(); fd -1: none */
	uint32_t cache;                     /* that each worker remembers */
	uint32_t history;                   /* exchanges of each of them */
};

enum config_structure { CONFIG_STRUCTURE_LENIENT, CONFIG_STRUCTURE_STRICT };

struct config_activesync {
	enum config_structure structure;
	uint32_t min_protocol, max_protocol; /* 25, 120, 121, 140, 141, 160, 161 */
	uint32_t closed_commands;            /* a mask, see config/command.h */
	struct config_place place;
	uint32_t heartbeat_min_ms, heartbeat_max_ms; /* of Ping, and of Sync that polls */
	uint32_t storm_rate;                         /* devices a second; 0: no limit */
	uint32_t loop_repeats;                       /* of one Sync; 0: no limit */
	uint32_t request_rate;                       /* of one device in a minute; 0: no limit */
};

enum config_autodiscover_mode {
	CONFIG_AUTODISCOVER_ANSWER,
	CONFIG_AUTODISCOVER_FORWARD,
	CONFIG_AUTODISCOVER_OFF
};

/* Mail domains, lower case, in A-labels. */
struct config_domain_pair {
	char *from, *to;
};

struct config_autodiscover {
	enum config_autodiscover_mode mode;
	char *url; /* "https://mail.example.com:444", without a path; "": as the phone asked */
	char *display_name; /* template */
	size_t redirect_count;
	struct config_domain_pair *redirects;
	bool has_v2, is_anonymous;
};

enum config_rule_action {
	CONFIG_RULE_ALLOW,
	CONFIG_RULE_DENY,
	CONFIG_RULE_QUARANTINE,
	CONFIG_RULE_WIPE,
	CONFIG_RULE_LOG,
	CONFIG_RULE_LIMIT,
	CONFIG_RULE_STRIP,
	CONFIG_RULE_USE /* the rules of the sets in `use`, under the conditions of this one */
};

/* proxy/policy_compile.c says what the entries of conditions mean. */
struct config_rule {
	char *name;
	struct config_place place;
	struct config_words mailbox, domain, group, issuer, certificate_policy;
	struct config_words device, device_type, model, os, user_agent;
	struct config_words protocol, source, time, command, class, does;
	struct config_words recipient_domain, attachment, xpath;
	uint64_t attachment_larger_than; /* 0: no condition */
	enum config_rule_action action;
	bool is_shadow;
	struct config_words use;
	uint32_t status, http; /* of a deny; 0: what fits the command and the version */
	uint64_t body_size;    /* of a limit; 0: none */
	char *rate;            /* "60/1m"; "": none */
	uint32_t heartbeat_ms; /* 0: none */
	uint64_t larger_than;  /* of a strip; 0: of any size */
	struct config_words types, folders;
};

struct config_policy {
	struct config_words use; /* sets for everybody */
	bool is_shadow;
	uint64_t document_size; /* the largest document that XPath is tried on */
	size_t rule_count;
	struct config_rule *rules; /* in order: the first that matches decides */
	/* Every group that a rule names, lower case, without "!"; bit n of a mask of groups is the
	 * nth. */
	size_t group_count;
	char **groups;
};

enum { CONFIG_GROUPS_MAX = 64 };

struct config {
	char *path;
	/* Over what is written (or left to its default) in the sections that decide who may come in:
	 * another one means that nobody who came in before may stay without being asked again. The
	 * store's content is not in it; see trust_store_compare(). */
	uint64_t grounds;
	char *user;       /* "": stay who we are; always so when we are not root */
	char *group;      /* "": the user's own */
	uint32_t workers; /* never 0: filled from the number of cores */
	char *pid_file;
	char *state_directory;
	char *control_socket;
	uint32_t drain_time_ms;
	bool deep_sleep;
	struct config_log log;
	struct config_limits limits;
	struct config_trust trust;
	struct config_revocation revocation;
	struct config_mailbox mailbox;
	struct config_directory directory;
	size_t listener_count;
	struct config_listener *listeners;
	struct config_upstream upstream;
	size_t kerberos_count;
	struct config_kerberos *kerberos;
	struct config_minted minted;
	struct config_bearer bearer;
	struct config_assertion assertion;
	struct config_devices devices;
	struct config_activesync activesync;
	struct config_autodiscover autodiscover;
	struct config_policy policy;
	size_t identity_header_count; /* further request fields that are never taken from a phone */
	char **identity_headers; /* names, lower case; the fields of upstream/headers and RFC 9440's are
				   always among them */
};

/* Called once per fault found, in the order of the file. text is one line, "file:line: …"; what
 * begins "file:line: warning: " does not fail the load. */
typedef void config_report(void *context, const char *text);

/*
 * Reads and checks the whole configuration: syntax, types, ranges, files, keys, addresses, and
 * what contradicts each other. Every fault is reported, not only the first. Returns the
 * configuration, or NULL when anything was wrong. The caller frees it with config_free().
 *
 * store_check is called for the trust store once its file is read (auth/ knows its format, config/
 * does not): it reports by the same callback and returns 0 or -1. NULL: not checked.
 */
typedef int config_store_check(
	const struct config_file *store, config_report *report, void *report_context);
struct config *config_load(const char *path, config_store_check *store_check, config_report *report,
	void *report_context);

/* Closes the descriptors and frees all. NULL is allowed. */
void config_free(struct config *config);

/* Frees what a rule holds, and empties it. */
void config_rule_clear(struct config_rule *rule);

/* The content of a configured file, from its memory file: a NUL-terminated copy that the caller
 * wipes, if it is secret, and frees. *len is its length without the NUL. NULL with err filled. */
char *config_file_read(const struct config_file *file, size_t *len, struct error *err);

#endif
