"""Resolvers on the gateway: they bind ports at random, whatever is reserved, and lose no answer"""

import contextlib
import os
import signal
import socket
import struct
import threading

import pytest

from daemon import SHARE

# More than half of the ports that either resolver takes are a forward's, and mappings have some of
# the others.
CONFIG = SHARE.replace("50000-59999", "10000-29999") + """
[forward game]
listen = 33000-57999/udp
to = 10.0.0.3:33000
"""

QUERIES, MAPPINGS = 200, 500
PORT = 5300

UNBOUND = """
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    interface: 127.0.0.1@{port}
    module-config: "iterator"
    unknown-server-time-limit: 5000
forward-zone:
    name: "."
    forward-addr: {upstream}
remote-control:
    control-enable: no
"""

BIND = """
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    forward only;
    forwarders {{ {upstream}; }};
    dnssec-validation no;
}};
controls {{ }};
"""

RESOLVERS = {
    "unbound": (UNBOUND, ("unbound", "-d", "-c")),
    "BIND": (BIND, ("named", "-f", "-g", "-n", "1", "-c")),
}


def question_of(message):
    """The bytes of the first question."""
    end = message.index(b"\0", 12) + 5
    return message[12:end]


def answer(query):
    """192.0.2.1, whatever is asked."""
    return (query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + question_of(query) +
            struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("192.0.2.1")))


@contextlib.contextmanager
def name_server(host):
    """Answers every query; what it yields grows by the port of each one."""
    ports = []
    with host.udp(53) as server:
        server.settimeout(0.1)
        stopping = threading.Event()

        def serve():
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    query, (address, port) = server.recvfrom(4096)
                    server.sendto(answer(query), (address, port))
                    ports.append(port)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield ports
        finally:
            stopping.set()
            thread.join()


def query(number):
    name = b"".join(bytes([len(label)]) + label for label in (b"q%d" % number, b"example", b"org"))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!HH", 1, 1)


def asks(client, number):
    """Whether the resolver answers this query with the address."""
    client.send(query(number))
    while (received := client.recv(4096))[:2] != struct.pack("!H", number):
        pass  # an answer that came late
    return received.endswith(socket.inet_aton("192.0.2.1"))


@contextlib.contextmanager
def resolver(lab, name, directory):
    text, command = RESOLVERS[name]
    configuration = directory / "resolver.conf"
    configuration.write_text(text.format(directory=directory, port=PORT, upstream=lab.out.address))
    os.chmod(directory, 0o755)
    with lab.gw.start(*command, configuration, directory=directory) as process:
        process.until(lambda: lab.gw.run("ss", "-Hnlu", f"sport = :{PORT}").stdout,
                      f"{name} listens", 15)
        with lab.gw.socket() as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", PORT))
            yield client
        process.send(signal.SIGTERM)
        process.wait()


@pytest.mark.parametrize("name", RESOLVERS)
def test_a_resolver_of_the_gateway_loses_no_answer(lab, daemon, name, tmp_path):
    with contextlib.ExitStack() as stack, name_server(lab.out) as ports:
        for _ in range(MAPPINGS):
            stack.enter_context(lab.lab1.udp()).sendto(b"", (lab.out2.address, 9))
        with resolver(lab, name, tmp_path) as client:
            assert all(asks(client, number) for number in range(1, QUERIES + 1))
    assert len(set(ports)) > QUERIES // 2, "the resolver takes another port for each query"
    assert any(33000 <= port <= 57999 for port in ports), "some are a forward's"
    # A resolver that a busy machine keeps waiting asks again, and the first answer finds no socket.
    lost = len(daemon.sessions("forward=game")) + sum(daemon.status()["drops"].values())
    assert lost <= QUERIES // 50
