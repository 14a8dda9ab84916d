/*
 * status.h - the answer to `status`
 */
#ifndef PORTREEVE_CONTROL_STATUS_H
#define PORTREEVE_CONTROL_STATUS_H

#include "portreeve/gateway.h"

#include <jansson.h>

/* A new reference, or NULL if there is not enough memory. */
json_t *status_json(struct gateway *gateway);

#endif
