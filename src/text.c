#define _POSIX_C_SOURCE 200809L

#include "text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "resources.h"

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

/* ---- printable text ---- */

/* The code point at the start of `text` and its length in bytes, or a length of 0 where that is not valid UTF-8. */
static size_t decode_utf8(const char *text, size_t length, uint32_t *point)
{
    const unsigned char *byte = (const unsigned char *)text;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = byte[0] < 0x80                      ? 1
                  : byte[0] >= 0xf0 && byte[0] < 0xf8 ? 4
                  : byte[0] >= 0xe0 && byte[0] < 0xf0 ? 3
                  : byte[0] >= 0xc2 && byte[0] < 0xe0 ? 2
                                                      : 0;
    if (size == 0 || size > length) return 0;
    *point = size == 1 ? byte[0] : byte[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((byte[i] & 0xc0) != 0x80) return 0;
        *point = *point << 6 | (byte[i] & 0x3fu);
    }
    bool surrogate = *point >= 0xd800 && *point <= 0xdfff;
    return *point < smallest[size] || *point > 0x10ffff || surrogate ? 0 : size;
}

/* White space, control characters, and the invisible ones that reorder or hide the text around them, or are text that
 * nobody sees (tags). */
static bool is_blank(uint32_t point)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0, 0x20},        {0x7f, 0xa0},     {0xad, 0xad},      {0x61c, 0x61c},
                  {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202f},  {0x2060, 0x206f},
                  {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    if (point > 0x20 && point < 0x7f) return false;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (point >= ranges[i].first && point <= ranges[i].last) return true;
    }
    return false;
}

static size_t add_word(char *out, size_t used, size_t *room, const char *word)
{
    for (; *word != '\0' && *room > 0; word++, --*room) out[used++] = *word;
    return used;
}

struct secret {
    const char *text; /* NULL: there is none */
    size_t length;
};

/* Without the blanks around it, which do not come back: a header's value has none. */
static struct secret trim_secret(const char *text)
{
    if (text == NULL) return (struct secret){NULL, 0};
    text += strspn(text, " ");
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ') length--;
    return (struct secret){length > 0 ? text : NULL, length};
}

/* How many bytes of the secret begin here, 0 for none. A part of it counts too: somebody has cut the text, the provider or
 * the room for a header. */
static size_t measure_secret(const struct secret *secret, const char *text, size_t length)
{
    size_t same = 0;
    if (secret->text == NULL) return 0;
    while (same < secret->length && same < length && lower(text[same]) == lower(secret->text[same])) same++;
    return same == secret->length || same >= TEXT_SECRET_PART ? same : 0;
}

/* The same, up to the end of what else of the secret begins within it: a part of it may run into the whole. */
static size_t measure_secrets(const struct secret *secret, const char *text, size_t length)
{
    size_t end = measure_secret(secret, text, length);
    for (size_t at = 1; at < end; at++) {
        size_t more = measure_secret(secret, text + at, length - at);
        if (more > 0 && at + more > end) end = at + more;
    }
    return end;
}

bool text_holds_secret(const char *text, size_t length, const char *secret)
{
    struct secret hidden = trim_secret(secret);
    if (hidden.length < TEXT_SECRET_PART) return false;
    for (size_t at = 0; at + TEXT_SECRET_PART <= length; at++) {
        if (measure_secret(&hidden, text + at, length - at) > 0) return true;
    }
    return false;
}

size_t text_printable(char *out, size_t characters, const char *text, size_t length, const char *secret)
{
    struct secret hidden = trim_secret(secret);
    size_t used = 0, room = characters;
    bool blank = false;
    for (size_t at = 0, size; at < length && room > 0; at += size) {
        uint32_t point = 0;
        size_t secret_length = measure_secrets(&hidden, text + at, length - at);
        bool is_secret = secret_length > 0;
        size = is_secret ? secret_length : decode_utf8(text + at, length - at, &point);
        if (!is_secret && size > 0 && is_blank(point)) {
            blank = true;
            continue;
        }
        if (blank && used > 0) {
            if (room < 2) break; /* a space wants something after it */
            used = add_word(out, used, &room, " ");
        }
        blank = false;
        if (is_secret) {
            used = add_word(out, used, &room, "[key]");
        } else if (size == 0) {
            used = add_word(out, used, &room, "?");
            size = 1;
        } else {
            memcpy(out + used, text + at, size);
            used += size;
            room--;
        }
    }
    out[used] = '\0';
    return characters - room;
}

/* ---- numbers ---- */

/* The "C" locale, in which the decimal point is a point whatever the program has chosen for itself. */
static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t enter_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale != (locale_t)0 ? uselocale(c_locale) : (locale_t)0;
}

static void leave_c_locale(locale_t before)
{
    if (before != (locale_t)0) uselocale(before);
}

static size_t count_digits(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9') count++;
    return count;
}

bool text_decimal(const char *text, size_t length, double *number)
{
    size_t at = length > 0 && text[0] == '-' ? 1 : 0;
    size_t whole = count_digits(text + at, length - at);
    at += whole;
    if (whole > 0 && at < length && text[at] == '.') {
        size_t fraction = count_digits(text + at + 1, length - at - 1);
        if (fraction == 0) return false;
        at += 1 + fraction;
    }
    char copy[TEXT_DECIMAL_CHARACTERS + 1];
    if (whole == 0 || at != length || length >= sizeof copy) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    locale_t before = enter_c_locale();
    *number = strtod(copy, NULL);
    leave_c_locale(before);
    return isfinite(*number);
}

void text_shortest(char out[TEXT_NUMBER_SIZE], double number)
{
    if (number == floor(number) && fabs(number) < 9007199254740992.0) {
        snprintf(out, TEXT_NUMBER_SIZE, "%lld", (long long)number);
        return;
    }
    locale_t before = enter_c_locale();
    /* 15 digits are those of any decimal text that long; below DBL_MIN a double holds fewer. */
    for (int digits = fabs(number) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(out, TEXT_NUMBER_SIZE, "%.*g", digits, number);
        if (strtod(out, NULL) == number) break;
    }
    leave_c_locale(before);
}

/* ---- names ---- */

bool text_same_name(const char *name, const char *text, size_t length)
{
    if (strlen(name) != length) return false;
    for (size_t i = 0; i < length; i++) {
        if (lower(name[i]) != lower(text[i])) return false;
    }
    return true;
}

bool text_is_slip(const char *word, size_t length)
{
    static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-/";
    return length <= TEXT_SLIP && strspn(word, letters) == length;
}

enum { LONGEST_WORD = 32 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, added, taken out or swapped with their neighbour (Damerau and Levenshtein). */
static int distance(const char *a, const char *b)
{
    size_t shorter = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    if (shorter > 0 && strncmp(a, b, shorter) == 0) return a[shorter] != b[shorter]; /* one is the start of the other */
    int rows[LONGEST_WORD + 1][LONGEST_WORD + 1];
    int m = (int)strnlen(a, LONGEST_WORD), n = (int)strnlen(b, LONGEST_WORD);
    for (int i = 0; i <= m; i++) rows[i][0] = i;
    for (int j = 0; j <= n; j++) rows[0][j] = j;
    for (int i = 1; i <= m; i++) {
        for (int j = 1; j <= n; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            int best = least(rows[i - 1][j] + 1, rows[i][j - 1] + 1);
            best = least(best, rows[i - 1][j - 1] + (x != y));
            bool swapped = i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y;
            rows[i][j] = swapped ? least(best, rows[i - 2][j - 2] + 1) : best;
        }
    }
    return rows[m][n];
}

const char *text_nearest(const char *word, const char *const *words)
{
    const char *nearest = words[0];
    for (; *words != NULL; words++) {
        if (distance(word, *words) < distance(word, nearest)) nearest = *words;
    }
    return nearest;
}
