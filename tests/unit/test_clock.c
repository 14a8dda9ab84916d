/*
 * test_clock.c - times are stored in 32 bits: nothing may notice when they wrap around
 */
#include "support.h"

#define WRAP (UINT64_C(1) << 32) /* milliseconds; 49 days and 17 hours */
#define HOUR UINT64_C(3600000)

static struct gateway gateway;

static struct session_view the_session(void)
{
    struct session_view view;

    ck_assert(find_view(&gateway, "10.0.0.5:1", REMOTE ":443", &view));
    return view;
}

static void start_before_the_wrap(uint64_t milliseconds)
{
    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
    gateway_wait(&gateway, WRAP - milliseconds - gateway.now);
}

START_TEST(a_session_expires_to_the_millisecond_across_the_wrap)
{
    for (uint64_t before = 0; before <= 300001; before += 100000) {
        start_before_the_wrap(before);
        udp_out(&gateway, "10.0.0.5:1", REMOTE ":443");
        for (int part = 0; part < 3; part++) {
            gateway_wait(&gateway, 99999);
            ck_assert_uint_eq(the_session().idle_ms, (uint64_t)(part + 1) * 99999);
        }
        gateway_wait(&gateway, 2);
        ck_assert_uint_eq(the_session().expires_in_ms, 1);
        gateway_wait(&gateway, 1000); /* the wheel looks once a second */
        ck_assert_uint_eq(gateway.nat->table.live, 0);
        gateway_stop(&gateway);
    }
}
END_TEST

START_TEST(a_session_that_lives_for_months_knows_its_age)
{
    const char *external;
    uint64_t age = 0;

    gateway_start(&gateway, lab_policy(FILTERING_ADDRESS_DEPENDENT));
    external = tcp_connect(&gateway, "10.0.0.5:1", REMOTE ":443");
    for (; age < 3 * WRAP; age += 2 * HOUR) {
        struct session_view view = the_session();

        ck_assert_uint_le(view.age_ms, age);
        ck_assert_uint_gt(view.age_ms + 64, age);
        gateway_wait(&gateway, 2 * HOUR);
        ck_assert_int_eq(tcp_in(&gateway, REMOTE ":443", external, TCP_ACK), DROP_NONE);
    }
    gateway_wait(&gateway, 7439 * 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 2000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

START_TEST(the_longest_timeout_is_kept)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    policy_timeouts(policy)->udp = LONGEST_TIMEOUT;
    gateway_start(&gateway, policy);
    udp_out(&gateway, "10.0.0.5:1", REMOTE ":443");
    gateway_wait(&gateway, LONGEST_TIMEOUT * UINT64_C(1000) - 1000);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_wait(&gateway, 2000);
    ck_assert_uint_eq(gateway.nat->table.live, 0);
    gateway_stop(&gateway);
}
END_TEST

/* Workers read the clock before they take the lock. */
START_TEST(a_worker_whose_clock_was_read_earlier_ends_no_session)
{
    start_before_the_wrap(0);
    udp_out(&gateway, "10.0.0.5:1", REMOTE ":443");
    gateway.now -= 3;
    ck_assert_uint_eq(the_session().idle_ms, 0);
    ck_assert_uint_eq(the_session().age_ms, 0);
    nat_tick(gateway.nat, gateway.now, 0);
    ck_assert_uint_eq(gateway.nat->table.live, 1);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_session_expires_to_the_millisecond_across_the_wrap,
        a_session_that_lives_for_months_knows_its_age,
        the_longest_timeout_is_kept,
        a_worker_whose_clock_was_read_earlier_ends_no_session,
    };

    return RUN_TESTS("clock", tests);
}
