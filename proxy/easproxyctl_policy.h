/*
 * `easproxyctl policy list` and `policy test`: the rules of a configuration, and what they would make of a
 * request. Neither needs a running easproxyd. Called by easproxyctl.c alone; argv[0] is the command's
 * name.
 */
#ifndef PROXY_EASPROXYCTL_POLICY_H
#define PROXY_EASPROXYCTL_POLICY_H

#include <jansson.h>

#include "config/model.h"
#include "proxy/policy.h"

/* Exit status: 0; of test 0 when the request would pass, 1 when not, or when it depends on its body; 2 for
 * a wrong command line or configuration. */
int ctl_policy(int argc, char **argv);
int ctl_policy_list(int argc, char **argv);
int ctl_policy_test(int argc, char **argv);

/* Between its files. */

enum { POLICY_EXIT_PASSES = 0, POLICY_EXIT_REFUSED = 1, POLICY_EXIT_USAGE = 2 };

/* The configuration and its rules. NULL: faults were printed. */
struct policy *policy_load(const char *path, struct config **config);

/* What rule n is, as JSON: name, set, action, shadow, and in conditions and terms what stands in the file. */
json_t *policy_rule_json(const struct policy *policy, uint32_t n);

/* Conditions or terms as they would be written: "mailbox = {\"*@example.com\"}", one a line. */
void policy_print_options(const json_t *options, const char *indent);

#endif
