/*
 * review.c - after a change of policy or addresses: which sessions are still allowed
 */
#include "review.h"

#include "offload.h"

void gateway_fold_offloaded(struct gateway *gateway)
{
    gateway_offload_fold(gateway->offload);
}

int gateway_check_kernel(struct gateway *gateway)
{
    return gateway_offload_check(gateway->offload);
}

void gateway_flush_offloaded(struct gateway *gateway)
{
    gateway_offload_flush(gateway->offload);
}

uint32_t gateway_review(struct gateway *gateway)
{
    uint32_t ended;
    bool more = true;

    gateway_fold_offloaded(gateway); /* so that sessions end with all their packets counted */
    while (more) {
        more = nat_review(gateway_lock(gateway), gateway_now(), GATEWAY_BUDGET, &ended);
        gateway_end_step(gateway);
    }
    gateway_flush_offloaded(gateway);
    return ended;
}
