#!/bin/sh
# Installs what is missing to build, to run the demo, the tests or the benchmark, on Debian and Ubuntu.
#
#   tests/install-deps.sh build | unit | demo | e2e | more | bench ...
#
# Only packages that are missing are installed; when none is, nothing is touched and root is not needed.
set -eu

BUILD="gcc libc6-dev make pkg-config libmnl-dev libnetfilter-queue-dev libnftnl-dev libinih-dev libjansson-dev"
UNIT="$BUILD check netbase"
DEMO="$BUILD netbase iproute2 procps curl python3 iputils-ping"
E2E="$DEMO nftables tcpdump traceroute util-linux nginx-light iperf3 coturn stun-client python3-pytest python3-scapy"
MORE="$E2E clang valgrind"
BENCH="$BUILD netbase iproute2 procps python3 nftables conntrack iperf3 haproxy rinetd socat gnuplot-nox"

usage() {
    echo "usage: tests/install-deps.sh build|unit|demo|e2e|more|bench ..." >&2
    exit 2
}

packages_of() {
    case $1 in
    build) echo "$BUILD" ;;
    unit) echo "$UNIT" ;;
    demo) echo "$DEMO" ;;
    e2e) echo "$E2E" ;;
    more) echo "$MORE" ;;
    bench) echo "$BENCH" ;;
    *) return 1 ;;
    esac
}

is_installed() {
    # Multi-Arch packages may be listed once per architecture: any installed one will do.
    dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# A compiler or pkg-config by another name is as good as the package (clang, pkgconf).
is_provided() {
    case $1 in
    gcc) command -v cc >/dev/null ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    nginx-light) [ -x /usr/sbin/nginx ] ;;
    gnuplot-nox) command -v gnuplot >/dev/null ;;
    *) false ;;
    esac
}

missing_of() {
    for package in "$@"; do
        is_installed "$package" || is_provided "$package" || printf '%s ' "$package"
    done
}

# A package that has a service would start it. While this program says 101, none is started (invoke-rc.d(8)).
POLICY=/usr/sbin/policy-rc.d
policy_is_ours=no

forbid_services() {
    [ -e "$POLICY" ] && return
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

allow_services() {
    [ "$policy_is_ours" = no ] || rm -f "$POLICY"
}

install_packages() {
    trap allow_services EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    forbid_services
    # The package lists of a fresh machine or container are empty or old: fetch them when the first try fails.
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of packages
    if ! apt-get install -y --no-install-recommends $1 >/dev/null 2>&1; then
        apt-get update
        # shellcheck disable=SC2086
        apt-get install -y --no-install-recommends $1
    fi
}

[ $# -gt 0 ] || usage
wanted=
for group in "$@"; do
    packages=$(packages_of "$group") || usage
    wanted="$wanted $packages"
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-deps: this is not Debian or Ubuntu. Install what corresponds to:$wanted" >&2
    exit 1
fi

# shellcheck disable=SC2086
wanted=$(printf '%s\n' $wanted | sort -u)
# shellcheck disable=SC2086
missing=$(missing_of $wanted)
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "install-deps: these packages are missing, and only root can install them: $missing" >&2
    exit 1
fi
echo "install-deps: installing $missing"
install_packages "$missing"
