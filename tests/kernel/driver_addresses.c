/*
 * driver_addresses.c - the addresses of an interface, now and with every change
 */
#include "driver.h"

#include "portreeve/addresses.h"

#include <poll.h>
#include <stdio.h>

static void tell_addresses(struct addresses *addresses)
{
    struct address found[64];
    struct error error = {0};
    struct interface interface;
    int count = addresses_read(addresses, 0, &interface, found, 64, &error);

    printf("{\"count\": %d, \"index\": %u, \"name\": \"%s\", \"mtu\": %u, \"renamed\": %s, ", count,
           interface.index, interface.name, interface.mtu, interface.renamed ? "true" : "false");
    printf("\"error\": \"%s\", \"addresses\": [", count < 0 ? error.text : "");
    for (int i = 0; i < count; i++) {
        printf("%s", i > 0 ? ", " : "");
        tell_address(&found[i]);
    }
    printf("]}\n");
    fflush(stdout);
}

/*
 * addresses interface=NAME: the addresses now, and again with every change, until the test ends the
 * program.
 */
int verb_addresses(const struct arguments *arguments)
{
    const char *interface = argument(arguments, "interface");
    struct addresses *addresses = NULL;
    struct error error = {0};
    int code = addresses_open(&addresses, &interface, 1, &error);
    struct pollfd readable = {.events = POLLIN};

    if (code < 0)
        return tell_result(code, &error);
    tell_addresses(addresses);
    readable.fd = addresses_descriptor(addresses);
    while (poll(&readable, 1, -1) > 0) {
        if (addresses_changed(addresses))
            tell_addresses(addresses);
    }
    addresses_close(addresses);
    return 1;
}
