/*
 * timeouts.c - the keys of [timeouts], also those of single ports (udp:53)
 */
#include "timeouts.h"

#include "place.h"

#include "portreeve/service.h"
#include "portreeve/text.h"
#include "report.h"
#include "value.h"

#include <string.h>

/* The minimum that the RFCs require, in seconds. */
#define FLOOR_UDP             120
#define FLOOR_TCP_ESTABLISHED 7440
#define FLOOR_TCP_TRANSITORY  240
#define FLOOR_ICMP            60
#define FLOOR_PORT_HOLD       120

/* Below this, applications that are known by their port may have less (RFC 4787 REQ-5a). */
#define WELL_KNOWN_END 1024

/*
 * A DNS client that sends each query from a new port would hold a mapping for minutes after the
 * answer. No resolver waits longer than 30 seconds for one (BIND's resolver-query-timeout is 30 at
 * most), and the kernel's conntrack keeps such a session as long.
 */
#define DNS_PORT    53
#define DNS_DEFAULT 30

static enum outcome take_duration(struct reading *reading, const char *value, uint32_t *out,
                                  uint32_t floor, const char *requirement)
{
    char floor_text[DURATION_TEXT_MAX], title[TITLE_MAX];

    if (!text_parse_duration(value, out) || *out > LONGEST_TIMEOUT)
        return VALUE_WRONG;
    if (*out < floor)
        config_warning(reading, reading->line, "%s %s = %s: the minimum of %s is %s",
                       config_title(reading->section, title), config_key_name(reading), value,
                       requirement, text_format_duration(floor, floor_text));
    return VALUE_TAKEN;
}

static enum outcome take_udp(struct reading *reading, struct section *section, const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->udp, FLOOR_UDP,
                         "RFC 4787 REQ-5");
}

static enum outcome take_tcp_established(struct reading *reading, struct section *section,
                                         const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->tcp_established,
                         FLOOR_TCP_ESTABLISHED, "RFC 5382 REQ-5");
}

static enum outcome take_tcp_transitory(struct reading *reading, struct section *section,
                                        const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->tcp_transitory,
                         FLOOR_TCP_TRANSITORY, "RFC 5382 REQ-5");
}

static enum outcome take_icmp(struct reading *reading, struct section *section, const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->icmp,
                         FLOOR_ICMP, "RFC 5508 REQ-2");
}

static enum outcome take_tcp_opening(struct reading *reading, struct section *section,
                                     const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->tcp_opening,
                         FLOOR_TCP_TRANSITORY, "RFC 5382 REQ-5");
}

static enum outcome take_tcp_closing(struct reading *reading, struct section *section,
                                     const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->tcp_closing,
                         FLOOR_TCP_TRANSITORY, "RFC 5382 REQ-5");
}

static enum outcome take_port_hold(struct reading *reading, struct section *section,
                                   const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->port_hold,
                         FLOOR_PORT_HOLD, "RFC 6888 REQ-8");
}

static enum outcome take_address_hold(struct reading *reading, struct section *section,
                                      const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->address_hold, 0,
                         NULL);
}

static enum outcome take_stop_hold(struct reading *reading, struct section *section,
                                   const char *value)
{
    (void)section;
    return take_duration(reading, value, &policy_timeouts(reading->config->policy)->stop_hold, 0,
                         NULL);
}

/* ---- single ports ---- */

/* The port that the key names: a number or a service. 0 after saying what is wrong with it. */
static uint16_t port_of_key(struct reading *reading, const char *value, uint8_t protocol)
{
    const char *name = protocol_table[protocol_index(protocol)].name;
    const char *text = strchr(reading->key_name, ':') + 1;
    uint64_t number;
    uint16_t port;

    if (text[strspn(text, "0123456789")] == '\0') {
        if (text_parse_number(text, 1, UINT16_MAX, &number))
            return (uint16_t)number;
        config_refuse(reading, value, "'%s' is not a port; expected a number from 1 to 65535",
                      text);
        return 0;
    }
    port = strlen(text) < SERVICE_NAME_MAX ? service_port(text, name) : 0;
    if (port == 0)
        config_refuse(reading, value,
                      "'%s' is not a %s service in /etc/services; expected a service name or a "
                      "port, as in %s:53",
                      text, name, name);
    return port;
}

/* The line that has set the timeout of this port; 0 when none has. */
static unsigned line_of_port(const struct reading *reading, uint8_t protocol, uint16_t port)
{
    const struct timeouts *timeouts = policy_timeouts_const(reading->config->policy);

    for (uint32_t i = 0; i < timeouts->port_count; i++) {
        if (timeouts->port[i].port == port && timeouts->port[i].protocol == protocol)
            return reading->port_timeout_line[i];
    }
    return 0;
}

static enum outcome take_port(struct reading *reading, const char *value, uint8_t protocol,
                              uint32_t floor, const char *requirement)
{
    struct timeouts *timeouts = policy_timeouts(reading->config->policy);
    uint16_t port = port_of_key(reading, value, protocol);
    bool may_be_short = protocol == PROTOCOL_UDP && port < WELL_KNOWN_END;
    unsigned line;
    char place[PLACE_MAX];
    uint32_t seconds;
    enum outcome outcome;

    if (port == 0)
        return VALUE_REFUSED;
    outcome = take_duration(reading, value, &seconds, may_be_short ? 0 : floor, requirement);
    if (outcome != VALUE_TAKEN)
        return outcome;
    line = line_of_port(reading, protocol, port);
    if (line != 0)
        return config_refuse(reading, value,
                             "the timeout of port %u is already set at %s; expected it only "
                             "once",
                             port, place_text(reading, line, place));
    if (timeouts->port_count == PORT_TIMEOUTS_MAX)
        return config_refuse(reading, value, "expected at most %d timeouts of single ports",
                             PORT_TIMEOUTS_MAX);
    reading->port_timeout_line[timeouts->port_count] = reading->line;
    timeouts_set_port(timeouts, protocol, port, seconds);
    return VALUE_TAKEN;
}

static enum outcome take_udp_port(struct reading *reading, struct section *section,
                                  const char *value)
{
    (void)section;
    return take_port(reading, value, PROTOCOL_UDP, FLOOR_UDP, "RFC 4787 REQ-5");
}

static enum outcome take_tcp_port(struct reading *reading, struct section *section,
                                  const char *value)
{
    (void)section;
    return take_port(reading, value, PROTOCOL_TCP, FLOOR_TCP_ESTABLISHED, "RFC 5382 REQ-5");
}

void config_default_port_timeouts(struct reading *reading)
{
    struct timeouts *timeouts = policy_timeouts(reading->config->policy);

    if (timeouts_of_port(timeouts, PROTOCOL_UDP, DNS_PORT) == 0 && timeouts->udp > DNS_DEFAULT)
        timeouts_set_port(timeouts, PROTOCOL_UDP, DNS_PORT, DNS_DEFAULT);
}

#define DURATION_EXPECTED "a time from 1s to 30d, as in 90s, 5m or 2h4m"

const struct key timeout_keys[TIMEOUT_KEYS] = {
    {"udp", 0, take_udp, DURATION_EXPECTED},
    {"tcp-established", 0, take_tcp_established, DURATION_EXPECTED},
    {"tcp-transitory", 0, take_tcp_transitory, DURATION_EXPECTED},
    {"tcp-opening", 0, take_tcp_opening, DURATION_EXPECTED},
    {"tcp-closing", 0, take_tcp_closing, DURATION_EXPECTED},
    {"port-hold", 0, take_port_hold, DURATION_EXPECTED},
    {"address-hold", 0, take_address_hold, DURATION_EXPECTED},
    {"stop-hold", 0, take_stop_hold, DURATION_EXPECTED},
    {"icmp", 0, take_icmp, DURATION_EXPECTED},
    {"udp:PORT", KEY_OF_PORT, take_udp_port, DURATION_EXPECTED},
    {"tcp:PORT", KEY_OF_PORT, take_tcp_port, DURATION_EXPECTED},
};
