/*
 * A directory file: whatever is taken answers every question with a mailbox that is an address in the
 * form in which addresses are compared, and what is refused has a fault that is told.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "auth/directory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
	if (!is_so)
		abort();
}

static void count_fault(void *context, const char *text)
{
	require(strncmp(text, "list:", 5) == 0 && strchr(text, '\n') == NULL);
	(*(size_t *)context)++;
}

/* A question for each word of the file. */
static void ask_words(const struct directory_table *table, const uint8_t *data, size_t size)
{
	struct directory_question question = {.kind = 0};
	struct directory_answer answer;
	char folded[IDENTITY_ADDRESS_MAX + 1];
	size_t start = 0;

	for (size_t i = 0; i <= size && i < 4096; i++) {
		size_t len = i - start;

		if (i < size && data[i] != ' ' && data[i] != '\n' && data[i] != ':')
			continue;
		if (len > 0 && len <= DIRECTORY_VALUE_MAX) {
			memcpy(question.value, data + start, len);
			question.value[len] = '\0';
			question.kind = (question.kind + 1) % CONFIG_NAME_COUNT;
			directory_table_ask(table, &question, &answer);
			require(answer.status <= DIRECTORY_DISABLED);
			require((answer.status == DIRECTORY_FOUND) == (answer.mailbox[0] != '\0'));
			if (answer.status == DIRECTORY_FOUND) {
				require(address_fold(span_of_string(answer.mailbox), folded) == 0);
				require(strcmp(folded, answer.mailbox) == 0);
			}
		}
		start = i + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t faults = 0;
	struct directory_table *table =
		directory_table_parse(span_of(data, size), "list", NULL, count_fault, &faults);

	require((table == NULL) == (faults > 0));
	if (table != NULL)
		ask_words(table, data, size);
	directory_table_free(table);
	return 0;
}
