"""A session that enters the kernel's maps keeps its packets in order, and one without answers
enters, too

The kernel rewrites packets of the maps at once, while those in the queue wait for the daemon. So a
session must not enter in the middle of a burst.
"""

import json
import struct

import pytest

from daemon import OFFLOAD, SHARE
from deadline import eventually
from lab import EXTERNAL

pytestmark = pytest.mark.skipif(OFFLOAD == "off", reason="this run is about the maps")

FLOWS, BURST = 20, 1500

# Answers the twentieth packet of each flow, which is in the middle of the burst: from then on, the
# session may enter the maps. Prints how many packets of each flow came after a later one.
COUNTER = f"""
import json, socket, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
sock.bind(("", 7))
print("ready", flush=True)
late, last = [0] * {FLOWS}, [-1] * {FLOWS}
while last[-1] < {BURST}:
    data, source = sock.recvfrom(100)
    flow, number = struct.unpack_from("!II", data)
    late[flow] += number < last[flow]
    last[flow] = max(last[flow], number)
    if number == 20:
        sock.sendto(data, source)
print(json.dumps(late), flush=True)
"""


def test_a_burst_is_not_reordered_when_its_session_enters_the_maps(lab, start_daemon):
    """
    A thread that does not get a processor for a while can still come at the wrong moment, so a few
    flows may be unlucky. It is a third of them when nobody waits for a pause.
    """
    daemon = start_daemon(SHARE)
    counter = lab.out.start("/usr/bin/python3", "-c", COUNTER)
    eventually(lambda: "ready" in counter.stdout(), "the counter is ready")
    for flow in range(FLOWS):
        with lab.lab1.udp() as client:
            client.connect((lab.out.address, 7))
            for number in range(BURST):
                client.send(struct.pack("!II", flow, number) + bytes(40))
            client.recv(100)
            port = client.getsockname()[1]
            daemon.until_offloaded("udp", f"internal=:{port}")
    with lab.lab1.udp() as client:
        eventually(
            lambda: client.sendto(struct.pack("!II", FLOWS - 1, BURST),
                                  (lab.out.address, 7)) and "]" in counter.stdout(),
            "the counter has finished")
    late = json.loads(counter.stdout().splitlines()[-1])
    assert sum(packets > 0 for packets in late) <= FLOWS // 5, late


def stream(client, address, packets):
    for number in range(packets):
        client.sendto(b"%d" % number, address)


def test_udp_that_nobody_answers_is_offloaded_out_and_in(lab, start_daemon):
    daemon = start_daemon(SHARE + "[forward syslog]\nlisten = 514/udp\nto = 10.0.0.2:514\n")
    with lab.out.udp(514) as collector, lab.lab1.udp() as exporter, \
            lab.lab1.udp(514) as inner_collector, lab.out.udp() as outer_exporter:
        for client, address, server, words in ((exporter, (lab.out.address, 514), collector,
                                                "direction=outbound"),
                                               (outer_exporter, (EXTERNAL, 514), inner_collector,
                                                "forward=syslog")):
            stream(client, address, 30)
            assert not daemon.session("udp", words)["offloaded"]
            stream(client, address, 40)
            daemon.until_offloaded("udp", words)
            before = daemon.status()["offload"]["packets"]
            stream(client, address, 10)
            for _ in range(80):
                server.recv(100)
            after = daemon.status()["offload"]["packets"]
            assert sum(after.values()) == sum(before.values()) + 10
            session = daemon.session("udp", words)
            assert session["state"] == "unanswered" and sum(session["packets"].values()) == 80


def test_an_answer_in_the_kernel_makes_a_session_answered(lab, start_daemon):
    daemon = start_daemon(SHARE)
    with lab.out.udp(514) as server, lab.lab1.udp() as client:
        stream(client, (lab.out.address, 514), 64)
        daemon.until_offloaded("udp")
        seen = server.recvfrom(100)[1]
        server.sendto(b"at last", seen)
        assert client.recv(100) == b"at last"
        assert daemon.session("udp")["state"] == "answered"
        assert daemon.session("udp")["packets"] == {"out": 64, "in": 1}
