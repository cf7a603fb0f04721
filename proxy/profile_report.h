/*
 * What is wrong with a profile or its certificate, told one by one. For the files proxy/profile_*.c and
 * easproxyctl.
 */
#ifndef PROXY_PROFILE_REPORT_H
#define PROXY_PROFILE_REPORT_H

enum profile_grade {
	PROFILE_NOTE,    /* what was not looked at, and why */
	PROFILE_WARNING, /* it works, but somebody should look */
	PROFILE_PROBLEM  /* it does not work */
};

struct profile_report {
	void (*tell)(void *context, enum profile_grade grade, const char *text);
	void *context;
};

void profile_tell(const struct profile_report *report, enum profile_grade grade, const char *format,
	...) __attribute__((format(printf, 3, 4)));

#endif
