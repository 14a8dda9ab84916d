/*
 * text.h - the one place where text from outside becomes numbers, addresses, ports and times, and
 * back
 *
 * Parsers are strict: the whole string must be the value, without sign, spaces around it, leading
 * zeros that could mean octal, or anything after it. They return false and leave `*out` alone when
 * it is not. They allocate nothing and do not depend on the locale.
 */
#ifndef PORTREEVE_TEXT_H
#define PORTREEVE_TEXT_H

#include "portreeve/endpoint.h"

#define ADDRESS_TEXT_MAX   46 /* with the final NUL */
#define ENDPOINT_TEXT_MAX  56 /* "[address]:65535" */
#define PREFIX_TEXT_MAX    50
#define DURATION_TEXT_MAX  32
#define PROTOCOLS_TEXT_MAX 16
#define TIME_TEXT_MAX      21 /* 2026-12-31T18:00:00Z */

/* A decimal number from `min` to `max`, both included. */
bool text_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* The value of a packet mark: "0x10000000" (one to eight digits, either case) or decimal. */
bool text_parse_mark(const char *text, uint32_t *out);

/* "10.0.0.22"; IPv6 in any of its usual spellings. */
bool text_parse_address(const char *text, struct address *out);

/*
 * "10.0.0.0/24" or a bare address (a /32). Refuses host bits that are set: 10.0.0.7/24 is a likely
 * mistake.
 */
bool text_parse_prefix(const char *text, struct prefix *out);

/* "10.0.0.22:22", "[2001:db8::1]:22". The port is 1..65535. */
bool text_parse_endpoint(const char *text, struct endpoint *out);

/* "2222", "8000-8099" (first <= last), from 1 to 65535. */
bool text_parse_port_range(const char *text, struct port_range *out);

/*
 * Seconds of "90s", "5m", "2h4m", "1d12h", from 1 s to 366 days. A unit is required; larger units
 * come first, each once.
 */
bool text_parse_duration(const char *text, uint32_t *seconds);

/* Seconds since the epoch of "2026-12-31T18:00:00Z" (RFC 3339, UTC, no fraction). */
bool text_parse_time(const char *text, int64_t *seconds);

/*
 * The length in bytes of the UTF-8 character that `text` begins with; 0 when it is a control
 * character, not UTF-8, or the end of the text. What has only printable characters can go to a
 * terminal, a log and into JSON.
 */
size_t text_printable(const char *text);

/* Gives every byte that text_printable refuses a '?'. */
void text_make_printable(char *text);

/*
 * The protocols of a forward, "tcp", "udp" or "tcp+udp": a bit for each enum protocol_index. False
 * for anything else.
 */
bool text_parse_protocols(const char *text, uint8_t *protocols);

/* The opposite; each returns `buffer`. IPv4-mapped addresses are written in dotted form. */
char *text_format_address(const struct address *address, char buffer[ADDRESS_TEXT_MAX]);
char *text_format_endpoint(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX]);
char *text_format_prefix(const struct prefix *prefix, char buffer[PREFIX_TEXT_MAX]);
char *text_format_duration(uint32_t seconds, char buffer[DURATION_TEXT_MAX]);
char *text_format_protocols(uint8_t protocols, char buffer[PROTOCOLS_TEXT_MAX]);
/* RFC 3339, UTC; "?" for a time that has no year of four digits. */
char *text_format_time(int64_t seconds, char buffer[TIME_TEXT_MAX]);

#endif
