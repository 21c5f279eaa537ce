/* What a provider is, and the table of them. A new provider is one file in providers/ and one line in provider.c. */
#ifndef VOICECREDITS_PROVIDER_H
#define VOICECREDITS_PROVIDER_H

#include <stddef.h>

struct reading;

enum { PROVIDER_OPTIONS = 4 }; /* how many options of its own a provider may have */

/* An option that only this provider has, and where it goes in the URL. */
struct provider_option {
    const char *name; /* NULL ends the list */
    enum { OPTION_TEXT, OPTION_BOOLEAN } type;
    enum { OPTION_IN_PATH, OPTION_IN_QUERY } place; /* in the path: where it stands there as {name} */
    const char *standard;                           /* what is sent when it is not given; NULL: nothing */
};

struct provider {
    const char *name;  /* as programs write it */
    const char *title; /* as people read it */
    const char *base_url, *path;
    const char *auth_header, *auth_scheme; /* "Authorization" and "Bearer ", or a header of its own and "" */
    const char *unit;
    const char *key_variable, *base_variable; /* environment variables */
    const char *documentation;                /* where the endpoint is described */
    const char *discontinued;                 /* the announced end of the service, "YYYY-MM-DD", or NULL */
    const char *request_id_header;            /* a response header that support asks for, or NULL */
    struct provider_option options[PROVIDER_OPTIONS];

    /* Reads the decoded body of an answer with HTTP status 200 into the balance. Where that body says that something
     * went wrong it calls `refusal`. */
    void (*balance)(struct reading *reading);

    /* Reads the provider's own error out of the decoded body: code, message, kind. The failure is already set by the
     * HTTP status; what this finds goes first. */
    void (*refusal)(struct reading *reading);
};

/* The providers in the order in which they are listed, ended by NULL. */
extern const struct provider *const providers[];

/* Their names in the same order, ended by NULL. */
const char *const *provider_names(void);

/* Where the provider stands in that order, from 0. */
int provider_place(const struct provider *provider);

/* The provider of that name, or NULL. */
const struct provider *provider_find(const char *name);

#endif
