/*
 * service.h - service names in /etc/services
 */
#ifndef PORTREEVE_SERVICE_H
#define PORTREEVE_SERVICE_H

#include <stdint.h>

/* Longest name that is looked up, with the final NUL. */
#define SERVICE_NAME_MAX 64

/* The port of this service for "tcp" or another protocol; 0 if there is none. */
uint16_t service_port(const char *service, const char *protocol);

#endif
