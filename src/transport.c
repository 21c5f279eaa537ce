#define _GNU_SOURCE

#include "transport.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "handle.h"
#include "resources.h"
#include "schedule.h"
#include "trust.h"

enum {
    STACK_SIZE = 512 * 1024, /* some C libraries' default is too small for a TLS handshake */
    KEPT_CONNECTIONS = 4,    /* for each exchange that may be in flight: hosts take turns */
    MOST_COUNTED = 100000,   /* in that product */
    IDLE_HANDLES = 256,      /* at most so many handles are kept for the next exchanges */
    IDLE_SEARCHED = 16       /* and so many of them looked at for one that was at the same URL */
};

struct transport {
    /* The owner's, and what both may read since it never changes. */
    unsigned process; /* `generation` when it was opened */
    int pipe_read, pipe_write;
    bool running; /* the thread is there to be joined */
    pthread_t thread;
    struct list live_link; /* in `live`, for the end of the process and for forks */
    pthread_mutex_t work;  /* the thread holds it but for its sleep */

    /* Shared, under the lock. */
    pthread_mutex_t lock;
    struct list submitted, cancels, done;
    bool stopping;
    bool signalled; /* a byte is in the pipe */

    /* The I/O thread's own. */
    CURLM *multi;
    CURLSH *share;
    struct trust trust;
    struct schedule schedule;
    struct list in_flight;
    struct list finished; /* done, and not yet put on the queue */
    struct list idle;     /* handles that are not in flight */
    size_t idle_count;
};

/* ---- the process: libcurl's start, the end, and forks ---- */

static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list live = {&live, &live};
static bool process_ending; /* under live_lock */

static void stop_thread(struct transport *transport);

/* OpenSSL's exit handler frees what a running handshake still uses. Exit handlers run in the reverse order of their
 * registration, so this one, registered after libcurl and OpenSSL have started, ends the threads first. */
static void stop_all_at_exit(void)
{
    for (;;) {
        pthread_mutex_lock(&live_lock);
        process_ending = true;
        struct list *link = list_take(&live);
        pthread_mutex_unlock(&live_lock);
        if (link == NULL) return;
        stop_thread(list_member(link, struct transport, live_link));
    }
}

/* A fork copies the locks of OpenSSL and libcurl as they stand: one that an I/O thread held would be locked in the child
 * for ever. So a fork waits until every thread has paused; since it has `live_lock` first, none starts again before it. */
static void begin_work(struct transport *transport)
{
    pthread_mutex_lock(&live_lock);
    pthread_mutex_lock(&transport->work);
    pthread_mutex_unlock(&live_lock);
}

static void pause_work(struct transport *transport)
{
    pthread_mutex_unlock(&transport->work);
}

static void before_fork(void)
{
    pthread_mutex_lock(&live_lock);
    for (struct list *link = live.next; link != &live; link = link->next)
        pthread_mutex_lock(&list_member(link, struct transport, live_link)->work);
}

static void after_fork_in_parent(void)
{
    for (struct list *link = live.next; link != &live; link = link->next)
        pthread_mutex_unlock(&list_member(link, struct transport, live_link)->work);
    pthread_mutex_unlock(&live_lock);
}

/* How many forks lie between this process and the one that first opened a transport: tells parent from child without
 * a system call. */
static unsigned generation;

/* The threads are the parent's; there is none here to be stopped at exit. */
static void after_fork_in_child(void)
{
    generation++;
    while (list_take(&live) != NULL) continue;
    pthread_mutex_unlock(&live_lock);
}

/* Keeps this code in memory to the end of the process, whatever the Lua state that loaded it does: the exit handler and
 * libcurl's threads need it. The Makefile's linker flag does the same; a build by LuaRocks cannot give that flag. */
static void pin_module(void)
{
#ifdef RTLD_NODELETE
    Dl_info info;
    if (dladdr((void *)(uintptr_t)&stop_all_at_exit, &info) != 0 && info.dli_fname != NULL) {
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
#endif
}

/* Once for the process. A step for which there was no memory is taken again with the next session. */
static bool prepare_process(void)
{
    static bool curl_started, exit_handled, forks_handled;
    pthread_mutex_lock(&live_lock);
    if (!curl_started && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        curl_started = true;
        pin_module();
    }
    if (curl_started && !exit_handled) exit_handled = atexit(stop_all_at_exit) == 0;
    if (exit_handled && !forks_handled)
        forks_handled = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    bool ready = forks_handled;
    pthread_mutex_unlock(&live_lock);
    return ready;
}

/* ---- the wake-up pipe; under the lock ---- */

static void signal_owner(struct transport *transport)
{
    if (transport->signalled) return;
    transport->signalled = true;
    while (write(transport->pipe_write, "", 1) < 0 && errno == EINTR) continue;
}

static void unsignal_owner(struct transport *transport)
{
    char byte;
    if (!transport->signalled) return;
    transport->signalled = false;
    while (read(transport->pipe_read, &byte, 1) < 0 && errno == EINTR) continue;
}

/* ---- the I/O thread ---- */

static struct exchange_shared shared_of(const struct transport *transport)
{
    return (struct exchange_shared){transport->share, transport->trust.file, transport->trust.path};
}

/* One that was at this URL if it is found soon, so that the least has to be set anew; else the one that has been idle for
 * longest, or a new one. */
static struct handle *take_handle(struct transport *transport, const char *url)
{
    struct exchange_shared shared = shared_of(transport);
    if (list_empty(&transport->idle)) return exchange_open_handle(&shared);
    struct list *found = transport->idle.next, *link = found;
    for (int i = 0; i < IDLE_SEARCHED && link != &transport->idle; i++, link = link->next) {
        if (!handle_was_at(list_member(link, struct handle, link), url)) continue;
        found = link;
        break;
    }
    list_remove(found);
    transport->idle_count--;
    return list_member(found, struct handle, link);
}

static void put_handle_back(struct transport *transport, struct handle *handle)
{
    if (transport->idle_count < IDLE_HANDLES) {
        transport->idle_count++;
        list_append(&transport->idle, &handle->link);
    } else {
        handle_close(handle);
    }
}

static void abandon(struct transport *transport, struct exchange *exchange, enum exchange_outcome outcome)
{
    exchange_abandon(exchange, outcome);
    list_append(&transport->finished, &exchange->link);
}

static void start(struct transport *transport, struct exchange *exchange, int64_t now)
{
    struct exchange_shared shared = shared_of(transport);
    struct handle *handle = take_handle(transport, exchange->url);
    bool ready = handle != NULL && exchange_prepare(exchange, handle, &shared, now);
    if (ready && curl_multi_add_handle(transport->multi, handle->easy) == CURLM_OK) {
        list_append(&transport->in_flight, &exchange->link);
        return;
    }
    schedule_landed(&transport->schedule, exchange, false);
    exchange_reset(exchange); /* it was not sent */
    abandon(transport, exchange, EXCHANGE_RESOURCES);
    if (handle != NULL) put_handle_back(transport, handle);
}

/* Takes an exchange's handle out of the multi handle; the handle is free again once the two have been parted. */
static struct handle *land(struct transport *transport, struct exchange *exchange)
{
    struct handle *handle = exchange->handle;
    list_remove(&exchange->link);
    schedule_landed(&transport->schedule, exchange, exchange_is_multiplexed(exchange));
    curl_multi_remove_handle(transport->multi, handle->easy);
    return handle;
}

static void cancel(struct transport *transport, struct exchange *exchange, enum exchange_outcome outcome)
{
    if (exchange->handle == NULL) {
        schedule_remove(&transport->schedule, exchange);
        abandon(transport, exchange, outcome);
        return;
    }
    struct handle *handle = land(transport, exchange);
    abandon(transport, exchange, outcome);
    put_handle_back(transport, handle);
}

/* Takes in what the owner has asked for since the last time; false when it is time to end. */
static bool take_orders(struct transport *transport)
{
    struct list submitted, cancels;
    list_init(&submitted);
    list_init(&cancels);
    pthread_mutex_lock(&transport->lock);
    list_move(&submitted, &transport->submitted);
    list_move(&cancels, &transport->cancels);
    bool go_on = !transport->stopping;
    pthread_mutex_unlock(&transport->lock);

    int64_t now = clock_now();
    for (struct list *link; (link = list_take(&submitted)) != NULL;) {
        struct exchange *exchange = list_member(link, struct exchange, link);
        if (!schedule_add(&transport->schedule, exchange, now)) abandon(transport, exchange, EXCHANGE_RESOURCES);
    }
    for (struct list *link; (link = list_take(&cancels)) != NULL;) {
        struct exchange *exchange = list_member(link, struct exchange, cancel_link);
        if (exchange->host != NULL) cancel(transport, exchange, EXCHANGE_CANCELLED);
    }
    return go_on;
}

static void finish(struct transport *transport, struct exchange *exchange, CURLcode code, int64_t now)
{
    struct handle *handle = land(transport, exchange);
    exchange_finish(exchange, (int)code, now);
    list_append(&transport->finished, &exchange->link);
    put_handle_back(transport, handle);
}

/* libcurl is told the limit too, which it shares out among a host's addresses; but it does not look at the time of a
 * transfer that waits for a connection of another. */
static void expire(struct transport *transport, struct exchange *exchange, int64_t now)
{
    if (exchange->handle == NULL) {
        cancel(transport, exchange, EXCHANGE_TIMEOUT);
    } else {
        finish(transport, exchange, CURLE_OPERATION_TIMEDOUT, now);
    }
}

static void start_and_expire(struct transport *transport, int64_t now)
{
    for (struct exchange *exchange; (exchange = schedule_expired(&transport->schedule, now)) != NULL;) {
        expire(transport, exchange, now);
    }
    for (struct exchange *exchange; (exchange = schedule_next(&transport->schedule)) != NULL;) {
        start(transport, exchange, now);
    }
}

static void collect(struct transport *transport)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(transport->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE) continue;
        struct exchange *exchange = NULL;
        CURLcode code = message->data.result; /* the message is gone with the handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        finish(transport, exchange, code, clock_now());
    }
}

/* Gives the batch to the owner: one lock and at most one wake-up, however many there are. */
static void publish(struct transport *transport)
{
    if (list_empty(&transport->finished)) return;
    pthread_mutex_lock(&transport->lock);
    for (struct list *link = transport->finished.next; link != &transport->finished; link = link->next) {
        struct exchange *exchange = list_member(link, struct exchange, link);
        list_remove(&exchange->cancel_link); /* a cancellation that came too late */
        exchange->handed_over = false;
    }
    list_move(&transport->done, &transport->finished);
    signal_owner(transport);
    pthread_mutex_unlock(&transport->lock);
}

static int time_to_sleep(const struct transport *transport)
{
    int64_t wake = schedule_wake_time(&transport->schedule);
    if (wake == INT64_MAX) return INT32_MAX;
    int64_t milliseconds = (wake - clock_now() + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
    return milliseconds < 0 ? 0 : milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds;
}

static void cancel_all(struct transport *transport)
{
    while (!list_empty(&transport->in_flight)) {
        cancel(transport, list_member(transport->in_flight.next, struct exchange, link), EXCHANGE_CANCELLED);
    }
    for (struct exchange *exchange; (exchange = schedule_drain(&transport->schedule)) != NULL;) {
        abandon(transport, exchange, EXCHANGE_CANCELLED);
    }
}

/* Lets the thread's work wait its turn: when it is woken it does not take the processor from the host's thread at once,
 * in the middle of a frame or a request. */
static void be_modest(void)
{
#ifdef SCHED_BATCH
    struct sched_param parameter = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameter);
#endif
}

static void *io_thread(void *argument)
{
    struct transport *transport = argument;
    be_modest();
    begin_work(transport);
    while (take_orders(transport)) {
        int running;
        start_and_expire(transport, clock_now());
        curl_multi_perform(transport->multi, &running);
        collect(transport);
        bool more = !list_empty(&transport->finished); /* their places are free: do not sleep on those in line */
        publish(transport);
        pause_work(transport);
        bool slept = more || curl_multi_poll(transport->multi, NULL, 0, time_to_sleep(transport), NULL) == CURLM_OK;
        if (!slept) poll(NULL, 0, 1); /* libcurl has no memory to wait: not to go round and round */
        begin_work(transport);
    }
    cancel_all(transport);
    publish(transport);
    pause_work(transport);
    return NULL;
}

/* ---- opening and closing ---- */

static bool open_pipe(struct transport *transport)
{
    int ends[2];
    if (pipe(ends) != 0) return false;
    transport->pipe_read = ends[0];
    transport->pipe_write = ends[1];
    for (int i = 0; i < 2; i++) {
        if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0) return false;
    }
    return true;
}

static bool open_curl(struct transport *transport, const struct transport_limits *limits)
{
    errno = ENOMEM; /* what libcurl's silence means */
    if (trust_find(&transport->trust) != 0) return false;
    transport->multi = curl_multi_init();
    transport->share = curl_share_init();
    if (transport->multi == NULL || transport->share == NULL) return false;
    /* Without a descriptor for it libcurl makes a multi handle that cannot be woken, and says so only here. */
    if (curl_multi_wakeup(transport->multi) != CURLM_OK) {
        errno = EMFILE;
        return false;
    }
    curl_share_setopt(transport->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(transport->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)limits->max_per_host);
    long in_flight = (long)(limits->max_in_flight < MOST_COUNTED ? limits->max_in_flight : MOST_COUNTED);
    curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS * in_flight);
    return schedule_open(&transport->schedule, limits->max_in_flight, limits->max_per_host);
}

/* The thread takes no signal: they are the host's. */
static bool start_thread(struct transport *transport)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    errno = ENOMEM;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&transport->thread, &attributes, io_thread, transport);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    errno = problem;
    transport->running = problem == 0;
    return problem == 0;
}

static bool make_locks(struct transport *transport)
{
    if (pthread_mutex_init(&transport->lock, NULL) != 0) return false;
    if (pthread_mutex_init(&transport->work, NULL) == 0) return true;
    pthread_mutex_destroy(&transport->lock);
    return false;
}

struct transport *transport_open(const struct transport_limits *limits)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL || !prepare_process() || !make_locks(transport)) {
        free(transport);
        errno = ENOMEM;
        return NULL;
    }
    transport->process = generation;
    transport->pipe_read = transport->pipe_write = -1;
    list_init(&transport->live_link);
    list_init(&transport->submitted);
    list_init(&transport->cancels);
    list_init(&transport->done);
    list_init(&transport->in_flight);
    list_init(&transport->finished);
    list_init(&transport->idle);
    bool open = open_pipe(transport) && open_curl(transport, limits);
    pthread_mutex_lock(&live_lock); /* before the thread works: a fork must know of it */
    list_append(&live, &transport->live_link);
    pthread_mutex_unlock(&live_lock);
    if (!open || !start_thread(transport)) {
        int problem = errno;
        transport_stop(transport);
        transport_free(transport);
        errno = problem;
        return NULL;
    }
    return transport;
}

static void stop_thread(struct transport *transport)
{
    if (!transport->running) return;
    pthread_mutex_lock(&transport->lock);
    transport->stopping = true;
    pthread_mutex_unlock(&transport->lock);
    curl_multi_wakeup(transport->multi);
    pthread_join(transport->thread, NULL);
    transport->running = false;
}

void transport_hang_up(struct transport *transport)
{
    if (transport->pipe_read >= 0) close(transport->pipe_read);
    if (transport->pipe_write >= 0) close(transport->pipe_write);
    transport->pipe_read = transport->pipe_write = -1;
}

void transport_stop(struct transport *transport)
{
    pthread_mutex_lock(&live_lock);
    list_remove(&transport->live_link);
    bool ending = process_ending;
    pthread_mutex_unlock(&live_lock);
    stop_thread(transport);
    if (ending) return; /* OpenSSL is gone or going: what libcurl holds of it goes with the process */
    for (struct list *link; (link = list_take(&transport->idle)) != NULL;)
        handle_close(list_member(link, struct handle, link));
    if (transport->multi != NULL) curl_multi_cleanup(transport->multi);
    if (transport->share != NULL) curl_share_cleanup(transport->share);
    transport->multi = NULL;
    transport->share = NULL;
    schedule_close(&transport->schedule);
    trust_free(&transport->trust);
}

void transport_free(struct transport *transport)
{
    transport_hang_up(transport);
    if (transport_is_foreign(transport)) return; /* the rest is as the parent's thread left it in its work */
    pthread_mutex_destroy(&transport->lock);
    pthread_mutex_destroy(&transport->work);
    free(transport);
}

/* ---- the owner's side ---- */

void transport_submit(struct transport *transport, struct exchange *exchange)
{
    pthread_mutex_lock(&transport->lock);
    bool first = list_empty(&transport->submitted); /* or the wake-up of the one before is still to be heard */
    exchange->handed_over = true;
    list_append(&transport->submitted, &exchange->link);
    pthread_mutex_unlock(&transport->lock);
    if (first) curl_multi_wakeup(transport->multi);
}

void transport_cancel(struct transport *transport, struct exchange *exchange)
{
    pthread_mutex_lock(&transport->lock);
    bool wanted = exchange->handed_over && list_empty(&exchange->cancel_link);
    if (wanted) list_append(&transport->cancels, &exchange->cancel_link);
    pthread_mutex_unlock(&transport->lock);
    if (wanted) curl_multi_wakeup(transport->multi);
}

void transport_take(struct transport *transport, struct list *taken)
{
    pthread_mutex_lock(&transport->lock);
    list_move(taken, &transport->done);
    pthread_mutex_unlock(&transport->lock);
}

void transport_settle(struct transport *transport)
{
    pthread_mutex_lock(&transport->lock);
    if (list_empty(&transport->done) && transport->pipe_read >= 0) unsignal_owner(transport);
    pthread_mutex_unlock(&transport->lock);
}

void transport_rouse(struct transport *transport)
{
    pthread_mutex_lock(&transport->lock);
    if (transport->pipe_write >= 0) signal_owner(transport);
    pthread_mutex_unlock(&transport->lock);
}

enum transport_wait transport_wait(struct transport *transport, double seconds)
{
    int64_t end = seconds < 0 ? INT64_MAX : clock_now() + clock_from_seconds(seconds);
    for (;;) {
        int milliseconds = -1;
        if (end != INT64_MAX) {
            int64_t left = (end - clock_now() + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
            milliseconds = left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
        }
        struct pollfd descriptor = {transport->pipe_read, POLLIN, 0};
        int ready = poll(&descriptor, 1, milliseconds);
        if (ready > 0) return TRANSPORT_READY;
        if (ready < 0) return TRANSPORT_INTERRUPTED;
        if (clock_now() >= end) return TRANSPORT_TIME_OVER;
    }
}

int transport_pollfd(const struct transport *transport)
{
    return transport->pipe_read;
}

bool transport_is_foreign(const struct transport *transport)
{
    return transport->process != generation;
}
