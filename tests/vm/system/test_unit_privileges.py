"""The service under the unit: its user, its capabilities, and what an earlier version has left"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

import host
import process
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair

RUN = Path("/run/portreeve")
TWO = (1 << 12) | (1 << 13)  # CAP_NET_ADMIN, CAP_NET_RAW


def statuses(pid):
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        yield dict(line.split(":\t", 1) for line in path.read_text().splitlines())


def user():
    return pwd.getpwnam("portreeve").pw_uid


def test_unit_every_thread_has_its_user_and_two_capabilities(service):
    for status in statuses(service.pid()):
        assert set(status["Uid"].split()) == {str(user())}
        for key in ("CapPrm", "CapEff", "CapBnd"):
            assert int(status[key], 16) == TWO
        assert status["NoNewPrivs"] == "1"
    assert all(path.stat().st_uid == user() for path in [RUN, *RUN.iterdir()])


def test_unit_every_thread_has_a_filter_of_its_own(service):
    """Systemd's filters come first. After an upgrade the threads inherit the main thread's."""
    service.client("upgrade")
    pid = service.pid()

    def confined():
        counts = {int(one["Pid"]): int(one["Seccomp_filters"]) for one in statuses(pid)}
        main = counts.pop(pid)
        return counts and set(counts.values()) == {main + 1}

    eventually(confined, "every thread is confined")
    said = process.run(["journalctl", "-b", "-o", "cat", "-u", service.NAME]).stdout
    assert "may make any system call" not in said


def test_unit_lets_the_daemon_do_all_it_does(service):
    status = service.status()
    assert not status["warnings"], status["warnings"]
    assert all(queue.get("error") is None for queue in status["queues"])
    assert "8080" in host.RESERVED.read_text()
    said = host.process.run(
        ["journalctl", "-b", "-o", "cat", "-u", service.NAME, f"_PID={service.pid()}"]).stdout
    assert "cannot" not in said, said


def test_unit_reserves_nothing_but_that_file(service):
    mounts = Path(f"/proc/{service.pid()}/mountinfo").read_text()
    proc_sys = [line.split()[5] for line in mounts.splitlines() if line.split()[4] == "/proc/sys"]
    assert proc_sys and proc_sys[-1].startswith("ro")


def test_unit_gets_a_low_exposure(installed):
    process.run(["systemd-analyze", "security", "--threshold=15", installed.NAME])


def test_unit_takes_over_from_a_version_that_ran_as_root(lab, service, no_leak):
    """Its unit had no User=, so all that it has left is root's."""
    service.client("forward", "add", "guest", "2222/tcp", "10.0.0.3:22")
    drop_in = Path("/run/systemd/system/portreeved.service.d/former.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nUser=root\nAmbientCapabilities=\nExecStartPre=\n"
                       "SystemCallFilter=\nSystemCallFilter=@system-service\n"
                       "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_CHOWN\n"
                       "ExecStartPre=+chown -R root: /run/portreeve /var/lib/portreeve\n")
    try:
        host.systemctl("daemon-reload")
        host.systemctl("restart", service.NAME)
        assert {status["Uid"].split()[0] for status in statuses(service.pid())} == {"0"}
        with host.Connections(lab) as connections:
            shutil.rmtree(drop_in.parent)
            host.systemctl("daemon-reload")
            host.systemctl("restart", service.NAME)
            connections.all_live()
        assert {status["Uid"].split()[0] for status in statuses(service.pid())} == {str(user())}
        assert "guest" in service.client("forwards").stdout
    finally:
        shutil.rmtree(drop_in.parent, ignore_errors=True)
        host.systemctl("daemon-reload")
        service.client("forward", "remove", "guest", check=False)


def test_unit_starts_with_a_configuration_that_only_root_may_read(lab, service):
    host.CONFIG.chmod(0o600)
    host.CONFIG.parent.chmod(0o700)
    try:
        host.systemctl("restart", service.NAME)
        host.systemctl("reload", service.NAME)
        with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                       listener) as (client, server, _):
            talk(client, server)
    finally:
        host.CONFIG.unlink()
        host.CONFIG.parent.chmod(0o755)


@pytest.fixture
def other_group():
    subprocess.run(["groupadd", "--system", "netops"], check=False)
    subprocess.run(["useradd", "--system", "-g", "netops", "looker"], check=False)
    subprocess.run(["useradd", "--system", "stranger"], check=False)


def test_unit_lets_another_group_look(service, other_group):
    service.write(host.BODY + "[control]\ngroup = netops\n")
    host.systemctl("restart", service.NAME)

    def as_user(name, *words):
        return process.run(["runuser", "-u", name, "--", "portreeve", *words],
                           check=False).returncode

    eventually(service.answers, "it answers")
    assert as_user("looker", "status") == 0
    assert as_user("looker", "reload") == 4
    assert as_user("stranger", "status") == 4
    assert os.stat(RUN / "control.sock").st_uid == user()
    host.systemctl("reload", service.NAME)
