/* What a configuration becomes: the values of the model, its defaults, and its sealed files. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "config/algorithm.h"
#include "tests/unit/check.h"
#include "tests/unit/config_fixture.h"

static struct fixture fixture;

static const char minimal[] = "listener a {\n"
			      "  address = \"127.0.0.1:8443\"\n"
			      "  certificate b { chain = mail.pem key = mail.key }\n"
			      "}\n"
			      "trust { store = trust.json }\n"
			      "mailbox { domains = example.com }\n"
			      "upstream c { endpoints = \"https://mail.test\" "
			      "headers = \"x-user: %{mailbox}\" }\n"
			      "user = nobody\n";

static char *read_data(const char *name)
{
	char path[512];
	char *text = calloc(1, 65536);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", TEST_DATA_DIR, name);
	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_FATAL(fread(text, 1, 65535, file) > 0);
	fclose(file);
	return text;
}

static struct config *load_good(const char *text)
{
	struct config *config = fixture_load(&fixture, text, NULL);

	if (config == NULL)
		printf("\n%s", fixture.reports);
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	return config;
}

static void expect_path(const char *path, const char *name)
{
	char wanted[128];

	fixture_path(&fixture, name, wanted);
	CU_ASSERT_STRING_EQUAL(path, wanted);
}

static void expect_general(const struct config *config)
{
	bool is_root = geteuid() == 0;

	CU_ASSERT_STRING_EQUAL(config->user, is_root ? "nobody" : "");
	CU_ASSERT_STRING_EQUAL(config->group, is_root ? "nogroup" : "");
	CU_ASSERT_EQUAL(config->workers, 3);
	expect_path(config->pid_file, "run/pid");
	expect_path(config->state_directory, "state");
	CU_ASSERT_STRING_EQUAL(config->control_socket, "/run/x.sock");
	CU_ASSERT_EQUAL(config->drain_time_ms, 5000);
	CU_ASSERT_FALSE(config->deep_sleep);
	CU_ASSERT_EQUAL(config->log.format, CONFIG_LOG_JSON);
	CU_ASSERT_EQUAL(config->log.level, CONFIG_LOG_DEBUG);
	expect_path(config->log.file, "log");
	CU_ASSERT_EQUAL(config->trust.security_level, 3);
	CU_ASSERT_EQUAL(config->trust.depth, 4);
	CU_ASSERT_EQUAL(
		config->trust.algorithms, 1 << ALGORITHM_RSA_3072 | 1 << ALGORITHM_ECDSA_P384);
	CU_ASSERT_FALSE(config->trust.needs_client_auth);
	CU_ASSERT_EQUAL_FATAL(config->trust.policy_count, 2);
	CU_ASSERT_STRING_EQUAL(config->trust.policies[0], "1.3.6.1.4.1.311.21.8.1");
	CU_ASSERT_TRUE(config->trust.explicit_policy);
	CU_ASSERT_TRUE(config->trust.inhibit_policy_mapping);
	CU_ASSERT_TRUE(config->trust.inhibit_any_policy);
	CU_ASSERT_EQUAL(config->trust.verdict_cache, 21);
	CU_ASSERT_EQUAL(config->trust.revoked_certificates, CONFIG_REVOKED_WIPE);
	CU_ASSERT_EQUAL(config->trust.wipe_reasons, 1 << 0 | 1 << 4);
	CU_ASSERT_EQUAL(config->trust.wipe_kind, CONFIG_WIPE_DEVICE);
	CU_ASSERT_STRING_EQUAL(config->devices.quarantine_subject, "Not yet");
	CU_ASSERT_NOT_EQUAL(config->devices.quarantine_text.fd, -1);
	CU_ASSERT_EQUAL(config->trust.store.place.line, 45);
	CU_ASSERT_EQUAL(config->revocation.size_limit, 22 << 20);
	CU_ASSERT_EQUAL(config->revocation.time_limit_ms, 23000);
	CU_ASSERT_EQUAL(config->revocation.refresh_ms, 24 * 60000);
	CU_ASSERT_EQUAL(config->revocation.retry_ms, 25000);
	CU_ASSERT_STRING_EQUAL(config->revocation.proxy, "proxy.test:3129");
	CU_ASSERT_EQUAL(config->revocation.ocsp_time_limit_ms, 26000);
	CU_ASSERT_EQUAL(config->revocation.ocsp_refresh_ms, 27 * 60000);
	CU_ASSERT_TRUE(config->revocation.ocsp_nonce);
	CU_ASSERT_EQUAL(config->mailbox.name_count, 2);
	CU_ASSERT_EQUAL(config->mailbox.names[0], CONFIG_NAME_RFC822);
	CU_ASSERT_EQUAL(config->mailbox.names[1], CONFIG_NAME_SKI);
	CU_ASSERT_EQUAL(config->mailbox.affinity, CONFIG_AFFINITY_HIGH);
	CU_ASSERT_EQUAL(config->mailbox.domain_count, 2);
	CU_ASSERT_STRING_EQUAL(config->mailbox.domains[0], "example.com");
	CU_ASSERT_STRING_EQUAL(config->mailbox.domains[1], "xn--mnchen-3ya.example");
}

static void expect_limits(const struct config_limits *limits)
{
	CU_ASSERT_EQUAL(limits->connections, 11);
	CU_ASSERT_EQUAL(limits->connections_per_source, 12);
	CU_ASSERT_EQUAL(limits->handshake_time_ms, 13000);
	CU_ASSERT_EQUAL(limits->head_time_ms, 14000);
	CU_ASSERT_EQUAL(limits->body_time_ms, 15000);
	CU_ASSERT_EQUAL(limits->idle_time_ms, 16000);
	CU_ASSERT_EQUAL(limits->head_size, 17 << 10);
	CU_ASSERT_EQUAL(limits->body_size, 18 << 20);
	CU_ASSERT_EQUAL(limits->wbxml_depth, 19);
	CU_ASSERT_EQUAL(limits->wbxml_elements, 200);
}

static void expect_listeners(const struct config *config)
{
	const struct config_listener *one = &config->listeners[0];
	const struct sockaddr_in *ipv4;

	CU_ASSERT_EQUAL_FATAL(config->listener_count, 2);
	CU_ASSERT_STRING_EQUAL(one->name, "one");
	CU_ASSERT_EQUAL(one->place.line, 28);
	CU_ASSERT_EQUAL_FATAL(one->address_count, 2);
	ipv4 = (const struct sockaddr_in *)&one->addresses[0].addr;
	CU_ASSERT_EQUAL(ipv4->sin_family, AF_INET);
	CU_ASSERT_EQUAL(ntohs(ipv4->sin_port), 8443);
	CU_ASSERT_EQUAL(ntohl(ipv4->sin_addr.s_addr), INADDR_LOOPBACK);
	CU_ASSERT_EQUAL(one->addresses[0].addr_len, sizeof(struct sockaddr_in));
	CU_ASSERT_EQUAL(one->addresses[1].addr.ss_family, AF_INET6);
	CU_ASSERT_STRING_EQUAL(one->addresses[1].text, "[::1]:8443");
	CU_ASSERT_EQUAL(one->tls_min, CONFIG_TLS_1_3);
	CU_ASSERT_STRING_EQUAL(one->ciphers, "ECDHE+AESGCM");
	CU_ASSERT_STRING_EQUAL(one->health_path, "/healthz");
	CU_ASSERT_EQUAL_FATAL(one->certificate_count, 2);
	CU_ASSERT_STRING_EQUAL(one->certificates[0].name, "ecdsa");
	CU_ASSERT_EQUAL(one->certificates[0].server_name_count, 1);
	CU_ASSERT_STRING_EQUAL(one->certificates[0].server_names[0], "mail.example.com");
	CU_ASSERT_EQUAL(one->certificates[0].chain.place.line, 34);
	expect_path(one->certificates[1].key.path, "rsa.key");
	CU_ASSERT_EQUAL(one->certificates[1].place.line, 38);
	CU_ASSERT_EQUAL(config->listeners[1].certificates[0].place.line, 42);
}

static void expect_endpoints(const struct config_upstream *upstream)
{
	const struct config_endpoint *endpoints = upstream->endpoints;

	CU_ASSERT_EQUAL_FATAL(upstream->endpoint_count, 3);
	CU_ASSERT_STRING_EQUAL(endpoints[0].host, "127.0.0.1");
	CU_ASSERT_EQUAL(endpoints[0].port, 20000);
	CU_ASSERT_FALSE(endpoints[0].is_tls);
	CU_ASSERT_STRING_EQUAL(endpoints[0].path_prefix, "/SOGo");
	CU_ASSERT_STRING_EQUAL(endpoints[1].host, "::1");
	CU_ASSERT_EQUAL(endpoints[1].port, 443);
	CU_ASSERT_TRUE(endpoints[1].is_tls);
	CU_ASSERT_STRING_EQUAL(endpoints[1].path_prefix, "");
	CU_ASSERT_STRING_EQUAL(endpoints[2].host, "mail.test");
	CU_ASSERT_EQUAL(endpoints[2].port, 444);
	CU_ASSERT_TRUE(endpoints[2].is_tls);
}

static void expect_words(const struct config_words *words, const char *expected)
{
	char text[200] = "";

	for (size_t i = 0; i < words->count; i++) {
		strcat(text, i == 0 ? "" : "|");
		strcat(text, words->list[i].text);
	}
	CU_ASSERT_STRING_EQUAL(text, expected);
}

static void expect_upstream(const struct config_upstream *upstream)
{
	CU_ASSERT_STRING_EQUAL(upstream->name, "sogo");
	CU_ASSERT_STRING_EQUAL(upstream->host, "mail.test:444");
	expect_path(upstream->ca.path, "ca.pem");
	CU_ASSERT_EQUAL(upstream->login, CONFIG_LOGIN_BASIC);
	CU_ASSERT_EQUAL_FATAL(upstream->header_count, 2);
	CU_ASSERT_STRING_EQUAL(upstream->headers[0].name, "X-User");
	CU_ASSERT_STRING_EQUAL(upstream->headers[0].value, "%{mailbox}");
	CU_ASSERT_STRING_EQUAL(upstream->headers[1].value, "%{device-id} 100%%");
	CU_ASSERT_STRING_EQUAL(upstream->basic_user, "%{local-part}*master");
	CU_ASSERT_TRUE(upstream->request_buffering);
	CU_ASSERT_EQUAL(upstream->buffer_memory, 26 << 10);
	CU_ASSERT_EQUAL(upstream->body, CONFIG_BODY_XML);
	CU_ASSERT_EQUAL(upstream->xml_dialect, CONFIG_XML_LIBWBXML);
	CU_ASSERT_EQUAL(upstream->connections, 27);
	CU_ASSERT_EQUAL_FATAL(upstream->source_count, 2);
	CU_ASSERT_STRING_EQUAL(upstream->sources[1].text, "127.0.0.2");
	CU_ASSERT_EQUAL(upstream->sources[1].addr.ss_family, AF_INET);
	CU_ASSERT_EQUAL(upstream->connect_time_ms, 28000);
	CU_ASSERT_EQUAL(upstream->answer_time_ms, 29000);
	CU_ASSERT_EQUAL(upstream->poll_margin_ms, 30000);
	CU_ASSERT_EQUAL(upstream->idle_time_ms, 31000);
	CU_ASSERT_EQUAL(upstream->health_interval_ms, 32000);
	CU_ASSERT_EQUAL(upstream->health_failures, 33);
	CU_ASSERT_STRING_EQUAL(upstream->health_path, "/up");
	CU_ASSERT_EQUAL(upstream->redirects, CONFIG_REDIRECTS_REFUSE);
	CU_ASSERT_STRING_EQUAL(upstream->spn, "HTTP/mail.test");
	CU_ASSERT_STRING_EQUAL(upstream->login_user, "%{local-part}");
	CU_ASSERT_EQUAL(upstream->login_time_ms, 51000);
	CU_ASSERT_EQUAL(upstream->login_cache, 52);
	CU_ASSERT_EQUAL(upstream->login_helpers, 3);
	CU_ASSERT_EQUAL(upstream->login_queue, 54);
	CU_ASSERT_EQUAL(upstream->login_failed_ms, 55000);
	CU_ASSERT_EQUAL(upstream->login_down, CONFIG_LOGIN_DOWN_REFUSE);
	CU_ASSERT_FALSE(upstream->mutual);
}

static void expect_logins(const struct config *config)
{
	const struct config_minted *minted = &config->minted;
	const struct config_bearer *bearer = &config->bearer;
	const struct config_assertion *assertion = &config->assertion;

	CU_ASSERT_EQUAL_FATAL(config->kerberos_count, 1);
	CU_ASSERT_STRING_EQUAL(config->kerberos[0].realm, "CONTOSO.TEST");
	CU_ASSERT_STRING_EQUAL(config->kerberos[0].account, "svc-easproxy");
	expect_path(config->kerberos[0].keytab.path, "password");
	expect_words(&config->kerberos[0].kdcs, "dc1.contoso.test|127.0.0.1:8800");
	expect_path(minted->issuer.path, "ca.pem");
	expect_path(minted->key.path, "mail.key");
	CU_ASSERT_STRING_EQUAL(minted->key_uri, "pkcs11:object=issuer");
	expect_path(minted->pkcs11_module, "module.so");
	CU_ASSERT_EQUAL_FATAL(minted->pkcs11_paths.count, 1);
	CU_ASSERT_STRING_EQUAL(minted->pkcs11_paths.list[0].text, "/opt/token");
	expect_path(minted->pin.path, "password");
	CU_ASSERT_EQUAL(minted->key_type, CONFIG_KEY_RSA);
	CU_ASSERT_EQUAL(minted->life_ms, 56 * 60 * 1000);
	CU_ASSERT_STRING_EQUAL(minted->crl_url, "http://pki.test/minting.crl");
	CU_ASSERT_FALSE(minted->sid);
	CU_ASSERT_STRING_EQUAL(bearer->endpoint, "https://login.test/token");
	expect_path(bearer->ca.path, "ca.pem");
	CU_ASSERT_EQUAL(bearer->grant, CONFIG_GRANT_SAML);
	CU_ASSERT_STRING_EQUAL(bearer->client_id, "easproxy-1");
	expect_path(bearer->client_secret.path, "password");
	CU_ASSERT_TRUE(bearer->client_assertion);
	CU_ASSERT_STRING_EQUAL(bearer->issuer, "https://easproxy.test");
	CU_ASSERT_STRING_EQUAL(bearer->audience, "urn:login");
	CU_ASSERT_STRING_EQUAL(bearer->subject, "%{local-part}");
	CU_ASSERT_STRING_EQUAL(bearer->name_format, "urn:format");
	CU_ASSERT_EQUAL(bearer->attributes.count, 1);
	CU_ASSERT_STRING_EQUAL(bearer->attributes.list[0].text, "urn:upn = %{upn}");
	CU_ASSERT_STRING_EQUAL(bearer->scope, "eas.all");
	expect_path(bearer->key.path, "mail.key");
	expect_path(bearer->certificate.path, "mail.pem");
	CU_ASSERT_STRING_EQUAL(bearer->key_id, "key-1");
	CU_ASSERT_EQUAL(bearer->algorithm, CONFIG_SIGNATURE_ES256);
	CU_ASSERT_EQUAL(bearer->assertion_life_ms, 57000);
	CU_ASSERT_STRING_EQUAL(assertion->header, "X-Assertion");
	CU_ASSERT_EQUAL(assertion->algorithm, CONFIG_SIGNATURE_ES256);
	expect_path(assertion->key.path, "mail.key");
	CU_ASSERT_STRING_EQUAL(assertion->key_id, "key-2");
	CU_ASSERT_STRING_EQUAL(assertion->issuer, "edge");
	CU_ASSERT_STRING_EQUAL(assertion->audience, "mail.test");
	CU_ASSERT_EQUAL(assertion->life_ms, 58000);
}

static void expect_directory(const struct config_directory *directory)
{
	CU_ASSERT_EQUAL(directory->backend, CONFIG_DIRECTORY_LDAP);
	expect_path(directory->file, "mailboxes");
	CU_ASSERT_EQUAL_FATAL(directory->url_count, 2);
	CU_ASSERT_STRING_EQUAL(directory->urls[0].host, "dc1.example.com");
	CU_ASSERT_EQUAL(directory->urls[0].port, 636);
	CU_ASSERT_TRUE(directory->urls[0].is_tls);
	CU_ASSERT_STRING_EQUAL(directory->urls[1].text, "ldap://127.0.0.1:3890");
	CU_ASSERT_EQUAL(directory->urls[1].port, 3890);
	CU_ASSERT_FALSE(directory->urls[1].is_tls);
	CU_ASSERT_FALSE(directory->start_tls);
	expect_path(directory->ca.path, "ca.pem");
	CU_ASSERT_EQUAL(directory->bind, CONFIG_BIND_GSSAPI);
	CU_ASSERT_STRING_EQUAL(directory->bind_name, "CN=easproxy,DC=example,DC=com");
	expect_path(directory->bind_password.path, "password");
	expect_path(directory->keytab, "keytab");
	CU_ASSERT_STRING_EQUAL(directory->base, "DC=example,DC=com");
	CU_ASSERT_EQUAL(directory->scope, CONFIG_SCOPE_ONE);
	CU_ASSERT_STRING_EQUAL(directory->filter, "(&(objectClass=user)(!(cn=\\2a)))");
	CU_ASSERT_STRING_EQUAL(directory->address_attribute, "aliases");
	CU_ASSERT_STRING_EQUAL(directory->mail_attribute, "");
	CU_ASSERT_STRING_EQUAL(directory->upn_attribute, "1.2.3");
	CU_ASSERT_EQUAL_FATAL(directory->binding_attribute_count, 1);
	CU_ASSERT_STRING_EQUAL(directory->binding_attributes[0], "bindings");
	CU_ASSERT_STRING_EQUAL(directory->sid_attribute, "sid");
	CU_ASSERT_STRING_EQUAL(directory->control_attribute, "uac");
	CU_ASSERT_STRING_EQUAL(directory->account_attribute, "uid");
	CU_ASSERT_EQUAL(directory->connect_time_ms, 34000);
	CU_ASSERT_EQUAL(directory->answer_time_ms, 35000);
	CU_ASSERT_EQUAL(directory->helpers, 36);
	CU_ASSERT_EQUAL(directory->cache_entries, 37);
	CU_ASSERT_EQUAL(directory->cache_time_ms, 38000);
	CU_ASSERT_EQUAL(directory->negative_cache_time_ms, 39000);
	CU_ASSERT_EQUAL(directory->when_down, CONFIG_WHEN_DOWN_USE_KNOWN);
	CU_ASSERT_EQUAL(directory->use_known_for_ms, 40000);
}

static void expect_finding(const struct config *config)
{
	const struct config_activesync *activesync = &config->activesync;
	const struct config_autodiscover *autodiscover = &config->autodiscover;

	CU_ASSERT_EQUAL(activesync->min_protocol, 121);
	CU_ASSERT_EQUAL(activesync->max_protocol, 160);
	CU_ASSERT_EQUAL(activesync->closed_commands, 1 << 16 | 1 << 23);
	CU_ASSERT_EQUAL(autodiscover->mode, CONFIG_AUTODISCOVER_OFF);
	CU_ASSERT_STRING_EQUAL(autodiscover->url, "https://phones.example.com:444");
	CU_ASSERT_STRING_EQUAL(autodiscover->display_name, "%{local-part}");
	CU_ASSERT_EQUAL_FATAL(autodiscover->redirect_count, 1);
	CU_ASSERT_STRING_EQUAL(autodiscover->redirects[0].from, "old.example.com");
	CU_ASSERT_STRING_EQUAL(autodiscover->redirects[0].to, "example.com");
	CU_ASSERT_FALSE(autodiscover->has_v2);
	CU_ASSERT_TRUE(autodiscover->is_anonymous);
}

static void expect_conditions(const struct config_rule *rule)
{
	CU_ASSERT_STRING_EQUAL(rule->name, "first");
	expect_words(&rule->mailbox, "*@example.com|!boss@example.com");
	expect_words(&rule->domain, "example.com");
	expect_words(&rule->group, "Staff|!temps");
	expect_words(&rule->issuer, "Phones CA");
	expect_words(&rule->certificate_policy, "1.3.6.1.4.1.311.21.8");
	expect_words(&rule->device, "ApplX1");
	expect_words(&rule->device_type, "iPhone|iPad");
	expect_words(&rule->model, "iPhone12*");
	expect_words(&rule->os, "iOS 1?.*");
	expect_words(&rule->user_agent, "Apple-*");
	expect_words(&rule->protocol, ">=14.1|!16.0");
	expect_words(&rule->source, "192.0.2.0/24|2001:db8::/32");
	expect_words(&rule->time, "mon-fri 07:00-19:00");
	expect_words(&rule->command, "SendMail|SmartReply");
	expect_words(&rule->class, "email");
	expect_words(&rule->does, "send");
	expect_words(&rule->recipient_domain, "!example.com");
	expect_words(&rule->attachment, "*.exe");
	expect_words(&rule->xpath, "//composemail:SaveInSentItems");
	CU_ASSERT_EQUAL(rule->attachment_larger_than, 42 << 10);
}

static void expect_policy(const struct config_policy *policy)
{
	const struct config_rule *rules = policy->rules;

	expect_words(&policy->use, "read-only|min-protocol 14.1");
	CU_ASSERT_TRUE(policy->is_shadow);
	CU_ASSERT_EQUAL(policy->document_size, 41 << 10);
	CU_ASSERT_EQUAL_FATAL(policy->rule_count, 4);
	expect_conditions(&rules[0]);
	CU_ASSERT_EQUAL(rules[0].action, CONFIG_RULE_DENY);
	CU_ASSERT_TRUE(rules[0].is_shadow);
	CU_ASSERT_EQUAL(rules[0].status, 126);
	CU_ASSERT_EQUAL(rules[0].http, 403);
	CU_ASSERT_EQUAL(rules[1].action, CONFIG_RULE_LIMIT);
	CU_ASSERT_FALSE(rules[1].is_shadow);
	CU_ASSERT_EQUAL(rules[1].body_size, 43 << 10);
	CU_ASSERT_STRING_EQUAL(rules[1].rate, "44/45s");
	CU_ASSERT_EQUAL(rules[1].heartbeat_ms, 46 * 60 * 1000);
	CU_ASSERT_EQUAL(rules[2].action, CONFIG_RULE_STRIP);
	CU_ASSERT_EQUAL(rules[2].larger_than, 47 << 10);
	expect_words(&rules[2].types, "image/*|*.mov");
	expect_words(&rules[2].folders, "tasks|notes");
	CU_ASSERT_EQUAL(rules[3].action, CONFIG_RULE_USE);
	expect_words(&rules[3].use, "calendar-only");
	/* Of all rules, each once. */
	CU_ASSERT_EQUAL_FATAL(policy->group_count, 3);
	CU_ASSERT_STRING_EQUAL(policy->groups[0], "staff");
	CU_ASSERT_STRING_EQUAL(policy->groups[1], "temps");
	CU_ASSERT_STRING_EQUAL(policy->groups[2], "admins");
}

static void test_every_option_reaches_the_model(void)
{
	char *text = read_data("config/every-option.conf");
	struct config *config = load_good(text);

	CU_ASSERT_STRING_EQUAL(fixture.reports,
		"c:105: warning: kerberos 'CONTOSO.TEST' says nothing without login = kerberos in "
		"upstream\n"
		"c:110: warning: minted-certificate says nothing without login = "
		"minted-certificate in upstream\n"
		"c:122: warning: bearer says nothing without login = bearer in upstream\n");
	expect_general(config);
	expect_limits(&config->limits);
	expect_listeners(config);
	expect_endpoints(&config->upstream);
	expect_upstream(&config->upstream);
	expect_logins(config);
	expect_directory(&config->directory);
	expect_finding(config);
	expect_policy(&config->policy);
	config_free(config);
	free(text);
}

static void expect_identity_header(const struct config *config, const char *name, bool is_there)
{
	bool found = false;

	for (size_t i = 0; i < config->identity_header_count; i++)
		found |= strcmp(config->identity_headers[i], name) == 0;
	if (found != is_there)
		printf("\n%s\n", name);
	CU_ASSERT_EQUAL(found, is_there);
}

static void test_fields_that_we_write_are_never_taken_from_a_phone(void)
{
	char *text = read_data("config/every-option.conf");
	struct config *config = load_good(text);

	expect_identity_header(config, "x-someone", true);
	expect_identity_header(config, "x-user", true);
	expect_identity_header(config, "x-device", true);
	expect_identity_header(config, "client-cert", true);
	expect_identity_header(config, "client-cert-chain", true);
	expect_identity_header(config, "x-forwarded-user", false);
	config_free(config);
	config = load_good(minimal);
	expect_identity_header(config, "x-forwarded-user", true);
	config_free(config);
	free(text);
}

static void test_what_is_not_written_has_its_default(void)
{
	struct config *config = load_good(minimal);
	const struct config_limits *limits = &config->limits;
	const struct config_upstream *upstream = &config->upstream;

	CU_ASSERT_TRUE(config->workers >= 1 && config->workers <= 128);
	CU_ASSERT_STRING_EQUAL(config->pid_file, "");
	CU_ASSERT_STRING_EQUAL(config->state_directory, "/var/lib/easproxy");
	CU_ASSERT_STRING_EQUAL(config->control_socket, "/run/easproxy/control.sock");
	CU_ASSERT_EQUAL(config->drain_time_ms, 30000);
	CU_ASSERT_TRUE(config->deep_sleep);
	CU_ASSERT_EQUAL(config->log.level, CONFIG_LOG_INFO);
	CU_ASSERT_EQUAL(limits->connections, 100000);
	CU_ASSERT_EQUAL(limits->connections_per_source, 1000);
	CU_ASSERT_EQUAL(limits->handshake_time_ms, 10000);
	CU_ASSERT_EQUAL(limits->head_size, 16384);
	CU_ASSERT_EQUAL(limits->body_size, 30 << 20);
	CU_ASSERT_EQUAL(limits->wbxml_depth, 32);
	CU_ASSERT_EQUAL(limits->wbxml_elements, 200000);
	CU_ASSERT_EQUAL(config->listeners[0].tls_min, CONFIG_TLS_1_2);
	CU_ASSERT_EQUAL(config->listeners[0].certificates[0].server_name_count, 0);
	CU_ASSERT_EQUAL(config->trust.security_level, 2);
	CU_ASSERT_EQUAL(config->trust.algorithms, ALGORITHMS_USUAL);
	CU_ASSERT_EQUAL(config->trust.revoked_certificates, CONFIG_REVOKED_REFUSE);
	CU_ASSERT_EQUAL(config->trust.wipe_reasons, 1 << 1 | 1 << 5 | 1 << 9);
	CU_ASSERT_EQUAL(config->trust.wipe_kind, CONFIG_WIPE_ACCOUNT);
	CU_ASSERT_TRUE(config->trust.needs_client_auth);
	CU_ASSERT_FALSE(config->trust.is_any_leaf);
	CU_ASSERT_EQUAL(config->trust.policy_count, 0);
	CU_ASSERT_EQUAL(config->revocation.size_limit, 20 << 20);
	CU_ASSERT_EQUAL(config->revocation.time_limit_ms, 10000);
	CU_ASSERT_EQUAL(config->mailbox.name_count, 2);
	CU_ASSERT_EQUAL(config->mailbox.names[0], CONFIG_NAME_PRINCIPAL);
	CU_ASSERT_EQUAL(upstream->login, CONFIG_LOGIN_HEADER);
	CU_ASSERT_EQUAL(upstream->ca.fd, -1);
	CU_ASSERT_EQUAL(upstream->basic_password.fd, -1);
	CU_ASSERT_EQUAL(upstream->answer_time_ms, 120000);
	CU_ASSERT_EQUAL(upstream->poll_margin_ms, 60000);
	CU_ASSERT_FALSE(upstream->request_buffering);
	config_free(config);
}

static void test_files_are_read_once_and_sealed(void)
{
	struct config *config = load_good(minimal);
	static const char good_store[] = "{\"certificateAuthorities\": []}\n";
	const struct config_file *store = &config->trust.store;
	struct error err;
	size_t len;
	char *content;

	fixture_write(&fixture, "trust.json", "changed", 0644);
	content = config_file_read(store, &len, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(content);
	CU_ASSERT_EQUAL(len, sizeof(good_store) - 1);
	CU_ASSERT(content != NULL && strcmp(content, good_store) == 0);
	free(content);
	content = config_file_read(store, &len, &err); /* a second time as the first */
	CU_ASSERT_PTR_NOT_NULL(content);
	free(content);
	CU_ASSERT_EQUAL(fcntl(store->fd, F_GET_SEALS),
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	CU_ASSERT_EQUAL(write(store->fd, "x", 1), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_NOT_EQUAL(fcntl(store->fd, F_GETFD) & FD_CLOEXEC, 0);
	fixture_write(&fixture, "trust.json", "{\"certificateAuthorities\": []}\n", 0644);
	config_free(config);
}

static void test_a_file_that_is_not_configured_cannot_be_read(void)
{
	struct config *config = load_good(minimal);
	struct error err;
	size_t len;

	CU_ASSERT_PTR_NULL(config_file_read(&config->upstream.ca, &len, &err));
	config_free(config);
	config_free(NULL);
}

static size_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void test_no_descriptor_is_left_open(void)
{
	size_t before = count_descriptors();
	char *text = read_data("config/every-option.conf");

	config_free(load_good(text));
	CU_ASSERT_EQUAL(count_descriptors(), before);
	text[strlen(text) - 2] = '!'; /* now upstream is not closed */
	CU_ASSERT_PTR_NULL(fixture_load(&fixture, text, NULL));
	CU_ASSERT_EQUAL(count_descriptors(), before);
	CU_ASSERT_PTR_NULL(fixture_load(&fixture, "trust { store = trust.json }", NULL));
	CU_ASSERT_EQUAL(count_descriptors(), before);
	free(text);
}

static void replace(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
	memcpy(at, to, strlen(to));
}

/* The file as installed, but for the paths, the user and the port. */
static void test_the_sample_is_a_good_configuration(void)
{
	char *text = read_data("../../config/easproxy.conf");

	replace(text, "tls/server.pem", "mail.pem");
	replace(text, "tls/server.key", "mail.key");
	replace(text, "#user = \"easproxy\"", "user = \"nobody\"");
	config_free(load_good(text));
	CU_ASSERT_STRING_EQUAL(fixture.reports, "");
	free(text);
}

static int expect_store(const struct config_file *store, config_report *report, void *context)
{
	struct error err;
	size_t len;
	char *content = config_file_read(store, &len, &err);

	CU_ASSERT_PTR_NOT_NULL(content);
	free(content);
	report(context, "warning: trust.json: nobody");
	return 0;
}

static void test_the_trust_store_is_checked_by_whom_it_concerns(void)
{
	struct config *config = fixture_load(&fixture, minimal, expect_store);

	CU_ASSERT_PTR_NOT_NULL(config);
	CU_ASSERT_STRING_EQUAL(fixture.reports, "warning: trust.json: nobody\n");
	config_free(config);
}

/* minimal with one piece of it written in another way. */
static uint64_t grounds_with(const char *piece, const char *instead)
{
	const char *at = strstr(minimal, piece);
	struct config *config;
	uint64_t grounds;
	char text[2048];

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - minimal), minimal, instead,
		at + strlen(piece));
	config = load_good(text);
	grounds = config->grounds;
	config_free(config);
	return grounds;
}

static void test_settings_of_who_may_come_in_are_told_from_others(void)
{
	const char *trust = "store = trust.json", *domains = "domains = example.com";
	uint64_t plain = grounds_with(trust, trust);

	CU_ASSERT_EQUAL(plain, grounds_with("user = nobody", "user = nobody workers = 3"));
	CU_ASSERT_EQUAL(plain, grounds_with("https://mail.test", "https://other.test"));
	CU_ASSERT_NOT_EQUAL(plain, grounds_with(trust, "store = trust.json depth = 2"));
	CU_ASSERT_NOT_EQUAL(plain, grounds_with(domains, "domains = example.org"));
	CU_ASSERT_NOT_EQUAL(plain, grounds_with(domains, "domains = {example.com, example.org}"));
	CU_ASSERT_NOT_EQUAL(
		plain, grounds_with(domains, "domains = example.com names = rfc822-name"));
	CU_ASSERT_NOT_EQUAL(grounds_with(domains, "domains = {ab.com, c.com}"),
		grounds_with(domains, "domains = {c.com, ab.com}"));
}

static const struct check checks[] = {
	{"every option reaches the model", test_every_option_reaches_the_model},
	{"fields that we write are never taken from a phone",
		test_fields_that_we_write_are_never_taken_from_a_phone},
	{"what is not written has its default", test_what_is_not_written_has_its_default},
	{"settings of who may come in are told from others",
		test_settings_of_who_may_come_in_are_told_from_others},
	{"files are read once and sealed", test_files_are_read_once_and_sealed},
	{"a file that is not configured cannot be read",
		test_a_file_that_is_not_configured_cannot_be_read},
	{"no descriptor is left open", test_no_descriptor_is_left_open},
	{"the sample is a good configuration", test_the_sample_is_a_good_configuration},
	{"the trust store is checked by whom it concerns",
		test_the_trust_store_is_checked_by_whom_it_concerns},
};

int main(void)
{
	int status;

	fixture_begin(&fixture);
	status = check_run("config/model", checks, sizeof(checks) / sizeof(checks[0]));
	fixture_end(&fixture);
	return status;
}
