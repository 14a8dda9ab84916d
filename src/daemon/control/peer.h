/*
 * peer.h - the user at the other end of a connection
 */
#ifndef PORTREEVE_CONTROL_PEER_H
#define PORTREEVE_CONTROL_PEER_H

#include <stdbool.h>
#include <sys/socket.h>

#define PEER_TEXT_MAX 64

struct peer {
    struct ucred credentials; /* at the time when it connected */
    bool may_look;
};

/* `group`: its members may look; NULL: only root may. Returns 0, or -errno. */
int peer_read(struct peer *peer, int socket, const gid_t *group);

/* Only root may change anything, and the user that the daemon runs as. */
bool peer_is_root(const struct peer *peer);

/*
 * "user 0 (process 4711)", for the log. The process is 0 if it is in a pid namespace that this
 * process cannot see.
 */
const char *peer_describe(const struct peer *peer, char buffer[PEER_TEXT_MAX]);

#endif
