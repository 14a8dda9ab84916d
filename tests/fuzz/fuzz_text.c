/*
 * fuzz_text.c - any text for every parser; what a parser takes must come back the same after it is
 * written
 */
#include "portreeve/text.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_addresses(const char *text)
{
    char address_text[ADDRESS_TEXT_MAX], endpoint_text[ENDPOINT_TEXT_MAX],
        prefix_text[PREFIX_TEXT_MAX];
    struct address address, address_again;
    struct endpoint endpoint, endpoint_again;
    struct prefix prefix, prefix_again;

    if (text_parse_address(text, &address)) {
        must(text_parse_address(text_format_address(&address, address_text), &address_again));
        must(address_equal(&address, &address_again));
    }
    if (text_parse_endpoint(text, &endpoint)) {
        must(text_parse_endpoint(text_format_endpoint(&endpoint, endpoint_text), &endpoint_again));
        must(endpoint_equal(&endpoint, &endpoint_again) && endpoint.port != 0);
    }
    if (text_parse_prefix(text, &prefix)) {
        must(text_parse_prefix(text_format_prefix(&prefix, prefix_text), &prefix_again));
        must(memcmp(&prefix, &prefix_again, sizeof(prefix)) == 0);
        must(prefix.length <= 128 && prefix_contains(&prefix, &prefix.address));
    }
}

static void try_numbers(const char *text)
{
    char duration_text[DURATION_TEXT_MAX];
    struct port_range range;
    uint64_t number;
    uint32_t mark, seconds, again;
    int64_t time;

    if (text_parse_number(text, 10, 1000, &number))
        must(number >= 10 && number <= 1000 && (unsigned long)atol(text) == number);
    if (text_parse_mark(text, &mark))
        must(strtoul(text, NULL, 0) == mark);
    if (text_parse_port_range(text, &range))
        must(range.first >= 1 && range.first <= range.last);
    if (text_parse_duration(text, &seconds)) {
        must(seconds >= 1 && seconds <= 366u * 86400u);
        must(text_parse_duration(text_format_duration(seconds, duration_text), &again) &&
             again == seconds);
    }
    if (text_parse_time(text, &time))
        must(time >= -62135596800 && time <= 253402300799);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size > TEXT_MAX)
        size = TEXT_MAX;
    text = malloc(size + 1); /* exactly as long, so that a read past its end is seen */
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    try_addresses(text);
    try_numbers(text);
    for (const char *at = text; text_printable(at) > 0;)
        at += text_printable(at);
    free(text);
    return 0;
}
