/*
 * test_grace.c - external addresses that have gone a moment ago, and may come back
 */
#include "support.h"

#include "../../src/daemon/gateway/grace.h"

#define HOLD_MS 10000

static struct grace grace;
static struct address used[EXTERNAL_ADDRESSES_MAX];
static size_t used_count;

static void setup(void)
{
    grace = (struct grace){0};
    used_count = 0;
}

/* "203.0.113.5" for "5", as many as the text has digits. */
static size_t addresses_of(const char *digits, struct address *out)
{
    for (size_t i = 0; digits[i] != '\0'; i++)
        out[i] = address_from_ipv4(0xcb007100 + (uint32_t)(digits[i] - '0'));
    return strlen(digits);
}

/* The interface has these addresses now, and those of `chosen` are used. */
static void see(const char *present, const char *chosen, uint64_t now)
{
    struct address found[EXTERNAL_ADDRESSES_MAX], next[EXTERNAL_ADDRESSES_MAX];
    struct grace_change change = {.before = used,
                                  .before_count = used_count,
                                  .present = found,
                                  .present_count = addresses_of(present, found),
                                  .chosen = next,
                                  .chosen_count = addresses_of(chosen, next)};

    grace_follow(&grace, &change, HOLD_MS, now);
    memcpy(used, next, sizeof(used));
    used_count = change.chosen_count;
}

/* The addresses that are waited for, in their order. */
static const char *waited_for(void)
{
    static char digits[EXTERNAL_ADDRESSES_MAX + 1];

    for (size_t i = 0; i < grace.count; i++)
        digits[i] = (char)('0' + (address_to_ipv4(&grace.address[i]) & 0xff));
    digits[grace.count] = '\0';
    return digits;
}

START_TEST(an_address_that_goes_is_waited_for_until_the_hold_is_over)
{
    see("5", "5", 1000);
    ck_assert_str_eq(waited_for(), "");
    see("", "", 2000);
    ck_assert_str_eq(waited_for(), "5");
    see("", "", 2000 + HOLD_MS - 1);
    ck_assert_str_eq(waited_for(), "5");
    ck_assert(!grace_is_due(&grace, 2000 + HOLD_MS - 1));
    ck_assert(grace_is_due(&grace, 2000 + HOLD_MS));
    see("", "", 2000 + HOLD_MS);
    ck_assert_str_eq(waited_for(), "");
    ck_assert(!grace_is_due(&grace, 2000 + HOLD_MS));
}
END_TEST

START_TEST(an_address_that_makes_way_for_a_new_one_is_not_waited_for)
{
    see("5", "5", 1000);
    see("56", "56", 20000);
    see("6", "6", 20000 + HOLD_MS - 1);
    ck_assert_str_eq(waited_for(), "");
    see("67", "67", 60000);
    see("7", "7", 60000 + HOLD_MS); /* too late to be about that one */
    ck_assert_str_eq(waited_for(), "6");
    see("78", "78", 90000);
    see("", "", 90001); /* the interface was taken down */
    ck_assert_str_eq(waited_for(), "78");
}
END_TEST

START_TEST(an_address_that_comes_back_is_no_longer_waited_for)
{
    see("57", "57", 1000);
    see("", "", 2000);
    ck_assert_str_eq(waited_for(), "57");
    see("5", "5", 3000);
    ck_assert_str_eq(waited_for(), "7");
    see("57", "57", 4000);
    ck_assert_str_eq(waited_for(), "");
}
END_TEST

START_TEST(an_address_that_goes_again_is_waited_for_again_and_as_long)
{
    see("5", "5", 1000);
    see("", "", 2000);
    see("5", "5", 9000);
    see("", "", 11000);
    ck_assert(!grace_is_due(&grace, 2000 + HOLD_MS));
    ck_assert(grace_is_due(&grace, 11000 + HOLD_MS));
}
END_TEST

START_TEST(an_address_in_the_place_of_another_ends_the_waiting)
{
    see("5", "5", 1000);
    see("", "", 2000);
    see("6", "6", 3000);
    ck_assert_str_eq(waited_for(), "");
    see("7", "7", 4000); /* both at once */
    ck_assert_str_eq(waited_for(), "");
}
END_TEST

START_TEST(one_of_several_goes_and_comes_beside_the_others)
{
    see("567", "567", 1000);
    see("57", "57", 2000);
    ck_assert_str_eq(waited_for(), "6");
    see("7", "7", 3000);
    ck_assert_str_eq(waited_for(), "65");
    see("567", "567", 4000);
    ck_assert_str_eq(waited_for(), "");
}
END_TEST

START_TEST(an_address_that_is_there_but_no_longer_used_is_not_waited_for)
{
    see("56", "56", 1000);
    see("56", "5", 2000); /* another configuration */
    ck_assert_str_eq(waited_for(), "");
    see("", "", 3000);
    ck_assert_str_eq(waited_for(), "5");
    see("5", "", 4000); /* it is back, but not to be used */
    ck_assert_str_eq(waited_for(), "");
}
END_TEST

START_TEST(no_more_are_waited_for_than_there_is_room_for)
{
    for (uint32_t round = 0; round < 3; round++) {
        struct address all[EXTERNAL_ADDRESSES_MAX];

        for (uint32_t i = 0; i < EXTERNAL_ADDRESSES_MAX; i++)
            all[i] = address_from_ipv4(0xc6336400 + i);
        memcpy(used, all, sizeof(used));
        used_count = EXTERNAL_ADDRESSES_MAX;
        see("", "", 1000 + round);
        ck_assert_uint_eq(grace.count, EXTERNAL_ADDRESSES_MAX);
    }
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {an_address_that_goes_is_waited_for_until_the_hold_is_over, 1},
        {an_address_that_makes_way_for_a_new_one_is_not_waited_for, 1},
        {an_address_that_comes_back_is_no_longer_waited_for, 1},
        {an_address_that_goes_again_is_waited_for_again_and_as_long, 1},
        {an_address_in_the_place_of_another_ends_the_waiting, 1},
        {one_of_several_goes_and_comes_beside_the_others, 1},
        {an_address_that_is_there_but_no_longer_used_is_not_waited_for, 1},
        {no_more_are_waited_for_than_there_is_room_for, 1},
    };

    return RUN_REPEATED_TESTS("grace", setup, NULL, tests);
}
