/* For the tests only: as much of the program `lua` as they use (a script with its words, or -e and a chunk), linked with
 * a sanitizer's runtime, so that the module under test may be built for that sanitizer. What the runtime is to do stands
 * in here and not in the environment, which some tests take away from the programs they start. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reports go to files: whoever runs the tests sees those of every process, whatever became of its standard error. */
#define EVERY "log_path=" REPORTS ":print_suppressions=0:"

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return EVERY
        "detect_stack_use_after_return=1:strict_string_checks=1:fast_unwind_on_malloc=0:malloc_context_size=10";
}

/* Not ours to repair, each with its reason. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libp11-kit\n"    /* the locale that this friend of libcurl's makes for itself when it is loaded */
           "leak:BIO_meth_new\n"; /* cqueues' for its own TLS, until the end of the process */
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return EVERY "print_stacktrace=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return EVERY "die_after_fork=0:second_deadlock_stack=1";
}

/* Ctrl-C, as `lua` takes it: an error at the next instruction. */
static lua_State *running;

static void interrupt(lua_State *L, lua_Debug *where)
{
    (void)where;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

static void on_signal(int number)
{
    signal(number, SIG_DFL);
    lua_sethook(running, interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static int run(lua_State *L, int count, char **words)
{
    int script = count > 2 && strcmp(words[1], "-e") == 0 ? 2 : 1;
    luaL_openlibs(L);
    lua_createtable(L, count, 1);
    for (int i = 0; i < count; i++) {
        lua_pushstring(L, words[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
    lua_pushcfunction(L, with_traceback);
    int problem = script == 2 ? luaL_loadbuffer(L, words[2], strlen(words[2]), "=(command line)")
                              : luaL_loadfile(L, words[1]);
    for (int i = script + 1; problem == LUA_OK && i < count; i++) lua_pushstring(L, words[i]);
    running = L;
    signal(SIGINT, on_signal);
    if (problem == LUA_OK) problem = lua_pcall(L, count - script - 1, 0, 1);
    signal(SIGINT, SIG_DFL);
    if (problem != LUA_OK) fprintf(stderr, "%s: %s\n", words[0], lua_tostring(L, -1));
    return problem != LUA_OK;
}

/* A sanitizer's exit handler that has found something ends the process with what was written still in its buffers. */
static void flush(void)
{
    fflush(NULL);
}

int main(int count, char **words)
{
    lua_State *L = luaL_newstate();
    if (L == NULL || count < 2 || atexit(flush) != 0) return 1;
    int status = run(L, count, words);
    lua_close(L);
    return status;
}
