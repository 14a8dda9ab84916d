"""What other programs' rules and bridges are in the way, as the log and status tell it"""

import pytest

import netns
from daemon import SHARE
from deadline import eventually

CONFIG = SHARE


def notices(daemon, name):
    return [notice["text"] for notice in daemon.status()["notices"] if notice["name"] == name]


def appears(daemon, name, words=""):
    """The texts of the notices of this name that say so."""
    return eventually(lambda: [text for text in notices(daemon, name) if words in text],
                      f"a notice {name}: {words}", 15)


def goes(daemon, name):
    eventually(lambda: not notices(daemon, name), f"no notice {name}", 15)


@pytest.fixture
def other_rules(lab):
    """Adds another program's table, and removes it after the test."""
    added = []

    def add(family, name, body):
        lab.gw.nft(f"table {family} {name} {{\n{body}\n}}\n")
        added.append((family, name))

    yield add
    for family, name in added:
        lab.gw.nft(f"delete table {family} {name}")


POSTROUTING = "type nat hook postrouting priority srcnat"


@pytest.mark.parametrize("rule", [
    "masquerade",
    "oifname wan0 masquerade",
    "oifname \"wan*\" masquerade",
    "oif wan0 snat ip to 203.0.113.5",
    "ip saddr 10.0.0.0/8 oifname != lan0 masquerade",
    "ip saddr 10.0.0.2 ip protocol tcp masquerade",
])
def test_a_leftover_masquerade_is_told_with_its_table_and_chain(lab, daemon, other_rules, rule):
    other_rules("ip", "legacy", f"chain gone {{ {POSTROUTING}\n{rule}\n}}")
    [text] = appears(daemon, "source-nat", "chain gone of table ip legacy")
    assert "wan0" in text
    assert text in daemon.client("status").stdout and text in daemon.log_so_far()


def test_firewalld_hides_it_behind_jumps(lab, daemon, other_rules):
    """As its zone "external" does it."""
    other_rules(
        "inet", "firewalld", f"""
        chain nat_POST_external_allow {{
            meta nfproto ipv4 oifname != lo masquerade
        }}
        chain nat_POST_external {{
            jump nat_POST_external_allow
        }}
        chain nat_POSTROUTING {{
            {POSTROUTING}
            oifname wan0 goto nat_POST_external
        }}
        """)
    appears(daemon, "source-nat", "chain nat_POST_external_allow of table inet firewalld")


def test_the_notice_goes_with_the_rule_and_is_logged_once(lab, daemon):
    before = daemon.log_so_far()
    lab.gw.nft(f"table ip short {{ chain lived {{ {POSTROUTING}\nmasquerade\n}}\n}}")
    appears(daemon, "source-nat", "chain lived of table ip short")
    lab.gw.nft("add table ip unrelated\ndelete table ip unrelated")
    lab.gw.nft("delete table ip short")
    goes(daemon, "source-nat")
    log = daemon.log_so_far()[len(before):]
    assert log.count("warning: chain lived of table ip short") == 1
    assert log.count("no longer: chain lived of table ip short") == 1


@pytest.mark.parametrize("family, body", [
    ("ip", f"chain a {{ {POSTROUTING}\nip saddr 172.17.0.0/16 oifname != docker0 masquerade\n}}"),
    ("ip", f"chain a {{ {POSTROUTING}\noifname lan0 masquerade\n}}"),
    ("ip", f"chain a {{ {POSTROUTING}\noif lan0 masquerade\n}}"),
    ("ip", f"chain a {{ {POSTROUTING}\noifname \"tun*\" masquerade\n}}"),
    ("inet", f"chain a {{ {POSTROUTING}\nmeta nfproto ipv6 masquerade\n}}"),
    ("ip6", f"chain a {{ {POSTROUTING}\nmasquerade\n}}"),
    ("ip", "chain a { type nat hook prerouting priority dstnat\ndnat to 10.0.0.9\n}"),
    ("ip", "chain unused { masquerade\n}"),
    ("ip", f"chain unused {{ masquerade\n}}\nchain a {{ {POSTROUTING}\noif lan0 jump unused\n}}"),
])
def test_rules_that_are_about_others_are_not_told(lab, daemon, other_rules, family, body):
    """Docker's, a VPN's, IPv6, DNAT, and what no rule leads to."""
    other_rules(family, "about_others", body)
    # What comes after it has been seen, so this has been seen, too.
    other_rules("ip", "about_us", f"chain seen {{ {POSTROUTING}\nmasquerade\n}}")
    appears(daemon, "source-nat", "about_us")
    assert not any("about_others" in text for text in notices(daemon, "source-nat"))


def test_a_bridge_that_shows_its_frames_is_told(lab, daemon):
    netns.needs_sysctl("net.bridge.bridge-nf-call-iptables")
    gw = lab.gw
    gw.ip("link", "add", "br8", "type", "bridge")
    try:
        gw.sysctl("net.bridge.bridge-nf-call-iptables", 1)
        gw.ip("address", "add", "172.16.8.1/24", "dev", "br8")  # nobody of ours
        gw.ip("address", "add", "10.0.0.129/32", "dev", "br8")
        [text] = appears(daemon, "bridge-netfilter")
        assert "bridge br8" in text and "bridge-nf-call-iptables=0" in text
        gw.sysctl("net.bridge.bridge-nf-call-iptables", 0)
        goes(daemon, "bridge-netfilter")
        gw.ip("link", "set", "br8", "type", "bridge", "nf_call_iptables", "1")
        appears(daemon, "bridge-netfilter", "br8")
        gw.ip("link", "set", "br8", "type", "bridge", "nf_call_iptables", "0")
        goes(daemon, "bridge-netfilter")
    finally:
        gw.sysctl("net.bridge.bridge-nf-call-iptables", 0)
        gw.ip("link", "delete", "br8")
