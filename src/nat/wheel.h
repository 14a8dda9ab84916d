/*
 * wheel.h - lists of array elements by index, and a timing wheel made of them
 *
 * Elements live in an array of the caller; a link inside each element chains them by
 * 32-bit index, so the array may be mapped anywhere. Nothing allocates.
 *
 * The wheel has a slot a second. An element is armed once for the second in which it may be due; a
 * packet that refreshes it does not touch the wheel (it only stores when it was seen), and the slot
 * that comes due re-arms what is still alive. So a packet costs nothing and expiry costs what
 * expires, plus one re-arm per timeout and element. Deadlines beyond the wheel's span are armed at
 * its far end and looked at again from there.
 */
#ifndef PORTREEVE_WHEEL_H
#define PORTREEVE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_NONE  UINT32_MAX
#define WHEEL_SLOTS 8192 /* seconds; the longest default timeout, 7440 s, fits */

struct link {
    uint32_t next, previous; /* INDEX_NONE at the ends */
};

/* Where element i's link is: base + i * stride. */
struct links {
    uint8_t *base;
    size_t stride;
};

struct list {
    uint32_t head, tail;
};

void list_init(struct list *list);
void list_append(struct list *list, struct links links, uint32_t index);
void list_remove(struct list *list, struct links links, uint32_t index);
uint32_t list_next(struct links links, uint32_t index);

/*
 * True when both neighbours of element `index`, or the ends of the list, name it. `count` elements
 * exist.
 */
bool list_holds(const struct list *list, struct links links, uint32_t count, uint32_t index);

/*
 * For lists that are known by one of their elements alone: puts `index` behind the element
 * `previous`.
 */
void list_insert_after(struct links links, uint32_t previous, uint32_t index);

struct wheel {
    struct list slot[WHEEL_SLOTS];
    struct links links;
    uint64_t current; /* the second whose slot is looked at next */
};

void wheel_init(struct wheel *wheel, struct links links, uint64_t now_seconds);

/*
 * Arms element `index`, which is not armed, for the second `due`. Returns the slot, which
 * wheel_disarm wants back. A second that has passed means the next one to be looked at.
 */
uint16_t wheel_arm(struct wheel *wheel, uint32_t index, uint64_t due);
void wheel_disarm(struct wheel *wheel, uint32_t index, uint16_t slot);

/*
 * Disarms and returns one element whose second is at or before `now_seconds`, or INDEX_NONE when
 * there is none (left).
 */
uint32_t wheel_take_due(struct wheel *wheel, uint64_t now_seconds);

#endif
