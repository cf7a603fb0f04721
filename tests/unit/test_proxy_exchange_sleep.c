/* Long polls that sleep, and what wakes them. */
#include "proxy/exchange_sleep.h"

#include "tests/unit/exchange_world.h"

static const uint8_t ping[] = {0x03, 0x01, 0x6a, 0x00, 0x00, 0x0d, 0x45, 0x48, 0x03, '4', '8', '0',
	0x00, 0x01, 0x49, 0x4a, 0x4b, 0x03, '1', 0x00, 0x01, 0x4c, 0x03, 'E', 'm', 'a', 'i', 'l',
	0x00, 0x01, 0x01, 0x01, 0x01};

static unsigned int allocations_left = UINT32_MAX; /* before memory runs out */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_slab_new(size_t size);
void *__wrap_slab_new(size_t size);

static bool is_there_memory(void)
{
	if (allocations_left == 0)
		return false;
	if (allocations_left != UINT32_MAX)
		allocations_left--;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return is_there_memory() ? __real_malloc(size) : NULL;
}

void *__wrap_slab_new(size_t size)
{
	return is_there_memory() ? __real_slab_new(size) : NULL;
}

static const char *answer_never(unsigned int nth, const struct world_request *request)
{
	(void)nth;
	(void)request;
	return NULL;
}

static void say_to_endpoint(const char *text)
{
	struct world_connection *connection = &world.connections[world.connection_count - 1];

	CU_ASSERT_EQUAL(write(connection->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static struct exchange *wake(struct phone *phone)
{
	struct exchange *exchange = exchange_wake(phone->session);

	WORLD_MUST(exchange != NULL && exchange->request_facts != NULL);
	return exchange;
}

/* A phone whose Ping sleeps. */
static void begin(struct phone *phone, const char *mailbox)
{
	world.answer = answer_never;
	phone_connect(phone, mailbox);
	phone_say(phone, "Ping", ping, sizeof(ping));
	world_run();
	CU_ASSERT_PTR_NULL(phone->session->exchange);
	CU_ASSERT_PTR_NOT_NULL_FATAL(phone->session->sleeper);
	CU_ASSERT_EQUAL(world.worker->counters->polls_open, 1);
}

static void end(struct phone *phone)
{
	struct endpoint *endpoint = &world.worker->upstream->endpoints[0];

	phone_end(phone);
	CU_ASSERT_TRUE(TAILQ_EMPTY(&world.worker->sessions));
	CU_ASSERT_TRUE(TAILQ_EMPTY(&endpoint->busy));
	CU_ASSERT_TRUE(LIST_EMPTY(&world.worker->drowsy));
	CU_ASSERT_EQUAL(world.worker->counters->polls_open, 0);
	while (!TAILQ_EMPTY(&endpoint->idle))
		link_free(TAILQ_FIRST(&endpoint->idle));
	for (unsigned int i = 0; i < world.connection_count; i++)
		if (world.connections[i].fd != -1)
			close(world.connections[i].fd);
	world.connection_count = 0;
}

static void test_a_ping_sleeps_in_few_bytes(void)
{
	struct phone phone;

	begin(&phone, "alice1@a.test");
	CU_ASSERT(sleeper_size(phone.session->sleeper) <= 160);
	end(&phone);
}

/* What is there for every phone that sleeps, in bytes, beside its sleeper and its keys (tls_records.h): whoever
 * adds a field to one of these adds it to each of them, and should look for another place. */
static void test_what_every_phone_has_stays_small(void)
{
	CU_ASSERT(sizeof(struct session) <= 184);
	CU_ASSERT(sizeof(struct link) <= 144);
	CU_ASSERT(sizeof(struct device_entry) <= 136);
	CU_ASSERT(sizeof(struct credential) <= 24);
	CU_ASSERT(sizeof(struct verdict_link) <= 24);
}

/* All that may stand in an exchange that sleeps. What may_sleep() does not allow is zero, and what is looked
 * up when it wakes is as it is there. */
static void fill(struct exchange *exchange)
{
	static const uint8_t some[] = {9, 8, 7, 6, 5, 4, 3, 2};

	exchange->minor_version = 1;
	snprintf(exchange->request.device_id, sizeof(exchange->request.device_id), "d1");
	exchange->request.device_id[0] = 'D';
	memset(exchange->request.device_type, 't', sizeof(exchange->request.device_type) - 1);
	memset(exchange->request.user, 'u', sizeof(exchange->request.user) - 1);
	exchange->request.is_base64 = exchange->request.has_policy_key = true;
	exchange->request.policy_key = 0x87654321;
	exchange->request.accepts_multipart = true;
	exchange->policy.is_open = true;
	memcpy(&exchange->policy.decision.notes, some, sizeof(some));
	exchange->policy.decision.rule = exchange->policy.decision.limit_rule = "rule";
	exchange->policy.decision.body_size_max = UINT64_MAX;
	exchange->policy.decision.heartbeat_max_s = UINT32_MAX;
	exchange->wait_time_ms = exchange->hold_ms = UINT32_MAX;
	exchange->attempts = exchange->redirect_count = exchange->login_by = UINT8_MAX;
	exchange->login_had_token = exchange->login_is_renewed = true;
	exchange->answer_scanned = SIZE_MAX;
	exchange->changes.rule = some;
	exchange->changes.hidden_classes = 255;
	exchange->link_is_reusable = exchange->answer_closes = exchange->came_by_url = true;
	exchange->download_is_refused = exchange->answer_is_chunked = true;
	exchange->ends_poll = POLL_REGROUPED;
	exchange->refusal_http_status = exchange->refusal_eas_status = UINT16_MAX;
	exchange->retry_after_s = UINT32_MAX;
	memset(exchange->reason, 'r', sizeof(exchange->reason) - 1);
	exchange->status = exchange->endpoint_status = exchange->own_eas_status = UINT32_MAX;
	exchange->bytes_in = exchange->bytes_out = UINT64_MAX;
	exchange->answered_us = UINT64_MAX;
	exchange->login_us = UINT32_MAX;
	exchange->request_facts->adds = UINT32_MAX;
	exchange->request_facts->largest_attachment = UINT64_MAX;
	exchange->request_facts->unknown_tags = 1;
	exchange->request_facts->structure_text = "nothing";
}

/* Where it is not the same it must not be needed any more. */
static void forget(struct exchange *exchange)
{
	exchange->request_facts = NULL;
	/* All of it only to be judged or sent, or sent again. */
	exchange->query = NULL;
	exchange->fields_len = 0;
	exchange->content_length = 0;
	memset(&exchange->body, 0, sizeof(exchange->body));
	memset(&exchange->spool, 0, sizeof(exchange->spool));
	exchange->is_drowsy = false;
	memset(&exchange->drowsy_link, 0, sizeof(exchange->drowsy_link));
	memset(&exchange->device_link, 0, sizeof(exchange->device_link));
}

static void test_nothing_of_an_exchange_is_lost_in_sleep(void)
{
	static uint8_t facts[EAS_BODY_PACKED_MAX], again[EAS_BODY_PACKED_MAX];
	struct exchange before, after, *exchange;
	struct phone phone;
	size_t facts_len;

	begin(&phone, "alice2@a.test");
	exchange = wake(&phone);
	fill(exchange);
	memcpy(&before, exchange, sizeof(before));
	facts_len = eas_body_pack(exchange->request_facts, facts);
	exchange_sleep_all(world.worker);
	CU_ASSERT_PTR_NULL(phone.session->exchange);
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	exchange = wake(&phone);
	memcpy(&after, exchange, sizeof(after));
	CU_ASSERT_EQUAL(eas_body_pack(exchange->request_facts, again), facts_len);
	CU_ASSERT_EQUAL(memcmp(facts, again, facts_len), 0);
	CU_ASSERT_STRING_EQUAL(eas_body_collection_id(exchange->request_facts, 0), "1");
	forget(&before);
	forget(&after);
	for (size_t i = 0; i < sizeof(before); i++)
		if (((uint8_t *)&before)[i] != ((uint8_t *)&after)[i]) {
			fprintf(stderr, "byte %zu of the exchange\n", i);
			CU_FAIL("a byte was lost");
		}
	exchange->policy.decision.note_count = 0;
	exchange->link_is_reusable = false;
	end(&phone);
}

static void test_an_answer_wakes_it(void)
{
	struct phone phone;

	begin(&phone, "alice3@a.test");
	/* One that is no answer yet wakes it for a moment. */
	say_to_endpoint("HTTP/1.1 102 Processing\r\n\r\n");
	world_run();
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	say_to_endpoint("HTTP/1.1 200 OK\r\nContent-Le");
	world_run();
	CU_ASSERT_PTR_NULL(phone.session->sleeper);
	CU_ASSERT_PTR_NOT_NULL(phone.session->exchange);
	say_to_endpoint("ngth: 0\r\n\r\n");
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_PTR_NULL(phone.session->exchange);
	/* And again on the same connections. */
	phone_say(&phone, "Ping", ping, sizeof(ping));
	world_run();
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	end(&phone);
}

static void test_an_endpoint_that_hangs_up_wakes_it(void)
{
	struct phone phone;

	begin(&phone, "alice4@a.test");
	shutdown(world.connections[world.connection_count - 1].fd, SHUT_RDWR);
	CU_ASSERT_EQUAL(phone_hear(&phone), 502);
	end(&phone);
}

static void test_a_newer_ping_of_the_device_wakes_it(void)
{
	struct phone old, new;

	begin(&old, "alice5@a.test");
	phone_connect(&new, "alice5@a.test");
	phone_say(&new, "Ping", ping, sizeof(ping));
	CU_ASSERT_EQUAL(phone_hear(&old), 200);
	CU_ASSERT_PTR_NOT_NULL(new.session->sleeper);
	CU_ASSERT_EQUAL(world.worker->counters->polls_superseded, 1);
	phone_end(&old);
	end(&new);
}

static void test_it_is_told_to_end_without_waking(void)
{
	struct phone phone;

	begin(&phone, "alice6@a.test");
	CU_ASSERT_TRUE(session_end_poll(phone.session, 1, POLL_DRAINS));
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	CU_ASSERT_EQUAL(wake(&phone)->ends_poll, POLL_DRAINS);
	world_run();
	exchange_timed_out(wake(&phone));
	CU_ASSERT_EQUAL(phone_hear(&phone), 200);
	CU_ASSERT_FALSE(session_end_poll(phone.session, 1, POLL_DRAINS));
	end(&phone);
}

static void test_a_look_at_its_device_does_not_wake_it(void)
{
	struct phone phone;
	struct device_entry *device;

	begin(&phone, "alice7@a.test");
	device = device_table_find(world.worker->devices, "alice7@a.test", "d1");
	WORLD_MUST(device != NULL);
	device->is_known = true;
	memcpy(device->leaf_sha256, phone.credential->accepted->leaf_sha256, 32);
	phone.credential->accepted->not_after = INT64_C(4102444800);
	CU_ASSERT_FALSE(session_recheck(phone.session));
	CU_ASSERT_PTR_NOT_NULL(phone.session->sleeper);
	CU_ASSERT_PTR_NULL(phone.session->exchange);
	end(&phone);
}

static void test_a_phone_that_leaves_ends_it(void)
{
	struct phone phone;

	begin(&phone, "alice8@a.test");
	end(&phone);
}

static void test_where_memory_runs_out_it_ends_as_any_other(void)
{
	uint64_t refusals = world.worker->counters->refusals[REFUSAL_INTERNAL];

	for (unsigned int failing = 0; failing < 2; failing++) {
		struct phone phone;

		begin(&phone, "alice9@a.test");
		allocations_left = failing;
		CU_ASSERT_PTR_NULL(exchange_wake(phone.session));
		allocations_left = UINT32_MAX;
		CU_ASSERT_EQUAL(phone.session->state, SESSION_CLOSED);
		CU_ASSERT_PTR_NULL(phone.session->sleeper);
		CU_ASSERT_EQUAL(
			world.worker->counters->refusals[REFUSAL_INTERNAL], refusals + failing + 1);
		end(&phone);
	}
}

static void test_where_memory_runs_out_it_stays_awake(void)
{
	struct phone phone;

	begin(&phone, "alice10@a.test");
	exchange_wake(phone.session);
	allocations_left = 0;
	exchange_sleep_all(world.worker);
	allocations_left = UINT32_MAX;
	CU_ASSERT_PTR_NOT_NULL(phone.session->exchange);
	CU_ASSERT_PTR_NULL(phone.session->sleeper);
	end(&phone);
}

static const struct check checks[] = {
	{"a Ping sleeps in few bytes", test_a_ping_sleeps_in_few_bytes},
	{"what every phone has stays small", test_what_every_phone_has_stays_small},
	{"nothing of an exchange is lost in sleep", test_nothing_of_an_exchange_is_lost_in_sleep},
	{"an answer wakes it", test_an_answer_wakes_it},
	{"an endpoint that hangs up wakes it", test_an_endpoint_that_hangs_up_wakes_it},
	{"a newer Ping of the device wakes it", test_a_newer_ping_of_the_device_wakes_it},
	{"it is told to end without waking", test_it_is_told_to_end_without_waking},
	{"a look at its device does not wake it", test_a_look_at_its_device_does_not_wake_it},
	{"a phone that leaves ends it", test_a_phone_that_leaves_ends_it},
	{"where memory runs out it ends as any other",
		test_where_memory_runs_out_it_ends_as_any_other},
	{"where memory runs out it stays awake", test_where_memory_runs_out_it_stays_awake},
};

int main(void)
{
	int status;

	world_begin();
	status = check_run("proxy/exchange_sleep", checks, sizeof(checks) / sizeof(checks[0]));
	world_end();
	return status;
}
