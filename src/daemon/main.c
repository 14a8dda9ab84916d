/*
 * main.c - portreeved: options, start-up in order, the main thread's loop
 */
#include "notify.h"
#include "portreeve/addresses.h"
#include "portreeve/confine.h"
#include "portreeve/control.h"
#include "portreeve/gateway.h"
#include "portreeve/handover.h"
#include "portreeve/log.h"
#include "portreeve/privileged.h"
#include "portreeve/privileges.h"
#include "portreeve/report.h"
#include "portreeve/upgrade.h"
#include "portreeve/watchdog.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/portreeve/portreeve.conf"
#define DEFAULT_GROUP  "portreeve"
/* Events reach subscribers within this time. */
#define EVENT_DELAY_MS 100

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

struct options {
    const char *config_path;
    const char *user; /* NULL: PRIVILEGES_USER, if there is one */
    bool check_only;
    bool prepare_only;
    bool debug;
};

struct daemon {
    struct options options;
    struct gateway *gateway;
    struct control *control;
    struct confine_paths paths;
    int signals, timer, epoll;
    bool is_interrupted; /* by SIGINT */
};

static const char usage[] =
    "usage: portreeved [-c FILE] [-u USER] [-t] [-d]\n"
    "\n"
    "The NAT and port-forwarding daemon; runs in the foreground.\n"
    "\n"
    "  -c, --config FILE  the configuration file (default " DEFAULT_CONFIG ")\n"
    "  -u, --user USER    the user to run as when started as root (default " PRIVILEGES_USER ",\n"
    "                     if there is one)\n"
    "  -t, --test         check the configuration, show every error, and exit\n"
    "      --prepare      let that user read FILE and write what it names, and exit\n"
    "  -d, --debug        log at level debug, to stderr\n"
    "  -h, --help         show this help\n"
    "  -V, --version      show the version\n"
    "\n"
    "SIGHUP reloads the configuration, SIGUSR2 replaces the program by the one that is installed "
    "now;\n"
    "SIGTERM and SIGINT remove the rules and stop the daemon.\n"
    "Exit status: 0 success, 1 failed, 2 wrong usage. See portreeved(8), portreeve.conf(5).\n";

/* Returns -1 to continue, or the exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'},
        {"debug", no_argument, NULL, 'd'},        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {"user", required_argument, NULL, 'u'},
        {"prepare", no_argument, NULL, 'P'},      {NULL, 0, NULL, 0},
    };
    int option;

    options->config_path = DEFAULT_CONFIG;
    while ((option = getopt_long(argc, argv, "c:u:tdhV", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config_path = optarg;
            break;
        case 'u':
            options->user = optarg;
            break;
        case 'P':
            options->prepare_only = true;
            break;
        case 't':
            options->check_only = true;
            break;
        case 'd':
            options->debug = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_OK;
        case 'V':
            puts("portreeved " PORTREEVE_VERSION);
            return EXIT_OK;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "portreeved: '%s' is not an option\n%s", argv[optind], usage);
        return EXIT_USAGE;
    }
    return -1;
}

static void print_line(void *context, const char *message)
{
    (void)context;
    fprintf(stderr, "%s\n", message);
}

static void print_warning(void *context, const char *message)
{
    (void)context;
    fprintf(stderr, "warning: %s\n", message);
}

/* The interface may come later, so it is no error. Without netlink, nothing is said. */
static void check_interface(const struct options *options, const char *name)
{
    struct addresses *addresses;
    struct interface interface;
    struct error error = {0};
    char text[512];

    if (addresses_open(&addresses, &name, 1, &error) < 0)
        return;
    if (addresses_read(addresses, 0, &interface, NULL, 0, &error) == -ENODEV) {
        snprintf(text, sizeof(text),
                 "%.200s: [gateway] external = %s: there is no such interface now; portreeved "
                 "waits for it",
                 options->config_path, name);
        print_warning(NULL, text);
    }
    addresses_close(addresses);
}

/* For an upgrade: the directories of this configuration are those of the program that runs. */
static bool check_directories(const struct options *options, const struct config *config)
{
    struct confine_paths paths;
    const char *refused;

    confine_paths_set(&paths, config->state_directory, config->lasting_directory,
                      config->control_socket);
    refused = confine_refused_directory(&paths);
    if (refused != NULL)
        fprintf(stderr,
                "%s: %s: the daemon can change files only in the directories that it was started "
                "with, and %s is another one; expected a restart instead of an upgrade\n",
                options->config_path,
                refused == paths.state     ? "[state] directory"
                : refused == paths.lasting ? "[state] lasting-directory"
                                           : "[control] socket",
                refused);
    return refused == NULL;
}

static int check_config(const struct options *options)
{
    struct config config;

    privileged_borrow(options->config_path);
    if (!config_load(options->config_path, &config, print_line, print_warning, NULL))
        return EXIT_FAILED;
    if (!check_directories(options, &config) ||
        !gateway_check_host(&config, options->config_path, print_line, print_warning, NULL)) {
        config_free(&config);
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < config.external_count; i++)
        check_interface(options, config.external[i]);
    printf("%s has no errors (shares: %zu, forwards: %zu)\n", options->config_path,
           policy_share_count(config.policy), policy_forward_count(config.policy));
    config_free(&config);
    return EXIT_OK;
}

static void ignore(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* Mistakes of the configuration are said by the check that follows. */
static int prepare(const struct options *options)
{
    struct config config;
    struct error error = {0};
    int result = privileges_let_read(options->config_path, options->user, &error);

    if (result == 0 && config_load(options->config_path, &config, ignore, ignore, NULL)) {
        result = privileges_prepare(&config, options->user, &error);
        config_free(&config);
    }
    if (result < 0)
        log_warning("%s", error.text);
    return result < 0 ? EXIT_FAILED : EXIT_OK;
}

/* Describes the call that has just failed. */
static int fail(struct error *error, const char *what)
{
    int result = -errno;

    error_set(error, "the main loop: cannot %s: %s", what, strerror(-result));
    return result;
}

/* Signals are blocked before any thread exists, so that only the signalfd ever sees them. */
static int open_loop(struct daemon *daemon, struct error *error)
{
    const struct itimerspec every_second = {{.tv_sec = 1}, {.tv_sec = 1}};
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    daemon->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signals < 0)
        return fail(error, "create a signalfd");
    daemon->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (daemon->timer < 0)
        return fail(error, "create a timerfd");
    if (timerfd_settime(daemon->timer, 0, &every_second, NULL) < 0)
        return fail(error, "set its timer");
    daemon->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (daemon->epoll < 0)
        return fail(error, "create an epoll instance");
    return 0;
}

/*
 * A new machine has no group "portreeve". Then only root may look, and the log says how to change
 * that.
 */
static int open_control(struct daemon *daemon, const struct config *config, struct error *error)
{
    int result =
        control_open(&daemon->control, config->control_socket, config->control_group, error);

    if (result == -ENOENT && strcmp(config->control_group, DEFAULT_GROUP) == 0) {
        *error = (struct error){0};
        log_info("there is no group '" DEFAULT_GROUP
                 "': only root may use the control socket (create the group with groupadd "
                 "--system " DEFAULT_GROUP ", then its members may look)");
        result = control_open(&daemon->control, config->control_socket, "", error);
    }
    return result;
}

static int start(struct daemon *daemon, struct error *error)
{
    struct config config;
    int result;

    if (!config_load(daemon->options.config_path, &config, report_error, report_warning, NULL)) {
        error_set(error, "%s has errors; nothing was started", daemon->options.config_path);
        return -EINVAL;
    }
    if (daemon->options.debug)
        config.log = (struct log_options){LOG_LEVEL_DEBUG, LOG_TARGET_STDERR};
    log_open(&config.log);
    confine_paths_set(&daemon->paths, config.state_directory, config.lasting_directory,
                      config.control_socket);
    result = privileges_drop(&config, daemon->options.user, error);
    if (result == 0)
        result = open_loop(daemon, error);
    if (result == 0)
        result = open_control(daemon, &config, error);
    if (result < 0) {
        config_free(&config);
        return result;
    }
    handover_keep(HANDOVER_CONTROL, control_listener(daemon->control));
    return gateway_open(&daemon->gateway, daemon->options.config_path, &config, error);
}

static int watch_all(struct daemon *daemon, struct error *error)
{
    const struct {
        const char *what;
        int descriptor;
    } watched[] = {
        {"watch the signalfd", daemon->signals},
        {"watch its timer", daemon->timer},
        {"watch the control socket", control_descriptor(daemon->control)},
        {"watch the external addresses", gateway_addresses_descriptor(daemon->gateway)},
        {"watch the nf_tables rules", gateway_rules_descriptor(daemon->gateway)},
        {"watch the routes", gateway_routes_descriptor(daemon->gateway)},
        {"watch other programs' rules", gateway_neighbours_descriptor(daemon->gateway)},
    };

    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = watched[i].descriptor};

        if (watched[i].descriptor < 0)
            continue; /* nothing to watch */
        if (epoll_ctl(daemon->epoll, EPOLL_CTL_ADD, watched[i].descriptor, &event) < 0)
            return fail(error, watched[i].what);
    }
    return 0;
}

static void notify_reloading(void)
{
    char state[64];

    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)gateway_now() * 1000);
    notify_send(state);
}

static void reload(struct daemon *daemon)
{
    uint32_t ended = 0;

    notify_reloading();
    if (gateway_reload(daemon->gateway, report_error, report_warning, NULL, &ended))
        log_notice("configuration reloaded; %u sessions ended", ended);
    else
        log_error("reload refused: the running configuration has not changed");
    notify_send("READY=1");
}

static void request_upgrade(void)
{
    struct error error = {0};

    if (upgrade_request(&error) < 0)
        log_error("upgrade refused: %s", error.text);
}

/* Returns only if there is no program any more that could go on. */
static void upgrade(struct daemon *daemon)
{
    notify_reloading();
    gateway_close(daemon->gateway, GATEWAY_UPGRADE);
    control_leave(daemon->control);
    daemon->gateway = NULL;
    daemon->control = NULL;
    upgrade_exec();
}

/*
 * A sign of life for the service manager, as long as every thread goes on. Otherwise the manager
 * ends this process and starts the next; without one, a new process is made of this one. Nothing is
 * closed before: that would wait for the thread.
 */
static void keep_watch(const struct daemon *daemon)
{
    const char *still = gateway_still_thread(daemon->gateway);

    if (still == NULL)
        watchdog_feed();
    else if (watchdog_period_ms() > 0)
        watchdog_trigger();
    else
        upgrade_restart(still);
}

/* Returns false if the daemon must stop. */
static bool take_signal(struct daemon *daemon)
{
    struct signalfd_siginfo info;

    while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        log_debug("signal %s received", strsignal((int)info.ssi_signo));
        if (info.ssi_signo == SIGHUP)
            reload(daemon);
        else if (info.ssi_signo == SIGUSR2)
            request_upgrade();
        else {
            daemon->is_interrupted = info.ssi_signo == SIGINT;
            return false;
        }
    }
    return true;
}

static bool dispatch(struct daemon *daemon, int descriptor)
{
    uint64_t expirations;

    if (descriptor == daemon->signals)
        return take_signal(daemon);
    if (descriptor == daemon->timer && read(daemon->timer, &expirations, sizeof(expirations)) > 0) {
        gateway_tick(daemon->gateway);
        keep_watch(daemon);
        log_tick();
    }
    if (descriptor == gateway_addresses_descriptor(daemon->gateway))
        gateway_addresses_ready(daemon->gateway);
    if (descriptor == gateway_rules_descriptor(daemon->gateway))
        gateway_rules_ready(daemon->gateway);
    if (descriptor == gateway_routes_descriptor(daemon->gateway))
        gateway_routes_ready(daemon->gateway);
    if (descriptor == gateway_neighbours_descriptor(daemon->gateway))
        gateway_neighbours_ready(daemon->gateway);
    return true;
}

/* Until the daemon must stop, or be replaced. */
static void run(struct daemon *daemon)
{
    struct epoll_event events[8];
    bool running = true;

    while (running && !upgrade_is_due()) {
        int timeout = control_has_subscribers(daemon->control) ? EVENT_DELAY_MS : -1;
        int ready = epoll_wait(daemon->epoll, events, 8, timeout);

        for (int i = 0; i < ready && running; i++)
            running = dispatch(daemon, events[i].data.fd);
        control_serve(daemon->control, daemon->gateway);
    }
    if (running)
        upgrade(daemon);
}

/*
 * A service manager that keeps our descriptors decides what this is: a restart, and the next run
 * takes them over, or a stop, and it closes them. Then the kernel removes the table. A start that
 * has failed leaves what it was to take over.
 */
static void stop(struct daemon *daemon, bool failed)
{
    if (handover_has_store() || (failed && handover_is_continuation())) {
        gateway_close(daemon->gateway, GATEWAY_RESTART);
        control_leave(daemon->control);
    } else {
        gateway_close(daemon->gateway,
                      failed || daemon->is_interrupted ? GATEWAY_STOP : GATEWAY_HOLD);
        control_close(daemon->control);
    }
}

int main(int argc, char **argv)
{
    struct daemon daemon = {.signals = -1, .timer = -1, .epoll = -1};
    struct error error = {0};
    int code = parse_options(argc, argv, &daemon.options);

    if (code >= 0)
        return code;
    if (daemon.options.check_only)
        return check_config(&daemon.options);
    if (daemon.options.prepare_only)
        return prepare(&daemon.options);
    handover_begin();
    upgrade_begin(argv, daemon.options.config_path);
    watchdog_begin();
    privileged_start(daemon.options.config_path);
    if (start(&daemon, &error) == 0 && watch_all(&daemon, &error) == 0) {
        handover_settle();
        upgrade_settle();
        confine_files(&daemon.paths);
        confine_thread(CONFINE_MAIN);
        log_notice("portreeved " PORTREEVE_VERSION " is ready");
        notify_send("READY=1");
        run(&daemon);
        notify_send("STOPPING=1");
        code = daemon.gateway != NULL ? EXIT_OK : EXIT_FAILED;
    } else {
        log_error("%s", error.text);
        code = EXIT_FAILED;
    }
    stop(&daemon, code != EXIT_OK);
    if (code != EXIT_OK)
        upgrade_give_back(error.text);
    log_finish();
    return code;
}
