/* A curl easy handle with what is set on it: what is the same for all exchanges once, and of the rest only what differs
 * from the exchange before. Knows no exchange. The I/O thread's own. */
#ifndef VOICECREDITS_HANDLE_H
#define VOICECREDITS_HANDLE_H

#include <curl/curl.h>
#include <stdbool.h>

#include "list.h"

/* A text that is set on the handle; NULL is one too. */
struct handle_text {
    bool known;
    char *text;
};

struct handle {
    CURL *easy;
    CURLU *parsed_url; /* what is in `url`: parsed once, and not for each exchange anew */
    struct list link;  /* among those that are not in flight */
    struct curl_slist accept, agent, auth;
    char detail[CURL_ERROR_SIZE]; /* libcurl's words on what went wrong */
    struct handle_text url, proxy, ca_file, ca_path;
};

/* The functions that libcurl calls with a header line and with a piece of the body (CURLOPT_HEADERFUNCTION,
 * CURLOPT_WRITEFUNCTION). */
typedef size_t handle_callback(char *data, size_t one, size_t length, void *user);

/* Where one request goes, and how. */
struct handle_way {
    const char *url;
    const char *proxy;             /* NULL: as the environment says; "": none */
    const char *ca_file, *ca_path; /* NULL: none */
    const char *auth_header;       /* "name: value"; stays the caller's, until handle_part */
    long timeout, connect_timeout; /* milliseconds, at least 1 */
    bool wait_for_connection;      /* rather share one that is being made than make another */
};

/* Makes a handle; NULL when memory is out. `max_body` in bytes. */
struct handle *handle_open(CURLSH *share, handle_callback *on_header, handle_callback *on_body, long max_body);

/* True when the last request went to this URL. */
bool handle_was_at(const struct handle *handle, const char *url);

/* Puts a request on the handle, with `user` for the callbacks and for CURLINFO_PRIVATE; false when memory is out. */
bool handle_prepare(struct handle *handle, const struct handle_way *way, void *user);

/* Takes what was lent to the handle off it. */
void handle_part(struct handle *handle);

/* Frees the handle, which must not be in a multi handle. */
void handle_close(struct handle *handle);

#endif
