/*
 * offload_entries.h - sessions on their way into the kernel's maps and out of them (offload.h)
 */
#ifndef NAT_OFFLOAD_ENTRIES_H
#define NAT_OFFLOAD_ENTRIES_H

#include "portreeve/nat.h"

/* A packet has passed by the queue; the session ends; its state has changed. */
void offload_consider(struct nat *nat, uint32_t slot, const struct packet *packet);
void offload_end(struct nat *nat, uint32_t slot);
void offload_state_changed(struct nat *nat, uint32_t slot);

/* True when an RST has to wait until the kernel has said its last word. */
bool offload_suspects_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                            enum role from);

/*
 * True when the session's timer means nothing before the kernel has been asked; the answer checks
 * the deadline again.
 */
bool offload_must_ask(struct nat *nat, uint32_t slot);

/* True when the kernel rewrites the session's packets by itself. */
bool offload_is_live(const struct nat *nat, const struct session *session);

/* Entries, for offload_orders.c. */

struct links offload_links(const struct offload *offload);

/* Chains all entries as free ones, and empties the lists. */
void offload_chain_free(struct offload *offload);

/* Puts an entry into this state, and at the end of the list that is of this state. */
void offload_enqueue(struct offload *offload, struct list *list, uint32_t index,
                     enum offload_state state);

/* Gives an entry back; its session, if it still has one, tries again later. */
void offload_free_entry(struct nat *nat, uint32_t index);

/* The session's entry, or NULL when it has none. */
struct offload_entry *offload_entry_of(struct nat *nat, const struct session *session);

/* The entry's packets are to take the queue again. */
void offload_withdraw(struct nat *nat, uint32_t index);

#endif
