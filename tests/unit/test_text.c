/*
 * test_text.c - strict parsers, and formatters that they read back
 */
#include "support_run.h"

#include "portreeve/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(a_number_is_decimal_digits_within_its_bounds)
{
    uint64_t number = 7;

    ck_assert(text_parse_number("0", 0, 10, &number) && number == 0);
    ck_assert(text_parse_number("10", 0, 10, &number) && number == 10);
    ck_assert(text_parse_number("18446744073709551615", 0, UINT64_MAX, &number) &&
              number == UINT64_MAX);
    ck_assert(!text_parse_number("11", 0, 10, &number));
    ck_assert(!text_parse_number("4", 5, 10, &number));
    ck_assert(!text_parse_number("18446744073709551616", 0, UINT64_MAX, &number));
    ck_assert(!text_parse_number("99999999999999999999999", 0, UINT64_MAX, &number));
    ck_assert(!text_parse_number("5", 0, 3, &number));
    ck_assert_uint_eq(number, UINT64_MAX); /* left alone by what failed */
}
END_TEST

static const char *const bad_numbers[] = {"",   " 1",   "1 ",  "+1", "-1", "01",
                                          "00", "0x10", "1e3", "1.", "1,", "\xb2"};

START_TEST(anything_around_a_number_is_refused)
{
    uint64_t number = 7;

    ck_assert_msg(!text_parse_number(bad_numbers[_i], 0, UINT64_MAX, &number), "'%s'",
                  bad_numbers[_i]);
    ck_assert_uint_eq(number, 7);
}
END_TEST

START_TEST(a_mark_is_hexadecimal_or_decimal)
{
    static const char *const bad[] = {"",     "0x",  "0x100000000", "0x000000001", "0xg",
                                      "0x1 ", "0X1", "4294967296",  "-1"};
    uint32_t mark = 7;

    ck_assert(text_parse_mark("0x10000000", &mark) && mark == 0x10000000);
    ck_assert(text_parse_mark("0xFFffFFff", &mark) && mark == UINT32_MAX);
    ck_assert(text_parse_mark("4294967295", &mark) && mark == UINT32_MAX);
    ck_assert(text_parse_mark("0", &mark) && mark == 0);
    for (int i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!text_parse_mark(bad[i], &mark), "'%s'", bad[i]);
    ck_assert_uint_eq(mark, 0);
}
END_TEST

/* What each formatter writes for what each parser reads; NULL: refused. */
static const struct {
    const char *text, *written;
} addresses[] =
    {
        {"10.0.0.22", "10.0.0.22"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"::", "::"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"::ffff:a00:1", "10.0.0.1"},
        {"", NULL},
        {"10.0.0", NULL},
        {"10.1", NULL},
        {"167772161", NULL},
        {"010.0.0.1", NULL},
        {"0x0a.0.0.1", NULL},
        {"10.0.0.256", NULL},
        {"10.0.0.1 ", NULL},
        {" 10.0.0.1", NULL},
        {"10.0.0.1/32", NULL},
        {"10.0.0.1.", NULL},
        {"[::1]", NULL},
        {"fe80::1%eth0", NULL},
        {":::", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"localhost", NULL},
},
  prefixes[] =
      {
          {"10.0.0.0/24", "10.0.0.0/24"},
          {"10.0.0.7", "10.0.0.7/32"},
          {"10.0.0.7/32", "10.0.0.7/32"},
          {"0.0.0.0/0", "0.0.0.0/0"},
          {"128.0.0.0/1", "128.0.0.0/1"},
          {"2001:db8::/32", "2001:db8::/32"},
          {"2001:db8::1", "2001:db8::1/128"},
          {"::/0", "::/0"},
          {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
          {"10.0.0.7/24", NULL},
          {"64.0.0.0/1", NULL},
          {"10.0.0.0/33", NULL},
          {"10.0.0.0/", NULL},
          {"10.0.0.0/024", NULL},
          {"10.0.0.0/-1", NULL},
          {"10.0.0.0/24/24", NULL},
          {"10.0.0.0/255.255.255.0", NULL},
          {"/24", NULL},
          {"2001:db8::/129", NULL},
          {"2001:db8::1/64", NULL},
          {"", NULL},
          {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/8", NULL},
},
  endpoints[] = {
      {"10.0.0.22:22", "10.0.0.22:22"},
      {"10.0.0.22:65535", "10.0.0.22:65535"},
      {"[2001:db8::1]:22", "[2001:db8::1]:22"},
      {"[::ffff:10.0.0.1]:1", "10.0.0.1:1"},
      {"10.0.0.22", NULL},
      {"10.0.0.22:", NULL},
      {"10.0.0.22:0", NULL},
      {"10.0.0.22:65536", NULL},
      {"10.0.0.22:022", NULL},
      {"10.0.0.22: 22", NULL},
      {"10.0.0.22:22 ", NULL},
      {"10.0.0.22:http", NULL},
      {"[10.0.0.22]:22", NULL},
      {"2001:db8::1:22", NULL},
      {"[2001:db8::1]22", NULL},
      {"[2001:db8::1:22", NULL},
      {"[]:22", NULL},
      {"[:22", NULL},
      {":22", NULL},
      {"", NULL},
      {"host:22", NULL},
};

START_TEST(an_address_has_one_value_however_it_is_spelled)
{
    struct address parsed;
    char buffer[ADDRESS_TEXT_MAX];
    bool good = text_parse_address(addresses[_i].text, &parsed);

    ck_assert_msg(good == (addresses[_i].written != NULL), "'%s'", addresses[_i].text);
    if (good)
        ck_assert_str_eq(text_format_address(&parsed, buffer), addresses[_i].written);
}
END_TEST

START_TEST(a_prefix_has_no_host_bits)
{
    struct prefix parsed;
    char buffer[PREFIX_TEXT_MAX];
    bool good = text_parse_prefix(prefixes[_i].text, &parsed);

    ck_assert_msg(good == (prefixes[_i].written != NULL), "'%s'", prefixes[_i].text);
    if (good)
        ck_assert_str_eq(text_format_prefix(&parsed, buffer), prefixes[_i].written);
}
END_TEST

START_TEST(an_endpoint_is_an_address_and_a_port)
{
    struct endpoint parsed;
    char buffer[ENDPOINT_TEXT_MAX];
    bool good = text_parse_endpoint(endpoints[_i].text, &parsed);

    ck_assert_msg(good == (endpoints[_i].written != NULL), "'%s'", endpoints[_i].text);
    if (good)
        ck_assert_str_eq(text_format_endpoint(&parsed, buffer), endpoints[_i].written);
}
END_TEST

START_TEST(the_longest_texts_fit_their_buffers)
{
    struct endpoint endpoint = {.port = 65535};
    struct prefix prefix = {.length = 128};
    char endpoint_text[ENDPOINT_TEXT_MAX], prefix_text[PREFIX_TEXT_MAX],
        duration[DURATION_TEXT_MAX];

    memset(&endpoint.address, 0xff, sizeof(endpoint.address));
    prefix.address = endpoint.address;
    ck_assert_str_eq(text_format_endpoint(&endpoint, endpoint_text),
                     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    ck_assert_str_eq(text_format_prefix(&prefix, prefix_text),
                     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
    ck_assert_str_eq(text_format_duration(UINT32_MAX, duration), "49710d6h28m15s");
}
END_TEST

START_TEST(a_port_range_runs_forward_from_1_to_65535)
{
    static const char *const bad[] = {"",        "0",    "65536", "0-5", "5-",    "-5", "5-4",
                                      "5-65536", "5--6", "5-6-7", "05",  "5 - 6", "a"};
    struct port_range range = {1, 1};

    for (int i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!text_parse_port_range(bad[i], &range), "'%s'", bad[i]);
    ck_assert(range.first == 1 && range.last == 1);
    ck_assert(text_parse_port_range("2222", &range) && range.first == 2222 && range.last == 2222);
    ck_assert(text_parse_port_range("1-65535", &range) && range.first == 1 && range.last == 65535);
    ck_assert(text_parse_port_range("80-80", &range) && range.first == 80 && range.last == 80);
}
END_TEST

static const struct {
    const char *text;
    uint32_t seconds; /* 0: refused */
    const char *written;
} durations[] = {
    {"1s", 1, "1s"},
    {"90s", 90, "1m30s"},
    {"5m", 300, "5m"},
    {"2h4m", 7440, "2h4m"},
    {"7440s", 7440, "2h4m"},
    {"1d12h", 129600, "1d12h"},
    {"366d", 31622400, "366d"},
    {"1d1h1m1s", 90061, "1d1h1m1s"},
    {"0h5s", 5, "5s"},
    {"366d1s", 0, NULL},
    {"31622401s", 0, NULL},
    {"0s", 0, NULL},
    {"", 0, NULL},
    {"5", 0, NULL},
    {"s", 0, NULL},
    {"5 m", 0, NULL},
    {"5m ", 0, NULL},
    {"-5m", 0, NULL},
    {"4m2h", 0, NULL},
    {"2m2m", 0, NULL},
    {"1.5h", 0, NULL},
    {"05m", 0, NULL},
    {"5M", 0, NULL},
    {"5m3", 0, NULL},
    {"5ms", 0, NULL},
    {"4294967297s", 0, NULL},
    {"18446744073709551616d", 0, NULL},
};

START_TEST(a_duration_has_units_that_descend)
{
    uint32_t seconds = 0;
    char buffer[DURATION_TEXT_MAX];
    bool good = text_parse_duration(durations[_i].text, &seconds);

    ck_assert_msg(good == (durations[_i].seconds != 0), "'%s'", durations[_i].text);
    ck_assert_uint_eq(seconds, durations[_i].seconds);
    if (good)
        ck_assert_str_eq(text_format_duration(seconds, buffer), durations[_i].written);
}
END_TEST

START_TEST(no_duration_is_written_as_0s)
{
    char buffer[DURATION_TEXT_MAX];

    ck_assert_str_eq(text_format_duration(0, buffer), "0s");
}
END_TEST

START_TEST(every_duration_reads_back)
{
    char buffer[DURATION_TEXT_MAX];

    for (uint32_t seconds = 1; seconds <= 366u * 86400u; seconds += 1 + seconds / 97) {
        uint32_t again = 0;

        ck_assert(text_parse_duration(text_format_duration(seconds, buffer), &again));
        ck_assert_uint_eq(again, seconds);
    }
}
END_TEST

START_TEST(a_time_is_the_one_that_the_c_library_knows)
{
    static const char *const texts[] = {"1970-01-01T00:00:00Z", "2026-12-31T18:00:00Z",
                                        "2024-02-29T23:59:59Z", "2000-02-29T12:00:00Z",
                                        "2100-03-01T00:00:00Z", "1969-12-31T23:59:59Z",
                                        "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"};

    for (int i = 0; i < COUNT(texts); i++) {
        struct tm fields;
        int64_t seconds = 0;

        memset(&fields, 0, sizeof(fields));
        ck_assert_ptr_nonnull(strptime(texts[i], "%Y-%m-%dT%H:%M:%SZ", &fields));
        ck_assert_msg(text_parse_time(texts[i], &seconds), "%s", texts[i]);
        ck_assert_int_eq(seconds, timegm(&fields));
    }
}
END_TEST

static const char *const bad_times[] = {
    "",
    "2026-12-31",
    "2026-12-31T18:00:00",
    "2026-12-31 18:00:00Z",
    "2026-12-31t18:00:00z",
    "2026-12-31T18:00:00+01:00",
    "2026-12-31T18:00:00.5Z",
    "2026-12-31T24:00:00Z",
    "2026-12-31T18:60:00Z",
    "2026-12-31T18:00:60Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "+026-01-01T00:00:00Z",
    "2026-1-001T00:00:00Z",
};

START_TEST(a_time_that_does_not_exist_is_refused)
{
    int64_t seconds = 42;

    ck_assert_msg(!text_parse_time(bad_times[_i], &seconds), "'%s'", bad_times[_i]);
    ck_assert_int_eq(seconds, 42);
}
END_TEST

START_TEST(a_time_is_written_in_utc_and_reads_back)
{
    char buffer[TIME_TEXT_MAX];
    int64_t seconds;

    ck_assert_str_eq(text_format_time(0, buffer), "1970-01-01T00:00:00Z");
    ck_assert_str_eq(text_format_time(1798740000, buffer), "2026-12-31T18:00:00Z");
    ck_assert(text_parse_time(buffer, &seconds));
    ck_assert_int_eq(seconds, 1798740000);
    ck_assert_str_eq(text_format_time(253402300799, buffer), "9999-12-31T23:59:59Z");
}
END_TEST

START_TEST(a_time_whose_year_has_not_four_digits_is_a_question_mark)
{
    char buffer[TIME_TEXT_MAX];

    ck_assert_str_eq(text_format_time(253402300800, buffer), "?");
    ck_assert_str_eq(text_format_time(-1, buffer), "?");
    ck_assert_str_eq(text_format_time(INT64_MAX, buffer), "?");
}
END_TEST

START_TEST(the_protocols_of_a_forward_read_back)
{
    static const char *const written[] = {"tcp", "udp", "tcp+udp"};
    char buffer[PROTOCOLS_TEXT_MAX];
    uint8_t protocols;

    for (int i = 0; i < COUNT(written); i++) {
        ck_assert(text_parse_protocols(written[i], &protocols));
        ck_assert_str_eq(text_format_protocols(protocols, buffer), written[i]);
    }
    ck_assert_str_eq(text_format_protocols(0, buffer), "");
}
END_TEST

START_TEST(printable_characters_are_utf8_without_controls)
{
    static const struct {
        const char *text;
        size_t length;
    } characters[] = {
        {"a", 1},
        {" ", 1},
        {"~", 1},
        {"\xc3\xa4", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x9a\xa2", 4},
        {"", 0},
        {"\n", 0},
        {"\t", 0},
        {"\x1b[2J", 0},
        {"\x7f", 0},
        {"\x80", 0},
        {"\xc2\x9b", 0},
        {"\xc2\xa0", 2},
        {"\xc0\xaf", 0},
        {"\xe0\x80\xaf", 0},
        {"\xed\xa0\x80", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xc3", 0},
        {"\xe2\x82", 0},
        {"\xf0\x9f\x9a", 0},
        {"\xff", 0},
        {"\xc3(", 0},
    };

    for (int i = 0; i < COUNT(characters); i++)
        ck_assert_msg(text_printable(characters[i].text) == characters[i].length, "number %d", i);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {a_number_is_decimal_digits_within_its_bounds, 1},
        {anything_around_a_number_is_refused, COUNT(bad_numbers)},
        {a_mark_is_hexadecimal_or_decimal, 1},
        {an_address_has_one_value_however_it_is_spelled, COUNT(addresses)},
        {a_prefix_has_no_host_bits, COUNT(prefixes)},
        {an_endpoint_is_an_address_and_a_port, COUNT(endpoints)},
        {the_longest_texts_fit_their_buffers, 1},
        {a_port_range_runs_forward_from_1_to_65535, 1},
        {a_duration_has_units_that_descend, COUNT(durations)},
        {no_duration_is_written_as_0s, 1},
        {every_duration_reads_back, 1},
        {a_time_is_the_one_that_the_c_library_knows, 1},
        {a_time_that_does_not_exist_is_refused, COUNT(bad_times)},
        {a_time_is_written_in_utc_and_reads_back, 1},
        {a_time_whose_year_has_not_four_digits_is_a_question_mark, 1},
        {the_protocols_of_a_forward_read_back, 1},
        {printable_characters_are_utf8_without_controls, 1},
    };

    return RUN_REPEATED_TESTS("text", NULL, NULL, tests);
}
