"""A forward into a network that the kernel masquerades: a VPN that knows only the gateway's address
"""

import pytest

import netns
from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL, Host, link
from traffic import Transfer, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8082/tcp
to = 172.16.66.2:80

[forward echo]
listen = 7/udp
to = 172.16.66.2:7
"""

INSIDE_THE_VPN = "172.16.66.1"


@pytest.fixture(scope="module")
def vpn(lab):
    host = Host("vpn", "172.16.66.2")
    link(lab.gw, "vpn0", host, "eth0")
    lab.gw.ip("address", "add", f"{INSIDE_THE_VPN}/24", "dev", "vpn0")
    host.ip("address", "add", "172.16.66.2/24", "dev", "eth0")
    lab.gw.nft("""
table ip vpn {
    chain after {
        type nat hook postrouting priority srcnat
        oifname vpn0 masquerade
    }
}
""")
    eventually(
        lambda: lab.gw.run("ping", "-nqc1", "-W1", host.address, check=False).returncode == 0,
        "the VPN answers", 10)
    yield host
    lab.gw.nft("delete table ip vpn")
    lab.gw.ip("link", "delete", "vpn0")
    netns.remove(host.namespace)


@pytest.mark.parametrize("client", ["out", "lab1"])
def test_a_forward_into_a_masqueraded_network(lab, daemon, vpn, client):
    client = getattr(lab, client)
    with vpn.listen(80) as listener:
        for _ in range(5):
            with tcp_pair(client, EXTERNAL, 8082, listener) as (one, other, seen):
                assert seen[0] == INSIDE_THE_VPN
                talk(one, other)
                Transfer(other, one, 1_000_000).finish()
    with vpn.udp(7) as server, client.udp() as sock:
        for _ in range(5):
            assert udp_round_trip(sock, server, EXTERNAL)[0] == INSIDE_THE_VPN
