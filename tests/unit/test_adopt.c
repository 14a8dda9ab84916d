/*
 * Sessions that an earlier run left in the table's memory: what goes on, and what nobody should
 * believe.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define SESSIONS 256

/* The memory that outlives a run. */
static struct room {
    struct session session[SESSIONS];
    struct lease lease[SESSIONS];
} room;

static void start_in_memory(struct gateway *gateway, struct policy *policy, uint64_t now)
{
    static const uint8_t secret[32] = "another run has another secret";
    struct address external = address_of(EXTERNAL);

    ck_assert(policy_seal(policy));
    gateway->policy = policy;
    gateway->now = now;
    gateway->nat = nat_new(policy, secret, &room, now);
    ck_assert_ptr_nonnull(gateway->nat);
    nat_set_external(gateway->nat, WAN, &external, 1);
}

static struct policy *policy_with_forward(const char *allow)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    add_forward(policy, "ssh", FORWARD_TCP, 2222, 2222, "10.0.0.22:22", allow);
    return policy;
}

static void first_run(struct gateway *gateway)
{
    memset(&room, 0, sizeof(room));
    start_in_memory(gateway, policy_with_forward(NULL), 1000000);
}

/* The process is gone, its memory is not. */
static uint32_t crash_and_restart(struct gateway *gateway, struct policy *policy, uint64_t later,
                                  uint32_t *refused)
{
    uint64_t now = gateway->now + later;
    uint32_t adopted;

    nat_free(gateway->nat);
    policy_free(gateway->policy);
    start_in_memory(gateway, policy, now);
    adopted = nat_adopt(gateway->nat, now, refused);
    check_invariants(gateway->nat);
    return adopted;
}

START_TEST(sessions_of_all_kinds_go_on_after_a_crash)
{
    struct gateway gateway;
    struct sample sample;
    char udp[32], tcp[32];
    uint32_t refused;

    first_run(&gateway);
    strcpy(udp, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    strcpy(tcp, tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80"));
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":5000", EXTERNAL ":2222", 0x02), DROP_NONE);
    make_udp(&sample, "10.0.0.6:7000", udp, 10);
    ck_assert_int_eq(hairpin(&gateway, &sample),
                     DROP_FILTERED); /* a session all the same: a knock */
    make_tcp(&sample, "10.0.0.6:7000", EXTERNAL ":2222", 0x02);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);

    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 5000, &refused), 5);
    ck_assert_uint_eq(refused, 0);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", udp), DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", tcp, 0x10), DROP_NONE);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":54"), udp); /* the mapping, too */
    make_tcp(&sample, "10.0.0.6:7000", EXTERNAL ":2222", 0x10);
    ck_assert_int_eq(hairpin(&gateway, &sample), DROP_NONE);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(ids_are_never_used_again)
{
    struct gateway gateway;
    struct session_view before, after;
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    ck_assert(find_view(&gateway, "10.0.0.5:4000", REMOTE ":53", &before));
    crash_and_restart(&gateway, policy_with_forward(NULL), 1000, &refused);
    udp_out(&gateway, "10.0.0.5:4001", REMOTE ":53");
    ck_assert(find_view(&gateway, "10.0.0.5:4001", REMOTE ":53", &after));
    ck_assert_uint_gt(after.id, before.id);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(sessions_that_expired_while_nobody_was_there_are_refused)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80");
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 301000, &refused), 1);
    ck_assert_uint_eq(refused, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_adopted_session_expires_when_it_would_have)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 200000, &refused), 1);
    gateway_wait(&gateway, 99000);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 2000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

/* Times are stored in 32 bits. */
START_TEST(a_session_is_adopted_across_the_wrap_of_its_clock)
{
    struct gateway gateway;
    uint32_t refused;

    memset(&room, 0, sizeof(room));
    start_in_memory(&gateway, policy_with_forward(NULL), (UINT64_C(1) << 32) - 1000);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 200000, &refused), 1);
    gateway_wait(&gateway, 99999);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 1001);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(entries_of_impossible_times_are_refused)
{
    for (int kind = 0; kind < 4; kind++) {
        struct gateway gateway;
        uint32_t refused;

        first_run(&gateway);
        udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
        if (kind == 1)
            room.session[0].last_seen += 1001; /* after the restart */
        else if (kind == 2)
            room.session[0].created += 1; /* after it was seen */
        else if (kind == 3)
            room.session[0].created = UINT32_MAX; /* before the host was started */
        ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 1000, &refused),
                          kind == 0);
        ck_assert_uint_eq(refused, kind != 0);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(a_window_scale_that_no_option_carries_is_refused)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80");
    room.session[0].tcp.scale[ROLE_RESPONDER] = TCP_KNOWN | 15;
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 0, &refused), 0);
    ck_assert_uint_eq(refused, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(sessions_that_the_policy_no_longer_allows_are_refused)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    tcp_in(&gateway, REMOTE ":5000", EXTERNAL ":2222", 0x02);
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward("192.0.2.0/24"), 0, &refused),
                      0);
    ck_assert_uint_eq(refused, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(sessions_of_an_address_that_has_gone_are_refused)
{
    struct gateway gateway;
    struct address external = address_of("203.0.113.77");
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    nat_free(gateway.nat);
    policy_free(gateway.policy);
    start_in_memory(&gateway, policy_with_forward(NULL), gateway.now);
    nat_set_external(gateway.nat, WAN, &external, 1);
    ck_assert_uint_eq(nat_adopt(gateway.nat, gateway.now, &refused), 0);
    ck_assert_uint_eq(refused, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(two_entries_of_one_tuple_are_one_session)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    for (int i = 1; i < SESSIONS; i++)
        room.session[i] = room.session[0];
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 0, &refused), 1);
    ck_assert_uint_eq(refused, SESSIONS - 1);
    gateway_stop(&gateway);
}
END_TEST

static void seal_all(void)
{
    for (int i = 0; i < SESSIONS; i++) {
        table_seal(&room.session[i]);
        lease_seal(&room.lease[i]);
    }
}

/* Only TCP shares a port between two mappings. */
START_TEST(two_udp_entries_of_one_external_port_are_one_session)
{
    struct gateway gateway;
    uint32_t refused;
    char external[32];

    first_run(&gateway);
    strcpy(external, udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    udp_out(&gateway, "10.0.0.6:4000", "192.0.2.1:53");
    room.session[1].sent[ROLE_RESPONDER].destination_port =
        room.session[0].sent[ROLE_RESPONDER].destination_port;
    table_seal(&room.session[1]);
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 0, &refused), 1);
    ck_assert_uint_eq(refused, 1);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_int_eq(udp_in(&gateway, "192.0.2.1:53", external), DROP_FILTERED);
    gateway_stop(&gateway);
}
END_TEST

/* Whoever can write the file can write anything: no entry may break what must hold. */
START_TEST(damaged_entries_do_no_harm)
{
    struct chance chance = chance_new();
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    for (int round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < 40; i++) {
            char from[32];

            snprintf(from, sizeof(from), "10.0.0.%u:%u", 2 + chance_below(&chance, 60),
                     1024 + chance_below(&chance, 200));
            if (chance_one_in(&chance, 2))
                udp_out(&gateway, from, REMOTE ":53");
            else
                tcp_in(&gateway, from + 1, EXTERNAL ":2222", 0x02); /* 0.0.0.x: a remote */
        }
        for (int i = 0; i < 60; i++) {
            uint8_t *at = (uint8_t *)&room + chance_below(&chance, sizeof(room));

            *at = (uint8_t)(chance_one_in(&chance, 2) ? *at ^ (1u << chance_below(&chance, 8))
                                                      : chance_next(&chance));
        }
        if (round % 2 == 0)
            seal_all();
        crash_and_restart(&gateway, policy_with_forward(NULL), 1000, &refused);
        gateway_wait(&gateway, 1000);
    }
    gateway_stop(&gateway);
}
END_TEST

/* What a session is, apart from how it goes on. */
struct identity {
    struct compact_tuple sent[2];
    uint64_t id;
    uint32_t created;
    uint8_t direction, protocol;
};

static struct identity identity_of(const struct session *session)
{
    struct identity identity;

    memset(&identity, 0, sizeof(identity));
    memcpy(identity.sent, session->sent, sizeof(identity.sent));
    identity.id = session->id;
    identity.created = session->created;
    identity.direction = session->direction;
    identity.protocol = session->protocol;
    return identity;
}

/* Live sessions in the slots of others. */
static uint32_t count_strangers(const struct identity *known)
{
    uint32_t strangers = 0;

    for (int i = 0; i < SESSIONS; i++) {
        struct identity now = identity_of(&room.session[i]);

        strangers += room.session[i].live == SLOT_LIVE && memcmp(&now, &known[i], sizeof(now)) != 0;
    }
    return strangers;
}

/* A check value of 16 bits lets one of 65536 damaged slots pass. */
START_TEST(a_damaged_file_yields_no_session_that_never_existed)
{
    struct chance chance = chance_new();
    struct identity known[SESSIONS];
    uint32_t refused, damaged = 0, strangers = 0, adopted = 0;

    for (int round = 0; round < 100; round++) {
        struct gateway gateway;
        char from[32];

        first_run(&gateway);
        for (int i = 0; i < 200; i++) {
            snprintf(from, sizeof(from), "10.0.0.%d:%d", 2 + i % 60, 1024 + i);
            udp_out(&gateway, from, REMOTE ":53");
        }
        for (int i = 0; i < SESSIONS; i++)
            known[i] = identity_of(&room.session[i]);
        for (int i = 0; i < SESSIONS; i += 2) { /* a bit of each second slot, or its neighbour's */
            uint8_t *at = (uint8_t *)&room.session[i] + chance_below(&chance, 2 * 128);

            *at = (uint8_t)(*at ^ 1u << chance_below(&chance, 8));
        }
        adopted += crash_and_restart(&gateway, policy_with_forward(NULL), 10, &refused);
        ck_assert_uint_eq(refused, gateway.nat->counters.not_adopted[ADOPTION_DAMAGED] +
                                       gateway.nat->counters.not_adopted[ADOPTION_EXPIRED]);
        damaged += refused;
        strangers += count_strangers(known);
        gateway_stop(&gateway);
    }
    ck_assert_uint_gt(adopted, 10000);
    ck_assert_uint_gt(damaged, 1000);
    seeded(&chance, strangers <= 2);
}
END_TEST

START_TEST(a_session_that_has_ended_does_not_come_back)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    ck_assert(nat_kill(gateway.nat, 0, room.session[0].id, gateway.now));
    room.session[0].live = SLOT_LIVE;
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 0, &refused), 0);
    ck_assert_uint_eq(refused, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(why_a_session_is_refused_is_counted)
{
    struct gateway gateway;
    uint32_t refused;

    first_run(&gateway);
    udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53");
    tcp_in(&gateway, REMOTE ":5000", EXTERNAL ":2222", 0x02);
    tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80");
    tcp_connect(&gateway, "10.0.0.5:4002", REMOTE ":80");
    room.session[3].sent[1].source ^= 1;
    crash_and_restart(&gateway, policy_with_forward("192.0.2.0/24"), 0, &refused);
    ck_assert_uint_eq(refused, 2);
    ck_assert_uint_eq(gateway.nat->counters.not_adopted[ADOPTION_NOT_ALLOWED], 1);
    ck_assert_uint_eq(gateway.nat->counters.not_adopted[ADOPTION_DAMAGED], 1);
    crash_and_restart(&gateway, policy_with_forward(NULL), 301000, &refused);
    ck_assert_uint_eq(gateway.nat->counters.not_adopted[ADOPTION_EXPIRED], 1);
    gateway_stop(&gateway);
}
END_TEST

/* Its roles have changed since it was opened. */
START_TEST(a_connection_that_the_other_side_has_opened_again_goes_on)
{
    struct gateway gateway;
    char external[32];
    uint32_t refused;

    first_run(&gateway);
    strcpy(external, tcp_connect(&gateway, "10.0.0.5:4001", REMOTE ":80"));
    tcp_in(&gateway, REMOTE ":80", external, 0x04);
    gateway_wait(&gateway, 1000);
    ck_assert_int_eq(tcp_in(&gateway, REMOTE ":80", external, 0x02), DROP_NONE);
    ck_assert_uint_eq(room.session[0].direction, DIRECTION_INBOUND);
    ck_assert_uint_eq(crash_and_restart(&gateway, policy_with_forward(NULL), 0, &refused), 1);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        sessions_of_all_kinds_go_on_after_a_crash,
        ids_are_never_used_again,
        sessions_that_expired_while_nobody_was_there_are_refused,
        an_adopted_session_expires_when_it_would_have,
        a_session_is_adopted_across_the_wrap_of_its_clock,
        entries_of_impossible_times_are_refused,
        a_window_scale_that_no_option_carries_is_refused,
        sessions_that_the_policy_no_longer_allows_are_refused,
        sessions_of_an_address_that_has_gone_are_refused,
        two_entries_of_one_tuple_are_one_session,
        two_udp_entries_of_one_external_port_are_one_session,
        damaged_entries_do_no_harm,
        a_damaged_file_yields_no_session_that_never_existed,
        a_session_that_has_ended_does_not_come_back,
        why_a_session_is_refused_is_counted,
        a_connection_that_the_other_side_has_opened_again_goes_on,
    };

    return RUN_TESTS("adopt", tests);
}
