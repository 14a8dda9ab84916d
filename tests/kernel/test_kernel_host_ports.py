"""The gateway's own ports: src/netfilter/host_ports*.c."""

import socket

import pytest

SYSCTL = "ipv4/ip_local_reserved_ports"
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


def sockets(lab):
    lines = lab.drive("ports", "in-use")
    assert lines[-1]["code"] == 0, lines[-1]
    return lines[:-1]


def in_use(lab):
    return {(line["protocol"], line["port"]) for line in sockets(lab)}


def v6_socket(lab, kind, address, port, only=False):
    with lab.gw.entered():
        opened = socket.socket(socket.AF_INET6, kind)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
        opened.bind((address, port))
        if kind == STREAM:
            opened.listen()
    return opened


def test_ipv4_sockets(lab):
    held = [
        lab.gw.socket(STREAM, ("0.0.0.0", 1001), listen=True),
        lab.gw.socket(STREAM, ("192.0.2.1", 1002), listen=True),
        lab.gw.socket(DATAGRAM, ("0.0.0.0", 1003)),
        lab.gw.socket(DATAGRAM, ("192.0.2.1", 1004)),
        lab.gw.socket(STREAM, ("127.0.0.1", 1005), listen=True),
        lab.gw.socket(DATAGRAM, ("127.0.0.53", 1006)),
    ]
    assert in_use(lab) == {("tcp", 1001), ("tcp", 1002), ("udp", 1003), ("udp", 1004)}
    assert held


def test_a_socket_that_is_bound_and_does_nothing(lab):
    """Listed since Linux 6.8."""
    held = lab.gw.socket(STREAM, ("192.0.2.1", 1007))
    assert in_use(lab) == {("tcp", 1007)}
    held.close()


def test_connected_sockets(lab):
    listener = lab.outside.socket(STREAM, ("192.0.2.2", 80), listen=True)
    client = lab.gw.socket(STREAM, ("192.0.2.1", 40001))
    client.connect(("192.0.2.2", 80))
    datagram = lab.gw.socket(DATAGRAM, ("0.0.0.0", 40002))
    datagram.connect(("192.0.2.2", 53))
    assert in_use(lab) == {("tcp", 40001), ("udp", 40002)}
    listener.close()


def test_ipv6_sockets_that_take_ipv4(lab):
    held = [
        v6_socket(lab, STREAM, "::", 1101),
        v6_socket(lab, DATAGRAM, "::", 1102),
        v6_socket(lab, STREAM, "::ffff:192.0.2.1", 1103),
        v6_socket(lab, STREAM, "::", 1104, only=True),
        v6_socket(lab, DATAGRAM, "::", 1105, only=True),
        v6_socket(lab, STREAM, "::1", 1106),
        v6_socket(lab, DATAGRAM, "::ffff:127.0.0.1", 1107),
    ]
    assert in_use(lab) == {("tcp", 1101), ("udp", 1102), ("tcp", 1103)}
    assert held


def test_what_a_socket_takes(lab):
    listener = lab.outside.socket(STREAM, ("192.0.2.2", 80), listen=True)
    client = lab.gw.socket(STREAM, ("0.0.0.0", 1201))
    client.connect(("192.0.2.2", 80))
    datagram = lab.gw.socket(DATAGRAM, ("0.0.0.0", 1202))
    datagram.connect(("192.0.2.2", 53))
    held = [
        lab.gw.socket(STREAM, ("0.0.0.0", 1203), listen=True),
        lab.gw.socket(DATAGRAM, ("192.0.2.1", 1204)),
        v6_socket(lab, STREAM, "::", 1205),
        v6_socket(lab, DATAGRAM, "::ffff:192.0.2.1", 1206),
    ]
    found = {one["port"]: (one["connected"], one["address"]) for one in sockets(lab)}
    assert found == {
        1201: (True, "192.0.2.1"),
        1202: (True, "192.0.2.1"),
        1203: (False, "any"),
        1204: (False, "192.0.2.1"),
        1205: (False, "any"),
        1206: (False, "192.0.2.1"),
    }
    assert all(one["inode"] > 0 for one in sockets(lab))
    assert held
    listener.close()


def reserve(lab, ranges, *more):
    lines = lab.drive("ports", "reserve", f"ranges={ranges}", *more)
    return [(line["first"], line["last"]) for line in lines[:-1]], lines[-1]


def release(lab, added):
    words = ",".join(f"{first}-{last}" for first, last in added)
    assert lab.drive("ports", "release", f"ranges={words}")[-1]["code"] == 0


def test_reserving_keeps_what_is_there(lab):
    lab.gw.sysctl(SYSCTL, "8080,9148-9152")
    added, said = reserve(lab, "49152-65535,9150-9160")
    assert said["code"] == 2
    assert added == [(9153, 9160), (49152, 65535)]
    assert lab.gw.sysctl(SYSCTL) == "8080,9148-9160,49152-65535"
    release(lab, added)
    assert lab.gw.sysctl(SYSCTL) == "8080,9148-9152"


def test_reserving_on_an_empty_list_and_leaving_it_empty(lab):
    added, _ = reserve(lab, "0-65535")
    assert added == [(0, 65535)]
    assert lab.gw.sysctl(SYSCTL) == "0-65535"
    release(lab, added)
    assert lab.gw.sysctl(SYSCTL) == ""


def test_reserving_what_is_reserved_adds_nothing(lab):
    lab.gw.sysctl(SYSCTL, "49152-65535")
    added, said = reserve(lab, "50000-50010")
    assert (added, said["code"]) == ([], 0)
    release(lab, added)
    assert lab.gw.sysctl(SYSCTL) == "49152-65535"


@pytest.mark.parametrize("step", [2, 3])
def test_lists_of_many_pages(lab, step):
    """The kernel takes a page per write; ranges of five digits must not be cut at its end."""
    before = list(range(1, 20001, step))
    lab.gw.sysctl(SYSCTL, ",".join(str(port) for port in before[:500]))
    kept = lab.gw.sysctl(SYSCTL)
    wanted = list(range(20001, 60001, step))
    added, said = reserve(lab, ",".join(str(port) for port in wanted), f"max={len(wanted)}")
    assert said["code"] == len(wanted)
    assert lab.gw.sysctl(SYSCTL) == kept + "," + ",".join(str(port) for port in wanted)
    for start in range(0, len(added), 5000):
        release(lab, added[start:start + 5000])
    assert lab.gw.sysctl(SYSCTL) == kept


def test_no_room_for_the_answer_changes_nothing(lab):
    lab.gw.sysctl(SYSCTL, "8080")
    _, said = reserve(lab, "1,3,5", "max=2")
    assert said["code"] == -7
    assert lab.gw.sysctl(SYSCTL) == "8080"


def test_the_kernel_does_not_choose_reserved_ports(lab):
    lab.gw.sysctl("ipv4/ip_local_port_range", "50000 50009")
    added, _ = reserve(lab, "50001-50009")
    opened = lab.gw.socket(DATAGRAM, ("0.0.0.0", 0))
    assert opened.getsockname()[1] == 50000
    release(lab, added)


def test_a_new_list_replaces_our_former_one_and_keeps_what_others_reserved(lab):
    lab.gw.sysctl(SYSCTL, "8080")
    former, _ = reserve(lab, "20000-29999")
    lab.gw.sysctl(SYSCTL, "8080,20000-29999,30000")  # another program adds a port
    words = ",".join(f"{first}-{last}" for first, last in former)
    added, _ = reserve(lab, "25000-30000", f"former={words}")
    assert added == [(25000, 29999)]
    assert lab.gw.sysctl(SYSCTL) == "8080,25000-30000"
    release(lab, added)
    assert lab.gw.sysctl(SYSCTL) == "8080,30000"


def room(lab, *words):
    lines = lab.drive("ports", "room", *words)
    assert lines[-1]["code"] == 0, lines[-1]
    return lines[0]


def test_the_room_that_is_left_for_the_hosts_own_connections(lab):
    lab.gw.sysctl("ipv4/ip_local_port_range", "40000 49999")
    lab.gw.sysctl(SYSCTL, "39000-40999,45000-45099")
    assert room(lab, "ranges=45050-50999") == {
        "first": 40000,
        "last": 49999,
        "without_us": 8900,
        "with_us": 4000
    }
    assert room(lab, "ranges=1-39999") == room(lab, "ranges=50000-65535")
    ours = room(lab, "ranges=46000-46999", "former=45000-45099")
    assert (ours["without_us"], ours["with_us"]) == (9000, 8000)
    assert lab.gw.sysctl(SYSCTL) == "39000-40999,45000-45099"
