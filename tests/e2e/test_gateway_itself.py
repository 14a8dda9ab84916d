"""The gateway reaches its own forwards as everybody else does"""

from daemon import SHARE
from lab import EXTERNAL
from traffic import Transfer, random_bytes, talk, tcp_pair, udp_round_trip

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
