/*
 * test_config_errors.c - the exact words for what is wrong with a configuration
 */
#include "support_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(all_errors_are_told_in_the_order_of_their_lines)
{
    config_must_fail(
        "[gateway]\n"
        "extrenal = wan0\n"
        "[share lab]\n"
        "source = 10.0.0.7/24\n"
        "filtering = full-cone\n"
        "[forward web]\n"
        "to = 10.0.0.2:80\n"
        "[forwrad x]\n"
        "listen = 80/tcp\n",
        "1: [gateway] external: this key is missing; expected an interface name, as in external = "
        "wan0",
        "2: [gateway] extrenal = wan0: unknown key; did you mean 'external'?",
        "4: [share lab] source = 10.0.0.7/24: the address has bits set after the first 24; "
        "expected 10.0.0.0/24, or 10.0.0.7 for one host",
        "5: [share lab] filtering = full-cone: expected endpoint-independent, address-dependent or "
        "address-and-port-dependent",
        "6: [forward web] listen: this key is missing; expected a port, a range or a service name, "
        "and the protocol, as in 2222/tcp, 8000-8099/udp or domain/tcp+udp",
        "8: [forwrad x]: unknown section; did you mean 'forward'?", NULL);
}
END_TEST

START_TEST(an_empty_file_says_what_a_file_needs)
{
    ck_assert(!config_load_text(""));
    ck_assert_uint_eq(config_error_count, 2);
    ck_assert_str_eq(config_without_path(config_errors[0]),
                     " [gateway]: this section is missing; expected [gateway] with an interface "
                     "name, as in external = wan0");
    ck_assert_str_eq(config_without_path(config_errors[1]),
                     " there is no share and no forward; expected at least one [share NAME] or "
                     "[forward NAME] section");
}
END_TEST

START_TEST(sections_come_once_even_when_they_are_empty)
{
    config_must_fail(MINIMAL "[gateway]\n[log]\n[log]\n[share lab]\nsource = 10.9.0.0/16\n[what]\n",
                     "5: [gateway]: this section already exists at line 1; expected it only once",
                     "7: [log]: this section already exists at line 6; expected it only once",
                     "8: [share lab]: this section already exists at line 3; expected it only once",
                     "10: [what]: unknown section; expected gateway, share NAME, forward NAME, "
                     "never NAME, always NAME, "
                     "timeouts, limits, performance, control, state or log",
                     NULL);
}
END_TEST

START_TEST(names_are_where_they_belong)
{
    config_must_fail(
        MINIMAL
        "[forward]\n[limits big]\n[share my lab]\n[share -x]\n[share \"a\"]\n[share x\n[]\n",
        "5: [forward]: the name is missing; expected a name, as in [forward lab]",
        "6: [limits big]: this section takes no name; expected [limits]",
        "7: [share my lab]: 'my lab' is not a valid name; expected at most 63 letters, digits, "
        "'.', '_' and '-', starting with a letter or digit",
        "8: [share -x]: '-x' is not a valid name; expected at most 63 letters, digits, '.', '_' "
        "and '-', starting with a letter or digit",
        "9: [share \"a\"]: '\"a\"' is not a valid name; expected at most 63 letters, digits, '.', "
        "'_' and '-', starting with a letter or digit",
        "10: [share x: expected a section such as [gateway] or [share lab]",
        "11: []: unknown section; expected gateway, share NAME, forward NAME, never NAME, always "
        "NAME, timeouts, limits, "
        "performance, control, state or log",
        NULL);
}
END_TEST

START_TEST(keys_come_once_and_in_their_section)
{
    config_must_fail(
        "udp = 5m\n" MINIMAL
        "source = 10.1.0.0/16,\n  10.2.0.0/16\nlisten = 80/tcp\nfrobnicate = 3\n",
        "1: udp = 5m: this line belongs to no section; expected a section above it, such as "
        "[gateway]",
        "6: [share lab] source = 10.1.0.0/16,: this key is already set at line 5; expected it only "
        "once",
        "8: [share lab] listen = 80/tcp: unknown key; it belongs in [forward NAME]",
        "9: [share lab] frobnicate = 3: unknown key; expected one of source, ports, filtering, "
        "filtering-tcp, filtering-udp, overload, parity, pairing, inbound-refresh, exempt, closed",
        NULL);
}
END_TEST

START_TEST(keys_of_a_share_are_guessed_and_sent_back_to_it)
{
    config_must_fail(
        MINIMAL "filtring-tcp = address-dependent\nexcempt = 192.0.2.1\n"
                "parity = on\nparity = on\n"
                "[limits]\nparing = soft\npairing = soft\nnew-session-per-host = 5\n",
        "5: [share lab] filtring-tcp = address-dependent: unknown key; did you mean "
        "'filtering-tcp'?",
        "6: [share lab] excempt = 192.0.2.1: unknown key; did you mean 'exempt'?",
        "8: [share lab] parity = on: this key is already set at line 7; expected it only once",
        "10: [limits] paring = soft: unknown key; expected one of sessions, sessions-per-host, "
        "new-sessions-per-host, mappings-per-host, sessions-from-outside, sessions-per-remote, "
        "new-sessions-per-remote",
        "11: [limits] pairing = soft: unknown key; it belongs in [share NAME]",
        "12: [limits] new-session-per-host = 5: unknown key; did you mean 'new-sessions-per-host'?",
        NULL);
}
END_TEST

START_TEST(lines_that_are_no_keys_are_errors_not_silence)
{
    config_must_fail(MINIMAL "just words\n= 5\nports: 50000\nfiltering =\n  continued\n",
                     "5: just words: expected key = value", "6: = 5: expected key = value",
                     "7: ports: 50000: expected key = value",
                     "8: [share lab] filtering =: expected endpoint-independent, address-dependent "
                     "or address-and-port-dependent",
                     "9: continued: expected key = value", NULL);
}
END_TEST

START_TEST(lists_have_no_holes)
{
    config_must_fail(
        GATEWAY "[share a]\nsource = 10.0.0.0/24,,10.1.0.0/16\n[share b]\nsource = "
                "10.3.0.0/24,\nports = 5\n",
        "4: [share a] source =: expected IPv4 prefixes, as in 10.0.0.0/24, 10.1.0.0/16",
        "6: [share b] source: the list ends with a comma; expected another item, on this line or "
        "(indented) on the next one",
        NULL);
}
END_TEST

START_TEST(bytes_that_are_not_text_are_named)
{
    static const char nul[] = MINIMAL "[log]\nlevel = \0info\n";

    config_must_fail(MINIMAL "[log]\n; not \xff here\nlevel = inf\xfc\nlevel = \x1b[2J\n",
                     "7: the line is not UTF-8 (byte 0xfc); expected UTF-8 or ASCII",
                     "8: the line has a control character (0x1b); expected plain text", NULL);
    ck_assert(!config_load_bytes(nul, sizeof(nul) - 1));
    ck_assert_uint_eq(config_error_count, 3);
    ck_assert_str_eq(config_without_path(config_errors[2]),
                     "6: the line has a NUL byte; expected a text file");
}
END_TEST

START_TEST(a_line_that_never_ends_is_one_error)
{
    size_t length = 100000;
    char *text = malloc(length + 1);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', length);
    memcpy(text, MINIMAL, strlen(MINIMAL));
    text[length] = '\0';
    config_must_fail(text, "5: the line is too long; expected at most 197 bytes", NULL);
    text[strlen(MINIMAL)] = '#';
    config_must_load(text);
    config_free(&loaded);
    free(text);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_said)
{
    ck_assert(
        !config_load("/nonexistent/portreeve.conf", &loaded, config_keep_error, NULL, &loaded));
    ck_assert_str_eq(config_errors[0],
                     "/nonexistent/portreeve.conf: cannot be read: No such file or directory");
    ck_assert(!config_load("/tmp", &loaded, config_keep_error, NULL, &loaded));
    ck_assert_str_eq(config_errors[1], "/tmp: is a directory; expected a file");
    ck_assert_uint_eq(config_error_count, 2);
}
END_TEST

/* A section, its only key (in line 2), and what is said of it. */
static const struct {
    const char *section, *key, *message;
} bad_values[] = {
    {"[gateway]",
     "external = a-name-of-128-bytes-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "the name has 128 bytes; expected an interface name of at most 127"},
    {"[gateway]", "external = wan/0", "expected an interface name, as in external = wan0"},
    {"[gateway]", "external = \"wan0\"",
     "expected an interface name, as in external = wan0 (without quotes)"},
    {"[gateway]", "external =", "expected an interface name, as in external = wan0"},
    {"[gateway]", "external-address = gw.example",
     "'gw.example' is not an address; host names are not looked up, because their addresses may "
     "change; expected an IPv4 address"},
    {"[gateway]", "external-address = 2001:db8::1",
     "this is IPv6, and only IPv4 is translated; expected an IPv4 address"},
    {"[gateway]", "external-address = 203.0.113.0/24",
     "expected IPv4 addresses of the external interfaces, as in 203.0.113.5"},
    {"[gateway]", "untranslated = averylonginterface",
     "the name has 18 bytes; expected an interface name of at most 15"},
    {"[gateway]", "untranslated =", "expected interface names, as in untranslated = tun0"},
    {"[gateway]", "hairpin-mark = 0x3",
     "expected a packet mark with exactly one bit set, as in 0x10000000"},
    {"[gateway]", "hairpin-mark = 0",
     "expected a packet mark with exactly one bit set, as in 0x10000000"},
    {"[share b]", "source = lab.lan",
     "'lab.lan' is not an address; host names are not looked up, because their addresses may "
     "change; expected an IPv4 address"},
    {"[share b]", "source = 0.0.0.0/0",
     "this is every address, not only the internal ones; expected the internal networks"},
    {"[share b]", "source = fd00::/8",
     "this is IPv6, and only IPv4 is translated; expected an IPv4 address"},
    {"[share b]", "source = 224.0.0.0/8",
     "no host sends from such an address; expected the internal networks"},
    {"[share b]", "source = 10.0.0.0/255.255.255.0",
     "expected IPv4 prefixes, as in 10.0.0.0/24, 10.1.0.0/16"},
    {"[share b]", "source = 10.0.0.1 # gate",
     "expected IPv4 prefixes, as in 10.0.0.0/24, 10.1.0.0/16 (a comment after a value begins with "
     "';', not with '#')"},
    {"[share b]", "ports = 60000-50000",
     "the range is reversed; expected the lower port first, 50000-60000"},
    {"[share b]", "ports = 0-10", "expected ports from 1 to 65535"},
    {"[share b]", "ports = all", "expected ports or ranges of ports, as in 10000-29999"},
    {"[share b]", "filtering-tcp = full-cone",
     "expected endpoint-independent, address-dependent or address-and-port-dependent"},
    {"[share b]", "filtering-udp = Address-Dependent",
     "expected endpoint-independent, address-dependent or address-and-port-dependent"},
    {"[share b]", "filtering-udp = none",
     "expected endpoint-independent, address-dependent or address-and-port-dependent"},
    {"[share b]", "overload = always", "expected when-exhausted or never"},
    {"[share b]", "overload = never # tcp",
     "expected when-exhausted or never (a comment after a value begins with ';', not with '#')"},
    {"[share b]", "parity = yes", "expected on or off"},
    {"[share b]", "pairing = off", "expected hard or soft"},
    {"[share b]", "inbound-refresh = \"off\"", "expected on or off (without quotes)"},
    {"[share b]", "closed = yes", "expected on or off"},
    {"[share b]", "exempt = 192.0.2.7/24",
     "the address has bits set after the first 24; expected 192.0.2.0/24, or 192.0.2.7 for one "
     "host"},
    {"[share b]", "exempt = vpn.example",
     "'vpn.example' is not an address; host names are not looked up, because their addresses may "
     "change; expected an IPv4 address"},
    {"[share b]", "exempt = 2001:db8::/32",
     "this is IPv6, and only IPv4 is translated; expected an IPv4 address"},
    {"[share b]", "exempt = 0.0.0.0/0",
     "this is every address, and nothing would be translated; expected the destinations that are "
     "reached without translation"},
    {"[share b]", "exempt =", "expected IPv4 prefixes, as in 192.0.2.0/24, 198.51.100.7"},
    {"[share b]", "exempt = 192.0.2.1-192.0.2.9",
     "expected IPv4 prefixes, as in 192.0.2.0/24, 198.51.100.7"},
    {"[forward w]", "listen = 80",
     "the protocol is missing; expected 80/tcp, 80/udp or 80/tcp+udp"},
    {"[forward w]", "listen = 80/sctp", "'sctp' cannot be forwarded; expected tcp, udp or tcp+udp"},
    {"[forward w]", "listen = 8099-8000/tcp",
     "the range is reversed; expected the lower port first, 8000-8099"},
    {"[forward w]", "listen = 65536/tcp", "expected ports from 1 to 65535"},
    {"[forward w]", "listen = 080/tcp",
     "expected a port, a range or a service name, and the protocol, as in 2222/tcp, 8000-8099/udp "
     "or domain/tcp+udp"},
    {"[forward w]", "listen = shh/tcp",
     "'shh' is not a tcp service in /etc/services; expected a service name or a port"},
    {"[forward w]", "to = web.lan:80",
     "'web.lan' is not an address; host names are not looked up, because their addresses may "
     "change; expected an IPv4 address"},
    {"[forward w]", "to = 10.0.0.2",
     "the port is missing; expected an address and a port, as in 10.0.0.2:80"},
    {"[forward w]", "to = 10.0.0.2:http",
     "'http' is not a port; expected a number from 1 to 65535"},
    {"[forward w]", "to = [2001:db8::1]:80",
     "this is IPv6, and only IPv4 is translated; expected an IPv4 address"},
    {"[forward w]", "to = 127.0.0.1:80",
     "a loopback address cannot be reached from another host; expected the address of a host on a "
     "network"},
    {"[forward w]", "to = 255.255.255.255:80",
     "this is a multicast, reserved or broadcast address; expected the address of a host"},
    {"[forward w]", "to = 0.0.0.0:80",
     "no host has an address in 0.0.0.0/8; expected the address of a host"},
    {"[forward w]", "allow = 10.0.0.1-10.0.0.9",
     "expected IPv4 prefixes, as in 198.51.100.0/24, 203.0.113.7"},
    {"[forward w]", "expires = tomorrow", "expected a time in UTC, as in 2026-12-31T18:00:00Z"},
    {"[timeouts]", "udp = 30d1s", "expected a time from 1s to 30d, as in 90s, 5m or 2h4m"},
    {"[timeouts]", "udp = 5", "expected a time from 1s to 30d, as in 90s, 5m or 2h4m"},
    {"[timeouts]", "icmp = 0s", "expected a time from 1s to 30d, as in 90s, 5m or 2h4m"},
    {"[limits]", "sessions = 1000", "expected a number from 1024 to 16777216"},
    {"[limits]", "sessions-per-host = 0", "expected a number from 1 to the value of 'sessions'"},
    {"[limits]", "new-sessions-per-host = 0", "expected off or a number from 1 to 1000000"},
    {"[limits]", "new-sessions-per-host = 1000001", "expected off or a number from 1 to 1000000"},
    {"[limits]", "new-sessions-per-host = 10/s", "expected off or a number from 1 to 1000000"},
    {"[limits]", "new-sessions-per-host = on", "expected off or a number from 1 to 1000000"},
    {"[limits]", "new-sessions-per-remote = 0", "expected auto, off or a number from 1 to 1000000"},
    {"[limits]", "sessions-per-remote = 0", "expected auto, off or a number from 1 to 16777216"},
    {"[limits]", "sessions-from-outside = all",
     "expected auto, off or a number from 1 to 16777216"},
    {"[performance]", "workers = 65", "expected auto or a number from 1 to 64"},
    {"[performance]", "offload = yes", "expected auto, on or off"},
    {"[performance]", "offload-after = 0", "expected a number of packets from 1 to 1000000"},
    {"[performance]", "queue = -1", "expected a number from 0 to 65535"},
    {"[control]", "socket = control.sock",
     "expected an absolute path, as in /run/portreeve/control.sock"},
    {"[control]", "group = a b",
     "expected the name of a group, or nothing (then only root may use the socket)"},
    {"[control]", "group = abcdefghijabcdefghijabcdefghijabc",
     "the text has 33 bytes; expected at most 32"},
    {"[state]", "directory =", "expected an absolute path, as in /run/portreeve"},
    {"[log]", "level = loud", "expected error, warning, notice, info or debug"},
    {"[log]", "target = file", "expected auto, journal, stderr or syslog"},
};

START_TEST(a_bad_value_is_told_with_what_was_expected)
{
    const char *section = bad_values[_i].section, *key = bad_values[_i].key;
    char text[512], expected[512];

    snprintf(text, sizeof(text), "%s\n%s\n%s%s", section, key,
             strcmp(section, "[gateway]") == 0 ? "" : GATEWAY, SHARE);
    snprintf(expected, sizeof(expected), "2: %s %s: %s", section, key, bad_values[_i].message);
    ck_assert(!config_load_text(text));
    for (size_t i = 0; i < config_error_count; i++) {
        if (strcmp(config_without_path(config_errors[i]), expected) == 0)
            return;
        /* what else the section lacks is said, too */
        ck_assert_msg(strstr(config_errors[i], "this key is missing"), "%s\nexpected: %s",
                      config_errors[i], expected);
    }
    ck_abort_msg("not said: %s", expected);
}
END_TEST

START_TEST(two_forwards_on_one_port_are_both_named)
{
    config_must_fail(GATEWAY "[forward a]\nlisten = 80/tcp\nto = 10.0.0.2:80\n"
                             "[forward b]\nlisten = 90-99/tcp+udp\nto = 10.0.0.2:90\n"
                             "[forward c]\nlisten = 70-95/tcp+udp\nto = 10.0.0.3:70\n",
                     "10: [forward c] listen: port 80/tcp is already used by [forward a] at line "
                     "4; expected a free port",
                     "10: [forward c] listen: port 90/tcp is already used by [forward b] at line "
                     "7; expected a free port",
                     NULL);
}
END_TEST

START_TEST(a_source_is_one_shares)
{
    config_must_fail(GATEWAY "[share a]\nsource = 10.0.0.0/24\n"
                             "[share b]\nsource = 10.1.0.0/24,\n  10.0.0.0/24\n",
                     "7: [share b] source = 10.0.0.0/24: this prefix is already in the source of "
                     "[share a] at line 4",
                     NULL);
}
END_TEST

START_TEST(pools_are_the_same_or_have_nothing_in_common)
{
    config_must_fail(GATEWAY "[share a]\nsource = 10.0.0.0/24\nports = 50000-50999\n"
                             "[share b]\nsource = 10.1.0.0/24\nports = 50999-51999\n"
                             "[share c]\nsource = 10.2.0.0/24\n",
                     "8: [share b] ports: these ports overlap the pool of [share a] "
                     "at line 5; expected exactly the same ports or no port in common",
                     NULL);
}
END_TEST

START_TEST(a_share_without_ports_needs_some_that_others_leave)
{
    config_must_fail(GATEWAY "[share a]\nsource = 10.0.0.0/24\nports = 1024-65535\n"
                             "[share b]\nsource = 10.1.0.0/24\n",
                     "6: [share b]: the pools of other shares leave no ports for the default pool; "
                     "expected 'ports' with ports of its own",
                     NULL);
}
END_TEST

START_TEST(a_range_of_targets_ends_by_65535)
{
    config_must_fail(GATEWAY "[forward a]\nlisten = 8000-8099/tcp\nto = 10.0.0.9:65500\n",
                     "5: [forward a] to = 10.0.0.9:65500: 100 ports from this one on would end at "
                     "65599; expected the last one to be at most 65535",
                     NULL);
    config_must_load(GATEWAY "[forward a]\nlisten = 8000-8099/tcp\nto = 10.0.0.9:65436\n");
    config_free(&loaded);
}
END_TEST

START_TEST(the_external_address_is_neither_a_target_nor_inside)
{
    config_must_fail(GATEWAY "external-address = 10.0.0.5\n" SHARE
                             "[forward a]\nlisten = 80/tcp\nto = 10.0.0.5:80\n",
                     "5: [share lab] source = 10.0.0.0/24: contains the external address 10.0.0.5; "
                     "expected internal networks only",
                     "8: [forward a] to = 10.0.0.5:80: this is an external address of the gateway; "
                     "expected the address of an internal host",
                     NULL);
}
END_TEST

START_TEST(external_interfaces_are_at_most_eight_and_each_is_named_once)
{
    config_must_fail("[gateway]\nexternal = a, b, a, c, d, e, f, g, h, i\nuntranslated = h\n" SHARE,
                     "2: [gateway] external = a: this interface is already listed; expected it "
                     "only once",
                     "2: [gateway] external = i: expected at most 8 interfaces",
                     "3: [gateway] untranslated = h: this is an external interface; expected "
                     "others",
                     NULL);
}
END_TEST

START_TEST(an_interface_is_translated_or_not_and_named_once)
{
    config_must_fail(GATEWAY "untranslated = tun0, wan0, tun0\n" SHARE,
                     "3: [gateway] untranslated = tun0: this interface is already listed; expected "
                     "it only once",
                     "3: [gateway] untranslated = wan0: this is an external interface; expected "
                     "others",
                     NULL);
}
END_TEST

START_TEST(a_pool_that_forwards_take_whole_is_an_error)
{
    config_must_fail(
        GATEWAY
        "[share a]\nsource = 10.0.0.0/24\n[forward all]\nlisten = 1-65535/udp\nto = 10.0.0.2:1\n",
        "3: [share a] ports: every udp port is used by a forward; expected at least one free port "
        "for this share",
        NULL);
}
END_TEST

START_TEST(limits_and_queues_fit_together)
{
    config_must_fail(MINIMAL "[limits]\nsessions = 2048\nsessions-per-host = "
                             "2049\n[performance]\nqueue = 65535\nworkers = 2\n",
                     "7: [limits] sessions-per-host: 2049 is more than the value of 'sessions'; "
                     "expected at most 2048",
                     "9: [performance] queue: each worker needs a queue number, and from 65535 on "
                     "there are too few for 2 workers; expected at most 65534",
                     NULL);
}
END_TEST

START_TEST(timeouts_of_ports_have_their_errors_and_floors)
{
    config_must_fail(
        MINIMAL "[timeouts]\nudp:53 = 10s\nudp:domain = 20s\nudp:0 = 3s\nudp:70000 = 3s\n"
                "udp:no-such = 3s\nudp: = 3s\nudp:123 = soon\nicmp:8 = 3s\nudp:5:6 = 3s\n"
                "udp:99\nudp-53 = 10s\n[limits]\nudp:53 = 10s\n",
        "7: [timeouts] udp:domain = 20s: the timeout of port 53 is already set at line 6; expected "
        "it only once",
        "8: [timeouts] udp:0 = 3s: '0' is not a port; expected a number from 1 to 65535",
        "9: [timeouts] udp:70000 = 3s: '70000' is not a port; expected a number from 1 to 65535",
        "10: [timeouts] udp:no-such = 3s: 'no-such' is not a udp service in /etc/services; "
        "expected a service name or a port, as in udp:53",
        "11: [timeouts] udp: = 3s: '' is not a port; expected a number from 1 to 65535",
        "12: [timeouts] udp:123 = soon: expected a time from 1s to 30d, as in 90s, 5m or 2h4m",
        "13: icmp:8 = 3s: expected key = value", "14: udp:5:6 = 3s: expected key = value",
        "15: udp:99: expected key = value",
        "16: [timeouts] udp-53 = 10s: unknown key; expected one of udp, tcp-established, "
        "tcp-transitory, tcp-opening, tcp-closing, port-hold, address-hold, stop-hold, icmp, "
        "udp:PORT, tcp:PORT",
        "18: [limits] udp:53 = 10s: unknown key; it belongs in [timeouts]", NULL);
    config_must_load(MINIMAL "[timeouts]\nudp:1023 = 1s\nudp:1024 = 119s\nudp:1025 = 2m\n"
                             "tcp:22 = 2h\ntcp:23 = 3h\n");
    ck_assert_uint_eq(config_warning_count, 2);
    ck_assert_str_eq(config_without_path(config_warnings[0]),
                     "7: [timeouts] udp:1024 = 119s: the minimum of RFC 4787 REQ-5 is 2m");
    ck_assert_str_eq(config_without_path(config_warnings[1]),
                     "9: [timeouts] tcp:22 = 2h: the minimum of RFC 5382 REQ-5 is 2h4m");
    config_free(&loaded);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {all_errors_are_told_in_the_order_of_their_lines, 1},
        {an_empty_file_says_what_a_file_needs, 1},
        {sections_come_once_even_when_they_are_empty, 1},
        {names_are_where_they_belong, 1},
        {keys_come_once_and_in_their_section, 1},
        {keys_of_a_share_are_guessed_and_sent_back_to_it, 1},
        {lines_that_are_no_keys_are_errors_not_silence, 1},
        {lists_have_no_holes, 1},
        {bytes_that_are_not_text_are_named, 1},
        {a_line_that_never_ends_is_one_error, 1},
        {a_file_that_cannot_be_read_is_said, 1},
        {two_forwards_on_one_port_are_both_named, 1},
        {a_source_is_one_shares, 1},
        {pools_are_the_same_or_have_nothing_in_common, 1},
        {a_share_without_ports_needs_some_that_others_leave, 1},
        {a_range_of_targets_ends_by_65535, 1},
        {the_external_address_is_neither_a_target_nor_inside, 1},
        {external_interfaces_are_at_most_eight_and_each_is_named_once, 1},
        {an_interface_is_translated_or_not_and_named_once, 1},
        {a_pool_that_forwards_take_whole_is_an_error, 1},
        {limits_and_queues_fit_together, 1},
        {timeouts_of_ports_have_their_errors_and_floors, 1},
        {a_bad_value_is_told_with_what_was_expected, sizeof(bad_values) / sizeof(bad_values[0])},
    };

    return RUN_REPEATED_TESTS("config errors", config_setup, config_teardown, tests);
}
