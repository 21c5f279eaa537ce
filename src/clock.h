/* Time that only goes forward, in nanoseconds: for deadlines and durations. Points in time come from time(). */
#ifndef VOICECREDITS_CLOCK_H
#define VOICECREDITS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND      INT64_C(1000000000)
#define CLOCK_MILLISECOND INT64_C(1000000)

static inline int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * CLOCK_SECOND + now.tv_nsec;
}

/* Seconds as nanoseconds; a longer time than some 30 years is as good as for ever. */
static inline int64_t clock_from_seconds(double seconds)
{
    return seconds < 1e9 ? (int64_t)(seconds * 1e9) : INT64_C(1000000000) * CLOCK_SECOND;
}

static inline double clock_to_seconds(int64_t nanoseconds)
{
    return (double)nanoseconds / 1e9;
}

#endif
