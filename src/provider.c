#include "provider.h"

#include <string.h>

extern const struct provider provider_supertone, provider_suno, provider_fish, provider_srtgen, provider_breeze;

const struct provider *const providers[] = {
    &provider_supertone, &provider_suno, &provider_fish, &provider_srtgen, &provider_breeze, NULL,
};

enum { COUNT = sizeof providers / sizeof providers[0] };

const char *const *provider_names(void)
{
    static const char *names[COUNT];
    for (size_t i = 0; providers[i] != NULL; i++) names[i] = providers[i]->name;
    return names;
}

const struct provider *provider_find(const char *name)
{
    for (const struct provider *const *provider = providers; *provider != NULL; provider++) {
        if (strcmp((*provider)->name, name) == 0) return *provider;
    }
    return NULL;
}

int provider_place(const struct provider *provider)
{
    int place = 0;
    while (providers[place] != provider) place++;
    return place;
}
