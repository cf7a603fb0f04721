/* An answer that is looked into while the directory says something else of whose it is. */
#include <event2/event.h>
#include <stdlib.h>

#include "proxy/answer_filter.h"
#include "proxy/exchange.h"
#include "proxy/folder_table.h"
#include "tests/unit/check.h"
#include "tests/unit/credential_maker.h"
#include "tests/unit/wbxml_samples.h"

static const struct folder_owner anna = {"anna@a.test", "PHONE"}, bert = {"bert@a.test", "PHONE"};

static struct fixture {
	struct config config;
	struct child child;
	struct worker *worker;
	struct session session;
	struct exchange *exchange;
} f;

static void begin(void)
{
	static struct verdict verdict; /* large */
	struct error err = {""};

	f.config.limits.wbxml_depth = 32;
	f.config.limits.wbxml_elements = 10000;
	f.child = (struct child){.config = &f.config, .folders = folder_table_map(&err)};
	f.worker = calloc(1, sizeof(*f.worker));
	f.exchange = exchange_make();
	f.session.credential = credential_made(&verdict, UINT32_MAX);
	CU_ASSERT_FATAL(f.child.folders != NULL && f.worker != NULL && f.exchange != NULL &&
			f.session.credential != NULL);
	CU_ASSERT_EQUAL(credential_set_mailbox(f.session.credential, anna.mailbox), 0);
	f.worker->child = &f.child;
	f.worker->config = &f.config;
	f.worker->base = event_base_new();
	f.session.worker = f.worker;
	f.exchange->session = &f.session;
	f.exchange->request.command = EAS_FOLDER_SYNC;
	strcpy(f.exchange->request.device_id, anna.device_id);
	spool_init(&f.exchange->spool, 0, -1);
}

static void end(void)
{
	exchange_free(f.exchange);
	credential_free(f.session.credential);
	folder_table_unmap(f.child.folders);
	event_base_free(f.worker->base);
	free(f.worker);
}

static unsigned int class_of(const struct folder_owner *owner)
{
	return folder_table_class(
		f.child.folders, owner, span_of_string("5"), (uint64_t)worker_now(f.worker));
}

static void test_folders_are_learned_for_whom_the_request_was(void)
{
	struct wbxml_buffer document = sample_read("good", "foldersync-initial-response", ".wbxml");

	begin();
	CU_ASSERT_EQUAL_FATAL(exchange_filter_make(f.exchange), 0);
	CU_ASSERT_EQUAL(credential_set_mailbox(f.session.credential, bert.mailbox), 0);
	CU_ASSERT_EQUAL(
		answer_filter_feed(f.exchange->filter, span_of(document.data, document.len)), 0);
	CU_ASSERT_EQUAL(answer_filter_finish(f.exchange->filter), 0);
	CU_ASSERT_EQUAL(class_of(&anna), EAS_CLASS_EMAIL);
	CU_ASSERT_EQUAL(class_of(&bert), 0);
	end();
	wbxml_buffer_free(&document);
}

static const struct check checks[] = {
	{"folders are learned for whom the request was",
		test_folders_are_learned_for_whom_the_request_was},
};

int main(void)
{
	return check_run("proxy/exchange_filter", checks, sizeof(checks) / sizeof(checks[0]));
}
