/*
 * other_uplink.c - interfaces that lead outside and are not external
 *
 * A gateway with a second way out may send a share's packets there, and nothing translates them:
 * they would leave with private sources, and no answer could come back. So they are dropped. Where
 * the outside is, the routes say (include/netfilter/portreeve/routes.h); networks that are only
 * routed to, such as another internal network or a VPN between two sites, are inside.
 */
#include "other_uplink.h"

static struct other_uplink *find(struct nat *nat, uint32_t interface_index)
{
    for (size_t i = 0; i < nat->other_uplink_count; i++) {
        if (nat->other_uplink[i].interface == interface_index)
            return &nat->other_uplink[i];
    }
    return NULL;
}

struct other_uplink *other_uplink_of(struct nat *nat, const struct packet *packet,
                                     const struct address *source,
                                     const struct address *destination)
{
    if (nat->other_uplink_count == 0 || !policy_must_translate(nat->policy, source, destination) ||
        policy_is_shared(nat->policy, destination))
        return NULL;
    return find(nat, packet->out_interface);
}

void nat_set_other_uplinks(struct nat *nat, const uint32_t *interfaces, size_t count)
{
    struct other_uplink next[NAT_OTHER_UPLINKS_MAX];

    if (count > NAT_OTHER_UPLINKS_MAX)
        count = NAT_OTHER_UPLINKS_MAX;
    for (size_t i = 0; i < count; i++)
        next[i] = (struct other_uplink){interfaces[i], nat_other_uplink_drops(nat, interfaces[i])};
    for (size_t i = 0; i < count; i++)
        nat->other_uplink[i] = next[i];
    nat->other_uplink_count = count;
}

uint64_t nat_other_uplink_drops(const struct nat *nat, uint32_t interface_index)
{
    for (size_t i = 0; i < nat->other_uplink_count; i++) {
        if (nat->other_uplink[i].interface == interface_index)
            return nat->other_uplink[i].dropped;
    }
    return 0;
}
