/*
 * test_check.c - a translator that adds up is found to, and each damage is found and named
 */
#include "external.h"
#include "mapping.h"
#include "support.h"
#include "support_run.h"

#include <stdio.h>
#include <stdlib.h>

static struct gateway gateway;
static uint32_t slot, mapping, host; /* of the session from 10.0.0.5:4000 */

static struct policy *policy_with_a_forward(void)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);

    add_forward(policy, "web", FORWARD_TCP | FORWARD_UDP, 80, 80, "10.0.0.80:8080", NULL);
    return policy;
}

/* Four outbound sessions, one by a forward, a hairpin, and a lease. */
static void set_up(void)
{
    struct endpoint internal = endpoint_of("10.0.0.5:4000"), leased = endpoint_of("10.0.0.9:9"),
                    external;
    enum role role;
    struct tuple tuple = {internal, endpoint_of("198.51.100.10:53"), PROTOCOL_UDP, 0};

    struct sample to_forward;

    gateway_start(&gateway, policy_with_a_forward());
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", "198.51.100.10:53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:4000", "198.51.100.11:53"));
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.6:4000", "198.51.100.10:53"));
    ck_assert_ptr_nonnull(tcp_connect(&gateway, "10.0.0.7:5000", "198.51.100.10:80"));
    ck_assert_int_eq(
        nat_lease(gateway.nat, PROTOCOL_UDP, &leased, gateway.now + 60000, gateway.now, &external),
        DROP_NONE);
    ck_assert_int_eq(tcp_in(&gateway, "198.51.100.20:1000", EXTERNAL ":80", TCP_SYN), DROP_NONE);
    make_udp(&to_forward, "10.0.0.8:7000", EXTERNAL ":80", 10);
    ck_assert_int_eq(hairpin(&gateway, &to_forward), DROP_NONE);
    slot = table_find(&gateway.nat->table, &tuple, &role);
    ck_assert_uint_ne(slot, INDEX_NONE);
    mapping = session_mapping(&gateway.nat->table.session[slot], ROLE_INITIATOR);
    host = host_find(&gateway.nat->table, &internal.address);
}

START_TEST(a_translator_that_adds_up_is_found_to)
{
    struct nat_check_report report;

    set_up();
    run_check(gateway.nat, 1, &report);
    for (int name = 0; name < NAT_CHECK_COUNT; name++)
        ck_assert_msg(report.wrong[name] == 0, "%s", nat_check_name((enum nat_check_name)name));
    ck_assert_uint_eq(report.sessions, 6);
    ck_assert_uint_eq(report.mappings, 5);
    ck_assert_uint_eq(report.hosts, 5);
    ck_assert_uint_eq(report.leases, 1);
    ck_assert_uint_eq(report.ports, 5);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(only_one_check_runs_at_a_time)
{
    struct nat_check *first, *second;

    set_up();
    first = calloc(1, nat_check_memory(gateway.nat));
    second = calloc(1, nat_check_memory(gateway.nat));
    ck_assert(nat_check_begin(gateway.nat, first));
    ck_assert(!nat_check_begin(gateway.nat, second));
    nat_check_end(gateway.nat, NULL);
    ck_assert(nat_check_begin(gateway.nat, second));
    nat_check_end(gateway.nat, NULL);
    free(first);
    free(second);
    gateway_stop(&gateway);
}
END_TEST

/* Damage */

static struct table *table(void)
{
    return &gateway.nat->table;
}

static struct session *session(void)
{
    return &table()->session[slot];
}

static struct port_space *space(void)
{
    return external_port_space(gateway.nat, table()->mapping[mapping].external_index, PROTOCOL_UDP);
}

static void change_a_tuple(void)
{
    session()->sent[ROLE_RESPONDER].source_port++;
}

static void count_it_for_the_outside(void)
{
    session()->has_remote = true;
}

static void count_one_from_outside_more(void)
{
    gateway.nat->outside.sessions++;
}

static void count_one_of_a_remote_more(void)
{
    gateway.nat->outside.remote[77].sessions++;
}

static void count_one_of_a_forward_more(void)
{
    gateway.nat->outside.forward[0]++;
}

static void give_an_id_that_is_still_to_come(void)
{
    session()->id = table()->next_id & SESSION_ID_MAX;
    table_seal(session());
}

static void break_the_filter_list(void)
{
    session()->filter_link.previous = slot;
}

static void take_the_timer(void)
{
    wheel_disarm(table()->wheel, slot, session()->wheel_slot);
}

static void take_out_of_the_age_list(void)
{
    session()->age_link.next = session()->age_link.previous = slot;
}

static void give_another_mapping(void)
{
    session()->side[ROLE_INITIATOR] = mapping + 1;
}

static void give_a_mapping_that_cannot_be(void)
{
    session()->side[ROLE_INITIATOR] = table()->mapping_capacity;
}

static void move_the_host(void)
{
    table()->host[host].address++;
}

static void name_a_free_entry(void)
{
    session()->offload = 0;
}

static void leave_a_candidate(void)
{
    table()->session[table()->free_session].live = SLOT_CANDIDATE;
}

static void count_a_session_more(void)
{
    table()->mapping[mapping].sessions++;
}

static void move_the_mapping(void)
{
    table()->mapping[mapping].internal_port++;
}

static void move_the_port(void)
{
    table()->mapping[mapping].external_port ^= 1;
}

static void count_a_session_of_the_host_less(void)
{
    table()->host[host].sessions--;
}

static void count_a_mapping_of_the_host_more(void)
{
    table()->host[host].mappings[0]++;
}

static void lose_the_lease_of_a_mapping(void)
{
    table()->mapping[gateway.nat->leases.lease[0].mapping].leased = false;
}

static void say_that_a_mapping_is_leased(void)
{
    table()->mapping[mapping].leased = true;
}

static void give_the_port_to_another(void)
{
    ports_set_holder(space(), table()->mapping[mapping].external_port, mapping + 1);
}

static void leak_a_port(void)
{
    ck_assert(ports_take(space(), 1234));
}

static void count_a_port_more(void)
{
    space()->taken_count++;
}

static void count_a_live_session_more(void)
{
    table()->live++;
}

static void count_a_live_mapping_less(void)
{
    table()->mappings_live--;
}

static void count_a_live_host_more(void)
{
    table()->hosts_live++;
}

static void count_a_live_lease_more(void)
{
    gateway.nat->leases.live++;
}

static void count_an_opened_session_more(void)
{
    gateway.nat->counters.opened++;
}

static const struct {
    const char *what;
    void (*make)(void);
    enum nat_check_name name; /* it is found as this, maybe among others */
} damages[] = {
    {"a tuple is changed: seal", change_a_tuple, NAT_CHECK_SESSION_SEAL},
    {"a tuple is changed: index", change_a_tuple, NAT_CHECK_SESSION_INDEX},
    {"an id to come", give_an_id_that_is_still_to_come, NAT_CHECK_SESSION_SEAL},
    {"filter list", break_the_filter_list, NAT_CHECK_SESSION_FILTER},
    {"no timer", take_the_timer, NAT_CHECK_SESSION_TIMER},
    {"age list", take_out_of_the_age_list, NAT_CHECK_SESSION_AGE},
    {"another mapping", give_another_mapping, NAT_CHECK_SESSION_SIDES},
    {"an impossible mapping", give_a_mapping_that_cannot_be, NAT_CHECK_SESSION_SIDES},
    {"another mapping: counts", give_another_mapping, NAT_CHECK_MAPPING_SESSIONS},
    {"another host: session", move_the_host, NAT_CHECK_SESSION_HOST},
    {"another host: mapping", move_the_host, NAT_CHECK_MAPPING_HOST},
    {"opened by a remote", count_it_for_the_outside, NAT_CHECK_SESSION_REMOTE},
    {"outside: all", count_one_from_outside_more, NAT_CHECK_OUTSIDE},
    {"outside: a remote", count_one_of_a_remote_more, NAT_CHECK_OUTSIDE},
    {"outside: a forward", count_one_of_a_forward_more, NAT_CHECK_OUTSIDE},
    {"a free entry", name_a_free_entry, NAT_CHECK_SESSION_OFFLOAD},
    {"a candidate", leave_a_candidate, NAT_CHECK_SESSION_FREE},
    {"mapping count", count_a_session_more, NAT_CHECK_MAPPING_SESSIONS},
    {"mapping moved", move_the_mapping, NAT_CHECK_MAPPING_INDEX},
    {"mapping's port", move_the_port, NAT_CHECK_MAPPING_PORT},
    {"host: sessions", count_a_session_of_the_host_less, NAT_CHECK_HOST_COUNTS},
    {"host: mappings", count_a_mapping_of_the_host_more, NAT_CHECK_HOST_COUNTS},
    {"lease", lose_the_lease_of_a_mapping, NAT_CHECK_LEASE},
    {"a lease that is not there", say_that_a_mapping_is_leased, NAT_CHECK_LEASE},
    {"port of another", give_the_port_to_another, NAT_CHECK_PORT_HOLDER},
    {"a port that nobody has", leak_a_port, NAT_CHECK_PORT_HOLDER},
    {"port count", count_a_port_more, NAT_CHECK_PORT_COUNTS},
    {"live sessions", count_a_live_session_more, NAT_CHECK_TOTALS},
    {"live sessions: counters", count_a_live_session_more, NAT_CHECK_COUNTERS},
    {"live mappings", count_a_live_mapping_less, NAT_CHECK_TOTALS},
    {"live hosts", count_a_live_host_more, NAT_CHECK_TOTALS},
    {"live leases", count_a_live_lease_more, NAT_CHECK_TOTALS},
    {"opened", count_an_opened_session_more, NAT_CHECK_COUNTERS},
};

START_TEST(each_damage_is_found_and_named)
{
    struct nat_check_report report;

    set_up();
    ck_assert(nat_offload_init(gateway.nat, 4, 1));
    damages[_i].make();
    run_check(gateway.nat, 7, &report);
    ck_assert_msg(report.wrong[damages[_i].name] > 0, "%s", damages[_i].what);
    /* the translator is given up as it is: gateway_stop would check it */
}
END_TEST

/* The kernel has one session, as both counters say; the maps have other numbers of elements. */
static const struct {
    const char *what;
    uint32_t in_kernel, elements[2];
    bool maps, counters; /* found wrong */
} kernels[] = {
    {"as it should be", 1, {1, 1}, false, false},
    {"an element too many", 1, {2, 1}, true, false},
    {"an element is missing", 1, {1, 0}, true, false},
    {"an entry too many", 2, {2, 2}, false, true},
    {"an entry is missing", 0, {0, 0}, false, true},
};

START_TEST(the_maps_of_the_kernel_are_compared)
{
    struct nat_check_report report;
    struct nat_check *memory;

    set_up();
    ck_assert(nat_offload_init(gateway.nat, 4, 1));
    gateway.nat->offload.counters = (struct offload_counters){.added = 3, .removed = 2};
    memory = calloc(1, nat_check_memory(gateway.nat));
    ck_assert(nat_check_begin(gateway.nat, memory));
    while (nat_check_step(gateway.nat, 100))
        ;
    nat_check_kernel(gateway.nat, kernels[_i].in_kernel, kernels[_i].elements);
    nat_check_end(gateway.nat, &report);
    free(memory);
    ck_assert_msg((report.wrong[NAT_CHECK_KERNEL_MAPS] > 0) == kernels[_i].maps, "%s",
                  kernels[_i].what);
    ck_assert_msg((report.wrong[NAT_CHECK_OFFLOAD_COUNTERS] > 0) == kernels[_i].counters, "%s",
                  kernels[_i].what);
    gateway_stop(&gateway);
}
END_TEST

/* Sessions, mappings and hosts come and go between any two steps. */

static void lease(const char *from, uint64_t for_ms)
{
    struct endpoint internal = endpoint_of(from), external;

    if (for_ms > 0)
        nat_lease(gateway.nat, PROTOCOL_UDP, &internal, gateway.now + for_ms, gateway.now,
                  &external);
    else
        nat_end_lease(gateway.nat, PROTOCOL_UDP, &internal, gateway.now);
}

static struct policy *policy_before;

/* A review takes its time: whole checks begin and end meanwhile. */
static void change_policy_or_review(struct chance *chance)
{
    struct policy *policy = chance_below(chance, 2) ? lab_policy(FILTERING_ENDPOINT_INDEPENDENT)
                                                    : policy_with_a_forward();

    if (nat_review(gateway.nat, gateway.now, 1 + chance_below(chance, 40), NULL)) {
        policy_free(policy);
        return;
    }
    policy_free(policy_before);
    policy_before = gateway.policy;
    gateway.policy = policy;
    ck_assert(policy_seal(policy));
    nat_set_policy(gateway.nat, policy);
}

static void happen(struct chance *chance)
{
    char from[32], to[32];

    snprintf(from, sizeof(from), "10.0.0.%u:%u", 5 + chance_below(chance, 40),
             4000 + chance_below(chance, 3));
    snprintf(to, sizeof(to), "198.51.100.%u:80", 1 + chance_below(chance, 5));
    switch (chance_below(chance, 9)) {
    case 0:
        tcp_out(&gateway, from, to, TCP_SYN);
        break;
    case 1:
        tcp_out(&gateway, from, to, TCP_RST);
        break;
    case 2:
    case 3:
        udp_out(&gateway, from, to);
        break;
    case 4:
        nat_kill(gateway.nat, chance_below(chance, gateway.nat->table.capacity),
                 gateway.nat->table.next_id - 1 - chance_below(chance, 50), gateway.now);
        break;
    case 5:
        tcp_in(&gateway, to, EXTERNAL ":80", chance_below(chance, 2) ? TCP_SYN : TCP_RST);
        break;
    case 6:
        lease(from, chance_below(chance, 2) * 5000);
        break;
    case 7:
        change_policy_or_review(chance);
        break;
    default:
        gateway.now += chance_below(chance, 2000);
        nat_tick(gateway.nat, gateway.now, 0);
    }
}

START_TEST(what_changes_during_the_check_is_no_contradiction)
{
    struct chance chance = chance_new();
    struct nat_check_report report;

    set_up();
    for (int i = 0; i < 300; i++)
        happen(&chance);
    for (int round = 0; round < 20; round++) {
        struct nat_check *memory = calloc(1, nat_check_memory(gateway.nat));
        int steps = 0;

        ck_assert(nat_check_begin(gateway.nat, memory));
        while (nat_check_step(gateway.nat, 1 + chance_below(&chance, 40))) {
            if (steps++ < 200)
                happen(&chance);
        }
        nat_check_end(gateway.nat, &report);
        free(memory);
        for (int name = 0; name < NAT_CHECK_COUNT; name++)
            ck_assert_msg(report.wrong[name] == 0, "seed %llu, round %d: %s: %llu",
                          (unsigned long long)chance.seed, round,
                          nat_check_name((enum nat_check_name)name),
                          (unsigned long long)report.first[name]);
        ck_assert_uint_gt(report.sessions, 0);
    }
    nat_review(gateway.nat, gateway.now, 0, NULL);
    policy_free(policy_before);
    policy_before = NULL;
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {a_translator_that_adds_up_is_found_to, 1},
        {only_one_check_runs_at_a_time, 1},
        {each_damage_is_found_and_named, (int)(sizeof(damages) / sizeof(damages[0]))},
        {the_maps_of_the_kernel_are_compared, (int)(sizeof(kernels) / sizeof(kernels[0]))},
        {what_changes_during_the_check_is_no_contradiction, 1},
    };

    return RUN_REPEATED_TESTS("check", NULL, NULL, tests);
}
