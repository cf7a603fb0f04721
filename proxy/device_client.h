/*
 * A worker's side of the registry of devices: what is held against the device that asks is looked up in the
 * index that control compiles; whether a device that the worker does not know may come in is asked of
 * control, once however many of its requests wait; and what a device says of itself is reported there.
 * Nothing here blocks. For workers.
 */
#ifndef PROXY_DEVICE_CLIENT_H
#define PROXY_DEVICE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/refusal.h"
#include "proxy/device_grant.h"
#include "proxy/http.h"
#include "proxy/message.h"
#include "proxy/worker.h"

struct device_client; /* opaque */
struct exchange;

/* NULL when memory runs out. Lives as long as the worker. */
struct device_client *device_client_new(struct worker *worker);

/* The requests of exchange->device, which is pinned. */

/* Keeps of a request's head what says something about the device. */
void device_client_hear(struct exchange *exchange, const struct http_head *head);

/* Whether the device may come in with the certificate of its session. REFUSAL_NONE: exchange->device->grant.state
 * says how far. *waits: control has to be asked first; exchange_gate_again() follows. */
enum refusal device_client_admit(struct exchange *exchange, bool *waits);

/* What is held against the device, for a session that is not let in anyhow: exchange->device->grant.state. */
void device_client_look(struct exchange *exchange);

/* It does not wait any more, for whatever reason. */
void device_client_leave(struct exchange *exchange);

/* A request that was let in is whole: what the device says of itself in it is kept and reported. */
void device_client_observe(struct exchange *exchange);

/* What is held against devices has changed: ends a session's request under way that may not go on, and a Ping whose device
 * has to be asked about anew. True: it has ended. */
bool device_client_recheck(struct session *session);

/* What the device is from now on, by a rule of the policy; only ever tighter than it is. Written down by
 * control, which is told again until it has. reason: "rule NAME". */
void device_client_order(struct exchange *exchange, enum device_state state, const char *reason);

/* The device was sent its wipe, of that kind (DEVICE_WIPE_ACCOUNT or DEVICE_WIPE_ALL); or has acknowledged it
 * with that status (MS-ASPROV: 1 done, 2 failed), after which grant.state is another. Told control as orders
 * are. Of a session whose certificate is revoked control believes it only about the device that came with that
 * certificate last, and grant.state stays until then. */
void device_client_wipe_sent(struct exchange *exchange, enum device_state kind);
void device_client_wiped(struct exchange *exchange, enum device_state kind, uint32_t status);

/* What comes from control. */
void device_client_answer(struct worker *worker, const struct message *message);
void device_client_noted(struct worker *worker, uint64_t number);
/* There is a new channel to it: what it has not answered is asked again. */
void device_client_attached(struct worker *worker);

#endif
