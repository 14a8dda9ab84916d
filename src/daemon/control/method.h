/*
 * method.h - what a method is, and a request as a method gets it
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
    json_t *params; /* an object of the method's parameters; borrowed */
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

#define PARAMETERS_MAX 8

struct method {
    const char *name;
    bool changes;                                /* for root only, and logged */
    struct parameter parameters[PARAMETERS_MAX]; /* up to the first without a name */
    void (*run)(struct request *request);
};

#endif
