"""A thread that stands still is noticed, and the daemon begins anew with its sessions
"""

import contextlib
import ctypes
import os
import re
import signal
from pathlib import Path

import pytest

from daemon import OFFLOAD, SHARE, Daemon
from deadline import eventually
from lab import EXTERNAL
from manager import Manager
from traffic import udp_round_trip

CONFIG = SHARE + "[forward web]\nlisten = 8080/tcp+udp\nto = 10.0.0.2:80\n"
THREADS = 5 if OFFLOAD == "on" else 4  # two workers, and two of newcomers
PERIOD = 30  # seconds, of the service manager's watchdog

# ptrace(2)
SEIZE, INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def threads_of(pid):
    """All but the main thread, in the order of their start."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid)


class Stopped:
    """One thread of the daemon, in the hands of a debugger that lets it do nothing."""

    def __init__(self, thread):
        self.thread = thread
        for request in (SEIZE, INTERRUPT):
            if libc.ptrace(request, thread, None, None) < 0:
                pytest.skip(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(thread, WALL)
        assert "(tracing stop)" in Path(f"/proc/{thread}/status").read_text()

    def has_ended(self):
        """The kernel keeps an ended thread until its debugger has heard of it."""
        return os.waitpid(self.thread, WALL | os.WNOHANG)[0] == self.thread


@contextlib.contextmanager
def running(daemon):
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.abandon()


@pytest.fixture
def watched(lab):
    """A service whose manager wants signs of life."""
    service = Manager(lab, CONFIG)
    service.environment["WATCHDOG_USEC"] = str(PERIOD * 1000000)
    with running(service):
        yield service


def signs_of_life(service, sign="1"):
    service.hear()
    return sum(told.get("WATCHDOG") == sign for told in service.states)


def test_status_says_that_all_threads_go_on(lab):
    with running(Daemon(lab, CONFIG)) as daemon:
        health = daemon.status()["health"]
        assert health["fine"] is True and health["watchdog"] is None
        assert len(health["threads"]) == THREADS
        assert re.search(rf"^health     all {THREADS} threads go on$",
                         daemon.client("status").stdout, re.M)


def test_the_manager_gets_signs_of_life_as_long_as_the_daemon_runs(watched):
    assert watched.status()["health"]["watchdog"] == PERIOD
    before = signs_of_life(watched)
    eventually(lambda: signs_of_life(watched) >= before + 2, "two more signs of life")
    watched.process.send(signal.SIGSTOP)
    eventually(lambda: "(stopped)" in Path(f"/proc/{watched.process.pid}/status").read_text(),
               "the process is stopped")
    before = signs_of_life(watched)
    with pytest.raises(AssertionError):
        eventually(lambda: signs_of_life(watched) > before, "a sign of life", 3)
    watched.process.send(signal.SIGCONT)
    eventually(lambda: signs_of_life(watched) >= before + 2, "signs of life again")
    assert watched.status()["health"]["fine"] is True


def test_a_manager_that_does_not_read_holds_nothing_up(watched):
    """Each reload tells it two things."""
    watched.fill_notifications()
    for _ in range(10):
        watched.hang_up(CONFIG)
    eventually(lambda: "manager at" in watched.log_so_far(), "the daemon says so")
    assert "notify.sock: it does not read" in watched.log_so_far()
    assert watched.status()["health"]["fine"]
    watched.hear()
    before = len(watched.states)
    watched.hang_up(CONFIG)
    eventually(lambda: watched.hear() or len(watched.states) > before, "it is told again")


@pytest.mark.parametrize("which", [0, -1], ids=["a worker", "the last thread"])
def test_a_manager_hears_of_a_thread_that_stands_still(lab, watched, which):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        thread = Stopped(threads_of(watched.process.pid)[which])
        eventually(lambda: signs_of_life(watched, "trigger") > 0, "the manager is asked to act", 30)
        before = signs_of_life(watched)
        status = watched.status()
        assert status["health"]["fine"] is False
        assert max(one["still"] for one in status["health"]["threads"]) >= 10
        [notice] = [one for one in status["notices"] if one["name"] == "thread-stalled"]
        assert "has stood still for 10 seconds" in notice["text"]
        assert "a thread stands still" in watched.client("status").stdout
        assert f"warning: {notice['text']}" in watched.log_so_far()
        assert signs_of_life(watched) == before, "it is fed although a thread stands still"
        watched.process.send(signal.SIGABRT)  # as systemd does it
        eventually(thread.has_ended, "the thread has ended")
        watched.process.wait()
        watched.collect_log()
        watched.hear()
        watched.start()
        assert udp_round_trip(client, server, lab.out.address) == seen
        assert watched.status()["health"]["fine"] is True


def test_without_a_manager_the_daemon_begins_anew_by_itself(lab):
    with running(Daemon(lab, CONFIG)) as daemon, lab.out.udp(7) as server, \
            lab.lab1.udp() as client, lab.lab1.udp(80) as inside, lab.out2.udp() as outside:
        seen = udp_round_trip(client, server, lab.out.address)
        udp_round_trip(outside, inside, EXTERNAL, port=8080)
        before = daemon.status()
        thread = Stopped(threads_of(daemon.process.pid)[0])
        eventually(thread.has_ended, "the daemon has begun anew", 30)
        eventually(lambda: daemon.status()["started"] != before["started"], "it answers again")
        status = daemon.status()
        assert status["pid"] == before["pid"]
        assert status["health"]["fine"] is True
        assert status["sessions"]["adopted"] == before["sessions"]["live"] == 2
        assert status["upgrade_problem"] is None
        assert "stands still: the daemon starts anew" in daemon.log_so_far()
        assert udp_round_trip(client, server, lab.out.address) == seen
        udp_round_trip(outside, inside, EXTERNAL, port=8080)
