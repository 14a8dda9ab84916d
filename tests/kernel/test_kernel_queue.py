"""Packets through a real queue and back: what src/netfilter/queue*.c tells of them, and what the
kernel makes of it.
"""

import errno
import hashlib
import os
import socket
import struct
import threading

import pytest

from kernel_lab import SOCKET_TIMEOUT, wait_until

PORT = 5001
UDP_SEGMENT = 103  # linux/udp.h
# Packets to the inside host's own address are taken as if it were external: so no translation is
# needed to see what a queue does.
BOTH_WAYS = ("install", "interface=wan0", "external=10.0.0.2,192.0.2.1", "tcp=5001", "udp=5001",
             "tcp-bound=5001", "udp-bound=5001", "sources=10.0.0.0/24", "mark=0x10000")


def receives(opened):
    return opened.recvfrom(65536)


def receives_nothing(opened):
    """That nothing comes can only be watched for a while; what was not held back would be here
    within a millisecond.
    """
    opened.settimeout(0.3)
    with pytest.raises(TimeoutError):
        opened.recvfrom(65536)
    opened.settimeout(SOCKET_TIMEOUT)


def ports_of(told):
    head = bytes.fromhex(told["head"])
    return struct.unpack("!HH", head[20:24])


def test_round_trip_in_both_hooks(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve()
    server, client = lab.inside.socket(bind=("10.0.0.2",
                                             PORT)), lab.outside.socket(bind=("192.0.2.2", 4000))
    client.sendto(b"there", ("10.0.0.2", PORT))
    data, sender = receives(server)
    assert (data, sender) == (b"there", ("192.0.2.2", 4000))
    server.sendto(b"and back", sender)
    assert receives(client)[0] == b"and back"
    inbound, outbound = serve.line(), serve.line()
    assert (inbound["hook"], inbound["in"], inbound["out"]) == ("inbound", lab.gw.index("wan0"), 0)
    assert (outbound["hook"], outbound["out"]) == ("outbound", lab.gw.index("wan0"))
    assert inbound["length"] == 28 + 5 and outbound["length"] == 28 + 8
    assert ports_of(inbound) == (4000, PORT) and ports_of(outbound) == (PORT, 4000)
    assert not inbound["transit"] and not inbound["truncated"] and not inbound["gso"]


def test_many_packets_of_all_lengths_in_batches(lab):
    """Padding: a batch holds packets of every length modulo 4, each rewritten, each whole at the
    other end.
    """
    lab.ruleset(*BOTH_WAYS)
    lab.serve("verdict=rewrite", f"from={PORT}", "to=5002", "quiet=1")
    server, client = lab.inside.socket(bind=("10.0.0.2", 5002)), lab.outside.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sent = [os.urandom(length) for length in range(1, 601)]
    for data in sent:
        client.sendto(data, ("10.0.0.2", PORT))
    assert [receives(server)[0] for _ in sent] == sent


def test_drop(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=drop")
    server, client = lab.inside.socket(bind=("10.0.0.2", PORT)), lab.outside.socket()
    client.sendto(b"lost", ("10.0.0.2", PORT))
    serve.line()
    receives_nothing(server)


def test_a_rewritten_packet_has_a_checksum_that_the_receiver_accepts(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=rewrite", f"from={PORT}", "to=5002")
    server, client = lab.inside.socket(bind=("10.0.0.2",
                                             5002)), lab.outside.socket(bind=("192.0.2.2", 4000))
    for data in (b"even", b"odd", b"x" * 1400):
        client.sendto(data, ("10.0.0.2", PORT))
        assert receives(server)[0] == data
        assert not serve.line()["checksum_missing"]  # the kernel computes it for this queue
        server.sendto(data, ("192.0.2.2", 4000))
        assert receives(client) == (data, ("10.0.0.2", PORT))
        serve.line()


def transfer(sender, receiver, size):
    block = os.urandom(1 << 20)
    count = size >> 20

    def send():
        for _ in range(count):
            sender.sendall(block)
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    received = hashlib.sha256()
    while data := receiver.recv(1 << 20):
        received.update(data)
    thread.join()
    expected = hashlib.sha256()
    for _ in range(count):
        expected.update(block)
    assert received.digest() == expected.digest()


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_bulk_tcp_is_queued_unsegmented_and_rewritten(lab, direction):
    """GSO packets go through whole; the port is changed in each, so every byte of them went back by
    a verdict.
    """
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=rewrite", f"from={PORT}", "to=5002", "quiet=1")
    listener = lab.inside.socket(socket.SOCK_STREAM, ("10.0.0.2", 5002), listen=True)
    client = lab.outside.socket(socket.SOCK_STREAM)
    client.connect(("10.0.0.2", PORT))
    server, _ = listener.accept()
    server.settimeout(SOCKET_TIMEOUT)
    transfer(*((client, server) if direction == "inbound" else (server, client)), size=32 << 20)
    told = serve.line()
    assert told["gso"] and told["hook"] == direction and told["length"] > 1500
    statistics = lab.statistics(number=0)
    assert (statistics["dropped_full"], statistics["dropped_user"]) == (0, 0)
    wait_until(lambda: lab.statistics(number=0)["waiting"] == 0, "an empty queue")


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_udp_segmentation_offload_is_queued_segment_by_segment_and_rewritten(lab, direction):
    """Linux 6.1 would lose a rewritten packet of many segments. So the kernel cuts it up first, and
    each segment is a packet with a checksum of its own.
    """
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=rewrite", f"from={PORT}", "to=5002")
    inside = lab.inside.socket(bind=("10.0.0.2", PORT if direction == "outbound" else 5002))
    outside = lab.outside.socket(bind=("192.0.2.2", 4000))
    segments = [os.urandom(500) for _ in range(20)]
    sender, receiver, to = ((outside, inside, ("10.0.0.2", PORT)) if direction == "inbound" else
                            (inside, outside, ("192.0.2.2", 4000)))
    sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
    sender.sendto(b"".join(segments), to)
    assert [receives(receiver)[0] for _ in segments] == segments
    for told in [serve.line() for _ in segments]:
        assert (told["hook"], told["gso"], told["length"]) == (direction, 0, 528)


def test_a_second_bind_says_who_has_the_queue(lab):
    serve = lab.serve("number=3")
    said = lab.drive("queue", "number=3")[-1]
    assert said["code"] == -16
    assert "queue 3 is used by another program" in said["error"]
    assert f"port id {serve.process.pid}" in said["error"]
    unseen = lab.drive(
        "queue", "number=3", prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                     "--inh-caps=+net_admin", "--ambient-caps=+net_admin"))[-1]
    assert unseen == {"code": -16, "error": "queue 3 is used by another program"}
    lab.serve("number=5")  # 4 would share a number of newcomers with 3


def test_a_number_for_udp_that_is_held_is_named(lab):
    lab.serve("number=100", "udp-number=16387")
    said = lab.drive("queue", "number=3")[-1]
    assert said["code"] == -16
    assert "queue 16387 is used by another program" in said["error"]


def test_a_queue_is_free_again_when_its_program_ended(lab):
    lab.serve("number=3").stop()
    lab.serve("number=3")


def test_without_capability_the_sentence_says_so(lab):
    said = lab.drive("queue",
                     prefix=("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"))[-1]
    assert said["code"] == -1
    assert "needs CAP_NET_ADMIN: run as root" in said["error"]


def test_statistics_of_an_unbound_queue(lab):
    assert lab.drive("statistics", "number=9")[-1]["code"] == -2


def test_a_full_queue_drops_and_counts(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("length=4", "hold=1")
    client = lab.outside.socket()
    for _ in range(10):
        client.sendto(b"more", ("10.0.0.2", PORT))
    statistics = wait_until(lambda: (found := lab.statistics())["dropped_full"] and found, "drops")
    assert statistics == {"waiting": 4, "dropped_full": 6, "dropped_user": 0}
    assert serve.line()["hook"] == "inbound"


def test_a_full_queue_of_ordinary_frames_fits_the_socket(lab):
    """Queue length and socket buffer go together: the buffer must not be what overflows."""
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("length=4096", "hold=1")
    client = lab.outside.socket()
    for _ in range(4200):
        client.sendto(b"x" * 1400, ("10.0.0.2", PORT))
    statistics = wait_until(lambda: (found := lab.statistics())["dropped_full"] and found, "drops")
    assert statistics["waiting"] == 4096
    assert statistics["dropped_user"] == 0
    serve.line()


def test_an_update_of_the_sets_keeps_waiting_packets(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("hold=1")
    server, client = lab.inside.socket(bind=("10.0.0.2", PORT)), lab.outside.socket()
    client.sendto(b"held", ("10.0.0.2", PORT))
    serve.line()
    client.sendto(b"not even read", ("10.0.0.2", PORT))
    wait_until(lambda: lab.statistics()["waiting"] == 2, "two packets in the queue")
    lab.ruleset("update", "external=192.0.2.9", "tcp=22")
    assert lab.statistics()["waiting"] == 2
    serve.release()
    serve.line()
    serve.release()
    assert {receives(server)[0], receives(server)[0]} == {b"held", b"not even read"}


def test_a_base_chain_that_goes_takes_all_waiting_packets_along(lab):
    """The kernel's rule that is the reason for keeping chains: it may be any chain of the
    namespace.
    """
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("hold=1")
    client = lab.outside.socket()
    client.sendto(b"held", ("10.0.0.2", PORT))
    serve.line()
    lab.ruleset(*BOTH_WAYS)
    assert lab.statistics()["waiting"] == 1
    lab.gw.nft("table ip mine { chain any { type filter hook output priority 7\n}\n}")
    lab.gw.nft("delete table ip mine")
    assert lab.statistics()["waiting"] == 0
    # The verdict that comes too late is refused, which is not the end.
    serve.release()
    server = lab.inside.socket(bind=("10.0.0.2", PORT))
    client.sendto(b"next", ("10.0.0.2", PORT))
    serve.line()
    serve.release()
    assert receives(server)[0] == b"next"


def test_the_device_of_a_waiting_packet_may_go(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("hold=1")
    client = lab.outside.socket()
    client.sendto(b"held", ("10.0.0.2", PORT))
    serve.line()
    lab.gw.ip("link", "del", "wan0")
    serve.release()
    wait_until(lambda: lab.statistics()["waiting"] == 0, "an empty queue")
    assert serve.process.poll() is None


def test_without_a_daemon_published_ports_are_closed_and_the_rest_is_open(lab):
    lab.ruleset(*BOTH_WAYS)
    published, other = lab.gw.socket(bind=("192.0.2.1", PORT)), lab.gw.socket(bind=("192.0.2.1",
                                                                                    5002))
    client = lab.outside.socket()
    client.sendto(b"closed", ("192.0.2.1", PORT))
    client.sendto(b"open", ("192.0.2.1", 5002))
    assert receives(other)[0] == b"open"
    receives_nothing(published)
    # ICMP bypasses: the gateway's own ping gets its answer.
    lab.gw.run("ping", "-c", "1", "-W", "2", "192.0.2.2")
    # Private sources do not get out untranslated.
    outside = lab.outside.socket(bind=("192.0.2.2", 4000))
    lab.inside.socket().sendto(b"secret", ("192.0.2.2", 4000))
    receives_nothing(outside)


def test_the_gateway_talks_to_its_own_external_address(lab):
    lab.ruleset(*BOTH_WAYS)
    server, client = lab.gw.socket(bind=("192.0.2.1", PORT)), lab.gw.socket()
    client.sendto(b"myself", ("192.0.2.1", PORT))
    assert receives(server)[0] == b"myself"


def test_balanced_queues_share_the_packets(lab):
    lab.ruleset(*BOTH_WAYS, "queue=2", "queues=2")
    serving = [lab.serve("number=2"), lab.serve("number=3", "newcomers=0")]
    server, client = lab.inside.socket(bind=("10.0.0.2", PORT)), lab.outside.socket()
    for last in range(2, 40):
        lab.outside.ip("address", "add", f"192.0.2.{last + 100}/24", "dev", "eth0")
        sender = lab.outside.socket(bind=(f"192.0.2.{last + 100}", 4000))
        sender.sendto(b"balanced", ("10.0.0.2", PORT))
        assert receives(server)[0] == b"balanced"
    assert not serving[0].silent() and not serving[1].silent()
    client.close()


def add_rule(namespace, message):
    """Sends an nf_tables message, as the driver tells it, in a batch of its own."""
    def batch(kind):
        return struct.pack("=IHHIIBBH", 20, kind, 1, 0, 0, 0, 0, socket.htons(10))

    with namespace.entered():
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    netlink.send(batch(16) + message + batch(17))
    # The kernel has done it when send() returns, and answers with nothing but errors.
    netlink.setblocking(False)
    with pytest.raises(BlockingIOError):
        netlink.recv(65536)


def test_a_packet_from_another_hook_passes(lab):
    """Somebody else's rule that names our queue number, in a hook where there is nothing to
    translate.
    """
    told = lab.drive("rule-bytes", "method=1", "udp=5001")[0]["rules"]
    lab.gw.nft("""
        table ip portreeve {
            set external { type ipv4_addr; elements = { 10.0.0.2 } }
            set udp_ports { type inet_service; flags interval; elements = { 5001 } }
            chain inbound { type filter hook forward priority 0; }
            chain to_queue { }
        }""")
    for rule in told:
        data = bytes.fromhex(rule["bytes"])
        queues = rule["chain"] == "to_queue" and b"oversize" not in data
        if queues or (rule["chain"] == "inbound" and b"udp_ports" in data):
            add_rule(lab.gw, data)
    serve = lab.serve("verdict=drop")
    server, client = lab.inside.socket(bind=("10.0.0.2", PORT)), lab.outside.socket()
    client.sendto(b"foreign", ("10.0.0.2", PORT))
    assert receives(server)[0] == b"foreign"
    assert serve.silent()
    assert "counter packets 1" in lab.gw.run("nft", "list", "chain", "ip", "portreeve",
                                             "inbound").stdout


def test_a_batch_that_does_not_go_through_is_split(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=rewrite", f"from={PORT}", "to=5002", "hold=1", "quiet=1",
                      "send-buffer=8192")
    server, client = lab.inside.socket(bind=("10.0.0.2", 5002)), lab.outside.socket()
    sent = [os.urandom(1400) for _ in range(50)]
    for data in sent:
        client.sendto(data, ("10.0.0.2", PORT))
    wait_until(lambda: lab.statistics()["waiting"] == 50, "packets in the queue")
    for _ in sent:
        serve.release()
    assert [receives(server)[0] for _ in sent] == sent
    assert serve.silent()


def test_a_packet_that_does_not_go_through_is_dropped_and_leaves_its_place(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=rewrite", f"from={PORT}", "to=5002", "send-buffer=8192")
    server, client = lab.inside.socket(bind=("10.0.0.2", 5002)), lab.outside.socket()
    client.sendto(os.urandom(40000), ("10.0.0.2", PORT))
    assert serve.line()["length"] == 40028
    assert serve.line()["code"] == -errno.EMSGSIZE
    assert lab.statistics()["waiting"] == 0
    client.sendto(b"next", ("10.0.0.2", PORT))
    assert receives(server)[0] == b"next"


def test_a_packet_longer_than_a_queue_can_carry_is_told_and_passes_unchanged(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve()
    server, client = lab.gw.socket(bind=("192.0.2.1", PORT)), lab.outside.socket()
    data = os.urandom(65507)
    client.sendto(data, ("192.0.2.1", PORT))
    assert receives(server)[0] == data
    told = serve.line()
    assert told["truncated"] and told["length"] == 65531


def test_a_truncated_packet_is_never_cut_to_what_was_seen(lab):
    lab.ruleset(*BOTH_WAYS)
    serve = lab.serve("verdict=rewrite", "from=1", "to=2")
    server, client = lab.gw.socket(bind=("192.0.2.1", PORT)), lab.outside.socket()
    client.sendto(os.urandom(65507), ("192.0.2.1", PORT))
    assert serve.line()["truncated"]
    receives_nothing(server)
