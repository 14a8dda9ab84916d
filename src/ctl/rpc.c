/*
 * rpc.c - one connection to the daemon
 */
#include "rpc.h"

#include "member.h"
#include "portreeve/control_protocol.h"
#include "portreeve/text.h"
#include "say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIME_LIMIT 30 /* seconds, for each line of an answer */
#define REQUEST_ID 1

/* ---- connecting ---- */

static void explain_failure(const char *path, int error)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        complain("cannot reach %s: %s; is portreeved running? (-s selects another socket)", path,
                 strerror(error));
        break;
    case EACCES:
    case EPERM:
        complain("cannot reach %s: %s; only root and members of the socket's group may use it",
                 path, strerror(error));
        break;
    default:
        complain("cannot reach %s: %s", path, strerror(error));
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -errno;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int result = -errno;

        close(descriptor);
        return result;
    }
    return descriptor;
}

int rpc_open(struct rpc *rpc, const char *socket)
{
    int descriptor = connect_to(socket);

    *rpc = (struct rpc){.socket = socket};
    if (descriptor < 0) {
        explain_failure(socket, -descriptor);
        return descriptor == -EACCES || descriptor == -EPERM ? EXIT_NOT_PERMITTED
                                                             : EXIT_UNREACHABLE;
    }
    rpc->stream = fdopen(descriptor, "r");
    if (rpc->stream == NULL) {
        complain("not enough memory");
        close(descriptor);
        return EXIT_UNREACHABLE;
    }
    return EXIT_DONE;
}

void rpc_close(struct rpc *rpc)
{
    if (rpc->stream != NULL)
        fclose(rpc->stream);
    free(rpc->line);
    *rpc = (struct rpc){0};
}

/* 0: no limit. */
static void set_time_limit(const struct rpc *rpc, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};

    setsockopt(fileno(rpc->stream), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* ---- lines ---- */

static bool send_request(struct rpc *rpc, const char *method, json_t *params)
{
    json_t *request = json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", REQUEST_ID, "method",
                                method, "params", params);
    char *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    size_t length = text != NULL ? strlen(text) : 0, done = 0;
    bool failed = text == NULL;

    if (text != NULL)
        text[length++] = '\n'; /* in place of the final NUL */
    while (done < length && !failed) {
        ssize_t sent = send(fileno(rpc->stream), text + done, length - done, MSG_NOSIGNAL);

        /* The daemon may refuse a connection and close it at once: the reason can be read. */
        if (sent < 0 && errno == EPIPE)
            break;
        failed = sent < 0 && errno != EINTR;
        done += sent > 0 ? (size_t)sent : 0;
    }
    free(text);
    json_decref(request);
    return !failed;
}

/* One message, a new reference. NULL after an error, which is shown. */
static json_t *read_message(struct rpc *rpc)
{
    ssize_t length;
    json_t *message;

    errno = 0;
    length = getline(&rpc->line, &rpc->line_size, rpc->stream);
    if (length < 0) {
        if (errno == EAGAIN)
            complain("%s: no answer from the daemon for %d seconds", rpc->socket, TIME_LIMIT);
        else
            complain("%s: the daemon has closed the connection", rpc->socket);
        return NULL;
    }
    message = json_loadb(rpc->line, (size_t)length, 0, NULL);
    if (!json_is_object(message)) {
        complain("%s: the answer is not in portreeve's protocol; is this the socket of portreeved?",
                 rpc->socket);
        json_decref(message);
        return NULL;
    }
    return message;
}

/* Shows the error of an answer, and returns its exit code. */
static int explain_error(const char *method, const json_t *error)
{
    const json_t *lines = json_object_get(json_object_get(error, "data"), "errors"), *line;
    size_t index;

    if (json_array_size(lines) > 0)
        complain("%s was refused; nothing has changed:", method);
    else
        complain("%s", member_text(error, "message"));
    json_array_foreach(lines, index, line)
    {
        char *text = strdup(json_string_value(line) != NULL ? json_string_value(line) : "");

        if (text != NULL) {
            text_make_printable(text);
            fprintf(stderr, "  %s\n", text);
        }
        free(text);
    }
    switch (member_number(error, "code")) {
    case CONTROL_ERROR_PERMISSION:
        return EXIT_NOT_PERMITTED;
    case CONTROL_ERROR_PARAMS:
        return EXIT_USAGE;
    default:
        return EXIT_REFUSED;
    }
}

int rpc_follow(struct rpc *rpc, rpc_line *line, void *context)
{
    json_t *message;

    set_time_limit(rpc, 0);
    message = read_message(rpc);
    if (message == NULL)
        return EXIT_UNREACHABLE;
    line(context, member_text(message, "method"), json_object_get(message, "params"));
    json_decref(message);
    return EXIT_DONE;
}

int rpc_call(struct rpc *rpc, const char *method, json_t *params, rpc_line *line, void *context,
             json_t **result)
{
    int code = EXIT_UNREACHABLE;

    *result = NULL;
    set_time_limit(rpc, TIME_LIMIT);
    if (!send_request(rpc, method, params)) {
        complain("cannot send the request: %s", strerror(errno));
        return code;
    }
    for (;;) {
        json_t *message = read_message(rpc), *error;
        bool streamed;

        if (message == NULL)
            return code;
        error = json_object_get(message, "error");
        *result = json_incref(json_object_get(message, "result"));
        streamed = *result == NULL && error == NULL;
        if (streamed && line != NULL)
            line(context, member_text(message, "method"), json_object_get(message, "params"));
        if (!streamed)
            code = error != NULL ? explain_error(method, error) : EXIT_DONE;
        json_decref(message);
        if (!streamed)
            return code;
    }
}

void rpc_wait_for_end(struct rpc *rpc)
{
    while (getline(&rpc->line, &rpc->line_size, rpc->stream) >= 0)
        continue;
}

int rpc_ask(const struct options *options, const char *method, json_t *params, rpc_line *line,
            void *context, json_t **result)
{
    struct rpc rpc;
    int code = rpc_open(&rpc, options->socket);

    *result = NULL;
    if (code == EXIT_DONE)
        code = rpc_call(&rpc, method, params, line, context, result);
    else
        json_decref(params);
    rpc_close(&rpc);
    return code;
}

json_t *rpc_filter(const struct options *options)
{
    json_t *words = json_array();

    for (int i = 0; i < options->count; i++) {
        json_t *word = json_string(options->words[i]);

        /* Text that is not UTF-8 is not a FILTER word. The daemon says so, if it gets "?". */
        json_array_append_new(words, word != NULL ? word : json_string("?"));
    }
    return json_pack("{s:o}", "filter", words);
}
