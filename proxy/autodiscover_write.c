/* Writing: the answers, in XML by libxml2 and in JSON by jansson. */
#include "proxy/autodiscover.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proxy/autodiscover_xml.h"
#include "proxy/xml_write.h"

const char autodiscover_sync_path[] = "/Microsoft-Server-ActiveSync";
const char autodiscover_xml_path[] = "/autodiscover/autodiscover.xml";

/* Nothing where there is no text. */
static void element(struct xml_writing *writing, const char *name, const char *text)
{
	if (text != NULL)
		xml_element(writing, name, text[0] != '\0' ? text : NULL);
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
static void write_frame_error(struct xml_writing *writing, const struct autodiscover_answer *answer)
{
	uint64_t of_day_ms = answer->now_us / 1000 % UINT64_C(86400000);
	char time[16], number[16];

	snprintf(time, sizeof(time), "%02u:%02u:%02u.%03u", (unsigned int)(of_day_ms / 3600000),
		(unsigned int)(of_day_ms / 60000 % 60), (unsigned int)(of_day_ms / 1000 % 60),
		(unsigned int)(of_day_ms % 1000));
	xml_element_begin(writing, "Error");
	xml_attribute(writing, "Time", time);
	snprintf(number, sizeof(number), "%u", (unsigned int)answer->id);
	xml_attribute(writing, "Id", number);
	snprintf(number, sizeof(number), "%u", (unsigned int)answer->fault);
	element(writing, "ErrorCode", number);
	element(writing, "Message", fault_message(answer->fault));
	element(writing, "DebugData", "");
	xml_element_end(writing);
}

static void write_user(struct xml_writing *writing, const struct autodiscover_answer *answer)
{
	if (answer->address == NULL && answer->display_name == NULL)
		return;
	xml_element_begin(writing, "User");
	element(writing, "DisplayName", answer->display_name);
	element(writing, "EMailAddress", answer->address);
	xml_element_end(writing);
}

static void write_server(struct xml_writing *writing, const char *url)
{
	xml_element_begin(writing, "Settings");
	xml_element_begin(writing, "Server");
	element(writing, "Type", "MobileSync");
	element(writing, "Url", url);
	element(writing, "Name", url);
	xml_element_end(writing);
	xml_element_end(writing);
}

static void write_action(struct xml_writing *writing, const struct autodiscover_answer *answer)
{
	char number[16];

	xml_element_begin(writing, "Action");
	if (answer->fault != AUTODISCOVER_NO_FAULT) {
		xml_element_begin(writing, "Error");
		snprintf(number, sizeof(number), "%u", (unsigned int)answer->fault);
		element(writing, "Status", number);
		element(writing, "Message", fault_message(answer->fault));
		element(writing, "DebugData", "");
		xml_element_end(writing);
	} else if (answer->redirect != NULL) {
		element(writing, "Redirect", answer->redirect);
	} else {
		write_server(writing, answer->url);
	}
	xml_element_end(writing);
}

static void write_document(struct xml_writing *writing, const struct autodiscover_answer *answer)
{
	xml_write_check(writing, xmlTextWriterStartDocument(writing->writer, NULL, "UTF-8", NULL));
	xml_element_begin(writing, "Autodiscover");
	xml_attribute(writing, "xmlns", AUTODISCOVER_FRAME);
	xml_element_begin(writing, "Response");
	xml_attribute(writing, "xmlns", AUTODISCOVER_ANSWER);
	if (answer->fault == AUTODISCOVER_INVALID || answer->fault == AUTODISCOVER_PROVIDER) {
		write_frame_error(writing, answer);
	} else {
		element(writing, "Culture", "en:us");
		write_user(writing, answer);
		write_action(writing, answer);
	}
	xml_write_check(writing, xmlTextWriterEndDocument(writing->writer));
}

int autodiscover_write(const struct autodiscover_answer *answer, struct wbxml_buffer *out)
{
	struct xml_writing writing;

	if (xml_write_begin(&writing))
		write_document(&writing, answer);
	return xml_write_end(&writing, out);
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
