/*
 * XPath 1.0 over a decoded document, by libxml2. The prefixes are the names of the code pages in small
 * letters: //airsync:Class, //email:Subject, //airsyncbase:DisplayName. Expressions are compiled once;
 * what one request may cost is bounded by the size of its document and by a count of steps that all its
 * expressions share. No network, no entities, no declarations, no variables. For proxy/policy*.c.
 */
#ifndef PROXY_POLICY_XPATH_H
#define PROXY_POLICY_XPATH_H

#include "config/error.h"
#include "config/span.h"
#include "wbxml/reader.h"

struct policy_xpath;
struct policy_document;

/* NULL with err filled: no XPath, or with a prefix, function or variable that there is none of. */
struct policy_xpath *policy_xpath_new(const char *text, struct error *err);
void policy_xpath_free(struct policy_xpath *xpath);

/* The WBXML document as a tree. NULL with err filled: it is none, or memory ran out. */
struct policy_document *policy_document_new(
	struct span document, const struct wbxml_limits *limits, struct error *err);
void policy_document_free(struct policy_document *document);

/* 1: a node is found, or the value is true, a number other than 0, or a text that is not empty. 0: it is
 * not. -1 with err filled: it took too many steps, or memory ran out. */
int policy_xpath_holds(
	const struct policy_xpath *xpath, struct policy_document *document, struct error *err);

#endif
