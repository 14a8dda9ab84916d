/*
 * stub_gateway.h - gateway.h without root and without a kernel, for tests of the control socket
 *
 * A real translator, fed with packets that nobody sent. What it holds is the same each time (but
 * for ages and random ports), so that tests can name it: see stub_gateway.c.
 */
#ifndef PORTREEVE_STUB_GATEWAY_H
#define PORTREEVE_STUB_GATEWAY_H

#include "portreeve/gateway.h"

/*
 * `config_path` is what gateway_reload reads; NULL: reloads are refused. `capacity`: sessions that
 * fit, 16 at least.
 */
struct gateway *stub_gateway_new(const char *config_path, uint32_t capacity);
void stub_gateway_free(struct gateway *gateway);

/* True while somebody holds the lock. */
bool stub_gateway_is_locked(const struct gateway *gateway);

/* Opens `count` more outbound UDP sessions, from hosts of 10.1.0.0/16. */
void stub_gateway_open_sessions(struct gateway *gateway, uint32_t count);

/* Opens and ends a session `count` times, which leaves three events each time. */
void stub_gateway_churn(struct gateway *gateway, uint32_t count);

#endif
