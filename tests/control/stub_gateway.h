/*
 * stub_gateway.h - gateway.h without root and without a kernel, for tests of the control socket
 *
 * A real translator that gets invented packets. Its sessions are the same each time, except for
 * ages and random ports, so that tests can name them: see stub_gateway.c.
 */
#ifndef PORTREEVE_STUB_GATEWAY_H
#define PORTREEVE_STUB_GATEWAY_H

#include "portreeve/gateway.h"

/*
 * gateway_reload reads `config_path`; NULL: it refuses to reload. `capacity` is the size of the
 * session table, at least 16.
 */
struct gateway *stub_gateway_new(const char *config_path, uint32_t capacity);
void stub_gateway_free(struct gateway *gateway);

/* True while the lock is held. */
bool stub_gateway_is_locked(const struct gateway *gateway);

/* Opens `count` more outbound UDP sessions, from hosts of 10.1.0.0/16. */
void stub_gateway_open_sessions(struct gateway *gateway, uint32_t count);

/* Two numbers of the table no longer add up. */
void stub_gateway_damage(struct gateway *gateway);

/* Opens and ends a session `count` times: two events each time. */
void stub_gateway_churn(struct gateway *gateway, uint32_t count);

#endif
