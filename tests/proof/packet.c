/*
 * packet.c - every function that touches the bytes of a packet, for any bytes (make prove)
 *
 * Eva follows all packets of a length at once. What decides where a header ends is enumerated here:
 * the length, the first byte and the protocol of the packet, and of the one that an ICMP error
 * quotes. All other bytes are unknown.
 */
#include "portreeve/packet.h"
#include "mss.h"
#include "portreeve/icmp.h"
#include "tcp.h"

#include "__fc_builtin.h"

#ifndef SHORTEST
#define SHORTEST 1
#endif
#ifndef LONGEST
#define LONGEST 128
#endif

static uint8_t bytes[LONGEST];

/* Shown for the real one by checksum.c; here it stands for it. */
/*@ requires \valid_read((const uint8_t *)data + (0 .. length - 1));
    assigns \result \from sum, ((const uint8_t *)data)[0 .. length - 1]; */
uint32_t checksum_add(uint32_t sum, const void *data, size_t length);

static struct endpoint any_endpoint(void)
{
    struct endpoint endpoint;

    Frama_C_make_unknown((char *)&endpoint, sizeof(endpoint));
    return endpoint;
}

/*
 * One after the other would be the same: none of them changes what was enumerated, and all other
 * bytes are unknown before as well.
 */
static void rewrite(struct packet *packet, struct packet_view *view)
{
    struct endpoint endpoint = any_endpoint();

    switch (Frama_C_interval(0, 6)) {
    case 0:
        packet_set_source(packet, view, &endpoint);
        break;
    case 1:
        packet_set_destination(packet, view, &endpoint);
        break;
    case 2:
        if (packet_needs_id(view))
            packet_set_id(view, (uint16_t)Frama_C_interval(0, 65535));
        break;
    case 3:
        mss_clamp(packet, view, (uint16_t)Frama_C_interval(0, 65535));
        break;
    case 4:
        if (view->protocol == PROTOCOL_TCP)
            (void)packet_tcp_segment(view);
        break;
    case 5:
        if (view->protocol == PROTOCOL_TCP)
            (void)tcp_option(view->l4, 3, 3);
        break;
    default:
        packet_finish(packet, view);
    }
}

static void rewrite_error(struct packet_view *view)
{
    struct endpoint endpoint = any_endpoint();
    struct tuple original;
    struct icmp_embedded embedded;

    Frama_C_make_unknown((char *)&original, sizeof(original));
    if (icmp_parse_error(view, &embedded) != DROP_NONE || embedded.is_icmp_error ||
        protocol_index(embedded.tuple.protocol) == PROTOCOL_COUNT)
        return;
    icmp_rewrite_error(view, &embedded, &original, Frama_C_interval(0, 1) ? &endpoint.address : 0,
                       Frama_C_interval(0, 1) ? &endpoint.address : 0);
}

static void receive(size_t length)
{
    struct packet packet = {.data = bytes + LONGEST - length,
                            .length = length,
                            .hook = (enum packet_hook)Frama_C_interval(0, 1),
                            .checksum_missing = Frama_C_interval(0, 1),
                            .gso = Frama_C_interval(0, 1)};
    struct packet_view view;

    if (packet_parse(&packet, &view) != DROP_NONE)
        return;
    if (view.is_icmp_error)
        rewrite_error(&view);
    else
        rewrite(&packet, &view);
}

static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, 50};

/* The length of the TCP header. */
static void receive_tcp(size_t length, uint8_t *tcp)
{
    //@ loop unroll 11;
    for (uint8_t words = 5; words < 16; words++) {
        tcp[12] = (uint8_t)(words << 4 | Frama_C_interval(0, 15));
        receive(length);
    }
}

/* ICMP, and what an error quotes: which kind it is, is not known. */
static void receive_icmp(size_t length, uint8_t *quoted)
{
    //@ loop unroll 11;
    for (uint8_t words = 5; words < 16; words++) {
        quoted[0] = (uint8_t)(0x40 | words);
        //@ loop unroll 4;
        for (int i = 0; i < 4; i++) {
            quoted[9] = protocols[i];
            receive(length);
        }
    }
}

static void receive_ip(size_t length, uint8_t *ip)
{
    const size_t header = (size_t)(ip[0] & 15) * 4;

    //@ loop unroll 4;
    for (int i = 0; i < 4; i++) {
        ip[9] = protocols[i];
        if (ip[9] == PROTOCOL_TCP && length >= header + 20)
            receive_tcp(length, ip + header);
        else if (ip[9] == PROTOCOL_ICMP && length >= header + 8 + 20)
            receive_icmp(length, ip + header + 8);
        else
            receive(length);
    }
}

static void refuse(uint8_t *data, size_t length)
{
    struct packet packet = {.data = data, .length = length};
    uint8_t refusal[ICMP_REFUSAL_MAX];

    (void)icmp_write_refusal(&packet, refusal);
}

int main(void)
{
    //@ loop unroll 65536;
    for (size_t length = SHORTEST; length <= LONGEST; length++) {
        uint8_t *ip = bytes + LONGEST - length;

        Frama_C_make_unknown((char *)bytes, sizeof(bytes));
        refuse(ip, length);
        if (length < 20) {
            receive(length);
            continue;
        }
        //@ loop unroll 11;
        for (uint8_t words = 5; words < 16; words++) {
            Frama_C_make_unknown((char *)bytes, sizeof(bytes));
            ip[0] = (uint8_t)(0x40 | words);
            receive_ip(length, ip);
        }
    }
    return 0;
}
