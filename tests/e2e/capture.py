"""tcpdump beside a test, and the checks on what it saw"""

import itertools
import os
import signal
import socket
import struct
from pathlib import Path

from scapy.layers.inet import IP
from scapy.utils import RawPcapReader, checksum


_ETHERTYPE_MARKER = 0x88B5  # IEEE 802: for local experiments
_ETHERTYPE_IPV4 = 0x0800
_PSEUDO_HEADER = struct.Struct("!4s4sBBH")
_serial = itertools.count()

# In immediate mode each packet takes a whole slot of the buffer: long ones would leave room for
# few.
_SNAPLEN = 2048


class Capture:
    """
    tcpdump on one interface. Choose packets by address rather than by direction: the end of a
    capture is a marker frame that the capturing side itself sends, so that stopping never loses
    what came before.
    """

    def __init__(self, host, interface, expression, directory):
        self._host, self._interface = host, interface
        self._path = Path(directory) / f"capture-{os.getpid()}-{next(_serial)}.pcap"
        self._tcpdump = host.start("tcpdump", "-Z", "root", "-p", "-U", "--immediate-mode", "-B",
                                   "16384", "-s", str(_SNAPLEN), "-i", interface, "-w", self._path,
                                   f"({expression}) or ether proto {_ETHERTYPE_MARKER}",
                                   directory=directory)
        self._tcpdump.until(lambda: "listening on" in self._tcpdump.stderr(), "tcpdump listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._tcpdump.running:
            self._tcpdump.stop(signal.SIGINT)

    def flush(self):
        """Everything that passed before this call is in the file."""
        token = os.urandom(32)
        with self._host.socket(socket.SOCK_RAW, 0, socket.AF_PACKET) as raw:
            raw.bind((self._interface, 0))
            source = raw.getsockname()[4]
            raw.send(b"\xff" * 6 + source + struct.pack("!H", _ETHERTYPE_MARKER) + token)
        self._tcpdump.until(lambda: token in self._path.read_bytes(),
                            "tcpdump has written its marker", 20)

    def frames(self):
        """(time in seconds, the IPv4 packet's bytes without Ethernet padding) of what is in the
        file.
        """
        if self._path.stat().st_size <= 24:  # the file header alone
            return
        for frame, meta in RawPcapReader(str(self._path)):
            if struct.unpack_from("!H", frame, 12)[0] != _ETHERTYPE_IPV4:
                continue
            length = struct.unpack_from("!H", frame, 16)[0]
            yield meta.sec + meta.usec / 1e6, frame[14:14 + length]

    def stop(self):
        """Ends the capture; the packets as bytes."""
        self.flush()
        errors = self._tcpdump.stderr
        self._tcpdump.send(signal.SIGINT)
        self._tcpdump.wait()
        assert "0 packets dropped by kernel" in errors(), errors()
        packets = [packet for _, packet in self.frames()]
        cut = [packet for packet in packets if len(packet) < struct.unpack_from("!H", packet, 2)[0]]
        assert not cut, "packets longer than what is captured: offloads are on where the capture is"
        self._tcpdump.stop()
        self._path.unlink()
        return packets

    def decoded(self):
        """Ends the capture; the packets as scapy's IP objects."""
        return [IP(packet) for packet in self.stop()]


def _is_fragment(packet):
    return struct.unpack_from("!H", packet, 6)[0] & 0x3FFF != 0


def _transport_checksum(packet, header_length):
    """The checksum over pseudo header and payload as they lie: 0 when the one inside is right."""
    payload = packet[header_length:]
    pseudo = _PSEUDO_HEADER.pack(packet[12:16], packet[16:20], 0, packet[9], len(payload))
    return checksum(pseudo + payload)


def checksum_faults(packet):
    """What is wrong with the checksums of an IPv4 packet, as words; empty when nothing is."""
    header_length = (packet[0] & 15) * 4
    faults = []
    if checksum(packet[:header_length]) != 0:
        faults.append("IP header")
    if _is_fragment(packet):
        return faults
    protocol = packet[9]
    if protocol == socket.IPPROTO_ICMP:
        if checksum(packet[header_length:]) != 0:
            faults.append("ICMP")
        faults += _embedded_faults(packet[header_length:])
    elif protocol == socket.IPPROTO_UDP:
        if packet[header_length + 6:header_length + 8] != b"\0\0" and _transport_checksum(
                packet, header_length):
            faults.append("UDP")
    elif protocol == socket.IPPROTO_TCP and _transport_checksum(packet, header_length):
        faults.append("TCP")
    return faults


_ICMP_ERRORS = (3, 11, 12)


def _embedded_faults(message):
    """An ICMP error's embedded packet: its header always, its transport when all of it is there."""
    if message[0] not in _ICMP_ERRORS:
        return []
    embedded = message[8:]
    total = struct.unpack_from("!H", embedded, 2)[0]
    if len(embedded) < total:
        embedded_header = embedded[:(embedded[0] & 15) * 4]
        return ["embedded IP header"] if checksum(embedded_header) != 0 else []
    return [f"embedded {fault}" for fault in checksum_faults(embedded[:total])]


def assert_checksums(packets, at_least=1):
    """Every packet's checksums, recomputed from its bytes, are right; and there were packets."""
    faults = [
        f"{IP(packet).summary()}: {', '.join(found)}" for packet in packets
        if (found := checksum_faults(packet))
    ]
    assert not faults, (f"{len(faults)} of {len(packets)} packets with wrong "
                        "checksums:\n") + "\n".join(
        faults[:20])
    assert len(packets) >= at_least, f"only {len(packets)} packets captured, {at_least} expected"


# No private address in the outer header, nor in the packet that an ICMP error carries.
PRIVATE_OUTSIDE = (
    "src net 10.0.0.0/8 or dst net 10.0.0.0/8 or (icmp and (icmp[0] = 3 or icmp[0] = 11 or "
    "icmp[0] = 12)"
    " and (icmp[20] = 10 or icmp[24] = 10))")


class LeakWatch:
    """Watches the outside for private addresses, all through the run, and judges the times a daemon
    was in charge.
    """

    def __init__(self, lab, directory):
        self._gateway = lab.gw
        from_gateway = f"ether src {lab.gw.hardware_address('wan0')}"
        self._capture = Capture(lab.wan, "to-gw", f"{from_gateway} and ({PRIVATE_OUTSIDE})",
                                directory)
        self._judged = 0

    def flush(self):
        self._capture.flush()

    def leaks(self, charges):
        """New packets with a private address while a daemon's rules were in place there."""
        frames = list(self._capture.frames())
        fresh, self._judged = frames[self._judged:], len(frames)
        return [IP(packet).summary() for when, packet in fresh
                if any(charge.covers(self._gateway, when) for charge in charges)]

    def stop(self):
        self._capture.stop()
