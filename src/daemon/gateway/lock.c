/*
 * lock.c - the lock around the translation table, its clock, and what may be read without it
 */
#include "lock.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

uint64_t gateway_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * A mutex that is released goes to whoever asks first: to the thread that has just released it, and
 * not to one that first has to wake up. Who walks the table, lock after lock, would keep the
 * workers out. So whoever waits holds the turn, and who walks asks for the turn first; a worker
 * asks for it only when it has to wait.
 */
struct nat *gateway_lock(struct gateway *gateway)
{
    pthread_mutex_lock(&gateway->turn);
    pthread_mutex_lock(&gateway->lock);
    pthread_mutex_unlock(&gateway->turn);
    return gateway->nat;
}

struct nat *gateway_lock_for_packets(struct gateway *gateway)
{
    return pthread_mutex_trylock(&gateway->lock) == 0 ? gateway->nat : gateway_lock(gateway);
}

void gateway_unlock(struct gateway *gateway)
{
    pthread_mutex_unlock(&gateway->lock);
}

/*
 * One write wakes the carrier, however many threads have orders for it meanwhile: only who finds
 * the flag clear sets it and writes. No order is left behind, for two reasons of sequence. Orders
 * are made before the flag is looked at, and the carrier clears the flag before it looks for orders
 * (both look under the lock). So who finds the flag set finds it before the carrier has cleared it,
 * and the carrier's look is still to come; or after that, and then whoever has set it anew writes.
 * Were the flag cleared after the look, an order that comes between the two would wait for the next
 * one. The flag's operations are sequentially consistent, so that none of them moves past the
 * other steps; a batch of packets has one at most, and only while there are orders.
 */
void gateway_wake_carrier(struct gateway *gateway)
{
    const uint64_t one = 1;

    if (!__atomic_exchange_n(&gateway->carrier_is_awake, true, __ATOMIC_SEQ_CST) &&
        write(gateway->orders, &one, sizeof(one)) != (ssize_t)sizeof(one))
        __atomic_store_n(&gateway->carrier_is_awake, false, __ATOMIC_SEQ_CST);
}

int gateway_wait_for_orders(struct gateway *gateway)
{
    uint64_t wakings;

    if (read(gateway->orders, &wakings, sizeof(wakings)) < 0 && errno != EINTR)
        return -errno;
    __atomic_store_n(&gateway->carrier_is_awake, false, __ATOMIC_SEQ_CST);
    return 0;
}

void gateway_unlock_and_order(struct gateway *gateway)
{
    bool orders = nat_offload_has_orders(gateway->nat);

    gateway_unlock(gateway);
    if (orders)
        gateway_wake_carrier(gateway);
}

/*
 * Where the scheduler lets a thread run for milliseconds, a worker that wakes on this processor
 * would wait as long.
 */
void gateway_end_step(struct gateway *gateway)
{
    gateway_unlock_and_order(gateway);
    sched_yield();
}

const struct config *gateway_config(const struct gateway *gateway)
{
    return &gateway->config;
}

const struct policy *gateway_policy(const struct gateway *gateway)
{
    return gateway->active;
}
