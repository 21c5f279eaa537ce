/* text_decimal and text_shortest in a locale with a decimal comma, held against the C library in the "C" locale. */
#define _GNU_SOURCE

#include <locale.h>
#include <math.h>
#include <regex.h>
#include <stdbool.h>
#include <string.h>

#include "../../src/text.h"
#include "invariant.h"

enum { LONGEST = 511, DIGITS = 17 };

/* Each digit by itself: in a locale a range may hold others, as circled ones. */
static const char *const form = "^-?[0123456789]+(\\.[0123456789]+)?$";

static regex_t pattern;
static locale_t c_locale;

/* LOCPATH is set while it is needed only: what the C library makes of it in a newlocale is never freed. */
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    const char *folder = getenv("FUZZ_LOCALES"); /* see run.sh */
    invariant(folder != NULL, "FUZZ_LOCALES does not say where the locale is");
    setenv("LOCPATH", folder, 1);
    const char *locale = setlocale(LC_ALL, "de_DE.UTF-8");
    unsetenv("LOCPATH");
    invariant(locale != NULL && strcmp(localeconv()->decimal_point, ",") == 0,
              "there is no locale with a decimal comma");
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    invariant(regcomp(&pattern, form, REG_EXTENDED | REG_NOSUB) == 0, "%s does not compile", form);
    return 0;
}

static void check_decimal(const char *text, size_t size)
{
    double number = NAN, expected = NAN;
    bool read = text_decimal(text, size, &number), valid = false;
    char *copy = strndup(text, size);
    if (strlen(copy) == size && size <= LONGEST && regexec(&pattern, copy, 0, NULL, 0) == 0) {
        expected = strtod_l(copy, NULL, c_locale);
        valid = isfinite(expected);
    }
    invariant(read == valid, "'%s' is%s read", copy, read ? "" : " not");
    invariant(!read || number == expected, "'%s' is read as %.17g, not as %.17g", copy, number, expected);
    free(copy);
}

/* How many digits the text has without zeros at either end and the exponent. */
static int count_digits(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && count == 0)) continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

/* The fewest digits that read back as the same number. */
static int fewest_digits(double number)
{
    char text[64];
    locale_t before = uselocale(c_locale);
    int digits = 1;
    for (; digits < DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, number);
        if (strtod(text, NULL) == number) break;
    }
    uselocale(before);
    return digits;
}

static void check_shortest(double number)
{
    char text[TEXT_NUMBER_SIZE];
    if (!isfinite(number)) return;
    text_shortest(text, number);
    invariant(memchr(text, '\0', sizeof text) != NULL, "%.17g has no end", number);
    invariant(strspn(text, "-+.0123456789e") == strlen(text), "%.17g is written as '%s'", number, text);
    invariant(strtod_l(text, NULL, c_locale) == number, "%.17g is written as '%s'", number, text);
    invariant(number != 0 || strcmp(text, "0") == 0, "zero is written as '%s'", text);
    invariant(count_digits(text) <= fewest_digits(number), "%.17g is written as '%s'", number, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double number;
    check_decimal((const char *)data, size);
    if (text_decimal((const char *)data, size, &number)) check_shortest(number);
    if (size >= sizeof number) {
        memcpy(&number, data, sizeof number);
        check_shortest(number);
    }
    return 0;
}
