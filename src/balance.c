#include "balance.h"

#include <lauxlib.h>
#include <stddef.h>

#include "compat.h"
#include "text.h"

static const char *const metatable = "voicecredits.balance";

enum { WORD = 80, AMOUNT = TEXT_DECIMAL_CHARACTERS }; /* an amount without its last digits would be another */

/* The field of the table at index 1 as printable text of at most so many characters on the top of the stack, or
 * `otherwise`. */
static const char *push_field(lua_State *L, const char *name, size_t characters, const char *otherwise)
{
    char text[TEXT_SIZE(AMOUNT)];
    size_t length = 0;
    lua_getfield(L, 1, name);
    const char *value = lua_tolstring(L, -1, &length);
    if (value == NULL) return lua_pushstring(L, otherwise), lua_tostring(L, -1);
    text_printable(text, characters, value, length, NULL);
    return lua_pushstring(L, text), lua_tostring(L, -1);
}

/* provider/account: 1250 credits, and neither `raw` nor `user`: they hold names and e-mail addresses. */
static int print(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *provider = push_field(L, "provider", WORD, "?"), *account = push_field(L, "account", WORD, "default");
    const char *exact = push_field(L, "exact", AMOUNT, "unknown"), *unit = push_field(L, "unit", WORD, "?");
    lua_pushfstring(L, "%s/%s: %s %s", provider, account, exact, unit);
    return 1;
}

void balance_open(lua_State *L)
{
    compat_newmetatable(L, metatable, print);
}

void balance_push(lua_State *L)
{
    lua_createtable(L, 0, 16);
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
}
