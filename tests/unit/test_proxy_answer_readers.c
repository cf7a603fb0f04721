/* What other readers make of changed answers: libwbxml, and Wireshark's dissector (tshark), to which every
 * changed sample is shown as the answer to an HTTP request in a capture made here. */
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/answer_filter.h"
#include "proxy/eas_body.h"
#include "tests/unit/check.h"
#include "tests/unit/wbxml_samples.h"
#include "wbxml/xml.h"

enum { SEGMENT = 32000, PORT = 80, LINKTYPE_RAW = 101, SAMPLES = 167 };

static const struct wbxml_xml_options libwbxml = {.dialect = WBXML_DIALECT_LIBWBXML};

static bool all_strips(const void *rule, struct span name, struct span type, uint64_t size)
{
	(void)rule, (void)name, (void)type, (void)size;
	return true;
}

static bool none_strips(const void *rule, struct span name, struct span type, uint64_t size)
{
	(void)rule, (void)name, (void)type, (void)size;
	return false;
}

static int out_append(void *context, struct span bytes)
{
	wbxml_buffer_append(context, bytes.data, bytes.len);
	return 0;
}

static struct wbxml_buffer changed(const struct wbxml_buffer *document, bool is_all)
{
	struct wbxml_buffer out = {.limit = 1 << 22};
	struct answer_filter_terms terms = {.changes = {.strips = is_all ? all_strips : none_strips,
						    .hidden_classes = is_all ? 0xff : 0},
		.owner = {"anna@contoso.com", "PHONE1"},
		.memory_max = 1 << 22,
		.held_max = 1 << 22,
		.directory = -1,
		.out = out_append,
		.context = &out};
	struct answer_filter *filter = answer_filter_new(&terms);

	CU_ASSERT_EQUAL(answer_filter_feed(filter, span_of(document->data, document->len)), 0);
	CU_ASSERT_EQUAL(answer_filter_finish(filter), 0);
	answer_filter_free(filter);
	return out;
}

/* libwbxml */

static unsigned int read_before;

static void check_libwbxml(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");
	struct wbxml_buffer xml = {.limit = 1 << 24};
	struct error err = {""};

	/* It does not know all tags. */
	if (wbxml_to_xml(span_of(document.data, document.len), &libwbxml, &xml, &err) == 0) {
		read_before++;
		for (int is_all = 0; is_all < 2; is_all++) {
			struct wbxml_buffer after = changed(&document, is_all);

			xml.len = 0;
			if (wbxml_to_xml(span_of(after.data, after.len), &libwbxml, &xml, &err) !=
				0) {
				printf("\n%s: %s\n", name, err.text);
				CU_FAIL("libwbxml does not read it any more");
			}
			wbxml_buffer_free(&after);
		}
	}
	wbxml_buffer_free(&xml);
	wbxml_buffer_free(&document);
}

static void test_libwbxml_reads_every_changed_sample_that_it_could_read_before(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_libwbxml), SAMPLES);
	CU_ASSERT(read_before > 130);
}

/* tshark */

static FILE *capture;
static uint16_t stream;

static void put(uint64_t value, size_t size)
{
	while (size-- > 0)
		fputc((int)(value >> (8 * size) & 0xff), capture);
}

static void put_little(uint32_t value)
{
	fwrite(&value, sizeof(value), 1, capture);
}

/* One IPv4 packet with a TCP segment, no options, checksums left out. */
static void put_segment(bool is_answer, uint32_t sequence, uint32_t acknowledged, struct span data)
{
	uint32_t len = (uint32_t)(40 + data.len);

	put_little(0);
	put_little(0);
	put_little(len);
	put_little(len);
	put(0x4500, 2);
	put(len, 2);
	put(0x00010000, 4);
	put(0x40060000, 4);
	put(is_answer ? 0x7f000001 : 0x7f000002, 4);
	put(is_answer ? 0x7f000002 : 0x7f000001, 4);
	put(is_answer ? PORT : stream, 2);
	put(is_answer ? stream : PORT, 2);
	put(sequence, 4);
	put(acknowledged, 4);
	put(0x5018ffff, 4);
	put(0, 4);
	fwrite(data.data, 1, data.len, capture);
}

static void put_exchange(const struct wbxml_buffer *document)
{
	static const char request[] = "POST /Microsoft-Server-ActiveSync?Cmd=Sync HTTP/1.1\r\n"
				      "Host: localhost\r\nContent-Length: 0\r\n\r\n";
	struct wbxml_buffer answer = {.limit = 1 << 22};
	char head[200];
	int len = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.ms-sync.wbxml\r\n"
		"Content-Length: %zu\r\n\r\n",
		document->len);

	wbxml_buffer_append(&answer, head, (size_t)len);
	wbxml_buffer_append(&answer, document->data, document->len);
	stream++;
	put_segment(false, 1, 1, span_of_string(request));
	for (size_t at = 0; at < answer.len; at += SEGMENT) {
		size_t part = answer.len - at < SEGMENT ? answer.len - at : SEGMENT;

		put_segment(
			true, 1 + (uint32_t)at, sizeof(request), span_of(answer.data + at, part));
	}
	wbxml_buffer_free(&answer);
}

static void capture_before(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");

	put_exchange(&document);
	wbxml_buffer_free(&document);
}

/* Without its last bytes. */
static void capture_cut(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");

	document.len -= document.len > 8 ? 3 : 1;
	put_exchange(&document);
	wbxml_buffer_free(&document);
}

static void capture_after(const char *name)
{
	struct wbxml_buffer document = sample_read("good", name, ".wbxml");

	for (int is_all = 0; is_all < 2; is_all++) {
		struct wbxml_buffer after = changed(&document, is_all);

		put_exchange(&after);
		wbxml_buffer_free(&after);
	}
	wbxml_buffer_free(&document);
}

/* What tshark says of a capture. */
struct dissection {
	unsigned int documents, whole; /* from the root's start to its end */
	unsigned int malformed, unknown_tags;
};

/* A document as it is shown: each line ends with "| <Tag>", "| </Tag>" or "| 'text'". */
struct shown {
	char first[200], last[200];
};

static void shown_end(struct shown *shown, struct dissection *found)
{
	const char *name = shown->first + 1;

	if (shown->first[0] == '<' && (strcmp(shown->first + strlen(shown->first) - 2, "/>") == 0
						      ? strcmp(shown->first, shown->last) == 0
						      : strncmp(shown->last, "</", 2) == 0 &&
								strcmp(shown->last + 2, name) == 0))
		found->whole++;
	*shown = (struct shown){.first = ""};
}

static void shown_line(struct shown *shown, const char *line)
{
	const char *rendering = strrchr(line, '|');

	if (rendering == NULL || strncmp(line, "        ", 8) != 0 || strstr(line, "| T ") == NULL)
		return;
	rendering += 1 + strspn(rendering + 1, " ");
	if (*rendering == '\n')
		return;
	snprintf(
		shown->last, sizeof(shown->last), "%.*s", (int)strcspn(rendering, "\n"), rendering);
	if (shown->first[0] == '\0')
		snprintf(shown->first, sizeof(shown->first), "%s", shown->last);
}

static struct dissection read_dissection(FILE *tshark)
{
	struct dissection found = {0};
	struct shown shown = {.first = ""};
	char line[4096];

	while (fgets(line, sizeof(line), tshark) != NULL) {
		if (strstr(line, "chosen decoding: Microsoft ActiveSync") != NULL) {
			shown_end(&shown, &found);
			found.documents++;
		}
		shown_line(&shown, line);
		found.malformed += strstr(line, "Malformed") != NULL;
		found.unknown_tags += strstr(line, "not defined for this content type") != NULL;
	}
	shown_end(&shown, &found);
	return found;
}

/* tshark's words about a capture, to be read; closed by the caller, as *child has to be waited for. */
static FILE *tshark_start(const char *path, pid_t *child)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	*child = fork();
	if (*child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		execlp("tshark", "tshark", "-r", path, "-O", "wbxml", "-V", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

static struct dissection dissect(const char *folder, size_t samples, void visit(const char *name))
{
	char path[] = "/tmp/easproxy-answers-XXXXXX";
	struct dissection found;
	int fd = mkstemp(path), status = -1;
	FILE *tshark;
	pid_t child;

	CU_ASSERT_FATAL(fd != -1);
	capture = fdopen(fd, "wb");
	/* A pcap file of version 2.4. */
	put_little(0xa1b2c3d4);
	put_little(0x00040002);
	put_little(0);
	put_little(0);
	put_little(1 << 18);
	put_little(LINKTYPE_RAW);
	stream = 20000;
	CU_ASSERT_EQUAL(sample_each(folder, visit), samples);
	CU_ASSERT_EQUAL(fclose(capture), 0);
	tshark = tshark_start(path, &child);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tshark);
	found = read_dissection(tshark);
	fclose(tshark);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	unlink(path);
	return found;
}

static void test_wireshark_dissects_every_changed_sample(void)
{
	struct dissection before = dissect("good", SAMPLES, capture_before);
	struct dissection after = dissect("good", SAMPLES, capture_after);

	CU_ASSERT_EQUAL(before.documents, SAMPLES);
	CU_ASSERT_EQUAL(before.whole, SAMPLES);
	CU_ASSERT_EQUAL(after.documents, 2 * SAMPLES);
	CU_ASSERT_EQUAL(after.whole, 2 * SAMPLES);
	CU_ASSERT_EQUAL(after.malformed, 0);
	/* It does not know all of our tags. */
	CU_ASSERT(after.unknown_tags <= 2 * before.unknown_tags);
}

/* Else that it finds nothing would say nothing. */
static void test_wireshark_sees_what_is_wrong(void)
{
	struct dissection cut = dissect("good", SAMPLES, capture_cut);

	CU_ASSERT(cut.whole < SAMPLES / 8);
	CU_ASSERT(cut.malformed > 0);
}

static const struct check checks[] = {
	{"libwbxml reads every changed sample that it could read before",
		test_libwbxml_reads_every_changed_sample_that_it_could_read_before},
	{"Wireshark dissects every changed sample", test_wireshark_dissects_every_changed_sample},
	{"Wireshark sees what is wrong", test_wireshark_sees_what_is_wrong},
};

int main(void)
{
	return check_run("proxy/answer_readers", checks, sizeof(checks) / sizeof(checks[0]));
}
