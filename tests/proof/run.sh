#!/bin/sh
# Shows by Frama-C's Eva that the functions that touch the bytes of a packet stay in them: see
# doc/proof.md.
#
#   tests/proof/run.sh [LENGTH ...]     packets of these lengths, 20 to 128
#
# Without a length: those at which a header begins to fit, and those one shorter.
set -eu
cd "$(dirname "$0")/../.."

command -v frama-c >/dev/null || {
    echo "prove: there is no frama-c; on Debian 12: tests/install-deps.sh prove" >&2
    exit 1
}
[ $# -gt 0 ] || set -- 67 60 59 56 55 48 47 40 39 28 27 20

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

# eva NAME DEFINITIONS FILE ...: one line that says what was shown, or all of it and a failure
cat >"$scratch/eva" <<'EVA'
name=$1 definitions=$2
shift 2
said=$(frama-c -c11 -machdep gcc_x86_64 -cpp-extra-args="-std=c11 -D_GNU_SOURCE \
    -Iinclude/nat -Isrc/nat -Iinclude/netfilter $definitions" "$@" \
    -eva -eva-slevel 100 -eva-split-return full -eva-interprocedural-splits \
    -eva-no-show-progress -eva-msg-key=-final-states,-initial-state 2>&1)
if printf '%s\n' "$said" | grep -q '^  0 alarms generated' &&
    printf '%s\n' "$said" | grep -q '100% of the logical properties reached have been proven'; then
    echo "  ok     $name"
else
    printf '%s\n  FAILED %s\n' "$said" "$name"
    exit 1
fi
EVA

CHECKSUM="tests/proof/checksum.c src/nat/checksum.c -eva-slevel-function main:0,checksum_add:1000"
# What a loop of main() and of those it calls has done is forgotten at once, so that one kind of
# packet does not make the next one slow.
PACKET="tests/proof/packet.c src/nat/packet.c src/nat/icmp.c src/nat/checksum.c src/nat/mss.c
    src/nat/tcp.c src/nat/protocol.c -eva-use-spec checksum_add -eva-slevel-function
    main:0,receive_ip:0,receive_tcp:0,receive_icmp:0,check_options:0,tcp_option:0"

# shellcheck disable=SC2086 # lists
{
    for length in "$@"; do
        echo "'packets of $length bytes' '-DSHORTEST=$length -DLONGEST=$length'" $PACKET
    done
    echo "'packets of 1 to 19 bytes' '-DSHORTEST=1 -DLONGEST=19'" $PACKET
    echo "'the checksum of 0 to 512 bytes'" "''" $CHECKSUM
} | xargs -P "$(getconf _NPROCESSORS_ONLN)" -L 1 sh "$scratch/eva"
