#include "config/oid.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <stdbool.h>
#include <string.h>

int oid_check(const char *text, struct error *err)
{
	ASN1_OBJECT *object = OBJ_txt2obj(text, 1);
	char canonical[128];
	bool is_good = object != NULL &&
		       OBJ_obj2txt(canonical, sizeof(canonical), object, 1) == (int)strlen(text) &&
		       strcmp(canonical, text) == 0;

	ERR_clear_error();
	ASN1_OBJECT_free(object);
	if (is_good)
		return 0;
	return error_set(
		err, "'%.100s' is not an object identifier like 1.3.6.1.4.1.311.21.8", text);
}
