#include "nat_internal.h"

#include <stdlib.h>

/*
 * After so many packets of the queue: an RST that anybody can forge must not make the maps change
 * with every packet.
 */
#define RETRY_PACKETS 1024

static struct links entry_links(const struct offload *offload)
{
    return (struct links){(uint8_t *)&offload->entry[0].link, sizeof(struct offload_entry)};
}

static void enqueue(struct offload *offload, struct list *list, uint32_t index,
                    enum offload_state state)
{
    offload->entry[index].state = (uint8_t)state;
    list_append(list, entry_links(offload), index);
}

static void chain_free_entries(struct offload *offload)
{
    for (uint32_t i = 0; i < offload->capacity; i++)
        offload->entry[i] = (struct offload_entry){
            .link.next = i + 1 < offload->capacity ? i + 1 : INDEX_NONE, .session = INDEX_NONE};
    offload->free = 0;
    offload->used = 0;
    list_init(&offload->wanted);
    list_init(&offload->due);
    list_init(&offload->leaving);
}

bool nat_offload_init(struct nat *nat, uint32_t capacity, uint32_t after)
{
    struct offload *offload = &nat->offload;

    offload->entry = malloc(capacity * sizeof(*offload->entry));
    if (offload->entry == NULL)
        return false;
    offload->capacity = capacity;
    offload->after = after;
    chain_free_entries(offload);
    return true;
}

static void free_entry(struct nat *nat, uint32_t index)
{
    struct offload_entry *entry = &nat->offload.entry[index];

    if (entry->session != INDEX_NONE)
        nat->table.session[entry->session].offload = OFFLOAD_LATER;
    *entry = (struct offload_entry){.link.next = nat->offload.free, .session = INDEX_NONE};
    nat->offload.free = index;
    nat->offload.used--;
}

static struct offload_entry *entry_of(struct nat *nat, const struct session *session)
{
    return session->offload < OFFLOAD_LATER ? &nat->offload.entry[session->offload] : NULL;
}

/* Getting in. */

static struct offload_flow flow_of(const struct session *session)
{
    struct offload_flow flow = {.protocol = session_protocol(session)};

    session_endpoints(session, &flow.internal, &flow.external, &flow.remote);
    return flow;
}

static bool may_leave_the_queue(const struct session *session)
{
    uint8_t protocol = session_protocol(session);

    return (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) &&
           session->direction != DIRECTION_HAIRPIN && session_is_settled(session);
}

void offload_consider(struct nat *nat, uint32_t slot, const struct packet *packet)
{
    struct offload *offload = &nat->offload;
    struct session *session = &nat->table.session[slot];
    uint64_t packets =
        session_packets(session, ROLE_INITIATOR) + session_packets(session, ROLE_RESPONDER);
    uint32_t index = offload->free;

    if (packet->hook == HOOK_INBOUND && packet->in_interface == 0 && session->offload == OFFLOAD_NO)
        session->offload = OFFLOAD_NEVER; /* the gateway's own: taken at output */
    if (session->offload < OFFLOAD_LATER || session->offload == OFFLOAD_NEVER ||
        offload->entry == NULL || packets < offload->after ||
        (session->offload == OFFLOAD_LATER && packets % RETRY_PACKETS != 0) ||
        !may_leave_the_queue(session))
        return;
    if (index == INDEX_NONE) {
        session->offload = OFFLOAD_LATER;
        offload->counters.full++;
        return;
    }
    offload->free = offload->entry[index].link.next;
    offload->used++;
    offload->entry[index] = (struct offload_entry){.session = slot, .flow = flow_of(session)};
    session->offload = index;
    enqueue(offload, &offload->wanted, index, ENTRY_WANTED);
}

/* Getting out. */

/* The entry's packets shall come by the queue again. */
static void withdraw(struct nat *nat, uint32_t index)
{
    struct offload *offload = &nat->offload;
    struct offload_entry *entry = &offload->entry[index];

    switch (entry->state) {
    case ENTRY_WANTED:
        list_remove(&offload->wanted, entry_links(offload), index);
        free_entry(nat, index);
        break;
    case ENTRY_DUE:
        list_remove(&offload->due, entry_links(offload), index);
        enqueue(offload, &offload->leaving, index, ENTRY_LEAVING);
        break;
    case ENTRY_LIVE:
        enqueue(offload, &offload->leaving, index, ENTRY_LEAVING);
        break;
    case ENTRY_ADDING:
    case ENTRY_ASKING:
        entry->withdrawn = true;
        break;
    default: /* leaving already */
        break;
    }
}

void offload_end(struct nat *nat, uint32_t slot)
{
    struct session *session = &nat->table.session[slot];
    uint32_t index = session->offload;

    session->offload = OFFLOAD_NO;
    if (index >= OFFLOAD_LATER)
        return;
    nat->offload.entry[index].session = INDEX_NONE;
    withdraw(nat, index);
}

void offload_state_changed(struct nat *nat, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];

    if (session->offload < OFFLOAD_LATER && !session_is_settled(session))
        withdraw(nat, session->offload);
}

bool offload_suspects_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                            enum role from)
{
    const struct session *session = &nat->table.session[slot];
    struct offload_entry *entry = entry_of(nat, session);

    if (entry == NULL || entry->state == ENTRY_WANTED)
        return false;
    entry->has_reset =
        true; /* of several the last one counts: whoever sends more than one means it */
    entry->reset = *segment;
    entry->reset_from = (uint8_t)from;
    withdraw(nat, session->offload);
    return true;
}

bool offload_is_live(const struct nat *nat, const struct session *session)
{
    return session->offload < OFFLOAD_LATER && nat->offload.entry != NULL &&
           nat->offload.entry[session->offload].state >= ENTRY_LIVE &&
           nat->offload.entry[session->offload].state <= ENTRY_ASKING;
}

bool offload_must_ask(struct nat *nat, uint32_t slot)
{
    struct offload *offload = &nat->offload;
    const struct session *session = &nat->table.session[slot];
    struct offload_entry *entry = entry_of(nat, session);

    if (entry == NULL || entry->state == ENTRY_WANTED)
        return false;
    if (entry->state == ENTRY_LIVE)
        enqueue(offload, &offload->due, session->offload, ENTRY_DUE);
    return true;
}

void nat_offload_look(struct nat *nat)
{
    struct offload *offload = &nat->offload;
    uint32_t looks = offload->capacity / OFFLOAD_LOOK_SECONDS + 1;

    for (; offload->used > 0 && looks > 0; looks--) {
        if (offload->entry[offload->look].state == ENTRY_LIVE)
            enqueue(offload, &offload->due, offload->look, ENTRY_DUE);
        offload->look = offload->look + 1 < offload->capacity ? offload->look + 1 : 0;
    }
}

/* Orders and their outcomes. */

bool nat_offload_has_orders(const struct nat *nat)
{
    const struct offload *offload = &nat->offload;

    return offload->entry != NULL &&
           (offload->wanted.head != INDEX_NONE || offload->due.head != INDEX_NONE ||
            offload->leaving.head != INDEX_NONE);
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

        list_remove(list, entry_links(offload), index);
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

/* An order has been carried out; what has been decided since then follows. */
static void settle(struct nat *nat, uint32_t index)
{
    struct offload_entry *entry = &nat->offload.entry[index];

    entry->state = ENTRY_LIVE;
    if (entry->withdrawn)
        withdraw(nat, index);
    entry->withdrawn = false;
}

void nat_offload_added(struct nat *nat, uint32_t entry, bool done)
{
    if (done) {
        nat->offload.counters.added++;
        settle(nat, entry);
    } else {
        nat->offload.counters.refused++;
        free_entry(nat, entry);
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
        bytes >= entry->bytes[hook]) { /* else its counter has begun anew */
        new_packets -= entry->packets[hook];
        new_bytes -= entry->bytes[hook];
    }
    entry->packets[hook] = packets;
    entry->bytes[hook] = bytes;
    if (new_packets == 0)
        return;
    session_count(session, from, new_packets, new_bytes);
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
    free_entry(nat, index);
    if (entry.session != INDEX_NONE &&
        traffic == NULL) /* somebody else has removed it: it may go back at once */
        nat->table.session[entry.session].offload = OFFLOAD_NO;
    if (entry.session != INDEX_NONE && entry.has_reset)
        session_saw_reset(nat, entry.session, &entry.reset, (enum role)entry.reset_from, now);
}

void nat_offload_answered(struct nat *nat, uint32_t index, const struct offload_traffic *traffic,
                          uint64_t now)
{
    struct offload_entry *entry = &nat->offload.entry[index];
    uint32_t slot = entry->session;

    fold_both(nat, entry, traffic, now);
    if (traffic == NULL) /* somebody else has removed it: the queue has it back */
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
        slot == INDEX_NONE ? NULL : entry_of(nat, &nat->table.session[slot]);

    /*
     * One that is being added or removed has counters of its own time; they come with its outcome.
     */
    if (entry != NULL && (entry->state == ENTRY_LIVE || entry->state == ENTRY_DUE) &&
        sender_at(&nat->table.session[slot], hook) == role)
        fold(nat, entry, hook, packets, bytes, now);
}

void nat_offload_forget(struct nat *nat)
{
    struct offload *offload = &nat->offload;

    for (uint32_t i = 0; i < offload->capacity; i++) {
        if (offload->entry[i].session != INDEX_NONE)
            nat->table.session[offload->entry[i].session].offload = OFFLOAD_NO;
    }
    if (offload->entry != NULL)
        chain_free_entries(offload);
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
