/*
 * fuzz_control.c - any bytes as what a client of the control socket sends, over the stub gateway
 *
 * Whatever comes in: each line that goes out is one JSON-RPC message, there is at most one answer
 * for each line that came, the connection ends when the client has said everything, the lock is
 * free, and the translator is sound enough to go on.
 */
#include "../../src/daemon/control/client.h"
#include "../control/stub_gateway.h"

#include "portreeve/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SESSIONS   300
#define TURNS_MAX  200000
#define OUTPUT_MAX (16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *output;
static size_t output_size;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static size_t count_lines(const char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    return count;
}

/* Reads what has been sent so far. False when the connection has ended. */
static bool drain(int client)
{
    ssize_t length;

    do {
        must(output_size < OUTPUT_MAX);
        length = recv(client, output + output_size, OUTPUT_MAX - output_size, MSG_DONTWAIT);
        output_size += length > 0 ? (size_t)length : 0;
    } while (length > 0);
    return length < 0;
}

/* The first events of a subscription need no end of the connection; HUP ends it. */
static void talk(struct control *control, struct gateway *gateway, int client, const uint8_t *data,
                 size_t size)
{
    size_t sent = 0, piece = size % 97 * 8 + 1;
    bool open = true;

    for (int turn = 0; open && turn < TURNS_MAX; turn++) {
        size_t left = size - sent < piece ? size - sent : piece;
        ssize_t length =
            left > 0 ? send(client, data + sent, left, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

        sent += length > 0 ? (size_t)length : 0;
        if (sent == size || (length < 0 && turn > 1000))
            shutdown(client, SHUT_WR);
        control_serve(control, gateway);
        must(!stub_gateway_is_locked(gateway));
        open = drain(client);
        if (sent == size && control->client[0] != NULL && control->client[0]->subscribed &&
            control->client[0]->job == NULL && !control->client[0]->has_line &&
            control->client[0]->input_ended)
            break;
    }
    must(!open || control_has_subscribers(control));
}

static void check_output(size_t lines_in)
{
    size_t answers = 0, start = 0;

    must(output_size == 0 || output[output_size - 1] == '\n');
    for (size_t i = 0; i < output_size; i++) {
        json_t *message;

        if (output[i] != '\n')
            continue;
        message = json_loadb(output + start, i - start, JSON_REJECT_DUPLICATES, NULL);
        must(json_is_object(message) &&
             strcmp(json_string_value(json_object_get(message, "jsonrpc")), "2.0") == 0);
        answers += json_object_get(message, "id") != NULL;
        must((json_object_get(message, "method") != NULL) !=
             (json_object_get(message, "id") != NULL));
        json_decref(message);
        start = i + 1;
    }
    must(answers <= lines_in + 1);
}

static struct control *bare_control(void)
{
    struct control *control = calloc(1, sizeof(*control));

    must(control != NULL);
    control->listener = control->lock_file = -1;
    control->epoll = epoll_create1(EPOLL_CLOEXEC);
    must(control->epoll >= 0);
    return control;
}

/*
 * A new gateway costs more than most inputs do, and most inputs change nothing: only what has been
 * changed is made anew, so an input finds the same one in every run.
 */
static struct gateway *unchanged_gateway(void)
{
    static struct gateway *gateway;
    static const struct policy *policy;
    struct nat_summary nat;
    bool changed;

    if (gateway != NULL) {
        nat_summarize(gateway_lock(gateway), &nat);
        changed = gateway_policy(gateway) != policy || nat.sessions != nat.counters.opened;
        gateway_unlock(gateway);
        if (!changed)
            return gateway;
        stub_gateway_churn(gateway, 1);
        stub_gateway_free(gateway);
    }
    gateway = stub_gateway_new(NULL, SESSIONS);
    policy = gateway_policy(gateway);
    return gateway;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct log_options quiet = {LOG_LEVEL_ERROR, LOG_TARGET_STDERR};
    struct gateway *gateway = unchanged_gateway();
    struct control *control = bare_control();
    int pair[2];

    if (output == NULL)
        output = malloc(OUTPUT_MAX);
    must(output != NULL &&
         socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    output_size = 0;
    log_open(&quiet);
    client_add(control, pair[0]);
    must(control->client[0] != NULL);
    control->client[0]->peer.credentials.uid =
        0; /* whoever runs this: as root, everything can be reached */
    control->client[0]->peer.may_look = true;
    talk(control, gateway, pair[1], data, size);
    check_output(count_lines((const char *)data, size));
    close(pair[1]);
    control_close(control);
    return 0;
}
