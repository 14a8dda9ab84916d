/*
 * support_twin.c - the naive NAT's lists, and what it says to a packet
 */
#include "support_twin_packet.h"

#include <string.h>

/* The lists. */

static void add_talk(struct twin *twin, struct talk talk)
{
    ck_assert_uint_lt(twin->talks, TWIN_MAX);
    twin->talk[twin->talks++] = talk;
}

static bool is_knock(const struct talk *talk)
{
    return !talk->hairpin && twin_is_external(talk->far.ip);
}

/* Forgets that `inside` has knocked at this external endpoint, if it has. */
static void remove_knock(struct twin *twin, uint8_t protocol, struct spot inside, struct spot at)
{
    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (is_knock(talk) && talk->protocol == protocol && twin_same(talk->inside, inside) &&
            twin_same(talk->far, at)) {
            twin->talk[i] = twin->talk[--twin->talks];
            return;
        }
    }
}

static const struct door *door_of(const struct twin *twin, uint8_t protocol, struct spot inside)
{
    for (size_t i = 0; i < twin->doors; i++) {
        if (twin->door[i].protocol == protocol && twin_same(twin->door[i].inside, inside))
            return &twin->door[i];
    }
    return NULL;
}

static const struct door *door_at(const struct twin *twin, uint8_t protocol, struct spot outside)
{
    for (size_t i = 0; i < twin->doors; i++) {
        if (twin->door[i].protocol == protocol && twin_same(twin->door[i].outside, outside))
            return &twin->door[i];
    }
    return NULL;
}

static uint32_t *external_of(struct twin *twin, uint32_t host)
{
    for (size_t i = 0; i < twin->pairs; i++) {
        if (twin->pair[i].host == host)
            return &twin->pair[i].external;
    }
    ck_assert_uint_lt(twin->pairs, 256);
    twin->pair[twin->pairs].host = host;
    twin->pair[twin->pairs].external = 0;
    return &twin->pair[twin->pairs++].external;
}

static void complain(struct twin *twin, bool condition, const char *complaint)
{
    if (!condition)
        twin->complaint = complaint;
}

/* What the real one shows as the packet's source. */
static struct spot shown_source(const struct packet *real, uint8_t protocol)
{
    size_t header = (size_t)(real->data[0] % 16) * 4, port = protocol == PROTOCOL_ICMP ? 4 : 0;

    return (struct spot){get32(real->data + 12), get16(real->data + header + port)};
}

/* Is this a choice that the real one may have made for this host? Remembers the address. */
static void learn_address(struct twin *twin, struct spot inside, struct spot chosen)
{
    uint32_t *external = external_of(twin, inside.ip);

    complain(twin, twin_is_external(chosen.ip), "the external address is none");
    complain(twin, *external == 0 || *external == chosen.ip, "a host has two external addresses");
    *external = chosen.ip;
}

static void learn_door(struct twin *twin, uint8_t protocol, struct spot inside, struct spot chosen)
{
    const struct twin_share *share = twin_share_of(inside.ip);

    learn_address(twin, inside, chosen);
    complain(twin, share != NULL && chosen.port >= share->first && chosen.port <= share->last,
             "the port is not in the pool");
    complain(twin, twin_forward_at(protocol, chosen.port) == NULL, "the port is a forward's");
    complain(twin, door_at(twin, protocol, chosen) == NULL, "the port is taken");
    for (size_t i = 0; i < twin->rest; i++)
        complain(twin,
                 twin->resting[i].protocol != protocol ||
                     !twin_same(twin->resting[i].outside, chosen),
                 "the port is to rest");
    ck_assert_uint_lt(twin->doors, TWIN_MAX);
    twin->door[twin->doors++] = (struct door){protocol, inside, chosen};
}

void twin_forget(struct twin *twin)
{
    twin->rest = 0;
    for (size_t i = 0; i < twin->doors; i++) {
        if (twin->door[i].protocol !=
            PROTOCOL_TCP) /* whether it had been closed in order is not known here */
            twin->resting[twin->rest++] = twin->door[i];
    }
    twin->talks = twin->doors = 0;
}

/* Would these two meet in another talk, so that the host could not tell them apart? */
static bool collides(const struct twin *twin, uint8_t protocol, struct spot inside, struct spot far)
{
    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->protocol != protocol || is_knock(talk))
            continue;
        if (twin_same(talk->inside, inside) &&
            twin_same(talk->hairpin ? talk->far_outside : talk->seen, far))
            return true;
        if (twin_same(talk->far, inside) && twin_same(talk->outside, far))
            return true;
    }
    return false;
}

/*
 * Only the real one knows which connections are closed. It says that this one was, and that is
 * believed of TCP.
 */
static void remove_closed(struct twin *twin, uint8_t protocol, struct spot inside, struct spot far)
{
    complain(twin, protocol == PROTOCOL_TCP, "what was in the way was no closed connection");
    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->protocol == protocol && twin_same(talk->inside, inside) &&
            twin_same(talk->hairpin ? talk->far_outside : talk->seen, far))
            twin->talk[i--] = twin->talk[--twin->talks];
    }
}

/* From inside to outside. */

static enum drop_reason may_open(const struct header *header)
{
    if (header->protocol == PROTOCOL_TCP && (header->l4[13] & 0x17) != 0x02)
        return DROP_NOT_SYN;
    if (header->protocol == PROTOCOL_ICMP && !twin_asks(header->type))
        return DROP_ICMP_NO_SESSION;
    return DROP_NONE;
}

static bool has_talk(const struct twin *twin, uint8_t protocol, struct spot outside,
                     struct spot far)
{
    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->protocol == protocol && !talk->hairpin && twin_same(talk->far, far) &&
            twin_same(talk->outside, outside))
            return true;
    }
    return false;
}

static enum drop_reason open_outbound(struct twin *twin, const struct header *header,
                                      const struct packet *real, struct spot *outside)
{
    uint16_t forwarded = twin_forward_port_of(header->protocol, header->source);
    const struct door *door = door_of(twin, header->protocol, header->source);

    if (forwarded != 0) {
        *outside = (struct spot){*external_of(twin, header->source.ip), forwarded};
        if (has_talk(twin, header->protocol, *outside, header->destination))
            return DROP_TUPLE_COLLISION;
        outside->ip = get32(real->data + 12);
        learn_address(twin, header->source, *outside);
    } else if (door != NULL) {
        *outside = door->outside;
    } else {
        *outside = shown_source(real, header->protocol);
        learn_door(twin, header->protocol, header->source, *outside);
    }
    add_talk(twin, (struct talk){header->protocol,
                                 false,
                                 true,
                                 header->source,
                                 *outside,
                                 header->destination,
                                 {0, 0},
                                 header->destination});
    return DROP_NONE;
}

static bool second_pass(struct twin *twin, struct packet *packet, struct header *header)
{
    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];
        bool forth =
            twin_same(talk->inside, header->source) && twin_same(talk->far, header->destination);
        bool back =
            twin_same(talk->far, header->source) && twin_same(talk->inside, header->destination);

        if (!talk->hairpin || talk->protocol != header->protocol || (!forth && !back))
            continue;
        twin_set_end(packet, header, true, forth ? talk->outside : talk->far_outside);
        packet->transit = false;
        packet->verdict = VERDICT_REWRITTEN;
        twin->packets[HOOK_OUTBOUND]++;
        twin->bytes[HOOK_OUTBOUND] += header->total;
        twin->counted = true;
        return true;
    }
    return false;
}

static enum drop_reason outbound(struct twin *twin, struct packet *packet, struct header *header,
                                 const struct packet *real)
{
    struct spot outside = {0, 0}, far = header->destination;
    enum drop_reason reason;

    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->protocol == header->protocol && !talk->hairpin &&
            twin_same(talk->inside, header->source) && twin_same(talk->seen, header->destination))
            outside = talk->outside, far = talk->far;
    }
    if (outside.ip == 0 && second_pass(twin, packet, header))
        return DROP_NONE;
    if (outside.ip == 0) {
        if (packet->out_interface != WAN ||
            (twin_share_of(header->source.ip) == NULL &&
             twin_forward_port_of(header->protocol, header->source) == 0)) {
            packet->verdict = VERDICT_ACCEPT;
            return DROP_NONE;
        }
        reason = may_open(header);
        if (reason == DROP_NONE)
            reason = open_outbound(twin, header, real, &outside);
        if (reason != DROP_NONE)
            return reason;
    }
    twin_set_end(packet, header, true, outside);
    if (!twin_same(far, header->destination))
        twin_set_end(packet, header, false, far);
    packet->verdict = VERDICT_REWRITTEN;
    return DROP_NONE;
}

/* From outside to inside, and from inside to the external address. */

static bool admitted(const struct twin *twin, const struct door *door, struct spot remote)
{
    enum filtering filtering = twin_share_of(door->inside.ip)->filtering;

    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];
        struct spot far = talk->hairpin ? talk->far_outside : talk->far;

        if (talk->protocol == door->protocol && talk->opened_inside &&
            twin_same(talk->outside, door->outside) &&
            (filtering == FILTERING_ADDRESS_DEPENDENT ? far.ip == remote.ip
                                                      : twin_same(far, remote)))
            return true;
    }
    return filtering == FILTERING_ENDPOINT_INDEPENDENT;
}

/* Who is behind the external endpoint. */
static enum drop_reason behind(const struct twin *twin, const struct header *header,
                               struct spot remote, struct spot *inside)
{
    const struct twin_forward *forward =
        twin_forward_at(header->protocol, header->destination.port);
    const struct door *door = door_at(twin, header->protocol, header->destination);

    if (forward != NULL) {
        *inside =
            (struct spot){forward->to.ip,
                          (uint16_t)(forward->to.port + header->destination.port - forward->first)};
        return (header->source.ip & forward->allow_mask) == forward->allow ? DROP_NONE
                                                                           : DROP_NOT_ALLOWED;
    }
    if (door == NULL)
        return DROP_NO_SESSION;
    *inside = door->inside;
    return admitted(twin, door, remote) ? DROP_NONE : DROP_FILTERED;
}

/* Do these two speak by other external endpoints already? The second pass could not tell which. */
static bool has_hairpin(const struct twin *twin, uint8_t protocol, struct spot one,
                        struct spot other)
{
    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->hairpin && talk->protocol == protocol &&
            ((twin_same(talk->inside, one) && twin_same(talk->far, other)) ||
             (twin_same(talk->inside, other) && twin_same(talk->far, one))))
            return true;
    }
    return false;
}

/* What the caller is seen as; it may get its door only now. */
static struct spot caller_outside(struct twin *twin, const struct header *header)
{
    uint16_t forwarded = twin_forward_port_of(header->protocol, header->source);
    const struct door *door = door_of(twin, header->protocol, header->source);
    uint32_t *external = external_of(twin, header->source.ip);

    if (*external == 0) /* its first packet; the real one knows where it belongs, unless it refuses
                           the packet at once */
        *external = twin->peek(twin->context, header->protocol, header->source).ip;
    if (forwarded != 0)
        return (struct spot){*external, forwarded};
    return door != NULL ? door->outside : (struct spot){*external, 0};
}

static enum drop_reason open_hairpin(struct twin *twin, const struct header *header,
                                     struct spot *inside)
{
    struct spot outside = caller_outside(twin, header);
    enum drop_reason reason = behind(twin, header, outside, inside);
    bool knocks = reason == DROP_FILTERED;

    if (reason != DROP_NONE && !knocks)
        return reason;
    if (!knocks && (has_hairpin(twin, header->protocol, header->source, *inside) ||
                    (outside.port != 0 && collides(twin, header->protocol, *inside, outside))))
        return DROP_TUPLE_COLLISION;
    if (outside.port == 0) {
        outside = twin->peek(twin->context, header->protocol, header->source);
        learn_door(twin, header->protocol, header->source, outside);
    }
    remove_knock(twin, header->protocol, header->source, header->destination);
    if (!knocks)
        remove_knock(twin, header->protocol, *inside, outside);
    add_talk(twin, (struct talk){header->protocol, !knocks, true, header->source, outside,
                                 knocks ? header->destination : *inside, header->destination,
                                 header->destination});
    return reason;
}

/*
 * The real one has given the remote another port for the host inside, or has ended the closed
 * connection that was in the way. May it?
 */
static struct spot seen_instead(struct twin *twin, const struct header *header, struct spot inside,
                                const struct packet *real)
{
    const struct spot far = header->source, seen = shown_source(real, header->protocol);

    complain(twin, seen.ip == far.ip, "a remote has another address");
    complain(twin, (seen.port <= 1023) == (far.port <= 1023), "a system port for one that is none");
    complain(twin, (seen.port ^ far.port) % 2 == 0, "another parity, with free ports enough");
    if (seen.port == far.port)
        remove_closed(twin, header->protocol, inside, far);
    complain(twin, !collides(twin, header->protocol, inside, seen), "that port is taken as well");
    return seen;
}

static enum drop_reason open_inbound(struct twin *twin, const struct packet *packet,
                                     const struct header *header, const struct packet *real,
                                     struct spot *inside, struct spot *seen, bool *hairpin)
{
    enum drop_reason reason = may_open(header);

    *hairpin = twin_share_of(header->source.ip) != NULL ||
               twin_forward_port_of(header->protocol, header->source) != 0;
    if (reason != DROP_NONE)
        return reason;
    if (packet->in_interface == WAN && (*hairpin || twin_is_external(header->source.ip)))
        return DROP_SPOOFED_SOURCE;
    if (*hairpin)
        return open_hairpin(twin, header, inside);
    reason = behind(twin, header, header->source, inside);
    if (reason != DROP_NONE)
        return reason;
    if (collides(twin, header->protocol, *inside, header->source)) {
        if (twin_is_external(header->source.ip) || real->verdict != VERDICT_REWRITTEN)
            return DROP_TUPLE_COLLISION;
        *seen = seen_instead(twin, header, *inside, real);
    }
    add_talk(twin, (struct talk){header->protocol,
                                 false,
                                 false,
                                 *inside,
                                 header->destination,
                                 header->source,
                                 {0, 0},
                                 *seen});
    return DROP_NONE;
}

bool twin_is_ours(const struct twin *twin, uint8_t protocol, struct spot outside)
{
    if (twin_forward_at(protocol, outside.port) != NULL || door_at(twin, protocol, outside) != NULL)
        return true;
    if (!twin_is_external(outside.ip))
        return twin_published(protocol, outside.port);
    return twin->rests(twin->context, protocol, outside);
}

/*
 * What a client inside gets from a target, and what a target of no share answers, must get to the
 * second hook, too, as long as their connection lives, which only the real one knows.
 */
static bool expects_answers(const struct packet *packet, const struct header *header,
                            struct spot inside, const struct packet *real)
{
    const uint8_t syn_fin_rst = TCP_SYN | TCP_FIN | TCP_RST;

    if (packet->in_interface == 0 ||
        (packet->in_interface == WAN && twin_share_of(inside.ip) != NULL))
        return false;
    return header->protocol != PROTOCOL_TCP || header->l4[13] & syn_fin_rst || real->transit;
}

static enum drop_reason inbound(struct twin *twin, struct packet *packet, struct header *header,
                                const struct packet *real)
{
    struct spot inside = {0, 0}, seen = header->source;
    bool hairpin = false, from_client = true;
    enum drop_reason reason;

    for (size_t i = 0; i < twin->talks; i++) {
        const struct talk *talk = &twin->talk[i];

        if (talk->protocol != header->protocol || is_knock(talk))
            continue;
        if (!talk->hairpin && twin_same(talk->far, header->source) &&
            twin_same(talk->outside, header->destination))
            inside = talk->inside, seen = talk->seen, from_client = !talk->opened_inside;
        if (talk->hairpin && twin_same(talk->inside, header->source) &&
            twin_same(talk->far_outside, header->destination))
            inside = talk->far, hairpin = true;
        if (talk->hairpin && twin_same(talk->far, header->source) &&
            twin_same(talk->outside, header->destination))
            inside = talk->inside, hairpin = true;
    }
    if (hairpin && packet->in_interface == WAN)
        return DROP_SPOOFED_SOURCE;
    if (inside.ip == 0) {
        if (header->protocol == PROTOCOL_ICMP ||
            !twin_is_ours(twin, header->protocol, header->destination)) {
            packet->verdict = VERDICT_ACCEPT;
            return DROP_NONE;
        }
        reason = open_inbound(twin, packet, header, real, &inside, &seen, &hairpin);
        if (reason != DROP_NONE)
            return reason;
    }
    twin_set_end(packet, header, false, inside);
    if (!twin_same(seen, header->source))
        twin_set_end(packet, header, true, seen);
    packet->transit = hairpin || (from_client && expects_answers(packet, header, inside, real));
    packet->verdict = VERDICT_REWRITTEN;
    return DROP_NONE;
}

/*
 * Hosts that share an address get ids of its own for what may be fragmented; which, only the real
 * one knows.
 */
static void learn_id(const struct packet *packet, const struct header *header,
                     const struct packet *real)
{
    uint8_t *ip = header->ip;
    uint16_t before = get16(ip + 4);
    bool right = ip_checksum_is_right(ip);

    if (packet->hook != HOOK_OUTBOUND || twin_is_error(header) || ip[6] & 0x40)
        return;
    memcpy(ip + 4, real->data + 4, 2);
    put16(ip + 10, right ? naive_ip_checksum(ip)
                         : twin_adjust(get16(ip + 10), before, get16(ip + 4), false));
}

static void count(struct twin *twin, const struct packet *packet, const struct header *header)
{
    if (packet->verdict == VERDICT_DROP)
        twin->dropped[packet->reason]++;
    if (packet->verdict == VERDICT_ACCEPT)
        twin->unchanged++;
    if (packet->verdict == VERDICT_REWRITTEN && !twin->counted) {
        twin->packets[packet->hook]++;
        twin->bytes[packet->hook] += header->total;
    }
}

static enum drop_reason decide(struct twin *twin, struct packet *packet, struct header *header,
                               const struct packet *real)
{
    enum drop_reason reason = twin_read_packet(packet, header);

    if (reason == DROP_UNSUPPORTED_PROTOCOL || reason == DROP_UNSUPPORTED_ICMP) {
        packet->verdict = VERDICT_ACCEPT;
        return packet->hook == HOOK_OUTBOUND && packet->out_interface == WAN &&
                       twin_share_of(header->source.ip) != NULL
                   ? reason
                   : DROP_NONE;
    }
    if (reason != DROP_NONE)
        return reason;
    if (twin_is_error(header))
        return twin_icmp_error(twin, packet, header);
    if (packet->hook == HOOK_INBOUND)
        return inbound(twin, packet, header, real);
    return outbound(twin, packet, header, real);
}

void twin_translate(struct twin *twin, struct packet *packet, const struct packet *real)
{
    struct header header;

    twin->counted = false;
    packet->reason = decide(twin, packet, &header, real);
    if (packet->reason != DROP_NONE)
        packet->verdict = VERDICT_DROP;
    if (packet->reason == DROP_NONE && packet->verdict == VERDICT_REWRITTEN)
        learn_id(packet, &header, real);
    count(twin, packet, &header);
}
