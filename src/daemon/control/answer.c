/*
 * answer.c - lines of JSON-RPC 2.0 for a client: answers, and the lines of streams
 */
#include "answer.h"

#include "json.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 512 /* bytes, with the final NUL */

void answer_result(struct output *output, json_t *id, json_t *result)
{
    if (result == NULL) {
        answer_refusal(output, id, CONTROL_ERROR_MEMORY, NULL,
                       "the daemon has not enough memory for this answer");
        return;
    }
    output_write_line(output,
                      json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", id, "result", result));
}

void answer_refusal(struct output *output, json_t *id, enum control_error code, json_t *errors,
                    const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list arguments;
    json_t *error;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    error = json_pack("{s:i,s:o}", "code", (int)code, "message", json_text(text));
    if (errors != NULL)
        json_object_set_new(error, "data", json_pack("{s:o}", "errors", errors));
    output_write_line(output,
                      json_pack("{s:s,s:O?,s:o}", "jsonrpc", "2.0", "id", id, "error", error));
}

void answer_notice(struct output *output, const char *method, json_t *params)
{
    output_write_line(
        output, json_pack("{s:s,s:s,s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}
