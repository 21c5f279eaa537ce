/* Whose turn it is, and whose time is over: the exchanges that wait, in line for their host or for their time, and the
 * deadlines of those in flight. One thread's own; knows no curl, no lock and no clock (it is told the time).
 *
 * Each host has its own line, and hosts with somebody in line take turns, so that one that hangs holds back only its own
 * accounts. A host gets `max_per_host` exchanges at once, or as many as there are places when it speaks HTTP/2, where
 * they share connections. */
#ifndef VOICECREDITS_SCHEDULE_H
#define VOICECREDITS_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"
#include "list.h"

enum { SCHEDULE_BUCKETS = 64 };

struct schedule {
    size_t max_in_flight, max_per_host;
    size_t in_flight;
    struct list ready; /* hosts with somebody in line and a place free */
    struct list buckets[SCHEDULE_BUCKETS];
    struct exchange **heap; /* all of them, by the time at which something must happen; [0] is not used */
    size_t heap_length, heap_size;
};

bool schedule_open(struct schedule *schedule, size_t max_in_flight, size_t max_per_host);
void schedule_close(struct schedule *schedule);

/* Takes an exchange in: in line at once, or after its `not_before`. False when memory is out. */
bool schedule_add(struct schedule *schedule, struct exchange *exchange, int64_t now);

/* Takes a waiting exchange out (cancelled). */
void schedule_remove(struct schedule *schedule, struct exchange *exchange);

/* The next exchange to start, which from now on counts as in flight; NULL when none may start. */
struct exchange *schedule_next(struct schedule *schedule);

/* An exchange in flight has ended. */
void schedule_landed(struct schedule *schedule, struct exchange *exchange, bool multiplexed);

/* Puts in line whose time has come, and tells one whose deadline has passed, waiting or in flight; NULL when there is
 * none. It is to be taken out (schedule_remove, schedule_landed) before the next call. */
struct exchange *schedule_expired(struct schedule *schedule, int64_t now);

/* When schedule_expired should be called again; INT64_MAX when there is none. */
int64_t schedule_wake_time(const struct schedule *schedule);

/* Any one of those that wait, taken out; NULL when none is left. For closing, when none is in flight any more. */
struct exchange *schedule_drain(struct schedule *schedule);

#endif
