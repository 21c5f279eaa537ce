/* An HTTP answer as the rest of the house sees it, whoever fetched it. Plain data, no Lua and no curl. */
#ifndef VOICECREDITS_RESPONSE_H
#define VOICECREDITS_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

/* The longest body that is read, in bytes: the samples have fewer than a thousand. */
#define RESPONSE_BODY_LIMIT (1024u * 1024u)

/* All response headers of one exchange together, in bytes, those of 1xx answers included. */
#define RESPONSE_HEADER_LIMIT (64u * 1024u)

/* Those headers that mean something to us; "" where one did not come. */
struct response_headers {
    char content_type[64];     /* cut where it is longer */
    char content_encoding[32]; /* or the transfer coding, where it compresses; "?" where it is longer */
    char content_length[24];   /* cut where it is longer */
    bool odd_length;      /* Content-Length is no number, or there are two: where the body ends is anyone's guess */
    char retry_after[64]; /* "" where it is longer, as the next */
    char request_id[96];  /* the one that the provider names (struct provider, request_id_header) */
};

struct response {
    long status; /* 0 while no status line has come; that of an interim answer until the next one has */
    struct response_headers headers;
    char *body;                    /* not ended by a NUL */
    size_t body_length, body_size; /* the second: how much there is room for */
    size_t header_bytes;           /* how many came in all */
    bool header_ended;             /* the empty line has come */
};

/* An empty response with room for a body as long as the documented ones; NULL when memory is out. */
struct response *response_new(void);

/* Frees what response_new made; NULL is nothing. */
void response_free(struct response *response);

/* Puts a piece of the body behind what is there. */
enum response_growth { RESPONSE_GROWN, RESPONSE_TOO_LARGE, RESPONSE_NO_MEMORY };
enum response_growth response_append(struct response *response, const char *data, size_t length);

/* Notes one header, in any letter case. `request_id_header` may be NULL. Of a header that comes again the first counts,
 * but for Content-Encoding, where any coding but "identity" does. "chunked" is no coding of the content. */
void response_header(struct response *response, const char *request_id_header, const char *name, size_t name_length,
                     const char *value, size_t value_length);

#endif
