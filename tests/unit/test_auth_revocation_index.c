#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_set.h"
#include "auth/revocation_writer.h"
#include "auth/sealed_index.h"
#include "check.h"
#include "tests/unit/auth_crl_maker.h"

static struct maker_ca ca;
static struct maker_ca other_ca;

static const int64_t now = 1800000000;

/* What the index of a test holds. */
struct entry {
	uint8_t first, last; /* octets of the serial */
	int64_t invalidity_date;
};

static struct serial serial_of(uint8_t first, uint8_t last)
{
	struct serial serial = {{0}};

	serial.octets[0] = first;
	serial.octets[19] = last;
	return serial;
}

static struct name_key name_of(const struct maker_ca *issuer)
{
	struct name_key name;

	maker_must(name_key_of_name(X509_get_subject_name(issuer->certificate), &name) == 0,
		"the key of a name");
	return name;
}

/* A memory file with an index of issuer's, with these facts and entries. */
static int index_file_with(const struct maker_ca *issuer, struct revocation_facts facts,
	const struct entry *entries, size_t count)
{
	struct revocation_writer *writer;
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct error err;

	maker_must(fd != -1, "a memory file");
	facts.scope.issuer = name_of(issuer);
	facts.scope.reasons = REVOCATION_REASONS_ALL;
	maker_must(revocation_authority_key(issuer->certificate, facts.authority_key, &err) == 0,
		"an authority key");
	memcpy(facts.signer_key, facts.authority_key, sizeof(facts.signer_key));
	writer = revocation_writer_new(fd, 20, &err);
	maker_must(writer != NULL, "an index");
	revocation_writer_section(writer, &facts.scope.issuer, 0);
	for (size_t i = 0; i < count; i++) {
		struct serial serial = serial_of(entries[i].first, entries[i].last);

		revocation_writer_entry(
			writer, &serial, revocation_meta_of(1, now), entries[i].invalidity_date);
	}
	maker_must(revocation_writer_finish(writer, &facts, &err) == 0, "an index");
	return fd;
}

static int index_file_of(const struct maker_ca *issuer, int64_t this_update, int64_t next_update,
	const struct entry *entries, size_t count)
{
	struct revocation_facts facts = {.this_update = this_update, .next_update = next_update};

	return index_file_with(issuer, facts, entries, count);
}

static int index_file(void)
{
	const struct entry entries[] = {{0, 5, 0}, {0, 6, 1234567}, {0xff, 1, 0}};

	return index_file_of(&ca, now - 60, now + 60, entries, 3);
}

enum {
	/* Header, entries of 20 + 3 octets, a fence, a section, an invalidity date. */
	INDEX_SIZE = 512 + 3 * 23 + 8 + 48 + 12,
};

static void seal(int fd)
{
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
}

static struct revocation_index *open_and_close(int fd)
{
	struct error err;
	struct revocation_index *index = revocation_index_open(fd, "test", &err);

	close(fd);
	return index;
}

static bool is_found(const struct revocation_index *index, uint8_t first, uint8_t last)
{
	struct serial serial = serial_of(first, last);

	return revocation_index_find(index, NULL, &serial, NULL);
}

static void test_sound_index_opens(void)
{
	struct revocation_index *index = open_and_close(index_file());

	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->entry_count, 3);
	CU_ASSERT_EQUAL(revocation_index_facts(index)->mapped_size, INDEX_SIZE);
	CU_ASSERT_TRUE(is_found(index, 0, 5));
	CU_ASSERT_TRUE(is_found(index, 0, 6));
	CU_ASSERT_TRUE(is_found(index, 0xff, 1));
	CU_ASSERT_FALSE(is_found(index, 0, 4));
	CU_ASSERT_FALSE(is_found(index, 0, 7));
	CU_ASSERT_FALSE(is_found(index, 0xff, 2));
	revocation_index_close(index);
}

static void test_damage_to_any_byte_is_noticed(void)
{
	for (off_t at = 0; at < INDEX_SIZE; at++) {
		int fd = index_file();
		uint8_t octet;
		struct revocation_index *index;

		CU_ASSERT_EQUAL(pread(fd, &octet, 1, at), 1);
		octet ^= 0x10;
		CU_ASSERT_EQUAL(pwrite(fd, &octet, 1, at), 1);
		index = open_and_close(fd);
		CU_ASSERT_PTR_NULL(index);
		revocation_index_close(index);
	}
}

static void test_wrong_sizes_are_noticed(void)
{
	static const off_t sizes[] = {0, 1, 95, 511, 512, 512 + 24, INDEX_SIZE - 1, INDEX_SIZE + 1,
		INDEX_SIZE + 24, 1 << 20};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = index_file();
		struct revocation_index *index;

		CU_ASSERT_EQUAL(ftruncate(fd, sizes[i]), 0);
		index = open_and_close(fd);
		CU_ASSERT_PTR_NULL(index);
		revocation_index_close(index);
	}
}

static void test_entries_out_of_order_or_twice_are_noticed(void)
{
	static const struct entry unsorted[] = {{0, 6, 0}, {0, 5, 0}};
	static const struct entry twice[] = {{0, 5, 0}, {0, 5, 0}};

	CU_ASSERT_PTR_NULL(open_and_close(index_file_of(&ca, now - 60, now + 60, unsorted, 2)));
	CU_ASSERT_PTR_NULL(open_and_close(index_file_of(&ca, now - 60, now + 60, twice, 2)));
}

static void test_other_kinds_of_files_are_refused(void)
{
	int pipe_fds[2];

	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
	CU_ASSERT_PTR_NULL(open_and_close(pipe_fds[0]));
	close(pipe_fds[1]);
	CU_ASSERT_PTR_NULL(open_and_close(open("/", O_RDONLY | O_DIRECTORY)));
	CU_ASSERT_PTR_NULL(open_and_close(open("/dev/zero", O_RDONLY)));
	CU_ASSERT_PTR_NULL(open_and_close(-1));
}

static void test_file_that_is_cut_later_does_no_harm(void)
{
	struct error err;
	int fd = index_file();
	struct revocation_index *index = revocation_index_open(fd, "test", &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	CU_ASSERT_TRUE(is_found(index, 0xff, 1));
	close(fd);
	revocation_index_close(index);
}

static void test_sealed_file_is_mapped(void)
{
	struct error err;
	int fd = index_file();
	struct revocation_index *index;

	seal(fd);
	index = revocation_index_open(fd, "test", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), -1);
	CU_ASSERT_TRUE(is_found(index, 0xff, 1));
	close(fd);
	revocation_index_close(index);
}

/* Serials that are all alike in what a fence holds, that lie in a heap at one end, and others that are
 * hard to guess. */
static struct serial odd_serial(int kind, uint32_t i)
{
	struct serial serial = {{0}};

	switch (kind) {
	case 0: /* one number apart */ sealed_index_put(serial.octets + 12, 8, i); break;
	case 1: /* alike in front, and behind one far away that keeps that from being common */
		serial.octets[0] = i == 0 ? 0 : 0x7f;
		sealed_index_put(serial.octets + 16, 4, i);
		break;
	case 2: /* each twice as large as the one before */
		serial.octets[i / 8] = (uint8_t)(0x80 >> i % 8);
		break;
	case 3: /* in groups */
		sealed_index_put(serial.octets, 2, i / 40);
		sealed_index_put(serial.octets + 16, 4, i % 40);
		break;
	default: /* at the far end */
		memset(serial.octets, 0xff, 16);
		sealed_index_put(serial.octets + 16, 4, 0xffffffff - i);
		break;
	}
	return serial;
}

static int serial_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct serial));
}

static void check_odd(int kind, uint32_t count)
{
	struct serial *serials = calloc(count, sizeof(*serials));
	struct revocation_facts facts = {.this_update = now, .next_update = now + 60};
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct revocation_writer *writer = revocation_writer_new(fd, 20, NULL);
	struct revocation_index *index;
	size_t wrong = 0;

	maker_must(serials != NULL && writer != NULL, "an index");
	for (uint32_t i = 0; i < count; i++)
		serials[i] = odd_serial(kind, i);
	qsort(serials, count, sizeof(*serials), serial_compare);
	facts.scope.issuer = name_of(&ca);
	revocation_writer_section(writer, &facts.scope.issuer,
		revocation_serial_common(&serials[0], &serials[count - 1], 20));
	for (uint32_t i = 0; i < count; i++)
		revocation_writer_entry(writer, &serials[i], revocation_meta_of(1, now), 0);
	CU_ASSERT_EQUAL(revocation_writer_finish(writer, &facts, NULL), 0);
	index = open_and_close(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (uint32_t i = 0; i < count; i++) {
		struct serial next = serials[i];

		wrong += !revocation_index_find(index, NULL, &serials[i], NULL);
		for (size_t at = 20; at-- > 0 && ++next.octets[at] == 0;)
			;
		if (i + 1 == count || memcmp(&next, &serials[i + 1], sizeof(next)) != 0)
			wrong += revocation_index_find(index, NULL, &next, NULL);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	revocation_index_close(index);
	free(serials);
}

static void test_every_spread_of_serials_is_found(void)
{
	static const uint32_t counts[] = {1, 2, 15, 16, 17, 32, 33, 160};

	for (int kind = 0; kind <= 4; kind++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			check_odd(kind, counts[i]);
	for (int kind = 0; kind <= 4; kind++)
		if (kind != 2)
			check_odd(kind, 20000);
}

/* Such a file nobody makes; but if one were to come, a look-up must not leave it. */
static void test_sealed_file_that_lies_about_its_order_does_no_harm(void)
{
	static const struct entry unsorted[] = {{9, 6, 1}, {0, 5, 0}, {7, 7, 0}, {1, 1, 5}};
	int fd = index_file_of(&ca, now - 60, now + 60, unsorted, 4);
	struct revocation_index *index;
	struct error err;

	seal(fd);
	index = revocation_index_open(fd, "test", &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	for (unsigned int i = 0; i < 256; i++)
		is_found(index, (uint8_t)i, 5);
	CU_ASSERT_EQUAL(revocation_index_check(index, "test", &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "out of order"));
	revocation_index_close(index);
	close(fd);
}

static void test_sealed_file_with_wrong_bounds_is_refused(void)
{
	/* Width, counts of entries, sections and fences, and what a section says of its own. */
	static const off_t places[] = {8, 15, 167, 171, 183, 191, 512 + 3 * 23 + 8 + 23,
		512 + 3 * 23 + 8 + 31, 512 + 3 * 23 + 8 + 39, 512 + 3 * 23 + 8 + 40};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = index_file();
		uint8_t octet;

		CU_ASSERT_EQUAL(pread(fd, &octet, 1, places[i]), 1);
		octet = (uint8_t)(octet + 21);
		CU_ASSERT_EQUAL(pwrite(fd, &octet, 1, places[i]), 1);
		seal(fd);
		CU_ASSERT_PTR_NULL(open_and_close(fd));
	}
}

static void test_large_index_is_closed_in_parts(void)
{
	enum { COUNT = 200000 };
	struct revocation_facts facts = {.this_update = now, .next_update = now + 60};
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct revocation_writer *writer = revocation_writer_new(fd, 20, NULL);
	struct revocation_index *index;
	size_t parts = 1;

	revocation_writer_section(writer, &facts.scope.issuer, 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		struct serial serial = odd_serial(0, i);

		revocation_writer_entry(writer, &serial, revocation_meta_of(1, now), 0);
	}
	CU_ASSERT_EQUAL(revocation_writer_finish(writer, &facts, NULL), 0);
	index = open_and_close(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	while (revocation_index_close_part(index))
		parts++;
	CU_ASSERT_EQUAL(parts, (facts.mapped_size + (1 << 18) - 1) >> 18);
}

static void test_full_disk_is_reported(void)
{
	struct revocation_facts facts = {.this_update = now};
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct revocation_writer *writer = revocation_writer_new(fd, 20, NULL);
	struct serial serial = serial_of(1, 1);
	struct error err = {""};

	revocation_writer_section(writer, &facts.scope.issuer, 0);
	revocation_writer_entry(writer, &serial, revocation_meta_of(1, now), 0);
	CU_ASSERT_EQUAL(revocation_writer_finish(writer, &facts, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "No space left"));
	close(fd);
}

static void test_dates_are_clamped(void)
{
	static const struct {
		int64_t date, kept;
	} cases[] = {{-1, 0}, {0, 0}, {3599, 0}, {3600, 3600}, {1700000000, 1699999200},
		{INT64_MAX, (int64_t)0xfffff * 3600}, {INT64_MIN, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct revocation_meta meta = revocation_meta_of(10, cases[i].date);

		CU_ASSERT_EQUAL(revocation_meta_date(&meta), cases[i].kept);
		CU_ASSERT_EQUAL(revocation_meta_reason(&meta), 10);
	}
}

static void test_serials_are_formatted(void)
{
	struct serial serial = serial_of(0, 5);
	char text[41];

	serial_format(&serial, text);
	CU_ASSERT_STRING_EQUAL(text, "05");
	serial.octets[0] = 0xab;
	serial_format(&serial, text);
	CU_ASSERT_STRING_EQUAL(text, "ab00000000000000000000000000000000000005");
	memset(&serial, 0, sizeof(serial));
	serial_format(&serial, text);
	CU_ASSERT_STRING_EQUAL(text, "00");
}

/* Three authorities: one without a location, ca, and other_ca. */
static struct authority authorities[3];
static const struct trust_store store = {.count = 3, .authorities = authorities};

static void set_new(struct revocation_set *set)
{
	static char none[] = "";
	static char url[] = "http://crl.example/ca.crl";
	struct error err;

	authorities[0] = (struct authority){.certificate = ca.certificate,
		.issuer = none,
		.is_root = true,
		.crls[0].url = none};
	authorities[1] = (struct authority){
		.certificate = ca.certificate, .issuer = none, .is_root = true, .crls[0].url = url};
	authorities[2] =
		(struct authority){.certificate = other_ca.certificate, .crls[0].url = url};
	CU_ASSERT_EQUAL_FATAL(revocation_set_init(set, &store, &err), 0);
}

static struct revocation_index *index_with_times(int64_t this_update, int64_t next_update)
{
	static const struct entry entry = {0, 5, 0};

	return open_and_close(index_file_of(&ca, this_update, next_update, &entry, 1));
}

static enum refusal set_check(const struct revocation_set *set, int authority, struct serial serial)
{
	const struct revocation_target target = {.authority = authority, .serial = serial};

	return revocation_set_check(set, &target, now, NULL);
}

static void test_set_follows_the_table(void)
{
	static const struct {
		int64_t this_update, next_update;
		uint8_t serial;
		enum refusal refusal;
	} cases[] = {
		{-60, 60, 5, REFUSAL_CERTIFICATE_REVOKED},
		{-60, 60, 6, REFUSAL_NONE},
		{-60, 0, 6, REFUSAL_NONE},
		{-60, -1, 6, REFUSAL_REVOCATION_UNAVAILABLE},
		{-60, -1, 5, REFUSAL_REVOCATION_UNAVAILABLE},
		{300, 600, 6, REFUSAL_NONE},
		{301, 600, 6, REFUSAL_REVOCATION_UNAVAILABLE},
	};
	struct serial serial = serial_of(0, 5);
	struct revocation_set set;
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_new(&set);
		CU_ASSERT_EQUAL(set_check(&set, 1, serial), REFUSAL_REVOCATION_UNAVAILABLE);
		CU_ASSERT_EQUAL(revocation_set_put(&set, 1, 0,
					index_with_times(now + cases[i].this_update,
						now + cases[i].next_update),
					&err),
			0);
		serial = serial_of(0, cases[i].serial);
		CU_ASSERT_EQUAL(set_check(&set, 1, serial), cases[i].refusal);
		CU_ASSERT_EQUAL(set_check(&set, 0, serial), REFUSAL_NONE);
		CU_ASSERT_EQUAL(set_check(&set, -1, serial), REFUSAL_REVOCATION_UNAVAILABLE);
		CU_ASSERT_EQUAL(set_check(&set, 2, serial), REFUSAL_REVOCATION_UNAVAILABLE);
		CU_ASSERT_EQUAL(set_check(&set, 3, serial), REFUSAL_REVOCATION_UNAVAILABLE);
		CU_ASSERT_EQUAL(set_check(&set, -2, serial), REFUSAL_REVOCATION_UNAVAILABLE);
		revocation_set_clear(&set);
		CU_ASSERT_EQUAL(set.count, 0);
	}
}

static void test_set_takes_only_what_belongs_there(void)
{
	static const struct entry entry = {0, 6, 0};
	struct serial serial = serial_of(0, 5);
	struct revocation_set set;
	struct error err;

	set_new(&set);
	CU_ASSERT_EQUAL(revocation_set_put(&set, 0, 0, index_with_times(now, now + 60), &err), -1);
	CU_ASSERT_EQUAL(revocation_set_put(&set, 2, 0, index_with_times(now, now + 60), &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not one of authority 2"));
	CU_ASSERT_EQUAL(revocation_set_put(&set, 3, 0, index_with_times(now, now + 60), &err), -1);
	CU_ASSERT_EQUAL(revocation_set_put(&set, -1, 0, index_with_times(now, now + 60), &err), -1);
	CU_ASSERT_EQUAL(revocation_set_put(&set, 1, 0, index_with_times(now, now + 60), &err), 0);
	CU_ASSERT_EQUAL(
		revocation_set_put(&set, 1, 0, index_with_times(now - 1, now + 60), &err), -1);
	CU_ASSERT_EQUAL(set_check(&set, 1, serial), REFUSAL_CERTIFICATE_REVOKED);
	CU_ASSERT_EQUAL(
		revocation_set_put(&set, 1, 0,
			open_and_close(index_file_of(&ca, now + 1, now + 60, &entry, 1)), &err),
		0);
	CU_ASSERT_EQUAL(set_check(&set, 1, serial), REFUSAL_NONE);
	revocation_set_clear(&set);
}

int main(void)
{
	static const struct check checks[] = {
		{"a sound index opens", test_sound_index_opens},
		{"damage to any byte is noticed", test_damage_to_any_byte_is_noticed},
		{"wrong sizes are noticed", test_wrong_sizes_are_noticed},
		{"entries out of order or twice are noticed",
			test_entries_out_of_order_or_twice_are_noticed},
		{"other kinds of files are refused", test_other_kinds_of_files_are_refused},
		{"a file that is cut later does no harm", test_file_that_is_cut_later_does_no_harm},
		{"a sealed file is mapped", test_sealed_file_is_mapped},
		{"every spread of serials is found", test_every_spread_of_serials_is_found},
		{"a sealed file that lies about its order does no harm",
			test_sealed_file_that_lies_about_its_order_does_no_harm},
		{"a sealed file with wrong bounds is refused",
			test_sealed_file_with_wrong_bounds_is_refused},
		{"a large index is closed in parts", test_large_index_is_closed_in_parts},
		{"a full disk is reported", test_full_disk_is_reported},
		{"dates are clamped", test_dates_are_clamped},
		{"serials are formatted", test_serials_are_formatted},
		{"the set follows the table", test_set_follows_the_table},
		{"the set takes only what belongs there", test_set_takes_only_what_belongs_there},
	};
	int status;

	ca = maker_ca_new("Test CA");
	other_ca = maker_ca_new("Other CA");
	status = check_run("auth/revocation_index", checks, sizeof(checks) / sizeof(checks[0]));
	maker_ca_free(&ca);
	maker_ca_free(&other_ca);
	return status;
}
