#include "dates.h"

#include <curl/curl.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

struct cursor {
    const char *at, *end;
};

static bool take_character(struct cursor *cursor, const char *any)
{
    if (cursor->at == cursor->end || *cursor->at == '\0' || strchr(any, *cursor->at) == NULL) return false;
    cursor->at++;
    return true;
}

/* Exactly `digits` digits that make a number between `least` and `most`. */
static bool take_number(struct cursor *cursor, int digits, int least, int most, int *number)
{
    *number = 0;
    for (int i = 0; i < digits; i++, cursor->at++) {
        if (cursor->at == cursor->end || *cursor->at < '0' || *cursor->at > '9') return false;
        *number = *number * 10 + (*cursor->at - '0');
    }
    return *number >= least && *number <= most;
}

/* Days from 1970-01-01 in the Gregorian calendar; years are counted from March, so that the leap day comes last. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct cursor *cursor, double *epoch)
{
    int year, month, day;
    if (!take_number(cursor, 4, 0, 9999, &year) || !take_character(cursor, "-")) return false;
    if (!take_number(cursor, 2, 1, 12, &month) || !take_character(cursor, "-")) return false;
    if (!take_number(cursor, 2, 1, days_in_month(year, month), &day)) return false;
    *epoch = (double)days_from_date(year, month, day) * 86400.0;
    return true;
}

/* The digits after the point, as a fraction of a second; 15 of them are all that a double could hold. */
static bool take_fraction(struct cursor *cursor, double *epoch)
{
    double numerator = 0, denominator = 1;
    const char *start = cursor->at;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
        if (cursor->at - start >= 15) continue;
        numerator = numerator * 10 + (*cursor->at - '0');
        denominator *= 10;
    }
    *epoch += numerator / denominator;
    return cursor->at > start;
}

static bool take_time(struct cursor *cursor, double *epoch)
{
    int hour, minute, second = 0;
    if (!take_number(cursor, 2, 0, 23, &hour) || !take_character(cursor, ":")) return false;
    if (!take_number(cursor, 2, 0, 59, &minute)) return false;
    bool seconds = take_character(cursor, ":");
    if (seconds && !take_number(cursor, 2, 0, 60, &second)) return false;
    *epoch += hour * 3600 + minute * 60 + second;
    /* After minutes alone it would be a fraction of a minute, which RFC 3339 does not know. */
    return !take_character(cursor, ".,") || (seconds && take_fraction(cursor, epoch));
}

static bool take_zone(struct cursor *cursor, double *epoch)
{
    if (cursor->at == cursor->end || take_character(cursor, "Zz")) return true;
    int hours, minutes = 0, sign = *cursor->at == '-' ? -1 : 1;
    if (!take_character(cursor, "+-") || !take_number(cursor, 2, 0, 23, &hours)) return false;
    bool more = take_character(cursor, ":") || cursor->at < cursor->end;
    if (more && !take_number(cursor, 2, 0, 59, &minutes)) return false;
    *epoch -= sign * (hours * 3600 + minutes * 60);
    return true;
}

bool dates_iso8601(const char *text, size_t length, double *epoch)
{
    struct cursor cursor = {text, text + length};
    if (!take_date(&cursor, epoch)) return false;
    if (cursor.at == cursor.end) return true;
    return take_character(&cursor, "Tt ") && take_time(&cursor, epoch) && take_zone(&cursor, epoch) &&
           cursor.at == cursor.end;
}

bool dates_retry_after(const char *text, double now, double *seconds)
{
    size_t length = strlen(text);
    if (length > 0 && strspn(text, "0123456789") == length) return text_decimal(text, length, seconds);
    /* Every HTTP date begins with the name of a weekday; curl_getdate alone would read much more than HTTP dates. */
    bool weekday = length > 3 && strchr("MTWFS", text[0]) != NULL;
    time_t date = weekday ? curl_getdate(text, NULL) : -1;
    if (date == (time_t)-1) return false;
    *seconds = fmax(0, (double)date - now);
    return true;
}
