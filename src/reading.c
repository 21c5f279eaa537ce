#include "reading.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "dates.h"

static const char *const type_names[] = {
    [FIELD_NUMBER] = "a number",
    [FIELD_INTEGER] = "an integer",
    [FIELD_TEXT] = "a string",
    [FIELD_TIME] = "an ISO 8601 time",
};

bool reading_failed(const struct reading *reading)
{
    return reading->failure->kind != FAILURE_NONE;
}

/* "credits.plans[1].name" into `out`. */
static void print_path(const struct reading *reading, const char *name, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < reading->depth && used < size; i++) {
        const struct reading_step *step = &reading->steps[i];
        const char *separator = i + 1 < reading->depth || name[0] != '\0' ? "." : "";
        char item[16] = "";
        if (step->index > 0) snprintf(item, sizeof item, "[%d]", step->index);
        used += (size_t)snprintf(out + used, size - used, "%s%s%s", step->name, item, separator);
    }
    if (used < size) snprintf(out + used, size - used, "%s", name);
}

void reading_expected(struct reading *reading, const char *name, const char *expected, const char *found)
{
    char path[128];
    if (reading_failed(reading)) return;
    print_path(reading, name, path, sizeof path);
    failure_set(reading->failure, FAILURE_PROTOCOL, "%s: expected %s, found %s", path, expected, found);
}

/* ---- the value on the top of the stack ---- */

static bool is_null(struct reading *reading)
{
    return lua_rawequal(reading->L, -1, reading->null);
}

/* A JSON array, or an object: lua-cjson makes tables of both, and an empty one may be either. */
static bool is_array(lua_State *L, int index)
{
    return lua_istable(L, index) && compat_rawlen(L, index) > 0;
}

static const char *describe(struct reading *reading)
{
    lua_State *L = reading->L;
    if (is_null(reading)) return "null";
    switch (lua_type(L, -1)) {
    case LUA_TNIL: return "nothing";
    case LUA_TBOOLEAN: return "a boolean";
    case LUA_TSTRING: return "a string";
    case LUA_TTABLE: return is_array(L, -1) ? "an array" : "an object";
    case LUA_TNUMBER: return isfinite(lua_tonumber(L, -1)) ? "a number" : "a number out of range";
    default: return "something else";
    }
}

/* Pushes the field and tells whether it is worth looking at: there, not null, and nothing was wrong before. */
static bool fetch(struct reading *reading, const char *name, enum need need, const char *expected)
{
    lua_State *L = reading->L;
    luaL_checkstack(L, 6, "a JSON field");
    lua_pushstring(L, name);
    lua_rawget(L, reading->from);
    if (reading_failed(reading) && need != LENIENT) return false;
    bool missing = lua_isnil(L, -1), null = is_null(reading);
    if (!missing && !null) return true;
    bool allowed = need == LENIENT || need == OPTIONAL || (need == NULLABLE && null);
    if (!allowed) reading_expected(reading, name, expected, describe(reading));
    return false;
}

static bool wrong(struct reading *reading, const char *name, enum need need, const char *expected, const char *found)
{
    if (need != LENIENT) reading_expected(reading, name, expected, found);
    return false;
}

/* Reads the field as a number; pushes its value all the same. */
static bool fetch_number(struct reading *reading, const char *name, enum field_type type, enum need need,
                         double *number)
{
    const char *expected = type_names[type];
    if (!fetch(reading, name, need, expected)) return false;
    if (lua_type(reading->L, -1) != LUA_TNUMBER) return wrong(reading, name, need, expected, describe(reading));
    *number = lua_tonumber(reading->L, -1);
    if (!isfinite(*number)) return wrong(reading, name, need, expected, "a number out of range");
    if (type == FIELD_INTEGER && *number != floor(*number)) return wrong(reading, name, need, expected, "a fraction");
    return true;
}

static const char *fetch_text(struct reading *reading, const char *name, enum need need, const char *expected,
                              size_t *length)
{
    if (!fetch(reading, name, need, expected)) return NULL;
    if (lua_type(reading->L, -1) == LUA_TSTRING) return lua_tolstring(reading->L, -1, length);
    wrong(reading, name, need, expected, describe(reading));
    return NULL;
}

/* ---- copying into the balance ---- */

/* Under no name a field is only held against its type. */
static void store(struct reading *reading, const char *as)
{
    if (as != NULL) {
        lua_setfield(reading->L, reading->into, as);
    } else {
        lua_pop(reading->L, 1);
    }
}

/* A provider that repeats the key in a text of its own: no name is worth to show it. */
static void hide_secret(struct reading *reading)
{
    size_t length = 0;
    const char *text = lua_type(reading->L, -1) == LUA_TSTRING ? lua_tolstring(reading->L, -1, &length) : NULL;
    if (text == NULL || !text_holds_secret(text, length, reading->failure->secret)) return;
    lua_pop(reading->L, 1);
    lua_pushliteral(reading->L, "[key]");
}

static void read_field(struct reading *reading, const struct field *field)
{
    lua_State *L = reading->L;
    int top = lua_gettop(L);
    double number;
    size_t length;
    if (field->type == FIELD_TEXT) {
        if (fetch_text(reading, field->name, field->need, type_names[FIELD_TEXT], &length) != NULL) {
            hide_secret(reading);
            store(reading, field->as);
        }
    } else if (field->type == FIELD_TIME) {
        const char *text = fetch_text(reading, field->name, field->need, type_names[FIELD_TIME], &length);
        if (text != NULL && dates_iso8601(text, length, &number)) {
            compat_pushnumber(L, number);
            store(reading, field->as);
        } else if (text != NULL) {
            wrong(reading, field->name, field->need, type_names[FIELD_TIME], "other text");
        }
    } else if (fetch_number(reading, field->name, field->type, field->need, &number)) {
        compat_pushnumber(L, number);
        store(reading, field->as);
    }
    lua_settop(L, top);
}

void reading_fields(struct reading *reading, const struct field *fields)
{
    for (; fields->name != NULL; fields++) read_field(reading, fields);
}

/* Makes the object on the top of the stack the one that is read; false where it lies too deep. */
static bool go_in(struct reading *reading, const char *name, int index)
{
    if (reading->depth == READING_DEPTH) return false;
    reading->steps[reading->depth] = (struct reading_step){name, index};
    reading->outer[reading->depth++] = reading->from;
    reading->from = lua_gettop(reading->L);
    return true;
}

bool reading_enter(struct reading *reading, const char *name, enum need need)
{
    bool there = fetch(reading, name, need, "an object");
    if (there && (!lua_istable(reading->L, -1) || is_array(reading->L, -1))) {
        there = wrong(reading, name, need, "an object", describe(reading));
    }
    if (there && go_in(reading, name, 0)) return true;
    lua_pop(reading->L, 1);
    return false;
}

bool reading_enter_item(struct reading *reading, const char *name, int index)
{
    lua_State *L = reading->L;
    if (name != NULL) {
        fetch(reading, name, LENIENT, "an array");
    } else {
        lua_pushvalue(L, reading->from);
    }
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, index);
        lua_remove(L, -2);
    }
    if (lua_istable(L, -1) && go_in(reading, name != NULL ? name : "", index)) return true;
    lua_pop(L, 1);
    return false;
}

void reading_leave(struct reading *reading)
{
    lua_settop(reading->L, reading->from - 1);
    reading->from = reading->outer[--reading->depth];
}

static int count_fields(const struct field *fields)
{
    int count = 0;
    while (fields[count].name != NULL) count++;
    return count;
}

void reading_object(struct reading *reading, const char *name, const char *as, const struct field *fields)
{
    int into = reading->into;
    if (!reading_enter(reading, name, OPTIONAL)) return;
    lua_createtable(reading->L, 0, count_fields(fields));
    reading->into = lua_gettop(reading->L);
    reading_fields(reading, fields);
    lua_pushvalue(reading->L, reading->into);
    reading->into = into;
    store(reading, as);
    reading_leave(reading);
}

static bool is_named(const struct field *fields, const char *name)
{
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0) return true;
    }
    return false;
}

static void keep_others(struct reading *reading, const struct field *fields)
{
    lua_State *L = reading->L;
    for (lua_pushnil(L); lua_next(L, reading->from) != 0; lua_pop(L, 1)) {
        size_t length = 0;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
        if (name == NULL || is_named(fields, name)) continue;
        if (text_holds_secret(name, length, reading->failure->secret)) continue;
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        hide_secret(reading);
        lua_rawset(L, reading->into);
    }
}

/* Reads item `index` of the array at `array` and pushes it as a table; false when it is not an object. */
static bool read_item(struct reading *reading, const char *name, int array, int index, const struct field *fields,
                      bool keep_unknown)
{
    lua_State *L = reading->L;
    int into = reading->into;
    lua_createtable(L, 0, count_fields(fields));
    reading->into = lua_gettop(L);
    lua_rawgeti(L, array, index);
    if (!go_in(reading, name, index)) return false;
    if (!lua_istable(L, -1) || is_array(L, -1)) {
        reading_expected(reading, "", "an object", describe(reading));
    } else {
        if (keep_unknown) keep_others(reading, fields);
        reading_fields(reading, fields);
    }
    reading_leave(reading);
    reading->into = into;
    return !reading_failed(reading);
}

void reading_list(struct reading *reading, const char *name, const char *as, const struct field *fields,
                  bool keep_unknown)
{
    lua_State *L = reading->L;
    int top = lua_gettop(L);
    luaL_checkstack(L, 10, "a JSON array");
    if (fetch(reading, name, OPTIONAL, "an array")) {
        int array = lua_gettop(L);
        bool is_object = lua_istable(L, array) && !is_array(L, array) && (lua_pushnil(L), lua_next(L, array) != 0);
        lua_settop(L, array);
        if (!lua_istable(L, array) || is_object) {
            reading_expected(reading, name, "an array", describe(reading));
        } else {
            int length = (int)compat_rawlen(L, array);
            lua_createtable(L, length, 0);
            for (int i = 1; i <= length; i++) {
                if (!read_item(reading, name, array, i, fields, keep_unknown)) break;
                lua_rawseti(L, array + 1, i);
            }
            lua_settop(L, array + 1);
            store(reading, as);
        }
    }
    lua_settop(L, top);
}

/* ---- the amount ---- */

void reading_amount(struct reading *reading, const char *name, enum field_type type, enum need need)
{
    lua_State *L = reading->L;
    int top = lua_gettop(L);
    double number;
    if (fetch_number(reading, name, type, need, &number)) {
        char exact[TEXT_NUMBER_SIZE];
        text_shortest(exact, number);
        compat_pushnumber(L, number);
        store(reading, "remaining");
        lua_pushstring(L, exact);
        store(reading, "exact");
    }
    lua_settop(L, top);
}

void reading_decimal_amount(struct reading *reading, const char *name)
{
    static const char *const expected = "a decimal number in a string";
    lua_State *L = reading->L;
    int top = lua_gettop(L);
    double number;
    size_t length;
    const char *text = fetch_text(reading, name, REQUIRED, expected, &length);
    if (text != NULL && text_decimal(text, length, &number)) {
        store(reading, "exact");
        compat_pushnumber(L, number);
        store(reading, "remaining");
    } else if (text != NULL) {
        reading_expected(reading, name, expected, length == 0 ? "an empty string" : "a string of another form");
    }
    lua_settop(L, top);
}

/* ---- peeking ---- */

bool reading_peek_number(struct reading *reading, const char *name, double *number)
{
    bool found = fetch_number(reading, name, FIELD_NUMBER, LENIENT, number);
    lua_pop(reading->L, 1);
    return found;
}

bool reading_peek_integer(struct reading *reading, const char *name, long *number)
{
    double value;
    bool found = fetch_number(reading, name, FIELD_INTEGER, LENIENT, &value) && fabs(value) <= INT_MAX;
    if (found) *number = (long)value;
    lua_pop(reading->L, 1);
    return found;
}

bool reading_peek_text(struct reading *reading, const char *name, const char **text, size_t *length)
{
    *text = fetch_text(reading, name, LENIENT, type_names[FIELD_TEXT], length);
    lua_pop(reading->L, 1);
    return *text != NULL;
}

bool reading_peek_boolean(struct reading *reading, const char *name, bool *value)
{
    bool found = fetch(reading, name, LENIENT, "a boolean") && lua_isboolean(reading->L, -1);
    if (found) *value = lua_toboolean(reading->L, -1);
    lua_pop(reading->L, 1);
    return found;
}

bool reading_quote(struct reading *reading, const char *name)
{
    const char *text;
    size_t length;
    bool found = reading_peek_text(reading, name, &text, &length);
    if (found) failure_quote(reading->failure, text, length);
    return found;
}

bool reading_quote_list(struct reading *reading, const char *name)
{
    lua_State *L = reading->L;
    bool found = false;
    if (fetch(reading, name, LENIENT, "an array") && lua_istable(L, -1)) {
        for (int i = 1, length = (int)compat_rawlen(L, -1); i <= length; i++) {
            lua_rawgeti(L, -1, i);
            if (lua_type(L, -1) == LUA_TSTRING) {
                size_t size;
                const char *text = lua_tolstring(L, -1, &size);
                failure_quote(reading->failure, text, size);
                found = true;
            }
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    return found;
}
