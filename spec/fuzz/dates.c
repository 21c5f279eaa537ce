/* dates_iso8601, held against a regular expression and the C library's calendar. */
#define _GNU_SOURCE

#include <math.h>
#include <regex.h>
#include <stdbool.h>
#include <string.h>

#include "../../src/dates.h"
#include "invariant.h"

/* 1 year, 2 month, 3 day, 4 time, 5 hour, 6 minute, 7 second, 8 fraction, 9 zone, 10 sign, 11 hours, 12 minutes */
static const char *const form = "^([0-9]{4})-([0-9]{2})-([0-9]{2})"
                                "([Tt ]([0-9]{2}):([0-9]{2})(:[0-9]{2}([.,][0-9]+)?)?"
                                "([Zz]|([+-])([0-9]{2})(:?[0-9]{2})?)?)?$";

enum { GROUPS = 13, YEAR = 1, MONTH, DAY, TIME, HOUR, MINUTE, SECOND, FRACTION, ZONE, SIGN, ZONE_HOURS, ZONE_MINUTES };

static regex_t pattern;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    invariant(regcomp(&pattern, form, REG_EXTENDED) == 0, "%s does not compile", form);
    return 0;
}

/* The number of up to four digits at the start of this group, past a colon, or 0 where the group is not there. */
static int number(const char *text, const regmatch_t *group)
{
    char digits[5] = "";
    if (group->rm_so < 0) return 0;
    const char *start = text + group->rm_so + (text[group->rm_so] == ':');
    size_t length = (size_t)(text + group->rm_eo - start);
    strncat(digits, start, length < 4 ? length : 4);
    return atoi(digits);
}

static double fraction(const char *text, const regmatch_t *group)
{
    if (group->rm_so < 0) return 0;
    char copy[64] = "0.";
    size_t length = (size_t)(group->rm_eo - group->rm_so - 1);
    strncat(copy, text + group->rm_so + 1, length < 40 ? length : 40);
    return strtod(copy, NULL);
}

static bool reference(const char *text, double *epoch)
{
    regmatch_t groups[GROUPS];
    if (regexec(&pattern, text, GROUPS, groups, 0) != 0) return false;
    struct tm date = {.tm_year = number(text, &groups[YEAR]) - 1900,
                      .tm_mon = number(text, &groups[MONTH]) - 1,
                      .tm_mday = number(text, &groups[DAY])};
    int hour = number(text, &groups[HOUR]), minute = number(text, &groups[MINUTE]);
    int second = number(text, &groups[SECOND]), zone_hours = number(text, &groups[ZONE_HOURS]);
    int zone_minutes = number(text, &groups[ZONE_MINUTES]);
    struct tm asked = date;
    double midnight = (double)timegm(&date); /* 31 February becomes 3 March */
    if (date.tm_mon != asked.tm_mon || date.tm_mday != asked.tm_mday) return false;
    if (hour > 23 || minute > 59 || second > 60 || zone_hours > 23 || zone_minutes > 59) return false;
    int offset = zone_hours * 3600 + zone_minutes * 60;
    if (groups[SIGN].rm_so >= 0 && text[groups[SIGN].rm_so] == '-') offset = -offset;
    *epoch = midnight + hour * 3600 + minute * 60 + second - offset + fraction(text, &groups[FRACTION]);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double epoch = NAN, expected = NAN;
    bool read = dates_iso8601((const char *)data, size, &epoch);
    if (memchr(data, '\0', size) != NULL) {
        invariant(!read, "a text with a NUL is read as %.17g", epoch);
        return 0;
    }
    char *text = strndup((const char *)data, size);
    bool valid = reference(text, &expected);
    invariant(read == valid, "'%s' is%s read, the reference does%s", text, read ? "" : " not", valid ? "" : " not");
    invariant(!read || fabs(epoch - expected) <= 1e-9 + 4e-16 * fabs(expected), "'%s' is read as %.17g, not as %.17g",
              text, epoch, expected);
    free(text);
    return 0;
}
