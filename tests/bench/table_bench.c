/*
 * table_bench.c - what the translation table costs as it grows: nanoseconds a lookup, a packet, a
 * new session, an expired one, and bytes a session. Prints JSON. Every session has a mapping of its
 * own; sessions are visited in random order.
 */
#include "nat_internal.h"
#include "portreeve/large_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WAN = 2,
    BATCH = 64, /* as many packets as the daemon takes at once */
    VISITS = 1 << 20,
    RUNS = 7,
    SESSIONS_PER_HOST = 64,
    NOW = 1000000, /* milliseconds */
};

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint32_t below(uint32_t bound)
{
    static uint64_t state = 88172645463325252;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * bound >> 32);
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "table_bench: %s\n", what);
        exit(1);
    }
}

/*
 * What session `i` sends. UDP and TCP in turn: a million ports are more than sixteen addresses have
 * of one protocol.
 */
static struct tuple sent_by(uint32_t i)
{
    struct endpoint internal = {address_from_ipv4(0x0a000001 + i / SESSIONS_PER_HOST),
                                (uint16_t)(40000 + i % SESSIONS_PER_HOST)};
    struct endpoint remote = {address_from_ipv4(0xc6120000 + i % 100000),
                              (uint16_t)(i % 2 == 0 ? 53 : 443)};

    return (struct tuple){internal, remote, i % 2 == 0 ? PROTOCOL_UDP : PROTOCOL_TCP, 0};
}

struct frame {
    uint8_t bytes[48];
};

static void put(uint8_t *at, uint32_t value, size_t length)
{
    while (length-- > 0) {
        at[length] = (uint8_t)value;
        value >>= 8;
    }
}

/* A small packet of this tuple: 20 bytes of payload, or a SYN. */
static void write_packet(const struct tuple *tuple, struct frame *frame, struct packet *packet)
{
    uint8_t *ip = frame->bytes, *l4 = ip + 20;

    memset(frame, 0, sizeof(*frame));
    ip[0] = 0x45;
    put(ip + 2, sizeof(frame->bytes), 2);
    ip[6] = 0x40; /* DF */
    ip[8] = 64;
    ip[9] = tuple->protocol;
    put(ip + 12, address_to_ipv4(&tuple->source.address), 4);
    put(ip + 16, address_to_ipv4(&tuple->destination.address), 4);
    put(l4, tuple->source.port, 2);
    put(l4 + 2, tuple->destination.port, 2);
    if (tuple->protocol == PROTOCOL_TCP) {
        l4[12] = 5 << 4;
        l4[13] = TCP_SYN;
    } else {
        put(l4 + 4, sizeof(frame->bytes) - 20, 2);
        l4[6] = 1; /* a checksum, whatever it is: it is only brought up to date */
    }
    *packet = (struct packet){.data = ip,
                              .length = sizeof(frame->bytes),
                              .hook = HOOK_OUTBOUND,
                              .in_interface = 3,
                              .out_interface = WAN};
}

static struct policy *bench_policy(uint32_t sessions)
{
    struct prefix inside = {address_from_ipv4(0x0a000000), 104};
    struct port_range ports = {1024, 65535};
    struct share share = {.name = "bench",
                          .source = &inside,
                          .source_count = 1,
                          .ports = &ports,
                          .ports_count = 1,
                          .filtering = FILTERING_ADDRESS_DEPENDENT,
                          .soft_pairing = true};
    struct policy *policy = policy_new();

    must(policy != NULL, "no memory");
    policy_limits(policy)->sessions = sessions;
    policy_limits(policy)->sessions_per_host = sessions;
    must(policy_add_share(policy, &share) && policy_seal(policy), "the policy is refused");
    return policy;
}

static struct nat *bench_nat(const struct policy *policy, uint64_t now)
{
    static const uint8_t secret[32] = "the same in every run";
    struct address external[EXTERNAL_ADDRESSES_MAX];
    struct nat *nat = nat_new(policy, secret, NULL, now);

    must(nat != NULL, "no memory");
    nat_each_array(nat, large_pages_below);
    for (uint32_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++)
        external[i] = address_from_ipv4(0xcb007101 + i);
    nat_set_external(nat, WAN, external, EXTERNAL_ADDRESSES_MAX);
    return nat;
}

/* Translates a batch as a worker does; nanoseconds. */
static uint64_t translate(struct nat *nat, const struct tuple *tuples, uint32_t count, uint64_t now)
{
    static struct frame frames[BATCH];
    struct packet packets[BATCH];
    uint64_t begun;

    for (uint32_t i = 0; i < count; i++)
        write_packet(&tuples[i], &frames[i], &packets[i]);
    begun = nanoseconds();
    nat_translate_batch(nat, packets, count, now);
    begun = nanoseconds() - begun;
    for (uint32_t i = 0; i < count; i++)
        must(packets[i].verdict == VERDICT_REWRITTEN, "a packet was not translated");
    return begun;
}

/* Opens the sessions; nanoseconds. */
static uint64_t insert(struct nat *nat, uint32_t sessions, uint64_t now)
{
    struct tuple tuples[BATCH];
    uint64_t spent = 0;

    for (uint32_t i = 0; i < sessions;) {
        uint32_t count = 0;

        while (count < BATCH && i < sessions)
            tuples[count++] = sent_by(i++);
        spent += translate(nat, tuples, count, now);
    }
    must(nat->table.live == sessions && nat->table.mappings_live == sessions,
         "not every session has its mapping");
    return spent;
}

static uint64_t look_up(struct nat *nat, const struct tuple *keys)
{
    uint64_t begun = nanoseconds();
    uint32_t found = 0;
    enum role role;

    for (uint32_t i = 0; i < VISITS; i += BATCH) {
        table_prefetch(&nat->table, &keys[i], BATCH, false);
        for (uint32_t j = i; j < i + BATCH; j++)
            found += table_find(&nat->table, &keys[j], &role) != INDEX_NONE;
    }
    begun = nanoseconds() - begun;
    must(found == VISITS, "a session was not found");
    return begun;
}

static uint64_t visit(struct nat *nat, const struct tuple *keys)
{
    uint64_t spent = 0;

    for (uint32_t i = 0; i < VISITS; i += BATCH)
        spent += translate(nat, &keys[i], BATCH, NOW);
    return spent;
}

/* The best of some runs: what others do on the machine only ever adds. */
static uint64_t least(uint64_t (*run)(struct nat *nat, const struct tuple *keys), struct nat *nat,
                      const struct tuple *keys)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < RUNS; i++) {
        uint64_t spent = run(nat, keys);

        best = spent < best ? spent : best;
    }
    return best;
}

static void measure(uint32_t sessions, struct tuple *keys, bool last)
{
    uint64_t insert_ns, lookup_ns, translate_ns, expire_ns;
    struct policy *policy = bench_policy(sessions);
    struct nat *nat = bench_nat(policy, NOW);
    size_t memory = nat_memory(nat);

    insert_ns = insert(nat, sessions, NOW);
    for (uint32_t i = 0; i < VISITS; i++)
        keys[i] = sent_by(below(sessions));
    lookup_ns = least(look_up, nat, keys);
    for (uint32_t i = 0; i < VISITS; i++)
        keys[i] = sent_by(below(sessions / 2) * 2); /* those that are UDP */
    translate_ns = least(visit, nat, keys);
    expire_ns = nanoseconds();
    nat_tick(nat, NOW + 400000, 0);
    expire_ns = nanoseconds() - expire_ns;
    must(nat->table.live == 0, "a session did not expire");
    printf("{\"sessions\":%u,\"lookup_ns\":%.1f,\"translate_ns\":%.1f,\"insert_ns\":%.1f,\"expire_"
           "ns\":%.1f,"
           "\"bytes_per_session\":%.1f}%s",
           sessions, (double)lookup_ns / VISITS, (double)translate_ns / VISITS,
           (double)insert_ns / sessions, (double)expire_ns / sessions, (double)memory / sessions,
           last ? "" : ",");
    nat_free(nat);
    policy_free(policy);
}

int main(void)
{
    struct tuple *keys = malloc(VISITS * sizeof(*keys));

    must(keys != NULL, "no memory");
    printf("{\"sizes\":[");
    measure(1000, keys, false);
    measure(100000, keys, false);
    measure(1000000, keys, true);
    printf("]}\n");
    free(keys);
    return 0;
}
