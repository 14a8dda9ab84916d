/*
 * test_batch.c - a batch of packets is decided as its packets would be, one after the other
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS 200 /* several times what is parsed ahead */

static struct chance chance;

/* Some host's packet, out or in, now and then one that makes no sense. */
static void make_any(struct sample *sample)
{
    char inside[32], outside[32];
    bool leaves = chance_one_in(&chance, 2);

    if (leaves)
        snprintf(inside, sizeof(inside), "10.0.0.%u:%u", 1 + chance_below(&chance, 4),
                 4000 + chance_below(&chance, 4));
    else
        snprintf(inside, sizeof(inside), EXTERNAL ":%u", 50000 + chance_below(&chance, 1000));
    snprintf(outside, sizeof(outside), REMOTE ":%u", 53 + chance_below(&chance, 4));
    if (chance_one_in(&chance, 3))
        make_tcp(sample, leaves ? inside : outside, leaves ? outside : inside,
                 chance_one_in(&chance, 3) ? TCP_ACK : TCP_SYN);
    else
        make_udp(sample, leaves ? inside : outside, leaves ? outside : inside,
                 chance_below(&chance, 100));
    sample->packet.hook = leaves ? HOOK_OUTBOUND : HOOK_INBOUND;
    sample->packet.in_interface = leaves ? LAN : WAN;
    sample->packet.out_interface = leaves ? WAN : 0;
    sample->packet.truncated = chance_one_in(&chance, 20);
    if (chance_one_in(&chance, 20))
        sample->packet.length = chance_below(&chance, 28);
}

static void start(struct gateway *gateway)
{
    struct policy *policy = lab_policy(FILTERING_ENDPOINT_INDEPENDENT);

    policy_limits(policy)->sessions_per_host = 4;
    gateway_start(gateway, policy);
}

START_TEST(a_batch_is_decided_like_its_packets_one_by_one)
{
    struct sample *one = calloc(PACKETS, sizeof(*one)), *many = calloc(PACKETS, sizeof(*many));
    struct packet *batch = calloc(PACKETS, sizeof(*batch));
    struct gateway single, batched;

    chance = chance_new();
    start(&single);
    start(&batched);
    for (size_t i = 0; i < PACKETS; i++) {
        make_any(&one[i]);
        copy_sample(&many[i], &one[i]);
        batch[i] = many[i].packet;
        nat_translate_batch(single.nat, &one[i].packet, 1, single.now);
    }
    nat_translate_batch(batched.nat, batch, PACKETS, batched.now);
    for (size_t i = 0; i < PACKETS; i++) {
        seeded(&chance, batch[i].verdict == one[i].packet.verdict);
        seeded(&chance, batch[i].reason == one[i].packet.reason);
        seeded(&chance, batch[i].transit == one[i].packet.transit);
        seeded(&chance, batch[i].send_refusal == one[i].packet.send_refusal);
        seeded(&chance, memcmp(many[i].bytes, one[i].bytes, sizeof(one[i].bytes)) == 0);
    }
    seeded(&chance, memcmp(&single.nat->counters, &batched.nat->counters,
                           sizeof(single.nat->counters)) == 0);
    seeded(&chance, single.nat->counters.dropped[DROP_HOST_LIMIT] > 0);
    seeded(&chance, single.nat->counters.dropped[DROP_TRUNCATED] > 0);
    gateway_stop(&single);
    gateway_stop(&batched);
    free(one);
    free(many);
    free(batch);
}
END_TEST

START_TEST(an_empty_batch_changes_nothing)
{
    struct gateway gateway;

    start(&gateway);
    nat_translate_batch(gateway.nat, NULL, 0, gateway.now);
    ck_assert_uint_eq(gateway.nat->counters.unchanged, 0);
    gateway_stop(&gateway);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_batch_is_decided_like_its_packets_one_by_one,
        an_empty_batch_changes_nothing,
    };

    return RUN_TESTS("batch", tests);
}
