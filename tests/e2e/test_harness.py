"""The tests' own instruments: a checksum oracle that misses a fault would prove nothing"""

import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

import daemon as daemons
from capture import checksum_faults

ENDS = {"src": "203.0.113.5", "dst": "203.0.113.10"}
EMBEDDED = IP(**ENDS) / UDP(sport=1, dport=2) / b"odd"

PACKETS = {
    "TCP": IP(**ENDS) / TCP(sport=1, dport=2) / b"odd",
    "UDP": IP(**ENDS) / UDP(sport=1, dport=2) / b"even",
    "ICMP": IP(**ENDS) / ICMP() / b"x",
    "embedded UDP": IP(**ENDS) / ICMP(type=3, code=3) / EMBEDDED,
}


@pytest.mark.parametrize("kind", PACKETS)
def test_the_oracle_accepts_right_checksums(kind):
    assert checksum_faults(bytes(PACKETS[kind])) == []


@pytest.mark.parametrize("kind", ["TCP", "UDP", "ICMP"])
@pytest.mark.parametrize("position", [-1, -2, 20])
def test_the_oracle_finds_any_changed_byte(kind, position):
    packet = bytearray(bytes(PACKETS[kind]))
    packet[position] ^= 0x10
    assert kind in checksum_faults(bytes(packet))


def test_the_oracle_finds_a_changed_address():
    packet = bytearray(bytes(PACKETS["UDP"]))
    packet[15] ^= 1
    assert checksum_faults(bytes(packet)) == ["IP header", "UDP"]


def test_the_oracle_looks_into_icmp_errors():
    """The ICMP checksum is right, what it carries is not."""
    embedded = bytearray(bytes(EMBEDDED))
    embedded[20] ^= 0x10
    assert checksum_faults(bytes(IP(**ENDS) / ICMP(type=3, code=3) /
                                 bytes(embedded))) == ["embedded UDP"]
    struct.pack_into("!H", embedded, 10, 0)
    assert "embedded IP header" in checksum_faults(
        bytes(IP(**ENDS) / ICMP(type=3, code=3) / bytes(embedded)))


def test_a_udp_checksum_of_zero_means_none():
    assert checksum_faults(bytes(IP(**ENDS) / UDP(sport=1, dport=2, chksum=0) / b"x")) == []


def test_the_leak_watch_sees_a_private_address(lab, leak_watch, start_daemon):
    """Not the lab's traffic but the gateway's own, sent with a lab address: the watch must see it.
    """
    start_daemon()
    lab.gw.inject(IP(src="10.9.9.9", dst=lab.out.address) / UDP(sport=1, dport=2) / b"leak")
    leak_watch.flush()
    assert leak_watch.leaks(daemons.charges)
