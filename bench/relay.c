/* A long way: `relay PORT TARGET_PORT MILLISECONDS HOST ...` listens on PORT of each host and passes every byte on to
 * TARGET_PORT of the same host, in both directions, MILLISECONDS after it came. It ends when its standard input does.
 *
 * A connection is accepted by the kernel before this program sees it, so the TCP handshake is not delayed. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HOSTS = 8, WAYS = 512, CHUNK = 16384 };

/* What came at one moment; without bytes it is the end of the stream. */
struct chunk {
    struct chunk *next;
    int64_t due;
    size_t length, sent;
    char bytes[];
};

/* One direction of a connection. */
struct way {
    int from, to;
    bool open; /* more may come */
    struct chunk *first, **last;
};

static struct way ways[WAYS];
static int64_t delay; /* ns */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int make_socket(void)
{
    int one = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) fail("socket");
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return made;
}

static void make_quick(int descriptor)
{
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
}

static int listen_on(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int listener = make_socket();
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail(host);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 256) != 0) fail("listen");
    return listener;
}

/* ---- connections ---- */

static bool is_free(const struct way *way)
{
    return !way->open && way->first == NULL;
}

/* A connection has the places 2n and 2n + 1, one for each direction. */
static void open_ways(int client, int server)
{
    for (struct way *way = ways; way < ways + WAYS; way += 2) {
        if (way[0].from != -1) continue;
        way[0] = (struct way){client, server, true, NULL, &way[0].first};
        way[1] = (struct way){server, client, true, NULL, &way[1].first};
        return;
    }
    fprintf(stderr, "relay: more than %d connections\n", WAYS / 2);
    exit(1);
}

static void take_connection(int listener, int target_port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), server = make_socket();
    if (client < 0 || getsockname(client, (struct sockaddr *)&address, &size) != 0) fail("accept");
    address.sin_port = htons((uint16_t)target_port);
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    make_quick(client);
    make_quick(server);
    open_ways(client, server);
}

static void close_what_has_ended(struct way *way)
{
    if (way->from == -1 || !is_free(&way[0]) || !is_free(&way[1])) return;
    close(way[0].from);
    close(way[1].from);
    way[0].from = way[1].from = -1;
}

/* ---- bytes ---- */

static void receive(struct way *way)
{
    struct chunk *chunk = malloc(sizeof *chunk + CHUNK);
    if (chunk == NULL) fail("malloc");
    ssize_t length = recv(way->from, chunk->bytes, CHUNK, 0);
    if (length < 0 && errno == EAGAIN) {
        free(chunk);
        return;
    }
    way->open = length > 0;
    chunk->next = NULL;
    chunk->due = now() + delay;
    chunk->length = length > 0 ? (size_t)length : 0;
    chunk->sent = 0;
    *way->last = chunk;
    way->last = &chunk->next;
}

static void drop_first(struct way *way)
{
    struct chunk *chunk = way->first;
    way->first = chunk->next;
    if (way->first == NULL) way->last = &way->first;
    free(chunk);
}

static void send_what_is_due(struct way *way, int64_t time)
{
    while (way->first != NULL && way->first->due <= time) {
        struct chunk *chunk = way->first;
        if (chunk->length == 0) shutdown(way->to, SHUT_WR);
        ssize_t sent = send(way->to, chunk->bytes + chunk->sent, chunk->length - chunk->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        chunk->sent += sent > 0 ? (size_t)sent : 0;
        if (sent < 0 || chunk->sent == chunk->length) drop_first(way); /* who has gone gets nothing any more */
    }
}

/* ---- the loop ---- */

static int64_t time_of_next(void)
{
    int64_t next = INT64_MAX;
    for (const struct way *way = ways; way < ways + WAYS; way++) {
        if (way->from != -1 && way->first != NULL && way->first->due < next) next = way->first->due;
    }
    return next;
}

static void sleep_until_something(struct pollfd *descriptors, nfds_t count)
{
    int64_t next = time_of_next(), left = next - now();
    if (left < 0) left = 0;
    struct timespec time = {left / 1000000000, left % 1000000000};
    if (ppoll(descriptors, count, next != INT64_MAX ? &time : NULL, NULL) < 0 && errno != EINTR) fail("ppoll");
}

int main(int count, char **words)
{
    if (count < 5 || count - 4 > HOSTS) return fprintf(stderr, "usage: relay PORT TARGET_PORT MS HOST ...\n"), 64;
    int hosts = count - 4;
    struct pollfd descriptors[1 + HOSTS + WAYS] = {{STDIN_FILENO, POLLIN, 0}};
    delay = atol(words[3]) * INT64_C(1000000);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < hosts; i++)
        descriptors[1 + i] = (struct pollfd){listen_on(words[4 + i], atoi(words[1])), POLLIN, 0};
    for (int i = 0; i < WAYS; i++) ways[i].from = -1;
    while (descriptors[0].revents == 0) {
        struct pollfd *of_ways = descriptors + 1 + hosts;
        for (int i = 0; i < WAYS; i++) {
            of_ways[i] = (struct pollfd){ways[i].open ? ways[i].from : -1, POLLIN, 0};
        }
        sleep_until_something(descriptors, (nfds_t)(1 + hosts + WAYS));
        for (int i = 0; i < WAYS; i++) {
            if (of_ways[i].fd >= 0 && of_ways[i].revents != 0) receive(&ways[i]);
        }
        int64_t time = now();
        for (int i = 0; i < WAYS; i++) {
            if (ways[i].from != -1) send_what_is_due(&ways[i], time);
        }
        for (int i = 0; i < WAYS; i += 2) close_what_has_ended(&ways[i]);
        for (int i = 0; i < hosts; i++) {
            if (descriptors[1 + i].revents != 0) take_connection(descriptors[1 + i].fd, atoi(words[2]));
        }
    }
    return 0;
}
