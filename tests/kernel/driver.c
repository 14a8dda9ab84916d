/*
 * driver.c - the words of the command line, and which verb they name
 */
#include "driver.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argument(const struct arguments *arguments, const char *key)
{
    size_t length = strlen(key);

    for (int i = 0; i < arguments->count; i++) {
        const char *word = arguments->words[i];

        if (strncmp(word, key, length) == 0 && word[length] == '=')
            return word + length + 1;
    }
    return NULL;
}

unsigned long argument_number(const struct arguments *arguments, const char *key,
                              unsigned long otherwise)
{
    const char *value = argument(arguments, key);

    return value ? strtoul(value, NULL, 0) : otherwise;
}

/* Cuts the list at its commas and calls `each` with its index. Returns how many there were. */
static size_t split(const char *list, void (*each)(void *items, size_t index, const char *word),
                    void *items)
{
    char *copy = strdup(list), *state = NULL;
    size_t count = 0;

    for (char *word = strtok_r(copy, ",", &state); word; word = strtok_r(NULL, ",", &state))
        each(items, count++, word);
    free(copy);
    return count;
}

static void *list_of(const struct arguments *arguments, const char *key, size_t size, size_t *count,
                     void (*each)(void *items, size_t index, const char *word))
{
    const char *list = argument(arguments, key);
    void *items = calloc(list ? strlen(list) + 1 : 1, size);

    *count = list && items ? split(list, each, items) : 0;
    return items;
}

static struct address parse_address(const char *word)
{
    struct in_addr address = {0};

    inet_pton(AF_INET, word, &address);
    return address_from_ipv4(ntohl(address.s_addr));
}

static void take_address(void *items, size_t index, const char *word)
{
    ((struct address *)items)[index] = parse_address(word);
}

static void take_prefix(void *items, size_t index, const char *word)
{
    const char *slash = strchr(word, '/');
    char address[32] = "";

    memcpy(address, word, slash ? (size_t)(slash - word) : strlen(word));
    ((struct prefix *)items)[index] =
        (struct prefix){.address = parse_address(address),
                        .length = (uint8_t)(96 + (slash ? strtoul(slash + 1, NULL, 10) : 32))};
}

static void take_port(void *items, size_t index, const char *word)
{
    char *dash;
    unsigned long first = strtoul(word, &dash, 10),
                  last = *dash == '-' ? strtoul(dash + 1, NULL, 10) : first;

    ((struct port_range *)items)[index] =
        (struct port_range){.first = (uint16_t)first, .last = (uint16_t)last};
}

struct address *argument_addresses(const struct arguments *arguments, const char *key,
                                   size_t *count)
{
    return list_of(arguments, key, sizeof(struct address), count, take_address);
}

struct prefix *argument_prefixes(const struct arguments *arguments, const char *key, size_t *count)
{
    return list_of(arguments, key, sizeof(struct prefix), count, take_prefix);
}

struct port_range *argument_ports(const struct arguments *arguments, const char *key, size_t *count)
{
    return list_of(arguments, key, sizeof(struct port_range), count, take_port);
}

int tell_result(int code, const struct error *error)
{
    printf("{\"code\": %d, \"error\": \"%s\"}\n", code, code < 0 ? error->text : "");
    fflush(stdout);
    return code < 0 ? 1 : 0;
}

void tell_address(const struct address *address)
{
    const uint8_t *bytes = address->bytes + 12;

    printf("\"%u.%u.%u.%u\"", bytes[0], bytes[1], bytes[2], bytes[3]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct arguments *arguments);
    } verbs[] = {
        {"ruleset", verb_ruleset},       {"ruleset-held", verb_ruleset_held},
        {"rule-bytes", verb_rule_bytes}, {"queue", verb_queue},
        {"statistics", verb_statistics}, {"addresses", verb_addresses},
        {"ports", verb_ports},           {"routes", verb_routes},
    };
    const struct arguments arguments = {.count = argc - 2, .words = argv + 2};

    for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(&arguments);
    }
    fprintf(stderr, "usage: driver ruleset|rule-bytes|queue|statistics|addresses|ports|routes "
                    "[KEY=VALUE]...\n");
    return 2;
}
