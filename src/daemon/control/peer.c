/*
 * peer.c - the user at the other end of a connection
 */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GROUPS_MAX 64 /* more groups need an allocation */

/* The daemon's own user could do to the daemon what it likes. `systemctl reload` comes as that. */
bool peer_is_root(const struct peer *peer)
{
    return peer->credentials.uid == 0 || peer->credentials.uid == geteuid();
}

const char *peer_describe(const struct peer *peer, char buffer[PEER_TEXT_MAX])
{
    snprintf(buffer, PEER_TEXT_MAX, "user %u (process %d)", (unsigned)peer->credentials.uid,
             (int)peer->credentials.pid);
    return buffer;
}

/* True if `gid` was one of the peer's supplementary groups when it connected. */
static bool has_supplementary_group(int socket, gid_t gid)
{
    gid_t some[GROUPS_MAX], *groups = some, *many = NULL;
    socklen_t size = sizeof(some);
    bool found = false;
    int result = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size);

    if (result < 0 && errno == ERANGE) { /* the kernel has set `size` to the size it needs */
        groups = many = malloc(size);
        result = many == NULL ? -1 : getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    }
    for (size_t i = 0; result == 0 && i < size / sizeof(*groups); i++)
        found = found || groups[i] == gid;
    free(many);
    return found;
}

int peer_read(struct peer *peer, int socket, const gid_t *group)
{
    socklen_t size = sizeof(peer->credentials);

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer->credentials, &size) < 0)
        return -errno;
    peer->may_look = peer_is_root(peer) ||
                     (group != NULL &&
                      (peer->credentials.gid == *group || has_supplementary_group(socket, *group)));
    return 0;
}
