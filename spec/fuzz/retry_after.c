/* dates_retry_after, held against the C library's strptime for the three forms of an HTTP date, and what retry_delay makes
 * of it. */
#define _GNU_SOURCE

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "../../src/dates.h"
#include "../../src/retry.h"
#include "invariant.h"

static const time_t now = 1795167000; /* 2026-11-20, when the project's fixtures were fetched */

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    return 0;
}

/* Whether the text is a date in this form exactly as strftime writes it, weekday included. */
static bool is_written_as(const char *text, const char *form, time_t *date)
{
    char again[128];
    struct tm parts = {0};
    const char *end = strptime(text, form, &parts);
    if (end == NULL || *end != '\0') return false;
    *date = timegm(&parts);
    return gmtime_r(date, &parts) != NULL && strftime(again, sizeof again, form, &parts) > 0 &&
           strcmp(again, text) == 0;
}

/* RFC 9110, section 5.6.7. A year of two digits has no certain century: from 38 to 76 readers differ. */
static bool is_http_date(const char *text, time_t *date)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};
    static const time_t gregorian = -12212553600; /* 1583-01-01, the first year that libcurl reads */
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (is_written_as(text, forms[i], date)) return *date >= gregorian;
    }
    return is_written_as(text, "%A, %d-%b-%y %H:%M:%S GMT", date) &&
           (*date < 2145916800 /* 2038 */ && *date >= 220924800 /* 1977 */);
}

static void check_delays(double retry_after, double time_left)
{
    for (int attempts = 1; attempts <= 4; attempts++) {
        struct retry retry = {
            .retryable = true, .attempts = attempts, .retries = 2, .retry_after = retry_after, .time_left = time_left};
        double delay = retry_delay(&retry, 0.5);
        invariant(delay == -1 || (delay >= 0 && delay < time_left), "a delay of %g of %g s", delay, time_left);
        invariant(attempts <= 2 || delay == -1, "a try after attempt %d of 3", attempts);
        bool honoured = delay == -1 || retry_after < 0 || delay == retry_after;
        invariant(honoured, "a delay of %g s where %g s are asked for", delay, retry_after);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    double seconds = -1;
    time_t date;
    bool read = dates_retry_after(text, (double)now, &seconds);
    invariant(!read || (isfinite(seconds) && seconds >= 0), "'%s' is %g seconds", text, seconds);
    if (strspn(text, "0123456789") == strlen(text)) {
        double expected = strtod(text, NULL);
        bool valid = text[0] != '\0' && strlen(text) < 300;
        invariant(!valid || (read && seconds == expected), "'%s' is read as %.17g, not as %.17g", text, seconds,
                  expected);
    } else if (is_http_date(text, &date)) {
        double expected = date > now ? (double)(date - now) : 0;
        invariant(read, "the date '%s' is not read", text);
        invariant(seconds == expected, "'%s' is in %.17g seconds, not in %.17g", text, expected, seconds);
    } else if (read) {
        invariant(strchr("MTWFS", text[0]) != NULL, "'%s' is read as %g seconds", text, seconds);
    }
    check_delays(read ? seconds : -1, size % 60);
    free(text);
    return 0;
}
