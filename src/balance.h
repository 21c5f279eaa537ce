/* A check's good answer: the table's metatable and how it prints. */
#ifndef VOICECREDITS_BALANCE_H
#define VOICECREDITS_BALANCE_H

#include <lua.h>

/* Makes the metatable of balances; once per Lua state, before balance_push. */
void balance_open(lua_State *L);

/* Pushes an empty balance. */
void balance_push(lua_State *L);

#endif
