"""A third network behind the gateway, which no share names

    +--------------------+
    | guest 172.16.5.2   |-eth0----guest0-[ gw 172.16.5.1 ]
    +--------------------+

The gateway routes between it and the lab: its host speaks to the lab's directly, too.
"""

import netns
from deadline import eventually
from lab import Host, link

GUEST = "172.16.5.2"
GUEST_NET = "172.16.5.0/24"
GUEST_GATEWAY = "172.16.5.1"


class GuestNet:

    def __init__(self, lab):
        self._lab = lab
        self.guest = Host("guest", GUEST)
        link(lab.gw, "guest0", self.guest, "eth0")
        lab.gw.ip("address", "add", f"{GUEST_GATEWAY}/24", "dev", "guest0")
        self.guest.ip("address", "add", f"{GUEST}/24", "dev", "eth0")
        self.guest.ip("route", "add", "default", "via", GUEST_GATEWAY)
        eventually(
            lambda: self.guest.run("ping", "-nqc1", "-W1", lab.lab2.address, check=False).returncode
            == 0, "lab2 answers guest", 10)

    def remove(self):
        self._lab.gw.ip("link", "delete", "guest0")
        netns.remove(self.guest.namespace)
