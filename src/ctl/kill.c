/*
 * kill.c - portreeve kill: ends sessions
 */
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "say.h"

int run_kill(const struct options *options)
{
    bool all = options_has(options, OPTION_ALL);
    json_t *result;
    long long killed;
    int code;

    if (all == (options->count > 0)) {
        complain(all ? "expected a FILTER or --all, not both"
                     : "expected a FILTER; --all ends every session");
        return EXIT_USAGE;
    }
    code = rpc_ask(options, "kill", all ? json_pack("{s:b}", "all", 1) : rpc_filter(options), NULL,
                   NULL, &result);
    killed = (long long)member_number(result, "killed");
    json_decref(result);
    if (code != EXIT_DONE)
        return code;
    if (killed == 0 && !all) {
        complain("no session matches");
        return EXIT_REFUSED;
    }
    printf(killed == 1 ? "ended 1 session\n" : "ended %lld sessions\n", killed);
    return EXIT_DONE;
}
