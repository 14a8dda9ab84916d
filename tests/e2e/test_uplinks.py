"""Two external interfaces: each share follows the route, and each session keeps its address"""

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EDGE, EXTERNAL
from programs import iperf3, iperf3_server, ping
from second_uplink import SECOND, SECOND_GATEWAY, SecondUplink
from traffic import talk, tcp_pair, udp_round_trip

UPLINKS = """
[gateway]
external = wan0, wan1
"""

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward echo]
listen = 7/udp
to = 10.0.0.2:7007
""" + UPLINKS


@pytest.fixture(scope="module")
def second(lab):
    made = SecondUplink(lab)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def config(second):
    """wan1 is there before the daemon, and gone after it."""
    return CONFIG


@pytest.fixture(autouse=True)
def only_addresses_of_its_own_leave_by_the_second(second):
    """Each test begins and ends with the default route by wan0."""
    yield
    second.leave()
    assert second.strangers() == 0


def external_of(daemon, *words):
    session = daemon.session(*words)
    return session["external"]["address"], session["interface"]


def test_status_shows_each_interface_with_its_addresses(daemon):
    external = daemon.status()["external"]
    assert external["uplinks"] == [{
        "interface": "wan0",
        "addresses": [EXTERNAL]
    }, {
        "interface": "wan1",
        "addresses": [SECOND]
    }]
    assert external["addresses"] == [EXTERNAL, SECOND]
    shown = daemon.client("status").stdout
    assert f"external   wan0: {EXTERNAL}\n" in shown
    assert f"external   wan1: {SECOND}\n" in shown


def test_a_new_session_has_the_address_of_the_interface_that_its_route_leaves_by(
        lab, daemon, second):
    lab.gw.ip("route", "add", "198.51.100.10/32", "via", SECOND_GATEWAY)
    try:
        with lab.far.udp(7) as far, lab.out.udp(7) as out, lab.lab1.udp(4001) as client:
            assert udp_round_trip(client, far, lab.far.address)[0] == SECOND
            assert udp_round_trip(client, out, lab.out.address)[0] == EXTERNAL
            assert external_of(daemon, "udp", f"remote={lab.far.address}") == (SECOND, "wan1")
            assert external_of(daemon, "udp", f"remote={lab.out.address}") == (EXTERNAL, "wan0")
        assert {
            line.split()[3]
            for line in daemon.client("mappings").stdout.splitlines() if "10.0.0.2:4001" in line
        } == {"wan0", "wan1"}
        assert f"from {lab.far.address}" in ping(lab.lab1, lab.far.address, "-c1").stdout
    finally:
        lab.gw.ip("route", "del", "198.51.100.10/32")


def test_a_rule_by_source_sends_one_host_by_the_second_uplink(lab, daemon, second):
    lab.gw.ip("route", "add", "default", "via", SECOND_GATEWAY, "table", "101")
    lab.gw.ip("rule", "add", "from", lab.lab1.address, "lookup", "101")
    try:
        with lab.far.udp(7) as far:
            for host, address in ((lab.lab1, SECOND), (lab.lab2, EXTERNAL)):
                with host.udp() as client:
                    assert udp_round_trip(client, far, lab.far.address)[0] == address
    finally:
        lab.gw.ip("rule", "del", "from", lab.lab1.address, "lookup", "101")
        lab.gw.ip("route", "flush", "table", "101")


def test_datagrams_go_on_by_the_other_uplink_when_the_route_moves(lab, daemon, second):
    with lab.far.udp(7) as server, lab.lab1.udp(4002) as client:
        for _ in range(3):
            assert udp_round_trip(client, server, lab.far.address)[0] == EXTERNAL
        daemon.until_offloaded("udp", ":4002")
        second.use()
        for _ in range(3):
            assert udp_round_trip(client, server, lab.far.address)[0] == SECOND
        daemon.until_offloaded("udp", ":4002")
        second.leave()
        assert udp_round_trip(client, server, lab.far.address)[0] == EXTERNAL


def test_a_connection_waits_for_its_route_and_never_leaves_with_the_wrong_address(
        lab, daemon, second):
    """Offloaded or not: the kernel's maps know the uplink too."""
    with lab.far.listen(80) as listener, tcp_pair(lab.lab1, lab.far.address, 80, listener,
                                                  4003) as (client, server, seen):
        assert seen[0] == EXTERNAL
        talk(client, server)
        daemon.until_offloaded("tcp", ":4003")
        second.use()
        with daemon.dropping("rerouted", 2):
            client.sendall(b"into the dark")
        assert second.strangers() == 0
        second.leave()
        assert server.recv(13) == b"into the dark"
        talk(client, server)


def test_a_connection_that_is_opened_again_takes_the_new_route(lab, daemon, second):
    with lab.far.listen(80) as listener:
        with tcp_pair(lab.lab1, lab.far.address, 80, listener, 4004) as (_, _, seen):
            assert seen[0] == EXTERNAL
        second.use()
        with tcp_pair(lab.lab1, lab.far.address, 80, listener, 4004) as (client, server, seen):
            assert seen[0] == SECOND
            talk(client, server)
            daemon.until_offloaded("tcp", ":4004", "state=established")
            talk(client, server)


def test_bulk_by_the_second_uplink_is_offloaded(lab, daemon, second, tmp_path):
    second.use()
    with iperf3_server(lab.far, 5201, tmp_path):
        end = iperf3(lab.lab1, lab.far.address, 5201)
    assert end["sum_received"]["bytes"] > 1_000_000


def test_a_forward_is_reached_by_each_address_and_answers_with_it(lab, daemon, second):
    """far reaches wan1 by isp2. The way back is the host's routes' matter: here a rule of `ip rule`
    sends what came by wan1 back there, with the mark of the connection.
    """
    lab.gw.nft("""table ip ways {
        chain in { type filter hook prerouting priority mangle;
            iifname wan1 ct mark set 1
            iifname lan0 ct mark 1 meta mark set 1
        }
    }""")
    lab.gw.ip("route", "add", "default", "via", SECOND_GATEWAY, "table", "101")
    lab.gw.ip("rule", "add", "fwmark", "1", "lookup", "101")
    try:
        with lab.lab1.listen(80) as listener:
            for address, interface in ((EXTERNAL, "wan0"), (SECOND, "wan1")):
                with tcp_pair(lab.far, address, 8080, listener) as (client, server, _):
                    talk(client, server)
                    daemon.until_offloaded("tcp", f"external={address}", "state=established")
                    talk(client, server)
                    assert external_of(daemon, "tcp", f"external={address}",
                                       "state=established") == (address, interface)
        with lab.lab1.udp(7007) as server, lab.far.udp() as client:
            client.sendto(b"in", (SECOND, 7))
            data, seen = server.recvfrom(100)
            server.sendto(data, seen)
            assert client.recvfrom(100) == (b"in", (SECOND, 7))
    finally:
        lab.gw.ip("rule", "del", "fwmark", "1", "lookup", "101")
        lab.gw.ip("route", "flush", "table", "101")
        lab.gw.nft("delete table ip ways")


def test_answers_without_such_a_rule_leave_by_the_route_with_the_address_that_was_called(
        lab, daemon, second):
    with lab.lab1.udp(7007) as server, lab.far.udp() as client:
        client.sendto(b"in", (SECOND, 7))
        data, seen = server.recvfrom(100)
        server.sendto(data, seen)
        assert client.recvfrom(100) == (b"in", (SECOND, 7))


def test_hairpins_by_either_address(lab, daemon, second):
    with lab.lab1.listen(80) as listener:
        for address in (EXTERNAL, SECOND):
            with tcp_pair(lab.lab2, address, 8080, listener) as (client, server, seen):
                assert seen[0] == address
                talk(client, server)


def test_an_uplink_that_goes_takes_its_sessions_with_it_and_no_others(lab, daemon, second):
    lab.gw.ip("route", "add", "198.51.100.10/32", "via", SECOND_GATEWAY)
    with lab.far.udp(7) as far, lab.out.udp(7) as out, lab.lab1.udp(4005) as client:
        assert udp_round_trip(client, far, lab.far.address)[0] == SECOND
        assert udp_round_trip(client, out, lab.out.address)[0] == EXTERNAL
        lab.gw.ip("link", "del", "wan1")
        daemon.until_no_session("udp", ":4005", f"remote={lab.far.address}", seconds=20)
        assert udp_round_trip(client, out, lab.out.address)[0] == EXTERNAL
        warnings = daemon.status()["warnings"]
        assert any("there is no interface wan1" in text for text in warnings), warnings
        second.connect()
        lab.gw.ip("route", "add", "198.51.100.10/32", "via", SECOND_GATEWAY)
        eventually(lambda: daemon.status()["external"]["uplinks"][1]["addresses"] == [SECOND],
                   "wan1 is back")
        assert udp_round_trip(client, far, lab.far.address)[0] == SECOND
    lab.gw.ip("route", "del", "198.51.100.10/32")


def test_sessions_of_both_uplinks_outlive_a_crash(lab, daemon, second):
    lab.gw.ip("route", "add", "198.51.100.10/32", "via", SECOND_GATEWAY)
    try:
        with lab.far.udp(7) as far, lab.out.udp(7) as out, lab.lab1.udp(4006) as client:
            before = [
                udp_round_trip(client, far, lab.far.address),
                udp_round_trip(client, out, lab.out.address)
            ]
            daemon.kill()
            daemon.start()
            assert [
                udp_round_trip(client, far, lab.far.address),
                udp_round_trip(client, out, lab.out.address)
            ] == before
    finally:
        lab.gw.ip("route", "del", "198.51.100.10/32")


def test_a_list_of_addresses_names_those_of_any_uplink(lab, daemon, second):
    lab.gw.ip("address", "add", "198.18.7.6/24", "dev", "wan1")
    try:
        daemon.reload(CONFIG + f"external-address = {EXTERNAL}, 198.18.7.6\n")
        eventually(lambda: daemon.status()["external"]["addresses"] == [EXTERNAL, "198.18.7.6"],
                   "the listed addresses are in use")
        second.use()
        with lab.far.udp(7) as far, lab.lab1.udp() as client:
            assert udp_round_trip(client, far, lab.far.address)[0] == "198.18.7.6"
    finally:
        daemon.reload(CONFIG)
        lab.gw.ip("address", "del", "198.18.7.6/24", "dev", "wan1")
        eventually(lambda: daemon.status()["external"]["addresses"] == [EXTERNAL, SECOND],
                   "as before", 20)


def test_another_list_of_interfaces_needs_a_restart(daemon):
    refused = daemon.reload(CONFIG.replace("wan0, wan1", "wan0"), check=False)
    assert refused.returncode != 0
    assert "[gateway] external has changed; this needs a restart" in refused.stderr
    daemon.reload(CONFIG)


def test_after_a_restart_with_another_list_sessions_go_on(lab, daemon, second):
    """In any order: a session knows its address, not the number of its uplink."""
    with lab.far.udp(7) as far, lab.lab1.udp(4007) as client:
        before = udp_round_trip(client, far, lab.far.address)
        assert before[0] == EXTERNAL
        daemon.stop()
        daemon.write(CONFIG.replace("wan0, wan1", "wan1, wan0"))
        daemon.start()
        assert udp_round_trip(client, far, lab.far.address) == before
        assert external_of(daemon, "udp", ":4007") == (EXTERNAL, "wan0")
        daemon.until_offloaded("udp", ":4007")
        assert udp_round_trip(client, far, lab.far.address) == before
        daemon.stop()
        daemon.write(CONFIG)
        daemon.start()
        assert udp_round_trip(client, far, lab.far.address) == before


def test_a_default_route_on_each_is_no_other_uplink(lab, daemon, second):
    lab.gw.ip("route", "add", "default", "via", SECOND_GATEWAY, "metric", "100")
    try:
        with lab.far.udp(7) as far, lab.lab1.udp() as client:
            assert udp_round_trip(client, far, lab.far.address)[0] == EXTERNAL
        assert daemon.drops("other-uplink") == 0
    finally:
        lab.gw.ip("route", "del", "default", "metric", "100")


def test_multipath_routes_spread_sessions_over_both(lab, daemon, second):
    lab.gw.sysctl("net.ipv4.fib_multipath_hash_policy", 1)
    lab.gw.ip("route", "replace", "default", "nexthop", "via", EDGE, "nexthop", "via",
              SECOND_GATEWAY)
    seen = set()
    with lab.far.udp(7) as far:
        for _ in range(40):
            with lab.lab1.udp() as client:
                address = udp_round_trip(client, far, lab.far.address)
                assert udp_round_trip(client, far, lab.far.address) == address
                seen.add(address[0])
    lab.gw.sysctl("net.ipv4.fib_multipath_hash_policy", 0)
    assert seen == {EXTERNAL, SECOND}
    assert second.strangers() == 0
