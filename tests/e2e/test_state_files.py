"""[state] directory: what is believed there, what is not, and what nothing may destroy"""

import json
import os
import shutil

import pytest

import process
from daemon import SHARE, Daemon
from deadline import eventually
from lab import EXTERNAL


@pytest.fixture
def fresh(lab):
    """A daemon that was never started, and its state directory."""
    daemon = Daemon(lab)
    state = daemon.directory / "state"
    state.mkdir(mode=0o755)
    yield daemon, state
    daemon.abandon()
    shutil.rmtree(daemon.directory, ignore_errors=True)


def refused_start(daemon):
    """What the daemon says when it does not start."""
    daemon.launch()
    assert daemon.process.wait(10) == 1
    return daemon.process.stderr()


def a_link(path):
    target = path.with_name("target")
    target.write_text("precious")
    path.symlink_to(target)


def a_second_name(path):
    path.write_text("[]")
    path.chmod(0o600)
    os.link(path, path.with_name("second"))


def writable_by_all(path):
    path.write_text("[]")
    path.chmod(0o666)


def of_another_user(path):
    path.write_text("[]")
    path.chmod(0o600)
    os.chown(path, 65534, 65534)


WRONG = [(os.mkfifo, "is no regular file"), (a_link, "is a symbolic link"),
         (a_second_name, "has a second name"), (writable_by_all, "can be written by other users"),
         (of_another_user, "belongs to another user")]
each_wrong_file = pytest.mark.parametrize("make,reason",
                                          WRONG,
                                          ids=[make.__name__ for make, _ in WRONG])


@each_wrong_file
def test_saved_forwards_in_a_file_of_somebody_else_are_set_aside(fresh, make, reason):
    daemon, state = fresh
    make(state / "forwards.json")
    daemon.start()
    assert reason in daemon.log_so_far()
    assert os.path.lexists(state / "forwards.json.unreadable")
    daemon.add_forward("guest", "2222/tcp", "10.0.0.3:22")
    assert json.loads((state / "forwards.json").read_text())[0]["name"] == "guest"
    daemon.stop()


@each_wrong_file
def test_a_session_file_of_somebody_else_is_never_written(fresh, make, reason):
    daemon, state = fresh
    make(state / "sessions")
    said = refused_start(daemon)
    assert reason in said and f"{state}/sessions" in said


@each_wrong_file
def test_a_file_in_the_way_of_a_new_one_is_replaced_and_not_followed(fresh, make, reason):
    daemon, state = fresh
    make(state / "forwards.json.new")
    daemon.start()
    daemon.add_forward("guest", "2222/tcp", "10.0.0.3:22")
    assert json.loads((state / "forwards.json").read_text())[0]["name"] == "guest"
    assert not os.path.lexists(state / "forwards.json.new")
    if (state / "target").exists():
        assert (state / "target").read_text() == "precious"
    daemon.stop()


def test_saved_forwards_that_cannot_be_read_are_set_aside_not_replaced(fresh):
    daemon, state = fresh
    (state / "forwards.json").write_text('[{"name": "guest", "listen": "22')
    (state / "forwards.json").chmod(0o600)
    daemon.start()
    daemon.add_forward("other", "2222/tcp", "10.0.0.3:22")
    assert "guest" in (state / "forwards.json.unreadable").read_text()
    assert f"{state}/forwards.json:1" in daemon.log_so_far()
    daemon.stop()


def test_a_directory_that_others_may_write_is_refused(fresh):
    daemon, state = fresh
    state.chmod(0o777)
    assert f"{state} can be written by other users" in refused_start(daemon)


def test_a_directory_of_another_user_is_refused(fresh):
    daemon, state = fresh
    os.chown(state, 65534, 65534)
    assert f"{state} belongs to another user" in refused_start(daemon)


@pytest.fixture
def small_disk(fresh):
    """The state directory is on a small file system of its own."""
    daemon, state = fresh
    daemon.write(SHARE + "[limits]\nsessions = 1024\n")
    process.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", state])
    yield daemon, state
    daemon.abandon()
    process.run(["umount", "-l", state])


def fill(path):
    with pytest.raises(OSError), path.open("wb") as filler:
        while True:
            filler.write(bytes(4096))
            filler.flush()


def test_a_full_disk_is_said_and_loses_nothing(small_disk):
    daemon, state = small_disk
    daemon.start()
    daemon.add_forward("first", "2222/tcp", "10.0.0.3:22")
    fill(state / "filler")
    daemon.add_forward("second", "2223/tcp", "10.0.0.3:22")
    eventually(
        lambda: f"cannot write {state}/forwards.json.new: No space left" in daemon.log_so_far(),
        "the log says why")
    (state / "filler").unlink()
    assert [one["name"] for one in json.loads((state / "forwards.json").read_text())] == ["first"]
    daemon.add_forward("third", "2224/tcp", "10.0.0.3:22")
    daemon.kill()
    daemon.start()
    listed = daemon.client("forwards").stdout
    assert all(name in listed for name in ("first", "second", "third"))
    daemon.stop()


def test_what_must_outlive_a_reboot_is_in_a_directory_of_its_own(fresh):
    """A reboot empties [state] directory, and nothing else."""
    daemon, state = fresh
    lasting = daemon.directory / "lasting"
    daemon.write(SHARE + f"[forward web]\nlisten = 8080/udp\nto = 10.0.0.2:80\n"
                 f"allow = 192.0.2.1\n[state]\nlasting-directory = {lasting}\n")
    daemon.start()
    daemon.add_forward("guest", "2222/tcp", "10.0.0.3:22", "--note", "for the guest")
    with daemon.lab.out.udp() as stranger:
        stranger.sendto(b"let me in", (EXTERNAL, 8080))
        eventually(lambda: daemon.forwards()[0]["use"]["refused"], "the refusal")
    before = daemon.forwards()
    daemon.stop()
    shutil.rmtree(state)
    daemon.start()
    assert daemon.forwards() == before
    assert [one["name"] for one in before] == ["web", "guest"]
    assert before[0]["use"]["refused"] == {"not-allowed": 1}
    assert before[1]["added"]["by"].startswith("user 0 (process ")
    assert (lasting / "register.json").stat().st_mode & 0o777 == 0o600
    daemon.stop()


def test_a_register_that_is_broken_is_set_aside(fresh):
    daemon, state = fresh
    (state / "register.json").write_text('{"version": 1, "ports": [')
    (state / "register.json").chmod(0o600)
    daemon.start()
    assert (state / "register.json.unreadable").read_text() == '{"version": 1, "ports": ['
    assert "cannot read the register of open ports" in daemon.log_so_far()
    daemon.stop()
