#include "answer.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "balance.h"
#include "compat.h"
#include "dates.h"
#include "json.h"
#include "reading.h"

void answer_mention_end(struct failure *failure, const struct provider *provider)
{
    static const char *const words = "the service announced its end for ";
    char text[64];
    if (provider->discontinued == NULL) return;
    snprintf(text, sizeof text, "%s%s", words, provider->discontinued);
    failure_quote(failure, text, strlen(text));
}

static bool has_type(const struct response *response, const char *type)
{
    size_t length = strcspn(response->headers.content_type, "; \t");
    return text_same_name(type, response->headers.content_type, length);
}

static bool is_html(const struct response *response)
{
    size_t at = 0;
    while (at < response->body_length && strchr(" \t\r\n", response->body[at]) != NULL && response->body[at] != '\0')
        at++;
    return has_type(response, "text/html") || (at < response->body_length && response->body[at] == '<');
}

/* What stands where a JSON object should; `decoded` tells whether it is on the top of the stack. */
static const char *describe_body(lua_State *L, const struct response *response, bool decoded)
{
    if (response->body_length == 0) return "an empty body";
    if (is_html(response)) return "an HTML page";
    if (!decoded) return "a body that is not JSON";
    return lua_istable(L, -1) ? "a JSON array" : "JSON that is no object";
}

static bool is_object(lua_State *L)
{
    return lua_istable(L, -1) && compat_rawlen(L, -1) == 0;
}

/* The balance's own fields, before the provider adds what it read. */
static void push_empty_balance(lua_State *L, const struct provider *provider, const struct failure *failure, int body,
                               double fetched_at)
{
    balance_push(L);
    lua_pushstring(L, provider->name);
    lua_setfield(L, -2, "provider");
    if (failure->account != NULL) {
        lua_pushstring(L, failure->account);
        lua_setfield(L, -2, "account");
    }
    lua_pushstring(L, provider->unit);
    lua_setfield(L, -2, "unit");
    if (failure->request_id[0] != '\0') {
        lua_pushstring(L, failure->request_id);
        lua_setfield(L, -2, "request_id");
    }
    compat_pushnumber(L, fetched_at);
    lua_setfield(L, -2, "fetched_at");
    lua_pushvalue(L, body);
    lua_setfield(L, -2, "raw");
}

static struct reading begin_reading(lua_State *L, struct failure *failure, int body)
{
    struct reading reading = {.L = L, .failure = failure, .from = body};
    json_push_null(L);
    reading.null = lua_gettop(L);
    return reading;
}

/* HTTP 200: a balance if the provider finds one in the body, which is on the top of the stack if it was decoded. */
static bool read_success(lua_State *L, const struct provider *provider, const struct response *response, bool decoded,
                         double fetched_at, struct failure *failure)
{
    if (!decoded || !is_object(L)) {
        failure_set(failure, FAILURE_PROTOCOL, "HTTP 200 with %s", describe_body(L, response, decoded));
        if (is_html(response)) answer_mention_end(failure, provider);
        return false;
    }
    int body = lua_gettop(L);
    struct reading reading = begin_reading(L, failure, body);
    push_empty_balance(L, provider, failure, body, fetched_at);
    reading.into = lua_gettop(L);
    provider->balance(&reading);
    return !reading_failed(&reading);
}

/* HTTP 400 and more: the status says the kind, the provider's own words and codes say it better. */
static void read_refusal(lua_State *L, const struct provider *provider, const struct response *response, bool decoded,
                         struct failure *failure)
{
    failure_set(failure, failure_kind_of_status(response->status), "HTTP %ld", response->status);
    if (failure->kind == FAILURE_NOT_FOUND || is_html(response)) answer_mention_end(failure, provider);
    int body = lua_gettop(L);
    struct reading reading = begin_reading(L, failure, body);
    if (decoded && lua_istable(L, body)) {
        provider->refusal(&reading);
    } else if (has_type(response, "text/plain") && !is_html(response)) {
        failure_quote(failure, response->body, response->body_length);
    }
}

static void note_headers(const struct response *response, double now, struct failure *failure)
{
    const struct response_headers *headers = &response->headers;
    failure->status = response->status;
    text_printable(failure->request_id, FAILURE_LABEL_CHARACTERS, headers->request_id, strlen(headers->request_id),
                   failure->secret);
    double seconds;
    if (dates_retry_after(headers->retry_after, now, &seconds)) failure->retry_after = seconds;
}

bool answer_read(lua_State *L, const struct provider *provider, const struct response *response, double fetched_at,
                 struct failure *failure)
{
    luaL_checkstack(L, 12, "an answer");
    int top = lua_gettop(L);
    note_headers(response, fetched_at, failure);
    bool compressed = response->headers.content_encoding[0] != '\0',
         too_large = response->body_length > RESPONSE_BODY_LIMIT;
    bool readable = !compressed && !too_large && response->body_length > 0;
    if (response->status >= 400 && response->status <= 599) {
        bool decoded = readable && json_decode(L, response->body, response->body_length);
        if (!decoded) lua_pushnil(L);
        read_refusal(L, provider, response, decoded, failure);
    } else if (response->status >= 300 && response->status <= 399) {
        failure_set(failure, FAILURE_PROTOCOL, "HTTP %ld, a redirect, which is never followed", response->status);
    } else if (response->status != 200) {
        failure_set(failure, FAILURE_PROTOCOL, "HTTP %ld where 200 is documented", response->status);
    } else if (too_large) {
        failure_set(failure, FAILURE_PROTOCOL, "a body of more than %u KiB", RESPONSE_BODY_LIMIT / 1024);
    } else if (compressed) {
        failure_set(failure, FAILURE_PROTOCOL, "a compressed body (%s), which was not asked for",
                    response->headers.content_encoding);
    } else {
        bool decoded = readable && json_decode(L, response->body, response->body_length);
        if (read_success(L, provider, response, decoded, fetched_at, failure)) {
            lua_replace(L, top + 1);
            lua_settop(L, top + 1);
            return true;
        }
    }
    lua_settop(L, top);
    return false;
}
