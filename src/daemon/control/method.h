/*
 * method.h - a method of the control socket, and a request as the method gets it
 */
#ifndef PORTREEVE_CONTROL_METHOD_H
#define PORTREEVE_CONTROL_METHOD_H

#include "server.h"

struct request {
    struct client *client;
    struct output *output; /* the client's */
    struct gateway *gateway;
    const struct method *method;
    json_t *id;     /* borrowed */
    json_t *params; /* an object with parameters of the method; borrowed */
};

enum parameter_type {
    PARAMETER_TEXT,
    PARAMETER_FLAG,
    PARAMETER_FILTER, /* an array of FILTER words */
};

struct parameter {
    const char *name;
    enum parameter_type type;
};

#define PARAMETERS_MAX 12

struct method {
    const char *name;
    bool changes;                                /* only for root, and logged */
    struct parameter parameters[PARAMETERS_MAX]; /* ends with one without a name */
    void (*run)(struct request *request);
};

#endif
