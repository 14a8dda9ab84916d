/*
 * refusals.c - the latest dropped packets
 *
 * The entries are in sets. Which set a packet belongs to depends on why it was dropped, its
 * protocol and, from outside, its port, but not on its source: so a flood from many sources to one
 * port fills one set. In a full set an entry of a single packet gives way to a new one, the oldest
 * first; one of several packets only when a minute has passed since its last one. What has no entry
 * is counted together.
 */
#include "refusals.h"

#include <stdlib.h>
#include <string.h>

#define SETS    32
#define WAYS    (REFUSALS_MAX / SETS)
#define STAY_MS 60000

_Static_assert(sizeof(struct refusal) == 64, "an entry is a cache line");

bool refusals_init(struct nat *nat)
{
    nat->refusals.entry = calloc(REFUSALS_MAX, sizeof(*nat->refusals.entry));
    return nat->refusals.entry != NULL;
}

void refusals_fini(struct nat *nat)
{
    free(nat->refusals.entry);
}

/* What makes two packets one entry. */
struct key {
    struct address from;
    uint16_t port;
    uint8_t protocol, reason;
    bool from_inside, padding[3];
};

_Static_assert(sizeof(struct key) == 24, "a key has no padding");

static struct key key_of(const struct packet *packet, const struct tuple *sent,
                         enum drop_reason reason)
{
    bool from_inside = packet->hook == HOOK_OUTBOUND;

    return (struct key){.from = sent->source.address,
                        .port = from_inside ? 0 : sent->destination.port,
                        .protocol = sent->protocol,
                        .reason = (uint8_t)reason,
                        .from_inside = from_inside};
}

/* The set, which does not depend on the source. */
static struct refusal *set_of(const struct nat *nat, const struct key *key)
{
    struct key common = *key;
    uint64_t hash;

    common.from = (struct address){{0}};
    hash = hash_bytes(&nat->table.key, &common, sizeof(common));
    return nat->refusals.entry + hash % SETS * WAYS;
}

static bool is_of(const struct refusal *refusal, const struct key *key, uint32_t mark)
{
    return refusal->count > 0 && refusal->mark == mark && refusal->protocol == key->protocol &&
           refusal->reason == key->reason && refusal->from_inside == key->from_inside &&
           address_equal(&refusal->from, &key->from) &&
           (key->from_inside || refusal->to.port == key->port);
}

static struct refusal *find(struct refusal *set, const struct key *key, uint32_t mark)
{
    for (size_t way = 0; way < WAYS; way++) {
        if (is_of(&set[way], key, mark))
            return &set[way];
    }
    return NULL;
}

/* The entry that gives way first, of two that may; NULL is none. */
static struct refusal *first_to_go(struct refusal *one, struct refusal *other)
{
    if (one == NULL || other->count == 0)
        return other;
    if (one->count == 0)
        return one;
    if ((one->count == 1) != (other->count == 1))
        return one->count == 1 ? one : other;
    return other->last < one->last ? other : one;
}

/* Room for a new entry; NULL if all that are there must stay. */
static struct refusal *make_room(struct nat *nat, struct refusal *set, uint64_t now)
{
    struct refusal *chosen = NULL;

    for (size_t way = 0; way < WAYS; way++) {
        if (set[way].count <= 1 || now - set[way].last >= STAY_MS)
            chosen = first_to_go(chosen, &set[way]);
    }
    if (chosen != NULL)
        nat->refusals.others += chosen->count;
    return chosen;
}

void refusals_note(struct nat *nat, const struct packet *packet, const struct tuple *sent,
                   enum drop_reason reason, uint64_t now)
{
    const struct key key = key_of(packet, sent, reason);
    uint32_t mark = (uint32_t)hash_bytes(&nat->table.key, &key, sizeof(key));
    struct refusal *set = set_of(nat, &key), *entry = find(set, &key, mark);

    if (entry == NULL) {
        entry = make_room(nat, set, now);
        if (entry == NULL) {
            nat->refusals.others++;
            return;
        }
        *entry = (struct refusal){.first = now,
                                  .mark = mark,
                                  .from = key.from,
                                  .protocol = key.protocol,
                                  .reason = key.reason,
                                  .from_inside = key.from_inside};
    }
    entry->to = sent->destination;
    entry->last = now;
    entry->count += entry->count < UINT32_MAX;
}

size_t nat_refusals(const struct nat *nat, struct refusal *out, uint64_t *others)
{
    size_t count = 0;

    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        if (nat->refusals.entry[i].count > 0)
            out[count++] = nat->refusals.entry[i];
    }
    *others = nat->refusals.others;
    return count;
}
