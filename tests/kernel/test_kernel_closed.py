"""Which packets from outside the rules let through to the hosts of closed shares

The outside has a route to 10.0.0.0/24 by the gateway, as a neighbour may have who wishes us ill.
"""

import socket
import struct

import pytest

from kernel_lab import wait_until

CLOSED = ("install", "interface=wan0", "external=192.0.2.1", "sources=10.0.0.0/24,192.0.2.128/25",
          "closed=10.0.0.0/24,192.0.2.128/25", "exempt=198.51.100.0/24", "udp=4000")

REFUSED = "from outside to a closed share, of no session"
FORGED = "forged source: to a closed share"
OWN = "the interface has this address"
BACK = "to where it came from: one-armed"
INSIDER = "from inside, behind this interface"
EXEMPT = "from an exempt address"
ERROR = "ICMP error about an exempt address"


@pytest.fixture
def addressed(lab):
    """Addresses that the outside sends from, and the two that the gateway has beside the external
    one: in the closed 192.0.2.128/25, and inside.
    """
    for address in ("198.51.100.7", "10.0.0.77", "192.0.2.130"):
        lab.outside.ip("address", "add", f"{address}/32", "dev", "lo")
    lab.gw.ip("address", "add", "192.0.2.129/24", "dev", "wan0")
    for interface in ("all", "wan0"):
        lab.gw.sysctl(f"ipv4/conf/{interface}/rp_filter", "0")
    lab.gw.ip("route", "add", "default", "via", "192.0.2.2")
    return lab


def counted(lab):
    """{comment: packets} of the rules that decide, without zeros"""
    found = {}
    for rule in lab.listing()["rule"]:
        for part in rule["expr"]:
            if rule["chain"] == "outsiders" and "counter" in part and part["counter"]["packets"]:
                found[rule["comment"]] = part["counter"]["packets"]
    return found


@pytest.mark.parametrize("source, destination, rule", [
    ("192.0.2.2", "10.0.0.2", REFUSED),
    ("192.0.2.2", "10.0.0.1", REFUSED),
    ("10.0.0.77", "10.0.0.2", FORGED),
    ("192.0.2.130", "10.0.0.2", INSIDER),
    ("198.51.100.7", "10.0.0.2", EXEMPT),
    ("192.0.2.2", "192.0.2.129", OWN),
    ("192.0.2.2", "192.0.2.140", BACK),
])
def test_only_strangers_are_kept_out(addressed, source, destination, rule):
    """10.0.0.1 is the gateway's, but not at this interface; 192.0.2.140 is behind it."""
    addressed.ruleset(*CLOSED)
    addressed.outside.ip("route", "replace", "192.0.2.128/25", "via", "192.0.2.1")
    with addressed.outside.socket(bind=(source, 0)) as sender:
        sender.sendto(b"hello", (destination, 4000))
    wait_until(lambda: counted(addressed) == {rule: 1}, f"'{rule}' decides about it alone")


def test_what_is_refused_does_not_arrive(addressed):
    addressed.ruleset(*CLOSED)
    with addressed.inside.socket(bind=("10.0.0.2", 4000)) as receiver:
        for source in ("192.0.2.2", "10.0.0.77", "198.51.100.7"):
            with addressed.outside.socket(bind=(source, 0)) as sender:
                sender.sendto(b"hello", ("10.0.0.2", 4000))
        assert receiver.recvfrom(100)[1][0] == "198.51.100.7", "the first that arrives"
    assert counted(addressed) == {REFUSED: 1, FORGED: 1, EXEMPT: 1}


def quoting(destination):
    """An ICMP error (host unreachable) about a datagram of 10.0.0.2 to this address."""
    quoted = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 1, 0, 64, 17, 0,
                         socket.inet_aton("10.0.0.2"), socket.inet_aton(destination), 7, 7, 8, 0)
    return struct.pack("!BBHI", 3, 1, 0, 0) + quoted


@pytest.mark.parametrize("about, rule", [("198.51.100.9", ERROR), ("192.0.2.99", REFUSED)])
def test_of_icmp_errors_those_about_exempt_addresses_pass(addressed, about, rule):
    """Routers on the way send them, path MTU discovery for example."""
    addressed.ruleset(*CLOSED)
    with addressed.outside.entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                                    socket.IPPROTO_ICMP) as raw:
        raw.sendto(quoting(about), ("10.0.0.2", 0))
    wait_until(lambda: counted(addressed) == {rule: 1}, f"'{rule}' decides about it alone")


def test_an_interface_is_closed_before_its_index_is_known(addressed):
    addressed.ruleset(*CLOSED, "known=0")
    with addressed.outside.socket() as sender:
        sender.sendto(b"hello", ("10.0.0.2", 4000))
    wait_until(lambda: counted(addressed) == {REFUSED: 1}, "it is dropped")


def test_what_comes_from_inside_is_not_asked(addressed):
    """Also where the destination is a closed share, as for a one-armed gateway's other network."""
    addressed.ruleset(*CLOSED)
    with addressed.inside.socket() as sender:
        sender.sendto(b"hello", ("192.0.2.140", 4000))

    def looked():
        return sum(part["counter"]["packets"] for rule in addressed.listing()["rule"]
                   if rule["comment"] == "to a host of a closed share" for part in rule["expr"]
                   if "counter" in part)

    wait_until(lambda: looked() == 1, "its destination is found to be closed")
    assert counted(addressed) == {}


def test_an_open_share_is_open(addressed):
    addressed.ruleset("install", "interface=wan0", "external=192.0.2.1", "sources=10.0.0.0/24",
                      "udp=4000")
    with addressed.inside.socket(bind=("10.0.0.2", 4000)) as receiver:
        with addressed.outside.socket() as sender:
            sender.sendto(b"hello", ("10.0.0.2", 4000))
        assert receiver.recv(100) == b"hello"
