/*
 * json.h - values of the translator as JSON
 */
#ifndef PORTREEVE_CONTROL_JSON_H
#define PORTREEVE_CONTROL_JSON_H

#include "portreeve/nat.h"
#include "portreeve/register.h"

#include <jansson.h>

/* All return new references, or NULL if there is not enough memory. */

json_t *json_text(const char *text); /* unprintable characters become '?' */
json_t *json_address(const struct address *address);
json_t *json_prefixes(const struct prefix *prefixes, size_t count);
json_t *json_port_range(const struct port_range *range); /* "8000-8099" or "2222" */
json_t *json_time(int64_t seconds);                      /* RFC 3339, UTC */
json_t *json_both_ways(uint64_t out, uint64_t in);
json_t *json_mapping(const struct mapping_view *mapping, const char *share, const char *interface);
/* `entry`: of the register; NULL: its members are null. `path`: the configuration's. */
json_t *json_forward(const struct forward *forward, uint64_t sessions,
                     const struct register_entry *entry, const char *path);

#endif
