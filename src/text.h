/* Text from strangers, and decimal numbers as text. Pure C: knows no Lua, no curl, no provider. */
#ifndef VOICECREDITS_TEXT_H
#define VOICECREDITS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* What text_printable needs for `characters` characters: up to 4 bytes each, and the end. */
#define TEXT_SIZE(characters) ((characters)*4 + 1)

/* Room for text_shortest: sign, 17 digits, point, exponent; or 16 digits of a whole number. */
#define TEXT_NUMBER_SIZE 32

/* So many first characters of a key are no accident: where they stand they are hidden like the whole key. */
enum { TEXT_SECRET_PART = 8 };

/* Copies at most `characters` printable characters of UTF-8 text into `out` (TEXT_SIZE(characters) bytes) and ends it.
 * Runs of white space and control characters become one space, what is not valid UTF-8 a '?', and each place where
 * `secret` (may be NULL) stands, or TEXT_SECRET_PART or more characters of its beginning, in any letter case, is written
 * "[key]". Returns the number of characters. */
size_t text_printable(char *out, size_t characters, const char *text, size_t length, const char *secret);

/* True when a text that is to be left as it is has such a place. Of a shorter secret it says no: that is a word. */
bool text_holds_secret(const char *text, size_t length, const char *secret);

/* The longest text that text_decimal reads. */
enum { TEXT_DECIMAL_CHARACTERS = 511 };

/* Reads `-?digits[.digits]`, and nothing else, in every locale. False when the text is something else or longer, or the
 * number is too large for a double. */
bool text_decimal(const char *text, size_t length, double *number);

/* The shortest decimal text that reads back as the same number ("1250", "0.5"), in every locale. */
void text_shortest(char out[TEXT_NUMBER_SIZE], double number);

/* True when the two are the same but for the case of ASCII letters; `name` ends with a NUL, `text` has `length` bytes. */
bool text_same_name(const char *name, const char *text, size_t length);

/* Whether a wrong word can be nothing but a slip, and may be shown in a message: a longer one, or one with other
 * characters than the names have, may be a key in the wrong place. */
enum { TEXT_SLIP = 24 };
bool text_is_slip(const char *word, size_t length);

/* The word of `words` (ended by NULL) that takes the fewest changed, missing, added or swapped letters to become `word`. */
const char *text_nearest(const char *word, const char *const *words);

#endif
