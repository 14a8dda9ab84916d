/*
 * protocol.c - the table of protocols
 */
#include "portreeve/protocol.h"

const struct protocol protocol_table[PROTOCOL_COUNT + 1] = {
#define X(symbol, number, name, checksum_offset, has_pseudo_header, may_lack_checksum)             \
    {number, checksum_offset, has_pseudo_header, may_lack_checksum, name},
    PROTOCOLS(X)
#undef X
        [PROTOCOL_COUNT] = {.name = "?"},
};

const char *protocol_name(uint8_t number)
{
    return protocol_of(number)->name;
}
