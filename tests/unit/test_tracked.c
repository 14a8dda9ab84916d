/*
 * test_tracked.c - which connections of connection tracking are deleted, so that no flowtable has
 * them
 */
#include "support_run.h"

#include "../../src/netfilter/tracked_parse.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#define ADDRESS(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static const uint32_t host = ADDRESS(10, 0, 0, 7), other_host = ADDRESS(10, 0, 0, 8),
                      target = ADDRESS(192, 168, 0, 2), remote = ADDRESS(198, 51, 100, 7),
                      gateway = ADDRESS(10, 0, 0, 1), stranger = ADDRESS(172, 16, 0, 9);

/* A listed connection; what a test does not set is as for TCP from `host` to `remote`. */
struct listed {
    uint32_t source, destination, answer_source, answer_destination;
    uint8_t protocol, family;
    bool helper, no_id, short_address;
    uint16_t zone;
};

static char buffer[1024] __attribute__((aligned(8)));

static void put_tuple(struct nlmsghdr *message, uint16_t type, uint32_t source,
                      uint32_t destination, const struct listed *listed)
{
    struct nlattr *tuple = mnl_attr_nest_start(message, type),
                  *part = mnl_attr_nest_start(message, CTA_TUPLE_IP);

    mnl_attr_put_u32(message, CTA_IP_V4_SRC, htonl(source));
    if (listed->short_address)
        mnl_attr_put_u16(message, CTA_IP_V4_DST, 0);
    else
        mnl_attr_put_u32(message, CTA_IP_V4_DST, htonl(destination));
    mnl_attr_nest_end(message, part);
    part = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, listed->protocol);
    mnl_attr_nest_end(message, part);
    mnl_attr_nest_end(message, tuple);
}

static struct nlmsghdr *build(struct listed listed)
{
    struct nlmsghdr *message;
    struct nfgenmsg *general;

    memset(buffer, 0, sizeof(buffer));
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
    general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
    general->nfgen_family = listed.family != 0 ? listed.family : NFPROTO_IPV4;
    if (listed.protocol == 0)
        listed.protocol = PROTOCOL_TCP;
    if (listed.source == 0)
        listed.source = host;
    if (listed.destination == 0)
        listed.destination = remote;
    put_tuple(message, CTA_TUPLE_ORIG, listed.source, listed.destination, &listed);
    put_tuple(message, CTA_TUPLE_REPLY,
              listed.answer_source != 0 ? listed.answer_source : listed.destination,
              listed.answer_destination != 0 ? listed.answer_destination : listed.source, &listed);
    if (listed.helper) {
        struct nlattr *helper = mnl_attr_nest_start(message, CTA_HELP);

        mnl_attr_put_strz(message, CTA_HELP_NAME, "ftp");
        mnl_attr_nest_end(message, helper);
    }
    if (listed.zone != 0)
        mnl_attr_put_u16(message, CTA_ZONE, htons(listed.zone));
    if (!listed.no_id)
        mnl_attr_put_u32(message, CTA_ID, htonl(17));
    return message;
}

static bool is_deleted(struct listed listed)
{
    const struct prefix sources[] = {{address_from_ipv4(ADDRESS(10, 0, 0, 0)), 96 + 24}};
    const uint32_t targets[] = {ADDRESS(172, 20, 0, 1), target, ADDRESS(192, 168, 0, 3)};
    const struct address own[] = {address_from_ipv4(gateway)};
    const struct tracked_scope scope = {.sources = sources,
                                        .source_count = 1,
                                        .targets = targets,
                                        .target_count = 3,
                                        .own = own,
                                        .own_count = 1};
    struct tracked tracked;

    return tracked_parse(build(listed), &tracked) && tracked_is_in_scope(&tracked, &scope);
}

START_TEST(connections_of_a_share_are_deleted)
{
    ck_assert(is_deleted((struct listed){0}));
    ck_assert(is_deleted((struct listed){.protocol = PROTOCOL_UDP}));
    ck_assert(is_deleted((struct listed){.source = remote, .destination = host}));
}
END_TEST

START_TEST(connections_of_a_forwards_target_are_deleted)
{
    ck_assert(is_deleted((struct listed){.source = remote, .destination = target}));
    ck_assert(is_deleted((struct listed){.source = target, .destination = remote}));
    ck_assert(is_deleted((struct listed){.source = stranger, .destination = target}));
}
END_TEST

START_TEST(connections_of_others_stay)
{
    ck_assert(!is_deleted((struct listed){.source = stranger, .destination = remote}));
    ck_assert(!is_deleted((struct listed){.protocol = PROTOCOL_ICMP}));
    ck_assert(!is_deleted((struct listed){.source = host, .destination = other_host}));
    ck_assert(!is_deleted((struct listed){.source = host, .destination = gateway}));
    ck_assert(!is_deleted((struct listed){.source = gateway, .destination = target}));
}
END_TEST

START_TEST(a_connection_with_a_helper_stays)
{
    ck_assert(!is_deleted((struct listed){.helper = true}));
}
END_TEST

START_TEST(a_connection_that_the_kernel_translates_stays)
{
    ck_assert(!is_deleted((struct listed){.answer_destination = ADDRESS(203, 0, 113, 5)}));
    ck_assert(!is_deleted((struct listed){
        .source = remote, .destination = ADDRESS(203, 0, 113, 5), .answer_source = target}));
}
END_TEST

START_TEST(the_zone_and_the_id_name_the_connection)
{
    struct tracked tracked;

    ck_assert(tracked_parse(build((struct listed){.zone = 5}), &tracked));
    ck_assert_uint_eq(ntohs(mnl_attr_get_u16(tracked.zone)), 5);
    ck_assert_uint_eq(ntohl(mnl_attr_get_u32(tracked.id)), 17);
    ck_assert_uint_eq(mnl_attr_get_type(tracked.tuple), CTA_TUPLE_ORIG);
    ck_assert(tracked_parse(build((struct listed){0}), &tracked));
    ck_assert_ptr_null(tracked.zone);
}
END_TEST

START_TEST(what_lacks_something_is_not_a_connection)
{
    struct tracked tracked;
    struct nlmsghdr *message;

    ck_assert(!tracked_parse(build((struct listed){.family = NFPROTO_IPV6}), &tracked));
    ck_assert(!tracked_parse(build((struct listed){.no_id = true}), &tracked));
    ck_assert(!tracked_parse(build((struct listed){.short_address = true}), &tracked));
    message = build((struct listed){0});
    message->nlmsg_type++;
    ck_assert(!tracked_parse(message, &tracked));
    message = build((struct listed){0});
    message->nlmsg_len = sizeof(*message) + 2;
    ck_assert(!tracked_parse(message, &tracked));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        connections_of_a_share_are_deleted,
        connections_of_a_forwards_target_are_deleted,
        connections_of_others_stay,
        a_connection_with_a_helper_stays,
        a_connection_that_the_kernel_translates_stays,
        the_zone_and_the_id_name_the_connection,
        what_lacks_something_is_not_a_connection,
    };

    return RUN_TESTS("tracked", tests);
}
