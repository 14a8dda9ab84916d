"""Forwards: an external port delivers to an internal host, which sees who really called"""

import socket

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from programs import Nginx, curl, iperf3, iperf3_server
from traffic import Transfer, assert_silent, random_bytes, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward bulk]
listen = 5201/tcp+udp
to = 10.0.0.2:5201

[forward echo]
listen = 7/udp
to = 10.0.0.2:7007

[forward range]
listen = 8000-8019/tcp
to = 10.0.0.3:9000

[forward udp-range]
listen = 8000-8019/udp
to = 10.0.0.3:8000

[forward names]
listen = domain/tcp+udp
to = 10.0.0.3:5353

[forward in-the-pool]
listen = 55555/tcp+udp
to = 10.0.0.2:4444

[forward guarded]
listen = 2222/tcp+udp
to = 10.0.0.2:22
allow = 203.0.113.10, 198.51.100.0/24
"""


def test_curl_through_a_forward_and_nginx_sees_the_real_client(lab, daemon, tmp_path):
    with Nginx(lab.lab1, 80, tmp_path) as nginx:
        assert curl(lab.out, f"http://{EXTERNAL}:8080/hello").stdout == "hello from lab1\n"
        assert curl(lab.out2, f"http://{EXTERNAL}:8080/hello").stdout == "hello from lab1\n"
        assert [address for address, _ in nginx.seen()] == [lab.out.address, lab.out2.address]


def test_curl_fetches_a_large_file_through_a_forward_unchanged(lab, daemon, tmp_path):
    content = random_bytes(8_000_000)
    (tmp_path / "large").write_bytes(content)
    with Nginx(lab.lab1, 80, tmp_path):
        curl(lab.out, f"http://{EXTERNAL}:8080/large", "-o", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content


@pytest.mark.parametrize("options", [[], ["-R"], ["-u", "-b", "20M"], ["-u", "-b", "20M", "-R"]],
                         ids=["tcp-in", "tcp-out", "udp-in", "udp-out"])
def test_iperf3_through_a_forward(lab, daemon, tmp_path, options):
    with iperf3_server(lab.lab1, 5201, tmp_path):
        end = iperf3(lab.out, EXTERNAL, 5201, *options)
    total = end["sum"] if "-u" in options else end["sum_received"]
    assert total["bytes"] > 1_000_000


def test_tcp_source_address_and_port_are_kept(lab, daemon):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080, listener,
                                                   3333) as (client, server, seen):
        assert seen == (lab.out.address, 3333)
        assert server.getsockname() == ("10.0.0.2", 80)
        talk(client, server)


def test_udp_answers_come_from_the_address_and_port_that_were_asked(lab, daemon):
    """udp_round_trip fails when the answer comes from any endpoint but the asked one."""
    with lab.lab1.udp(7007) as server, lab.out.udp(3333) as client:
        assert udp_round_trip(client, server, EXTERNAL, port=7) == (lab.out.address, 3333)


def test_udp_of_every_size_through_a_forward(lab, daemon):
    with lab.lab1.udp(7007) as server, lab.out.udp() as client:
        for size in [*range(65), *range(65, 1472, 101), 1472, 1473, 8000, 60000]:
            udp_round_trip(client, server, EXTERNAL, random_bytes(size), port=7)


def test_two_clients_with_the_same_source_port(lab, daemon):
    with lab.lab1.listen(80) as listener, \
            tcp_pair(lab.out, EXTERNAL, 8080, listener, 4321) as (client1, server1, seen1), \
            tcp_pair(lab.out2, EXTERNAL, 8080, listener, 4321) as (client2, server2, seen2):
        assert (seen1, seen2) == ((lab.out.address, 4321), (lab.out2.address, 4321))
        talk(client1, server1)
        talk(client2, server2)


def test_a_forward_serves_a_client_beyond_the_next_router(lab, daemon):
    """Across the narrow link, so the answers must also learn the path MTU."""
    with lab.lab1.listen(80) as listener, tcp_pair(lab.far, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == lab.far.address
        assert Transfer(server, client, 3_000_000).finish() >= 3_000_000
    lab.forget_path_mtu()


def test_the_ports_of_a_range_follow_one_to_one(lab, daemon):
    for offset in (0, 1, 10, 19):
        with lab.lab2.listen(9000 + offset) as listener, \
                tcp_pair(lab.out, EXTERNAL, 8000 + offset, listener) as (client, server, _):
            talk(client, server)


def test_a_range_of_udp_beside_one_of_tcp(lab, daemon):
    for offset in (0, 19):
        with lab.lab2.udp(8000 + offset) as server, lab.out.udp() as client:
            udp_round_trip(client, server, EXTERNAL)


def test_the_port_after_a_range_is_the_gateways_own(lab, daemon):
    with pytest.raises(ConnectionRefusedError):
        lab.out.connect(EXTERNAL, 8020)


def test_a_service_name_with_tcp_and_udp(lab, daemon):
    with lab.lab2.udp(5353) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL, port=53)
    with lab.lab2.listen(5353) as listener, tcp_pair(lab.out, EXTERNAL, 53,
                                                     listener) as (client, server, _):
        talk(client, server)


def test_a_forward_on_a_port_of_the_pool(lab, daemon):
    with lab.lab1.udp(4444) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL, port=55555)


def test_a_target_that_speaks_first_is_seen_at_the_forwards_port(lab, daemon):
    """Endpoint-independent mapping: the forward is the mapping of this internal endpoint."""
    with lab.out.udp(7) as server, lab.lab1.udp(7007) as client:
        assert udp_round_trip(client, server, lab.out.address) == (EXTERNAL, 7)


def test_a_forwards_target_opens_other_connections_from_the_pool(lab, daemon):
    with lab.out.listen(80) as listener, tcp_pair(lab.lab1, lab.out.address, 80,
                                                  listener) as (_, _, seen):
        assert seen[0] == EXTERNAL
        assert 50000 <= seen[1] <= 59999


def test_allow_lets_in_the_allowed_address(lab, daemon):
    with lab.lab1.listen(22) as listener, tcp_pair(lab.out, EXTERNAL, 2222,
                                                   listener) as (client, server, _):
        talk(client, server)


def test_allow_lets_in_the_allowed_network(lab, daemon):
    with lab.lab1.listen(22) as listener, tcp_pair(lab.far, EXTERNAL, 2222,
                                                   listener) as (client, server, _):
        talk(client, server)


def test_allow_refuses_another_address_in_silence_and_counts_it(lab, daemon, record):
    answers = record(lab.out2, "eth0", f"src host {EXTERNAL}")
    with lab.lab1.listen(22) as listener, lab.out2.socket(socket.SOCK_STREAM) as client:
        with daemon.dropping("not-allowed"):
            client.setblocking(False)
            client.connect_ex((EXTERNAL, 2222))
        assert_silent(listener)
    assert answers.stop() == []


def test_allow_refuses_udp_as_well(lab, daemon):
    with lab.lab1.udp(22) as server, lab.out2.udp() as refused, lab.out.udp() as allowed:
        with daemon.dropping("not-allowed", 3):
            for _ in range(3):
                refused.sendto(b"no", (EXTERNAL, 2222))
        udp_round_trip(allowed, server, EXTERNAL, port=2222)
        assert_silent(server)


def test_a_segment_of_no_connection_does_not_reach_the_target(lab, daemon, record):
    from scapy.layers.inet import IP, TCP

    inside = record(lab.lab1, "eth0", "tcp port 80")
    with daemon.dropping("tcp-not-syn"):
        lab.out.inject(
            IP(src=lab.out.address, dst=EXTERNAL) /
            TCP(sport=1, dport=8080, flags="A", seq=1, ack=1))
    assert inside.stop() == []


@pytest.mark.parametrize("source", ["10.0.0.3", EXTERNAL])
def test_a_spoofed_source_from_outside_is_dropped(lab, daemon, record, source):
    from scapy.layers.inet import IP, UDP

    inside = record(lab.lab1, "eth0", "udp port 7007")
    with daemon.dropping("spoofed-source"):
        lab.out.inject(IP(src=source, dst=EXTERNAL) / UDP(sport=9, dport=7) / b"trick")
    assert inside.stop() == []


def test_many_connections_at_once(lab, daemon):
    with lab.lab1.listen(80) as listener:
        clients = [lab.out.connect(EXTERNAL, 8080) for _ in range(200)]
        servers = {}
        for _ in clients:
            server, seen = listener.accept()
            server.settimeout(5)
            servers[seen] = server
        for client in clients:
            with client, servers[client.getsockname()] as server:
                talk(client, server)


def test_the_use_of_a_forward_is_that_of_its_sessions(lab, daemon):

    def use(name):
        return {forward["name"]: forward["use"] for forward in daemon.forwards()}[name]

    def refused(name):
        return use(name)["refused"].get("not-allowed", 0)

    before = use("echo")
    with lab.lab1.udp(7007) as server, lab.out.udp() as client:
        for _ in range(40):  # more than it takes to be offloaded
            udp_round_trip(client, server, EXTERNAL, b"x" * 100, port=7)
        after = use("echo")
        bytes_of_it = {way: after["bytes"][way] - before["bytes"][way] for way in ("in", "out")}
        assert after["opened"] == before["opened"] + 1
        assert bytes_of_it == {"out": 40 * 128, "in": 40 * 128}
        found = daemon.sessions("forward=echo", f"remote=:{client.getsockname()[1]}")
        assert [session["bytes"] for session in found] == [bytes_of_it]
        assert after["since"] <= after["first_used"] <= after["last_used"]
    before = use("guarded")
    with lab.out2.udp() as stranger:
        stranger.sendto(b"let me in", (EXTERNAL, 2222))
        eventually(lambda: use("guarded")["refused"] != before["refused"], "the refusal")
    after = use("guarded")
    assert refused("guarded") == before["refused"].get("not-allowed", 0) + 1
    assert {**after, "refused": {}} == {**before, "refused": {}}
