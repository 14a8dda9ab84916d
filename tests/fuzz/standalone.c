/*
 * standalone.c - runs a fuzzer without a fuzzing engine
 *
 *     fuzz_x [-r N SEED] [FILE | DIRECTORY]...
 *
 * Feeds every file (directories are walked) to LLVMFuzzerTestOneInput. With -r, then N inputs more
 * that are made from the files by pseudo-random changes, the same ones for the same seed, corpus
 * and order of arguments. No coverage guides it; it finds what a few million blind changes of good
 * inputs find. An input that crashes is left in the file crash-SEED-NUMBER.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX  65536
#define CORPUS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/*
 * Of gcc and clang sanitizers, where they are linked in: called before a report ends the process.
 */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct input {
    uint8_t *data;
    size_t size;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_size;
static uint8_t current[INPUT_MAX];
static size_t current_size;
static char crash_name[64];

static uint64_t state;

static uint64_t random_number(void)
{
    state ^= state << 13; /* xorshift64, Marsaglia 2003 */
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t random_below(size_t bound)
{
    return (size_t)(random_number() >> 11) % bound;
}

static void add_input(const void *data, size_t size)
{
    struct input *input = &corpus[corpus_size];

    if (corpus_size == CORPUS_MAX)
        return;
    input->data = malloc(size + 1);
    if (!input->data)
        return;
    memcpy(input->data, data, size);
    input->size = size;
    corpus_size++;
}

static bool add_path(const char *path);

static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static bool add_directory(const char *path)
{
    struct dirent **entries;
    int count =
        scandir(path, &entries, NULL, by_name); /* sorted: a seed means the same everywhere */
    bool good = count >= 0;

    for (int i = 0; i < count; i++) {
        char *name = NULL;

        if (entries[i]->d_name[0] != '.' && asprintf(&name, "%s/%s", path, entries[i]->d_name) > 0)
            good &= add_path(name);
        free(name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return good;
}

static bool add_path(const char *path)
{
    struct stat status;
    FILE *file;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return add_directory(path);
    file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    current_size = fread(current, 1, sizeof(current), file);
    fclose(file);
    add_input(current, current_size);
    return true;
}

/* ---- changes ---- */

static void change_byte(void)
{
    static const uint8_t telling[] = {0,   1,   0x7f, 0x80, 0xff, '\n', '\r', ' ', ';',
                                      '=', '[', ']',  ',',  '/',  '-',  '0',  '9'};

    if (current_size == 0)
        return;
    if (random_below(2))
        current[random_below(current_size)] = telling[random_below(sizeof(telling))];
    else
        current[random_below(current_size)] ^= (uint8_t)(1u << random_below(8));
}

static void cut_out(void)
{
    size_t start, length;

    if (current_size == 0)
        return;
    start = random_below(current_size);
    length = 1 + random_below(random_below(4) ? 8 : current_size);
    if (length > current_size - start)
        length = current_size - start;
    memmove(current + start, current + start + length, current_size - start - length);
    current_size -= length;
}

/* Puts a piece of an input, perhaps of this one, somewhere into this one. */
static void insert_piece(void)
{
    const struct input *other = &corpus[random_below(corpus_size)];
    size_t from, length, to = random_below(current_size + 1);

    if (other->size == 0)
        return;
    from = random_below(other->size);
    length = 1 + random_below(random_below(4) ? 16 : other->size);
    if (length > other->size - from)
        length = other->size - from;
    if (length > sizeof(current) - current_size)
        return;
    memmove(current + to + length, current + to, current_size - to);
    memcpy(current + to, other->data + from, length);
    current_size += length;
}

/* One byte many times over: long lines, long numbers. */
static void repeat_byte(void)
{
    size_t at, length = 1 + random_below(random_below(8) ? 32 : 6000);

    if (current_size == 0 || length > sizeof(current) - current_size)
        return;
    at = random_below(current_size);
    memmove(current + at + length, current + at, current_size - at);
    memset(current + at, current[at + length], length);
    current_size += length;
}

static void make_input(void)
{
    static void (*const changes[])(void) = {change_byte, change_byte, cut_out, insert_piece,
                                            repeat_byte};
    const struct input *origin = &corpus[random_below(corpus_size)];

    current_size = origin->size;
    memcpy(current, origin->data, origin->size);
    for (size_t i = 1 + random_below(6); i > 0; i--)
        changes[random_below(sizeof(changes) / sizeof(changes[0]))]();
}

/* ---- running ---- */

/* The fuzzer gets a block of its own, so that the sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        return;
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void save_crash(void)
{
    int descriptor = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (descriptor < 0)
        return;
    if (write(descriptor, current, current_size) == (ssize_t)current_size)
        fprintf(stderr, "the input is in %s\n", crash_name);
    close(descriptor);
}

static void die(int signal_number)
{
    save_crash();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run_random(unsigned long count, unsigned long seed)
{
    static const char *const built_in[] = {"", "0", "[a]\nb = c\n"};

    for (size_t i = 0; corpus_size < 3 && i < 3; i++)
        add_input(built_in[i], strlen(built_in[i]));
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(save_crash);
    signal(SIGABRT, die);
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (unsigned long i = 0; i < count; i++) {
        snprintf(crash_name, sizeof(crash_name), "crash-%lu-%lu", seed, i);
        make_input();
        run(current, current_size);
    }
}

int main(int argc, char **argv)
{
    unsigned long count = 0, seed = 1;
    bool good = true;
    int first = 1;

    if (argc >= 4 && strcmp(argv[1], "-r") == 0) {
        count = strtoul(argv[2], NULL, 10);
        seed = strtoul(argv[3], NULL, 10);
        first = 4;
    }
    for (int i = first; i < argc; i++)
        good &= add_path(argv[i]);
    for (size_t i = 0; i < corpus_size; i++)
        run(corpus[i].data, corpus[i].size);
    printf("%zu files", corpus_size);
    fflush(stdout);
    run_random(count, seed);
    printf(", %lu random inputs: good\n", count);
    for (size_t i = 0; i < corpus_size; i++)
        free(corpus[i].data);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
