#!/bin/sh
# Runs unit test programs side by side and prints a line for each, in the order of the arguments;
# what the failed ones printed comes at the end. Status 0 when all passed.
#
#   tests/unit/run.sh PROGRAM ...
#
# PORTREEVE_TEST, when set, says which tests of a program run (support_run.h). UNIT_JOBS is how many
# programs run at a time; the default is one for each processor. UNIT_UNDER is a command before each
# program: valgrind and its options, say.
set -u

if [ "${1:-}" = --one ]; then
    # shellcheck disable=SC2086 # a command and its options
    ${UNIT_UNDER:-} "$3" >"$2/${3##*/}.log" 2>&1
    echo $? >"$2/${3##*/}.status"
    echo # wakes the one that prints
    exit 0
fi

# With the number of tests, from Check's "100%: Checks: 20, Failures: 0, Errors: 0"; without when
# the program did not get so far.
say() {
    checks=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' "$directory/$2.log")
    printf '  %-6s %-20s%5s\n' "$1" "${2#test_}" "$checks"
}

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

end() {
    cat "$directory/$1.status"
}

printf '%s\0' "$@" |
    xargs -0 -n 1 -P "${UNIT_JOBS:-$(getconf _NPROCESSORS_ONLN)}" "$0" --one "$directory" |
    while read -r _; do
        # One more has ended. Print those that are next in order.
        while [ $# -gt 0 ] && [ -s "$directory/${1##*/}.status" ]; do
            name=${1##*/}
            case $(end "$name") in
            0) say ok "$name" ;;
            3) ;; # none of its tests has the name that is wanted
            *) say FAILED "$name" ;;
            esac
            shift
        done
    done

ran=0
failed=0
for test in "$@"; do
    name=${test##*/}
    [ -s "$directory/$name.status" ] || echo "did not run" >"$directory/$name.status"
    case $(end "$name") in
    0) ran=$((ran + 1)) ;;
    3) ;;
    *)
        ran=$((ran + 1))
        failed=$((failed + 1))
        printf '\n%s (status %s):\n' "$name" "$(end "$name")"
        cat "$directory/$name.log"
        ;;
    esac
done
if [ $ran -eq 0 ]; then
    cat "$directory"/*.log >&2
    exit 1
fi
[ $failed -eq 0 ]
