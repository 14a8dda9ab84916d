/*
 * promise.c - the keys of [never NAME] and [always NAME]
 */
#include "promise.h"

#include "portreeve/text.h"
#include "report.h"
#include "value.h"

#include <string.h>

/* "198.51.100.0/24", or "!198.51.100.0/24": all others. */
static enum outcome take_from(struct reading *reading, struct section *section, const char *value)
{
    struct promise *promise = &section->promise;
    bool others = *value == '!';
    struct prefix prefix;
    enum outcome outcome = config_take_prefix(reading, value + others, &prefix);
    bool added;

    if (outcome != VALUE_TAKEN)
        return outcome;
    if (others)
        added = config_append(reading, &promise->not_from, &promise->not_from_count, sizeof(prefix),
                              &prefix);
    else
        added =
            config_append(reading, &promise->from, &promise->from_count, sizeof(prefix), &prefix);
    return added ? VALUE_TAKEN : VALUE_REFUSED;
}

static enum outcome add_target(struct reading *reading, struct section *section,
                               const struct promise_target *target)
{
    struct promise *promise = &section->promise;

    return config_append(reading, &promise->to, &promise->to_count, sizeof(*target), target)
               ? VALUE_TAKEN
               : VALUE_REFUSED;
}

/* ":3306", ":3306-3310", "10.0.0.5", "10.0.0.0/24", and an address with a port. */
static enum outcome take_internal(struct reading *reading, struct section *section,
                                  const char *value)
{
    struct promise_target target = {.ports = {1, UINT16_MAX}};
    const char *colon = strchr(value, ':');
    char address[80];
    size_t length = colon != NULL ? (size_t)(colon - value) : strlen(value);
    enum outcome outcome;

    if (length >= sizeof(address))
        return VALUE_WRONG;
    memcpy(address, value, length);
    address[length] = '\0';
    outcome = config_take_prefix(reading, length > 0 ? address : "0.0.0.0/0", &target.address);
    if (outcome == VALUE_TAKEN && colon != NULL)
        outcome = config_take_ports(reading, value, colon + 1, &target.ports);
    return outcome == VALUE_TAKEN ? add_target(reading, section, &target) : outcome;
}

static enum outcome take_protocol(struct reading *reading, struct section *section,
                                  const char *value)
{
    (void)reading;
    return text_parse_protocols(value, &section->promise.protocols) ? VALUE_TAKEN : VALUE_WRONG;
}

/* "2222/tcp", "8000-8099/tcp+udp" */
static enum outcome take_listen(struct reading *reading, struct section *section, const char *value)
{
    struct promise *promise = &section->promise;
    const char *slash = strchr(value, '/');
    char ports[16];
    size_t length = slash != NULL ? (size_t)(slash - value) : 0;

    if (length == 0 || length >= sizeof(ports) ||
        !text_parse_protocols(slash + 1, &promise->protocols))
        return VALUE_WRONG;
    memcpy(ports, value, length);
    ports[length] = '\0';
    return config_take_ports(reading, value, ports, &promise->listen);
}

static enum outcome take_target(struct reading *reading, struct section *section, const char *value)
{
    struct promise *promise = &section->promise;

    if (!text_parse_endpoint(value, &promise->target))
        return VALUE_WRONG;
    return config_take_host(reading, value, &promise->target.address);
}

#define FROM_EXPECTED "IPv4 prefixes, as in 198.51.100.0/24, or all others, as in !192.0.2.0/24"

const struct key never_keys[NEVER_KEYS] = {
    [NEVER_FROM] = {"from", KEY_LIST, take_from, FROM_EXPECTED},
    [NEVER_TO] = {"to", KEY_REQUIRED | KEY_LIST, take_internal,
                  "internal ports or addresses, as in :3306, 10.0.0.0/24 or 10.0.0.5:22"},
    [NEVER_PROTOCOL] = {"protocol", 0, take_protocol, "tcp, udp or tcp+udp"},
};

const struct key always_keys[ALWAYS_KEYS] = {
    [ALWAYS_FROM] = {"from", KEY_LIST, take_from, FROM_EXPECTED},
    [ALWAYS_LISTEN] = {"listen", KEY_REQUIRED, take_listen,
                       "a port or a range, and the protocol, as in 2222/tcp"},
    [ALWAYS_TO] = {"to", KEY_REQUIRED, take_target,
                   "an IPv4 address and a port, as in 10.0.0.22:22"},
};
