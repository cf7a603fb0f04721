#include "proxy/policy_time.h"

#include <string.h>
#include <strings.h>
#include <time.h>

static const char days[][4] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

enum { DAYS = 7, EVERY_DAY = 0x7f };

static int wrong(const char *text, struct error *err)
{
	return error_set(err,
		"'%.60s' is not a time; write days and hours, such as mon-fri 07:00-19:00, sat,sun "
		"or 22:00-06:00",
		text);
}

static int read_day(const char **p)
{
	for (int i = 0; i < DAYS; i++) {
		if (strncasecmp(*p, days[i], 3) == 0) {
			*p += 3;
			return i;
		}
	}
	return -1;
}

/* "mon-fri,sun" */
static int read_days(const char **p, uint8_t *mask)
{
	do {
		int first = read_day(p), last = first;

		if (first != -1 && **p == '-') {
			(*p)++;
			last = read_day(p);
		}
		if (first == -1 || last == -1)
			return -1;
		for (int day = first;; day = (day + 1) % DAYS) {
			*mask |= (uint8_t)(1U << day);
			if (day == last)
				break;
		}
	} while (*(*p) == ',' && (*p)++ != NULL);
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "07:00" */
static int read_clock(const char **p, uint16_t *minute)
{
	const char *c = *p;
	int hour, minutes;

	if (!is_digit(c[0]) || !is_digit(c[1]) || c[2] != ':' || !is_digit(c[3]) || !is_digit(c[4]))
		return -1;
	hour = (c[0] - '0') * 10 + (c[1] - '0');
	minutes = (c[3] - '0') * 10 + (c[4] - '0');
	if (minutes > 59 || hour * 60 + minutes > POLICY_DAY)
		return -1;
	*minute = (uint16_t)(hour * 60 + minutes);
	*p += 5;
	return 0;
}

static int read_hours(const char **p, struct policy_span_of_week *span)
{
	if (read_clock(p, &span->begin) == -1 || **p != '-')
		return -1;
	(*p)++;
	if (read_clock(p, &span->end) == -1)
		return -1;
	return span->begin == span->end || span->begin == POLICY_DAY ? -1 : 0;
}

int policy_time_read(const char *text, struct policy_span_of_week *span, struct error *err)
{
	const char *p = text;

	*span = (struct policy_span_of_week){.is_not = *p == '!', .end = POLICY_DAY};
	p += span->is_not;
	if (!is_digit(*p)) {
		if (read_days(&p, &span->days) == -1)
			return wrong(text, err);
		if (*p == ' ') {
			p += strspn(p, " ");
			if (*p == '\0')
				return wrong(text, err);
		} else if (*p != '\0') {
			return wrong(text, err);
		}
	} else {
		span->days = EVERY_DAY;
	}
	if (*p != '\0' && read_hours(&p, span) == -1)
		return wrong(text, err);
	return *p == '\0' ? 0 : wrong(text, err);
}

static bool holds(const struct policy_span_of_week *span, uint32_t day, uint32_t minute)
{
	uint32_t yesterday = (day + DAYS - 1) % DAYS;

	if (span->begin < span->end)
		return (span->days >> day & 1) != 0 && minute >= span->begin && minute < span->end;
	return ((span->days >> day & 1) != 0 && minute >= span->begin) ||
	       ((span->days >> yesterday & 1) != 0 && minute < span->end);
}

bool policy_times_accept(
	const struct policy_span_of_week *spans, uint32_t count, uint32_t minute_of_week)
{
	uint32_t day = minute_of_week / POLICY_DAY, minute = minute_of_week % POLICY_DAY;
	bool names_any = false, is_named = false;

	for (uint32_t i = 0; i < count; i++) {
		bool is_hit = holds(&spans[i], day, minute);

		if (spans[i].is_not && is_hit)
			return false;
		names_any |= !spans[i].is_not;
		is_named |= !spans[i].is_not && is_hit;
	}
	return is_named || !names_any;
}

uint32_t policy_minute_of_week(int64_t now)
{
	time_t moment = (time_t)now;
	struct tm local;

	/* Not localtime(), which looks at the file of the time zone every time. */
	if (localtime_r(&moment, &local) == NULL)
		return 0;
	return (uint32_t)(local.tm_wday * POLICY_DAY + local.tm_hour * 60 + local.tm_min);
}
