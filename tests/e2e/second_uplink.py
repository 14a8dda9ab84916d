"""A second way out of the gateway, beside the network of lab.py

    +-----------+                  +-------------------+              +--------------------+
    |    gw     |-wan1--------eth0-| isp2  198.18.7.1  |-eth1----eth2-| core  192.0.2.6    |
    |        .5 | 198.18.7.0/24    |       192.0.2.5   | 192.0.2.4/30 | (lab.py)           |
    +-----------+                  +-------------------+              +--------------------+

far (198.51.100.10) and everything beyond core is reached by both. As with a real provider, isp2
lets nothing in whose source is not its own network's.

The gateway's own packets are not judged here: when a host outside calls wan0's address while the
default route leads out by wan1, the kernel's RST leaves by wan1, with or without portreeved. A
connection that an earlier test left behind is enough for that.
"""

import netns
from deadline import eventually
from lab import EDGE, Host, link

SECOND = "198.18.7.5"
SECOND_GATEWAY = "198.18.7.1"

_STRICT = """
table ip provider {
    counter strangers { }
    set tuples { typeof ip saddr . ip daddr . ip protocol; flags dynamic; size 1000; }
    chain strict {
        type filter hook prerouting priority -300;
        iifname eth0 ip saddr != 198.18.7.0/24 add @tuples { ip saddr . ip daddr . ip protocol } \
            counter name strangers drop
    }
}
"""

_NOT_JUDGED = """
table ip not_judged {
    chain own {
        type filter hook output priority 0;
        oifname wan1 ip saddr != 198.18.7.0/24 drop
    }
}
"""


class SecondUplink:

    def __init__(self, lab):
        self._lab = lab
        self.isp = Host("isp2", SECOND_GATEWAY)
        self.connect()
        link(self.isp, "eth1", lab.core, "eth2")
        self.isp.sysctl("net.ipv4.ip_forward", 1)
        self.isp.sysctl("net.ipv4.icmp_ratelimit", 0)
        self.isp.ip("address", "add", "192.0.2.5/30", "dev", "eth1")
        lab.core.ip("address", "add", "192.0.2.6/30", "dev", "eth2")
        lab.core.ip("route", "add", "198.18.7.0/24", "via", "192.0.2.5")
        self.isp.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.6")
        self.isp.nft(_STRICT)
        lab.gw.nft(_NOT_JUDGED)
        eventually(
            lambda: self.isp.run("ping", "-nqc1", "-W1", lab.far.address, check=False).returncode ==
            0, "far answers isp2", 10)

    def connect(self):
        """Plugs the cable between gw and isp2."""
        gw = self._lab.gw
        link(gw, "wan1", self.isp, "eth0")
        gw.ip("address", "add", f"{SECOND}/24", "dev", "wan1")
        self.isp.ip("address", "add", f"{SECOND_GATEWAY}/24", "dev", "eth0")
        eventually(
            lambda: gw.run("ping", "-nqc1", "-W1", SECOND_GATEWAY, check=False).returncode == 0,
            "isp2 answers the gateway", 10)

    def use(self):
        """From now on the default route leads out by wan1."""
        self._lab.gw.ip("route", "replace", "default", "via", SECOND_GATEWAY)

    def leave(self):
        """The default route as lab.py has it."""
        self._lab.gw.ip("route", "replace", "default", "via", EDGE)

    def strangers(self):
        """How many packets came to isp2 whose source is not of its network. They are shown."""
        listed = self.isp.run("nft", "list", "table", "ip", "provider").stdout
        count = int(listed.split("packets ")[1].split()[0])
        if count > 0:
            print(listed)
        return count

    def remove(self):
        self.leave()
        self._lab.gw.nft("delete table ip not_judged")
        self._lab.core.ip("link", "del", "eth2")
        self._lab.gw.run("ip", "link", "del", "wan1", check=False)
        netns.remove(self.isp.namespace)
