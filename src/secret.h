/* Strings that hold an API key: overwritten before their memory is given back. */
#ifndef VOICECREDITS_SECRET_H
#define VOICECREDITS_SECRET_H

#include <string.h>

#include "resources.h"

static inline void secret_wipe(void *memory, size_t length)
{
#if defined(__APPLE__)
    memset_s(memory, length, 0, length);
#else
    explicit_bzero(memory, length);
#endif
}

static inline void secret_free(char *text)
{
    if (text == NULL) return;
    secret_wipe(text, strlen(text));
    free(text);
}

#endif
