#include "proxy/message.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum passed_fd { FD_NEVER, FD_MAYBE, FD_ALWAYS };

#define SIZE_BARE offsetof(struct message, u)
#define ROW_BARE(passed_fd)                                                                        \
	{                                                                                          \
		SIZE_BARE, passed_fd, 0, 0                                                         \
	}
#define ROW_WITH(member, passed_fd)                                                                \
	{                                                                                          \
		SIZE_BARE + sizeof(((struct message *)0)->u.member), passed_fd, 0, 0               \
	}
/* One that ends in bytes, of which only those that are used are sent. */
#define ROW_UP_TO(member, len, bytes, passed_fd)                                                   \
	{                                                                                          \
		offsetof(struct message, u.member.bytes), passed_fd,                               \
			offsetof(struct message, u.member.len),                                    \
			sizeof(((struct message *)0)->u.member.bytes)                              \
	}

/* Every type's exact size on the wire, and whether a descriptor goes with it. */
static const struct message_row {
	size_t size;
	enum passed_fd passed_fd;
	/* Where the message has the number of bytes that follow (uint32_t), and the most there may be; 0:
	 * none do. */
	size_t len_at, bytes_max;
} rows[] = {
	[MESSAGE_READY] = ROW_BARE(FD_NEVER),
	[MESSAGE_INDEX] = ROW_WITH(index, FD_MAYBE),
	[MESSAGE_CRL] = ROW_WITH(crl, FD_NEVER),
	[MESSAGE_RELOAD] = ROW_BARE(FD_NEVER),
	[MESSAGE_RELOADED] = ROW_WITH(text, FD_NEVER),
	[MESSAGE_REFRESH] = ROW_WITH(refresh, FD_NEVER),
	[MESSAGE_PEER] = ROW_WITH(peer, FD_ALWAYS),
	[MESSAGE_LOG] = ROW_BARE(FD_ALWAYS),
	[MESSAGE_START] = ROW_BARE(FD_NEVER),
	[MESSAGE_DRAIN] = ROW_WITH(drain, FD_NEVER),
	[MESSAGE_MAILBOX_QUERY] = ROW_WITH(mailbox_query, FD_NEVER),
	[MESSAGE_MAILBOX_ANSWER] = ROW_WITH(mailbox_answer, FD_NEVER),
	[MESSAGE_USERS] = ROW_BARE(FD_ALWAYS),
	[MESSAGE_TRUST] = ROW_WITH(trust, FD_NEVER),
	[MESSAGE_DIRECTORY_CHANGED] = ROW_BARE(FD_NEVER),
	[MESSAGE_HELPER] = ROW_WITH(helper, FD_MAYBE),
	[MESSAGE_DIRECTORY_QUESTION] = ROW_WITH(directory_question, FD_NEVER),
	[MESSAGE_DIRECTORY_ANSWER] = ROW_WITH(directory_answer, FD_NEVER),
	[MESSAGE_SEEN] = ROW_UP_TO(seen, chain_len, chain, FD_NEVER),
	[MESSAGE_OCSP_QUERY] = ROW_WITH(ocsp_query, FD_NEVER),
	[MESSAGE_OCSP_ANSWER] = ROW_WITH(ocsp_answer, FD_NEVER),
	[MESSAGE_DEVICES] = ROW_BARE(FD_ALWAYS),
	[MESSAGE_DEVICE_QUERY] = ROW_WITH(device_query, FD_NEVER),
	[MESSAGE_DEVICE_ANSWER] = ROW_WITH(device_answer, FD_NEVER),
	[MESSAGE_DEVICE_REPORT] = ROW_WITH(device_report, FD_NEVER),
	[MESSAGE_DEVICE_NOTED] = ROW_WITH(device_noted, FD_NEVER),
	[MESSAGE_DEVICE_ORDER] = ROW_WITH(device_order, FD_NEVER),
	[MESSAGE_DEVICE_WIPED] = ROW_WITH(device_wiped, FD_NEVER),
	[MESSAGE_HISTORY_QUERY] = ROW_WITH(history_query, FD_NEVER),
	[MESSAGE_HISTORY] = ROW_WITH(history, FD_NEVER),
	[MESSAGE_TRACE] = ROW_WITH(trace, FD_NEVER),
	[MESSAGE_TRACED] = ROW_UP_TO(traced, len, bytes, FD_NEVER),
	[MESSAGE_TRACE_MORE] = ROW_BARE(FD_NEVER),
	[MESSAGE_POLL_SUPERSEDED] = ROW_WITH(poll_superseded, FD_NEVER),
	[MESSAGE_LOGIN_QUERY] = ROW_WITH(login_query, FD_NEVER),
	[MESSAGE_LOGIN_ANSWER] = ROW_UP_TO(login_answer, secret_len, secret, FD_NEVER),
	[MESSAGE_LOGIN_PROOF] = ROW_UP_TO(login_proof, len, token, FD_NEVER),
	[MESSAGE_LOGIN_PROVEN] = ROW_WITH(login_proven, FD_NEVER),
	[MESSAGE_LOGIN_FORGET] = ROW_WITH(login_forget, FD_NEVER),
	[MESSAGE_LOGIN_DROP] = ROW_WITH(login_drop, FD_NEVER),
	[MESSAGE_LOGIN_STATE] = ROW_WITH(login_state, FD_NEVER),
	[MESSAGE_LOGIN_JOB] = ROW_WITH(login_job, FD_NEVER),
	[MESSAGE_LOGIN_DONE] = ROW_UP_TO(login_done, secret_len, secret, FD_MAYBE),
	[MESSAGE_TICKET_PUT] = ROW_WITH(ticket, FD_ALWAYS),
	[MESSAGE_TICKET_DROP] = ROW_WITH(ticket, FD_NEVER),
	[MESSAGE_TOKEN_JOB] = ROW_WITH(ticket, FD_NEVER),
	[MESSAGE_UPSTREAM_TEST] = ROW_WITH(upstream_test, FD_NEVER),
	[MESSAGE_UPSTREAM_STEP] = ROW_WITH(upstream_step, FD_NEVER),
};

static const struct message_row *row_of(uint32_t type)
{
	if (type >= sizeof(rows) / sizeof(rows[0]) || rows[type].size == 0)
		return NULL;
	return &rows[type];
}

const char *role_name(enum role role)
{
	static const char *const names[ROLE_COUNT] = {
		[ROLE_SUPERVISOR] = "supervisor",
		[ROLE_WORKER] = "worker",
		[ROLE_REVOCATION] = "revocation",
		[ROLE_IDENTITY] = "identity",
		[ROLE_CONTROL] = "control",
	};

	return (unsigned int)role < ROLE_COUNT ? names[role] : "unknown";
}

/* Of the message, which has at least the row's size. 0: it has more bytes than there is room for. */
static size_t size_of(const struct message_row *row, const struct message *message)
{
	uint32_t len;

	if (row->bytes_max == 0)
		return row->size;
	memcpy(&len, (const char *)message + row->len_at, sizeof(len));
	return len <= row->bytes_max ? row->size + len : 0;
}

int message_send(int fd, const struct message *message, int passed_fd)
{
	const struct message_row *row = row_of(message->type);
	union {
		struct cmsghdr header; /* for the alignment */
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)message};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	part.iov_len = row != NULL ? size_of(row, message) : 0;
	if (part.iov_len == 0 || (passed_fd == -1 && row->passed_fd == FD_ALWAYS) ||
		(passed_fd != -1 && row->passed_fd == FD_NEVER)) {
		errno = EINVAL;
		return -1;
	}
	if (passed_fd != -1) {
		struct cmsghdr *header;

		packet.msg_control = control.bytes;
		packet.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&packet);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed_fd, sizeof(int));
	}
	do
		sent = sendmsg(fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	return sent == (ssize_t)part.iov_len ? 0 : -1;
}

size_t message_size(const struct message *message)
{
	const struct message_row *row = row_of(message->type);

	return row != NULL ? size_of(row, message) : 0;
}

void message_wipe(struct message *message)
{
	size_t size = message_size(message);

	OPENSSL_cleanse(message, size > 0 ? size : sizeof(*message));
}

/* Takes the descriptors out of a received packet: the first is handed on, further ones (the
 * control buffer's padding has room for a second) are closed. Returns how many there were. */
static size_t take_fds(struct msghdr *packet, int *first)
{
	size_t count = 0;

	*first = -1;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(packet); h != NULL; h = CMSG_NXTHDR(packet, h)) {
		size_t here;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		here = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (count++ == 0)
				*first = fd;
			else
				close(fd);
		}
	}
	return count;
}

/* Size, type and descriptors as the table says. */
static bool is_sound(const struct message *message, size_t size, int flags, size_t fd_count)
{
	const struct message_row *row;

	if ((flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || size < SIZE_BARE)
		return false;
	row = row_of(message->type);
	if (row == NULL || size < row->size || size != size_of(row, message) || fd_count > 1)
		return false;
	return fd_count == 1 ? row->passed_fd != FD_NEVER : row->passed_fd != FD_ALWAYS;
}

/* No other value than these two may ever be read as a bool. */
static bool is_bool(const bool *value)
{
	return *(const unsigned char *)value <= 1;
}

static bool is_sound_index(const struct revocation_facts *facts)
{
	const struct revocation_scope *scope = &facts->scope;

	return is_bool(&facts->has_number) && is_bool(&facts->has_delta) &&
	       is_bool(&scope->only_user) && is_bool(&scope->only_ca) &&
	       is_bool(&scope->only_attributes) && is_bool(&scope->is_indirect) &&
	       scope->name_count <= REVOCATION_SCOPE_NAME_MAX;
}

static bool is_sound_history(struct message_history *history)
{
	history->mailbox[MAILBOX_MAX] = '\0';
	history->device_id[EAS_DEVICE_ID_MAX] = '\0';
	if (history->count > MESSAGE_HISTORY_RECORDS)
		return false;
	for (uint32_t i = 0; i < history->count; i++)
		if (history->records[i].refusal >= REFUSAL_COUNT ||
			history->records[i].command > EAS_NO_COMMAND)
			return false;
	return true;
}

static bool is_sound_piece(const struct message_traced *piece)
{
	return piece->len > 0 && piece->len <= MESSAGE_TRACED_BYTES && piece->len <= piece->total &&
	       piece->offset <= piece->total - piece->len;
}

static bool is_sound_grant(struct device_grant *grant)
{
	grant->model[DEVICE_TEXT_MAX] = '\0';
	grant->os[DEVICE_TEXT_MAX] = '\0';
	grant->friendly_name[DEVICE_TEXT_MAX] = '\0';
	return (unsigned int)grant->state < DEVICE_STATE_COUNT &&
	       (unsigned int)grant->wipe < DEVICE_STATE_COUNT && is_bool(&grant->is_known);
}

static bool is_sound_order(struct message_device_order *order)
{
	device_text_clean(order->reason, sizeof(order->reason));
	/* What a rule can order; the rest only an operator may. */
	return (order->state == DEVICE_QUARANTINED || order->state == DEVICE_WIPE_ACCOUNT) &&
	       device_names_end(order->mailbox, order->device_id);
}

static bool is_sound_wipe(struct message_device_wiped *wiped)
{
	device_text_clean(wiped->issuer, sizeof(wiped->issuer));
	return wiped->is_sent <= 1 && wiped->is_revoked <= 1 &&
	       (wiped->kind == DEVICE_WIPE_ACCOUNT || wiped->kind == DEVICE_WIPE_ALL) &&
	       device_names_end(wiped->mailbox, wiped->device_id);
}

static void end_fault(struct login_fault *fault)
{
	fault->text[LOGIN_TEXT_MAX] = '\0';
	fault->hint[LOGIN_TEXT_MAX] = '\0';
}

static bool is_sound_login_answer(struct message_login_answer *answer)
{
	answer->account[sizeof(answer->account) - 1] = '\0';
	end_fault(&answer->fault);
	return answer->refusal < REFUSAL_COUNT && answer->was_known <= 1 &&
	       answer->secret_len <= LOGIN_SECRET_MAX;
}

static bool is_sound_login_done(struct message_login_done *done)
{
	end_fault(&done->fault);
	return done->status < LOGIN_STATUS_COUNT && done->secret_len <= LOGIN_SECRET_MAX &&
	       done->valid_until >= 0;
}

static void end_subject(struct login_subject *subject)
{
	subject->mailbox[sizeof(subject->mailbox) - 1] = '\0';
	subject->account[sizeof(subject->account) - 1] = '\0';
	subject->realm[sizeof(subject->realm) - 1] = '\0';
	subject->upn[sizeof(subject->upn) - 1] = '\0';
	subject->sid[sizeof(subject->sid) - 1] = '\0';
}

/* The same of what logins are made of. */
static bool has_sound_login(struct message *message)
{
	switch (message->type) {
	case MESSAGE_LOGIN_QUERY:
		message->u.login_query.mailbox[MAILBOX_MAX] = '\0';
		message->u.login_query.service[LOGIN_SERVICE_MAX] = '\0';
		return message->u.login_query.kind < LOGIN_KIND_COUNT &&
		       message->u.login_query.is_fresh <= 1;
	case MESSAGE_LOGIN_ANSWER: return is_sound_login_answer(&message->u.login_answer);
	case MESSAGE_LOGIN_PROOF: return message->u.login_proof.len <= LOGIN_PROOF_MAX;
	case MESSAGE_LOGIN_PROVEN:
		message->u.login_proven.reason[LOGIN_TEXT_MAX] = '\0';
		return message->u.login_proven.is_proven <= 1;
	case MESSAGE_LOGIN_DROP: message->u.login_drop.mailbox[MAILBOX_MAX] = '\0'; return true;
	case MESSAGE_LOGIN_STATE:
		end_fault(&message->u.login_state.fault);
		return message->u.login_state.kind <= LOGIN_KIND_COUNT &&
		       message->u.login_state.is_down <= 1;
	case MESSAGE_LOGIN_JOB:
		end_subject(&message->u.login_job.subject);
		message->u.login_job.service[LOGIN_SERVICE_MAX] = '\0';
		return message->u.login_job.kind < LOGIN_KIND_COUNT;
	case MESSAGE_LOGIN_DONE: return is_sound_login_done(&message->u.login_done);
	case MESSAGE_UPSTREAM_TEST:
		message->u.upstream_test.mailbox[MAILBOX_MAX] = '\0';
		message->u.upstream_test.endpoint[sizeof(message->u.upstream_test.endpoint) - 1] =
			'\0';
		return true;
	case MESSAGE_UPSTREAM_STEP:
		message->u.upstream_step.step[sizeof(message->u.upstream_step.step) - 1] = '\0';
		message->u.upstream_step.text[sizeof(message->u.upstream_step.text) - 1] = '\0';
		message->u.upstream_step.hint[sizeof(message->u.upstream_step.hint) - 1] = '\0';
		return message->u.upstream_step.is_last <= 1 &&
		       message->u.upstream_step.is_good <= 1;
	default: return true;
	}
}

/* Ends every string and refuses counts and enums that no sender of ours writes. */
static bool has_sound_content(struct message *message)
{
	switch (message->type) {
	case MESSAGE_INDEX: return is_sound_index(&message->u.index.facts);
	case MESSAGE_CRL:
		message->u.crl.error[sizeof(message->u.crl.error) - 1] = '\0';
		return message->u.crl.is_delta <= 1 && message->u.crl.is_unchanged <= 1 &&
		       message->u.crl.form <= REVOCATION_FORM_PEM;
	case MESSAGE_RELOADED: message->u.text[sizeof(message->u.text) - 1] = '\0'; return true;
	case MESSAGE_PEER: return message->u.peer.role < ROLE_COUNT;
	case MESSAGE_MAILBOX_QUERY:
		return identity_names_are_sound(&message->u.mailbox_query.names);
	case MESSAGE_DIRECTORY_QUESTION:
		message->u.directory_question.value[DIRECTORY_VALUE_MAX] = '\0';
		return message->u.directory_question.kind < CONFIG_NAME_COUNT;
	case MESSAGE_DIRECTORY_ANSWER:
		message->u.directory_answer.mailbox[IDENTITY_ADDRESS_MAX] = '\0';
		message->u.directory_answer.entry[DIRECTORY_ENTRY_MAX] = '\0';
		message->u.directory_answer.users[DIRECTORY_USERS_MAX] = '\0';
		message->u.directory_answer.account[DIRECTORY_ACCOUNT_MAX] = '\0';
		message->u.directory_answer.upn[IDENTITY_ADDRESS_MAX] = '\0';
		message->u.directory_answer.realm[DIRECTORY_REALM_MAX] = '\0';
		message->u.directory_answer.sid[DIRECTORY_SID_MAX] = '\0';
		return message->u.directory_answer.status < DIRECTORY_STATUS_COUNT;
	case MESSAGE_SEEN:
		message->u.seen.mailbox[MAILBOX_MAX] = '\0';
		return message->u.seen.refusal < REFUSAL_COUNT &&
		       message->u.seen.chain_len <= SEEN_CHAIN_MAX;
	case MESSAGE_OCSP_QUERY: message->u.ocsp_query.url[OCSP_URL_MAX] = '\0'; return true;
	case MESSAGE_OCSP_ANSWER:
		return (unsigned int)message->u.ocsp_answer.result.status < OCSP_STATUS_COUNT;
	case MESSAGE_DEVICE_QUERY:
		return message->u.device_query.waits <= 1 &&
		       device_facts_clean(&message->u.device_query.facts);
	case MESSAGE_DEVICE_REPORT: return device_facts_clean(&message->u.device_report.facts);
	case MESSAGE_DEVICE_ANSWER:
		message->u.device_answer.mailbox[MAILBOX_MAX] = '\0';
		message->u.device_answer.device_id[EAS_DEVICE_ID_MAX] = '\0';
		return message->u.device_answer.refusal < REFUSAL_COUNT &&
		       is_sound_grant(&message->u.device_answer.grant);
	case MESSAGE_DEVICE_ORDER: return is_sound_order(&message->u.device_order);
	case MESSAGE_DEVICE_WIPED: return is_sound_wipe(&message->u.device_wiped);
	case MESSAGE_HISTORY_QUERY:
		message->u.history_query.mailbox[MAILBOX_MAX] = '\0';
		message->u.history_query.device_id[EAS_DEVICE_ID_MAX] = '\0';
		return true;
	case MESSAGE_HISTORY: return is_sound_history(&message->u.history);
	case MESSAGE_TRACE:
		message->u.trace.mailbox[MAILBOX_MAX] = '\0';
		message->u.trace.device_id[EAS_DEVICE_ID_MAX] = '\0';
		return true;
	case MESSAGE_TRACED: return is_sound_piece(&message->u.traced);
	case MESSAGE_POLL_SUPERSEDED:
		message->u.poll_superseded.mailbox[MAILBOX_MAX] = '\0';
		message->u.poll_superseded.device_id[EAS_DEVICE_ID_MAX] = '\0';
		return message->u.poll_superseded.collections.count <= GOVERNOR_COLLECTIONS &&
		       (message->u.poll_superseded.command == EAS_PING ||
			       message->u.poll_superseded.command == EAS_SYNC);
	case MESSAGE_MAILBOX_ANSWER:
		message->u.mailbox_answer.mailbox[MAILBOX_MAX] = '\0';
		message->u.mailbox_answer.users[DIRECTORY_USERS_MAX] = '\0';
		message->u.mailbox_answer.reason[sizeof(message->u.mailbox_answer.reason) - 1] =
			'\0';
		return message->u.mailbox_answer.refusal < REFUSAL_COUNT;
	default: return has_sound_login(message);
	}
}

int message_receive(int fd, struct message *message, int *passed_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr packet = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	size_t fd_count;
	ssize_t size;

	*passed_fd = -1;
	memset(message, 0, sizeof(*message));
	do
		size = recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (size == -1 && errno == EINTR);
	if (size <= 0)
		return (int)size;
	fd_count = take_fds(&packet, passed_fd);
	if (is_sound(message, (size_t)size, packet.msg_flags, fd_count) &&
		has_sound_content(message))
		return 1;
	if (*passed_fd != -1)
		close(*passed_fd);
	*passed_fd = -1;
	memset(message, 0, sizeof(*message));
	errno = EBADMSG;
	return -1;
}
