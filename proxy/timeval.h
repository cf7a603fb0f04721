/*
 * Milliseconds, in which all of our times are, as libevent wants them; and a clock that never goes
 * back. For every process.
 */
#ifndef PROXY_TIMEVAL_H
#define PROXY_TIMEVAL_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

static inline struct timeval timeval_of_ms(uint32_t time_ms)
{
	return (struct timeval){
		.tv_sec = time_ms / 1000, .tv_usec = (suseconds_t)(time_ms % 1000) * 1000};
}

static inline uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
