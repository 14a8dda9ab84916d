/*
 * control_protocol.h - what the daemon and its client must agree on (doc/control-protocol.md)
 */
#ifndef PORTREEVE_CONTROL_PROTOCOL_H
#define PORTREEVE_CONTROL_PROTOCOL_H

#define CONTROL_SOCKET_DEFAULT "/run/portreeve/control.sock"

/* Significant digits of a number that is not an integer: milliseconds of 30 years. */
#define CONTROL_DIGITS 12

/*
 * error.code of an answer: those of JSON-RPC 2.0, and our own from -32001 down. tests/tables.py
 * compares the table in doc/control-protocol.md with these comments.
 */
enum control_error {
    /* the line is not JSON */
    CONTROL_ERROR_PARSE = -32700,
    /*
     * the line is JSON, but not a request: no "jsonrpc":"2.0", no id, no method, a batch, too long
     */
    CONTROL_ERROR_REQUEST = -32600,
    /* there is no such method */
    CONTROL_ERROR_METHOD = -32601,
    /* wrong parameters: unknown, of the wrong type, or a FILTER word that does not exist */
    CONTROL_ERROR_PARAMS = -32602,
    /* the daemon has not enough memory */
    CONTROL_ERROR_MEMORY = -32603,
    /* not permitted */
    CONTROL_ERROR_PERMISSION = -32001,
    /*
     * the request is refused and nothing has changed; error.data.errors is an array with every
     * reason
     */
    CONTROL_ERROR_REFUSED = -32002,
    /* too many connections */
    CONTROL_ERROR_CONNECTIONS = -32003,
};

#endif
