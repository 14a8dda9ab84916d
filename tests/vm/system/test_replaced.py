"""The running service is replaced, or cannot be: its connections live, and the gateway is closed"""

import host
from deadline import eventually


def test_an_upgrade_works_under_the_units_restrictions(lab, service, no_leak):
    with host.Connections(lab) as connections:
        before = service.pid()
        assert "has taken over" in service.client("upgrade").stdout
        assert service.is_active() and service.pid() == before
        connections.all_live()
        host.systemctl("restart", service.NAME)
        assert service.pid() != before
        connections.all_live()


def test_a_restart_with_a_broken_configuration_loses_nothing(lab, service, no_leak):
    with host.Connections(lab) as connections:
        service.write(host.BODY + "[limits]\nsessions = many\n")
        host.systemctl("restart", service.NAME, check=False)
        assert not service.is_active()
        assert [table for table in host.tables() if "portreeve" in table]
        service.write(host.BODY)
        eventually(service.is_active, "the service manager tries again", 20)
        connections.all_live()
