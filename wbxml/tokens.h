/*
 * The tokens of WBXML 1.3 (WAP-192, 7.1) as far as EAS uses them, and its one header. Private to
 * reader.c and writer.c.
 */
#ifndef WBXML_TOKENS_H
#define WBXML_TOKENS_H

#include <stdint.h>

enum {
	TOKEN_SWITCH_PAGE = 0x00,
	TOKEN_END = 0x01,
	TOKEN_STR_I = 0x03,
	TOKEN_OPAQUE = 0xC3,
	TOKEN_HAS_ATTRIBUTES = 0x80,
	TOKEN_HAS_CONTENT = 0x40,
	TOKEN_CODE = 0x3F,
	TOKEN_FIRST_TAG = 0x05, /* codes below are global tokens, whatever the upper bits */
};

/* WBXML 1.3, unknown public identifier, UTF-8, no string table: all that EAS writes. */
static const uint8_t wbxml_header[] = {0x03, 0x01, 0x6A, 0x00};

#endif
