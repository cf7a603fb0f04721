#include "serve.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *kind;
	enum answer_manner manner;
	bool spoils_wbxml;
	unsigned int status;
} kinds[] = {
	{"flip", ANSWER_FLIP, false, 0},
	{"cut", ANSWER_CUT, false, 0},
	{"drop", ANSWER_DROP, false, 0},
	{"garbage", ANSWER_GARBAGE, false, 0},
	{"slow", ANSWER_SLOW, false, 0},
	{"hang", ANSWER_HANG, false, 0},
	{"chunked", ANSWER_CHUNKED, false, 0},
	{"until-close", ANSWER_UNTIL_CLOSE, false, 0},
	{"wbxml", ANSWER_LENGTH, true, 0},
	{"status", ANSWER_LENGTH, false, 500},
};

int fault_add(struct serve *serve, const char *kind, const struct fault *fault, struct error *err)
{
	size_t at = 0;

	while (at < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[at].kind, kind) != 0)
		at++;
	if (at == sizeof(kinds) / sizeof(kinds[0]))
		return error_set(err,
			"no fault %s: flip, cut, drop, garbage, slow, hang, chunked, "
			"until-close, wbxml or status",
			kind);
	for (size_t i = 0; i < SERVE_FAULTS_MAX; i++) {
		struct fault *place = &serve->faults[i];

		if (place->count > 0)
			continue;
		*place = *fault;
		place->manner = kinds[at].manner;
		place->spoils_wbxml = kinds[at].spoils_wbxml;
		if (kinds[at].status == 0)
			place->status = 0;
		else if (place->status == 0)
			place->status = kinds[at].status;
		return 0;
	}
	return error_set(err, "%d faults are waiting already", SERVE_FAULTS_MAX);
}

void fault_apply(
	struct serve *serve, const char *command, const char *mailbox, struct server_answer *answer)
{
	/* A header, a root, and then a code page that does not exist. */
	static const uint8_t malformed[] = {0x03, 0x01, 0x6A, 0x00, 0x45, 0x00, 0x63, 0x47};

	for (size_t i = 0; i < SERVE_FAULTS_MAX; i++) {
		struct fault *fault = &serve->faults[i];

		if (fault->count == 0 ||
			(fault->command[0] != '\0' && strcasecmp(fault->command, command) != 0) ||
			(fault->mailbox[0] != '\0' && strcasecmp(fault->mailbox, mailbox) != 0))
			continue;
		fault->count--;
		serve->stats.faults_given++;
		answer->manner = fault->manner;
		if (fault->spoils_wbxml) {
			answer->body = span_of(malformed, sizeof(malformed));
			answer->content_type = "application/vnd.ms-sync.wbxml";
		}
		if (fault->status != 0) {
			answer->status = fault->status;
			answer->body = span_of(NULL, 0);
			if (fault->status == 503)
				answer->fields[answer->field_count++] =
					(struct server_field){"Retry-After", "1"};
		}
		return;
	}
}
