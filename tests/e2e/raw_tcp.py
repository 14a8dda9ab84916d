"""TCP played by hand: segments as a test wants them, from ports that the hosts' own TCP knows
nothing of
"""

import contextlib
import itertools
import select
import socket

from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from capture import checksum_faults

PORTS = range(6000, 7000)  # the hosts' kernels are deaf there: they would answer with RST
_ETH_P_IP = 0x0800
_PACKET_OUTGOING = 4
_WORD = 1 << 32

_ports = itertools.cycle(PORTS)


def fresh_port():
    """Another one each time, so that no test meets a former one's session."""
    return next(_ports)


@contextlib.contextmanager
def deaf(*hosts):
    """The hosts' own TCP does not hear what comes to PORTS; a packet socket does."""
    for host in hosts:
        host.nft("table ip deaf { chain input { type filter hook input priority 0;\n"
                 f"tcp dport {PORTS.start}-{PORTS.stop - 1} drop\n}}\n}}\n")
    try:
        yield
    finally:
        for host in hosts:
            host.nft("delete table ip deaf")


class End:
    """One end of a connection: it knows what it sent and got, and sends what it is told to, right
    or wrong.
    """

    def __init__(self, host, port, remote=None):
        """`remote` may be left to the first segment that comes."""
        self.host, self.port, self.remote = host, port, remote
        # Sequence numbers: the next of ours, the next of theirs.
        self.next, self.expected = port * 1000, 0
        self._socket = host.socket(socket.SOCK_DGRAM, socket.htons(_ETH_P_IP), socket.AF_PACKET)
        self._socket.bind(("eth0", _ETH_P_IP))

    def segment(self, flags, payload=b"", seq=None, ack=None, options=(), **fields):
        """The next segment in order, or one with a sequence number of the test's; counts what is in
        order.
        """
        number = self.next if seq is None else seq % _WORD
        acknowledged = (self.expected if ack is None else ack % _WORD) if "A" in flags else 0
        if seq is None:
            self.next = (self.next + len(payload) + ("S" in flags) + ("F" in flags)) % _WORD
        return IP(src=self.host.address, dst=self.remote[0]) / \
            TCP(sport=self.port, dport=self.remote[1], flags=flags, seq=number, ack=acknowledged,
                options=list(options), **fields) / Raw(payload)

    def send(self, *arguments, **keywords):
        """Sends a segment; it, as it went out."""
        made = IP(bytes(self.segment(*arguments, **keywords)))
        self.host.inject(made)
        return made

    def _next_packet(self, seconds):
        ready, _, _ = select.select([self._socket], [], [], seconds)
        if not ready:
            return None
        data, sender = self._socket.recvfrom(65536)
        return b"" if sender[2] == _PACKET_OUTGOING else data

    def _is_mine(self, packet):
        return packet.dst == self.host.address and packet.proto == socket.IPPROTO_TCP and \
            packet[TCP].dport == self.port

    def poll(self, seconds=0.0):
        """The next segment that came to this end, or None."""
        while (data := self._next_packet(seconds)) is not None:
            packet = IP(data) if data else None
            if packet is not None and self._is_mine(packet):
                assert checksum_faults(bytes(packet)) == []
                return self._take(packet)
        return None

    def receive(self):
        got = self.poll(5)
        assert got is not None, f"{self.host.role} got nothing"
        return got

    def _take(self, packet):
        """Counts what came in order; the first segment says who the remote is."""
        tcp = packet[TCP]
        self.remote = self.remote or (packet.src, tcp.sport)
        length = len(tcp.payload) + ("S" in tcp.flags) + ("F" in tcp.flags)
        if "S" in tcp.flags or tcp.seq == self.expected:
            self.expected = (tcp.seq + length) % _WORD
        return packet

    def close(self):
        self._socket.close()


def _unchanged(packet):
    """What translation has no business with."""
    tcp = packet[TCP]
    return (str(tcp.flags), tcp.seq, tcp.ack, tcp.window, tcp.urgptr, tcp.reserved,
            bytes(tcp)[20:tcp.dataofs * 4], bytes(tcp.payload))


def passes(sender, receiver, *arguments, **keywords):
    """Sends a segment to the other end, which gets it as it was but for the endpoints."""
    sent = sender.send(*arguments, **keywords)
    got = receiver.receive()
    assert _unchanged(got) == _unchanged(sent)
    return got


def handshake(initiator, responder):
    passes(initiator, responder, "S")
    passes(responder, initiator, "SA")
    passes(initiator, responder, "A")


def converse(one, other):
    """Data in both directions, each acknowledged."""
    for speaker, listener in ((one, other), (other, one)):
        passes(speaker, listener, "PA", b"some data")
        passes(listener, speaker, "A")
