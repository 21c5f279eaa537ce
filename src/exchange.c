#define _GNU_SOURCE

#include "exchange.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "handle.h"
#include "resources.h"
#include "secret.h"

void exchange_init(struct exchange *exchange)
{
    memset(exchange, 0, sizeof *exchange);
    list_init(&exchange->link);
    list_init(&exchange->cancel_link);
}

void exchange_reset(struct exchange *exchange)
{
    response_free(exchange->response);
    secret_free(exchange->detail); /* libcurl's words on a proxy may repeat its password */
    exchange->response = NULL;
    exchange->detail = NULL;
    exchange->name_not_found = false;
    exchange->outcome = EXCHANGE_ANSWERED;
}

/* ---- what libcurl calls; to stop it they return another number than they were given ---- */

static size_t on_header(char *line, size_t one, size_t length, void *user)
{
    (void)one;
    struct exchange *exchange = user;
    struct response *response = exchange->response;
    response->header_bytes += length;
    if (response->header_bytes > RESPONSE_HEADER_LIMIT) {
        exchange->outcome = EXCHANGE_PROTOCOL;
        return 0;
    }
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* A new status line: what came before it was an interim answer. */
        memset(&response->headers, 0, sizeof response->headers);
        response->header_ended = false;
        return length;
    }
    if (length > 0 && (line[0] == '\r' || line[0] == '\n')) response->header_ended = true;
    const char *colon = memchr(line, ':', length);
    if (colon != NULL) {
        size_t name_length = (size_t)(colon - line);
        response_header(response, exchange->request_id_header, line, name_length, colon + 1, length - name_length - 1);
    }
    return length;
}

static size_t on_body(char *data, size_t one, size_t length, void *user)
{
    (void)one;
    struct exchange *exchange = user;
    switch (response_append(exchange->response, data, length)) {
    case RESPONSE_GROWN: return length;
    case RESPONSE_TOO_LARGE: exchange->outcome = EXCHANGE_PROTOCOL; return 0;
    default: exchange->outcome = EXCHANGE_RESOURCES; return 0;
    }
}

/* ---- the handle ---- */

struct handle *exchange_open_handle(const struct exchange_shared *shared)
{
    return handle_open(shared->share, on_header, on_body, (long)RESPONSE_BODY_LIMIT);
}

/* Milliseconds, rounded up and at least 1, since 0 means "no limit" to libcurl. */
static long to_milliseconds(int64_t nanoseconds)
{
    int64_t milliseconds = (nanoseconds + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
    return milliseconds < 1 ? 1 : milliseconds > INT32_MAX ? INT32_MAX : (long)milliseconds;
}

bool exchange_prepare(struct exchange *exchange, struct handle *handle, const struct exchange_shared *shared,
                      int64_t now)
{
    bool tls = strncmp(exchange->url, "https:", 6) == 0;
    /* A certificate authority of one's own stands alone: neither the file nor the directory of the system is added. */
    bool own_trust = exchange->ca_file != NULL || exchange->ca_path != NULL;
    struct handle_way way = {
        .url = exchange->url,
        /* Plain HTTP is for loopback and never goes through a proxy, where the key could be read. Over TLS a proxy only
         * tunnels. */
        .proxy = tls ? exchange->proxy : "",
        .ca_file = own_trust ? exchange->ca_file : shared->ca_file,
        .ca_path = own_trust ? exchange->ca_path : shared->ca_path,
        .auth_header = exchange->auth_header,
        .timeout = to_milliseconds(exchange->deadline - now),
        .connect_timeout = to_milliseconds(exchange->connect_timeout),
        .wait_for_connection = tls,
    };
    exchange->response = response_new();
    if (exchange->response == NULL || !handle_prepare(handle, &way, exchange)) return false;
    exchange->handle = handle;
    return true;
}

static void part(struct exchange *exchange)
{
    if (exchange->handle == NULL) return;
    handle_part(exchange->handle);
    exchange->handle = NULL;
}

/* ---- the outcome ---- */

static enum exchange_outcome judge(CURLcode code, bool deadline_passed)
{
    switch (code) {
    case CURLE_OK: return EXCHANGE_ANSWERED;
    case CURLE_OPERATION_TIMEDOUT:
        /* With time left it was the connection that took too long. */
        return deadline_passed ? EXCHANGE_TIMEOUT : EXCHANGE_NETWORK;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_USE_SSL_FAILED: return EXCHANGE_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a status line, "HTTP/0.9" */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_WRITE_ERROR:
    case CURLE_RANGE_ERROR:
    case CURLE_HTTP2: return EXCHANGE_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT: return EXCHANGE_RESOURCES;
    default: return EXCHANGE_NETWORK;
    }
}

/* What went wrong, where libcurl or we have words for it. */
static void describe(struct exchange *exchange, CURLcode code, bool cut, bool stopped_by_us)
{
    char *words = exchange->handle->detail;
    const size_t size = sizeof exchange->handle->detail;
    if (cut) {
        snprintf(words, size, "the connection was closed in the headers");
    } else if (exchange->response->header_bytes > RESPONSE_HEADER_LIMIT) {
        snprintf(words, size, "more than %u KiB of headers", RESPONSE_HEADER_LIMIT / 1024);
    } else if (code == CURLE_FILESIZE_EXCEEDED || (stopped_by_us && exchange->outcome == EXCHANGE_PROTOCOL)) {
        snprintf(words, size, "a body of more than %u KiB", RESPONSE_BODY_LIMIT / 1024);
    } else if (words[0] == '\0') {
        snprintf(words, size, "%s", curl_easy_strerror(code));
    } else if (strncmp(words, "Unsupported proxy", 17) == 0) {
        /* There libcurl quotes the proxy's URL, with the password in it. */
        snprintf(words, size, "the proxy's URL is not one that can be used");
    }
    exchange->detail = strdup(words);
}

void exchange_finish(struct exchange *exchange, int code, int64_t now)
{
    struct response *response = exchange->response;
    bool stopped_by_us = exchange->outcome != EXCHANGE_ANSWERED;
    if (!stopped_by_us) exchange->outcome = judge((CURLcode)code, now >= exchange->deadline - CLOCK_MILLISECOND);
    exchange->name_not_found = code == CURLE_COULDNT_RESOLVE_HOST;
    curl_easy_getinfo(exchange->handle->easy, CURLINFO_RESPONSE_CODE, &response->status);
    /* To libcurl a connection that is closed in the headers is a whole answer without a body. */
    bool cut = exchange->outcome == EXCHANGE_ANSWERED && (!response->header_ended || response->status < 200);
    if (cut) exchange->outcome = EXCHANGE_NETWORK;
    if (exchange->outcome != EXCHANGE_ANSWERED) describe(exchange, (CURLcode)code, cut, stopped_by_us);
    part(exchange);
}

void exchange_abandon(struct exchange *exchange, enum exchange_outcome outcome)
{
    part(exchange);
    exchange->outcome = outcome;
}

bool exchange_is_multiplexed(const struct exchange *exchange)
{
    long version = 0;
    return curl_easy_getinfo(exchange->handle->easy, CURLINFO_HTTP_VERSION, &version) == CURLE_OK &&
           version >= CURL_HTTP_VERSION_2_0;
}
