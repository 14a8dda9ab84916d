"""Reload: all or nothing, and what is still allowed goes on"""

import signal

import pytest

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, assert_silent, talk, tcp_pair, udp_round_trip

WEB = """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""
ECHO = """
[forward echo]
listen = 7/udp
to = 10.0.0.2:7007
"""
OTHER = """
[forward other]
listen = 9999/tcp
to = 10.0.0.3:9999
"""
ALL = SHARE + WEB + ECHO


def hang_up(daemon, body):
    """SIGHUP, and the proof that it was obeyed."""
    daemon.hang_up(body)
    wanted = "[forward other]" in body
    eventually(lambda: ("other" in daemon.client("forwards").stdout) == wanted,
               "the reload is in force")


def test_twenty_reloads_under_traffic_lose_nothing(lab, start_daemon):
    daemon = start_daemon(ALL)
    with lab.lab1.listen(80) as inside, lab.out.listen(80) as outside, \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (client1, server1, _), \
            tcp_pair(lab.lab2, lab.out.address, 80, outside) as (client2, server2, _), \
            lab.lab1.start("ping", "-n", "-i", "0.05", "-W", "3", lab.out.address) as ping:
        transfers = [
            Transfer(client1, server1),
            Transfer(client2, server2),
            Transfer(server2, client2)
        ]
        for turn in range(20):
            body = ALL + OTHER if turn % 2 == 0 else ALL
            if turn % 4 < 2:
                daemon.reload(body)
            else:
                hang_up(daemon, body)
        sizes = [transfer.finish() for transfer in transfers]
        ping.send(signal.SIGINT)
        ping.wait()
        assert " 0% packet loss" in ping.stdout()
    assert min(sizes) > 1_000_000


def test_a_reload_with_errors_changes_nothing_and_says_so(lab, start_daemon):
    daemon = start_daemon(ALL)
    with lab.lab1.listen(80) as inside, tcp_pair(lab.out, EXTERNAL, 8080,
                                                 inside) as (client, server, _):
        before = daemon.client("forwards").stdout
        refused = daemon.reload(SHARE + "[forward web]\nlisten = 99999/tcp\nto = nowhere\n",
                                check=False)
        assert refused.returncode == 1
        lines = refused.stderr.splitlines()
        assert any("99999" in line and f"{daemon.config}:" in line
                   for line in lines), refused.stderr
        assert any("nowhere" in line for line in lines), refused.stderr
        assert daemon.client("forwards").stdout == before
        talk(client, server)
    with lab.lab1.udp(7007) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL, port=7)


def test_a_hangup_with_errors_changes_nothing_and_logs_them(lab, start_daemon):
    daemon = start_daemon(ALL)
    before = daemon.client("forwards").stdout
    daemon.hang_up(SHARE + "[forward web]\nlisten = 99999/tcp\nto = 10.0.0.2:80\n")
    eventually(lambda: "99999" in daemon.log_so_far(), "the error is in the log")
    assert daemon.client("forwards").stdout == before


@pytest.mark.parametrize("missing", ["gone", "empty"])
def test_a_reload_without_a_usable_file_changes_nothing(lab, start_daemon, missing):
    daemon = start_daemon(ALL)
    before = daemon.client("forwards").stdout
    if missing == "gone":
        daemon.config.unlink()
    else:
        daemon.config.write_text("")
    assert daemon.client("reload", check=False).returncode == 1
    assert daemon.client("forwards").stdout == before


def test_a_removed_forward_takes_its_sessions_and_no_others(lab, start_daemon):
    daemon = start_daemon(ALL)
    with lab.lab1.listen(80) as inside, lab.out.listen(80) as outside, lab.lab1.udp(7007) as echo, \
            lab.out.udp() as asker, \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (client, _, _), \
            tcp_pair(lab.lab1, lab.out.address, 80, outside) as (own_client, own_server, _):
        udp_round_trip(asker, echo, EXTERNAL, port=7)
        daemon.reload(SHARE + ECHO)
        assert daemon.sessions("forward=web") == []
        assert len(daemon.sessions("forward=echo")) == 1
        talk(own_client, own_server)
        udp_round_trip(asker, echo, EXTERNAL, port=7)
        client.sendall(b"into the void")
    with pytest.raises(ConnectionRefusedError):
        # The port is the gateway's own again, and nobody listens there.
        lab.out.connect(EXTERNAL, 8080)


def test_a_forward_that_moves_does_not_go_on_to_the_old_target(lab, start_daemon):
    daemon = start_daemon(ALL)
    with lab.lab1.udp(7007) as old, lab.lab2.udp(7007) as new, lab.out.udp() as client:
        udp_round_trip(client, old, EXTERNAL, port=7)
        daemon.reload(SHARE + ECHO.replace("10.0.0.2", "10.0.0.3"))
        udp_round_trip(client, new, EXTERNAL, port=7)
        assert_silent(old)


def test_an_allow_list_that_shrinks_ends_the_sessions_it_no_longer_allows(lab, start_daemon):
    both = SHARE + ECHO + "allow = 203.0.113.10, 203.0.113.11\n"
    daemon = start_daemon(both)
    with lab.lab1.udp(7007) as server, lab.out.udp() as kept, lab.out2.udp() as ended:
        udp_round_trip(kept, server, EXTERNAL, port=7)
        udp_round_trip(ended, server, EXTERNAL, port=7)
        daemon.reload(SHARE + ECHO + "allow = 203.0.113.10\n")
        assert len(daemon.sessions("remote=203.0.113.10")) == 1
        assert daemon.sessions("remote=203.0.113.11") == []
        with daemon.dropping("not-allowed"):
            ended.sendto(b"again", (EXTERNAL, 7))
        udp_round_trip(kept, server, EXTERNAL, port=7)


def test_a_host_that_is_no_longer_shared_loses_its_sessions(lab, lab1_stays_inside, start_daemon):
    daemon = start_daemon(SHARE)
    with lab.out.udp(7) as server, lab.lab1.udp() as one, lab.lab2.udp() as two:
        udp_round_trip(one, server, lab.out.address)
        udp_round_trip(two, server, lab.out.address)
        daemon.reload(SHARE.replace("10.0.0.0/24", "10.0.0.3"))
        assert {session["internal"]["address"] for session in daemon.sessions()} == {"10.0.0.3"}
        udp_round_trip(two, server, lab.out.address)


def test_new_timeouts_hold_for_the_sessions_that_are_there(lab, start_daemon):
    daemon = start_daemon(SHARE)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        assert daemon.session("udp")["expires_in"] > 250
        daemon.reload(SHARE + "[timeouts]\nudp = 1s\n")
        daemon.until_no_session("udp", seconds=6)


def test_a_pool_that_shrinks_ends_the_sessions_outside_of_it(lab, start_daemon):
    daemon = start_daemon(SHARE)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        daemon.reload(SHARE.replace("50000-59999", "40000-40999"))
        assert daemon.sessions() == []
        assert 40000 <= udp_round_trip(client, server, lab.out.address)[1] <= 40999


def test_a_diff_says_what_a_reload_does_and_does_nothing(lab, start_daemon):
    daemon = start_daemon(ALL)
    with lab.lab1.listen(80) as inside, lab.lab1.udp(7007) as server, lab.out.udp() as asker, \
            tcp_pair(lab.out, EXTERNAL, 8080, inside) as (client, served, _):
        udp_round_trip(asker, server, EXTERNAL, port=7)
        daemon.write(SHARE + OTHER + ECHO)
        planned = daemon.client("reload", "--diff").stdout
        assert planned == "added forward other\nremoved forward web\n1 sessions would end\n"
        talk(client, served)
        assert len(daemon.sessions()) == 2
        assert daemon.client("reload").stdout == "reloaded; 1 sessions ended\n"
        assert daemon.session()["forward"] == "echo"
    assert daemon.client("reload", "--diff").stdout == "0 sessions would end\n"


def test_forwards_in_files_of_their_own(lab, start_daemon):
    daemon = start_daemon(SHARE)
    parts = daemon.directory / "conf.d"
    parts.mkdir(mode=0o755)
    (parts / "web.conf").write_text(WEB)
    daemon.reload("[gateway]\ninclude = conf.d/*.conf\n" + SHARE)
    [web] = daemon.forwards()
    assert web["name"] == "web"
    assert (web["added"]["file"], web["added"]["line"]) == (str(parts / "web.conf"), 2)
    with lab.lab1.listen(80) as inside, tcp_pair(lab.out, EXTERNAL, 8080,
                                                 inside) as (client, server, _):
        talk(client, server)
    refused = daemon.client("forward", "remove", "web", check=False)
    assert f"delete it in {parts / 'web.conf'}" in refused.stderr
    (parts / "web.conf").write_text(WEB + "to = 10.0.0.3:80\n")
    refused = daemon.client("reload", check=False)
    assert refused.returncode == 1 and f"{parts / 'web.conf'}:5: " in refused.stderr
