"""The external address comes, goes and changes, as with DHCP or a modem that dials in again"""

import contextlib
import json
import socket

import pytest

import process
from daemon import CLIENT, SHARE
from deadline import eventually
from lab import EDGE, EXTERNAL
from programs import ping
from traffic import assert_silent, talk, tcp_pair, udp_round_trip

NEW = "203.0.113.6"
INSIDE = "10.0.0.200"  # within the share's source

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward echo]
listen = 7/udp
to = 10.0.0.2:7007
"""


class Uplink:
    """The gateway's outside, as a DHCP client would set it; a change returns when the daemon has
    followed.
    """

    def __init__(self, lab, daemon):
        self._gw, self._daemon = lab.gw, daemon

    def used(self):
        """The external addresses that the daemon uses."""
        return self._daemon.status()["external"]["addresses"]

    def until_used(self, *addresses):
        eventually(lambda: sorted(self.used()) == sorted(addresses), f"{addresses} in use")

    def lose(self, address=EXTERNAL):
        self._gw.ip("address", "del", f"{address}/24", "dev", "wan0")

    def gain(self, address):
        self._gw.ip("address", "add", f"{address}/24", "dev", "wan0")
        self.route()

    def change(self, before, after):
        self.lose(before)
        self.gain(after)
        self.until_used(after)

    def route(self):
        self._gw.ip("route", "replace", "default", "via", EDGE)

    def route_without_address(self):
        """Packets for the outside still leave by wan0: the daemon, not the routing, must stop them.
        """
        self._gw.ip("route", "replace", "203.0.113.0/24", "dev", "wan0", "scope", "link")

    def restore(self):
        self._gw.ip("link", "set", "wan0", "up")
        self._gw.ip("route", "flush", "dev", "wan0")
        self._gw.ip("address", "flush", "dev", "wan0")
        self.gain(EXTERNAL)
        self.until_used(EXTERNAL)


@pytest.fixture
def uplink(lab, daemon):
    made = Uplink(lab, daemon)
    yield made
    made.restore()


@contextlib.contextmanager
def watched_events(lab, daemon):
    """The events that `portreeve events` prints, as a function that returns them so far."""
    with process.Process([CLIENT, "-s", daemon.socket, "events", "--json"],
                         directory=daemon.directory) as client:

        def events():
            lines = client.stdout().split("\n")[:-1]  # the last may not be complete
            return [json.loads(line) for line in lines]

        def subscribed():
            ping(lab.lab2, lab.out.address, "-c1")
            return events()

        eventually(subscribed, "portreeve events is subscribed")
        yield events


def forsake(*sockets):
    """These end without a word: their connections are dead, and their FINs would be sent for
    minutes.
    """
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def closed_by_address(events):
    return {
        event["session"]["id"]
        for event in events() if event["type"] == "closed" and event["reason"] == "address"
    }


def test_sessions_of_the_old_address_end_and_events_say_address(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.out.listen(80) as listener, \
            lab.lab1.listen(80) as inside, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener) as (one, other, _), \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (caller, called, _), \
            watched_events(lab, daemon) as events:
        forsake(one, other, caller, called)
        udp_round_trip(client, server, lab.out.address)
        old = {session["id"] for session in daemon.sessions(f"external={EXTERNAL}")}
        assert len(old) >= 3
        uplink.change(EXTERNAL, NEW)
        eventually(lambda: old <= closed_by_address(events),
                   "every session is said to have ended by its address")
        assert daemon.sessions(f"external={EXTERNAL}") == []
        assert daemon.status()["sessions"]["closed"]["address"] >= len(old)


def test_an_old_connection_is_not_continued_from_the_new_address(lab, daemon, uplink):
    """The remote knows it by the old address: a segment from another would only confuse, a private
    one would leak.
    """
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (client, server, _):
        talk(client, server)
        forsake(client, server)
        uplink.change(EXTERNAL, NEW)
        with daemon.dropping("tcp-not-syn"):
            client.sendall(b"are you there?")
        assert_silent(server)


def test_new_sessions_use_the_new_address(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.out.listen(80) as listener:
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
        uplink.change(EXTERNAL, NEW)
        assert udp_round_trip(client, server, lab.out.address)[0] == NEW
        with tcp_pair(lab.lab1, lab.out.address, 80, listener) as (one, other, seen):
            assert seen[0] == NEW
            talk(one, other)
        ping(lab.lab1, lab.out.address, "-c1")
        assert daemon.sessions("icmp", f"external={NEW}")


def test_forwards_follow_the_new_address(lab, daemon, uplink):
    uplink.change(EXTERNAL, NEW)
    with lab.lab1.listen(80) as listener, lab.lab1.udp(7007) as echo, lab.out.udp() as client:
        for host in (lab.out, lab.far, lab.lab2):  # the last is a hairpin
            with tcp_pair(host, NEW, 8080, listener) as (one, other, seen):
                talk(one, other)
                assert seen[0] == (NEW if host is lab.lab2 else host.address)
        assert udp_round_trip(client, echo, NEW, port=7)[0] == lab.out.address


def test_one_more_address_ends_no_session(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.out.listen(80) as listener, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener) as (one, other, _):
        seen = udp_round_trip(client, server, lab.out.address)
        uplink.gain(NEW)
        uplink.until_used(EXTERNAL, NEW)
        talk(one, other)
        assert udp_round_trip(client, server, lab.out.address) == seen
        uplink.lose(NEW)
        uplink.until_used(EXTERNAL)
        talk(one, other)
        assert udp_round_trip(client, server, lab.out.address) == seen


def test_no_address_for_a_while(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        uplink.lose()
        uplink.until_used()
        uplink.route_without_address()
        assert "warning: wan0 has no global IPv4 address" in daemon.client("status").stdout
        with daemon.dropping("no-external-address"):
            client.sendto(b"nowhere to go", (lab.out.address, 7))
        assert_silent(server)
        uplink.gain(EXTERNAL)
        uplink.until_used(EXTERNAL)
        assert daemon.status()["warnings"] == []
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL


def test_sessions_outlive_an_address_that_is_removed_and_added_again(lab, daemon, uplink):
    """ifdown and ifup, or a DHCP client that renews: a second without the address."""
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab1.listen(80) as inside, \
            lab.out.listen(80) as listener, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener) as (one, other, _), \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (caller, called, _):
        seen = udp_round_trip(client, server, lab.out.address)
        ids = {session["id"] for session in daemon.sessions()}
        for _ in range(2):
            uplink.lose()
            uplink.until_used()
            uplink.gain(EXTERNAL)
            uplink.until_used(EXTERNAL)
            talk(one, other)
            talk(caller, called)
            assert udp_round_trip(client, server, lab.out.address) == seen
        assert ids <= {session["id"] for session in daemon.sessions()}
    assert "203.0.113.5 is no longer on wan0: its sessions wait 10 s for it" in daemon.log_so_far()


def test_sessions_go_on_while_their_address_is_waited_for(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab1.udp() as other:
        seen = udp_round_trip(client, server, lab.out.address)
        uplink.lose()
        uplink.until_used()
        uplink.route_without_address()
        client.sendto(b"as before", (lab.out.address, 7))
        assert server.recvfrom(100) == (b"as before", seen)
        with daemon.dropping("no-external-address"):
            other.sendto(b"nowhere to go", (lab.out.address, 7))
        assert_silent(server)


def test_sessions_end_once_when_their_address_does_not_come_back(lab, daemon, uplink):
    try:
        daemon.reload(CONFIG + "[timeouts]\naddress-hold = 1s\n")
        with lab.out.udp(7) as server, lab.lab1.udp() as client:
            udp_round_trip(client, server, lab.out.address)
            before = daemon.log_so_far().count(" sessions ended: their external address")
            uplink.lose()
            daemon.until_no_session("udp")
            lab.gw.ip("address", "add", f"{INSIDE}/32", "dev", "wan0")  # and other events
            lab.gw.ip("address", "del", f"{INSIDE}/32", "dev", "wan0")
            uplink.gain(EXTERNAL)
            uplink.until_used(EXTERNAL)
            log = daemon.log_so_far()
            assert log.count(" sessions ended: their external address") == before + 1
    finally:
        daemon.reload(CONFIG)


def test_an_address_that_comes_back_starts_afresh(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab1.listen(80) as listener:
        seen = udp_round_trip(client, server, lab.out.address)
        uplink.change(EXTERNAL, NEW)
        uplink.change(NEW, EXTERNAL)
        server.sendto(b"for a mapping of before", seen)
        assert_silent(client)
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
        with tcp_pair(lab.out, EXTERNAL, 8080, listener) as (one, other, _):
            talk(one, other)


def test_sessions_outlive_an_interface_that_goes_down_and_up(lab, daemon, uplink):
    """The cable was out for a moment: the address is still there, and so is what used it."""
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.out.listen(80) as listener, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener) as (one, other, _):
        seen = udp_round_trip(client, server, lab.out.address)
        talk(one, other)
        lab.gw.ip("link", "set", "wan0", "down")
        lab.gw.ip("link", "set", "wan0", "up")
        uplink.route()
        eventually(lambda: ping(lab.gw, lab.out.address, "-c1", check=False).returncode == 0,
                   "the link is up")
        uplink.until_used(EXTERNAL)
        assert udp_round_trip(client, server, lab.out.address) == seen
        talk(one, other)


def test_rfc4787_req7_an_external_address_of_the_inside_is_not_used_and_status_says_so(
        lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        lab.gw.ip("address", "add", f"{INSIDE}/32", "dev", "wan0")
        eventually(lambda: daemon.status()["warnings"], "status warns")
        assert f"warning: {INSIDE} on wan0 is in the source of a share" in daemon.client(
            "status").stdout
        assert uplink.used() == [EXTERNAL]
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
        lab.gw.ip("address", "del", f"{INSIDE}/32", "dev", "wan0")
        eventually(lambda: daemon.status()["warnings"] == [], "the warning goes with the address")


def test_rfc4787_req7_only_an_address_of_the_inside_is_no_external_address(lab, daemon, uplink):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        uplink.lose()
        lab.gw.ip("address", "add", f"{INSIDE}/32", "dev", "wan0")
        uplink.until_used()
        uplink.route_without_address()
        eventually(lambda: f"{INSIDE} on wan0 is in the source" in daemon.client("status").stdout,
                   "status says why")
        with daemon.dropping("no-external-address"):
            client.sendto(b"nowhere to go", (lab.out.address, 7))
        assert_silent(server)


def test_a_reload_that_makes_an_address_one_of_the_inside_or_no_longer_is_followed(
        lab, daemon, uplink):
    try:
        daemon.reload(CONFIG + f"[share near]\nsource = {EXTERNAL}/32\nports = 60000-60099\n")
        assert uplink.used() == []
        assert any(f"{EXTERNAL} on wan0 is in the source" in warning
                   for warning in daemon.status()["warnings"])
    finally:
        daemon.reload(CONFIG)
    assert uplink.used() == [EXTERNAL]
    eventually(lambda: daemon.status()["warnings"] == [], "no warning is left")
