/*
 * wheel.c - timers: a list of sessions for each second
 */
#include "wheel.h"

static struct link *link_of(struct links links, uint32_t index)
{
    return (struct link *)(void *)(links.base + (size_t)index * links.stride);
}

void list_init(struct list *list)
{
    list->head = list->tail = INDEX_NONE;
}

void list_append(struct list *list, struct links links, uint32_t index)
{
    struct link *link = link_of(links, index);

    link->next = INDEX_NONE;
    link->previous = list->tail;
    if (list->tail == INDEX_NONE)
        list->head = index;
    else
        link_of(links, list->tail)->next = index;
    list->tail = index;
}

void list_remove(struct list *list, struct links links, uint32_t index)
{
    struct link *link = link_of(links, index);

    if (link->previous == INDEX_NONE)
        list->head = link->next;
    else
        link_of(links, link->previous)->next = link->next;
    if (link->next == INDEX_NONE)
        list->tail = link->previous;
    else
        link_of(links, link->next)->previous = link->previous;
    link->next = link->previous = INDEX_NONE;
}

void list_insert_after(struct links links, uint32_t previous, uint32_t index)
{
    struct link *link = link_of(links, index), *before = link_of(links, previous);

    *link = (struct link){before->next, previous};
    before->next = index;
    if (link->next != INDEX_NONE)
        link_of(links, link->next)->previous = index;
}

uint32_t list_next(struct links links, uint32_t index)
{
    return link_of(links, index)->next;
}

bool list_holds(const struct list *list, struct links links, uint32_t count, uint32_t index)
{
    const struct link *link = link_of(links, index);
    bool before = link->previous == INDEX_NONE
                      ? list->head == index
                      : link->previous < count && link_of(links, link->previous)->next == index;

    return before && (link->next == INDEX_NONE
                          ? list->tail == index
                          : link->next < count && link_of(links, link->next)->previous == index);
}

void wheel_init(struct wheel *wheel, struct links links, uint64_t now_seconds)
{
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slot[i]);
    wheel->links = links;
    wheel->current = now_seconds;
}

uint16_t wheel_arm(struct wheel *wheel, uint32_t index, uint64_t due)
{
    uint16_t slot;

    if (due < wheel->current)
        due = wheel->current;
    if (due >= wheel->current + WHEEL_SLOTS)
        due = wheel->current + WHEEL_SLOTS - 1;
    slot = (uint16_t)(due % WHEEL_SLOTS);
    list_append(&wheel->slot[slot], wheel->links, index);
    return slot;
}

void wheel_disarm(struct wheel *wheel, uint32_t index, uint16_t slot)
{
    list_remove(&wheel->slot[slot], wheel->links, index);
}

uint32_t wheel_take_due(struct wheel *wheel, uint64_t now_seconds)
{
    for (; wheel->current <= now_seconds; wheel->current++) {
        struct list *slot = &wheel->slot[wheel->current % WHEEL_SLOTS];
        uint32_t index = slot->head;

        if (index != INDEX_NONE) {
            list_remove(slot, wheel->links, index);
            return index;
        }
    }
    return INDEX_NONE;
}
