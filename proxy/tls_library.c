#include "proxy/tls_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "proxy/tls_ec_key.h"

enum { ALGORITHM_MAX = 8, KDF_FUNCTION_MAX = 16 };

/* What of an operation's algorithms is wanted, by OpenSSL's first name for each. */
struct selection {
	int operation;
	const char *names[ALGORITHM_MAX + 1];
	const char *properties; /* has to be in the algorithm's; NULL: any will do */
	/* What of it the default provider has; a row of zeros ends it. */
	OSSL_ALGORITHM algorithms[ALGORITHM_MAX + 1];
};

/* Whatever is missing here does not exist for these handshakes; tls_server.c does without this context where
 * a cipher suite would be missing. The kinds of keys and the digests for signatures are those that
 * trust/algorithms knows; OpenSSL calls certificates by their SHA-1. */
static struct selection selections[] = {
	{.operation = OSSL_OP_DIGEST,
		.names = {"SHA1", "SHA2-256", "SHA2-384", "SHA2-512", "SHA3-256", "SHA3-384",
			"SHA3-512"}},
	{.operation = OSSL_OP_CIPHER, .names = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"}},
	{.operation = OSSL_OP_MAC, .names = {"HMAC"}},
	{.operation = OSSL_OP_KDF, .names = {"HKDF", "TLS13-KDF", "TLS1-PRF"}},
	{.operation = OSSL_OP_RAND, .names = {"CTR-DRBG"}},
	{.operation = OSSL_OP_KEYMGMT,
		.names = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448", "X25519"}},
	{.operation = OSSL_OP_KEYEXCH, .names = {"ECDH", "X25519"}},
	{.operation = OSSL_OP_SIGNATURE, .names = {"RSA", "ECDSA", "ED25519", "ED448"}},
	{.operation = OSSL_OP_ASYM_CIPHER, .names = {"RSA"}},
	{.operation = OSSL_OP_DECODER,
		.names = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"},
		.properties = "input=der,structure=SubjectPublicKeyInfo"},
};

enum { SELECTION_COUNT = sizeof(selections) / sizeof(selections[0]) };

/* A provider's functions are handed nothing but its context, and that is the default provider's. */
static OSSL_PROVIDER *default_provider;

/* algorithm_names: "RSA:rsaEncryption:1.2.840.113549.1.1.1". */
static bool is_named(const OSSL_ALGORITHM *algorithm, const char *name)
{
	size_t len = strcspn(algorithm->algorithm_names, ":");

	return strlen(name) == len && strncasecmp(algorithm->algorithm_names, name, len) == 0;
}

static bool is_wanted(const struct selection *selection, const OSSL_ALGORITHM *algorithm)
{
	if (selection->properties != NULL &&
		strstr(algorithm->property_definition, selection->properties) == NULL)
		return false;
	for (size_t i = 0; selection->names[i] != NULL; i++)
		if (is_named(algorithm, selection->names[i]))
			return true;
	return false;
}

/* The default provider's TLS13-KDF, but whoever listens is told what it has derived. */
static OSSL_DISPATCH kdf_functions[KDF_FUNCTION_MAX];
static OSSL_FUNC_kdf_derive_fn *default_derive;
static tls_library_on_secret *on_secret;

static int on_derive(void *context, unsigned char *key, size_t len, const OSSL_PARAM params[])
{
	int status = default_derive(context, key, len, params);
	const OSSL_PARAM *label;

	if (status != 1 || on_secret == NULL)
		return status;
	label = OSSL_PARAM_locate_const(params, OSSL_KDF_PARAM_LABEL);
	if (label != NULL && label->data != NULL)
		on_secret(label->data, label->data_size, key, len);
	return status;
}

/* Left as it is where its functions are not as expected: then nobody is told. */
static void tell_what_is_derived(OSSL_ALGORITHM *algorithm)
{
	OSSL_FUNC_kdf_derive_fn *derive = NULL;
	size_t count = 0;

	for (const OSSL_DISPATCH *from = algorithm->implementation; from->function_id != 0;
		from++) {
		if (count == KDF_FUNCTION_MAX - 1)
			return;
		kdf_functions[count] = *from;
		if (from->function_id == OSSL_FUNC_KDF_DERIVE) {
			derive = OSSL_FUNC_kdf_derive(from);
			kdf_functions[count].function = (void (*)(void))on_derive;
		}
		count++;
	}
	if (derive == NULL)
		return;
	default_derive = derive;
	algorithm->implementation = kdf_functions;
}

static void select_algorithms(struct selection *selection)
{
	int no_store = 0;
	size_t count = 0;
	const OSSL_ALGORITHM *from =
		OSSL_PROVIDER_query_operation(default_provider, selection->operation, &no_store);

	for (; from != NULL && from->algorithm_names != NULL && count < ALGORITHM_MAX; from++)
		if (is_wanted(selection, from)) {
			selection->algorithms[count] = *from;
			if (selection->operation == OSSL_OP_KDF && is_named(from, "TLS13-KDF"))
				tell_what_is_derived(&selection->algorithms[count]);
			count++;
		}
}

static OSSL_ALGORITHM *selected(int operation, const char *name)
{
	for (size_t i = 0; i < SELECTION_COUNT; i++)
		if (selections[i].operation == operation)
			for (OSSL_ALGORITHM *algorithm = selections[i].algorithms;
				algorithm->algorithm_names != NULL; algorithm++)
				if (is_named(algorithm, name))
					return algorithm;
	return NULL;
}

static void read_keys_on_known_curves(void)
{
	OSSL_ALGORITHM *key_management = selected(OSSL_OP_KEYMGMT, "EC");
	OSSL_ALGORITHM *decoder = selected(OSSL_OP_DECODER, "EC");

	if (key_management != NULL && decoder != NULL)
		tls_ec_key_use(
			key_management, decoder, OSSL_PROVIDER_get0_provider_ctx(default_provider));
}

static const OSSL_ALGORITHM *on_query(void *context, int operation, int *no_store)
{
	(void)context;
	*no_store = 0;
	for (size_t i = 0; i < SELECTION_COUNT; i++)
		if (selections[i].operation == operation)
			return selections[i].algorithms;
	return NULL;
}

/* The groups of key exchange. */
static int on_capabilities(void *context, const char *name, OSSL_CALLBACK *callback, void *arg)
{
	(void)context;
	return OSSL_PROVIDER_get_capabilities(default_provider, name, callback, arg);
}

static int on_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
	const OSSL_DISPATCH **out, void **context)
{
	static const OSSL_DISPATCH functions[] = {
		{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))on_query},
		{OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))on_capabilities},
		{0, NULL},
	};

	(void)handle;
	tls_ec_key_begin(in);
	*out = functions;
	/* What its algorithms are handed. It remains the default provider's, so nothing tears it down. */
	*context = OSSL_PROVIDER_get0_provider_ctx(default_provider);
	return 1;
}

/* Ends the search, with 0, at one that somebody must have asked for. */
static int on_provider(OSSL_PROVIDER *provider, void *arg)
{
	const char *name = OSSL_PROVIDER_get0_name(provider);

	(void)arg;
	return strcmp(name, "default") == 0 || strcmp(name, "legacy") == 0 ||
	       strcmp(name, "base") == 0;
}

static OSSL_LIB_CTX *library_new(void)
{
	OSSL_LIB_CTX *library;

	if (OSSL_PROVIDER_available(NULL, "default") != 1 ||
		OSSL_PROVIDER_do_all(NULL, on_provider, NULL) != 1)
		return NULL;
	default_provider = OSSL_PROVIDER_load(NULL, "default");
	if (default_provider == NULL)
		return NULL;
	for (size_t i = 0; i < SELECTION_COUNT; i++)
		select_algorithms(&selections[i]);
	read_keys_on_known_curves();
	library = OSSL_LIB_CTX_new();
	if (library != NULL && OSSL_PROVIDER_add_builtin(library, "handshake", on_init) == 1 &&
		OSSL_PROVIDER_load(library, "handshake") != NULL)
		return library;
	OSSL_LIB_CTX_free(library);
	return NULL;
}

OSSL_LIB_CTX *tls_library(void)
{
	static bool is_made;
	static OSSL_LIB_CTX *library;

	if (!is_made) {
		ERR_set_mark();
		library = library_new();
		ERR_pop_to_mark();
		is_made = true;
	}
	return library;
}

bool tls_library_listen(tls_library_on_secret *listener)
{
	on_secret = listener;
	return default_derive != NULL;
}
