/*
 * keys.c - the tables of sections and keys, and the keys of all sections but [gateway] and
 * [forward]
 */
#include "keys.h"

#include "forward.h"
#include "gateway.h"
#include "portreeve/control_protocol.h"
#include "portreeve/text.h"
#include "promise.h"
#include "report.h"
#include "timeouts.h"
#include "value.h"

#include <string.h>

#define SESSIONS_MIN      1024
#define OFFLOAD_AFTER_MAX 1000000

/* ---- [share NAME] ---- */

static enum outcome take_source(struct reading *reading, struct section *section, const char *value)
{
    size_t line_count = section->share.source_count;
    enum outcome outcome;
    struct prefix prefix;

    outcome = config_take_prefix(reading, value, &prefix);
    if (outcome != VALUE_TAKEN)
        return outcome;
    if (prefix.length == EVERY_IPV4)
        return config_refuse(
            reading, value,
            "this is every address, not only the internal ones; expected the internal networks");
    if (ipv4_is_no_unicast(address_to_ipv4(&prefix.address)) ||
        ipv4_is_loopback(address_to_ipv4(&prefix.address)))
        return config_refuse(reading, value,
                             "no host sends from such an address; expected the internal networks");
    if (!config_append(reading, &section->source_line, &line_count, sizeof(reading->line),
                       &reading->line) ||
        !config_append(reading, &section->share.source, &section->share.source_count,
                       sizeof(prefix), &prefix))
        return VALUE_REFUSED;
    return VALUE_TAKEN;
}

static enum outcome take_ports(struct reading *reading, struct section *section, const char *value)
{
    struct port_range range;
    enum outcome outcome = config_take_ports(reading, value, value, &range);

    if (outcome == VALUE_TAKEN &&
        !config_append(reading, &section->share.ports, &section->share.ports_count, sizeof(range),
                       &range))
        return VALUE_REFUSED;
    return outcome;
}

static enum outcome choose_filtering(const char *value, enum filtering *out)
{
    for (enum filtering f = FILTERING_ENDPOINT_INDEPENDENT;
         f <= FILTERING_ADDRESS_AND_PORT_DEPENDENT; f++) {
        if (strcmp(value, filtering_name(f)) == 0) {
            *out = f;
            return VALUE_TAKEN;
        }
    }
    return VALUE_WRONG;
}

static enum outcome take_filtering(struct reading *reading, struct section *section,
                                   const char *value)
{
    (void)reading;
    return choose_filtering(value, &section->share.filtering);
}

/* The filtering of one protocol: 0 means "as filtering". */
static enum outcome choose_own_filtering(const char *value, uint8_t *out)
{
    enum filtering filtering;
    enum outcome outcome = choose_filtering(value, &filtering);

    if (outcome == VALUE_TAKEN)
        *out = (uint8_t)(1 + filtering);
    return outcome;
}

static enum outcome take_filtering_tcp(struct reading *reading, struct section *section,
                                       const char *value)
{
    (void)reading;
    return choose_own_filtering(value, &section->share.filtering_of[PROTOCOL_INDEX_TCP]);
}

static enum outcome take_filtering_udp(struct reading *reading, struct section *section,
                                       const char *value)
{
    (void)reading;
    return choose_own_filtering(value, &section->share.filtering_of[PROTOCOL_INDEX_UDP]);
}

/* Takes one of two words: *out is true for `yes`. */
static enum outcome choose_bool(const char *value, const char *no, const char *yes, bool *out)
{
    const char *const words[] = {no, yes};
    int chosen = config_choose(value, words, COUNT(words));

    if (chosen < 0)
        return VALUE_WRONG;
    *out = chosen == 1;
    return VALUE_TAKEN;
}

static enum outcome take_overload(struct reading *reading, struct section *section,
                                  const char *value)
{
    (void)reading;
    return choose_bool(value, "when-exhausted", "never", &section->share.never_overload);
}

static enum outcome take_parity(struct reading *reading, struct section *section, const char *value)
{
    (void)reading;
    return choose_bool(value, "off", "on", &section->share.keep_parity);
}

static enum outcome take_pairing(struct reading *reading, struct section *section,
                                 const char *value)
{
    (void)reading;
    return choose_bool(value, "hard", "soft", &section->share.soft_pairing);
}

static enum outcome take_inbound_refresh(struct reading *reading, struct section *section,
                                         const char *value)
{
    (void)reading;
    return choose_bool(value, "on", "off", &section->share.no_inbound_refresh);
}

static enum outcome take_exempt(struct reading *reading, struct section *section, const char *value)
{
    struct share *share = &section->share;
    struct prefix prefix;
    enum outcome outcome = config_take_prefix(reading, value, &prefix);

    if (outcome != VALUE_TAKEN)
        return outcome;
    if (prefix.length == EVERY_IPV4)
        return config_refuse(reading, value,
                             "this is every address, and nothing would be translated; expected the "
                             "destinations that are reached without translation");
    if (!config_append(reading, &share->exempt, &share->exempt_count, sizeof(prefix), &prefix))
        return VALUE_REFUSED;
    return VALUE_TAKEN;
}

static enum outcome take_closed(struct reading *reading, struct section *section, const char *value)
{
    (void)reading;
    return choose_bool(value, "on", "off", &section->share.open);
}

#define FILTERING_EXPECTED "endpoint-independent, address-dependent or address-and-port-dependent"

static const struct key share_keys[SHARE_KEYS] = {
    [SHARE_SOURCE] = {"source", KEY_REQUIRED | KEY_LIST, take_source,
                      "IPv4 prefixes, as in 10.0.0.0/24, 10.1.0.0/16"},
    [SHARE_PORTS] = {"ports", KEY_LIST, take_ports, "ports or ranges of ports, as in 10000-29999"},
    [SHARE_FILTERING] = {"filtering", 0, take_filtering, FILTERING_EXPECTED},
    [SHARE_FILTERING_TCP] = {"filtering-tcp", 0, take_filtering_tcp, FILTERING_EXPECTED},
    [SHARE_FILTERING_UDP] = {"filtering-udp", 0, take_filtering_udp, FILTERING_EXPECTED},
    [SHARE_OVERLOAD] = {"overload", 0, take_overload, "when-exhausted or never"},
    [SHARE_PARITY] = {"parity", 0, take_parity, "on or off"},
    [SHARE_PAIRING] = {"pairing", 0, take_pairing, "hard or soft"},
    [SHARE_REFRESH] = {"inbound-refresh", 0, take_inbound_refresh, "on or off"},
    [SHARE_EXEMPT] = {"exempt", KEY_LIST, take_exempt,
                      "IPv4 prefixes, as in 192.0.2.0/24, 198.51.100.7"},
    [SHARE_CLOSED] = {"closed", 0, take_closed, "on or off"},
};

/* ---- [limits] ---- */

static enum outcome take_sessions(struct reading *reading, struct section *section,
                                  const char *value)
{
    uint64_t number;

    (void)section;
    if (!text_parse_number(value, SESSIONS_MIN, SESSIONS_MAX, &number))
        return VALUE_WRONG;
    policy_limits(reading->config->policy)->sessions = (uint32_t)number;
    return VALUE_TAKEN;
}

static enum outcome take_sessions_per_host(struct reading *reading, struct section *section,
                                           const char *value)
{
    uint64_t number;

    (void)section;
    if (!text_parse_number(value, 1, SESSIONS_MAX, &number))
        return VALUE_WRONG;
    policy_limits(reading->config->policy)->sessions_per_host = (uint32_t)number;
    return VALUE_TAKEN;
}

/* "off" or a number of new sessions per second. */
static enum outcome take_rate(const char *value, uint32_t *rate)
{
    uint64_t number = 0;

    if (strcmp(value, "off") != 0 && !text_parse_number(value, 1, NEW_SESSIONS_MAX, &number))
        return VALUE_WRONG;
    *rate = (uint32_t)number;
    return VALUE_TAKEN;
}

static enum outcome take_new_sessions_per_host(struct reading *reading, struct section *section,
                                               const char *value)
{
    (void)section;
    return take_rate(value, &policy_limits(reading->config->policy)->new_sessions_per_host);
}

static enum outcome take_new_sessions_per_remote(struct reading *reading, struct section *section,
                                                 const char *value)
{
    uint32_t *rate = &policy_limits(reading->config->policy)->new_sessions_per_remote;

    (void)section;
    if (strcmp(value, "auto") != 0)
        return take_rate(value, rate);
    *rate = LIMIT_AUTO;
    return VALUE_TAKEN;
}

/* "auto" (config_check knows the size of the table), "off" or a number. */
static enum outcome take_part_of_table(const char *value, uint32_t *limit)
{
    uint64_t number = 0;

    if (strcmp(value, "auto") == 0)
        number = LIMIT_AUTO;
    else if (strcmp(value, "off") != 0 && !text_parse_number(value, 1, SESSIONS_MAX, &number))
        return VALUE_WRONG;
    *limit = (uint32_t)number;
    return VALUE_TAKEN;
}

static enum outcome take_sessions_from_outside(struct reading *reading, struct section *section,
                                               const char *value)
{
    (void)section;
    return take_part_of_table(value,
                              &policy_limits(reading->config->policy)->sessions_from_outside);
}

static enum outcome take_sessions_per_remote(struct reading *reading, struct section *section,
                                             const char *value)
{
    (void)section;
    return take_part_of_table(value, &policy_limits(reading->config->policy)->sessions_per_remote);
}

static enum outcome take_mappings_per_host(struct reading *reading, struct section *section,
                                           const char *value)
{
    struct limits *limits = policy_limits(reading->config->policy);
    bool automatic = strcmp(value, "auto") == 0;
    uint64_t number = 0;

    (void)section;
    if (!automatic && strcmp(value, "off") != 0 &&
        !text_parse_number(value, 1, SESSIONS_MAX, &number))
        return VALUE_WRONG;
    limits->mappings_auto = automatic;
    limits->mappings_per_host = (uint32_t)number;
    return VALUE_TAKEN;
}

static const struct key limit_keys[] = {
    [LIMIT_SESSIONS] = {"sessions", 0, take_sessions,
                        "a number from " AS_TEXT(SESSIONS_MIN) " to " AS_TEXT(SESSIONS_MAX)},
    [LIMIT_PER_HOST] = {"sessions-per-host", 0, take_sessions_per_host,
                        "a number from 1 to the value of 'sessions'"},
    [LIMIT_NEW_PER_HOST] = {"new-sessions-per-host", 0, take_new_sessions_per_host,
                            "off or a number from 1 to " AS_TEXT(NEW_SESSIONS_MAX)},
    [LIMIT_MAPPINGS] = {"mappings-per-host", 0, take_mappings_per_host,
                        "auto, off or a number from 1 to " AS_TEXT(SESSIONS_MAX)},
    [LIMIT_OUTSIDE] = {"sessions-from-outside", 0, take_sessions_from_outside,
                       "auto, off or a number from 1 to " AS_TEXT(SESSIONS_MAX)},
    [LIMIT_PER_REMOTE] = {"sessions-per-remote", 0, take_sessions_per_remote,
                          "auto, off or a number from 1 to " AS_TEXT(SESSIONS_MAX)},
    [LIMIT_NEW_PER_REMOTE] = {"new-sessions-per-remote", 0, take_new_sessions_per_remote,
                              "auto, off or a number from 1 to " AS_TEXT(NEW_SESSIONS_MAX)},
};

/* ---- [performance] ---- */

static enum outcome take_workers(struct reading *reading, struct section *section,
                                 const char *value)
{
    uint64_t number = 0;

    (void)section;
    if (strcmp(value, "auto") != 0 && !text_parse_number(value, 1, CONFIG_WORKERS_MAX, &number))
        return VALUE_WRONG;
    reading->config->workers = (uint16_t)number;
    return VALUE_TAKEN;
}

static enum outcome take_offload(struct reading *reading, struct section *section,
                                 const char *value)
{
    static const char *const words[] = {
        [OFFLOAD_AUTO] = "auto", [OFFLOAD_ON] = "on", [OFFLOAD_OFF] = "off"};
    int mode = config_choose(value, words, COUNT(words));

    (void)section;
    if (mode < 0)
        return VALUE_WRONG;
    reading->config->offload = (enum offload_mode)mode;
    return VALUE_TAKEN;
}

static enum outcome take_offload_after(struct reading *reading, struct section *section,
                                       const char *value)
{
    uint64_t number;

    (void)section;
    if (!text_parse_number(value, 1, OFFLOAD_AFTER_MAX, &number))
        return VALUE_WRONG;
    reading->config->offload_after = (uint32_t)number;
    return VALUE_TAKEN;
}

static enum outcome take_queue(struct reading *reading, struct section *section, const char *value)
{
    uint64_t number;

    (void)section;
    if (!text_parse_number(value, 0, UINT16_MAX, &number))
        return VALUE_WRONG;
    reading->config->queue = (uint16_t)number;
    return VALUE_TAKEN;
}

static const struct key performance_keys[] = {
    [PERFORMANCE_WORKERS] = {"workers", 0, take_workers,
                             "auto or a number from 1 to " AS_TEXT(CONFIG_WORKERS_MAX)},
    [PERFORMANCE_OFFLOAD] = {"offload", 0, take_offload, "auto, on or off"},
    [PERFORMANCE_OFFLOAD_AFTER] = {"offload-after", 0, take_offload_after,
                                   "a number of packets from 1 to " AS_TEXT(OFFLOAD_AFTER_MAX)},
    [PERFORMANCE_QUEUE] = {"queue", 0, take_queue, "a number from 0 to 65535"},
};

/* ---- [control], [state], [log] ---- */

static enum outcome take_socket(struct reading *reading, struct section *section, const char *value)
{
    struct config *config = reading->config;

    (void)section;
    return config_take_path(reading, value, config->control_socket, sizeof(config->control_socket));
}

static enum outcome take_group(struct reading *reading, struct section *section, const char *value)
{
    struct config *config = reading->config;

    (void)section;
    if (strpbrk(value, ": \t,\"'") != NULL)
        return VALUE_WRONG;
    return config_take_text(reading, value, config->control_group, sizeof(config->control_group));
}

static enum outcome take_directory(struct reading *reading, struct section *section,
                                   const char *value)
{
    struct config *config = reading->config;

    (void)section;
    return config_take_path(reading, value, config->state_directory,
                            sizeof(config->state_directory));
}

static enum outcome take_lasting_directory(struct reading *reading, struct section *section,
                                           const char *value)
{
    struct config *config = reading->config;

    (void)section;
    return config_take_path(reading, value, config->lasting_directory,
                            sizeof(config->lasting_directory));
}

static enum outcome take_level(struct reading *reading, struct section *section, const char *value)
{
    static const char *const words[] = {
        [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
        [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
    };
    int level = config_choose(value, words, COUNT(words));

    (void)section;
    if (level < 0)
        return VALUE_WRONG;
    reading->config->log.level = (enum log_level)level;
    return VALUE_TAKEN;
}

static enum outcome take_target(struct reading *reading, struct section *section, const char *value)
{
    static const char *const words[] = {
        [LOG_TARGET_AUTO] = "auto",
        [LOG_TARGET_JOURNAL] = "journal",
        [LOG_TARGET_STDERR] = "stderr",
        [LOG_TARGET_SYSLOG] = "syslog",
    };
    int target = config_choose(value, words, COUNT(words));

    (void)section;
    if (target < 0)
        return VALUE_WRONG;
    reading->config->log.target = (enum log_target)target;
    return VALUE_TAKEN;
}

static const struct key control_keys[] = {
    {"socket", 0, take_socket, "an absolute path, as in " CONTROL_SOCKET_DEFAULT},
    {"group", KEY_MAY_BE_EMPTY, take_group,
     "the name of a group, or nothing (then only root may use the socket)"},
};

static const struct key state_keys[] = {
    {"directory", 0, take_directory, "an absolute path, as in /run/portreeve"},
    {"lasting-directory", 0, take_lasting_directory, "an absolute path, as in /var/lib/portreeve"},
};

static const struct key log_keys[] = {
    {"level", 0, take_level, "error, warning, notice, info or debug"},
    {"target", 0, take_target, "auto, journal, stderr or syslog"},
};

const struct section_kind section_kinds[SECTION_COUNT] = {
    [SECTION_GATEWAY] = {"gateway", false, gateway_keys, GATEWAY_KEYS},
    [SECTION_SHARE] = {"share", true, share_keys, SHARE_KEYS},
    [SECTION_FORWARD] = {"forward", true, forward_keys, FORWARD_KEYS},
    [SECTION_NEVER] = {"never", true, never_keys, NEVER_KEYS},
    [SECTION_ALWAYS] = {"always", true, always_keys, ALWAYS_KEYS},
    [SECTION_TIMEOUTS] = {"timeouts", false, timeout_keys, TIMEOUT_KEYS},
    [SECTION_LIMITS] = {"limits", false, limit_keys, COUNT(limit_keys)},
    [SECTION_PERFORMANCE] = {"performance", false, performance_keys, COUNT(performance_keys)},
    [SECTION_CONTROL] = {"control", false, control_keys, COUNT(control_keys)},
    [SECTION_STATE] = {"state", false, state_keys, COUNT(state_keys)},
    [SECTION_LOG] = {"log", false, log_keys, COUNT(log_keys)},
};
_Static_assert(GATEWAY_KEYS <= KEYS_MAX && SHARE_KEYS <= KEYS_MAX && FORWARD_KEYS <= KEYS_MAX,
               "keys fit into struct section");
