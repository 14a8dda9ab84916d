"""The gateway reaches its own forwards as everybody else does, and keeps its own ports"""

import pytest

from daemon import SHARE
from lab import EXTERNAL
from traffic import Transfer, random_bytes, refuses, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward echo]
listen = 7/udp
to = 10.0.0.3:7
"""


def test_the_gateway_reaches_its_own_tcp_forward(lab, daemon):
    with lab.lab2.listen(80) as listener, tcp_pair(lab.gw, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == EXTERNAL
        talk(client, server)


def test_the_gateway_moves_bulk_tcp_through_its_own_forward(lab, daemon):
    with lab.lab2.listen(80) as listener, tcp_pair(lab.gw, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        up, down = Transfer(client, server, 10_000_000), Transfer(server, client, 10_000_000)
        up.finish()
        down.finish()


def test_the_gateway_reaches_its_own_udp_forward(lab, daemon):
    with lab.lab2.udp(7) as server, lab.gw.udp() as client:
        for size in [0, 1, 2, 511, 1400, 1472]:
            udp_round_trip(client, server, EXTERNAL, random_bytes(size))


IN_POOL = 51111


def test_a_server_of_the_gateway_on_a_port_of_the_pool_is_reached(lab, daemon):
    """A VPN, say, that was started after the daemon."""
    with lab.gw.listen(IN_POOL) as listener, lab.gw.udp(IN_POOL) as datagrams, \
            lab.out.udp() as client:
        for host in (lab.out, lab.lab1):
            with tcp_pair(host, EXTERNAL, IN_POOL, listener) as (one, other, seen):
                assert seen[0] == host.address
                talk(one, other)
        udp_round_trip(client, datagrams, EXTERNAL)
    assert sum(daemon.status()["drops"].values()) == 0


def test_the_gateways_own_query_from_a_port_of_the_pool_is_answered(lab, daemon):
    """A resolver, say, that binds ports at random."""
    with lab.out.udp(7) as server, lab.gw.udp(IN_POOL) as own:
        udp_round_trip(own, server, lab.out.address)
    with lab.gw.udp(IN_POOL) as own:
        own.connect((lab.out.address, 9))
        own.send(b"to a closed port")
        with pytest.raises(ConnectionRefusedError):
            own.recv(100)
    assert sum(daemon.status()["drops"].values()) == 0


def test_the_gateway_refuses_what_nobody_has_in_the_pool(lab, daemon):
    assert refuses(lab.out, EXTERNAL, IN_POOL)
    assert sum(daemon.status()["drops"].values()) == 0
