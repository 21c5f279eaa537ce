/* Points in time as text. Pure C; the machine's own time zone has no part in it. */
#ifndef VOICECREDITS_DATES_H
#define VOICECREDITS_DATES_H

#include <stdbool.h>
#include <stddef.h>

/* Reads an ISO 8601 date and time as RFC 3339 profiles it ("2026-04-29T17:48:46.000Z", "...+09:00") into Unix epoch
 * seconds, fractions kept. A text without a zone is taken as UTC, a date alone as its midnight. */
bool dates_iso8601(const char *text, size_t length, double *epoch);

/* Reads a Retry-After header (RFC 9110, section 10.2.3): a number of seconds, or a date, of which the seconds from `now`
 * (epoch) are given, 0 where it has passed. */
bool dates_retry_after(const char *text, double now, double *seconds);

#endif
