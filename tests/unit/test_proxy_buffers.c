/* What waits between a phone and an endpoint: spool, source table, gunzip. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "proxy/gunzip.h"
#include "proxy/source_table.h"
#include "proxy/spool.h"
#include "tests/unit/check.h"

/* Puts 256 bytes at a time, takes odd pieces, and checks that every byte comes in order. */
static void check_order(struct spool *spool, size_t rounds)
{
	uint8_t in[256];
	uint8_t out[100];
	uint64_t taken = 0;
	bool is_right = true;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < rounds; i++)
		CU_ASSERT_EQUAL_FATAL(spool_put(spool, span_of(in, sizeof(in))), 0);
	CU_ASSERT_EQUAL(spool_len(spool), rounds * sizeof(in));
	for (;;) {
		int64_t len = spool_take(spool, out, sizeof(out));

		CU_ASSERT_FATAL(len >= 0);
		if (len == 0)
			break;
		for (int64_t i = 0; i < len; i++)
			is_right = is_right && out[i] == (uint8_t)(taken + (uint64_t)i);
		taken += (uint64_t)len;
	}
	CU_ASSERT_TRUE(is_right);
	CU_ASSERT_EQUAL(taken, rounds * sizeof(in));
	CU_ASSERT_EQUAL(spool_len(spool), 0);
}

static void test_spool_in_memory(void)
{
	struct spool spool;

	spool_init(&spool, UINT64_C(64) * 1024, -1);
	check_order(&spool, 256);
	CU_ASSERT_EQUAL(spool.fd, -1);
	spool_free(&spool);
}

static void test_spool_can_be_cut_anywhere(void)
{
	int directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char out[16];

	for (uint64_t memory_max = 0; memory_max < 12; memory_max += 3) {
		for (size_t len = 0; len <= 9; len++) {
			struct spool spool;

			spool_init(&spool, memory_max, directory);
			for (const char *at = "012345678"; *at != '\0'; at++)
				CU_ASSERT_EQUAL(spool_put(&spool, span_of(at, 1)), 0);
			spool_cut(&spool, len);
			CU_ASSERT_EQUAL(spool_len(&spool), len < 9 ? len : 9);
			CU_ASSERT_EQUAL(spool_put(&spool, span_of_string("ab")), 0);
			memset(out, 0, sizeof(out));
			for (size_t i = 0; spool_len(&spool) > 0; i++)
				CU_ASSERT_EQUAL_FATAL(spool_take(&spool, out + i, 1), 1);
			CU_ASSERT_EQUAL(strncmp(out, "012345678", len), 0);
			CU_ASSERT_STRING_EQUAL(out + (len < 9 ? len : 9), "ab");
			/* Empty, it begins anew. */
			CU_ASSERT_EQUAL(spool.file_len, 0);
			spool_free(&spool);
		}
	}
	close(directory);
}

/* Also where there is room for more: its bytes are still in the file, behind what counts. */
static void test_what_was_cut_off_a_spool_is_not_given_out(void)
{
	int directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char out[32];

	for (uint64_t memory_max = 0; memory_max < 12; memory_max += 3) {
		for (size_t len = 0; len <= 9; len++) {
			struct spool spool;
			size_t taken = 0;

			spool_init(&spool, memory_max, directory);
			CU_ASSERT_EQUAL(spool_put(&spool, span_of_string("012")), 0);
			CU_ASSERT_EQUAL(spool_put(&spool, span_of_string("345678")), 0);
			spool_cut(&spool, len);
			while (spool_len(&spool) > 0 && taken <= len) {
				int64_t n = spool_take(&spool, out + taken, 16);

				CU_ASSERT_FATAL(n > 0);
				taken += (size_t)n;
			}
			CU_ASSERT_EQUAL(taken, len);
			CU_ASSERT_EQUAL(memcmp(out, "012345678", len), 0);
			CU_ASSERT_EQUAL(spool_take(&spool, out, 16), 0);
			spool_free(&spool);
		}
	}
	close(directory);
}

static void test_spool_past_its_memory_goes_to_a_file(void)
{
	int directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool spool;

	spool_init(&spool, 1000, directory);
	check_order(&spool, 100);
	CU_ASSERT_NOT_EQUAL(spool.fd, -1);
	spool_free(&spool);
	close(directory);
}

static void test_spool_without_a_file_has_a_hard_limit(void)
{
	struct spool spool;
	uint8_t bytes[600] = {0};

	spool_init(&spool, 1000, -1);
	CU_ASSERT_EQUAL(spool_put(&spool, span_of(bytes, sizeof(bytes))), 0);
	CU_ASSERT_EQUAL(spool_put(&spool, span_of(bytes, sizeof(bytes))), -1);
	CU_ASSERT_EQUAL(spool_len(&spool), sizeof(bytes));
	spool_free(&spool);
}

static struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		in->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		in6->sin6_family = AF_INET6;
	return address;
}

static void test_a_source_has_a_limit_of_its_own(void)
{
	struct source_table *table = source_table_new();
	struct sockaddr_storage one = address_of("192.0.2.1");
	struct sockaddr_storage two = address_of("192.0.2.2");
	struct source *first, *second, *other;

	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	first = source_take(table, &one, 2);
	second = source_take(table, &one, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_EQUAL_FATAL(first, second);
	CU_ASSERT_PTR_NULL(source_take(table, &one, 2));
	other = source_take(table, &two, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	source_give(first);
	CU_ASSERT_PTR_NOT_NULL(source_take(table, &one, 2));
	CU_ASSERT_PTR_NULL(source_take(table, &one, 2));
	source_table_free(table);
}

static void test_an_ipv6_network_of_64_bits_is_one_source(void)
{
	struct source_table *table = source_table_new();
	struct sockaddr_storage one = address_of("2001:db8:0:1::1");
	struct sockaddr_storage two = address_of("2001:db8:0:1:ffff::2");
	struct sockaddr_storage other = address_of("2001:db8:0:2::1");

	CU_ASSERT_PTR_NOT_NULL(source_take(table, &one, 1));
	CU_ASSERT_PTR_NULL(source_take(table, &two, 1));
	CU_ASSERT_PTR_NOT_NULL(source_take(table, &other, 1));
	source_table_free(table);
}

struct collected {
	size_t len;
	uint32_t checksum;
};

static int collect(void *context, struct span piece)
{
	struct collected *collected = context;

	collected->len += piece.len;
	collected->checksum = (uint32_t)crc32(collected->checksum, piece.data, (uInt)piece.len);
	return 0;
}

static size_t compress_zeros(uint8_t *out, size_t capacity, size_t zeros)
{
	static uint8_t bytes[100000];
	z_stream stream = {0};

	deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	stream.next_in = bytes;
	stream.avail_in = (uInt)zeros;
	stream.next_out = out;
	stream.avail_out = (uInt)capacity;
	deflate(&stream, Z_FINISH);
	capacity -= stream.avail_out;
	deflateEnd(&stream);
	return capacity;
}

static void test_gunzip_takes_pieces_of_any_size(void)
{
	static const uint8_t zeros[100000];
	uint8_t bytes[1024];
	size_t len = compress_zeros(bytes, sizeof(bytes), sizeof(zeros));

	for (size_t piece = 1; piece <= len; piece += 37) {
		struct gunzip *gunzip = gunzip_new(sizeof(zeros));
		struct collected collected = {0};
		int status = 0;

		for (size_t at = 0; at < len && status == 0; at += piece)
			status = gunzip_feed(gunzip,
				span_of(bytes + at, len - at < piece ? len - at : piece), collect,
				&collected);
		CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_EQUAL(collected.len, sizeof(zeros));
		CU_ASSERT_EQUAL(collected.checksum, crc32(0, zeros, sizeof(zeros)));
		gunzip_free(gunzip);
	}
}

static void test_gunzip_has_a_bound(void)
{
	uint8_t bytes[1024];
	size_t len = compress_zeros(bytes, sizeof(bytes), 100000);
	struct gunzip *gunzip = gunzip_new(99999);
	struct collected collected = {0};

	CU_ASSERT_EQUAL(gunzip_feed(gunzip, span_of(bytes, len), collect, &collected), -1);
	CU_ASSERT_TRUE(collected.len <= 99999);
	gunzip_free(gunzip);
}

static void test_gunzip_refuses_what_is_not_gzip(void)
{
	static const uint8_t plain[] = {0x03, 0x01, 0x6a, 0x00};
	uint8_t bytes[1024];
	size_t len = compress_zeros(bytes, sizeof(bytes) - 1, 10);
	struct gunzip *gunzip = gunzip_new(1000);
	struct collected collected = {0};

	CU_ASSERT_EQUAL(
		gunzip_feed(gunzip, span_of(plain, sizeof(plain)), collect, &collected), -1);
	gunzip_free(gunzip);
	gunzip = gunzip_new(1000);
	bytes[len] = 0; /* behind the end */
	CU_ASSERT_EQUAL(gunzip_feed(gunzip, span_of(bytes, len + 1), collect, &collected), -1);
	gunzip_free(gunzip);
}

static const struct check checks[] = {
	{"spool in memory", test_spool_in_memory},
	{"spool can be cut anywhere", test_spool_can_be_cut_anywhere},
	{"what was cut off a spool is not given out",
		test_what_was_cut_off_a_spool_is_not_given_out},
	{"spool past its memory goes to a file", test_spool_past_its_memory_goes_to_a_file},
	{"spool without a file has a hard limit", test_spool_without_a_file_has_a_hard_limit},
	{"a source has a limit of its own", test_a_source_has_a_limit_of_its_own},
	{"an IPv6 network of 64 bits is one source", test_an_ipv6_network_of_64_bits_is_one_source},
	{"gunzip takes pieces of any size", test_gunzip_takes_pieces_of_any_size},
	{"gunzip has a bound", test_gunzip_has_a_bound},
	{"gunzip refuses what is not gzip", test_gunzip_refuses_what_is_not_gzip},
};

int main(void)
{
	return check_run("proxy/buffers", checks, sizeof(checks) / sizeof(checks[0]));
}
