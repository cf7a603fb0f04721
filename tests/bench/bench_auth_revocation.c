/*
 * What a CRL costs: bench_auth_revocation [ENTRIES] makes one with OpenSSL, compiles it, merges a
 * delta, opens the index as a worker does, looks serials up and swaps it for a newer one; and the
 * same with OpenSSL's X509_CRL. Prints times and sizes; fails only when something is wrong.
 */
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_set.h"
#include "auth/revocation_writer.h"
#include "auth/sealed_index.h"
#include "tests/unit/auth_crl_maker.h"

enum {
	ENTRY_COUNT = 1000000,
	LOOK_UP_COUNT = 400000,
	ROUND_COUNT = 9,  /* of which the median counts */
	SAMPLE = 1 << 17, /* serials that are looked up in turn: more than caches hold the way to */
	DELTA_COUNT = 1000,
	SWAP_COUNT = 200,
};

static struct maker_ca ca;
static struct authority authority;
static const struct trust_store store = {.count = 1, .authorities = &authority};
static const struct revocation_signers signers = {.store = &store};
static struct serial serials[SAMPLE];

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare_doubles(const void *a, const void *b)
{
	double of_a = *(const double *)a;
	double of_b = *(const double *)b;

	return (of_a > of_b) - (of_a < of_b);
}

/* Sorts them. */
static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return values[count / 2];
}

/* Of the process, in kB, without pages that others own. */
static long resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;
	long shared = 0;

	maker_must(file != NULL && fscanf(file, "%*d %ld %ld", &pages, &shared) == 2, "statm");
	fclose(file);
	return (pages - shared) * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The most that was resident since the last call, in kB; 0 where the kernel does not tell. */
static long peak_begin(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	if (file != NULL) {
		fputs("5", file);
		fclose(file);
	}
	return resident();
}

static long peak(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kb = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmHWM: %ld", &kb) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kb;
}

/* Spread over count serials of the series from first on. */
static void take_sample(uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < SAMPLE; i++)
		maker_serial(first + (uint32_t)((uint64_t)i * 2654435761u % count),
			serials[i].octets + 4);
}

static void look_up(const struct revocation_index *index, uint32_t expected, const char *what)
{
	double rounds[ROUND_COUNT];
	uint32_t found = 0;
	double start;

	for (uint32_t i = 0; i < SAMPLE; i++)
		found += revocation_index_find(index, NULL, &serials[i], NULL);
	maker_must(found == expected * SAMPLE, "the right answers");
	for (int round = 0; round < ROUND_COUNT; round++) {
		found = 0;
		start = seconds();
		for (uint32_t i = 0; i < LOOK_UP_COUNT; i++)
			found += revocation_index_find(index, NULL, &serials[i % SAMPLE], NULL);
		rounds[round] = (seconds() - start) / LOOK_UP_COUNT;
		maker_must(found == expected * LOOK_UP_COUNT, "the right answers");
	}
	printf("look-up in the index, %s: %.0f ns\n", what, median(rounds, ROUND_COUNT) * 1e9);
}

/* The whole question that a request asks of each certificate in its chain. */
static void check(const struct revocation_set *set, enum refusal expected, const char *what)
{
	struct revocation_target target = {.authority = 0};
	int64_t now = time(NULL);
	double rounds[ROUND_COUNT];

	for (int round = 0; round < ROUND_COUNT; round++) {
		double start = seconds();
		uint32_t right = 0;

		for (uint32_t i = 0; i < LOOK_UP_COUNT; i++) {
			target.serial = serials[i % SAMPLE];
			right += revocation_set_check(set, &target, now, NULL) == expected;
		}
		rounds[round] = (seconds() - start) / LOOK_UP_COUNT;
		maker_must(right == LOOK_UP_COUNT, "the right answers");
	}
	printf("check by the set, %s: %.0f ns\n", what, median(rounds, ROUND_COUNT) * 1e9);
}

static void look_up_openssl(X509_CRL *crl, int expected, const char *what)
{
	enum { COUNT = 200000 };
	ASN1_INTEGER **numbers = calloc(SAMPLE, sizeof(ASN1_INTEGER *));
	X509_REVOKED *entry;
	uint32_t found = 0;
	double start;

	maker_must(numbers != NULL, "a sample");
	for (uint32_t i = 0; i < SAMPLE; i++) {
		numbers[i] = ASN1_INTEGER_new();
		ASN1_STRING_set(numbers[i], serials[i].octets + 4, 16);
	}
	X509_CRL_get0_by_serial(crl, &entry, numbers[0]); /* sorts */
	start = seconds();
	for (uint32_t i = 0; i < COUNT; i++)
		found += X509_CRL_get0_by_serial(crl, &entry, numbers[i % SAMPLE]) == 1;
	printf("look-up by OpenSSL, %s: %.0f ns\n", what, (seconds() - start) / COUNT * 1e9);
	maker_must(found == (uint32_t)expected * COUNT, "the right answers");
	for (uint32_t i = 0; i < SAMPLE; i++)
		ASN1_INTEGER_free(numbers[i]);
	free(numbers);
}

static void measure_openssl(struct span der, uint32_t count)
{
	const unsigned char *at = der.data;
	long before = resident();
	double start = seconds();
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);
	X509_REVOKED *entry;
	ASN1_INTEGER *one = ASN1_INTEGER_new();

	maker_must(crl != NULL, "OpenSSL's CRL");
	ASN1_INTEGER_set(one, 1);
	X509_CRL_get0_by_serial(crl, &entry, one);
	printf("OpenSSL's d2i_X509_CRL and sorting: %.1f ms, %ld kB in each process, %.0f bytes an "
	       "entry\n",
		(seconds() - start) * 1e3, resident() - before,
		(double)(resident() - before) * 1024 / count);
	take_sample(0, count);
	look_up_openssl(crl, 1, "revoked");
	take_sample(count, count);
	look_up_openssl(crl, 0, "not revoked");
	start = seconds();
	maker_must(X509_CRL_verify(crl, ca.key) == 1, "a signature that holds");
	printf("OpenSSL's X509_CRL_verify, which nginx pays in every handshake: %.1f ms\n",
		(seconds() - start) * 1e3);
	ASN1_INTEGER_free(one);
	X509_CRL_free(crl);
}

static int memory_file(void)
{
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	maker_must(fd != -1, "a memory file");
	return fd;
}

static void seal(int fd)
{
	maker_must(
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0, "seals");
}

static struct revocation_index *open_index(int fd)
{
	struct error err = {""};
	struct revocation_index *index = revocation_index_open(fd, "bench", &err);

	maker_must(index != NULL, err.text);
	return index;
}

static int compile(struct span der, struct revocation_facts *facts, const char *order)
{
	struct error err = {""};
	int fd = memory_file();
	long before = peak_begin();
	double start = seconds();

	maker_must(revocation_compile(der, &signers, NULL, time(NULL), fd, facts, &err) == 0,
		err.text);
	printf("compile (signature, parsing, sorting, writing), %s: %.1f ms, %ld kB of memory "
	       "beside the CRL\n",
		order, (seconds() - start) * 1e3, peak() - before);
	printf("index: %llu bytes, %.2f an entry\n", (unsigned long long)facts->mapped_size,
		(double)facts->mapped_size / (double)facts->entry_count);
	return fd;
}

/* Serials as a hostile CA would choose them. Heap: nearly all of them close together, and a few far
 * away on both sides, so that each guess is wrong. Alike: the same in all that a fence holds. */
static void hostile(uint32_t count, bool is_alike)
{
	struct revocation_facts facts = {.next_update = 1};
	int fd = memory_file();
	struct error err = {""};
	struct revocation_writer *writer = revocation_writer_new(fd, 20, &err);
	struct revocation_index *index;

	maker_must(writer != NULL, err.text);
	revocation_writer_section(writer, &facts.scope.issuer, 0);
	for (uint32_t i = 0; i < count; i++) {
		struct serial serial = {{0}};

		if (!is_alike)
			serial.octets[0] = i == 0 ? 1 : i < count - 1 ? 0x40 : 0x7f;
		sealed_index_put(serial.octets + (is_alike ? 16 : 4), 4, i);
		revocation_writer_entry(writer, &serial, revocation_meta_of(1, 0), 0);
	}
	maker_must(revocation_writer_finish(writer, &facts, &err) == 0, err.text);
	seal(fd);
	index = open_index(fd);
	for (uint32_t i = 0; i < SAMPLE; i++)
		serials[i] = revocation_view_serial(
			revocation_index_view(index), (size_t)((uint64_t)i * 2654435761u % count));
	look_up(index, 1, is_alike ? "serials alike in front" : "serials in a heap");
	revocation_index_close(index);
	close(fd);
}

static void merge(const struct revocation_index *base, uint32_t count)
{
	X509_CRL *crl = maker_crl_new(&ca, -30, 3600, 2);
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	struct revocation_facts facts;
	struct error err = {""};
	int fd = memory_file();
	struct span der;
	double start;

	ASN1_INTEGER_set(number, 1);
	X509_CRL_add1_ext_i2d(crl, NID_delta_crl, number, 1, 0);
	ASN1_INTEGER_free(number);
	maker_revoke_series(crl, count, DELTA_COUNT);
	der = maker_crl_sign(crl, &ca, EVP_sha256());
	start = seconds();
	maker_must(revocation_merge(base, der, &signers, NULL, time(NULL), fd, &facts, &err) == 0,
		err.text);
	printf("merge of a delta of %d: %.1f ms\n", DELTA_COUNT, (seconds() - start) * 1e3);
	maker_must(facts.entry_count == count + DELTA_COUNT, "a whole index");
	close(fd);
	maker_span_free(&der);
}

/* As many CAs write them. */
static void compile_in_order(uint32_t count)
{
	X509_CRL *crl = maker_crl_new(&ca, -60, 3600, 1);
	struct revocation_facts facts;
	struct span der;

	maker_revoke_series(crl, 0, count);
	X509_CRL_sort(crl);
	der = maker_crl_sign(crl, &ca, EVP_sha256());
	close(compile(der, &facts, "serials in order"));
	maker_span_free(&der);
}

static void tidy(struct revocation_set *set, double *worst)
{
	bool has_more;

	do {
		double start = seconds();
		double took;

		has_more = revocation_set_tidy(set);
		took = seconds() - start;
		*worst = took > *worst ? took : *worst;
	} while (has_more);
}

/* What stalls a worker's loop when an index has come. */
static void swap(struct revocation_set *set, int fd)
{
	struct error err = {""};
	double worst_tidy = 0;
	double swaps[SWAP_COUNT];
	double middle;

	for (int i = 0; i < SWAP_COUNT; i++) {
		double start = seconds();

		maker_must(revocation_set_put(set, 0, 0, open_index(fd), &err) == 0, err.text);
		swaps[i] = seconds() - start;
		tidy(set, &worst_tidy);
		/* The one that is unmapped next has been in use. */
		for (uint32_t at = 0; at < SAMPLE; at++)
			revocation_index_find(set->slots[0].indexes[0], NULL, &serials[at], NULL);
	}
	middle = median(swaps, SWAP_COUNT);
	printf("swap (open, put): %.1f us, at most %.1f us\n", middle * 1e6,
		swaps[SWAP_COUNT - 1] * 1e6);
	printf("giving back the one before, between other events: at most %.1f us at a time\n",
		worst_tidy * 1e6);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : ENTRY_COUNT;
	static char url[] = "http://crl.example/ca.crl";
	static char name[] = "Bench CA";
	struct revocation_index *index;
	struct revocation_facts facts;
	struct revocation_set set;
	struct error err = {""};
	struct span der;
	X509_CRL *crl;
	double start;
	int fd;

	maker_must(count > 0 && count < 100000000, "so many entries");
	ca = maker_ca_new(name);
	authority = (struct authority){.certificate = ca.certificate,
		.is_root = true,
		.issuer = name,
		.crl_count = 1,
		.crls[0].url = url};
	crl = maker_crl_new(&ca, -60, 3600, 1);
	maker_revoke_series(crl, 0, (uint32_t)count);
	der = maker_crl_sign(crl, &ca, EVP_sha256());
	malloc_trim(0);
	printf("CRL: %ld entries, %zu bytes\n", count, der.len);

	compile_in_order((uint32_t)count);
	malloc_trim(0);
	fd = compile(der, &facts, "serials in any order");
	start = seconds();
	index = open_index(fd);
	printf("open of a file, and check of all of it, once in the revocation process: %.1f ms\n",
		(seconds() - start) * 1e3);
	revocation_index_close(index);
	seal(fd);
	start = seconds();
	index = open_index(fd);
	printf("open of a sealed index in a worker: %.1f us\n", (seconds() - start) * 1e6);
	merge(index, (uint32_t)count);
	take_sample(0, (uint32_t)count);
	look_up(index, 1, "revoked");
	maker_must(revocation_set_init(&set, &store, &err) == 0, err.text);
	maker_must(revocation_set_put(&set, 0, 0, index, &err) == 0, err.text);
	check(&set, REFUSAL_CERTIFICATE_REVOKED, "revoked");
	take_sample((uint32_t)count, (uint32_t)count);
	look_up(index, 0, "not revoked");
	check(&set, REFUSAL_NONE, "not revoked");
	swap(&set, fd);
	revocation_set_clear(&set);
	hostile((uint32_t)count, false);
	hostile((uint32_t)count, true);
	malloc_trim(0);
	measure_openssl(der, (uint32_t)count);
	maker_span_free(&der);
	maker_ca_free(&ca);
	close(fd);
	return 0;
}
