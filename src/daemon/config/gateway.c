/*
 * gateway.c - the keys of [gateway]
 */
#include "gateway.h"

#include "portreeve/text.h"
#include "report.h"
#include "value.h"

#include <string.h>

#define MSS_MIN 536   /* RFC 9293 section 3.7.1: what every host accepts */
#define MSS_MAX 65495 /* an IPv4 packet of 65535 bytes, without its headers */

/*
 * Takes what the kernel accepts as a name (dev_valid_name), but no quotes: users who write them are
 * used to other files.
 */
static enum outcome take_interface(struct reading *reading, const char *value, char *out,
                                   size_t size)
{
    if (strlen(value) >= size)
        return config_refuse(reading, value,
                             "the name has %zu bytes; expected an interface name of at most %zu",
                             strlen(value), size - 1);
    if (strpbrk(value, "/: \t\"'") != NULL || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
        return VALUE_WRONG;
    strcpy(out, value);
    return VALUE_TAKEN;
}

static enum outcome take_external(struct reading *reading, struct section *section,
                                  const char *value)
{
    struct config *config = reading->config;
    char name[INTERFACE_NAME_MAX];
    enum outcome outcome = take_interface(reading, value, name, sizeof(name));

    (void)section;
    if (outcome != VALUE_TAKEN)
        return outcome;
    for (size_t i = 0; i < config->external_count; i++) {
        if (strcmp(config->external[i], name) == 0)
            return config_refuse(reading, value,
                                 "this interface is already listed; expected it only once");
    }
    if (config->external_count == CONFIG_UPLINKS_MAX)
        return config_refuse(reading, value, "expected at most %d interfaces", CONFIG_UPLINKS_MAX);
    strcpy(config->external[config->external_count++], name);
    return VALUE_TAKEN;
}

static enum outcome take_external_address(struct reading *reading, struct section *section,
                                          const char *value)
{
    struct config *config = reading->config;
    enum outcome outcome;
    struct address address;

    (void)section;
    if (!text_parse_address(value, &address))
        return strchr(value, '/') != NULL ? VALUE_WRONG
                                          : config_not_an_address(reading, value, value);
    outcome = config_take_host(reading, value, &address);
    if (outcome != VALUE_TAKEN)
        return outcome;
    for (size_t i = 0; i < config->external_address_count; i++) {
        if (address_equal(&config->external_address[i], &address))
            return config_refuse(reading, value,
                                 "this address is already listed; expected it only once");
    }
    if (config->external_address_count == CONFIG_EXTERNAL_ADDRESSES_MAX)
        return config_refuse(reading, value, "expected at most %d addresses",
                             CONFIG_EXTERNAL_ADDRESSES_MAX);
    config->external_address[config->external_address_count++] = address;
    return VALUE_TAKEN;
}

static enum outcome take_untranslated(struct reading *reading, struct section *section,
                                      const char *value)
{
    struct config *config = reading->config;
    char name[IF_NAMESIZE];
    enum outcome outcome = take_interface(reading, value, name, sizeof(name));

    (void)section;
    if (outcome != VALUE_TAKEN)
        return outcome;
    for (size_t i = 0; i < config->untranslated_count; i++) {
        if (strcmp(config->untranslated[i], name) == 0)
            return config_refuse(reading, value,
                                 "this interface is already listed; expected it only once");
    }
    if (config->untranslated_count == CONFIG_UNTRANSLATED_MAX)
        return config_refuse(reading, value, "expected at most %d interfaces",
                             CONFIG_UNTRANSLATED_MAX);
    strcpy(config->untranslated[config->untranslated_count++], name);
    return VALUE_TAKEN;
}

static enum outcome take_hairpin_mark(struct reading *reading, struct section *section,
                                      const char *value)
{
    uint32_t mark;

    (void)section;
    if (!text_parse_mark(value, &mark) || mark == 0 || (mark & (mark - 1)) != 0)
        return VALUE_WRONG;
    reading->config->hairpin_mark = mark;
    return VALUE_TAKEN;
}

static enum outcome take_mss(struct reading *reading, struct section *section, const char *value)
{
    static const char *const words[] = {[MSS_AUTO] = "auto", [MSS_OFF] = "off"};
    int mode = config_choose(value, words, COUNT(words));
    uint64_t number = 0;

    (void)section;
    if (mode < 0 && !text_parse_number(value, MSS_MIN, MSS_MAX, &number))
        return VALUE_WRONG;
    reading->config->mss = mode < 0 ? MSS_FIXED : (enum mss_mode)mode;
    reading->config->mss_limit = (uint16_t)number;
    return VALUE_TAKEN;
}

/* The files are read after this one. */
static enum outcome take_include(struct reading *reading, struct section *section,
                                 const char *value)
{
    (void)section;
    if (strlen(value) >= sizeof(reading->include))
        return VALUE_WRONG;
    strcpy(reading->include, value);
    reading->include_line = reading->line;
    return VALUE_TAKEN;
}

const struct key gateway_keys[GATEWAY_KEYS] = {
    [GATEWAY_EXTERNAL] = {"external", KEY_REQUIRED | KEY_LIST, take_external,
                          "an interface name, as in external = wan0"},
    [GATEWAY_ADDRESS] = {"external-address", KEY_LIST, take_external_address,
                         "IPv4 addresses of the external interfaces, as in 203.0.113.5"},
    [GATEWAY_UNTRANSLATED] = {"untranslated", KEY_LIST, take_untranslated,
                              "interface names, as in untranslated = tun0"},
    [GATEWAY_MARK] = {"hairpin-mark", 0, take_hairpin_mark,
                      "a packet mark with exactly one bit set, as in 0x10000000"},
    [GATEWAY_MSS] = {"mss", 0, take_mss,
                     "auto, off, or a number of bytes from " AS_TEXT(MSS_MIN) " to " AS_TEXT(
                         MSS_MAX)},
    [GATEWAY_INCLUDE] = {"include", 0, take_include,
                         "a path, which may have wildcards, as in conf.d/*.conf"},
};
