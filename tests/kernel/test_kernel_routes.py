"""Which interfaces lead outside: src/netfilter/routes.c."""

import pytest

from kernel_lab import Driver


def watch(lab, *words):
    return Driver(lab.gw, "routes", *words, settle=False)


def until(watching, *interfaces):
    """A change may be reported in steps."""
    for _ in range(50):
        told = watching.line()
        if sorted(told["interfaces"]) == sorted(interfaces):
            return told
    raise AssertionError(f"{interfaces} were never told")


def test_an_interface_without_a_default_route_does_not_lead_outside(lab):
    assert watch(lab).line()["interfaces"] == []


@pytest.mark.parametrize("route", [
    "default via 192.0.2.2",
    "0.0.0.0/1 via 192.0.2.2",
    "128.0.0.0/1 dev wan0",
    "default dev wan0 table 51820 metric 7",
    "default via 192.0.2.2 table 100000",
])
def test_a_default_route_of_any_table_and_its_halves_count(lab, route):
    lab.gw.ip("route", "add", *route.split())
    assert watch(lab).line()["interfaces"] == ["wan0"]


@pytest.mark.parametrize("route", [
    "198.51.100.0/24 via 192.0.2.2",
    "64.0.0.0/2 via 192.0.2.2",
    "unreachable default",
    "blackhole default metric 4000",
])
def test_other_routes_do_not_count(lab, route):
    lab.gw.ip("route", "add", *route.split())
    assert watch(lab).line()["interfaces"] == []


def test_every_next_hop_counts_and_each_interface_once(lab):
    lab.gw.ip("route", "add", "default", "nexthop", "via", "192.0.2.2", "nexthop", "via",
              "10.0.0.2")
    lab.gw.ip("route", "add", "default", "via", "192.0.2.3", "metric", "9")
    assert sorted(watch(lab).line()["interfaces"]) == ["lan0", "wan0"]


@pytest.fixture(params=["1", "0"])
def tells_next_hops(lab, request):
    """0: of a route with a next hop object the kernel tells only the object's number."""
    lab.gw.sysctl("ipv4/nexthop_compat_mode", request.param)
    yield
    lab.gw.sysctl("ipv4/nexthop_compat_mode", "1")


def test_next_hops_that_are_objects_count(lab, tells_next_hops):
    lab.gw.ip("nexthop", "add", "id", "1", "via", "192.0.2.2", "dev", "wan0")
    lab.gw.ip("nexthop", "add", "id", "2", "via", "10.0.0.2", "dev", "lan0")
    lab.gw.ip("nexthop", "add", "id", "3", "group", "1/2")
    lab.gw.ip("route", "add", "default", "nhid", "3")
    assert sorted(watch(lab).line()["interfaces"]) == ["lan0", "wan0"]


def test_a_next_hop_object_that_changes_is_noticed(lab, tells_next_hops):
    lab.gw.ip("nexthop", "add", "id", "1", "via", "192.0.2.2", "dev", "wan0")
    lab.gw.ip("route", "add", "default", "nhid", "1")
    watching = watch(lab)
    assert watching.line()["interfaces"] == ["wan0"]
    lab.gw.ip("nexthop", "replace", "id", "1", "via", "10.0.0.2", "dev", "lan0")
    until(watching, "lan0")


def test_more_interfaces_than_there_is_room_for(lab):
    lab.gw.ip("route", "add", "default", "nexthop", "via", "192.0.2.2", "nexthop", "via",
              "10.0.0.2")
    told = watch(lab, "max=1").line()
    assert told["count"] == 2
    assert len(told["interfaces"]) == 1


def test_routes_come_and_go(lab):
    watching = watch(lab)
    watching.line()
    lab.gw.ip("route", "add", "default", "via", "192.0.2.2")
    until(watching, "wan0")
    lab.gw.ip("route", "add", "default", "via", "10.0.0.2", "table", "77")
    until(watching, "lan0", "wan0")
    lab.gw.ip("route", "del", "default")
    until(watching, "lan0")


def test_routes_that_go_with_their_link_are_noticed(lab):
    lab.gw.ip("route", "add", "default", "via", "192.0.2.2")
    watching = watch(lab)
    assert watching.line()["interfaces"] == ["wan0"]
    lab.gw.ip("link", "set", "wan0", "down")
    until(watching)


def test_routes_that_go_with_their_address_are_noticed(lab):
    lab.gw.ip("route", "add", "default", "via", "192.0.2.2")
    watching = watch(lab)
    assert watching.line()["interfaces"] == ["wan0"]
    lab.gw.ip("address", "flush", "dev", "wan0")
    until(watching)


def test_changes_of_other_routes_wake_nobody(lab):
    """A router with a full table has a million of them."""
    watching = watch(lab)
    watching.line()
    commands = "\n".join(f"route add 198.18.{n >> 8}.{n & 255}/32 via 192.0.2.2"
                         for n in range(1000))
    lab.gw.run("ip", "-batch", "-", input=commands)
    lab.gw.ip("route", "add", "default", "via", "192.0.2.2")
    assert watching.line()["interfaces"] == ["wan0"]
    assert watching.silent()
