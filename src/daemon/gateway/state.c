/*
 * state.c - the memory of the sessions is a file, so that sessions survive the process
 */
#include "state.h"

#include "portreeve/large_pages.h"
#include "portreeve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "portreeve table 3"

/* The first page of the file. Sessions are adopted only if all of it is as expected. */
struct state_header {
    char magic[32];
    char version[32];
    char boot_id[64];
    uint64_t length; /* of the memory after this page */
    uint32_t capacity;
};

#define HEADER_ROOM 4096

_Static_assert(sizeof(struct state_header) <= HEADER_ROOM, "the header has its room");
_Static_assert(HEADER_ROOM % 64 == 0, "sessions begin with a cache line");

struct state {
    int file;
    void *map;
    size_t length;
};

static void read_boot_id(char *out, size_t size)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, out, size - 1);

    if (length < 0)
        log_warning("cannot read %s: %s; the sessions of an earlier run end", path,
                    strerror(errno));
    out[length > 0 ? length : 0] = '\0';
    if (file >= 0)
        close(file);
}

static struct state_header expected_header(uint32_t capacity)
{
    struct state_header header;

    memset(&header, 0, sizeof(header));
    snprintf(header.magic, sizeof(header.magic), "%s", MAGIC);
    snprintf(header.version, sizeof(header.version), "%s", PORTREEVE_VERSION);
    read_boot_id(header.boot_id, sizeof(header.boot_id));
    header.length = nat_memory_needed(capacity);
    header.capacity = capacity;
    return header;
}

static int fail(struct error *error, const char *what, const char *path)
{
    int result = -errno;

    error_set(error, "cannot %s %s: %s ([state] directory)", what, path, strerror(-result));
    return result;
}

static int create_directory(const char *directory, struct error *error)
{
    struct stat status;

    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return fail(error, "create", directory);
    if (stat(directory, &status) < 0)
        return fail(error, "check", directory);
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return fail(error, "use", directory);
    }
    return 0;
}

/* Opens and locks the file. */
static int open_locked(const char *path, struct error *error)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, STATE_FILE_MODE);

    if (file < 0)
        return fail(error, "open", path);
    if (flock(file, LOCK_EX | LOCK_NB) < 0) {
        int result = fail(error, "lock", path);

        if (result == -EWOULDBLOCK) {
            error_set(error, "another portreeved uses %s ([state] directory)", path);
            result = -EBUSY;
        }
        close(file);
        return result;
    }
    return file;
}

/*
 * Maps the file at a multiple of the large page size, so that large pages can be used for it. The
 * kernel chooses such an address by itself only if tmpfs is configured to use large pages. The
 * address here is a hint, which the kernel follows if nothing else is there.
 */
static void *map_aligned(int file, size_t length)
{
    uint8_t *room = mmap(NULL, length + LARGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            *wish = NULL;

    if (room != MAP_FAILED) {
        wish = room + (-(uintptr_t)room & (LARGE_PAGE - 1));
        munmap(room, length + LARGE_PAGE);
    }
    return mmap(wish, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

/*
 * Sets the length of the file. Its memory is reserved now, so that the translator never writes to a
 * full tmpfs (SIGBUS).
 */
static int size_file(struct state *state, const char *path, struct error *error)
{
    struct stat status;

    if (fstat(state->file, &status) < 0)
        return fail(error, "check", path);
    if ((size_t)status.st_size != state->length && ftruncate(state->file, 0) < 0)
        return fail(error, "empty", path);
    errno = posix_fallocate(state->file, 0, (off_t)state->length);
    if (errno != 0)
        return fail(error, "reserve space in", path);
    state->map = map_aligned(state->file, state->length);
    if (state->map == MAP_FAILED) {
        state->map = NULL;
        return fail(error, "map", path);
    }
    return 0;
}

int state_open(struct state **out, const char *directory, uint32_t capacity, bool *is_fresh,
               struct error *error)
{
    struct state *state = calloc(1, sizeof(*state));
    struct state_header header = expected_header(capacity);
    char path[STATE_PATH_MAX];
    int result;

    snprintf(path, sizeof(path), "%s/sessions", directory);
    if (state == NULL) {
        error_set(error, "not enough memory for the state of %s", path);
        return -ENOMEM;
    }
    state->length = HEADER_ROOM + nat_memory_needed(capacity);
    result = create_directory(directory, error);
    state->file = result < 0 ? result : open_locked(path, error);
    result = state->file;
    if (result >= 0)
        result = size_file(state, path, error);
    if (result < 0) {
        state_close(state);
        return result;
    }
    *is_fresh = header.boot_id[0] == '\0' || memcmp(state->map, &header, sizeof(header)) != 0;
    if (*is_fresh) {
        memset(state->map, 0, state->length);
        memcpy(state->map, &header, sizeof(header));
    }
    *out = state;
    return 0;
}

void *state_sessions(struct state *state)
{
    return (uint8_t *)state->map + HEADER_ROOM;
}

void state_close(struct state *state)
{
    if (state == NULL)
        return;
    if (state->map != NULL)
        munmap(state->map, state->length);
    if (state->file >= 0)
        close(state->file);
    free(state);
}
