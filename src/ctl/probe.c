/*
 * probe.c - an attempt to reach a service, from this host
 */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel asks for a neighbour three times, once per second. */
#define TCP_PATIENCE_MS 3500
#define UDP_PATIENCE_MS 1000

static const char *word_for(int error)
{
    switch (error) {
    case 0:
        return "answered";
    case ECONNREFUSED:
        return "refused";
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EACCES:
        return "unreachable";
    default:
        return "silent";
    }
}

static int error_of(int opened)
{
    int error = 0;
    socklen_t size = sizeof(error);

    return getsockopt(opened, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

static bool wait_for(int opened, short events, int patience_ms)
{
    struct pollfd polled = {.fd = opened, .events = events};
    int count;

    do
        count = poll(&polled, 1, patience_ms);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

static const char *await_connection(int opened, int error)
{
    if (error != EINPROGRESS)
        return word_for(error);
    return wait_for(opened, POLLOUT, TCP_PATIENCE_MS) ? word_for(error_of(opened)) : "silent";
}

static const char *await_datagram(int opened)
{
    char byte;

    if (send(opened, "", 0, 0) < 0)
        return word_for(errno);
    if (!wait_for(opened, POLLIN, UDP_PATIENCE_MS))
        return "silent";
    return recv(opened, &byte, sizeof(byte), MSG_DONTWAIT) < 0 ? word_for(errno) : "answered";
}

const char *probe(bool is_tcp, const struct endpoint *target)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(target->port),
                             .sin_addr.s_addr = htonl(address_to_ipv4(&target->address))};
    int opened = socket(AF_INET, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0), error;
    const char *word;

    if (opened < 0)
        return NULL;
    error = connect(opened, (const struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
    if (is_tcp)
        word = await_connection(opened, error);
    else
        word = error == 0 ? await_datagram(opened) : word_for(error);
    close(opened);
    return word;
}
