/*
 * client.c - one connection: it reads lines, sends bytes, and ends if the client does not read
 */
#include "client.h"

#include "answer.h"
#include "job.h"
#include "portreeve/log.h"
#include "request.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REFUSAL_MAX 160 /* bytes of the line, with the final NUL */

/* Says why, and closes the socket. */
static void refuse_connection(int socket)
{
    char line[REFUSAL_MAX];
    int length = snprintf(line, sizeof(line),
                          "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":%d,\"message\":"
                          "\"there are too many connections; try again later\"}}\n",
                          CONTROL_ERROR_CONNECTIONS);

    /* The buffer of a new connection has room for this line. */
    send(socket, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(socket);
}

/* Some connections are reserved for root, so that other users cannot lock root out. */
static bool has_place(const struct control *control, const struct peer *peer)
{
    return control->client_count <
           CONTROL_CLIENTS_MAX - (peer_is_root(peer) ? 0 : CONTROL_CLIENTS_ROOT);
}

static struct client *client_new(struct control *control, int socket, const struct peer *peer)
{
    struct client *client = calloc(1, sizeof(*client));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    if (client == NULL)
        return NULL;
    client->input = malloc(CONTROL_LINE_MAX + 1);
    if (client->input == NULL || epoll_ctl(control->epoll, EPOLL_CTL_ADD, socket, &event) < 0) {
        free(client->input);
        free(client);
        return NULL;
    }
    client->control = control;
    client->socket = socket;
    client->interest = event.events;
    client->peer = *peer;
    return client;
}

void client_add(struct control *control, int socket)
{
    bool has_group = control->group[0] != '\0';
    struct peer peer;
    size_t place = 0;

    if (peer_read(&peer, socket, has_group ? &control->gid : NULL) < 0) {
        close(socket);
        return;
    }
    if (!has_place(control, &peer)) {
        log_info("control socket: too many connections; a client of user %u was refused",
                 (unsigned)peer.credentials.uid);
        refuse_connection(socket);
        return;
    }
    while (control->client[place] != NULL)
        place++;
    control->client[place] = client_new(control, socket, &peer);
    if (control->client[place] == NULL)
        close(socket);
    else
        control->client_count++;
}

int client_accept(struct control *control)
{
    int socket = accept4(control->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (socket < 0)
        return -errno;
    client_add(control, socket);
    return 0;
}

void client_close(struct client *client)
{
    struct control *control = client->control;

    for (size_t place = 0; place < CONTROL_CLIENTS_MAX; place++) {
        if (control->client[place] == client) {
            control->client[place] = NULL;
            control->client_count--;
        }
    }
    job_end(client->job);
    close(client->socket); /* this also removes it from the epoll set */
    free(client->input);
    output_free(&client->output);
    free(client);
}

/*
 * epoll reports the socket as writable only when its buffer is nearly empty. A slow reader may need
 * a long time for that, but the number of unread bytes (SIOCOUTQ) shrinks with each of its reads.
 */
static void check_reading(struct client *client, uint64_t now)
{
    int unread;

    if (ioctl(client->socket, SIOCOUTQ, &unread) < 0)
        return;
    if (unread < client->unread)
        client->moved = now;
    client->unread = unread;
}

void client_close_if_stalled(struct client *client, uint64_t now)
{
    char who[PEER_TEXT_MAX];

    if (!(client->interest & EPOLLOUT))
        return;
    check_reading(client, now);
    if (now < client->moved + CONTROL_STALL_MS)
        return;
    log_info("control socket: %s does not read its data; connection closed",
             peer_describe(&client->peer, who));
    client_close(client);
}

/* ---- reading ---- */

/* Finds the next line. The last line may have no newline. */
static void find_line(struct client *client)
{
    const char *from = client->input + client->input_start;
    size_t waiting = client->input_used - client->input_start;
    const char *newline = waiting > 0 ? memchr(from, '\n', waiting) : NULL;

    client->has_line = newline != NULL || (client->input_ended && waiting > 0);
    client->line_length = newline != NULL ? (size_t)(newline - from) : waiting;
    if (newline == NULL && waiting > CONTROL_LINE_MAX) {
        client->has_line = false;
        client->closing = true;
        answer_refusal(&client->output, NULL, CONTROL_ERROR_REQUEST, NULL,
                       "the request is too long; expected at most %d bytes per line",
                       CONTROL_LINE_MAX);
    }
}

static void serve_line(struct client *client, struct gateway *gateway)
{
    const char *line = client->input + client->input_start;
    size_t length = client->line_length;

    request_serve(client, gateway, line, length);
    client->input_start += length;
    if (client->input_start < client->input_used)
        client->input_start++; /* the newline */
    find_line(client);
}

/* There is no complete line: the rest of the input is the beginning of one. It moves to the front.
 */
static void read_input(struct client *client)
{
    ssize_t length;

    client->input_used -= client->input_start;
    memmove(client->input, client->input + client->input_start, client->input_used);
    client->input_start = 0;
    length = recv(client->socket, client->input + client->input_used,
                  CONTROL_LINE_MAX + 1 - client->input_used, MSG_DONTWAIT);
    if (length < 0) {
        client->output.broken = errno != EAGAIN && errno != EINTR;
        return;
    }
    client->input_ended = length == 0;
    client->input_used += (size_t)length;
    find_line(client);
}

/* ---- serving ---- */

static void send_output(struct client *client, uint64_t now)
{
    if (output_send(&client->output, client->socket))
        client->moved = now;
}

static uint32_t wanted_interest(const struct client *client)
{
    bool busy = client->job != NULL || client->has_line;
    uint32_t interest = 0;

    if (!busy && !client->input_ended && !client->closing && output_has_room(&client->output))
        interest |= EPOLLIN;
    if (!output_is_empty(&client->output) || busy || client->behind)
        interest |= EPOLLOUT;
    return interest;
}

/* There is nothing left to read, to do or to send. */
static bool is_done(const struct client *client)
{
    if (!output_is_empty(&client->output))
        return false;
    return client->closing ||
           (client->input_ended && client->job == NULL && !client->has_line && !client->subscribed);
}

void client_settle(struct client *client, uint64_t now)
{
    struct epoll_event event = {.data.ptr = client};

    send_output(client, now);
    if (client->output.broken || is_done(client)) {
        client_close(client);
        return;
    }
    event.events = wanted_interest(client);
    if (event.events == client->interest)
        return;
    if (!(client->interest & EPOLLOUT))
        client->moved = now; /* the time limit for reading starts now */
    if (epoll_ctl(client->control->epoll, EPOLL_CTL_MOD, client->socket, &event) < 0) {
        client_close(client);
        return;
    }
    client->interest = event.events;
}

void client_turn(struct client *client, struct gateway *gateway, uint32_t ready, uint64_t now)
{
    if (ready & (EPOLLHUP | EPOLLERR)) { /* both directions are closed */
        client_close(client);
        return;
    }
    if (ready & EPOLLOUT)
        client->moved = now;
    send_output(client, now);
    if (!client->output.broken && !client->closing && output_has_room(&client->output)) {
        if (client->job != NULL)
            job_step(client, gateway);
        else if (client->has_line)
            serve_line(client, gateway);
        else if ((ready & EPOLLIN) && !client->input_ended)
            read_input(client);
    }
    client_settle(client, now);
}
