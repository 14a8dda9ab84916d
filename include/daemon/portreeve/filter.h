/*
 * filter.h - FILTER words, and which sessions match them
 *
 *   tcp | udp | icmp              the protocol
 *   ADDRESS | PREFIX | :PORT | ADDRESS:PORT
 *                                 of any endpoint of the session; PORT is a number or a service
 *                                 name
 *   internal=X external=X remote=X
 *                                 the same, only of this endpoint; a hairpin has two internal
 *                                 endpoints, and one of them must match
 *   state=WORD direction=WORD share=NAME forward=NAME id=NUMBER
 *   offloaded                     sessions that the kernel rewrites by itself
 *
 * A session matches if every word matches; every session matches a filter without words. The words
 * come from the control socket, so they are parsed as strictly as the configuration (text.h), and
 * an error says what was expected.
 */
#ifndef PORTREEVE_FILTER_H
#define PORTREEVE_FILTER_H

#include "portreeve/error.h"
#include "portreeve/event.h"

#define FILTER_WORDS_MAX 32

enum filter_kind {
    FILTER_PROTOCOL,
    FILTER_ENDPOINT,
    FILTER_STATE,
    FILTER_DIRECTION,
    FILTER_SHARE,
    FILTER_FORWARD,
    FILTER_ID,
    FILTER_OFFLOADED,
    FILTER_OUTCOME,
};

enum filter_side {
    SIDE_ANY,
    SIDE_INTERNAL,
    SIDE_EXTERNAL,
    SIDE_REMOTE,
};

#define FILTER_NO_PORT (-1)

/*
 * An endpoint matches if its address is in the prefix (::/0 if only the port matters) and, with
 * has_port, its port is the one of its protocol.
 */
struct filter_endpoint {
    enum filter_side side;
    struct prefix prefix;
    bool has_port;
    /* by enum protocol_index: a service name may have different ports; FILTER_NO_PORT: none */
    int32_t port[PROTOCOL_COUNT];
};

struct filter_term {
    enum filter_kind kind;
    union {
        uint8_t protocol;
        struct filter_endpoint endpoint;
        const char *state;   /* from session_state_name */
        const char *outcome; /* from outcome_name */
        enum direction direction;
        char name[POLICY_NAME_MAX]; /* of a share or a forward */
        uint64_t id;
    };
};

struct filter {
    size_t count;
    struct filter_term term[FILTER_WORDS_MAX];
};

/* No words: every session matches. */
void filter_init(struct filter *filter);

/* Adds a word. False with a message if it is not a FILTER word: then the filter is unchanged. */
bool filter_add(struct filter *filter, const char *word, struct error *error);

bool filter_matches(const struct filter *filter, const struct session_view *session);

#endif
