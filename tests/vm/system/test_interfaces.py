"""The external interface comes late or has another name, and paths are elsewhere: all of it under
the unit, on a real host
"""

import shutil
from pathlib import Path

import host
import process
import pytest
from deadline import eventually
from test_life import check_share_and_forward

DROP_IN = Path("/etc/systemd/system/portreeved.service.d/paths.conf")

# portreeve.conf(5), OTHER PATHS UNDER SYSTEMD
ADDITION = """[Service]
StateDirectory=portreeve sessions
RuntimeDirectory=portreeve netops
ExecReload=
ExecReload=/usr/local/bin/portreeve -s /run/netops/portreeve.sock reload
"""

ELSEWHERE = host.BODY + """
[state]
directory = /var/lib/sessions

[control]
socket = /run/netops/portreeve.sock
"""


@pytest.fixture
def later(lab):
    """Removes the interface that a test has made."""
    yield "later0"
    lab.gw.run("ip", "link", "del", "later0", check=False)


def test_a_start_without_the_interface_does_not_fail(lab, service, later):
    service.stop()
    service.write(host.BODY.replace("wan0", later))
    service.start()
    assert "there is no interface later0" in service.client("status").stdout
    lab.gw.ip("link", "add", later, "type", "veth", "peer", "name", "later1")
    lab.gw.ip("address", "add", "192.0.2.77/24", "dev", later)
    lab.gw.ip("link", "set", later, "up")
    eventually(lambda: service.status()["external"]["addresses"] == ["192.0.2.77"], "it is used")
    assert service.show("NRestarts") == "0"


def test_an_alternative_name(lab, service):
    lab.gw.ip("link", "property", "add", "dev", "wan0", "altname", "enp9s9")
    try:
        service.stop()
        service.write(host.BODY.replace("wan0", "enp9s9"))
        service.start()
        check_share_and_forward(lab)
    finally:
        lab.gw.ip("link", "property", "del", "dev", "wan0", "altname", "enp9s9")


@pytest.fixture
def addition():
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(ADDITION)
    host.systemctl("daemon-reload")
    yield
    shutil.rmtree(DROP_IN.parent)
    host.systemctl("daemon-reload")


def test_other_paths_with_what_the_manual_says(lab, service, addition):
    service.stop()
    service.write(ELSEWHERE)
    host.systemctl("start", service.NAME)
    check_share_and_forward(lab)
    client = ["/usr/local/bin/portreeve", "-s", "/run/netops/portreeve.sock"]
    assert process.run([*client, "sessions"]).returncode == 0
    assert list(Path("/var/lib/sessions").iterdir())
    host.systemctl("reload", service.NAME)
    host.systemctl("restart", service.NAME)
    assert process.run([*client, "sessions"]).returncode == 0
    service.stop()


def test_other_paths_without_it_fail_with_a_hint(service):
    service.stop()
    service.write(ELSEWHERE)
    assert host.systemctl("start", service.NAME, check=False).returncode != 0
    assert "OTHER PATHS UNDER SYSTEMD" in service.log()
