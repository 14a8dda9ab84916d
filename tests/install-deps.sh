#!/bin/sh
# Installs what is missing to build, to run the demo, the tests or the benchmark, on Debian and
# Ubuntu.
#
#   tests/install-deps.sh GROUP ...      build unit control kernel demo e2e vm more prove bench
#   tests/install-deps.sh --missing GROUP ...
#   tests/install-deps.sh --packages GROUP ...
#
# Only packages that are missing are installed; when none is, nothing is touched and root is not
# needed. With --missing nothing is installed: one line names the packages that are missing, judged
# by what they bring, so that it is right on other systems too; no line when nothing is. With
# --packages one line names all packages of the groups.
set -eu

BUILD="gcc libc6-dev make pkg-config libmnl-dev libnetfilter-queue-dev libnftnl-dev libinih-dev"
BUILD="$BUILD libjansson-dev libcap-ng-dev libseccomp-dev"
UNIT="$BUILD check netbase"
CONTROL="$BUILD python3 python3-pytest"
KERNEL="$CONTROL iproute2 procps iputils-ping nftables util-linux"
DEMO="$BUILD netbase iproute2 procps curl python3 iputils-ping"
E2E="$DEMO nftables tcpdump traceroute util-linux nginx-light iperf3 coturn stun-client"
E2E="$E2E python3-pytest python3-scapy unbound bind9"
VM="make cpio debian-archive-keyring e2fsprogs git mmdebstrap python3 qemu-system-x86 util-linux"
MORE="$E2E clang clang-format clangd cppcheck mandoc python3-pyflakes shellcheck valgrind"
PROVE="frama-c-base"
BENCH="$BUILD netbase iproute2 procps python3 nftables conntrack iperf3 haproxy rinetd socat"
BENCH="$BENCH gnuplot-nox"

usage() {
    echo "usage: tests/install-deps.sh [--missing | --packages] GROUP ..." >&2
    echo "groups: build unit control kernel demo e2e vm more prove bench" >&2
    exit 2
}

packages_of() {
    case $1 in
    build) echo "$BUILD" ;;
    unit) echo "$UNIT" ;;
    control) echo "$CONTROL" ;;
    kernel) echo "$KERNEL" ;;
    demo) echo "$DEMO" ;;
    e2e) echo "$E2E" ;;
    vm) echo "$VM" ;;
    more) echo "$MORE" ;;
    prove) echo "$PROVE" ;;
    bench) echo "$BENCH" ;;
    *) return 1 ;;
    esac
}

is_installed() {
    # Multi-Arch packages may be listed once per architecture: any installed one will do.
    dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

there_is() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

has_module() {
    /usr/bin/python3 -c "import importlib.util, sys; sys.exit(not importlib.util.find_spec('$1'))" \
        2>/dev/null
}

# Whether what we use of a package is there, wherever it is from: a compiler or pkg-config by
# another name is as good as the package (clang, pkgconf).
is_provided() {
    case $1 in
    gcc) there_is cc ;;
    libc6-dev) [ -e /usr/include/stdio.h ] ;;
    libmnl-dev | libnftnl-dev | libjansson-dev | libinih-dev | libcap-ng-dev | libseccomp-dev)
        library=${1%-dev}
        case $1 in libjansson-dev | libinih-dev) library=${library#lib} ;; esac
        pkg-config --exists "$library" 2>/dev/null
        ;;
    libnetfilter-queue-dev) pkg-config --exists libnetfilter_queue 2>/dev/null ;;
    check) pkg-config --exists check 2>/dev/null ;;
    netbase) [ -e /etc/services ] ;;
    python3) [ -x /usr/bin/python3 ] ;;
    python3-*) has_module "${1#python3-}" ;;
    iproute2) there_is ip ;;
    procps) there_is sysctl ;;
    iputils-ping) there_is ping ;;
    nftables) there_is nft ;;
    util-linux) there_is setpriv ;;
    nginx-light) there_is nginx ;;
    coturn) there_is turnserver ;;
    bind9) there_is named ;;
    stun-client) there_is stun ;;
    debian-archive-keyring) [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ;;
    e2fsprogs) there_is mke2fs ;;
    qemu-system-x86) there_is qemu-system-x86_64 ;;
    frama-c-base) there_is frama-c ;;
    gnuplot-nox) there_is gnuplot ;;
    *) there_is "$1" ;;
    esac
}

missing_of() {
    for package in "$@"; do
        is_installed "$package" || is_provided "$package" || printf '%s ' "$package"
    done
}

# A package that has a service would start it. While this program says 101, none is started
# (invoke-rc.d(8)).
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
    # The package lists of a fresh machine or container are empty or old: fetch them when the first
    # try fails.
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of packages
    if ! apt-get install -y --no-install-recommends $1 >/dev/null 2>&1; then
        apt-get update
        # shellcheck disable=SC2086
        apt-get install -y --no-install-recommends $1
    fi
}

only=
case ${1:-} in
--missing | --packages)
    only=$1
    shift
    ;;
esac
[ $# -gt 0 ] || usage
wanted=
for group in "$@"; do
    packages=$(packages_of "$group") || usage
    wanted="$wanted $packages"
done
# shellcheck disable=SC2086
wanted=$(printf '%s\n' $wanted | sort -u | tr '\n' ' ')

if [ "$only" = --packages ]; then
    echo "${wanted% }"
    exit 0
fi
if [ "$only" = --missing ]; then
    missing=
    for package in $wanted; do
        is_provided "$package" || missing="$missing $package"
    done
    [ -z "$missing" ] || echo "${missing# }"
    exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-deps: this is not Debian or Ubuntu. Install what corresponds to: $wanted" >&2
    exit 1
fi

# shellcheck disable=SC2086
missing=$(missing_of $wanted)
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "install-deps: these packages are missing, and only root can install them: $missing" >&2
    exit 1
fi
echo "install-deps: installing $missing"
install_packages "$missing"
