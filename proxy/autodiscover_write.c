/* Writing: the answers, in XML by libxml2 and in JSON by jansson. */
#include "proxy/autodiscover.h"

#include <jansson.h>
#include <libxml/xmlwriter.h>
#include <stdio.h>
#include <string.h>

#include "proxy/autodiscover_xml.h"

const char autodiscover_sync_path[] = "/Microsoft-Server-ActiveSync";
const char autodiscover_xml_path[] = "/autodiscover/autodiscover.xml";

/* Each write returns a negative number where memory runs out; one of them is enough to know. */
struct writing {
	xmlTextWriterPtr xml;
	bool has_failed;
};

static void check(struct writing *writing, int written)
{
	writing->has_failed |= written < 0;
}

static void begin(struct writing *writing, const char *name)
{
	check(writing, xmlTextWriterStartElement(writing->xml, BAD_CAST name));
}

static void end(struct writing *writing)
{
	check(writing, xmlTextWriterEndElement(writing->xml));
}

static void attribute(struct writing *writing, const char *name, const char *value)
{
	check(writing, xmlTextWriterWriteAttribute(writing->xml, BAD_CAST name, BAD_CAST value));
}

static void element(struct writing *writing, const char *name, const char *text)
{
	if (text == NULL)
		return;
	begin(writing, name);
	if (text[0] != '\0')
		check(writing, xmlTextWriterWriteString(writing->xml, BAD_CAST text));
	end(writing);
}

static const char *fault_message(enum autodiscover_fault fault)
{
	switch (fault) {
	case AUTODISCOVER_INVALID: return "Invalid request";
	case AUTODISCOVER_PROVIDER: return "Provider is not available";
	default: return "The certificate is not for this address";
	}
}

/* MS-ASCMD 2.2.3.60.1: an error of the framework, which answers before any provider is asked. */
static void write_frame_error(struct writing *writing, const struct autodiscover_answer *answer)
{
	uint64_t of_day_ms = answer->now_us / 1000 % UINT64_C(86400000);
	char time[16], number[16];

	snprintf(time, sizeof(time), "%02u:%02u:%02u.%03u", (unsigned int)(of_day_ms / 3600000),
		(unsigned int)(of_day_ms / 60000 % 60), (unsigned int)(of_day_ms / 1000 % 60),
		(unsigned int)(of_day_ms % 1000));
	begin(writing, "Error");
	attribute(writing, "Time", time);
	snprintf(number, sizeof(number), "%u", (unsigned int)answer->id);
	attribute(writing, "Id", number);
	snprintf(number, sizeof(number), "%u", (unsigned int)answer->fault);
	element(writing, "ErrorCode", number);
	element(writing, "Message", fault_message(answer->fault));
	element(writing, "DebugData", "");
	end(writing);
}

static void write_user(struct writing *writing, const struct autodiscover_answer *answer)
{
	if (answer->address == NULL && answer->display_name == NULL)
		return;
	begin(writing, "User");
	element(writing, "DisplayName", answer->display_name);
	element(writing, "EMailAddress", answer->address);
	end(writing);
}

static void write_server(struct writing *writing, const char *url)
{
	begin(writing, "Settings");
	begin(writing, "Server");
	element(writing, "Type", "MobileSync");
	element(writing, "Url", url);
	element(writing, "Name", url);
	end(writing);
	end(writing);
}

static void write_action(struct writing *writing, const struct autodiscover_answer *answer)
{
	char number[16];

	begin(writing, "Action");
	if (answer->fault != AUTODISCOVER_NO_FAULT) {
		begin(writing, "Error");
		snprintf(number, sizeof(number), "%u", (unsigned int)answer->fault);
		element(writing, "Status", number);
		element(writing, "Message", fault_message(answer->fault));
		element(writing, "DebugData", "");
		end(writing);
	} else if (answer->redirect != NULL) {
		element(writing, "Redirect", answer->redirect);
	} else {
		write_server(writing, answer->url);
	}
	end(writing);
}

static void write_document(struct writing *writing, const struct autodiscover_answer *answer)
{
	check(writing, xmlTextWriterStartDocument(writing->xml, NULL, "UTF-8", NULL));
	begin(writing, "Autodiscover");
	attribute(writing, "xmlns", AUTODISCOVER_FRAME);
	begin(writing, "Response");
	attribute(writing, "xmlns", AUTODISCOVER_ANSWER);
	if (answer->fault == AUTODISCOVER_INVALID || answer->fault == AUTODISCOVER_PROVIDER) {
		write_frame_error(writing, answer);
	} else {
		element(writing, "Culture", "en:us");
		write_user(writing, answer);
		write_action(writing, answer);
	}
	check(writing, xmlTextWriterEndDocument(writing->xml));
}

int autodiscover_write(const struct autodiscover_answer *answer, struct wbxml_buffer *out)
{
	xmlBufferPtr buffer = xmlBufferCreate();
	struct writing writing = {.has_failed = buffer == NULL};

	if (buffer != NULL)
		writing.xml = xmlNewTextWriterMemory(buffer, 0);
	if (writing.xml == NULL)
		writing.has_failed = true;
	else
		write_document(&writing, answer);
	if (writing.xml != NULL)
		xmlFreeTextWriter(writing.xml); /* writes what it still has */
	if (!writing.has_failed)
		wbxml_buffer_append(out, xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer));
	xmlBufferFree(buffer);
	return writing.has_failed || out->has_failed ? -1 : 0;
}

/* The second version */

bool autodiscover_is_json_path(struct span path)
{
	static const char plain[] = "/autodiscover/autodiscover.json";
	const size_t len = sizeof(plain) - 1;
	size_t slashes = 0;

	if (path.len < len || !span_equal_nocase(span_of(path.data, len), plain))
		return false;
	if (path.len == len)
		return true;
	if (path.data[len] != '/')
		return false;
	for (size_t i = len; i < path.len; i++)
		slashes += path.data[i] == '/';
	/* "/v1.0/ADDRESS": the address is not looked at, only that nothing is behind it. */
	return slashes <= 2;
}

/* The value of the only parameter of that name, without case; false where there is none or more. */
static bool find_parameter(struct span query, const char *name, struct span *value)
{
	bool is_found = false;

	while (query.len > 0) {
		const uint8_t *amp = memchr(query.data, '&', query.len);
		struct span part =
			span_of(query.data, amp != NULL ? (size_t)(amp - query.data) : query.len);
		const uint8_t *sign = part.len > 0 ? memchr(part.data, '=', part.len) : NULL;
		size_t rest = query.len - part.len - (amp != NULL);

		query = span_of(part.data + part.len + (amp != NULL), rest);
		if (sign == NULL ||
			!span_equal_nocase(span_of(part.data, (size_t)(sign - part.data)), name))
			continue;
		if (is_found)
			return false;
		is_found = true;
		*value = span_of(sign + 1, part.len - (size_t)(sign - part.data) - 1);
	}
	return is_found;
}

static unsigned int write_json(json_t *root, unsigned int status, char json[AUTODISCOVER_JSON_MAX])
{
	size_t len = json_dumpb(root, json, AUTODISCOVER_JSON_MAX - 1, JSON_COMPACT);

	json_decref(root);
	if (len == 0 || len >= AUTODISCOVER_JSON_MAX) {
		json[0] = '\0';
		return 500;
	}
	json[len] = '\0';
	return status;
}

unsigned int autodiscover_write_json(
	struct span query, const char *base, char json[AUTODISCOVER_JSON_MAX])
{
	static const struct {
		const char *name, *path;
	} protocols[] = {
		{"ActiveSync", autodiscover_sync_path}, {"AutodiscoverV1", autodiscover_xml_path}};
	struct span protocol;
	char url[512];

	if (!find_parameter(query, "Protocol", &protocol))
		return write_json(json_pack("{s:s, s:s}", "ErrorCode", "MandatoryParameterMissing",
					  "ErrorMessage", "The parameter Protocol is missing."),
			400, json);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (!span_equal_nocase(protocol, protocols[i].name))
			continue;
		snprintf(url, sizeof(url), "%s%s", base, protocols[i].path);
		return write_json(
			json_pack("{s:s, s:s}", "Protocol", protocols[i].name, "Url", url), 200,
			json);
	}
	return write_json(json_pack("{s:s, s:s}", "ErrorCode", "InvalidProtocol", "ErrorMessage",
				  "The protocols known here are ActiveSync and AutodiscoverV1."),
		400, json);
}
