/*
 * A request that easproxyctl policy test tries: from the command line, and a file that is a whole HTTP request
 * or its body. For easproxyctl_policy_test.c.
 */
#ifndef PROXY_EASPROXYCTL_POLICY_TRIAL_H
#define PROXY_EASPROXYCTL_POLICY_TRIAL_H

#include <stdbool.h>

#include "proxy/eas_body.h"
#include "proxy/http.h"
#include "proxy/policy.h"
#include "wbxml/buffer.h"

enum { TRIAL_GROUPS_MAX = 64, TRIAL_CLASSES_MAX = 8, TRIAL_ISSUER_MAX = 512 };

struct trial_arguments {
	const char *config_path, *request, *command, *version, *mailbox, *device, *device_type;
	const char *model, *os, *user_agent, *source, *time, *issuer, *certificate;
	const char *groups[TRIAL_GROUPS_MAX], *classes[TRIAL_CLASSES_MAX];
	size_t group_count, class_count;
	bool wants_json;
};

/* What is tried: the facts, and what they point into. */
struct trial {
	struct policy *policy; /* borrowed */
	struct policy_facts facts;
	struct eas_request request;
	struct wbxml_buffer input;
	struct http_head head;
	enum eas_body_kind kind;
	struct span content; /* of input */
	struct wbxml_buffer body;
	struct eas_body *view;
	bool has_body; /* it is there; else nothing is known of it */
	uint32_t classes;
	char mailbox[EAS_USER_MAX + 1];
	char issuer[TRIAL_ISSUER_MAX];
};

/* 0, or -1 for a wrong command line. */
int trial_read_arguments(int argc, char **argv, struct trial_arguments *arguments);

/* Fills trial, whose policy is set and all else zero, from them: what they say goes before what the file
 * says. 0, or -1 with err, also when easproxyd would refuse the request before any rule. */
int trial_take(struct trial *trial, const struct trial_arguments *arguments, struct error *err);
void trial_free(struct trial *trial);

#endif
