"""The rules and sets that src/netfilter/ruleset*.c makes, as nft sees them."""

import re
import socket
import struct

import pytest

from kernel_lab import wait_until

EVERYTHING = (
    "interface=wan0",
    "external=192.0.2.1,192.0.2.9",
    "sources=10.0.0.0/24,10.1.0.0/16",
    "targets=10.0.0.5,10.0.0.6",
    "other_uplinks=lan0",
    "closed=10.0.0.0/24",
    "exempt=198.51.100.0/24,198.51.0.0/16",
    "tcp=22,80-81,49152-65535",
    "tcp-bound=22",
    "udp=53",
    "mark=0x10000",
)
WITHOUT_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


def ranges(elements):
    return [tuple(e["range"]) if isinstance(e, dict) and "range" in e else e for e in elements]


def prefixes(elements):
    return [
        f"{e['prefix']['addr']}/{e['prefix']['len']}"
        if isinstance(e, dict) and "prefix" in e else e for e in elements
    ]


def rules(lab, chain):
    return [rule for rule in lab.listing()["rule"] if rule["chain"] == chain]


def handles(lab):
    """Of chains and sets (not of the maps of offloaded sessions, which begin anew)."""
    listed = lab.listing()
    return {(kind, one["name"]): one["handle"] for kind in ("chain", "set") for one in listed[kind]}


def test_installing_again_keeps_chains_and_sets_so_that_no_packet_meets_neither(lab):
    lab.ruleset("install", *EVERYTHING)
    before = handles(lab)
    assert len(before) > 10
    lab.ruleset("install", *EVERYTHING[:-2], "udp=54")
    assert handles(lab) == before
    assert lab.set_elements("udp_ports") == [54]
    assert prefixes(lab.set_elements("closed")) == ["10.0.0.0/24"]
    assert prefixes(lab.set_elements("exempt")) == ["198.51.0.0/16"]
    assert ranges(lab.set_elements("tcp_ports")) == [22, (80, 81), (49152, 65535)]
    assert len(rules(lab, "inbound")) > 1


@pytest.mark.parametrize("offload", [(100, 200), (100, 0), (0, 100)])
def test_chains_and_sets_stay_also_when_the_maps_change(lab, offload):
    lab.ruleset("install", *EVERYTHING, f"offload={offload[0]}")
    before = handles(lab)
    lab.ruleset("install", *EVERYTHING, f"offload={offload[1]}")
    assert handles(lab) == before
    sizes = [one["size"] for one in lab.listing()["map"] if one["name"].startswith("offload")]
    assert sizes == ([offload[1]] * 2 if offload[1] else [])


def test_installing_again_drops_no_packet_that_waits_in_a_queue(lab):
    """Nor does the search for what the kernel offers, which fails where it has no native queues."""
    lab.ruleset("install", *EVERYTHING)
    holder = lab.serve("verdict=drop", "hold=1")
    with lab.outside.socket() as sender:
        for _ in range(5):
            sender.sendto(b"wait", ("192.0.2.1", 53))
    wait_until(lambda: lab.statistics()["waiting"] == 5, "five packets wait")
    lab.ruleset("install", *EVERYTHING, "offload=100")
    assert lab.statistics()["waiting"] == 5
    holder.stop()


def test_installing_over_another_table_of_this_name_replaces_it(lab):
    lab.gw.nft("table ip portreeve { chain inbound { type filter hook input priority 0\n}\n}")
    lab.ruleset("install", *EVERYTHING)
    [inbound] = [chain for chain in lab.listing()["chain"] if chain["name"] == "inbound"]
    assert (inbound["hook"], inbound["prio"]) == ("prerouting", -300)


def test_external_interfaces_are_known_by_index_and_by_name(lab):
    lab.ruleset("install", *EVERYTHING)
    assert lab.set_elements("external_names") == ["wan0"]
    assert lab.set_elements("external_interfaces") == ["wan0"]  # nft shows an index as a name
    lab.gw.ip("link", "set", "wan0", "down")
    lab.gw.ip("link", "set", "wan0", "name", "old0")
    assert lab.set_elements("external_interfaces") == ["old0"]


def test_an_interface_that_is_not_there_has_its_name_in_the_rules(lab):
    lab.ruleset("install", "interface=nosuch0", *EVERYTHING[1:])
    assert lab.set_elements("external_names") == ["nosuch0"]
    assert lab.set_elements("external_interfaces") == []
    lab.ruleset("update", *EVERYTHING)
    assert lab.set_elements("external_interfaces") == ["wan0"]


def dropped_as_unknown(lab):
    [rule] = [rule for rule in rules(lab, "inside") if "not known yet" in rule.get("comment", "")]
    [counter] = [part["counter"] for part in rule["expr"] if "counter" in part]
    return counter["packets"]


def test_nothing_of_a_share_leaves_by_an_external_interface_before_its_index_is_known(lab):
    lab.ruleset("install", *EVERYTHING, "known=0")
    secret, other = lab.outside.socket(bind=("192.0.2.2", 4000)), lab.inside.socket()
    other.sendto(b"secret", ("192.0.2.2", 4000))
    wait_until(lambda: dropped_as_unknown(lab) == 1, "the packet is dropped and counted")
    lab.inside.ip("address", "add", "10.7.0.2/24", "dev", "eth0")
    lab.gw.ip("route", "add", "10.7.0.0/24", "dev", "lan0")
    open_one = lab.inside.socket(bind=("10.7.0.2", 0))  # in no share
    open_one.sendto(b"open", ("192.0.2.2", 4000))
    assert secret.recv(100) == b"open"


def test_install_makes_chains_at_their_hooks(lab):
    said = lab.ruleset("install", *EVERYTHING)
    assert said["queue"] in ("queue", "NFQUEUE")
    assert said["defrag"] == "tproxy"
    chains = {chain["name"]: chain for chain in lab.listing()["chain"]}
    assert (chains["inbound"]["hook"], chains["inbound"]["prio"]) == ("prerouting", -300)
    assert (chains["outbound"]["hook"], chains["outbound"]["prio"]) == ("postrouting", 300)
    assert chains["inbound"]["policy"] == chains["outbound"]["policy"] == "accept"
    assert "hook" not in chains["defrag"]


def test_each_of_several_external_interfaces_has_a_set(lab):
    lab.ruleset("install", "interface=wan0", "second=lan0", "uplinks=2", "offload=64")
    assert sorted(lab.set_elements("external_interfaces")) == ["lan0", "wan0"]
    assert lab.set_elements("uplink_0") == ["wan0"]
    assert lab.set_elements("uplink_1") == ["lan0"]
    lab.ruleset("update", "interface=lan0", "second=lan0", "uplinks=2")
    assert lab.set_elements("uplink_0") == ["lan0"]
    assert lab.set_elements("uplink_1") == []


def test_with_several_external_interfaces_the_key_of_what_leaves_has_the_uplink(lab):

    def rules_of_maps():
        listed = lab.gw.run("nft", "list", "chain", "ip", "portreeve", "outbound").stdout
        return [line for line in listed.splitlines() if "@offload_out" in line]

    lab.ruleset("install", "interface=wan0", "offload=64", *EVERYTHING)
    assert len(rules_of_maps()) == 2
    assert not any("@uplink_" in rule for rule in rules_of_maps())
    lab.ruleset("install", "second=lan0", "uplinks=2", "offload=64", *EVERYTHING)
    assert [rule.split("@uplink_")[1][0] for rule in rules_of_maps()] == ["0", "1", "0", "1"]
    lab.ruleset("install", "offload=64", *EVERYTHING)
    assert len(rules_of_maps()) == 2


def test_every_rule_counts_and_says_what_it_is(lab):
    lab.ruleset("install", *EVERYTHING)
    listed = lab.listing()["rule"]
    assert len(listed) > 40
    for rule in listed:
        assert any("counter" in part for part in rule["expr"] if isinstance(part, dict)), rule
        assert rule["comment"]


def test_sets_hold_what_was_asked_for(lab):
    lab.ruleset("install", *EVERYTHING)
    assert sorted(lab.set_elements("external")) == ["192.0.2.1", "192.0.2.9"]
    assert sorted(lab.set_elements("targets")) == ["10.0.0.5", "10.0.0.6"]
    assert sorted(lab.set_elements("other_uplinks")) == ["lan0"]
    assert prefixes(lab.set_elements("sources")) == ["10.0.0.0/24", "10.1.0.0/16"]
    assert ranges(lab.set_elements("tcp_ports")) == [22, (80, 81), (49152, 65535)]
    assert lab.set_elements("udp_ports") == [53]
    assert (lab.set_elements("tcp_bound"), lab.set_elements("udp_bound")) == ([22], [])
    assert sorted(lab.set_elements("protocols")) == ["icmp", "tcp", "udp"]
    assert len(lab.set_elements("icmp_inbound")) == 5
    assert len(lab.set_elements("icmp_errors")) == 3


@pytest.mark.parametrize("asked, held", [
    ("0.0.0.0/0", ["0.0.0.0/0"]),
    ("255.255.255.255/32", ["255.255.255.255"]),
    ("0.0.0.0/32", ["0.0.0.0"]),
    ("128.0.0.0/1", ["128.0.0.0/1"]),
    ("10.0.0.0/25,10.0.0.128/25", ["10.0.0.0/24"]),
    ("10.0.0.0/8,10.5.0.0/16,10.0.0.0/8", ["10.0.0.0/8"]),
    ("192.168.7.0/24,10.0.0.0/24", ["10.0.0.0/24", "192.168.7.0/24"]),
])
def test_prefixes_are_sorted_and_merged(lab, asked, held):
    lab.ruleset("install", f"sources={asked}")
    assert prefixes(lab.set_elements("sources")) == held


@pytest.mark.parametrize("asked, held", [
    ("0-65535", [(0, 65535)]),
    ("65535", [65535]),
    ("0", [0]),
    ("1-2,3-4", [(1, 4)]),
    ("1000-65534", [(1000, 65534)]),
])
def test_ports_up_to_the_limits(lab, asked, held):
    lab.ruleset("install", f"tcp={asked}")
    assert ranges(lab.set_elements("tcp_ports")) == held


def test_repeated_addresses_are_one(lab):
    lab.ruleset("install", "targets=10.0.0.5,10.0.0.6,10.0.0.5", "external=192.0.2.1,192.0.2.1")
    assert sorted(lab.set_elements("targets")) == ["10.0.0.5", "10.0.0.6"]
    assert lab.set_elements("external") == ["192.0.2.1"]


def test_update_exchanges_elements_and_leaves_chains(lab):
    lab.ruleset("install", *EVERYTHING)
    before = lab.listing()
    lab.ruleset("update", "external=192.0.2.77", "tcp=22,443", "sources=10.0.0.0/24")
    after = lab.listing()
    assert lab.set_elements("external") == ["192.0.2.77"]
    assert lab.set_elements("tcp_ports") == [22, 443]
    assert lab.set_elements("udp_ports") == []
    assert lab.set_elements("targets") == []
    assert len(lab.set_elements("protocols")) == 3
    assert after["chain"] == before["chain"]
    assert after["rule"] == before["rule"]


def test_update_to_the_same_contents(lab):
    lab.ruleset("install", *EVERYTHING)
    before = lab.listing()
    lab.ruleset("update", *EVERYTHING)
    assert lab.listing() == before


def test_ten_thousand_ranges(lab):
    odd = ",".join(str(port) for port in range(1, 20001, 2))
    hosts = ",".join(f"10.{n >> 8}.{n & 255}.1" for n in range(4000))
    said = lab.ruleset("install", f"tcp={odd}", f"udp={odd}", f"targets={hosts}")
    assert said["seconds"] < 1
    assert len(lab.set_elements("tcp_ports")) == 10000
    assert len(lab.set_elements("targets")) == 4000
    said = lab.ruleset("update", f"tcp={odd}", "udp=1-65535")
    assert said["seconds"] < 1
    assert ranges(lab.set_elements("udp_ports")) == [(1, 65535)]


def test_install_over_what_an_earlier_run_left(lab):
    lab.ruleset("install", *EVERYTHING)
    before = len(lab.listing()["rule"])
    lab.ruleset("install", "interface=wan0", "external=192.0.2.1", "tcp=1234")
    assert len(lab.listing()["rule"]) == before
    assert lab.set_elements("tcp_ports") == [1234]
    assert lab.set_elements("sources") == []


def test_remove_and_remove_again(lab):
    lab.ruleset("install", *EVERYTHING)
    lab.ruleset("remove")
    assert lab.gw.run("nft", "list", "ruleset").stdout.strip() == ""
    lab.ruleset("remove")


def test_other_tables_are_left_alone(lab):
    lab.gw.nft("add table inet mine")
    lab.ruleset("install", *EVERYTHING)
    lab.ruleset("remove")
    assert "table inet mine" in lab.gw.run("nft", "list", "ruleset").stdout


def test_without_capability_nothing_changes_and_the_sentence_says_so(lab):
    lab.ruleset("install", *EVERYTHING)
    before = lab.listing()
    for verb in (("install", *EVERYTHING), ("update", ), ("remove", )):
        said = lab.drive("ruleset", *verb, prefix=WITHOUT_ADMIN)[-1]
        assert said["code"] == -1
        assert "needs CAP_NET_ADMIN: run as root" in said["error"]
    assert lab.listing() == before


def test_a_batch_that_fails_changes_nothing(lab):
    lab.ruleset("install", *EVERYTHING)
    before = lab.listing()
    # An interface name of 16 characters cannot exist; a queue beyond the last cannot either.
    said = lab.drive("ruleset", "install", "queue=65535", "queues=2")[-1]
    assert said["code"] == -22
    assert "65536" in said["error"]
    assert lab.listing() == before


def test_a_failing_object_is_named(lab):
    said = lab.drive("ruleset", "update", "tcp=22")[-1]
    assert said["code"] == -2
    assert "elements of set external" in said["error"]
    assert "table ip portreeve no longer exists" in said["error"]


@pytest.mark.parametrize("defrag, expression", [(0, "tproxy"), (1, "ct"), (2, None)])
def test_the_kernel_takes_each_way_to_switch_defragmentation_on(lab, defrag, expression):
    said = lab.drive("rule-bytes", "method=1", f"defrag={defrag}", "send=1", *EVERYTHING)
    assert said[-1] == {"code": 0, "error": ""}
    in_defrag = rules(lab, "defrag")
    assert len(in_defrag) == (1 if expression else 0)


def kernel_lacks_native_queue(lab):
    return lab.ruleset("install")["queue"] == "NFQUEUE"


def test_a_kernel_without_queue_expression_is_told_apart_from_a_mistake(lab):
    if not kernel_lacks_native_queue(lab):
        pytest.skip("this kernel has the native queue expression")
    said = lab.drive("rule-bytes", "method=0", "send=1", *EVERYTHING)[-1]
    assert said["code"] == -2
    assert "CONFIG_NFT_QUEUE" in said["error"]


def bytes_of_nft(lab, statement):
    """The expression `queue` as nft encodes it: its trace of the message, put back into bytes."""
    lab.gw.nft(
        "add table ip traced\nadd chain ip traced c { type filter hook prerouting priority 0; }")
    traced = lab.gw.run("nft",
                        "--debug=mnl",
                        "add",
                        "rule",
                        "ip",
                        "traced",
                        "c",
                        statement,
                        check=False).stdout
    lab.gw.nft("delete table ip traced")
    data = b""
    for line in re.sub(r"\x1b\[[0-9;]*m", "", traced).splitlines():
        header = re.match(r"\|(\d{5})\|(.)(.)\|(\d{5})\|", line)
        words = re.match(r"\| (\w\w) (\w\w) (\w\w) (\w\w)  \|\t\|      data", line)
        if header:
            nested = 0x8000 if header[2] == "N" else 0
            data += struct.pack("=HH", int(header[1]), int(header[4]) | nested)
        elif words:
            data += bytes(int(word, 16) for word in words.groups())
    start = data.index(struct.pack("=HH", 10, 1) + b"queue\0")
    return data[start:]


def queue_expression(first, bypass):
    """`queue num first-first+3` as the kernel gets it."""
    attributes = struct.pack("=HHHH", 6, 1, socket.htons(first), 0)
    attributes += struct.pack("=HHHH", 6, 2, socket.htons(4), 0)
    if bypass:
        attributes += struct.pack("=HHHH", 6, 3, socket.htons(1), 0)
    head = struct.pack("=HH", 10, 1) + b"queue\0\0\0"
    return head + struct.pack("=HH", 4 + len(attributes), 0x8002) + attributes


@pytest.mark.parametrize("bypass", [False, True])
def test_the_native_queue_expression_is_encoded_as_nft_does(lab, bypass):
    """What this kernel cannot run is compared byte by byte."""
    told = lab.drive("rule-bytes", "method=0", "queue=7", "queues=4")[0]["rules"]
    chain = "to_queue_bypass" if bypass else "to_queue"
    *_, udp, rest = [bytes.fromhex(rule["bytes"]) for rule in told if rule["chain"] == chain]
    assert udp.endswith(queue_expression(16384 + 7, bypass))
    assert rest.endswith(queue_expression(7, bypass))
    statement = "queue num 7-10" + (" bypass" if bypass else "")
    assert bytes_of_nft(lab, statement) == queue_expression(7, bypass)


def test_udp_has_queues_of_its_own_far_from_the_others(lab):
    """UDP is segmented before it is queued; the numbers of its queues are 16384 above or below."""
    for first, udp in (0, 16384), (16383, 32767), (16384, 0), (65532, 49148):
        told = lab.drive("rule-bytes", "method=0", f"queue={first}", "queues=4")[0]["rules"]
        found = [bytes.fromhex(rule["bytes"]) for rule in told if rule["chain"] == "to_queue"]
        assert found[-2].endswith(queue_expression(udp, False))
        assert found[-1].endswith(queue_expression(first, False))


def test_only_what_cannot_leave_untranslated_bypasses(lab):
    told = lab.drive("rule-bytes", "method=0", *EVERYTHING)[0]["rules"]
    flags = struct.pack("=HH", 6, 3) + b"\0\1"
    bypassing = [rule for rule in told if flags in bytes.fromhex(rule["bytes"])[-8:]]
    assert [rule["chain"] for rule in bypassing] == ["to_queue_bypass"] * 2
    sent_there = [
        bytes.fromhex(rule["bytes"]) for rule in told
        if bytes.fromhex(rule["bytes"]).endswith(b"to_queue_bypass\0")
    ]
    assert len(sent_there) == 9
    assert all(b"queue, bypass" in rule for rule in sent_there)


def test_a_forged_inside_source_is_dropped_and_one_that_is_behind_the_interface_is_not(lab):
    """192.0.2.2 is where the route leads back, 10.0.0.2 is not."""
    lab.ruleset("install", "interface=wan0", "external=192.0.2.1", "udp=4000",
                "sources=10.0.0.0/24,192.0.2.2/32")
    lab.outside.ip("address", "add", "10.0.0.77/32", "dev", "lo")
    forger = lab.outside.socket(bind=("10.0.0.77", 0))
    forger.sendto(b"forged", ("192.0.2.1", 4000))
    wait_until(lambda: packets_of(lab, "forged source") == 1, "the forged one is dropped")
    honest = lab.outside.socket(bind=("192.0.2.2", 0))
    honest.sendto(b"honest", ("192.0.2.1", 4000))
    wait_until(lambda: packets_of(lab, "queue: to a published port") == 1, "the other is queued")
    assert packets_of(lab, "forged source") == 1


def packets_of(lab, comment):
    return sum(part["counter"]["packets"] for rule in lab.listing()["rule"]
               if comment in rule["comment"] for part in rule["expr"] if "counter" in part)


def flowtable_chains(lab):
    return {
        chain["name"]: chain["handle"]
        for chain in lab.listing()["chain"]
        if chain["name"] in ("no_flowtable", "set_helper", "no_helper")
    }


def test_closed_to_flowtables_the_first_packet_is_dropped_also_after_the_next_install(lab):
    lab.ruleset("install", *EVERYTHING, "flowtables=closed")
    before = flowtable_chains(lab)
    assert set(before) == {"no_flowtable", "no_helper"}
    lab.ruleset("install", *EVERYTHING)
    assert flowtable_chains(lab) == before, "what an earlier run has left is in effect all the time"
    lab.inside.socket().sendto(b"lost", ("192.0.2.2", 4000))
    wait_until(lambda: packets_of(lab, "a flowtable would take") == 1, "it is dropped and counted")
    assert packets_of(lab, "queue: from the source of a share") == 0
    lab.ruleset("install", *EVERYTHING, "flowtables=ignored")
    assert not flowtable_chains(lab)


def test_connections_get_a_helper_or_the_sentence_says_why_not(lab):
    said = lab.drive("ruleset", "install", *EVERYTHING, "flowtables=avoided")[-1]
    if said["code"] == 0:
        assert set(flowtable_chains(lab)) == {"no_flowtable", "set_helper"}
        before = flowtable_chains(lab)
        lab.ruleset("install", *EVERYTHING)
        assert flowtable_chains(lab) == before
        lab.drive("ruleset", "install", *EVERYTHING, "flowtables=ignored")
    else:
        assert "CONFIG_NF_CT_NETLINK_HELPER" in said["error"]
    assert not flowtable_chains(lab)
