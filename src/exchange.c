#define _GNU_SOURCE

#include "exchange.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "request.h"
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
    if (exchange->response != NULL) free(exchange->response->body);
    free(exchange->response);
    free(exchange->detail);
    exchange->response = NULL;
    exchange->detail = NULL;
    exchange->name_not_found = false;
    exchange->outcome = EXCHANGE_ANSWERED;
}

void exchange_free(struct exchange *exchange)
{
    exchange_reset(exchange);
    secret_free(exchange->auth_header);
    secret_free(exchange->proxy); /* may hold the proxy's password */
    free(exchange->url);
    free(exchange->ca_file);
    free(exchange->ca_path);
    exchange_init(exchange);
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
    struct response *response = exchange->response;
    if (length > RESPONSE_BODY_LIMIT - response->body_length) {
        exchange->outcome = EXCHANGE_PROTOCOL;
        return 0;
    }
    if (response->body_length + length > response->body_size) {
        size_t size = response->body_size > 0 ? response->body_size : 1024;
        while (size < response->body_length + length) size *= 2;
        char *body = realloc(response->body, size);
        if (body == NULL) {
            exchange->outcome = EXCHANGE_RESOURCES;
            return 0;
        }
        response->body = body;
        response->body_size = size;
    }
    memcpy(response->body + response->body_length, data, length);
    response->body_length += length;
    return length;
}

/* ---- the handle ---- */

static bool only_http(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

void *exchange_make_handle(const struct exchange_shared *shared)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL) return NULL;
    curl_easy_setopt(easy, CURLOPT_SHARE, shared->share);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)RESPONSE_BODY_LIMIT);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without it a name server that hangs holds the whole I/O thread when a transfer times out. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    bool safe = only_http(easy) && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_USERAGENT, REQUEST_USER_AGENT) == CURLE_OK;
    if (!safe) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

static struct curl_slist *make_headers(const char *auth_header)
{
    struct curl_slist *headers = curl_slist_append(NULL, REQUEST_ACCEPT);
    if (headers == NULL) return NULL;
    struct curl_slist *whole = curl_slist_append(headers, auth_header);
    if (whole == NULL) curl_slist_free_all(headers);
    return whole;
}

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line != NULL; line = line->next)
        secret_wipe(line->data, strlen(line->data));
    curl_slist_free_all(headers);
}

/* Milliseconds, rounded up and at least 1, since 0 means "no limit" to libcurl. */
static long to_milliseconds(int64_t nanoseconds)
{
    int64_t milliseconds = (nanoseconds + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
    return milliseconds < 1 ? 1 : milliseconds > INT32_MAX ? INT32_MAX : (long)milliseconds;
}

/* A certificate authority of one's own stands alone: neither the file nor the directory of the system is added to it. */
static bool set_trust(CURL *easy, const struct exchange *exchange, const struct exchange_shared *shared)
{
    bool own = exchange->ca_file != NULL || exchange->ca_path != NULL;
    const char *file = own ? exchange->ca_file : shared->ca_file;
    const char *path = own ? exchange->ca_path : shared->ca_path;
    return curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, path) == CURLE_OK;
}

/* Plain HTTP is for loopback and never goes through a proxy, where the key could be read. Over TLS a proxy only tunnels. */
static bool set_way(CURL *easy, const struct exchange *exchange)
{
    bool tls = strncmp(exchange->url, "https:", 6) == 0;
    const char *proxy = tls ? exchange->proxy : "";
    return curl_easy_setopt(easy, CURLOPT_PROXY, proxy) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, tls ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_URL, exchange->url) == CURLE_OK;
}

bool exchange_prepare(struct exchange *exchange, void *easy, const struct exchange_shared *shared, int64_t now)
{
    exchange->response = calloc(1, sizeof *exchange->response);
    exchange->detail = calloc(1, CURL_ERROR_SIZE);
    struct curl_slist *headers = make_headers(exchange->auth_header);
    bool ready = exchange->response != NULL && exchange->detail != NULL && headers != NULL && set_way(easy, exchange) &&
                 set_trust(easy, exchange, shared) && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    if (!ready) {
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
        free_headers(headers);
        return false;
    }
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, to_milliseconds(exchange->deadline - now));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, to_milliseconds(exchange->connect_timeout));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->detail);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    exchange->easy = easy;
    exchange->headers = headers;
    return true;
}

static void part(struct exchange *exchange)
{
    if (exchange->easy == NULL) return;
    curl_easy_setopt(exchange->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, NULL);
    free_headers(exchange->headers);
    exchange->easy = NULL;
    exchange->headers = NULL;
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

void exchange_finish(struct exchange *exchange, int code, int64_t now)
{
    struct response *response = exchange->response;
    bool stopped_by_us = exchange->outcome != EXCHANGE_ANSWERED;
    if (!stopped_by_us) exchange->outcome = judge((CURLcode)code, now >= exchange->deadline - CLOCK_MILLISECOND);
    exchange->name_not_found = code == CURLE_COULDNT_RESOLVE_HOST;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &response->status);
    /* To libcurl a connection that is closed in the headers is a whole answer without a body. */
    bool cut = exchange->outcome == EXCHANGE_ANSWERED && (!response->header_ended || response->status < 200);
    if (cut) exchange->outcome = EXCHANGE_NETWORK;
    if (cut) {
        snprintf(exchange->detail, CURL_ERROR_SIZE, "the connection was closed in the headers");
    } else if (response->header_bytes > RESPONSE_HEADER_LIMIT) {
        snprintf(exchange->detail, CURL_ERROR_SIZE, "more than %u KiB of headers", RESPONSE_HEADER_LIMIT / 1024);
    } else if (code == CURLE_FILESIZE_EXCEEDED || (stopped_by_us && exchange->outcome == EXCHANGE_PROTOCOL)) {
        snprintf(exchange->detail, CURL_ERROR_SIZE, "a body of more than %u KiB", RESPONSE_BODY_LIMIT / 1024);
    } else if (exchange->detail[0] == '\0' && code != CURLE_OK) {
        snprintf(exchange->detail, CURL_ERROR_SIZE, "%s", curl_easy_strerror((CURLcode)code));
    }
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
    return curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_VERSION, &version) == CURLE_OK &&
           version >= CURL_HTTP_VERSION_2_0;
}
