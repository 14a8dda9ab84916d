/*
 * offload_orders.c - orders about offloaded sessions for the code that talks to the kernel, and
 * their results (offload.h)
 */
#include "forward_count.h"
#include "offload_entries.h"
#include "outcome.h"
#include "session.h"
#include "session_facts.h"

#include <stdlib.h>

/*
 * A session enters the maps while it is quiet: packets that wait in the queue must not be overtaken
 * by later ones, which the kernel rewrites at once. Times are stored in milliseconds, so two of
 * them are one at least. Traffic without a pause for this long enters all the same.
 */
#define QUIET_MS    2
#define PATIENCE_MS 200
#define HURRY_MS    100 /* from then on, an empty queue is enough */
/* Sessions that enter in one transaction: the longer it takes, the more packets come meanwhile. */
#define ENTER_AT_ONCE 32
/* Entries that are looked at before the lock is released. */
#define WAITING_LOOKS 128

bool nat_offload_init(struct nat *nat, uint32_t capacity, uint32_t after)
{
    struct offload *offload = &nat->offload;

    offload->entry = malloc(capacity * sizeof(*offload->entry));
    if (offload->entry == NULL)
        return false;
    offload->capacity = capacity;
    offload->after = after;
    offload_chain_free(offload);
    return true;
}

void nat_offload_look(struct nat *nat)
{
    struct offload *offload = &nat->offload;
    uint32_t looks = offload->capacity / OFFLOAD_LOOK_SECONDS + 1;

    for (; offload->used > 0 && looks > 0; looks--) {
        if (offload->entry[offload->look].state == ENTRY_LIVE)
            offload_enqueue(offload, &offload->due, offload->look, ENTRY_DUE);
        offload->look = offload->look + 1 < offload->capacity ? offload->look + 1 : 0;
    }
}

bool nat_offload_has_orders(const struct nat *nat)
{
    const struct offload *offload = &nat->offload;

    return offload->entry != NULL &&
           (offload->waiting.head != INDEX_NONE || offload->wanted.head != INDEX_NONE ||
            offload->due.head != INDEX_NONE || offload->leaving.head != INDEX_NONE);
}

bool nat_offload_is_waiting(const struct nat *nat)
{
    return nat->offload.entry != NULL && nat->offload.waiting.head != INDEX_NONE;
}

static bool may_enter(const struct offload_entry *entry, uint64_t now, enum offload_moment moment)
{
    uint32_t quiet = (uint32_t)now - entry->last_packet, waits = (uint32_t)now - entry->waits_since;
    bool ahead = quiet > UINT32_MAX / 2; /* a worker's clock was a moment ahead of `now` */

    if (ahead)
        return moment == OFFLOAD_OVERFULL;
    return moment == OFFLOAD_OVERFULL || waits >= PATIENCE_MS ||
           (moment == OFFLOAD_CALM && (quiet >= QUIET_MS || waits >= HURRY_MS));
}

void nat_offload_let_enter(struct nat *nat, uint64_t now, enum offload_moment moment)
{
    struct offload *offload = &nat->offload;
    uint32_t entered = 0, first_left = INDEX_NONE;

    if (offload->entry == NULL)
        return;
    for (uint32_t looks = 0; looks < WAITING_LOOKS && entered < ENTER_AT_ONCE; looks++) {
        uint32_t index = offload->waiting.head;

        if (index == INDEX_NONE || index == first_left)
            return;
        list_remove(&offload->waiting, offload_links(offload), index);
        if (may_enter(&offload->entry[index], now, moment)) {
            offload_enqueue(offload, &offload->wanted, index, ENTRY_WANTED);
            entered++;
        } else {
            list_append(&offload->waiting, offload_links(offload), index);
            first_left = first_left == INDEX_NONE ? index : first_left;
        }
    }
}

bool nat_offload_has_removals(const struct nat *nat)
{
    return nat->offload.entry != NULL && nat->offload.leaving.head != INDEX_NONE;
}

static size_t take(struct offload *offload, struct list *list, enum offload_state state,
                   enum offload_task task, struct offload_order *orders, size_t max)
{
    size_t count = 0;

    while (count < max && list->head != INDEX_NONE) {
        uint32_t index = list->head;

        list_remove(list, offload_links(offload), index);
        offload->entry[index].state = (uint8_t)state;
        orders[count++] = (struct offload_order){
            .entry = index, .task = task, .flow = offload->entry[index].flow};
    }
    return count;
}

size_t nat_offload_take(struct nat *nat, struct offload_order *orders, size_t max)
{
    struct offload *offload = &nat->offload;
    size_t count;

    if (offload->entry == NULL)
        return 0;
    count = take(offload, &offload->leaving, ENTRY_REMOVING, OFFLOAD_REMOVE, orders, max);

    count += take(offload, &offload->due, ENTRY_ASKING, OFFLOAD_ASK, orders + count, max - count);
    return count +
           take(offload, &offload->wanted, ENTRY_ADDING, OFFLOAD_ADD, orders + count, max - count);
}

/* An order has been carried out. If the entry was withdrawn meanwhile, it leaves now. */
static void settle(struct nat *nat, uint32_t index)
{
    struct offload_entry *entry = &nat->offload.entry[index];

    entry->state = ENTRY_LIVE;
    if (entry->withdrawn)
        offload_withdraw(nat, index);
    entry->withdrawn = false;
}

void nat_offload_added(struct nat *nat, uint32_t entry, bool done)
{
    if (done) {
        nat->offload.counters.added++;
        settle(nat, entry);
    } else {
        nat->offload.counters.refused++;
        offload_free_entry(nat, entry);
    }
}

/* Who sends the packets that pass this hook. */
static enum role sender_at(const struct session *session, enum packet_hook hook)
{
    bool internal_is_initiator = session->direction == DIRECTION_OUTBOUND;

    return (hook == HOOK_OUTBOUND) == internal_is_initiator ? ROLE_INITIATOR : ROLE_RESPONDER;
}

/* What the kernel has counted at one hook since the last time. */
static void fold(struct nat *nat, struct offload_entry *entry, enum packet_hook hook,
                 uint64_t packets, uint64_t bytes, uint64_t now)
{
    struct session *session = &nat->table.session[entry->session];
    enum role from = sender_at(session, hook);
    uint64_t new_packets = packets, new_bytes = bytes;

    if (packets >= entry->packets[hook] &&
        bytes >= entry->bytes[hook]) { /* otherwise its counter has started again */
        new_packets -= entry->packets[hook];
        new_bytes -= entry->bytes[hook];
    }
    entry->packets[hook] = packets;
    entry->bytes[hook] = bytes;
    if (new_packets == 0)
        return;
    session_count(session, from, new_packets, new_bytes);
    forward_count_bytes(nat, session, from, new_bytes, now);
    if (session->state == STATE_UNANSWERED && from == ROLE_RESPONDER)
        session_change_state(nat, entry->session, STATE_ANSWERED, from, now);
    else
        outcome_doubt(session, from);
    if (session_protocol(session) == PROTOCOL_TCP)
        tcp_passed_unseen(&session->tcp, from, new_bytes);
    if (session_refreshed_by(nat, session, from))
        session->last_seen = (uint32_t)now;
}

static void fold_both(struct nat *nat, struct offload_entry *entry,
                      const struct offload_traffic *traffic, uint64_t now)
{
    for (int hook = 0; hook < 2 && traffic != NULL && entry->session != INDEX_NONE; hook++)
        fold(nat, entry, (enum packet_hook)hook, traffic->packets[hook], traffic->bytes[hook], now);
}

void nat_offload_removed(struct nat *nat, uint32_t index, const struct offload_traffic *traffic,
                         uint64_t now)
{
    struct offload_entry entry = nat->offload.entry[index];

    fold_both(nat, &nat->offload.entry[index], traffic, now);
    nat->offload.counters.removed++;
    offload_free_entry(nat, index);
    if (entry.session != INDEX_NONE &&
        traffic == NULL) /* another program has removed it: it may return at once */
        nat->table.session[entry.session].offload = OFFLOAD_NO;
    if (entry.session != INDEX_NONE && entry.has_reset)
        session_saw_reset(nat, entry.session, &entry.reset, (enum role)entry.reset_from, now);
    if (entry.session != INDEX_NONE)
        outcome_tell(nat, entry.session, now); /* now all its packets are counted */
}

void nat_offload_answered(struct nat *nat, uint32_t index, const struct offload_traffic *traffic,
                          uint64_t now)
{
    struct offload_entry *entry = &nat->offload.entry[index];
    uint32_t slot = entry->session;

    fold_both(nat, entry, traffic, now);
    if (traffic == NULL) /* another program has removed it: its packets pass the queue again */
        entry->withdrawn = true;
    settle(nat, index);
    if (slot != INDEX_NONE)
        session_check_deadline(nat, slot, now);
}

void nat_offload_fold(struct nat *nat, enum packet_hook hook, const struct tuple *tuple,
                      uint64_t packets, uint64_t bytes, uint64_t now)
{
    enum role role;
    uint32_t slot = table_find(&nat->table, tuple, &role);
    struct offload_entry *entry =
        slot == INDEX_NONE ? NULL : offload_entry_of(nat, &nat->table.session[slot]);

    /*
     * An entry that is being added or removed reports its counters with the result.
     */
    if (entry != NULL && (entry->state == ENTRY_LIVE || entry->state == ENTRY_DUE) &&
        sender_at(&nat->table.session[slot], hook) == role)
        fold(nat, entry, hook, packets, bytes, now);
}

uint32_t nat_offload_in_kernel(const struct nat *nat, uint32_t *at, uint32_t budget)
{
    const struct offload *offload = &nat->offload;
    uint32_t count = 0;

    for (; budget > 0 && *at < offload->capacity; budget--)
        count += offload->entry[(*at)++].state >= ENTRY_LIVE;
    if (*at >= offload->capacity)
        *at = UINT32_MAX;
    return count;
}

void nat_offload_forget(struct nat *nat)
{
    struct offload *offload = &nat->offload;
    uint32_t at = 0;

    while (at != UINT32_MAX)
        offload->counters.removed += nat_offload_in_kernel(nat, &at, UINT32_MAX);
    for (uint32_t i = 0; i < offload->capacity; i++) {
        if (offload->entry[i].session != INDEX_NONE)
            nat->table.session[offload->entry[i].session].offload = OFFLOAD_NO;
    }
    if (offload->entry != NULL)
        offload_chain_free(offload);
}

void nat_offload_recall(struct nat *nat, const struct tuple *tuple, uint64_t now)
{
    enum role role;
    uint32_t slot = table_find(&nat->table, tuple, &role);
    struct session *session;

    if (slot == INDEX_NONE)
        return;
    session = &nat->table.session[slot];
    if (session_refreshed_by(nat, session, role))
        session->last_seen = (uint32_t)now;
}
