/*
 * driver_routes.c - the interfaces that hold a default route, now and with every change
 */
#include "driver.h"

#include "portreeve/routes.h"

#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ROUTES_MAX    64
#define MOMENT_MILLIS 50

struct found {
    uint32_t interfaces[ROUTES_MAX];
    size_t max;
    int count;
    struct error error;
};

static struct found read_routes(struct routes *routes, size_t max)
{
    struct found found = {.max = max};

    found.count = routes_read(routes, found.interfaces, max, &found.error);
    return found;
}

static void tell(const struct found *found)
{
    char name[IF_NAMESIZE];

    printf("{\"count\": %d, \"error\": \"%s\", \"interfaces\": [", found->count, found->error.text);
    for (int i = 0; i < found->count && i < (int)found->max; i++)
        printf("%s\"%s\"", i > 0 ? ", " : "",
               if_indextoname(found->interfaces[i], name) ? name : "?");
    printf("]}\n");
    fflush(stdout);
}

/* The second reading of a change is told only if it differs. */
static void watch(struct routes *routes, size_t max)
{
    struct pollfd readable = {.fd = routes_descriptor(routes), .events = POLLIN};
    struct found told = read_routes(routes, max), found;
    bool again = false;
    int ready;

    tell(&told);
    while ((ready = poll(&readable, 1, again ? MOMENT_MILLIS : -1)) >= 0) {
        if (ready > 0 && !routes_changed(routes))
            continue;
        found = read_routes(routes, max);
        if (ready > 0 || found.count != told.count ||
            memcmp(found.interfaces, told.interfaces, sizeof(told.interfaces)) != 0)
            tell(&found);
        told = found;
        again = ready > 0;
    }
}

/* routes [max=N]: once, and again with every change, until the test ends the program. */
int verb_routes(const struct arguments *arguments)
{
    size_t max = argument_number(arguments, "max", ROUTES_MAX);
    struct routes *routes = NULL;
    struct error error = {0};
    int code = routes_open(&routes, &error);

    if (code < 0)
        return tell_result(code, &error);
    watch(routes, max);
    routes_close(routes);
    return 1;
}
