/*
 * test_carry.c - sessions of an earlier run in a table of another size, and the layout of memory
 * that two versions of the program share
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t secret[32] = "every run has its own";

static struct policy *policy_for(uint32_t sessions)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    policy_limits(policy)->sessions = sessions;
    ck_assert(policy_seal(policy));
    return policy;
}

static void *zeroed(uint32_t sessions)
{
    size_t length = nat_memory_needed(sessions);
    void *memory = aligned_alloc(64, (length + 63) / 64 * 64);

    ck_assert_ptr_nonnull(memory);
    memset(memory, 0, length);
    return memory;
}

static void start_in(struct gateway *gateway, void *memory, uint32_t sessions, uint64_t now)
{
    struct address external = address_of(EXTERNAL);

    gateway->policy = policy_for(sessions);
    gateway->now = now;
    gateway->nat = nat_new(gateway->policy, secret, memory, now);
    ck_assert_ptr_nonnull(gateway->nat);
    nat_set_external(gateway->nat, WAN, &external, 1);
}

/* Ends the run and starts the next one with a table of another size. */
static uint32_t restart_with(struct gateway *gateway, void **memory, uint32_t before,
                             uint32_t after, uint32_t *left_out)
{
    void *next = zeroed(after);
    uint32_t refused, adopted;

    nat_free(gateway->nat);
    policy_free(gateway->policy);
    *left_out = nat_carry(*memory, before, next, after);
    free(*memory);
    *memory = next;
    start_in(gateway, next, after, gateway->now);
    adopted = nat_adopt(gateway->nat, gateway->now, &refused);
    ck_assert_uint_eq(refused, 0);
    check_invariants(gateway->nat);
    return adopted;
}

START_TEST(sessions_and_leases_go_on_in_a_larger_table)
{
    struct endpoint leased = endpoint_of("10.0.0.9:5000"), external, again;
    void *memory = zeroed(64);
    struct gateway gateway;
    char udp[32], tcp[32];
    uint32_t left_out;

    start_in(&gateway, memory, 64, 1000000);
    strcpy(udp, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    strcpy(tcp, tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80"));
    ck_assert_int_eq(
        nat_lease(gateway.nat, PROTOCOL_UDP, &leased, gateway.now + 60000, gateway.now, &external),
        DROP_NONE);
    ck_assert_uint_eq(restart_with(&gateway, &memory, 64, 6000, &left_out), 2);
    ck_assert_uint_eq(left_out, 0);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", udp), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", tcp, 0x10), DROP_NONE);
    ck_assert_int_eq(
        nat_lease(gateway.nat, PROTOCOL_UDP, &leased, gateway.now + 60000, gateway.now, &again),
        DROP_NONE);
    ck_assert(endpoint_equal(&external, &again));
    gateway_stop(&gateway);
    free(memory);
}
END_TEST

START_TEST(a_smaller_table_keeps_what_is_established_and_counts_the_rest)
{
    void *memory = zeroed(64);
    struct gateway gateway;
    char tcp[32], from[32];
    uint32_t left_out;

    start_in(&gateway, memory, 64, 1000000);
    for (int i = 0; i < 20; i++) { /* unanswered, and earlier in the table */
        snprintf(from, sizeof(from), "10.0.0.7:%d", 2000 + i);
        udp_out(&gateway, from, REMOTE ":53");
    }
    strcpy(tcp, tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80"));
    ck_assert_uint_eq(restart_with(&gateway, &memory, 64, 8, &left_out), 8);
    ck_assert_uint_eq(left_out, 13);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", tcp, 0x10), DROP_NONE);
    gateway_stop(&gateway);
    free(memory);
}
END_TEST

/* It would be refused anyway; where there is room, so that it can be counted. */
START_TEST(what_is_damaged_takes_no_room_from_the_others)
{
    void *memory = zeroed(64);
    struct session *session = memory;
    struct gateway gateway;
    char from[32];
    uint32_t left_out, refused;

    start_in(&gateway, memory, 64, 1000000);
    for (int i = 0; i < 20; i++) {
        snprintf(from, sizeof(from), "10.0.0.7:%d", 2000 + i);
        udp_out(&gateway, from, REMOTE ":53");
    }
    for (int i = 0; i < 12; i++)
        session[i].sent[0].source_port ^= 1;
    ck_assert_uint_eq(restart_with(&gateway, &memory, 64, 8, &left_out), 8);
    ck_assert_uint_eq(left_out, 12);
    for (int i = 0; i < 4; i++)
        ((struct session *)memory)[i].created ^= 1;
    nat_free(gateway.nat);
    policy_free(gateway.policy);
    start_in(&gateway, memory, 8, gateway.now);
    ck_assert_uint_eq(nat_adopt(gateway.nat, gateway.now, &refused), 4);
    ck_assert_uint_eq(gateway.nat->counters.not_adopted[ADOPTION_DAMAGED], 4);
    gateway_stop(&gateway);
    free(memory);
}
END_TEST

/*
 * Another program version adopts what this one has written. If one of these tests fails, the layout
 * has changed: give it another NAT_MEMORY_FORMAT, and only then correct the test.
 */
static uint64_t digest(const void *memory, size_t length)
{
    const uint8_t *at = memory;
    uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (size_t i = 0; i < length; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static struct session session_of_every_field(void)
{
    struct session session;

    memset(&session, 0, sizeof(session));
    session.sent[0] = (struct compact_tuple){1, 2, 3, 4};
    session.sent[1] = (struct compact_tuple){5, 6, 7, 8};
    session.state = 9;
    session.direction = 2;
    session.protocol = 1;
    session.live = 10;
    session.share = 11;
    session.epoch = 12;
    session.last_seen = 13;
    session.bytes[0] = 14;
    session.bytes[1] = 15;
    session.packets_low[0] = 16;
    session.packets_high[1] = 17;
    session.offload = 18;
    session.tcp.expects[0] = 26;
    session.tcp.window[1] = 27;
    session.tcp.scale[0] = 19;
    session.tcp.scale[1] = 20;
    session.wheel_slot = 21;
    session.has_host = 1;
    session.side[0] = 22;
    session.side[1] = 23;
    session.created = 24;
    session.id = 25;
    session.check = 28;
    return session;
}

START_TEST(sessions_have_the_layout_of_their_format)
{
    struct session session = session_of_every_field();

    ck_assert_uint_eq(NAT_MEMORY_FORMAT, 4);
    ck_assert_uint_eq(digest(&session, sizeof(session)), UINT64_C(4866671158141828781));
}
END_TEST

START_TEST(leases_have_the_layout_of_their_format)
{
    struct lease lease;

    memset(&lease, 0, sizeof(lease));
    lease.internal = 1;
    lease.external = 2;
    lease.internal_port = 3;
    lease.external_port = 4;
    lease.protocol = 5;
    lease.live = 6;
    lease.created = 7;
    lease.expires = 8;
    lease.check = 9;
    ck_assert_uint_eq(digest(&lease, sizeof(lease)), UINT64_C(4456864180337867184));
}
END_TEST

START_TEST(stored_numbers_have_the_meaning_of_their_format)
{
    ck_assert_int_eq(STATE_UNANSWERED, 0);
    ck_assert_int_eq(STATE_ANSWERED, 1);
    ck_assert_int_eq(STATE_OPENING, 2);
    ck_assert_int_eq(STATE_ANSWERED_SYN, 3);
    ck_assert_int_eq(STATE_ESTABLISHED, 4);
    ck_assert_int_eq(STATE_CLOSING_BY_INITIATOR, 5);
    ck_assert_int_eq(STATE_CLOSING_BY_RESPONDER, 6);
    ck_assert_int_eq(STATE_CLOSED, 7);
    ck_assert_int_eq(STATE_RESET, 8);
    ck_assert_int_eq(DIRECTION_OUTBOUND, 0);
    ck_assert_int_eq(DIRECTION_INBOUND, 1);
    ck_assert_int_eq(DIRECTION_HAIRPIN, 2);
    ck_assert_int_eq(SLOT_FREE, 0);
    ck_assert_int_eq(PROTOCOL_INDEX_TCP, 0);
    ck_assert_int_eq(PROTOCOL_INDEX_UDP, 1);
    ck_assert_int_eq(PROTOCOL_INDEX_ICMP, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        sessions_and_leases_go_on_in_a_larger_table,
        a_smaller_table_keeps_what_is_established_and_counts_the_rest,
        what_is_damaged_takes_no_room_from_the_others,
        sessions_have_the_layout_of_their_format,
        leases_have_the_layout_of_their_format,
        stored_numbers_have_the_meaning_of_their_format,
    };

    return RUN_TESTS("carry", tests);
}
