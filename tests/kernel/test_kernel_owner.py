"""Whose the table is: what other programs can do to it, and what becomes of it with its socket."""

import pytest

from kernel_lab import Driver, wait_until

CONTENTS = ("interface=wan0", "external=192.0.2.1", "sources=10.0.0.0/24", "tcp=1000-2000")


@pytest.fixture
def hold(lab):
    """Installs a table of this life and keeps its socket open. Skips what the kernel cannot do."""

    def start(life):
        driver = Driver(lab.gw, "ruleset-held", f"life={life}", *CONTENTS)
        protection = driver.line()["protection"]
        if protection == "watched" and life != "shared":
            driver.stop()
            pytest.skip(f"this kernel has no tables with owners that live as asked ({life})")
        return driver

    return start


def is_there(lab):
    return "table ip portreeve" in lab.gw.run("nft", "list", "tables").stdout


def handle(lab):
    return lab.listing()["table"][0]["handle"]


@pytest.mark.parametrize("life", ["ends", "outlives"])
@pytest.mark.parametrize("change", [
    "delete table ip portreeve",
    "flush table ip portreeve",
    "flush set ip portreeve sources",
    "add element ip portreeve external { 192.0.2.9 }",
    "insert rule ip portreeve outbound accept",
    "add table ip portreeve { flags dormant; }",
])
def test_other_programs_cannot_change_a_table_that_has_an_owner(lab, hold, life, change):
    hold(life)
    before = lab.listing()
    refused = lab.gw.run("nft", change, check=False)
    assert refused.returncode != 0
    assert "not permitted" in refused.stderr
    assert lab.listing() == before


@pytest.mark.parametrize("life", ["ends", "outlives"])
def test_a_flush_of_the_whole_ruleset_passes_a_table_by_that_has_an_owner(lab, hold, life):
    hold(life)
    lab.gw.nft("add table inet mine")
    before = lab.listing()
    lab.gw.run("nft", "flush", "ruleset")
    assert lab.listing() == before
    assert "inet mine" not in lab.gw.run("nft", "list", "tables").stdout


def test_a_table_that_ends_with_its_socket_is_removed_by_the_kernel(lab, hold):
    driver = hold("ends")
    assert is_there(lab)
    driver.stop()
    wait_until(lambda: not is_there(lab), "the table is gone")


def test_a_table_that_outlives_its_socket_gets_a_new_owner_as_it_is(lab, hold):
    hold("outlives").stop()
    before = handle(lab)
    hold("outlives")
    assert handle(lab) == before
    assert lab.gw.run("nft", "delete", "table", "ip", "portreeve", check=False).returncode != 0


def test_between_two_owners_anyone_may_remove_the_table(lab, hold):
    hold("outlives").stop()
    wait_until(
        lambda: lab.gw.run("nft", "delete", "table", "ip", "portreeve", check=False).returncode ==
        0, "the table can be removed")
    hold("outlives")
    assert is_there(lab)


@pytest.mark.parametrize("former", ["shared", "outlives", "ends"])
@pytest.mark.parametrize("life", ["shared", "outlives", "ends"])
def test_a_table_of_one_life_can_follow_one_of_another(lab, hold, former, life):
    hold(former).stop()
    hold(life)
    assert lab.set_elements("external") == ["192.0.2.1"]
    assert len(lab.listing()["rule"]) > 10


def test_the_table_of_another_live_owner_is_a_clear_error(lab, hold):
    hold("ends")
    before = lab.listing()
    for verb in ("install", "update", "remove"):
        said = lab.drive("ruleset", verb, *CONTENTS)[-1]
        assert said["code"] == -1
        assert "belongs to another program" in said["error"], said["error"]
        assert "stop that service" in said["error"]
    assert lab.listing() == before


@pytest.mark.parametrize("change", [
    ["flush ruleset"],
    ["delete table ip portreeve"],
    ["flush chain ip portreeve outbound"],
    ["flush set ip portreeve sources"],
    ["add element ip portreeve external { 192.0.2.9 }"],
    ["delete element ip portreeve external { 192.0.2.1 }"],
    ["insert rule ip portreeve outbound accept"],
    ["add table ip portreeve { flags dormant; }"],
])
def test_every_change_of_a_table_without_an_owner_is_noticed(lab, hold, change):
    driver = hold("shared")
    lab.gw.run("nft", *change)
    assert driver.line() == {"changed": True}


def test_an_exchanged_rule_is_noticed(lab, hold):
    """The number of rules stays the same."""
    driver = hold("shared")
    [rule] = [
        one for one in lab.listing()["rule"]
        if one["chain"] == "outbound" and "from the source of a share" in one["comment"]
    ]
    lab.gw.nft(f"replace rule ip portreeve outbound handle {rule['handle']} accept")
    assert driver.line() == {"changed": True}


def test_our_own_changes_and_those_of_other_tables_are_no_news(lab, hold):
    driver = hold("shared")
    lab.gw.nft("add table ip mine\nadd table inet portreeve\n"
               "add chain ip mine outbound\nadd rule ip mine outbound accept")
    driver.release()
    told = [driver.line() for _ in range(2)]
    assert {"updated": 0} in told and {"changed": True} not in told
    lab.gw.nft("delete element ip portreeve external { 192.0.2.1 }")
    while (line := driver.line()) == {"changed": False}:
        pass
    assert line == {"changed": True}
