/*
 * value.c - reading values: of any key, and of the types that several keys have
 */
#include "value.h"

#include "portreeve/text.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

bool config_append(struct reading *reading, void *array_pointer, size_t *count, size_t size,
                   const void *element)
{
    void *array;

    memcpy(&array, array_pointer, sizeof(array)); /* it points at a pointer to any type */
    if ((*count & (*count - 1)) == 0) {           /* full: room is always a power of two */
        void *moved = realloc(array, (*count ? *count * 2 : 1) * size);

        if (moved == NULL) {
            reading->failed = reading->no_memory = true;
            return false;
        }
        array = moved;
        memcpy(array_pointer, &array, sizeof(array));
    }
    memcpy((char *)array + *count * size, element, size);
    (*count)++;
    return true;
}

/*
 * True for one word, with letters beyond hexadecimal digits, in the place of an address: probably a
 * host name.
 */
static bool looks_like_name(const char *text)
{
    return strpbrk(text, ": \t") == NULL &&
           strpbrk(text, "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

enum outcome config_not_an_address(struct reading *reading, const char *value, const char *text)
{
    if (!looks_like_name(text))
        return VALUE_WRONG;
    return config_refuse(reading, value,
                         "'%s' is not an address; host names are not looked up, because their "
                         "addresses may change; expected an IPv4 address",
                         text);
}

static enum outcome only_ipv4(struct reading *reading, const char *value)
{
    return config_refuse(reading, value,
                         "this is IPv6, and only IPv4 is translated; expected an IPv4 address");
}

/* Refuses a prefix that has host bits set; the message shows both values that the user may mean. */
static enum outcome corrected_prefix(struct reading *reading, const char *value)
{
    char address_text[ADDRESS_TEXT_MAX], prefix_text[PREFIX_TEXT_MAX];
    size_t length = strcspn(value, "/");
    struct prefix prefix;
    uint64_t bits;

    if (length >= sizeof(address_text))
        return VALUE_WRONG;
    memcpy(address_text, value, length);
    address_text[length] = '\0';
    if (!text_parse_address(address_text, &prefix.address))
        return config_not_an_address(reading, value, address_text);
    if (strchr(address_text, ':') != NULL)
        return only_ipv4(reading, value);
    if (value[length] != '/' || !text_parse_number(value + length + 1, 0, 32, &bits))
        return VALUE_WRONG;
    prefix.length = (uint8_t)(EVERY_IPV4 + bits);
    prefix.address = address_from_ipv4(address_to_ipv4(&prefix.address) &
                                       (bits == 0 ? 0 : UINT32_MAX << (32 - bits)));
    return config_refuse(
        reading, value,
        "the address has bits set after the first %u; expected %s, or %s for one host",
        (unsigned)bits, text_format_prefix(&prefix, prefix_text), address_text);
}

enum outcome config_take_prefix(struct reading *reading, const char *value, struct prefix *out)
{
    struct prefix prefix;

    if (!text_parse_prefix(value, &prefix))
        return corrected_prefix(reading, value);
    if (prefix.length < EVERY_IPV4 || !address_is_ipv4(&prefix.address))
        return only_ipv4(reading, value);
    *out = prefix;
    return VALUE_TAKEN;
}

/* An address that one host on a network can have. */
enum outcome config_take_host(struct reading *reading, const char *value,
                              const struct address *address)
{
    uint32_t ipv4 = address_to_ipv4(address);

    if (!address_is_ipv4(address))
        return only_ipv4(reading, value);
    if (ipv4 >> 24 == 0)
        return config_refuse(reading, value,
                             "no host has an address in 0.0.0.0/8; expected the address of a host");
    if (ipv4_is_loopback(ipv4))
        return config_refuse(reading, value,
                             "a loopback address cannot be reached from another host; expected the "
                             "address of a host on a network");
    if (ipv4_is_no_unicast(ipv4))
        return config_refuse(
            reading, value,
            "this is a multicast, reserved or broadcast address; expected the address of a host");
    return VALUE_TAKEN;
}

/* Reads "a-b" or "a", in any order and of any size. */
static bool read_loose_range(const char *text, uint64_t *first, uint64_t *last)
{
    const char *dash = strchr(text, '-');
    size_t length = dash != NULL ? (size_t)(dash - text) : strlen(text);
    char first_text[21]; /* a 64-bit number */

    if (length >= sizeof(first_text))
        return false;
    memcpy(first_text, text, length);
    first_text[length] = '\0';
    return text_parse_number(first_text, 0, UINT64_MAX, first) &&
           text_parse_number(dash != NULL ? dash + 1 : first_text, 0, UINT64_MAX, last);
}

enum outcome config_take_ports(struct reading *reading, const char *value, const char *text,
                               struct port_range *out)
{
    uint64_t first, last;

    if (text_parse_port_range(text, out))
        return VALUE_TAKEN;
    if (!read_loose_range(text, &first, &last))
        return VALUE_WRONG;
    if (first > last)
        return config_refuse(reading, value,
                             "the range is reversed; expected the lower port first, %llu-%llu",
                             (unsigned long long)last, (unsigned long long)first);
    return config_refuse(reading, value, "expected ports from 1 to 65535");
}

enum outcome config_take_path(struct reading *reading, const char *value, char *out, size_t size)
{
    if (*value != '/')
        return VALUE_WRONG;
    if (strlen(value) >= size)
        return config_refuse(reading, value, "the path has %zu bytes; expected at most %zu",
                             strlen(value), size - 1);
    strcpy(out, value);
    return VALUE_TAKEN;
}

enum outcome config_take_text(struct reading *reading, const char *value, char *out, size_t size)
{
    if (strlen(value) >= size)
        return config_refuse(reading, value, "the text has %zu bytes; expected at most %zu",
                             strlen(value), size - 1);
    for (const char *at = value; *at != '\0';) {
        size_t length = *at == '\t' && reading->path != NULL ? 1 : text_printable(at);

        if (length == 0)
            return config_refuse(reading, value, "expected printable UTF-8 on one line");
        at += length;
    }
    strcpy(out, value);
    return VALUE_TAKEN;
}

/* ---- of any key ---- */

/* Says what the key expects, with a hint at two frequent mistakes. */
static void say_expected(struct reading *reading, const char *value)
{
    const char *hint = "";

    if (strstr(value, " #") != NULL || strstr(value, "\t#") != NULL)
        hint = " (a comment after a value begins with ';', not with '#')";
    else if (*value == '"' || *value == '\'')
        hint = " (without quotes)";
    config_refuse(reading, value, "expected %s%s", reading->key->expected, hint);
}

static void take_one(struct reading *reading, struct section *section, size_t index,
                     const char *value)
{
    enum outcome outcome = VALUE_WRONG;

    if (*value != '\0' || (reading->key->flags & KEY_MAY_BE_EMPTY))
        outcome = reading->key->take(reading, section, value);
    if (outcome == VALUE_WRONG)
        say_expected(reading, value);
    if (outcome != VALUE_TAKEN)
        section->bad |= 1u << index;
}

/* Takes the items of a list. A comma at the end continues the list on the next line. */
static void take_list(struct reading *reading, struct section *section, size_t index,
                      const char *value)
{
    size_t length = strlen(value) + 1;
    char *copy = malloc(length), *item;

    if (copy == NULL) {
        reading->failed = reading->no_memory = true;
        return;
    }
    memcpy(copy, value, length);
    item = copy + strspn(copy, " \t");
    do {
        char *comma = strchr(item, ','), *end = comma != NULL ? comma : item + strlen(item),
             *next = end + 1;

        while (end > item && strchr(" \t", end[-1]) != NULL)
            end--;
        *end = '\0';
        take_one(reading, section, index, item);
        item = comma != NULL ? next + strspn(next, " \t") : NULL;
    } while (item != NULL && (*item != '\0' || reading->path == NULL));
    free(copy);
}

void config_take_value(struct reading *reading, struct section *section, size_t index,
                       const char *value)
{
    reading->section = section;
    reading->key = &section->kind->keys[index];
    if (reading->key->flags & KEY_LIST)
        take_list(reading, section, index, value);
    else
        take_one(reading, section, index, value);
}

int config_choose(const char *value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, words[i]) == 0)
            return (int)i;
    }
    return -1;
}
