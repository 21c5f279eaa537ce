/* For the tests only: a Lua state inside this one. require "state" -> run. */
#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* run(chunk, ...) -> how many seconds closing took | nil, message. Opens a state, runs the chunk in it with the other
 * arguments, which are strings, and closes it. */
static int state_run(lua_State *L)
{
    const char *chunk = luaL_checkstring(L, 1);
    int count = lua_gettop(L) - 1;
    for (int i = 2; i <= count + 1; i++) luaL_checkstring(L, i);
    lua_State *inner = luaL_newstate();
    if (inner == NULL) return luaL_error(L, "no memory for a Lua state");
    luaL_openlibs(inner);
    luaL_checkstack(inner, count, "arguments");
    int failed = luaL_loadstring(inner, chunk);
    for (int i = 2; i <= count + 1 && !failed; i++) lua_pushstring(inner, lua_tostring(L, i));
    failed = failed || lua_pcall(inner, count, 0, 0) != 0;
    if (failed) lua_pushstring(L, lua_tostring(inner, -1));
    double begun = seconds_now();
    lua_close(inner);
    if (failed) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushnumber(L, seconds_now() - begun);
    return 1;
}

int luaopen_state(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, state_run);
    lua_setfield(L, -2, "run");
    return 1;
}
