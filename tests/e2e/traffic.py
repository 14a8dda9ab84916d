"""What the tests send and how they look at what comes back"""

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import os
import select
import socket
import struct
import threading
import time

import pytest

from deadline import eventually

# <linux/in.h>, <linux/udp.h>, <asm-generic/socket.h>: what Python's socket module does not name
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 10, 0, 2
IP_RECVERR, IP_MTU = 11, 14
SO_NO_CHECK = 11
UDP_SEGMENT, UDP_GRO = 103, 104
SO_RCVBUFFORCE = 33

UDP_MAX = 65507


def udp_round_trip(client, server, address, payload=b"hello", port=None):
    """
    Sends a datagram to `address` at the server's port and has it answered. Returns where the server
    saw it come from; fails if the answer is not the payload from the endpoint that was asked.
    """
    asked = (address, port or server.getsockname()[1])
    client.sendto(payload, asked)
    data, seen = server.recvfrom(UDP_MAX)
    assert data == payload
    server.sendto(payload, seen)
    answer, answered_by = client.recvfrom(UDP_MAX)
    assert answer == payload
    assert answered_by == asked
    return seen


@contextlib.contextmanager
def without_waiting(sock):
    """Calls inside return at once (MSG_DONTWAIT alone does not make Python's sockets do so)."""
    timeout = sock.gettimeout()
    sock.setblocking(False)
    try:
        yield
    finally:
        sock.settimeout(timeout)


def assert_silent(*sockets):
    """Nothing waits in these sockets. Only after something that came later was seen elsewhere."""
    waiting, _, _ = select.select(sockets, [], [], 0)
    assert not waiting


def assert_unanswered(sock, address, seconds=0.3):
    """Nobody answers a connection's SYN. That can only be watched for a while: an answer would be
    here within a millisecond.
    """
    sock.settimeout(seconds)
    with pytest.raises(TimeoutError):
        sock.connect(address)


@dataclasses.dataclass
class IcmpError:
    """An ICMP error as the kernel reports it to the socket that it is about."""

    code: int  # errno
    icmp_type: int
    icmp_code: int
    info: int  # the MTU of "fragmentation needed"
    offender: str  # who sent the error
    destination: tuple  # where the datagram had been sent, from the packet that the error carries


_EXTENDED_ERROR = struct.Struct("=IBBBBII")


def want_icmp_errors(sock):
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def _read_error_queue(sock):
    try:
        with without_waiting(sock):
            _, ancillary, _, destination = sock.recvmsg(UDP_MAX, 512, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        return None
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_RECVERR):
            code, _, icmp_type, icmp_code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
            offender = socket.inet_ntoa(data[_EXTENDED_ERROR.size + 4:_EXTENDED_ERROR.size + 8])
            return IcmpError(code, icmp_type, icmp_code, info, offender, destination)
    raise AssertionError(f"an error queue without an error: {ancillary}")


def icmp_error(sock, seconds=5):
    """The ICMP error that reaches this socket (which must want_icmp_errors)."""
    return eventually(lambda: _read_error_queue(sock), "an ICMP error reaches the socket", seconds)


def assert_refused(connected):
    """A connected UDP socket hears of a port where nobody listens."""
    with pytest.raises(ConnectionRefusedError):
        connected.recv(UDP_MAX)


def random_bytes(size):
    return os.urandom(size)


def _receive_digest(sock, result):
    digest, size = hashlib.sha256(), 0
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(1 << 18):
            digest.update(chunk)
            size += len(chunk)
    result.append((size, digest.hexdigest()))


class Transfer:
    """A TCP transfer in two threads, one a side: what arrives must be what was sent, to the last
    bit.
    """

    CHUNK = 1 << 16

    def __init__(self, sender, receiver, size=None):
        """Sends `size` bytes, or until finish() when it is None."""
        self._sender, self._size = sender, size
        self._stop = threading.Event()
        self._sent = hashlib.sha256()
        self.sent_bytes = 0
        self._received = []
        self._error = None
        receiver.settimeout(30)
        sender.settimeout(30)
        self._threads = [
            threading.Thread(target=self._send, daemon=True),
            threading.Thread(target=_receive_digest, args=(receiver, self._received), daemon=True)
        ]
        for thread in self._threads:
            thread.start()

    def _send(self):
        block = os.urandom(self.CHUNK)
        counter = 0
        try:
            while not self._stop.is_set() and (self._size is None or self.sent_bytes < self._size):
                chunk = counter.to_bytes(8, "big") + block[8:]
                self._sender.sendall(chunk)
                self._sent.update(chunk)
                self.sent_bytes += len(chunk)
                counter += 1
            self._sender.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._error = error

    def finish(self, seconds=60):
        """Ends the transfer and compares both sides; the number of bytes."""
        if self._size is None:
            self._stop.set()
        for thread in self._threads:
            thread.join(seconds)
        assert self._error is None, f"the sender failed: {self._error}"
        assert self._received, "the receiver did not see the end of the transfer"
        assert self._received[0] == (self.sent_bytes, self._sent.hexdigest())
        return self.sent_bytes


class Stream:
    """Numbered datagrams through the gateway, one every few milliseconds."""

    GAP = 0.005

    def __init__(self, sender, receiver, address):
        self._sender, self._receiver, self._address = sender, receiver, address
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)  # all of the stream
        self._stop = threading.Event()
        self._sent = 0
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        for number in itertools.count():
            self._sender.sendto(struct.pack("!I", number), self._address)
            self._sent = number + 1
            if self._stop.wait(self.GAP):
                return

    def lost(self):
        """Ends the stream: the numbers that did not arrive."""
        self._stop.set()
        self._thread.join()
        missing = set(range(self._sent))
        with contextlib.suppress(TimeoutError):
            while missing:
                missing.discard(struct.unpack("!I", self._receiver.recv(4))[0])
        return sorted(missing)


class Connections:
    """One connection after the other, each with an answer, until the end of a `with`. The
    listener's kernel completes them.
    """

    GAP = 0.005

    def __init__(self, host, address, port, listener):
        self._host, self._address, self._port, self._listener = host, address, port, listener
        self._stop = threading.Event()
        self._failed, self._seconds = [], []
        self._thread = threading.Thread(target=self._connect, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _connect(self):
        while not self._stop.wait(self.GAP):
            began = time.monotonic()
            try:
                with tcp_pair(self._host, self._address, self._port,
                              self._listener) as (client, server, _):
                    talk(client, server)
            except (OSError, AssertionError) as error:
                self._failed.append(error)
            self._seconds.append(time.monotonic() - began)

    def results(self):
        """After the end: (how many, what failed, the seconds of the slowest)"""
        return len(self._seconds), self._failed, max(self._seconds, default=0)


@contextlib.contextmanager
def tcp_pair(client_host, address, port, listener, source_port=0):
    """A connection through the gateway: (client's socket, server's socket, where the server saw it
    come from).
    """
    with client_host.connect(address, port, source_port) as client:
        server, seen = listener.accept()
        with server:
            server.settimeout(5)
            yield client, server, seen


def talk(client, server, text=b"hello"):
    """Both directions of a connection carry data."""
    for one, other in ((client, server), (server, client)):
        one.sendall(text)
        received = b""
        while len(received) < len(text):
            piece = other.recv(len(text) - len(received))
            assert piece, "the connection ended"
            received += piece
        assert received == text


def refuses(host, address, port):
    """True when connecting is answered with a RST."""
    try:
        host.connect(address, port).close()
    except OSError as error:
        return error.errno == errno.ECONNREFUSED
    return False
