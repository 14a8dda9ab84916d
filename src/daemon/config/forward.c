/*
 * forward.c - the keys of [forward NAME]
 */
#include "forward.h"

#include "portreeve/service.h"
#include "portreeve/text.h"
#include "report.h"
#include "value.h"

#include <string.h>

/* "ssh" of "ssh/tcp": one port, which must be the same for both protocols of tcp+udp. */
static enum outcome take_service(struct reading *reading, const char *value, const char *service,
                                 struct forward *forward)
{
    const struct protocol *first = NULL;
    uint16_t port = 0;

    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        const struct protocol *protocol = &protocol_table[i];
        uint16_t own;

        if (!(forward->protocols & 1u << i))
            continue;
        own = service_port(service, protocol->name);
        if (own == 0)
            return config_refuse(
                reading, value,
                "'%s' is not a %s service in /etc/services; expected a service name or a port",
                service, protocol->name);
        if (first != NULL && own != port)
            return config_refuse(
                reading, value, "'%s' is port %u for %s and port %u for %s; expected a port number",
                service, port, first->name, own, protocol->name);
        first = protocol;
        port = own;
    }
    forward->listen = (struct port_range){port, port};
    return VALUE_TAKEN;
}

static enum outcome take_listen(struct reading *reading, struct section *section, const char *value)
{
    struct forward *forward = &section->forward;
    const char *slash = strchr(value, '/');
    char ports[SERVICE_NAME_MAX];
    size_t length = slash != NULL ? (size_t)(slash - value) : strlen(value);

    if (length == 0 || length >= sizeof(ports))
        return VALUE_WRONG;
    if (slash == NULL)
        return config_refuse(reading, value,
                             "the protocol is missing; expected %s/tcp, %s/udp or %s/tcp+udp",
                             value, value, value);
    memcpy(ports, value, length);
    ports[length] = '\0';
    if (!text_parse_protocols(slash + 1, &forward->protocols))
        return config_refuse(reading, value,
                             "'%s' cannot be forwarded; expected tcp, udp or tcp+udp", slash + 1);
    if (ports[strspn(ports, "0123456789-")] == '\0')
        return config_take_ports(reading, value, ports, &forward->listen);
    return take_service(reading, value, ports, forward);
}

/* Reports what is wrong with a value that is not ADDRESS:PORT. */
static enum outcome not_an_endpoint(struct reading *reading, const char *value)
{
    const char *colon = strrchr(value, ':');
    struct address address;
    char host[80];
    size_t length = colon != NULL ? (size_t)(colon - value) : strlen(value);

    if (text_parse_address(value, &address)) {
        if (!address_is_ipv4(&address))
            return config_take_host(reading, value, &address);
        return config_refuse(reading, value,
                             "the port is missing; expected an address and a port, as in %s:80",
                             value);
    }
    if (length >= sizeof(host))
        return VALUE_WRONG;
    memcpy(host, value, length);
    host[length] = '\0';
    if (text_parse_address(host, &address))
        return config_refuse(reading, value,
                             "'%s' is not a port; expected a number from 1 to 65535", colon + 1);
    return config_not_an_address(reading, value, host);
}

static enum outcome take_to(struct reading *reading, struct section *section, const char *value)
{
    struct endpoint endpoint;
    enum outcome outcome;

    if (!text_parse_endpoint(value, &endpoint))
        return not_an_endpoint(reading, value);
    outcome = config_take_host(reading, value, &endpoint.address);
    if (outcome == VALUE_TAKEN) {
        section->forward.target[0] = endpoint;
        section->forward.target_count = 1;
    }
    return outcome;
}

static enum outcome take_allow(struct reading *reading, struct section *section, const char *value)
{
    struct forward *forward = &section->forward;
    struct prefix prefix;
    enum outcome outcome = config_take_prefix(reading, value, &prefix);

    if (outcome == VALUE_TAKEN &&
        !config_append(reading, &forward->allow, &forward->allow_count, sizeof(prefix), &prefix))
        return VALUE_REFUSED;
    return outcome;
}

static enum outcome take_owner(struct reading *reading, struct section *section, const char *value)
{
    return config_take_text(reading, value, section->forward.owner, sizeof(section->forward.owner));
}

static enum outcome take_note(struct reading *reading, struct section *section, const char *value)
{
    return config_take_text(reading, value, section->forward.note, sizeof(section->forward.note));
}

static enum outcome take_expires(struct reading *reading, struct section *section,
                                 const char *value)
{
    char title[TITLE_MAX];
    int64_t expires;

    if (!text_parse_time(value, &expires))
        return VALUE_WRONG;
    section->expired = expires <= reading->now;
    section->forward.expires = expires;
    if (section->expired && reading->path == NULL)
        return config_refuse(reading, value,
                             "this time is in the past; expected a time in the future");
    if (section->expired)
        config_warning(reading, reading->line,
                       "%s expires = %s: this time is in the past; the forward is not used",
                       config_title(section, title), value);
    return VALUE_TAKEN;
}

static enum outcome take_sessions(struct reading *reading, struct section *section,
                                  const char *value)
{
    uint64_t number;

    (void)reading;
    if (!text_parse_number(value, 1, SESSIONS_MAX, &number))
        return VALUE_WRONG;
    section->forward.sessions = (uint32_t)number;
    return VALUE_TAKEN;
}

static enum outcome take_new_sessions(struct reading *reading, struct section *section,
                                      const char *value)
{
    uint64_t number;

    (void)reading;
    if (!text_parse_number(value, 1, NEW_SESSIONS_MAX, &number))
        return VALUE_WRONG;
    section->forward.new_sessions = (uint32_t)number;
    return VALUE_TAKEN;
}

const struct key forward_keys[FORWARD_KEYS] = {
    [FORWARD_LISTEN] = {"listen", KEY_REQUIRED, take_listen,
                        "a port, a range or a service name, and the protocol, as in 2222/tcp, "
                        "8000-8099/udp or domain/tcp+udp"},
    [FORWARD_TO] = {"to", KEY_REQUIRED, take_to, "an IPv4 address and a port, as in 10.0.0.22:22"},
    [FORWARD_ALLOW] = {"allow", KEY_LIST, take_allow,
                       "IPv4 prefixes, as in 198.51.100.0/24, 203.0.113.7"},
    [FORWARD_OWNER] = {"owner", 0, take_owner, "a text"},
    [FORWARD_NOTE] = {"note", 0, take_note, "a text"},
    [FORWARD_EXPIRES] = {"expires", 0, take_expires, "a time in UTC, as in 2026-12-31T18:00:00Z"},
    [FORWARD_SESSIONS] = {"sessions", 0, take_sessions,
                          "a number from 1 to " AS_TEXT(SESSIONS_MAX)},
    [FORWARD_NEW_SESSIONS] = {"new-sessions", 0, take_new_sessions,
                              "a number per second, from 1 to " AS_TEXT(NEW_SESSIONS_MAX)},
};
