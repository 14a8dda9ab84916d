/*
 * test_tcp.c - the states of TCP sessions (RFC 7857 section 2, RFC 5382)
 */
#include "portreeve/packet.h"
#include "support.h"
#include "tcp.h"

#include <string.h>

enum {
    SYN = TCP_SYN,
    SYN_ACK = TCP_SYN | TCP_ACK,
    ACK = TCP_ACK,
    FIN = TCP_FIN | TCP_ACK,
    RST = TCP_RST,
};

/* One packet of a conversation: who sends what. */
struct step {
    enum role from;
    uint8_t flags;
};

#define INITIATOR(flags) ((struct step){ROLE_INITIATOR, flags})
#define RESPONDER(flags) ((struct step){ROLE_RESPONDER, flags})

/* The state after these packets; the first one is the SYN that opened the session. */
static enum session_state after(const struct step *steps, size_t count)
{
    enum session_state state = STATE_OPENING;

    for (size_t i = 0; i < count; i++)
        state = tcp_next_state(state, steps[i].flags, steps[i].from);
    return state;
}
#define AFTER(...)                                                                                 \
    after((const struct step[]){__VA_ARGS__},                                                      \
          sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

START_TEST(only_a_syn_without_ack_rst_fin_may_open)
{
    for (unsigned flags = 0; flags < 256; flags++) {
        bool syn = flags & 2, ack = flags & 16, rst = flags & 4, fin = flags & 1;

        ck_assert(tcp_may_open((uint8_t)flags) == (syn && !ack && !rst && !fin));
    }
}
END_TEST

START_TEST(a_three_way_handshake_establishes)
{
    ck_assert_int_eq(AFTER(INITIATOR(SYN)), STATE_OPENING);
    ck_assert_int_eq(AFTER(INITIATOR(SYN), RESPONDER(SYN_ACK)), STATE_ANSWERED_SYN);
    ck_assert_int_eq(AFTER(INITIATOR(SYN), RESPONDER(SYN_ACK), INITIATOR(ACK)), STATE_ESTABLISHED);
}
END_TEST

START_TEST(lost_and_repeated_handshake_packets_do_no_harm)
{
    ck_assert_int_eq(AFTER(INITIATOR(SYN), INITIATOR(SYN), RESPONDER(SYN_ACK), RESPONDER(SYN_ACK),
                           INITIATOR(SYN), INITIATOR(ACK)),
                     STATE_ESTABLISHED);
}
END_TEST

START_TEST(rfc5382_req2_simultaneous_open_establishes)
{
    /* Both SYNs cross; each side answers the other's with a SYN-ACK (RFC 793 figure 8). */
    ck_assert_int_eq(AFTER(INITIATOR(SYN), RESPONDER(SYN), INITIATOR(SYN_ACK)), STATE_ESTABLISHED);
    ck_assert_int_eq(AFTER(INITIATOR(SYN), RESPONDER(SYN), RESPONDER(SYN_ACK), INITIATOR(SYN_ACK)),
                     STATE_ESTABLISHED);
}
END_TEST

/*
 * With a forged source nobody sees the responder's SYN-ACK; nothing sent by the initiator alone may
 * establish.
 */
START_TEST(an_initiator_alone_never_establishes)
{
    static const uint8_t kinds[] = {
        SYN, SYN_ACK, ACK, FIN, RST, TCP_RST | TCP_ACK, TCP_PSH | TCP_ACK, 0, 0xff};
    const size_t many = sizeof(kinds);

    for (size_t i = 0; i < many * many * many * many; i++) {
        enum session_state state = tcp_next_state(STATE_OPENING, SYN, ROLE_INITIATOR);
        size_t choice = i;

        for (int packet = 0; packet < 4; packet++, choice /= many) {
            state = tcp_next_state(state, kinds[choice % many], ROLE_INITIATOR);
            ck_assert(state < STATE_ESTABLISHED || state > STATE_CLOSING_BY_RESPONDER);
        }
    }
}
END_TEST

/* The same where the target refuses: its RST is not a SYN. */
START_TEST(a_refused_connection_never_establishes)
{
    enum session_state state = AFTER(INITIATOR(SYN), RESPONDER(TCP_RST | TCP_ACK));

    ck_assert(state == STATE_RESET || state == STATE_CLOSED);
    state = AFTER(INITIATOR(SYN), RESPONDER(TCP_RST | TCP_ACK), INITIATOR(ACK), INITIATOR(ACK));
    ck_assert(state != STATE_ESTABLISHED);
}
END_TEST

START_TEST(a_half_closed_connection_is_not_closed)
{
    enum session_state state =
        AFTER(INITIATOR(SYN), RESPONDER(SYN_ACK), INITIATOR(ACK), INITIATOR(FIN));

    ck_assert_int_eq(state, STATE_CLOSING_BY_INITIATOR);
    ck_assert_int_eq(tcp_next_state(state, ACK, ROLE_RESPONDER), STATE_CLOSING_BY_INITIATOR);
    ck_assert_int_eq(tcp_next_state(state, FIN, ROLE_INITIATOR), STATE_CLOSING_BY_INITIATOR);
    ck_assert_int_eq(tcp_next_state(state, FIN, ROLE_RESPONDER), STATE_CLOSED);
    state = tcp_next_state(STATE_ESTABLISHED, FIN, ROLE_RESPONDER);
    ck_assert_int_eq(state, STATE_CLOSING_BY_RESPONDER);
    ck_assert_int_eq(tcp_next_state(state, FIN, ROLE_RESPONDER), STATE_CLOSING_BY_RESPONDER);
    ck_assert_int_eq(tcp_next_state(state, FIN, ROLE_INITIATOR), STATE_CLOSED);
}
END_TEST

START_TEST(an_ack_with_fin_finishes_the_handshake_and_closes)
{
    ck_assert_int_eq(tcp_next_state(STATE_ANSWERED_SYN, FIN, ROLE_INITIATOR),
                     STATE_CLOSING_BY_INITIATOR);
}
END_TEST

START_TEST(a_closed_connection_stays_closed)
{
    static const uint8_t late[] = {ACK, FIN, SYN_ACK, TCP_PSH | TCP_ACK};

    for (size_t i = 0; i < sizeof(late); i++) {
        ck_assert_int_eq(tcp_next_state(STATE_CLOSED, late[i], ROLE_INITIATOR), STATE_CLOSED);
        ck_assert_int_eq(tcp_next_state(STATE_CLOSED, late[i], ROLE_RESPONDER), STATE_CLOSED);
    }
}
END_TEST

START_TEST(the_initiators_syn_opens_a_closed_connection_again)
{
    ck_assert_int_eq(tcp_next_state(STATE_CLOSED, SYN, ROLE_INITIATOR), STATE_OPENING);
    ck_assert_int_eq(tcp_next_state(STATE_RESET, SYN, ROLE_INITIATOR), STATE_OPENING);
    ck_assert_int_eq(tcp_next_state(STATE_CLOSED, SYN, ROLE_RESPONDER), STATE_CLOSED);
}
END_TEST

START_TEST(rfc7857_2_2_a_side_that_sends_on_after_an_rst_was_not_reset)
{
    static const enum session_state open[] = {STATE_ESTABLISHED, STATE_CLOSING_BY_INITIATOR,
                                              STATE_CLOSING_BY_RESPONDER};

    for (size_t i = 0; i < 3; i++) {
        for (int from = 0; from < 2; from++) {
            ck_assert_int_eq(tcp_next_state(open[i], RST, (enum role)from), STATE_RESET);
            ck_assert_int_eq(tcp_next_state(open[i], TCP_RST | TCP_ACK, (enum role)from),
                             STATE_RESET);
        }
    }
    ck_assert_int_eq(tcp_next_state(STATE_RESET, RST, ROLE_RESPONDER), STATE_RESET);
    ck_assert_int_eq(tcp_next_state(STATE_RESET, ACK, ROLE_INITIATOR), STATE_ESTABLISHED);
    ck_assert_int_eq(tcp_next_state(STATE_RESET, ACK, ROLE_RESPONDER), STATE_ESTABLISHED);
}
END_TEST

START_TEST(every_packet_leads_to_a_tcp_state)
{
    for (int state = STATE_OPENING; state < STATE_COUNT; state++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            for (int from = 0; from < 2; from++) {
                enum session_state next =
                    tcp_next_state((enum session_state)state, (uint8_t)flags, (enum role)from);

                ck_assert(next >= STATE_OPENING && next < STATE_COUNT);
                if (flags & TCP_RST)
                    ck_assert(next == STATE_RESET || next == STATE_CLOSED);
            }
        }
    }
}
END_TEST

/* A connection: 5000 asks 9000; windows of 100 and, shifted by 2, of 200. */
static struct tcp_track connected(void)
{
    static const struct tcp_segment initiator[] = {
        {.sequence = 5000, .window = 100, .flags = TCP_SYN},
        {.sequence = 5001, .acknowledgement = 9001, .window = 100, .flags = TCP_ACK},
    };
    static const struct tcp_segment responder[] = {
        {.sequence = 9000,
         .acknowledgement = 5001,
         .window = 500,
         .flags = TCP_SYN | TCP_ACK,
         .scale = 2},
        {.sequence = 9001, .acknowledgement = 5001, .window = 200, .flags = TCP_ACK},
    };
    struct tcp_track track = {0};

    tcp_observe(&track, &initiator[0], ROLE_INITIATOR);
    tcp_observe(&track, &responder[0], ROLE_RESPONDER);
    /*
     * Window scaling needs both sides' consent (RFC 7323 section 2.2): the initiator offers none
     * here.
     */
    tcp_observe(&track, &initiator[1], ROLE_INITIATOR);
    tcp_observe(&track, &responder[1], ROLE_RESPONDER);
    return track;
}

static bool believed(const struct tcp_track *track, enum role from, uint32_t sequence)
{
    const struct tcp_segment reset = {.sequence = sequence, .flags = TCP_RST};

    return tcp_reset_is_plausible(track, STATE_ESTABLISHED, &reset, from);
}

/* An acknowledgement and a window, from the initiator. */
static void acknowledge(struct tcp_track *track, uint32_t acknowledgement, uint16_t window)
{
    const struct tcp_segment segment = {
        .acknowledgement = acknowledgement, .window = window, .flags = TCP_ACK};

    tcp_observe(track, &segment, ROLE_INITIATOR);
}

START_TEST(rfc7857_2_2_only_an_rst_within_the_window_is_believed)
{
    struct tcp_track track = connected();

    ck_assert(believed(&track, ROLE_RESPONDER, 9001) && believed(&track, ROLE_RESPONDER, 9100));
    ck_assert(!believed(&track, ROLE_RESPONDER, 9000) && !believed(&track, ROLE_RESPONDER, 9101));
    ck_assert(believed(&track, ROLE_INITIATOR, 5001) && believed(&track, ROLE_INITIATOR, 5200));
    ck_assert(!believed(&track, ROLE_INITIATOR, 5000) && !believed(&track, ROLE_INITIATOR, 6000));
}
END_TEST

START_TEST(what_is_wanted_moves_with_the_acknowledgements)
{
    struct tcp_track track = connected();

    acknowledge(&track, 9500, 10);
    acknowledge(&track, 9400, 60000); /* late */
    ck_assert(believed(&track, ROLE_RESPONDER, 9500) && believed(&track, ROLE_RESPONDER, 9509));
    ck_assert(!believed(&track, ROLE_RESPONDER, 9499) && !believed(&track, ROLE_RESPONDER, 9510));
}
END_TEST

START_TEST(sequence_numbers_wrap)
{
    struct tcp_track track = {0};

    acknowledge(&track, 0xfffffff0, 100);
    ck_assert(believed(&track, ROLE_RESPONDER, 0xfffffff0) && believed(&track, ROLE_RESPONDER, 83));
    ck_assert(!believed(&track, ROLE_RESPONDER, 84) &&
              !believed(&track, ROLE_RESPONDER, 0xffffffef));
    acknowledge(&track, 16, 100);
    ck_assert(believed(&track, ROLE_RESPONDER, 16) &&
              !believed(&track, ROLE_RESPONDER, 0xfffffff0));
}
END_TEST

START_TEST(where_nothing_is_known_every_rst_is_believed)
{
    struct tcp_track track = {0};

    ck_assert(believed(&track, ROLE_RESPONDER, 12345) && believed(&track, ROLE_INITIATOR, 12345));
}
END_TEST

/* RFC 9293 section 3.5.2: it has no number of its own, but acknowledges the SYN. */
START_TEST(a_refusal_is_believed_if_it_acknowledges_the_syn)
{
    static const struct tcp_segment syn = {.sequence = 5000, .window = 100, .flags = TCP_SYN};
    struct tcp_segment refusal = {.acknowledgement = 5001, .flags = TCP_RST | TCP_ACK};
    struct tcp_track track = {0};

    tcp_observe(&track, &syn, ROLE_INITIATOR);
    ck_assert(tcp_reset_is_plausible(&track, STATE_OPENING, &refusal, ROLE_RESPONDER));
    refusal.acknowledgement = 5002;
    ck_assert(!tcp_reset_is_plausible(&track, STATE_OPENING, &refusal, ROLE_RESPONDER));
}
END_TEST

START_TEST(rfc5382_req5_established_lives_longer_than_transitory)
{
    struct policy *policy = policy_new();
    const struct timeouts *defaults = policy_timeouts_const(policy);

    for (int state = STATE_OPENING; state < STATE_COUNT; state++) {
        bool established = state >= STATE_ESTABLISHED && state <= STATE_CLOSING_BY_RESPONDER;

        ck_assert_uint_eq(session_timeout(defaults, PROTOCOL_TCP, 80, (enum session_state)state),
                          established ? 7440 : 240);
    }
    policy_free(policy);
}
END_TEST

START_TEST(rfc4787_req5_and_rfc5508_req2_default_timeouts)
{
    struct policy *policy = policy_new();
    const struct timeouts *defaults = policy_timeouts_const(policy);

    for (int state = STATE_UNANSWERED; state <= STATE_ANSWERED; state++) {
        ck_assert_uint_eq(session_timeout(defaults, PROTOCOL_UDP, 53, (enum session_state)state),
                          300);
        ck_assert_uint_eq(session_timeout(defaults, PROTOCOL_ICMP, 0, (enum session_state)state),
                          60);
    }
    policy_free(policy);
}
END_TEST

START_TEST(every_state_has_a_name_and_users_see_few)
{
    for (int state = 0; state < STATE_COUNT; state++)
        ck_assert_uint_gt(strlen(session_state_name((enum session_state)state)), 0);
    ck_assert_str_eq(session_state_name(STATE_OPENING), "opening");
    ck_assert_str_eq(session_state_name(STATE_ANSWERED_SYN), "opening");
    ck_assert_str_eq(session_state_name(STATE_ESTABLISHED), "established");
    ck_assert_str_eq(session_state_name(STATE_CLOSING_BY_INITIATOR), "closing");
    ck_assert_str_eq(session_state_name(STATE_CLOSING_BY_RESPONDER), "closing");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        only_a_syn_without_ack_rst_fin_may_open,
        a_three_way_handshake_establishes,
        lost_and_repeated_handshake_packets_do_no_harm,
        rfc5382_req2_simultaneous_open_establishes,
        an_initiator_alone_never_establishes,
        a_refused_connection_never_establishes,
        a_half_closed_connection_is_not_closed,
        an_ack_with_fin_finishes_the_handshake_and_closes,
        a_closed_connection_stays_closed,
        the_initiators_syn_opens_a_closed_connection_again,
        rfc7857_2_2_a_side_that_sends_on_after_an_rst_was_not_reset,
        every_packet_leads_to_a_tcp_state,
        rfc7857_2_2_only_an_rst_within_the_window_is_believed,
        what_is_wanted_moves_with_the_acknowledgements,
        sequence_numbers_wrap,
        where_nothing_is_known_every_rst_is_believed,
        a_refusal_is_believed_if_it_acknowledges_the_syn,
        rfc5382_req5_established_lives_longer_than_transitory,
        rfc4787_req5_and_rfc5508_req2_default_timeouts,
        every_state_has_a_name_and_users_see_few,
    };

    return RUN_TESTS("tcp", tests);
}
