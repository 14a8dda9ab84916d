/*
 * offload_entries.c - which sessions get into the kernel's maps, and when they leave (offload.h)
 */
#include "offload_entries.h"

#include "session_facts.h"

/*
 * A session that has left the maps returns after this many packets: anyone can forge an RST, and
 * that must not change the maps with every packet.
 */
#define RETRY_PACKETS 1024

/*
 * UDP that is never answered (syslog, NetFlow, RTP) is offloaded after more packets: a question and
 * its repetitions are none. Anyone outside can send to a forward from forged addresses, so only a
 * part of the entries is for what the outside has opened and nobody answers; the rest stays for
 * conversations.
 */
#define ONE_WAY_PACKETS 64
#define UNANSWERED_PART 4 /* one in so many entries */

struct links offload_links(const struct offload *offload)
{
    return (struct links){(uint8_t *)&offload->entry[0].link, sizeof(struct offload_entry)};
}

void offload_enqueue(struct offload *offload, struct list *list, uint32_t index,
                     enum offload_state state)
{
    offload->entry[index].state = (uint8_t)state;
    list_append(list, offload_links(offload), index);
}

void offload_chain_free(struct offload *offload)
{
    for (uint32_t i = 0; i < offload->capacity; i++)
        offload->entry[i] = (struct offload_entry){
            .link.next = i + 1 < offload->capacity ? i + 1 : INDEX_NONE, .session = INDEX_NONE};
    offload->free = 0;
    offload->used = 0;
    offload->unanswered = 0;
    list_init(&offload->waiting);
    list_init(&offload->wanted);
    list_init(&offload->due);
    list_init(&offload->leaving);
}

void offload_answered(struct offload *offload, struct offload_entry *entry)
{
    offload->unanswered -= entry->is_unanswered;
    entry->is_unanswered = false;
}

void offload_free_entry(struct nat *nat, uint32_t index)
{
    struct offload_entry *entry = &nat->offload.entry[index];

    offload_answered(&nat->offload, entry);
    if (entry->session != INDEX_NONE)
        nat->table.session[entry->session].offload = OFFLOAD_LATER;
    *entry = (struct offload_entry){.link.next = nat->offload.free, .session = INDEX_NONE};
    nat->offload.free = index;
    nat->offload.used--;
}

struct offload_entry *offload_entry_of(struct nat *nat, const struct session *session)
{
    return session->offload < OFFLOAD_LATER ? &nat->offload.entry[session->offload] : NULL;
}

/* Getting in. */

static struct offload_flow flow_of(const struct nat *nat, const struct session *session)
{
    struct offload_flow flow = {.protocol = session_protocol(session),
                                .uplink = session_uplink(nat, session)};

    session_endpoints(session, &flow.internal, &flow.external, &flow.remote);
    return flow;
}

static bool may_leave_the_queue(const struct offload *offload, const struct session *session)
{
    uint64_t packets =
        session_packets(session, ROLE_INITIATOR) + session_packets(session, ROLE_RESPONDER);

    return session_may_be_offloaded(session) && packets >= offload->after &&
           (session_is_settled(session) || packets >= ONE_WAY_PACKETS) &&
           (session->offload != OFFLOAD_LATER || packets % RETRY_PACKETS == 0);
}

/* True for a session that the outside has opened and nobody has answered. */
static bool is_unanswered(const struct session *session)
{
    return session->direction == DIRECTION_INBOUND && !session_is_settled(session);
}

static bool has_room(const struct offload *offload, const struct session *session)
{
    return offload->free != INDEX_NONE &&
           (!is_unanswered(session) || offload->unanswered < offload->capacity / UNANSWERED_PART);
}

/* A packet has passed the queue although its session is about to leave it. */
static void note_straggler(struct offload_entry *entry, uint64_t now)
{
    if (entry->state == ENTRY_WAITING)
        entry->last_packet = (uint32_t)now;
}

void offload_consider(struct nat *nat, uint32_t slot, const struct packet *packet, uint64_t now)
{
    struct offload *offload = &nat->offload;
    struct session *session = &nat->table.session[slot];
    uint32_t index = offload->free;

    if (packet->hook == HOOK_INBOUND && packet->in_interface == 0 && session->offload == OFFLOAD_NO)
        session->offload = OFFLOAD_NEVER; /* the gateway's own: taken at output */
    if (session->offload < OFFLOAD_LATER)
        note_straggler(&offload->entry[session->offload], now);
    if (session->offload < OFFLOAD_LATER || session->offload == OFFLOAD_NEVER ||
        offload->entry == NULL || !may_leave_the_queue(offload, session))
        return;
    if (!has_room(offload, session)) {
        session->offload = OFFLOAD_LATER;
        offload->counters.full++;
        return;
    }
    offload->free = offload->entry[index].link.next;
    offload->used++;
    offload->unanswered += is_unanswered(session);
    offload->entry[index] = (struct offload_entry){.session = slot,
                                                   .is_unanswered = is_unanswered(session),
                                                   .waits_since = (uint32_t)now,
                                                   .last_packet = (uint32_t)now,
                                                   .flow = flow_of(nat, session)};
    session->offload = index;
    offload_enqueue(offload, &offload->waiting, index, ENTRY_WAITING);
}

/* Getting out. */

/* The entry's packets must pass the queue again. */
void offload_withdraw(struct nat *nat, uint32_t index)
{
    struct offload *offload = &nat->offload;
    struct offload_entry *entry = &offload->entry[index];

    switch (entry->state) {
    case ENTRY_WAITING:
        list_remove(&offload->waiting, offload_links(offload), index);
        offload_free_entry(nat, index);
        break;
    case ENTRY_WANTED:
        list_remove(&offload->wanted, offload_links(offload), index);
        offload_free_entry(nat, index);
        break;
    case ENTRY_DUE:
        list_remove(&offload->due, offload_links(offload), index);
        offload_enqueue(offload, &offload->leaving, index, ENTRY_LEAVING);
        break;
    case ENTRY_LIVE:
        offload_enqueue(offload, &offload->leaving, index, ENTRY_LEAVING);
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
    offload_withdraw(nat, index);
}

void offload_state_changed(struct nat *nat, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];

    if (session->offload < OFFLOAD_LATER && session_is_settled(session))
        offload_answered(&nat->offload, &nat->offload.entry[session->offload]);
    else if (session->offload < OFFLOAD_LATER)
        offload_withdraw(nat, session->offload);
}

bool offload_suspects_reset(struct nat *nat, uint32_t slot, const struct tcp_segment *segment,
                            enum role from)
{
    const struct session *session = &nat->table.session[slot];
    struct offload_entry *entry = offload_entry_of(nat, session);

    if (entry == NULL || entry->state <= ENTRY_WANTED)
        return false;
    entry->has_reset = true; /* of several the last one counts */
    entry->reset = *segment;
    entry->reset_from = (uint8_t)from;
    offload_withdraw(nat, session->offload);
    return true;
}

void offload_forget_reset(struct nat *nat, uint32_t slot)
{
    struct offload_entry *entry = offload_entry_of(nat, &nat->table.session[slot]);

    if (entry != NULL)
        entry->has_reset = false;
}

bool offload_leaves(struct nat *nat, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];

    if (offload_entry_of(nat, session) != NULL)
        offload_withdraw(nat, session->offload);
    return offload_entry_of(nat, session) != NULL;
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
    struct offload_entry *entry = offload_entry_of(nat, session);

    if (entry == NULL || entry->state <= ENTRY_WANTED)
        return false;
    if (entry->state == ENTRY_LIVE)
        offload_enqueue(offload, &offload->due, session->offload, ENTRY_DUE);
    return true;
}
