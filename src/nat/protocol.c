/*
 * protocol.c - the table of protocols
 */
#include "portreeve/protocol.h"

const struct protocol protocol_table[PROTOCOL_COUNT] = {
#define X(symbol, number, name, checksum_offset, has_pseudo_header, may_lack_checksum)             \
    {number, checksum_offset, has_pseudo_header, may_lack_checksum, name},
    PROTOCOLS(X)
#undef X
};

const char *protocol_name(uint8_t number)
{
    enum protocol_index index = protocol_index(number);

    return index == PROTOCOL_COUNT ? "?" : protocol_table[index].name;
}
