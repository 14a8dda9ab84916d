"""The running program is replaced by the one that is installed now, also without a service manager
"""

import os
import re
import shutil
import signal
import subprocess

import pytest

from daemon import DAEMON, SHARE, Daemon
from deadline import eventually
from lab import EXTERNAL
from manager import Manager
from traffic import Connections, Stream, Transfer, tcp_pair, udp_round_trip

CONFIG = SHARE + "[forward web]\nlisten = 8080/tcp+udp\nto = 10.0.0.2:80\n"


def install(daemon, source=DAEMON, text=None):
    """Puts a program in the place of the installed one, as a package manager does: by a rename."""
    new = daemon.directory / "portreeved.new"
    if text is None:
        shutil.copy(source, new)
    else:
        new.write_text(text)
    new.chmod(0o755)
    new.rename(daemon.directory / "portreeved")


@pytest.fixture(params=[Daemon, Manager], ids=["alone", "service"])
def installed(lab, request):
    """A daemon whose program is its own copy."""
    daemon = request.param(lab, CONFIG)
    daemon.program = daemon.directory / "portreeved"
    install(daemon)
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.abandon()


def runs_installed_program(daemon):
    return os.readlink(f"/proc/{daemon.process.pid}/exe") == str(daemon.program)


def test_an_upgrade_loses_nothing(lab, installed):
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside, lab.out.udp(7) as server, \
            lab.lab1.udp() as client, \
            tcp_pair(lab.lab2, lab.out.address, 80, outside) as (client1, server1, _), \
            tcp_pair(lab.out2, EXTERNAL, 8080, inside) as (client2, server2, _):
        seen = udp_round_trip(client, server, lab.out.address)
        transfers = [Transfer(server1, client1), Transfer(client2, server2)]
        streams = [Stream(client, server, (lab.out.address, 7)), Stream(server, client, seen)]
        for _ in range(3):
            install(installed)
            assert not runs_installed_program(installed)
            done = installed.client("upgrade")
            assert re.fullmatch(r"portreeved \S+ has taken over; \d+ sessions\n", done.stdout)
            assert runs_installed_program(installed)
        assert [stream.lost() for stream in streams] == [[], []]
        for transfer in transfers:
            assert transfer.finish() > 0
    assert installed.status()["pid"] == installed.process.pid
    assert installed.status()["upgrade_problem"] is None


def test_ping_every_ten_milliseconds_loses_nothing(lab, installed):
    ping = lab.lab1.start("ping", "-n", "-i", "0.01", "-c", "300", "-W", "3", lab.out.address)
    try:
        ping.until(lambda: "icmp_seq=20 " in ping.stdout(), "pings are answered")
        for _ in range(3):
            installed.client("upgrade")
        assert ping.wait(30) == 0
        assert "300 packets transmitted, 300 received" in ping.stdout(), ping.stdout()
    finally:
        ping.stop()


def test_twenty_upgrades_refuse_and_lose_no_connection(lab, installed):
    """A lost SYN would be sent again after a second. What a start takes is said with -rP."""
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside:
        ways = {
            "from inside": Connections(lab.lab2, lab.out.address, 80, outside),
            "by a forward": Connections(lab.out2, EXTERNAL, 8080, inside)
        }
        with ways["from inside"], ways["by a forward"]:
            for _ in range(20):
                installed.client("upgrade")
                if isinstance(installed, Manager):
                    installed.hear()
    for way, connections in ways.items():
        count, failed, slowest = connections.results()
        print(f"{way}: {count} connections, the slowest took {slowest * 1000:.1f} ms")
        assert count > 20
        assert failed == []


def test_a_signal_does_the_same(lab, installed):
    install(installed)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        installed.process.send(signal.SIGUSR2)
        installed.process.until(lambda: runs_installed_program(installed), "the program is new")
        assert udp_round_trip(client, server, lab.out.address) == seen


def assert_goes_on(lab, daemon, before):
    """It is the same run of the same program."""
    assert daemon.status()["started"] == before["started"]
    assert daemon.status()["pid"] == before["pid"]
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)


@pytest.mark.parametrize("text, reason", [
    ("#!/bin/sh\necho 'lib.so.9 is missing' >&2\nexit 127\n", "lib.so.9 is missing"),
    ("#!/bin/sh\nkill -SEGV $$\n", "signal 11"),
    ("#!/no/such/interpreter\n", "cannot start"),
    ("", "cannot start"),
])
def test_a_program_that_refuses_is_not_started(lab, installed, text, reason):
    before = installed.status()
    install(installed, text=text)
    done = installed.client("upgrade", check=False)
    assert done.returncode == 1
    assert reason in done.stderr
    assert_goes_on(lab, installed, before)
    installed.process.send(signal.SIGUSR2)
    eventually(lambda: "error: upgrade refused" in installed.log_so_far(), "the log says so, too")
    assert_goes_on(lab, installed, before)


def test_an_error_in_the_configuration_is_found_first(lab, installed):
    before = installed.status()
    installed.write(CONFIG + "[limits]\nsessions = many\n")
    done = installed.client("upgrade", check=False)
    assert done.returncode == 1
    assert f"{installed.config}:" in done.stderr and "many" in done.stderr
    assert_goes_on(lab, installed, before)


def test_other_directories_need_a_restart(lab, installed):
    """The daemon can change files in the former ones only (Landlock), and so could a new program"""
    if "(Landlock)" in installed.log_so_far():
        pytest.skip("this kernel has no Landlock")
    before, config = installed.status(), installed.config.read_text()
    elsewhere = installed.directory / "elsewhere"
    elsewhere.mkdir()
    state = f"directory = {installed.directory}/state"
    assert state in config
    for changed in (config.replace(state, f"directory = {elsewhere}"),
                    config.replace(str(installed.socket), f"{elsewhere}/control.sock")):
        installed.config.write_text(changed)
        done = installed.client("upgrade", check=False)
        assert done.returncode == 1
        assert str(elsewhere) in done.stderr and "expected a restart" in done.stderr
    installed.config.write_text(config)
    assert_goes_on(lab, installed, before)
    assert installed.client("upgrade").stdout
    installed.config.write_text(config.replace(state, f"directory = {elsewhere}"))
    assert "expected a restart" in installed.client("upgrade", check=False).stderr
    installed.config.write_text(config)


# It lets no timer be created, once: the program that it is loaded into next has it no more.
BROKEN = """
#include <errno.h>
#include <stdlib.h>
__attribute__((constructor)) static void once(void) { unsetenv("LD_PRELOAD"); }
int timerfd_create(int clock, int flags) { (void)clock; (void)flags; errno = EMFILE; return -1; }
"""


@pytest.fixture
def broken(installed):
    """A program that is fine when it is asked, and cannot start all the same."""
    if b"__asan_init" in DAEMON.read_bytes() or b"__tsan_init" in DAEMON.read_bytes():
        pytest.skip("a sanitizer must be the first library")
    real, library = installed.directory / "real", installed.directory / "broken.so"
    shutil.copy(DAEMON, real)
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library],
                   input=BROKEN,
                   text=True,
                   check=True)
    return (f"#!/bin/sh\ncase $1 in -t) exit 0;; esac\n"
            f"LD_PRELOAD={library} exec {real} \"$@\"\n")


def test_if_the_new_program_cannot_start_the_former_one_goes_on(lab, installed, broken):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        stream = Stream(client, server, (lab.out.address, 7))
        install(installed, text=broken)
        done = installed.client("upgrade", check=False)
        assert done.returncode == 1
        assert "the former program goes on" in done.stderr
        assert "cannot create a timerfd" in done.stderr
        assert stream.lost() == []
        assert udp_round_trip(client, server, lab.out.address) == seen
    assert "cannot create a timerfd" in installed.status()["upgrade_problem"]
    assert any("timerfd" in warning for warning in installed.status()["warnings"])
    assert "portreeved (deleted)" in os.readlink(f"/proc/{installed.process.pid}/exe")
    install(installed)
    assert installed.client("upgrade").stdout
    assert runs_installed_program(installed)
    assert installed.status()["upgrade_problem"] is None


def test_after_an_upgrade_a_stop_is_a_stop(installed):
    installed.client("upgrade")
    installed.stop()


def test_after_an_upgrade_a_service_can_be_restarted(lab, installed):
    if not isinstance(installed, Manager):
        pytest.skip("without a store a stop is a stop")
    installed.client("upgrade")
    before = installed.names()
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        installed.restart()
        assert udp_round_trip(client, server, lab.out.address) == seen
    assert installed.names() == before
