"""[timeouts] stop-hold: after SIGTERM the rules wait for a start that follows, and go if none comes
"""

import os
import signal
from pathlib import Path

import process
from daemon import SHARE, tables
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, talk, tcp_pair, udp_round_trip

RESERVED = "net.ipv4.ip_local_reserved_ports"
HOLD = "[timeouts]\nstop-hold = {}s\n"
FORWARD = "[forward web]\nlisten = 8080/tcp\nto = 10.0.0.2:80\n"


def end(daemon, number=signal.SIGTERM):
    """The daemon's process ends, whatever stays."""
    daemon.process.send(number)
    assert daemon.process.wait() == 0
    daemon.collect_log()


def running(daemon):
    """The processes with its configuration, but for the privileged one, which has another name."""
    listed = process.run(["pgrep", "-f", daemon.config], check=False).stdout.split()
    return [int(pid) for pid in listed if Path("/proc", pid, "comm").read_text() == "portreeved\n"]


def test_a_signal_ends_the_wait(lab, start_daemon):
    daemon = start_daemon(SHARE + HOLD.format(600))
    end(daemon)
    waiting, = running(daemon)
    os.kill(waiting, signal.SIGTERM)
    eventually(lambda: not tables(lab), "the rules are removed", 10)


def test_connections_live_on_when_a_start_follows(lab, start_daemon):
    daemon = start_daemon(SHARE + FORWARD + HOLD.format(600))
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside, lab.out.udp(7) as server, \
            lab.lab1.udp() as client, \
            tcp_pair(lab.lab2, lab.out.address, 80, outside) as (client1, server1, _), \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (client2, server2, _):
        seen = udp_round_trip(client, server, lab.out.address)
        transfers = [Transfer(client1, server1), Transfer(server2, client2)]
        for _ in range(3):
            end(daemon)
            assert "the rules stay for 600 seconds" in daemon.log
            daemon.start()
        for transfer in transfers:
            assert transfer.finish() > 0
        assert udp_round_trip(client, server, lab.out.address) == seen
    daemon.reload(SHARE)
    daemon.stop()


def test_nothing_private_leaves_and_nothing_is_reset_meanwhile(lab, start_daemon):
    """no_private_address_outside looks after the first part: the daemon stays in charge."""
    daemon = start_daemon(SHARE + FORWARD + HOLD.format(600))
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside, \
            tcp_pair(lab.lab2, lab.out.address, 80, outside) as (client1, server1, _), \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (client2, server2, _):
        end(daemon)
        for one in (client1, server1, client2, server2):
            one.send(b"into the dark")
        daemon.start()
        for other in (server1, client1, server2, client2):
            assert other.recv(100) == b"into the dark"
        talk(client1, server1)
        talk(client2, server2)
    daemon.reload(SHARE)
    daemon.stop()


def test_everything_goes_when_no_start_follows(lab, start_daemon):
    before = lab.gw.read_sysctl(RESERVED)
    daemon = start_daemon(SHARE + HOLD.format(2))
    end(daemon)
    assert tables(lab) and lab.gw.read_sysctl(RESERVED) != before
    eventually(lambda: not tables(lab), "the rules are removed", 10)
    eventually(lambda: lab.gw.read_sysctl(RESERVED) == before, "no port is reserved")
    daemon.start()
    daemon.reload(SHARE)
    daemon.stop()


def test_a_daemon_that_has_started_meanwhile_keeps_its_rules(lab, start_daemon):
    daemon = start_daemon(SHARE + HOLD.format(600))
    end(daemon)
    waiting, = running(daemon)
    daemon.write(SHARE)
    daemon.start()
    eventually(lambda: running(daemon) == [daemon.process.pid], f"process {waiting} has left", 10)
    assert tables(lab)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)


def test_sigint_does_not_wait(lab, start_daemon):
    daemon = start_daemon(SHARE + HOLD.format(600))
    daemon.tell_to_leave(signal.SIGINT)
    assert daemon.process.wait() == 0
    assert not tables(lab)
