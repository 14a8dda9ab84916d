"""Programs of the gateway itself, for portreeve listeners and portreeve audit"""

import json

from daemon import SHARE
from deadline import eventually
from lab import EXTERNAL, GATEWAY_INSIDE

CONFIG = SHARE + """
[forward web]
listen = 8080/tcp
to = 10.0.0.2:80
"""


def listeners(daemon):
    return {(one["protocol"], one["port"], one["address"])
            for one in json.loads(daemon.client("listeners", "--json").stdout)}


def test_a_program_at_the_external_address_is_listed(lab, daemon):
    with lab.gw.listen(7001), lab.gw.listen(7002, EXTERNAL), lab.gw.listen(7003, GATEWAY_INSIDE), \
            lab.gw.listen(7004, "127.0.0.1"), lab.gw.udp(7005), lab.gw.listen(8080):
        eventually(lambda: ("udp", 7005, None) in listeners(daemon), "the sockets are found")
        found = {one for one in listeners(daemon) if 7000 < one[1] < 7010}
        assert found == {("tcp", 7001, None), ("tcp", 7002, EXTERNAL), ("udp", 7005, None)}
        findings = json.loads(daemon.client("audit", "--json").stdout)
        own = [one["reason"] for one in findings if one["id"] == "own-listener"]
        assert any("python" in reason and "7001/tcp" in reason for reason in own)
        assert not any("8080/tcp" in reason for reason in own)
        hidden, = [one["reason"] for one in findings if one["id"] == "hidden-listener"]
        assert "8080/tcp" in hidden
