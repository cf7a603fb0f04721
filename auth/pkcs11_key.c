#include "auth/pkcs11_key.h"

#include <libp11.h>
#include <openssl/ui.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"

struct pkcs11_key {
	PKCS11_CTX *context;
	UI_METHOD *nobody;
	bool is_loaded;
	PKCS11_SLOT *slots;
	unsigned int slot_count;
	EVP_PKEY *key;
};

static bool is_wanted(const char *wanted, const char *found)
{
	return wanted[0] == '\0' || (found != NULL && strcmp(wanted, found) == 0);
}

static bool is_wanted_slot(const struct pkcs11_uri *uri, PKCS11_SLOT *slot)
{
	const PKCS11_TOKEN *token = slot->token;

	return token != NULL && token->initialized && is_wanted(uri->token, token->label) &&
	       is_wanted(uri->manufacturer, token->manufacturer) &&
	       is_wanted(uri->model, token->model) && is_wanted(uri->serial, token->serialnr) &&
	       (!uri->has_slot || uri->slot == PKCS11_get_slotid_from_slot(slot));
}

static PKCS11_SLOT *find_slot(
	const struct pkcs11_key *key, const struct pkcs11_uri *uri, struct error *err)
{
	PKCS11_SLOT *found = NULL;

	for (unsigned int i = 0; i < key->slot_count; i++) {
		if (!is_wanted_slot(uri, &key->slots[i]))
			continue;
		if (found != NULL) {
			error_set(err, "the PKCS#11 URI means more than one token; add its token "
				       "(label) or serial");
			return NULL;
		}
		found = &key->slots[i];
	}
	if (found == NULL)
		error_set(err, "the PKCS#11 module knows no token that key-uri means; is it right "
			       "(pkcs11-tool --list-slots), and may easproxyd's user, in "
			       "pkcs11-paths, read "
			       "the module's configuration and tokens?");
	return found;
}

static bool is_wanted_key(const struct pkcs11_uri *uri, const PKCS11_KEY *key)
{
	return key->isPrivate && is_wanted(uri->object, key->label) &&
	       (uri->id_len == 0 ||
		       (uri->id_len == key->id_len && memcmp(uri->id, key->id, key->id_len) == 0));
}

static EVP_PKEY *find_key(PKCS11_TOKEN *token, const struct pkcs11_uri *uri, struct error *err)
{
	PKCS11_KEY *keys = NULL, *found = NULL;
	EVP_PKEY *key;
	unsigned int count = 0;

	if (PKCS11_enumerate_keys(token, &keys, &count) != 0) {
		error_openssl(err, "looking for private keys in the token '%.32s'", token->label);
		return NULL;
	}
	for (unsigned int i = 0; i < count; i++) {
		if (!is_wanted_key(uri, &keys[i]))
			continue;
		if (found != NULL) {
			error_set(err, "the PKCS#11 URI means more than one private key in the "
				       "token; add the key's id");
			return NULL;
		}
		found = &keys[i];
	}
	if (found == NULL) {
		error_set(err,
			"the token '%.32s' has no private key that the PKCS#11 URI means; see "
			"pkcs11-tool --login --list-objects",
			token->label);
		return NULL;
	}
	key = PKCS11_get_private_key(found);
	if (key == NULL)
		error_openssl(err, "using the private key in the token '%.32s'", token->label);
	return key;
}

/* A helper that is started over and over would lock a token of three tries with one wrong line. */
static int log_in(PKCS11_SLOT *slot, const char *pin, bool *was_refused, struct error *err)
{
	const PKCS11_TOKEN *token = slot->token;

	if (token->userPinLocked)
		return error_set(
			err, "the PIN of the token '%.32s' is locked; unlock it", token->label);
	if (token->userPinFinalTry)
		return error_set(err,
			"the token '%.32s' has one try left before its PIN is locked, which is not "
			"risked; check pin-file, then log in once by hand: pkcs11-tool --login",
			token->label);
	if (pin[0] == '\0')
		return token->loginRequired ? error_set(err,
						      "the token '%.32s' wants a PIN; set "
						      "pin-file",
						      token->label)
					    : 0;
	if (PKCS11_login(slot, 0, pin) == 0)
		return 0;
	*was_refused = true;
	return error_openssl(
		err, "logging in to the token '%.32s' with the PIN of pin-file", token->label);
	return 0;
}

static int read_nothing(UI *ui, UI_STRING *string)
{
	(void)ui;
	(void)string;
	return -1;
}

static int load(struct pkcs11_key *key, const char *module, struct error *err)
{
	key->context = PKCS11_CTX_new();
	/* A key that wants its PIN for each signature would have libp11 ask for it on a terminal. */
	key->nobody = UI_create_method("nobody is there to type a PIN");
	if (key->context == NULL || key->nobody == NULL ||
		UI_method_set_reader(key->nobody, read_nothing) != 0 ||
		PKCS11_set_ui_method(key->context, key->nobody, NULL) != 0)
		return error_openssl(err, "setting up libp11");
	if (PKCS11_CTX_load(key->context, module) != 0)
		return error_openssl(err,
			"starting the PKCS#11 module %s (may easproxyd's user, in pkcs11-paths, "
			"read "
			"its configuration and tokens?)",
			module);
	key->is_loaded = true;
	if (PKCS11_enumerate_slots(key->context, &key->slots, &key->slot_count) != 0)
		return error_openssl(err, "asking the PKCS#11 module %s for its tokens", module);
	return 0;
}

struct pkcs11_key *pkcs11_key_open(const char *module, const struct pkcs11_uri *uri,
	const char *pin, bool *was_refused, struct error *err)
{
	struct pkcs11_key *key = calloc(1, sizeof(*key));
	PKCS11_SLOT *slot;

	*was_refused = false;
	if (key == NULL) {
		error_set(err, "loading the PKCS#11 module %s: out of memory", module);
		return NULL;
	}
	ERR_clear_error();
	if (load(key, module, err) == -1)
		goto failed;
	slot = find_slot(key, uri, err);
	if (slot == NULL || log_in(slot, pin, was_refused, err) == -1)
		goto failed;
	key->key = find_key(slot->token, uri, err);
	if (key->key == NULL)
		goto failed;
	ERR_clear_error();
	return key;
failed:
	pkcs11_key_close(key);
	return NULL;
}

EVP_PKEY *pkcs11_key_get(const struct pkcs11_key *key)
{
	return key->key;
}

void pkcs11_key_close(struct pkcs11_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->key);
	if (key->slots != NULL)
		PKCS11_release_all_slots(key->context, key->slots, key->slot_count);
	if (key->is_loaded)
		PKCS11_CTX_unload(key->context);
	if (key->context != NULL)
		PKCS11_CTX_free(key->context);
	if (key->nobody != NULL)
		UI_destroy_method(key->nobody);
	ERR_clear_error();
	free(key);
}
