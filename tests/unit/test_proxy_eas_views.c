/* What is seen in every sample document, in pieces of any size. */
#include "proxy/eas_command.h"
#include "tests/unit/check.h"
#include "tests/unit/eas_body_shown.h"
#include "tests/unit/wbxml_samples.h"

enum direction { REQUEST, ANSWER };

static const struct view {
	const char *name, *command;
	unsigned int version;
	enum direction direction;
	const char *shown;
} views[] = {
#include "tests/unit/eas_body_views.inc"
};

static size_t row_count;

static void check_sample(const char *name)
{
	const struct view *view = NULL;
	struct wbxml_buffer document;
	struct eas_body_terms terms = {.kind = EAS_BODY_WBXML};

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (strcmp(views[i].name, name) == 0)
			view = &views[i];
	if (view == NULL) {
		printf("\n%s: has no row", name);
		CU_FAIL("a sample without its view");
		return;
	}
	row_count++;
	document = sample_read("good", name, ".wbxml");
	terms.command = eas_command_find(span_of_string(view->command));
	terms.version = view->version;
	terms.is_answer = view->direction == ANSWER;
	for (size_t piece = 1; piece <= document.len; piece += 1 + piece / 2) {
		struct eas_body *body =
			body_fed(&terms, span_of(document.data, document.len), piece);
		static struct shown shown;

		body_show(&shown, body);
		if (strcmp(shown.text, view->shown) != 0)
			printf("\n%s, in pieces of %zu:\n\t%s\n\t%s", name, piece, view->shown,
				shown.text);
		CU_ASSERT_STRING_EQUAL(shown.text, view->shown);
		CU_ASSERT_TRUE(body->texts_len <= EAS_BODY_TEXTS_MAX);
		eas_body_free(body);
	}
	wbxml_buffer_free(&document);
}

static void test_samples(void)
{
	CU_ASSERT_EQUAL(sample_each("good", check_sample), sizeof(views) / sizeof(views[0]));
	CU_ASSERT_EQUAL(row_count, sizeof(views) / sizeof(views[0]));
}

static const struct check checks[] = {
	{"samples show what they hold, in pieces of any size", test_samples},
};

int main(void)
{
	return check_run("proxy/eas_views", checks, sizeof(checks) / sizeof(checks[0]));
}
