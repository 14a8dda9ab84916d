/*
 * test_filter.c - FILTER words: what they match, what is refused, and how
 */
#include "support_run.h"

#include "portreeve/filter.h"
#include "portreeve/text.h"

#include <stdio.h>
#include <string.h>

static struct session_view outbound, inbound, hairpin, ping;

static struct endpoint at(const char *text)
{
    struct endpoint endpoint;

    ck_assert_msg(text_parse_endpoint(text, &endpoint), "%s", text);
    return endpoint;
}

static void set_up(void)
{
    outbound = (struct session_view){.id = 1,
                                     .protocol = PROTOCOL_TCP,
                                     .state = STATE_ESTABLISHED,
                                     .direction = DIRECTION_OUTBOUND,
                                     .internal = at("10.0.0.7:40000"),
                                     .external = at("203.0.113.5:50001"),
                                     .remote = at("198.51.100.80:443"),
                                     .share = "lab"};
    inbound = (struct session_view){.id = 18446744073709551615u,
                                    .protocol = PROTOCOL_TCP,
                                    .state = STATE_ANSWERED_SYN,
                                    .direction = DIRECTION_INBOUND,
                                    .internal = at("10.0.0.22:22"),
                                    .external = at("203.0.113.5:2222"),
                                    .remote = at("198.51.100.22:60022"),
                                    .outcome = OUTCOME_RESET_BY_RESPONDER,
                                    .forward = "bastion-ssh"};
    hairpin = (struct session_view){.id = 3,
                                    .protocol = PROTOCOL_UDP,
                                    .state = STATE_ANSWERED,
                                    .direction = DIRECTION_HAIRPIN,
                                    .internal = at("10.0.0.7:5000"),
                                    .external = at("203.0.113.5:50002"),
                                    .remote = at("203.0.113.5:53"),
                                    .peer = at("10.0.0.53:5353"),
                                    .share = "lab",
                                    .forward = "dns"};
    ping = (struct session_view){.id = 4,
                                 .protocol = PROTOCOL_ICMP,
                                 .state = STATE_UNANSWERED,
                                 .direction = DIRECTION_OUTBOUND,
                                 .internal = at("10.0.0.8:77"),
                                 .external = at("203.0.113.5:443"),
                                 .remote = at("198.51.100.99:1"),
                                 .share = "lab"};
    ping.remote.port = 0;
}

/*
 * Which of the four sessions the words (separated by blanks) match: bit 0 is outbound, and so on.
 */
static unsigned matches(const char *words)
{
    const struct session_view *sessions[] = {&outbound, &inbound, &hairpin, &ping};
    char copy[512], *rest = copy;
    struct filter filter;
    unsigned found = 0;

    filter_init(&filter);
    ck_assert_uint_lt(strlen(words), sizeof(copy));
    strcpy(copy, words);
    for (char *word = strtok_r(rest, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        struct error error = {0};

        ck_assert_msg(filter_add(&filter, word, &error), "%s: %s", word, error.text);
    }
    for (unsigned i = 0; i < 4; i++)
        found |= (unsigned)filter_matches(&filter, sessions[i]) << i;
    return found;
}

enum { OUTBOUND = 1, INBOUND = 2, HAIRPIN = 4, PING = 8, ALL = 15 };

static const struct {
    const char *words;
    unsigned found;
} good[] = {
    {"", ALL},
    {"tcp", OUTBOUND | INBOUND},
    {"udp", HAIRPIN},
    {"icmp", PING},
    {"tcp udp", 0},
    /* any endpoint */
    {"10.0.0.7", OUTBOUND | HAIRPIN},
    {"10.0.0.0/24", ALL},
    {"10.0.0.0/29", OUTBOUND | HAIRPIN},
    {"203.0.113.5", ALL},
    {"198.51.100.80", OUTBOUND},
    {"0.0.0.0/0", ALL},
    {"::/0", ALL},
    {"2001:db8::1", 0},
    {"::1", 0},
    {"10.0.0.53", HAIRPIN},
    {":443", OUTBOUND | PING},
    {":60022", INBOUND},
    {":5353", HAIRPIN},
    {":77", PING},
    {"10.0.0.7:40000", OUTBOUND},
    {"10.0.0.7:40001", 0},
    {"[::ffff:10.0.0.7]:40000", OUTBOUND},
    /* services are of TCP and UDP; an ICMP id is none */
    {":https", OUTBOUND},
    {":domain", HAIRPIN},
    {":ssh", INBOUND},
    /* one endpoint */
    {"internal=10.0.0.7", OUTBOUND | HAIRPIN},
    {"internal=10.0.0.53", HAIRPIN},
    {"internal=198.51.100.0/24", 0},
    {"external=203.0.113.5", ALL},
    {"external=203.0.113.5:2222", INBOUND},
    {"external=:443", PING},
    {"remote=:443", OUTBOUND},
    {"remote=:https", OUTBOUND},
    {"remote=198.51.100.0/24", OUTBOUND | INBOUND | PING},
    {"remote=10.0.0.53", 0},
    {"remote=203.0.113.5", HAIRPIN},
    /* the rest */
    {"state=established", OUTBOUND},
    {"state=opening", INBOUND},
    {"state=answered", HAIRPIN},
    {"state=unanswered", PING},
    {"state=closing", 0},
    {"outcome=reset", INBOUND},
    {"outcome=refused", 0},
    {"direction=outbound", OUTBOUND | PING},
    {"direction=inbound", INBOUND},
    {"direction=hairpin", HAIRPIN},
    {"share=lab", OUTBOUND | HAIRPIN | PING},
    {"share=la", 0},
    {"share=LAB", 0},
    {"forward=bastion-ssh", INBOUND},
    {"forward=dns", HAIRPIN},
    {"id=1", OUTBOUND},
    {"id=18446744073709551615", INBOUND},
    {"offloaded", 0},
    /* all must hold */
    {"tcp 10.0.0.7 :443 state=established share=lab", OUTBOUND},
    {"tcp 10.0.0.7 :443 state=established share=lab id=2", 0},
};

START_TEST(matches_what_is_meant)
{
    ck_assert_msg(matches(good[_i].words) == good[_i].found, "'%s' matches %u, not %u",
                  good[_i].words, matches(good[_i].words), good[_i].found);
}
END_TEST

/* A word, and what the sentence about it must contain besides the word itself. */
static const struct {
    const char *word, *says;
} bad[] = {
    {"sate=established", "did you mean 'state='"},
    {"sahre=lab", "did you mean 'share='"},
    {"foo=bar", "expected internal="},
    {"=", "expected internal="},
    {"state=open", "expected unanswered"},
    {"state=", "expected unanswered"},
    {"state=Established", "expected unanswered"},
    {"outcome=ok", "expected closed, refused, reset or unreachable"},
    {"outcome=", "expected closed"},
    {"direction=out", "expected outbound"},
    {"tpc", "did you mean 'tcp'"},
    {"TCP", "expected tcp"},
    {"offload", "did you mean 'offloaded'"},
    {"hello", "expected tcp"},
    {"", "expected tcp"},
    {" tcp", "tcp"},
    {"10.0.0.7/24", "host bits"},
    {"10.0.0.0/33", "not a prefix"},
    {"10.0.0", "expected an address"},
    {"10.0.0.07", "expected an address"},
    {"010.0.0.7", "expected an address"},
    {"10.0.0.7:", "expected an address"},
    {"10.0.0.7:0", "expected an address"},
    {"10.0.0.7:65536", "expected an address"},
    {":", "not a port"},
    {":0", "not a port"},
    {":65536", "not a port"},
    {":99999999999999999999", "not a port"},
    {":+443", "not a port"},
    {":0443", "not a port"},
    {":no-such-service", "not a port"},
    {"internal=", "expected an address"},
    {"internal=lab", "expected an address"},
    {"internal=10.0.0.7/8", "host bits"},
    {"remote=:", "not a port"},
    {"share=", "not a name"},
    {"share=a b", "not a name"},
    {"share=-x", "not a name"},
    {"forward=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234", "not a name"},
    {"id=", "expected a number"},
    {"id=0", "expected a number"},
    {"id=-1", "expected a number"},
    {"id=1x", "expected a number"},
    {"id=18446744073709551616", "expected a number"},
};

START_TEST(refuses_what_is_not_a_word)
{
    struct error error = {0};
    struct filter filter;
    char quoted[80];

    filter_init(&filter);
    ck_assert_msg(!filter_add(&filter, bad[_i].word, &error), "'%s' was taken", bad[_i].word);
    ck_assert_uint_eq(filter.count, 0);
    ck_assert_msg(strstr(error.text, bad[_i].says) != NULL, "'%s': %s", bad[_i].word, error.text);
    snprintf(quoted, sizeof(quoted), "'%.40s", bad[_i].word);
    ck_assert_msg(strstr(error.text, quoted) != NULL, "'%s': %s", bad[_i].word, error.text);
}
END_TEST

START_TEST(a_refusal_is_fit_for_a_terminal)
{
    struct error error = {0};
    struct filter filter;
    char word[5000];

    filter_init(&filter);
    ck_assert(!filter_add(&filter, "\033[31mx\n\xc2\x9b\xff", &error));
    for (const char *at = error.text; *at != '\0'; at++)
        ck_assert_int_ge((unsigned char)*at, 0x20);
    ck_assert_ptr_null(strchr(error.text, '\xff'));
    memset(word, 'x', sizeof(word));
    word[sizeof(word) - 1] = '\0';
    ck_assert(!filter_add(&filter, word, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "expected"));
    word[0] = ':';
    ck_assert(!filter_add(&filter, word, &error));
    memcpy(word, "share=", 6);
    ck_assert(!filter_add(&filter, word, &error));
}
END_TEST

START_TEST(takes_a_bounded_number_of_words)
{
    struct error error = {0};
    struct filter filter;

    filter_init(&filter);
    for (int i = 0; i < FILTER_WORDS_MAX; i++)
        ck_assert(filter_add(&filter, "tcp", &error));
    ck_assert(!filter_add(&filter, "tcp", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "at most"));
    ck_assert(filter_matches(&filter, &outbound));
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {matches_what_is_meant, sizeof(good) / sizeof(good[0])},
        {refuses_what_is_not_a_word, sizeof(bad) / sizeof(bad[0])},
        {a_refusal_is_fit_for_a_terminal, 1},
        {takes_a_bounded_number_of_words, 1},
    };

    return RUN_REPEATED_TESTS("filter", set_up, NULL, tests);
}
