/*
 * The table of options: one row each in options.def. The parser, the checks, the sample file and
 * the man page are made from it or tested against it. For config/ and its tests.
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"

enum option_section {
	SECTION_ROOT,
	SECTION_LOG,
	SECTION_LIMITS,
	SECTION_LISTENER,
	SECTION_CERTIFICATE,
	SECTION_TRUST,
	SECTION_REVOCATION,
	SECTION_MAILBOX,
	SECTION_DIRECTORY,
	SECTION_UPSTREAM,
	SECTION_KERBEROS,
	SECTION_MINTED,
	SECTION_BEARER,
	SECTION_ASSERTION,
	SECTION_DEVICES,
	SECTION_ACTIVESYNC,
	SECTION_AUTODISCOVER,
	SECTION_POLICY,
	SECTION_RULE,
	SECTION_COUNT
};

enum option_type {
	OPTION_COUNT, /* a plain number */
	OPTION_SIZE,
	OPTION_TIME,
	OPTION_SWITCH,
	OPTION_CHOICE,
	OPTION_TEXT,
	OPTION_PATH,      /* of something that easproxyd makes or connects to; not read here */
	OPTION_FILE,      /* read and sealed */
	OPTION_SECRET,    /* the same, and nobody else may read it */
	OPTION_URL_PATH,  /* "/healthz" */
	OPTION_HOST,      /* a name or address, with a port if need be */
	OPTION_CIPHERS,   /* as OpenSSL writes them */
	OPTION_TEMPLATE,  /* text with %{…} */
	OPTION_ATTRIBUTE, /* of LDAP */
	OPTION_FILTER,    /* of LDAP */
	OPTION_BASE_URL,  /* https://, a host, and a port if need be */
	OPTION_ADDRESSES, /* the rest are lists */
	OPTION_LOCAL_ADDRESSES, /* of this machine, without ports */
	OPTION_HOST_NAMES,
	OPTION_DOMAINS,
	OPTION_NAME_KINDS,
	OPTION_ALGORITHMS,
	OPTION_CHOICES,  /* words of a table: a mask with bit n for the value n */
	OPTION_POLICIES, /* object identifiers in dotted decimal */
	OPTION_FIELD_NAMES,
	OPTION_FIELDS,
	OPTION_ENDPOINTS,
	OPTION_LDAP_URLS,
	OPTION_ATTRIBUTES,   /* of LDAP */
	OPTION_COMMANDS,     /* of ActiveSync */
	OPTION_DOMAIN_PAIRS, /* "from.example: to.example" */
	OPTION_WORDS,        /* whose meaning another room knows */
};

struct option_choice {
	const char *word; /* NULL ends the list */
	int value;
};

struct option {
	enum option_section section;
	enum option_type type;
	const char *name;
	const char *fallback; /* the default, as it would be written; "": unset; NULL: required */
	uint64_t min, max;    /* a number: its value; text: its length; a list: its entries */
	const struct option_choice *choices;
	size_t offset, size; /* of the field, in the section's struct */
	const char *help;
};

struct option_section_row {
	const char *name;
	enum option_section parent;
	bool has_title; /* and may therefore stand more than once */
};

extern const struct option option_table[];
extern const size_t option_count;
extern const struct option_section_row option_sections[SECTION_COUNT];

/* The row, or NULL. name need not end in NUL. */
const struct option *option_find(enum option_section section, const char *name, size_t name_len);

/* The section of that name inside parent, or SECTION_ROOT where there is none. */
enum option_section option_find_section(
	enum option_section parent, const char *name, size_t name_len);

bool option_is_list(const struct option *option);

/* The section, other than here, that has an option of this name; SECTION_COUNT where none has. */
enum option_section option_find_home(enum option_section here, const char *name, size_t name_len);

/* "option 'workers'", or "option 'head-time' in limits": for messages. */
void option_describe(const struct option *option, char *text, size_t text_size);

/* Reads a value of type COUNT, SIZE, TIME, SWITCH or CHOICE and checks its range. Times come out in
 * milliseconds, sizes in bytes; a kB is 1,024 bytes. -1 with err filled: "'20x' is not a time; …". */
int option_read_number(
	const struct option *option, const char *text, uint64_t *value, struct error *err);

/* The way back: "36h" from milliseconds, "20MB" from bytes, in the largest unit that divides it. */
enum { OPTION_NUMBER_SIZE = 32 };
void option_write_time(uint64_t time_ms, char text[OPTION_NUMBER_SIZE]);
void option_write_size(uint64_t size, char text[OPTION_NUMBER_SIZE]);

/* The word of a choice; "" for a value that is none of them. */
const char *option_write_choice(const struct option *option, int value);

#endif
