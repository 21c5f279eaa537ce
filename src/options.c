#include "options.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "text.h"

/* What every check may be told. `session` and `wait` say who asks and how to wait: they belong to the caller. */
enum common { API_KEY, ACCOUNT, BASE_URL, SESSION, TIMEOUT, CONNECT_TIMEOUT, RETRIES, PROXY, CA_FILE, CA_PATH, WAIT };

static const char *const common_names[] = {
    [API_KEY] = "api_key",
    [ACCOUNT] = "account",
    [BASE_URL] = "base_url",
    [TIMEOUT] = "timeout",
    [CONNECT_TIMEOUT] = "connect_timeout",
    [RETRIES] = "retries",
    [PROXY] = "proxy",
    [CA_FILE] = "ca_file",
    [CA_PATH] = "ca_path",
    [SESSION] = "session",
    [WAIT] = "wait",
};

enum { COMMON_COUNT = sizeof common_names / sizeof common_names[0], STANDARD_RETRIES = 2 };

static const double standard_timeout = 10, standard_connect_timeout = 4;

const char *options_push_shown(lua_State *L, const char *word, size_t length)
{
    if (text_is_slip(word, length)) return lua_pushfstring(L, " '%s'", word);
    return lua_pushfstring(L, " of %d characters", (int)length);
}

int options_unknown(lua_State *L, int argument, const char *what, const char *word, const char *const *valid)
{
    const char *shown = options_push_shown(L, word, strlen(word));
    return luaL_argerror(
        L, argument, lua_pushfstring(L, "unknown %s%s, the nearest is '%s'", what, shown, text_nearest(word, valid)));
}

const struct provider *options_provider(lua_State *L, int argument)
{
    const char *name = luaL_checkstring(L, argument);
    const struct provider *provider = provider_find(name);
    if (provider == NULL) options_unknown(L, argument, "provider", name, provider_names());
    return provider;
}

void options_check_names(lua_State *L, int index, int argument, const char *what, const char *const *valid)
{
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            luaL_argerror(L, argument,
                          lua_pushfstring(L, "%s names are strings, found a %s", what, luaL_typename(L, -2)));
        }
        const char *name = lua_tostring(L, -2);
        const char *const *word = valid;
        while (*word != NULL && strcmp(*word, name) != 0) word++;
        if (*word == NULL) options_unknown(L, argument, what, name, valid);
    }
}

/* ---- one option, whose value is on the top of the stack ---- */

static int wrong_type(lua_State *L, int argument, const char *name, const char *expected)
{
    return luaL_argerror(L, argument,
                         lua_pushfstring(L, "option '%s' must be %s, found %s", name, expected, luaL_typename(L, -1)));
}

/* A text; the table keeps it alive. */
static const char *read_text(lua_State *L, int argument, const char *name, size_t *length)
{
    if (lua_type(L, -1) != LUA_TSTRING) wrong_type(L, argument, name, "a string");
    return lua_tolstring(L, -1, length);
}

/* The same for what becomes part of a path or a URL, where an inner NUL would cut it silently. */
static const char *read_plain_text(lua_State *L, int argument, const char *name)
{
    size_t length;
    const char *text = read_text(L, argument, name, &length);
    if (length == 0 || strlen(text) != length) {
        luaL_argerror(L, argument,
                      lua_pushfstring(L, "option '%s' must be a string with something in it and no NUL", name));
    }
    return text;
}

static double read_seconds(lua_State *L, int argument, const char *name)
{
    if (lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, argument, name, "a number of seconds");
    double seconds = lua_tonumber(L, -1);
    if (!(seconds > 0)) luaL_argerror(L, argument, lua_pushfstring(L, "option '%s' must be more than 0 seconds", name));
    return seconds;
}

static int read_whole_number(lua_State *L, int argument, const char *name, int least)
{
    if (lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, argument, name, "a whole number");
    double number = lua_tonumber(L, -1);
    if (!(number >= least && number <= INT_MAX && number == floor(number))) {
        luaL_argerror(L, argument,
                      lua_pushfstring(L, "option '%s' must be a whole number of at least %d", name, least));
    }
    return (int)number;
}

int options_whole_number(lua_State *L, int index, int argument, const char *name, int least, int standard)
{
    lua_getfield(L, index, name);
    int number = lua_isnil(L, -1) ? standard : read_whole_number(L, argument, name, least);
    lua_pop(L, 1);
    return number;
}

static void read_common(lua_State *L, int argument, enum common which, struct options *options)
{
    const char *name = common_names[which];
    switch (which) {
    case API_KEY: options->api_key = read_text(L, argument, name, &options->api_key_length); break;
    case ACCOUNT: options->account = read_plain_text(L, argument, name); break;
    case BASE_URL: options->base_url = read_text(L, argument, name, &options->base_url_length); break;
    case TIMEOUT: options->timeout = read_seconds(L, argument, name); break;
    case CONNECT_TIMEOUT: options->connect_timeout = read_seconds(L, argument, name); break;
    case RETRIES: options->retries = read_whole_number(L, argument, name, 0); break;
    case PROXY: options->proxy = read_plain_text(L, argument, name); break;
    case CA_FILE: options->ca_file = read_plain_text(L, argument, name); break;
    case CA_PATH: options->ca_path = read_plain_text(L, argument, name); break;
    case SESSION:
    case WAIT: break;
    }
}

static const char *read_own(lua_State *L, int argument, const struct provider_option *option)
{
    if (option->type == OPTION_TEXT) {
        const char *text = read_plain_text(L, argument, option->name);
        /* "." and ".." would walk through the path instead of standing in it. */
        bool walks = option->place == OPTION_IN_PATH && (strcmp(text, ".") == 0 || strcmp(text, "..") == 0);
        if (walks) luaL_argerror(L, argument, lua_pushfstring(L, "option '%s' must not be '%s'", option->name, text));
        return text;
    }
    if (!lua_isboolean(L, -1)) wrong_type(L, argument, option->name, "a boolean");
    return lua_toboolean(L, -1) ? "true" : "false";
}

/* ---- a table of options ---- */

/* Whose options a table holds: those of one check; an account of check_all, which names its provider too; or the
 * defaults for accounts at any provider. */
enum holder { OF_CHECK, OF_ACCOUNT, OF_DEFAULTS };

static int own_place(const struct provider *provider, const char *name)
{
    for (int i = 0; i < PROVIDER_OPTIONS && provider->options[i].name != NULL; i++) {
        if (strcmp(provider->options[i].name, name) == 0) return i;
    }
    return -1;
}

static bool is_of_some_provider(const char *name)
{
    for (int i = 0; providers[i] != NULL; i++) {
        if (own_place(providers[i], name) >= 0) return true;
    }
    return false;
}

static int unknown_name(lua_State *L, int argument, const struct provider *provider, const char *name)
{
    const char *valid[COMMON_COUNT + PROVIDER_OPTIONS + 1];
    size_t count = 0;
    for (; count < COMMON_COUNT; count++) valid[count] = common_names[count];
    for (int i = 0; i < PROVIDER_OPTIONS && provider->options[i].name != NULL; i++)
        valid[count++] = provider->options[i].name;
    valid[count] = NULL;
    return options_unknown(L, argument, lua_pushfstring(L, "%s option", provider->name), name, valid);
}

/* The option of that name, with its value on the top of the stack. */
static void read_option(lua_State *L, int argument, enum holder holder, const struct provider *provider,
                        const char *name, struct options *options)
{
    if (holder == OF_ACCOUNT && strcmp(name, "provider") == 0) return;
    for (int i = 0; i < COMMON_COUNT; i++) {
        if (strcmp(common_names[i], name) == 0) {
            read_common(L, argument, (enum common)i, options);
            return;
        }
    }
    int place = own_place(provider, name);
    if (place >= 0) {
        options->own[place] = read_own(L, argument, &provider->options[place]);
    } else if (holder != OF_DEFAULTS || !is_of_some_provider(name)) {
        unknown_name(L, argument, provider, name);
    }
}

/* What the table itself does not hold, but its metatable gives. Texts stay on the stack: nothing else may keep them. */
static void read_inherited(lua_State *L, int index, int argument, enum holder holder, const struct provider *provider,
                           struct options *options)
{
    for (int i = 0; i < COMMON_COUNT + PROVIDER_OPTIONS; i++) {
        const char *name = i < COMMON_COUNT ? common_names[i] : provider->options[i - COMMON_COUNT].name;
        if (name == NULL) return;
        lua_getfield(L, index, name);
        if (!lua_isnil(L, -1)) read_option(L, argument, holder, provider, name, options);
        if (lua_type(L, -1) != LUA_TSTRING) lua_pop(L, 1);
    }
}

static void read_table(lua_State *L, int index, int argument, enum holder holder, const struct provider *provider,
                       struct options *options)
{
    luaL_checkstack(L, COMMON_COUNT + PROVIDER_OPTIONS + 8, "options");
    index = compat_absindex(L, index);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            luaL_argerror(
                L, argument,
                lua_pushfstring(L, "%s option names are strings, found a %s", provider->name, luaL_typename(L, -2)));
        }
        read_option(L, argument, holder, provider, lua_tostring(L, -2), options);
    }
    if (luaL_getmetafield(L, index, "__index") == 0) return;
    lua_pop(L, 1);
    read_inherited(L, index, argument, holder, provider, options);
}

/* ---- what no table says ---- */

static const char *from_environment(const char *variable, size_t *length)
{
    const char *value = getenv(variable);
    if (value == NULL || value[0] == '\0') return NULL;
    *length = strlen(value);
    return value;
}

static void add_environment(const struct provider *provider, struct options *options)
{
    if (options->api_key == NULL) options->api_key = from_environment(provider->key_variable, &options->api_key_length);
    if (options->base_url == NULL)
        options->base_url = from_environment(provider->base_variable, &options->base_url_length);
    if (options->base_url == NULL) {
        options->base_url = provider->base_url;
        options->base_url_length = strlen(provider->base_url);
    }
    if (options->account == NULL) options->account = "default";
}

static void set_standard(const struct provider *provider, struct options *options)
{
    memset(options, 0, sizeof *options);
    options->timeout = standard_timeout;
    options->connect_timeout = standard_connect_timeout;
    options->retries = STANDARD_RETRIES;
    for (int i = 0; i < PROVIDER_OPTIONS; i++) options->own[i] = provider->options[i].standard;
}

void options_read(lua_State *L, int index, int argument, const struct provider *provider, struct options *options)
{
    set_standard(provider, options);
    if (!lua_isnoneornil(L, index)) {
        if (!lua_istable(L, index)) {
            luaL_argerror(L, argument,
                          lua_pushfstring(L, "a table of options expected, found %s", luaL_typename(L, index)));
        }
        read_table(L, index, argument, OF_CHECK, provider, options);
    }
    add_environment(provider, options);
}

void options_read_account(lua_State *L, int account, int defaults, int argument, const struct provider *provider,
                          struct options *options)
{
    set_standard(provider, options);
    if (lua_istable(L, defaults)) read_table(L, defaults, argument, OF_DEFAULTS, provider, options);
    read_table(L, account, argument, OF_ACCOUNT, provider, options);
    add_environment(provider, options);
}
