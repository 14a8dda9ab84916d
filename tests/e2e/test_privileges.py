"""What the daemon's processes may do, and as which user: two capabilities, whoever starts it"""

import grp
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import process
from daemon import CLIENT, DAEMON, SHARE, Daemon
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair

USER = pwd.getpwnam("daemon")  # of every Debian; not used by anything else here
GAMES = grp.getgrnam("games").gr_gid
NOBODY = "65534"

NET_ADMIN, NET_RAW, DAC_READ_SEARCH, SYS_PTRACE = 12, 13, 2, 19
CONFIG = SHARE + "[forward web]\nlisten = 8080/tcp\nto = 10.0.0.2:80\n"
FORWARD = ("guest", "2222/tcp", "10.0.0.3:22")


def bits(*capabilities):
    return sum(1 << number for number in capabilities)


def statuses(pid):
    """/proc/PID/status of each thread, as a dictionary."""
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        yield dict(line.split(":\t", 1) for line in path.read_text().splitlines())


def capabilities(status):
    return {key: int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def helper_of(pid):
    """The privileged process: the one child."""
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(words) == 1, words
    return int(words[0])


class Own(Daemon):
    """Its directory of state and socket is its alone, as /run/portreeve is."""

    def write(self, body):
        self.socket = self.directory / "state" / "control.sock"
        super().write(body)


@pytest.fixture
def fresh(lab):
    made = Own(lab, CONFIG)
    yield made
    made.abandon()
    shutil.rmtree(made.directory, ignore_errors=True)


def as_user(daemon):
    return daemon.start("--user", USER.pw_name)


@pytest.fixture
def ours(fresh):
    """A daemon that was started as root, and has become its user."""
    yield as_user(fresh)
    fresh.stop()


def test_every_thread_has_two_capabilities_and_gains_none(ours):
    seen = list(statuses(ours.process.pid))
    assert len(seen) >= 3, "main thread, workers"
    for status in seen:
        assert set(capabilities(status).values()) == {bits(NET_ADMIN, NET_RAW)}
        assert status["NoNewPrivs"] == "1"
        assert set(status["Uid"].split()) == {str(USER.pw_uid)}
        assert set(status["Gid"].split()) == {str(USER.pw_gid)}


SANITIZED = any(name in DAEMON.read_bytes() for name in (b"__asan_init", b"__tsan_init"))
with_filters = pytest.mark.skipif(SANITIZED, reason="sanitizers make system calls of their own")


def filters(pid):
    """How many seccomp filters each thread has; 0 without the mode 2 (SECCOMP_MODE_FILTER)."""
    return {
        int(status["Pid"]): int(status["Seccomp_filters"]) if status["Seccomp"] == "2" else 0
        for status in statuses(pid)
    }


def until_confined(pid, inherited=0):
    """Each thread has a filter; what threads of a later start inherit is the main thread's."""

    def confined():
        found = filters(pid)
        others = {count for thread, count in found.items() if thread != pid}
        return len(found) >= 3 and found[pid] == 1 and others == {1 + inherited}

    eventually(confined, "every thread is confined")


@with_filters
def test_every_thread_may_make_only_its_own_system_calls(ours):
    """Which these are: tests/unit/test_confine.c"""
    until_confined(ours.process.pid)
    assert set(filters(helper_of(ours.process.pid)).values()) == {1}


@with_filters
def test_upgrades_do_not_pile_up_filters(fresh):
    fresh.program = fresh.directory / "portreeved"
    shutil.copy(DAEMON, fresh.program)
    as_user(fresh)
    for _ in range(3):
        fresh.client("upgrade")
        until_confined(fresh.process.pid, inherited=1)
    fresh.stop()


def test_root_without_a_user_to_become_has_no_more(lab, fresh):
    fresh.start("--user", "root")
    for status in statuses(fresh.process.pid):
        assert set(capabilities(status).values()) == {bits(NET_ADMIN, NET_RAW)}
        assert status["NoNewPrivs"] == "1"
    fresh.stop()


def test_root_writes_in_the_directories_that_it_was_started_with_and_nowhere_else(lab, fresh):
    fresh.start("--user", "root")
    if "(Landlock)" in fresh.log_so_far():
        pytest.skip("this kernel has no Landlock")
    state, aside = fresh.socket.parent, fresh.directory / "aside"
    state.rename(aside)
    state.mkdir()
    process.run([CLIENT, "-s", aside / "control.sock", "forward", "add", *FORWARD])
    said = "forwards.json.new: Permission denied ([state] directory); the daemon can"
    eventually(lambda: said in fresh.log_so_far(), "the log says that the forward is not saved")
    assert list(state.iterdir()) == []
    state.rmdir()
    aside.rename(state)
    fresh.add_forward("other", "2223/tcp", "10.0.0.3:22")
    assert "other" in (state / "forwards.json").read_text()
    fresh.stop()


def test_a_user_that_does_not_exist_is_refused(fresh):
    fresh.launch("--user", "no-such-user")
    assert fresh.process.wait(10) == 1
    assert "there is no user 'no-such-user'" in fresh.process.stderr()


def test_packets_offload_and_counters_need_no_more(lab, ours):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == lab.out.address
        talk(client, server)
        ours.until_offloaded("tcp")
    status = ours.status()
    assert not status["warnings"]
    assert all(queue["dropped_full"] == queue["dropped_user"] == 0 for queue in status["queues"])
    assert "cannot" not in ours.log_so_far()


def test_the_hosts_ports_are_reserved_and_given_back_without_root(lab, ours):
    reserved = lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports")
    assert "8080" in reserved and "50000-59999" in reserved
    # ours.stop() compares it with what was there before


def test_everything_it_writes_is_its_own(ours):
    ours.add_forward(*FORWARD)
    for path in [ours.socket.parent, *ours.socket.parent.iterdir()]:
        assert path.lstat().st_uid == USER.pw_uid, path


def test_what_root_has_left_is_taken_over_once(lab, fresh):
    """An upgrade from a version that ran as root, and the way back."""
    fresh.start("--user", "root")
    fresh.add_forward(*FORWARD)
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        fresh.kill()
        assert fresh.socket.parent.stat().st_uid == 0
        as_user(fresh)
        assert fresh.socket.parent.stat().st_uid == USER.pw_uid
        assert "guest" in fresh.client("forwards").stdout
        assert fresh.sessions("tcp")
        talk(client, server)
    fresh.stop()


def test_a_directory_with_files_of_others_is_not_given_away(lab, fresh):
    directory = fresh.socket.parent
    directory.mkdir()
    (directory / "precious").write_text("")
    fresh.launch("--user", USER.pw_name)
    assert fresh.process.wait(10) == 1
    assert f"{directory} has files of other programs (precious)" in fresh.process.stderr()
    assert directory.stat().st_uid == 0 and (directory / "precious").stat().st_uid == 0


def test_a_link_in_the_directory_gives_nothing_away(lab, fresh):
    directory = fresh.socket.parent
    directory.mkdir()
    target, second = fresh.directory / "target", fresh.directory / "second"
    target.write_text("")
    second.write_text("")
    (directory / "forwards.json.new").symlink_to(target)
    os.link(second, directory / "reserved-ports.new")
    as_user(fresh)
    fresh.add_forward(*FORWARD)
    assert target.stat().st_uid == 0 and second.stat().st_uid == 0
    fresh.stop()


def test_a_configuration_that_only_root_may_read_is_reloaded(fresh):
    fresh.config.chmod(0o600)
    as_user(fresh)
    fresh.write(CONFIG.replace("8080", "8081"))
    fresh.config.chmod(0o600)
    fresh.client("reload")
    assert "8081" in fresh.client("forwards").stdout
    fresh.stop()


def test_the_privileged_process_has_two_other_capabilities_and_no_socket_of_the_daemon(ours):
    helper = helper_of(ours.process.pid)
    for status in statuses(helper):
        found = capabilities(status)
        assert found["CapEff"] == found["CapPrm"] == bits(DAC_READ_SEARCH, SYS_PTRACE)
        assert status["NoNewPrivs"] == "1"
    assert {int(path.name) for path in Path(f"/proc/{helper}/fd").iterdir()} == {0, 1, 2, 3}


def test_the_privileged_process_leaves_with_the_daemon(ours):
    helper = helper_of(ours.process.pid)
    ours.kill()
    eventually(lambda: not Path(f"/proc/{helper}").exists(), "it has left")
    as_user(ours)


def test_without_the_privileged_process_the_daemon_goes_on(lab, ours):
    os.kill(helper_of(ours.process.pid), signal.SIGKILL)
    ours.client("reload")
    with lab.gw.listen(8080):
        eventually(lambda: "a program of user 0" in "".join(ours.status()["warnings"]),
                   "the listener is known by its user")


def test_an_upgrade_keeps_user_capabilities_and_privileged_process(lab, fresh):
    fresh.program = fresh.directory / "portreeved"
    shutil.copy(DAEMON, fresh.program)
    fresh.config.chmod(0o600)
    as_user(fresh)
    helper = helper_of(fresh.process.pid)
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        for _ in range(2):
            fresh.client("upgrade")
            talk(client, server)
    assert helper_of(fresh.process.pid) == helper
    for status in statuses(fresh.process.pid):
        assert capabilities(status)["CapEff"] == bits(NET_ADMIN, NET_RAW)
        assert set(status["Uid"].split()) == {str(USER.pw_uid)}
    fresh.client("reload")
    fresh.stop()


def client_as(daemon, uid, gid, *words):
    program = daemon.directory / "portreeve"
    shutil.copy(CLIENT, program)
    program.chmod(0o755)
    return process.run([
        "setpriv", "--reuid",
        str(uid), "--regid",
        str(gid), "--clear-groups", program, "-s", daemon.socket, *words
    ],
                       check=False)


def test_a_group_that_the_daemon_is_not_in_may_look_and_change_nothing(lab, fresh):
    """As under a service manager, which knows nothing of [control] group."""
    fresh.config.write_text(fresh.config.read_text().replace("[control]\n",
                                                             "[control]\ngroup = games\n"))
    directory = fresh.socket.parent
    directory.mkdir()
    os.chown(directory, USER.pw_uid, USER.pw_gid)
    two = "+net_admin,+net_raw"
    process.run([DAEMON, "-c", fresh.config, "-t"])
    fresh.command = lambda *words: [
        "setpriv", "--reuid", USER.pw_name, "--regid", "0", "--clear-groups", "--inh-caps", two,
        "--ambient-caps", two, "--bounding-set", f"-all,{two}", DAEMON, "-c", fresh.config, *words
    ]
    fresh.directory.chmod(0o777)  # of the socket that READY=1 is sent to
    fresh.start()
    assert client_as(fresh, NOBODY, GAMES, "status").returncode == 0
    assert client_as(fresh, NOBODY, GAMES, "reload").returncode == 4
    assert client_as(fresh, NOBODY, NOBODY, "status").returncode == 4
    assert client_as(fresh, USER.pw_uid, USER.pw_gid, "reload").returncode == 0
    assert client_as(fresh, 0, 0, "reload").returncode == 0
    fresh.stop()


def test_prepare_lets_the_user_read_the_configuration_and_nobody_else(fresh):
    fresh.config.chmod(0o600)
    reading = ["setpriv", "--regid", NOBODY, "--clear-groups", "--reuid"]
    process.run([DAEMON, "-c", fresh.config, "--user", USER.pw_name, "--prepare"])
    process.run([*reading, USER.pw_name, "cat", fresh.config])
    assert process.run([*reading, NOBODY, "cat", fresh.config], check=False).returncode != 0
    assert fresh.socket.parent.stat().st_uid == USER.pw_uid
    process.run([DAEMON, "-c", fresh.config, "--user", USER.pw_name, "--prepare"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_the_unit_gets_a_low_exposure(tmp_path):
    unit = tmp_path / "portreeved.service"
    template = Path(__file__).resolve().parents[2] / "systemd" / "portreeved.service.in"
    unit.write_text(template.read_text().replace("@PREFIX@",
                                                 "/usr").replace("@SYSCONFDIR@", "/etc"))
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", unit],
                          capture_output=True,
                          text=True,
                          check=False)
    assert said.returncode == 0, said.stdout + said.stderr
