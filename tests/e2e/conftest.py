"""The fixtures: one network for the run, one daemon at a time, and a watch for private addresses
outside

    sudo /usr/bin/python3 -m pytest tests/e2e                                 the programs in build/
    sudo PORTREEVE_BUILD=build-asan /usr/bin/python3 -m pytest tests/e2e      those with sanitizers
    sudo /usr/bin/python3 -m pytest tests/e2e -k hairpin                      some of the tests

Modules without tests: deadline (waiting), netns, process, lab (the network), daemon (portreeved and
its client), manager (a service manager that keeps descriptors), capture (tcpdump and checksums),
traffic (sockets), raw_tcp (segments by hand), programs (nginx, iperf3 and others), judges (programs
that find out what a NAT does), own_services (the gateway's).
"""

import contextlib
import os
import resource

import pytest

import capture
import daemon as daemons
import netns
import process
from lab import Lab

_NEEDED = ("ip", "nft", "ss", "tcpdump", "nginx", "curl", "iperf3", "ping", "traceroute", "setpriv",
           "turnserver", "turnutils_natdiscovery", "stun", "unbound", "named")


def pytest_sessionstart():
    """These tests need root and their programs. Missing ones fail the run: a skipped test proves
    nothing.
    """
    missing = [program for program in _NEEDED if not process.find(program)]
    if missing:
        pytest.exit(f"missing: {', '.join(missing)}; run tests/install-deps.sh e2e", 2)
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests make network namespaces: run them as root", 2)
    if not daemons.DAEMON.exists() or not daemons.CLIENT.exists():
        pytest.exit(f"{daemons.BUILD} has no portreeved and portreeve: run make first", 2)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand sockets at once
    netns.clean_up_whatever_happens()
    process.remove_leftover_files()


@pytest.fixture(scope="session")
def lab():
    made = Lab()
    yield made
    process.stop_all()
    made.stop()
    process.remove_files(os.getpid())


@pytest.fixture(scope="session")
def leak_watch(lab, tmp_path_factory):
    watch = capture.LeakWatch(lab, tmp_path_factory.mktemp("leaks"))
    yield watch
    watch.flush()
    leaks = watch.leaks(daemons.charges)
    watch.stop()
    assert not leaks, f"private addresses outside: {leaks[:10]}"


@pytest.fixture(autouse=True)
def no_private_address_outside(leak_watch):
    """After every test: nothing of 10.0.0.0/8 was seen outside while a daemon was in charge."""
    yield
    leaks = leak_watch.leaks(daemons.charges)
    assert not leaks, f"private addresses outside: {leaks[:10]}"


_running = []


@contextlib.contextmanager
def _started(lab, body, arguments=()):
    started = daemons.Daemon(lab, body)
    _running.append(started)
    try:
        yield started.start(*arguments)
        started.stop()
    finally:
        _running.remove(started)
        started.abandon()
        process.remove_tree(started.directory)  # the tables of a whole run are gigabytes


@pytest.fixture(scope="module")
def config(request):
    """What the daemon of a module runs with: its CONFIG, unless the module makes this fixture its
    own.
    """
    return request.module.CONFIG


@pytest.fixture(scope="module")
def daemon(lab, config):
    """A daemon for all tests of a module."""
    with _started(lab, config) as started:
        yield started


@pytest.fixture
def start_daemon(lab):
    """Starts a daemon with a configuration of the test's own, and stops it after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda body=daemons.SHARE, *arguments: stack.enter_context(
            _started(lab, body, arguments))


@pytest.fixture
def lab1_stays_inside(lab):
    """
    For tests that take lab1 out of every share: what an earlier test's connections still retransmit
    would leave untranslated, as it should, and be taken for a leak. Ask for it before start_daemon,
    so that it ends after it.
    """
    lab.gw.nft("table ip stay { chain after { type filter hook postrouting priority 400;\n"
               f"ip saddr {lab.lab1.address} oifname wan0 drop\n}}\n}}\n")
    yield
    lab.gw.nft("delete table ip stay")


@pytest.fixture(scope="module")
def wire(lab):
    """
    The interfaces send what a wire would carry, checksums and not promises. Captures of sessions
    that the kernel rewrites need it, and ICMP errors about them: the queue would have kept the
    promise.
    """
    switched = [(lab.gw, "wan0"), (lab.gw, "lan0"), (lab.lab1, "eth0"), (lab.lab2, "eth0"),
                (lab.out, "eth0")]
    for host, interface in switched:
        host.offload(interface, False)
    yield
    for host, interface in switched:
        host.offload(interface, True)


@pytest.fixture
def record(tmp_path):
    """Starts captures: record(host, interface, expression)."""
    captures = []

    def start(host, interface, expression):
        captures.append(capture.Capture(host, interface, expression, tmp_path))
        return captures[-1]

    yield start
    for started in captures:
        started.__exit__()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A failure shows what the daemon had to say."""
    report = (yield).get_result()
    if report.failed:
        for started in _running:
            report.sections.append(
                (f"log of portreeved, {started.config}", started.log_so_far()[-3000:]))
