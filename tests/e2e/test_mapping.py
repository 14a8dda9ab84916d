"""Endpoint-independent mapping, and who may send to a mapping (RFC 4787, RFC 5382)"""

import itertools

import pytest

from daemon import SHARE
from lab import EXTERNAL
from traffic import assert_silent, assert_unanswered, talk, tcp_pair, udp_round_trip

FILTERINGS = ("endpoint-independent", "address-dependent", "address-and-port-dependent")


@pytest.fixture(scope="module", params=FILTERINGS)
def filtering(request):
    return request.param


@pytest.fixture(scope="module")
def config(filtering):
    return SHARE + f"filtering = {filtering}\n"


# Another one each time: a connection of the test before may still be in TIME-WAIT.
_source_ports = itertools.count(5600)


def test_rfc4787_req1_two_outside_hosts_see_the_same_endpoint_udp(lab, daemon):
    with lab.out.udp(7) as server1, lab.out2.udp(7) as server2, lab.out.udp(
            8) as server3, lab.lab1.udp() as client:
        seen1 = udp_round_trip(client, server1, lab.out.address)
        seen2 = udp_round_trip(client, server2, lab.out2.address)
        seen3 = udp_round_trip(client, server3, lab.out.address)
        assert seen1 == seen2 == seen3
        assert seen1[0] == EXTERNAL


def test_rfc5382_req1_two_outside_hosts_see_the_same_endpoint_tcp(lab, daemon):
    port = next(_source_ports)
    with lab.out.listen(80) as first, lab.out2.listen(80) as second, \
            tcp_pair(lab.lab1, lab.out.address, 80, first, port) as (_, _, seen1), \
            tcp_pair(lab.lab1, lab.out2.address, 80, second, port) as (_, _, seen2):
        assert seen1 == seen2


def test_rfc4787_req3_two_internal_endpoints_never_share_an_external_one(lab, daemon):
    with lab.out.udp(7) as server:
        clients = [host.udp() for host in (lab.lab1, lab.lab2) for _ in range(100)]
        try:
            seen = [udp_round_trip(client, server, lab.out.address) for client in clients]
        finally:
            for client in clients:
                client.close()
    assert len(set(seen)) == len(clients)


def test_rfc6056_ports_are_not_handed_out_in_order(lab, daemon):
    with lab.out.udp(7) as server:
        ports = []
        for _ in range(20):
            with lab.lab1.udp() as client:
                ports.append(udp_round_trip(client, server, lab.out.address)[1])
    steps = {later - earlier for earlier, later in zip(ports, ports[1:])}
    assert len(steps) > 10, ports


def lets_in(filtering, same_address, same_port):
    return (filtering == "endpoint-independent" or filtering == "address-dependent" and same_address
            or same_address and same_port)


@pytest.mark.parametrize("sender,port", [("out", 7), ("out", 9), ("out2", 7), ("out2", 9)])
def test_rfc4787_req8_filtering_of_udp(lab, daemon, filtering, sender, port):
    """lab1 has spoken to out:7 only; who else may use its external endpoint is the filtering's
    choice.
    """
    host = getattr(lab, sender)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        with server if (sender, port) == ("out", 7) else host.udp(port) as other:
            if lets_in(filtering, sender == "out", port == 7):
                other.sendto(b"hi", seen)
                assert client.recvfrom(100) == (b"hi", (host.address, port))
            else:
                with daemon.dropping("filtered"):
                    other.sendto(b"hi", seen)
                assert_silent(client)


def test_rfc4787_req9_hairpin_to_a_mapping_obeys_its_filtering(lab, daemon, filtering):
    """lab2 was told by a third party where lab1 is: for lab1's filtering it is a remote like any
    other.
    """
    with lab.out.udp(7) as server, lab.lab1.udp() as one, lab.lab2.udp() as other:
        seen1 = udp_round_trip(one, server, lab.out.address)
        seen2 = udp_round_trip(other, server, lab.out.address)
        if filtering == "endpoint-independent":
            other.sendto(b"knock", seen1)
            assert one.recvfrom(100) == (b"knock", seen2)
            one.sendto(b"come in", seen2)
            assert other.recvfrom(100) == (b"come in", seen1)
        else:
            with daemon.dropping("filtered"):
                other.sendto(b"knock", seen1)
            assert_silent(one)


def test_rfc5382_req3_filtering_of_tcp(lab, daemon, filtering):
    """lab1 listens on the port it has a mapping for: an outside host reaches it only where
    filtering allows.
    """
    port = next(_source_ports)
    with lab.out.listen(80) as listener, lab.lab1.listen(port) as inside, \
            tcp_pair(lab.lab1, lab.out.address, 80, listener, port) as (_, _, seen):
        if filtering == "endpoint-independent":
            with tcp_pair(lab.out2, *seen, inside) as (client, server, came_from):
                assert came_from[0] == lab.out2.address
                talk(client, server)
        else:
            with daemon.dropping("filtered"), lab.out2.socket(1) as client:
                assert_unanswered(client, seen)


def test_rfc4787_req12_an_icmp_error_does_not_end_a_mapping(lab, daemon):
    with lab.lab1.udp() as client:
        with lab.out.udp(7) as server:
            seen = udp_round_trip(client, server, lab.out.address)
        client.connect((lab.out.address, 7))
        client.send(b"nobody is there")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
        with lab.out.udp(7) as server:
            client.send(b"again")
            assert server.recvfrom(100) == (b"again", seen)
