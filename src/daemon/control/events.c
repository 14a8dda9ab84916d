/*
 * events.c - clients that follow events
 *
 * control_serve reads the ring of the table. A client that reads slowly keeps its position in the
 * ring. If the ring has overwritten this position, the client gets the number of lost events and
 * continues with the oldest event that is left.
 */
#include "events.h"

#include "answer.h"
#include "stream.h"

#include <time.h>

void events_subscribe(struct request *request, const struct filter *filter)
{
    struct client *client = request->client;

    if (!client->subscribed) { /* a second request changes only the filter */
        client->next_event = nat_next_event(gateway_lock(request->gateway));
        gateway_unlock(request->gateway);
    }
    client->subscribed = true;
    client->event_filter = *filter;
    answer_result(request->output, request->id, json_pack("{s:b}", "subscribed", 1));
}

static int64_t epoch_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Copies the next events to control->event, and returns their number. */
static size_t read_slice(struct client *client, struct gateway *gateway, uint64_t *lost)
{
    const struct nat *nat = gateway_lock(gateway);
    size_t count = nat_read_events(nat, &client->next_event, client->control->event,
                                   CONTROL_EVENT_SLICE, lost, &client->behind);

    gateway_unlock(gateway);
    return count;
}

void events_pump(struct client *client, struct gateway *gateway)
{
    const struct event *event = client->control->event;
    uint64_t now = gateway_now(), lost;
    int64_t now_epoch_ms = epoch_ms();
    size_t count;

    /* A job may have written only a part of a line. */
    if (!client->subscribed || client->job != NULL || client->closing ||
        !output_has_room(&client->output))
        return;
    count = read_slice(client, gateway, &lost);
    if (lost > 0)
        answer_notice(&client->output, "lost", json_pack("{s:I}", "count", (json_int_t)lost));
    for (size_t i = 0; i < count; i++) {
        if (filter_matches(&client->event_filter, &event[i].session))
            stream_event(&client->output, gateway_config(gateway), &event[i], now, now_epoch_ms);
    }
}
