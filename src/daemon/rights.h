/*
 * rights.h - a descriptor that goes with a message over a Unix socket (SCM_RIGHTS, unix(7))
 */
#ifndef PORTREEVE_RIGHTS_H
#define PORTREEVE_RIGHTS_H

#include <sys/socket.h>

/* The control message with one descriptor. */
union rights {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* The message carries this descriptor. `rights` must live until it is sent. */
void rights_attach(struct msghdr *message, union rights *rights, int descriptor);

/* The descriptor that a received message has carried, or -1. */
int rights_take(struct msghdr *message);

#endif
