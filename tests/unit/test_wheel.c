/*
 * test_wheel.c - lists by index beside an array, the timing wheel beside a plain set of deadlines
 */
#include "support.h"
#include "wheel.h"

#include <stdlib.h>

enum {
    ELEMENTS = 64,
};

/* An element with its link somewhere inside, as sessions have. */
struct element {
    uint8_t before[12];
    struct link link;
    uint8_t after[3];
};

static struct element elements[ELEMENTS];

static struct links links_of_elements(void)
{
    return (struct links){(uint8_t *)&elements[0].link, sizeof(struct element)};
}

START_TEST(a_list_keeps_the_order_of_its_model)
{
    struct chance chance = chance_new();
    struct links links = links_of_elements();
    uint32_t model[ELEMENTS], count = 0;
    bool listed[ELEMENTS] = {false};
    struct list list;

    list_init(&list);
    for (int round = 0; round < 20000; round++) {
        uint32_t index = chance_below(&chance, ELEMENTS), at = 0, walk, last = INDEX_NONE;

        if (!listed[index]) {
            list_append(&list, links, index);
            model[count++] = index;
        } else {
            list_remove(&list, links, index);
            while (model[at] != index)
                at++;
            for (count--; at < count; at++)
                model[at] = model[at + 1];
        }
        listed[index] = !listed[index];
        walk = list.head;
        for (uint32_t i = 0; i < count; i++, last = walk, walk = list_next(links, walk))
            seeded(&chance, walk == model[i]);
        seeded(&chance, walk == INDEX_NONE && list.tail == last);
    }
}
END_TEST

/* The wheel, and beside it when each element must come due. */
struct model {
    struct wheel wheel;
    bool armed[ELEMENTS];
    uint64_t due[ELEMENTS];   /* as asked for */
    uint64_t fires[ELEMENTS]; /* when it is to be looked at: clamped to the wheel's span */
    uint16_t slot[ELEMENTS];
    uint64_t next; /* the second that is looked at next */
};

static struct model *model_new(uint64_t now)
{
    struct model *model = calloc(1, sizeof(*model));

    ck_assert_ptr_nonnull(model);
    wheel_init(&model->wheel, links_of_elements(), now);
    model->next = now;
    return model;
}

static void model_arm(struct model *model, uint32_t index, uint64_t due)
{
    model->armed[index] = true;
    model->due[index] = model->fires[index] = due;
    if (due < model->next)
        model->fires[index] = model->next;
    if (due > model->next + WHEEL_SLOTS - 1)
        model->fires[index] = model->next + WHEEL_SLOTS - 1;
    model->slot[index] = wheel_arm(&model->wheel, index, due);
}

static void model_disarm(struct model *model, uint32_t index)
{
    wheel_disarm(&model->wheel, index, model->slot[index]);
    model->armed[index] = false;
}

static bool model_any_due(const struct model *model, uint64_t now)
{
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        if (model->armed[i] && model->fires[i] <= now)
            return true;
    }
    return false;
}

/* Takes what is due; what was armed at the far end only is armed again. */
static void model_take_all(struct model *model, struct chance *chance, uint64_t now)
{
    uint32_t index;

    while ((index = wheel_take_due(&model->wheel, now)) != INDEX_NONE) {
        seeded(chance, index < ELEMENTS && model->armed[index] && model->fires[index] <= now);
        if (model->next < model->fires[index])
            model->next = model->fires[index]; /* as far as the wheel has looked */
        model->armed[index] = false;
        if (model->due[index] > now)
            model_arm(model, index, model->due[index]);
    }
    seeded(chance, !model_any_due(model, now));
    if (model->next <= now)
        model->next = now + 1;
}

START_TEST(the_wheel_gives_what_is_due_and_nothing_else)
{
    static const uint32_t spans[] = {2, 60, 300, 7440, 8191, 8192, 8193, 20000, 100000};
    struct chance chance = chance_new();
    uint64_t now = 12345;
    struct model *model = model_new(now);

    for (int round = 0; round < 100000; round++) {
        uint32_t index = chance_below(&chance, ELEMENTS), span = spans[chance_below(&chance, 9)];

        if (model->armed[index] && chance_one_in(&chance, 2))
            model_disarm(model, index);
        else if (!model->armed[index])
            model_arm(model, index, now + chance_below(&chance, span));
        if (chance_one_in(&chance, 4)) {
            now += chance_below(&chance, chance_one_in(&chance, 1000) ? 30000 : 20);
            model_take_all(model, &chance, now);
        }
    }
    free(model);
}
END_TEST

START_TEST(a_deadline_comes_in_its_second_and_not_before)
{
    struct model *model = model_new(1000);

    model_arm(model, 3, 1300);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1299), INDEX_NONE);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1300), 3);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1300), INDEX_NONE);
    free(model);
}
END_TEST

START_TEST(a_deadline_that_has_passed_comes_next)
{
    struct model *model = model_new(1000);

    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1005), INDEX_NONE);
    model_arm(model, 3, 7);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1006), 3);
    free(model);
}
END_TEST

START_TEST(a_deadline_beyond_the_span_is_looked_at_on_the_way)
{
    struct model *model = model_new(1000);

    model_arm(model, 5, 1000 + 3 * WHEEL_SLOTS);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1000 + WHEEL_SLOTS - 2), INDEX_NONE);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1000 + WHEEL_SLOTS - 1), 5);
    free(model);
}
END_TEST

START_TEST(a_disarmed_element_never_comes)
{
    struct model *model = model_new(1000);

    model_arm(model, 1, 1010);
    model_arm(model, 2, 1010);
    model_arm(model, 3, 1010);
    model_disarm(model, 2);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 2000), 1);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 2000), 3);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 2000), INDEX_NONE);
    free(model);
}
END_TEST

START_TEST(time_that_stands_still_or_goes_back_gives_nothing)
{
    struct model *model = model_new(1000);

    model_arm(model, 1, 1001);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1000), INDEX_NONE);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 500), INDEX_NONE);
    ck_assert_uint_eq(wheel_take_due(&model->wheel, 1001), 1);
    free(model);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_list_keeps_the_order_of_its_model,
        the_wheel_gives_what_is_due_and_nothing_else,
        a_deadline_comes_in_its_second_and_not_before,
        a_deadline_that_has_passed_comes_next,
        a_deadline_beyond_the_span_is_looked_at_on_the_way,
        a_disarmed_element_never_comes,
        time_that_stands_still_or_goes_back_gives_nothing,
    };

    return RUN_TESTS("wheel", tests);
}
