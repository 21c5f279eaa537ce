#define _GNU_SOURCE

#include "session.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "compat.h"
#include "failure.h"
#include "transport.h"

static const char *const metatable = "voicecredits.session";

enum { STANDARD_IN_FLIGHT = 64, STANDARD_PER_HOST = 8, LEAST_PATIENCE = 16 };

/* A check that was submitted is in the transport, in `arrived`, or in `kept`; or it is claimed and done, and only its
 * answer is left. The session's table of Lua values has one entry by its id: the pointer to the check while it runs,
 * then its answer, until that is given out. */
struct session {
    struct transport *transport; /* NULL: never opened, or given up after a fork */
    bool closed;
    struct list arrived; /* exchanges that are finished and not looked at */
    struct list kept;    /* checks that are judged and wait for next */
    lua_Integer last_id;
    lua_Integer pending;  /* submitted and not given out */
    lua_Integer held;     /* answers kept for a take that has not come for them yet */
    lua_Integer patience; /* how many more times the descriptor is left readable for their sake */
    uint64_t random;
    struct check_urls urls;
    struct check *loose; /* made and not yet in the table of Lua values, or NULL */
};

static struct check *check_of(struct list *link)
{
    return list_member(link, struct check, exchange.link);
}

/* ---- arguments ---- */

bool session_is(lua_State *L, int index)
{
    return compat_testudata(L, index, metatable) != NULL;
}

static struct session *to_session(lua_State *L, int index)
{
    return luaL_checkudata(L, index, metatable);
}

static bool is_foreign(const struct session *session)
{
    return session->transport != NULL && transport_is_foreign(session->transport);
}

bool session_is_usable(lua_State *L, int index)
{
    const struct session *session = compat_testudata(L, index, metatable);
    return session != NULL && !session->closed && session->transport != NULL && !is_foreign(session);
}

static const char *const forked = "this session was made before a fork, in another process: open a new one";

/* The session, which may be closed, but not another process's. */
static struct session *own_session(lua_State *L, int index)
{
    struct session *session = to_session(L, index);
    if (is_foreign(session)) luaL_argerror(L, index, forked);
    return session;
}

/* ---- the table of answers ---- */

static void push_entry(lua_State *L, int index, lua_Integer id)
{
    compat_getuservalue(L, index);
    lua_rawgeti(L, -1, (int)id);
    lua_remove(L, -2);
}

/* Takes the value on the top of the stack as the entry; nil takes the entry out. */
static void set_entry(lua_State *L, int index, lua_Integer id)
{
    compat_getuservalue(L, index);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)id);
    lua_pop(L, 1);
}

static void forget_entry(lua_State *L, int index, lua_Integer id)
{
    lua_pushnil(L);
    set_entry(L, index, id);
}

/* Balance and failure from the one answer on the top of the stack. */
static void split_answer(lua_State *L)
{
    if (failure_is(L, -1)) {
        lua_pushnil(L);
        lua_insert(L, -2);
    } else {
        lua_pushnil(L);
    }
}

/* ---- looking at what has arrived ---- */

/* A number from [0, 1): xorshift64*, good enough to keep retries apart. */
static double next_random(struct session *session)
{
    session->random ^= session->random >> 12;
    session->random ^= session->random << 25;
    session->random ^= session->random >> 27;
    return (double)((session->random * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

struct judgement {
    struct check *check;
    double random;
    bool last, judged;
};

static int judge(lua_State *L)
{
    struct judgement *judgement = lua_touserdata(L, 1);
    judgement->judged = check_judge(L, judgement->check, judgement->random, judgement->last);
    return judgement->judged ? 1 : 0;
}

/* Judges one exchange that has arrived. Returns its check, with the answer on the stack, or NULL when there is none.
 * While it is judged it is in nobody's reach: a finalizer that runs meanwhile and uses the session goes on with the next
 * one. An error (memory) puts it back. */
static struct check *judge_next(lua_State *L, struct session *session)
{
    luaL_checkstack(L, 8, "an answer");
    for (;;) {
        if (list_empty(&session->arrived) && session->transport != NULL)
            transport_take(session->transport, &session->arrived);
        if (list_empty(&session->arrived)) return NULL;
        struct judgement judgement = {NULL, next_random(session), session->closed, false};
        lua_pushcfunction(L, judge);
        lua_pushlightuserdata(L, &judgement);
        struct list *link = list_take(&session->arrived); /* whatever a finalizer has left */
        if (link == NULL) {
            lua_pop(L, 2);
            continue;
        }
        judgement.check = check_of(link);
        int problem = lua_pcall(L, 1, LUA_MULTRET, 0);
        if (problem != 0) {
            list_prepend(&session->arrived, link);
            lua_error(L);
        }
        if (judgement.judged) return judgement.check;
        if (session->closed) { /* by such a finalizer: there is no thread any more to try again */
            judgement.check->cancelled = true;
            list_append(&session->arrived, link);
        } else {
            transport_submit(session->transport, &judgement.check->exchange);
        }
    }
}

/* Puts the answer on the top of the stack aside for whoever asks for it. */
static void keep_answer(lua_State *L, int index, struct session *session, struct check *check)
{
    if (check->abandoned) {
        lua_pop(L, 1);
        forget_entry(L, index, check->id);
        session->pending--;
        check_free(check);
        return;
    }
    set_entry(L, index, check->id);
    if (check->claimed) {
        session->held++;
        session->patience = LEAST_PATIENCE + 2 * session->pending;
        check_free(check);
    } else {
        list_append(&session->kept, &check->exchange.link);
    }
}

/* Lets the descriptor tell whether there is something for next, or for one of those who wait with take: an answer that
 * another has come across must wake the one it belongs to. That one may never come (its coroutine was collected), so the
 * descriptor stays readable for it only until everybody has looked. */
static void settle(struct session *session)
{
    if (session->transport == NULL) return;
    if (session->closed && session->pending == 0) transport_hang_up(session->transport);
    bool held = session->held > 0 && session->patience > 0;
    if (held) session->patience--;
    if (!held && list_empty(&session->arrived) && list_empty(&session->kept)) {
        transport_settle(session->transport);
    } else {
        transport_rouse(session->transport);
    }
}

/* ---- submit ---- */

static int submit_failed(lua_State *L, const struct provider *provider, const char *account, enum failure_kind kind,
                         const char *message)
{
    struct failure failure;
    failure_init(&failure, provider->name, account, NULL);
    failure_set(&failure, kind, "%s", message);
    failure_push(L, &failure);
    return false;
}

/* Enters a new check in the table under its id. LuaJIT may want memory for a pointer, and raise: until it is entered the
 * check belongs to the session, which frees it with the next one. */
static void enter(lua_State *L, int index, struct session *session, struct check *check)
{
    session->loose = check;
    lua_pushlightuserdata(L, check);
    session->loose = NULL;
    set_entry(L, index, check->id);
}

static void free_loose(lua_State *L, int index, struct session *session)
{
    struct check *check = session->loose;
    if (check == NULL) return;
    session->loose = NULL;
    forget_entry(L, index, check->id);
    check_free(check);
}

bool session_submit(lua_State *L, int index, const struct provider *provider, const struct options *options)
{
    struct session *session = to_session(L, index);
    struct failure failure;
    if (is_foreign(session)) return submit_failed(L, provider, options->account, FAILURE_CONFIGURATION, forked);
    free_loose(L, index, session);
    lua_Integer id = ++session->last_id;
    lua_pushboolean(L, true); /* the entry first: once the check is there nothing may raise, and no finalizer run */
    set_entry(L, index, id);
    if (session->closed) {
        forget_entry(L, index, id);
        luaL_argerror(L, index, "the session is closed");
    }
    struct check *check = check_new(provider, options, &session->urls, &failure);
    if (check == NULL) {
        forget_entry(L, index, id);
        failure_push(L, &failure);
        return false;
    }
    check->id = id;
    enter(L, index, session, check);
    session->pending++;
    transport_submit(session->transport, &check->exchange);
    lua_pushinteger(L, id);
    return true;
}

/* session:submit(provider, options) -> id | nil, failure. Returns at once. */
static int submit(lua_State *L)
{
    to_session(L, 1);
    const struct provider *provider = options_provider(L, 2);
    struct options options;
    lua_settop(L, 3);
    options_read(L, 3, 3, provider, &options);
    if (session_submit(L, 1, provider, &options)) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* ---- next, take, wait ---- */

/* session:next() -> id, balance, failure of a check that has finished and that nobody has claimed by take; nil when
 * there is none. Never waits. */
static int next(lua_State *L)
{
    struct session *session = own_session(L, 1);
    struct check *check = NULL;
    lua_settop(L, 1);
    if (!list_empty(&session->kept)) {
        check = check_of(session->kept.next);
        push_entry(L, 1, check->id);
        list_remove(&check->exchange.link);
    } else {
        while ((check = judge_next(L, session)) != NULL && check->claimed) keep_answer(L, 1, session, check);
    }
    if (check != NULL) session->pending--;
    settle(session);
    if (check == NULL) return lua_pushnil(L), 1;
    lua_Integer id = check->id;
    check_free(check);
    forget_entry(L, 1, id);
    split_answer(L);
    lua_pushinteger(L, id);
    lua_insert(L, -3);
    return 3;
}

/* Judges what has arrived until it is the turn of `id`; true with its answer on the stack. */
static bool find_answer(lua_State *L, int index, struct session *session, lua_Integer id)
{
    for (struct check *check; (check = judge_next(L, session)) != NULL;) {
        bool found = check->id == id;
        keep_answer(L, index, session, check);
        if (found) {
            push_entry(L, index, id);
            return true;
        }
    }
    return false;
}

/* After an interrupted sleep: runs a Lua function of no content, so that a hook which a signal handler has set (the
 * interpreter's, for Ctrl-C) is called now and not after the wait. */
static void let_hooks_run(lua_State *L)
{
    if (luaL_loadstring(L, "") == 0) {
        lua_call(L, 0, 0);
    } else {
        lua_pop(L, 1);
    }
}

/* Makes an answer that was kept for next one that is held for take. */
static void take_from_next(struct session *session, lua_Integer id)
{
    struct list *link = session->kept.next;
    while (link != &session->kept && check_of(link)->id != id) link = link->next;
    if (link == &session->kept) return;
    list_remove(link);
    check_free(check_of(link));
    session->held++;
}

/* Makes the check's answer one for take; true when it is there already, on the stack. */
static bool claim(lua_State *L, int index, struct session *session, lua_Integer id)
{
    push_entry(L, index, id);
    if (lua_istable(L, -1)) {
        take_from_next(session, id);
        return true;
    }
    struct check *check = lua_touserdata(L, -1);
    if (check != NULL) check->claimed = true;
    lua_pop(L, 1);
    return false;
}

void session_take(lua_State *L, int index, double seconds)
{
    struct session *session = to_session(L, index);
    lua_Integer id = lua_tointeger(L, -1);
    int64_t end = seconds < 0 ? INT64_MAX : clock_now() + clock_from_seconds(seconds);
    lua_pop(L, 1);
    bool found = claim(L, index, session, id) || find_answer(L, index, session, id);
    while (!found && !session->closed) {
        double left = end == INT64_MAX ? -1 : clock_to_seconds(end - clock_now());
        if (end != INT64_MAX && left <= 0) break;
        transport_settle(session->transport); /* sleep until something new comes, whatever is kept for others */
        if (transport_wait(session->transport, left) == TRANSPORT_INTERRUPTED) let_hooks_run(L);
        found = find_answer(L, index, session, id);
    }
    if (found) {
        session->held--;
        session->pending--;
    }
    settle(session);
    if (!found) {
        lua_pushnil(L);
        lua_pushnil(L);
        return;
    }
    forget_entry(L, index, id);
    split_answer(L);
}

/* session:take(id [, seconds]) -> balance, failure of this one check; nil, nil while it runs. From the first call on its
 * answer is kept for take. Waits up to `seconds`, 0 when not given; math.huge: until it is there. */
static int take(lua_State *L)
{
    own_session(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    double seconds = luaL_optnumber(L, 3, 0);
    lua_settop(L, 2);
    push_entry(L, 1, id);
    if (lua_isnil(L, -1)) luaL_argerror(L, 2, "no check with this id is pending");
    lua_settop(L, 2);
    session_take(L, 1, seconds > 1e9 ? -1 : seconds > 0 ? seconds : 0);
    return 2;
}

/* session:wait([seconds]) -> true when something has finished, false when the time is over (or nothing is pending and
 * no time was given). */
static int wait(lua_State *L)
{
    struct session *session = own_session(L, 1);
    bool for_ever = lua_isnoneornil(L, 2);
    double seconds = luaL_optnumber(L, 2, 0);
    int64_t end = for_ever || seconds > 1e9 ? INT64_MAX : clock_now() + clock_from_seconds(fmax(seconds, 0));
    bool finished = !list_empty(&session->kept);
    lua_settop(L, 1);
    while (!finished) {
        struct check *check = judge_next(L, session);
        if (check != NULL) {
            keep_answer(L, 1, session, check);
            finished = true;
        } else if (session->closed || (for_ever && session->pending == 0)) {
            break;
        } else {
            transport_settle(session->transport);
            double left = end == INT64_MAX ? -1 : clock_to_seconds(end - clock_now());
            if (end != INT64_MAX && left <= 0) break;
            if (transport_wait(session->transport, left) == TRANSPORT_INTERRUPTED) let_hooks_run(L);
        }
    }
    settle(session);
    lua_pushboolean(L, finished);
    return 1;
}

/* session:pending() -> how many checks were submitted and not yet returned. */
static int pending(lua_State *L)
{
    const struct session *session = to_session(L, 1);
    lua_pushinteger(L, is_foreign(session) ? 0 : session->pending);
    return 1;
}

/* session:cancel(id) -> true: it will come back as cancelled; false: it has finished already, or there is no such. */
static int cancel(lua_State *L)
{
    struct session *session = own_session(L, 1);
    push_entry(L, 1, luaL_checkinteger(L, 2));
    struct check *check = lua_islightuserdata(L, -1) ? lua_touserdata(L, -1) : NULL;
    if (check != NULL) {
        check->cancelled = true;
        if (!session->closed) transport_cancel(session->transport, &check->exchange);
    }
    lua_pushboolean(L, check != NULL);
    return 1;
}

void session_abandon(lua_State *L, int index, lua_Integer id)
{
    struct session *session = to_session(L, index);
    if (session->transport == NULL || is_foreign(session)) return;
    push_entry(L, index, id);
    struct check *check = lua_islightuserdata(L, -1) ? lua_touserdata(L, -1) : NULL;
    bool answered = lua_istable(L, -1);
    lua_pop(L, 1);
    if (check != NULL) {
        check->abandoned = check->claimed = check->cancelled = true;
        if (!session->closed) transport_cancel(session->transport, &check->exchange);
    } else if (answered) {
        take_from_next(session, id);
        forget_entry(L, index, id);
        session->held--;
        session->pending--;
        settle(session);
    }
}

/* session:abandon(id): nobody will ask for the answer of this check. It is ended, and forgotten without a word; an id
 * that is not pending is nothing. For finalizers: it judges nothing and raises nothing. */
static int abandon(lua_State *L)
{
    to_session(L, 1);
    session_abandon(L, 1, luaL_checkinteger(L, 2));
    return 0;
}

/* ---- event loops ---- */

/* session:pollfd() -> the descriptor to watch for reading (cqueues, luv, any loop). */
static int pollfd(lua_State *L)
{
    const struct session *session = own_session(L, 1);
    int descriptor = session->transport != NULL ? transport_pollfd(session->transport) : -1;
    if (descriptor < 0) luaL_argerror(L, 1, "the session is closed");
    lua_pushinteger(L, descriptor);
    return 1;
}

/* session:events() -> "r" (cqueues). */
static int events(lua_State *L)
{
    to_session(L, 1);
    lua_pushliteral(L, "r");
    return 1;
}

/* session:timeout() -> nil: the I/O thread keeps the time (cqueues). */
static int timeout(lua_State *L)
{
    to_session(L, 1);
    lua_pushnil(L);
    return 1;
}

/* session:dirty() -> whether next has something without looking at the descriptor (LuaSocket, copas). */
static int dirty(lua_State *L)
{
    const struct session *session = own_session(L, 1);
    lua_pushboolean(L, !list_empty(&session->kept) || !list_empty(&session->arrived));
    return 1;
}

/* ---- opening and closing ---- */

static void close_session(struct session *session)
{
    if (session->closed) return;
    session->closed = true;
    if (session->transport == NULL) return;
    if (transport_is_foreign(session->transport)) {
        transport_free(session->transport);
        session->transport = NULL;
        session->pending = 0;
        return;
    }
    transport_stop(session->transport);
    transport_take(session->transport, &session->arrived);
    session->patience = LEAST_PATIENCE + 2 * session->pending;
    settle(session); /* who watches the descriptor is woken, to find that its check was cancelled */
}

/* session:close(): ends the I/O thread. What is pending comes back from next as cancelled. May be called again. */
static int close(lua_State *L)
{
    close_session(to_session(L, 1));
    return 0;
}

static void free_checks(struct list *checks)
{
    for (struct list *link; (link = list_take(checks)) != NULL;) check_free(check_of(link));
}

static int collect(lua_State *L)
{
    struct session *session = to_session(L, 1);
    close_session(session);
    if (session->loose != NULL) check_free(session->loose);
    session->loose = NULL;
    free_checks(&session->arrived);
    free_checks(&session->kept);
    check_urls_free(&session->urls);
    if (session->transport != NULL) transport_free(session->transport);
    session->transport = NULL;
    return 0;
}

static int print(lua_State *L)
{
    const struct session *session = to_session(L, 1);
    bool foreign = is_foreign(session);
    lua_pushfstring(L, "voicecredits.session (%s, %d pending)",
                    foreign           ? "of another process"
                    : session->closed ? "closed"
                                      : "open",
                    foreign ? 0 : (int)session->pending);
    return 1;
}

static void seed(struct session *session)
{
    session->random = (uint64_t)clock_now() ^ ((uint64_t)(uintptr_t)session << 20);
    if (session->random == 0) session->random = 1;
}

bool session_push(lua_State *L, int argument)
{
    static const char *const names[] = {"max_in_flight", "max_per_host", NULL};
    struct transport_limits limits = {STANDARD_IN_FLIGHT, STANDARD_PER_HOST};
    if (!lua_isnoneornil(L, argument)) {
        luaL_checktype(L, argument, LUA_TTABLE);
        options_check_names(L, argument, argument, "session option", names);
        limits.max_in_flight = (size_t)options_whole_number(L, argument, argument, names[0], 1, STANDARD_IN_FLIGHT);
        limits.max_per_host = (size_t)options_whole_number(L, argument, argument, names[1], 1, STANDARD_PER_HOST);
    }
    struct session *session = compat_newuserdata(L, sizeof *session);
    memset(session, 0, sizeof *session);
    session->closed = true; /* until all of it is there */
    list_init(&session->arrived);
    list_init(&session->kept);
    seed(session);
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    compat_setuservalue(L, -2);
    session->transport = transport_open(&limits);
    if (session->transport != NULL) {
        session->closed = false;
        return true;
    }
    struct failure failure;
    failure_init(&failure, NULL, NULL, NULL);
    failure_set(&failure, FAILURE_UNAVAILABLE, "no session could be opened: %s", strerror(errno));
    failure_push(L, &failure);
    return false;
}

static const luaL_Reg methods[] = {
    {"submit", submit},   {"next", next},       {"take", take},   {"wait", wait},     {"pending", pending},
    {"cancel", cancel},   {"abandon", abandon}, {"close", close}, {"pollfd", pollfd}, {"events", events},
    {"timeout", timeout}, {"getfd", pollfd},    {"dirty", dirty}, {NULL, NULL},
};

void session_open(lua_State *L)
{
    compat_newmetatable(L, metatable, print);
    luaL_getmetatable(L, metatable);
    lua_newtable(L);
    compat_setfuncs(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, false); /* the metatable is not for programs */
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
