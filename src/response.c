#include "response.h"

#include <stdbool.h>
#include <string.h>

#include "text.h"

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

static bool is_space(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
}

void response_header(struct response *response, const char *request_id_header, const char *name, size_t name_length,
                     const char *value, size_t value_length)
{
    struct response_headers *headers = &response->headers;
    while (value_length > 0 && is_space(value[0])) value++, value_length--;
    while (value_length > 0 && is_space(value[value_length - 1])) value_length--;

    if (text_same_name("content-type", name, name_length)) {
        note_first(headers->content_type, sizeof headers->content_type, value, value_length);
    } else if (text_same_name("content-encoding", name, name_length)) {
        if (value_length > 0 && !text_same_name("identity", value, value_length)) {
            note(headers->content_encoding, sizeof headers->content_encoding, value, value_length);
        }
    } else if (text_same_name("retry-after", name, name_length)) {
        note_first(headers->retry_after, sizeof headers->retry_after, value, value_length);
    } else if (request_id_header != NULL && text_same_name(request_id_header, name, name_length)) {
        note_first(headers->request_id, sizeof headers->request_id, value, value_length);
    }
}
