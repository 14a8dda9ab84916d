/*
 * offload_entries.h - sessions on their way into the kernel's maps and out of them (offload.h)
 */
#ifndef NAT_OFFLOAD_ENTRIES_H
#define NAT_OFFLOAD_ENTRIES_H

#include "portreeve/offload.h"
#include "table.h"

enum offload_state {
    ENTRY_FREE,
    ENTRY_WAITING,
    ENTRY_WANTED,
    ENTRY_ADDING,
    ENTRY_LIVE,
    ENTRY_DUE,
    ENTRY_ASKING,
    ENTRY_LEAVING,
    ENTRY_REMOVING,
};

struct offload_entry {
    struct link link;
    uint32_t session;                  /* its slot; INDEX_NONE: it has ended */
    uint8_t state;                     /* enum offload_state */
    bool withdrawn;                    /* while ADDING or ASKING: it must leave next */
    bool has_reset;                    /* an RST waits for the kernel's last counters */
    uint8_t reset_from;                /* enum role */
    bool is_unanswered;                /* counted in offload.unanswered */
    uint32_t waits_since, last_packet; /* milliseconds; while WAITING */
    struct tcp_segment reset;
    uint64_t packets[2], bytes[2]; /* as last folded, by enum packet_hook */
    struct offload_flow flow;
};

struct offload {
    struct offload_entry *entry; /* NULL: all packets pass the queue */
    uint32_t capacity, used;
    uint32_t unanswered; /* entries of sessions that the outside has opened and nobody answers */
    uint32_t after;      /* packets of both sides that pass the queue first */
    uint32_t free;       /* chained by link.next */
    struct list waiting, wanted, due, leaving;
    uint32_t look; /* the entry to be looked at next */
    struct offload_counters counters;
};

/* A packet has passed the queue; the session ends; its state has changed. */
void offload_consider(struct nat *nat, uint32_t slot, const struct packet *packet, uint64_t now);
void offload_end(struct nat *nat, uint32_t slot);
void offload_state_changed(struct nat *nat, uint32_t slot);

/* True when an RST must wait for the kernel's last counters. */
bool offload_suspects_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                            enum role from);

/* A later SYN opens another connection, which an RST that still waits is not about. */
void offload_forget_reset(struct nat *nat, uint32_t slot);

/*
 * True when the session's timer means nothing before the kernel has been asked; the answer checks
 * the deadline again.
 */
bool offload_must_ask(struct nat *nat, uint32_t slot);

/* The session must leave the kernel. True as long as the kernel may still rewrite its packets. */
bool offload_leaves(struct nat *nat, uint32_t slot);

/* True when the kernel rewrites the session's packets by itself. */
bool offload_is_live(const struct nat *nat, const struct session *session);

/* Entries, for offload_orders.c. */

struct links offload_links(const struct offload *offload);

/* Chains all entries as free ones, and empties the lists. */
void offload_chain_free(struct offload *offload);

/* Its session has been answered: the entry is one like any other. */
void offload_answered(struct offload *offload, struct offload_entry *entry);

/* Puts an entry into this state, and at the end of the list that is of this state. */
void offload_enqueue(struct offload *offload, struct list *list, uint32_t index,
                     enum offload_state state);

/* Gives an entry back; its session, if it still has one, tries again later. */
void offload_free_entry(struct nat *nat, uint32_t index);

/* The session's entry, or NULL when it has none. */
struct offload_entry *offload_entry_of(struct nat *nat, const struct session *session);

/* The entry's packets must pass the queue again. */
void offload_withdraw(struct nat *nat, uint32_t index);

#endif
