"""The external interface: its names, its late arrival, and a new one in its place

Nothing of a share may leave untranslated meanwhile; that is watched after every test (conftest.py).
Where it matters what happens before the daemon has noticed a change, the daemon is stopped
(SIGSTOP) while the change is made.
"""

import contextlib
import json
import signal

import pytest

import process
from daemon import DAEMON, SHARE, Daemon
from deadline import eventually
from lab import EDGE, EXTERNAL
from programs import ping
from traffic import assert_silent, udp_round_trip

LONG = "a-name-that-only-an-alternative-name-may-have"


class Outside:
    """The gateway's external interface, in the hands of an administrator."""

    def __init__(self, lab):
        self.lab, self.name, self.taken = lab, "wan0", None

    def rename(self, name):
        """Down and up again: kernels before 6.2 rename no interface that is up."""
        self.lab.gw.ip("link", "set", self.name, "down")
        self.lab.gw.ip("link", "set", self.name, "name", name)
        self.name = name

    def up(self):
        self.lab.gw.ip("link", "set", self.name, "up")
        self.lab.gw.ip("route", "replace", "default", "via", EDGE)
        eventually(self._answers, "the gateway itself answers")

    def _answers(self):
        """The first ping tells the other host the hardware address; a daemon that sleeps keeps its
        answer.
        """
        ping(self.lab.gw, self.lab.out.address, "-c1", check=False)
        return ping(self.lab.out, EXTERNAL, "-c1", check=False).returncode == 0

    def index(self):
        """None when it is not there."""
        shown = self.lab.gw.run("ip", "-j", "link", "show", self.name, check=False)
        return json.loads(shown.stdout)[0]["ifindex"] if shown.returncode == 0 else None

    def remove(self):
        """Away to another namespace, which is the same to the gateway; what watches its other end
        goes on.
        """
        self.taken = self.index()
        self.lab.gw.ip("link", "set", self.name, "netns", self.lab.wan.namespace)

    def create(self):
        """Another interface of this name: the index of before is taken when it comes back."""
        eventually(self._take_index, "the index of before is free")
        self.lab.wan.ip("link", "set", "wan0", "netns", self.lab.gw.namespace)
        self.lab.gw.ip("link", "del", "taken0")
        self.lab.gw.ip("address", "add", f"{EXTERNAL}/24", "dev", "wan0")
        assert self.index() != self.taken
        self.up()

    def _take_index(self):
        """It may be busy until all is forgotten that belonged to the interface."""
        return self.lab.gw.run("ip", "link", "add", "taken0", "index", str(self.taken), "type",
                               "veth", "peer", "name", "taken1", check=False).returncode == 0

    def restore(self):
        if self.index() is None:
            self.create()
        if self.name != "wan0":
            self.rename("wan0")
            self.up()
        for name in ("enp1s0", LONG):
            self.lab.gw.run("ip", "link", "property", "del", "dev", "wan0", "altname", name,
                            check=False)


@pytest.fixture
def outside(lab):
    made = Outside(lab)
    yield made
    made.restore()


@pytest.fixture
def started(lab, outside):
    """Starts a daemon with this external interface; it leaves before the interface is restored."""
    with contextlib.ExitStack() as stack:

        def start(external="wan0", body=SHARE):
            daemon = Daemon(lab, body, external)
            stack.callback(daemon.abandon)
            daemon.start()
            stack.callback(daemon.stop)
            return daemon

        yield start


@contextlib.contextmanager
def asleep(daemon):
    """The daemon notices nothing of what happens inside."""
    daemon.process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.process.send(signal.SIGCONT)


def notices(daemon):
    return {notice["name"] for notice in daemon.status()["notices"]}


def until_used(daemon):
    eventually(lambda: daemon.status()["external"]["addresses"] == [EXTERNAL], "it is in use")


def translates(lab):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL


def sends_nothing(lab):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        for _ in range(5):
            client.sendto(b"not yet", (lab.out.address, 7))
        assert_silent(server)


@pytest.mark.parametrize("name", ["enp1s0", LONG])
def test_an_alternative_name_is_as_good_as_the_name(lab, outside, started, name):
    lab.gw.ip("link", "property", "add", "dev", "wan0", "altname", name)
    daemon = started(name)
    translates(lab)
    assert daemon.status()["external"]["uplinks"] == [{"interface": name, "addresses": [EXTERNAL]}]
    assert notices(daemon) == set()


def test_a_start_without_the_interface_waits_for_it(lab, outside, started):
    outside.rename("later0")
    daemon = started()
    assert notices(daemon) == {"no-interface"}
    assert "there is no interface wan0" in daemon.client("status").stdout
    outside.rename("wan0")
    outside.up()
    until_used(daemon)
    translates(lab)
    assert notices(daemon) == set()
    assert "no longer: there is no interface wan0" in daemon.log_so_far()


def test_nothing_leaves_by_a_late_interface_before_the_daemon_knows_it(lab, outside, started):
    outside.rename("later0")
    daemon = started()
    before = daemon.drops("no-external-address")
    with asleep(daemon):
        outside.rename("wan0")
        outside.up()
        sends_nothing(lab)
    until_used(daemon)
    translates(lab)
    assert daemon.drops("no-external-address") >= before + 5


def test_an_alternative_name_that_is_given_later(lab, outside, started):
    daemon = started("enp1s0")
    assert notices(daemon) == {"no-interface"}
    lab.gw.ip("link", "property", "add", "dev", "wan0", "altname", "enp1s0")
    until_used(daemon)
    translates(lab)


def test_nothing_leaves_by_a_renamed_interface_and_it_stays_in_use(lab, outside, started):
    daemon = started()
    translates(lab)
    with asleep(daemon), lab.out.udp(7) as server, lab.lab1.udp() as client:
        outside.rename("other0")
        outside.up()
        client.sendto(b"waits in the queue", (lab.out.address, 7))
        assert_silent(server)
    eventually(lambda: notices(daemon) == {"renamed-interface"}, "the new name is noticed")
    assert "wan0 is called other0 now" in daemon.client("status").stdout
    translates(lab)
    outside.rename("wan0")
    outside.up()
    eventually(lambda: notices(daemon) == set(), "the old name is noticed")
    translates(lab)


def test_another_interface_of_the_name_takes_over(lab, outside, started):
    daemon = started()
    translates(lab)
    outside.remove()
    eventually(lambda: notices(daemon) == {"no-interface"}, "its end is noticed")
    outside.create()
    until_used(daemon)
    translates(lab)


def test_sessions_outlive_an_interface_that_is_created_again_with_its_address(
        lab, outside, started):
    daemon = started()
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        outside.remove()
        eventually(lambda: notices(daemon) == {"no-interface"}, "its end is noticed")
        outside.create()
        until_used(daemon)
        assert udp_round_trip(client, server, lab.out.address) == seen


def test_nothing_leaves_by_another_interface_of_the_name_before_the_daemon_knows_it(
        lab, outside, started):
    daemon = started()
    translates(lab)
    with asleep(daemon):
        outside.remove()
        outside.create()
        sends_nothing(lab)
    eventually(lambda: f"wan0, index {outside.index()}" in daemon.log_so_far(), "it is noticed")
    translates(lab)


def test_nothing_leaves_by_an_interface_that_comes_while_no_daemon_runs(lab, outside, started):
    daemon = started()
    daemon.kill()
    outside.remove()
    outside.create()
    sends_nothing(lab)
    daemon.start()
    translates(lab)


def test_what_is_wrong_is_said_once_however_often_the_interface_changes(lab, outside, started):
    daemon = started()
    lab.gw.ip("address", "del", f"{EXTERNAL}/24", "dev", "wan0")
    eventually(lambda: notices(daemon) == {"no-external-address"}, "the lack of it is noticed")
    for n in range(50):
        lab.gw.ip("link", "set", "wan0", "alias", f"number-{n}")
    lab.gw.ip("address", "add", f"{EXTERNAL}/24", "dev", "wan0")
    outside.up()
    until_used(daemon)
    assert daemon.log_so_far().count("warning: wan0 has no global IPv4 address") == 1


def test_checking_the_configuration_warns_of_an_interface_that_is_not_there(lab):
    daemon = Daemon(lab, SHARE, "nosuch0")
    done = process.run([DAEMON, "-t", "-c", daemon.config], lab.gw.namespace)
    assert "[gateway] external = nosuch0: there is no such interface now" in done.stderr
    assert "warning: " in done.stderr and "has no errors" in done.stdout


def test_checking_the_configuration_says_nothing_of_an_interface_that_is_there(lab):
    daemon = Daemon(lab, SHARE)
    assert process.run([DAEMON, "-t", "-c", daemon.config], lab.gw.namespace).stderr == ""
