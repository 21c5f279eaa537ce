/* Typed reads out of decoded JSON into a balance. The first thing that is not as it should be makes the reading a
 * protocol failure that names the field; whatever is read after that reads nothing, so a provider asks in a straight
 * line and looks back once. Knows no provider and no curl. */
#ifndef VOICECREDITS_READING_H
#define VOICECREDITS_READING_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

enum need {
    REQUIRED, /* there, and of its type */
    NULLABLE, /* there, of its type or null */
    OPTIONAL, /* of its type, null or not there */
    LENIENT   /* taken when it is of its type, else as if it were not there */
};

enum field_type {
    FIELD_NUMBER,  /* finite */
    FIELD_INTEGER, /* finite, without a fraction */
    FIELD_TEXT,
    FIELD_TIME /* ISO 8601 text, becomes epoch seconds */
};

/* One field of a JSON object and its name in the balance; NULL: it is only held against its type. */
struct field {
    const char *name; /* NULL ends a list of fields */
    enum field_type type;
    enum need need;
    const char *as;
};

enum { READING_DEPTH = 4 };

/* A step into a field, or into an item of its array (from 1; 0: the field itself). */
struct reading_step {
    const char *name;
    int index;
};

struct reading {
    lua_State *L;
    struct failure *failure;
    int null;                 /* stack index of JSON's null */
    int from;                 /* stack index of the object that is read (of a refusal: the array it may be) */
    int into;                 /* stack index of the table that is filled */
    int outer[READING_DEPTH]; /* `from` of the objects around this one */
    struct reading_step steps[READING_DEPTH]; /* how `from` was reached: credits, plans[1] */
    int depth;
};

/* True once something was wrong. */
bool reading_failed(const struct reading *reading);

/* Goes into the object in this field; false when it is not there or not as needed. Each true wants a reading_leave. */
bool reading_enter(struct reading *reading, const char *name, enum need need);
void reading_leave(struct reading *reading);

/* Copies these fields of the object into the table that is filled. */
void reading_fields(struct reading *reading, const struct field *fields);

/* The object in this field, as a table of these fields. */
void reading_object(struct reading *reading, const char *name, const char *as, const struct field *fields);

/* The array of objects in this field, as an array of tables of these fields; with `keep_unknown` the fields of the
 * objects that `fields` does not name are kept under their own names. */
void reading_list(struct reading *reading, const char *name, const char *as, const struct field *fields,
                  bool keep_unknown);

/* The balance itself: `remaining`, and `exact` as the number's shortest text. */
void reading_amount(struct reading *reading, const char *name, enum field_type type, enum need need);

/* The balance as decimal text: `exact` digit for digit, `remaining` its number. */
void reading_decimal_amount(struct reading *reading, const char *name);

/* This field where it is a number (an integer that a long holds, a text), without a word where it is not. A text stays
 * valid as long as the body. */
bool reading_peek_number(struct reading *reading, const char *name, double *number);
bool reading_peek_integer(struct reading *reading, const char *name, long *number);
bool reading_peek_text(struct reading *reading, const char *name, const char **text, size_t *length);
bool reading_peek_boolean(struct reading *reading, const char *name, bool *value);

/* Adds this field's text to the failure's message (see failure_quote); false where it is not text. */
bool reading_quote(struct reading *reading, const char *name);

/* The same for the texts of an array, one after the other; true where there was one. */
bool reading_quote_list(struct reading *reading, const char *name);

/* Goes into item `index` (from 1) of the array in this field (NULL: of the array that is read itself), where there is
 * such an object; wants a reading_leave. */
bool reading_enter_item(struct reading *reading, const char *name, int index);

/* "found" what was not expected there. */
void reading_expected(struct reading *reading, const char *name, const char *expected, const char *found);

#endif
