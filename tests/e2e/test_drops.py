"""portreeve drops: the latest dropped packets, who sent them, and why they were dropped"""

import json
import re

import pytest

from daemon import CLIENT, SHARE
from deadline import eventually
from lab import EXTERNAL

CONFIG = SHARE + """
[forward guarded]
listen = 2222/tcp+udp
to = 10.0.0.2:22
allow = 198.51.100.0/24

[forward also]
listen = 2223/tcp
to = 10.0.0.2:23
allow = 198.51.100.0/24
"""


def drops(daemon):
    return json.loads(daemon.client("drops", "--json").stdout)["drops"]


def knock(host, port):
    with host.udp() as client:
        client.sendto(b"let me in", (EXTERNAL, port))


def test_a_dropped_packet_is_listed_with_its_reason_and_line(lab, daemon):
    knock(lab.out, 2222)
    entry, = eventually(lambda: drops(daemon), "it is listed")
    assert set(entry) == {
        "reason", "protocol", "from", "to", "forward", "share", "count", "first", "last", "why"
    }
    assert (entry["reason"], entry["protocol"], entry["forward"]) == ("not-allowed", "udp",
                                                                      "guarded")
    assert entry["from"] == lab.out.address and entry["share"] is None
    assert entry["to"] == {"address": EXTERNAL, "port": 2222}
    assert re.fullmatch(r"allow is 198\.51\.100\.0/24 \(portreeve\.conf:\d+\)", entry["why"])
    line = daemon.client("drops").stdout.splitlines()[1]
    assert re.match(rf"^ *\d+s +1 +not-allowed +{lab.out.address} +2222/udp +guarded +allow is ",
                    line)


def test_packets_of_one_source_are_counted_together(lab, daemon):
    before = sum(entry["count"] for entry in drops(daemon) if entry["from"] == lab.out2.address)
    for _ in range(5):
        knock(lab.out2, 2222)
    eventually(
        lambda: sum(entry["count"] for entry in drops(daemon)
                    if entry["from"] == lab.out2.address) == before + 5, "all are counted")
    assert len([entry for entry in drops(daemon) if entry["from"] == lab.out2.address]) == 1
    rows = daemon.client("drops", "--by", "source", "--format", "tsv").stdout.splitlines()
    assert rows[0].split("\t") == ["last", "count", "from", "ports", "reasons"]
    of_source = {row.split("\t")[2]: row.split("\t") for row in rows[1:]}[lab.out2.address]
    assert of_source[1] == str(before + 5) and of_source[3:] == ["1", "not-allowed"]


def test_drops_are_told_as_they_happen(lab, daemon):
    following = lab.gw.start(CLIENT, "-s", daemon.socket, "events", "drops")

    def told():
        knock(lab.far, 4242)  # nobody's: not dropped by us
        knock(lab.out, 2222)
        return following.stdout()

    try:
        eventually(told, "a drop is told", 10)
        line = following.stdout().splitlines()[0]
        assert re.match(
            rf"\S+Z dropped {lab.out.address} -> 2222/udp guarded: not-allowed, \d+ packets: al",
            line)
        assert all("4242" not in line for line in following.stdout().splitlines())
    finally:
        following.stop()


@pytest.mark.parametrize("words", [("--by", "colour"), ("2222", )])
def test_wrong_words_are_a_wrong_usage(lab, daemon, words):
    assert daemon.client("drops", *words, check=False).returncode == 2
