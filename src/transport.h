/* libcurl on one I/O thread, two queues and one descriptor. Knows no Lua and no provider.
 *
 * An exchange is handed over with transport_submit, worked on by the I/O thread alone, and given back by transport_take.
 * The descriptor is readable while there may be something to take. All functions are for one calling thread, the owner
 * of the transport; none of them blocks but transport_wait (and transport_stop for as long as libcurl takes to let go). */
#ifndef VOICECREDITS_TRANSPORT_H
#define VOICECREDITS_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "exchange.h"

struct transport;

struct transport_limits {
    size_t max_in_flight; /* exchanges at work at the same time */
    size_t max_per_host;  /* connections to one host */
};

/* Starts the I/O thread. NULL with errno set when the system gives no memory, descriptor or thread. */
struct transport *transport_open(const struct transport_limits *limits);

/* Hands an exchange over; it must stay where it is in memory until transport_take gives it back, which always happens. */
void transport_submit(struct transport *transport, struct exchange *exchange);

/* Asks for an exchange to be ended. It comes back all the same, as cancelled if it was not already done. */
void transport_cancel(struct transport *transport, struct exchange *exchange);

/* Appends all finished exchanges to `taken` (through their `link`). The descriptor stays readable until
 * transport_settle: whoever has not looked at all of them yet must be woken again. */
void transport_take(struct transport *transport, struct list *taken);

/* To be called when nothing that was taken is left to look at: the descriptor is readable again only for new ones. */
void transport_settle(struct transport *transport);

/* Makes the descriptor readable: something that was taken is left to look at after all. */
void transport_rouse(struct transport *transport);

/* Sleeps until the descriptor is readable. `seconds` < 0: for ever. */
enum transport_wait { TRANSPORT_READY, TRANSPORT_TIME_OVER, TRANSPORT_INTERRUPTED };
enum transport_wait transport_wait(struct transport *transport, double seconds);

/* The descriptor to watch for reading; -1 after transport_hang_up. */
int transport_pollfd(const struct transport *transport);

/* True in a process that was forked from the one that opened the transport: nothing else may be called there but
 * transport_free. */
bool transport_is_foreign(const struct transport *transport);

/* Ends the I/O thread; every exchange not done is given back as cancelled. The descriptor stays, so that an event loop
 * that watches it is woken. May be called twice. */
void transport_stop(struct transport *transport);

/* Closes the descriptor after transport_stop. May be called twice. */
void transport_hang_up(struct transport *transport);

/* Frees the transport after transport_stop (in a forked child: as it is). */
void transport_free(struct transport *transport);

#endif
