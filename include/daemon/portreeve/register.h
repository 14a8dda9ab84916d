/*
 * register.h - the register of open ports: who opened each forward, and how it has been used
 *
 * The translator counts (forward_use.h); the register adds up what it has counted, by the name of
 * the forward, over all changes of the policy. Main thread only.
 */
#ifndef PORTREEVE_REGISTER_H
#define PORTREEVE_REGISTER_H

#include "portreeve/forward_use.h"
#include "portreeve/gateway.h"

#define REGISTER_WHO_MAX 64 /* with the final NUL */

/* Times are in seconds since the epoch; 0: never. */
struct register_entry {
    char name[POLICY_NAME_MAX];
    struct forward_use use; /* its times are in seconds, too */
    int64_t since;          /* when counting began */
    int64_t added;          /* when the forward was first seen */
    int64_t changed;        /* when one of its values was last changed */
    char added_by[REGISTER_WHO_MAX], changed_by[REGISTER_WHO_MAX]; /* empty: the configuration */
    uint64_t values;                                               /* a sum of its values */
};

struct forward_register;

/* Empty; NULL without memory. */
struct forward_register *register_new(void);
void register_free(struct forward_register *ports); /* NULL is fine */

/*
 * The forwards of this policy are the open ports from now on: they get entries, and entries of
 * others are removed. `who` asked for the change; NULL: the configuration. A forward for which
 * there is no memory has no entry until the next call.
 */
void register_follow(struct forward_register *ports, const struct policy *policy, int64_t now,
                     const char *who);

/*
 * Adds what was counted with this sealed policy, of the gateway's translator, and sets it to zeros
 * there. Takes the gateway's lock for a slice of the forwards at a time.
 */
void register_collect(struct forward_register *ports, struct gateway *gateway,
                      const struct policy *policy);

/* The entries, in the order of the forwards. */
size_t register_count(const struct forward_register *ports);
const struct register_entry *register_at(const struct forward_register *ports, size_t index);

/*
 * Adds a copy of an entry of an earlier run, before the first register_follow. False without memory
 * or if there is one of that name.
 */
bool register_restore(struct forward_register *ports, const struct register_entry *entry);

/* True if anything has changed since the last call. */
bool register_take_changed(struct forward_register *ports);
void register_set_changed(struct forward_register *ports);

/* NULL if there is none. Valid until the next register_follow. */
const struct register_entry *register_find(const struct forward_register *ports, const char *name);

#endif
