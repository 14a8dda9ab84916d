/*
 * driver.h - the modules of src/netfilter, one by one, from the command line of a test
 *
 * A verb per file. Arguments are words key=value; what happens is told on standard output, a JSON
 * object a line.
 */
#ifndef PORTREEVE_KERNEL_DRIVER_H
#define PORTREEVE_KERNEL_DRIVER_H

#include "portreeve/endpoint.h"
#include "portreeve/error.h"

struct arguments {
    int count;
    char **words;
};

/* The value of `key`, or NULL. */
const char *argument(const struct arguments *arguments, const char *key);
unsigned long argument_number(const struct arguments *arguments, const char *key,
                              unsigned long otherwise);

/* Lists with commas between; they live as long as the program. A missing key is an empty list. */
struct prefix *argument_prefixes(const struct arguments *arguments, const char *key, size_t *count);
struct address *argument_addresses(const struct arguments *arguments, const char *key,
                                   size_t *count);
struct port_range *argument_ports(const struct arguments *arguments, const char *key,
                                  size_t *count);

/* Tells code and sentence; the exit status for it. */
int tell_result(int code, const struct error *error);

void tell_address(const struct address *address);

int verb_ruleset(const struct arguments *arguments);
int verb_ruleset_held(const struct arguments *arguments);
int verb_rule_bytes(const struct arguments *arguments);
int verb_queue(const struct arguments *arguments);
int verb_statistics(const struct arguments *arguments);
int verb_addresses(const struct arguments *arguments);
int verb_routes(const struct arguments *arguments);
int verb_ports(const struct arguments *arguments);

#endif
