/* Finds lua-cjson, or where there is none Neovim's vim.json (the same code), and calls it on an instance of our own: a
 * host's settings do not change us, nor we them. */
#ifndef VOICECREDITS_JSON_H
#define VOICECREDITS_JSON_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* How deep objects and arrays may stand in each other. */
enum { JSON_DEPTH = 64 };

/* Makes the instance; once per Lua state. Raises a one-line error that says what to install when there is neither. */
void json_open(lua_State *L);

/* Pushes the decoded text and returns true, or pushes nothing and returns false when it is not JSON: NaN, Infinity and
 * hexadecimal numbers are not. Raises only when memory is out. */
bool json_decode(lua_State *L, const char *text, size_t length);

/* Pushes what JSON's null is decoded to. */
void json_push_null(lua_State *L);

#endif
