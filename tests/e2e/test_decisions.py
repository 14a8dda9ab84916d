"""What the log says at level debug about each decision, and that it says nothing at other levels"""

import re

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import refuses, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80

[forward guarded]
listen = 2222/udp
to = 10.0.0.2:22
allow = 198.51.100.0/24
"""


def act(lab):
    """A session through the share, one through a forward, and a packet that is refused."""
    with lab.lab1.udp() as client, lab.out.udp() as server, lab.out.udp() as stranger:
        stranger.sendto(b"let me in", (EXTERNAL, 2222))
        seen = udp_round_trip(client, server, lab.out.address)
        assert refuses(lab.out, EXTERNAL, 8080)
        return client.getsockname()[1], server.getsockname()[1], seen[1]


def test_at_level_debug_each_decision_is_told(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    host, remote, port = act(lab)
    out = re.escape(lab.out.address)
    for line in (
            rf"session \d+ opened: outbound udp 10\.0\.0\.2:{host} -> {out}:{remote}, external "
            rf"203\.0\.113\.5:{port}, share lab$",
            rf"session \d+ opened: inbound tcp {out}:\d+ -> 10\.0\.0\.2:80, .* forward web$",
            rf"session \d+ ended as refused: inbound tcp {out}:\d+ -> 10\.0\.0\.2:80, ",
            rf"dropped as not-allowed: udp {out} -> 203\.0\.113\.5:2222, 1 packets so far$"):
        eventually(lambda line=line: re.search(line, daemon.log_so_far(), re.M), line)


def test_at_level_info_none_is_told(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    daemon.LOG_LEVEL = "info"
    daemon.reload(CONFIG)
    before = daemon.log_so_far()
    act(lab)
    quiet = daemon.status()["uptime"] + 2  # the log is written once per second
    eventually(lambda: daemon.status()["uptime"] > quiet, "it could have been told")
    daemon.LOG_LEVEL = "debug"
    daemon.reload(CONFIG)
    _, remote, _ = act(lab)
    eventually(lambda: f":{remote}, external" in daemon.log_so_far(), "decisions are told again")
    told = daemon.log_so_far()[len(before):]
    assert len(re.findall("opened: outbound", told)) == 1
