#include "proxy/privacy.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* One for the process, as OpenSSL has one allocator for it. */
static bool is_wiping = true;

/* What it decodes a key from (base64, then DER) OpenSSL frees as it is. It would stay in the heap of the
 * supervisor, which checks all keys, and by fork in that of every child. */

static void *take(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(size);
}

static void give_back(void *memory, const char *file, int line)
{
	(void)file, (void)line;
	if (is_wiping && memory != NULL)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

/* realloc() would leave what it moves behind as it is. */
static void *take_more(void *memory, size_t size, const char *file, int line)
{
	size_t had = memory == NULL ? 0 : malloc_usable_size(memory);
	void *more;

	if (!is_wiping || memory == NULL)
		return realloc(memory, size);
	more = size == 0 ? NULL : malloc(size);
	if (more != NULL)
		memcpy(more, memory, had < size ? had : size);
	if (more != NULL || size == 0)
		give_back(memory, file, line);
	return more;
}

int privacy_begin(struct error *err)
{
	const struct rlimit none = {0};

	if (CRYPTO_set_mem_functions(take, take_more, give_back) != 1)
		return error_set(err, "having OpenSSL wipe its memory: it is in use already");
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return error_sys(err, "forbidding core files");
	return privacy_renew(err);
}

int privacy_renew(struct error *err)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return error_sys(err, "closing /proc/PID to others");
	return 0;
}

void privacy_wipe(bool is_wanted)
{
	is_wiping = is_wanted;
}
