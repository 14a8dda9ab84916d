"""A forward that leads to the gateway's own inside address: from outside, from a share, from others
"""

import pytest

from daemon import SHARE
from guest_net import GuestNet
from lab import EXTERNAL, GATEWAY_INSIDE
from traffic import Transfer, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.1:80

[forward echo]
listen = 7/udp
to = 10.0.0.1:7
"""


@pytest.fixture(scope="module")
def guest(lab):
    network = GuestNet(lab)
    yield network.guest
    network.remove()


@pytest.fixture(params=["lab1", "out", "guest"])
def client(lab, guest, request):
    return guest if request.param == "guest" else getattr(lab, request.param)


def test_tcp_to_the_gateways_own_server(lab, daemon, client):
    with lab.gw.listen(80, GATEWAY_INSIDE) as listener:
        for _ in range(3):
            with tcp_pair(client, EXTERNAL, 8080, listener) as (one, other, seen):
                assert seen[0] == {"10.0.0.2": EXTERNAL}.get(client.address, client.address)
                talk(one, other)
                Transfer(other, one, 2_000_000).finish()


def test_udp_to_the_gateways_own_server(lab, daemon, client):
    with lab.gw.udp(7, GATEWAY_INSIDE) as server, client.udp() as sock:
        for size in (1, 1472, 4000):
            seen = udp_round_trip(sock, server, EXTERNAL, b"x" * size)
            assert seen[0] == {"10.0.0.2": EXTERNAL}.get(client.address, client.address)


@pytest.mark.parametrize("client", ["lab1", "guest"], indirect=True)
def test_directly_to_the_same_server(lab, daemon, client):
    with lab.gw.listen(80, GATEWAY_INSIDE) as listener, tcp_pair(client, GATEWAY_INSIDE, 80,
                                                                 listener) as (one, other, seen):
        assert seen[0] == client.address
        talk(one, other)
