#define _GNU_SOURCE

#include "check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "clock.h"
#include "compat.h"
#include "request.h"
#include "resources.h"
#include "retry.h"

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

static bool make_url(const struct provider *provider, const struct options *options, struct exchange *exchange,
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
    enum request_problem problem = whole ? request_build(&address, &exchange->url, &exchange->origin_length)
                                         : REQUEST_BAD_URL;
    if (problem == REQUEST_FINE) return true;
    failure_set(failure, problem == REQUEST_NO_MEMORY ? FAILURE_UNAVAILABLE : FAILURE_CONFIGURATION,
                "the base URL (option base_url or %s) %s", provider->base_variable, request_problem_text(problem));
    return false;
}

static bool copy(char **to, const char *text)
{
    if (text == NULL) return true;
    *to = strdup(text);
    return *to != NULL;
}

/* True for a URL that the provider and the base URL alone decide. */
static bool is_plain(const struct provider *provider, const struct options *options)
{
    for (int i = 0; i < PROVIDER_OPTIONS; i++) {
        if (options->own[i] != provider->options[i].standard) return false;
    }
    return options->proxy == NULL;
}

void check_urls_free(struct check_urls *urls)
{
    for (int i = 0; i < CHECK_URLS; i++) {
        free(urls->made[i].base_url);
        free(urls->made[i].url);
    }
    memset(urls, 0, sizeof *urls);
}

/* Remembers a URL in its provider's place; forgets the one that stood there. Without memory nothing is remembered. */
static void remember_url(struct check_urls *urls, int place, const struct provider *provider, const char *base_url,
                         const struct exchange *exchange)
{
    free(urls->made[place].base_url);
    free(urls->made[place].url);
    memset(&urls->made[place], 0, sizeof urls->made[place]);
    if (!copy(&urls->made[place].base_url, base_url) || !copy(&urls->made[place].url, exchange->url)) return;
    urls->made[place].provider = provider;
    urls->made[place].origin_length = exchange->origin_length;
}

static bool build_url(const struct provider *provider, const struct options *options, struct check_urls *urls,
                      struct exchange *exchange, struct failure *failure)
{
    if (urls == NULL || !is_plain(provider, options)) return make_url(provider, options, exchange, failure);
    int place = provider_place(provider) % CHECK_URLS;
    bool whole = strlen(options->base_url) == options->base_url_length;
    if (whole && urls->made[place].provider == provider && strcmp(urls->made[place].base_url, options->base_url) == 0) {
        exchange->origin_length = urls->made[place].origin_length;
        if (copy(&exchange->url, urls->made[place].url)) return true;
        failure_set(failure, FAILURE_UNAVAILABLE, "out of memory");
        return false;
    }
    if (!make_url(provider, options, exchange, failure)) return false;
    remember_url(urls, place, provider, options->base_url, exchange);
    return true;
}

static bool copy_auth(const struct provider *provider, const struct options *options, struct check *check)
{
    size_t start = strlen(provider->auth_header) + 2 + strlen(provider->auth_scheme);
    size_t size = start + options->api_key_length + 1;
    char *header = malloc(size);
    if (header == NULL) return false;
    snprintf(header, size, "%s: %s%s", provider->auth_header, provider->auth_scheme, options->api_key);
    check->exchange.auth_header = header;
    check->secret = header + start;
    return true;
}

static bool fill(struct check *check, const struct provider *provider, const struct options *options)
{
    struct exchange *exchange = &check->exchange;
    check->provider = provider;
    check->timeout = options->timeout;
    check->retries = options->retries;
    check->started = clock_now();
    exchange->deadline = check->started + clock_from_seconds(options->timeout);
    exchange->connect_timeout = clock_from_seconds(options->connect_timeout);
    exchange->request_id_header = provider->request_id_header;
    return copy_auth(provider, options, check) && copy(&check->account, options->account) &&
           copy(&exchange->proxy, options->proxy) && copy(&exchange->ca_file, options->ca_file) &&
           copy(&exchange->ca_path, options->ca_path);
}

struct check *check_new(const struct provider *provider, const struct options *options, struct check_urls *urls,
                        struct failure *failure)
{
    failure_init(failure, provider->name, options->account, options->api_key);
    if (!check_key(provider, options, failure)) {
        failure->secret = NULL;
        return NULL;
    }
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL) {
        failure_set(failure, FAILURE_UNAVAILABLE, "out of memory");
        return NULL;
    }
    exchange_init(&check->exchange);
    bool built = build_url(provider, options, urls, &check->exchange, failure);
    if (built && fill(check, provider, options)) return check;
    if (built) failure_set(failure, FAILURE_UNAVAILABLE, "out of memory");
    check_free(check);
    return NULL;
}

void check_free(struct check *check)
{
    exchange_free(&check->exchange);
    free(check->account);
    free(check);
}

/* ---- from the exchange to the answer ---- */

/* What went wrong on the way, where no whole answer came. */
static void read_outcome(const struct check *check, struct failure *failure)
{
    const struct exchange *exchange = &check->exchange;
    const char *detail = exchange->detail != NULL ? exchange->detail : "";
    switch (exchange->outcome) {
    case EXCHANGE_TIMEOUT:
        failure_set(failure, FAILURE_TIMEOUT,
                    exchange->response != NULL ? "no answer within %g s" : "not begun within %g s", check->timeout);
        break;
    case EXCHANGE_NETWORK:
        failure_set(failure, FAILURE_NETWORK, "%s", detail);
        failure->retryable = exchange->response == NULL || exchange->response->status == 0;
        if (exchange->name_not_found) answer_mention_end(failure, check->provider);
        break;
    case EXCHANGE_TLS: failure_set(failure, FAILURE_TLS, "%s", detail); break;
    case EXCHANGE_PROTOCOL: failure_set(failure, FAILURE_PROTOCOL, "%s", detail); break;
    case EXCHANGE_CANCELLED: failure_set(failure, FAILURE_CANCELLED, "cancelled"); break;
    default:
        failure_set(failure, FAILURE_UNAVAILABLE, "out of memory or descriptors %s", detail);
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
