/*
 * view.h - sessions and mappings as users see them: by viewpoint, with names, independent of the
 * table they came from
 */
#ifndef PORTREEVE_VIEW_H
#define PORTREEVE_VIEW_H

#include "portreeve/policy.h"

enum direction { DIRECTION_OUTBOUND, DIRECTION_INBOUND, DIRECTION_HAIRPIN, DIRECTION_COUNT };

const char *direction_name(enum direction direction);

/* How a packet moves a session from one to another: tcp.h. */
enum session_state {
    STATE_UNANSWERED, /* UDP, ICMP: only the initiator has sent */
    STATE_ANSWERED,   /* UDP, ICMP */
    STATE_OPENING,
    STATE_ANSWERED_SYN,
    STATE_ESTABLISHED,
    STATE_CLOSING_BY_INITIATOR, /* the initiator has sent its FIN */
    STATE_CLOSING_BY_RESPONDER,
    STATE_CLOSED,
    STATE_RESET,
    STATE_COUNT
};

/* The word a user sees: "opening" for both of its states, "closing" likewise. */
const char *session_state_name(enum session_state state);

/* How the exchange of a session came to its end, if it has and that was seen. */
enum outcome {
    OUTCOME_NONE,    /* it may go on */
    OUTCOME_CLOSED,  /* TCP: both sides have sent FIN */
    OUTCOME_REFUSED, /* TCP: an RST has answered the SYN */
    OUTCOME_REFUSED_BY_ICMP,
    OUTCOME_RESET_BY_INITIATOR, /* TCP: an RST */
    OUTCOME_RESET_BY_RESPONDER,
    OUTCOME_UNREACHABLE, /* ICMP: the first packets do not arrive */
    OUTCOME_COUNT
};

/* The word a user sees: "refused" for both ways, "reset" for both sides; of OUTCOME_NONE NULL. */
const char *outcome_name(enum outcome outcome);

struct session_view {
    uint64_t id; /* never used again */
    uint8_t protocol;
    enum session_state state : 8;
    enum direction direction : 8;
    enum outcome outcome : 8;
    bool offloaded; /* the kernel rewrites it by itself */
    /* the number of the uplink that has the external address, or more than there are: unknown */
    uint8_t uplink;
    struct endpoint internal, external, remote;
    struct endpoint peer; /* hairpin: the other internal endpoint */
    /* the remote as the internal endpoint sees it: with another port if two sessions would look the
       same to it */
    struct endpoint remote_inside;
    char share[POLICY_NAME_MAX], forward[POLICY_NAME_MAX]; /* empty: none */
    uint64_t age_ms, idle_ms, expires_in_ms;               /* the age to 64 milliseconds */
    /* out: what the internal endpoint has sent */
    uint64_t packets_out, packets_in, bytes_out, bytes_in;
};

/* The endpoint that has sent the first packet, as it is itself, and the one that it was sent to. */
const struct endpoint *session_initiator(const struct session_view *session);
const struct endpoint *session_responder(const struct session_view *session);

/* The endpoint whose RST has ended the exchange, or NULL. */
const struct endpoint *session_ended_by(const struct session_view *session);

struct mapping_view {
    struct endpoint internal, external;
    uint8_t protocol;
    uint16_t share; /* its index in the policy */
    uint32_t sessions;
    uint64_t age_ms; /* to 64 milliseconds */
    uint8_t uplink;  /* its number */
};

#endif
