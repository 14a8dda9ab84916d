/*
 * log_limit.c - how many lines of one kind the log gets
 */
#include "log_limit.h"

#include <stdio.h>
#include <string.h>

#define PROBES 8

/* FNV-1a. Who can choose the text of messages can make two kinds one, and no more. */
static uint64_t hash_text(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            hash = (hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
    }
    return hash;
}

uint64_t log_kind_of(const char *format, const char *message)
{
    uint64_t key = hash_text(strcmp(format, "%s") == 0 ? message : format);

    return key != 0 ? key : 1;
}

static bool is_over(const struct log_kind *kind, uint64_t now)
{
    return now < kind->began || now - kind->began >= LOG_LIMIT_MS;
}

/* The place of this kind: its own, or a free one, or the one that is shared. */
static struct log_kind *place_of(struct log_limits *limits, uint64_t key, uint64_t now)
{
    struct log_kind *unused = NULL;

    for (size_t i = 0; i < PROBES; i++) {
        struct log_kind *kind = &limits->kind[(key + i) % LOG_KINDS];

        if (kind->key == key)
            return kind;
        if (unused == NULL && (kind->key == 0 || (kind->more == 0 && is_over(kind, now))))
            unused = kind;
    }
    return unused != NULL ? unused : &limits->others;
}

bool log_limits_admit(struct log_limits *limits, uint64_t key, uint32_t most, enum log_level level,
                      const char *message, uint64_t now)
{
    struct log_kind *kind = place_of(limits, key, now);

    /* a minute that has more to say lasts until that is taken out */
    if (kind->key == 0 || (kind->more == 0 && is_over(kind, now)) ||
        (kind->key != key && kind != &limits->others))
        *kind = (struct log_kind){.key = key, .began = now};
    if (kind->said < most) {
        kind->said++;
        return true;
    }
    kind->more++;
    kind->level = level;
    snprintf(kind->last, sizeof(kind->last), "%s", message);
    return false;
}

static bool take(struct log_kind *kind, uint64_t now, struct log_kind *out)
{
    if (kind->key == 0 || kind->more == 0 || !is_over(kind, now))
        return false;
    *out = *kind;
    kind->key = kind->more = 0;
    return true;
}

bool log_limits_take(struct log_limits *limits, uint64_t now, struct log_kind *out)
{
    for (size_t i = 0; i < LOG_KINDS; i++) {
        if (take(&limits->kind[i], now, out))
            return true;
    }
    return take(&limits->others, now, out);
}
