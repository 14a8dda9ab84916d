"""Reloads and restarts of nftables.service, whose configuration begins with flush ruleset"""

import host
from test_life import check_share_and_forward

NFTABLES = """#!/usr/sbin/nft -f
flush ruleset
table inet filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname lan0 accept
        ip daddr 10.0.0.2 tcp dport 80 accept
    }
}
"""


def write_nftables_conf():
    with open("/etc/nftables.conf", "w", encoding="ascii") as file:
        file.write(NFTABLES)


def test_a_reload_of_nftables_service_loses_no_connection(lab, service, no_leak):
    write_nftables_conf()
    host.systemctl("start", "nftables")
    with host.Connections(lab) as connections:
        for _ in range(3):
            host.systemctl("reload", "nftables")
        connections.all_live()
    check_share_and_forward(lab)


def test_a_restart_of_nftables_service_loses_no_connection(lab, service, no_leak):
    write_nftables_conf()
    host.systemctl("start", "nftables")
    with host.Connections(lab) as connections:
        host.systemctl("restart", "nftables")
        connections.all_live()
    check_share_and_forward(lab)
