/* What a phone says of a wipe, and whether that is believed. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/control_device_asked.h"
#include "proxy/device_state.h"

static bool is_to_be_wiped(const struct state_device *device)
{
	return device_state_is_wipe(device->state) || device->state == DEVICE_WIPE_FAILED;
}

/* Whether a revoked certificate may have a device that is not known noted as wiped: 1, 0, -1. Of each there is
 * one, so that nobody makes up more; and none that has failed, for that one would count as one of the mailbox. */
static int may_be_made_by_revoked(
	struct control *control, const struct message_device_wiped *wiped, struct error *err)
{
	int64_t of_mailbox, of_certificate;

	if (wiped->is_sent == 1 || wiped->status != 1 || control_devices_are_full(control))
		return 0;
	if (state_devices_count_rows(control->store, wiped->mailbox, &of_mailbox, err) == -1 ||
		state_devices_count_certificate(control->store, wiped->mailbox, wiped->leaf_sha256,
			&of_certificate, err) == -1)
		return -1;
	return of_mailbox < STATE_DEVICES_OF_MAILBOX && of_certificate == 0;
}

/* Which device it is a phone only says. By a revoked certificate it is believed of a device that came with that
 * certificate last, or of one that never came and is not awaited either: else who has the key of a lost phone
 * could have its owner's next one count as wiped. 1, 0 where it is not believed, -1. */
static int weigh_revoked(struct control *control, const struct message_device_wiped *wiped,
	const struct state_device *known, struct error *err)
{
	struct device_facts facts = {.version = wiped->version,
		.serial = wiped->serial,
		.not_before = wiped->not_before};
	struct state_device device = {.state = DEVICE_ALLOWED};
	int may = 1;

	if (known != NULL && known->facts.issuer[0] != '\0')
		return memcmp(known->facts.leaf_sha256, wiped->leaf_sha256,
			       sizeof(wiped->leaf_sha256)) == 0;
	if (known != NULL)
		may = is_to_be_wiped(known);
	else
		may = may_be_made_by_revoked(control, wiped, err);
	if (may != 1)
		return may;
	if (known != NULL)
		device = *known;
	snprintf(facts.mailbox, sizeof(facts.mailbox), "%s", wiped->mailbox);
	snprintf(facts.id, sizeof(facts.id), "%s", wiped->device_id);
	snprintf(facts.issuer, sizeof(facts.issuer), "%s", wiped->issuer);
	memcpy(facts.leaf_sha256, wiped->leaf_sha256, sizeof(facts.leaf_sha256));
	if (!device_facts_clean(&facts))
		return 0;
	state_device_say(&device, &facts, wiped->at);
	return state_devices_put(control->store, &device, err) == -1 ? -1 : 1;
}

/* Whether what a phone says of a wipe is believed: 1, 0, -1. With a certificate that is good, of a wipe that was
 * ordered. */
static int weigh_wipe(
	struct control *control, const struct message_device_wiped *wiped, struct error *err)
{
	struct state_device device;
	int known =
		state_devices_find(control->store, wiped->mailbox, wiped->device_id, &device, err);

	if (known == -1)
		return -1;
	if (wiped->is_revoked == 1)
		return weigh_revoked(control, wiped, known == 1 ? &device : NULL, err);
	return known == 1 && is_to_be_wiped(&device);
}

int device_asked_note_wipe(struct control *control, struct device_asked *asked, struct error *err)
{
	struct message_device_wiped *wiped = &asked->u.wiped;
	int64_t now = (int64_t)time(NULL);
	int result;

	if (wiped->at > now || wiped->at < 0)
		wiped->at = now;
	result = weigh_wipe(control, wiped, err);
	if (result != 1)
		return result;
	if (wiped->is_sent == 1)
		return state_devices_wipe_sent_step(
			control->store, wiped->mailbox, wiped->device_id, wiped->at, err);
	result = state_devices_wiped_step(
		control->store, wiped->mailbox, wiped->device_id, wiped->status, wiped->at, err);
	asked->has_changed = result == 1;
	asked->before = (enum device_state)wiped->kind;
	return result == -1 ? -1 : 0;
}
