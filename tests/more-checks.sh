#!/bin/bash
# Beyond `make check`: the other compiler, valgrind over the core, threads under TSan, fuzzers for a
# moment each, the benchmark for a moment, the service on stock Debian 12 and 13.
set -eu
cd "$(dirname "$0")/.."
export WERROR=1
tests/install-deps.sh more bench vm

jobs=-j$(getconf _NPROCESSORS_ONLN)

echo "== linters"
LINT_TOOLS=1 tests/lint.sh

echo "== clang"
make "$jobs" CC=clang BUILD=build-clang all

echo "== lines of the core that the unit tests run"
make coverage

echo "== the core under valgrind"
tests=
for test in checksum endpoint hash icmp index mss offload packet ports table tcp text \
    translate_hairpin translate_icmp translate_outbound wheel; do
    tests="$tests build-valgrind/tests/unit/test_$test"
done
# shellcheck disable=SC2086 # a list
make "$jobs" BUILD=build-valgrind $tests
# shellcheck disable=SC2086
CK_FORK=no UNIT_UNDER='valgrind --quiet --error-exitcode=1 --leak-check=full' \
    tests/unit/run.sh $tests

echo "== threads under TSan"
make "$jobs" BUILD=build-tsan SANITIZE=thread all
PORTREEVE_BUILD="$PWD/build-tsan" /usr/bin/python3 -m pytest -q tests/e2e/test_outbound.py \
    tests/e2e/test_reload.py tests/e2e/test_offload.py tests/e2e/test_offload_life.py

echo "== no packet leads out of its bytes"
if tests/install-deps.sh prove; then
    make prove
else
    echo "left out: Frama-C cannot be installed here (Debian 13 has none)"
fi

echo "== fuzzers"
make fuzz FUZZ_RUNS=20000

echo "== the benchmark still runs"
make "$jobs" bench-build
/usr/bin/python3 tests/bench/smoke.py

echo "== Debian 12 and 13 in virtual machines"
make vm TEST='(restrictions and not upgrade) or restart_loses or stop_gives or nftables or boot'
