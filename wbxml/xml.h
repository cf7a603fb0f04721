/*
 * WBXML to XML and back, for easproxyctl decode/encode and for upstreams that read XML.
 *
 * Two dialects. EXACT is ours: lossless for every tag of codepages.tsv; namespaces without colon
 * (with one they are read too), xmlns where the page changes, opaque values as base64 with
 * w:opaque="base64" (namespace urn:easproxy:wbxml), CR as &#13;. Where that is asked for, opaque
 * values that are text are shown as such, with w:opaque="text", or "lines" where every line ends
 * in CR LF, of which the CR is then left out. Refused, because XML cannot say it: opaque data
 * beside text or elements. A token for which its page has no tag is unknown-3E (of the token 3E), where
 * limits let it pass. Strings in a row become one, an empty one becomes none, and on the way
 * back white space alone beside child elements is layout. What is masked has w:masked, and is
 * refused on the way back.
 *
 * LIBWBXML is what libwbxml reads and writes ("AirSync:", its own names and DOCTYPE), for backends
 * built on it. Refused rather than changed: tags that it does not know (it would write <unknown>),
 * opaque data that is not text outside the tags that are binary. With indent it loses CR.
 *
 * Either way no byte reaches libwbxml that our reader has not accepted as a whole document (or that
 * we have not written) and its results are checked before they are handed on; and no XML is parsed
 * with entities, declarations or network.
 *
 * For every process. Documents are held whole: bound them by out->limit and by the caller's limit.
 */
#ifndef WBXML_XML_H
#define WBXML_XML_H

#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"
#include "wbxml/reader.h"
#include "wbxml/redact.h"

enum wbxml_dialect { WBXML_DIALECT_EXACT, WBXML_DIALECT_LIBWBXML };

struct wbxml_xml_options {
	enum wbxml_dialect dialect;
	bool indent; /* two blanks a level; changes white space between elements only */
	/* To XML, in the EXACT dialect. LIBWBXML can mask nothing: where there is something to mask,
	 * the document is refused. */
	bool shows_opaque_text;
	unsigned int redact; /* WBXML_REDACT_…, see redact.h */
	/* A document that is faulty is shown up to there, and its open elements are closed; the
	 * result is still -1. */
	bool shows_faulty;
	struct wbxml_limits
		limits; /* of the document; for LIBWBXML, elements are capped at 2,000 */
};

/* Appends the XML of the WBXML document to out (UTF-8, with an XML declaration). 0, or -1 with err
 * saying where and why; out is then incomplete. */
int wbxml_to_xml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);

/* Appends the WBXML of the XML document to out. 0, or -1 with err ("line 3: no tag Foo in
 * namespace AirSync"). */
int wbxml_from_xml(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);

#endif
