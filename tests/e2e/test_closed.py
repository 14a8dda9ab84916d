"""A neighbour outside who routes the private addresses to the gateway: what he may not send, and
what must still pass

The hosts outside have a route to the guest's network (guest_net.py), which is a share here.
"""

import contextlib
import socket

import pytest
from scapy.layers.inet import IP, UDP

from guest_net import GUEST, GUEST_GATEWAY, GUEST_NET, GuestNet
from lab import EXTERNAL
from programs import ping
from traffic import assert_silent, talk, tcp_pair, udp_round_trip

LAB = """
[share lab]
source = 10.0.0.0/24
ports = 50000-54999
"""

GUESTS = """
[share guests]
source = 172.16.5.0/24
ports = 55000-59999
filtering = endpoint-independent
exempt = 203.0.113.11
"""

FORWARDS = """
[forward web]
listen = 8080/tcp
to = 172.16.5.2:80

[forward echo]
listen = 7/udp
to = 172.16.5.2:7
"""

CONFIG = LAB + GUESTS + FORWARDS


@pytest.fixture(scope="module")
def guest(lab):
    network = GuestNet(lab)
    for host in (lab.out, lab.out2):
        host.ip("route", "add", GUEST_NET, "via", EXTERNAL)
    yield network.guest
    for host in (lab.out, lab.out2):
        host.ip("route", "del", GUEST_NET)
    network.remove()


@contextlib.contextmanager
def refusing(daemon, receiver, packets=1):
    """What is sent inside is dropped and counted, and does not arrive."""
    with daemon.dropping("closed-share", packets):
        yield
    assert_silent(receiver)


def test_nothing_from_outside_reaches_a_host_of_a_share_without_a_session(lab, guest, daemon):
    with guest.udp(9) as datagrams, guest.listen(81) as listener:
        with refusing(daemon, datagrams), lab.out.udp() as client:
            client.sendto(b"hello", (GUEST, 9))
        with refusing(daemon, listener), lab.out.socket(socket.SOCK_STREAM) as client:
            client.setblocking(False)
            client.connect_ex((GUEST, 81))
    with daemon.dropping("closed-share"):
        assert ping(lab.out, GUEST, "-c", "1", "-W", "1", check=False).returncode != 0


def test_not_even_where_a_forward_leads(lab, guest, daemon):
    with guest.udp(7) as server, refusing(daemon, server), lab.out.udp() as client:
        client.sendto(b"past `allow`", (GUEST, 7))


def test_nor_the_gateway_by_its_inside_address(lab, guest, daemon):
    with lab.gw.udp(9) as server, refusing(daemon, server), lab.out.udp() as client:
        client.sendto(b"hello", (GUEST_GATEWAY, 9))


def test_an_inside_source_does_not_help(lab, guest, daemon):
    with guest.udp(9) as server:
        with daemon.dropping("spoofed-source"):
            lab.out.inject(IP(src="10.0.0.2", dst=GUEST) / UDP(sport=9, dport=9) / b"hello")
        assert_silent(server)


def test_sessions_are_as_ever(lab, guest, daemon):
    """Of shares, forwards and hairpins, in the queue and offloaded."""
    with lab.out.udp(7) as server, guest.udp() as client, lab.out2.udp() as other:
        mapped = udp_round_trip(client, server, lab.out.address)
        daemon.until_offloaded("udp", ":7")
        assert udp_round_trip(client, server, lab.out.address) == mapped
        other.sendto(b"full cone", mapped)
        assert client.recv(100) == b"full cone"
    for client in (lab.out, lab.lab1, guest):
        with guest.listen(80) as listener, tcp_pair(client, EXTERNAL, 8080,
                                                    listener) as (here, there, _):
            talk(here, there)
            if client is lab.out:
                daemon.until_offloaded("tcp", "remote=" + client.address)
            talk(here, there)
    ping(guest, lab.out.address, "-c", "1")


def test_networks_inside_reach_each_other(lab, guest, daemon):
    for one, other in ((lab.lab1, guest), (guest, lab.lab1)):
        with other.udp(9) as server, one.udp() as client:
            assert udp_round_trip(client, server, other.address)[0] == one.address


def test_an_exempt_address_is_spoken_with_both_ways_as_it_is(lab, guest, daemon):
    """It is the other end of a VPN, say."""
    with lab.out2.udp(9) as server, guest.udp() as client:
        assert udp_round_trip(client, server, lab.out2.address)[0] == GUEST
    with guest.listen(81) as listener, tcp_pair(lab.out2, GUEST, 81, listener) as (here, there, _):
        talk(here, there)
    ping(lab.out2, GUEST, "-c", "1")


def test_what_the_kernel_itself_translates_passes(lab, guest, daemon):
    """A port that a rule of the host leads inside, and the answers to what one masquerades."""
    lab.gw.nft("""table ip hand {
        chain pre { type nat hook prerouting priority dstnat;
            iifname wan0 udp dport 4009 dnat to 172.16.5.2:9
        }
        chain post { type nat hook postrouting priority srcnat;
            oifname wan0 ip daddr 203.0.113.11 ip saddr 172.16.5.2 masquerade
        }
    }""")
    try:
        with guest.udp(9) as server, lab.out2.udp() as client:
            assert udp_round_trip(client, server, EXTERNAL, port=4009)[0] == lab.out2.address
        with lab.out2.udp(10) as server, guest.udp() as client:
            assert udp_round_trip(client, server, lab.out2.address)[0] == EXTERNAL
    finally:
        lab.gw.nft("delete table ip hand")


def test_a_share_may_be_open_and_a_reload_closes_it(lab, guest, daemon):
    with guest.udp(9) as server, lab.out.udp() as client:
        daemon.reload(LAB + GUESTS + "closed = off\n" + FORWARDS)
        client.sendto(b"one way", (GUEST, 9))
        assert server.recvfrom(100) == (b"one way", client_of(lab, client))
        daemon.reload(CONFIG)
        with refusing(daemon, server):
            client.sendto(b"one way", (GUEST, 9))


def client_of(lab, sock):
    return lab.out.address, sock.getsockname()[1]


def test_it_stays_closed_when_the_daemon_is_killed(lab, guest, daemon):
    daemon.kill()
    with guest.udp(9) as server:
        with lab.out.udp() as client:
            client.sendto(b"hello", (GUEST, 9))
        with lab.out2.udp() as client:
            client.sendto(b"exempt", (GUEST, 9))
        assert server.recv(100) == b"exempt"
    daemon.start()
