/*
 * state.c - the memory of the sessions is a file, so that sessions survive the process
 */
#include "state.h"

#include "portreeve/large_pages.h"
#include "portreeve/log.h"
#include "portreeve/paths.h"
#include "portreeve/text.h"
#include "state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "portreeve table %u" /* NAT_MEMORY_FORMAT */

/* The first page of the file. Another format or boot, and its sessions mean nothing to us. */
struct state_header {
    char magic[32];   /* names the format of the sessions */
    char version[32]; /* of the program that has written it; only said in the log */
    char boot_id[64];
    uint64_t length;   /* of the memory after this page */
    uint32_t capacity; /* sessions that it has room for */
};

#define HEADER_ROOM 4096
#define NEW_SUFFIX  ".new"

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
    snprintf(header.magic, sizeof(header.magic), MAGIC, NAT_MEMORY_FORMAT);
    snprintf(header.version, sizeof(header.version), "%s", PORTREEVE_VERSION);
    read_boot_id(header.boot_id, sizeof(header.boot_id));
    header.length = nat_memory_needed(capacity);
    header.capacity = capacity;
    return header;
}

static int fail(struct error *error, const char *what, const char *path)
{
    int result = -errno;

    error_set(error, "cannot %s %s: %s ([state] directory)%s", what, path, strerror(-result),
              paths_hint(result));
    return result;
}

/* Opens and locks the file. */
static int open_locked(const char *path, struct error *error)
{
    int file = state_file_open(path, O_RDWR | O_CREAT, error);

    if (file < 0)
        return file;
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

static void release(const struct state *state)
{
    if (state->map != NULL)
        munmap(state->map, state->length);
    if (state->file >= 0)
        close(state->file);
}

/* Maps all of a file that has its length. */
static int map_file(struct state *state, const char *path, struct error *error)
{
    state->map = map_aligned(state->file, state->length);
    if (state->map != MAP_FAILED)
        return 0;
    state->map = NULL;
    return fail(error, "map", path);
}

/*
 * Makes the file empty, and zero in its new length. Its memory is reserved now, so that the
 * translator never writes to a full tmpfs (SIGBUS).
 */
static int start_empty(struct state *state, const char *path, const struct state_header *header,
                       struct error *error)
{
    int result;

    if (ftruncate(state->file, 0) < 0)
        return fail(error, "empty", path);
    errno = posix_fallocate(state->file, 0, (off_t)state->length);
    if (errno != 0)
        return fail(error, "reserve space in", path);
    result = map_file(state, path, error);
    if (result == 0)
        memcpy(state->map, header, sizeof(*header));
    return result;
}

/* What an earlier run has left. */
enum left {
    LEFT_NOTHING,
    LEFT_SESSIONS,  /* in a table of this size */
    LEFT_OTHER_SIZE /* sessions, in a table of another size */
};

/* The file may have been cut, or contain anything: each part of the header is text of its size. */
static enum left judge(const struct state *state, const char *path,
                       const struct state_header *expected, struct state_header *found)
{
    struct stat status;

    if (fstat(state->file, &status) < 0 || status.st_size < HEADER_ROOM ||
        pread(state->file, found, sizeof(*found), 0) != (ssize_t)sizeof(*found))
        return LEFT_NOTHING;
    if (expected->boot_id[0] == '\0' ||
        memcmp(found->boot_id, expected->boot_id, sizeof(found->boot_id)) != 0)
        return LEFT_NOTHING;
    found->version[sizeof(found->version) - 1] = '\0';
    text_make_printable(found->version);
    if (memcmp(found->magic, expected->magic, sizeof(found->magic)) != 0 ||
        found->length != nat_memory_needed(found->capacity) ||
        (uint64_t)status.st_size != HEADER_ROOM + found->length) {
        log_warning("%s: the sessions of the previous run have ended: portreeved %s has written "
                    "them in another format",
                    path, found->version);
        return LEFT_NOTHING;
    }
    return found->capacity == expected->capacity ? LEFT_SESSIONS : LEFT_OTHER_SIZE;
}

/*
 * Copies the sessions into a new file, which then takes the place of the old one: a crash before
 * leaves the old one as it was.
 */
static int fill_from(struct state *state, const struct state *old, uint32_t old_capacity,
                     const char *path, const struct state_header *header, struct error *error)
{
    char new_path[STATE_PATH_MAX + sizeof(NEW_SUFFIX)];
    uint32_t left_out;
    int result;

    snprintf(new_path, sizeof(new_path), "%s" NEW_SUFFIX, path);
    (void)unlink(new_path); /* of a run that was killed */
    state->file = open_locked(new_path, error);
    result = state->file < 0 ? state->file : start_empty(state, new_path, header, error);
    if (result < 0)
        return result;
    left_out = nat_carry((const uint8_t *)old->map + HEADER_ROOM, old_capacity,
                         state_sessions(state), header->capacity);
    if (rename(new_path, path) < 0)
        return fail(error, "rename", new_path);
    log_info("%s: now has room for %u sessions instead of %u", path, header->capacity,
             old_capacity);
    if (left_out > 0)
        log_warning("%u sessions of the previous run have ended: [limits] sessions is %u now, and "
                    "was %u",
                    left_out, header->capacity, old_capacity);
    return 0;
}

/*
 * Exchanges the file for one of the new size, which then contains the same sessions. If that is
 * impossible, the gateway is more important than the sessions.
 */
static int change_size(struct state *state, const struct state_header *found, const char *path,
                       const struct state_header *header, bool *is_fresh, struct error *error)
{
    struct state old = {.file = state->file, .length = HEADER_ROOM + found->length};
    int result = map_file(&old, path, error);

    state->file = -1;
    if (result == 0)
        result = fill_from(state, &old, found->capacity, path, header, error);
    *is_fresh = result < 0;
    if (result < 0) {
        log_warning("the sessions of the previous run have ended, because the table has another "
                    "size: %s",
                    error->text);
        release(state);
        *state = (struct state){.file = old.file, .length = state->length};
        old.file = -1;
        result = start_empty(state, path, header, error);
    }
    release(&old);
    return result;
}

static int open_file(struct state *state, const char *path, uint32_t capacity, bool *is_fresh,
                     struct error *error)
{
    const struct state_header header = expected_header(capacity);
    struct state_header found;
    int result;

    state->file = open_locked(path, error);
    if (state->file < 0)
        return state->file;
    switch (judge(state, path, &header, &found)) {
    case LEFT_SESSIONS:
        *is_fresh = false;
        result = map_file(state, path, error);
        if (result == 0)
            memcpy(state->map, &header, sizeof(header)); /* the version may be another one */
        return result;
    case LEFT_OTHER_SIZE:
        return change_size(state, &found, path, &header, is_fresh, error);
    default:
        *is_fresh = true;
        return start_empty(state, path, &header, error);
    }
}

int state_open(struct state **out, const char *directory, uint32_t capacity, bool *is_fresh,
               struct error *error)
{
    struct state *state = calloc(1, sizeof(*state));
    char path[STATE_PATH_MAX];
    int result;

    snprintf(path, sizeof(path), "%s/sessions", directory);
    if (state == NULL) {
        error_set(error, "not enough memory for the state of %s", path);
        return -ENOMEM;
    }
    state->file = -1;
    state->length = HEADER_ROOM + nat_memory_needed(capacity);
    result = state_directory_prepare(directory, error);
    if (result == 0)
        result = open_file(state, path, capacity, is_fresh, error);
    if (result < 0) {
        state_close(state);
        return result;
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
    release(state);
    free(state);
}
