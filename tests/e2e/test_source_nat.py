"""Beside a leftover masquerade rule: what shares send is portreeve's all the same"""

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.3:80
"""


MASQUERADE = """
table FAMILY legacy {
    chain after {
        type nat hook postrouting priority srcnat
        oifname wan0 masquerade
    }
}
"""


def is_found(daemon):
    return any(notice["name"] == "source-nat" for notice in daemon.status()["notices"])


@pytest.fixture(params=["ip", "inet"])
def masquerade(lab, daemon, request):
    lab.gw.nft(MASQUERADE.replace("FAMILY", request.param))
    eventually(lambda: is_found(daemon), "the rule has been found", 15)
    yield
    lab.gw.nft(f"delete table {request.param} legacy")


def test_shares_get_ports_of_their_pool(lab, daemon, masquerade):
    with lab.out.listen(80) as listener:
        for _ in range(20):
            with tcp_pair(lab.lab1, lab.out.address, 80, listener) as (client, server, seen):
                assert seen[0] == EXTERNAL and 50000 <= seen[1] <= 59999
                talk(client, server)
    with lab.out.udp(7) as server:
        for _ in range(20):
            with lab.lab1.udp() as client:
                seen = udp_round_trip(client, server, lab.out.address)
                assert seen[0] == EXTERNAL and 50000 <= seen[1] <= 59999


def test_a_reload_that_takes_the_rule_away_and_brings_it_back_meets_no_connection(
        lab, daemon, masquerade, request):
    family = request.node.callspec.params["masquerade"]
    with lab.out.listen(80) as listener:
        for _ in range(3):
            lab.gw.nft(f"delete table {family} legacy")
            eventually(lambda: not is_found(daemon), "the rule is known to be gone", 15)
            lab.gw.nft(MASQUERADE.replace("FAMILY", family))
            for _ in range(5):
                with tcp_pair(lab.lab1, lab.out.address, 80, listener) as (_, _, seen):
                    assert 50000 <= seen[1] <= 59999


def test_forwards_and_hairpins_work(lab, daemon, masquerade):
    with lab.lab2.listen(80) as listener:
        for host in (lab.out, lab.lab1):
            for _ in range(10):
                with tcp_pair(host, EXTERNAL, 8080, listener) as (client, server, _):
                    talk(client, server)


def test_the_gateways_own_connections_are_still_the_other_programs(lab, daemon, masquerade):
    with lab.out.udp(7) as server, lab.gw.udp() as client:
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
