/* Bare libcurl: the same requests with nothing around them, one thread, the bodies thrown away.
 *
 *   bare many COUNT IN_FLIGHT     COUNT checks, the accounts in turn
 *   bare single COUNT             one account, COUNT times one after the other; tells the median time of one
 *   bare rounds COUNT             COUNT times all accounts together; tells the median time of a round after the first
 *
 * The accounts stand in the file that BENCH_ACCOUNTS names, the certificates in the directory SSL_CERT_DIR. */
#define _GNU_SOURCE

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ACCOUNTS = 16, LINE = 4096, TIMEOUT = 10000 }; /* ms, as a check's */

struct account {
    char url[LINE];
    struct curl_slist *headers;
};

static struct account accounts[ACCOUNTS];
static long account_count;
static char user_agent[LINE];

static void fail(const char *what)
{
    fprintf(stderr, "bare: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A line: provider, base URL, URL, User-Agent, header of the key; tabs between them. */
static void read_accounts(void)
{
    const char *path = getenv("BENCH_ACCOUNTS");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (file == NULL) fail("BENCH_ACCOUNTS names no file");
    char line[LINE];
    while (account_count < ACCOUNTS && fgets(line, sizeof line, file) != NULL) {
        struct account *account = &accounts[account_count++];
        line[strcspn(line, "\n")] = '\0';
        strtok(line, "\t");
        strtok(NULL, "\t");
        snprintf(account->url, sizeof account->url, "%s", strtok(NULL, "\t"));
        account->headers = curl_slist_append(NULL, "Accept: application/json");
        snprintf(user_agent, sizeof user_agent, "%s", strtok(NULL, "\t"));
        account->headers = curl_slist_append(account->headers, strtok(NULL, "\t"));
    }
    fclose(file);
}

static size_t discard(char *data, size_t one, size_t length, void *user)
{
    (void)data;
    (void)one;
    (void)user;
    return length;
}

static CURL *make_handle(void)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL) fail("no handle");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)TIMEOUT);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, getenv("SSL_CERT_DIR"));
    /* Over TLS wait for the first connection to tell whether it can carry the others. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, strncmp(accounts[0].url, "https", 5) == 0 ? 1L : 0L);
    return easy;
}

static void aim(CURL *easy, const struct account *account)
{
    curl_easy_setopt(easy, CURLOPT_URL, account->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, account->headers);
}

static void check_answer(CURL *easy, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) fail(curl_easy_strerror(code));
    if (status != 200) fail("a status other than 200");
}

/* ---- many at once ---- */

struct run {
    CURLM *multi;
    CURL **idle; /* handles that are not in flight */
    long idle_count, started, count;
};

static void start_what_fits(struct run *run)
{
    while (run->idle_count > 0 && run->started < run->count) {
        CURL *easy = run->idle[--run->idle_count];
        aim(easy, &accounts[run->started++ % account_count]);
        if (curl_multi_add_handle(run->multi, easy) != CURLM_OK) fail("curl_multi_add_handle");
    }
}

/* Returns how many have finished. */
static long collect(struct run *run)
{
    int left;
    long finished = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(run->multi, &left)) != NULL; finished++) {
        CURL *easy = message->easy_handle;
        check_answer(easy, message->data.result);
        curl_multi_remove_handle(run->multi, easy);
        run->idle[run->idle_count++] = easy;
    }
    return finished;
}

static void check_all(struct run *run, long count)
{
    run->started = 0;
    run->count = count;
    for (long finished = 0; finished < count;) {
        int running;
        start_what_fits(run);
        curl_multi_perform(run->multi, &running);
        long now_finished = collect(run);
        finished += now_finished;
        /* Where places have become free the next requests come first. */
        if (now_finished == 0) curl_multi_poll(run->multi, NULL, 0, 1000, NULL);
    }
}

static struct run open_run(long in_flight)
{
    struct run run = {.multi = curl_multi_init(), .idle = calloc((size_t)in_flight, sizeof(CURL *))};
    if (run.multi == NULL || run.idle == NULL) fail("out of memory");
    /* Without it libcurl keeps four for each handle that is in flight: too few at the end of a round. */
    curl_multi_setopt(run.multi, CURLMOPT_MAXCONNECTS, 4 * in_flight);
    while (run.idle_count < in_flight) run.idle[run.idle_count++] = make_handle();
    return run;
}

static void close_run(struct run *run)
{
    while (run->idle_count > 0) curl_easy_cleanup(run->idle[--run->idle_count]);
    curl_multi_cleanup(run->multi);
    free(run->idle);
}

/* ---- one after the other ---- */

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, long count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return values[count / 2];
}

static void run_many(long count, long in_flight)
{
    struct run run = open_run(in_flight);
    check_all(&run, count);
    close_run(&run);
}

static void run_single(double *times, long count)
{
    CURL *easy = make_handle();
    for (long i = -1; i < count; i++) { /* the first one opens the connection */
        double begun = now();
        aim(easy, &accounts[0]);
        check_answer(easy, curl_easy_perform(easy));
        if (i >= 0) times[i] = now() - begun;
    }
    curl_easy_cleanup(easy);
}

static void run_rounds(double *times, long count)
{
    struct run run = open_run(account_count);
    for (long i = -1; i < count; i++) {
        double begun = now();
        check_all(&run, account_count);
        if (i >= 0) times[i] = now() - begun;
    }
    close_run(&run);
}

int main(int words, char **word)
{
    if (words < 3) fail("usage: bare many COUNT IN_FLIGHT | single COUNT | rounds COUNT");
    long count = atol(word[2]), in_flight = words > 3 ? atol(word[3]) : 1;
    double *times = calloc((size_t)count, sizeof *times);
    if (times == NULL || count < 1 || in_flight < 1) fail("COUNT and IN_FLIGHT must be at least 1");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    read_accounts();
    if (strcmp(word[1], "many") == 0) {
        run_many(count, in_flight);
    } else if (strcmp(word[1], "single") == 0) {
        run_single(times, count);
        printf("MEDIAN %.9f\n", median(times, count));
    } else {
        run_rounds(times, count);
        printf("MEDIAN %.9f\n", median(times, count));
        count *= account_count;
    }
    printf("ANSWERED %ld\n", count);
    for (long i = 0; i < account_count; i++) curl_slist_free_all(accounts[i].headers);
    free(times);
    curl_global_cleanup();
    return 0;
}
