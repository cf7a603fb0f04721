#include "proxy/plist.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "config/base64.h"
#include "proxy/xml_walk.h"

static const struct xml_walk_limits limits = {.size = PLIST_SIZE_MAX,
	.depth = PLIST_DEPTH_MAX,
	.elements = PLIST_NODES_MAX,
	.may_have_doctype = true};

/* What an element is, beside the kinds: the frame, and names of members. */
enum { FRAME = PLIST_DATE + 1, KEY, TRUE_VALUE, FALSE_VALUE };

static const struct {
	const char *name;
	int element;
} elements[] = {{"plist", FRAME}, {"dict", PLIST_DICT}, {"array", PLIST_ARRAY}, {"key", KEY},
	{"string", PLIST_STRING}, {"data", PLIST_DATA}, {"integer", PLIST_INTEGER},
	{"real", PLIST_REAL}, {"date", PLIST_DATE}, {"true", TRUE_VALUE}, {"false", FALSE_VALUE}};

struct reading {
	struct plist *root;
	struct plist *newest; /* in the document */
	struct plist *open;   /* the innermost dict or array, NULL at the top */
	char *key;            /* of the next member */
	int elements[PLIST_DEPTH_MAX];
	unsigned int depth;
	bool has_text; /* the element that is open has had its text */
};

const char *plist_kind_name(enum plist_kind kind)
{
	static const char *const names[] = {
		[PLIST_DICT] = "dictionary",
		[PLIST_ARRAY] = "array",
		[PLIST_STRING] = "string",
		[PLIST_DATA] = "data",
		[PLIST_INTEGER] = "integer",
		[PLIST_REAL] = "real number",
		[PLIST_BOOLEAN] = "boolean",
		[PLIST_DATE] = "date",
	};

	return names[kind];
}

static int find_element(const char *name)
{
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++)
		if (strcmp(elements[i].name, name) == 0)
			return elements[i].element;
	return -1;
}

static bool has_member(const struct plist *dict, const char *key)
{
	return plist_get(dict, key) != NULL;
}

/* Hangs a new node where it belongs. */
static int add_node(struct reading *reading, enum plist_kind kind, struct error *err)
{
	struct plist *node;

	if (reading->open == NULL && reading->root != NULL)
		return error_set(err, "a second value beside the first one");
	if (reading->open != NULL && reading->open->kind == PLIST_DICT && reading->key == NULL)
		return error_set(err, "a value without a key");
	if (reading->key != NULL && has_member(reading->open, reading->key))
		return error_set(err, "the key '%.60s' stands twice", reading->key);
	node = calloc(1, sizeof(*node));
	if (node == NULL)
		return error_set(err, "out of memory");
	node->kind = kind;
	node->key = reading->key;
	reading->key = NULL;
	node->parent = reading->open;
	if (reading->open == NULL)
		reading->root = node;
	else if (reading->open->last == NULL)
		reading->open->first = node;
	else
		reading->open->last->next = node;
	if (reading->open != NULL)
		reading->open->last = node;
	if (reading->newest != NULL)
		reading->newest->next_in_document = node;
	reading->newest = node;
	if (kind == PLIST_DICT || kind == PLIST_ARRAY)
		reading->open = node;
	return 0;
}

static int start_value(struct reading *reading, int element, struct error *err)
{
	switch (element) {
	case TRUE_VALUE:
	case FALSE_VALUE:
		if (add_node(reading, PLIST_BOOLEAN, err) != 0)
			return -1;
		reading->newest->number = element == TRUE_VALUE;
		return 0;
	default: return add_node(reading, (enum plist_kind)element, err);
	}
}

static int on_start(void *context, const char *space, const char *name, struct error *err)
{
	struct reading *reading = context;
	int element = find_element(name);
	int outer = reading->depth > 0 ? reading->elements[reading->depth - 1] : -1;

	(void)space;
	if (element == -1)
		return error_set(err, "<%.60s> is no element of a property list", name);
	if ((element == FRAME) != (reading->depth == 0))
		return error_set(err, "<%.60s> in a place where it does not belong", name);
	if (reading->depth > 0 && outer != FRAME && outer != PLIST_DICT && outer != PLIST_ARRAY)
		return error_set(err, "<%.60s> within a text", name);
	reading->elements[reading->depth++] = element;
	reading->has_text = false;
	if (element == FRAME)
		return 0;
	if (element != KEY)
		return start_value(reading, element, err);
	if (outer != PLIST_DICT || reading->key != NULL)
		return error_set(err, "a key that has no value, or is in no dictionary");
	reading->key = strdup("");
	return reading->key != NULL ? 0 : error_set(err, "out of memory");
}

static int read_integer(struct span text, int64_t *number)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	uint64_t value = 0;

	if (is_negative)
		text = span_of(text.data + 1, text.len - 1);
	if (text.len == 0 || text.len > 18)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return -1;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	*number = is_negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

static int take_bytes(struct plist *node, struct span text, struct error *err)
{
	/* Enough for the text with a NUL, and for what base64 makes of it. */
	node->bytes = malloc(text.len + 4);
	if (node->bytes == NULL)
		return error_set(err, "out of memory");
	if (node->kind == PLIST_DATA)
		return base64_decode(text, node->bytes, &node->len) == 0
			       ? 0
			       : error_set(err, "data that is not base64");
	memcpy(node->bytes, text.data, text.len);
	node->bytes[text.len] = '\0';
	node->len = text.len;
	return 0;
}

static int take_key(struct reading *reading, struct span text, struct error *err)
{
	char *key = strndup((const char *)text.data, text.len);

	if (key == NULL)
		return error_set(err, "out of memory");
	free(reading->key);
	reading->key = key;
	return 0;
}

static int on_text(void *context, struct span text, struct error *err)
{
	struct reading *reading = context;
	int element = reading->elements[reading->depth - 1];
	struct span trimmed = xml_walk_trim(text);

	switch (element) {
	case KEY: return take_key(reading, text, err);
	case PLIST_STRING: break;
	case PLIST_DATA:
	case PLIST_REAL:
	case PLIST_DATE: text = trimmed; break;
	case PLIST_INTEGER:
		return read_integer(trimmed, &reading->newest->number) == 0
			       ? 0
			       : error_set(err, "an integer that is none");
	default: return trimmed.len == 0 ? 0 : error_set(err, "text where none belongs");
	}
	if (reading->has_text)
		return error_set(err, "a text in two parts");
	reading->has_text = true;
	return take_bytes(reading->newest, text, err);
}

static int on_end(void *context, struct error *err)
{
	struct reading *reading = context;
	int element = reading->elements[--reading->depth];

	if (element == PLIST_DICT && reading->key != NULL)
		return error_set(err, "a key without a value");
	if (element == PLIST_DICT || element == PLIST_ARRAY)
		reading->open = reading->open->parent;
	/* An empty element has had no text. */
	if ((element == PLIST_STRING || element == PLIST_DATA || element == PLIST_REAL ||
		    element == PLIST_DATE) &&
		reading->newest->bytes == NULL)
		return take_bytes(reading->newest, span_of("", 0), err);
	return 0;
}

struct plist *plist_read(struct span document, struct error *err)
{
	static const struct xml_walk_calls calls = {on_start, on_text, on_end};
	struct reading reading = {.root = NULL};
	int status = xml_walk(document, &limits, &calls, &reading, err);

	free(reading.key);
	if (status == 0 && reading.root == NULL)
		status = error_set(err, "it has no value");
	if (status == 0)
		return reading.root;
	plist_free(reading.root);
	return NULL;
}

void plist_free(struct plist *root)
{
	while (root != NULL) {
		struct plist *next = root->next_in_document;

		if (root->bytes != NULL)
			OPENSSL_cleanse(root->bytes, root->len);
		free(root->bytes);
		free(root->key);
		free(root);
		root = next;
	}
}

const struct plist *plist_get(const struct plist *dict, const char *key)
{
	if (dict == NULL || dict->kind != PLIST_DICT)
		return NULL;
	for (const struct plist *node = dict->first; node != NULL; node = node->next)
		if (strcmp(node->key, key) == 0)
			return node;
	return NULL;
}

const char *plist_text(const struct plist *dict, const char *key)
{
	const struct plist *node = plist_get(dict, key);

	return node != NULL && node->kind == PLIST_STRING ? (const char *)node->bytes : NULL;
}
