/*
 * test_saved_forwards.c - run-time forwards that an earlier run has saved
 */
#include "../../src/daemon/gateway/runtime_forwards.h"
#include "support_run.h"

#include "portreeve/policy.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MANY 32000

static char directory[] = "/tmp/portreeve-unit-XXXXXX";
static char path[sizeof(directory) + sizeof("/forwards.json")];
static struct policy *configured;

static void set_up(void)
{
    strcpy(directory, "/tmp/portreeve-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/forwards.json", directory);
    configured = policy_new();
    ck_assert_ptr_nonnull(configured);
}

static void tear_down(void)
{
    policy_free(configured);
    unlink(path);
    rmdir(directory);
}

/* A forward on each port from 1000 up. */
static void save(unsigned int count)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs("[", file);
    for (unsigned int i = 0; i < count; i++)
        fprintf(
            file,
            "%s{\"name\": \"forward-%u\", \"listen\": \"%u/tcp+udp\", \"to\": \"10.%u.%u.2:80\"}",
            i > 0 ? ",\n" : "", i, 1000 + i, i / 256, i % 256);
    fputs("]\n", file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
}

/* How much time of the processor it takes to load them, in seconds: the best of three. */
static double time_to_load(unsigned int count)
{
    double best = 1e9;

    save(count);
    for (int i = 0; i < 3; i++) {
        clock_t begin = clock();
        struct policy *saved = runtime_forwards_load(directory, configured);
        double took = (double)(clock() - begin) / CLOCKS_PER_SEC;

        ck_assert_uint_eq(policy_forward_count(saved), count);
        policy_free(saved);
        best = took < best ? took : best;
    }
    return best;
}

/* With a comparison of each with each, four times as many took sixteen times as long. */
START_TEST(four_times_as_many_take_about_four_times_as_long)
{
    double few = time_to_load(MANY / 4), many = time_to_load(MANY);

    ck_assert_msg(many < 12 * few, "%d: %.3f s, %d: %.3f s", MANY / 4, few, MANY, many);
}
END_TEST

static void save_two(const char *first, const char *second)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fprintf(file, "[%s, %s]\n", first, second);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
}

/* Somebody has edited the file. */
START_TEST(of_two_with_one_name_or_one_port_the_first_is_used)
{
    static const char *const second[] = {
        "{\"name\": \"a\", \"listen\": \"81/tcp\", \"to\": \"10.0.0.3:80\"}",
        "{\"name\": \"b\", \"listen\": \"70-90/tcp\", \"to\": \"10.0.0.3:70\"}",
    };
    struct policy *saved;

    save_two("{\"name\": \"a\", \"listen\": \"80/tcp\", \"to\": \"10.0.0.2:80\"}", second[_i]);
    saved = runtime_forwards_load(directory, configured);
    ck_assert_uint_eq(policy_forward_count(saved), 1);
    ck_assert_str_eq(policy_forward(saved, 0)->name, "a");
    ck_assert_uint_eq(policy_forward(saved, 0)->listen.first, 80);
    policy_free(saved);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {four_times_as_many_take_about_four_times_as_long, 1},
        {of_two_with_one_name_or_one_port_the_first_is_used, 2},
    };

    return RUN_REPEATED_TESTS("saved forwards", set_up, tear_down, tests);
}
