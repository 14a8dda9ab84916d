/*
 * test_neighbours.c - which flowtables of other programs are in our way (rules: tests/e2e/
 * test_notices.py, on the kernel itself)
 */
#include "support_run.h"

#include "../../src/netfilter/neighbours_parse.h"

#include <libnftnl/common.h>
#include <libnftnl/flowtable.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

/* A flowtable as the kernel lists it. */
static bool found(uint8_t family, const char **devices, struct neighbour *flowtable)
{
    static char buffer[1024] __attribute__((aligned(8)));
    struct nftnl_flowtable *listed = nftnl_flowtable_alloc();
    struct nlmsghdr *message = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_NEWFLOWTABLE, family, 0, 1);

    ck_assert_ptr_nonnull(listed);
    nftnl_flowtable_set_str(listed, NFTNL_FLOWTABLE_TABLE, "fw");
    nftnl_flowtable_set_str(listed, NFTNL_FLOWTABLE_NAME, "fast");
    nftnl_flowtable_set_u32(listed, NFTNL_FLOWTABLE_HOOKNUM, 0);
    nftnl_flowtable_set_u32(listed, NFTNL_FLOWTABLE_PRIO, 0);
    nftnl_flowtable_set_data(listed, NFTNL_FLOWTABLE_DEVICES, devices, 0);
    nftnl_flowtable_nlmsg_build_payload(message, listed);
    nftnl_flowtable_free(listed);
    return neighbours_parse_flowtable(message, flowtable);
}

START_TEST(a_flowtable_is_found_with_its_table)
{
    const char *devices[] = {"lan0", "wan0", NULL};
    struct neighbour flowtable;

    ck_assert(found(NFPROTO_INET, devices, &flowtable));
    ck_assert_int_eq(flowtable.kind, NEIGHBOUR_FLOWTABLE);
    ck_assert_uint_eq(flowtable.family, NFPROTO_INET);
    ck_assert_str_eq(flowtable.table, "fw");
    ck_assert_str_eq(flowtable.name, "fast");
}
END_TEST

/* What arrives by an interface of the flowtable may leave by any other. */
START_TEST(a_flowtable_of_any_interface_is_found)
{
    const char *devices[] = {"lan0", NULL}, *none[] = {NULL};
    struct neighbour flowtable;

    ck_assert(found(NFPROTO_IPV4, devices, &flowtable));
    ck_assert(!found(NFPROTO_IPV4, none, &flowtable));
}
END_TEST

START_TEST(a_flowtable_for_ipv6_is_not)
{
    const char *devices[] = {"wan0", NULL};
    struct neighbour flowtable;

    ck_assert(!found(NFPROTO_IPV6, devices, &flowtable));
    ck_assert(found(NFPROTO_IPV4, devices, &flowtable));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_flowtable_is_found_with_its_table,
        a_flowtable_of_any_interface_is_found,
        a_flowtable_for_ipv6_is_not,
    };

    return RUN_TESTS("neighbours", tests);
}
