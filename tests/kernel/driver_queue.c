/*
 * driver_queue.c - takes packets from a queue, tells what came, and gives them back as it is
 * told
 */
#include "driver.h"

#include "portreeve/queue.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What to do with packets: verdict=accept|drop|rewrite from=PORT to=PORT transit=flip hold=1
 * quiet=1
 */
struct orders {
    enum verdict verdict;
    uint16_t from, to;   /* of rewrite: inbound destinations from -> to, outbound sources back */
    bool flip;           /* the mark set where it is not, and cleared where it is */
    bool hold;           /* answer only when a line comes by standard input */
    unsigned long quiet; /* 1: tell of GSO packets only; 2: of none */
};

static struct orders read_orders(const struct arguments *arguments)
{
    const char *verdict = argument(arguments, "verdict");
    struct orders orders = {
        .verdict = VERDICT_ACCEPT,
        .from = (uint16_t)argument_number(arguments, "from", 0),
        .to = (uint16_t)argument_number(arguments, "to", 0),
        .flip = argument(arguments, "transit") != NULL,
        .hold = argument_number(arguments, "hold", 0),
        .quiet = argument_number(arguments, "quiet", 0),
    };

    if (verdict && strcmp(verdict, "drop") == 0)
        orders.verdict = VERDICT_DROP;
    if (verdict && strcmp(verdict, "rewrite") == 0)
        orders.verdict = VERDICT_REWRITTEN;
    return orders;
}

static void rewrite(struct packet *packet, const struct orders *orders)
{
    struct packet_view view;
    struct endpoint changed;

    packet->verdict = VERDICT_DROP;
    if (packet_parse(packet, &view) != DROP_NONE)
        return;
    if (packet->hook == HOOK_INBOUND && view.tuple.destination.port == orders->from) {
        changed = view.tuple.destination;
        changed.port = orders->to;
        packet_set_destination(packet, &view, &changed);
    } else if (packet->hook == HOOK_OUTBOUND && view.tuple.source.port == orders->to) {
        changed = view.tuple.source;
        changed.port = orders->from;
        packet_set_source(packet, &view, &changed);
    }
    packet_finish(packet, &view);
    packet->verdict = VERDICT_REWRITTEN;
}

static void obey(struct packet *packet, const struct orders *orders)
{
    packet->verdict = orders->verdict;
    if (orders->flip)
        packet->transit = !packet->transit;
    if (orders->verdict == VERDICT_REWRITTEN)
        rewrite(packet, orders);
}

static void tell_packet(const struct packet *packet)
{
    printf("{\"hook\": \"%s\", \"in\": %u, \"out\": %u, \"length\": %zu, \"transit\": %d, "
           "\"checksum_missing\": %d, "
           "\"gso\": %d, \"truncated\": %d, \"head\": \"",
           packet->hook == HOOK_INBOUND ? "inbound" : "outbound", packet->in_interface,
           packet->out_interface, packet->length, packet->transit, packet->checksum_missing,
           packet->gso, packet->truncated);
    for (size_t i = 0; i < packet->length && i < 64; i++)
        printf("%02x", packet->data[i]);
    printf("\"}\n");
}

static void wait_for_order(void)
{
    char line[16];

    if (!fgets(line, sizeof(line), stdin))
        clearerr(stdin);
}

static int handle_batch(struct queue *queue, const struct orders *orders)
{
    struct packet *packets;
    int count = queue_receive(queue, &packets);

    if (count < 0)
        return count;
    for (int i = 0; i < count; i++) {
        if (orders->quiet == 0 || (orders->quiet == 1 && packets[i].gso))
            tell_packet(&packets[i]);
    }
    fflush(stdout);
    if (count > 0 && orders->hold)
        wait_for_order();
    for (int i = 0; i < count; i++)
        obey(&packets[i], orders);
    count = queue_reply(queue);
    if (count < 0)
        tell_result(count, &(struct error){.text = "queue_reply"});
    return 0;
}

/* send-buffer=BYTES: makes the socket's send buffer too small for what comes. */
static void shrink_buffer(const struct queue *queue, const struct arguments *arguments)
{
    int bytes = (int)argument_number(arguments, "send-buffer", 0);

    if (bytes > 0)
        setsockopt(queue_descriptor(queue), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

#define QUEUES (1 + NEWCOMERS_KINDS)

/* Everything else first, then newcomers. newcomers=0: nobody serves these. */
static int open_queues(struct queue **queues, const struct arguments *arguments,
                       struct error *error)
{
    const uint16_t number = (uint16_t)argument_number(arguments, "number", 0);
    struct queue_options options = {
        .number = number,
        .udp_number = (uint16_t)argument_number(arguments, "udp-number", queue_first_udp(number)),
        .descriptor = -1,
        .hairpin_mark = (uint32_t)argument_number(arguments, "mark", 0x10000),
        .length = (uint32_t)argument_number(arguments, "length", 4096),
    };
    int code = queue_open(&queues[0], &options, error);

    for (int kind = 0; kind < NEWCOMERS_KINDS && code == 0; kind++) {
        if (!argument_number(arguments, "newcomers", 1))
            break;
        options.number = options.udp_number = queue_of_newcomers(number, (enum newcomers)kind);
        code = queue_open(&queues[1 + kind], &options, error);
    }
    return code;
}

/* Serves the queues until the test ends the program. */
int verb_queue(const struct arguments *arguments)
{
    const struct orders orders = read_orders(arguments);
    struct queue *queues[QUEUES] = {NULL};
    struct pollfd readable[QUEUES] = {{.fd = -1}, {.fd = -1}, {.fd = -1}};
    struct error error = {0};
    int code = open_queues(queues, arguments, &error);

    tell_result(code, &error);
    if (code == 0)
        shrink_buffer(queues[0], arguments);
    for (int i = 0; i < QUEUES && queues[i] != NULL && code == 0; i++)
        readable[i] = (struct pollfd){.fd = queue_descriptor(queues[i]), .events = POLLIN};
    while (code == 0 && poll(readable, QUEUES, -1) > 0) {
        for (int i = 0; i < QUEUES && code == 0; i++) {
            if (readable[i].revents != 0)
                code = handle_batch(queues[i], &orders);
        }
    }
    for (int i = 0; i < QUEUES; i++)
        queue_close(queues[i]);
    return 1;
}

int verb_statistics(const struct arguments *arguments)
{
    struct queue_statistics statistics = {0};
    struct error error = {0};
    int code =
        queue_read_statistics((uint16_t)argument_number(arguments, "number", 0), &statistics);

    printf("{\"waiting\": %u, \"dropped_full\": %lu, \"dropped_user\": %lu}\n", statistics.waiting,
           (unsigned long)statistics.dropped_full, (unsigned long)statistics.dropped_user);
    return tell_result(code, &error);
}
