"""Lab host to lab host through the external address"""

import contextlib

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from programs import Nginx, curl
from traffic import (Transfer, assert_refused, icmp_error, random_bytes, talk, tcp_pair,
                     udp_round_trip, want_icmp_errors)

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward echo]
listen = 7/udp
to = 10.0.0.3:7

[forward self]
listen = 9090/tcp+udp
to = 10.0.0.2:9090
"""


def test_rfc5382_req8_hairpin_tcp_source_is_external(lab, daemon):
    with lab.lab2.listen(80) as listener, tcp_pair(lab.lab1, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == EXTERNAL
        assert 50000 <= seen[1] <= 59999
        talk(client, server)


def test_rfc4787_req9a_hairpin_udp_source_is_external(lab, daemon):
    with lab.lab2.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, EXTERNAL)
        assert seen[0] == EXTERNAL
        assert 50000 <= seen[1] <= 59999


def test_hairpin_udp_of_every_size(lab, daemon):
    with lab.lab2.udp(7) as server, lab.lab1.udp() as client:
        for size in [*range(33), 1471, 1472, 1473, 8000, 60000]:
            udp_round_trip(client, server, EXTERNAL, random_bytes(size))


def test_hairpin_bulk_tcp_both_ways(lab, daemon):
    with lab.lab2.listen(80) as listener, tcp_pair(lab.lab1, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        up, down = Transfer(client, server, 10_000_000), Transfer(server, client, 10_000_000)
        up.finish()
        down.finish()


def test_hairpin_curl_to_nginx(lab, daemon, tmp_path):
    with Nginx(lab.lab2, 80, tmp_path) as nginx:
        assert curl(lab.lab1, f"http://{EXTERNAL}:8080/hello").stdout == "hello from lab2\n"
        assert nginx.seen()[0][0] == EXTERNAL


def test_a_host_reaches_itself_through_the_external_address_tcp(lab, daemon):
    with lab.lab1.listen(9090) as listener, tcp_pair(lab.lab1, EXTERNAL, 9090,
                                                     listener) as (client, server, seen):
        assert seen[0] == EXTERNAL
        talk(client, server)


def test_a_host_reaches_itself_through_the_external_address_udp(lab, daemon):
    with lab.lab1.udp(9090) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, EXTERNAL)[0] == EXTERNAL


def test_the_hairpin_source_is_the_one_that_outside_hosts_see(lab, daemon):
    with lab.lab2.udp(7) as inside, lab.out.udp(7) as outside, lab.lab1.udp() as client:
        assert udp_round_trip(client, inside,
                              EXTERNAL) == udp_round_trip(client, outside, lab.out.address)


def test_two_hosts_that_punch_holes_reach_each_other(lab, daemon):
    """
    As peer-to-peer programs do: both learn the other's external endpoint from a third party, and
    both send until something arrives. Filtering may refuse the first packet, which all the same
    lets its sender hear the other.
    """
    with lab.out.udp(7) as server, lab.lab1.udp() as one, lab.lab2.udp() as other:
        seen1 = udp_round_trip(one, server, lab.out.address)
        seen2 = udp_round_trip(other, server, lab.out.address)
        heard = {}

        def both_heard():
            for sock, peer in ((one, seen2), (other, seen1)):
                sock.sendto(b"punch", peer)
                sock.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    heard[sock] = sock.recvfrom(100)[1]
            return len(heard) == 2

        eventually(both_heard, "both hosts hear each other")
        assert heard == {one: seen2, other: seen1}


def test_both_hosts_and_the_outside_use_one_forward_at_once(lab, daemon):
    with lab.lab2.listen(80) as listener, \
            tcp_pair(lab.lab1, EXTERNAL, 8080, listener) as (client1, server1, _), \
            tcp_pair(lab.lab2, EXTERNAL, 8080, listener) as (client2, server2, _), \
            tcp_pair(lab.out, EXTERNAL, 8080, listener) as (client3, server3, seen3):
        assert seen3[0] == lab.out.address
        for client, server in ((client1, server1), (client2, server2), (client3, server3)):
            talk(client, server)


def test_rfc5508_req7_an_icmp_error_returns_through_the_hairpin(lab, daemon):
    """Nobody listens on lab2: its "port unreachable" must reach lab1 and speak of the external
    address.
    """
    with lab.lab1.udp() as client:
        want_icmp_errors(client)
        client.connect((EXTERNAL, 7))
        client.send(b"hello")
        error = icmp_error(client)
    assert (error.icmp_type, error.icmp_code) == (3, 3)
    assert error.destination == (EXTERNAL, 7)
    assert error.offender == EXTERNAL


def test_connection_refused_through_the_hairpin(lab, daemon):
    with pytest.raises(ConnectionRefusedError):
        lab.lab1.connect(EXTERNAL, 8080)
    with lab.lab1.udp() as client:
        client.connect((EXTERNAL, 7))
        client.send(b"hello")
        assert_refused(client)


def test_ping_to_the_external_address_is_answered_by_the_gateway(lab, daemon):
    assert "1 received" in lab.lab1.run("ping", "-n", "-c", "1", "-W", "3", EXTERNAL).stdout


def test_the_table_says_hairpin(lab, daemon):
    with lab.lab2.udp(7) as server, lab.lab1.udp(5432) as client:
        external = udp_round_trip(client, server, EXTERNAL)
        session = daemon.session("udp", ":5432")
        assert session["direction"] == "hairpin"
        assert session["internal"] == {"address": "10.0.0.2", "port": 5432}
        assert session["external"] == {"address": external[0], "port": external[1]}
        assert session["packets"] == {"out": 1, "in": 1}
