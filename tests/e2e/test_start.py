"""Starting, or a clear sentence why not; checking a configuration"""

import re
import shutil
import socket
import struct

import pytest

import process
from daemon import DAEMON, SHARE, Daemon, tables
from deadline import eventually
from lab import EXTERNAL
from traffic import udp_round_trip

FORWARD = SHARE + "[forward web]\nlisten = 8080/tcp\nto = 10.0.0.2:80\n"


@pytest.fixture
def refused(lab):
    """Starts a daemon that must not start: its words on stderr, after checking that nothing is left
    of it.
    """
    made = []

    def start(body=SHARE, wrapper=(), external="wan0", prepare=lambda daemon: None, others=0):
        reserved = lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports")
        daemon = Daemon(lab, body, external)
        made.append(daemon)
        prepare(daemon)
        code = daemon.launch(wrapper=wrapper).wait()
        words = daemon.process.stderr()
        assert code == 1, words
        assert len(words.strip().splitlines()[-1]) > 20, "a sentence on stderr"
        assert len(tables(lab)) == others
        assert not daemon.socket.exists()
        assert lab.gw.read_sysctl("net.ipv4.ip_local_reserved_ports") == reserved
        return words

    yield start
    for daemon in made:
        daemon.abandon()


def test_without_the_capability(refused):
    words = refused(wrapper=["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"])
    assert re.search(r"CAP_NET_ADMIN|root|permi", words), words


def test_as_an_ordinary_user(refused):

    def prepare(daemon):
        shutil.copy(DAEMON, daemon.directory / "portreeved")
        (daemon.directory / "portreeved").chmod(0o755)
        daemon.directory.chmod(0o777)
        daemon.command = lambda *arguments: [
            daemon.directory / "portreeved", "-c", daemon.config, *arguments
        ]

    words = refused(wrapper=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                    prepare=prepare)
    assert re.search(r"CAP_NET_ADMIN|root|permi", words, re.IGNORECASE), words


def bind_queue(lab, number):
    """What any other program does that takes packets from this queue (libnetfilter_queue's
    nfq_create_queue).
    """
    holder = lab.gw.socket(socket.SOCK_RAW, 12, socket.AF_NETLINK)  # NETLINK_NETFILTER
    holder.bind((0, 0))
    command = struct.pack("=BBH", 1, 0, 0)  # NFQNL_CFG_CMD_BIND
    body = struct.pack("=BBH", 0, 0, socket.htons(number)) + struct.pack(
        "=HH", 4 + len(command), 1) + command
    kind = 3 << 8 | 2  # NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG
    holder.send(struct.pack("=IHHII", 16 + len(body), kind, 1 | 4, 1, 0) + body)  # REQUEST | ACK
    answer = holder.recv(4096)
    assert struct.unpack_from("=i", answer, 16)[0] == 0
    return holder


def test_a_queue_that_another_program_holds(lab, refused):
    with bind_queue(lab, 7):
        words = refused(SHARE + "[performance]\nqueue = 7\n")
    assert "7" in words
    assert "queue" in words


def test_the_second_of_several_queues_is_held(lab, refused):
    with bind_queue(lab, 8):
        refused(SHARE + "[performance]\nqueue = 7\nworkers = 2\n")


def test_a_second_daemon_on_the_same_socket(lab, start_daemon):
    first = start_daemon(FORWARD)
    second = process.run([DAEMON, "-c", first.config], lab.gw.namespace, check=False)
    assert second.returncode == 1
    assert str(first.socket) in second.stderr
    still_works(lab, first)


def test_a_second_daemon_on_the_same_queues(lab, start_daemon, refused):
    first = start_daemon(FORWARD)
    assert "another portreeved" in refused(FORWARD, others=1)
    still_works(lab, first)


def test_a_second_daemon_with_other_queues_and_the_lock_among_them(lab, start_daemon, refused):
    first = start_daemon(FORWARD)
    words = refused(FORWARD + "[performance]\nqueue = 65534\nworkers = 2\n", others=1)
    assert "queue 65535" in words
    still_works(lab, first)


def test_the_highest_queues_are_still_there_to_be_used(lab, start_daemon):
    still_works(lab, start_daemon(FORWARD + "[performance]\nqueue = 65534\nworkers = 2\n"))


def test_a_local_user_cannot_keep_the_daemon_from_starting(lab, start_daemon):
    """Names of abstract sockets and netlink port ids are anyone's to take."""
    with lab.gw.socket(family=socket.AF_UNIX) as squatter:
        squatter.bind("\0portreeved")
        still_works(lab, start_daemon(FORWARD))


def test_the_lock_needs_a_privilege(lab, start_daemon):
    """What an ordinary user may do with the queue that is the lock: nothing."""
    words = lab.gw.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                       "--inh-caps=-all", "/usr/bin/python3", "-c", BIND_LOCK, check=False)
    assert "EPERM" in words.stdout, words.stdout + words.stderr
    still_works(lab, start_daemon(FORWARD))


BIND_LOCK = """
import errno, socket, struct
held = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
held.bind((0, 0))
body = struct.pack("=BBH", 0, 0, socket.htons(65535)) + struct.pack("=HHBBH", 8, 1, 1, 0, 0)
held.send(struct.pack("=IHHII", 16 + len(body), 3 << 8 | 2, 5, 1, 0) + body)
print(errno.errorcode.get(-struct.unpack_from("=i", held.recv(4096), 16)[0], "bound"))
"""


def still_works(lab, daemon):
    assert daemon.client("status").returncode == 0
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)


def test_a_socket_that_nobody_listens_on_is_replaced(lab, start_daemon):
    daemon = start_daemon(SHARE)
    daemon.kill()
    assert daemon.socket.is_socket()
    daemon.start()
    assert daemon.client("status").returncode == 0


def test_a_group_that_does_not_exist(refused):
    assert "no-such-group" in refused(SHARE + "[control]\ngroup = no-such-group\n")


def starts_with(daemon, descriptors):
    """Whether it says that it is ready; if not, it has ended."""
    launched = daemon.launch(wrapper=["prlimit", f"--nofile={descriptors}"])
    eventually(lambda: not launched.running or "is ready" in launched.stderr(), "a start or an end",
               10)
    return launched.running


def test_too_few_descriptors_are_blamed_on_nothing_else(lab):
    """Wherever the start stops: it is no error that the default group is missing."""
    daemon, limit, errors = Daemon(lab, SHARE), 6, []
    try:
        while not starts_with(daemon, limit):
            words = daemon.process.stderr()
            # A sanitizer that finds no descriptor either has words of its own.
            error = [line for line in words.splitlines()
                     if line.startswith("portreeved: error:")][-1]
            assert "Too many open files" in error, words
            assert "does not exist" not in error and "no group" not in error, words
            assert not tables(lab)
            errors.append(error)
            limit += 1
        daemon.stop(answers=False)  # no descriptor is left for a client
    finally:
        daemon.abandon()
    assert limit > 18
    assert any("queue 0: cannot open a netlink socket" in error for error in errors), errors


@pytest.mark.parametrize("what, section, key", [("state", "[state]", "directory"),
                                                ("control socket", "[control]", "socket")])
def test_a_path_that_the_unit_does_not_allow(lab, refused, what, section, key):
    """ProtectSystem=strict makes everything read-only but what the unit lists."""
    def prepare(daemon):
        text = daemon.config.read_text().splitlines()
        text[text.index(section) + 1] = f"{key} = {daemon.directory}/closed/below"
        daemon.config.write_text("\n".join(text) + "\n")
        closed = daemon.directory / "closed"
        closed.mkdir()
        daemon.command = lambda *arguments: [
            "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"',
            "sh", closed, DAEMON, "-c", daemon.config, *arguments
        ]

    words = refused(prepare=prepare)
    assert "Read-only file system" in words and "closed" in words, f"{what}: {words}"
    assert "OTHER PATHS UNDER SYSTEMD" in words


def test_a_file_where_the_socket_should_be_is_left_alone(lab):
    daemon = Daemon(lab, SHARE)
    daemon.socket.write_text("precious")
    assert daemon.launch().wait() == 1
    assert str(daemon.socket) in daemon.process.stderr()
    assert daemon.socket.read_text() == "precious"
    assert not tables(lab)


def test_a_configuration_that_is_not_there(refused):
    words = refused(prepare=lambda daemon: daemon.config.unlink())
    assert "portreeve.conf" in words


def test_a_configuration_with_errors(refused):
    words = refused(SHARE + "[forward x]\nlisten = 1/sctp\nto = 10.0.0.2\n")
    assert "1/sctp" in words
    assert "10.0.0.2" in words


def log_of(lab, level):
    """What a daemon with this log level says from its start over a reload to its end."""
    daemon = Daemon(lab, FORWARD)
    try:
        daemon.LOG_LEVEL = level
        daemon.write(FORWARD)
        daemon.start()
        daemon.reload(FORWARD.replace("8080/tcp", "8081/udp"))
        daemon.stop()
    finally:
        daemon.abandon()
    return daemon.log


def test_level_debug_shows_what_is_in_effect_and_what_was_decided(lab):
    log = log_of(lab, "debug")
    for words in ("share 'lab': source 10.0.0.0/24, free ports in the pool: tcp 10000",
                  "forward 'web' (configuration): listen 8080-8080/tcp, to 10.0.0.2:80, allow any",
                  "forward 'web' (configuration): listen 8081-8081/udp, to 10.0.0.2:80, allow any",
                  f"address {EXTERNAL} on wan0: used as an external address",
                  "rules installed: external addresses 1, sources 1, targets 1",
                  "rules updated: external addresses 1, sources 1, targets 1",
                  "reserved ports: ranges of pools and forwards 2", "worker threads started: 2",
                  "signal Terminated received"):
        assert f"portreeved: debug: {words}" in log, log


def test_level_info_shows_no_details(lab):
    log = log_of(lab, "info")
    assert "portreeved: info: rules installed" in log
    assert "debug" not in log


# What an admin may get wrong, each with what the message must name. The line is where "@" stands.
BROKEN = """
[gateway]
external = wan0

[share lab]
source = 10.0.0.0/24
@colour = red
@ports = 50000-40000
@filtering = sometimes

@[sharing lab2]
source = 10.1.0.0/24

[forward one]
listen = 8000-8099/tcp
to = 10.0.0.9:8000

[forward two]
@listen = 8050/tcp
to = 10.0.0.8:80

[forward three]
@listen = 70000/tcp
@to = server.example:80

[forward four]
@listen = 90/sctp
@to = 10.0.0.7
@allow = 198.51.100.300

@[forward five]
listen = 91/tcp

[forward six]
listen = no-such-service/tcp
to = 10.0.0.6:80
@to = 10.0.0.7:80

[timeouts]
@udp = 5
@icmp = 0s

[limits]
@sessions = many
"""


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.conf"
    path.write_text(BROKEN.replace("@", ""))
    return path


def test_all_errors_are_reported_with_file_and_line(broken):
    done = process.run([DAEMON, "-t", "-c", broken], check=False)
    assert done.returncode == 1
    reported = {
        int(number)
        for number in re.findall(rf"{re.escape(str(broken))}:(\d+):", done.stderr)
    }
    wanted = {number for number, line in enumerate(BROKEN.split("\n"), 1) if line.startswith("@")}
    assert wanted <= reported, f"not reported: {sorted(wanted - reported)}\n{done.stderr}"
    for value in ("colour", "50000-40000", "sometimes", "sharing", "8050", "70000",
                  "server.example", "sctp", "198.51.100.300", "no-such-service", "many"):
        assert value in done.stderr, value


def test_an_over_long_line_is_an_error_not_cut_in_silence(tmp_path):
    path = tmp_path / "long.conf"
    path.write_text(
        f"[gateway]\nexternal = wan0\n{SHARE}[forward x]\nlisten = 1/tcp\nto = 10.0.0.2:1\n"
        f"allow = {', '.join(f'198.51.100.{n}' for n in range(120))}\n")
    done = process.run([DAEMON, "-t", "-c", path], check=False)
    assert done.returncode == 1
    assert f"{path}:10:" in done.stderr


def test_a_good_configuration_is_fine(tmp_path):
    path = tmp_path / "good.conf"
    path.write_text(f"[gateway]\nexternal = wan0\n{FORWARD}")
    assert process.run([DAEMON, "-t", "-c", path]).returncode == 0


def test_checking_needs_no_privilege(lab):
    daemon = Daemon(lab, FORWARD)
    shutil.copy(DAEMON, daemon.directory / "portreeved")
    (daemon.directory / "portreeved").chmod(0o755)
    process.run([
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        daemon.directory / "portreeved", "-t", "-c", daemon.config
    ])


def test_checking_does_not_touch_a_running_daemon(lab, start_daemon):
    daemon = start_daemon(FORWARD)
    process.run([DAEMON, "-t", "-c", daemon.config], lab.gw.namespace)
    still_works(lab, daemon)


@pytest.mark.parametrize("words", [["--nonsense"], ["-c"], ["extra"]])
def test_wrong_usage_is_exit_2(words):
    done = process.run([DAEMON, *words], check=False)
    assert done.returncode == 2
    assert "portreeved" in done.stderr


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_a_person_who_asks_gets_an_answer(word):
    assert "portreeved" in process.run([DAEMON, word]).stdout


def test_debug_goes_to_stderr_whatever_the_configuration_says(lab, start_daemon):
    daemon = start_daemon(FORWARD.replace("[share", "[log]\n[share"), "-d")
    assert daemon.log_so_far()


def test_the_log_has_no_line_per_packet(lab, start_daemon):
    daemon = start_daemon(SHARE)
    with lab.out.udp(7) as server, lab.lab1.udp() as client:
        udp_round_trip(client, server, lab.out.address)
        before = daemon.log_so_far().count("\n")
        for _ in range(500):
            udp_round_trip(client, server, lab.out.address)
    assert daemon.log_so_far().count("\n") - before < 20


def test_every_rule_is_in_one_table(lab, start_daemon):
    start_daemon(FORWARD)
    assert tables(lab) == ["table ip portreeve"]
    chains = lab.gw.run("nft", "list", "chains").stdout
    assert chains.count("hook prerouting priority raw") >= 1
    assert EXTERNAL in lab.gw.run("nft", "list", "table", "ip", "portreeve", check=False).stdout
