"""The service on a real host: installed, started, restarted, killed, stopped, uninstalled"""

import os
import signal

import host
import process
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair, udp_round_trip


def check_share_and_forward(lab):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, seen):
        assert seen[0] == lab.out.address
        talk(client, server)


def test_the_installed_unit_has_no_mistake(installed):
    done = process.run(["systemd-analyze", "verify", "--man=no", installed.NAME], check=False)
    assert "portreeved" not in done.stdout + done.stderr


def test_share_and_forward_work_under_the_units_restrictions(lab, service):
    check_share_and_forward(lab)
    for session in service.sessions():
        assert session["protocol"] in ("tcp", "udp")


def test_sessions_are_offloaded_under_the_units_restrictions(lab, service):
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        word = f"{lab.out.address}:{client.getsockname()[1]}"
        for _ in range(3):
            talk(client, server)
        eventually(lambda: service.sessions("tcp", word)[0]["offloaded"], "it is offloaded")
        talk(client, server)


def test_restart_loses_no_connection(lab, service, no_leak):
    with host.Connections(lab) as connections:
        before = service.pid()
        host.systemctl("restart", service.NAME)
        assert service.pid() != before
        connections.all_live()


def test_kill_9_loses_no_connection(lab, service, no_leak):
    with host.Connections(lab) as connections:
        before = service.pid()
        os.kill(before, signal.SIGKILL)
        eventually(lambda: service.is_active() and service.pid() not in (0, before),
                   "the service manager starts it again", 20)
        connections.all_live()


def test_stop_gives_the_host_back_clean(service):
    service.stop()
    assert not [table for table in host.tables() if "portreeve" in table]
    assert host.RESERVED.read_text().strip() == ""
    assert not service.is_active()
    assert not service.answers()


def test_a_reload_by_systemctl_takes_the_new_configuration(lab, service):
    service.write(host.BODY + "[forward other]\nlisten = 8081/tcp\nto = 10.0.0.2:80\n")
    host.systemctl("reload", service.NAME)
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8081,
                                                   listener) as (client, server, _):
        talk(client, server)


def test_uninstall_leaves_only_the_configuration(installed):
    host.systemctl("enable", installed.NAME)
    host.systemctl("disable", "--now", installed.NAME)
    host.make("uninstall")
    try:
        left = process.run(["find", "/usr/local", "/etc", "/lib/systemd", "-iname", "*portreeve*"])
        assert left.stdout.split() == [str(host.CONFIG.parent), str(host.CONFIG)]
        assert not [table for table in host.tables() if "portreeve" in table]
    finally:
        host.make("install")
        host.systemctl("daemon-reload")
