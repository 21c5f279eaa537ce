#include "options.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "text.h"

/* `session` and `wait` say who asks and how to wait: they belong to the caller. */
static const char *const common_names[] = {"api_key",         "account", "base_url", "timeout",
                                           "connect_timeout", "retries", "proxy",    "ca_file",
                                           "ca_path",         "session", "wait"};

enum { COMMON_COUNT = sizeof common_names / sizeof common_names[0], STANDARD_RETRIES = 2, MOST_RETRIES = 100 };

static const double standard_timeout = 10, standard_connect_timeout = 4;

int options_unknown(lua_State *L, int argument, const char *what, const char *word, const char *const *valid)
{
    char shown[TEXT_SIZE(40)];
    text_printable(shown, 40, word, strlen(word), NULL);
    return luaL_argerror(
        L, argument,
        lua_pushfstring(L, "unknown %s '%s', the nearest is '%s'", what, shown, text_nearest(word, valid)));
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

static void check_names(lua_State *L, int index, int argument, const struct provider *provider)
{
    const char *valid[COMMON_COUNT + PROVIDER_OPTIONS + 1];
    size_t count = 0;
    for (; count < COMMON_COUNT; count++) valid[count] = common_names[count];
    for (int i = 0; i < PROVIDER_OPTIONS && provider->options[i].name != NULL; i++)
        valid[count++] = provider->options[i].name;
    valid[count] = NULL;
    options_check_names(L, index, argument, lua_pushfstring(L, "%s option", provider->name), valid);
    lua_pop(L, 1);
}

static int wrong_type(lua_State *L, int argument, const char *name, const char *expected)
{
    return luaL_argerror(L, argument,
                         lua_pushfstring(L, "option '%s' must be %s, found %s", name, expected, luaL_typename(L, -1)));
}

/* The text of an option, NULL when it is nil. The table keeps it alive. */
static const char *read_text(lua_State *L, int index, int argument, const char *name, size_t *length)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING) wrong_type(L, argument, name, "a string");
    const char *text = lua_tolstring(L, -1, length);
    lua_pop(L, 1);
    return text;
}

/* The same for what becomes part of a path or a URL, where an inner NUL would cut it silently. */
static const char *read_plain_text(lua_State *L, int index, int argument, const char *name)
{
    size_t length = 0;
    const char *text = read_text(L, index, argument, name, &length);
    if (text != NULL && (length == 0 || strlen(text) != length)) {
        luaL_argerror(L, argument,
                      lua_pushfstring(L, "option '%s' must be a string with something in it and no NUL", name));
    }
    return text;
}

static double read_seconds(lua_State *L, int index, int argument, const char *name, double standard)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, argument, name, "a number of seconds");
    double seconds = lua_isnil(L, -1) ? standard : lua_tonumber(L, -1);
    if (!(seconds > 0)) luaL_argerror(L, argument, lua_pushfstring(L, "option '%s' must be more than 0 seconds", name));
    lua_pop(L, 1);
    return seconds;
}

int options_whole_number(lua_State *L, int index, int argument, const char *name, int least, int standard)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER) wrong_type(L, argument, name, "a whole number");
    double number = lua_isnil(L, -1) ? standard : lua_tonumber(L, -1);
    if (!(number >= least && number <= INT_MAX && number == floor(number))) {
        luaL_argerror(L, argument,
                      lua_pushfstring(L, "option '%s' must be a whole number of at least %d", name, least));
    }
    lua_pop(L, 1);
    return (int)number;
}

static const char *read_own(lua_State *L, int index, int argument, const struct provider_option *option)
{
    if (option->type == OPTION_TEXT) {
        const char *text = read_plain_text(L, index, argument, option->name);
        /* "." and ".." would walk through the path instead of standing in it. */
        bool walks = text != NULL && option->place == OPTION_IN_PATH &&
                     (strcmp(text, ".") == 0 || strcmp(text, "..") == 0);
        if (walks) luaL_argerror(L, argument, lua_pushfstring(L, "option '%s' must not be '%s'", option->name, text));
        return text != NULL ? text : option->standard;
    }
    lua_getfield(L, index, option->name);
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) wrong_type(L, argument, option->name, "a boolean");
    const char *text = lua_isnil(L, -1) ? option->standard : lua_toboolean(L, -1) ? "true" : "false";
    lua_pop(L, 1);
    return text;
}

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

void options_read(lua_State *L, int index, int argument, const struct provider *provider, struct options *options)
{
    memset(options, 0, sizeof *options);
    options->timeout = standard_timeout;
    options->connect_timeout = standard_connect_timeout;
    options->retries = STANDARD_RETRIES;
    for (int i = 0; i < PROVIDER_OPTIONS; i++) options->own[i] = provider->options[i].standard;
    if (!lua_isnoneornil(L, index)) {
        if (!lua_istable(L, index)) {
            luaL_argerror(L, argument,
                          lua_pushfstring(L, "a table of options expected, found %s", luaL_typename(L, index)));
        }
        index = compat_absindex(L, index);
        check_names(L, index, argument, provider);
        options->api_key = read_text(L, index, argument, "api_key", &options->api_key_length);
        options->account = read_plain_text(L, index, argument, "account");
        options->base_url = read_text(L, index, argument, "base_url", &options->base_url_length);
        options->proxy = read_plain_text(L, index, argument, "proxy");
        options->ca_file = read_plain_text(L, index, argument, "ca_file");
        options->ca_path = read_plain_text(L, index, argument, "ca_path");
        options->timeout = read_seconds(L, index, argument, "timeout", standard_timeout);
        options->connect_timeout = read_seconds(L, index, argument, "connect_timeout", standard_connect_timeout);
        options->retries = options_whole_number(L, index, argument, "retries", 0, STANDARD_RETRIES);
        for (int i = 0; i < PROVIDER_OPTIONS && provider->options[i].name != NULL; i++) {
            options->own[i] = read_own(L, index, argument, &provider->options[i]);
        }
    }
    add_environment(provider, options);
}
