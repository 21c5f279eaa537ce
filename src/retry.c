#include "retry.h"

static const double first_backoff = 0.25, longest_backoff = 8;

double retry_delay(const struct retry *retry, double random)
{
    if (!retry->retryable || retry->attempts > retry->retries) return -1;
    double delay = retry->retry_after;
    if (delay < 0) {
        double backoff = first_backoff;
        for (int i = 1; i < retry->attempts && backoff < longest_backoff; i++) backoff *= 2;
        delay = backoff * random;
    }
    return delay < retry->time_left ? delay : -1;
}
