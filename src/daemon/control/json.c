/*
 * json.c - values of the translator as JSON
 *
 * The names of the members are an interface: doc/control-protocol.md lists them.
 */
#include "json.h"

#include "portreeve/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

json_t *json_text(const char *text)
{
    char *copy = strdup(text);
    json_t *json;

    if (copy == NULL)
        return NULL;
    text_make_printable(copy);
    json = json_string(copy);
    free(copy);
    return json;
}

static json_t *json_text_or_null(const char *text)
{
    return *text == '\0' ? json_null() : json_text(text);
}

json_t *json_address(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];

    return json_string(text_format_address(address, text));
}

json_t *json_prefixes(const struct prefix *prefixes, size_t count)
{
    json_t *array = json_array();
    char text[PREFIX_TEXT_MAX];

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(text_format_prefix(&prefixes[i], text)));
    return array;
}

json_t *json_port_range(const struct port_range *range)
{
    if (range->first == range->last)
        return json_sprintf("%u", (unsigned)range->first);
    return json_sprintf("%u-%u", (unsigned)range->first, (unsigned)range->last);
}

json_t *json_time(int64_t seconds)
{
    char text[TIME_TEXT_MAX];

    return json_string(text_format_time(seconds, text));
}

static json_t *json_endpoint(const struct endpoint *endpoint)
{
    return json_pack("{s:o,s:i}", "address", json_address(&endpoint->address), "port",
                     (int)endpoint->port);
}

static json_t *json_seconds(uint64_t milliseconds)
{
    return json_real((double)milliseconds / 1000);
}

json_t *json_both_ways(uint64_t out, uint64_t in)
{
    return json_pack("{s:I,s:I}", "out", (json_int_t)out, "in", (json_int_t)in);
}

json_t *json_mapping(const struct mapping_view *mapping, const char *share, const char *interface)
{
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:I,s:o}", "protocol", protocol_name(mapping->protocol),
                     "internal", json_endpoint(&mapping->internal), "external",
                     json_endpoint(&mapping->external), "interface", json_text_or_null(interface),
                     "share", json_text_or_null(share), "sessions", (json_int_t)mapping->sessions,
                     "age", json_seconds(mapping->age_ms));
}

static json_t *json_protocols(uint8_t protocols)
{
    json_t *array = json_array();

    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        if (protocols & 1u << i)
            json_array_append_new(array, json_string(protocol_table[i].name));
    }
    return array;
}

static json_t *json_time_or_null(uint64_t seconds)
{
    return seconds == 0 ? json_null() : json_time((int64_t)seconds);
}

/* Only the reasons that there were. */
static json_t *json_refused(const uint64_t refused[DROP_REASON_COUNT])
{
    json_t *object = json_object();

    for (int reason = 0; reason < DROP_REASON_COUNT; reason++) {
        if (refused[reason] > 0)
            json_object_set_new(object, drop_reason_name((enum drop_reason)reason),
                                json_integer((json_int_t)refused[reason]));
    }
    return object;
}

static json_t *json_use(const struct register_entry *entry)
{
    const struct forward_use *use = &entry->use;

    return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "opened", (json_int_t)use->opened, "refused",
                     json_refused(use->refused), "bytes",
                     json_both_ways(use->bytes_out, use->bytes_in), "first_used",
                     json_time_or_null(use->first_used), "last_used",
                     json_time_or_null(use->last_used), "since", json_time(entry->since));
}

static json_t *json_added(const struct forward *forward, const struct register_entry *entry,
                          const char *path)
{
    const bool is_in_file = forward->line > 0;

    return json_pack("{s:o,s:o,s:o,s:o}", "by", json_text_or_null(entry->added_by), "at",
                     json_time(entry->added), "file", is_in_file ? json_text(path) : json_null(),
                     "line", is_in_file ? json_integer(forward->line) : json_null());
}

static json_t *json_changed(const struct register_entry *entry)
{
    if (entry->changed == 0)
        return json_null();
    return json_pack("{s:o,s:o}", "by", json_text_or_null(entry->changed_by), "at",
                     json_time(entry->changed));
}

json_t *json_forward(const struct forward *forward, uint64_t sessions,
                     const struct register_entry *entry, const char *path)
{
    char to[ENDPOINT_TEXT_MAX];

    return json_pack("{s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:b,s:I,s:o*,s:o*,s:o,s:o,s:o}", "name",
                     json_text(forward->name), "protocols", json_protocols(forward->protocols),
                     "listen", json_port_range(&forward->listen), "to",
                     text_format_endpoint(&forward->target[0], to), "allow",
                     json_prefixes(forward->allow, forward->allow_count), "owner",
                     json_text_or_null(forward->owner), "note", json_text_or_null(forward->note),
                     "expires", forward->expires != 0 ? json_time(forward->expires) : json_null(),
                     "runtime", (int)forward->runtime, "sessions", (json_int_t)sessions, "limit",
                     forward->sessions != 0 ? json_integer(forward->sessions) : NULL, "rate",
                     forward->new_sessions != 0 ? json_integer(forward->new_sessions) : NULL, "use",
                     entry != NULL ? json_use(entry) : json_null(), "added",
                     entry != NULL ? json_added(forward, entry, path) : json_null(), "changed",
                     entry != NULL ? json_changed(entry) : json_null());
}
