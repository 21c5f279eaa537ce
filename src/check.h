/* One check: from an account's options to an exchange, and from the finished exchange to a balance, a failure or another
 * try. */
#ifndef VOICECREDITS_CHECK_H
#define VOICECREDITS_CHECK_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "exchange.h"
#include "failure.h"
#include "list.h"
#include "options.h"
#include "provider.h"

struct check {
    struct exchange exchange; /* its link also holds the check in the session's lists, one at a time */
    const struct provider *provider;
    const char *account;
    const char *secret; /* the key, inside the exchange's auth header */
    lua_Integer id;     /* the session's */
    int64_t started;    /* clock_now() at its submission */
    double timeout;     /* seconds */
    int retries, attempts;
    bool claimed;   /* its answer is for take, not for next */
    bool cancelled; /* whatever its exchange brings */
    bool abandoned; /* nobody will ask for its answer */
    size_t text_size;
    char text[]; /* the texts of this check and its exchange, the key among them */
};

/* The URLs that were made last: accounts at one provider mostly have the same. All zero when empty. */
enum { CHECK_URLS = 8 };

struct check_url {
    const struct provider *provider;
    char *base_url, *url;
    size_t origin_length;
};

struct check_urls {
    struct check_url made[CHECK_URLS];
};

void check_urls_free(struct check_urls *urls);

/* Makes a check, ready to be submitted; NULL with a configuration failure (or unavailable: out of memory). `urls` may be
 * NULL. */
struct check *check_new(const struct provider *provider, const struct options *options, struct check_urls *urls,
                        struct failure *failure);

/* Looks at the finished exchange. Returns true with the balance or the failure on the stack, or false when the same
 * exchange is to be sent again: it is ready for that then. `random` is from [0, 1); no more tries when `last`. */
bool check_judge(lua_State *L, struct check *check, double random, bool last);

void check_free(struct check *check);

#endif
