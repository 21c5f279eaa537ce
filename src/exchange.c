#define _GNU_SOURCE

#include "exchange.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "handle.h"
#include "resources.h"

void exchange_init(struct exchange *exchange)
{
    memset(exchange, 0, sizeof *exchange);
    list_init(&exchange->link);
    list_init(&exchange->cancel_link);
}

void exchange_reset(struct exchange *exchange)
{
    response_free(exchange->response);
    free(exchange->detail);
    exchange->response = NULL;
    exchange->detail = NULL;
    exchange->complaint = NULL;
    exchange->name_not_found = false;
    exchange->outcome = EXCHANGE_ANSWERED;
}

/* ---- what libcurl calls; to stop it they return another number than they were given ---- */

_Static_assert(RESPONSE_HEADER_LIMIT == 64 * 1024 && RESPONSE_BODY_LIMIT == 1024 * 1024, "as these texts say");
static const char *const headers_too_large = "more than 64 KiB of headers";
static const char *const body_too_large = "a body of more than 1024 KiB";

static size_t refuse(struct exchange *exchange, const char *complaint)
{
    exchange->outcome = EXCHANGE_PROTOCOL;
    exchange->complaint = complaint;
    return 0;
}

static size_t on_status_line(struct exchange *exchange, size_t length)
{
    struct response *response = exchange->response;
    memset(&response->headers, 0, sizeof response->headers); /* what came before it was an interim answer */
    response->header_ended = false;
    curl_easy_getinfo(exchange->handle->easy, CURLINFO_RESPONSE_CODE, &response->status);
    if (response->status == 101) return refuse(exchange, "HTTP 101, a change of protocol that was not asked for");
    return length;
}

static size_t on_header(char *line, size_t one, size_t length, void *user)
{
    (void)one;
    struct exchange *exchange = user;
    struct response *response = exchange->response;
    response->header_bytes += length;
    if (response->header_bytes > RESPONSE_HEADER_LIMIT) return refuse(exchange, headers_too_large);
    if (response->header_ended && response->status >= 200)
        return length; /* a trailer: it comes too late to mean anything */
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) return on_status_line(exchange, length);
    if (length > 0 && (line[0] == '\r' || line[0] == '\n')) response->header_ended = true;
    const char *colon = memchr(line, ':', length);
    if (colon != NULL) {
        size_t name_length = (size_t)(colon - line);
        response_header(response, exchange->request_id_header, line, name_length, colon + 1, length - name_length - 1);
    }
    return response->headers.odd_length ? refuse(exchange, "a wrong or a doubled Content-Length") : length;
}

static size_t on_body(char *data, size_t one, size_t length, void *user)
{
    (void)one;
    struct exchange *exchange = user;
    switch (response_append(exchange->response, data, length)) {
    case RESPONSE_GROWN: return length;
    case RESPONSE_TOO_LARGE: return refuse(exchange, body_too_large);
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

/* Three codes that libcurl has for faults of the answer as well as for what they are named after. */
static bool is_malformed(const struct exchange *exchange, CURLcode code)
{
    curl_off_t first_byte = 0;
    switch (code) {
    case CURLE_RECV_ERROR:
        return strstr(exchange->handle->detail, "chunk") != NULL; /* or a reset: its words alone tell */
    case CURLE_OUT_OF_MEMORY:                                     /* a line longer than libcurl's own limit */
    case CURLE_BAD_FUNCTION_ARGUMENT:                             /* a trailer without a colon */
        return curl_easy_getinfo(exchange->handle->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte) == CURLE_OK &&
               first_byte > 0 && (code != CURLE_OUT_OF_MEMORY || !exchange->response->header_ended);
    default: return false;
    }
}

static enum exchange_outcome judge(const struct exchange *exchange, CURLcode code, bool deadline_passed)
{
    if (is_malformed(exchange, code)) return EXCHANGE_PROTOCOL;
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
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
    case CURLE_HTTP2: return EXCHANGE_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT: return EXCHANGE_RESOURCES;
    default: return EXCHANGE_NETWORK;
    }
}

/* Our own words where we have some: libcurl's are about what its callbacks returned, or about memory, and on a proxy that
 * it cannot use they quote the URL with the password in it. */
static void explain(struct exchange *exchange, CURLcode code)
{
    const char *words = exchange->complaint, *said = exchange->handle->detail;
    if (code == CURLE_FILESIZE_EXCEEDED) words = body_too_large;
    if (code == CURLE_OUT_OF_MEMORY && exchange->outcome == EXCHANGE_PROTOCOL) words = headers_too_large;
    if (strncmp(said, "Unsupported proxy", 17) == 0) words = "the proxy's URL is not one that can be used";
    if (words == NULL) words = said[0] != '\0' ? said : curl_easy_strerror(code);
    exchange->detail = strdup(words);
}

void exchange_finish(struct exchange *exchange, int code, int64_t now)
{
    struct response *response = exchange->response;
    bool late = now >= exchange->deadline - CLOCK_MILLISECOND;
    if (exchange->outcome == EXCHANGE_ANSWERED) exchange->outcome = judge(exchange, (CURLcode)code, late);
    exchange->name_not_found = code == CURLE_COULDNT_RESOLVE_HOST;
    curl_easy_getinfo(exchange->handle->easy, CURLINFO_RESPONSE_CODE, &response->status);
    /* To libcurl a connection that is closed in the headers is a whole answer without a body. */
    if (exchange->outcome == EXCHANGE_ANSWERED && (!response->header_ended || response->status < 200)) {
        exchange->outcome = EXCHANGE_NETWORK;
        exchange->complaint = "the connection was closed in the headers";
    }
    if (exchange->outcome != EXCHANGE_ANSWERED) explain(exchange, (CURLcode)code);
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
