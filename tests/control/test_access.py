"""What each user may do. Needs root, to connect as other users"""

import grp
import os
import subprocess

import pytest

from conftest import CLIENT, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0,
                                reason="only root can connect as another user")

GROUP = "daemon"  # exists on every system
NOBODY = 65534


@pytest.fixture
def shared(start_stub):
    return start_stub(GROUP)


@pytest.fixture
def gid():
    return grp.getgrnam(GROUP).gr_gid


def test_members_may_look(shared, gid):
    for member in ((NOBODY, gid, []), (NOBODY, NOBODY, [gid]), (NOBODY, NOBODY,
                                                                [*range(2000, 2100), gid])):
        connection = shared.connect(as_user=member)
        for method in ("status", "forwards"):
            connection.call(method)
        assert len(connection.call("sessions")) == 8
        assert len(connection.call("mappings")) == 6
        assert connection.call("events")


def test_members_may_not_change(shared, gid):
    connection = shared.connect(as_user=(NOBODY, gid, []))
    for method, params in (("kill", {"all": True}), ("reload", {}), ("upgrade", {}),
                           ("forward.add", {"name": "x"}), ("forward.remove", {"name": "web"})):
        error = connection.refusal(method, **params)
        assert error["code"] == -32001
        assert error["message"].startswith("not permitted: ") and "root" in error["message"]
    assert len(connection.call("sessions")) == 8


def test_other_users_may_do_nothing(shared):
    os.chmod(shared.path, 0o666)  # otherwise they could not connect
    connection = shared.connect(as_user=(NOBODY, NOBODY, []))
    for method in ("status", "sessions", "kill", "no such method"):
        error = connection.refusal(method)
        assert error["code"] == -32001
        assert f"group '{GROUP}'" in error["message"]


def test_without_a_group_only_root(stub):
    os.chmod(stub.path, 0o666)
    error = stub.connect(as_user=(NOBODY, NOBODY, [0])).refusal("status")
    assert error["code"] == -32001 and "only root" in error["message"]


def test_some_connections_are_reserved_for_root(shared, gid):
    crowd = [shared.connect(as_user=(NOBODY, gid, [])) for _ in range(28)]
    crowd[-1].call("status")
    refused = shared.connect(as_user=(NOBODY, gid, []))
    assert refused.read()["error"]["code"] == -32003
    assert refused.read() is None
    assert shared.call("status")
    crowd[0].close()
    eventually(lambda: "result" in (_ask_status(shared, gid) or {}), "a free place")


def test_a_crowd_does_not_fill_the_log(shared, gid):
    crowd = [shared.connect(as_user=(NOBODY, gid, [])) for _ in range(28)]
    crowd[-1].call("status")
    for _ in range(100):
        refused = shared.connect(as_user=(NOBODY, gid, []))
        assert refused.read()["error"]["code"] == -32003
        refused.close()
    assert shared.log().count("too many connections") == 60


def _ask_status(shared, gid):
    connection = shared.connect(as_user=(NOBODY, gid, []))
    try:
        connection.request("status")
        return connection.read()
    except OSError:
        return None


def run_as(stub, *words, gid=NOBODY):
    return subprocess.run([CLIENT, "-s", stub.path, *words], user=NOBODY, group=gid,
                          extra_groups=[], capture_output=True, text=True, check=False)


def test_the_client_says_what_to_do(shared, gid):
    if run_as(shared, "--version").returncode != 0:
        pytest.skip("the client is where only root can run it")
    assert run_as(shared, "status", gid=gid).returncode == 0
    done = run_as(shared, "reload", gid=gid)
    assert (done.returncode, "not permitted" in done.stderr) == (4, True)
    done = run_as(shared, "status")
    assert done.returncode == 4 and "group" in done.stderr
    os.chmod(shared.path, 0o666)
    assert run_as(shared, "status").returncode == 4
