"""Ports that pools and forwards take from the gateway's own programs, and those that they must not
"""

import pytest

from daemon import SHARE
from lab import EXTERNAL
from traffic import assert_silent, talk, tcp_pair, udp_round_trip

RESERVED = "net.ipv4.ip_local_reserved_ports"

MANY_PORTS = SHARE + """
[forward game]
listen = 40000-49999/udp
to = 10.0.0.3:40000
"""

ALL_PORTS = """
[share lab]
source = 10.0.0.0/24
ports = 1024-65535
"""


def test_the_gateways_own_queries_do_not_use_a_forwards_ports(lab, start_daemon):
    start_daemon(MANY_PORTS)
    with lab.out.udp(7) as server:
        for _ in range(200):
            with lab.gw.udp() as own:
                udp_round_trip(own, server, lab.out.address)
                port = own.getsockname()[1]
                assert not 40000 <= port <= 59999, f"port {port} is a forward's or the pool's"


def test_a_forwards_ports_are_reserved_as_long_as_it_exists(lab, start_daemon):
    lab.gw.sysctl(RESERVED, "7000")
    daemon = start_daemon()
    try:
        assert lab.gw.read_sysctl(RESERVED) == "7000,50000-59999"
        daemon.add_forward("game", "42000-42099/udp", "10.0.0.3:42000")
        assert lab.gw.read_sysctl(RESERVED) == "7000,42000-42099,50000-59999"
        lab.gw.sysctl(RESERVED, "7000,7001,42000-42099,50000-59999")
        daemon.remove_forward("game")
        assert lab.gw.read_sysctl(RESERVED) == "7000-7001,50000-59999"
        daemon.kill()
        daemon.start()
        lab.gw.sysctl(RESERVED, "7000,50000-59999")
        daemon.stop()
    finally:
        lab.gw.sysctl(RESERVED, "")


def no_room(left):
    return (f"would leave {left} of the 28232 ports that the gateway's own connections use "
            "(net.ipv4.ip_local_port_range, 32768-60999); expected at least 1024 to be left")


def test_a_pool_of_all_ports_is_refused(lab, start_daemon):
    daemon = start_daemon()
    refused = daemon.reload(ALL_PORTS, check=False)
    assert refused.returncode == 1
    assert f"{daemon.config}: [share lab] ports = 1024-65535: " in refused.stderr
    assert no_room(0) in refused.stderr
    said = lab.gw.run(*daemon.command("-t"), check=False)
    assert said.returncode == 1
    assert no_room(0) in said.stderr
    daemon.stop()
    stopped = daemon.launch()
    assert stopped.wait() == 1
    assert no_room(0) in stopped.stderr()


def test_1024_ports_must_stay_for_the_gateway(lab, start_daemon):
    """28232 less the 10000 of the pool and the 17208 of the forward."""
    daemon = start_daemon()
    daemon.add_forward("game", "32768-49975/udp", "10.0.0.3:1")
    refused = daemon.add_forward("more", "49976/udp", "10.0.0.3:1", check=False)
    assert refused.returncode == 1
    assert no_room(1023) in refused.stderr


def test_what_an_administrator_has_reserved_is_not_left_for_the_gateway(lab, start_daemon):
    """Nor is it taken: where the host had only 1500 ports, half of them must stay."""
    lab.gw.sysctl(RESERVED, "32768-39999,41500-60999")
    daemon = start_daemon()
    try:
        assert daemon.add_forward("half", "40000-40749/udp", "10.0.0.3:1").returncode == 0
        said = daemon.add_forward("more", "40750/udp", "10.0.0.3:1", check=False)
        assert "leave 749 of the 1500 ports" in said.stderr
        daemon.stop()
    finally:
        lab.gw.sysctl(RESERVED, "")


# Connections of the gateway on ports that are taken

ONE_PORT = """
[share lab]
source = 10.0.0.0/24
ports = 51111

[forward game]
listen = 40000-49999/udp
to = 10.0.0.3:40000

[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward names]
listen = 53/udp
to = 10.0.0.3:53
"""
TAKEN = 51111


def test_an_answer_to_the_gateway_is_its_own_where_a_mapping_has_the_port(lab, start_daemon):
    daemon = start_daemon(ONE_PORT)
    assert daemon.status()["kernel"]["own_connections_first"]
    with lab.out.udp(7) as server, lab.out2.udp(7) as other, lab.lab1.udp() as client, \
            lab.gw.udp(TAKEN) as own:
        assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, TAKEN)
        own.connect((lab.out2.address, 7))
        for _ in range(3):
            udp_round_trip(own, other, lab.out2.address)
            udp_round_trip(client, server, lab.out.address)


def test_a_tcp_connection_of_the_gateway_where_a_mapping_has_the_port(lab, start_daemon):
    start_daemon(ONE_PORT)
    with lab.out.listen(80) as listener, lab.out2.listen(80) as other, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener) as (client, server, seen):
        assert seen == (EXTERNAL, TAKEN)
        with lab.gw.connect(lab.out2.address, 80, TAKEN) as own:
            accepted, seen = other.accept()
            assert seen == (EXTERNAL, TAKEN)
            with accepted:
                talk(own, accepted)
                talk(client, server)


def test_an_answer_to_the_gateways_resolver_is_not_delivered_to_a_forwards_target(
        lab, start_daemon):
    """A resolver binds ports at random, whatever is reserved, and connects its sockets."""
    start_daemon(ONE_PORT)
    with lab.lab2.udp(41234) as target, lab.out.udp(53) as server, lab.gw.udp(41234) as own, \
            lab.out2.udp() as player:
        own.connect((lab.out.address, 53))
        for _ in range(20):
            udp_round_trip(own, server, lab.out.address)
        assert_silent(target)
        udp_round_trip(player, target, EXTERNAL)


@pytest.mark.parametrize("address", ["", EXTERNAL])
def test_a_forward_comes_before_a_listener_of_the_gateway(lab, start_daemon, address):
    with lab.gw.listen(8080, address) as hidden, lab.gw.udp(53, address) as hidden_too, \
            lab.lab2.listen(80) as listener, lab.lab2.udp(53) as names, lab.out.udp() as client:
        start_daemon(ONE_PORT)
        with tcp_pair(lab.out, EXTERNAL, 8080, listener) as (one, other, _):
            talk(one, other)
        for _ in range(3):
            udp_round_trip(client, names, EXTERNAL)
        assert_silent(hidden, hidden_too)
