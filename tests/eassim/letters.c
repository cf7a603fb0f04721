#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

static const char mark[] = "letter ";

uint32_t letter_new(struct fleet *fleet, uint32_t recipient)
{
	uint32_t capacity;
	struct letter *letters;

	if (fleet->letter_count == fleet->letter_capacity) {
		capacity = fleet->letter_capacity > 0 ? 2 * fleet->letter_capacity : 256;
		letters = capacity <= LETTERS_MAX
				  ? reallocarray(fleet->letters, capacity, sizeof(*letters))
				  : NULL;
		if (letters == NULL)
			return NO_LETTER;
		fleet->letters = letters;
		fleet->letter_capacity = capacity;
	}
	fleet->letters[fleet->letter_count] = (struct letter){.recipient = recipient};
	return fleet->letter_count++;
}

void letter_subject(const struct fleet *fleet, uint32_t letter, char *text, size_t size)
{
	snprintf(text, size, "[%s] %s%08x-%u",
		fleet->users[fleet->letters[letter].recipient].mailbox, mark, fleet->options.seed,
		letter);
}

int letter_arrived(struct fleet *fleet, const struct user *user, const char *subject)
{
	const char *at = strstr(subject, mark);
	unsigned int seed, number;
	struct letter *letter;

	if (at == NULL || sscanf(at + sizeof(mark) - 1, "%8x-%u", &seed, &number) != 2)
		return 0;
	if (seed != fleet->options.seed)
		return 0; /* of another run */
	if (number >= fleet->letter_count ||
		&fleet->users[fleet->letters[number].recipient] != user)
		return -1;
	letter = &fleet->letters[number];
	if (!letter->is_arrived) {
		letter->is_arrived = true;
		fleet->letters_arrived++;
		tally_time(&fleet->tally, TALLY_DELIVERY, now_us() - letter->sent_us);
	}
	return 0;
}
