#include "proxy/tls_ec_key.h"

#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { FUNCTION_MAX = 40, START_MAX = 27, POINT_MAX = 133, KEY_MAX = 158 };

/* SubjectPublicKeyInfo up to the point: RFC 5480 2.1.1. The last byte, 04, is the point's first: it is not
 * compressed (SEC 1 2.3.3). */
static struct curve {
	const char *name;
	size_t start_len, point_len; /* both count that byte */
	uint8_t start[START_MAX];
	void *empty; /* the default provider's object of a key on the curve that has no point yet */
} curves[] = {
	{"P-256", 27, 65,
		{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
			0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
			0x04},
		NULL},
	{"P-384", 24, 97,
		{0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
			0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04},
		NULL},
	{"P-521", 26, 133,
		{0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
			0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04},
		NULL},
};

enum { CURVE_COUNT = sizeof(curves) / sizeof(curves[0]) };

/* What the decoder hands to the key management. */
struct reference {
	const struct curve *curve;
	uint8_t point[POINT_MAX];
};

/* The default provider's. */
static struct {
	OSSL_FUNC_keymgmt_load_fn *load;
	OSSL_FUNC_keymgmt_dup_fn *copy;
	OSSL_FUNC_keymgmt_set_params_fn *set;
	OSSL_FUNC_keymgmt_free_fn *free;
	OSSL_FUNC_decoder_decode_fn *decode;
} defaults;

/* Of the library context. */
static OSSL_FUNC_BIO_read_ex_fn *bio_read;
static OSSL_FUNC_BIO_ctrl_fn *bio_control;

static OSSL_DISPATCH key_functions[FUNCTION_MAX];
static OSSL_DISPATCH decoder_functions[FUNCTION_MAX];

static const struct curve *curve_of(const uint8_t *key, size_t len)
{
	for (size_t i = 0; i < CURVE_COUNT; i++)
		if (len == curves[i].start_len - 1 + curves[i].point_len &&
			memcmp(key, curves[i].start, curves[i].start_len) == 0)
			return &curves[i];
	return NULL;
}

static int hand_on(const struct curve *curve, const uint8_t *point, OSSL_CALLBACK *take, void *arg)
{
	struct reference reference = {.curve = curve};
	int type = OSSL_OBJECT_PKEY;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
		OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)"EC", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_OBJECT_PARAM_REFERENCE, &reference, sizeof(reference)),
		OSSL_PARAM_construct_end(),
	};

	memcpy(reference.point, point, curve->point_len);
	return take(params, arg);
}

static int on_decode(void *context, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *take,
	void *arg, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
	uint8_t key[KEY_MAX + 1]; /* one more than any has, to see that nothing follows */
	const struct curve *curve = NULL;
	size_t len = 0;
	long at = bio_read != NULL && bio_control != NULL
			  ? bio_control(in, BIO_C_FILE_TELL, 0, NULL)
			  : -1;

	if (at >= 0) {
		if (bio_read(in, key, sizeof(key), &len) == 1)
			curve = curve_of(key, len);
		if (curve != NULL)
			return hand_on(curve, key + curve->start_len - 1, take, arg);
		if (bio_control(in, BIO_C_FILE_SEEK, at, NULL) < 0)
			return 0;
	}
	return defaults.decode(context, in, selection, take, arg, passphrase, passphrase_arg);
}

static void *key_on(const struct curve *curve, const uint8_t *point)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, (void *)point, curve->point_len),
		OSSL_PARAM_construct_end(),
	};
	void *key = defaults.copy(curve->empty, OSSL_KEYMGMT_SELECT_ALL);

	if (key == NULL || defaults.set(key, params) == 1)
		return key;
	defaults.free(key);
	return NULL;
}

/* References of the default provider's own are pointers, and so never of our size. */
static void *on_load(const void *from, size_t size)
{
	const struct reference *reference = from;
	void *key;

	if (size == sizeof(*reference))
		key = key_on(reference->curve, reference->point);
	else
		key = defaults.load(from, size);
	return key;
}

static const OSSL_DISPATCH *function_find(const OSSL_DISPATCH *functions, int id)
{
	while (functions->function_id != 0 && functions->function_id != id)
		functions++;
	return functions->function_id == id ? functions : NULL;
}

/* A copy of the algorithm's functions with one of them replaced. False where they are too many. */
static bool replace(OSSL_DISPATCH copy[FUNCTION_MAX], const OSSL_ALGORITHM *algorithm, int id,
	void (*function)(void))
{
	size_t count = 0;

	for (const OSSL_DISPATCH *from = algorithm->implementation; from->function_id != 0;
		from++) {
		if (count == FUNCTION_MAX - 1)
			return false;
		copy[count] = *from;
		if (from->function_id == id)
			copy[count].function = function;
		count++;
	}
	return true;
}

/* The empty keys of all curves; what has been made stays where one cannot be. */
static bool make_empty(const OSSL_DISPATCH *functions, void *context)
{
	const OSSL_DISPATCH *new = function_find(functions, OSSL_FUNC_KEYMGMT_NEW);
	const OSSL_DISPATCH *import = function_find(functions, OSSL_FUNC_KEYMGMT_IMPORT);

	if (new == NULL || import == NULL)
		return false;
	for (size_t i = 0; i < CURVE_COUNT; i++) {
		const OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(
				OSSL_PKEY_PARAM_GROUP_NAME, (char *)curves[i].name, 0),
			OSSL_PARAM_construct_end(),
		};

		curves[i].empty = OSSL_FUNC_keymgmt_new(new)(context);
		if (curves[i].empty == NULL ||
			OSSL_FUNC_keymgmt_import(import)(
				curves[i].empty, OSSL_KEYMGMT_SELECT_ALL_PARAMETERS, params) != 1)
			return false;
	}
	return true;
}

void tls_ec_key_use(OSSL_ALGORITHM *key_management, OSSL_ALGORITHM *decoder, void *context)
{
	const OSSL_DISPATCH *functions = key_management->implementation;
	const OSSL_DISPATCH *load = function_find(functions, OSSL_FUNC_KEYMGMT_LOAD);
	const OSSL_DISPATCH *copy = function_find(functions, OSSL_FUNC_KEYMGMT_DUP);
	const OSSL_DISPATCH *set = function_find(functions, OSSL_FUNC_KEYMGMT_SET_PARAMS);
	const OSSL_DISPATCH *release = function_find(functions, OSSL_FUNC_KEYMGMT_FREE);
	const OSSL_DISPATCH *decode =
		function_find(decoder->implementation, OSSL_FUNC_DECODER_DECODE);

	if (load == NULL || copy == NULL || set == NULL || release == NULL || decode == NULL ||
		!make_empty(functions, context) ||
		!replace(key_functions, key_management, OSSL_FUNC_KEYMGMT_LOAD,
			(void (*)(void))on_load) ||
		!replace(decoder_functions, decoder, OSSL_FUNC_DECODER_DECODE,
			(void (*)(void))on_decode))
		return;
	defaults.load = OSSL_FUNC_keymgmt_load(load);
	defaults.copy = OSSL_FUNC_keymgmt_dup(copy);
	defaults.set = OSSL_FUNC_keymgmt_set_params(set);
	defaults.free = OSSL_FUNC_keymgmt_free(release);
	defaults.decode = OSSL_FUNC_decoder_decode(decode);
	key_management->implementation = key_functions;
	decoder->implementation = decoder_functions;
}

void tls_ec_key_begin(const OSSL_DISPATCH *offered)
{
	const OSSL_DISPATCH *read = function_find(offered, OSSL_FUNC_BIO_READ_EX);
	const OSSL_DISPATCH *control = function_find(offered, OSSL_FUNC_BIO_CTRL);

	bio_read = read != NULL ? OSSL_FUNC_BIO_read_ex(read) : NULL;
	bio_control = control != NULL ? OSSL_FUNC_BIO_ctrl(control) : NULL;
}
