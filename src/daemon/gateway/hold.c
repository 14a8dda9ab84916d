/*
 * hold.c - after the end of the daemon the rules stay for a while, for a start that follows
 */
#include "hold.h"

#include "portreeve/log.h"
#include "portreeve/queue.h"
#include "portreeve/ruleset.h"
#include "reserved_ports.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void remove_rules(void)
{
    struct ruleset *ruleset = NULL;
    struct error error = {0};

    if (ruleset_open(&ruleset, -1, &error) < 0 || ruleset_remove(ruleset, &error) < 0)
        log_error("%s", error.text);
    ruleset_close(ruleset);
}

/* While we hold the lock, no daemon starts. */
static void remove_all(const char *state_directory)
{
    struct error error = {0};
    int lock;

    if (queue_lock_namespace(&lock, &error) < 0) {
        log_debug("the rules are another daemon's now: %s", error.text);
        return;
    }
    remove_rules();
    reserved_ports_release(state_directory);
    close(lock);
    log_notice("no daemon has started in time: the rules are removed");
}

/* Nobody who waits for the daemon's end may wait for us: no descriptor of it stays open. */
static void leave_parent(void)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++)
        dup2(nowhere, standard);
    closefrom(STDERR_FILENO + 1);
}

/* False if a daemon has started. The signals were blocked by the one that has ended. */
static bool wait_for(uint32_t seconds)
{
    const struct timespec second = {.tv_sec = 1};
    struct queue_statistics ignored;
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    for (uint32_t i = 0; i < seconds && sigtimedwait(&signals, NULL, &second) < 0; i++) {
        if (queue_read_statistics(QUEUE_LOCK, &ignored) == 0)
            return false;
    }
    return true;
}

void hold_begin(const char *state_directory, uint32_t seconds)
{
    pid_t child = fork();

    if (child > 0) {
        log_notice("the rules stay for %u seconds, for a start that follows", seconds);
        return;
    }
    if (child < 0) {
        log_error("cannot leave the rules for a start that follows: %s", strerror(errno));
        remove_all(state_directory);
        return;
    }
    leave_parent();
    if (wait_for(seconds))
        remove_all(state_directory);
    _exit(0);
}
