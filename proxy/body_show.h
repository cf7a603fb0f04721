/*
 * A body as text for people, whatever it is: WBXML as indented XML, a compressed or multipart
 * answer as what is in it, a message or XML as its lines; with secrets, and content where that is
 * asked for, masked (wbxml/redact.h). For easproxyctl decode, and for traces in workers.
 */
#ifndef PROXY_BODY_SHOW_H
#define PROXY_BODY_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"

enum body_form {
	BODY_EMPTY,
	BODY_WBXML,
	BODY_MULTIPART, /* MS-ASCMD 2.2.1.1.2: part 0 is WBXML */
	BODY_MIME,      /* up to 12.1 of SendMail, SmartReply, SmartForward */
	BODY_XML,       /* Autodiscover, error pages */
	BODY_TEXT,      /* plain, as refusals say what they are */
	BODY_BYTES      /* as GetAttachment answers */
};

struct body_show_options {
	unsigned int redact;  /* WBXML_REDACT_… */
	bool is_cut;          /* it is the beginning of a body that went on */
	bool may_be_anything; /* what is not WBXML by its first bytes is a file */
	bool may_be_text;     /* what resembles nothing is text or bytes; else it is faulty WBXML */
	size_t output_max;    /* of the text, and of what is decompressed */
};

struct body_shown {
	enum body_form form; /* of what was compressed, if it was */
	bool was_gzip;
	uint16_t root;            /* enum wbxml_tag_id of the WBXML; 0: none */
	struct wbxml_buffer text; /* UTF-8 without control characters but tabs and line feeds */
	struct error fault;       /* "": none; else text ends where it is */
};

/* Fills *shown, for body_shown_free(). 0, or -1 with shown->fault: it is not what it begins as. */
int body_show(struct span body, const struct body_show_options *options, struct body_shown *shown);

void body_shown_free(struct body_shown *shown);

/* Part n of a multipart body: 0, or -1 where there is none, or the body is none. */
int body_part(struct span body, uint32_t n, struct span *part);

/* How many parts a multipart body has; 0: it is none, by MS-ASCMD 2.2.1.1.2. is_cut: parts may end
 * behind the bytes at hand. */
uint32_t body_part_count(struct span body, bool is_cut);

/* Appends what the gzip bytes hold, up to out->limit. 0, or -1 with err. */
int body_gunzip(struct span body, struct wbxml_buffer *out, struct error *err);
bool body_is_gzip(struct span body);

#endif
