/*
 * register.c - the register of open ports: who opened each forward, and how it has been used
 */
#include "portreeve/register.h"

#include "portreeve/text.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE 64 /* forwards that are looked at under one hold of the lock */

struct forward_register {
    void *by_name;                 /* tsearch(3): struct register_entry, owned by `entry` */
    struct register_entry **entry; /* in the order of the policy; owned */
    size_t count;
    bool changed;
};

static int compare_names(const void *left, const void *right)
{
    return strcmp(((const struct register_entry *)left)->name,
                  ((const struct register_entry *)right)->name);
}

static void keep_node(void *node)
{
    (void)node; /* ports->entry owns it */
}

struct forward_register *register_new(void)
{
    return calloc(1, sizeof(struct forward_register));
}

static void free_entries(struct register_entry **entry, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(entry[i]);
    free(entry);
}

void register_free(struct forward_register *ports)
{
    if (ports == NULL)
        return;
    tdestroy(ports->by_name, keep_node);
    free_entries(ports->entry, ports->count);
    free(ports);
}

static struct register_entry *find(const struct forward_register *ports, const char *name)
{
    struct register_entry sought;
    void *node;

    if (strlen(name) >= sizeof(sought.name))
        return NULL;
    strcpy(sought.name, name);
    node = tfind(&sought, &ports->by_name, compare_names);
    return node == NULL ? NULL : *(struct register_entry **)node;
}

const struct register_entry *register_find(const struct forward_register *ports, const char *name)
{
    return find(ports, name);
}

size_t register_count(const struct forward_register *ports)
{
    return ports->count;
}

const struct register_entry *register_at(const struct forward_register *ports, size_t index)
{
    return ports->entry[index];
}

bool register_take_changed(struct forward_register *ports)
{
    bool changed = ports->changed;

    ports->changed = false;
    return changed;
}

void register_set_changed(struct forward_register *ports)
{
    ports->changed = true;
}

bool register_restore(struct forward_register *ports, const struct register_entry *entry)
{
    struct register_entry **grown, *copy;

    if (find(ports, entry->name) != NULL)
        return false;
    grown = reallocarray(ports->entry, ports->count + 1, sizeof(struct register_entry *));
    if (grown == NULL)
        return false;
    ports->entry = grown;
    copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return false;
    *copy = *entry;
    if (tsearch(copy, &ports->by_name, compare_names) == NULL) {
        free(copy);
        return false;
    }
    ports->entry[ports->count++] = copy;
    return true;
}

/* ---- following the policy ---- */

/* FNV-1a: it only has to tell a forward from what it was before. */
static void add_bytes(uint64_t *sum, const void *bytes, size_t length)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < length; i++)
        *sum = (*sum ^ byte[i]) * UINT64_C(0x100000001b3);
}

static void add_text(uint64_t *sum, const char *text)
{
    add_bytes(sum, text, strlen(text) + 1);
}

static void add_number(uint64_t *sum, uint64_t number)
{
    add_bytes(sum, &number, sizeof(number));
}

/* Of all that an administrator can say about a forward. */
static uint64_t sum_of(const struct forward *forward)
{
    char endpoint[ENDPOINT_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    add_number(&sum, forward->protocols);
    add_number(&sum, forward->listen.first);
    add_number(&sum, forward->listen.last);
    for (size_t i = 0; i < forward->target_count; i++)
        add_text(&sum, text_format_endpoint(&forward->target[i], endpoint));
    for (size_t i = 0; i < forward->allow_count; i++)
        add_text(&sum, text_format_prefix(&forward->allow[i], prefix));
    add_text(&sum, forward->owner);
    add_text(&sum, forward->note);
    add_number(&sum, (uint64_t)forward->expires);
    add_number(&sum, forward->sessions);
    add_number(&sum, forward->new_sessions);
    return sum >> 1; /* a number of JSON has a sign */
}

static void set_who(char out[REGISTER_WHO_MAX], const char *who)
{
    out[0] = '\0';
    if (who != NULL)
        strncat(out, who, REGISTER_WHO_MAX - 1);
}

/* The entry that the forward has had, or a new one. NULL without memory. */
static struct register_entry *entry_for(const struct forward_register *ports,
                                        const struct forward *forward, int64_t now, const char *who)
{
    struct register_entry *entry = find(ports, forward->name);
    uint64_t values = sum_of(forward);

    if (entry == NULL) {
        entry = calloc(1, sizeof(*entry));
        if (entry == NULL)
            return NULL;
        strcpy(entry->name, forward->name);
        entry->since = entry->added = now;
        set_who(entry->added_by, who);
    } else if (entry->values != values) {
        entry->changed = now;
        set_who(entry->changed_by, who);
    }
    entry->values = values;
    return entry;
}

/* Frees the entries that are not in the tree any more. */
static void free_left(struct register_entry **entry, size_t count, void *const *tree)
{
    for (size_t i = 0; i < count; i++) {
        void *node = tfind(entry[i], tree, compare_names);

        if (node == NULL || *(struct register_entry **)node != entry[i])
            free(entry[i]);
    }
    free(entry);
}

void register_follow(struct forward_register *ports, const struct policy *policy, int64_t now,
                     const char *who)
{
    const size_t count = policy_forward_count(policy);
    struct register_entry **entry = calloc(count + 1, sizeof(struct register_entry *));
    void *tree = NULL;
    size_t kept = 0;

    if (entry == NULL)
        return; /* the entries stay as they are */
    for (size_t i = 0; i < count; i++) {
        struct register_entry *next = entry_for(ports, policy_forward(policy, i), now, who);

        if (next == NULL)
            continue;
        if (tsearch(next, &tree, compare_names) != NULL)
            entry[kept++] = next;
        else if (find(ports, next->name) == NULL)
            free(next);
    }
    free_left(ports->entry, ports->count, &tree);
    tdestroy(ports->by_name, keep_node);
    *ports = (struct forward_register){tree, entry, kept, true};
}

/* ---- counting ---- */

/* When something was, seconds since the epoch. */
static uint64_t date_of(uint64_t then_ms, uint64_t now_ms, int64_t now)
{
    return (uint64_t)now - (now_ms - then_ms) / 1000;
}

static void add(struct forward_use *total, const struct forward_use *more, uint64_t now_ms)
{
    const int64_t now = time(NULL);

    total->opened += more->opened;
    total->bytes_in += more->bytes_in;
    total->bytes_out += more->bytes_out;
    for (int reason = 0; reason < DROP_REASON_COUNT; reason++)
        total->refused[reason] += more->refused[reason];
    if (more->last_used == 0)
        return;
    total->last_used = date_of(more->last_used, now_ms, now);
    if (total->first_used == 0)
        total->first_used = date_of(more->first_used, now_ms, now);
}

static bool is_empty(const struct forward_use *use)
{
    bool empty = use->opened == 0 && use->last_used == 0;

    for (int reason = 0; empty && reason < DROP_REASON_COUNT; reason++)
        empty = use->refused[reason] == 0;
    return empty;
}

void register_collect(struct forward_register *ports, struct gateway *gateway,
                      const struct policy *policy)
{
    const size_t count = policy_forward_count(policy);
    struct forward_use slice[SLICE];

    for (size_t from = 0; from < count; from += SLICE) {
        const size_t some = count - from < SLICE ? count - from : SLICE;

        gateway_lock(gateway);
        memcpy(slice, policy_forward_use(policy, from), some * sizeof(*slice));
        memset(policy_forward_use(policy, from), 0, some * sizeof(*slice));
        gateway_unlock(gateway);
        for (size_t i = 0; i < some; i++) {
            struct register_entry *entry = find(ports, policy_forward(policy, from + i)->name);

            ports->changed = ports->changed || !is_empty(&slice[i]);
            if (entry != NULL)
                add(&entry->use, &slice[i], gateway_now());
        }
    }
}
