/* What is sent for one check: its URL and its headers. Knows libcurl's URL functions and no Lua. */
#ifndef VOICECREDITS_REQUEST_H
#define VOICECREDITS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "version.h"

enum request_problem {
    REQUEST_FINE,
    REQUEST_BAD_URL,
    REQUEST_BAD_SCHEME,
    REQUEST_NOT_LOOPBACK,
    REQUEST_USER_IN_URL,
    REQUEST_QUERY_IN_URL,
    REQUEST_PROXY_IN_THE_CLEAR,
    REQUEST_NO_MEMORY
};

/* In plain words, to follow "the base URL". */
const char *request_problem_text(enum request_problem problem);

struct request_field {
    const char *name, *value; /* value NULL: left out */
};

struct request_address {
    const char *base_url;                     /* https, or http to a loopback host; may carry a path */
    const char *path;                         /* "/wallet/{user_id}/api-credit" */
    const struct request_field *path_fields;  /* what stands in the path as {name}, ended by a NULL name */
    const struct request_field *query_fields; /* ended by a NULL name */
    bool through_proxy;                       /* a proxy was asked for */
};

/* Makes the URL (to be freed) and the length of its origin: scheme, host and port. */
enum request_problem request_build(const struct request_address *address, char **url, size_t *origin_length);

/* What every request says besides its key, whoever sends it. */
#define REQUEST_ACCEPT     "Accept: application/json"
#define REQUEST_USER_AGENT "User-Agent: voicecredits/" VOICECREDITS_VERSION

#endif
