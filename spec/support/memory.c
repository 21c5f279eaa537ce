/* For the tests only: a Lua interpreter in which memory, and whatever else the module takes through src/resources.h, runs
 * out at the n-th call. Loads the module's build with VOICECREDITS_FAULTS, whose functions it defines.
 *
 *   interpreter SCRIPT [ARGUMENT ...]
 *
 * The script has a global table `faults`:
 *   call(kinds, first, count, f, ...)  calls f(...) while of the calls of these kinds those from the first-th on, `count`
 *                                      of them, fail -> how many failed, whether f returned, its results or its error
 *   outside(f)                         f, but while it runs no memory of Lua's fails
 *   live(kind)                         blocks that are taken and not given back
 *   child(patience, f, ...)            calls f(...) in a forked process, whose end it waits for -> its exit status (what f
 *                                      returned), or minus the signal that ended it; 254 when f raised an error, 255 when
 *                                      blocks of Lua's or our own were left after the state's end
 *   descriptors(n)                     from now on at most n more descriptors can be opened; nil: as many as may be
 *   failed()                           the name of the call that failed (the first of them)
 *   note(i, number), noted(i)          numbers that all these processes share
 *
 * Kinds: "lua" (Lua's allocator), "own" (memory of src/), "curl" (libcurl's memory), "system" (what is not memory). */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <execinfo.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { LUA, OWN, CURL, SYSTEM, KINDS };

enum { NOTES = 64, LEFT_BLOCKS = 255, RAISED = 254 };

static const char *const kind_names[] = {"lua", "own", "curl", "system", NULL};

/* ---- what fails ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool armed[KINDS];
static long first, count, calls, failed;
static long live[KINDS];

static const char *failed_first = ""; /* the name of the first that failed */

static bool fails(enum kind kind, const char *call)
{
    pthread_mutex_lock(&lock);
    bool out = false;
    if (armed[kind]) {
        calls++;
        out = calls >= first && calls - first < count;
        if (out && failed++ == 0) failed_first = call;
    }
    pthread_mutex_unlock(&lock);
    return out;
}

static void add_live(enum kind kind, long blocks)
{
    pthread_mutex_lock(&lock);
    live[kind] += blocks;
    pthread_mutex_unlock(&lock);
}

static void *take(enum kind kind, void *block)
{
    if (block != NULL) add_live(kind, 1);
    return block;
}

static void *resize(enum kind kind, void *block, size_t size)
{
    void *resized = realloc(block, size);
    return block == NULL ? take(kind, resized) : resized;
}

static void give_back(enum kind kind, void *block)
{
    if (block != NULL) add_live(kind, -1);
    free(block);
}

/* libcurl's cache of TLS sessions, which OpenSSL calls, frees a name twice when it has no memory (7.88, in
 * Curl_ssl_addsessionid): there nothing fails. */
static bool curl_fails(const char *call)
{
    void *callers[32];
    if (!armed[CURL]) return false;
    for (int i = backtrace(callers, 32) - 1; i >= 0; i--) {
        Dl_info place;
        bool known = dladdr(callers[i], &place) != 0 && place.dli_fname != NULL;
        if (known && strstr(place.dli_fname, "libssl") != NULL) return false;
    }
    return fails(CURL, call);
}

/* ---- what src/resources.h wants ---- */

bool faults_out(const char *call)
{
    return fails(SYSTEM, call);
}

void *faults_malloc(size_t size)
{
    return fails(OWN, "malloc") ? NULL : take(OWN, malloc(size));
}

void *faults_calloc(size_t number, size_t size)
{
    return fails(OWN, "calloc") ? NULL : take(OWN, calloc(number, size));
}

void *faults_realloc(void *block, size_t size)
{
    return fails(OWN, "realloc") ? NULL : resize(OWN, block, size);
}

char *faults_strdup(const char *text)
{
    return fails(OWN, "strdup") ? NULL : take(OWN, strdup(text));
}

void faults_free(void *block)
{
    give_back(OWN, block);
}

void *faults_curl_malloc(size_t size)
{
    return curl_fails("malloc") ? NULL : take(CURL, malloc(size));
}

void *faults_curl_calloc(size_t number, size_t size)
{
    return curl_fails("calloc") ? NULL : take(CURL, calloc(number, size));
}

void *faults_curl_realloc(void *block, size_t size)
{
    return curl_fails("realloc") ? NULL : resize(CURL, block, size);
}

char *faults_curl_strdup(const char *text)
{
    return curl_fails("strdup") ? NULL : take(CURL, strdup(text));
}

void faults_curl_free(void *block)
{
    give_back(CURL, block);
}

/* Lua takes it for granted that a block can be made smaller. */
static void *lua_memory(void *user, void *block, size_t old_size, size_t size)
{
    (void)user;
    if (size == 0) {
        give_back(LUA, block);
        return NULL;
    }
    if (block != NULL && size <= old_size) {
        void *smaller = realloc(block, size);
        return smaller != NULL ? smaller : block;
    }
    return fails(LUA, "realloc") ? NULL : resize(LUA, block, size);
}

/* ---- what the script has ---- */

/* math.huge is one that is never reached. */
static long call_number(lua_State *L, int argument)
{
    lua_Number number = luaL_checknumber(L, argument);
    return number < (lua_Number)INT_MAX ? (long)number : INT_MAX;
}

static int faults_call(lua_State *L)
{
    const char *kinds = luaL_checkstring(L, 1);
    first = call_number(L, 2);
    count = call_number(L, 3);
    int arguments = lua_gettop(L) - 4;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    calls = failed = 0;
    failed_first = "";
    for (int kind = 0; kind < KINDS; kind++) armed[kind] = strstr(kinds, kind_names[kind]) != NULL;
    int problem = lua_pcall(L, arguments, LUA_MULTRET, 0);
    pthread_mutex_lock(&lock);
    memset(armed, 0, sizeof armed);
    long out = failed;
    pthread_mutex_unlock(&lock);
    lua_pushinteger(L, out);
    lua_replace(L, 2);
    lua_pushboolean(L, problem == 0);
    lua_replace(L, 3);
    return lua_gettop(L) - 1;
}

static int call_outside(lua_State *L)
{
    bool before = armed[LUA];
    armed[LUA] = false;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    int problem = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    armed[LUA] = before;
    return problem != 0 ? lua_error(L) : lua_gettop(L);
}

static int faults_outside(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushcclosure(L, call_outside, 1);
    return 1;
}

static int faults_failed(lua_State *L)
{
    lua_pushstring(L, failed_first);
    return 1;
}

static int faults_live(lua_State *L)
{
    lua_pushinteger(L, live[luaL_checkoption(L, 1, NULL, kind_names)]);
    return 1;
}

/* In the child: what `faults.child` was given from its second argument on, then the end of the Lua state. */
static void run_child(lua_State *L)
{
    bool good = lua_pcall(L, lua_gettop(L) - 2, 1, 0) == 0;
    int status = good ? (int)lua_tonumber(L, -1) : RAISED;
    if (!good) fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    if (live[LUA] != 0 || live[OWN] != 0) {
        fprintf(stderr, "left after the end: %ld blocks of Lua's, %ld of our own\n", live[LUA], live[OWN]);
        status = LEFT_BLOCKS;
    }
    exit(status);
}

static int faults_child(lua_State *L)
{
    unsigned patience = (unsigned)luaL_checknumber(L, 1);
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) return luaL_error(L, "no process could be made");
    if (child == 0) {
        alarm(patience);
        run_child(L);
    }
    waitpid(child, &status, 0);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    return 1;
}

static int faults_descriptors(lua_State *L)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int lowest = dup(0);
    close(lowest);
    limit.rlim_cur = lua_isnoneornil(L, 1) ? limit.rlim_max : (rlim_t)(lowest + luaL_checknumber(L, 1));
    lua_pushboolean(L, setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return 1;
}

static long *notes; /* shared by this process and its children */

static int note_index(lua_State *L)
{
    int index = (int)luaL_checknumber(L, 1);
    luaL_argcheck(L, index >= 0 && index < NOTES, 1, "no such note");
    return index;
}

static int faults_note(lua_State *L)
{
    notes[note_index(L)] = (long)luaL_checknumber(L, 2);
    return 0;
}

static int faults_noted(lua_State *L)
{
    lua_pushinteger(L, notes[note_index(L)]);
    return 1;
}

static void add_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"call", faults_call},   {"outside", faults_outside},         {"live", faults_live},
        {"child", faults_child}, {"descriptors", faults_descriptors}, {"note", faults_note},
        {"noted", faults_noted}, {"failed", faults_failed},           {NULL, NULL},
    };
    lua_newtable(L);
    for (const luaL_Reg *function = functions; function->name != NULL; function++) {
        lua_pushcfunction(L, function->func);
        lua_setfield(L, -2, function->name);
    }
    lua_setglobal(L, "faults");
}

static void add_arguments(lua_State *L, int argc, char **argv)
{
    lua_newtable(L);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");
}

int main(int argc, char **argv)
{
    notes = mmap(NULL, NOTES * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    lua_State *L = lua_newstate(lua_memory, NULL);
    if (argc < 2 || notes == MAP_FAILED || L == NULL) {
        fprintf(stderr, "usage: interpreter SCRIPT [ARGUMENT ...]\n");
        return 64;
    }
    luaL_openlibs(L);
    add_functions(L);
    add_arguments(L, argc, argv);
    if (luaL_loadfile(L, argv[1]) == 0 && lua_pcall(L, 0, 1, 0) == 0) return (int)lua_tonumber(L, -1);
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 70;
}
