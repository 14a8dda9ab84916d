"""Nothing is lost when another tool flushes the rules

Where the kernel knows tables with owners, nobody else can change ours. Elsewhere a change is
noticed at once and undone: the environment variable PORTREEVE_SHARED_TABLE makes a new kernel
behave as an old one.
"""

import pytest

from daemon import OFFLOAD, SHARE, Daemon, elements, tables
from deadline import eventually
from lab import EXTERNAL
from traffic import Transfer, tcp_pair, udp_round_trip

CONFIG = SHARE + "[forward web]\nlisten = 8080/tcp+udp\nto = 10.0.0.2:80\n"


def owned(daemon):
    return "the table is owned" in daemon.log_so_far()


@pytest.fixture
def owner(start_daemon):
    daemon = start_daemon(CONFIG)
    if not owned(daemon):
        pytest.skip("this kernel has no tables that have an owner and persist")
    return daemon


@pytest.fixture
def shared(lab):
    """A daemon whose table has no owner."""
    daemon = Daemon(lab, CONFIG)
    daemon.environment["PORTREEVE_SHARED_TABLE"] = "1"
    daemon.start()
    try:
        assert "the table is watched" in daemon.log_so_far()
        yield daemon
        daemon.stop()
    finally:
        daemon.abandon()


def test_another_tools_flush_of_the_whole_ruleset_costs_no_packet(lab, owner):
    """As every reload of nftables.service does it."""
    with lab.out.listen(80) as outside, lab.lab1.listen(80) as inside, lab.out.udp(7) as echo, \
            lab.lab2.udp() as asker, \
            tcp_pair(lab.lab2, lab.out.address, 80, outside) as (client1, server1, _), \
            tcp_pair(lab.out2, EXTERNAL, 8080, inside) as (client2, server2, _):
        seen = udp_round_trip(asker, echo, lab.out.address)
        transfers = [Transfer(client1, server1), Transfer(server2, client2)]
        for _ in range(20):
            lab.gw.run("nft", "flush", "ruleset")
            assert udp_round_trip(asker, echo, lab.out.address) == seen
        for transfer in transfers:
            assert transfer.finish() > 0
    assert len(tables(lab)) == 1
    assert owner.status()["warnings"] == []


@pytest.mark.parametrize("command", ["delete table ip portreeve", "flush set ip portreeve sources"])
def test_no_other_program_can_change_the_rules(lab, owner, command):
    refused = lab.gw.run("nft", command, check=False)
    assert refused.returncode != 0
    assert "not permitted" in refused.stderr
    with lab.out.udp(7) as echo, lab.lab1.udp() as asker:
        udp_round_trip(asker, echo, lab.out.address)


def test_the_next_daemon_takes_over_the_table_of_one_that_was_killed(lab, owner):
    owner.kill()
    before = lab.gw.run("nft", "-a", "list", "tables").stdout
    owner.start()
    assert lab.gw.run("nft", "-a", "list", "tables").stdout == before
    assert lab.gw.run("nft", "delete table ip portreeve", check=False).returncode != 0


def undo(lab, daemon, *change):
    """Another program makes this change, and the daemon undoes it."""

    def undone():
        return any("rules 1 times" in warning for warning in daemon.status()["warnings"])

    with daemon.out_of_charge():
        lab.gw.run("nft", *change)
        eventually(undone, "the change is undone")


@pytest.mark.parametrize("change", [
    "flush ruleset",
    "delete table ip portreeve",
    "flush set ip portreeve sources",
    "delete element ip portreeve external { 203.0.113.5 }",
    "insert rule ip portreeve inbound accept",
    "add table ip portreeve { flags dormant; }",
])
def test_where_the_table_has_no_owner_a_change_is_undone_at_once(lab, shared, change):
    with lab.lab1.udp(80) as server, lab.out.udp() as client, lab.out.udp(7) as echo, \
            lab.lab2.udp() as asker:
        udp_round_trip(client, server, EXTERNAL, port=8080)
        seen = udp_round_trip(asker, echo, lab.out.address)
        undo(lab, shared, change)
        udp_round_trip(client, server, EXTERNAL, port=8080)
        assert udp_round_trip(asker, echo, lab.out.address) == seen


def test_an_exchanged_rule_is_put_back(lab, shared):
    """Counting the rules would not tell."""
    listing = lab.gw.run("nft", "-a", "list", "chain", "ip", "portreeve", "outbound").stdout
    [line] = [one for one in listing.splitlines() if "from the source of a share" in one]
    handle = line.split("handle ")[1]
    undo(lab, shared, f"replace rule ip portreeve outbound handle {handle} accept")
    with lab.out.udp(7) as echo, lab.lab1.udp() as asker:
        assert udp_round_trip(asker, echo, lab.out.address)[0] == EXTERNAL


@pytest.mark.skipif(OFFLOAD == "off", reason="this run is about the queue alone")
def test_maps_that_somebody_flushes_are_filled_again(lab, shared):
    with lab.lab1.udp(80) as server, lab.out.udp() as client:
        udp_round_trip(client, server, EXTERNAL, port=8080)
        shared.until_offloaded("forward=web")
        undo(lab, shared, "flush", "map", "ip", "portreeve", "offload_out")

        def is_back():
            udp_round_trip(client, server, EXTERNAL, port=8080)
            return shared.session("forward=web")["offloaded"] and elements(lab) == 2

        eventually(is_back, "the session is in the kernel's maps again")


def test_changes_of_other_tables_and_of_our_own_are_no_reason_to_repair(lab, shared):
    lab.gw.nft("table ip mine { chain outbound { type filter hook output priority 0;\n}\n}\n")
    try:
        with lab.out.udp(7) as echo, lab.lab1.udp() as asker:
            for _ in range(5):
                udp_round_trip(asker, echo, lab.out.address)
        shared.until_offloaded("udp")
        shared.reload(CONFIG + "[forward more]\nlisten = 8081/tcp\nto = 10.0.0.2:81\n")
        assert shared.status()["warnings"] == []
    finally:
        lab.gw.nft("delete table ip mine")
