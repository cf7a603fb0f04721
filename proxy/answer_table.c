#include "proxy/answer_table.h"

#include <assert.h>

#include "proxy/field_list.h"

#define ANSWER_FIELD(name, way, text)
const struct answer_status_row answer_statuses[] = {
#define ANSWER_STATUS(first, last, way, status, refusal, text)                                     \
	{first, last, ANSWER_##way, status, REFUSAL_##refusal, text},
#include "proxy/answer_table.def"
#undef ANSWER_STATUS
};
#undef ANSWER_FIELD
const size_t answer_status_count = sizeof(answer_statuses) / sizeof(answer_statuses[0]);

#define ANSWER_STATUS(first, last, way, status, refusal, text)
const struct answer_field_row answer_fields[] = {
#define ANSWER_FIELD(name, way, text) {name, FIELD_##way, text},
#include "proxy/answer_table.def"
#undef ANSWER_FIELD
};
#undef ANSWER_STATUS
const size_t answer_field_count = sizeof(answer_fields) / sizeof(answer_fields[0]);

const struct answer_status_row *answer_status_find(unsigned int status)
{
	size_t i = 0;

	assert(status >= 200 && status <= 599); /* the parser of answers lets no other in */
	while (i + 1 < answer_status_count &&
		(status < answer_statuses[i].first || status > answer_statuses[i].last))
		i++;
	return &answer_statuses[i];
}

enum answer_field_way answer_field_way(struct span name)
{
	static struct field_list list;
	int place;

	for (size_t i = list.count; i < answer_field_count; i++)
		field_list_add(&list, answer_fields[i].name);
	place = field_list_find(&list, name);
	return place != -1 ? answer_fields[place].way : FIELD_PASSES;
}
