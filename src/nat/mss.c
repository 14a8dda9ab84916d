/*
 * mss.c - limits the MSS that TCP offers
 */
#include "mss.h"
#include "packet_edit.h"
#include "tcp.h"

#include <string.h>

enum {
    TCP_CHECKSUM = 16,
    OPTION_MSS = 2,
    MSS_SIZE = 4,
};

void mss_clamp(const struct packet *packet, const struct packet_view *view, uint16_t limit)
{
    uint8_t *tcp = view->l4, *value, words[4];
    size_t odd;

    if (view->protocol != PROTOCOL_TCP || !(view->tcp_flags & TCP_SYN))
        return;
    value = tcp_option(tcp, OPTION_MSS, MSS_SIZE);
    if (value == NULL || (value[0] << 8 | value[1]) <= limit)
        return;
    /*
     * The checksum adds 16-bit words, and after a NOP option the value may begin in the middle of a
     * word and end in the next.
     */
    odd = (size_t)(value - tcp) & 1;
    memcpy(words, value - odd, odd ? 4 : 2);
    words[odd] = (uint8_t)(limit >> 8);
    words[odd + 1] = (uint8_t)limit;
    packet_replace(packet->checksum_missing ? NULL : tcp + TCP_CHECKSUM, false, value - odd, words,
                   odd ? 4 : 2);
}
