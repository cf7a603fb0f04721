/*
 * The codes by which phones are refused: one value per row of refusal.def, the same in every room.
 * A refusal of a phone is a value, not an error. For every room and every process.
 */
#ifndef CONFIG_REFUSAL_H
#define CONFIG_REFUSAL_H

enum refusal {
	REFUSAL_NONE, /* not refused */
#define REFUSAL(code, name, alert, http, eas, aadsts, cause, remedy) REFUSAL_##code,
#include "config/refusal.def"
#undef REFUSAL
	REFUSAL_COUNT
};

struct refusal_row {
	const char *name; /* stable, as in logs and documents; "none" for REFUSAL_NONE */
	int tls_alert;    /* RFC 8446 6.2; 0: none */
	int http_status;  /* 0: no answer */
	int eas_status;   /* MS-ASCMD 2.2.2; 0: none */
	const char
		*aadsts; /* what Entra answers for the same: "AADSTS500172"; "": nothing matches */
	const char *cause;
	const char *remedy;
};

/* The row of a code; static storage. An unknown value gets the row of REFUSAL_INTERNAL. */
const struct refusal_row *refusal_row(enum refusal code);

#endif
