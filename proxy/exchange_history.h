/*
 * An exchange as its device's history keeps it. For exchange.c.
 */
#ifndef PROXY_EXCHANGE_HISTORY_H
#define PROXY_EXCHANGE_HISTORY_H

#include "proxy/exchange.h"

/* Adds it to the history of its device, at its end and before exchange_gate_leave(); now_us: clock_us().
 * Where it was refused before its device was looked for, only a device that is known already has one. */
void exchange_history_add(const struct exchange *exchange, uint64_t now_us);

#endif
