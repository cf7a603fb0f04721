/* Settings: DeviceInformation and UserInformation; the rest is answered with "invalid arguments". */
#include "serve.h"

static void user_information_write(struct call *call)
{
	struct span name = span_of_string(call->mailbox->name);
	bool has_accounts = call->query.version >= 141;

	wbxml_write_start(&call->writer, WBXML_SETTINGS_USERINFORMATION);
	wbxml_write_element(&call->writer, WBXML_SETTINGS_STATUS, "1");
	wbxml_write_start(&call->writer, WBXML_SETTINGS_GET);
	if (has_accounts) {
		wbxml_write_start(&call->writer, WBXML_SETTINGS_ACCOUNTS);
		wbxml_write_start(&call->writer, WBXML_SETTINGS_ACCOUNT);
	}
	wbxml_write_start(&call->writer, WBXML_SETTINGS_EMAILADDRESSES);
	wbxml_write_start(&call->writer, WBXML_SETTINGS_SMTPADDRESS);
	wbxml_write_text(&call->writer, name);
	wbxml_write_end(&call->writer);
	if (has_accounts) {
		wbxml_write_start(&call->writer, WBXML_SETTINGS_PRIMARYSMTPADDRESS);
		wbxml_write_text(&call->writer, name);
		wbxml_write_end(&call->writer);
	}
	wbxml_write_end(&call->writer);
	if (has_accounts) {
		wbxml_write_end(&call->writer);
		wbxml_write_end(&call->writer);
	}
	wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
}

static void status_write(struct call *call, uint16_t tag, const char *status)
{
	wbxml_write_start(&call->writer, tag);
	wbxml_write_element(&call->writer, WBXML_SETTINGS_STATUS, status);
	wbxml_write_end(&call->writer);
}

void settings_serve(struct call *call)
{
	static const struct {
		uint16_t tag;
		const char *status;
	} parts[] = {
		{WBXML_SETTINGS_DEVICEINFORMATION, "1"},
		{WBXML_SETTINGS_OOF, "5"},
		{WBXML_SETTINGS_DEVICEPASSWORD, "5"},
	};

	call_begin(call, WBXML_SETTINGS_SETTINGS);
	wbxml_write_element(&call->writer, WBXML_SETTINGS_STATUS, "1");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (document_child(&call->document, NULL, parts[i].tag) != NULL)
			status_write(call, parts[i].tag, parts[i].status);
	if (document_child(&call->document, NULL, WBXML_SETTINGS_USERINFORMATION) != NULL)
		user_information_write(call);
	wbxml_write_end(&call->writer);
	call_answer(call);
}
