/* The options of one check, read from a Lua table and the environment, and held against what they may be. */
#ifndef VOICECREDITS_OPTIONS_H
#define VOICECREDITS_OPTIONS_H

#include <lua.h>
#include <stddef.h>

#include "provider.h"

/* All texts are borrowed: from the Lua table, which must stay on the stack, or from the environment. */
struct options {
    const char *api_key; /* NULL when there is none */
    size_t api_key_length;
    const char *account; /* "default" where none is given */
    const char *base_url;
    size_t base_url_length;
    const char *proxy, *ca_file, *ca_path; /* NULL when not given */
    double timeout, connect_timeout;       /* seconds */
    int retries;
    const char *own[PROVIDER_OPTIONS]; /* the provider's own, in its order, as they go into the URL; NULL: not sent */
};

/* Reads the options of a check of this provider from the table at `index`, or the defaults where there is no table. May
 * leave texts on the stack that a metatable has given.
 * An unknown option, or one of a wrong type or an impossible value, is an error like luaL_argerror's for argument
 * `argument`. */
void options_read(lua_State *L, int index, int argument, const struct provider *provider, struct options *options);

/* The same for an account of check_all: a table that also has the field `provider`. What it does not say the table at
 * `defaults` does, if there is one; that one may hold options of other providers too, which are not for this account. */
void options_read_account(lua_State *L, int account, int defaults, int argument, const struct provider *provider,
                          struct options *options);

/* The provider whose name is argument `argument`, or an error that names the nearest one. */
const struct provider *options_provider(lua_State *L, int argument);

/* Pushes a wrong word as a message shows it: " 'word'", or its length alone where it may be a key in the wrong place. */
const char *options_push_shown(lua_State *L, const char *word, size_t length);

/* Raises the error for an unknown word: what kind of word it is, the word, and the nearest valid one. */
int options_unknown(lua_State *L, int argument, const char *what, const char *word, const char *const *valid);

/* Reads the whole number of a table's field, at least `least`; `standard` when the field is nil. */
int options_whole_number(lua_State *L, int index, int argument, const char *name, int least, int standard);

/* Raises unless every key of the table at `index` is one of `valid` (ended by NULL). */
void options_check_names(lua_State *L, int index, int argument, const char *what, const char *const *valid);

#endif
