#include "config/moment.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int complain(const char *text, struct error *err)
{
	return error_set(err,
		"'%.100s' is not a moment; write a date and a time, such as 2026-12-31T23:59:59Z",
		text);
}

/* Takes the digits for each 'd' of the pattern, and its other characters as they are. -1 where text
 * does not begin so. */
static int take(const char **text, const char *pattern, int *number)
{
	const char *c = *text;

	*number = 0;
	for (; *pattern != '\0'; pattern++, c++) {
		if (*pattern != 'd') {
			if (*c != *pattern)
				return -1;
			continue;
		}
		if (!isdigit((unsigned char)*c))
			return -1;
		*number = *number * 10 + (*c - '0');
	}
	*text = c;
	return 0;
}

/* "T12:34", "T12:34:56", then "Z" or "+01:00". */
static int take_time(const char **text, struct tm *tm, int *offset_s)
{
	int hours, minutes, sign;

	if (take(text, "Tdd", &tm->tm_hour) == -1 || take(text, ":dd", &tm->tm_min) == -1 ||
		(**text == ':' && take(text, ":dd", &tm->tm_sec) == -1))
		return -1;
	if (**text == 'Z') {
		(*text)++;
		return 0;
	}
	sign = **text == '-' ? -1 : 1;
	if ((take(text, "+dd", &hours) == -1 && take(text, "-dd", &hours) == -1) ||
		take(text, ":dd", &minutes) == -1 || hours > 14 || minutes > 59)
		return -1;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return 0;
}

int moment_read(const char *text, int64_t *moment, struct error *err)
{
	const char *rest = text;
	struct tm tm = {0};
	struct tm same;
	int offset_s = 0;
	time_t when;

	if (take(&rest, "dddd", &tm.tm_year) == -1 || take(&rest, "-dd", &tm.tm_mon) == -1 ||
		take(&rest, "-dd", &tm.tm_mday) == -1 ||
		(*rest != '\0' && take_time(&rest, &tm, &offset_s) == -1) || *rest != '\0' ||
		tm.tm_year < 1970)
		return complain(text, err);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	same = tm;
	when = timegm(&same);
	/* timegm() takes the 31st of February for a day of March. */
	if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour ||
		same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec || when < offset_s)
		return complain(text, err);
	*moment = (int64_t)when - offset_s;
	return 0;
}

void moment_write(int64_t moment, char text[MOMENT_TEXT_SIZE])
{
	time_t when = (time_t)moment;
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL ||
		strftime(text, MOMENT_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(text, MOMENT_TEXT_SIZE, "-");
}
