#include "failure.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compat.h"

static const char *const metatable = "voicecredits.failure";

static const char *const kind_names[] = {
    [FAILURE_NONE] = "none",
    [FAILURE_CONFIGURATION] = "configuration",
    [FAILURE_AUTHENTICATION] = "authentication",
    [FAILURE_PERMISSION] = "permission",
    [FAILURE_EXHAUSTED] = "exhausted",
    [FAILURE_NOT_FOUND] = "not_found",
    [FAILURE_INVALID_REQUEST] = "invalid_request",
    [FAILURE_RATE_LIMITED] = "rate_limited",
    [FAILURE_UNAVAILABLE] = "unavailable",
    [FAILURE_TIMEOUT] = "timeout",
    [FAILURE_NETWORK] = "network",
    [FAILURE_TLS] = "tls",
    [FAILURE_PROTOCOL] = "protocol",
    [FAILURE_INSUFFICIENT] = "insufficient",
    [FAILURE_CANCELLED] = "cancelled",
};

void failure_init(struct failure *failure, const char *provider, const char *account, const char *secret)
{
    memset(failure, 0, sizeof *failure);
    failure->provider = provider;
    failure->account = account;
    failure->secret = secret;
    failure->retry_after = -1;
    failure->elapsed = -1;
}

void failure_set_kind(struct failure *failure, enum failure_kind kind)
{
    failure->kind = kind;
    failure->retryable = kind == FAILURE_RATE_LIMITED || kind == FAILURE_UNAVAILABLE;
}

void failure_set(struct failure *failure, enum failure_kind kind, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failure_set_kind(failure, kind);
    text_printable(failure->message, FAILURE_MESSAGE_CHARACTERS, text, strlen(text), failure->secret);
}

/* Characters, not bytes: those that do not continue another. */
static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

void failure_quote(struct failure *failure, const char *text, size_t length)
{
    size_t used = count_characters(failure->message), end = strlen(failure->message);
    if (length == 0 || used + 3 > FAILURE_MESSAGE_CHARACTERS) return;
    memcpy(failure->message + end, ": ", 3);
    size_t added = text_printable(failure->message + end + 2, FAILURE_MESSAGE_CHARACTERS - used - 2, text, length,
                                  failure->secret);
    if (added == 0) failure->message[end] = '\0';
}

void failure_set_number_code(struct failure *failure, long code)
{
    failure->has_number_code = true;
    failure->number_code = code;
}

void failure_set_text_code(struct failure *failure, const char *code, size_t length)
{
    text_printable(failure->text_code, FAILURE_CODE_CHARACTERS, code, length, failure->secret);
}

enum failure_kind failure_kind_of_status(long status)
{
    switch (status) {
    case 401: return FAILURE_AUTHENTICATION;
    case 402: return FAILURE_EXHAUSTED;
    case 403: return FAILURE_PERMISSION;
    case 404:
    case 410: return FAILURE_NOT_FOUND;
    case 408:
    case 425: return FAILURE_UNAVAILABLE;
    case 429: return FAILURE_RATE_LIMITED;
    default: return status >= 500 ? FAILURE_UNAVAILABLE : FAILURE_INVALID_REQUEST;
    }
}

/* ---- as a Lua table ---- */

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0') return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, bool known, double number)
{
    if (!known) return;
    compat_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

void failure_push(lua_State *L, const struct failure *failure)
{
    luaL_checkstack(L, 4, "a failure");
    lua_createtable(L, 0, 12);
    set_text(L, "kind", kind_names[failure->kind]);
    set_text(L, "message", failure->message);
    set_text(L, "provider", failure->provider);
    set_text(L, "account", failure->account);
    set_text(L, "code", failure->text_code);
    set_text(L, "request_id", failure->request_id);
    set_number(L, "code", failure->has_number_code, (double)failure->number_code);
    set_number(L, "status", failure->status != 0, (double)failure->status);
    set_number(L, "retry_after", failure->retry_after >= 0, failure->retry_after);
    set_number(L, "attempts", true, failure->attempts);
    set_number(L, "elapsed", failure->elapsed >= 0, failure->elapsed);
    lua_pushboolean(L, failure->retryable);
    lua_setfield(L, -2, "retryable");
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
}

bool failure_is(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
    luaL_getmetatable(L, metatable);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* Adds a field of the table at index 1 that may hold anything, as one line of printable text. */
static void add_field(lua_State *L, luaL_Buffer *line, const char *name, size_t characters)
{
    char text[TEXT_SIZE(FAILURE_MESSAGE_CHARACTERS)];
    size_t length = 0;
    lua_getfield(L, 1, name);
    const char *value = lua_tolstring(L, -1, &length);
    text_printable(text, characters, value != NULL ? value : "?", value != NULL ? length : 1, NULL);
    lua_pop(L, 1);
    luaL_addstring(line, text);
}

/* provider/account: kind: message (retry after 30 s) */
static int print(lua_State *L)
{
    luaL_Buffer line;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "retry_after");
    bool retry = lua_isnumber(L, -1);
    double seconds = lua_tonumber(L, -1);
    lua_settop(L, 1);
    luaL_buffinit(L, &line);
    add_field(L, &line, "provider", FAILURE_LABEL_CHARACTERS);
    luaL_addchar(&line, '/');
    add_field(L, &line, "account", FAILURE_LABEL_CHARACTERS);
    luaL_addstring(&line, ": ");
    add_field(L, &line, "kind", FAILURE_LABEL_CHARACTERS);
    luaL_addstring(&line, ": ");
    add_field(L, &line, "message", FAILURE_MESSAGE_CHARACTERS);
    if (retry) {
        char number[TEXT_NUMBER_SIZE];
        text_shortest(number, seconds);
        luaL_addstring(&line, " (retry after ");
        luaL_addstring(&line, number);
        luaL_addstring(&line, " s)");
    }
    luaL_pushresult(&line);
    return 1;
}

void failure_open(lua_State *L)
{
    compat_newmetatable(L, metatable, print);
}
