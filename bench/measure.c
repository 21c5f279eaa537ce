/* Runs a program and tells what it cost: `measure PROGRAM [ARGUMENT ...]`. The program's own output passes through; the
 * last line is "MEASURED wall_s cpu_s peak_kib status". A small program of its own, since a child's peak memory begins
 * with that of the process that forked it. */
#define _GNU_SOURCE

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 300 }; /* seconds until a program that hangs is ended */

static pid_t child;

static void end_child(int signal_number)
{
    (void)signal_number;
    kill(child, SIGKILL);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int count, char **words)
{
    if (count < 2) return fprintf(stderr, "usage: measure PROGRAM [ARGUMENT ...]\n"), 64;
    double begun = now();
    child = fork();
    if (child < 0) return perror("fork"), 1;
    if (child == 0) {
        execvp(words[1], words + 1);
        perror(words[1]);
        _exit(127);
    }
    signal(SIGALRM, end_child);
    alarm(PATIENCE);
    int status = 0;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0) continue;
    double wall = now() - begun;
    printf("MEASURED %.6f %.6f %ld %d\n", wall, seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
