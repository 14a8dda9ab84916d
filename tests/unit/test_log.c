/*
 * test_log.c - what reaches stderr, byte for byte
 */
#include "support_run.h"

#include "portreeve/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_stderr, capture;

static void setup(void)
{
    char name[] = "/tmp/portreeve-test-XXXXXX";

    capture = mkstemp(name);
    ck_assert_int_ge(capture, 0);
    unlink(name);
    real_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(capture, STDERR_FILENO), 0);
}

static void teardown(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(capture);
}

static void open_log(enum log_level level, enum log_target target)
{
    log_open(&(struct log_options){level, target});
}

static const char *captured(void)
{
    static char text[1 << 20];
    ssize_t length = pread(capture, text, sizeof(text) - 1, 0);

    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    return text;
}

START_TEST(before_it_is_opened_notices_go_to_stderr)
{
    log_notice("starting %d", 1);
    log_info("not this");
    ck_assert_str_eq(captured(), "portreeved: notice: starting 1\n");
}
END_TEST

START_TEST(what_is_below_the_level_is_not_said)
{
    open_log(LOG_LEVEL_WARNING, LOG_TARGET_STDERR);
    log_error("e");
    log_warning("w");
    log_notice("n");
    log_info("i");
    log_debug("d");
    ck_assert_str_eq(captured(), "portreeved: error: e\nportreeved: warning: w\n");
}
END_TEST

START_TEST(the_journal_gets_the_level_as_a_number)
{
    open_log(LOG_LEVEL_DEBUG, LOG_TARGET_JOURNAL);
    log_error("e");
    log_warning("w");
    log_notice("n");
    log_info("i");
    log_debug("d");
    ck_assert_str_eq(captured(), "<3>e\n<4>w\n<5>n\n<6>i\n<7>d\n");
}
END_TEST

START_TEST(auto_asks_whether_stderr_is_the_journals_stream)
{
    struct stat status;
    char stream[64];

    ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    open_log(LOG_LEVEL_INFO, LOG_TARGET_AUTO);
    log_info("a");
    setenv("JOURNAL_STREAM", "1:1", 1);
    open_log(LOG_LEVEL_INFO, LOG_TARGET_AUTO);
    log_info("b");
    unsetenv("JOURNAL_STREAM");
    open_log(LOG_LEVEL_INFO, LOG_TARGET_AUTO);
    log_info("c");
    ck_assert_str_eq(captured(), "<6>a\nportreeved: info: b\nportreeved: info: c\n");
}
END_TEST

START_TEST(hostile_input_forges_no_line_and_commands_no_terminal)
{
    open_log(LOG_LEVEL_INFO, LOG_TARGET_JOURNAL);
    log_info("%s", "one\n<3>two\r\x1b[2J\x7f \xff\xc2\x9b caf\xc3\xa9");
    ck_assert_str_eq(captured(),
                     "<6>one\\x0a<3>two\\x0d\\x1b[2J\\x7f \\xff\\xc2\\x9b caf\xc3\xa9\n");
}
END_TEST

START_TEST(a_long_message_is_cut_and_says_so)
{
    char message[5000];
    const char *line;

    memset(message, '\x01', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    open_log(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
    log_info("%s", message);
    line = captured();
    ck_assert_uint_gt(strlen(line), 1024);
    ck_assert_str_eq(line + strlen(line) - strlen("\\x01 [cut]\n"), "\\x01 [cut]\n");
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}
END_TEST

START_TEST(errno_survives_and_can_be_quoted)
{
    errno = ENOENT;
    log_error("cannot: %m");
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_str_eq(captured(), "portreeved: error: cannot: No such file or directory\n");
}
END_TEST

#define THREADS 4
#define LINES   500

static void *write_lines(void *name)
{
    for (int i = 0; i < LINES; i++)
        log_info("%s%s%s%s", (char *)name, (char *)name, (char *)name, (char *)name);
    return NULL;
}

START_TEST(lines_of_several_threads_do_not_mix)
{
    static char names[THREADS][9] = {"aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"};
    pthread_t threads[THREADS];
    const char *text;
    int lines = 0;

    open_log(LOG_LEVEL_INFO, LOG_TARGET_JOURNAL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (text = captured(); *text != '\0'; text += 36, lines++) {
        ck_assert_int_eq(strncmp(text, "<6>", 3), 0);
        for (int i = 4; i < 35; i++)
            ck_assert_int_eq(text[i], text[3]);
        ck_assert_int_eq(text[35], '\n');
    }
    ck_assert_int_eq(lines, THREADS * LINES);
}
END_TEST

int main(void)
{
    const struct repeated_test tests[] = {
        {before_it_is_opened_notices_go_to_stderr, 1},
        {what_is_below_the_level_is_not_said, 1},
        {the_journal_gets_the_level_as_a_number, 1},
        {auto_asks_whether_stderr_is_the_journals_stream, 1},
        {hostile_input_forges_no_line_and_commands_no_terminal, 1},
        {a_long_message_is_cut_and_says_so, 1},
        {errno_survives_and_can_be_quoted, 1},
        {lines_of_several_threads_do_not_mix, 1},
    };

    return RUN_REPEATED_TESTS("log", setup, teardown, tests);
}
