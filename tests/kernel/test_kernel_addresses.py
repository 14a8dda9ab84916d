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


LONG = "a-name-that-only-an-alternative-name-may-have"


@pytest.mark.parametrize("name", ["nosuch0", LONG])
def test_an_interface_that_is_not_there_yet_is_told_when_it_comes(lab, name):
    watching = Driver(lab.gw, "addresses", f"interface={name}", settle=False)
    told = watching.line()
    assert (told["count"], told["index"]) == (-19, 0)
    assert told["error"] == f"there is no interface {name}"
    lab.gw.ip("link", "add", "new0", "type", "veth", "peer", "name", "peer0")
    lab.gw.ip("link", "property", "add", "dev", "new0", "altname", name)
    lab.gw.ip("address", "add", "203.0.113.5/24", "dev", "new0")
    lab.gw.ip("link", "set", "new0", "up")
    told = until(watching, lambda told: told["addresses"] == ["203.0.113.5"])
    assert (told["name"], told["index"]) == ("new0", lab.gw.index("new0"))


@pytest.mark.parametrize("name", ["enp1s0", LONG])
def test_an_alternative_name_is_resolved(lab, name):
    lab.gw.ip("link", "property", "add", "dev", "wan0", "altname", name)
    watching = Driver(lab.gw, "addresses", f"interface={name}", settle=False)
    told = watching.line()
    assert (told["name"], told["index"]) == ("wan0", lab.gw.index("wan0"))
    assert told["addresses"] == ["192.0.2.1"] and not told["renamed"]
    lab.gw.ip("address", "add", "198.51.100.1/24", "dev", "wan0")
    until(watching, lambda told: told["addresses"] == ["192.0.2.1", "198.51.100.1"])


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


def rename(lab, before, after):
    lab.gw.ip("link", "set", before, "down")
    lab.gw.ip("link", "set", before, "name", after)
    lab.gw.ip("link", "set", after, "up")


def test_a_renamed_interface_is_followed(lab):
    watching = watch(lab)
    index = watching.line()["index"]
    rename(lab, "wan0", "old0")
    told = until(watching, lambda told: told["renamed"])
    assert (told["name"], told["index"], told["addresses"]) == ("old0", index, ["192.0.2.1"])
    lab.gw.ip("address", "add", "203.0.113.6/24", "dev", "old0")
    until(watching, lambda told: told["addresses"] == ["192.0.2.1", "203.0.113.6"])
    rename(lab, "old0", "wan0")
    until(watching, lambda told: told["name"] == "wan0" and not told["renamed"])


def test_a_renamed_interface_is_removed(lab):
    watching = watch(lab)
    watching.line()
    rename(lab, "wan0", "old0")
    until(watching, lambda told: told["renamed"])
    lab.gw.ip("link", "del", "old0")
    told = until(watching, lambda told: told["count"] < 0)
    assert told["index"] == 0 and not told["renamed"]


def test_another_interface_takes_the_name(lab):
    watching = watch(lab)
    watching.line()
    rename(lab, "wan0", "old0")
    until(watching, lambda told: told["renamed"])
    lab.gw.ip("link", "add", "new0", "type", "veth", "peer", "name", "peer0")
    lab.gw.ip("address", "add", "203.0.113.5/24", "dev", "new0")
    rename(lab, "new0", "wan0")
    told = until(watching, lambda told: told["addresses"] == ["203.0.113.5"])
    assert told["index"] == lab.gw.index("wan0") and not told["renamed"]


def test_the_mtu(lab):
    watching = watch(lab)
    assert watching.line()["mtu"] == 1500
    lab.gw.ip("link", "set", "wan0", "mtu", "1400")
    until(watching, lambda told: told["mtu"] == 1400)


@pytest.mark.parametrize("count", [64, 300])
def test_more_addresses_than_there_is_room_for(lab, count):
    commands = "\n".join(f"address add 198.18.{n >> 8}.{n & 255}/32 dev wan0" for n in range(count))
    lab.gw.run("ip", "-batch", "-", input=commands)
    told = watch(lab).line()
    assert told["count"] == 64
    assert told["addresses"][0] == "192.0.2.1"
