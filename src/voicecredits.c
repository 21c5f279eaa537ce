/* What Lua sees: one function per provider, check, request, parse, providers and the session constructor. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "balance.h"
#include "check.h"
#include "compat.h"
#include "failure.h"
#include "json.h"
#include "options.h"
#include "provider.h"
#include "request.h"
#include "session.h"
#include "version.h"

static const char *const default_session_key = "voicecredits.default_session";

static int fail(lua_State *L, const struct failure *failure)
{
    lua_pushnil(L);
    failure_push(L, failure);
    return 2;
}

/* ---- sessions ---- */

/* core.session([options]) -> session | nil, failure */
static int new_session(lua_State *L)
{
    lua_settop(L, 1);
    if (session_push(L, 1)) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* Pushes the session that checks use which name none: made on first use, and made anew after it was closed or in a
 * process that was forked. Returns false with a failure instead. */
static bool push_default_session(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, default_session_key);
    if (session_is_usable(L, -1)) return true;
    lua_pop(L, 1);
    if (!session_push(L, lua_gettop(L) + 1)) return false;
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, default_session_key);
    return true;
}

/* Pushes the session of the option of that name, or the default one. */
static bool push_session_of(lua_State *L, int options, int argument)
{
    if (lua_istable(L, options)) {
        lua_getfield(L, options, "session");
        if (session_is(L, -1)) return true;
        if (!lua_isnil(L, -1)) {
            luaL_argerror(L, argument,
                          lua_pushfstring(L, "option 'session' must be a session, found %s", luaL_typename(L, -1)));
        }
        lua_pop(L, 1);
    }
    return push_default_session(L);
}

/* core.session_of([options]) -> the session of the option of that name, or the default one | nil, failure */
static int session_of(lua_State *L)
{
    lua_settop(L, 1);
    if (push_session_of(L, 1, 1)) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- checks ---- */

/* take(session, id) -> balance, failure */
static int take(lua_State *L)
{
    session_take(L, 1, -1);
    return 2;
}

/* Submits, waits, and gives the answer: the blocking check of the account in argument `argument`. An error while it waits
 * (memory, the interpreter's hook for Ctrl-C) leaves no check behind whose id nobody has. */
static int check_account(lua_State *L, const struct provider *provider, int argument)
{
    struct options options;
    lua_settop(L, argument);
    if (push_session_of(L, argument, argument)) {
        int session = lua_gettop(L);
        options_read(L, argument, argument, provider, &options);
        lua_pushcfunction(L, take);
        lua_pushvalue(L, session);
        if (session_submit(L, session, provider, &options)) {
            lua_Integer id = lua_tointeger(L, -1);
            if (lua_pcall(L, 2, 2, 0) == 0) return 2;
            session_abandon(L, session, id);
            return lua_error(L);
        }
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* core.fish([options]) and its like -> balance | nil, failure */
static int check_one(lua_State *L)
{
    return check_account(L, lua_touserdata(L, lua_upvalueindex(1)), 1);
}

/* core.check(provider [, options]) -> balance | nil, failure */
static int check_any(lua_State *L)
{
    return check_account(L, options_provider(L, 1), 2);
}

/* core.submit_account(session, account, defaults) -> id | nil, failure: submits one account of check_all, a table with
 * the field `provider`; `defaults` may be nil. */
static int submit_account(lua_State *L)
{
    struct options options;
    lua_settop(L, 3);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "provider");
    const struct provider *provider = options_provider(L, 4);
    options_read_account(L, 2, 3, 2, provider, &options);
    if (session_submit(L, 1, provider, &options)) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- for programs with an HTTP client of their own ---- */

static void set_header(lua_State *L, const char *line)
{
    size_t length = strcspn(line, ":");
    lua_pushlstring(L, line, length);
    lua_pushstring(L, line + length + 2);
    lua_rawset(L, -3);
}

struct asked {
    const struct provider *provider;
    struct check *check;
};

/* Pushes the request of the check that argument 1 points at. */
static int push_request(lua_State *L)
{
    const struct asked *asked = lua_touserdata(L, 1);
    lua_createtable(L, 0, 3);
    lua_newtable(L);
    lua_pushstring(L, asked->check->exchange.auth_header + strlen(asked->provider->auth_header) + 2);
    lua_setfield(L, -2, asked->provider->auth_header);
    set_header(L, REQUEST_ACCEPT);
    set_header(L, REQUEST_USER_AGENT);
    lua_setfield(L, -2, "headers");
    lua_pushstring(L, asked->check->exchange.url);
    lua_setfield(L, -2, "url");
    lua_pushliteral(L, "GET");
    lua_setfield(L, -2, "method");
    return 1;
}

/* core.request(provider [, options]) -> { method, url, headers } | nil, failure. The headers hold the key. */
static int request(lua_State *L)
{
    struct options options;
    struct failure failure;
    struct asked asked = {options_provider(L, 1), NULL};
    lua_settop(L, 2);
    options_read(L, 2, 2, asked.provider, &options);
    lua_pushcfunction(L, push_request);
    lua_pushlightuserdata(L, &asked);
    asked.check = check_new(asked.provider, &options, NULL, &failure);
    if (asked.check == NULL) return fail(L, &failure);
    int problem = lua_pcall(L, 1, 1, 0); /* the check must be freed whatever is raised */
    check_free(asked.check);
    return problem != 0 ? lua_error(L) : 1;
}

static void note_header(lua_State *L, const struct provider *provider, struct response *response)
{
    size_t name_length, value_length;
    const char *name = lua_tolstring(L, -2, &name_length);
    const char *value = lua_tolstring(L, -1, &value_length);
    if (value != NULL) response_header(response, provider->request_id_header, name, name_length, value, value_length);
}

/* Reads the headers of the table on the top of the stack: names of any letter case, values as texts, or as arrays of
 * texts where a header came more than once. Other entries (some clients put lists there) are passed over. */
static void read_headers(lua_State *L, const struct provider *provider, struct response *response)
{
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        if (!lua_istable(L, -1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2); /* copies: lua_tolstring would change a number in place */
            note_header(L, provider, response);
            lua_pop(L, 2);
            continue;
        }
        for (int i = 1, count = (int)compat_rawlen(L, -1); i <= count; i++) {
            lua_pushvalue(L, -2);
            lua_rawgeti(L, -2, i);
            note_header(L, provider, response);
            lua_pop(L, 2);
        }
    }
}

static void read_response(lua_State *L, int argument, const struct provider *provider, struct response *response)
{
    size_t length = 0;
    luaL_checktype(L, argument, LUA_TTABLE);
    memset(response, 0, sizeof *response);
    lua_getfield(L, argument, "status");
    double status = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || status != floor(status) || !(status >= 100 && status <= 999)) {
        luaL_argerror(L, argument, "field 'status' must be an HTTP status, a whole number");
    }
    response->status = (long)status;
    lua_getfield(L, argument, "headers");
    if (lua_istable(L, -1)) {
        read_headers(L, provider, response);
    } else if (!lua_isnil(L, -1)) {
        luaL_argerror(L, argument, "field 'headers' must be a table");
    }
    lua_getfield(L, argument, "body");
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, argument, "field 'body' must be a string");
    response->body = (char *)(size_t)lua_tolstring(L, -1, &length); /* only read; the table keeps it alive */
    response->body_length = length;
    lua_pop(L, 3);
}

/* core.parse(provider, { status, headers, body } [, options]) -> balance | nil, failure. The options are those of a check:
 * `account` labels the answer, and `api_key` (or the environment's) is kept out of what the failure quotes. */
static int parse(lua_State *L)
{
    const struct provider *provider = options_provider(L, 1);
    struct options options;
    struct response response;
    struct failure failure;
    lua_settop(L, 3);
    read_response(L, 2, provider, &response);
    options_read(L, 3, 3, provider, &options);
    failure_init(&failure, provider->name, options.account, options.api_key);
    failure.attempts = 1;
    failure.elapsed = 0;
    if (!answer_read(L, provider, &response, (double)time(NULL), &failure)) return fail(L, &failure);
    compat_pushnumber(L, failure.attempts);
    lua_setfield(L, -2, "attempts");
    compat_pushnumber(L, failure.elapsed);
    lua_setfield(L, -2, "elapsed");
    return 1;
}

/* ---- what there is to know ---- */

static void set_text(lua_State *L, const char *name, const char *text)
{
    if (text == NULL) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* core.providers() -> array of what is known of each provider; made anew for each caller. */
static int list_providers(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; providers[i] != NULL; i++) {
        const struct provider *provider = providers[i];
        lua_createtable(L, 0, 10);
        set_text(L, "name", provider->name);
        set_text(L, "title", provider->title);
        set_text(L, "base_url", provider->base_url);
        set_text(L, "path", provider->path);
        set_text(L, "auth_header", provider->auth_header);
        set_text(L, "unit", provider->unit);
        set_text(L, "key_variable", provider->key_variable);
        set_text(L, "base_variable", provider->base_variable);
        set_text(L, "documentation", provider->documentation);
        set_text(L, "discontinued", provider->discontinued);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* core.own_options(provider) -> array of the names of the options that only this provider has */
static int own_options(lua_State *L)
{
    const struct provider *provider = options_provider(L, 1);
    lua_newtable(L);
    for (int i = 0; i < PROVIDER_OPTIONS && provider->options[i].name != NULL; i++) {
        lua_pushstring(L, provider->options[i].name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* core.insufficient(balance, minimum) -> failure of kind "insufficient": the check worked, the balance is too low or
 * not known. */
static int insufficient(lua_State *L)
{
    struct failure failure;
    char minimum[TEXT_NUMBER_SIZE];
    luaL_checktype(L, 1, LUA_TTABLE);
    text_shortest(minimum, luaL_checknumber(L, 2));
    lua_getfield(L, 1, "provider");
    lua_getfield(L, 1, "account");
    lua_getfield(L, 1, "unit");
    lua_getfield(L, 1, "exact");
    const char *unit = lua_tostring(L, -2), *exact = lua_tostring(L, -1);
    failure_init(&failure, lua_tostring(L, -4), lua_tostring(L, -3), NULL);
    if (exact != NULL) {
        failure_set(&failure, FAILURE_INSUFFICIENT, "%s %s left, %s wanted", exact, unit != NULL ? unit : "", minimum);
    } else {
        failure_set(&failure, FAILURE_INSUFFICIENT, "the provider does not say how much is left, %s wanted", minimum);
    }
    lua_getfield(L, 1, "attempts");
    failure.attempts = (int)lua_tonumber(L, -1);
    failure_push(L, &failure);
    return 1;
}

/* ---- for the Lua layer's own texts ---- */

/* core.nearest(word, words) -> the word of the array `words` that is most like `word` */
static int nearest(lua_State *L)
{
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = compat_rawlen(L, 2);
    const char **words = lua_newuserdata(L, (count + 1) * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        words[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1); /* the array keeps it alive */
    }
    words[count] = NULL;
    lua_pushstring(L, text_nearest(word, words));
    return 1;
}

/* core.shown(word) -> " 'word'", or " of 40 characters" for one that may be a key in the wrong place */
static int shown(lua_State *L)
{
    size_t length;
    const char *word = luaL_checklstring(L, 1, &length);
    options_push_shown(L, word, length);
    return 1;
}

/* core.printable(text, characters) -> valid UTF-8 without control characters, cut to that many characters */
static int printable(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    size_t characters = (size_t)luaL_checkinteger(L, 2);
    char *out = lua_newuserdata(L, TEXT_SIZE(characters));
    text_printable(out, characters, text, length, NULL);
    lua_pushstring(L, out);
    return 1;
}

static const luaL_Reg functions[] = {
    {"check", check_any},
    {"request", request},
    {"parse", parse},
    {"session", new_session},
    {"session_of", session_of},
    {"submit_account", submit_account},
    {"providers", list_providers},
    {"own_options", own_options},
    {"insufficient", insufficient},
    {"nearest", nearest},
    {"shown", shown},
    {"printable", printable},
    {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_voicecredits_core(lua_State *L);

int luaopen_voicecredits_core(lua_State *L)
{
    compat_checkversion(L);
    json_open(L);
    failure_open(L);
    balance_open(L);
    session_open(L);
    lua_newtable(L);
    compat_setfuncs(L, functions);
    for (int i = 0; providers[i] != NULL; i++) {
        lua_pushlightuserdata(L, (void *)(size_t)providers[i]);
        lua_pushcclosure(L, check_one, 1);
        lua_setfield(L, -2, providers[i]->name);
    }
    json_push_null(L);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, VOICECREDITS_VERSION);
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
