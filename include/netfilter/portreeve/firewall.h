/*
 * firewall.h - whether other programs' nf_tables rules let a forwarded packet pass
 *
 * All base chains of type filter at the forward hook are followed, as the kernel would follow them
 * for one packet, but our own. A match that cannot be told (a set, a limit, an xt match) may match
 * or not; then the answer may be open. Rules of iptables-legacy are not in nf_tables.
 */
#ifndef PORTREEVE_FIREWALL_H
#define PORTREEVE_FIREWALL_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

#include <net/if.h>

/* A packet at the forward hook, translated. */
struct firewall_packet {
    char in[IF_NAMESIZE], out[IF_NAMESIZE];
    uint32_t in_index, out_index;
    uint8_t protocol;         /* with ports */
    struct endpoint from, to; /* IPv4; port 0: any */
    bool is_answer;           /* of a connection that has begun */
};

enum firewall_fate {
    FIREWALL_PASSES,
    FIREWALL_DROPS,
    FIREWALL_UNCLEAR,
};

#define FIREWALL_NAME_MAX 64

struct firewall_answer {
    enum firewall_fate fate;
    /* not of FIREWALL_PASSES: what drops it, or may; names are cut and another program's */
    const char *family; /* as nft writes it */
    char table[FIREWALL_NAME_MAX], chain[FIREWALL_NAME_MAX];
    uint64_t rule; /* its handle; 0: the policy of the chain */
};

/* Lists all rules of the host. Returns 0, or -errno and a sentence. */
int firewall_judge(const struct firewall_packet *packet, struct firewall_answer *answer,
                   struct error *error);

#endif
