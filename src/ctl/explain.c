/*
 * explain.c - portreeve explain: what becomes of a connection and why
 *
 *   8443/tcp [from ADDRESS] [to ADDRESS]
 *   tcp SOURCE:PORT DESTINATION:PORT
 *   from [SHARE] HOST to ADDRESS:PORT/PROTOCOL
 */
#include "json.h"
#include "member.h"
#include "portreeve/text.h"
#include "probe.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

struct question {
    bool is_tcp, has_protocol;
    bool has_from;
    struct endpoint from, to; /* port 0, or an address of zeros: not given */
};

/* ---- words ---- */

static bool set_protocol(struct question *question, const char *name)
{
    question->is_tcp = strcmp(name, "tcp") == 0;
    question->has_protocol = question->is_tcp || strcmp(name, "udp") == 0;
    return question->has_protocol;
}

/* A number, or the name of a service. */
static bool read_port(const struct question *question, const char *text, uint16_t *port)
{
    const struct servent *service;
    uint64_t number;

    if (text_parse_number(text, 1, UINT16_MAX, &number)) {
        *port = (uint16_t)number;
        return true;
    }
    service = getservbyname(text, question->is_tcp ? "tcp" : "udp");
    if (service != NULL)
        *port = ntohs((uint16_t)service->s_port);
    return service != NULL;
}

/* "8443", "https", "203.0.113.5", "203.0.113.5:8443": adds what the text has. */
static bool read_destination(struct question *question, const char *text)
{
    struct endpoint endpoint;

    if (text_parse_endpoint(text, &endpoint)) {
        question->to = endpoint;
        return true;
    }
    return text_parse_address(text, &question->to.address) ||
           read_port(question, text, &question->to.port);
}

/* The same, with "/tcp" or "/udp" behind it. */
static bool read_service(struct question *question, const char *word)
{
    const char *slash = strchr(word, '/');
    char text[64];

    if (slash == NULL)
        return read_destination(question, word);
    if ((size_t)(slash - word) >= sizeof(text) || !set_protocol(question, slash + 1))
        return false;
    memcpy(text, word, (size_t)(slash - word));
    text[slash - word] = '\0';
    return read_destination(question, text);
}

static bool read_source(struct question *question, const char *word)
{
    question->has_from = text_parse_address(word, &question->from.address) ||
                         text_parse_endpoint(word, &question->from);
    return question->has_from;
}

/* "from lab 10.0.0.7": the name of the share is for the reader. */
static bool read_from(struct question *question, char **words, int count, int *at)
{
    if (*at + 1 < count && read_source(question, words[*at + 1])) {
        *at += 1;
        return true;
    }
    if (*at + 2 < count && read_source(question, words[*at + 2])) {
        *at += 2;
        return true;
    }
    return false;
}

static bool read_word(struct question *question, char **words, int count, int *at)
{
    if (strcmp(words[*at], "from") == 0)
        return read_from(question, words, count, at);
    if (strcmp(words[*at], "to") == 0 && *at + 1 < count)
        return read_service(question, words[++*at]);
    if (set_protocol(question, words[*at]) && *at + 2 < count) {
        *at += 2;
        return read_source(question, words[*at - 1]) && read_destination(question, words[*at]);
    }
    return read_service(question, words[*at]);
}

static bool read_question(const struct options *options, struct question *question)
{
    *question = (struct question){.is_tcp = true};
    for (int at = 0; at < options->count; at++) {
        if (!read_word(question, options->words, options->count, &at)) {
            complain("explain: '%s': expected 8443/tcp [from ADDRESS] [to ADDRESS], or tcp "
                     "SOURCE:PORT DESTINATION:PORT, or from HOST to ADDRESS:PORT/tcp",
                     options->words[at]);
            return false;
        }
    }
    if (!question->has_protocol || question->to.port == 0) {
        complain("explain: expected a port with its protocol, as in 8443/tcp");
        return false;
    }
    return true;
}

/* ---- asking ---- */

static json_t *params_of(const struct question *question, const char *probed)
{
    const bool has_address = !address_equal(&question->to.address, &(struct address){{0}});
    char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

    if (question->from.port != 0)
        text_format_endpoint(&question->from, from);
    else
        text_format_address(&question->from.address, from);
    if (has_address)
        text_format_endpoint(&question->to, to);
    else
        snprintf(to, sizeof(to), "%u", question->to.port);
    return json_pack("{s:s,s:s*,s:s,s:s*}", "protocol", question->is_tcp ? "tcp" : "udp", "from",
                     question->has_from ? from : NULL, "to", to, "probe", probed);
}

static bool read_target(const json_t *result, struct endpoint *target)
{
    const json_t *json = json_object_get(result, "target");

    target->port = (uint16_t)member_number(json, "port");
    return target->port != 0 &&
           text_parse_address(member_text(json, "address"), &target->address) &&
           address_is_ipv4(&target->address);
}

/* A second question, with what the probe of the first one's target has found. */
static int ask_again(const struct options *options, const struct question *question,
                     json_t **result)
{
    struct endpoint target;
    const char *found;

    if (!read_target(*result, &target))
        return EXIT_DONE;
    found = probe(question->is_tcp, &target);
    if (found == NULL)
        return EXIT_DONE;
    json_decref(*result);
    return rpc_ask(options, "explain", params_of(question, found), NULL, NULL, result);
}

/* ---- showing ---- */

static void print_steps(const json_t *result)
{
    const json_t *step;
    struct shown label, text;
    size_t index;

    json_array_foreach(json_object_get(result, "steps"), index, step)
    {
        bool is_seen = strcmp(member_text(step, "check"), "seen") == 0;

        printf(" %-5s %s\n", is_seen ? "seen" : show(&label, member_text(step, "result")),
               show(&text, member_text(step, "text")));
    }
}

static void print_candidates(const json_t *result)
{
    const json_t *candidate;
    struct shown cause, advice;
    size_t index;

    json_array_foreach(json_object_get(result, "candidates"), index, candidate)
        printf("%s %s: %s\n", index == 0 ? "It may be" : "   or",
               show(&cause, member_text(candidate, "cause")),
               show(&advice, member_text(candidate, "advice")));
}

static void print_conclusion(const json_t *result)
{
    const char *verdict = member_text(result, "verdict");
    struct shown cause, advice;

    if (strcmp(verdict, "healthy") == 0)
        puts("Nothing is in the way.");
    else if (strcmp(verdict, "faulty") == 0)
        printf("The cause is %s: %s\n", show(&cause, member_text(result, "cause")),
               show(&advice, member_text(result, "advice")));
    else
        print_candidates(result);
}

static void print_answer(const struct question *question, const json_t *result)
{
    char text[ENDPOINT_TEXT_MAX];
    struct shown from;

    if (address_equal(&question->to.address, &(struct address){{0}}))
        snprintf(text, sizeof(text), "%u", question->to.port);
    else
        text_format_endpoint(&question->to, text);
    printf("%s/%s from %s\n", text, question->is_tcp ? "tcp" : "udp",
           show(&from, member_text(result, "from")));
    print_steps(result);
    print_conclusion(result);
}

int run_explain(const struct options *options)
{
    struct question question;
    json_t *result = NULL;
    int code;

    if (!read_question(options, &question))
        return EXIT_USAGE;
    code = rpc_ask(options, "explain", params_of(&question, NULL), NULL, NULL, &result);
    if (code == EXIT_DONE && options_has(options, OPTION_PROBE))
        code = ask_again(options, &question, &result);
    if (code == EXIT_DONE && options_has(options, OPTION_JSON))
        json_print(result);
    else if (code == EXIT_DONE)
        print_answer(&question, result);
    if (code == EXIT_DONE && strcmp(member_text(result, "verdict"), "faulty") == 0)
        code = EXIT_REFUSED;
    json_decref(result);
    return code;
}
