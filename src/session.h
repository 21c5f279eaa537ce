/* The session userdata: a connection pool with its I/O thread, its limits and its running checks. */
#ifndef VOICECREDITS_SESSION_H
#define VOICECREDITS_SESSION_H

#include <lua.h>
#include <stdbool.h>

#include "options.h"
#include "provider.h"

/* Makes the metatable of sessions; once per Lua state, before session_push. */
void session_open(lua_State *L);

/* Opens a session with the limits in the table of argument `argument` (nil: the defaults) and pushes it; or returns
 * false with a failure on the stack, when the system gives no thread or descriptor. */
bool session_push(lua_State *L, int argument);

/* Submits a check on the session at `index`. Returns true with the id on the stack, or false with a failure. */
bool session_submit(lua_State *L, int index, const struct provider *provider, const struct options *options);

/* Waits for the answer of the check whose id is on the top of the stack, up to `seconds` (negative: for ever), and puts
 * balance and failure, one of them nil, in its place; both nil: it is still running. */
void session_take(lua_State *L, int index, double seconds);

/* Gives a check up: it is ended, and forgotten without a word. Raises nothing; an id that is not pending is nothing. */
void session_abandon(lua_State *L, int index, lua_Integer id);

/* Whether the value is a session at all, and whether it can still be used in this process. */
bool session_is(lua_State *L, int index);
bool session_is_usable(lua_State *L, int index);

#endif
