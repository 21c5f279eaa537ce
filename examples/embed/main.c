/* A C program with Lua, lua-cjson and voicecredits in it: nothing is looked for on a path. Prints the balance of every
 * account whose key is in the environment.
 *
 *     make static
 *     cc -Iinclude/lua5.4 examples/embed/main.c build/5.4/libvoicecredits.a libcjson.a liblua5.4.a \
 *        $(curl-config --libs) -lpthread -lm -ldl
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

int luaopen_cjson(lua_State *L);
int luaopen_voicecredits(lua_State *L);

static const char *const script =
    "local voicecredits = require 'voicecredits'\n"
    "local rows, problem = voicecredits.check_all(nil, { timeout = 5 })\n"
    "if not rows then error(tostring(problem), 0) end\n"
    "for _, row in ipairs(rows) do print(row.balance or row.failure) end\n";

/* Makes `require` find a module in this program. */
static void add_module(lua_State *L, const char *name, lua_CFunction open)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

int main(void)
{
    lua_State *L = luaL_newstate();
    if (L == NULL) return 1;
    luaL_openlibs(L);
    add_module(L, "cjson", luaopen_cjson);
    add_module(L, "voicecredits", luaopen_voicecredits);
    int failed = luaL_loadstring(L, script) != 0 || lua_pcall(L, 0, 0, 0) != 0;
    if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    return failed;
}
