/* What a fuzz target promises: the first promise that does not hold ends the run, and libFuzzer keeps the input. */
#ifndef VOICECREDITS_INVARIANT_H
#define VOICECREDITS_INVARIANT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* invariant(condition, "what does not hold: %s", text): always with a format. */
#define invariant(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: broken invariant: ", __FILE__, __LINE__);                                          \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, "\n");                                                                                     \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The processor time of this thread: unlike the clock on the wall it stands still while the fuzzer is stopped. */
static inline double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* libFuzzer calls these. */
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
