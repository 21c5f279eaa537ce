/* What can run out: memory, descriptors, threads, libcurl's handles. Every file that takes some of it includes this one
 * behind the system's headers. It adds nothing to a module; only in the tests' build (VOICECREDITS_FAULTS) can each of
 * these calls be made to fail, by the program that loads the module and defines the functions (spec/support/memory.c). */
#ifndef VOICECREDITS_RESOURCES_H
#define VOICECREDITS_RESOURCES_H

#include <stdlib.h>
#include <string.h>

#ifdef VOICECREDITS_FAULTS

#include <errno.h>
#include <stdbool.h>

#pragma GCC visibility push(default)

/* True when this call is to fail. */
bool faults_out(const char *call);

/* Memory of our own, and what libcurl takes for itself; both are counted. */
void *faults_malloc(size_t size);
void *faults_calloc(size_t count, size_t size);
void *faults_realloc(void *block, size_t size);
char *faults_strdup(const char *text);
void faults_free(void *block);
void *faults_curl_malloc(size_t size);
void *faults_curl_calloc(size_t count, size_t size);
void *faults_curl_realloc(void *block, size_t size);
char *faults_curl_strdup(const char *text);
void faults_curl_free(void *block);

#pragma GCC visibility pop

static inline int faults_errno(int problem)
{
    errno = problem;
    return -1;
}

#define malloc(size)         faults_malloc(size)
#define calloc(count, size)  faults_calloc(count, size)
#define realloc(block, size) faults_realloc(block, size)
#define free(block)          faults_free(block)
#undef strdup
#define strdup(text) faults_strdup(text)

#define pipe(ends)              (faults_out("pipe") ? faults_errno(EMFILE) : pipe(ends))
#define fcntl(...)              (faults_out("fcntl") ? faults_errno(ENOMEM) : fcntl(__VA_ARGS__))
#define socket(...)             (faults_out("socket") ? faults_errno(EMFILE) : socket(__VA_ARGS__))
#define opendir(path)           (faults_out("opendir") ? NULL : opendir(path))
#define newlocale(...)          (faults_out("newlocale") ? (locale_t)0 : newlocale(__VA_ARGS__))
#define atexit(handler)         (faults_out("atexit") ? -1 : atexit(handler))
#define pthread_atfork(...)     (faults_out("pthread_atfork") ? ENOMEM : pthread_atfork(__VA_ARGS__))
#define pthread_create(...)     (faults_out("pthread_create") ? EAGAIN : pthread_create(__VA_ARGS__))
#define pthread_attr_init(made) (faults_out("pthread_attr_init") ? ENOMEM : pthread_attr_init(made))
#define pthread_mutex_init(...) (faults_out("pthread_mutex_init") ? ENOMEM : pthread_mutex_init(__VA_ARGS__))

/* libcurl's memory is of the counted kind, so whatever it does may fail inside; here fails what it gives besides. */
#define curl_global_init(flags)                                                                                        \
    (faults_out("curl_global_init")                                                                                    \
         ? CURLE_FAILED_INIT                                                                                           \
         : curl_global_init_mem(flags, faults_curl_malloc, faults_curl_free, faults_curl_realloc, faults_curl_strdup,  \
                                faults_curl_calloc))
#define curl_easy_init()       (faults_out("curl_easy_init") ? NULL : curl_easy_init())
#define curl_multi_init()      (faults_out("curl_multi_init") ? NULL : curl_multi_init())
#define curl_share_init()      (faults_out("curl_share_init") ? NULL : curl_share_init())
#define curl_url()             (faults_out("curl_url") ? NULL : curl_url())
#define curl_slist_append(...) (faults_out("curl_slist_append") ? NULL : curl_slist_append(__VA_ARGS__))
#define curl_multi_add_handle(...)                                                                                     \
    (faults_out("curl_multi_add_handle") ? CURLM_OUT_OF_MEMORY : curl_multi_add_handle(__VA_ARGS__))
#undef curl_easy_setopt /* libcurl's own macro */
#define curl_easy_setopt(easy, option, value)                                                                          \
    (faults_out(#option) ? CURLE_OUT_OF_MEMORY : (curl_easy_setopt)(easy, option, value))
#undef curl_multi_setopt
#define curl_multi_setopt(multi, option, value)                                                                        \
    (faults_out(#option) ? CURLM_OUT_OF_MEMORY : (curl_multi_setopt)(multi, option, value))
#undef curl_share_setopt
#define curl_share_setopt(share, option, value)                                                                        \
    (faults_out(#option) ? CURLSHE_NOMEM : (curl_share_setopt)(share, option, value))

#endif
#endif
