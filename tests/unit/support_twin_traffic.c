/*
 * support_twin_traffic.c - who sends what to whom, by chance
 */
#include "support_twin_traffic.h"

#include <string.h>

uint32_t traffic_below(struct run *run, uint32_t bound)
{
    return chance_below(&run->chance, bound);
}

bool traffic_one_in(struct run *run, uint32_t many)
{
    return chance_one_in(&run->chance, many);
}

void traffic_begin(struct run *run, enum packet_hook hook, uint32_t in, uint32_t out)
{
    memset(run->before, 0x11, 128);
    run->packet = (struct packet){
        .data = run->before, .hook = hook, .in_interface = in, .out_interface = out};
}

/* Who there is. */

struct spot traffic_inside(struct run *run)
{
    const struct twin_forward *forward = &twin_forwards[traffic_below(run, 5)];

    if (traffic_one_in(run, 10))
        return (struct spot){
            forward->to.ip,
            (uint16_t)(forward->to.port +
                       traffic_below(run, (uint32_t)(forward->last - forward->first) + 1))};
    if (traffic_one_in(run, 20))
        return (struct spot){IP(10, 9, 0, 1), 1000};
    return (struct spot){IP(10, 0, traffic_below(run, 3), 1 + traffic_below(run, 3)),
                         (uint16_t)(1000 + traffic_below(run, 3))};
}

struct spot traffic_remote(struct run *run)
{
    static const uint16_t ports[] = {53, 80, 443};

    if (traffic_one_in(run, 3))
        return (struct spot){IP(192, 0, 2, 1 + traffic_below(run, 2)),
                             ports[traffic_below(run, 3)]};
    return (struct spot){IP(198, 51, 100, 1 + traffic_below(run, 4)), ports[traffic_below(run, 3)]};
}

/* Mostly one that somebody is behind. */
struct spot traffic_outside(struct run *run, uint8_t *protocol)
{
    const struct twin_forward *forward = &twin_forwards[traffic_below(run, 5)];
    const struct door *door;

    if (run->twin->doors > 0 && !traffic_one_in(run, 3)) {
        door = &run->twin->door[traffic_below(run, (uint32_t)run->twin->doors)];
        *protocol = door->protocol;
        return door->outside;
    }
    if (!traffic_one_in(run, 3))
        return (struct spot){
            twin_externals[traffic_below(run, 2)],
            (uint16_t)(forward->first +
                       traffic_below(run, (uint32_t)(forward->last - forward->first) + 1))};
    return (struct spot){twin_externals[traffic_below(run, 2)],
                         (uint16_t)(traffic_one_in(run, 2) ? 50000 + traffic_below(run, 3000)
                                                           : 1 + traffic_below(run, 65535))};
}

uint8_t traffic_protocol(struct run *run)
{
    return (uint8_t[]){PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDP,
                       PROTOCOL_ICMP}[traffic_below(run, 5)];
}

/* Composing packets. */

static size_t random_payload(struct run *run, size_t room)
{
    size_t length = traffic_one_in(run, 300) ? traffic_below(run, 65536)
                    : traffic_one_in(run, 3) ? traffic_below(run, 1500)
                                             : traffic_below(run, 64);

    return length > room ? room : length;
}

/* IP options: mostly none, mostly sound. Returns their length. */
static size_t random_options(struct run *run, uint8_t options[40])
{
    size_t length = traffic_one_in(run, 8) ? 4 * (size_t)traffic_below(run, 11) : 0;

    memset(options, 1, 40);
    if (length >= 8 && traffic_one_in(run, 2)) {
        options[0] = traffic_one_in(run, 6) ? 131 : 7;
        options[1] = (uint8_t)(3 + traffic_below(run, (uint32_t)length - 3));
        options[2] = 4;
    }
    if (length > 0 && traffic_one_in(run, 8))
        chance_fill(&run->chance, options, 40);
    return length;
}

static uint8_t random_tcp_flags(struct run *run)
{
    static const uint8_t usual[] = {TCP_SYN, TCP_SYN,           TCP_SYN | TCP_ACK,
                                    TCP_ACK, TCP_ACK | TCP_PSH, TCP_FIN | TCP_ACK,
                                    TCP_RST};

    return traffic_one_in(run, 10) ? (uint8_t)traffic_below(run, 256)
                                   : usual[traffic_below(run, sizeof(usual))];
}

/* An L4 header with its ports and lengths, over random bytes. */
static void put_l4(struct run *run, uint8_t protocol, uint8_t *l4, size_t length, struct spot from,
                   struct spot to, bool from_asks)
{
    put16(l4, from.port);
    put16(l4 + 2, to.port);
    if (protocol == PROTOCOL_TCP) {
        size_t data = 5 + traffic_below(run, 11);

        l4[12] = (uint8_t)((traffic_one_in(run, 2) || data * 4 > length ? 5 : data) << 4);
        l4[13] = random_tcp_flags(run);
    } else if (protocol == PROTOCOL_UDP) {
        put16(l4 + 4,
              (uint32_t)(traffic_one_in(run, 30) ? 8 + traffic_below(run, (uint32_t)length - 7)
                                                 : length));
    } else {
        l4[0] = (uint8_t)(from_asks ? (traffic_one_in(run, 5) ? 13 : 8)
                                    : (traffic_one_in(run, 5) ? 14 : 0));
        l4[1] = 0;
        put16(l4 + 4, from_asks ? from.port : to.port);
    }
}

/* A whole packet at `at`; returns its length. Its checksums are right. */
size_t traffic_compose(struct run *run, uint8_t *at, size_t room, uint8_t protocol,
                       struct spot from, struct spot to, bool from_asks)
{
    static const uint8_t least[256] = {
        [PROTOCOL_TCP] = 20, [PROTOCOL_UDP] = 8, [PROTOCOL_ICMP] = 8};
    struct address source = address_from_ipv4(from.ip), destination = address_from_ipv4(to.ip);
    uint8_t options[40];
    size_t options_length = random_options(run, options), header = 20 + options_length;
    size_t length = least[protocol] + random_payload(run, room - header - least[protocol]);

    chance_fill(&run->chance, at + header, length);
    put_ipv4(at, protocol, &source, &destination, options, options_length, length);
    put16(at + 4, traffic_below(run, 65536));
    if (traffic_one_in(run, 4))
        put16(at + 6, 0); /* may be fragmented */
    put_l4(run, protocol, at + header, length, from, to, from_asks);
    fix_checksums(at);
    return header + length;
}
