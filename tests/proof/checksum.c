/*
 * checksum.c - the sum over any bytes reads these bytes and no others (make prove)
 *
 * The bytes of each length end with their array. packet.c relies on what is shown here.
 */
#include "checksum.h"

#include "__fc_builtin.h"

enum { LONGEST = 512 };

static uint8_t bytes[LONGEST];

int main(void)
{
    Frama_C_make_unknown((char *)bytes, sizeof(bytes));
    //@ loop unroll 513;
    for (size_t length = 0; length <= LONGEST; length++) {
        uint32_t sum = Frama_C_interval(0, 0x1ffff);

        (void)checksum_fold(checksum_add(sum, bytes + LONGEST - length, length));
    }
    return 0;
}
