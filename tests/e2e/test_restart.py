"""A service manager restarts the daemon, and nobody notices

The manager keeps the daemon's sockets: the table belongs to one, and packets wait in the queues
meanwhile. The same is right when the daemon is killed.
"""

import contextlib
import re
import signal
import socket
import threading

import pytest

from daemon import CLIENT, SHARE, tables
from deadline import eventually
from lab import EXTERNAL
from manager import Manager
from traffic import Stream, Transfer, tcp_pair, udp_round_trip

CONFIG = SHARE + "[forward web]\nlisten = 8080/tcp+udp\nto = 10.0.0.2:80\n"
CONNECTIONS = 20  # by the share, and as many by the forward


@contextlib.contextmanager
def managed(lab, body=CONFIG, **options):
    service = Manager(lab, body, **options)
    try:
        yield service.start()
        service.stop()
    finally:
        service.abandon()


@pytest.fixture
def service(lab):
    with managed(lab) as started:
        yield started


@pytest.fixture(params=["restart", "crash"])
def begin_again(request):
    """Ends a daemon, one way or the other, and starts the next."""
    return lambda service: getattr(service, request.param)()


def test_no_connection_of_forty_is_lost(lab, service, begin_again):
    """Downloads through the share and uploads through the forward, to the last bit."""
    with contextlib.ExitStack() as stack:
        outside = stack.enter_context(lab.out.listen(80))
        inside = stack.enter_context(lab.lab1.listen(80))
        transfers = []
        for _ in range(CONNECTIONS):
            client, server, _ = stack.enter_context(tcp_pair(lab.lab2, lab.out.address, 80,
                                                             outside))
            transfers.append(Transfer(server, client))
            client, server, _ = stack.enter_context(tcp_pair(lab.out2, EXTERNAL, 8080, inside))
            transfers.append(Transfer(client, server))
        for _ in range(3):
            begin_again(service)
        for transfer in transfers:
            assert transfer.finish() > 0


def test_connections_that_are_idle_or_begin_meanwhile_are_not_lost(lab, service, begin_again):
    with lab.out.listen(80) as outside, lab.lab2.socket(socket.SOCK_STREAM) as early, \
            lab.lab2.socket(socket.SOCK_STREAM) as late:
        early.connect((lab.out.address, 80))
        server, _ = outside.accept()
        late.setblocking(False)
        service.end(signal.SIGKILL)
        late.connect_ex((lab.out.address, 80))  # its SYN waits in the queue
        early.sendall(b"hello")
        service.start()
        assert server.recv(10) == b"hello"
        begin_again(service)
        second, _ = outside.accept()
        second.close()
        server.close()


@pytest.mark.parametrize("offload", ["on", "off"])
def test_no_datagram_is_lost(lab, begin_again, offload):
    """In the queue they wait, and in the kernel's maps they need no daemon."""
    with managed(lab, CONFIG + f"[performance]\noffload = {offload}\n") as service, \
            lab.out.udp(7) as server, lab.lab1.udp() as client, lab.lab1.udp(80) as inside, \
            lab.out.udp() as outside:
        seen = udp_round_trip(client, server, lab.out.address)
        udp_round_trip(outside, inside, EXTERNAL, port=8080)
        streams = [
            Stream(client, server, (lab.out.address, 7)),
            Stream(server, client, seen),
            Stream(outside, inside, (EXTERNAL, 8080))
        ]
        for _ in range(3):
            begin_again(service)
        assert [stream.lost() for stream in streams] == [[], [], []]


def test_ping_every_ten_milliseconds_loses_nothing(lab, service, begin_again):
    ping = lab.lab1.start("ping", "-n", "-i", "0.01", "-c", "400", "-W", "3", lab.out.address)
    try:
        ping.until(lambda: "icmp_seq=20 " in ping.stdout(), "pings are answered")
        for _ in range(3):
            begin_again(service)
        assert ping.wait(30) == 0
        assert re.search(r"400 packets transmitted, 400 received", ping.stdout()), ping.stdout()
    finally:
        ping.stop()


def test_the_port_of_a_forward_is_never_refused_meanwhile(lab, service):
    """A RST from the gateway's own TCP would end connections of clients that try again."""
    answers, stop = [], threading.Event()

    def knock():
        while not stop.is_set():
            with lab.out.socket(socket.SOCK_STREAM) as client:
                client.settimeout(0.05)
                try:
                    client.connect((EXTERNAL, 8080))
                    answers.append("accepted")
                except TimeoutError:
                    pass  # it waits in the queue
                except OSError as error:
                    answers.append(error)

    with lab.lab1.listen(80):
        thread = threading.Thread(target=knock, daemon=True)
        thread.start()
        try:
            for _ in range(3):
                service.restart()
        finally:
            stop.set()
            thread.join()
    assert set(answers) == {"accepted"}


def waiting_clients(lab, service):
    """Connections that the control socket has not accepted yet."""
    [line] = [
        line for line in lab.gw.run("ss", "-Hxl").stdout.splitlines()
        if f"{service.socket} " in line
    ]
    return int(line.split()[2])


def test_a_client_that_comes_meanwhile_waits_for_its_answer(lab, service, begin_again):
    service.end(signal.SIGTERM)
    asking = lab.gw.start(CLIENT, "-s", service.socket, "status")
    eventually(lambda: waiting_clients(lab, service) == 1, "the client waits for the daemon")
    assert asking.running
    service.start()
    assert asking.wait() == 0, asking.stderr()
    assert "sessions" in asking.stdout()
    begin_again(service)
    assert service.status()["sessions"]["live"] == 0


def test_a_table_with_an_owner_is_kept_as_it_is(lab, service, begin_again):

    def handles():
        listing = lab.gw.run("nft", "-a", "list", "table", "ip", "portreeve").stdout
        return re.findall(r"(?:chain|set) \w+ \{ # handle \d+", listing)

    before = handles()
    begin_again(service)
    assert handles() == before
    assert lab.gw.run("nft", "delete table ip portreeve", check=False).returncode != 0


def test_when_the_service_is_stopped_the_kernel_cleans_up(lab):
    with managed(lab) as service:
        service.end()
        assert tables(lab), "it may be a restart"
        with service.out_of_charge():
            service.close_store()
            eventually(lambda: not tables(lab), "the kernel has removed the table")
            done = service.client("status", check=False)
            assert done.returncode == 3
            service.start()
        assert service.status()["sessions"]["live"] == 0


NEWCOMERS = (32768, 32769)  # how far the queues of newcomers are from the first one


def queue_names(service):
    return [name for name in service.names() if name.startswith("queue-")]


def test_another_number_of_workers(lab, service):
    workers = CONFIG + "[performance]\nworkers = {}\n"
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        for count in (2, 4, 1, 2):
            service.write(workers.format(count))
            service.restart()
            assert queue_names(service) == [
                f"queue-{number}" for number in (*range(count), *NEWCOMERS)
            ]
            assert udp_round_trip(client, server, lab.out.address) == seen
            with lab.lab2.udp() as other:
                udp_round_trip(other, server, lab.out.address)


@pytest.mark.parametrize("first", [10, 1, 16384, 16383, 32766, 32767, 32768, 32766, 0])
def test_other_numbers_of_the_queues(lab, service, first):
    """Also those that were for UDP before."""
    service.write(CONFIG + f"[performance]\nqueue = {first}\nworkers = 2\n")
    service.restart()
    numbers = (first, first + 1, *((first + distance) % 65536 for distance in NEWCOMERS))
    assert queue_names(service) == sorted(f"queue-{number}" for number in numbers)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)


def test_restarts_do_not_fill_the_store(lab, service, begin_again):
    before = service.names()
    assert before == [
        "control", "namespace-lock", "queue-0", "queue-1", "queue-32768", "queue-32769", "rules"
    ]
    for _ in range(3):
        begin_again(service)
    assert service.names() == before


def test_a_start_that_fails_leaves_everything_for_the_next(lab, service):
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        seen = udp_round_trip(client, server, lab.out.address)
        service.write(CONFIG + "[performance]\nworkers = many\n")
        service.end()
        service.launch()
        assert service.process.wait() == 1
        service.collect_log()
        client.sendto(b"wait", (lab.out.address, 7))
        service.write(CONFIG)
        service.start()
        assert server.recvfrom(10) == (b"wait", seen)


def test_another_path_of_the_control_socket(lab, service):
    service.end()
    service.socket = service.directory / "other.sock"
    service.write(CONFIG)
    service.start()
    assert service.status()["sessions"]["live"] == 0
    assert service.names().count("control") == 1


def test_a_removed_control_socket_is_made_again(lab, service):
    service.end()
    service.socket.unlink()
    service.start()
    assert service.status()["sessions"]["live"] == 0
    assert service.names().count("control") == 1


def test_descriptors_that_are_not_what_their_names_say_are_no_obstacle(lab):
    """The store is of the service manager, and still it is looked at what comes from there."""
    service = Manager(lab, CONFIG)
    wrong = [("rules", socket.AF_INET), ("queue-0", socket.AF_UNIX), ("queue-1", socket.AF_NETLINK),
             ("control", socket.AF_UNIX), ("namespace-lock", socket.AF_INET),
             ("unheard-of", socket.AF_INET)]
    for name, family in wrong:
        with lab.gw.socket(socket.SOCK_DGRAM, 0, family) as one:
            service.store.append((name, one.detach()))
    try:
        service.start()
        with lab.out.udp(7) as server, lab.lab1.udp() as client:
            udp_round_trip(client, server, lab.out.address)
        service.restart()
        assert service.names() == [
            "control", "namespace-lock", "queue-0", "queue-1", "queue-32768", "queue-32769", "rules"
        ]
        service.stop()
    finally:
        service.abandon()


def test_without_room_in_the_store_a_stop_is_a_stop(lab):
    """FileDescriptorStoreMax=0, or a manager that knows of no store."""
    with managed(lab, store_max=0) as service:
        assert service.names() == []
        with service.out_of_charge():
            service.end()
            eventually(lambda: not tables(lab), "the daemon has removed the table")
            service.start()
