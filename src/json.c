#define _POSIX_C_SOURCE 200809L

#include "json.h"

#include <ctype.h>
#include <lauxlib.h>
#include <locale.h>
#include <string.h>

/* In the registry: { decode = function, null = value, point = the locale's decimal point at its making,
 * lenient = true where the decoder cannot be told to refuse what is no JSON }. */
static const char *const decoder = "voicecredits.json";

/* Pushes lua-cjson, or vim.json, or raises. */
static void push_library(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    int problem = lua_pcall(L, 1, 1, 0);
    if (problem == LUA_ERRMEM) lua_error(L);
    if (problem == 0 && lua_istable(L, -1)) return;
    lua_pop(L, 1);
    lua_getglobal(L, "vim");
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "json");
        lua_remove(L, -2);
        if (lua_istable(L, -1)) return;
    }
    luaL_error(L,
               "voicecredits needs lua-cjson for this Lua (%s): install the Debian package lua-cjson, or "
               "'luarocks install lua-cjson'",
               LUA_VERSION);
}

/* Makes the library on the top of the stack an instance of our own, where it knows how. */
static void make_instance(lua_State *L)
{
    lua_getfield(L, -1, "new");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    lua_call(L, 0, 1);
    lua_remove(L, -2);
}

/* Calls the instance's function of that name with the value on the top of the stack; false where it has none. */
static bool configure(lua_State *L, const char *setting)
{
    lua_getfield(L, -2, setting);
    lua_insert(L, -2);
    if (lua_isnil(L, -2)) {
        lua_pop(L, 2);
        return false;
    }
    lua_call(L, 1, 0);
    return true;
}

void json_open(lua_State *L)
{
    lua_createtable(L, 0, 4);
    push_library(L);
    make_instance(L);
    lua_pushboolean(L, false);
    bool strict = configure(L, "decode_invalid_numbers");
    lua_pushinteger(L, JSON_DEPTH);
    strict &= configure(L, "decode_max_depth");
    lua_getfield(L, -1, "decode");
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_pushliteral(L, "[null]");
    lua_call(L, 1, 1);
    lua_rawgeti(L, -1, 1);
    lua_setfield(L, -4, "null");
    lua_pop(L, 1);
    lua_setfield(L, -2, "decode");
    lua_pushboolean(L, !strict);
    lua_setfield(L, -2, "lenient");
    lua_pushstring(L, localeconv()->decimal_point);
    lua_setfield(L, -2, "point");
    lua_setfield(L, LUA_REGISTRYINDEX, decoder);
}

/* lua-cjson notes the locale's decimal point when an instance is made, and reads "1.5" wrongly after the program has
 * changed its locale: then a new instance is needed. */
static void push_decoder(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, decoder);
    lua_getfield(L, -1, "point");
    bool same = strcmp(lua_tostring(L, -1), localeconv()->decimal_point) == 0;
    lua_pop(L, 1);
    if (same) return;
    lua_pop(L, 1);
    json_open(L);
    lua_getfield(L, LUA_REGISTRYINDEX, decoder);
}

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* Where the letters from `at` on that may stand in a number end. */
static size_t number_end(const char *text, size_t at, size_t length)
{
    while (at < length && text[at] != '\0' && strchr("0123456789+-.eE", text[at]) != NULL) at++;
    return at;
}

/* Where the decoder itself cannot be told: false for a text nested too deep, with a number that begins as none of JSON
 * does (007, +5), or with a word in it, outside of strings, that is not true, false or null (NaN, Infinity, the x of
 * 0x10). The decoder finds all else that is wrong. */
static bool is_plain(const char *text, size_t length)
{
    int depth = 0;
    for (size_t at = 0, end; at < length; at = end) {
        char letter = text[at];
        end = at + 1;
        if (letter == '"') {
            while (end < length && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
            end++;
        } else if (letter == '[' || letter == '{') {
            if (++depth > JSON_DEPTH) return false;
        } else if (letter == ']' || letter == '}') {
            depth--;
        } else if (letter == '+') {
            return false;
        } else if (is_digit(letter) || letter == '-') {
            size_t digit = letter == '-' ? at + 1 : at;
            if (digit + 1 < length && text[digit] == '0' && is_digit(text[digit + 1])) return false;
            end = number_end(text, at, length);
        } else if (isalpha((unsigned char)letter)) {
            while (end < length && isalpha((unsigned char)text[end])) end++;
            size_t size = end - at;
            bool word = (size == 4 && (memcmp(text + at, "true", 4) == 0 || memcmp(text + at, "null", 4) == 0)) ||
                        (size == 5 && memcmp(text + at, "false", 5) == 0);
            if (!word) return false;
        }
    }
    return true;
}

bool json_decode(lua_State *L, const char *text, size_t length)
{
    if (memchr(text, '\0', length) != NULL) return false; /* to the decoder it is the end, whatever comes behind it */
    luaL_checkstack(L, 8, "JSON");
    push_decoder(L);
    lua_getfield(L, -1, "lenient");
    bool refuse = lua_toboolean(L, -1) && !is_plain(text, length);
    lua_pop(L, 1);
    if (refuse) {
        lua_pop(L, 1);
        return false;
    }
    lua_getfield(L, -1, "decode");
    lua_remove(L, -2);
    lua_pushlstring(L, text, length);
    int problem = lua_pcall(L, 1, 1, 0);
    if (problem == LUA_ERRMEM) lua_error(L);
    if (problem != 0) lua_pop(L, 1);
    return problem == 0;
}

void json_push_null(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, decoder);
    lua_getfield(L, -1, "null");
    lua_remove(L, -2);
}
