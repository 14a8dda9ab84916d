/*
 * forward.c - the keys of [forward NAME]
 */
#include "forward.h"

#include "portreeve/text.h"
#include "report.h"
#include "value.h"

#include <netdb.h>
#include <string.h>

#define SERVICE_MAX 64

static const struct protocol_word {
    const char *word;
    uint8_t protocols;
} protocol_words[] = {
    {"tcp", FORWARD_TCP},
    {"udp", FORWARD_UDP},
    {"tcp+udp", FORWARD_TCP | FORWARD_UDP},
};

/* The port of a service in /etc/services, or 0. */
static uint16_t service_port(const char *service, const char *protocol)
{
    struct servent entry, *found = NULL;
    char buffer[4096];

    if (getservbyname_r(service, protocol, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
        return 0;
    return (uint16_t)(((unsigned)found->s_port >> 8 & 0xff) | ((unsigned)found->s_port & 0xff)
                                                                  << 8);
}

/* "ssh" of "ssh/tcp": one port, and for tcp+udp the same one. */
static enum outcome take_service(struct reading *reading, const char *value, const char *service,
                                 struct forward *forward)
{
    uint16_t tcp = service_port(service, "tcp"), udp = service_port(service, "udp");
    bool wants_tcp = forward->protocols & FORWARD_TCP, wants_udp = forward->protocols & FORWARD_UDP;
    uint16_t port = wants_tcp ? tcp : udp;

    if ((wants_tcp && tcp == 0) || (wants_udp && udp == 0))
        return config_refuse(reading, value,
                             "'%s' is not a %s service in /etc/services; expected one, or a port",
                             service, wants_tcp && tcp == 0 ? "tcp" : "udp");
    if (wants_tcp && wants_udp && tcp != udp)
        return config_refuse(reading, value,
                             "'%s' is port %u of tcp and %u of udp; expected one port", service,
                             tcp, udp);
    forward->listen = (struct port_range){port, port};
    return VALUE_TAKEN;
}

static enum outcome take_listen(struct reading *reading, struct section *section, const char *value)
{
    struct forward *forward = &section->forward;
    const char *slash = strchr(value, '/');
    char ports[SERVICE_MAX];
    size_t length = slash ? (size_t)(slash - value) : strlen(value);

    if (length == 0 || length >= sizeof(ports))
        return VALUE_WRONG;
    if (!slash)
        return config_refuse(reading, value,
                             "the protocol is missing; expected %s/tcp, %s/udp or %s/tcp+udp",
                             value, value, value);
    memcpy(ports, value, length);
    ports[length] = '\0';
    forward->protocols = 0;
    for (size_t i = 0; i < sizeof(protocol_words) / sizeof(protocol_words[0]); i++) {
        if (strcmp(slash + 1, protocol_words[i].word) == 0)
            forward->protocols = protocol_words[i].protocols;
    }
    if (forward->protocols == 0)
        return config_refuse(
            reading, value,
            "'%s' is no protocol that ports are forwarded of; expected tcp, udp or "
            "tcp+udp",
            slash + 1);
    if (ports[strspn(ports, "0123456789-")] == '\0')
        return config_take_ports(reading, value, ports, &forward->listen);
    return take_service(reading, value, ports, forward);
}

/* Says what is wrong with a value that is not ADDRESS:PORT. */
static enum outcome not_an_endpoint(struct reading *reading, const char *value)
{
    const char *colon = strrchr(value, ':');
    struct address address;
    char host[80];
    size_t length = colon ? (size_t)(colon - value) : strlen(value);

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
    if (section->expired && !reading->path)
        return config_refuse(reading, value, "this time is over; expected one to come");
    if (section->expired)
        config_warning(reading, reading->line,
                       "%s expires = %s: this time is over; the forward is left out",
                       config_title(section, title), value);
    return VALUE_TAKEN;
}

const struct key forward_keys[FORWARD_KEYS] = {
    [FORWARD_LISTEN] =
        {"listen", KEY_REQUIRED, take_listen,
         "a port, a range or a service, and the protocol, as in 2222/tcp, 8000-8099/udp or "
         "domain/tcp+udp"},
    [FORWARD_TO] = {"to", KEY_REQUIRED, take_to, "an IPv4 address and a port, as in 10.0.0.22:22"},
    [FORWARD_ALLOW] = {"allow", KEY_LIST, take_allow,
                       "IPv4 prefixes, as in 198.51.100.0/24, 203.0.113.7"},
    [FORWARD_OWNER] = {"owner", 0, take_owner, "a text"},
    [FORWARD_NOTE] = {"note", 0, take_note, "a text"},
    [FORWARD_EXPIRES] = {"expires", 0, take_expires, "a time in UTC, as in 2026-12-31T18:00:00Z"},
};
