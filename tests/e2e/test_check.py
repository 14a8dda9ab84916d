"""portreeve check: the daemon walks over its table while it works. Every test's daemon is asked
before its orderly stop, too (daemon.py)
"""

import re

from daemon import OFFLOAD, SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import Connections, talk, tcp_pair, udp_round_trip

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""


def test_the_table_and_the_kernels_maps_add_up(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.out.udp(7) as server, lab.lab2.udp() as client, lab.lab1.listen(80) as listener, \
            tcp_pair(lab.out, EXTERNAL, 8080, listener) as (one, other, _):
        udp_round_trip(client, server, lab.out.address)
        talk(one, other)
        daemon.until_offloaded("tcp")
        daemon.until_offloaded("udp")
        found = daemon.check()
        assert found["adds_up"] is True and found["faults"] == []
        assert found["seen"]["sessions"] == 2 and found["seen"]["mappings"] == 1
        assert found["kernel"] is (OFFLOAD == "on")
        assert found["seen"]["offloaded"] == (2 if OFFLOAD == "on" else 0)
        said = daemon.client("check").stdout
        assert re.match(r"everything adds up: 2 sessions, 1 mappings, \d+ hosts, \d+ ports", said)
        assert (", and 2 offloaded sessions in the kernel" in said) is (OFFLOAD == "on")


def test_it_adds_up_while_sessions_come_and_go(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.lab1.listen(80) as listener:
        with Connections(lab.out, EXTERNAL, 8080, listener) as connections:
            eventually(lambda: checked(daemon)["sessions"] > 50, "50 connections have come", 20)
        _, failed, _ = connections.results()
    assert not failed
    assert checked(daemon)["sessions"] > 50


def checked(daemon):
    found = daemon.check()
    assert found["faults"] == []
    return found["seen"]
