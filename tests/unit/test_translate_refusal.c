/*
 * test_translate_refusal.c - who is told that a limit refused a packet, and how
 */
#include "support.h"

#include "portreeve/icmp.h"

#include <string.h>

static struct gateway gateway;

static void start_with_a_pool_of_one(void)
{
    struct policy *policy = policy_new();

    ck_assert_ptr_nonnull(policy);
    policy_limits(policy)->sessions = 64;
    policy_limits(policy)->sessions_per_host = 64;
    add_share(policy, "lab", "10.0.0.0/24", 50000, 50000, FILTERING_ADDRESS_DEPENDENT);
    gateway_start(&gateway, policy);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
}

START_TEST(rfc5508_req8_a_host_whose_pool_is_dry_is_told)
{
    struct sample sample;

    start_with_a_pool_of_one();
    make_udp(&sample, "10.0.0.6:1", REMOTE ":53", 10);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_POOL_DRY);
    ck_assert(sample.packet.send_refusal);
    ck_assert_uint_eq(gateway.nat->counters.refusals_sent, 1);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_host_that_reached_its_limit_is_told)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);
    struct sample sample;

    policy_limits(policy)->sessions_per_host = 1;
    gateway_start(&gateway, policy);
    ck_assert_ptr_nonnull(udp_out(&gateway, "10.0.0.5:1", REMOTE ":53"));
    make_tcp(&sample, "10.0.0.5:2", REMOTE ":80", TCP_SYN);
    ck_assert_int_eq(leave(&gateway, &sample), DROP_HOST_LIMIT);
    ck_assert(sample.packet.send_refusal);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(nobody_outside_is_told_anything)
{
    struct sample sample;

    start_with_a_pool_of_one();
    make_udp(&sample, REMOTE ":99", EXTERNAL ":50000", 10);
    arrive(&gateway, &sample);
    make_udp(&sample, "192.0.2.1:99", EXTERNAL ":50000", 10);
    ck_assert_int_eq(arrive(&gateway, &sample), DROP_FILTERED);
    ck_assert(!sample.packet.send_refusal);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(an_icmp_error_is_never_answered_with_another)
{
    struct sample quoted, sample;

    start_with_a_pool_of_one();
    make_udp(&quoted, REMOTE ":53", "10.0.0.6:1", 10);
    make_icmp_error(&sample, "10.0.0.6", REMOTE, ICMP_DESTINATION_UNREACHABLE, 3, &quoted, 8);
    ck_assert_int_ne(leave(&gateway, &sample), DROP_NONE);
    ck_assert(!sample.packet.send_refusal);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(refusals_are_told_a_hundred_times_a_second_at_most)
{
    struct sample sample;
    int told = 0;

    start_with_a_pool_of_one();
    for (int second = 0; second < 3; second++, gateway.now += 1000) {
        for (int i = 0; i < 1000; i++) {
            make_udp(&sample, "10.0.0.6:1", REMOTE ":53", 10);
            ck_assert_int_eq(leave(&gateway, &sample), DROP_POOL_DRY);
            told += sample.packet.send_refusal;
        }
    }
    ck_assert_int_eq(told, 300);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(a_refusal_says_3_13_and_quotes_the_packet)
{
    uint8_t message[ICMP_REFUSAL_MAX];
    struct sample sample;
    size_t length;

    for (size_t payload = 0; payload < 1400; payload += 7) {
        size_t quoted;

        make_udp(&sample, "10.0.0.6:1", REMOTE ":53", payload);
        quoted = sample.packet.length < 548 ? sample.packet.length : 548;
        length = icmp_write_refusal(&sample.packet, message);
        ck_assert_uint_eq(length, 8 + quoted);
        ck_assert_uint_eq(message[0], 3);
        ck_assert_uint_eq(message[1], 13);
        ck_assert_uint_eq(get32(message + 4), 0);
        ck_assert_mem_eq(message + 8, sample.bytes, quoted);
        ck_assert(icmp_checksum_is_right(message, length));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rfc5508_req8_a_host_whose_pool_is_dry_is_told,
        a_host_that_reached_its_limit_is_told,
        nobody_outside_is_told_anything,
        an_icmp_error_is_never_answered_with_another,
        refusals_are_told_a_hundred_times_a_second_at_most,
        a_refusal_says_3_13_and_quotes_the_packet,
    };

    return RUN_TESTS("translate refusal", tests);
}
