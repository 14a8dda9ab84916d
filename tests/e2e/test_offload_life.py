"""Offloaded sessions while the daemon changes, dies and comes back"""

import time

import pytest

from daemon import OFFLOAD, SHARE, elements
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair, udp_round_trip

pytestmark = pytest.mark.skipif(OFFLOAD == "off", reason="this run is about the queue alone")

CONFIG = SHARE + "[forward web]\nlisten = 8080/tcp\nto = 10.0.0.2:80\n[timeouts]\nudp = 3s\n"


def test_a_forward_that_is_removed_takes_its_sessions_out_of_the_kernel(lab, start_daemon):
    daemon = start_daemon(SHARE)
    daemon.add_forward("guest", "2222/tcp", "10.0.0.3:22")
    with lab.lab2.listen(22) as listener, tcp_pair(lab.out, EXTERNAL, 2222,
                                                   listener) as (client, server, _):
        talk(client, server)
        daemon.until_offloaded("tcp")
        daemon.remove_forward("guest")
        assert elements(lab) == 0
        server.sendall(b"nobody hears this")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_a_reload_that_still_allows_a_session_leaves_it_in_the_kernel(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)
        daemon.until_offloaded("tcp")
        daemon.reload(CONFIG + "[forward other]\nlisten = 99/tcp\nto = 10.0.0.3:99\n")
        assert daemon.session("tcp")["offloaded"]
        talk(client, server)


def test_offloaded_sessions_go_on_without_the_daemon_and_with_the_next_one(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab1.listen(80) as listener, \
            tcp_pair(lab.out, EXTERNAL, 8080, listener) as (one, other, _):
        seen = udp_round_trip(client, server, lab.out.address)
        talk(one, other)
        daemon.until_offloaded("tcp")
        daemon.until_offloaded("udp")
        daemon.kill()
        born = time.monotonic()

        def has_outlived_its_timeout():
            assert udp_round_trip(client, server, lab.out.address) == seen
            talk(one, other)
            return time.monotonic() > born + 4

        eventually(has_outlived_its_timeout,
                   "a conversation without a daemon, longer than its timeout", 15)
        daemon.start()
        server.sendto(b"still there?", seen)
        assert client.recv(100) == b"still there?"
        talk(other, one)
