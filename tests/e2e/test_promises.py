"""Promises of the configuration: a reload, or a forward at run time, that would break one changes
nothing
"""

import json

import pytest

from daemon import SHARE

NEVER = SHARE + """
[never databases]
to = :3306, 10.0.0.3:1-1023
"""

DATABASE = """
[forward db]
listen = 13306/tcp
to = 10.0.0.2:3306
"""


def names(daemon):
    return [one["name"] for one in daemon.forwards()]


def test_a_reload_that_breaks_a_promise_changes_nothing(lab, start_daemon):
    daemon = start_daemon(NEVER)
    done = daemon.reload(NEVER + DATABASE, check=False)
    assert done.returncode == 1 and "nothing has changed" in done.stderr
    assert "[never databases] is broken by [forward db] at line " in done.stderr
    assert "198.51.100.7 may send to 13306/tcp, which leads to 10.0.0.2:3306" in done.stderr
    assert names(daemon) == []
    daemon.reload(NEVER)


@pytest.mark.parametrize("listen,target", [("9000/tcp", "10.0.0.2:3306"),
                                           ("9000-9010/tcp", "10.0.0.2:3300"),
                                           ("9000/udp", "10.0.0.3:53")])
def test_a_forward_that_breaks_a_promise_is_not_added(lab, start_daemon, listen, target):
    daemon = start_daemon(NEVER)
    done = daemon.add_forward("guest", listen, target, check=False)
    assert done.returncode == 1
    assert "[never databases] of the configuration forbids it: 198.51.100.7 may send" in done.stderr
    assert names(daemon) == []
    daemon.add_forward("guest", listen, "10.0.0.2:4000")


def test_a_change_of_allow_that_breaks_a_promise_is_refused(lab, start_daemon):
    daemon = start_daemon(SHARE + "[never admin]\nfrom = !192.0.2.0/24\nto = :22\n")
    daemon.add_forward("ssh", "2222/tcp", "10.0.0.2:22", "--allow", "192.0.2.0/25")
    done = daemon.client("forward", "set", "ssh", "--allow", "anyone", check=False)
    assert done.returncode == 1 and "[never admin]" in done.stderr
    assert daemon.forwards()[0]["allow"] == ["192.0.2.0/25"]
    daemon.client("forward", "set", "ssh", "--allow", "192.0.2.0/24")


def test_a_run_time_forward_stands_against_a_new_promise(lab, start_daemon):
    daemon = start_daemon(SHARE)
    daemon.add_forward("guest", "9000/tcp", "10.0.0.2:3306")
    done = daemon.reload(NEVER, check=False)
    assert done.returncode == 1
    assert "[never databases] forbids the run-time forward 'guest'" in done.stderr
    daemon.remove_forward("guest")
    daemon.reload(NEVER)


def test_a_saved_forward_that_a_new_promise_forbids_is_not_used(lab, start_daemon):
    daemon = start_daemon(SHARE)
    daemon.add_forward("guest", "9000/tcp", "10.0.0.2:3306")
    daemon.add_forward("other", "9001/tcp", "10.0.0.2:80")
    daemon.stop()
    daemon.write(NEVER)
    daemon.start()
    assert names(daemon) == ["other"]
    assert "the saved run-time forward 'guest' is not used: 198.51.100.7 may send to 9000/tcp" in \
        daemon.log_so_far()


def test_the_check_of_a_file_finds_it_too(lab, start_daemon):
    daemon = start_daemon(SHARE)
    daemon.write(NEVER + DATABASE)
    done = lab.gw.run(*daemon.command("-t"), check=False)
    assert done.returncode == 1 and "[never databases] is broken" in done.stdout + done.stderr
    assert json.loads(daemon.client("forwards", "--json").stdout) == []
