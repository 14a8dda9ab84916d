"""What is assumed of the kernel: doc/architecture.md, "Kernel facts"."""

import os

from kernel_lab import wait_until

FRAGMENTS = """
    table ip watch {
        counter fragments { }
        counter whole { }
        chain c {
            type filter hook prerouting priority -301;
            ip frag-off & 0x3fff != 0 counter name fragments
            ip frag-off & 0x3fff == 0 udp dport 5001 counter name whole
        }
    }"""
INSTALL = ("external=192.0.2.1", "udp=5001", "udp-bound=5001")


def counted(lab, name):
    text = lab.gw.run("nft", "list", "counter", "ip", "watch", name).stdout
    return int(text.split("packets ")[1].split()[0])


def send_fragments(lab):
    """A datagram of three fragments; returns when the gateway's socket has it, whole in any case.
    """
    server, client = lab.gw.socket(bind=("192.0.2.1", 5001)), lab.outside.socket()
    data = os.urandom(3000)
    client.sendto(data, ("192.0.2.1", 5001))
    assert server.recvfrom(65536)[0] == data


def conntrack_entries(lab):
    with lab.gw.entered():
        try:
            with open("/proc/sys/net/netfilter/nf_conntrack_count", encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return 0


def test_without_the_expression_fragments_come_as_fragments(lab):
    lab.gw.nft(FRAGMENTS)
    send_fragments(lab)
    assert (counted(lab, "fragments"), counted(lab, "whole")) == (3, 0)


def test_tproxy_in_an_unreached_chain_switches_defragmentation_on_without_conntrack(lab):
    lab.gw.nft(FRAGMENTS)
    serve = None
    assert lab.ruleset("install", *INSTALL)["defrag"] == "tproxy"
    serve = lab.serve()
    send_fragments(lab)
    assert (counted(lab, "fragments"), counted(lab, "whole")) == (0, 1)
    assert serve.line()["length"] == 3028
    assert conntrack_entries(lab) == 0
    lab.ruleset("remove")
    serve.stop()
    send_fragments(lab)
    assert counted(lab, "fragments") == 3


def test_an_update_keeps_defragmentation(lab):
    lab.gw.nft(FRAGMENTS)
    lab.ruleset("install", *INSTALL)
    lab.ruleset("install", *INSTALL)
    lab.ruleset("update", *INSTALL)
    lab.serve()
    send_fragments(lab)
    assert counted(lab, "fragments") == 0


def test_ct_in_an_unreached_chain_switches_it_on_too_at_the_price_of_conntrack(lab):
    lab.gw.nft(FRAGMENTS)
    assert lab.drive("rule-bytes", "method=1", "defrag=1", "send=1", *INSTALL)[-1]["code"] == 0
    lab.serve()
    send_fragments(lab)
    assert (counted(lab, "fragments"), counted(lab, "whole")) == (0, 1)
    assert conntrack_entries(lab) > 0


def test_a_forwarded_fragmented_packet_leaves_as_fragments_of_the_same_size(lab):
    """Put together before the daemon sees it, the packet must fit its way out again."""
    lab.ruleset("install", "external=10.0.0.2", "udp=5001")
    serve = lab.serve("verdict=rewrite", "from=5001", "to=5002")
    server, client = lab.inside.socket(bind=("10.0.0.2", 5002)), lab.outside.socket()
    data = os.urandom(9000)
    client.sendto(data, ("10.0.0.2", 5001))
    assert server.recvfrom(65536)[0] == data
    assert serve.line()["length"] == 9028


def test_a_bound_queue_outlives_nothing_but_its_socket(lab):
    serve = lab.serve("number=5")
    assert lab.statistics(5)["waiting"] == 0
    serve.stop()
    wait_until(lambda: lab.drive("statistics", "number=5")[-1]["code"] == -2, "an unbound queue")
