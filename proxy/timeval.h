/*
 * Milliseconds, in which all of our times are, as libevent wants them. For every process.
 */
#ifndef PROXY_TIMEVAL_H
#define PROXY_TIMEVAL_H

#include <stdint.h>
#include <sys/time.h>

static inline struct timeval timeval_of_ms(uint32_t time_ms)
{
	return (struct timeval){
		.tv_sec = time_ms / 1000, .tv_usec = (suseconds_t)(time_ms % 1000) * 1000};
}

#endif
