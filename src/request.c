#define _POSIX_C_SOURCE 200809L

#include "request.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "resources.h"

const char *request_problem_text(enum request_problem problem)
{
    switch (problem) {
    case REQUEST_BAD_URL: return "is not a URL";
    case REQUEST_BAD_SCHEME: return "must begin with https://";
    case REQUEST_NOT_LOOPBACK: return "must begin with https:// (http:// is for loopback hosts only)";
    case REQUEST_USER_IN_URL: return "must not hold a user name or a password";
    case REQUEST_QUERY_IN_URL: return "must not hold a query or a fragment";
    case REQUEST_PROXY_IN_THE_CLEAR: return "must begin with https:// where a proxy is used: it would see the key";
    case REQUEST_NO_MEMORY: return "could not be read: out of memory";
    default: return "is fine";
    }
}

/* The part as text, to be freed by curl_free; NULL where there is none. False when memory is out. */
static bool get_part(CURLU *url, CURLUPart part, char **text)
{
    *text = NULL;
    return curl_url_get(url, part, text, 0) != CURLUE_OUT_OF_MEMORY;
}

/* "localhost", 127.0.0.0/8 and ::1. libcurl has already written other forms of an IPv4 address in the usual one. */
static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    char bare[INET6_ADDRSTRLEN] = "";
    size_t length = strlen(host);
    if (strcasecmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (length < 3 || host[0] != '[' || length - 2 >= sizeof bare) return false;
    memcpy(bare, host + 1, length - 2);
    return inet_pton(AF_INET6, bare, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static enum request_problem check_scheme_and_host(CURLU *url, bool through_proxy)
{
    char *scheme = NULL, *host = NULL;
    enum request_problem problem = REQUEST_FINE;
    bool known = get_part(url, CURLUPART_SCHEME, &scheme) && get_part(url, CURLUPART_HOST, &host);
    bool https = scheme != NULL && strcmp(scheme, "https") == 0, http = scheme != NULL && strcmp(scheme, "http") == 0;
    if (!known) {
        problem = REQUEST_NO_MEMORY;
    } else if (!https && !http) {
        problem = REQUEST_BAD_SCHEME;
    } else if (host == NULL) {
        problem = REQUEST_BAD_URL;
    } else if (http && !is_loopback(host)) {
        problem = REQUEST_NOT_LOOPBACK;
    } else if (http && through_proxy) {
        problem = REQUEST_PROXY_IN_THE_CLEAR;
    }
    curl_free(scheme);
    curl_free(host);
    return problem;
}

static enum request_problem refuse_parts(CURLU *url)
{
    static const struct {
        CURLUPart part;
        enum request_problem problem;
    } refused[] = {
        {CURLUPART_USER, REQUEST_USER_IN_URL},
        {CURLUPART_PASSWORD, REQUEST_USER_IN_URL},
        {CURLUPART_QUERY, REQUEST_QUERY_IN_URL},
        {CURLUPART_FRAGMENT, REQUEST_QUERY_IN_URL},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char *text;
        if (!get_part(url, refused[i].part, &text)) return REQUEST_NO_MEMORY;
        bool there = text != NULL;
        curl_free(text);
        if (there) return refused[i].problem;
    }
    return REQUEST_FINE;
}

static enum request_problem parse_base(CURLU *url, const struct request_address *address)
{
    CURLUcode code = curl_url_set(url, CURLUPART_URL, address->base_url, CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY) return REQUEST_NO_MEMORY;
    if (code != CURLUE_OK) return strstr(address->base_url, "://") == NULL ? REQUEST_BAD_SCHEME : REQUEST_BAD_URL;
    enum request_problem problem = refuse_parts(url);
    return problem != REQUEST_FINE ? problem : check_scheme_and_host(url, address->through_proxy);
}

/* The provider's path with its fields put in, percent-encoded as one segment each; NULL when memory is out. */
static char *fill_path(const struct request_address *address)
{
    const char *open = strchr(address->path, '{');
    if (open == NULL) return strdup(address->path);
    const char *close = strchr(open, '}');
    const struct request_field *field = address->path_fields;
    size_t length = (size_t)(close - open - 1);
    while (field->name != NULL && (strlen(field->name) != length || strncmp(field->name, open + 1, length) != 0))
        field++;
    char *value = curl_easy_escape(NULL, field->name != NULL ? field->value : "", 0);
    if (value == NULL) return NULL;
    size_t size = strlen(address->path) + strlen(value) + 1;
    char *path = malloc(size);
    if (path != NULL) snprintf(path, size, "%.*s%s%s", (int)(open - address->path), address->path, value, close + 1);
    curl_free(value);
    return path;
}

/* Puts the path behind that of the base URL, with one slash between them. */
static bool join_path(CURLU *url, const struct request_address *address)
{
    char *base = NULL, *path = fill_path(address), *joined = NULL;
    bool done = false;
    if (path != NULL && curl_url_get(url, CURLUPART_PATH, &base, 0) == CURLUE_OK) {
        size_t length = strlen(base);
        while (length > 0 && base[length - 1] == '/') length--;
        size_t size = length + strlen(path) + 1;
        joined = malloc(size);
        if (joined != NULL) {
            snprintf(joined, size, "%.*s%s", (int)length, base, path);
            done = curl_url_set(url, CURLUPART_PATH, joined, 0) == CURLUE_OK;
        }
    }
    free(joined);
    free(path);
    curl_free(base);
    return done;
}

static bool add_query(CURLU *url, const struct request_field *fields)
{
    for (; fields->name != NULL; fields++) {
        if (fields->value == NULL) continue;
        size_t size = strlen(fields->name) + strlen(fields->value) + 2;
        char *pair = malloc(size);
        if (pair == NULL) return false;
        snprintf(pair, size, "%s=%s", fields->name, fields->value);
        bool added = curl_url_set(url, CURLUPART_QUERY, pair, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
        free(pair);
        if (!added) return false;
    }
    return true;
}

static size_t measure_origin(const char *url)
{
    const char *host = strstr(url, "://");
    return host != NULL ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : strlen(url);
}

static enum request_problem finish(CURLU *url, const struct request_address *address, char **text,
                                   size_t *origin_length)
{
    char *whole = NULL;
    if (!join_path(url, address) || !add_query(url, address->query_fields)) return REQUEST_NO_MEMORY;
    if (curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK) return REQUEST_NO_MEMORY;
    *text = strdup(whole);
    curl_free(whole);
    if (*text == NULL) return REQUEST_NO_MEMORY;
    *origin_length = measure_origin(*text);
    return REQUEST_FINE;
}

enum request_problem request_build(const struct request_address *address, char **url, size_t *origin_length)
{
    CURLU *parts = curl_url();
    if (parts == NULL) return REQUEST_NO_MEMORY;
    enum request_problem problem = parse_base(parts, address);
    if (problem == REQUEST_FINE) problem = finish(parts, address, url, origin_length);
    curl_url_cleanup(parts);
    return problem;
}
