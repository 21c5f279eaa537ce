/* Lua 5.1 to 5.5 and LuaJIT: what differs between them, and nothing else. */
#ifndef VOICECREDITS_COMPAT_H
#define VOICECREDITS_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdbool.h>

#if LUA_VERSION_NUM < 502
static inline int compat_absindex(lua_State *L, int index)
{
    return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}
#define compat_rawlen(L, index)       lua_objlen(L, index)
#define compat_setfuncs(L, functions) luaL_register(L, NULL, functions)
#else
#define compat_absindex(L, index)     lua_absindex(L, index)
#define compat_rawlen(L, index)       lua_rawlen(L, index)
#define compat_setfuncs(L, functions) luaL_setfuncs(L, functions, 0)
#endif

/* Raises where this was built for another Lua than the one that loads it, and both know how to tell. */
#if LUA_VERSION_NUM < 502
#define compat_checkversion(L) ((void)(L))
#else
#define compat_checkversion(L) luaL_checkversion(L)
#endif

/* One table of Lua values beside a userdata: its environment, its user value, or its first user value. */
#if LUA_VERSION_NUM < 502
#define compat_newuserdata(L, size)   lua_newuserdata(L, size)
#define compat_setuservalue(L, index) lua_setfenv(L, index)
#define compat_getuservalue(L, index) lua_getfenv(L, index)
#elif LUA_VERSION_NUM < 504
#define compat_newuserdata(L, size)   lua_newuserdata(L, size)
#define compat_setuservalue(L, index) lua_setuservalue(L, index)
#define compat_getuservalue(L, index) lua_getuservalue(L, index)
#else
#define compat_newuserdata(L, size)   lua_newuserdatauv(L, size, 1)
#define compat_setuservalue(L, index) lua_setiuservalue(L, index, 1)
#define compat_getuservalue(L, index) lua_getiuservalue(L, index, 1)
#endif

/* Pushes a number; one without a fraction as an integer where Lua has integers (1250, not 1250.0).
 * 2^53 is the last whole number up to which a double holds every one. */
static inline void compat_pushnumber(lua_State *L, double number)
{
#if LUA_VERSION_NUM >= 503
    if (number == floor(number) && fabs(number) <= 9007199254740992.0) {
        lua_pushinteger(L, (lua_Integer)number);
        return;
    }
#endif
    lua_pushnumber(L, number);
}

/* luaL_newmetatable that sets __name on every version, and __tostring. Leaves nothing on the stack. */
static inline void compat_newmetatable(lua_State *L, const char *name, lua_CFunction print)
{
    luaL_newmetatable(L, name);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, print);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
}

/* The userdata at `index` if it has the metatable that the registry holds under `name`, else NULL. */
static inline void *compat_testudata(lua_State *L, int index, const char *name)
{
    void *block = lua_touserdata(L, index);
    if (block == NULL || !lua_getmetatable(L, index)) return NULL;
    luaL_getmetatable(L, name);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? block : NULL;
}

#endif
