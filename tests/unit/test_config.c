/*
 * test_config.c - what the configuration means, and forwards at run time
 */
#include "support_config.h"

#include "portreeve/text.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct forward *forward(size_t index)
{
    ck_assert_uint_lt(index, policy_forward_count(loaded.policy));
    return policy_forward(loaded.policy, index);
}

static void assert_endpoint(const struct endpoint *endpoint, const char *expected)
{
    char text[ENDPOINT_TEXT_MAX];

    ck_assert_str_eq(text_format_endpoint(endpoint, text), expected);
}

static void assert_prefix(const struct prefix *prefix, const char *expected)
{
    char text[PREFIX_TEXT_MAX];

    ck_assert_str_eq(text_format_prefix(prefix, text), expected);
}

/* ---- what is good ---- */

START_TEST(two_sections_are_enough_and_the_rest_has_defaults)
{
    const struct share *share;

    config_must_load(MINIMAL);
    ck_assert_uint_eq(loaded.external_count, 1);
    ck_assert_str_eq(loaded.external[0], "wan0");
    ck_assert_uint_eq(loaded.external_address_count, 0);
    ck_assert_uint_eq(loaded.untranslated_count, 0);
    ck_assert_uint_eq(loaded.hairpin_mark, 0x10000000);
    ck_assert_uint_eq(loaded.workers, 0);
    ck_assert_uint_eq(loaded.queue, 0);
    ck_assert_int_eq(loaded.offload, OFFLOAD_AUTO);
    ck_assert_str_eq(loaded.control_socket, "/run/portreeve/control.sock");
    ck_assert_str_eq(loaded.control_group, "portreeve");
    ck_assert_str_eq(loaded.state_directory, "/run/portreeve");
    ck_assert_str_eq(loaded.lasting_directory, "/var/lib/portreeve");
    ck_assert_int_eq(loaded.log.level, LOG_LEVEL_INFO);
    ck_assert_int_eq(loaded.log.target, LOG_TARGET_AUTO);
    ck_assert_uint_eq(policy_share_count(loaded.policy), 1);
    share = policy_share(loaded.policy, 0);
    ck_assert_str_eq(share->name, "lab");
    ck_assert_int_eq(share->filtering, FILTERING_ADDRESS_DEPENDENT);
    ck_assert_uint_eq(share->ports_count, 1);
    ck_assert_uint_eq(share->ports[0].first, 10000);
    ck_assert_uint_eq(share->ports[0].last, 29999);
    ck_assert_uint_eq(share->filtering_of[PROTOCOL_INDEX_TCP], 0);
    ck_assert_uint_eq(share->filtering_of[PROTOCOL_INDEX_UDP], 0);
    ck_assert(!share->never_overload);
    ck_assert(!share->keep_parity);
    ck_assert(!share->open);
    ck_assert(!share->soft_pairing);
    ck_assert(!share->no_inbound_refresh);
    ck_assert_uint_eq(share->exempt_count, 0);
    ck_assert_uint_eq(policy_limits(loaded.policy)->new_sessions_per_host, 0);
    ck_assert_uint_eq(policy_limits(loaded.policy)->mappings_per_host, 0);
    ck_assert(policy_limits(loaded.policy)->mappings_auto);
    ck_assert(policy_seal(loaded.policy));
    config_free(&loaded);
}
END_TEST

START_TEST(every_key_is_understood)
{
    const struct share *lab;
    const struct forward *ssh;

    config_must_load(
        "# the whole grammar\n"
        "[gateway]\n"
        "external = wan0                     ; interface\n"
        "external-address = 203.0.113.5, 203.0.113.6\n"
        "untranslated = tun0, wg0\n"
        "hairpin-mark = 0x40\n"
        "[share lab]\n"
        "source    = 10.0.0.0/24, 10.1.0.0/16\n"
        "ports     = 49152-60000, 61000\n"
        "filtering = endpoint-independent\n"
        "filtering-tcp = address-and-port-dependent\n"
        "filtering-udp = address-dependent\n"
        "overload = never\n"
        "parity = on\n"
        "pairing = soft\n"
        "inbound-refresh = off\n"
        "exempt = 192.0.2.0/24, 198.51.100.7\n"
        "closed = off\n"
        "[forward bastion-ssh]\n"
        "listen  = 2222/tcp\n"
        "to      = 10.0.0.22:22\n"
        "allow   = 198.51.100.0/24, 203.0.113.77\n"
        "owner   = netops\n"
        "note    = bastion, ticket NET-42 #1\n"
        "expires = 9999-12-31T18:00:00Z\n"
        "[timeouts]\nudp = 6m\ntcp-established = 3h\ntcp-transitory = 5m\nicmp = 61s\n"
        "port-hold = 3m\naddress-hold = 11s\nstop-hold = 5s\n"
        "udp:ntp = 20s\nudp:53 = 10s\ntcp:22 = 1d\n"
        "[limits]\nsessions = 2048\nsessions-per-host = 100\nnew-sessions-per-host = 50\n"
        "[performance]\nworkers = 3\noffload = off\nqueue = 7\n"
        "[control]\nsocket = /tmp/c.sock\ngroup =\n"
        "[state]\ndirectory = /tmp/state\n"
        "[log]\nlevel = debug\ntarget = syslog\n");
    ck_assert_uint_eq(config_warning_count, 0);
    ck_assert_uint_eq(loaded.external_address_count, 2);
    ck_assert_uint_eq(address_to_ipv4(&loaded.external_address[1]), 0xcb007106);
    ck_assert_uint_eq(loaded.untranslated_count, 2);
    ck_assert_str_eq(loaded.untranslated[1], "wg0");
    ck_assert_uint_eq(loaded.hairpin_mark, 0x40);
    lab = policy_share(loaded.policy, 0);
    ck_assert_uint_eq(lab->source_count, 2);
    assert_prefix(&lab->source[1], "10.1.0.0/16");
    ck_assert_uint_eq(lab->ports_count, 2);
    ck_assert_int_eq(lab->filtering, FILTERING_ENDPOINT_INDEPENDENT);
    ck_assert_int_eq(share_filtering(lab, PROTOCOL_TCP), FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    ck_assert_int_eq(share_filtering(lab, PROTOCOL_UDP), FILTERING_ADDRESS_DEPENDENT);
    ck_assert(lab->never_overload && lab->keep_parity && lab->soft_pairing &&
              lab->no_inbound_refresh && lab->open);
    ck_assert_uint_eq(lab->exempt_count, 2);
    assert_prefix(&lab->exempt[0], "192.0.2.0/24");
    assert_prefix(&lab->exempt[1], "198.51.100.7/32");
    ssh = forward(0);
    ck_assert_str_eq(ssh->name, "bastion-ssh");
    ck_assert_uint_eq(ssh->protocols, FORWARD_TCP);
    ck_assert_uint_eq(ssh->listen.first, 2222);
    ck_assert_uint_eq(ssh->listen.last, 2222);
    assert_endpoint(&ssh->target[0], "10.0.0.22:22");
    ck_assert_uint_eq(ssh->allow_count, 2);
    assert_prefix(&ssh->allow[1], "203.0.113.77/32");
    ck_assert_str_eq(ssh->owner, "netops");
    ck_assert_str_eq(ssh->note, "bastion, ticket NET-42 #1");
    ck_assert_int_eq(ssh->expires, 253402279200);
    ck_assert(!ssh->runtime);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->udp, 360);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->tcp_established, 10800);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->tcp_transitory, 300);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->icmp, 61);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->port_hold, 180);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->address_hold, 11);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->stop_hold, 5);
    ck_assert_uint_eq(timeouts_of_port(policy_timeouts(loaded.policy), PROTOCOL_UDP, 123), 20);
    ck_assert_uint_eq(timeouts_of_port(policy_timeouts(loaded.policy), PROTOCOL_UDP, 53), 10);
    ck_assert_uint_eq(timeouts_of_port(policy_timeouts(loaded.policy), PROTOCOL_TCP, 22), 86400);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->port_count, 3);
    ck_assert_uint_eq(policy_limits(loaded.policy)->sessions, 2048);
    ck_assert_uint_eq(policy_limits(loaded.policy)->sessions_per_host, 100);
    ck_assert_uint_eq(policy_limits(loaded.policy)->new_sessions_per_host, 50);
    ck_assert_uint_eq(loaded.workers, 3);
    ck_assert_int_eq(loaded.offload, OFFLOAD_OFF);
    ck_assert_uint_eq(loaded.queue, 7);
    ck_assert_str_eq(loaded.control_socket, "/tmp/c.sock");
    ck_assert_str_eq(loaded.control_group, "");
    ck_assert_str_eq(loaded.state_directory, "/tmp/state");
    ck_assert_str_eq(loaded.lasting_directory, "/tmp/state");
    ck_assert_int_eq(loaded.log.level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(loaded.log.target, LOG_TARGET_SYSLOG);
    config_free(&loaded);
}
END_TEST

START_TEST(defaults_may_be_said)
{
    const struct share *share;

    config_must_load(MINIMAL
                     "overload = when-exhausted\nparity = off\npairing = hard\n"
                     "inbound-refresh = on\nclosed = on\n[limits]\nnew-sessions-per-host = off\n");
    share = policy_share(loaded.policy, 0);
    ck_assert(!share->never_overload && !share->keep_parity && !share->soft_pairing &&
              !share->no_inbound_refresh && !share->open);
    ck_assert_uint_eq(policy_limits(loaded.policy)->new_sessions_per_host, 0);
    config_free(&loaded);
}
END_TEST

/* DNS is the only port with a default, which never makes a session last longer. */
START_TEST(answered_dns_lasts_half_a_minute_unless_the_file_says_otherwise)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } cases[] = {
        {MINIMAL, 30},
        {MINIMAL "[timeouts]\nudp = 10m\n", 30},
        {MINIMAL "[timeouts]\nudp = 5s\n", 0},
        {MINIMAL "[timeouts]\nudp:domain = 5m\n", 300},
        {MINIMAL "[timeouts]\nudp:123 = 5s\n", 30},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct timeouts *timeouts;

        config_must_load(cases[i].text);
        timeouts = policy_timeouts(loaded.policy);
        ck_assert_uint_eq(timeouts_of_port(timeouts, PROTOCOL_UDP, 53), cases[i].seconds);
        ck_assert_uint_eq(timeouts_of_port(timeouts, PROTOCOL_TCP, 53), 0);
        config_free(&loaded);
    }
}
END_TEST

START_TEST(timeouts_of_ports_are_as_many_as_fit)
{
    char text[8192] = MINIMAL "[timeouts]\nudp:53 = 10s\n";

    for (unsigned port = 100; port < 99 + PORT_TIMEOUTS_MAX; port++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "udp:%u = 10s\n", port);
    config_must_load(text);
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->port_count, PORT_TIMEOUTS_MAX);
    config_free(&loaded);
    strcat(text, "udp:99 = 10s\n");
    config_must_fail(
        text, "70: [timeouts] udp:99 = 10s: expected at most 64 timeouts of single ports", NULL);
}
END_TEST

START_TEST(one_protocol_may_be_filtered_in_its_own_way_wherever_the_key_is)
{
    const struct share *share;

    config_must_load(MINIMAL "filtering-udp = endpoint-independent\n"
                             "filtering = address-and-port-dependent\n");
    share = policy_share(loaded.policy, 0);
    ck_assert_int_eq(share_filtering(share, PROTOCOL_UDP), FILTERING_ENDPOINT_INDEPENDENT);
    ck_assert_int_eq(share_filtering(share, PROTOCOL_TCP), FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    ck_assert_int_eq(share_filtering(share, PROTOCOL_ICMP), FILTERING_ADDRESS_AND_PORT_DEPENDENT);
    config_free(&loaded);
    config_must_load(MINIMAL "filtering-tcp = endpoint-independent\n");
    share = policy_share(loaded.policy, 0);
    ck_assert_int_eq(share_filtering(share, PROTOCOL_TCP), FILTERING_ENDPOINT_INDEPENDENT);
    ck_assert_int_eq(share_filtering(share, PROTOCOL_UDP), FILTERING_ADDRESS_DEPENDENT);
    config_free(&loaded);
}
END_TEST

START_TEST(external_interfaces_are_a_list_in_its_order)
{
    config_must_load("[gateway]\nexternal = wan0, ; the fast one\n    ppp0\n"
                     "[share lab]\nsource = 10.0.0.0/24\n");
    ck_assert_uint_eq(loaded.external_count, 2);
    ck_assert_str_eq(loaded.external[0], "wan0");
    ck_assert_str_eq(loaded.external[1], "ppp0");
    ck_assert_str_eq(config_external(&loaded, 1), "ppp0");
    ck_assert_str_eq(config_external(&loaded, 2), "");
    config_free(&loaded);
}
END_TEST

START_TEST(exempt_destinations_are_a_list_like_any_other)
{
    const struct share *share;

    config_must_load(MINIMAL "exempt = 192.0.2.0/24, ; the other site\n"
                             "   198.51.100.0/25,\n"
                             "   10.0.0.0/8\n");
    share = policy_share(loaded.policy, 0);
    ck_assert_uint_eq(share->exempt_count, 3);
    assert_prefix(&share->exempt[1], "198.51.100.0/25");
    assert_prefix(&share->exempt[2], "10.0.0.0/8");
    config_free(&loaded);
}
END_TEST

START_TEST(a_host_may_open_one_to_a_million_sessions_a_second)
{
    config_must_load(MINIMAL "[limits]\nnew-sessions-per-host = 1\n");
    ck_assert_uint_eq(policy_limits(loaded.policy)->new_sessions_per_host, 1);
    config_free(&loaded);
    config_must_load(MINIMAL "[limits]\nnew-sessions-per-host = 1000000\n");
    ck_assert_uint_eq(policy_limits(loaded.policy)->new_sessions_per_host, 1000000);
    config_free(&loaded);
}
END_TEST

START_TEST(indentation_bom_and_crlf_do_not_matter)
{
    config_must_load("\xef\xbb\xbf[gateway]\r\n"
                     "\texternal = wan0\r\n"
                     "    hairpin-mark = 0x20\r\n"
                     "  [ share   lab ]  ; comment\r\n"
                     "    source=10.0.0.0/24\r\n"
                     "    ports\t=\t50000-50999\t; comment\r\n"
                     "\r\n");
    ck_assert_uint_eq(loaded.hairpin_mark, 0x20);
    ck_assert_uint_eq(policy_share(loaded.policy, 0)->ports[0].last, 50999);
    config_free(&loaded);
}
END_TEST

START_TEST(a_list_goes_on_behind_a_comma_on_indented_lines)
{
    const struct share *share;

    config_must_load(GATEWAY "[share lab]\n"
                             "source = 10.0.0.0/24, ; office\n"
                             "   10.1.0.0/16, 10.2.0.0/16, ; labs\n"
                             "; a comment between\n"
                             "\n"
                             "\t10.3.0.0/16 ; the last one\n"
                             "   ports = 50000-50999\n");
    share = policy_share(loaded.policy, 0);
    ck_assert_uint_eq(share->source_count, 4);
    assert_prefix(&share->source[2], "10.2.0.0/16");
    assert_prefix(&share->source[3], "10.3.0.0/16");
    ck_assert_uint_eq(share->ports[0].first, 50000);
    config_free(&loaded);
}
END_TEST

START_TEST(sections_without_keys_are_fine_where_nothing_is_required)
{
    config_must_load(MINIMAL "[timeouts]\n;udp = 5m\n[limits]\n[log]\n");
    config_free(&loaded);
}
END_TEST

START_TEST(ranges_and_services_and_both_protocols_are_listened_on)
{
    struct servent *domain = getservbyname("domain", "udp");

    config_must_load(GATEWAY "[forward games]\nlisten = 8000-8099/udp\nto = 10.0.0.9:9000\n"
                             "[forward dns]\nlisten = 53/tcp+udp\nto = 10.0.0.9:53\n");
    ck_assert_uint_eq(forward(0)->protocols, FORWARD_UDP);
    ck_assert_uint_eq(forward(0)->listen.last, 8099);
    ck_assert_uint_eq(forward(1)->protocols, FORWARD_TCP | FORWARD_UDP);
    config_free(&loaded);
    if (!domain)
        return; /* a system without /etc/services */
    config_must_load(GATEWAY "[forward dns]\nlisten = domain/tcp+udp\nto = 10.0.0.9:5353\n");
    ck_assert_uint_eq(forward(0)->listen.first, 53);
    config_free(&loaded);
}
END_TEST

START_TEST(nested_sources_equal_pools_and_one_target_for_two_ports_are_fine)
{
    config_must_load(GATEWAY "[share wide]\nsource = 10.0.0.0/8\n"
                             "[share narrow]\nsource = 10.1.0.0/16\nports = 10000-29999\n"
                             "[share other]\nsource = 10.2.0.0/16\nports = 40000-41000\n"
                             "[forward a]\nlisten = 80/tcp\nto = 10.0.0.2:80\n"
                             "[forward b]\nlisten = 8080/tcp\nto = 10.0.0.2:80\n"
                             "[forward c]\nlisten = 80/udp\nto = 10.0.0.2:80\n");
    ck_assert(policy_seal(loaded.policy));
    config_free(&loaded);
}
END_TEST

static void expect_default_pool(const char *text, const char *expected)
{
    char ranges[200] = "";
    const struct share *share;

    config_must_load(text);
    ck_assert(policy_seal(loaded.policy));
    share = policy_share(loaded.policy, 0);
    for (size_t i = 0; i < share->ports_count; i++)
        snprintf(ranges + strlen(ranges), sizeof(ranges) - strlen(ranges), "%s%u-%u",
                 i > 0 ? ", " : "", share->ports[i].first, share->ports[i].last);
    ck_assert_str_eq(ranges, expected);
    config_free(&loaded);
}

/* A file that was good with another default stays good. */
START_TEST(the_default_pool_makes_room_for_the_pools_and_forwards_of_the_file)
{
#define DEFAULT GATEWAY "[share a]\nsource = 10.0.0.0/24\n"
#define OTHER   DEFAULT "[share b]\nsource = 10.1.0.0/24\n"

    expect_default_pool(DEFAULT, "10000-29999");
    expect_default_pool(OTHER "ports = 49152-65535\n", "10000-29999");
    expect_default_pool(OTHER "ports = 10000-29999\n", "10000-29999");
    expect_default_pool(OTHER "ports = 20000-20999, 29999\n", "10000-19999, 21000-29998");
    expect_default_pool(OTHER "ports = 10000-28975\n", "28976-29999");
    expect_default_pool(OTHER "ports = 10000-28976\n", "49152-65535");
    expect_default_pool(OTHER "ports = 1024-49999\n", "50000-65535");
    expect_default_pool(OTHER "ports = 1024-65534\n", "65535-65535");
    expect_default_pool(DEFAULT "[forward f]\nlisten = 10000-29999/udp\nto = 10.0.0.2:10000\n",
                        "49152-65535");
    expect_default_pool(DEFAULT "[forward f]\nlisten = 10000-19999/udp\nto = 10.0.0.2:10000\n",
                        "10000-29999");
}
END_TEST

START_TEST(an_expired_forward_is_left_out_with_a_warning)
{
    config_must_load(
        MINIMAL "[forward old]\nlisten = 80/tcp\nto = 10.0.0.2:80\nexpires = 2001-01-01T00:00:00Z\n"
                "[forward new]\nlisten = 80/tcp\nto = 10.0.0.3:80\n");
    ck_assert_uint_eq(policy_forward_count(loaded.policy), 1);
    ck_assert_str_eq(forward(0)->name, "new");
    ck_assert_uint_eq(config_warning_count, 1);
    ck_assert_str_eq(config_without_path(config_warnings[0]),
                     "8: [forward old] expires = 2001-01-01T00:00:00Z: this time is in the past; "
                     "the forward is not used");
    config_free(&loaded);
}
END_TEST

START_TEST(a_timeout_below_the_rfcs_floor_is_a_warning)
{
    config_must_load(
        MINIMAL
        "[timeouts]\nudp = 119s\ntcp-established = 2h3m\ntcp-transitory = 1s\nicmp = 59s\n");
    ck_assert_uint_eq(config_warning_count, 4);
    ck_assert_str_eq(config_without_path(config_warnings[0]),
                     "6: [timeouts] udp = 119s: the minimum of RFC 4787 REQ-5 is 2m");
    ck_assert_str_eq(config_without_path(config_warnings[1]),
                     "7: [timeouts] tcp-established = 2h3m: the minimum of RFC 5382 REQ-5 is 2h4m");
    ck_assert_str_eq(config_without_path(config_warnings[2]),
                     "8: [timeouts] tcp-transitory = 1s: the minimum of RFC 5382 REQ-5 is 4m");
    ck_assert_str_eq(config_without_path(config_warnings[3]),
                     "9: [timeouts] icmp = 59s: the minimum of RFC 5508 REQ-2 is 1m");
    ck_assert_uint_eq(policy_timeouts(loaded.policy)->udp, 119);
    config_free(&loaded);
}
END_TEST

START_TEST(a_line_may_have_197_bytes_without_its_comment)
{
    char text[1024] = MINIMAL "[forward web]\nlisten = 80/tcp\nto = 10.0.0.2:80\n  note = ";
    size_t start = strlen(text);

    memset(text + start, 'n', 197 - strlen("note = "));
    strcpy(text + start + 197 - strlen("note = "), "   ; ");
    memset(text + strlen(text), 'c', 300);
    config_must_load(text);
    ck_assert_uint_eq(strlen(forward(0)->note), 190);
    config_free(&loaded);
    text[start + 190] = 'n';
    config_must_fail(text,
                     "8: the line has 198 bytes without its comment; expected at most 197 (after a "
                     "comma, a list may continue on the next line, indented)",
                     NULL);
}
END_TEST

START_TEST(a_continued_line_may_be_as_long_as_any_other)
{
    char text[1024] =
        GATEWAY "[forward web]\nlisten = 80/tcp\nto = 10.0.0.2:80\nallow = 1.2.3.4,\n ";
    size_t start = strlen(text);

    for (int i = 0; i < 12; i++)
        strcat(text, "100.100.100.100,"); /* 192 bytes */
    strcat(text, "1.234");
    ck_assert_uint_eq(strlen(text + start), 197);
    ck_assert(!config_load_text(text));
    ck_assert_uint_eq(config_error_count, 1);
    ck_assert_str_eq(config_without_path(config_errors[0]),
                     "7: [forward web] allow = 1.234: expected IPv4 prefixes, as in "
                     "198.51.100.0/24, 203.0.113.7");
}
END_TEST

START_TEST(a_long_name_is_kept_whole)
{
    config_must_load(
        GATEWAY "[share abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc]\nsource = "
                "10.0.0.0/24\n"
                "[share abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabd]\nsource = "
                "10.1.0.0/24\n");
    ck_assert_uint_eq(strlen(policy_share(loaded.policy, 1)->name), 63);
    config_free(&loaded);
}
END_TEST

/* ---- forwards at run time ---- */

static struct policy *policy;

static bool add(const char *name, const char *listen, const char *to, const char *allow,
                const char *note, const char *expires)
{
    struct forward_text text = {
        .name = name, .listen = listen, .to = to, .allow = allow, .note = note, .expires = expires};

    return config_add_forward(policy, &text, true, config_keep_error, &loaded);
}

START_TEST(a_forward_at_run_time_has_the_same_grammar)
{
    policy = policy_new();
    ck_assert(add("web", "8080-8081/tcp", "10.0.0.2:80", "198.51.100.0/24, 203.0.113.7",
                  "for an hour", "9999-12-31T18:00:00Z"));
    ck_assert_uint_eq(config_error_count, 0);
    ck_assert_uint_eq(policy_forward_count(policy), 1);
    ck_assert(policy_forward(policy, 0)->runtime);
    ck_assert_str_eq(policy_forward(policy, 0)->name, "web");
    ck_assert_str_eq(policy_forward(policy, 0)->note, "for an hour");
    ck_assert_uint_eq(policy_forward(policy, 0)->allow_count, 2);
    policy_free(policy);
}
END_TEST

START_TEST(a_forward_at_run_time_is_refused_in_the_same_words)
{
    policy = policy_new();
    ck_assert(!add("web", "8080", NULL, "1.2.3.4,", "two\nlines", "2001-01-01T00:00:00Z"));
    ck_assert_uint_eq(config_error_count, 5);
    ck_assert_str_eq(
        config_errors[0],
        "listen = 8080: the protocol is missing; expected 8080/tcp, 8080/udp or 8080/tcp+udp");
    ck_assert_str_eq(config_errors[1],
                     "to: missing; expected an IPv4 address and a port, as in 10.0.0.22:22");
    ck_assert_str_eq(config_errors[2],
                     "allow =: expected IPv4 prefixes, as in 198.51.100.0/24, 203.0.113.7");
    ck_assert_str_eq(config_errors[3], "note = two?lines: expected printable UTF-8 on one line");
    ck_assert_str_eq(
        config_errors[4],
        "expires = 2001-01-01T00:00:00Z: this time is in the past; expected a time in the future");
    ck_assert(!add("a b", "8080/tcp", "10.0.0.2:80", NULL, NULL, NULL));
    ck_assert_str_eq(config_errors[5], "name = a b: expected at most 63 letters, digits, '.', '_' "
                                       "and '-', starting with a letter or digit");
    ck_assert(!add("web", "8000-8099/tcp", "10.0.0.2:65500", NULL, NULL, NULL));
    ck_assert_str_eq(config_errors[6], "to = 10.0.0.2:65500: 100 ports from this one on would end "
                                       "at 65599; expected the last one to be at most 65535");
    ck_assert_uint_eq(config_error_count, 7);
    ck_assert_uint_eq(policy_forward_count(policy), 0);
    policy_free(policy);
}
END_TEST

START_TEST(a_forward_at_run_time_takes_nobodys_name_or_port)
{
    policy = policy_new();
    ck_assert(add("web", "8080-8099/tcp", "10.0.0.2:80", NULL, NULL, NULL));
    ck_assert(!add("web", "8090/tcp", "10.0.0.2:80", NULL, NULL, NULL));
    ck_assert_uint_eq(config_error_count, 2);
    ck_assert_str_eq(config_errors[0],
                     "name = web: a forward with this name already exists; expected another name");
    ck_assert_str_eq(
        config_errors[1],
        "listen: ports 8080-8099 are already used by the forward 'web'; expected free ports");
    policy_free(policy);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {two_sections_are_enough_and_the_rest_has_defaults, 1},
        {every_key_is_understood, 1},
        {defaults_may_be_said, 1},
        {answered_dns_lasts_half_a_minute_unless_the_file_says_otherwise, 1},
        {timeouts_of_ports_are_as_many_as_fit, 1},
        {one_protocol_may_be_filtered_in_its_own_way_wherever_the_key_is, 1},
        {external_interfaces_are_a_list_in_its_order, 1},
        {exempt_destinations_are_a_list_like_any_other, 1},
        {a_host_may_open_one_to_a_million_sessions_a_second, 1},
        {indentation_bom_and_crlf_do_not_matter, 1},
        {a_list_goes_on_behind_a_comma_on_indented_lines, 1},
        {sections_without_keys_are_fine_where_nothing_is_required, 1},
        {ranges_and_services_and_both_protocols_are_listened_on, 1},
        {nested_sources_equal_pools_and_one_target_for_two_ports_are_fine, 1},
        {the_default_pool_makes_room_for_the_pools_and_forwards_of_the_file, 1},
        {an_expired_forward_is_left_out_with_a_warning, 1},
        {a_timeout_below_the_rfcs_floor_is_a_warning, 1},
        {a_line_may_have_197_bytes_without_its_comment, 1},
        {a_continued_line_may_be_as_long_as_any_other, 1},
        {a_long_name_is_kept_whole, 1},
        {a_forward_at_run_time_has_the_same_grammar, 1},
        {a_forward_at_run_time_is_refused_in_the_same_words, 1},
        {a_forward_at_run_time_takes_nobodys_name_or_port, 1},
    };

    return RUN_REPEATED_TESTS("config", config_setup, config_teardown, tests);
}
