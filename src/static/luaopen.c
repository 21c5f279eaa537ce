/* The whole module for a host that links it statically: luaopen_voicecredits holds the Lua files too, so that nothing
 * is looked for on a path. Only in libvoicecredits.a (`make static`). */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <string.h>

struct part {
    const char *module, *chunk;
    const unsigned char *text;
    size_t length;
};

#include "parts.h"

#define PUBLIC __attribute__((visibility("default")))

PUBLIC int luaopen_voicecredits_core(lua_State *L);
PUBLIC int luaopen_voicecredits(lua_State *L);

/* Runs a part with the module's name, as require does; its module on the stack. */
static int run_part(lua_State *L, const struct part *part)
{
    if (luaL_loadbuffer(L, (const char *)part->text, part->length, part->chunk) != 0) return lua_error(L);
    lua_pushstring(L, part->module);
    lua_call(L, 1, 1);
    return 1;
}

static int load_part(lua_State *L)
{
    return run_part(L, lua_touserdata(L, lua_upvalueindex(1)));
}

/* Called by require (through package.preload) or by luaL_requiref; returns the public module. */
int luaopen_voicecredits(lua_State *L)
{
    static const char *const name = "voicecredits";
    const struct part *main = NULL;
    luaL_checkstack(L, 4, name);
    lua_getglobal(L, "package");
    if (!lua_istable(L, -1)) return luaL_error(L, "voicecredits needs Lua's package library");
    lua_getfield(L, -1, "preload");
    for (const struct part *part = parts; part->module != NULL; part++) {
        if (strcmp(part->module, name) == 0) {
            main = part;
            continue;
        }
        lua_pushlightuserdata(L, (void *)(size_t)part);
        lua_pushcclosure(L, load_part, 1);
        lua_setfield(L, -2, part->module);
    }
    lua_pushcfunction(L, luaopen_voicecredits_core);
    lua_setfield(L, -2, "voicecredits.core");
    lua_pop(L, 2);
    return main != NULL ? run_part(L, main) : luaL_error(L, "voicecredits was built without its Lua files");
}
