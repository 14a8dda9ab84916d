/*
 * request.c - one line of a client: the rules of JSON-RPC, parameters, permission
 */
#include "request.h"

#include "answer.h"
#include "methods.h"
#include "words.h"

#include <stdio.h>
#include <string.h>

#define QUOTE "%.64s" /* the beginning of a client's text */

/* ---- parameters ---- */

static const struct parameter *find_parameter(const struct method *method, const char *name)
{
    for (size_t i = 0; i < PARAMETERS_MAX && method->parameters[i].name != NULL; i++) {
        if (strcmp(method->parameters[i].name, name) == 0)
            return &method->parameters[i];
    }
    return NULL;
}

/* "filter or all"; "none" for a method without parameters. */
static const char *list_parameters(const struct method *method, char buffer[WORDS_TEXT_MAX])
{
    const char *names[PARAMETERS_MAX];
    size_t count = 0;

    for (; count < PARAMETERS_MAX && method->parameters[count].name != NULL; count++)
        names[count] = method->parameters[count].name;
    return words_list(names, count, buffer);
}

/* What was expected; NULL if the value is of the type. */
static const char *wrong_type(enum parameter_type type, const json_t *value)
{
    const json_t *word;
    size_t index;

    switch (type) {
    case PARAMETER_TEXT:
        return json_is_string(value) ? NULL : "a string";
    case PARAMETER_FLAG:
        return json_is_boolean(value) ? NULL : "true or false";
    case PARAMETER_FILTER:
        if (!json_is_array(value))
            return "an array of filter words, as in [\"tcp\", \":443\"]";
        json_array_foreach(value, index, word)
        {
            if (!json_is_string(word))
                return "an array of filter words, each a string";
        }
        return NULL;
    }
    return "another type";
}

static bool check_params(struct request *request)
{
    const char *name, *expected;
    char known[WORDS_TEXT_MAX];
    json_t *value;

    json_object_foreach(request->params, name, value)
    {
        const struct parameter *parameter = find_parameter(request->method, name);

        if (parameter == NULL) {
            answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                           "%s has no parameter '" QUOTE "'; expected: %s", request->method->name,
                           name, list_parameters(request->method, known));
            return false;
        }
        expected = wrong_type(parameter->type, value);
        if (expected != NULL) {
            answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                           "parameter '%s': expected %s", name, expected);
            return false;
        }
    }
    return true;
}

/* ---- permission ---- */

static bool check_may_look(struct client *client, json_t *id)
{
    if (client->peer.may_look)
        return true;
    if (client->control->group[0] == '\0')
        answer_refusal(&client->output, id, CONTROL_ERROR_PERMISSION, NULL,
                       "not permitted: only root may use this socket");
    else
        answer_refusal(&client->output, id, CONTROL_ERROR_PERMISSION, NULL,
                       "not permitted: user %u is not in group '%s'; members of this group may "
                       "look, only root may change anything",
                       (unsigned)client->peer.credentials.uid, client->control->group);
    return false;
}

static bool check_may_change(struct request *request)
{
    if (!request->method->changes || peer_is_root(&request->client->peer))
        return true;
    answer_refusal(request->output, request->id, CONTROL_ERROR_PERMISSION, NULL,
                   "not permitted: only root may use %s; user %u may only look",
                   request->method->name, (unsigned)request->client->peer.credentials.uid);
    return false;
}

/* ---- one line ---- */

/* `envelope` has a valid id, and its method is a string. */
static void dispatch(struct request *request, const json_t *envelope)
{
    const char *name = json_string_value(json_object_get(envelope, "method"));
    json_t *params = json_object_get(envelope, "params"), *none = NULL;
    char known[WORDS_TEXT_MAX];

    if (!check_may_look(request->client, request->id))
        return;
    request->method = methods_find(name);
    if (request->method == NULL) {
        answer_refusal(request->output, request->id, CONTROL_ERROR_METHOD, NULL,
                       "unknown method '" QUOTE "'; expected %s", name, methods_list(known));
        return;
    }
    if (!check_may_change(request))
        return;
    if (params != NULL && !json_is_object(params)) {
        answer_refusal(request->output, request->id, CONTROL_ERROR_PARAMS, NULL,
                       "'params' must be an object of named parameters");
        return;
    }
    if (params == NULL)
        params = none = json_object();
    request->params = params;
    if (check_params(request))
        request->method->run(request);
    json_decref(none);
}

/* What was expected; NULL if the envelope is a request of JSON-RPC 2.0. */
static const char *wrong_envelope(const json_t *envelope)
{
    const char *version = json_string_value(json_object_get(envelope, "jsonrpc"));
    const json_t *id = json_object_get(envelope, "id");

    if (json_is_array(envelope))
        return "batches are not supported: expected one request (an object) per line";
    if (!json_is_object(envelope))
        return "expected a request: an object with jsonrpc, id, method and params";
    if (version == NULL || strcmp(version, "2.0") != 0)
        return "expected \"jsonrpc\": \"2.0\"";
    /* Without an id, the client could not find the answer. */
    if (!json_is_integer(id) && !json_is_string(id))
        return "expected an 'id', an integer or a string";
    if (!json_is_string(json_object_get(envelope, "method")))
        return "expected a 'method', a string";
    return NULL;
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

void request_serve(struct client *client, struct gateway *gateway, const char *line, size_t length)
{
    struct request request = {.client = client, .output = &client->output, .gateway = gateway};
    json_error_t parse_error;
    const char *wrong;
    json_t *envelope;

    if (is_blank(line, length))
        return;
    envelope = json_loadb(line, length, JSON_REJECT_DUPLICATES, &parse_error);
    if (envelope == NULL) {
        answer_refusal(&client->output, NULL, CONTROL_ERROR_PARSE, NULL,
                       "not JSON: %s (at byte %d); expected one object per line", parse_error.text,
                       parse_error.position);
        return;
    }
    request.id = json_object_get(envelope, "id");
    if (!json_is_integer(request.id) && !json_is_string(request.id))
        request.id = NULL;
    wrong = wrong_envelope(envelope);
    if (wrong != NULL)
        answer_refusal(&client->output, request.id, CONTROL_ERROR_REQUEST, NULL, "%s", wrong);
    else
        dispatch(&request, envelope);
    json_decref(envelope);
}
