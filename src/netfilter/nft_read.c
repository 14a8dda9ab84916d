/*
 * nft_read.c - attributes of nf_tables messages
 */
#include "nft_read.h"

#include "netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

bool nft_copy_name(char *name, size_t room, const struct nlattr *attribute)
{
    size_t length;

    name[0] = '\0';
    if (attribute == NULL)
        return false;
    length = strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
    if (length >= room)
        length = room - 1;
    memcpy(name, mnl_attr_get_payload(attribute), length);
    name[length] = '\0';
    return length > 0;
}

bool nft_is_named(const struct nlattr *attribute, const char *name)
{
    return attribute != NULL && mnl_attr_get_payload_len(attribute) >= strlen(name) &&
           strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute)) ==
               strlen(name) &&
           memcmp(mnl_attr_get_payload(attribute), name, strlen(name)) == 0;
}

uint32_t nft_read_u32(const struct nlattr *attribute, uint32_t otherwise)
{
    return attribute != NULL && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t)
               ? ntohl(mnl_attr_get_u32(attribute))
               : otherwise;
}

bool nft_read_value(const struct nlattr *data, uint8_t *bytes, size_t room, size_t *length)
{
    const struct nlattr *attributes[NETLINK_ATTRIBUTES];
    const struct nlattr *value;

    netlink_read_nested(data, attributes);
    value = attributes[NFTA_DATA_VALUE];
    memset(bytes, 0, room);
    if (value == NULL)
        return false;
    *length = mnl_attr_get_payload_len(value);
    memcpy(bytes, mnl_attr_get_payload(value), *length < room ? *length : room);
    return *length > 0;
}
