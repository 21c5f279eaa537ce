/* For the tests only: what a host's process does and Lua alone cannot. require "process" -> fork, wait, leave, alarm,
 * poll, is_inherited, descriptors, allocated, id. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* fork() -> 0 in the child, its process id in the parent */
static int process_fork(lua_State *L)
{
    lua_pushinteger(L, fork());
    return 1;
}

/* wait(id) -> exit status, or minus the signal that ended it */
static int process_wait(lua_State *L)
{
    int status = 0;
    waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    return 1;
}

/* leave(status): ends the process without exit handlers */
static int process_leave(lua_State *L)
{
    _exit((int)luaL_checkinteger(L, 1));
}

/* alarm(seconds): a signal ends this process by then (wait: -14), unless another call comes first; 0: none does */
static int process_alarm(lua_State *L)
{
    alarm((unsigned)luaL_checkinteger(L, 1));
    return 0;
}

/* poll(descriptor, milliseconds) -> whether it is readable by then */
static int process_poll(lua_State *L)
{
    struct pollfd descriptor = {(int)luaL_checkinteger(L, 1), POLLIN, 0};
    lua_pushboolean(L, poll(&descriptor, 1, (int)luaL_checkinteger(L, 2)) > 0);
    return 1;
}

/* is_inherited(descriptor) -> whether programs that this process starts get it */
static int process_is_inherited(lua_State *L)
{
    lua_pushboolean(L, (fcntl((int)luaL_checkinteger(L, 1), F_GETFD) & FD_CLOEXEC) == 0);
    return 1;
}

/* descriptors() -> how many are open in this process (Linux) */
static int process_descriptors(lua_State *L)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) return luaL_error(L, "/proc/self/fd cannot be read");
    int count = -3; /* ".", ".." and the folder itself */
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    lua_pushinteger(L, count);
    return 1;
}

/* allocated() -> how many bytes malloc has given out and not got back; 0 where the C library does not tell */
static int process_allocated(lua_State *L)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    lua_pushinteger(L, (lua_Integer)(info.uordblks + info.hblkhd));
#else
    lua_pushinteger(L, 0);
#endif
    return 1;
}

static int process_id(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

int luaopen_process(lua_State *L)
{
    static const luaL_Reg functions[] = {{"fork", process_fork},
                                         {"wait", process_wait},
                                         {"leave", process_leave},
                                         {"alarm", process_alarm},
                                         {"poll", process_poll},
                                         {"is_inherited", process_is_inherited},
                                         {"descriptors", process_descriptors},
                                         {"allocated", process_allocated},
                                         {"id", process_id},
                                         {NULL, NULL}};
    lua_newtable(L);
    for (const luaL_Reg *function = functions; function->name != NULL; function++) {
        lua_pushcfunction(L, function->func);
        lua_setfield(L, -2, function->name);
    }
    return 1;
}
