/*
 * exit_code.h - the exit codes of portreeve
 *
 * The help text is made from this table, and tests/tables.py compares portreeve(1) with it.
 */
#ifndef PORTREEVE_CTL_EXIT_CODE_H
#define PORTREEVE_CTL_EXIT_CODE_H

#define EXIT_CODES(X)                                                                              \
    X(DONE, 0, "success")                                                                          \
    X(REFUSED, 1, "refused, nothing matched, or something is wrong")                               \
    X(USAGE, 2, "wrong usage")                                                                     \
    X(UNREACHABLE, 3, "daemon not reachable")                                                      \
    X(NOT_PERMITTED, 4, "not permitted")

enum exit_code {
#define X(symbol, number, meaning) EXIT_##symbol = number,
    EXIT_CODES(X)
#undef X
};

#endif
