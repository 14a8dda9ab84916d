/*
 * test_register.c - the register of open ports, and its file
 */
#include "../../src/daemon/gateway/register_file.h"
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/portreeve-unit-XXXXXX";
static char path[64], aside[64];
static struct forward_register *ports;

static void set_up(void)
{
    strcpy(directory, "/tmp/portreeve-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/register.json", directory);
    snprintf(aside, sizeof(aside), "%s/register.json.unreadable", directory);
    ports = register_new();
    ck_assert_ptr_nonnull(ports);
}

static void tear_down(void)
{
    register_free(ports);
    unlink(path);
    unlink(aside);
    ck_assert_int_eq(rmdir(directory), 0);
}

static struct policy *with(const char *const *names, size_t count, const char *allow)
{
    struct policy *policy = lab_policy(FILTERING_ADDRESS_DEPENDENT);

    for (size_t i = 0; i < count; i++)
        add_forward(policy, names[i], FORWARD_TCP, (uint16_t)(80 + i), (uint16_t)(80 + i),
                    "10.0.0.80:8080", allow);
    return policy;
}

static void follow(const char *const *names, size_t count, const char *allow, int64_t now,
                   const char *who)
{
    struct policy *policy = with(names, count, allow);

    register_follow(ports, policy, now, who);
    policy_free(policy);
}

static const char *const both[] = {"web", "mail"};

START_TEST(entries_follow_the_forwards_by_name)
{
    follow(both, 2, NULL, 1000, NULL);
    ck_assert_int_eq(register_find(ports, "web")->since, 1000);
    ck_assert_str_eq(register_find(ports, "web")->added_by, "");
    ck_assert_ptr_null(register_find(ports, "ftp"));
    follow(&both[1], 1, NULL, 2000, "user 0");
    ck_assert_ptr_null(register_find(ports, "web"));
    ck_assert_int_eq(register_find(ports, "mail")->since, 1000);
    follow(both, 2, NULL, 3000, "user 0");
    ck_assert_int_eq(register_find(ports, "web")->since, 3000);
    ck_assert_str_eq(register_find(ports, "web")->added_by, "user 0");
    ck_assert_uint_eq(register_count(ports), 2);
}
END_TEST

START_TEST(a_changed_value_is_noticed_with_its_time)
{
    follow(both, 1, NULL, 1000, NULL);
    follow(both, 1, NULL, 2000, "user 1");
    ck_assert_int_eq(register_find(ports, "web")->changed, 0);
    follow(both, 1, "192.0.2.0/24", 3000, "user 1");
    ck_assert_int_eq(register_find(ports, "web")->changed, 3000);
    ck_assert_str_eq(register_find(ports, "web")->changed_by, "user 1");
    ck_assert_int_eq(register_find(ports, "web")->added, 1000);
}
END_TEST

static struct register_entry used_entry(void)
{
    struct register_entry entry = {.name = "web",
                                   .since = 1700000000,
                                   .added = 1600000000,
                                   .changed = 1650000000,
                                   .added_by = "user 0 (process 1)",
                                   .values = 77};

    entry.use = (struct forward_use){.opened = 3,
                                     .bytes_in = UINT64_C(1) << 40,
                                     .bytes_out = 5,
                                     .first_used = 1700000001,
                                     .last_used = 1700000002};
    entry.use.refused[DROP_NOT_ALLOWED] = 9;
    return entry;
}

static void save(void)
{
    struct error error = {0};

    register_set_changed(ports);
    ck_assert_int_eq(register_file_save(directory, ports, &error), 0);
}

static void load(void)
{
    register_free(ports);
    ports = register_new();
    ck_assert_ptr_nonnull(ports);
    register_file_load(directory, ports);
}

START_TEST(what_was_written_is_read_again)
{
    struct register_entry entry = used_entry();
    const struct register_entry *found;

    ck_assert(register_restore(ports, &entry));
    ck_assert(!register_restore(ports, &entry)); /* a second one of that name */
    save();
    load();
    ck_assert_uint_eq(register_count(ports), 1);
    found = register_find(ports, "web");
    ck_assert_ptr_nonnull(found);
    ck_assert_mem_eq(found, &entry, sizeof(entry));
    ck_assert_int_eq(access(aside, F_OK), -1);
}
END_TEST

START_TEST(it_is_written_only_after_a_change)
{
    struct error error = {0};

    follow(both, 2, NULL, 1000, NULL);
    ck_assert_int_eq(register_file_save(directory, ports, &error), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(register_file_save(directory, ports, &error), 0);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(no_file_is_an_empty_register)
{
    load();
    ck_assert_uint_eq(register_count(ports), 0);
    ck_assert_int_eq(access(aside, F_OK), -1);
}
END_TEST

/* Replaces `old` in the file by `new`, and reads it. */
static void spoil(const char *old, const char *new)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t length;
    char *at;

    ck_assert_ptr_nonnull(file);
    length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    fclose(file);
    at = strstr(text, old);
    ck_assert_ptr_nonnull(at);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    ck_assert_int_eq(fclose(file), 0);
    load();
}

START_TEST(a_file_that_makes_no_sense_is_set_aside_and_not_believed)
{
    static const char *const changes[][2] = {
        {"\"version\": 1", "\"version\": 2"},
        {"\"version\": 1", "\"version\": \"1\""},
        {"]}", "]"},
        {"\"opened\":3", "\"opened\":-3"},
        {"\"opened\":3", "\"opened\":3.5"},
        {"\"name\":\"web\"", "\"name\":\"../web\""},
        {"\"name\":\"web\"", "\"name\":4"},
        {"\"not-allowed\":9", "\"not-allowed\":\"9\""},
        {"\"ports\": [", "\"ports\": [3,"},
        {"1700000002", "999999999999999"},
        {"\"refused\":{", "\"refuse\":{"},
        {"\"since\"", "\"hence\""},
    };

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct register_entry entry = used_entry();

        register_free(ports);
        ports = register_new();
        ck_assert(register_restore(ports, &entry));
        save();
        spoil(changes[i][0], changes[i][1]);
        ck_assert_msg(register_count(ports) == 0, "believed: %s", changes[i][1]);
        ck_assert_int_eq(access(path, F_OK), -1);
        ck_assert_int_eq(unlink(aside), 0);
    }
}
END_TEST

START_TEST(a_link_is_not_followed)
{
    char target[80];

    follow(both, 1, NULL, 1000, NULL);
    save();
    snprintf(target, sizeof(target), "%s/other", directory);
    ck_assert_int_eq(rename(path, target), 0);
    ck_assert_int_eq(symlink("other", path), 0);
    load();
    ck_assert_uint_eq(register_count(ports), 0);
    ck_assert_int_eq(unlink(target), 0);
}
END_TEST

START_TEST(a_reason_of_another_version_is_left_out)
{
    struct register_entry entry = used_entry();

    ck_assert(register_restore(ports, &entry));
    save();
    spoil("\"not-allowed\":9", "\"not-on-tuesdays\":9");
    ck_assert_uint_eq(register_find(ports, "web")->use.opened, 3);
    ck_assert_uint_eq(register_find(ports, "web")->use.refused[DROP_NOT_ALLOWED], 0);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {entries_follow_the_forwards_by_name, 1},
        {a_changed_value_is_noticed_with_its_time, 1},
        {what_was_written_is_read_again, 1},
        {it_is_written_only_after_a_change, 1},
        {no_file_is_an_empty_register, 1},
        {a_file_that_makes_no_sense_is_set_aside_and_not_believed, 1},
        {a_link_is_not_followed, 1},
        {a_reason_of_another_version_is_left_out, 1},
    };

    return RUN_REPEATED_TESTS("register", set_up, tear_down, tests);
}
