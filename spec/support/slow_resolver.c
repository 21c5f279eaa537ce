/* For the tests only: a name server that does not answer, as a library to be preloaded. Names that begin with "hanging."
 * are looked up for HANGING seconds and then not found; all others as always. */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { HANGING = 6 };

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found)
{
    if (node != NULL && strncmp(node, "hanging.", 8) == 0) {
        sleep(HANGING);
        return EAI_AGAIN;
    }
    lookup *next = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(node, service, hints, found);
}
