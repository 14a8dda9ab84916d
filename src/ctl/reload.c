/*
 * reload.c - portreeve reload: the daemon reads its configuration again
 */
#include "member.h"
#include "rpc.h"
#include "run.h"
#include "warnings.h"

int run_reload(const struct options *options)
{
    json_t *result;
    int code = rpc_ask(options, "reload", json_object(), NULL, NULL, &result);

    if (code == EXIT_DONE)
        printf("reloaded; %lld sessions ended\n",
               (long long)member_number(result, "sessions_ended"));
    complain_of_warnings(result);
    json_decref(result);
    return code;
}
