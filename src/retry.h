/* What is tried again, and when. Pure C. */
#ifndef VOICECREDITS_RETRY_H
#define VOICECREDITS_RETRY_H

#include <stdbool.h>

struct retry {
    bool retryable;     /* the failure may pass */
    int attempts;       /* exchanges so far, at least 1 */
    int retries;        /* how many more than one are allowed */
    double retry_after; /* what the server asked for, in seconds; negative: nothing */
    double time_left;   /* seconds until the check's deadline */
};

/* Seconds to wait before the next exchange, or a negative number when there is to be none. `random` is from [0, 1).
 * What the server asks for is honoured whole; else it is exponential backoff with full jitter. */
double retry_delay(const struct retry *retry, double random);

#endif
