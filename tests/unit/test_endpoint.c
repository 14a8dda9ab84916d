/*
 * test_endpoint.c - addresses, prefixes, tuples
 */
#include "support_run.h"

#include "portreeve/endpoint.h"
#include "portreeve/text.h"

#include <stdlib.h>

static struct address address(const char *text)
{
    struct address parsed;

    ck_assert_msg(text_parse_address(text, &parsed), "%s", text);
    return parsed;
}

static struct prefix prefix(const char *text)
{
    struct prefix parsed;

    ck_assert_msg(text_parse_prefix(text, &parsed), "%s", text);
    return parsed;
}

START_TEST(an_ipv4_address_is_held_in_its_mapped_form)
{
    static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 5};
    struct address held = address_from_ipv4(0xcb007105);

    ck_assert_mem_eq(held.bytes, mapped, sizeof(mapped));
    ck_assert(address_is_ipv4(&held));
    ck_assert_uint_eq(address_to_ipv4(&held), 0xcb007105);
}
END_TEST

START_TEST(an_ipv6_address_is_not_ipv4)
{
    struct address ipv6 = address("2001:db8::1"), compatible = address("::1.2.3.4");

    ck_assert(!address_is_ipv4(&ipv6));
    ck_assert(!address_is_ipv4(&compatible));
}
END_TEST

START_TEST(an_inverse_exchanges_the_ends_and_its_inverse_is_the_tuple)
{
    struct tuple tuple = {
        .source = {address("10.0.0.7"), 40000},
        .destination = {address("198.51.100.1"), 443},
        .protocol = PROTOCOL_TCP,
    };
    struct tuple inverse = tuple_inverse(&tuple), again = tuple_inverse(&inverse);

    ck_assert(endpoint_equal(&inverse.source, &tuple.destination));
    ck_assert(endpoint_equal(&inverse.destination, &tuple.source));
    ck_assert_uint_eq(inverse.protocol, PROTOCOL_TCP);
    ck_assert(!tuple_equal(&tuple, &inverse));
    ck_assert(tuple_equal(&tuple, &again));
}
END_TEST

START_TEST(endpoints_differ_by_address_and_by_port)
{
    struct endpoint one = {address("10.0.0.7"), 80}, port = one, host = one;

    port.port = 81;
    host.address = address("10.0.0.8");
    ck_assert(endpoint_equal(&one, &one));
    ck_assert(!endpoint_equal(&one, &port));
    ck_assert(!endpoint_equal(&one, &host));
    ck_assert(!address_equal(&one.address, &host.address));
}
END_TEST

static const struct {
    const char *prefix, *address;
    bool inside;
} containment[] = {
    {"10.0.0.0/24", "10.0.0.0", true},
    {"10.0.0.0/24", "10.0.0.255", true},
    {"10.0.0.0/24", "10.0.1.0", false},
    {"10.0.0.0/24", "9.255.255.255", false},
    {"10.0.0.128/25", "10.0.0.127", false},
    {"10.0.0.128/25", "10.0.0.128", true},
    {"10.0.0.6/31", "10.0.0.7", true},
    {"10.0.0.6/31", "10.0.0.8", false},
    {"10.0.0.7", "10.0.0.7", true},
    {"10.0.0.7", "10.0.0.6", false},
    {"0.0.0.0/0", "255.255.255.255", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "10.0.0.1", true},
    {"2001:db8::/33", "2001:db8:7fff::", true},
    {"2001:db8::/33", "2001:db8:8000::", false},
};

START_TEST(a_prefix_contains_what_begins_with_its_bits)
{
    struct prefix network = prefix(containment[_i].prefix);
    struct address host = address(containment[_i].address);

    ck_assert_msg(prefix_contains(&network, &host) == containment[_i].inside, "%s in %s",
                  containment[_i].address, containment[_i].prefix);
}
END_TEST

START_TEST(protocols_have_names_and_unknown_ones_a_question_mark)
{
    ck_assert_str_eq(protocol_name(PROTOCOL_TCP), "tcp");
    ck_assert_str_eq(protocol_name(PROTOCOL_UDP), "udp");
    ck_assert_str_eq(protocol_name(PROTOCOL_ICMP), "icmp");
    ck_assert_str_eq(protocol_name(47), "?");
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {an_ipv4_address_is_held_in_its_mapped_form, 1},
        {an_ipv6_address_is_not_ipv4, 1},
        {an_inverse_exchanges_the_ends_and_its_inverse_is_the_tuple, 1},
        {endpoints_differ_by_address_and_by_port, 1},
        {a_prefix_contains_what_begins_with_its_bits, sizeof(containment) / sizeof(containment[0])},
        {protocols_have_names_and_unknown_ones_a_question_mark, 1},
    };

    return RUN_REPEATED_TESTS("endpoint", NULL, NULL, tests);
}
