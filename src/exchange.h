/* One HTTP request with its response, and its limits. No Lua, no provider; curl only inside exchange.c. */
#ifndef VOICECREDITS_EXCHANGE_H
#define VOICECREDITS_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "response.h"

struct handle;

enum exchange_outcome {
    EXCHANGE_ANSWERED,  /* a whole response is there */
    EXCHANGE_TIMEOUT,   /* the deadline passed */
    EXCHANGE_NETWORK,   /* name not found, refused, reset, closed early, no connection in time */
    EXCHANGE_TLS,       /* certificate or handshake not acceptable */
    EXCHANGE_PROTOCOL,  /* not HTTP, or too much of it */
    EXCHANGE_CANCELLED, /* cancelled, or the transport was closed */
    EXCHANGE_RESOURCES  /* out of memory or the like on this side */
};

struct exchange {
    /* The request: set before it is handed over. The strings are whose the exchange is, and stay as long as it does. */
    const char *url;               /* as request_build made it */
    size_t origin_length;          /* how much of `url` is scheme, host and port */
    const char *auth_header;       /* "name: value", holds the key */
    const char *ca_file, *ca_path; /* NULL: as trust_find says */
    const char *proxy;             /* NULL: as the environment says */
    const char *request_id_header; /* a response header to note, or NULL; not owned */
    int64_t not_before;            /* clock_now() from which on it may start: the delay of a retry */
    int64_t deadline;              /* clock_now() at which it ends, wherever it stands */
    int64_t connect_timeout;       /* nanoseconds for name, connection and handshake */

    /* The answer: to be read once the transport has given the exchange back. */
    enum exchange_outcome outcome;
    bool name_not_found;
    struct response *response; /* NULL when it was never sent */
    const char *complaint;     /* why we stopped reading it, or NULL; a constant */
    char *detail;              /* libcurl's own words on what went wrong, or NULL */

    /* The transport's own. */
    struct list link;        /* in the one queue or line where it stands */
    struct list cancel_link; /* in the transport's list of what to cancel */
    bool handed_over;        /* between transport_submit and transport_take */
    struct schedule_host *host;
    size_t heap_place; /* 1 and up in the schedule's heap, 0 when it is not there */
    bool delayed;
    struct handle *handle; /* while in flight */
};

/* Ready to be filled in: all zero, in no list. */
void exchange_init(struct exchange *exchange);

/* Forgets and frees an earlier answer, so that the same request can be sent again, or its memory be given back. */
void exchange_reset(struct exchange *exchange);

/* What every exchange of a transport shares. */
struct exchange_shared {
    void *share;                   /* the curl share with the TLS sessions */
    const char *ca_file, *ca_path; /* from trust_find */
};

/* Makes a handle for exchanges; NULL when memory is out. */
struct handle *exchange_open_handle(const struct exchange_shared *shared);

/* Puts this exchange on the handle, ready for curl_multi_add_handle; false when memory is out. */
bool exchange_prepare(struct exchange *exchange, struct handle *handle, const struct exchange_shared *shared,
                      int64_t now);

/* Reads the outcome off the handle after libcurl has ended with `code`, and parts the two. */
void exchange_finish(struct exchange *exchange, int code, int64_t now);

/* Ends an exchange that is not in flight, or whose handle has been taken out of the multi handle. */
void exchange_abandon(struct exchange *exchange, enum exchange_outcome outcome);

/* True when the answer came over a protocol that carries many exchanges on one connection (HTTP/2). */
bool exchange_is_multiplexed(const struct exchange *exchange);

#endif
