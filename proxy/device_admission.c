#include "proxy/device_admission.h"

#include <string.h>

bool device_admission_is_needed(const struct config_devices *config)
{
	return config->binding != CONFIG_BINDING_OFF || config->fresh != CONFIG_NEW_DEVICE_ALLOW ||
	       config->per_mailbox > 0;
}

static struct device_verdict refuse(enum refusal refusal, const char *reason)
{
	return (struct device_verdict){.refusal = refusal, .reason = reason};
}

static struct device_verdict let_in(enum device_step step)
{
	return (struct device_verdict){.step = step};
}

static bool has_the_certificate(const struct state_device *device, const struct device_facts *facts)
{
	return memcmp(device->facts.leaf_sha256, facts->leaf_sha256, sizeof(facts->leaf_sha256)) ==
	       0;
}

static bool is_held_by_another(const struct device_case *asked)
{
	const struct state_device *holder = asked->holder;

	return holder != NULL && (strcmp(holder->facts.mailbox, asked->facts->mailbox) != 0 ||
					 strcmp(holder->facts.id, asked->facts->id) != 0);
}

/* The mailbox is the same, or it would be another device. A certificate of the same second or earlier is not the
 * next one: the one before must not come back. */
static bool is_next_certificate(const struct state_device *device, const struct device_facts *facts)
{
	return strcmp(device->facts.issuer, facts->issuer) == 0 &&
	       facts->not_before > device->facts.not_before;
}

static struct device_verdict judge_known(
	const struct config_devices *config, const struct device_case *asked)
{
	const struct state_device *known = asked->known;

	/* What is held against it stays so whatever it comes with. */
	if (config->binding == CONFIG_BINDING_OFF || known->state != DEVICE_ALLOWED)
		return let_in(DEVICE_STEP_NONE);
	if (known->is_pinned && has_the_certificate(known, asked->facts))
		return let_in(DEVICE_STEP_NONE);
	if (is_held_by_another(asked))
		return refuse(REFUSAL_DEVICE_SECOND, "another device has this certificate");
	if (!known->is_pinned)
		return let_in(DEVICE_STEP_PIN);
	if (!is_next_certificate(known, asked->facts))
		return refuse(REFUSAL_DEVICE_CERTIFICATE,
			"of another issuer, or not later than the one that it is bound to");
	if (!config->renewal)
		return refuse(REFUSAL_DEVICE_CERTIFICATE, "devices/renewal is off");
	return let_in(DEVICE_STEP_RENEW);
}

static struct device_verdict judge_new(
	const struct config_devices *config, const struct device_case *asked)
{
	static const enum device_state states[] = {
		[CONFIG_NEW_DEVICE_ALLOW] = DEVICE_ALLOWED,
		[CONFIG_NEW_DEVICE_QUARANTINE] = DEVICE_QUARANTINED,
		[CONFIG_NEW_DEVICE_BLOCK] = DEVICE_BLOCKED,
	};
	bool binds = config->binding != CONFIG_BINDING_OFF;

	if (config->binding == CONFIG_BINDING_REGISTERED)
		return refuse(REFUSAL_DEVICE_UNKNOWN, "it is not registered");
	if (binds && is_held_by_another(asked))
		return refuse(REFUSAL_DEVICE_SECOND, "another device has this certificate");
	if (config->per_mailbox > 0 && asked->mailbox_count >= config->per_mailbox)
		return refuse(REFUSAL_DEVICE_QUOTA, "devices/per-mailbox is reached");
	if (asked->mailbox_count >= STATE_DEVICES_OF_MAILBOX)
		return refuse(REFUSAL_DEVICE_QUOTA, "no mailbox may have so many");
	if (asked->is_full)
		return refuse(REFUSAL_DEVICE_UNAVAILABLE,
			"the registry is full of devices that cannot be forgotten");
	return (struct device_verdict){
		.step = DEVICE_STEP_MAKE, .state = states[config->fresh], .pins = binds};
}

struct device_verdict device_admission_judge(
	const struct config_devices *config, const struct device_case *asked)
{
	return asked->known != NULL ? judge_known(config, asked) : judge_new(config, asked);
}
