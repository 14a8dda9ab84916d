/*
 * interface.h - a network interface, by its name and its index
 */
#ifndef PORTREEVE_INTERFACE_H
#define PORTREEVE_INTERFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes of the longest name, NUL included: ALTIFNAMSIZ of linux/if.h. Names that rules compare
 * (oifname) have at most IF_NAMESIZE; only an alternative name (Linux 5.5 or later) may be longer.
 */
#define INTERFACE_NAME_MAX 128

/* An interface as it is now. */
struct interface {
    uint32_t index;         /* 0: there is none */
    char name[IF_NAMESIZE]; /* never an alternative name */
    uint32_t mtu;           /* bytes; 0: unknown */
    bool renamed;           /* it is known by its index; no interface has its name of before */
};

#endif
