/* For the tests only: linked into a build of the C module with -Wl,--wrap, it looks at each block of memory that the
 * module's own code gives back, and at each line of a curl list, for the marks that WATCHED_MARKS names (separated by
 * blanks). What it has seen stands in the file WATCHED_REPORT when the process ends:
 *
 *   wiped N         so many overwrites of memory with a mark in it
 *   left 0xADDRESS  a block given back with a mark in it, and where in the module that was (for addr2line)
 */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void __real_free(void *memory);
void *__real_realloc(void *memory, size_t size);
void __real_explicit_bzero(void *memory, size_t length);
void __real_curl_slist_free_all(struct curl_slist *list);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);
void __wrap_explicit_bzero(void *memory, size_t length);
void __wrap_curl_slist_free_all(struct curl_slist *list);

enum { MARKS = 8, PLACES = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *marks[MARKS];
static size_t mark_count, wiped, place_count;
static uintptr_t places[PLACES];

__attribute__((constructor)) static void begin(void)
{
    static char text[4096];
    const char *value = getenv("WATCHED_MARKS");
    snprintf(text, sizeof text, "%s", value != NULL ? value : "");
    for (char *mark = strtok(text, " "); mark != NULL && mark_count < MARKS; mark = strtok(NULL, " "))
        marks[mark_count++] = mark;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("WATCHED_REPORT");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL) return;
    fprintf(file, "wiped %zu\n", wiped);
    for (size_t i = 0; i < place_count; i++) fprintf(file, "left 0x%zx\n", (size_t)places[i]);
    fclose(file);
}

static int is_marked(const void *memory, size_t length)
{
    for (size_t i = 0; i < mark_count; i++) {
        if (memmem(memory, length, marks[i], strlen(marks[i])) != NULL) return 1;
    }
    return 0;
}

static void look(const void *memory, size_t length, const void *caller)
{
    Dl_info info;
    if (!is_marked(memory, length)) return;
    if (dladdr(caller, &info) == 0) info.dli_fbase = NULL;
    pthread_mutex_lock(&lock);
    if (place_count < PLACES) places[place_count++] = (uintptr_t)caller - (uintptr_t)info.dli_fbase;
    pthread_mutex_unlock(&lock);
}

/* Without what the block's last owner, libcurl perhaps, has left in it. */
static void *cleared(void *memory)
{
    if (memory != NULL) memset(memory, 0, malloc_usable_size(memory));
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return cleared(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return cleared(__real_malloc(count * size));
}

/* It may move the block, and what it leaves behind is not overwritten. */
void *__wrap_realloc(void *memory, size_t size)
{
    if (memory == NULL) return __wrap_malloc(size);
    look(memory, malloc_usable_size(memory), __builtin_return_address(0));
    return __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void __wrap_free(void *memory)
{
    if (memory != NULL) look(memory, malloc_usable_size(memory), __builtin_return_address(0));
    __real_free(memory);
}

void __wrap_explicit_bzero(void *memory, size_t length)
{
    int marked = is_marked(memory, length);
    pthread_mutex_lock(&lock);
    wiped += (size_t)marked;
    pthread_mutex_unlock(&lock);
    __real_explicit_bzero(memory, length);
}

void __wrap_curl_slist_free_all(struct curl_slist *list)
{
    for (struct curl_slist *line = list; line != NULL; line = line->next)
        look(line->data, strlen(line->data) + 1, __builtin_return_address(0));
    __real_curl_slist_free_all(list);
}
