/*
 * What logging in with kept tickets costs: bench_auth_ticket [TICKETS [TOKENS]] keeps the tickets of so many
 * users (without: 10,000), makes tokens from them in turn, and leaves logins open as a mail server that does not
 * answer for an hour would. Prints tokens a second, CPU for each, and memory for each ticket and each open
 * login. No KDC is needed: the tickets are home-made.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "auth/ticket_wallet.h"
#include "tests/unit/ticket_maker.h"

enum { TICKETS = 10000, TOKENS = 20000, HOUR = 3600 };

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)(info.uordblks + info.hblkhd);
}

static void fill(struct ticket_wallet *wallet, struct maker *maker, size_t tickets)
{
	int64_t now = time(NULL);
	double before = heap();

	for (size_t i = 0; i < tickets; i++) {
		struct ticket ticket;
		char user[64];

		snprintf(user, sizeof(user), "user%zu@CONTOSO.TEST", i);
		ticket = maker_ticket(maker, user, now, now + HOUR);
		maker_must(ticket_wallet_put(wallet, i, &ticket));
	}
	printf("%zu tickets kept: %.0f bytes each\n", ticket_wallet_count(wallet),
		(heap() - before) / (double)tickets);
}

static void make_tokens(struct ticket_wallet *wallet, size_t tickets, size_t tokens, bool is_left)
{
	double before = heap(), wall = seconds(CLOCK_MONOTONIC),
	       cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	struct ticket_token token;
	struct login_fault fault;

	for (size_t i = 0; i < tokens; i++) {
		if (ticket_wallet_token(wallet, i * 7919 % tickets, time(NULL), &token, &fault) !=
			TICKET_TOKEN_MADE) {
			fprintf(stderr, "%s\n", fault.text);
			exit(1);
		}
		if (!is_left)
			ticket_wallet_forget(wallet, token.context);
	}
	wall = seconds(CLOCK_MONOTONIC) - wall;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%zu tokens of %zu bytes: %.0f/s, %.1f us of CPU each\n", tokens, token.len,
		(double)tokens / wall, cpu / (double)tokens * 1e6);
	if (is_left)
		printf("%zu logins open: %.0f bytes each\n", ticket_wallet_open_count(wallet),
			(heap() - before) / (double)ticket_wallet_open_count(wallet));
}

int main(int argc, char **argv)
{
	size_t tickets = argc > 1 ? strtoul(argv[1], NULL, 10) : TICKETS;
	size_t tokens = argc > 2 ? strtoul(argv[2], NULL, 10) : TOKENS;
	struct ticket_wallet *wallet;
	struct maker maker;
	struct error err;

	if (tickets == 0 || tokens == 0) {
		fprintf(stderr, "usage: bench_auth_ticket [TICKETS [TOKENS]]\n");
		return 64;
	}
	wallet = ticket_wallet_new(tickets, true, &err);
	if (wallet == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	maker_open(&maker);
	fill(wallet, &maker, tickets);
	make_tokens(wallet, tickets, tokens, false);
	make_tokens(wallet, tickets, tokens, true);
	ticket_wallet_free(wallet);
	maker_close(&maker);
	return 0;
}
