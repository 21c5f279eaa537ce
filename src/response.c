#define _GNU_SOURCE

#include "response.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "resources.h"
#include "secret.h"
#include "text.h"

/* ---- the body ---- */

enum { FIRST_SIZE = 1024 };

/* In one block with the room for its first body. */
struct roomy_response {
    struct response response;
    char room[FIRST_SIZE];
};

struct response *response_new(void)
{
    struct roomy_response *made = malloc(sizeof *made);
    if (made == NULL) return NULL;
    made->response = (struct response){.body = made->room, .body_size = FIRST_SIZE};
    return &made->response;
}

static bool has_outgrown_its_room(const struct response *response)
{
    return response->body != ((const struct roomy_response *)response)->room;
}

/* What is given back is overwritten first: an answer may repeat the key. */
static void free_body(struct response *response)
{
    secret_wipe(response->body, response->body_length);
    if (has_outgrown_its_room(response)) free(response->body);
}

void response_free(struct response *response)
{
    if (response == NULL) return;
    free_body(response);
    secret_wipe(response, sizeof *response);
    free(response);
}

enum response_growth response_append(struct response *response, const char *data, size_t length)
{
    if (length > RESPONSE_BODY_LIMIT - response->body_length) return RESPONSE_TOO_LARGE;
    size_t needed = response->body_length + length, size = response->body_size;
    if (needed > size) {
        while (size < needed) size *= 2;
        char *body = malloc(size); /* and not realloc, which does not overwrite what it leaves */
        if (body == NULL) return RESPONSE_NO_MEMORY;
        memcpy(body, response->body, response->body_length);
        free_body(response);
        response->body = body;
        response->body_size = size;
    }
    memcpy(response->body + response->body_length, data, length);
    response->body_length = needed;
    return RESPONSE_GROWN;
}

/* ---- the headers ---- */

static void note(char *field, size_t size, const char *value, size_t length)
{
    if (length >= size) length = size - 1;
    memcpy(field, value, length);
    field[length] = '\0';
}

static void note_first(char *field, size_t size, const char *value, size_t length)
{
    if (field[0] == '\0') note(field, size, value, length);
}

/* For a value that counts as a whole: cut it would be another number or date, or show the start of a key that stands in
 * it, which is known by all its letters only. One that does not fit is as if it had not come. */
static void note_first_whole(char *field, size_t size, const char *value, size_t length)
{
    if (length < size) note_first(field, size, value, length);
}

static bool is_space(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
}

static void note_length(struct response_headers *headers, const char *value, size_t length)
{
    char *first = headers->content_length;
    bool again = first[0] != '\0', same = strlen(first) == length && memcmp(first, value, length) == 0;
    size_t digits = 0;
    while (digits < length && value[digits] >= '0' && value[digits] <= '9') digits++;
    if (length == 0 || digits < length || (again && !same)) headers->odd_length = true;
    note_first(first, sizeof headers->content_length, value, length);
}

static void note_coding(struct response_headers *headers, const char *value, size_t length)
{
    bool plain = length == 0 || text_same_name("identity", value, length) || text_same_name("chunked", value, length);
    bool fits = length < sizeof headers->content_encoding;
    if (!plain)
        note(headers->content_encoding, sizeof headers->content_encoding, fits ? value : "?", fits ? length : 1);
}

void response_header(struct response *response, const char *request_id_header, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    struct response_headers *headers = &response->headers;
    while (value_length > 0 && is_space(value[0])) value++, value_length--;
    while (value_length > 0 && is_space(value[value_length - 1])) value_length--;

    if (text_same_name("content-type", name, name_length)) {
        note_first(headers->content_type, sizeof headers->content_type, value, value_length);
    } else if (text_same_name("content-encoding", name, name_length) ||
               text_same_name("transfer-encoding", name, name_length)) {
        note_coding(headers, value, value_length);
    } else if (text_same_name("content-length", name, name_length)) {
        note_length(headers, value, value_length);
    } else if (text_same_name("retry-after", name, name_length)) {
        note_first_whole(headers->retry_after, sizeof headers->retry_after, value, value_length);
    } else if (request_id_header != NULL && text_same_name(request_id_header, name, name_length)) {
        note_first_whole(headers->request_id, sizeof headers->request_id, value, value_length);
    }
}
