"""The network that the tests run in, each box a network namespace

      lab, 10.0.0.0/24                                       outside, 203.0.113.0/24

    +---------------+                                             +---------------------+
    | lab1 10.0.0.2 |--+    +-----+      +-----------+    +-----+ | out    203.0.113.10 |
    +---------------+  +----| lan |-lan0-|    gw     |-wan0-----+-+---------------------+
    +---------------+  |    +-----+   .1 | portreeved| .5 | wan |-+---------------------+
    | lab2 10.0.0.3 |--+   (a switch)    +-----------+    +-----+ | out2   203.0.113.11 |
    +---------------+                                   (a switch)+---------------------+
                                                             |    +---------------------+
                                                             +----| edge  203.0.113.254 |
                                                                  |         192.0.2.1   |
                                                                  +----------+----------+
                                                                             | MTU 1300
                                                                  +----------+----------+
                                                                  | core    192.0.2.2   |
                                                                  |      198.51.100.1   |
                                                                  +----------+----------+
                                                                             |
                                                                  +----------+----------+
                                                                  | far  198.51.100.10  |
                                                                  +---------------------+

Nobody outside has a route to 10.0.0.0/24. Switches are namespaces of their own, so that the gateway
has one interface to each side; each host's interface is called eth0.
"""

import ctypes
import fcntl
import socket
import struct

import netns
import process
from deadline import PATIENCE, eventually

SHARED_NET = "10.0.0.0/24"
GATEWAY_INSIDE = "10.0.0.1"
EXTERNAL = "203.0.113.5"
EDGE = "203.0.113.254"
CORE = "192.0.2.2"
NARROW_MTU = 1300

SOCKET_TIMEOUT = 5.0 * PATIENCE  # seconds; a packet that must come comes in milliseconds


class Host:
    """A namespace with the address it is known by."""

    def __init__(self, role, address=None):
        self.role = role
        self.address = address
        self.namespace = netns.name_of(role)
        netns.create(self.namespace)

    def ip(self, *arguments):
        netns.ip("-n", self.namespace, *arguments)

    def sysctl(self, key, value):
        with netns.entered(self.namespace):
            netns.sysctl(key, value)

    def read_sysctl(self, key):
        with netns.entered(self.namespace):
            return netns.read_sysctl(key)

    def run(self, *argv, **options):
        return process.run(argv, self.namespace, **options)

    def start(self, *argv, **options):
        return process.Process(argv, self.namespace, **options)

    def nft(self, text):
        self.run("nft", "-f", "-", stdin=text)

    def socket(self, kind=socket.SOCK_DGRAM, protocol=0, family=socket.AF_INET):
        """A socket of this host, whichever namespace the test itself is in."""
        with netns.entered(self.namespace):
            made = socket.socket(family, kind, protocol)
        made.settimeout(SOCKET_TIMEOUT)
        return made

    def udp(self, port=0, address=""):
        bound = self.socket()
        bound.bind((address, port))
        return bound

    def listen(self, port, address=""):
        """A TCP listener. The kernel completes connections before accept(), so one thread can play
        both ends.
        """
        listener = self.socket(socket.SOCK_STREAM)
        _share_port(listener)
        listener.bind((address, port))
        listener.listen(512)
        return listener

    def connect(self, address, port, source_port=0):
        connection = self.socket(socket.SOCK_STREAM)
        _share_port(connection)
        try:
            connection.bind(("", source_port))
            connection.connect((address, port))
        except OSError:
            connection.close()
            raise
        return connection

    def inject(self, packet):
        """Sends an IPv4 packet as it is, source address included (the kernel fills in the header
        checksum).
        """
        with self.socket(socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(bytes(packet), (packet.dst, 0))

    def hardware_address(self, interface):
        return self.run("ip", "-br", "link", "show", "dev", interface).stdout.split()[2]

    def wait_listening(self, port, protocol="tcp"):
        def look():
            return self.run("ss", "-Hnl", f"--{protocol}", f"sport = :{port}").stdout

        eventually(look, f"{self.role} listens on {port}/{protocol}")

    def offload(self, interface, enabled):
        """Switches an interface's checksum and segmentation offloads, so that captures show what a
        wire would.
        """
        with self.socket() as control:
            for command in _OFFLOAD_COMMANDS if enabled else reversed(_OFFLOAD_COMMANDS):
                _ethtool(control, interface, command, int(enabled))


def _share_port(sock):
    """Tests listen and connect from one port, again and again."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


# include/uapi/linux/ethtool.h: SRXCSUM is left alone, receivers shall look.
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM, _ETHTOOL_SSG, _ETHTOOL_STSO = 0x17, 0x19, 0x1F
_ETHTOOL_SGSO, _ETHTOOL_SGRO = 0x24, 0x2C
_OFFLOAD_COMMANDS = (_ETHTOOL_STXCSUM, _ETHTOOL_SSG, _ETHTOOL_STSO, _ETHTOOL_SGSO)


def _ethtool(control, interface, command, value):
    argument = ctypes.create_string_buffer(struct.pack("=II", command, value))
    request = struct.pack("16sP", interface.encode(), ctypes.addressof(argument))
    fcntl.ioctl(control, _SIOCETHTOOL, request)


def link(one, one_interface, other, other_interface):
    """A veth pair between two hosts, both ends up."""
    one.ip("link", "add", one_interface, "type", "veth",
           "peer", "name", other_interface, "netns", other.namespace)
    one.ip("link", "set", one_interface, "up")
    other.ip("link", "set", other_interface, "up")


def _switch(role, ports):
    """A bridge that does nothing but forward: br_netfilter would show its frames to the ip hooks.
    """
    switch = Host(role)
    switch.sysctl("net.bridge.bridge-nf-call-iptables", 0)
    switch.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    switch.ip("link", "set", "br0", "up")
    for host, interface in ports:
        link(host, interface, switch, f"to-{host.role}")
        switch.ip("link", "set", f"to-{host.role}", "master", "br0")
    return switch


class Lab:
    """The whole network. Made once for a test run; `gateway` is given where it is the machine."""

    def __init__(self, gateway=None):
        self.lab1 = Host("lab1", "10.0.0.2")
        self.lab2 = Host("lab2", "10.0.0.3")
        self.gw = gateway or Host("gw", EXTERNAL)
        self.out = Host("out", "203.0.113.10")
        self.out2 = Host("out2", "203.0.113.11")
        self.edge = Host("edge", EDGE)
        self.core = Host("core", CORE)
        self.far = Host("far", "198.51.100.10")
        self.lan = _switch("lan", [(self.lab1, "eth0"), (self.lab2, "eth0"), (self.gw, "lan0")])
        self.wan = _switch("wan", [(self.out, "eth0"), (self.out2, "eth0"), (self.edge, "eth0"),
                                   (self.gw, "wan0")])
        link(self.edge, "eth1", self.core, "eth0")
        link(self.core, "eth1", self.far, "eth0")
        self._addresses()
        self._routes()
        for router in (self.gw, self.edge, self.core):
            router.sysctl("net.ipv4.ip_forward", 1)
        for host in self.hosts:
            host.sysctl("net.ipv4.icmp_ratelimit", 0)  # tests provoke many errors in a row
        self._reachable()

    @property
    def hosts(self):
        return (self.lab1, self.lab2, self.gw, self.out, self.out2, self.edge, self.core, self.far)

    def _addresses(self):
        for host in (self.lab1, self.lab2):
            host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
        self.gw.ip("address", "add", f"{GATEWAY_INSIDE}/24", "dev", "lan0")
        self.gw.ip("address", "add", f"{EXTERNAL}/24", "dev", "wan0")
        for host in (self.out, self.out2, self.edge):
            host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
        self.edge.ip("address", "add", "192.0.2.1/30", "dev", "eth1")
        self.core.ip("address", "add", "192.0.2.2/30", "dev", "eth0")
        self.core.ip("address", "add", "198.51.100.1/24", "dev", "eth1")
        self.far.ip("address", "add", "198.51.100.10/24", "dev", "eth0")
        self.edge.ip("link", "set", "eth1", "mtu", str(NARROW_MTU))
        self.core.ip("link", "set", "eth0", "mtu", str(NARROW_MTU))

    def _routes(self):
        for host in (self.lab1, self.lab2):
            host.ip("route", "add", "default", "via", GATEWAY_INSIDE)
        self.gw.ip("route", "add", "default", "via", EDGE)
        for host in (self.out, self.out2):
            host.ip("route", "add", "198.51.100.0/24", "via", EDGE)
            host.ip("route", "add", "192.0.2.0/30", "via", EDGE)
        self.edge.ip("route", "add", "198.51.100.0/24", "via", CORE)
        self.core.ip("route", "add", "default", "via", "192.0.2.1")
        self.far.ip("route", "add", "default", "via", "198.51.100.1")

    def _reachable(self):
        """Carriers come up one after the other: the network is ready when every host answers the
        gateway.
        """
        for host in (self.lab1, self.lab2, self.out, self.out2, self.far):
            ping = ("ping", "-nqc1", "-W1", host.address)
            eventually(lambda ping=ping: self.gw.run(*ping, check=False).returncode == 0,
                       f"{host.role} answers the gateway", 10)

    def forget_path_mtu(self):
        """What a test has made a host learn about a path must not steer the next one."""
        for host in self.hosts:
            host.ip("route", "flush", "cache")

    def stop(self):
        netns.remove_mine()
