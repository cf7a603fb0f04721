#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/message.h"

struct channel {
	int a, b;
};

static struct channel channel_open(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	return (struct channel){pair[0], pair[1]};
}

static void channel_close(struct channel channel)
{
	close(channel.a);
	close(channel.b);
}

static size_t count_open_fds(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

/* Sends size bytes as they are, with fd_count times /dev/null beside them. */
static void send_raw(int fd, const void *data, size_t size, size_t fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[8];

	for (size_t i = 0; i < fd_count; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd_count > 0) {
		struct cmsghdr *header;

		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		header = CMSG_FIRSTHDR(&packet);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
	}
	CU_ASSERT_EQUAL(sendmsg(fd, &packet, 0), (ssize_t)size);
	for (size_t i = 0; i < fd_count; i++)
		close(fds[i]);
}

static void expect_refused(struct channel channel)
{
	struct message message;
	int fd = 99;

	errno = 0;
	CU_ASSERT_EQUAL(message_receive(channel.b, &message, &fd), -1);
	CU_ASSERT_EQUAL(errno, EBADMSG);
	CU_ASSERT_EQUAL(fd, -1);
	CU_ASSERT_EQUAL(message.type, 0);
}

static void test_fields_arrive(void)
{
	struct channel channel = channel_open();
	struct message sent = {.type = MESSAGE_MAILBOX_ANSWER,
		.u.mailbox_answer = {.id = UINT64_C(0x1122334455667788),
			.refusal = REFUSAL_NAME_AMBIGUOUS,
			.mailbox = "alice@contoso.test"}};
	struct message got;
	int fd;

	CU_ASSERT_EQUAL(message_send(channel.a, &sent, -1), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &fd), 1);
	CU_ASSERT_EQUAL(fd, -1);
	CU_ASSERT_EQUAL(got.type, MESSAGE_MAILBOX_ANSWER);
	CU_ASSERT_EQUAL(got.u.mailbox_answer.id, UINT64_C(0x1122334455667788));
	CU_ASSERT_EQUAL(got.u.mailbox_answer.refusal, REFUSAL_NAME_AMBIGUOUS);
	CU_ASSERT_STRING_EQUAL(got.u.mailbox_answer.mailbox, "alice@contoso.test");
	channel_close(channel);
}

static void test_descriptor_arrives(void)
{
	struct channel channel = channel_open();
	struct message sent = {.type = MESSAGE_INDEX, .u.index = {.authority = 3}};
	struct message got;
	struct stat here, there;
	int fd, file = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(message_send(channel.a, &sent, file), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &fd), 1);
	CU_ASSERT_EQUAL(got.u.index.authority, 3);
	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	CU_ASSERT_NOT_EQUAL(fd, file);
	CU_ASSERT_EQUAL(fstat(file, &here), 0);
	CU_ASSERT_EQUAL(fstat(fd, &there), 0);
	CU_ASSERT_EQUAL(here.st_rdev, there.st_rdev);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	close(file);
	channel_close(channel);
}

static void test_sender_refuses_wrong_use_of_descriptors(void)
{
	struct channel channel = channel_open();
	struct message ready = {.type = MESSAGE_READY}, peer = {.type = MESSAGE_PEER};
	struct message unknown = {.type = 4711};

	CU_ASSERT_EQUAL(message_send(channel.a, &ready, 0), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(message_send(channel.a, &peer, -1), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(message_send(channel.a, &unknown, -1), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	channel_close(channel);
}

static void test_of_bytes_at_the_end_only_those_in_use_are_sent(void)
{
	static const size_t head = offsetof(struct message, u.login_answer.secret);
	struct channel channel = channel_open();
	struct message message = {
		.type = MESSAGE_LOGIN_ANSWER, .u.login_answer = {.id = 7, .secret_len = 3}};
	struct message taken;
	char raw[sizeof(message)];
	int fd;

	memcpy(message.u.login_answer.secret, "abcd", 4);
	CU_ASSERT_EQUAL(message_size(&message), head + 3);
	CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), 0);
	CU_ASSERT_EQUAL(recv(channel.b, raw, sizeof(raw), MSG_PEEK), (ssize_t)head + 3);
	CU_ASSERT_EQUAL(message_receive(channel.b, &taken, &fd), 1);
	CU_ASSERT_EQUAL(taken.u.login_answer.id, 7);
	CU_ASSERT_EQUAL(memcmp(taken.u.login_answer.secret, "abc\0", 4), 0);
	message.u.login_answer.secret_len = LOGIN_SECRET_MAX;
	CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &taken, &fd), 1);
	message.u.login_answer.secret_len = LOGIN_SECRET_MAX + 1;
	CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	/* A number of bytes that is not that of the packet. */
	send_raw(channel.a, &message, sizeof(message), 0);
	expect_refused(channel);
	message.u.login_answer.secret_len = 4;
	send_raw(channel.a, &message, head + 3, 0);
	expect_refused(channel);
	send_raw(channel.a, &message, head + 5, 0);
	expect_refused(channel);
	send_raw(channel.a, &message, head - 1, 0);
	expect_refused(channel);
	channel_close(channel);
}

static void test_wrong_sizes_are_refused(void)
{
	static const size_t bare = offsetof(struct message, u);
	struct channel channel = channel_open();
	struct message message = {.type = MESSAGE_DRAIN};
	char large[sizeof(struct message) + 100] = {0};

	send_raw(channel.a, &message, 1, 0);
	expect_refused(channel);
	send_raw(channel.a, &message, bare, 0);
	expect_refused(channel);
	send_raw(channel.a, &message, bare + sizeof(message.u.drain) + 1, 0);
	expect_refused(channel);
	send_raw(channel.a, &message, sizeof(message), 0);
	expect_refused(channel);
	memcpy(large, &message, sizeof(message.type));
	send_raw(channel.a, large, sizeof(large), 0);
	expect_refused(channel);
	/* What comes after is not disturbed by it. */
	CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &message, &(int){0}), 1);
	channel_close(channel);
}

static void test_unknown_types_are_refused(void)
{
	static const uint32_t types[] = {0, 4711, UINT32_MAX};
	struct channel channel = channel_open();

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct message message = {.type = types[i]};

		send_raw(channel.a, &message, offsetof(struct message, u), 0);
		expect_refused(channel);
	}
	channel_close(channel);
}

static void test_unwanted_descriptors_are_closed(void)
{
	struct channel channel = channel_open();
	struct message ready = {.type = MESSAGE_READY}, log = {.type = MESSAGE_LOG};
	size_t before = count_open_fds();

	for (size_t fds = 1; fds <= 8; fds++) {
		send_raw(channel.a, &ready, offsetof(struct message, u), fds);
		expect_refused(channel);
	}
	for (size_t fds = 2; fds <= 8; fds++) {
		send_raw(channel.a, &log, offsetof(struct message, u), fds);
		expect_refused(channel);
	}
	send_raw(channel.a, &log, offsetof(struct message, u), 0); /* needs one */
	expect_refused(channel);
	CU_ASSERT_EQUAL(count_open_fds(), before);
	channel_close(channel);
}

static void test_strings_are_ended_and_enums_checked(void)
{
	static const size_t size =
		offsetof(struct message, u) + sizeof(((struct message *)0)->u.mailbox_query);
	struct channel channel = channel_open();
	struct message sent = {.type = MESSAGE_MAILBOX_QUERY}, got;
	struct identity_names *names = &sent.u.mailbox_query.names;
	int fd;

	identity_names_add(names, IDENTITY_RFC822_NAME, span_of_string("a@b.c"));
	send_raw(channel.a, &sent, size, 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &fd), 1);
	CU_ASSERT_STRING_EQUAL(identity_names_text(&got.u.mailbox_query.names, 0), "a@b.c");

	names->count = IDENTITY_COUNT_MAX + 1;
	send_raw(channel.a, &sent, size, 0);
	expect_refused(channel);

	names->count = 1;
	names->names[0].kind = 77;
	send_raw(channel.a, &sent, size, 0);
	expect_refused(channel);

	names->names[0].kind = IDENTITY_RFC822_NAME;
	names->names[0].at = names->used;
	send_raw(channel.a, &sent, size, 0);
	expect_refused(channel);

	names->names[0].at = 0;
	names->text[names->used - 1] = 'd';
	send_raw(channel.a, &sent, size, 0);
	expect_refused(channel);

	sent = (struct message){.type = MESSAGE_MAILBOX_ANSWER};
	sent.u.mailbox_answer.refusal = REFUSAL_COUNT;
	send_raw(channel.a, &sent, offsetof(struct message, u) + sizeof(sent.u.mailbox_answer), 0);
	expect_refused(channel);
	channel_close(channel);
}

static void test_a_superseded_poll_is_checked(void)
{
	static const size_t size =
		offsetof(struct message, u) + sizeof(((struct message *)0)->u.poll_superseded);
	struct channel channel = channel_open();
	struct message sent = {
		.type = MESSAGE_POLL_SUPERSEDED, .u.poll_superseded = {.command = EAS_PING}};
	struct message got;
	int fd;

	memset(sent.u.poll_superseded.device_id, 'd', sizeof(sent.u.poll_superseded.device_id));
	sent.u.poll_superseded.collections.count = GOVERNOR_COLLECTIONS;
	send_raw(channel.a, &sent, size, 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &fd), 1);
	CU_ASSERT_EQUAL(strlen(got.u.poll_superseded.device_id), EAS_DEVICE_ID_MAX);

	sent.u.poll_superseded.collections.count = GOVERNOR_COLLECTIONS + 1;
	send_raw(channel.a, &sent, size, 0);
	expect_refused(channel);

	sent.u.poll_superseded.collections.count = 0;
	sent.u.poll_superseded.command = EAS_SEARCH;
	send_raw(channel.a, &sent, size, 0);
	expect_refused(channel);
	channel_close(channel);
}

static void test_nothing_blocks(void)
{
	struct channel channel = channel_open(); /* descriptors that would block */
	struct message message = {.type = MESSAGE_RELOADED};
	int fd, result;

	CU_ASSERT_EQUAL(message_receive(channel.b, &message, &fd), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	message.type = MESSAGE_RELOADED;
	do
		result = message_send(channel.a, &message, -1);
	while (result == 0);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	channel_close(channel);
}

static void test_end_of_channel_is_told(void)
{
	struct channel channel = channel_open();
	struct message message = {.type = MESSAGE_READY};
	int fd;

	close(channel.a);
	CU_ASSERT_EQUAL(message_receive(channel.b, &message, &fd), 0);
	message.type = MESSAGE_READY;
	CU_ASSERT_EQUAL(message_send(channel.b, &message, -1), -1);
	CU_ASSERT_EQUAL(errno, EPIPE);
	close(channel.b);
}

/* Of a child that has been taken over. */
static void test_pieces_and_records_beyond_their_bounds_are_refused(void)
{
	static const struct {
		uint32_t total, offset, len;
		int result;
	} pieces[] = {{10, 0, 10, 1}, {MESSAGE_TRACED_BYTES + 1, 1, MESSAGE_TRACED_BYTES, 1},
		{10, 1, 10, -1}, {10, 10, 1, -1}, {10, UINT32_MAX, 1, -1}, {10, 0, 0, -1}};
	struct channel channel = channel_open();
	struct message message = {.type = MESSAGE_TRACED}, got;
	int passed;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		message.u.traced.total = pieces[i].total;
		message.u.traced.offset = pieces[i].offset;
		message.u.traced.len = pieces[i].len;
		CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), 0);
		CU_ASSERT_EQUAL(message_receive(channel.b, &got, &passed), pieces[i].result);
	}
	message = (struct message){.type = MESSAGE_HISTORY};
	message.u.history.count = MESSAGE_HISTORY_RECORDS + 1;
	CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &passed), -1);
	message.u.history.count = 2;
	message.u.history.records[1].refusal = REFUSAL_COUNT;
	CU_ASSERT_EQUAL(message_send(channel.a, &message, -1), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &passed), -1);
	channel_close(channel);
}

static void take_word_of_device(struct channel channel, struct message *message, int expected)
{
	struct message got;
	int passed;

	CU_ASSERT_EQUAL(message_send(channel.a, message, -1), 0);
	CU_ASSERT_EQUAL(message_receive(channel.b, &got, &passed), expected);
	if (expected != 1)
		return;
	if (got.type == MESSAGE_DEVICE_ORDER)
		CU_ASSERT_STRING_EQUAL(got.u.device_order.reason, "rule ?");
}

/* A worker speaks for rules: it cannot allow anything, and what it names can be shown and forgotten. */
static void test_orders_and_wipes_name_what_there_can_be(void)
{
	static const enum device_state others[] = {
		DEVICE_ALLOWED, DEVICE_BLOCKED, DEVICE_WIPE_ALL, DEVICE_WIPED, DEVICE_WIPE_FAILED};
	static const char *const bad_ids[] = {"", "Upper", "a b", "a\n", "\xff"};
	struct channel channel = channel_open();
	struct message order = {.type = MESSAGE_DEVICE_ORDER,
		.u.device_order = {.state = DEVICE_QUARANTINED,
			.mailbox = "bob@contoso.test",
			.device_id = "d1",
			.reason = "rule \xff"}};
	struct message wiped = {.type = MESSAGE_DEVICE_WIPED,
		.u.device_wiped = {
			.kind = DEVICE_WIPE_ALL, .mailbox = "bob@contoso.test", .device_id = "d1"}};

	take_word_of_device(channel, &order, 1);
	take_word_of_device(channel, &wiped, 1);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		order.u.device_order.state = others[i];
		take_word_of_device(channel, &order, -1);
	}
	order.u.device_order.state = DEVICE_WIPE_ACCOUNT;
	for (size_t i = 0; i < sizeof(bad_ids) / sizeof(bad_ids[0]); i++) {
		strcpy(order.u.device_order.device_id, bad_ids[i]);
		strcpy(wiped.u.device_wiped.device_id, bad_ids[i]);
		take_word_of_device(channel, &order, -1);
		take_word_of_device(channel, &wiped, -1);
	}
	strcpy(order.u.device_order.device_id, "d1");
	take_word_of_device(channel, &order, 1);
	order.u.device_order.mailbox[0] = '\0';
	take_word_of_device(channel, &order, -1);
	channel_close(channel);
}

static void expect_heard(struct channel channel, const struct message *sent, bool is_heard)
{
	struct message message;
	int fd;

	CU_ASSERT_EQUAL(message_send(channel.a, sent, -1), 0);
	if (!is_heard) {
		expect_refused(channel);
		return;
	}
	CU_ASSERT_EQUAL(message_receive(channel.b, &message, &fd), 1);
}

static void test_logins_are_checked(void)
{
	struct channel channel = channel_open();
	struct message query = {.type = MESSAGE_LOGIN_QUERY};
	struct message proof = {.type = MESSAGE_LOGIN_PROOF};
	struct message answer = {.type = MESSAGE_LOGIN_ANSWER};
	struct message done = {.type = MESSAGE_LOGIN_DONE};

	query.u.login_query.kind = LOGIN_KIND_COUNT - 1;
	expect_heard(channel, &query, true);
	query.u.login_query.kind = LOGIN_KIND_COUNT;
	expect_heard(channel, &query, false);
	proof.u.login_proof.len = LOGIN_PROOF_MAX;
	expect_heard(channel, &proof, true);
	answer.u.login_answer.secret_len = LOGIN_SECRET_MAX;
	expect_heard(channel, &answer, true);
	done.u.login_done.secret_len = LOGIN_SECRET_MAX;
	done.u.login_done.valid_until = INT64_MAX;
	expect_heard(channel, &done, true);
	done.u.login_done.secret_len = 0;
	done.u.login_done.status = LOGIN_STATUS_COUNT;
	expect_heard(channel, &done, false);
	/* Times are reckoned with. */
	done.u.login_done.status = 0;
	done.u.login_done.valid_until = INT64_MIN;
	expect_heard(channel, &done, false);
	channel_close(channel);
}

int main(void)
{
	static const struct check checks[] = {
		{"pieces and records beyond their bounds are refused",
			test_pieces_and_records_beyond_their_bounds_are_refused},
		{"the fields of a message arrive", test_fields_arrive},
		{"a descriptor arrives beside its message", test_descriptor_arrives},
		{"the sender refuses a descriptor too many or too few",
			test_sender_refuses_wrong_use_of_descriptors},
		{"of bytes at the end only those in use are sent",
			test_of_bytes_at_the_end_only_those_in_use_are_sent},
		{"a message of another size than its type's is refused",
			test_wrong_sizes_are_refused},
		{"an unknown type is refused", test_unknown_types_are_refused},
		{"unwanted descriptors are refused and closed",
			test_unwanted_descriptors_are_closed},
		{"strings are ended, counts and enums checked",
			test_strings_are_ended_and_enums_checked},
		{"orders and wipes name what there can be",
			test_orders_and_wipes_name_what_there_can_be},
		{"logins are checked", test_logins_are_checked},
		{"a superseded poll is checked", test_a_superseded_poll_is_checked},
		{"neither sending nor receiving blocks", test_nothing_blocks},
		{"the end of a channel is told to both sides", test_end_of_channel_is_told},
	};

	return check_run("proxy/message", checks, sizeof(checks) / sizeof(checks[0]));
}
