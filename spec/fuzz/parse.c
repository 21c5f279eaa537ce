/* `parse` of one provider (PROVIDER is its name), called as a program calls it. The input is an answer as text: a line
 * with the status, a line for each header, an empty line, the body. */
#define _GNU_SOURCE

#include <locale.h>
#include <math.h>
#include <sanitizer/lsan_interface.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "module.h"

/* In words.dict too, so that answers come to hold it. No 8 letters of it stand in it twice, or in a number. */
static const char key[] = "sk-fuzz-zyxwvutsrqponmlkjihgfedcbaZYXWVU";

enum { KEY = sizeof key - 1, PART_OF_KEY = 8, MESSAGE = 200, CODE = 64, LABEL = 80 };
enum { RUNS_PER_STATE = 20000, RUNS_PER_COLLECTION = 64 };

static const double longest_seconds = 5; /* of processor time, sanitizers included */

struct text {
    const char *at;
    size_t length;
};

/* ---- the module ---- */

/* The state that all runs share, with `parse` at index 1 and nothing else. It is made anew now and then to look for
 * leaks: libFuzzer's own look after each run would find the garbage that Lua has not collected yet. */
static lua_State *shared_state(void)
{
    static lua_State *L;
    static unsigned runs;
    if (L != NULL && runs++ < RUNS_PER_STATE) {
        if (runs % RUNS_PER_COLLECTION == 0) lua_gc(L, LUA_GCCOLLECT);
        return L;
    }
    if (L != NULL) {
        lua_close(L);
        invariant(__lsan_do_recoverable_leak_check() == 0, "memory was leaked in the last %u runs", runs);
    }
    runs = 0;
    L = new_state("");
    return L;
}

/* ---- the input ---- */

static struct text take_line(struct text *rest)
{
    const char *end = memchr(rest->at, '\n', rest->length);
    struct text line = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->length};
    size_t taken = end != NULL ? line.length + 1 : line.length;
    rest->at += taken;
    rest->length -= taken;
    if (line.length > 0 && line.at[line.length - 1] == '\r') line.length--;
    return line;
}

static long read_status(struct text line)
{
    long status = 0;
    for (size_t i = 0; i < line.length && i < 3 && line.at[i] >= '0' && line.at[i] <= '9'; i++)
        status = status * 10 + (line.at[i] - '0');
    return status >= 100 ? status : 200;
}

/* Sets the header in the table on the top of the stack; one that comes again becomes an array of texts. */
static void add_header(lua_State *L, struct text line)
{
    const char *colon = memchr(line.at, ':', line.length);
    size_t name = colon != NULL ? (size_t)(colon - line.at) : line.length;
    size_t value = colon != NULL ? name + 1 : line.length;
    lua_pushlstring(L, line.at, name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_type(L, -1) == LUA_TSTRING) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    if (lua_istable(L, -1)) {
        lua_pushlstring(L, line.at + value, line.length - value);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    } else {
        lua_pop(L, 1);
        lua_pushlstring(L, line.at + value, line.length - value);
    }
    lua_rawset(L, -3);
}

/* Pushes { status, headers, body }; without an empty line there is no body. Returns the status. */
static long push_answer(lua_State *L, struct text rest)
{
    long status = read_status(take_line(&rest));
    bool ended = false;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    lua_newtable(L);
    while (rest.length > 0 && !ended) {
        struct text line = take_line(&rest);
        ended = line.length == 0;
        if (!ended) add_header(L, line);
    }
    lua_setfield(L, -2, "headers");
    if (ended) {
        lua_pushlstring(L, rest.at, rest.length);
        lua_setfield(L, -2, "body");
    }
    return status;
}

/* ---- what texts may hold ---- */

/* Characters that are not seen and reorder or hide what stands around them. */
static bool is_hidden(wchar_t point)
{
    static const wchar_t ranges[][2] = {
        {0xad, 0xad},     {0x61c, 0x61c},   {0x180e, 0x180e}, {0x200b, 0x200f},   {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (point >= ranges[i][0] && point <= ranges[i][1]) return true;
    }
    return false;
}

/* Whether the input itself holds these letters elsewhere than in a whole key. A body may write them as \u0073: then it
 * is not looked into. */
static bool input_holds(struct text input, const char *part)
{
    if (memchr(input.at, '\\', input.length) != NULL) return true;
    char *copy = malloc(input.length + 1), *found;
    memcpy(copy, input.at, input.length);
    while ((found = memmem(copy, input.length, key, KEY)) != NULL) memset(found, '\n', KEY);
    bool holds = memmem(copy, input.length, part, PART_OF_KEY) != NULL;
    free(copy);
    return holds;
}

/* The key is never shown, and neither is a part of it that the provider sent as a part of the whole. */
static void check_no_key(struct text text, const char *name, struct text input)
{
    invariant(memmem(text.at, text.length, key, KEY) == NULL, "%s shows the key: %s", name, text.at);
    for (size_t i = 0; i + PART_OF_KEY <= KEY; i++) {
        if (memmem(text.at, text.length, key + i, PART_OF_KEY) == NULL) continue;
        invariant(input_holds(input, key + i), "%s shows a part of the key: %s", name, text.at);
    }
}

/* One line of printable UTF-8 without the key, of at most so many characters. */
static void check_text(struct text text, size_t most, const char *name, struct text input)
{
    size_t characters = 0;
    mbstate_t state = {0};
    for (size_t at = 0, size; at < text.length; at += size, characters++) {
        wchar_t point = 0;
        size = mbrtowc(&point, text.at + at, text.length - at, &state);
        invariant(size > 0 && size <= 4, "%s is not UTF-8: %s", name, text.at);
        invariant(!iswcntrl((wint_t)point) && !is_hidden(point), "%s holds U+%04X", name, (unsigned)point);
    }
    invariant(characters > 0 && characters <= most, "%s has %zu characters", name, characters);
    check_no_key(text, name, input);
}

/* ---- fields of the answer ---- */

static struct text text_of(lua_State *L, int index)
{
    struct text text = {NULL, 0};
    if (lua_type(L, index) == LUA_TSTRING) text.at = lua_tolstring(L, index, &text.length);
    return text;
}

static void check_field(lua_State *L, int index, const char *name, size_t most, struct text input)
{
    lua_getfield(L, index, name);
    invariant(lua_isnil(L, -1) || lua_type(L, -1) == LUA_TSTRING, "%s is a %s", name, luaL_typename(L, -1));
    if (!lua_isnil(L, -1)) check_text(text_of(L, -1), most, name, input);
    lua_pop(L, 1);
}

static void check_equal(lua_State *L, int index, const char *name, const char *expected)
{
    lua_getfield(L, index, name);
    invariant(lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), expected) == 0, "%s is not '%s'", name,
              expected);
    lua_pop(L, 1);
}

/* The number in this field, which is finite, or `otherwise` where there is none. */
static double number_of(lua_State *L, int index, const char *name, double otherwise)
{
    lua_getfield(L, index, name);
    invariant(lua_isnil(L, -1) || lua_type(L, -1) == LUA_TNUMBER, "%s is a %s", name, luaL_typename(L, -1));
    double number = lua_isnil(L, -1) ? otherwise : lua_tonumber(L, -1);
    invariant(isfinite(number), "%s is %g", name, number);
    lua_pop(L, 1);
    return number;
}

/* The tables of this array of tables have finite numbers in these fields. */
static void check_list(lua_State *L, int balance, const char *name, const char *const *fields)
{
    lua_getfield(L, balance, name);
    for (lua_Integer i = 1, count = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        invariant(lua_istable(L, -1), "%s[%d] is a %s", name, (int)i, luaL_typename(L, -1));
        for (const char *const *field = fields; *field != NULL; field++) number_of(L, lua_gettop(L), *field, 0);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* ---- a balance ---- */

struct provider {
    const char *name, *unit;
    const char *object, *amount; /* where the amount stands in the body */
    bool may_be_unknown;
};

static const struct provider *provider_named(const char *name)
{
    static const struct provider providers[] = {
        {"supertone", "credits", NULL, "balance", true}, {"suno", "credits", NULL, "data", false},
        {"fish", "USD", NULL, "credit", false},          {"srtgen", "credits", "credits", "totalBalance", false},
        {"breeze", "credits", NULL, "balance", false},
    };
    for (size_t i = 0; i < sizeof providers / sizeof providers[0]; i++) {
        if (strcmp(providers[i].name, name) == 0) return &providers[i];
    }
    return NULL;
}

/* Pushes the amount as it stands in the body. */
static void push_raw_amount(lua_State *L, int balance, const struct provider *provider)
{
    lua_getfield(L, balance, "raw");
    if (provider->object != NULL) lua_getfield(L, -1, provider->object);
    lua_getfield(L, -1, provider->amount);
}

/* Breeze's thousandths: three decimals that say what `remaining` says. */
static bool are_thousandths(const char *exact, double remaining)
{
    const char *point = strchr(exact, '.');
    double difference = fabs(strtod(exact, NULL) - remaining);
    return point != NULL && strlen(point) == 4 && difference <= 0.0005 + 4e-16 * fabs(remaining);
}

static void check_amount(lua_State *L, int balance, const struct provider *provider)
{
    lua_getfield(L, balance, "exact");
    const char *exact = lua_tostring(L, -1);
    lua_getfield(L, balance, "remaining");
    push_raw_amount(L, balance, provider);
    int raw = lua_gettop(L), remaining = balance + 2;
    if (lua_isnil(L, remaining)) {
        invariant(provider->may_be_unknown && exact == NULL, "remaining is nil, exact %s",
                  exact != NULL ? exact : "nil");
        invariant(lua_islightuserdata(L, raw), "remaining is nil where the provider did not say null");
    } else {
        double number = number_of(L, balance, "remaining", NAN);
        invariant(exact != NULL, "exact is missing beside remaining = %.17g", number);
        invariant(strspn(exact, "-+.0123456789e") == strlen(exact), "exact is no decimal text: %s", exact);
        bool same = strtod(exact, NULL) == number;
        bool thousandths = strcmp(provider->name, "breeze") == 0 && are_thousandths(exact, number);
        invariant(same || thousandths, "exact %s is not remaining %.17g", exact, number);
        if (lua_type(L, raw) == LUA_TSTRING) {
            invariant(strcmp(lua_tostring(L, raw), exact) == 0, "exact %s is not the body's text", exact);
        } else {
            invariant(lua_tonumber(L, raw) == number, "remaining %.17g is not the body's number", number);
        }
    }
    lua_settop(L, balance);
}

static void check_balance_line(lua_State *L, int balance, const struct provider *provider)
{
    char expected[1024];
    lua_getfield(L, balance, "exact");
    const char *exact = lua_isnil(L, -1) ? "unknown" : lua_tostring(L, -1);
    snprintf(expected, sizeof expected, "%s/studio: %s %s", provider->name, exact, provider->unit);
    const char *line = luaL_tolstring(L, balance, NULL);
    invariant(strcmp(line, expected) == 0, "prints as '%s', not as '%s'", line, expected);
    lua_settop(L, balance);
}

static void check_balance(lua_State *L, int balance, long status, struct text input)
{
    static const char *const numbers[] = {"limit",      "extra",   "resets_at", "updated_at",
                                          "fetched_at", "elapsed", "attempts"};
    const struct provider *provider = provider_named(PROVIDER);
    invariant(provider != NULL, "provider_named does not know " PROVIDER);
    invariant(status == 200, "a balance with HTTP %ld", status);
    check_equal(L, balance, "provider", provider->name);
    check_equal(L, balance, "account", "studio");
    check_equal(L, balance, "unit", provider->unit);
    check_amount(L, balance, provider);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) number_of(L, balance, numbers[i], 0);
    check_list(L, balance, "plans", (const char *const[]){"remaining", "limit", "resets_at", NULL});
    check_list(L, balance, "topups", (const char *const[]){"amount", "created_at", NULL});
    check_field(L, balance, "request_id", LABEL, input);
    check_balance_line(L, balance, provider);
}

/* ---- a failure ---- */

/* Those that an answer can be; returns whether trying again makes sense. */
static bool check_kind(lua_State *L, int failure)
{
    static const char *const kinds[] = {"authentication", "permission",   "exhausted",   "not_found", "invalid_request",
                                        "protocol",       "rate_limited", "unavailable", NULL};
    lua_getfield(L, failure, "kind");
    const char *kind = lua_tostring(L, -1);
    bool known = false;
    for (size_t i = 0; kind != NULL && kinds[i] != NULL; i++) known |= strcmp(kind, kinds[i]) == 0;
    invariant(known, "kind is %s", kind != NULL ? kind : "nil");
    bool passes = strcmp(kind, "rate_limited") == 0 || strcmp(kind, "unavailable") == 0;
    lua_pop(L, 1);
    return passes;
}

/* studio's line begins with what it is about, says the message and at most when to try again. */
static void check_failure_line(lua_State *L, int failure, struct text input)
{
    lua_getfield(L, failure, "kind");
    lua_getfield(L, failure, "message");
    const char *start =
        lua_pushfstring(L, PROVIDER "/studio: %s: %s", lua_tostring(L, failure + 1), lua_tostring(L, failure + 2));
    luaL_tolstring(L, failure, NULL);
    struct text line = text_of(L, -1);
    bool retry = number_of(L, failure, "retry_after", -1) >= 0;
    invariant(strncmp(line.at, start, strlen(start)) == 0, "prints as '%s', which does not begin with '%s'", line.at,
              start);
    invariant(retry == (strcmp(line.at, start) != 0), "prints as '%s'", line.at);
    check_text(line, MESSAGE + LABEL, "the line", input);
    lua_settop(L, failure);
}

static void check_failure(lua_State *L, int failure, long status, struct text input)
{
    check_equal(L, failure, "provider", PROVIDER);
    check_equal(L, failure, "account", "studio");
    bool passes = check_kind(L, failure);
    lua_getfield(L, failure, "retryable");
    invariant(lua_isboolean(L, -1) && lua_toboolean(L, -1) == passes, "retryable is not as the kind says");
    lua_getfield(L, failure, "message");
    invariant(lua_type(L, -1) == LUA_TSTRING, "message is a %s", luaL_typename(L, -1));
    lua_pop(L, 2);
    check_field(L, failure, "message", MESSAGE, input);
    check_field(L, failure, "request_id", LABEL, input);
    lua_getfield(L, failure, "code");
    bool number = lua_type(L, -1) == LUA_TNUMBER;
    lua_pop(L, 1);
    if (!number) check_field(L, failure, "code", CODE, input);
    invariant(number_of(L, failure, "status", 0) == (double)status, "status is not %ld", status);
    invariant(number_of(L, failure, "retry_after", 0) >= 0, "retry_after is negative");
    invariant(number_of(L, failure, "attempts", 0) == 1, "attempts is not 1");
    invariant(number_of(L, failure, "elapsed", -1) >= 0, "elapsed is negative or missing");
    check_failure_line(L, failure, input);
}

/* ---- one run ---- */

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    invariant(setlocale(LC_CTYPE, "C.UTF-8") != NULL, "there is no locale C.UTF-8");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = {(const char *)data, size};
    lua_State *L = shared_state();
    lua_pushvalue(L, 1);
    lua_pushliteral(L, PROVIDER);
    long status = push_answer(L, input);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "studio");
    lua_setfield(L, -2, "account");
    lua_pushstring(L, key);
    lua_setfield(L, -2, "api_key");

    double start = processor_seconds();
    int problem = lua_pcall(L, 3, LUA_MULTRET, 0);
    invariant(problem == LUA_OK, "parse raises: %s", lua_tostring(L, -1));
    invariant(processor_seconds() - start < longest_seconds, "parse takes %g s", processor_seconds() - start);

    if (lua_istable(L, 2)) {
        invariant(lua_gettop(L) == 2, "parse returns %d values", lua_gettop(L) - 1);
        check_balance(L, 2, status, input);
    } else {
        invariant(lua_isnil(L, 2) && lua_gettop(L) == 3 && lua_istable(L, 3), "neither a balance nor a failure");
        check_failure(L, 3, status, input);
    }
    lua_settop(L, 1);
    return 0;
}
