#include "schedule.h"

#include <string.h>

#include "resources.h"

struct schedule_host {
    struct list bucket_link;
    struct list ready_link; /* in schedule.ready when it may start one */
    struct list line;       /* exchanges in the order in which they came */
    size_t in_flight;
    size_t waiting; /* in line or delayed: the host is kept for them */
    bool multiplexed;
    size_t origin_length;
    char origin[];
};

/* ---- hosts ---- */

static struct list *bucket_of(struct schedule *schedule, const char *origin, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)origin[i]) * 16777619u;
    return &schedule->buckets[hash % SCHEDULE_BUCKETS];
}

static struct schedule_host *find_host(struct schedule *schedule, const char *origin, size_t length)
{
    struct list *bucket = bucket_of(schedule, origin, length);
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct schedule_host *host = list_member(link, struct schedule_host, bucket_link);
        if (host->origin_length == length && memcmp(host->origin, origin, length) == 0) return host;
    }
    struct schedule_host *host = calloc(1, sizeof *host + length);
    if (host == NULL) return NULL;
    memcpy(host->origin, origin, length);
    host->origin_length = length;
    list_init(&host->ready_link);
    list_init(&host->line);
    list_append(bucket, &host->bucket_link);
    return host;
}

static void free_host(struct schedule_host *host)
{
    list_remove(&host->bucket_link);
    list_remove(&host->ready_link);
    free(host);
}

/* A host that speaks HTTP/2 is worth remembering; of the others nothing is lost. */
static void forget_idle_host(struct schedule_host *host)
{
    if (host->in_flight == 0 && host->waiting == 0 && !host->multiplexed) free_host(host);
}

static void update_ready(struct schedule *schedule, struct schedule_host *host)
{
    size_t places = host->multiplexed ? schedule->max_in_flight : schedule->max_per_host;
    bool ready = !list_empty(&host->line) && host->in_flight < places;
    if (ready && list_empty(&host->ready_link)) list_append(&schedule->ready, &host->ready_link);
    if (!ready) list_remove(&host->ready_link);
}

/* ---- the heap, by the time at which something must happen ---- */

static int64_t time_of(const struct exchange *exchange)
{
    bool delay_first = exchange->delayed && exchange->not_before < exchange->deadline;
    return delay_first ? exchange->not_before : exchange->deadline;
}

static void heap_put(struct schedule *schedule, struct exchange *exchange, size_t place)
{
    schedule->heap[place] = exchange;
    exchange->heap_place = place;
}

static void heap_settle(struct schedule *schedule, struct exchange *exchange, size_t place)
{
    struct exchange **heap = schedule->heap;
    while (place > 1 && time_of(exchange) < time_of(heap[place / 2])) {
        heap_put(schedule, heap[place / 2], place);
        place /= 2;
    }
    for (size_t child; (child = place * 2) <= schedule->heap_length; place = child) {
        if (child < schedule->heap_length && time_of(heap[child + 1]) < time_of(heap[child])) child++;
        if (time_of(exchange) <= time_of(heap[child])) break;
        heap_put(schedule, heap[child], place);
    }
    heap_put(schedule, exchange, place);
}

static bool heap_add(struct schedule *schedule, struct exchange *exchange)
{
    if (schedule->heap_length + 1 >= schedule->heap_size) {
        size_t size = schedule->heap_size * 2;
        struct exchange **heap = realloc(schedule->heap, size * sizeof(struct exchange *));
        if (heap == NULL) return false;
        schedule->heap = heap;
        schedule->heap_size = size;
    }
    schedule->heap_length++;
    heap_settle(schedule, exchange, schedule->heap_length);
    return true;
}

static void heap_remove(struct schedule *schedule, struct exchange *exchange)
{
    size_t place = exchange->heap_place;
    struct exchange *last = schedule->heap[schedule->heap_length--];
    exchange->heap_place = 0;
    if (last != exchange) heap_settle(schedule, last, place);
}

/* ---- what the transport calls ---- */

bool schedule_open(struct schedule *schedule, size_t max_in_flight, size_t max_per_host)
{
    memset(schedule, 0, sizeof *schedule);
    schedule->max_in_flight = max_in_flight;
    schedule->max_per_host = max_per_host;
    list_init(&schedule->ready);
    for (size_t i = 0; i < SCHEDULE_BUCKETS; i++) list_init(&schedule->buckets[i]);
    schedule->heap_size = 64;
    schedule->heap = malloc(schedule->heap_size * sizeof(struct exchange *));
    return schedule->heap != NULL;
}

void schedule_close(struct schedule *schedule)
{
    if (schedule->heap_size == 0) return;
    for (size_t i = 0; i < SCHEDULE_BUCKETS; i++) {
        struct list *bucket = &schedule->buckets[i];
        while (!list_empty(bucket)) free_host(list_member(bucket->next, struct schedule_host, bucket_link));
    }
    free(schedule->heap);
    schedule->heap_size = 0;
}

static void stand_in_line(struct schedule *schedule, struct exchange *exchange)
{
    exchange->delayed = false;
    list_append(&exchange->host->line, &exchange->link);
    update_ready(schedule, exchange->host);
}

bool schedule_add(struct schedule *schedule, struct exchange *exchange, int64_t now)
{
    exchange->host = find_host(schedule, exchange->url, exchange->origin_length);
    if (exchange->host == NULL) return false;
    exchange->delayed = exchange->not_before > now;
    if (!heap_add(schedule, exchange)) {
        forget_idle_host(exchange->host);
        exchange->host = NULL;
        return false;
    }
    exchange->host->waiting++;
    if (!exchange->delayed) stand_in_line(schedule, exchange);
    return true;
}

void schedule_remove(struct schedule *schedule, struct exchange *exchange)
{
    heap_remove(schedule, exchange);
    list_remove(&exchange->link);
    exchange->host->waiting--;
    update_ready(schedule, exchange->host);
    forget_idle_host(exchange->host);
    exchange->host = NULL;
}

struct exchange *schedule_next(struct schedule *schedule)
{
    if (schedule->in_flight >= schedule->max_in_flight) return NULL;
    struct list *link = list_take(&schedule->ready);
    if (link == NULL) return NULL;
    struct schedule_host *host = list_member(link, struct schedule_host, ready_link);
    struct exchange *exchange = list_member(list_take(&host->line), struct exchange, link);
    host->waiting--;
    host->in_flight++;
    schedule->in_flight++;
    update_ready(schedule, host); /* at the end of the ring again: the next host's turn comes first */
    return exchange;
}

void schedule_landed(struct schedule *schedule, struct exchange *exchange, bool multiplexed)
{
    struct schedule_host *host = exchange->host;
    heap_remove(schedule, exchange);
    host->multiplexed |= multiplexed;
    host->in_flight--;
    schedule->in_flight--;
    update_ready(schedule, host);
    forget_idle_host(host);
    exchange->host = NULL;
}

struct exchange *schedule_expired(struct schedule *schedule, int64_t now)
{
    while (schedule->heap_length > 0 && time_of(schedule->heap[1]) <= now) {
        struct exchange *exchange = schedule->heap[1];
        if (exchange->deadline <= now) return exchange;
        stand_in_line(schedule, exchange);
        heap_settle(schedule, exchange, 1); /* from now on it waits for its deadline */
    }
    return NULL;
}

int64_t schedule_wake_time(const struct schedule *schedule)
{
    return schedule->heap_length > 0 ? time_of(schedule->heap[1]) : INT64_MAX;
}

struct exchange *schedule_drain(struct schedule *schedule)
{
    if (schedule->heap_length == 0) return NULL;
    struct exchange *exchange = schedule->heap[schedule->heap_length];
    schedule_remove(schedule, exchange);
    return exchange;
}
