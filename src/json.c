#define _POSIX_C_SOURCE 200809L

#include "json.h"

#include <lauxlib.h>
#include <locale.h>
#include <string.h>

/* In the registry: the decoder's table { decode = function, null = value, point = decimal point at its making }. */
static const char *const decoder = "voicecredits.json";

static void push_new_instance(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    if (lua_pcall(L, 1, 1, 0) != 0) {
        luaL_error(L, "voicecredits needs lua-cjson for this Lua (%s): install the Debian package lua-cjson, or "
                      "'luarocks install lua-cjson'", LUA_VERSION);
    }
    lua_getfield(L, -1, "new");
    lua_call(L, 0, 1);
    lua_remove(L, -2);
}

static void configure(lua_State *L, const char *setting, int value, bool is_boolean)
{
    lua_getfield(L, -1, setting);
    if (is_boolean) {
        lua_pushboolean(L, value);
    } else {
        lua_pushinteger(L, value);
    }
    lua_call(L, 1, 0);
}

void json_open(lua_State *L)
{
    lua_createtable(L, 0, 3);
    push_new_instance(L);
    configure(L, "decode_invalid_numbers", false, true);
    configure(L, "decode_max_depth", JSON_DEPTH, false);
    lua_getfield(L, -1, "decode");
    lua_setfield(L, -3, "decode");
    lua_getfield(L, -1, "null");
    lua_setfield(L, -3, "null");
    lua_pop(L, 1);
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

bool json_decode(lua_State *L, const char *text, size_t length)
{
    luaL_checkstack(L, 8, "JSON");
    push_decoder(L);
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
