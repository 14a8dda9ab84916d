/*
 * test_index.c - the hash index beside an array of what it holds
 *
 * Few lines, and hashes of few bits, so that lines overflow into each other and tags clash.
 */
#include "index.h"
#include "support.h"
#include "wheel.h"

enum {
    NODES = 100,
};

struct model {
    struct index index;
    uint64_t hash[NODES];
    bool present[NODES];
};

static uint64_t any_hash(struct chance *chance)
{
    return (uint64_t)chance_below(chance, 8) << 61 | chance_below(chance, 4) |
           UINT64_C(0xfffffffc) * chance_below(chance, 2);
}

/* Every node of this hash is given once, and no node that the index does not hold. */
static void check_hash(const struct model *model, struct chance *chance, uint64_t hash)
{
    struct index_search search = index_search(&model->index, hash);
    bool given[NODES] = {false};
    uint32_t node;

    while ((node = index_next(&model->index, &search)) != INDEX_NONE) {
        seeded(chance, node < NODES && model->present[node] && !given[node]);
        given[node] = true;
    }
    for (node = 0; node < NODES; node++)
        seeded(chance, !model->present[node] || model->hash[node] != hash || given[node]);
}

static void change(struct model *model, struct chance *chance)
{
    uint32_t node = chance_below(chance, NODES), other = chance_below(chance, NODES);

    if (!model->present[node]) {
        model->hash[node] = any_hash(chance);
        model->present[node] = true;
        index_add(&model->index, model->hash[node], node);
    } else if (!model->present[other] && chance_one_in(chance, 2)) {
        index_replace(&model->index, model->hash[node], node, other);
        model->hash[other] = model->hash[node];
        model->present[other] = true;
        model->present[node] = false;
    } else if (chance_one_in(chance, 2)) {
        index_remove(&model->index, model->hash[node], node);
        model->present[node] = false;
    }
}

START_TEST(the_index_finds_what_an_array_finds)
{
    struct chance chance = chance_new();
    struct model model = {.hash = {0}};

    ck_assert(index_init(&model.index, NODES, NODES));
    for (int round = 0; round < 50000; round++) {
        change(&model, &chance);
        check_hash(&model, &chance, any_hash(&chance));
    }
    index_fini(&model.index);
}
END_TEST

START_TEST(a_removal_leaves_no_trace)
{
    struct chance chance = chance_new();
    struct model model = {.hash = {0}};

    ck_assert(index_init(&model.index, NODES, NODES));
    for (int round = 0; round < 20000; round++)
        change(&model, &chance);
    for (uint32_t node = 0; node < NODES; node++) {
        if (model.present[node])
            index_remove(&model.index, model.hash[node], node);
    }
    for (uint32_t line = 0; line < model.index.lines; line++) {
        ck_assert_uint_eq(model.index.line[line].passed, 0);
        for (int at = 0; at < INDEX_LINE_ENTRIES; at++)
            ck_assert_uint_eq(model.index.line[line].entry[at], UINT32_MAX);
    }
    index_fini(&model.index);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_index_finds_what_an_array_finds,
        a_removal_leaves_no_trace,
    };

    return RUN_TESTS("index", tests);
}
