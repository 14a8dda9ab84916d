"""The gateway's own servers and connections: they must not notice whether portreeved runs"""

import contextlib

from lab import EXTERNAL, GATEWAY_INSIDE
from traffic import refuses, talk, tcp_pair, udp_round_trip


@contextlib.contextmanager
def gateway_services(lab):
    """A TCP and a UDP server of the gateway itself, on ports that nothing publishes."""
    with lab.gw.listen(22) as listener, lab.gw.udp(123) as datagrams:
        yield listener, datagrams


def check_gateway_services(lab, listener, datagrams):
    for host, address in ((lab.out, EXTERNAL), (lab.lab1, GATEWAY_INSIDE)):
        with tcp_pair(host, address, 22, listener) as (client, server, seen):
            assert seen[0] == host.address
            talk(client, server)
        with host.udp() as client:
            assert udp_round_trip(client, datagrams, address)[0] == host.address


def check_gateways_own_connections(lab):
    with lab.out.listen(80) as listener, tcp_pair(lab.gw, lab.out.address, 80,
                                                  listener) as (client, server, seen):
        assert seen[0] == EXTERNAL
        talk(client, server)
    with lab.out.udp(7) as server, lab.gw.udp() as client:
        udp_round_trip(client, server, lab.out.address)
    for host, address in ((lab.out, EXTERNAL), (lab.gw, lab.out.address)):
        host.run("ping", "-n", "-c", "1", "-W", "3", address)
    assert refuses(lab.gw, lab.out.address, 4)
