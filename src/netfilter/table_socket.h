/*
 * table_socket.h - the netlink socket that changes our nf_tables table, and owns it where it can
 *
 * Internal to src/netfilter. A table with NFT_TABLE_F_OWNER belongs to the netlink socket that
 * created it (or took over an orphan): the kernel refuses changes through any other socket with
 * EPERM, and `nft flush ruleset` passes the table by (nf_tables_api.c: nft_table_lookup,
 * nft_flush). So everything that changes the table, the rules and the offload maps, shares one
 * socket. One transaction or question at a time: a lock of this module is held during the system
 * calls. It is never taken while the gateway's lock is held; the functions that take the elements
 * of an answer may take the gateway's lock.
 */
#ifndef PORTREEVE_TABLE_SOCKET_H
#define PORTREEVE_TABLE_SOCKET_H

#include "ruleset_internal.h"

struct table_socket;

/*
 * Opens a socket in the caller's network namespace; or takes over `descriptor`, if it is >= 0: the
 * socket of an earlier run. What waits in it is thrown away. Returns 0, or -errno and a sentence; a
 * descriptor is closed on failure.
 */
int table_socket_open(struct table_socket **table, int descriptor, struct error *error);
void table_socket_close(struct table_socket *table); /* NULL is fine */

int table_socket_descriptor(const struct table_socket *table);

/* The netlink port id: the owner of our table, and the sender of our changes. */
uint32_t table_socket_port(const struct table_socket *table);

/* As batch_begin, with sequence numbers that no other batch of this socket has. */
int table_socket_begin(struct table_socket *table, struct batch *batch);

/* As batch_commit. */
int table_socket_commit(struct table_socket *table, struct batch *batch,
                        struct batch_outcome *outcome);

/* The same, for a thread that must not wait long: -EAGAIN if the socket stays in use. */
int table_socket_try_commit(struct table_socket *table, struct batch *batch,
                            struct batch_outcome *outcome);

/* As netlink_ask. */
int table_socket_ask(struct table_socket *table, struct nlmsghdr *request, mnl_cb_t each,
                     void *context);

#endif
