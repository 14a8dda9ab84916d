#!/bin/sh
# Static checks: dependencies point inward, files stay readable, scripts are sound. Prints what is
# wrong, a line each. With LINT_TOOLS=1 also those linters that are installed; not otherwise,
# because other versions of them see other things, and whoever only wants to know whether the tests
# pass should not meet that.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

complain() {
    echo "lint: $1" >&2
    failed=1
}

# The compiler sees to it that dependencies point inward (INCLUDE_ in the Makefile), but the core
# may not include the kernel's headers either.
libc='arpa/inet|assert|ctype|errno|limits|netinet/in|stdarg|stdbool|stddef|stdint|stdio|stdlib'
libc="$libc|string|sys/socket|time"
impure=$(grep -Hn '#include <' src/nat/*.[ch] include/nat/portreeve/*.h | grep -vE "<($libc)\.h>")
[ -z "$impure" ] || complain "src/nat includes what is not libc's:
$impure"

/usr/bin/python3 tests/circles.py || complain "files of a folder use each other in a circle"
/usr/bin/python3 tests/architecture.py || complain "doc/architecture.md and the tree disagree"
/usr/bin/python3 tests/tables.py || complain "the documentation does not list what the code has"

sources=$(find src include tests -name '*.[ch]' | sort)
scripts="$(find tests -name '*.sh' | sort) .ci/run"
python=$(find tests -name '*.py' | sort)
heads=$(find src tests -name '*.[ch]' | sort)

# What the command given prints is wrong.
none() {
    what=$1
    shift
    found=$("$@")
    [ -z "$found" ] || complain "$what:
$found"
}

# shellcheck disable=SC2317 # called by name, as the next
too_long() {
    wc -l "$@" | awk '$1 > 620 && $2 != "total" {print "  " $2 ": " $1}'
}

# shellcheck disable=SC2317
headless() {
    awk 'FNR == 1 && !/^\/\*/ {print "  " FILENAME}' "$@"
}

# shellcheck disable=SC2086 # lists of files
{
    none "files of more than 600 lines; split them" too_long $sources $python
    none "blanks at line ends" grep -nE '[[:space:]]+$' $sources $scripts $python Makefile
    none "lines of more than 100 columns" \
        env LC_ALL=C.UTF-8 grep -nE '^.{101}' $sources $scripts $python Makefile
    none "files that do not begin by saying what they are about" headless $heads
}

# Tests wait for a state, with a deadline, and never for time to pass: on a slow machine that is too
# short, on a fast one too long. Who looks again and again pauses between two looks in one place for
# each language; the benchmark paces its load and measures over a time.
# shellcheck disable=SC2086,SC2317
fixed_waits() {
    grep -nE '(^|[^_[:alnum:]])((u|nano|clock_nano)?sleep) *\(' $heads $python |
        grep -vE '^tests/(deadline\.py|bench/support\.c):'
    grep -n 'measure_for(' $python | grep -vE '^tests/(deadline\.py|bench/)'
    grep -nE '(^|[;&|[:space:]])sleep [0-9]' $scripts | grep -v '# between two looks$'
}
none "fixed waits; wait for a state (tests/deadline.py)" fixed_waits

# Every header can be included first, with what its layer may see.
headers_stand_alone() {
    # shellcheck disable=SC2046,SC2086 # lists
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -Wall -Wextra -fsyntax-only $2 -x c $(find $1 -name '*.h') ||
        complain "headers of $1 need others before them"
}

if [ -z "$(tests/install-deps.sh --missing unit)" ]; then
    headers_stand_alone 'include/nat include/protocol src/nat src/ctl' \
        '-Iinclude/nat -Iinclude/protocol'
    headers_stand_alone 'include/netfilter src/netfilter' '-Iinclude/nat -Iinclude/netfilter'
    headers_stand_alone 'include/daemon src/daemon tests' \
        '-Iinclude/nat -Iinclude/protocol -Iinclude/netfilter -Iinclude/daemon -Isrc/nat'
fi

/usr/bin/python3 tests/compliance.py || complain "the compliance table and the tests disagree"
[ -n "${LINT_TOOLS:-}" ] || exit $failed

# Versions before 14 do not know all of .clang-format.
format_version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
if [ "${format_version:-0}" -ge 14 ]; then
    # shellcheck disable=SC2086
    clang-format --dry-run -Werror $sources || complain "clang-format would change something"
fi
# What an editor shows who opens a fresh clone: compile_flags.txt is right. tests/proof has
# headers of Frama-C's own.
if command -v clangd >/dev/null; then
    # shellcheck disable=SC2016 # for the inner shell
    none "clangd found something" xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 sh -c \
        'clangd --check="$0" --check-lines=1-1 2>&1 | sed -n "s|^E\[|$0: E[|p"' <<LIST
$(find src tests -name '*.c' -not -path 'tests/proof/*' | sort)
LIST
fi
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    shellcheck $scripts || complain "shellcheck found something"
fi
if /usr/bin/python3 -c 'import pyflakes' 2>/dev/null; then
    /usr/bin/python3 -m pyflakes tests || complain "pyflakes found something"
fi
if command -v cppcheck >/dev/null; then
    # Suppressed: jansson's loops are macros it does not know; ctuuninitvar takes a buffer that a
    # callee fills for read.
    cppcheck --quiet --std=c11 --enable=warning,portability,performance --error-exitcode=1 \
        --inline-suppr --suppress=missingIncludeSystem --suppress=unknownMacro \
        --suppress=ctuuninitvar -Iinclude/nat -Iinclude/protocol -Iinclude/netfilter \
        -Iinclude/daemon \
        -DPORTREEVE_VERSION='""' src ||
        complain "cppcheck found something"
fi
if command -v mandoc >/dev/null; then
    mandoc -T lint -W error doc/*.[158] || complain "mandoc found something"
fi
exit $failed
