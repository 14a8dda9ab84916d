"""Sessions outlive the process: the next daemon goes on where the last one ended"""

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, talk, tcp_pair, udp_round_trip

WEB = """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""
CONFIG = SHARE + WEB


@pytest.fixture(params=["kill -9", "restart"])
def begin_again(request):
    """Ends a daemon, one way or the other, and starts the next."""

    def end_and_start(daemon):
        if request.param == "kill -9":
            daemon.kill()
        else:
            daemon.stop()
        daemon.start()

    return end_and_start


def by_id(sessions):
    keys = ("protocol", "state", "direction", "internal", "external", "remote", "share", "forward")
    return {session["id"]: {key: session[key] for key in keys} for session in sessions}


def test_idle_sessions_go_on(lab, start_daemon, begin_again):
    daemon = start_daemon(CONFIG)
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside, lab.out.udp(7) as echo, \
            lab.lab2.udp() as asker, \
            tcp_pair(lab.lab1, lab.out.address, 80, outside) as (client1, server1, _), \
            tcp_pair(lab.out2, EXTERNAL, 8080, inside) as (client2, server2, _):
        talk(client1, server1)
        talk(client2, server2)
        seen = udp_round_trip(asker, echo, lab.out.address)
        before = by_id(daemon.sessions())
        begin_again(daemon)
        after = by_id(daemon.sessions())
        assert after.keys() == before.keys()
        for number, session in before.items():
            assert after[number] == session
        # From the outside first: only a session that is still there lets these in.
        echo.sendto(b"still there?", seen)
        assert asker.recv(100) == b"still there?"
        talk(server1, client1)
        talk(client2, server2)
        assert udp_round_trip(asker, echo, lab.out.address) == seen
        assert set(by_id(daemon.sessions())) == set(before)


def test_a_transfer_goes_on_after_kill_9(lab, start_daemon):
    """What was on its way is lost, and TCP sends it again."""
    daemon = start_daemon(CONFIG)
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside, \
            tcp_pair(lab.lab2, lab.out.address, 80, outside) as (client1, server1, _), \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (client2, server2, _):
        transfers = [Transfer(client1, server1), Transfer(server2, client2)]
        for _ in range(3):
            daemon.kill()
            daemon.start()
        for transfer in transfers:
            assert transfer.finish() > 0


def test_a_session_of_a_forward_that_is_gone_is_not_taken_up(lab, start_daemon, begin_again):
    daemon = start_daemon(CONFIG)
    with lab.lab1.listen(80) as inside, lab.out.listen(81) as outside, \
            tcp_pair(lab.out, EXTERNAL, 8080, inside), \
            tcp_pair(lab.lab1, lab.out.address, 81, outside) as (client, server, _):
        assert len(daemon.sessions()) == 2
        daemon.write(SHARE)
        begin_again(daemon)
        [left] = daemon.sessions()
        assert left["remote"]["port"] == 81
        talk(client, server)


def test_a_forward_added_at_run_time_goes_on(lab, start_daemon, begin_again):
    daemon = start_daemon(CONFIG)
    daemon.add_forward("guest", "2222/tcp", "10.0.0.3:22", "--note", "for the guest")
    begin_again(daemon)
    assert "guest" in daemon.client("forwards").stdout
    with lab.lab2.listen(22) as listener, tcp_pair(lab.out, EXTERNAL, 2222,
                                                   listener) as (client, server, _):
        talk(client, server)


@pytest.mark.parametrize("sessions", [1024, 1 << 19])
def test_sessions_go_on_in_a_table_of_another_size(lab, start_daemon, begin_again, sessions):
    daemon = start_daemon(CONFIG)
    with lab.out.listen(80) as outside, tcp_pair(lab.lab1, lab.out.address, 80,
                                                 outside) as (client, server, _):
        talk(client, server)
        before = by_id(daemon.sessions())
        daemon.write(CONFIG + f"[limits]\nsessions = {sessions}\n")
        begin_again(daemon)
        assert by_id(daemon.sessions()) == before
        talk(server, client)
    state = daemon.directory / "state"
    assert not (state / "sessions.new").exists()
    assert (state / "sessions").stat().st_size > 128 * sessions


def test_a_table_that_is_too_small_says_how_many_sessions_have_ended(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.lab1.udp() as client:
        for port in range(20000, 21100):
            client.sendto(b"to nobody", (lab.out.address, port))
        eventually(lambda: len(daemon.sessions()) == 1100, "1100 sessions")
        daemon.kill()
        daemon.write(CONFIG + "[limits]\nsessions = 1024\n")
        daemon.start()
        assert len(daemon.sessions()) == 1024
    assert ("76 sessions of the previous run have ended: [limits] sessions is 1024 now, and was "
            "262144" in daemon.log_so_far())


HEADER = {"format": 0, "version": 32}  # where they are in the file


def written(daemon, what, text):
    """As another version of the program would have written it."""
    with (daemon.directory / "state" / "sessions").open("r+b") as file:
        file.seek(HEADER[what])
        file.write(text.ljust(32, b"\0"))


def test_sessions_of_another_version_go_on(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        daemon.kill()
        written(daemon, "version", b"0.0.9")
        daemon.start()
        server.sendto(b"still there?", seen)
        assert client.recv(100) == b"still there?"


def test_sessions_in_another_format_end_and_the_log_says_so(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        daemon.kill()
        written(daemon, "version", b"0.0.9")
        written(daemon, "format", b"portreeve table 1")
        daemon.start()
        assert daemon.sessions() == []
    assert ("the sessions of the previous run have ended: portreeved 0.0.9 has written them in "
            "another format" in daemon.log_so_far())


def test_a_session_file_full_of_rubbish_is_no_obstacle(lab, start_daemon):
    daemon = start_daemon(CONFIG)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        daemon.kill()
        sessions = daemon.directory / "state" / "sessions"
        assert sessions.stat().st_size > 0
        with sessions.open("r+b") as file:
            for offset in range(0, sessions.stat().st_size, 4096):
                file.seek(offset)
                file.write(b"rubbish!" * 8)
        daemon.start()
        udp_round_trip(client, server, lab.out.address)
