/*
 * fuzz_tracked.c - any netlink message as a connection of connection tracking
 */
#include "../../src/netfilter/tracked_parse.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void parse(const struct nlmsghdr *message)
{
    const struct prefix sources[] = {{address_from_ipv4(0x0a000000), 96 + 8}};
    const uint32_t targets[] = {0, 0x0a000001, 0xc0a80001};
    const struct address own[] = {address_from_ipv4(0x0a000001)};
    const struct tracked_scope scope = {.sources = sources,
                                        .source_count = 1,
                                        .targets = targets,
                                        .target_count = 3,
                                        .own = own,
                                        .own_count = 1};
    struct tracked tracked;

    if (!tracked_parse(message, &tracked))
        return;
    must(mnl_attr_get_payload_len(tracked.id) == sizeof(uint32_t));
    must((const char *)tracked.tuple + tracked.tuple->nla_len <=
         (const char *)message + message->nlmsg_len);
    if (tracked_is_in_scope(&tracked, &scope))
        must(!tracked.has_helper && tracked.source == tracked.answer_destination);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct nfgenmsg general = {.nfgen_family = NFPROTO_IPV4};
    struct nlmsghdr *message;

    if (size > MESSAGE_MAX)
        return 0;
    /* No byte more than a message has, which the kernel pads to 4: ASan looks. */
    message = calloc(1, (sizeof(*message) + sizeof(general) + size + 3) / 4 * 4);
    must(message != NULL);
    *message = (struct nlmsghdr){.nlmsg_len = (uint32_t)(sizeof(*message) + sizeof(general) + size),
                                 .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW};
    memcpy((char *)message + sizeof(*message), &general, sizeof(general));
    if (size > 0)
        memcpy((char *)message + sizeof(*message) + sizeof(general), data, size);
    parse(message);
    free(message);
    return 0;
}
