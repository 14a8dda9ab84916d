/*
 * format.h - numbers, times and endpoints as text for people
 */
#ifndef PORTREEVE_CTL_FORMAT_H
#define PORTREEVE_CTL_FORMAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CELL_MAX 256 /* bytes, with the final NUL */

/*
 * Each writes at most CELL_MAX bytes and returns `buffer`. Text of the daemon in it may hold
 * unprintable characters: table_set_cell and show replace them.
 */
char *format_duration(double seconds, char buffer[CELL_MAX]); /* "4m12s", "2h4m", "3d2h" */
char *format_span(double seconds, char buffer[CELL_MAX]);     /* "1 ms", "0.1 s", "4m12s" */
char *format_amount(int64_t number, char buffer[CELL_MAX]);   /* "950", "1.2M": powers of 1000 */
/* What the ICMP error of an event says: "host unreachable" (RFC 792, RFC 1122 section 3.2.2.1). */
const char *format_icmp(const json_t *icmp, char buffer[CELL_MAX]);
/* False: ports are shown without the names of their services from now on. */
void format_set_names(bool names);

/* With `service`, the port is followed by the name of its service. */
char *format_endpoint(const json_t *endpoint, const char *protocol, bool service,
                      char buffer[CELL_MAX]);
/* " https", or nothing for a port that has no name. */
char *format_service(uint16_t port, const char *protocol, char buffer[CELL_MAX]);
char *format_list(const json_t *array, const char *separator, char buffer[CELL_MAX]);

/*
 * The endpoints of a session. The port that the first packet was sent to is shown with the name of
 * its service: in `remote`, or in `internal` for an inbound session.
 */
char *format_internal(const json_t *session, char buffer[CELL_MAX]);
char *format_external(const json_t *session, char buffer[CELL_MAX]);
char *format_remote(const json_t *session, char buffer[CELL_MAX]);

#endif
