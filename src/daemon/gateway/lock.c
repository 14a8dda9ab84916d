/*
 * lock.c - the lock around the translation table, its clock, and the wake-up of the offload thread
 */
#include "lock.h"

#include <errno.h>
#include <poll.h>
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
 * A mutex that is released goes to the thread that asks first. That is the thread that has just
 * released it, not one that first has to wake up. So a thread that walks through the table, lock
 * after lock, would keep the workers out. For this reason a thread that waits for the lock holds
 * `turn`, and a walk asks for `turn` first. A worker asks for it only when it has to wait.
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
 * One write wakes the offload thread, however many threads have orders for it: only the thread that
 * finds the flag clear sets it and writes.
 *
 * No order is left behind, for two reasons of sequence. Orders are created before the flag is read,
 * and the offload thread clears the flag before it looks for orders (both hold the lock for the
 * orders). So if a thread finds the flag set, either the offload thread has not cleared it yet and
 * will look for orders later, or it has cleared it and another thread has set it again and writes.
 * If the flag were cleared after the look, an order that comes between the two would wait for the
 * next one.
 *
 * The operations on the flag are sequentially consistent, so that none of them moves past the other
 * steps. A batch of packets has at most one such operation, and only while there are orders.
 */
void gateway_wake_offload(struct gateway *gateway)
{
    const uint64_t one = 1;

    if (!__atomic_exchange_n(&gateway->offload_is_awake, true, __ATOMIC_SEQ_CST) &&
        write(gateway->orders, &one, sizeof(one)) != (ssize_t)sizeof(one))
        __atomic_store_n(&gateway->offload_is_awake, false, __ATOMIC_SEQ_CST);
}

int gateway_wait_for_orders(struct gateway *gateway, int most_ms)
{
    struct pollfd orders = {.fd = gateway->orders, .events = POLLIN};
    int ready = poll(&orders, 1, most_ms);
    uint64_t wakings;

    if (ready < 0 && errno != EINTR)
        return -errno;
    if (ready > 0 && read(gateway->orders, &wakings, sizeof(wakings)) < 0 && errno != EINTR)
        return -errno;
    __atomic_store_n(&gateway->offload_is_awake, false, __ATOMIC_SEQ_CST);
    return 0;
}

void gateway_unlock_and_order(struct gateway *gateway)
{
    bool orders = nat_offload_has_orders(gateway->nat);

    gateway_unlock(gateway);
    if (orders)
        gateway_wake_offload(gateway);
}

/*
 * On a kernel whose scheduler lets a thread run for milliseconds, a worker that wakes up on this
 * processor would have to wait that long.
 */
void gateway_end_step(struct gateway *gateway)
{
    gateway_unlock_and_order(gateway);
    sched_yield();
}

const char *gateway_config_path(const struct gateway *gateway)
{
    return gateway->config_path;
}

const struct config *gateway_config(const struct gateway *gateway)
{
    return &gateway->config;
}

const struct policy *gateway_policy(const struct gateway *gateway)
{
    return gateway->active;
}
