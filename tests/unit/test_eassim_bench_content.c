/* The bytes of the bench: whole or in pieces they match themselves, and nothing else does. */
#include "tests/eassim/bench_content.h"

#include <string.h>

#include "tests/unit/check.h"

static struct bench_content content;

static const struct bench_bytes *small_ones[] = {&content.requests[BENCH_SYNC200],
	&content.answers[BENCH_SYNC200], &content.requests[BENCH_PING],
	&content.answers[BENCH_PING], &content.requests[BENCH_FOLDERSYNC],
	&content.answers[BENCH_FOLDERSYNC]};

static void test_token_says_phone_and_request(void)
{
	char token[BENCH_TOKEN_LEN];

	bench_token(token, 0x12ab, 0xfedc0001);
	CU_ASSERT_NSTRING_EQUAL(token, "000012abfedc0001", BENCH_TOKEN_LEN);
}

static void test_sizes_are_those_of_their_names(void)
{
	CU_ASSERT(content.requests[BENCH_SYNC200].len >= 180);
	CU_ASSERT(content.requests[BENCH_SYNC200].len <= 220);
	CU_ASSERT(content.answers[BENCH_ANSWER100K].len >= 95000);
	CU_ASSERT(content.answers[BENCH_ANSWER100K].len <= 105000);
	CU_ASSERT(content.requests[BENCH_SENDMAIL5M].len >= 5000000);
	CU_ASSERT(content.requests[BENCH_SENDMAIL5M].len <= 5100000);
	CU_ASSERT(content.answers[BENCH_SENDMAIL5M].len == 0);
}

static void test_each_has_a_place_for_the_token(void)
{
	for (int kind = BENCH_SYNC200; kind < BENCH_KIND_COUNT; kind++)
		CU_ASSERT(content.requests[kind].token_at + BENCH_TOKEN_LEN <
			  content.requests[kind].len);
	CU_ASSERT(content.ping_over.token_at == content.ping_over.len);
}

static void test_pieces_match_wherever_they_are_cut(void)
{
	char token[BENCH_TOKEN_LEN], taken[BENCH_TOKEN_LEN];

	bench_token(token, 7, 9);
	for (size_t i = 0; i < sizeof(small_ones) / sizeof(small_ones[0]); i++) {
		struct bench_bytes bytes = *small_ones[i];

		bench_bytes_mark(&bytes, token);
		for (size_t cut = 0; cut <= bytes.len; cut++) {
			struct span first = span_of(bytes.data, cut);
			struct span second = span_of(bytes.data + cut, bytes.len - cut);

			memset(taken, '-', sizeof(taken));
			CU_ASSERT(bench_bytes_match(&bytes, 0, first, token));
			CU_ASSERT(bench_bytes_match(&bytes, cut, second, token));
			CU_ASSERT(bench_bytes_take(&bytes, 0, first, taken));
			CU_ASSERT(bench_bytes_take(&bytes, cut, second, taken));
			CU_ASSERT_NSTRING_EQUAL(taken, token, BENCH_TOKEN_LEN);
		}
	}
}

/* The bytes are shared: another phone's token may stand in them while an answer is compared. */
static void test_the_token_compared_is_the_one_given(void)
{
	struct bench_bytes *bytes = &content.answers[BENCH_SYNC200];
	char ours[BENCH_TOKEN_LEN], other[BENCH_TOKEN_LEN];
	uint8_t copy[512];

	bench_token(ours, 1, 1);
	bench_token(other, 2, 1);
	bench_bytes_mark(bytes, ours);
	memcpy(copy, bytes->data, bytes->len);
	bench_bytes_mark(bytes, other);
	CU_ASSERT(bench_bytes_match(bytes, 0, span_of(copy, bytes->len), ours));
	CU_ASSERT(!bench_bytes_match(bytes, 0, span_of(copy, bytes->len), other));
}

static void test_every_flipped_byte_is_noticed(void)
{
	struct bench_bytes *bytes = &content.answers[BENCH_SYNC200];
	char token[BENCH_TOKEN_LEN];
	uint8_t copy[512];

	bench_token(token, 1, 1);
	bench_bytes_mark(bytes, token);
	for (size_t at = 0; at < bytes->len; at++) {
		memcpy(copy, bytes->data, bytes->len);
		copy[at] ^= 0x10;
		CU_ASSERT(!bench_bytes_match(bytes, 0, span_of(copy, bytes->len), token));
		CU_ASSERT(!bench_bytes_match(bytes, at, span_of(copy + at, 1), token));
	}
}

static void test_more_than_there_is_does_not_match(void)
{
	const struct bench_bytes *bytes = &content.ping_over;
	uint8_t copy[512] = {0};
	char token[BENCH_TOKEN_LEN] = "";

	memcpy(copy, bytes->data, bytes->len);
	CU_ASSERT(bench_bytes_match(bytes, 0, span_of(copy, bytes->len), token));
	CU_ASSERT(!bench_bytes_match(bytes, 0, span_of(copy, bytes->len + 1), token));
	CU_ASSERT(!bench_bytes_match(bytes, bytes->len, span_of(copy, 1), token));
	CU_ASSERT(!bench_bytes_match(bytes, bytes->len + 1, span_of(copy, 0), token));
	CU_ASSERT(
		!bench_bytes_match(&content.answers[BENCH_SENDMAIL5M], 0, span_of(copy, 1), token));
}

static void test_kinds_are_found_by_name(void)
{
	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++)
		CU_ASSERT(bench_kind_find(span_of_string(bench_kind_name((enum bench_kind)kind))) ==
			  (enum bench_kind)kind);
	CU_ASSERT(bench_kind_find(span_of_string("sync20")) == BENCH_KIND_COUNT);
	CU_ASSERT(bench_kind_find(span_of(NULL, 0)) == BENCH_KIND_COUNT);
}

static const struct check checks[] = {
	{"a token says phone and request", test_token_says_phone_and_request},
	{"sizes are those of their names", test_sizes_are_those_of_their_names},
	{"each has a place for the token", test_each_has_a_place_for_the_token},
	{"pieces match wherever they are cut", test_pieces_match_wherever_they_are_cut},
	{"the token that is compared is the one given", test_the_token_compared_is_the_one_given},
	{"every flipped byte is noticed", test_every_flipped_byte_is_noticed},
	{"more than there is does not match", test_more_than_there_is_does_not_match},
	{"kinds are found by name", test_kinds_are_found_by_name},
};

int main(void)
{
	struct error err = {""};
	int status = 2;

	if (bench_content_make(&content, &err) == 0)
		status = check_run(
			"eassim/bench_content", checks, sizeof(checks) / sizeof(checks[0]));
	bench_content_free(&content);
	return status;
}
