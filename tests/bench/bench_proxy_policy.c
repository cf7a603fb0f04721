/*
 * What rules cost: bench_proxy_policy [RULES [ROUNDS]] judges requests of a phone under so many rules
 * (without: 0, 50 and 500), each of which looks at something and none of which holds, so that all are
 * gone through. Prints the time of a request. Instructions are counted by
 *
 *	valgrind --tool=callgrind --toggle-collect=policy_evaluate bench_proxy_policy 50 1000
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proxy/policy.h"
#include "tests/unit/policy_fixture.h"

enum { ROUNDS = 200000 };

/* As an operator would write them; %d makes each another. */
static const char *const kinds[] = {
	"mailbox=user%d@example.com; action=deny",
	"domain=branch%d.example.com; action=deny",
	"mailbox=temp%d-*@example.com; action=deny",
	"device=appl%d; action=deny",
	"device-type=SamsungDevice%d; action=quarantine",
	"user-agent=Outlook-iOS-Android/1.%d*; action=deny",
	"user-agent=*Android/%d*; protocol=<16.1; action=deny",
	"source=10.%d.0.0/16; action=deny",
	"group=group%d; action=deny",
	"time=sat-sun 0%d:00-09:00; action=deny",
	"command=Search|Find; mailbox=user%d@*; action=deny",
	"mailbox=a%d@example.com|b@x.example|c@x.example|d@x.example|e@x.example; action=deny",
	"issuer=Issuing CA %d; action=deny",
	"model=iPhone%d*; does=send; action=deny",
	"protocol=<14.1; os=iOS %d*; action=deny",
	"class=email; command=Sync; device-type=iPad%d; action=deny",
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct policy *make(struct config *config, int count)
{
	for (int i = 0; i < count; i++) {
		char text[300];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), kinds[i % KINDS], i % 9);
#pragma GCC diagnostic pop
		policy_fixture_rule(config, text);
	}
	return policy_new(config, NULL, NULL);
}

static void print_fault(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static int run(int count, int rounds)
{
	static const enum eas_command commands[] = {
		EAS_SYNC, EAS_PING, EAS_FOLDER_SYNC, EAS_SYNC, EAS_SEND_MAIL};
	struct config *config = policy_fixture_new("block-document-library");
	struct policy *policy = make(config, count);
	struct policy_facts facts = {
		.mailbox = "anna.miller@example.com",
		.issuer = "CN=Phones CA 7,OU=IT,O=Example,C=DE",
		.device_id = "applf17h3k29gh55",
		.device_type = "iPhone",
		.model = "iPad12C1",
		.os = "iPadOS 18.1",
		.user_agent = span_of_string("Apple-iPhone15C2/2201.70"),
		.version = 161,
		.now = 1795694400, /* a Thursday */
		.has_body = true,
		.classes = 1 << 1,
	};
	double begun;
	int status = 0;

	if (policy == NULL) {
		policy_config_check(config, print_fault, NULL);
		config_free(config);
		return 1;
	}
	begun = seconds();
	for (int i = 0; i < rounds; i++) {
		struct policy_decision decision = {0};

		facts.command = commands[i % 5];
		if (policy_evaluate(policy, &facts, false, &decision) == POLICY_NEEDS_BODY)
			policy_evaluate(policy, &facts, true, &decision);
		if (decision.rule != NULL) {
			fprintf(stderr, "%s holds\n", decision.rule);
			status = 1;
			break;
		}
	}
	printf("%d rules: %.0f ns a request\n", count, (seconds() - begun) / rounds * 1e9);
	policy_free(policy);
	config_free(config);
	return status;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;

	if (argc > 1)
		return run(atoi(argv[1]), rounds);
	return run(0, rounds) | run(50, rounds) | run(500, rounds);
}
