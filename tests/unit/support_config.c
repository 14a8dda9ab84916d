/*
 * support_config.c - what the tests of the configuration share
 */
#include "support_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char config_path[] = "/tmp/portreeve-test-XXXXXX";
struct config loaded;
char *config_errors[MESSAGES_MAX], *config_warnings[MESSAGES_MAX];
size_t config_error_count, config_warning_count;

void config_setup(void)
{
    int descriptor;

    strcpy(config_path + sizeof(config_path) - 7, "XXXXXX");
    descriptor = mkstemp(config_path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    config_error_count = config_warning_count = 0;
}

void config_teardown(void)
{
    unlink(config_path);
    while (config_error_count > 0)
        free(config_errors[--config_error_count]);
    while (config_warning_count > 0)
        free(config_warnings[--config_warning_count]);
}

void config_keep_error(void *context, const char *message)
{
    ck_assert_ptr_eq(context, &loaded);
    ck_assert_uint_lt(config_error_count, MESSAGES_MAX);
    config_errors[config_error_count++] = strdup(message);
}

static void keep_warning(void *context, const char *message)
{
    ck_assert_ptr_eq(context, &loaded);
    ck_assert_uint_lt(config_warning_count, MESSAGES_MAX);
    config_warnings[config_warning_count++] = strdup(message);
}

bool config_load_bytes(const char *bytes, size_t length)
{
    FILE *file = fopen(config_path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
    return config_load(config_path, &loaded, config_keep_error, keep_warning, &loaded);
}

bool config_load_text(const char *text)
{
    return config_load_bytes(text, strlen(text));
}

static void print_messages(void)
{
    for (size_t i = 0; i < config_error_count; i++)
        fprintf(stderr, "error:   %s\n", config_errors[i]);
    for (size_t i = 0; i < config_warning_count; i++)
        fprintf(stderr, "warning: %s\n", config_warnings[i]);
}

void config_must_load(const char *text)
{
    size_t before = config_error_count;
    bool good = config_load_text(text);

    if (!good)
        print_messages();
    ck_assert(good);
    ck_assert_uint_eq(config_error_count, before);
}

const char *config_without_path(const char *message)
{
    ck_assert_msg(strncmp(message, config_path, strlen(config_path)) == 0, "%s", message);
    return message + strlen(config_path) + 1;
}

void config_must_fail(const char *text, ...)
{
    const char *expected;
    size_t count = 0;
    va_list list;

    ck_assert(!config_load_text(text));
    va_start(list, text);
    while ((expected = va_arg(list, const char *)) && count < config_error_count)
        ck_assert_str_eq(config_without_path(config_errors[count++]), expected);
    va_end(list);
    if (count != config_error_count)
        print_messages();
    ck_assert_msg(!expected, "missing: %s", expected);
    ck_assert_uint_eq(count, config_error_count);
}
