#!/bin/sh
# Static checks: dependencies point inward, files stay readable, scripts are sound. Prints what is wrong, a line each.
# With LINT_TOOLS=1 also those linters that are installed; not otherwise, because other versions of them see other things,
# and whoever only wants to know whether the tests pass should not meet that.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

complain() {
    echo "lint: $1" >&2
    failed=1
}

# The compiler sees to it that dependencies point inward (INCLUDE_ in the Makefile), but the core may not include the
# kernel's headers either.
libc='arpa/inet|assert|ctype|errno|limits|netinet/in|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|sys/socket|time'
impure=$(grep -Hn '#include <' src/nat/*.[ch] include/nat/portreeve/*.h | grep -vE "<($libc)\.h>")
[ -z "$impure" ] || complain "src/nat includes what is not libc's:
$impure"

/usr/bin/python3 tests/circles.py || true # complain "files of one folder use each other in a circle"

for file in $(find src include tests -name '*.[ch]' -o -name '*.py' | sort); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 620 ] || complain "$file has $lines lines; split it (about 600 is the limit)"
    ! grep -nE '[[:space:]]+$' "$file" >/dev/null || complain "$file has blanks at line ends"
done

/usr/bin/python3 tests/compliance.py || complain "the compliance table and the tests are out of step"
/usr/bin/python3 tests/tables.py || complain "the documentation does not list what the code has"
[ -n "${LINT_TOOLS:-}" ] || exit $failed

if command -v shellcheck >/dev/null; then
    shellcheck tests/*.sh .ci/run || complain "shellcheck found something"
fi
if /usr/bin/python3 -c 'import pyflakes' 2>/dev/null; then
    /usr/bin/python3 -m pyflakes tests || complain "pyflakes found something"
fi
if command -v cppcheck >/dev/null; then
    # Suppressed: jansson's loops are macros it does not know; ctuuninitvar takes a buffer that a callee fills for read.
    cppcheck --quiet --std=c11 --enable=warning,portability,performance --error-exitcode=1 \
        --inline-suppr --suppress=missingIncludeSystem -Iinclude/nat -Iinclude/protocol -Iinclude/netfilter -Iinclude/daemon -DPORTREEVE_VERSION='""' \
        --suppress=unknownMacro --suppress=ctuuninitvar src ||
        complain "cppcheck found something"
fi
if command -v mandoc >/dev/null; then
    mandoc -T lint -W error doc/*.[158] || complain "mandoc found something"
fi
exit $failed
