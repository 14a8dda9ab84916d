/*
 * value.h - reading values: of any key, and of the types that several keys have
 *
 * When a function here returns VALUE_REFUSED, it has reported what is wrong with the value.
 */
#ifndef PORTREEVE_CONFIG_VALUE_H
#define PORTREEVE_CONFIG_VALUE_H

#include "portreeve/endpoint.h"
#include "reading.h"

/* The length of a prefix in the 16-byte form that contains every IPv4 address. */
#define EVERY_IPV4 96

/* The number of elements of an array. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of the table, and so of every limit on sessions. */
#define SESSIONS_MAX     16777216
#define NEW_SESSIONS_MAX 1000000 /* a second */

/* Limits that messages show: with MSS_MIN 536, AS_TEXT(MSS_MIN) is "536". */
#define AS_TEXT(macro)   AS_TEXT_2(macro)
#define AS_TEXT_2(value) #value

/* Kinds of IPv4 addresses (RFC 6890, RFC 5771), host byte order. */
static inline bool ipv4_is_loopback(uint32_t address)
{
    return address >> 24 == 127;
}

/* Multicast (224.0.0.0/4), reserved (240.0.0.0/4) and broadcast. */
static inline bool ipv4_is_no_unicast(uint32_t address)
{
    return address >> 28 >= 14;
}

/* The index of `value` in `words`, or -1. */
int config_choose(const char *value, const char *const *words, size_t count);

/* Reads `value` as the value of section->kind->keys[index]; the items of a list one by one. */
void config_take_value(struct reading *reading, struct section *section, size_t index,
                       const char *value);

/*
 * Adds an element to an array that grows. Without memory, notes that in `reading` and returns
 * false.
 */
bool config_append(struct reading *reading, void *array_pointer, size_t *count, size_t size,
                   const void *element);
enum outcome config_take_prefix(struct reading *reading, const char *value, struct prefix *out);
enum outcome config_take_host(struct reading *reading, const char *value,
                              const struct address *address);
/* `text` is `value` or a part of it. */
enum outcome config_take_ports(struct reading *reading, const char *value, const char *text,
                               struct port_range *out);
enum outcome config_take_path(struct reading *reading, const char *value, char *out, size_t size);
enum outcome config_take_text(struct reading *reading, const char *value, char *out, size_t size);
/* VALUE_REFUSED with a message if `text` looks like a host name, otherwise VALUE_WRONG. */
enum outcome config_not_an_address(struct reading *reading, const char *value, const char *text);

#endif
