/*
 * rights.c - a descriptor that goes with a message over a Unix socket (SCM_RIGHTS, unix(7))
 */
#include "rights.h"

#include <string.h>

void rights_attach(struct msghdr *message, union rights *rights, int descriptor)
{
    struct cmsghdr *header;

    memset(rights, 0, sizeof(*rights));
    message->msg_control = rights->bytes;
    message->msg_controllen = sizeof(rights->bytes);
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(descriptor));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(descriptor));
}

int rights_take(struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int descriptor = -1;

    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(descriptor)))
        memcpy(&descriptor, CMSG_DATA(header), sizeof(descriptor));
    return descriptor;
}
