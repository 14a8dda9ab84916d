/*
 * test_config_include.c - a configuration in several files
 */
#include "support_run.h"

#include "portreeve/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD                                                                                       \
    "[gateway]\nexternal = wan0\ninclude = conf.d/*.conf\n[share lab]\nsource = 10.0.0.0/24\n"
#define WEB "[forward web]\nlisten = 80/tcp\nto = 10.0.0.2:80\n"
#define SSH "[forward ssh]\nlisten = 22/tcp\nto = 10.0.0.2:22\n"

static char directory[] = "/tmp/portreeve-unit-[XXXXXX";
static char reports[4096];

static char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* The name of the directory is a pattern that does not match itself. */
static void set_up(void)
{
    strcpy(directory, "/tmp/portreeve-unit-[XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(mkdir(path_of("conf.d"), 0700), 0);
    write_file("main.conf", HEAD);
}

static void tear_down(void)
{
    static const char *const names[] = {
        "conf.d/10.conf", "conf.d/20.conf", "conf.d/30.conf", "conf.d/other.txt",
        "conf.d",         "main.conf",      "secret",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        remove(path_of(names[i]));
    ck_assert_int_eq(rmdir(directory), 0);
}

static void take_report(void *context, const char *message)
{
    (void)context;
    strncat(reports, message, sizeof(reports) - strlen(reports) - 2);
    strcat(reports, "\n");
}

static bool load(struct config *config)
{
    reports[0] = '\0';
    return config_load(path_of("main.conf"), config, take_report, take_report, NULL);
}

/* The report begins with the name of this file in the directory, and the rest of the text. */
static void reported(const char *file, const char *text)
{
    char expected[512];

    snprintf(expected, sizeof(expected), "%s/%s%s", directory, file, text);
    ck_assert_msg(strstr(reports, expected) != NULL, "expected '%s' in: %s", expected, reports);
}

START_TEST(files_are_read_in_the_order_of_their_names)
{
    struct config config;
    const struct forward *forward;

    write_file("conf.d/20.conf", "; comment\n" SSH);
    write_file("conf.d/10.conf", WEB);
    write_file("conf.d/other.txt", "nonsense");
    ck_assert_msg(load(&config), "%s", reports);
    ck_assert_uint_eq(policy_forward_count(config.policy), 2);
    forward = policy_forward(config.policy, 0);
    ck_assert_str_eq(forward->name, "web");
    ck_assert_uint_eq(forward->line, 1);
    ck_assert_str_eq(config_file(&config, "main", forward->file), path_of("conf.d/10.conf"));
    forward = policy_forward(config.policy, 1);
    ck_assert_str_eq(forward->name, "ssh");
    ck_assert_uint_eq(forward->line, 2);
    ck_assert_str_eq(config_file(&config, "main", forward->file), path_of("conf.d/20.conf"));
    config_free(&config);
}
END_TEST

START_TEST(no_file_is_fine_where_the_pattern_has_wildcards)
{
    struct config config;

    ck_assert_msg(load(&config), "%s", reports);
    ck_assert_uint_eq(config.included_count, 0);
    config_free(&config);
}
END_TEST

START_TEST(a_forward_of_the_file_itself_has_its_line)
{
    struct config config;

    write_file("main.conf", HEAD WEB);
    write_file("conf.d/10.conf", SSH);
    ck_assert_msg(load(&config), "%s", reports);
    ck_assert_uint_eq(policy_forward(config.policy, 0)->line, 6);
    ck_assert_uint_eq(policy_forward(config.policy, 0)->file, 0);
    config_free(&config);
}
END_TEST

START_TEST(errors_name_the_file_and_its_line)
{
    struct config config;

    write_file("conf.d/10.conf", "\xef\xbb\xbf" WEB "colour = red\n");
    write_file("conf.d/20.conf", "\n[forward web]\nlisten = 81/tcp\nto = 10.0.0.2:81\n");
    write_file("conf.d/30.conf", "[forward www]\nlisten = 80/tcp\nto = 10.0.0.3:80\n");
    ck_assert(!load(&config));
    reported("conf.d/10.conf", ":4: [forward web] colour");
    reported("conf.d/20.conf", ":2: [forward web]: this section already exists at line 1 of ");
    reported("conf.d/30.conf", ":2: [forward www] listen: port 80/tcp is already used by "
                               "[forward web] at line 2 of ");
}
END_TEST

START_TEST(a_file_begins_without_a_section_and_without_a_list)
{
    struct config config;

    write_file("main.conf", HEAD "allow = 10.0.0.0/8\n");
    write_file("conf.d/10.conf", WEB "allow = 192.0.2.1,\n");
    write_file("conf.d/20.conf", "  192.0.2.2\nnote = x\n");
    ck_assert(!load(&config));
    reported("conf.d/10.conf", ":4: [forward web] allow: the list ends with a comma");
    reported("conf.d/20.conf", ":1: ");
    reported("conf.d/20.conf", ":2: note = x: this line belongs to no section");
}
END_TEST

START_TEST(what_cannot_be_included_is_an_error_at_the_key)
{
    struct config config;

    write_file("main.conf", "[gateway]\nexternal = wan0\ninclude = nowhere.conf\n"
                            "[share lab]\nsource = 10.0.0.0/24\n");
    ck_assert(!load(&config));
    reported("main.conf", ":3: [gateway] include = nowhere.conf: ");
    ck_assert_ptr_nonnull(strstr(reports, "does not exist"));
    write_file("main.conf", HEAD);
    ck_assert_int_eq(mkfifo(path_of("conf.d/10.conf"), 0600), 0);
    ck_assert(!load(&config));
    reported("main.conf", ":3: [gateway] include = conf.d/*.conf: ");
    ck_assert_ptr_nonnull(strstr(reports, "is no regular file"));
}
END_TEST

START_TEST(an_included_file_includes_nothing)
{
    struct config config;

    write_file("conf.d/10.conf", "[gateway]\ninclude = ../secret\n");
    write_file("secret", "nonsense\n");
    ck_assert(!load(&config));
    reported("conf.d/10.conf", ":1: [gateway]: this section already exists at line 1 of ");
    ck_assert_ptr_null(strstr(reports, "nonsense"));
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {files_are_read_in_the_order_of_their_names, 1},
        {no_file_is_fine_where_the_pattern_has_wildcards, 1},
        {a_forward_of_the_file_itself_has_its_line, 1},
        {errors_name_the_file_and_its_line, 1},
        {a_file_begins_without_a_section_and_without_a_list, 1},
        {what_cannot_be_included_is_an_error_at_the_key, 1},
        {an_included_file_includes_nothing, 1},
    };

    return RUN_REPEATED_TESTS("config include", set_up, tear_down, tests);
}
