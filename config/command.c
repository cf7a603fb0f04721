#include "config/command.h"

#include <assert.h>
#include <string.h>

static const char *const names[COMMAND_COUNT] = {"Sync", "SendMail", "SmartForward", "SmartReply",
	"GetAttachment", "GetHierarchy", "CreateCollection", "DeleteCollection", "MoveCollection",
	"FolderSync", "FolderCreate", "FolderDelete", "FolderUpdate", "MoveItems",
	"GetItemEstimate", "MeetingResponse", "Search", "Settings", "Ping", "ItemOperations",
	"Provision", "ResolveRecipients", "ValidateCert", "Find"};

unsigned int command_find(const char *name)
{
	unsigned int command = 0;

	while (command < COMMAND_COUNT && strcmp(names[command], name) != 0)
		command++;
	return command;
}

const char *command_name(unsigned int command)
{
	assert(command < COMMAND_COUNT); /* who asks has it from a table or from command_find() */
	return names[command];
}
