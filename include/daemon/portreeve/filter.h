/*
 * filter.h - FILTER words, as operators type them, and whether a session is meant by them
 *
 *   tcp | udp | icmp              the protocol
 *   ADDRESS | PREFIX | :PORT | ADDRESS:PORT
 *                                 of any of the session's endpoints; PORT is a number or a service
 *                                 name
 *   internal=X external=X remote=X
 *                                 the same, of one endpoint; a hairpin has two internal ones, and
 *                                 either will
 *   state=WORD direction=WORD share=NAME forward=NAME id=NUMBER
 *   offloaded                     sessions that the kernel rewrites by itself
 *
 * All words of a filter must hold; a filter without words means every session. Words come from the
 * control socket, so they are parsed as strictly as the configuration (text.h), and a refusal says
 * what was expected.
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
};

enum filter_side {
    SIDE_ANY,
    SIDE_INTERNAL,
    SIDE_EXTERNAL,
    SIDE_REMOTE,
};

#define FILTER_NO_PORT (-1)

/*
 * What an endpoint must be: an address of the prefix (::/0 when only the port matters), and the
 * port if one is asked for.
 */
struct filter_endpoint {
    enum filter_side side;
    struct prefix prefix;
    bool has_port;
    /* by enum protocol_index: a service name may be another port, or none, for a protocol
     * (FILTER_NO_PORT) */
    int32_t port[PROTOCOL_COUNT];
};

struct filter_term {
    enum filter_kind kind;
    union {
        uint8_t protocol;
        struct filter_endpoint endpoint;
        const char *state; /* a word of session_state_name */
        enum direction direction;
        char name[POLICY_NAME_MAX]; /* of a share or a forward */
        uint64_t id;
    };
};

struct filter {
    size_t count;
    struct filter_term term[FILTER_WORDS_MAX];
};

/* No words: everything matches. */
void filter_init(struct filter *filter);

/* Adds a word. False with a sentence when it is none, and the filter is as it was. */
bool filter_add(struct filter *filter, const char *word, struct error *error);

bool filter_matches(const struct filter *filter, const struct session_view *session);

#endif
