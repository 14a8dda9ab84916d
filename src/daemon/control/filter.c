/*
 * filter.c - FILTER words: parsing them, and comparing them with a session
 */
#include "portreeve/filter.h"

#include "portreeve/names.h"
#include "portreeve/service.h"
#include "portreeve/text.h"
#include "words.h"

#include <stdio.h>
#include <string.h>

#define QUOTE_MAX 64 /* bytes of a wrong word that the error repeats, with the final NUL */
#define KEY_MAX   16

void filter_init(struct filter *filter)
{
    filter->count = 0;
}

/* The beginning of a word. Unprintable characters become '?'. */
static const char *quote(const char *word, char buffer[QUOTE_MAX])
{
    snprintf(buffer, QUOTE_MAX, "%s", word);
    text_make_printable(buffer);
    return buffer;
}

/* ---- endpoints ---- */

/* The same port for every protocol. */
static void set_port(struct filter_endpoint *out, int32_t port)
{
    for (enum protocol_index i = 0; i < PROTOCOL_COUNT; i++)
        out->port[i] = port;
}

static bool parse_port(const char *text, struct filter_endpoint *out)
{
    uint64_t number;
    bool any = false;

    out->has_port = true;
    if (text_parse_number(text, 1, UINT16_MAX, &number)) {
        set_port(out, (int32_t)number);
        return true;
    }
    if (*text == '\0' || strlen(text) >= SERVICE_NAME_MAX ||
        text[strspn(text, "0123456789")] == '\0')
        return false;
    set_port(out, FILTER_NO_PORT);
    for (enum protocol_index i = 0; i < PROTOCOL_PORTS_COUNT; i++) {
        uint16_t port = service_port(text, protocol_table[i].name);

        if (port != 0)
            out->port[i] = port;
        any |= port != 0;
    }
    return any;
}

/*
 * "10.0.0.7", "10.0.0.0/24", ":443", ":https", "10.0.0.7:443". An address is tried first, because
 * an IPv6 address may begin with ':'.
 */
static bool parse_endpoint(const char *text, struct filter_endpoint *out)
{
    struct endpoint endpoint;

    if (text_parse_prefix(text, &out->prefix))
        return true;
    if (text_parse_endpoint(text, &endpoint)) {
        out->prefix = (struct prefix){endpoint.address, 128};
        out->has_port = true;
        set_port(out, endpoint.port);
        return true;
    }
    return text[0] == ':' && parse_port(text + 1, out);
}

/* Says why a word is not an endpoint. */
static void refuse_endpoint(const char *word, const char *value, struct error *error)
{
    char quoted[QUOTE_MAX];
    const char *slash = strchr(value, '/');

    quote(word, quoted);
    if (slash != NULL)
        error_set(error,
                  "filter word '%s': not a prefix; expected a network address without host bits "
                  "and its length, as in 10.0.0.0/24",
                  quoted);
    else if (value[0] == ':')
        error_set(
            error,
            "filter word '%s': not a port; expected a number from 1 to 65535 or a service name "
            "of /etc/services, as in :443 or :https",
            quoted);
    else
        error_set(error,
                  "filter word '%s': expected an address, a prefix, :PORT or ADDRESS:PORT, as in "
                  "%s10.0.0.7",
                  quoted, value == word ? "" : "remote=");
}

static bool take_endpoint(struct filter_term *term, enum filter_side side, const char *word,
                          const char *value, struct error *error)
{
    term->kind = FILTER_ENDPOINT;
    term->endpoint = (struct filter_endpoint){.side = side};
    if (parse_endpoint(value, &term->endpoint))
        return true;
    refuse_endpoint(word, value, error);
    return false;
}

static bool take_internal(struct filter_term *term, const char *word, const char *value,
                          struct error *error)
{
    return take_endpoint(term, SIDE_INTERNAL, word, value, error);
}

static bool take_external(struct filter_term *term, const char *word, const char *value,
                          struct error *error)
{
    return take_endpoint(term, SIDE_EXTERNAL, word, value, error);
}

static bool take_remote(struct filter_term *term, const char *word, const char *value,
                        struct error *error)
{
    return take_endpoint(term, SIDE_REMOTE, word, value, error);
}

/* ---- KEY=VALUE ---- */

static bool take_state(struct filter_term *term, const char *word, const char *value,
                       struct error *error)
{
    char quoted[QUOTE_MAX], expected[WORDS_TEXT_MAX];
    const char *words[STATE_COUNT], *before = "";
    size_t count = 0;

    term->kind = FILTER_STATE;
    for (int state = 0; state < STATE_COUNT; state++) {
        term->state = session_state_name((enum session_state)state);
        if (strcmp(value, term->state) == 0)
            return true;
        if (strcmp(term->state, before) != 0) /* neighbours share a name */
            words[count++] = term->state;
        before = term->state;
    }
    error_set(error, "filter word '%s': not a state; expected %s", quote(word, quoted),
              words_list(words, count, expected));
    return false;
}

static bool take_outcome(struct filter_term *term, const char *word, const char *value,
                         struct error *error)
{
    char quoted[QUOTE_MAX], expected[WORDS_TEXT_MAX];
    const char *words[OUTCOME_COUNT], *before = "";
    size_t count = 0;

    term->kind = FILTER_OUTCOME;
    for (int outcome = OUTCOME_NONE + 1; outcome < OUTCOME_COUNT; outcome++) {
        term->outcome = outcome_name((enum outcome)outcome);
        if (strcmp(value, term->outcome) == 0)
            return true;
        if (strcmp(term->outcome, before) != 0) /* neighbours share a name */
            words[count++] = term->outcome;
        before = term->outcome;
    }
    error_set(error, "filter word '%s': not an outcome; expected %s", quote(word, quoted),
              words_list(words, count, expected));
    return false;
}

static bool take_direction(struct filter_term *term, const char *word, const char *value,
                           struct error *error)
{
    char quoted[QUOTE_MAX], expected[WORDS_TEXT_MAX];
    const char *words[DIRECTION_COUNT];

    term->kind = FILTER_DIRECTION;
    for (int direction = 0; direction < DIRECTION_COUNT; direction++) {
        term->direction = (enum direction)direction;
        words[direction] = direction_name(term->direction);
        if (strcmp(value, words[direction]) == 0)
            return true;
    }
    error_set(error, "filter word '%s': not a direction; expected %s", quote(word, quoted),
              words_list(words, DIRECTION_COUNT, expected));
    return false;
}

static bool take_name(struct filter_term *term, const char *word, const char *value,
                      struct error *error)
{
    char quoted[QUOTE_MAX];

    if (!config_name_is_good(value)) {
        error_set(error,
                  "filter word '%s': not a name; expected at most %d letters, digits, '.', '_' and "
                  "'-', starting with a letter or digit",
                  quote(word, quoted), POLICY_NAME_MAX - 1);
        return false;
    }
    strcpy(term->name, value);
    return true;
}

static bool take_share(struct filter_term *term, const char *word, const char *value,
                       struct error *error)
{
    term->kind = FILTER_SHARE;
    return take_name(term, word, value, error);
}

static bool take_forward(struct filter_term *term, const char *word, const char *value,
                         struct error *error)
{
    term->kind = FILTER_FORWARD;
    return take_name(term, word, value, error);
}

static bool take_id(struct filter_term *term, const char *word, const char *value,
                    struct error *error)
{
    char quoted[QUOTE_MAX];

    term->kind = FILTER_ID;
    if (text_parse_number(value, 1, UINT64_MAX, &term->id))
        return true;
    error_set(error, "filter word '%s': not the id of a session; expected a number, as in id=42",
              quote(word, quoted));
    return false;
}

static const struct filter_key {
    const char *key; /* with its '=' */
    bool (*take)(struct filter_term *term, const char *word, const char *value,
                 struct error *error);
} filter_keys[] = {
    {"internal=", take_internal}, {"external=", take_external}, {"remote=", take_remote},
    {"state=", take_state},       {"outcome=", take_outcome},   {"direction=", take_direction},
    {"share=", take_share},       {"forward=", take_forward},   {"id=", take_id},
};

#define KEY_COUNT (sizeof(filter_keys) / sizeof(filter_keys[0]))

static void list_keys(const char *words[KEY_COUNT])
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        words[i] = filter_keys[i].key;
}

/* The word has a '=', but not after a known key. */
static void refuse_key(const char *word, const char *equals, struct error *error)
{
    const char *words[KEY_COUNT], *meant = NULL;
    char quoted[QUOTE_MAX], key[KEY_MAX], expected[WORDS_TEXT_MAX];
    size_t length = (size_t)(equals - word) + 1;

    list_keys(words);
    if (length < sizeof(key)) {
        memcpy(key, word, length);
        key[length] = '\0';
        meant = config_suggest(key, words, KEY_COUNT);
    }
    quote(word, quoted);
    if (meant != NULL)
        error_set(error, "filter word '%s': unknown; did you mean '%s'?", quoted, meant);
    else
        error_set(error, "filter word '%s': unknown; expected %s", quoted,
                  words_list(words, KEY_COUNT, expected));
}

/* ---- words without '=' ---- */

#define OFFLOADED   "offloaded"
#define PLAIN_COUNT (PROTOCOL_COUNT + 1)

static bool take_plain(struct filter_term *term, const char *word)
{
    if (strcmp(word, OFFLOADED) == 0) {
        term->kind = FILTER_OFFLOADED;
        return true;
    }
    term->kind = FILTER_PROTOCOL;
    for (enum protocol_index i = 0; i < PROTOCOL_COUNT; i++) {
        term->protocol = protocol_table[i].number;
        if (strcmp(word, protocol_table[i].name) == 0)
            return true;
    }
    return false;
}

static void refuse_plain(const char *word, struct error *error)
{
    const char *words[PLAIN_COUNT], *keys[KEY_COUNT], *meant;
    char quoted[QUOTE_MAX], expected[WORDS_TEXT_MAX], expected_keys[WORDS_TEXT_MAX];

    for (enum protocol_index i = 0; i < PROTOCOL_COUNT; i++)
        words[i] = protocol_table[i].name;
    words[PROTOCOL_COUNT] = OFFLOADED;
    list_keys(keys);
    meant = config_suggest(word, words, PLAIN_COUNT);
    quote(word, quoted);
    if (strpbrk(word, ":/") != NULL || (word[0] >= '0' && word[0] <= '9'))
        refuse_endpoint(word, word, error);
    else if (meant != NULL)
        error_set(error, "filter word '%s': unknown; did you mean '%s'?", quoted, meant);
    else
        error_set(error,
                  "filter word '%s': unknown; expected %s, an address, a prefix, :PORT, "
                  "ADDRESS:PORT, or %s followed by a value",
                  quoted, words_list(words, PLAIN_COUNT, expected),
                  words_list(keys, KEY_COUNT, expected_keys));
}

static bool parse_word(struct filter_term *term, const char *word, struct error *error)
{
    const char *equals = strchr(word, '=');

    for (size_t i = 0; i < KEY_COUNT && equals != NULL; i++) {
        size_t length = strlen(filter_keys[i].key);

        if (strncmp(word, filter_keys[i].key, length) == 0)
            return filter_keys[i].take(term, word, word + length, error);
    }
    if (equals != NULL) {
        refuse_key(word, equals, error);
        return false;
    }
    if (take_plain(term, word))
        return true;
    term->kind = FILTER_ENDPOINT;
    term->endpoint = (struct filter_endpoint){.side = SIDE_ANY};
    if (parse_endpoint(word, &term->endpoint))
        return true;
    refuse_plain(word, error);
    return false;
}

bool filter_add(struct filter *filter, const char *word, struct error *error)
{
    if (filter->count == FILTER_WORDS_MAX) {
        error_set(error, "a filter has at most %d words", FILTER_WORDS_MAX);
        return false;
    }
    if (!parse_word(&filter->term[filter->count], word, error))
        return false;
    filter->count++;
    return true;
}

/* ---- matching ---- */

static bool endpoint_matches(const struct filter_endpoint *wanted, uint8_t protocol,
                             const struct endpoint *endpoint)
{
    int32_t port = wanted->port[protocol_index(protocol)];

    return prefix_contains(&wanted->prefix, &endpoint->address) &&
           (!wanted->has_port || port == endpoint->port);
}

static bool any_endpoint_matches(const struct filter_endpoint *wanted,
                                 const struct session_view *session)
{
    const struct {
        enum filter_side side;
        const struct endpoint *endpoint;
    } endpoints[] = {
        {SIDE_INTERNAL, &session->internal},
        {SIDE_EXTERNAL, &session->external},
        {SIDE_REMOTE, &session->remote},
        {SIDE_INTERNAL, &session->peer}, /* only of hairpins */
    };
    size_t all = sizeof(endpoints) / sizeof(endpoints[0]);
    size_t count = session->direction == DIRECTION_HAIRPIN ? all : all - 1;

    for (size_t i = 0; i < count; i++) {
        if ((wanted->side == SIDE_ANY || wanted->side == endpoints[i].side) &&
            endpoint_matches(wanted, session->protocol, endpoints[i].endpoint))
            return true;
    }
    return false;
}

static bool term_matches(const struct filter_term *term, const struct session_view *session)
{
    switch (term->kind) {
    case FILTER_PROTOCOL:
        return session->protocol == term->protocol;
    case FILTER_ENDPOINT:
        return any_endpoint_matches(&term->endpoint, session);
    case FILTER_STATE:
        return strcmp(session_state_name(session->state), term->state) == 0;
    case FILTER_DIRECTION:
        return session->direction == term->direction;
    case FILTER_SHARE:
        return strcmp(session->share, term->name) == 0;
    case FILTER_FORWARD:
        return strcmp(session->forward, term->name) == 0;
    case FILTER_ID:
        return session->id == term->id;
    case FILTER_OFFLOADED:
        return session->offloaded;
    case FILTER_OUTCOME:
        return session->outcome != OUTCOME_NONE &&
               strcmp(outcome_name(session->outcome), term->outcome) == 0;
    }
    return false;
}

bool filter_matches(const struct filter *filter, const struct session_view *session)
{
    for (size_t i = 0; i < filter->count; i++) {
        if (!term_matches(&filter->term[i], session))
            return false;
    }
    return true;
}
