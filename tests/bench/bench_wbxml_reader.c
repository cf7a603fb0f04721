/*
 * What it costs to read WBXML: our reader beside libwbxml's SAX parser and its tree, each of which does
 * nothing with what it finds, on the samples of tests/data/wbxml/good that libwbxml reads, too, and on a
 * Sync answer of half a megabyte. Ours gets a document in pieces of 16 kB, as TLS records bring them, the
 * others all at once.
 *
 *	bench_wbxml_reader [--json] SAMPLES                 bytes a second of CPU time, allocations
 *	bench_wbxml_reader PARSER DOCUMENT SAMPLES ROUNDS   nothing else; for valgrind: the difference of
 *	                                                    two runs is what the rounds between them take
 *
 * PARSER is ours, sax or tree, DOCUMENT samples or sync, SAMPLES the folder.
 */
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wbxml/wbxml.h>

#include "config/error.h"
#include "tests/bench/allocations.h"
#include "tests/bench/sync_answer.h"
#include "wbxml/reader.h"

enum {
	PIECE = 16384,
	SYNC_SIZE = 500 * 1024,
	SAMPLES_MAX = 512,
	SAMPLE_SIZE_MAX = 1 << 20,
	ROUNDS_SYNC = 100,
	ROUNDS_SAMPLES = 200,
	ROUNDS_TREE = 10, /* of it one in ten: it is slow */
};

/* libwbxml exports these, but Debian's package has no header that declares them. */
typedef struct bench_sax_parser bench_sax_parser;
typedef struct bench_tree bench_tree;

struct bench_sax_handlers {
	void (*start_document)(void *context, int charset, const void *language);
	void (*end_document)(void *context);
	void (*start_element)(void *context, void *name, void **attributes, WB_BOOL is_empty);
	void (*end_element)(void *context, void *name, WB_BOOL is_empty);
	void (*characters)(void *context, WB_UTINY *text, WB_ULONG start, WB_ULONG len);
	void (*instruction)(void *context, const WB_UTINY *target, WB_UTINY *data);
};

bench_sax_parser *wbxml_parser_create(void);
void wbxml_parser_destroy(bench_sax_parser *parser);
void wbxml_parser_set_user_data(bench_sax_parser *parser, void *context);
void wbxml_parser_set_content_handler(
	bench_sax_parser *parser, struct bench_sax_handlers *handlers);
WB_BOOL wbxml_parser_set_language(bench_sax_parser *parser, WBXMLLanguage language);
WBXMLError wbxml_parser_parse(bench_sax_parser *parser, WB_UTINY *document, WB_ULONG len);
WBXMLError wbxml_tree_from_wbxml(WB_UTINY *document, WB_ULONG len, WBXMLLanguage language,
	WBXMLCharsetMIBEnum charset, bench_tree **tree);
void wbxml_tree_destroy(bench_tree *tree);

struct documents {
	size_t count;
	size_t bytes;
	struct wbxml_buffer at[SAMPLES_MAX];
};

/* Reads a document, and adds up its elements. False where it cannot be read. */
typedef bool parse_function(const struct wbxml_buffer *document, uint64_t *elements);

static bool parse_ours(const struct wbxml_buffer *document, uint64_t *elements)
{
	struct wbxml_reader reader;
	enum wbxml_event event;

	wbxml_reader_init(&reader, NULL);
	for (size_t at = 0; at < document->len; at += PIECE) {
		wbxml_reader_feed(&reader, document->data + at,
			document->len - at < PIECE ? document->len - at : PIECE);
		while ((event = wbxml_reader_next(&reader)) > WBXML_MORE)
			*elements += event == WBXML_START;
	}
	return wbxml_reader_finish(&reader) == 0;
}

static void on_element(void *context, void *name, void **attributes, WB_BOOL is_empty)
{
	uint64_t *elements = context;

	(void)name;
	(void)attributes;
	(void)is_empty;
	++*elements;
}

static void on_end(void *context, void *name, WB_BOOL is_empty)
{
	(void)context;
	(void)name;
	(void)is_empty;
}

static void on_text(void *context, WB_UTINY *text, WB_ULONG start, WB_ULONG len)
{
	(void)context;
	(void)text;
	(void)start;
	(void)len;
}

static bool parse_sax(const struct wbxml_buffer *document, uint64_t *elements)
{
	struct bench_sax_handlers handlers = {
		.start_element = on_element, .end_element = on_end, .characters = on_text};
	bench_sax_parser *parser = wbxml_parser_create();
	WBXMLError code;

	if (parser == NULL)
		return false;
	wbxml_parser_set_user_data(parser, elements);
	wbxml_parser_set_content_handler(parser, &handlers);
	wbxml_parser_set_language(parser, WBXML_LANG_ACTIVESYNC);
	code = wbxml_parser_parse(parser, document->data, (WB_ULONG)document->len);
	wbxml_parser_destroy(parser);
	return code == WBXML_OK;
}

/* It is not counted in what it made: the other two tell how many elements there are. */
static bool parse_tree(const struct wbxml_buffer *document, uint64_t *elements)
{
	bench_tree *tree = NULL;
	WBXMLError code = wbxml_tree_from_wbxml(document->data, (WB_ULONG)document->len,
		WBXML_LANG_ACTIVESYNC, WBXML_CHARSET_UTF_8, &tree);

	(void)elements;
	if (code != WBXML_OK)
		return false;
	wbxml_tree_destroy(tree);
	return true;
}

static const struct {
	const char *name;
	parse_function *parse;
} parsers[] = {{"ours", parse_ours}, {"sax", parse_sax}, {"tree", parse_tree}};

enum { PARSERS = sizeof(parsers) / sizeof(parsers[0]) };

static struct wbxml_buffer file_read(const char *path)
{
	struct wbxml_buffer document = {.limit = SAMPLE_SIZE_MAX};
	FILE *file = fopen(path, "rb");
	char chunk[4096];
	size_t got;

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		wbxml_buffer_append(&document, chunk, got);
	fclose(file);
	return document;
}

static void documents_add(struct documents *documents, struct wbxml_buffer document)
{
	documents->at[documents->count++] = document;
	documents->bytes += document.len;
}

/* What one of the three does not read is no comparison. */
static void samples_read(struct documents *documents, const char *folder)
{
	char pattern[4096];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/*.wbxml", folder);
	if (glob(pattern, 0, NULL, &found) != 0) {
		fprintf(stderr, "reading samples: there are no files %s\n", pattern);
		exit(1);
	}
	for (size_t i = 0; i < found.gl_pathc && documents->count < SAMPLES_MAX; i++) {
		struct wbxml_buffer document = file_read(found.gl_pathv[i]);
		uint64_t ours = 0, sax = 0;

		if (parse_ours(&document, &ours) && parse_sax(&document, &sax) && ours == sax &&
			parse_tree(&document, &sax))
			documents_add(documents, document);
		else
			wbxml_buffer_free(&document);
	}
	globfree(&found);
}

static void documents_read(struct documents *documents, const char *name, const char *samples)
{
	if (strcmp(name, "samples") == 0)
		samples_read(documents, samples);
	else
		documents_add(documents, sync_answer_make(SYNC_SIZE));
}

static void documents_free(struct documents *documents)
{
	for (size_t i = 0; i < documents->count; i++)
		wbxml_buffer_free(&documents->at[i]);
	documents->count = documents->bytes = 0;
}

/* Not static, so that a profile shows it. */
uint64_t bench_run(parse_function *parse, const struct documents *documents, unsigned long rounds);

uint64_t bench_run(parse_function *parse, const struct documents *documents, unsigned long rounds)
{
	uint64_t elements = 0;

	for (unsigned long round = 0; round < rounds; round++)
		for (size_t i = 0; i < documents->count; i++)
			if (!parse(&documents->at[i], &elements)) {
				fprintf(stderr,
					"a document that was read before is not any more\n");
				exit(1);
			}
	return elements;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(
	const struct documents *documents, const char *name, unsigned long rounds, bool wants_json)
{
	uint64_t elements = bench_run(parse_ours, documents, 1);

	for (int i = 0; i < PARSERS; i++) {
		unsigned long count =
			parsers[i].parse == parse_tree ? rounds / ROUNDS_TREE : rounds;
		uint64_t allocations = allocations_count();
		double begun = seconds(), each, made;

		bench_run(parsers[i].parse, documents, count);
		each = (seconds() - begun) / (double)count;
		made = (double)(allocations_count() - allocations) / (double)count /
		       (double)elements;
		if (wants_json)
			printf("%s{\"parser\": \"%s\", \"document\": \"%s\", \"bytes\": %zu, "
			       "\"elements\": %llu, \"mb_per_s\": %.1f, "
			       "\"allocations_per_element\": %.3f}",
				i > 0 ? ",\n " : "", parsers[i].name, name, documents->bytes,
				(unsigned long long)elements, (double)documents->bytes / each / 1e6,
				made);
		else
			printf("%-8s %-5s %8.1f MB/s %8.2f allocations an element\n", name,
				parsers[i].name, (double)documents->bytes / each / 1e6, made);
	}
}

static int measure_all(const char *samples, bool wants_json)
{
	static struct documents documents;

	printf("%s", wants_json ? "[" : "");
	documents_read(&documents, "samples", samples);
	measure(&documents, "samples", ROUNDS_SAMPLES, wants_json);
	documents_free(&documents);
	printf("%s", wants_json ? ",\n " : "");
	documents_read(&documents, "sync", samples);
	measure(&documents, "sync", ROUNDS_SYNC, wants_json);
	documents_free(&documents);
	printf("%s", wants_json ? "]\n" : "");
	return 0;
}

static int run_one(char **arguments)
{
	static struct documents documents;
	uint64_t elements;

	for (int i = 0; i < PARSERS; i++) {
		if (strcmp(arguments[0], parsers[i].name) != 0)
			continue;
		documents_read(&documents, arguments[1], arguments[2]);
		elements = bench_run(parse_ours, &documents, 1);
		bench_run(parsers[i].parse, &documents, strtoul(arguments[3], NULL, 10));
		printf("{\"bytes\": %zu, \"elements\": %llu}\n", documents.bytes,
			(unsigned long long)elements);
		documents_free(&documents);
		return 0;
	}
	fprintf(stderr, "there is no parser %s: ours, sax, tree\n", arguments[0]);
	return 1;
}

int main(int argc, char **argv)
{
	bool wants_json = argc == 3 && strcmp(argv[1], "--json") == 0;

	if (argc == 5)
		return run_one(argv + 1);
	if (argc == 2 || wants_json)
		return measure_all(argv[argc - 1], wants_json);
	fprintf(stderr, "usage: bench_wbxml_reader [--json] SAMPLES\n"
			"       bench_wbxml_reader ours|sax|tree samples|sync SAMPLES ROUNDS\n");
	return 1;
}
