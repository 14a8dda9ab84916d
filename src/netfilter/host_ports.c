/*
 * host_ports.c - the ports that the gateway's own sockets use, listed with sock_diag
 */
#include "portreeve/host_ports.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

/*
 * One bit per state (include/net/tcp_states.h). A socket in time-wait does not prevent others from
 * using its port. Since Linux 6.8, sockets that are bound and neither listen nor connect have a bit
 * of their own (TCP_BOUND_INACTIVE).
 */
#define STATE_TIME_WAIT  6
#define ALL_BUT_TIMEWAIT (~(1u << STATE_TIME_WAIT))

struct listing {
    host_socket_each *each;
    void *context;
    uint8_t protocol;
};

struct v6only {
    bool known, set;
};

static int take_v6only(const struct nlattr *attribute, void *context)
{
    struct v6only *v6only = context;

    if (mnl_attr_get_type(attribute) == INET_DIAG_SKV6ONLY) {
        v6only->known = true;
        v6only->set = mnl_attr_get_u8(attribute) != 0;
    }
    return MNL_CB_OK;
}

/* Converts the kernel's source address; IPv6 addresses already have the 16-byte form. */
static struct address local_address(const struct inet_diag_msg *socket)
{
    struct address address;

    if (socket->idiag_family == AF_INET)
        return address_from_ipv4(ntohl(socket->id.idiag_src[0]));
    memcpy(address.bytes, socket->id.idiag_src, sizeof(address.bytes));
    return address;
}

static bool is_any(const struct address *address)
{
    const struct address any = {0};

    return address_equal(address, &any);
}

/*
 * True if an IPv4 packet from outside can reach the socket. An IPv6 socket receives IPv4 if it is
 * bound to a mapped address, or to all addresses and is not v6only (the kernel says so only about
 * sockets that are not connected).
 */
static bool receives_ipv4(const struct nlmsghdr *message, const struct inet_diag_msg *socket)
{
    struct address address = local_address(socket);
    struct v6only v6only = {0};

    if (address_is_ipv4(&address))
        return address_to_ipv4(&address) >> 24 != 127;
    if (!is_any(&address))
        return false;
    (void)mnl_attr_parse(message, sizeof(*socket), take_v6only, &v6only);
    return !v6only.known || !v6only.set;
}

static int take_socket(const struct nlmsghdr *message, void *context)
{
    const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
    const struct listing *listing = context;
    struct host_socket found = {.protocol = listing->protocol};

    if (mnl_nlmsg_get_payload_len(message) < sizeof(*socket))
        return MNL_CB_OK;
    found.port = ntohs(socket->id.idiag_sport);
    if (found.port == 0 || !receives_ipv4(message, socket))
        return MNL_CB_OK;
    found.is_connected = socket->id.idiag_dport != 0;
    found.address = local_address(socket);
    found.takes_any_address =
        is_any(&found.address) ||
        (address_is_ipv4(&found.address) && address_to_ipv4(&found.address) == INADDR_ANY);
    found.user = socket->idiag_uid;
    found.inode = socket->idiag_inode;
    listing->each(listing->context, &found);
    return MNL_CB_OK;
}

/*
 * A dump that was disturbed by other sockets (-EINTR) has still listed every socket that existed
 * during the whole dump.
 */
static int list_sockets(struct mnl_socket *netlink, uint8_t family, struct listing *listing)
{
    char buffer[NETLINK_REQUEST] __attribute__((aligned(8))) = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct inet_diag_req_v2 *request;
    int result;

    message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
    request->sdiag_family = family;
    request->sdiag_protocol = listing->protocol;
    request->idiag_states = ALL_BUT_TIMEWAIT;
    result = netlink_ask(netlink, message, take_socket, listing);
    return result == -EINTR ? 0 : result;
}

static int list_all(struct mnl_socket *netlink, struct listing *listing, struct error *error)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < 2 * PROTOCOL_PORTS_COUNT; i++) {
        int result;

        listing->protocol = protocol_table[i / 2].number;
        result = list_sockets(netlink, families[i % 2], listing);
        /*
         * -ENOENT: a kernel without IPv6 has no IPv6 sockets, but one without a diag module for
         * IPv4 cannot answer.
         */
        if (result == -ENOENT && families[i % 2] == AF_INET6)
            continue;
        if (result < 0) {
            error_set(
                error, "cannot list the gateway's %s sockets: %s", protocol_name(listing->protocol),
                result == -ENOENT ? "this kernel has no CONFIG_INET_DIAG or CONFIG_INET_UDP_DIAG"
                                  : strerror(-result));
            return result;
        }
    }
    return 0;
}

int host_ports_in_use(host_socket_each *each, void *context, struct error *error)
{
    struct listing listing = {.each = each, .context = context};
    struct mnl_socket *netlink;
    int result = netlink_open(&netlink, NETLINK_SOCK_DIAG, 0, "the gateway's sockets", error);

    if (result < 0)
        return result;
    result = list_all(netlink, &listing, error);
    mnl_socket_close(netlink);
    return result;
}
