#define _GNU_SOURCE

#include "check.h"

#include <string.h>
#include <time.h>

#include "answer.h"
#include "clock.h"
#include "compat.h"
#include "request.h"
#include "resources.h"
#include "retry.h"
#include "secret.h"

/* ---- from the options to the exchange ---- */

static bool is_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return false;
    }
    return true;
}

static bool check_key(const struct provider *provider, const struct options *options, struct failure *failure)
{
    if (options->api_key_length == 0) {
        failure_set(failure, FAILURE_CONFIGURATION, "no API key: set %s or give the option api_key",
                    provider->key_variable);
        return false;
    }
    if (!is_printable(options->api_key, options->api_key_length)) {
        failure_set(failure, FAILURE_CONFIGURATION, "the API key holds a control character, a line end perhaps");
        return false;
    }
    return true;
}

/* A URL on its way into a check: one that is remembered, or one made for this check alone. */
struct way {
    const char *url;
    char *made; /* to be freed, or NULL */
    size_t origin_length;
};

static bool make_url(const struct provider *provider, const struct options *options, struct way *way,
                     struct failure *failure)
{
    struct request_field path_fields[PROVIDER_OPTIONS + 1] = {{0}}, query_fields[PROVIDER_OPTIONS + 1] = {{0}};
    struct request_field *path = path_fields, *query = query_fields;
    for (int i = 0; i < PROVIDER_OPTIONS && provider->options[i].name != NULL; i++) {
        struct request_field field = {provider->options[i].name, options->own[i]};
        *(provider->options[i].place == OPTION_IN_PATH ? path++ : query++) = field;
    }
    struct request_address address = {options->base_url, provider->path, path_fields, query_fields,
                                      options->proxy != NULL};
    bool whole = strlen(options->base_url) == options->base_url_length;
    enum request_problem problem = whole ? request_build(&address, &way->made, &way->origin_length) : REQUEST_BAD_URL;
    way->url = way->made;
    if (problem == REQUEST_FINE) return true;
    failure_set(failure, problem == REQUEST_NO_MEMORY ? FAILURE_UNAVAILABLE : FAILURE_CONFIGURATION,
                "the base URL (option base_url or %s) %s", provider->base_variable, request_problem_text(problem));
    return false;
}

/* True for a URL that the provider and the base URL alone decide. */
static bool is_plain(const struct provider *provider, const struct options *options)
{
    for (int i = 0; i < PROVIDER_OPTIONS; i++) {
        if (options->own[i] != provider->options[i].standard) return false;
    }
    return options->proxy == NULL;
}

static void forget_url(struct check_url *url)
{
    free(url->base_url);
    free(url->url);
    *url = (struct check_url){0};
}

void check_urls_free(struct check_urls *urls)
{
    for (int i = 0; i < CHECK_URLS; i++) forget_url(&urls->made[i]);
}

/* Remembers a URL in its provider's place; forgets the one that stood there. Without memory nothing is remembered. */
static void remember_url(struct check_url *place, const struct provider *provider, const char *base_url,
                         const struct way *way)
{
    struct check_url made = {provider, strdup(base_url), strdup(way->url), way->origin_length};
    forget_url(place);
    if (made.base_url == NULL || made.url == NULL) {
        forget_url(&made);
    } else {
        *place = made;
    }
}

static bool find_url(const struct provider *provider, const struct options *options, struct check_urls *urls,
                     struct way *way, struct failure *failure)
{
    if (urls == NULL || !is_plain(provider, options)) return make_url(provider, options, way, failure);
    struct check_url *place = &urls->made[provider_place(provider) % CHECK_URLS];
    if (place->provider == provider && strcmp(place->base_url, options->base_url) == 0 &&
        strlen(options->base_url) == options->base_url_length) {
        way->url = place->url;
        way->origin_length = place->origin_length;
        return true;
    }
    if (!make_url(provider, options, way, failure)) return false;
    remember_url(place, provider, options->base_url, way);
    return true;
}

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* Copies a text to `*free_space` and moves that on; NULL stays NULL. */
static char *put(char **free_space, const char *text)
{
    if (text == NULL) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*free_space, text, size);
    *free_space += size;
    return copy;
}

/* Like put, but the next text follows in the same string. */
static char *put_part(char **free_space, const char *text, size_t length)
{
    char *copy = memcpy(*free_space, text, length);
    *free_space += length;
    return copy;
}

static void put_auth(struct check *check, char **free_space, const struct provider *provider,
                     const struct options *options)
{
    check->exchange.auth_header = put_part(free_space, provider->auth_header, strlen(provider->auth_header));
    put_part(free_space, ": ", 2);
    put_part(free_space, provider->auth_scheme, strlen(provider->auth_scheme));
    check->secret = put_part(free_space, options->api_key, options->api_key_length);
    put_part(free_space, "", 1);
}

/* One block holds the check and all its texts: many wait at the same time. */
static struct check *put_together(const struct provider *provider, const struct options *options, const struct way *way)
{
    size_t auth_size = strlen(provider->auth_header) + 2 + strlen(provider->auth_scheme) + options->api_key_length + 1;
    size_t text_size = auth_size + size_of(way->url) + size_of(options->account) + size_of(options->proxy) +
                       size_of(options->ca_file) + size_of(options->ca_path);
    struct check *check = malloc(sizeof *check + text_size);
    if (check == NULL) return NULL;
    *check = (struct check){.provider = provider, .text_size = text_size};
    struct exchange *exchange = &check->exchange;
    char *free_space = check->text;
    exchange_init(exchange);
    put_auth(check, &free_space, provider, options);
    exchange->url = put(&free_space, way->url);
    exchange->origin_length = way->origin_length;
    exchange->proxy = put(&free_space, options->proxy);
    exchange->ca_file = put(&free_space, options->ca_file);
    exchange->ca_path = put(&free_space, options->ca_path);
    check->account = put(&free_space, options->account);
    check->timeout = options->timeout;
    check->retries = options->retries;
    check->started = clock_now();
    exchange->deadline = check->started + clock_from_seconds(options->timeout);
    exchange->connect_timeout = clock_from_seconds(options->connect_timeout);
    exchange->request_id_header = provider->request_id_header;
    return check;
}

struct check *check_new(const struct provider *provider, const struct options *options, struct check_urls *urls,
                        struct failure *failure)
{
    failure_init(failure, provider->name, options->account, options->api_key);
    if (!check_key(provider, options, failure)) {
        failure->secret = NULL;
        return NULL;
    }
    struct way way = {0};
    if (!find_url(provider, options, urls, &way, failure)) return NULL;
    struct check *check = put_together(provider, options, &way);
    if (check == NULL) failure_set(failure, FAILURE_UNAVAILABLE, "out of memory");
    free(way.made);
    return check;
}

void check_free(struct check *check)
{
    exchange_reset(&check->exchange);
    secret_wipe(check->text, check->text_size); /* the key, and perhaps a proxy's password */
    free(check);
}

/* ---- from the exchange to the answer ---- */

/* libcurl's words on what went wrong; where there was no memory even for these, ours. */
static const char *words_of(const struct exchange *exchange, const char *otherwise)
{
    return exchange->detail != NULL ? exchange->detail : otherwise;
}

/* What went wrong on the way, where no whole answer came. */
static void read_outcome(const struct check *check, struct failure *failure)
{
    const struct exchange *exchange = &check->exchange;
    char timeout[TEXT_NUMBER_SIZE];
    switch (exchange->outcome) {
    case EXCHANGE_TIMEOUT:
        text_shortest(timeout, check->timeout);
        failure_set(failure, FAILURE_TIMEOUT, "%s within %s s", exchange->response != NULL ? "no answer" : "not begun",
                    timeout);
        break;
    case EXCHANGE_NETWORK:
        failure_set(failure, FAILURE_NETWORK, "%s", words_of(exchange, "no connection, or one that broke off"));
        failure->retryable = exchange->response == NULL || exchange->response->status < 200; /* 1xx is no answer */
        if (exchange->name_not_found) answer_mention_end(failure, check->provider);
        break;
    case EXCHANGE_TLS: failure_set(failure, FAILURE_TLS, "%s", words_of(exchange, "no acceptable certificate")); break;
    case EXCHANGE_PROTOCOL:
        failure_set(failure, FAILURE_PROTOCOL, "%s", words_of(exchange, "an answer that is not HTTP"));
        break;
    case EXCHANGE_CANCELLED: failure_set(failure, FAILURE_CANCELLED, "cancelled"); break;
    default:
        failure_set(failure, FAILURE_UNAVAILABLE, "out of memory or descriptors: %s",
                    words_of(exchange, "the check could not go on"));
        failure->retryable = false;
    }
    if (exchange->response != NULL) failure->status = exchange->response->status;
}

/* True with the balance on the stack. */
static bool read_answer(lua_State *L, const struct check *check, struct failure *failure)
{
    if (!check->cancelled && check->exchange.outcome == EXCHANGE_ANSWERED) {
        return answer_read(L, check->provider, check->exchange.response, (double)time(NULL), failure);
    }
    read_outcome(check, failure);
    if (check->cancelled) failure_set(failure, FAILURE_CANCELLED, "cancelled");
    return false;
}

static bool try_again(struct check *check, const struct failure *failure, int attempts, double random, int64_t now)
{
    struct retry retry = {failure->retryable, attempts, check->retries, failure->retry_after,
                          clock_to_seconds(check->exchange.deadline - now)};
    double delay = retry_delay(&retry, random);
    if (delay < 0) return false;
    check->attempts = attempts;
    check->exchange.not_before = now + clock_from_seconds(delay);
    exchange_reset(&check->exchange);
    return true;
}

bool check_judge(lua_State *L, struct check *check, double random, bool last)
{
    int64_t now = clock_now();
    int attempts = check->attempts + (check->exchange.response != NULL);
    struct failure failure;
    failure_init(&failure, check->provider->name, check->account, check->secret);
    bool good = read_answer(L, check, &failure);
    if (!good && !last && !check->cancelled && try_again(check, &failure, attempts, random, now)) return false;

    failure.attempts = attempts;
    failure.elapsed = clock_to_seconds(now - check->started);
    if (!good) {
        failure_push(L, &failure);
        return true;
    }
    compat_pushnumber(L, attempts);
    lua_setfield(L, -2, "attempts");
    compat_pushnumber(L, failure.elapsed);
    lua_setfield(L, -2, "elapsed");
    return true;
}
