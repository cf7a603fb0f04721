/*
 * The table of ActiveSync commands. Private to proxy/eas*.c.
 */
#ifndef PROXY_EAS_COMMAND_H
#define PROXY_EAS_COMMAND_H

#include "proxy/eas.h"

enum eas_request_form {
	EAS_FORM_NONE,             /* never a body */
	EAS_FORM_WBXML,            /* always one */
	EAS_FORM_WBXML_OR_NOTHING, /* nothing: as the last time */
	EAS_FORM_MIME              /* MIME up to 12.1, WBXML from 14.0 */
};

struct eas_command_row {
	const char *name;
	enum eas_request_form form;
	unsigned int empty_since; /* with EAS_FORM_WBXML_OR_NOTHING: first version that may */
	uint16_t root;            /* enum wbxml_tag_id of request and answer; 0: none */
	uint16_t status;          /* the root's child with the global Status; 0: no place for one */
};

/* NULL for EAS_NO_COMMAND. */
const struct eas_command_row *eas_command_row(enum eas_command command);

/* EAS_NO_COMMAND for an unknown name. The case must be that of the specification: what a server
 * makes of another one is not known. */
enum eas_command eas_command_find(struct span name);

#endif
