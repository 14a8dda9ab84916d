/*
 * review.c - checking sessions against a new policy or new addresses
 *
 * A change takes effect at once and for every packet, but a million sessions cannot be checked
 * under one lock. So each session has the epoch that it was last checked against. A packet that
 * matches a session of an older epoch has it checked first, and nat_review walks over the others in
 * steps.
 */
#include "review.h"

#include "external.h"
#include "mapping.h"
#include "outside.h"
#include "session.h"
#include "session_facts.h"

#include <assert.h>
#include <string.h>

/*
 * True when policy and addresses give this side the external endpoint that it has. *forward is the
 * forward's index now.
 */
static bool side_still_allowed(const struct nat *nat, const struct session *session, enum role role,
                               uint16_t *forward)
{
    const struct endpoint external = session_external(session, role);
    uint32_t mapping = session_mapping(session, role);

    if (mapping != INDEX_NONE)
        return mapping_share(nat, mapping) != POLICY_NONE;
    if (!external_has(nat, &external.address))
        return false;
    *forward = policy_forward_at(nat->policy, session_protocol(session), external.port);
    return *forward != POLICY_NONE && session_forward_allows(nat, session, role, *forward);
}

/* Fills what the forwards' indexes are now. */
static bool session_still_allowed(const struct nat *nat, const struct session *session,
                                  uint16_t forward[2])
{
    for (int role = 0; role < 2; role++) {
        forward[role] = POLICY_NONE;
        if (session->side[role] == SIDE_NONE)
            continue; /* the remote's side */
        if (!side_still_allowed(nat, session, (enum role)role, &forward[role]))
            return false;
    }
    return true;
}

/* True when the gateway still has the address of this side, at the same uplink if it is a
 * mapping's. */
static bool has_valid_address(const struct nat *nat, const struct session *session, enum role role)
{
    const struct address external = session_external(session, role).address;
    uint32_t mapping = session_mapping(session, role);

    if (session->side[role] == SIDE_NONE)
        return true;
    return mapping != INDEX_NONE ? nat->external_valid[nat->table.mapping[mapping].external_index]
                                 : external_has(nat, &external);
}

static bool has_valid_addresses(const struct nat *nat, const struct session *session)
{
    return has_valid_address(nat, session, ROLE_INITIATOR) &&
           has_valid_address(nat, session, ROLE_RESPONDER);
}

/* Takes a session of an older epoch into this one, or ends it. True when it continues. */
static bool review_session(struct nat *nat, uint32_t slot, uint64_t now)
{
    struct session *session = &nat->table.session[slot];
    enum role owner = session->direction == DIRECTION_INBOUND ? ROLE_RESPONDER : ROLE_INITIATOR;
    struct address internal = session_internal(session, owner).address;
    uint16_t forward[2];

    if (!session_still_allowed(nat, session, forward)) {
        session_close(nat, slot, has_valid_addresses(nat, session) ? CLOSE_POLICY : CLOSE_ADDRESS,
                      now);
        nat->review_ended++;
        return false;
    }
    for (int role = 0; role < 2; role++)
        session_set_side(session, (enum role)role, session_mapping(session, (enum role)role),
                         forward[role]);
    if (session_share(session) != POLICY_NONE)
        session_set_share(session, policy_share_of(nat->policy, &internal));
    session->epoch = nat->epoch;
    outside_reviewed(nat, session);
    table_rearm(&nat->table, slot, session_due(nat, session, now));
    return true;
}

static uint32_t reviewed(struct nat *nat, uint32_t slot, uint64_t now)
{
    if (slot == INDEX_NONE || nat->table.session[slot].epoch == nat->epoch ||
        review_session(nat, slot, now))
        return slot;
    return INDEX_NONE;
}

uint32_t review_find(struct nat *nat, const struct tuple *tuple, uint64_t now, enum role *role)
{
    return reviewed(nat, table_find(&nat->table, tuple, role), now);
}

uint32_t review_find_transit(struct nat *nat, const struct tuple *transit, uint64_t now,
                             enum role *role)
{
    return reviewed(nat, table_find_transit(&nat->table, transit, role), now);
}

void review_begin(struct nat *nat)
{
    assert(nat->policy_before == NULL);
    nat->policy_before = nat->policy;
    nat->epoch++;
    nat->review_slot = nat->review_ended = 0;
    outside_begin_review(nat);
}

bool nat_review(struct nat *nat, uint64_t now, uint32_t budget, uint32_t *ended)
{
    bool begun = nat->policy_before != NULL;

    for (uint32_t looks = 0; nat->policy_before != NULL && (budget == 0 || looks < budget);
         looks++) {
        if (nat->review_slot == nat->table.capacity) {
            nat->policy_before = NULL;
            lease_review(nat, now);
            memset(nat->external_leaves, 0, sizeof(nat->external_leaves));
        } else if (nat->table.session[nat->review_slot].live == SLOT_LIVE) {
            reviewed(nat, nat->review_slot++, now);
        } else {
            nat->review_slot++;
        }
    }
    if (ended != NULL)
        *ended = begun ? nat->review_ended : 0;
    return nat->policy_before != NULL;
}

uint32_t nat_count_ending(const struct nat *nat, const struct policy *next, uint32_t from,
                          uint32_t count)
{
    const uint32_t capacity = nat->table.capacity;
    struct nat asked = *nat; /* the same table, and another policy */
    uint32_t ending = 0;

    asked.policy = next;
    for (uint32_t slot = from; slot < capacity && slot - from < count; slot++) {
        uint16_t forward[2];

        if (nat->table.session[slot].live == SLOT_LIVE)
            ending += !session_still_allowed(&asked, &nat->table.session[slot], forward);
    }
    return ending;
}
