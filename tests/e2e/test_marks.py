"""Beside programs that set, restore or clear the packet mark between our hooks"""

import json
import socket

import pytest

from capture import assert_checksums
from daemon import SHARE
from lab import EXTERNAL
from traffic import UDP_SEGMENT, Transfer, random_bytes, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.3:80

[forward echo]
listen = 7/udp
to = 10.0.0.3:7
"""

MANGLERS = {
    # wg-quick and tailscaled restore what connection tracking has kept: nothing.
    "restores": "meta mark set ct mark",
    "clears": "meta mark set 0",
    "sets every bit": "meta mark set 0xffffffff",
}


@pytest.fixture(params=MANGLERS)
def mangler(lab, request):
    lab.gw.nft(f"""
table ip other {{
    chain before {{
        type filter hook prerouting priority -299;
        {MANGLERS[request.param]};
    }}
    chain late {{
        type filter hook prerouting priority -150;
        {MANGLERS[request.param]};
    }}
    chain on_the_way {{
        type filter hook forward priority -150;
        {MANGLERS[request.param]};
    }}
    chain behind {{
        type filter hook postrouting priority -150;
        {MANGLERS[request.param]};
    }}
}}
""")
    yield
    lab.gw.nft("delete table ip other")


def test_hairpins_do_not_hang_on_the_mark(lab, daemon, mangler):
    before = daemon.status()["drops"]
    with lab.lab2.listen(80) as listener, tcp_pair(lab.lab1, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == EXTERNAL
        talk(client, server)
        Transfer(client, server, 3_000_000).finish()
    with lab.lab2.udp(7) as server, lab.lab1.udp() as client:
        for size in (0, 100, 1472, 8000):
            assert udp_round_trip(client, server, EXTERNAL, random_bytes(size))[0] == EXTERNAL
    assert daemon.status()["drops"] == before


@pytest.mark.parametrize("sender", ["out", "lab1", "gw"])
def test_segmented_udp_arrives_with_right_checksums(lab, daemon, mangler, wire, record, sender):
    arrives = record(lab.lab2, "eth0", "udp dst port 7")
    host = getattr(lab, sender)
    if sender != "gw":  # Linux 6.1 sends no segments by an interface that computes no checksums
        host.offload("eth0", True)
    with lab.lab2.udp(7) as server, host.udp() as client:
        client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
        for _ in range(3):
            client.sendto(random_bytes(5000), (EXTERNAL, 7))
            assert [len(server.recv(2000)) for _ in range(10)] == [500] * 10
    assert_checksums(arrives.stop(), 30)


def test_other_programs_keep_their_marks(lab, daemon):
    """Ours is gone before the next chain, and the other bits stay as they were."""
    lab.gw.nft("""
table ip other {
    counter between { }
    counter behind { }
    chain before { type filter hook prerouting priority -310; mark set 0x5; }
    chain between { type filter hook prerouting priority -299; mark 0x5 counter name between; }
    chain behind { type filter hook postrouting priority 310; mark 0x5 counter name behind; }
}
""")
    try:
        with lab.lab2.udp(7) as server, lab.lab1.udp() as client:
            udp_round_trip(client, server, EXTERNAL)
        listed = json.loads(lab.gw.run("nft", "-j", "list", "counters").stdout)["nftables"]
    finally:
        lab.gw.nft("delete table ip other")
    packets = {
        entry["counter"]["name"]: entry["counter"]["packets"]
        for entry in listed if "counter" in entry
    }
    assert packets == {"between": 2, "behind": 2}
