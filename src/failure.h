/* A check's bad answer: the kinds, how one is built, how it becomes a Lua table and how that prints. */
#ifndef VOICECREDITS_FAILURE_H
#define VOICECREDITS_FAILURE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "text.h"

/* In the order of the table in the README; FAILURE_NONE is "nothing went wrong". */
enum failure_kind {
    FAILURE_NONE,
    FAILURE_CONFIGURATION,
    FAILURE_AUTHENTICATION,
    FAILURE_PERMISSION,
    FAILURE_EXHAUSTED,
    FAILURE_NOT_FOUND,
    FAILURE_INVALID_REQUEST,
    FAILURE_RATE_LIMITED,
    FAILURE_UNAVAILABLE,
    FAILURE_TIMEOUT,
    FAILURE_NETWORK,
    FAILURE_TLS,
    FAILURE_PROTOCOL,
    FAILURE_INSUFFICIENT,
    FAILURE_CANCELLED
};

enum { FAILURE_MESSAGE_CHARACTERS = 200, FAILURE_CODE_CHARACTERS = 64, FAILURE_LABEL_CHARACTERS = 80 };

struct failure {
    enum failure_kind kind;
    bool retryable;
    const char *provider, *account; /* not owned; account may be NULL */
    const char *secret;             /* not owned, may be NULL: what no text may show */
    long status;                    /* HTTP, 0 when there was none */
    bool has_number_code;
    long number_code;                                   /* the provider's own, where it is a number */
    char text_code[TEXT_SIZE(FAILURE_CODE_CHARACTERS)]; /* ... where it is a text, else "" */
    char request_id[TEXT_SIZE(FAILURE_LABEL_CHARACTERS)];
    double retry_after; /* seconds, negative when unknown */
    int attempts;       /* 0 when no exchange was begun */
    double elapsed;     /* seconds, negative when unknown */
    char message[TEXT_SIZE(FAILURE_MESSAGE_CHARACTERS)];
};

/* No failure yet, for a check of this account. */
void failure_init(struct failure *failure, const char *provider, const char *account, const char *secret);

/* Makes it a failure of this kind. The message is in our own words; rate_limited and unavailable are retryable. */
void failure_set(struct failure *failure, enum failure_kind kind, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Changes the kind and what follows from it, not the message. */
void failure_set_kind(struct failure *failure, enum failure_kind kind);

/* Adds ": " and what the provider said to the message: printable, without the key, 200 characters in all. */
void failure_quote(struct failure *failure, const char *text, size_t length);

/* The provider's own code, as a number or as a text. */
void failure_set_number_code(struct failure *failure, long code);
void failure_set_text_code(struct failure *failure, const char *code, size_t length);

/* The kind that an HTTP status of 400 and more means where the provider says nothing better (DESIGN, section 3). */
enum failure_kind failure_kind_of_status(long status);

/* Makes the metatable of failures; once per Lua state, before failure_push. */
void failure_open(lua_State *L);

/* Pushes the failure as a Lua table. */
void failure_push(lua_State *L, const struct failure *failure);

/* True when the value at `index` is a table made by failure_push. */
bool failure_is(lua_State *L, int index);

#endif
