/*
 * test_log.c - what reaches stderr, byte for byte
 */
#include "support_run.h"

#include "../../src/daemon/log_limit.h"
#include "../../src/daemon/log_output.h"
#include "portreeve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* ---- nobody reads ---- */

static const char *const ways[] = {"a pipe", "a pipe that may not be opened anew",
                                   "a socket, as the journal's", "a terminal"};
enum { PIPE, FOREIGN_PIPE, SOCKET, TERMINAL };

static int reader;

/* Standard error becomes one end of this; `reader` is the other. */
static void connect_stderr(int way)
{
    int ends[2] = {-1, -1};

    if (way == SOCKET) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    } else if (way == TERMINAL) {
        ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
        ck_assert_int_eq(grantpt(ends[0]) | unlockpt(ends[0]), 0);
        ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
    } else {
        ck_assert_int_eq(pipe(ends), 0);
    }
    ck_assert_int_ge(ends[1], 0);
    reader = ends[0];
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    if (way == FOREIGN_PIPE && geteuid() == 0)
        ck_assert_int_eq(seteuid(65534), 0);
    open_log(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
    ck_assert_int_eq(seteuid(getuid()), 0);
}

/* What has been written and not read yet, whole lines. */
static char *read_all(void)
{
    static char text[1 << 20];
    size_t used = 0;
    ssize_t length;

    ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
    while ((length = read(reader, text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)length;
    text[used] = '\0';
    return text;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;

    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

/* The number before these words. */
static unsigned number_before(const char *text, const char *words)
{
    const char *at = strstr(text, words);

    ck_assert_msg(at != NULL, "%s is not in: %.200s", words, text);
    for (at--; at > text && at[-1] >= '0' && at[-1] <= '9'; at--)
        continue;
    return (unsigned)strtoul(at, NULL, 10);
}

#define UNREAD 20000

/* It would hang here, and Check would end it. */
START_TEST(a_log_that_nobody_reads_stops_nobody_and_says_what_was_lost)
{
    static char all[1 << 21];
    unsigned lost;
    char *end;

    connect_stderr(_i);
    for (int i = 0; i < UNREAD; i++)
        log_info("line %06d of the log that nobody reads", i);
    ck_assert_uint_gt(log_lost(), 0);
    strcpy(all, read_all());
    for (int i = 0; i < 100; i++) { /* what was kept comes as there is room */
        log_tick();
        strcat(all, read_all());
    }
    lost = number_before(all, " lines of the log were lost");
    ck_assert_uint_eq(lost, log_lost());
    ck_assert_msg(count_of(all, "of the log that nobody reads") + lost == UNREAD, "%s: %u and %u",
                  ways[_i], count_of(all, "of the log that nobody reads"), lost);
    ck_assert_uint_eq(count_of(all, " lines of the log were lost"), 1);
    log_info("read again");
    end = read_all();
    ck_assert_uint_eq(count_of(end, "portreeved: info: read again"), 1);
}
END_TEST

/* It is an open file that other processes share, and some of them cannot bear O_NONBLOCK. */
START_TEST(the_flags_of_standard_error_stay)
{
    int before;

    connect_stderr(_i);
    before = fcntl(STDERR_FILENO, F_GETFL);
    for (int i = 0; i < UNREAD; i++)
        log_info("line %06d of the log that nobody reads", i);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL), before);
    ck_assert_int_eq(before & O_NONBLOCK, 0);
}
END_TEST

START_TEST(the_end_waits_a_moment_for_a_slow_reader)
{
    connect_stderr(PIPE);
    while (log_lost() == 0)
        log_info("one more line, until there is no room for it");
    read_all(); /* the buffer is smaller than what was just read */
    log_finish();
    ck_assert_uint_ge(count_of(read_all(), "one more line"), 500);
}
END_TEST

START_TEST(a_reader_that_has_gone_is_no_error)
{
    signal(SIGPIPE, SIG_IGN); /* as the daemon does it */
    connect_stderr(_i);
    close(reader);
    log_info("nobody");
    log_finish();
    ck_assert_uint_eq(log_lost(), 1);
}
END_TEST

/* ---- syslog ---- */

static struct sockaddr_un syslog_address = {.sun_family = AF_UNIX};

/* Becomes the system's log. */
static void serve_syslog(void)
{
    unlink(syslog_address.sun_path);
    reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(reader, (struct sockaddr *)&syslog_address, sizeof(syslog_address)), 0);
}

static void open_syslog(void)
{
    snprintf(syslog_address.sun_path, sizeof(syslog_address.sun_path), "/tmp/portreeve-test-log-%d",
             (int)getpid());
    serve_syslog();
    log_output_open(syslog_address.sun_path);
    unlink(syslog_address.sun_path);
}

START_TEST(syslog_gets_a_datagram_for_each_line_also_after_its_restart)
{
    open_syslog();
    log_output_write("one\n", 4);
    ck_assert_str_eq(read_all(), "one");
    close(reader);
    serve_syslog();
    log_output_write("two\n", 4);
    unlink(syslog_address.sun_path);
    ck_assert_str_eq(read_all(), "two");
    ck_assert_uint_eq(log_lost(), 0);
}
END_TEST

START_TEST(a_syslog_that_does_not_read_stops_nobody)
{
    open_syslog();
    for (int i = 0; i < UNREAD; i++)
        log_output_write("line of the log that nobody reads\n", 34);
    ck_assert_uint_gt(log_lost(), 0);
    ck_assert_uint_gt(strlen(read_all()), 33);
    log_output_flush(0);
    ck_assert_uint_gt(strlen(read_all()), 33); /* what was kept */
}
END_TEST

/* ---- too much of one kind ---- */

START_TEST(lines_of_one_kind_are_limited_once_the_daemon_runs)
{
    open_log(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
    for (int i = 0; i < 100; i++)
        log_info("address %d", i);
    ck_assert_uint_eq(count_of(captured(), "address"), 100); /* the start says all */
    log_tick();
    for (int i = 0; i < 7017; i++)
        log_info("no place for client %d", i);
    log_warning("something else");
    ck_assert_uint_eq(count_of(captured(), "no place for client"), 60);
    ck_assert_uint_eq(count_of(captured(), "something else"), 1);
}
END_TEST

START_TEST(what_an_administrator_does_is_logged_more_often)
{
    open_log(LOG_LEVEL_INFO, LOG_TARGET_STDERR);
    log_tick();
    for (int i = 0; i < 1100; i++)
        log_change("root: forward %d added", i);
    ck_assert_uint_eq(count_of(captured(), "added"), 1000);
}
END_TEST

static struct log_limits limits;

static bool admit(const char *format, const char *message, uint64_t now)
{
    return log_limits_admit(&limits, log_kind_of(format, message), 3, LOG_LEVEL_INFO, message, now);
}

START_TEST(a_minute_later_one_line_says_how_many_more_there_were)
{
    struct log_kind kind;

    for (int i = 0; i < 3; i++)
        ck_assert(admit("client %d", "client 1", 1000));
    for (int i = 0; i < 7014; i++)
        ck_assert(!admit("client %d", "client 2", 1000 + (uint64_t)i));
    ck_assert(!log_limits_take(&limits, 60999, &kind));
    ck_assert(log_limits_take(&limits, 61000, &kind));
    ck_assert_uint_eq(kind.more, 7014);
    ck_assert_str_eq(kind.last, "client 2");
    ck_assert_int_eq(kind.level, LOG_LEVEL_INFO);
    ck_assert(!log_limits_take(&limits, 61000, &kind));
    ck_assert(admit("client %d", "client 3", 61000));
}
END_TEST

START_TEST(a_quiet_minute_says_nothing)
{
    struct log_kind kind;

    for (uint64_t minute = 0; minute < 10; minute++) {
        for (int i = 0; i < 3; i++)
            ck_assert(admit("client %d", "client 1", 1000 + minute * 60000));
    }
    ck_assert(!log_limits_take(&limits, 10000000, &kind));
}
END_TEST

/* "%s" is the format of many kinds. */
START_TEST(without_a_format_the_message_without_its_digits_is_the_kind)
{
    ck_assert_uint_eq(log_kind_of("%s", "10.0.0.7 has 80 of 100"),
                      log_kind_of("%s", "10.0.0.12 has 800 of 1000"));
    ck_assert_uint_ne(log_kind_of("%s", "the table is full"), log_kind_of("%s", "the pool is dry"));
    ck_assert_uint_eq(log_kind_of("client %s", "client a"), log_kind_of("client %s", "client b"));
}
END_TEST

/* Each kind that finds no place has at most its share of the place that they share. */
START_TEST(a_thousand_kinds_are_bounded_too)
{
    char message[32] = "", *end = message;
    struct log_kind kind;
    unsigned admitted = 0;
    uint64_t more = 0;

    for (int round = 0; round < 10; round++) {
        for (int n = 0; n < 1000; n++) {
            end = message;
            for (int rest = n; end - message < 4; rest /= 6)
                *end++ = (char)('a' + rest % 6);
            *end = '\0';
            admitted += admit("%s", message, 1000);
        }
    }
    ck_assert_uint_le(admitted, 3 * (LOG_KINDS + 1));
    ck_assert_uint_ge(admitted, 3 * LOG_KINDS / 2);
    while (log_limits_take(&limits, 100000, &kind))
        more += kind.more;
    ck_assert_uint_eq(admitted + more, 10000);
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
        {a_log_that_nobody_reads_stops_nobody_and_says_what_was_lost,
         sizeof(ways) / sizeof(ways[0])},
        {the_flags_of_standard_error_stay, sizeof(ways) / sizeof(ways[0])},
        {the_end_waits_a_moment_for_a_slow_reader, 1},
        {a_reader_that_has_gone_is_no_error, TERMINAL},
        {syslog_gets_a_datagram_for_each_line_also_after_its_restart, 1},
        {a_syslog_that_does_not_read_stops_nobody, 1},
        {lines_of_one_kind_are_limited_once_the_daemon_runs, 1},
        {what_an_administrator_does_is_logged_more_often, 1},
        {a_minute_later_one_line_says_how_many_more_there_were, 1},
        {a_quiet_minute_says_nothing, 1},
        {without_a_format_the_message_without_its_digits_is_the_kind, 1},
        {a_thousand_kinds_are_bounded_too, 1},
    };

    return RUN_REPEATED_TESTS("log", setup, teardown, tests);
}
