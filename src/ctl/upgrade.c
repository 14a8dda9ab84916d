/*
 * upgrade.c - portreeve upgrade: the program that is installed now takes the place of the daemon's
 */
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

/* The same socket: connections wait there until the new program accepts them. */
static int ask_who_runs(const struct options *options)
{
    json_t *status;
    int code = rpc_ask(options, "status", json_object(), NULL, NULL, &status);
    const char *problem = code == EXIT_DONE ? member_text(status, "upgrade_problem") : "";

    if (code == EXIT_DONE && *problem != '\0') {
        complain("the upgrade has failed, and the former program goes on: %s", problem);
        code = EXIT_REFUSED;
    } else if (code == EXIT_DONE) {
        printf("portreeved %s has taken over; %lld sessions\n", member_text(status, "version"),
               (long long)member_number(json_object_get(status, "sessions"), "live"));
    }
    json_decref(status);
    return code;
}

int run_upgrade(const struct options *options)
{
    struct rpc rpc;
    json_t *result = NULL;
    int code = rpc_open(&rpc, options->socket);

    if (code == EXIT_DONE)
        code = rpc_call(&rpc, "upgrade", json_object(), NULL, NULL, &result);
    json_decref(result);
    if (code == EXIT_DONE)
        rpc_wait_for_end(&rpc);
    rpc_close(&rpc);
    return code == EXIT_DONE ? ask_who_runs(options) : code;
}
