"""The service after a start of the machine"""

import host
from deadline import eventually
from lab import EXTERNAL
from traffic import talk, tcp_pair, udp_round_trip


def test_boot_starts_the_service_before_its_interface_exists():
    service = host.Service()
    eventually(lambda: service.show("SubState") == "running", "the service runs", 20)
    assert service.show("NRestarts") == "0"
    assert "portreeve" in " ".join(host.tables()), "nothing leaves while it waits"


def test_boot_the_service_takes_the_interface_when_it_comes():
    service = host.Service()
    pid = service.pid()
    lab = host.make_lab()
    eventually(lambda: EXTERNAL in service.client("status").stdout, "it has the address", 10)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        assert udp_round_trip(client, server, lab.out.address)[0] == EXTERNAL
    with lab.lab1.listen(80) as listener, tcp_pair(lab.out, EXTERNAL, 8080,
                                                   listener) as (client, server, _):
        talk(client, server)
    assert service.pid() == pid
