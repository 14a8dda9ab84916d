/*
 * conntrack_helper.h - a helper of connection tracking that helps nobody
 *
 * Internal to src/netfilter. The kernel's flowtables leave connections with a helper alone
 * (nft_flow_offload_eval: NF_CT_EXT_HELPER). A user-space helper that is disabled accepts every
 * packet and does nothing (nfnl_userspace_cthelper).
 *
 * Helpers are the machine's, not those of a network namespace, and need CAP_NET_ADMIN in the
 * initial user namespace (nfnl_cthelper_new). Several daemons share this one.
 */
#ifndef PORTREEVE_CONNTRACK_HELPER_H
#define PORTREEVE_CONNTRACK_HELPER_H

#include <libmnl/libmnl.h>

#define CONNTRACK_HELPER "portreeve"

/*
 * Registers the helper for TCP and for UDP over IPv4. Returns 0, also if it is there already, or
 * -errno: -EOPNOTSUPP or -EINVAL from a kernel without CONFIG_NF_CT_NETLINK_HELPER, -EPERM.
 */
int conntrack_helper_register(struct mnl_socket *socket);

/*
 * Removes it. Returns 0, or -EBUSY if a ruleset uses it, of this network namespace or another. The
 * kernel releases what a removed rule used a moment later (nf_tables_trans_destroy_work).
 */
int conntrack_helper_remove(struct mnl_socket *socket);

#endif
