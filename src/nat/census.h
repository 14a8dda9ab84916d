/*
 * census.h - sessions and mappings counted anew, while they come and go (check.c)
 *
 * Each of these is called after something has come and before it goes; nothing happens unless a
 * census runs, and has passed its slot.
 */
#ifndef PORTREEVE_CENSUS_H
#define PORTREEVE_CENSUS_H

#include "table.h"

/* `change` is 1 or UINT32_MAX (one less). */
#define CENSUS_MORE UINT32_C(1)
#define CENSUS_LESS UINT32_MAX

void census_session(struct table *table, uint32_t slot, uint32_t change);
void census_mapping(struct table *table, uint32_t index, uint32_t change);

/* A live session becomes one of its initiator's host, or is it no more; the same for a remote. */
void census_host(struct table *table, const struct session *session, uint32_t change);
void census_remote(struct table *table, const struct session *session, uint32_t change);

/* A mapping gets a lease, or has it no more. */
void census_lease(struct table *table, uint32_t mapping, uint32_t change);

#endif
