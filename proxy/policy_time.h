/*
 * When a rule holds: days of the week and hours by the clock of this host, "mon-fri 07:00-19:00". A
 * time of day that ends before it begins goes on after midnight, and counts for the day it began on.
 * For proxy/policy*.c.
 */
#ifndef PROXY_POLICY_TIME_H
#define PROXY_POLICY_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "config/model.h"

/* A minute of the week, from Sunday 00:00; below POLICY_WEEK. */
enum { POLICY_DAY = 24 * 60, POLICY_WEEK = 7 * POLICY_DAY };

struct policy_span_of_week {
	uint8_t days;        /* bit 0: Sunday */
	bool is_not;         /* "!" stood in front */
	uint16_t begin, end; /* minutes of the day; end may be POLICY_DAY, or below begin */
};

/* "mon-fri 07:00-19:00", "sat,sun", "22:00-06:00", with "!" in front or not. -1 with err filled. */
int policy_time_read(const char *text, struct policy_span_of_week *span, struct error *err);

/* As for texts: whether one names the minute, or all only exclude, and none excludes it. */
bool policy_times_accept(
	const struct policy_span_of_week *spans, uint32_t count, uint32_t minute_of_week);

/* Of UNIX seconds, in the time zone of the host. */
uint32_t policy_minute_of_week(int64_t now);

#endif
