#include "auth/bearer.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/assertion.h"
#include "auth/bearer_answer.h"
#include "auth/login_name.h"
#include "auth/openssl_error.h"
#include "auth/saml_assertion.h"
#include "config/base64.h"

enum {
	FORM_MAX = 48 * 1024,
	XML_MAX = LOGIN_SECRET_MAX / 4 * 3 - 3, /* fits in LOGIN_SECRET_MAX as base64 */
	NAME_SIZE = 1024,
	ATTRIBUTES_MAX = 16,
	/* A connection is used again within. One that the server is just closing would have libcurl send the
	 * same assertion a second time, which a server that remembers them refuses. */
	KEPT_S = 5,
};

/* RFC 7523 8.1, RFC 7522 5.1 */
static const char jwt_grant[] = "urn:ietf:params:oauth:grant-type:jwt-bearer";
static const char saml_grant[] = "urn:ietf:params:oauth:grant-type:saml2-bearer";
static const char jwt_client[] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct bearer_desk {
	const struct config_bearer *config;
	uint32_t time_ms;
	struct signing_key *key;
	struct saml_signer *saml; /* NULL: JWTs */
	X509_STORE *authorities;
	char *client_secret; /* NULL: none */
	CURL *easy;
	struct curl_slist *fields;
	char reason[CURL_ERROR_SIZE];
	/* Of the fetch under way */
	char form[FORM_MAX];
	size_t form_len;
	bool is_form_full;
	uint8_t body[BEARER_ANSWER_MAX];
	size_t body_len;
	bool is_too_large;
	int64_t server_time;
};

/* Opening */

/* The configuration has checked that it leads to this host then. */
static bool is_plain(const struct config_bearer *config)
{
	return strncasecmp(config->endpoint, "http:", 5) == 0;
}

static int add_authorities(X509_STORE *store, const struct config_file *ca, struct error *err)
{
	size_t len = 0;
	char *text = config_file_read(ca, &len, err);
	BIO *bio = text != NULL ? BIO_new_mem_buf(text, (int)len) : NULL;
	X509 *certificate;
	int count = 0;

	while (bio != NULL && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		count += X509_STORE_add_cert(store, certificate);
		X509_free(certificate);
	}
	ERR_clear_error();
	BIO_free(bio);
	if (text != NULL && count == 0)
		error_set(err, "%s has no certificate (PEM)", ca->path);
	free(text);
	return count > 0 ? 0 : -1;
}

static int open_authorities(struct bearer_desk *desk, struct error *err)
{
	desk->authorities = X509_STORE_new();
	if (desk->authorities == NULL)
		return error_openssl(err, "preparing TLS towards the authorization server");
	if (is_plain(desk->config))
		return 0;
	if (desk->config->ca.fd != -1)
		return add_authorities(desk->authorities, &desk->config->ca, err);
	return X509_STORE_load_file(desk->authorities, X509_get_default_cert_file()) == 1
		       ? 0
		       : error_openssl(err, "reading the system's CA certificates");
}

static int read_client_secret(struct bearer_desk *desk, struct error *err)
{
	size_t len;

	if (desk->config->client_secret.fd == -1)
		return 0;
	desk->client_secret = config_file_read(&desk->config->client_secret, &len, err);
	if (desk->client_secret == NULL)
		return -1;
	desk->client_secret[strcspn(desk->client_secret, "\r\n")] = '\0';
	return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct bearer_desk *desk = arg;
	size_t len = size * count; /* libcurl's size is always 1 */

	if (len > sizeof(desk->body) - desk->body_len) {
		desk->is_too_large = true;
		return 0;
	}
	memcpy(desk->body + desk->body_len, data, len);
	desk->body_len += len;
	return len;
}

static size_t on_field(char *data, size_t size, size_t count, void *arg)
{
	struct bearer_desk *desk = arg;
	size_t len = size * count;
	char date[64];

	if (len > 5 && len - 5 < sizeof(date) && strncasecmp(data, "Date:", 5) == 0) {
		snprintf(date, sizeof(date), "%.*s", (int)(len - 5), data + 5);
		desk->server_time = (int64_t)curl_getdate(date, NULL);
	}
	return len;
}

static CURLcode on_tls(CURL *easy, void *tls, void *arg)
{
	struct bearer_desk *desk = arg;

	(void)easy;
	return SSL_CTX_set1_verify_cert_store(tls, desk->authorities) == 1 ? CURLE_OK
									   : CURLE_OUT_OF_MEMORY;
}

/* Nothing from the environment, no redirects, TLS verified by our authorities alone. */
static bool set_options(struct bearer_desk *desk)
{
	CURL *easy = desk->easy;
	const char *protocols = is_plain(desk->config) ? "http" : "https";

	return curl_easy_setopt(easy, CURLOPT_URL, desk->config->endpoint) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)desk->time_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)desk->time_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)KEPT_S) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, desk) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "easproxyd/" EASPROXY_VERSION) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, desk->fields) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, desk->reason) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_field) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERDATA, desk) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, desk) == CURLE_OK;
}

/* RFC 6749 2.3.1: both are encoded before they become a name and a password. */
static bool set_client(struct bearer_desk *desk)
{
	char *name, *password;
	bool is_good;

	if (desk->client_secret == NULL)
		return true;
	name = curl_easy_escape(desk->easy, desk->config->client_id, 0);
	password = curl_easy_escape(desk->easy, desk->client_secret, 0);
	is_good =
		name != NULL && password != NULL &&
		curl_easy_setopt(desk->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
		curl_easy_setopt(desk->easy, CURLOPT_USERNAME, name) == CURLE_OK &&
		curl_easy_setopt(desk->easy, CURLOPT_PASSWORD, password) == CURLE_OK;
	if (password != NULL)
		OPENSSL_cleanse(password, strlen(password));
	curl_free(name);
	curl_free(password);
	return is_good;
}

static int open_connection(struct bearer_desk *desk, struct error *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, "libcurl cannot be used");
	desk->fields = curl_slist_append(NULL, "Accept: application/json");
	desk->easy = curl_easy_init();
	if (desk->fields == NULL || desk->easy == NULL || !set_options(desk) || !set_client(desk))
		return error_set(
			err, "bearer/endpoint '%.200s' cannot be asked", desk->config->endpoint);
	return 0;
}

struct bearer_desk *bearer_desk_new(
	const struct config_bearer *config, uint32_t time_ms, struct error *err)
{
	struct bearer_desk *desk = calloc(1, sizeof(*desk));

	if (desk == NULL) {
		error_set(err, "preparing to fetch tokens: out of memory");
		return NULL;
	}
	desk->config = config;
	desk->time_ms = time_ms;
	bearer_answer_wipe_json();
	desk->key = signing_key_read(
		config->algorithm, &config->key, &config->certificate, config->key_id, err);
	if (desk->key == NULL)
		goto failed;
	if (config->grant == CONFIG_GRANT_SAML) {
		desk->saml = saml_signer_new(desk->key, err);
		if (desk->saml == NULL)
			goto failed;
	}
	if (open_authorities(desk, err) == 0 && read_client_secret(desk, err) == 0 &&
		open_connection(desk, err) == 0)
		return desk;
failed:
	bearer_desk_free(desk);
	return NULL;
}

void bearer_desk_free(struct bearer_desk *desk)
{
	if (desk == NULL)
		return;
	curl_easy_cleanup(desk->easy);
	curl_slist_free_all(desk->fields);
	saml_signer_free(desk->saml);
	signing_key_close(desk->key);
	X509_STORE_free(desk->authorities);
	if (desk->client_secret != NULL)
		OPENSSL_cleanse(desk->client_secret, strlen(desk->client_secret));
	free(desk->client_secret);
	OPENSSL_cleanse(desk, sizeof(*desk));
	free(desk);
}

/* The question */

static const char *issuer_of(const struct config_bearer *config)
{
	return config->issuer[0] != '\0' ? config->issuer : config->client_id;
}

static const char *audience_of(const struct config_bearer *config)
{
	return config->audience[0] != '\0' ? config->audience : config->endpoint;
}

static void form_put(struct bearer_desk *desk, char c)
{
	if (desk->form_len == sizeof(desk->form))
		desk->is_form_full = true;
	else
		desk->form[desk->form_len++] = c;
}

/* application/x-www-form-urlencoded, RFC 6749 Appendix B. */
static void form_add(struct bearer_desk *desk, const char *name, struct span value)
{
	static const char digits[] = "0123456789ABCDEF";

	if (desk->form_len > 0)
		form_put(desk, '&');
	for (; *name != '\0'; name++)
		form_put(desk, *name);
	form_put(desk, '=');
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '.' || c == '_') {
			form_put(desk, (char)c);
			continue;
		}
		form_put(desk, '%');
		form_put(desk, digits[c >> 4]);
		form_put(desk, digits[c & 15]);
	}
}

static int add_jwt(struct bearer_desk *desk, const char *name, const char *issuer,
	const char *subject, struct login_secret *room, struct error *err)
{
	const struct config_bearer *config = desk->config;
	const struct assertion_claims claims = {.issuer = issuer,
		.subject = subject,
		.audience = audience_of(config),
		.now = (int64_t)time(NULL),
		.life_s = config->assertion_life_ms / 1000};
	int result = assertion_write(desk->key, &claims, room, err);

	if (result == 0)
		form_add(desk, name, span_of(room->bytes, room->len));
	login_secret_wipe(room);
	return result;
}

/* "NAME = TEMPLATE", which the configuration has checked. */
static enum login_status fill_attribute(const struct config_word *word,
	const struct login_subject *subject, char name[NAME_SIZE], char value[NAME_SIZE],
	struct login_fault *fault)
{
	const char *equals = strchr(word->text, '=');
	size_t len = equals != NULL ? (size_t)(equals - word->text) : 0;

	while (len > 0 && word->text[len - 1] == ' ')
		len--;
	if (len == 0 || len >= NAME_SIZE)
		return login_fault_set(fault, LOGIN_MISCONFIGURED, NULL,
			"bearer/attributes: '%.100s' has no name", word->text);
	memcpy(name, word->text, len);
	name[len] = '\0';
	equals++;
	return login_name_fill(equals + strspn(equals, " "), subject, value, NAME_SIZE, fault);
}

struct saml_texts {
	struct saml_attribute list[ATTRIBUTES_MAX];
	char names[ATTRIBUTES_MAX][NAME_SIZE], values[ATTRIBUTES_MAX][NAME_SIZE];
	size_t count;
};

/* One that is not known of this user is left out: the server knows what it needs. */
static enum login_status fill_attributes(const struct config_words *words,
	const struct login_subject *subject, struct saml_texts *texts, struct login_fault *fault)
{
	texts->count = 0;
	for (size_t i = 0; i < words->count && texts->count < ATTRIBUTES_MAX; i++) {
		char *name = texts->names[texts->count], *value = texts->values[texts->count];
		struct login_fault why;
		enum login_status status =
			fill_attribute(&words->list[i], subject, name, value, &why);

		if (status == LOGIN_MISCONFIGURED) {
			*fault = why;
			return status;
		}
		if (status == LOGIN_GIVEN)
			texts->list[texts->count++] =
				(struct saml_attribute){.name = name, .value = value};
	}
	return LOGIN_GIVEN;
}

static int add_xml(struct bearer_desk *desk, const char *name, const struct saml_texts *texts,
	struct login_secret *room, struct error *err)
{
	const struct config_bearer *config = desk->config;
	const struct saml_claims claims = {.issuer = issuer_of(config),
		.subject = name,
		.name_format = config->name_format,
		.audience = audience_of(config),
		.recipient = config->endpoint,
		.attribute_count = texts->count,
		.attributes = texts->list,
		.now = (int64_t)time(NULL),
		.life_s = config->assertion_life_ms / 1000};
	char xml[XML_MAX];
	size_t len;
	int result = saml_assertion_write(desk->saml, &claims, xml, sizeof(xml), &len, err);

	if (result == 0) {
		room->len = base64url_write(
			span_of(xml, len), (char *)room->bytes, sizeof(room->bytes));
		form_add(desk, "assertion", span_of(room->bytes, room->len));
	}
	OPENSSL_cleanse(xml, sizeof(xml));
	login_secret_wipe(room);
	return result;
}

static enum login_status add_assertion(struct bearer_desk *desk,
	const struct login_subject *subject, struct login_secret *room, struct login_fault *fault)
{
	struct saml_texts texts;
	char name[NAME_SIZE];
	struct error err;
	int result;
	enum login_status status =
		login_name_fill(desk->config->subject, subject, name, sizeof(name), fault);

	if (status == LOGIN_GIVEN && desk->saml != NULL)
		status = fill_attributes(&desk->config->attributes, subject, &texts, fault);
	if (status != LOGIN_GIVEN)
		return status;
	result = desk->saml != NULL
			 ? add_xml(desk, name, &texts, room, &err)
			 : add_jwt(desk, "assertion", issuer_of(desk->config), name, room, &err);
	return result == 0 ? LOGIN_GIVEN
			   : login_fault_set(fault, LOGIN_REFUSED,
				     "the name of this user may have characters that an assertion "
				     "does not take",
				     "%s", err.text);
}

static enum login_status add_client(
	struct bearer_desk *desk, struct login_secret *room, struct login_fault *fault)
{
	const struct config_bearer *config = desk->config;
	struct error err;

	/* With a secret it is in the field Authorization, and RFC 6749 2.3 wants one way alone. */
	if (config->client_id[0] == '\0' || desk->client_secret != NULL)
		return LOGIN_GIVEN;
	form_add(desk, "client_id", span_of_string(config->client_id));
	if (!config->client_assertion)
		return LOGIN_GIVEN;
	form_add(desk, "client_assertion_type", span_of_string(jwt_client));
	if (add_jwt(desk, "client_assertion", config->client_id, config->client_id, room, &err) ==
		-1)
		return login_fault_set(fault, LOGIN_MISCONFIGURED, NULL, "%s", err.text);
	return LOGIN_GIVEN;
}

static enum login_status make_form(struct bearer_desk *desk, const struct login_subject *subject,
	struct login_secret *room, struct login_fault *fault)
{
	const struct config_bearer *config = desk->config;
	enum login_status status;

	desk->form_len = 0;
	desk->is_form_full = false;
	form_add(desk, "grant_type", span_of_string(desk->saml != NULL ? saml_grant : jwt_grant));
	status = add_assertion(desk, subject, room, fault);
	if (status == LOGIN_GIVEN)
		status = add_client(desk, room, fault);
	if (status == LOGIN_GIVEN && config->scope[0] != '\0')
		form_add(desk, "scope", span_of_string(config->scope));
	if (status == LOGIN_GIVEN && desk->is_form_full)
		status = login_fault_set(fault, LOGIN_MISCONFIGURED, NULL,
			"the question to the authorization server is larger than %d bytes",
			FORM_MAX);
	return status;
}

/* The answer */

static enum login_status explain(
	const struct bearer_desk *desk, CURLcode code, struct login_fault *fault)
{
	const char *why = desk->reason[0] != '\0' ? desk->reason : curl_easy_strerror(code);

	if (desk->is_too_large)
		return login_fault_set(fault, LOGIN_UNAVAILABLE,
			"is bearer/endpoint the URL of its token endpoint?",
			"the authorization server answered with more than %d bytes",
			BEARER_ANSWER_MAX);
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return login_fault_set(fault, LOGIN_UNAVAILABLE,
			"is it up, and can this host reach it?",
			"the authorization server has not answered within %u ms", desk->time_ms);
	case CURLE_PEER_FAILED_VERIFICATION:
		return login_fault_set(fault, LOGIN_MISCONFIGURED,
			"bearer/ca has to have the authority of its certificate, which has to be "
			"for the name in bearer/endpoint and not to have expired",
			"the authorization server is not who it should be: %s", why);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return login_fault_set(fault, LOGIN_UNAVAILABLE,
			"is it up, and can this host reach it?",
			"connecting to the authorization server: %s", why);
	default:
		return login_fault_set(
			fault, LOGIN_UNAVAILABLE, NULL, "asking the authorization server: %s", why);
	}
}

static enum login_status ask(
	struct bearer_desk *desk, struct login_secret *out, struct login_fault *fault)
{
	struct bearer_answer answer = {.asked_at = (int64_t)time(NULL)};
	CURLcode code = CURLE_OUT_OF_MEMORY;

	desk->body_len = 0;
	desk->is_too_large = false;
	desk->server_time = -1;
	desk->reason[0] = '\0';
	if (curl_easy_setopt(desk->easy, CURLOPT_POSTFIELDSIZE, (long)desk->form_len) == CURLE_OK &&
		curl_easy_setopt(desk->easy, CURLOPT_POSTFIELDS, desk->form) == CURLE_OK)
		code = curl_easy_perform(desk->easy);
	if (code != CURLE_OK)
		return explain(desk, code, fault);
	curl_easy_getinfo(desk->easy, CURLINFO_RESPONSE_CODE, &answer.http_status);
	answer.body = span_of(desk->body, desk->body_len);
	answer.server_time = desk->server_time;
	return bearer_answer_read(&answer, out, fault);
}

/* Should the server repeat it. */
static void hide_client_secret(const struct bearer_desk *desk, struct login_fault *fault)
{
	if (desk->client_secret != NULL && strstr(fault->text, desk->client_secret) != NULL)
		snprintf(fault->text, sizeof(fault->text),
			"the authorization server's error repeats the client's secret, and is not "
			"shown");
}

enum login_status bearer_fetch(struct bearer_desk *desk, const struct login_subject *subject,
	struct login_secret *out, struct login_fault *fault)
{
	enum login_status status;

	*out = (struct login_secret){0};
	status = make_form(desk, subject, out, fault);
	if (status == LOGIN_GIVEN)
		status = ask(desk, out, fault);
	OPENSSL_cleanse(desk->form, desk->form_len);
	OPENSSL_cleanse(desk->body, desk->body_len);
	if (status != LOGIN_GIVEN) {
		login_secret_wipe(out);
		hide_client_secret(desk, fault);
	}
	return status;
}
