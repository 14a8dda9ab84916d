/*
 * check.c - does a translator add up? A walk over all that it knows, in steps
 *
 * The parts are walked over one after the other. What one slot says is compared with its
 * neighbours at that moment; what many slots make together is counted anew (census.h).
 */
#include "portreeve/check.h"

#include "census.h"
#include "external.h"
#include "mapping.h"
#include "offload_entries.h"
#include "outside.h"
#include "table_internal.h"

#define SPACES     (EXTERNAL_ADDRESSES_MAX * PROTOCOL_COUNT)
#define PORT_WORDS (65536 / 64)

struct nat_check {
    struct census census;
    size_t part;
    uint32_t at; /* the next slot of the part */
    struct nat_check_report report;
};

_Static_assert(offsetof(struct nat_check, census) == 0, "the table knows the check by its census");

const char *nat_check_name(enum nat_check_name name)
{
    static const char *const names[] = {
#define X(symbol, text, meaning) text,
        NAT_CHECKS(X)
#undef X
    };

    return names[name];
}

const char *nat_check_meaning(enum nat_check_name name)
{
    static const char *const meanings[] = {
#define X(symbol, text, meaning) meaning,
        NAT_CHECKS(X)
#undef X
    };

    return meanings[name];
}

static void expect(struct nat_check *check, bool holds, enum nat_check_name name, uint64_t where)
{
    if (holds)
        return;
    if (check->report.wrong[name]++ == 0)
        check->report.first[name] = where;
}

/* Sessions */

static bool side_is_sound(const struct nat *nat, const struct session *session, enum role role)
{
    const struct compact_tuple *sent = &session->sent[role];
    uint32_t index = session_mapping(session, role);
    const struct mapping *mapping;

    if (index == INDEX_NONE)
        return true;
    if (index >= nat->table.mapping_capacity)
        return false;
    mapping = &nat->table.mapping[index];
    return mapping->protocol == session_protocol(session) && mapping->internal == sent->source &&
           mapping->internal_port == sent->source_port;
}

static bool host_is_known(const struct nat *nat, compact_address internal)
{
    const struct address address = compact_address_expand(internal);

    return host_find(&nat->table, &address) != INDEX_NONE;
}

static bool entry_is_its_own(const struct nat *nat, const struct session *session, uint32_t slot)
{
    const struct offload *offload = &nat->offload;

    return session->offload >= OFFLOAD_LATER ||
           (session->offload < offload->capacity &&
            offload->entry[session->offload].state != ENTRY_FREE &&
            offload->entry[session->offload].session == slot);
}

static bool counts_for_outside(const struct session *session)
{
    return session->direction == DIRECTION_INBOUND && !session->has_host &&
           session_age_list(session) != AGE_CLOSED;
}

static void look_at_session(struct nat *nat, struct nat_check *check, uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];
    unsigned wrong = table_wrongs(&nat->table, slot);
    uint64_t id = session->id;

    if (session->live != SLOT_LIVE) {
        expect(check, wrong == 0, NAT_CHECK_SESSION_FREE, slot);
        return;
    }
    check->report.sessions++;
    check->report.offloaded += session->offload < OFFLOAD_LATER;
    expect(check, (wrong & TABLE_NOT_INDEXED) == 0, NAT_CHECK_SESSION_INDEX, id);
    expect(check, (wrong & TABLE_NOT_FILTERED) == 0, NAT_CHECK_SESSION_FILTER, id);
    expect(check, (wrong & TABLE_NOT_ARMED) == 0, NAT_CHECK_SESSION_TIMER, id);
    expect(check, (wrong & TABLE_NOT_IN_AGE_LIST) == 0, NAT_CHECK_SESSION_AGE, id);
    expect(check, table_is_whole(session) && id < nat->table.next_id, NAT_CHECK_SESSION_SEAL, id);
    expect(check,
           side_is_sound(nat, session, ROLE_INITIATOR) &&
               side_is_sound(nat, session, ROLE_RESPONDER) &&
               (session->side[0] != SIDE_NONE || session->side[1] != SIDE_NONE),
           NAT_CHECK_SESSION_SIDES, id);
    expect(check, !session->has_host || host_is_known(nat, session->sent[ROLE_INITIATOR].source),
           NAT_CHECK_SESSION_HOST, id);
    expect(check, session->has_remote == counts_for_outside(session), NAT_CHECK_SESSION_REMOTE, id);
    expect(check, entry_is_its_own(nat, session, slot), NAT_CHECK_SESSION_OFFLOAD, id);
}

static void walk_session(struct nat *nat, struct nat_check *check, uint32_t slot)
{
    look_at_session(nat, check, slot);
    check->census.sessions_seen = slot + 1;
    if (nat->table.session[slot].live == SLOT_LIVE)
        census_session(&nat->table, slot, CENSUS_MORE);
}

/* Mappings */

/* The gateway has its external address; a review ends mappings of others. */
static bool has_address(const struct nat *nat, const struct mapping *mapping)
{
    return mapping->external_index < EXTERNAL_ADDRESSES_MAX &&
           (nat->external_valid[mapping->external_index] ||
            (nat->policy_before != NULL && nat->external_leaves[mapping->external_index]));
}

/* Its port is its own, or it is one of those that share it. */
static bool holds_port(const struct nat *nat, const struct mapping *mapping, uint32_t index)
{
    const struct port_space *space =
        external_port_space(nat, mapping->external_index, mapping->protocol);
    uint32_t holder = ports_holder(space, mapping->external_port);

    if (!mapping->is_overload)
        return holder == index;
    if (mapping->protocol != PROTOCOL_TCP || holder == INDEX_NONE)
        return false;
    return holder < HOLDER_SHARED ? holder < nat->table.mapping_capacity && holder != index &&
                                        nat->table.mapping[holder].sharers > 0
                                  : holder > HOLDER_SHARED;
}

static bool mapping_is_indexed(const struct nat *nat, const struct mapping *mapping, uint32_t index)
{
    const struct endpoint internal = mapping_internal(mapping);

    return nat->policy_before != NULL || mapping_find_internal(&nat->table, mapping->protocol,
                                                               &internal, mapping->uplink) == index;
}

static void look_at_mapping(struct nat *nat, struct nat_check *check, uint32_t index)
{
    const struct mapping *mapping = &nat->table.mapping[index];
    bool exists = has_address(nat, mapping) && protocol_index(mapping->protocol) < PROTOCOL_COUNT;

    check->report.mappings++;
    expect(check,
           mapping->sessions == check->census.mapping[index] &&
               (mapping->sessions > 0 || mapping->leased),
           NAT_CHECK_MAPPING_SESSIONS, index);
    expect(check, mapping_is_indexed(nat, mapping, index), NAT_CHECK_MAPPING_INDEX, index);
    expect(check, exists && holds_port(nat, mapping, index), NAT_CHECK_MAPPING_PORT, index);
    expect(check, host_is_known(nat, mapping->internal), NAT_CHECK_MAPPING_HOST, index);
}

static void walk_mapping(struct nat *nat, struct nat_check *check, uint32_t index)
{
    bool used = nat->table.mapping[index].protocol != 0;

    if (used)
        look_at_mapping(nat, check, index);
    else
        expect(check, check->census.mapping[index] == 0, NAT_CHECK_MAPPING_SESSIONS, index);
    check->census.mappings_seen = index + 1;
    if (used)
        census_mapping(&nat->table, index, CENSUS_MORE);
}

/* Hosts, leases */

static void walk_host(struct nat *nat, struct nat_check *check, uint32_t index)
{
    const struct host *host = &nat->table.host[index];
    const struct host_census *counted = &check->census.host[index];
    const struct address address = compact_address_expand(host->address);

    expect(check, counted->sessions == host->sessions && counted->mappings == host_mappings(host),
           NAT_CHECK_HOST_COUNTS, index);
    check->census.hosts_seen = index + 1;
    if (!host_is_used(host))
        return;
    check->report.hosts++;
    check->census.hosts++;
    expect(check, host_find(&nat->table, &address) == index, NAT_CHECK_HOST_COUNTS, index);
}

static bool lease_is_sound(const struct nat *nat, const struct lease *lease)
{
    const struct mapping *mapping;
    struct endpoint external;

    if (lease->mapping >= nat->table.mapping_capacity)
        return false;
    mapping = &nat->table.mapping[lease->mapping];
    external = mapping_external(nat, mapping);
    return lease_is_whole(lease) && mapping->leased && !mapping->is_overload &&
           lease->internal == mapping->internal && lease->internal_port == mapping->internal_port &&
           lease->external == compact_address_of(&external.address) &&
           lease->external_port == external.port && lease->expires >= nat->leases.next_expiry;
}

static void walk_lease(struct nat *nat, struct nat_check *check, uint32_t at)
{
    const struct lease *lease = &nat->leases.lease[at];

    if (lease->live == SLOT_LIVE) {
        check->report.leases++;
        expect(check, lease_is_sound(nat, lease), NAT_CHECK_LEASE, at);
    }
}

/* Ports */

static bool counts_its_ports(const struct port_space *space)
{
    uint32_t taken = 0, resting = 0;

    for (size_t i = 0; i < PORT_WORDS; i++) {
        if ((space->taken[i] | space->resting[i]) == 0)
            continue;
        taken += (uint32_t)__builtin_popcountll(space->taken[i]);
        resting += (uint32_t)__builtin_popcountll(space->resting[i]);
        if ((space->resting[i] & ~space->taken[i]) != 0)
            return false;
    }
    return taken == space->taken_count && resting == space->rest_count;
}

/* The port's holder is a mapping with this port, or a number of mappings that share it. */
static bool port_is_held(const struct nat *nat, size_t space, uint16_t port)
{
    uint32_t holder = ports_holder(&nat->ports[space], port);
    const struct mapping *mapping;

    if (holder == INDEX_NONE || holder > HOLDER_SHARED)
        return true;
    if (holder >= nat->table.mapping_capacity)
        return false;
    mapping = &nat->table.mapping[holder];
    return mapping->external_port == port && !mapping->is_overload &&
           protocol_index(mapping->protocol) < PROTOCOL_COUNT &&
           external_port_space(nat, mapping->external_index, mapping->protocol) ==
               &nat->ports[space];
}

/*
 * A look is at the next 64 ports of which one is taken. Of an address that the gateway does not
 * have, none is in use.
 */
static void walk_ports(struct nat *nat, struct nat_check *check, uint32_t at)
{
    uint32_t index = at / PORT_WORDS, external = index / PROTOCOL_COUNT, word = at % PORT_WORDS;
    const struct port_space *space = &nat->ports[index];

    if (!nat->external_valid[external] && !nat->external_leaves[external]) {
        check->at = (index + 1) * PORT_WORDS;
        return;
    }
    if (word == 0) {
        check->report.ports += space->taken_count;
        expect(check, counts_its_ports(space), NAT_CHECK_PORT_COUNTS, index);
    }
    while (word < PORT_WORDS - 1 && space->taken[word] == 0)
        word++;
    check->at = index * PORT_WORDS + word + 1;
    for (uint64_t taken = space->taken[word]; taken != 0; taken &= taken - 1) {
        uint32_t port = word * 64 + (uint32_t)__builtin_ctzll(taken);

        expect(check, port_is_held(nat, index, (uint16_t)port), NAT_CHECK_PORT_HOLDER, port);
    }
}

/* Entries of offloaded sessions */

static void walk_entry(struct nat *nat, struct nat_check *check, uint32_t index)
{
    const struct offload_entry *entry = &nat->offload.entry[index];
    bool names_one = entry->state != ENTRY_FREE && entry->session != INDEX_NONE;

    expect(check,
           !names_one || (entry->session < nat->table.capacity &&
                          nat->table.session[entry->session].live == SLOT_LIVE &&
                          nat->table.session[entry->session].offload == index),
           NAT_CHECK_SESSION_OFFLOAD, index);
}

/* Totals */

static uint64_t sum(const uint64_t *numbers, size_t count)
{
    uint64_t total = 0;

    while (count-- > 0)
        total += numbers[count];
    return total;
}

static uint32_t live_leases(const struct nat *nat)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < nat->table.lease_capacity; i++)
        live += nat->leases.lease[i].live == SLOT_LIVE;
    return live;
}

static void walk_totals(struct nat *nat, struct nat_check *check, uint32_t at)
{
    const struct nat_counters *counters = &nat->counters;
    const struct census *census = &check->census;
    const struct table *table = &nat->table;

    (void)at;
    expect(check, census->sessions == table->live, NAT_CHECK_TOTALS, table->live);
    expect(check, census->mappings == table->mappings_live, NAT_CHECK_TOTALS, table->mappings_live);
    expect(check, census->hosts == table->hosts_live, NAT_CHECK_TOTALS, table->hosts_live);
    expect(check, live_leases(nat) == nat->leases.live, NAT_CHECK_TOTALS, nat->leases.live);
    expect(check, census->leased == nat->leases.live, NAT_CHECK_LEASE, census->leased);
    expect(check, census->by_remotes == nat->outside.sessions && outside_adds_up(nat),
           NAT_CHECK_OUTSIDE, nat->outside.sessions);
    expect(check,
           counters->opened + counters->adopted ==
               sum(counters->closed, CLOSE_REASON_COUNT) + table->live,
           NAT_CHECK_COUNTERS, table->live);
}

void nat_check_kernel(struct nat *nat, uint32_t in_kernel, const uint32_t elements[2])
{
    struct nat_check *check = (struct nat_check *)nat->table.census;
    const struct offload_counters *counters = &nat->offload.counters;

    for (int hook = 0; hook < 2; hook++)
        expect(check, elements[hook] == in_kernel, NAT_CHECK_KERNEL_MAPS, elements[hook]);
    expect(check, counters->added - counters->removed == in_kernel, NAT_CHECK_OFFLOAD_COUNTERS,
           in_kernel);
}

/* The walk */

typedef void walk(struct nat *nat, struct nat_check *check, uint32_t at);

static walk *const parts[] = {
    walk_session, walk_mapping, walk_host, walk_lease, walk_ports, walk_entry, walk_totals,
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static uint32_t looks_of(const struct nat *nat, size_t part)
{
    const uint32_t looks[PARTS] = {
        nat->table.capacity,
        nat->table.mapping_capacity,
        nat->table.host_capacity,
        nat->table.lease_capacity,
        SPACES * PORT_WORDS,
        nat->offload.capacity,
        1,
    };

    return looks[part];
}

size_t nat_check_memory(const struct nat *nat)
{
    return sizeof(struct nat_check) + nat->table.mapping_capacity * sizeof(uint32_t) +
           nat->table.host_capacity * sizeof(struct host_census);
}

bool nat_check_begin(struct nat *nat, struct nat_check *memory)
{
    if (nat->table.census != NULL)
        return false;
    memory->census.mapping = (uint32_t *)(memory + 1);
    memory->census.host =
        (struct host_census *)(memory->census.mapping + nat->table.mapping_capacity);
    nat->table.census = &memory->census;
    return true;
}

bool nat_check_step(struct nat *nat, uint32_t budget)
{
    struct nat_check *check = (struct nat_check *)nat->table.census; /* its first member */

    for (; budget > 0 && check->part < PARTS; budget--) {
        if (check->at < looks_of(nat, check->part)) {
            parts[check->part](nat, check, check->at++);
        } else {
            check->part++;
            check->at = 0;
        }
    }
    return check->part < PARTS;
}

void nat_check_end(struct nat *nat, struct nat_check_report *report)
{
    const struct nat_check *check = (const struct nat_check *)nat->table.census;

    if (report != NULL)
        *report = check->report;
    nat->table.census = NULL;
}
