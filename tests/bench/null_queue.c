/*
 * null_queue.c - what the queue alone costs: every packet goes to user space and back, and nothing
 * is decided
 *
 *     null_queue INTERFACE WORKERS PREFIX ADDRESS...
 *
 * portreeve's own rules and queues without its table: the packets of a share that leave by
 * INTERFACE, those that come for an ADDRESS behind the gateway, and their answers, are queued where
 * portreeve queues them, and accepted with their payload attached. They are routed, not translated.
 * A payload verdict makes the kernel take a packet's checksum for complete; where it is not, it is
 * computed here as portreeve computes it. Nothing else is looked at. "ready" on standard output
 * says that packets are taken.
 */
#include "portreeve/queue.h"
#include "portreeve/ruleset.h"
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX   64
#define ADDRESSES_MAX 64
#define QUEUE_LENGTH  4096 /* as the daemon's */

static void fill_checksum(const struct packet *packet)
{
    struct packet_view view;

    if (packet_parse(packet, &view) == DROP_NONE)
        packet_finish(packet, &view);
}

static void *serve(void *argument)
{
    struct queue *queue = argument;
    struct pollfd wait = {.fd = queue_descriptor(queue), .events = POLLIN};

    while (poll(&wait, 1, -1) >= 0 || errno == EINTR) {
        struct packet *packets;
        int count = queue_receive(queue, &packets);

        for (int i = 0; i < count; i++) {
            if (packets[i].checksum_missing)
                fill_checksum(&packets[i]);
            packets[i].verdict = VERDICT_REWRITTEN;
        }
        (void)queue_reply(queue);
    }
    return NULL;
}

static struct address address_of(const char *text)
{
    struct sockaddr_in address = socket_address(text, 0);

    return address_from_ipv4(ntohl(address.sin_addr.s_addr));
}

static struct prefix prefix_of(char *text)
{
    const char *address = strtok(text, "/"), *length = strtok(NULL, "/");

    if (length == NULL)
        die("expected a prefix as in 10.0.0.0/24");
    return (struct prefix){address_of(address), (uint8_t)(96 + argument_number(length, 1, 32))};
}

static void start_workers(uint16_t count, struct error *error)
{
    for (uint16_t i = 0; i < count; i++) {
        const struct queue_options options = {.number = i,
                                              .udp_number = (uint16_t)(queue_first_udp(0) + i),
                                              .length = QUEUE_LENGTH,
                                              .descriptor = -1};
        struct queue *queue;
        pthread_t thread;

        if (queue_open(&queue, &options, error) < 0)
            die("%s", error->text);
        if (pthread_create(&thread, NULL, serve, queue) != 0)
            die("pthread_create");
    }
}

static void install_rules(struct ruleset *ruleset, char **arguments, uint16_t workers,
                          struct error *error)
{
    static const struct port_range every_port = {1, 65535};
    struct ruleset_options options = {.queue_count = workers};
    struct address behind[ADDRESSES_MAX];
    struct prefix sources = prefix_of(arguments[3]);
    const struct interface external = {.index = if_nametoindex(arguments[1])};
    struct ruleset_contents contents = {.interfaces = &external,
                                        .interface_count = 1,
                                        .external = behind,
                                        .sources = &sources,
                                        .source_count = 1,
                                        .targets = behind};
    size_t count = 0;

    for (char **argument = arguments + 4; *argument != NULL && count < ADDRESSES_MAX; argument++)
        behind[count++] = address_of(*argument);
    contents.external_count = contents.target_count = count;
    for (int p = 0; p < PROTOCOL_PORTS_COUNT; p++) {
        contents.published[p].ranges = &every_port;
        contents.published[p].count = 1;
    }
    if (ruleset_install(ruleset, &options, &contents, error) < 0)
        die("%s", error->text);
}

int main(int argc, char **argv)
{
    struct ruleset *ruleset;
    struct error error = {0};
    uint16_t workers;
    sigset_t end;
    int number;

    if (argc < 5)
        die("usage: null_queue INTERFACE WORKERS PREFIX ADDRESS...");
    workers = (uint16_t)argument_number(argv[2], 1, WORKERS_MAX);
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    errno = 0;
    if (ruleset_open(&ruleset, -1, &error) < 0)
        die("%s", error.text);
    start_workers(workers, &error);
    install_rules(ruleset, argv, workers, &error);
    puts("ready");
    fflush(stdout);
    sigwait(&end, &number);
    if (ruleset_remove(ruleset, &error) < 0)
        die("%s", error.text);
    ruleset_close(ruleset);
    return EXIT_SUCCESS; /* the workers and their queues end with the process */
}
