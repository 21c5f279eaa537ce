/* The module in a Lua state of its own, with lua-cjson from the system. */
#ifndef VOICECREDITS_FUZZ_MODULE_H
#define VOICECREDITS_FUZZ_MODULE_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "invariant.h"

int luaopen_voicecredits_core(lua_State *L);

/* Runs the Lua text in argument 1 first, then returns voicecredits.parse. */
static inline int open_module(lua_State *L)
{
    luaL_openlibs(L);
    if (luaL_dostring(L, lua_tostring(L, 1)) != LUA_OK) lua_error(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_voicecredits_core);
    lua_setfield(L, -2, "voicecredits.core");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "voicecredits");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "parse");
    return 1;
}

/* A new state with voicecredits.parse at index 1 and nothing else. */
static inline lua_State *new_state(const char *before)
{
    lua_State *L = luaL_newstate();
    lua_pushcfunction(L, open_module);
    lua_pushstring(L, before);
    invariant(lua_pcall(L, 1, 1, 0) == LUA_OK, "the module does not load: %s", lua_tostring(L, -1));
    return L;
}

#endif
