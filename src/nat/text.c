/*
 * text.c - strict parsers and formatters
 *
 * Everything here reads text that a person or a peer wrote. No parser uses strtol and its family
 * (spaces, signs and "0x" are accepted, and the locale matters) or inet_aton (octal, and 10.1 for
 * 10.0.0.1).
 */
#include "portreeve/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECONDS_PER_DAY 86400u
#define DURATION_MAX    (366u * SECONDS_PER_DAY)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Reads decimal digits at *text and moves *text past them. No leading zeros, nothing above `max`.
 */
static bool read_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *at = *text;
    uint64_t value = 0;

    if (!is_digit(*at) || (at[0] == '0' && is_digit(at[1])))
        return false;
    for (; is_digit(*at); at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *text = at;
    *out = value;
    return true;
}

bool text_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;

    if (!read_number(&text, max, &value) || *text != '\0' || value < min)
        return false;
    *out = value;
    return true;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool text_parse_mark(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    size_t digits = 0;

    if (text[0] != '0' || text[1] != 'x') {
        if (!text_parse_number(text, 0, UINT32_MAX, &value))
            return false;
        *out = (uint32_t)value;
        return true;
    }
    for (text += 2; hex_digit(*text) >= 0 && digits <= 8; text++, digits++)
        value = value << 4 | (uint64_t)hex_digit(*text);
    if (*text != '\0' || digits == 0 || digits > 8)
        return false;
    *out = (uint32_t)value;
    return true;
}

bool text_parse_address(const char *text, struct address *out)
{
    struct in_addr ipv4;
    struct address ipv6;

    if (inet_pton(AF_INET, text, &ipv4) == 1)
        *out = address_from_ipv4(ntohl(ipv4.s_addr));
    else if (inet_pton(AF_INET6, text, ipv6.bytes) == 1)
        *out = ipv6;
    else
        return false;
    return true;
}

/* As text_parse_address, of the `length` bytes at `text`. */
static bool parse_address_part(const char *text, size_t length, struct address *out)
{
    char copy[ADDRESS_TEXT_MAX];

    if (length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return text_parse_address(copy, out);
}

static bool has_host_bits(const struct prefix *prefix)
{
    for (unsigned bit = prefix->length; bit < 128; bit++) {
        if (prefix->address.bytes[bit / 8] & (0x80u >> (bit % 8)))
            return true;
    }
    return false;
}

bool text_parse_prefix(const char *text, struct prefix *out)
{
    const char *slash = strchr(text, '/');
    size_t address_length = slash ? (size_t)(slash - text) : strlen(text);
    struct prefix prefix;
    uint64_t length = 128;
    bool dotted;

    if (!parse_address_part(text, address_length, &prefix.address))
        return false;
    /* ::ffff:10.0.0.0/104 counts its bits from the left end of all sixteen bytes */
    dotted = memchr(text, ':', address_length) == NULL;
    if (slash) {
        if (!text_parse_number(slash + 1, 0, dotted ? 32 : 128, &length))
            return false;
        length += dotted ? 96 : 0;
    }
    prefix.length = (uint8_t)length;
    if (has_host_bits(&prefix))
        return false;
    *out = prefix;
    return true;
}

bool text_parse_endpoint(const char *text, struct endpoint *out)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[';
    struct endpoint endpoint;
    uint64_t port;
    size_t length;

    if (!colon || !text_parse_number(colon + 1, 1, UINT16_MAX, &port))
        return false;
    length = (size_t)(colon - text);
    if (bracketed) {
        if (length < 2 || text[length - 1] != ']')
            return false;
        text++;
        length -= 2;
    }
    /* brackets are for the addresses that have colons of their own, and only for them */
    if ((memchr(text, ':', length) != NULL) != bracketed)
        return false;
    if (!parse_address_part(text, length, &endpoint.address))
        return false;
    endpoint.port = (uint16_t)port;
    *out = endpoint;
    return true;
}

bool text_parse_port_range(const char *text, struct port_range *out)
{
    uint64_t first, last;

    if (!read_number(&text, UINT16_MAX, &first))
        return false;
    last = first;
    if (*text == '-') {
        text++;
        if (!read_number(&text, UINT16_MAX, &last))
            return false;
    }
    if (*text != '\0' || first == 0 || last < first)
        return false;
    out->first = (uint16_t)first;
    out->last = (uint16_t)last;
    return true;
}

static const struct duration_unit {
    char letter;
    uint32_t seconds;
} duration_units[] = {{'d', SECONDS_PER_DAY}, {'h', 3600}, {'m', 60}, {'s', 1}};

#define UNIT_COUNT (sizeof(duration_units) / sizeof(duration_units[0]))

bool text_parse_duration(const char *text, uint32_t *seconds)
{
    uint64_t total = 0;
    size_t unit = 0; /* the largest unit that may still come */

    do {
        uint64_t number;

        if (!read_number(&text, DURATION_MAX, &number))
            return false;
        while (unit < UNIT_COUNT && duration_units[unit].letter != *text)
            unit++;
        if (unit == UNIT_COUNT)
            return false;
        total += number * duration_units[unit++].seconds;
        text++;
    } while (*text != '\0');
    if (total < 1 || total > DURATION_MAX)
        return false;
    *seconds = (uint32_t)total;
    return true;
}

/* The number that exactly `digits` digits at `text` are. */
static bool fixed_number(const char *text, size_t digits, unsigned min, unsigned max, unsigned *out)
{
    unsigned value = 0;

    for (size_t i = 0; i < digits; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return value >= min && value <= max;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

static int64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
    unsigned before = year - 1; /* complete years since the year 1 */
    int64_t days = (int64_t)before * 365 + before / 4 - before / 100 + before / 400;

    for (unsigned m = 1; m < month; m++)
        days += days_in_month(year, m);
    return days + day - 1 - 719162; /* 719162 days from 0001-01-01 to 1970-01-01 */
}

bool text_parse_time(const char *text, int64_t *seconds)
{
    unsigned year, month, day, hour, minute, second;

    if (strlen(text) != strlen("2026-12-31T18:00:00Z"))
        return false;
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
        text[19] != 'Z')
        return false;
    if (!fixed_number(text, 4, 1, 9999, &year) || !fixed_number(text + 5, 2, 1, 12, &month) ||
        !fixed_number(text + 8, 2, 1, days_in_month(year, month), &day) ||
        !fixed_number(text + 11, 2, 0, 23, &hour) || !fixed_number(text + 14, 2, 0, 59, &minute) ||
        !fixed_number(text + 17, 2, 0, 59, &second))
        return false;
    *seconds =
        days_since_epoch(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    return true;
}

/* RFC 3629 section 4, less the control characters of both blocks (C0, DEL, C1). */
size_t text_printable(const char *text)
{
    const uint8_t *b = (const uint8_t *)text;
    uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t length;

    if (b[0] >= 0x20 && b[0] < 0x7f)
        return 1;
    if (b[0] >= 0xc2 && b[0] <= 0xdf)
        length = 2;
    else if (b[0] >= 0xe0 && b[0] <= 0xef)
        length = 3;
    else if (b[0] >= 0xf0 && b[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (b[0] == 0xc2 || b[0] == 0xe0)
        low = 0xa0; /* C1 control characters; overlong forms */
    else if (b[0] == 0xf0)
        low = 0x90; /* overlong forms */
    else if (b[0] == 0xed)
        high = 0x9f; /* UTF-16 surrogates */
    else if (b[0] == 0xf4)
        high = 0x8f; /* past U+10FFFF */
    if (b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (b[i] < 0x80 || b[i] > 0xbf)
            return 0;
    }
    return length;
}

void text_make_printable(char *text)
{
    while (*text != '\0') {
        size_t length = text_printable(text);

        if (length == 0)
            *text = '?';
        text += length > 0 ? length : 1;
    }
}

bool text_parse_protocols(const char *text, uint8_t *protocols)
{
    *protocols = 0;
    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        size_t length = strlen(protocol_table[i].name);

        if (strncmp(text, protocol_table[i].name, length) != 0)
            continue;
        *protocols |= (uint8_t)(1u << i);
        if (text[length] != '+')
            return text[length] == '\0';
        text += length + 1;
    }
    return false;
}

char *text_format_protocols(uint8_t protocols, char buffer[PROTOCOLS_TEXT_MAX])
{
    size_t used = 0;

    buffer[0] = '\0';
    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        if (protocols & 1u << i)
            used += (size_t)snprintf(buffer + used, PROTOCOLS_TEXT_MAX - used, "%s%s",
                                     used > 0 ? "+" : "", protocol_table[i].name);
    }
    return buffer;
}

char *text_format_time(int64_t seconds, char buffer[TIME_TEXT_MAX])
{
    const int64_t year_10000 = 253402300800;
    time_t time = (time_t)seconds;
    struct tm parts;

    if (seconds < 0 || seconds >= year_10000 || gmtime_r(&time, &parts) == NULL ||
        strftime(buffer, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(buffer, TIME_TEXT_MAX, "?");
    return buffer;
}

char *text_format_address(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
    /*
     * neither call can fail: the family is known and the buffer is large enough for every address
     */
    if (address_is_ipv4(address))
        inet_ntop(AF_INET, address->bytes + 12, buffer, ADDRESS_TEXT_MAX);
    else
        inet_ntop(AF_INET6, address->bytes, buffer, ADDRESS_TEXT_MAX);
    return buffer;
}

char *text_format_endpoint(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX])
{
    char address[ADDRESS_TEXT_MAX];
    bool ipv4 = address_is_ipv4(&endpoint->address);

    text_format_address(&endpoint->address, address);
    snprintf(buffer, ENDPOINT_TEXT_MAX, ipv4 ? "%s:%u" : "[%s]:%u", address,
             (unsigned)endpoint->port);
    return buffer;
}

char *text_format_prefix(const struct prefix *prefix, char buffer[PREFIX_TEXT_MAX])
{
    char address[ADDRESS_TEXT_MAX];
    unsigned length = prefix->length;

    if (length >= 96 && address_is_ipv4(&prefix->address))
        length -= 96;
    text_format_address(&prefix->address, address);
    snprintf(buffer, PREFIX_TEXT_MAX, "%s/%u", address, length);
    return buffer;
}

char *text_format_duration(uint32_t seconds, char buffer[DURATION_TEXT_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < UNIT_COUNT; i++) {
        uint32_t number = seconds / duration_units[i].seconds;

        seconds %= duration_units[i].seconds;
        if (number > 0 || (used == 0 && i == UNIT_COUNT - 1))
            used += (size_t)snprintf(buffer + used, DURATION_TEXT_MAX - used, "%u%c", number,
                                     duration_units[i].letter);
    }
    return buffer;
}
