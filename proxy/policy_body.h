/*
 * What rules look at in a body, from the typed view of it. For workers and easproxyctl.
 */
#ifndef PROXY_POLICY_BODY_H
#define PROXY_POLICY_BODY_H

#include "proxy/eas_body.h"
#include "proxy/policy.h"

/* What FolderSync has said of a folder: enum eas_class, UNSAID where nobody knows. */
typedef unsigned int policy_class_of(void *context, struct span id);

/* Fills what facts say of the body but for the document; facts->command is read. Texts are borrowed from
 * body. */
void policy_take_body(struct policy_facts *facts, const struct eas_body *body,
	policy_class_of *class_of, void *context);

/* Whether a Sync or Ping leaves out folders, because they are those of the last time: which these are,
 * the server alone knows. One without any body does, too. */
bool policy_body_repeats(const struct eas_body *body);

#endif
