"""Hosts inside that use a forward and also speak to its target directly, through the gateway"""

import pytest
from scapy.layers.inet import IP, TCP

from daemon import SHARE
from guest_net import GUEST, GUEST_NET, GuestNet
from lab import EXTERNAL
from traffic import Transfer, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward echo]
listen = 7/udp
to = 10.0.0.3:7

[forward to-the-guest]
listen = 8081/tcp+udp
to = 172.16.5.2:81
"""


@pytest.fixture(scope="module")
def guest(lab):
    network = GuestNet(lab)
    yield network.guest
    network.remove()


@pytest.fixture
def route_to_guest(lab, guest):
    """A host outside that reaches the guest directly as well, without translation."""
    lab.out.ip("route", "add", GUEST_NET, "via", EXTERNAL)
    yield
    lab.out.ip("route", "del", GUEST_NET)


def test_a_client_inside_that_no_share_names_uses_a_forward(lab, guest, daemon):
    with lab.lab2.listen(80) as listener, tcp_pair(guest, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == GUEST
        up, down = Transfer(client, server, 3_000_000), Transfer(server, client, 3_000_000)
        up.finish()
        down.finish()
    with lab.lab2.udp(7) as server, guest.udp() as client:
        for size in (1, 500, 1472, 8000):
            udp_round_trip(client, server, EXTERNAL, b"x" * size)


def test_a_server_that_speaks_first_after_the_client_was_silent_is_translated(lab, guest, daemon):
    with lab.lab2.udp(7) as server, guest.udp() as client:
        seen = udp_round_trip(client, server, EXTERNAL)
        for number in range(20):
            server.sendto(b"%d" % number, seen)
            assert client.recvfrom(100) == (b"%d" % number, (EXTERNAL, 7))


@pytest.mark.parametrize("client", ["guest", "out"])
def test_udp_directly_from_the_port_that_used_the_forward(lab, guest, route_to_guest, daemon,
                                                          client):
    """
    Behind the gateway both look the same: the answer is to whichever the client has sent last, at
    once.
    """
    client, target, port, to = ((guest, lab.lab2, 7, 7) if client == "guest" else
                                (lab.out, guest, 8081, 81))
    with target.udp(to) as server, client.udp(4007) as sock:
        for _ in range(3):
            udp_round_trip(sock, server, EXTERNAL, b"by the forward", port)
            udp_round_trip(sock, server, target.address, b"directly")
            udp_round_trip(sock, server, target.address, b"directly again")


@pytest.mark.parametrize("client", ["guest", "out"])
def test_tcp_directly_from_the_port_that_used_the_forward(lab, guest, route_to_guest, daemon,
                                                          client):
    client, target, port, to = ((guest, lab.lab2, 8080, 80) if client == "guest" else
                                (lab.out, guest, 8081, 81))
    with target.listen(to) as listener:
        for address, destination in ((EXTERNAL, port), (target.address, to), (EXTERNAL, port)):
            with tcp_pair(client, address, destination, listener, 4008) as (one, other, _):
                talk(one, other)
                # The server's port keeps no memory of the connection, the gateway does.
                one.close()
                assert other.recv(1) == b""


def test_a_connection_that_lives_is_not_ended_by_a_forged_syn(lab, guest, route_to_guest, daemon):
    with guest.listen(81) as listener, tcp_pair(lab.out, EXTERNAL, 8081, listener,
                                                4010) as (client, server, _):
        talk(client, server)
        lab.out.inject(IP(src=lab.out.address, dst=GUEST) / TCP(sport=4010, dport=81, flags="S"))
        for _ in range(3):
            talk(client, server)


def test_a_targets_inside_traffic_does_not_pass_the_daemon(lab, guest, daemon):
    """Not even in part: neither the daemon's pace nor its death matter to it."""
    before = daemon.status()["traffic"]["unchanged"]
    with lab.lab2.listen(80) as listener, tcp_pair(guest, lab.lab2.address, 80,
                                                   listener) as (client, server, seen):
        assert seen[0] == GUEST
        Transfer(server, client, 3_000_000).finish()
    with lab.lab2.udp(7) as server, guest.udp() as client:
        udp_round_trip(client, server, lab.lab2.address)
    assert daemon.status()["traffic"]["unchanged"] == before
