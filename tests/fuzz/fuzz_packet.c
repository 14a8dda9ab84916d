/*
 * fuzz_packet.c - hostile packets for a whole NAT, and what must hold after each
 *
 * The input is a sequence of steps:
 *
 *     byte 0    hook, interfaces, mark and offload flags of a packet; or, with HERE_CONTROL,
 *               something else that happens
 *     byte 1    how much time passes (2^n - 1 ms for n in the low five bits); REPAIR: checksums are
 *               made right first, for chance alone never gets past them; TRUNCATED
 *     byte 2, 3 length of the packet, low byte first
 *     ...       its bytes
 *
 * A step that has both HERE_CONTROL and HERE_OUTBOUND is a crash: byte 2 says what the next run is
 * like, and the bytes are changes to the memory that it finds, three each: where (low byte first)
 * and the new value.
 *
 * A packet that passes twice (hairpins) is sent on to its second pass. The NAT is small, so that
 * limits, eviction and dry pools are met within a few packets; it is emptied, not made anew, for
 * each input.
 */
#include "nat_internal.h"
#include "portreeve/check.h"
#include "portreeve/icmp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    LAN = 2,
    WAN = 3,
    STEPS_MAX = 64,
    GUARD = 0xd7,
    GUARD_LENGTH = 16,
    PACKET_MAX = 65536,
    OFFLOAD_ENTRIES = 3,
};

enum step_flags {
    HERE_OUTBOUND = 0x01,
    HERE_FROM_LAN = 0x02,
    HERE_TO_LAN = 0x04,
    HERE_MARKED = 0x08,
    HERE_NO_CHECKSUM = 0x10,
    HERE_GSO = 0x20,
    HERE_CONTROL = 0x40,
};

enum time_flags {
    TIME_BITS = 0x1f,
    TIME_MAX = 24, /* four and a half hours */
    REPAIR = 0x40,
    TRUNCATED = 0x80,
};

static struct nat *nat;
static uint8_t *memory; /* of its sessions; outlives a crash */
static bool has_crashed;
static const struct policy *policies[3];
static uint64_t now, translated;
static uint8_t bytes[PACKET_MAX + GUARD_LENGTH], before[PACKET_MAX + GUARD_LENGTH];

#define must(condition) must_hold(condition, #condition, __LINE__)

static void must_hold(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_packet.c:%d: does not hold: %s\n", line, what);
    abort();
}

/* The gateway. */

static struct address ipv4(unsigned a, unsigned b, unsigned c, unsigned d)
{
    return address_from_ipv4(a << 24 | b << 16 | c << 8 | d);
}

static void add_share(struct policy *policy, unsigned net, uint16_t first, enum filtering filtering)
{
    struct prefix source = {ipv4(10, 0, net, 0), 120};
    struct port_range ports = {first, (uint16_t)(first + 7)};
    struct share share = {.name = "share",
                          .source = &source,
                          .source_count = 1,
                          .ports = &ports,
                          .ports_count = 1,
                          .filtering = filtering};

    must(policy_add_share(policy, &share));
}

static void add_forward(struct policy *policy, uint16_t port, struct endpoint to,
                        struct prefix *allow)
{
    struct forward forward = {.name = "forward",
                              .protocols = FORWARD_TCP | FORWARD_UDP,
                              .listen = {port, port},
                              .target = {to},
                              .target_count = 1};

    forward.allow = allow;
    forward.allow_count = allow != NULL;
    must(policy_add_forward(policy, &forward));
}

static const struct policy *make_policy(int kind)
{
    struct policy *policy = policy_new();
    struct prefix allow = {ipv4(198, 51, 100, 0), 120};

    must(policy != NULL);
    policy_limits(policy)->sessions = kind == 1 ? 16 : 24; /* only a start changes the table */
    policy_limits(policy)->sessions_per_host = kind == 1 ? 4 : 16;
    if (kind != 1) {
        policy_limits(policy)->sessions_from_outside = 9;
        policy_limits(policy)->sessions_per_remote = 5;
        policy_limits(policy)->new_sessions_per_remote = 3;
    }
    add_share(policy, 0, 50000,
              kind == 1 ? FILTERING_ADDRESS_AND_PORT_DEPENDENT : FILTERING_ENDPOINT_INDEPENDENT);
    add_share(policy, 1, kind == 2 ? 50000 : 50008, FILTERING_ADDRESS_DEPENDENT);
    if (kind != 1)
        add_forward(policy, 80, (struct endpoint){ipv4(10, 0, 0, 80), 8080}, NULL);
    add_forward(policy, 81, (struct endpoint){ipv4(10, 9, 0, 9), 81}, kind == 2 ? &allow : NULL);
    add_forward(policy, 50001, (struct endpoint){ipv4(10, 0, 1, 1), 1000}, NULL);
    must(policy_seal(policy));
    return policy;
}

/* What it ends, packets and later steps find out. */
static void set_policy(int kind)
{
    nat_review(nat, now, 0, NULL); /* of what was set before */
    nat_set_policy(nat, policies[kind]);
}

static void set_addresses(unsigned count)
{
    struct address addresses[2] = {ipv4(203, 0, 113, 5), ipv4(203, 0, 113, 6)};

    nat_review(nat, now, 0, NULL); /* of what was set before */
    nat_set_external(nat, WAN, addresses, count);
}

static uint8_t *new_memory(uint32_t sessions)
{
    size_t length = nat_memory_needed(sessions);
    uint8_t *made = aligned_alloc(64, length); /* a multiple of 64 for these sizes */

    must(made != NULL);
    memset(made, 0, length);
    return made;
}

static void start(int kind)
{
    static const uint8_t secret[32] = "the same choices for every input";

    nat = nat_new(policies[kind], secret, memory, now);
    must(nat != NULL);
    must(nat_offload_init(nat, OFFLOAD_ENTRIES, 2));
    translated = 0;
    nat_set_external(nat, WAN, (struct address[]){ipv4(203, 0, 113, 5)}, 1);
}

static void set_up(void)
{
    if (policies[0] == NULL) {
        for (int kind = 0; kind < 3; kind++)
            policies[kind] = make_policy(kind);
    }
    nat_free(nat);
    free(memory);
    memory = new_memory(policy_limits_const(policies[0])->sessions);
    has_crashed = false;
    start(0);
}

/*
 * The kernel: orders about offloaded sessions are taken in one step and carried out, well or badly,
 * in a later one. What it has counted follows from the choice, and may go back.
 */
static struct offload_order orders[OFFLOAD_ENTRIES];
static size_t order_count;

static void carry_out(const struct offload_order *order, unsigned choice)
{
    struct offload_traffic traffic = {.packets = {choice, choice / 2},
                                      .bytes = {choice * UINT64_C(100000000), choice * 50}};
    const struct offload_traffic *told = choice % 5 == 0 ? NULL : &traffic;

    if (order->task == OFFLOAD_ADD)
        nat_offload_added(nat, order->entry, choice % 7 != 0);
    else if (order->task == OFFLOAD_ASK)
        nat_offload_answered(nat, order->entry, told, now);
    else
        nat_offload_removed(nat, order->entry, told, now);
}

static void kernel_step(unsigned choice)
{
    nat_offload_look(nat);
    nat_offload_let_enter(nat, now, (enum offload_moment)(choice % 3));
    for (size_t i = 0; i < order_count; i++)
        carry_out(&orders[i], choice + (unsigned)i);
    order_count = order_count > 0 ? 0 : nat_offload_take(nat, orders, 1 + choice % OFFLOAD_ENTRIES);
}

/* As new, but for the numbers that only grow. */
static void empty(void)
{
    set_policy(0);
    if (nat->external_count != 1)
        set_addresses(1);
    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        if (nat->table.session[slot].live == SLOT_LIVE)
            nat_kill(nat, slot, nat->table.session[slot].id, now);
    }
    for (int turn = 0; turn < 2; turn++) { /* leases end, then the rest of their ports */
        now += 2 * PORTS_HOLD_MS;
        nat_tick(nat, now, 0);
    }
    while (order_count > 0 || nat_offload_has_orders(nat))
        kernel_step(OFFLOAD_OVERFULL);
    must(nat->offload.used == 0 && nat->offload.unanswered == 0);
    must(nat->table.live == 0 && nat->table.mappings_live == 0 && nat->table.hosts_live == 0);
    nat->random.counter = 0;
}

/* What must hold. */

static void check_session(uint32_t slot)
{
    const struct session *session = &nat->table.session[slot];

    must(session->state < STATE_COUNT && (uint32_t)now - session->last_seen <= now);
    must((uint32_t)(session_last_seen(session, now) >> 6) - session->created <= now >> 6);
}

static void check_ages(void)
{
    uint32_t listed = 0, expected = 0;

    for (uint32_t slot = 0; slot < nat->table.capacity; slot++) {
        if (nat->table.session[slot].live != SLOT_LIVE)
            continue;
        check_session(slot);
        expected += session_age_list(&nat->table.session[slot]) != AGE_NONE;
    }
    for (int list = 0; list < AGE_LISTS; list++) {
        for (uint32_t slot = table_oldest(&nat->table, (enum age_list)list); slot != INDEX_NONE;
             listed++)
            slot = table_younger(&nat->table, slot);
    }
    must(listed == expected);
}

/* What a daemon asks itself, and what takes too long there. */
static void check_table(void)
{
    static uint64_t room[512];
    struct nat_check_report report;

    must(nat_check_memory(nat) <= sizeof(room));
    memset(room, 0, sizeof(room));
    must(nat_check_begin(nat, (struct nat_check *)room));
    while (nat_check_step(nat, UINT32_MAX)) {
    }
    nat_check_end(nat, &report);
    for (int name = 0; name < NAT_CHECK_COUNT; name++)
        must_hold(report.wrong[name] == 0, nat_check_name((enum nat_check_name)name), __LINE__);
    check_ages();
}

static uint64_t sum(const uint64_t *numbers, size_t count)
{
    uint64_t total = 0;

    while (count-- > 0)
        total += numbers[count];
    return total;
}

static uint32_t add_words(uint32_t total, const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        total += i % 2 == 0 ? at[i] * 256u : at[i];
    while (total > 0xffff)
        total = total % 65536 + total / 65536;
    return total;
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] * 256 + at[1]);
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value / 256);
    at[1] = (uint8_t)value;
}

static bool ip_is_right(const uint8_t *ip)
{
    return add_words(0, ip, (size_t)(ip[0] % 16) * 4) == 0xffff;
}

/* Of a packet that parses. */
static uint32_t l4_sum(const uint8_t *ip)
{
    size_t header = (size_t)(ip[0] % 16) * 4, length = get16(ip + 2) - header;
    const uint8_t *l4 = ip + header;

    if (ip[9] == PROTOCOL_UDP)
        length = get16(l4 + 4);
    if (ip[9] == PROTOCOL_ICMP)
        return add_words(0, l4, length);
    return add_words(add_words(ip[9] + (uint32_t)length, ip + 12, 8), l4, length);
}

static size_t l4_checksum_offset(const uint8_t *ip)
{
    size_t offset = ip[9] == PROTOCOL_TCP ? 16 : ip[9] == PROTOCOL_UDP ? 6 : 2;

    return (size_t)(ip[0] % 16) * 4 + offset;
}

static bool l4_is_right(const uint8_t *ip)
{
    return l4_sum(ip) == 0xffff ||
           (ip[9] == PROTOCOL_UDP && get16(ip + l4_checksum_offset(ip)) == 0);
}

static void check_rewritten(const struct packet *packet, const struct packet *sent)
{
    if (ip_is_right(before))
        must(ip_is_right(bytes));
    if (!sent->gso && (sent->checksum_missing || l4_is_right(before)))
        must(l4_is_right(bytes));
    must(sent->hook == HOOK_INBOUND || !packet->transit);
}

static bool is_external(const uint8_t *ip, size_t offset)
{
    struct address address = ipv4(ip[offset], ip[offset + 1], ip[offset + 2], ip[offset + 3]);

    for (size_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++) {
        if (nat->external_valid[i] && address_equal(&nat->external[i], &address))
            return true;
    }
    return false;
}

/*
 * No host of a share is seen with its own address: its packet leaves with an external one or not at
 * all.
 */
static void check_source(const struct packet *packet, const struct packet *sent)
{
    struct address source = ipv4(before[12], before[13], before[14], before[15]);

    if (sent->hook != HOOK_OUTBOUND || sent->out_interface != WAN || sent->transit ||
        is_external(before, 16) || policy_share_of(nat->policy, &source) == POLICY_NONE)
        return;
    must(packet->verdict == VERDICT_DROP ||
         (packet->verdict == VERDICT_REWRITTEN && is_external(bytes, 12)));
}

static void check_told(const struct packet *packet)
{
    static uint8_t message[ICMP_REFUSAL_MAX];
    size_t length;

    if (packet->verdict != VERDICT_DROP || !packet->send_refusal)
        return;
    length = icmp_write_refusal(packet, message);
    must(length >= 8 + 20 && length <= ICMP_REFUSAL_MAX);
    must(add_words(0, message, length) == 0xffff);
}

static void check_packet(const struct packet *packet, const struct packet *sent)
{
    const struct nat_counters *counters = &nat->counters;

    must(packet->data == bytes && packet->length == sent->length);
    must(memcmp(bytes + sent->length, before + sent->length, GUARD_LENGTH) == 0);
    must((packet->verdict == VERDICT_DROP) == (packet->reason != DROP_NONE));
    must(packet->reason < DROP_REASON_COUNT);
    if (packet->verdict == VERDICT_ACCEPT)
        must(memcmp(bytes, before, sent->length) == 0);
    if (packet->verdict == VERDICT_REWRITTEN)
        check_rewritten(packet, sent);
    if (sent->length >= 20)
        check_source(packet, sent);
    check_told(packet);
    must(counters->dropped[DROP_NONE] == 0);
    must(counters->packets[0] + counters->packets[1] + counters->unchanged +
             sum(counters->dropped, DROP_REASON_COUNT) ==
         translated);
}

/* The steps. */

/* Makes the checksums right that can be found; a quoted packet's first, for the error covers it. */
static void repair(const struct packet *packet)
{
    struct packet_view view;
    uint8_t *quoted;

    if (packet_parse(packet, &view) != DROP_NONE)
        return;
    quoted = view.l4 + 8;
    if (view.is_icmp_error && view.l4_length >= 8 + 20 && quoted[0] / 16 == 4 &&
        quoted[0] % 16 >= 5 && view.l4_length >= 8 + (size_t)(quoted[0] % 16) * 4) {
        put16(quoted + 10, 0);
        put16(quoted + 10, 0xffff - add_words(0, quoted, (size_t)(quoted[0] % 16) * 4));
    }
    put16(bytes + 10, 0);
    put16(bytes + 10, 0xffff - add_words(0, bytes, (size_t)(bytes[0] % 16) * 4));
    put16(bytes + l4_checksum_offset(bytes), 0);
    put16(bytes + l4_checksum_offset(bytes), 0xffff - l4_sum(bytes));
}

static void translate(struct packet *packet)
{
    struct packet sent;

    memset(bytes + packet->length, GUARD, GUARD_LENGTH);
    memcpy(before, bytes, packet->length + GUARD_LENGTH);
    sent = *packet;
    packet->verdict = VERDICT_ACCEPT;
    packet->reason = DROP_NONE;
    nat_translate_batch(nat, packet, 1, now);
    translated++;
    check_packet(packet, &sent);
    check_table();
}

static void send(uint8_t flags, uint8_t time, const uint8_t *data, size_t length)
{
    struct packet packet = {
        .data = bytes,
        .length = length,
        .hook = flags & HERE_OUTBOUND ? HOOK_OUTBOUND : HOOK_INBOUND,
        .in_interface = flags & HERE_FROM_LAN ? LAN : WAN,
        .out_interface = flags & HERE_TO_LAN ? LAN : WAN,
        .transit = flags & HERE_MARKED,
        .checksum_missing = flags & HERE_NO_CHECKSUM,
        .gso = flags & HERE_GSO,
        .truncated = time & TRUNCATED,
    };

    memcpy(bytes, data, length);
    if (time & REPAIR)
        repair(&packet);
    translate(&packet);
    if (packet.verdict == VERDICT_REWRITTEN && packet.hook == HOOK_INBOUND && packet.transit) {
        packet.hook = HOOK_OUTBOUND;
        packet.out_interface = LAN;
        packet.checksum_missing = false;
        translate(&packet);
    }
}

/* A lease, or the end of one; none lasts longer than `empty` waits. */
static void lease(uint8_t choice)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};
    const struct endpoint internal = {ipv4(10, 0, 0, (uint8_t)(1 + choice % 4)), 1000};
    uint8_t protocol = protocols[choice % 3];
    struct endpoint external;

    if (choice % 5 == 0)
        nat_end_lease(nat, protocol, &internal, now);
    else if (nat_lease(nat, protocol, &internal, now + choice * UINT64_C(1000), now, &external) ==
             DROP_NONE)
        must(external.port != 0);
}

static void control(uint8_t kind)
{
    uint32_t slot = kind / 8;

    if (kind % 8 < 3)
        set_policy(kind % 8);
    else if (kind % 8 < 6)
        set_addresses(kind % 8 - 3);
    else if (kind % 8 == 7 && slot % 2 == 0)
        nat_review(nat, now, 1 + slot, NULL);
    else if (kind % 8 == 7)
        kernel_step(slot);
    else if (slot < nat->table.capacity && nat->table.session[slot].live == SLOT_LIVE)
        nat_kill(nat, slot, nat->table.session[slot].id, now);
    else
        lease((uint8_t)slot);
    check_table();
}

/* Whoever writes into the file may also know how a slot is sealed. */
static void seal_all(uint32_t sessions)
{
    struct session *session = (struct session *)(void *)memory;
    struct lease *lease = (struct lease *)(void *)(session + sessions);

    for (uint32_t i = 0; i < sessions; i++)
        table_seal(&session[i]);
    for (uint32_t i = 0; i < table_leases(sessions); i++)
        lease_seal(&lease[i]);
}

#define CRASH_SEALS 4 /* a bit of its choice */

/*
 * The process is gone, its memory is not, and anything may have been written there. The next run
 * may have another policy and another size of the table.
 */
static void crash(uint8_t choice, const uint8_t *changes, size_t length)
{
    uint32_t before_crash = nat->table.capacity, refused, adopted;
    size_t room = nat_memory_needed(before_crash);
    int kind = choice % 3;

    for (; length >= 3; changes += 3, length -= 3)
        memory[(changes[0] | (size_t)changes[1] << 8) % room] = changes[2];
    if (choice & CRASH_SEALS)
        seal_all(before_crash);
    if (policy_limits_const(policies[kind])->sessions != before_crash) {
        uint32_t after = policy_limits_const(policies[kind])->sessions;
        uint8_t *next = new_memory(after);

        must(nat_carry(memory, before_crash, next, after) <= before_crash);
        free(memory);
        memory = next;
    }
    nat_free(nat);
    order_count = 0;
    has_crashed = true;
    start(kind);
    adopted = nat_adopt(nat, now, &refused);
    must(adopted == nat->table.live && adopted + refused <= nat->table.capacity);
    check_table();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (nat == NULL || has_crashed)
        set_up();
    empty();
    for (int step = 0; step < STEPS_MAX && size >= 4; step++) {
        bool crashes = (data[0] & HERE_CONTROL) != 0 && (data[0] & HERE_OUTBOUND) != 0;
        size_t length = data[0] & HERE_CONTROL ? (size_t)(crashes ? data[3] * 3 : 0)
                                               : (size_t)(data[2] | data[3] << 8);
        unsigned wait = data[1] & TIME_BITS;

        if (length > size - 4)
            length = size - 4;
        now += (UINT64_C(1) << (wait < TIME_MAX ? wait : TIME_MAX)) - 1;
        nat_tick(nat, now, 0);
        if (crashes)
            crash(data[2], data + 4, length);
        else if (data[0] & HERE_CONTROL)
            control(data[2]);
        else
            send(data[0], data[1], data + 4, length);
        data += 4 + length;
        size -= 4 + length;
    }
    return 0;
}
