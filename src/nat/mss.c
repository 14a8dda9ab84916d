#include "portreeve/mss.h"
#include "packet_edit.h"

#include <string.h>

enum {
    TCP_HEADER = 20,
    TCP_CHECKSUM = 16,
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    MSS_SIZE = 4,
};

/* Where the MSS option's value is, from the start of the TCP header; 0: nowhere. */
static size_t find_mss(const uint8_t *tcp, size_t header_length)
{
    size_t at = TCP_HEADER;

    while (at < header_length && tcp[at] != OPTION_END) {
        if (tcp[at] == OPTION_NOP) {
            at++;
            continue;
        }
        if (at + 1 >= header_length || tcp[at + 1] < 2 || at + tcp[at + 1] > header_length)
            return 0;
        if (tcp[at] == OPTION_MSS)
            return tcp[at + 1] == MSS_SIZE ? at + 2 : 0;
        at += tcp[at + 1];
    }
    return 0;
}

void mss_clamp(const struct packet *packet, const struct packet_view *view, uint16_t limit)
{
    uint8_t *tcp = view->l4, words[4];
    size_t at, odd;

    if (view->protocol != PROTOCOL_TCP || !(view->tcp_flags & TCP_SYN))
        return;
    at = find_mss(tcp, (size_t)(tcp[12] >> 4) * 4);
    if (at == 0 || (tcp[at] << 8 | tcp[at + 1]) <= limit)
        return;
    /* The checksum adds words, and behind a NOP the value may begin in the middle of one and end in the next. */
    odd = at & 1;
    memcpy(words, tcp + at - odd, odd ? 4 : 2);
    words[odd] = (uint8_t)(limit >> 8);
    words[odd + 1] = (uint8_t)limit;
    packet_replace(packet->checksum_missing ? NULL : tcp + TCP_CHECKSUM, false, tcp + at - odd, words, odd ? 4 : 2);
}
