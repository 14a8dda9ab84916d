/*
 * test_lease.c - mappings that stay without sessions
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define SESSIONS 256

static struct gateway gateway;

static void start(void)
{
    gateway_start(&gateway, lab_policy(FILTERING_ENDPOINT_INDEPENDENT));
}

/* For so many seconds; the external endpoint, or NULL after a refusal. */
static const char *lease(const char *internal, uint32_t seconds, enum drop_reason *reason)
{
    struct endpoint of = endpoint_of(internal), external;

    *reason = nat_lease(gateway.nat, PROTOCOL_UDP, &of, gateway.now + seconds * 1000, gateway.now,
                        &external);
    check_invariants(gateway.nat);
    return *reason == DROP_NONE ? endpoint_text(&external) : NULL;
}

static bool end_lease(const char *internal)
{
    struct endpoint of = endpoint_of(internal);
    bool was_there = nat_end_lease(gateway.nat, PROTOCOL_UDP, &of, gateway.now);

    check_invariants(gateway.nat);
    return was_there;
}

/* A lease that must succeed, and its external endpoint in `text`. */
static void leased(char text[32], const char *internal, uint32_t seconds)
{
    enum drop_reason reason;
    const char *external = lease(internal, seconds, &reason);

    ck_assert_int_eq(reason, DROP_NONE);
    snprintf(text, 32, "%s", external);
}

START_TEST(a_leased_mapping_stays_without_sessions_until_its_time)
{
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 1);
    gateway_wait(&gateway, 99000);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 1);
    gateway_wait(&gateway, 1000);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_remote_that_the_filtering_admits_reaches_a_leased_mapping)
{
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_NONE);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_does_not_widen_the_filtering)
{
    char external[32];

    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", external), DROP_FILTERED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_is_seen_at_the_endpoint_that_it_has_leased)
{
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_of_a_mapping_in_use_keeps_its_endpoint)
{
    char before[32], external[32];

    start();
    snprintf(before, sizeof(before), "%s", udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    leased(external, "10.0.0.5:4000", 1000);
    ck_assert_str_eq(external, before);
    gateway_wait(&gateway, 400000); /* the session has expired, the lease has not */
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), before);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_mapping_in_use_survives_the_end_of_its_lease)
{
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"));
    ck_assert(end_lease("10.0.0.5:4000"));
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 1);
    ck_assert(!end_lease("10.0.0.5:4000"));
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.5:4000", REMOTE ":53"), external);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_is_renewed_by_asking_again)
{
    char external[32], again[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    gateway_wait(&gateway, 90000);
    leased(again, "10.0.0.5:4000", 100);
    ck_assert_str_eq(again, external);
    ck_assert_uint_eq(gateway.nat->leases.live, 1);
    gateway_wait(&gateway, 90000);
    ck_assert_uint_eq(gateway.nat->leases.live, 1);
    gateway_wait(&gateway, 10000);
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(only_a_shares_host_gets_a_lease)
{
    enum drop_reason reason;

    start();
    ck_assert_ptr_null(lease("10.9.0.5:4000", 100, &reason));
    ck_assert_int_eq(reason, DROP_NOT_ALLOWED);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(what_a_forward_delivers_to_has_its_endpoint_without_a_lease)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    char external[32];

    add_forward(policy, "dns", FORWARD_UDP, 53, 53, "10.0.0.9:5353", NULL);
    gateway_start(&gateway, policy);
    leased(external, "10.0.0.9:5353", 100);
    ck_assert_str_eq(external, EXTERNAL ":53");
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(leases_count_as_ports_of_their_host)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    enum drop_reason reason;
    char external[32];

    policy_limits(policy)->mappings_per_host = 1;
    gateway_start(&gateway, policy);
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_ptr_null(lease("10.0.0.5:4001", 100, &reason));
    ck_assert_int_eq(reason, DROP_HOST_LIMIT);
    ck_assert_ptr_null(udp_out(&gateway, "10.0.0.5:4001", REMOTE ":53"));
    gateway_stop(&gateway);
}
END_TEST

START_TEST(more_leases_than_there_is_room_for_are_refused_and_leave_nothing)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    enum drop_reason reason;
    char internal[32], external[32];

    policy_limits(policy)->sessions = 8;
    policy_limits(policy)->sessions_per_host = 8;
    gateway_start(&gateway, policy);
    for (int i = 0; i < 8; i++) {
        snprintf(internal, sizeof(internal), "10.0.0.5:%d", 4000 + i);
        leased(external, internal, 100);
    }
    ck_assert_ptr_null(lease("10.0.0.5:5000", 100, &reason));
    ck_assert_int_eq(reason, DROP_TABLE_FULL);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 8);
    /* Sessions have their room all the same. */
    for (int i = 0; i < 8; i++) {
        snprintf(internal, sizeof(internal), "10.0.0.6:%d", 4000 + i);
        ck_assert_ptr_nonnull(udp_out(&gateway, internal, REMOTE ":53"));
    }
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_that_a_new_policy_does_not_allow_ends)
{
    struct policy *other = policy_new();
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    add_share(other, "lab", "10.1.0.0/24", 50000, 50999, FILTERING_ADDRESS_DEPENDENT);
    gateway_change_policy(&gateway, other);
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_ends_with_its_external_address)
{
    struct address other = address_of("203.0.113.6");
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    gateway_set_addresses(&gateway, &other, 1);
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_int_eq(strncmp(external, "203.0.113.6:", 12), 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(slots_that_only_mappings_have_hold_no_session)
{
    struct session_view session;
    struct mapping_view mapping;
    uint32_t sessions = 0, mappings = 0;
    char external[32];

    start();
    leased(external, "10.0.0.5:4000", 100);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    for (uint32_t slot = 0; slot < nat_slots(gateway.nat); slot++) {
        sessions += nat_view(gateway.nat, slot, gateway.now, &session);
        mappings += nat_view_mapping(gateway.nat, slot, gateway.now, &mapping);
        ck_assert(!nat_kill(gateway.nat, slot, 12345, gateway.now));
    }
    ck_assert_uint_eq(sessions, 1);
    ck_assert_uint_eq(mappings, 2);
    gateway_stop(&gateway);
}
END_TEST

/* The memory that outlives a run. */
static struct room {
    struct session session[SESSIONS];
    struct lease lease[SESSIONS];
} room;

static void start_in_room(void)
{
    static const uint8_t secret[32] = "any";
    struct address external = address_of(EXTERNAL);

    gateway.policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);
    ck_assert(policy_seal(gateway.policy));
    gateway.nat = nat_new(gateway.policy, secret, &room, gateway.now);
    ck_assert_ptr_nonnull(gateway.nat);
    nat_set_external(gateway.nat, WAN, &external, 1);
}

/* The process is gone, its memory is not. */
static void crash_and_restart(uint64_t later)
{
    uint32_t refused;

    nat_free(gateway.nat);
    policy_free(gateway.policy);
    gateway.now += later;
    start_in_room();
    nat_adopt(gateway.nat, gateway.now, &refused);
    check_invariants(gateway.nat);
}

START_TEST(leases_go_on_after_a_crash_with_and_without_sessions)
{
    char idle[32], used[32];

    memset(&room, 0, sizeof(room));
    gateway.now = 1000000;
    start_in_room();
    leased(idle, "10.0.0.5:4000", 100);
    leased(used, "10.0.0.6:4000", 100);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:4000", REMOTE ":53"));
    crash_and_restart(50000);
    ck_assert_uint_eq(gateway.nat->leases.live, 2);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 2);
    ck_assert_int_eq(udp_in(&gateway, REMOTE ":53", idle), DROP_NONE);
    ck_assert_str_eq(udp_out(&gateway, "10.0.0.6:4000", REMOTE ":54"), used);
    gateway_wait(&gateway, 50000);
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_lease_that_expired_during_a_crash_is_not_adopted)
{
    char external[32];

    memset(&room, 0, sizeof(room));
    gateway.now = 1000000;
    start_in_room();
    leased(external, "10.0.0.5:4000", 100);
    crash_and_restart(100000);
    ck_assert_uint_eq(gateway.nat->leases.live, 0);
    ck_assert_uint_eq(gateway.nat->table.mappings_live, 0);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_leased_mapping_stays_without_sessions_until_its_time,
        a_remote_that_the_filtering_admits_reaches_a_leased_mapping,
        a_lease_does_not_widen_the_filtering,
        a_host_is_seen_at_the_endpoint_that_it_has_leased,
        a_lease_of_a_mapping_in_use_keeps_its_endpoint,
        a_mapping_in_use_survives_the_end_of_its_lease,
        a_lease_is_renewed_by_asking_again,
        only_a_shares_host_gets_a_lease,
        what_a_forward_delivers_to_has_its_endpoint_without_a_lease,
        leases_count_as_ports_of_their_host,
        more_leases_than_there_is_room_for_are_refused_and_leave_nothing,
        a_lease_that_a_new_policy_does_not_allow_ends,
        a_lease_ends_with_its_external_address,
        slots_that_only_mappings_have_hold_no_session,
        leases_go_on_after_a_crash_with_and_without_sessions,
        a_lease_that_expired_during_a_crash_is_not_adopted,
    };

    return RUN_TESTS("lease", tests);
}
