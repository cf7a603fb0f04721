/*
 * What a CRL costs: bench_auth_revocation [ENTRIES] makes one with OpenSSL, compiles it, opens the
 * index as a worker does, and looks serials up. Prints times and sizes; fails only when something
 * is wrong.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "tests/unit/auth_crl_maker.h"

enum { ENTRY_COUNT = 1000000, LOOK_UP_COUNT = 2000000 };

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void look_up(const struct revocation_index *index, uint32_t first, uint32_t count,
	uint32_t expected_every, const char *what)
{
	enum { SAMPLE = 4096 };
	static struct serial serials[SAMPLE];
	uint32_t found = 0;
	double start;

	/* Spread over all entries, and made outside the measurement. */
	for (uint32_t i = 0; i < SAMPLE; i++)
		maker_serial(first + (uint32_t)((uint64_t)i * 2654435761u % count),
			serials[i].octets + 4);
	start = seconds();
	for (uint32_t i = 0; i < LOOK_UP_COUNT; i++)
		found += revocation_index_find(index, NULL, &serials[i % SAMPLE], NULL);
	printf("look-up, %s: %.0f ns\n", what, (seconds() - start) / LOOK_UP_COUNT * 1e9);
	maker_must(found == expected_every * LOOK_UP_COUNT, "the right answers");
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : ENTRY_COUNT;
	struct maker_ca ca = maker_ca_new("Bench CA");
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct authority authority = {.certificate = ca.certificate};
	const struct trust_store store = {.count = 1, .authorities = &authority};
	const struct revocation_signers signers = {.store = &store};
	struct revocation_index *index;
	struct revocation_facts facts;
	struct error err = {""};
	struct span der;
	double start;

	maker_must(count > 0 && count < 100000000 && fd != -1, "so many entries");
	maker_revoke_series(crl, 0, (uint32_t)count);
	der = maker_crl_sign(crl, &ca, EVP_sha256());
	printf("CRL: %ld entries, %zu bytes\n", count, der.len);
	start = seconds();
	maker_must(revocation_compile(der, &signers, NULL, time(NULL), fd, &facts, &err) == 0,
		err.text);
	printf("compile (signature, parsing, sorting, writing): %.1f ms\n",
		(seconds() - start) * 1e3);
	printf("index: %llu bytes, %.2f an entry\n", (unsigned long long)facts.mapped_size,
		(double)facts.mapped_size / (double)count);
	maker_must(
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0, "seals");
	start = seconds();
	index = revocation_index_open(fd, "bench", &err);
	maker_must(index != NULL, err.text);
	printf("open (checksum and order; once per worker and new CRL): %.1f ms\n",
		(seconds() - start) * 1e3);
	look_up(index, 0, (uint32_t)count, 1, "revoked");
	look_up(index, (uint32_t)count, (uint32_t)count, 0, "not revoked");
	revocation_index_close(index);
	maker_span_free(&der);
	maker_ca_free(&ca);
	close(fd);
	return 0;
}
