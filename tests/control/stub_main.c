/*
 * stub_main.c - the control socket over the stub gateway, as a program: stub SOCKET [GROUP
 * [CONFIG]]
 *
 * SIGUSR1 opens one more session, SIGUSR2 publishes more events than the ring holds, SIGHUP opens
 * 20000 sessions, SIGALRM damages the table; SIGTERM ends the program.
 */
#include "nat_internal.h"
#include "portreeve/control.h"
#include "portreeve/log.h"
#include "stub_gateway.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int open_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGALRM);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* False for SIGTERM. */
static bool take_signal(int signals, struct gateway *gateway)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return true;
    switch (info.ssi_signo) {
    case SIGUSR1:
        stub_gateway_open_sessions(gateway, 1);
        return true;
    case SIGUSR2:
        stub_gateway_churn(gateway, EVENT_RING);
        return true;
    case SIGHUP:
        stub_gateway_open_sessions(gateway, 20000);
        return true;
    case SIGALRM:
        stub_gateway_damage(gateway);
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    const struct log_options log = {LOG_LEVEL_DEBUG, LOG_TARGET_STDERR};
    struct gateway *gateway = stub_gateway_new(argc > 3 ? argv[3] : NULL, 65536);
    struct control *control;
    struct error error;
    struct pollfd watched[2];
    int signals = open_signals();

    log_open(&log);
    if (argc < 2 || signals < 0)
        return 2;
    if (control_open(&control, argv[1], argc > 2 ? argv[2] : "", &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        stub_gateway_free(gateway);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    watched[0] = (struct pollfd){.fd = signals, .events = POLLIN};
    watched[1] = (struct pollfd){.fd = control_descriptor(control), .events = POLLIN};
    do {
        poll(watched, 2, control_has_subscribers(control) ? 100 : 1000);
        control_serve(control, gateway);
        log_tick();
    } while (!(watched[0].revents & POLLIN) || take_signal(signals, gateway));
    control_close(control);
    stub_gateway_free(gateway);
    close(signals);
    return 0;
}
