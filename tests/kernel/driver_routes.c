/*
 * driver_routes.c - the interfaces that hold a default route, now and with every change
 */
#include "driver.h"

#include "portreeve/routes.h"

#include <net/if.h>
#include <poll.h>
#include <stdio.h>

static void tell_routes(struct routes *routes, size_t max)
{
    uint32_t found[64];
    char name[IF_NAMESIZE];
    struct error error = {0};
    int count = routes_read(routes, found, max, &error);

    printf("{\"count\": %d, \"error\": \"%s\", \"interfaces\": [", count, error.text);
    for (int i = 0; i < count && i < (int)max; i++)
        printf("%s\"%s\"", i > 0 ? ", " : "", if_indextoname(found[i], name) ? name : "?");
    printf("]}\n");
    fflush(stdout);
}

/* routes [max=N]: once, and again with every change, until the test ends the program. */
int verb_routes(const struct arguments *arguments)
{
    size_t max = argument_number(arguments, "max", 64);
    struct routes *routes = NULL;
    struct error error = {0};
    int code = routes_open(&routes, &error);
    struct pollfd readable = {.events = POLLIN};

    if (code < 0)
        return tell_result(code, &error);
    tell_routes(routes, max);
    readable.fd = routes_descriptor(routes);
    while (poll(&readable, 1, -1) > 0) {
        if (routes_changed(routes))
            tell_routes(routes, max);
    }
    routes_close(routes);
    return 1;
}
