/*
 * main.c - portreeve, the client of portreeved
 */
#include "exit_code.h"
#include "options.h"
#include "say.h"
#include "verbs.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

/* A full disk is an error; a reader that stops early (head) is not. */
static int close_output(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno == EPIPE)
        return code;
    complain("cannot write the output: %s", strerror(errno));
    return code == EXIT_DONE ? EXIT_REFUSED : code;
}

int main(int argc, char **argv)
{
    struct options options;
    int code;

    /* For the width of characters: names and notes are UTF-8 in any locale. */
    setlocale(LC_CTYPE, "C.UTF-8");
    if (options_parse(&options, argc, argv, &code))
        code = verbs_run(&options);
    return close_output(code);
}
