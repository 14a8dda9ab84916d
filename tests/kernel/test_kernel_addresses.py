"""The external interface's addresses, followed: src/netfilter/addresses.c."""

import pytest

from kernel_lab import Driver


def watch(lab):
    return Driver(lab.gw, "addresses", "interface=wan0", settle=False)


def until(watching, condition):
    """The first report that satisfies; a change may be reported in steps."""
    for _ in range(50):
        told = watching.line()
        if condition(told):
            return told
    raise AssertionError("never told")


def test_addresses_of_global_scope_in_their_order(lab):
    lab.gw.ip("address", "add", "192.0.2.7/24", "dev", "wan0")
    lab.gw.ip("address", "add", "198.51.100.1/32", "dev", "wan0")
    lab.gw.ip("address", "add", "169.254.3.3/16", "dev", "wan0", "scope", "link")
    told = watch(lab).line()
    assert told["addresses"] == ["192.0.2.1", "198.51.100.1", "192.0.2.7"]
    assert told["index"] == lab.gw.index("wan0")


def test_ours_of_a_point_to_point_address(lab):
    lab.gw.ip("address", "flush", "dev", "wan0")
    lab.gw.ip("address", "add", "203.0.113.9", "peer", "203.0.113.254", "dev", "wan0")
    assert watch(lab).line()["addresses"] == ["203.0.113.9"]


def test_no_such_interface(lab):
    for name in ("wan7", "a-name-that-is-too-long"):
        said = lab.drive("addresses", f"interface={name}")[-1]
        assert said["code"] == -19
        assert f"there is no interface {name}" in said["error"]


def test_an_address_comes_and_goes(lab):
    watching = watch(lab)
    watching.line()
    lab.gw.ip("address", "add", "198.51.100.1/24", "dev", "wan0")
    until(watching, lambda told: told["addresses"] == ["192.0.2.1", "198.51.100.1"])
    lab.gw.ip("address", "del", "192.0.2.1/24", "dev", "wan0")
    until(watching, lambda told: told["addresses"] == ["198.51.100.1"])


def test_changes_of_other_interfaces_are_not_told(lab):
    watching = watch(lab)
    watching.line()
    lab.gw.ip("address", "add", "10.9.9.9/24", "dev", "lan0")
    lab.gw.ip("link", "add", "other", "type", "veth", "peer", "name", "peer0")
    lab.gw.ip("address", "add", "198.51.100.1/24", "dev", "wan0")
    assert watching.line()["addresses"] == ["192.0.2.1", "198.51.100.1"]


def test_the_interface_goes_and_comes_back_with_another_index(lab):
    watching = watch(lab)
    before = watching.line()["index"]
    lab.gw.ip("link", "del", "wan0")
    gone = until(watching, lambda told: told["count"] < 0)
    assert gone["count"] == -19 and "there is no interface wan0" in gone["error"]
    lab.gw.ip("link", "add", "wan0", "type", "veth", "peer", "name", "peer0")
    lab.gw.ip("address", "add", "203.0.113.5/24", "dev", "wan0")
    back = until(watching, lambda told: told["addresses"] == ["203.0.113.5"])
    assert back["index"] == lab.gw.index("wan0") != before
    lab.gw.ip("address", "add", "203.0.113.6/24", "dev", "wan0")
    until(watching, lambda told: told["addresses"] == ["203.0.113.5", "203.0.113.6"])


def test_another_interface_takes_the_name(lab):
    watching = watch(lab)
    watching.line()
    lab.gw.ip("link", "set", "wan0", "down")
    lab.gw.ip("link", "set", "wan0", "name", "old0")
    until(watching, lambda told: told["count"] == -19)
    lab.gw.ip("link", "add", "new0", "type", "veth", "peer", "name", "peer0")
    lab.gw.ip("address", "add", "203.0.113.5/24", "dev", "new0")
    lab.gw.ip("link", "set", "new0", "name", "wan0")
    until(watching, lambda told: told["addresses"] == ["203.0.113.5"])


@pytest.mark.parametrize("count", [64, 300])
def test_more_addresses_than_there_is_room_for(lab, count):
    commands = "\n".join(f"address add 198.18.{n >> 8}.{n & 255}/32 dev wan0" for n in range(count))
    lab.gw.run("ip", "-batch", "-", input=commands)
    told = watch(lab).line()
    assert told["count"] == 64
    assert told["addresses"][0] == "192.0.2.1"
