#!/bin/sh
# A small network in network namespaces with portreeved as its gateway, and a page fetched in both
# directions.
#
#   tests/demo.sh           shows it; on a terminal, the network stays until you press Enter
#   tests/demo.sh --keep    leaves it running (KEEP=1 does the same)
#   tests/demo.sh --clean   removes what --keep has left
#
# BUILD names the directory of the programs (default: build).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=$(cd "$root" && cd "${BUILD:-build}" 2>/dev/null && pwd) || {
    echo "demo: there is no directory '${BUILD:-build}': run make first" >&2
    exit 1
}

# Names and files carry the process id, so that two demos do not meet.
id=portreeve-demo-$$
run=/run/$id
lab=$id-lab
gateway=$id-gw
outside=$id-out

# ---- leaving ----

# Everything that runs in a namespace of the demo was started by the demo.
remove_namespace() {
    if [ -e "/run/netns/$1" ]; then
        for signal in TERM KILL; do
            for pid in $(ip netns pids "$1"); do
                kill -s "$signal" "$pid" 2>/dev/null || :
            done
            await "[ -z \"\$(ip netns pids '$1')\" ]" quietly || :
        done
        ip netns delete "$1"
    fi
}

# The daemon goes first: it takes its rules back while its namespace is still there.
remove_demo() {
    for role in gw lab out; do
        remove_namespace "$1-$role"
    done
    rm -rf "/run/${1:?}"
}

clean() {
    for directory in /run/portreeve-demo-*; do
        [ -d "$directory" ] && remove_demo "$(basename "$directory")"
    done
    return 0
}

# ---- waiting for a state, with a deadline of five seconds ----

await() {
    tries=0
    until eval "$1" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 100 ]; then
            [ "${2-}" = quietly ] || echo "demo: gave up waiting for: $1" >&2
            return 1
        fi
        sleep 0.05 # between two looks
    done
}

# ---- the network ----

fetch_in_lab() { ip netns exec "$lab" curl -sS --max-time 10 "$1"; }
fetch_outside() { ip netns exec "$outside" curl -sS --max-time 10 "$1"; }
client() { "$build/portreeve" -s "$run/control.sock" "$@"; }

connect() { # NAMESPACE INTERFACE ADDRESS NAMESPACE INTERFACE ADDRESS
    ip -n "$1" link add "$2" type veth peer name "$5" netns "$4"
    ip -n "$1" address add "$3" dev "$2"
    ip -n "$4" address add "$6" dev "$5"
    ip -n "$1" link set "$2" up
    ip -n "$4" link set "$5" up
}

make_network() {
    for namespace in "$lab" "$gateway" "$outside"; do
        ip netns add "$namespace"
        ip -n "$namespace" link set lo up
    done
    connect "$lab" eth0 10.0.0.2/24 "$gateway" lan0 10.0.0.1/24
    connect "$outside" eth0 203.0.113.10/24 "$gateway" wan0 203.0.113.5/24
    ip -n "$lab" route add default via 10.0.0.1
    ip netns exec "$gateway" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# ---- what runs in it ----

start_web_server() { # NAMESPACE PORT NAME
    mkdir "$run/$3"
    echo "This page is from the $3." >"$run/$3/index.html"
    (trap '' HUP && cd "$run/$3" && exec ip netns exec "$1" python3 -u -m http.server "$2") \
        >"$run/$3.log" 2>&1 &
    await "ip netns exec $1 ss -Hnlt 'sport = :$2' | grep -q ."
}

start_daemon() {
    sed "s|/run/portreeve-demo\\b|$run|g" "$root/conf/examples/demo.conf" >"$run/portreeve.conf"
    ip netns exec "$gateway" "$build/portreeved" -c "$run/portreeve.conf" \
        >"$run/portreeved.log" 2>&1 &
    daemon=$!
    await "client status || ! kill -0 $daemon"
    if ! client status >/dev/null 2>&1; then
        echo "demo: portreeved did not start:" >&2
        cat "$run/portreeved.log" >&2
        return 1
    fi
}

# ---- what one is shown ----

say() { printf '%s\n' "$*"; }

show() { # PROMPT FUNCTION ARGUMENTS...
    prompt=$1
    shift
    case $1 in
    client) say "$prompt# portreeve $2" ;;
    *) say "$prompt# curl $2" ;;
    esac
    "$@"
    say ""
}

title() {
    say ""
    say "== $* =="
    say ""
}

who_asked() { # NAME
    await "grep -q GET '$run/$1.log'"
    sed -n 's/^\([0-9.]*\) .*"GET .*/\1/p' "$run/$1.log" | tail -n 1
}

expect() { # WHAT WANTED FOUND
    if [ "$2" != "$3" ]; then
        echo "demo: $1: expected $2, found $3" >&2
        return 1
    fi
}

picture() {
    cat <<'PICTURE'
    lab host                      gateway                        outside host
    10.0.0.2  ----- lan0 10.0.0.1 portreeved wan0 203.0.113.5 ----- 203.0.113.10

    [share lab]    the lab's hosts leave as 203.0.113.5
    [forward web]  203.0.113.5:8080 delivers to 10.0.0.2:80
PICTURE
}

tell() {
    title "The network: three network namespaces"
    picture

    title "1. From the lab to the outside, through the shared address"
    show lab fetch_in_lab http://203.0.113.10/
    seen=$(who_asked outside)
    say "The outside server was asked by $seen: it does not see 10.0.0.2."
    expect "who asked the outside server" 203.0.113.5 "$seen"

    title "2. From the outside to the lab, through the forward"
    show outside fetch_outside http://203.0.113.5:8080/
    seen=$(who_asked lab)
    say "The lab server was asked by $seen: a forward keeps the client's address."
    expect "who asked the lab server" 203.0.113.10 "$seen"

    title "3. The live translation table"
    show gateway client sessions
    show gateway client forwards
    show gateway client status
}

how_to_play() {
    cat <<PLAY
The network is running. In another terminal, as root:

  ip netns exec $lab curl http://203.0.113.10/
  ip netns exec $outside curl http://203.0.113.5:8080/
  ip netns exec $lab ping 203.0.113.10
  $build/portreeve -s $run/control.sock sessions
  $build/portreeve -s $run/control.sock events
  $build/portreeve -s $run/control.sock forward add ssh 2222/tcp 10.0.0.2:22 --for 10m

PLAY
}

# ---- main ----

keep=${KEEP:-}
case ${1-} in
'') ;;
--keep) keep=1 ;;
--clean) ;;
*)
    echo "usage: tests/demo.sh [--keep | --clean]" >&2
    exit 2
    ;;
esac

if [ "$(id -u)" -ne 0 ]; then
    echo "demo: network namespaces need root: sudo make demo" >&2
    exit 1
fi
if [ "${1-}" = --clean ]; then
    clean
    exit 0
fi

trap 'remove_demo "$id"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$run"
make_network
start_web_server "$lab" 80 lab
start_web_server "$outside" 80 outside
start_daemon
tell

if [ -n "$keep" ] && [ "$keep" != 0 ]; then
    how_to_play
    say "To remove it: sudo tests/demo.sh --clean"
    trap - EXIT HUP INT TERM
elif [ -t 0 ] && [ -t 1 ]; then
    how_to_play
    printf 'Press Enter to remove it. '
    read -r _ || :
fi
