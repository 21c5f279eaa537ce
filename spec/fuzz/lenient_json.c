/* Where the decoder cannot be told to refuse what is no JSON (Neovim's vim.json), the module looks at the text itself:
 * it must come to the same answers as with lua-cjson, which can be told. The input is a body. */
#define _GNU_SOURCE

#include <stdbool.h>
#include <string.h>

#include "module.h"

enum { RUNS_PER_COLLECTION = 64 };

static const char *const lenient = "local decoder = require 'cjson'.new()\n"
                                   "decoder.decode_invalid_numbers(true)\n"
                                   "decoder.decode_max_depth(1000)\n"
                                   "package.loaded.cjson = { decode = decoder.decode }";

static lua_State *strict_state, *lenient_state;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    strict_state = new_state("");
    lenient_state = new_state(lenient);
    return 0;
}

/* The answer to HTTP 200 with this body, as it prints. */
static const char *answer(lua_State *L, const uint8_t *body, size_t size)
{
    static unsigned runs;
    if (runs++ % RUNS_PER_COLLECTION < 2) lua_gc(L, LUA_GCCOLLECT);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_pushliteral(L, "supertone");
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, 200);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, (const char *)body, size);
    lua_setfield(L, -2, "body");
    invariant(lua_pcall(L, 2, 2, 0) == LUA_OK, "parse raises: %s", lua_tostring(L, -1));
    return luaL_tolstring(L, lua_isnil(L, 2) ? 3 : 2, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *expected = answer(strict_state, data, size), *found = answer(lenient_state, data, size);
    invariant(strcmp(expected, found) == 0, "'%s', with lua-cjson '%s': %.*s", found, expected, (int)size, data);
    return 0;
}
