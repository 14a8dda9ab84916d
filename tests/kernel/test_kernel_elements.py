"""What src/netfilter/ruleset_elements.c changes in a set: only what is not as it shall be."""

import itertools
import random
import subprocess

import pytest

from kernel_lab import wait_until

CONTENTS = {
    "external": "192.0.2.1,192.0.2.9",
    "sources": "10.0.0.0/24,10.1.0.0/16",
    "targets": "10.0.0.5,10.0.0.6",
    "other_uplinks": "lan0",
    "tcp": "22,80-81,49152-65535",
    "udp": "53",
}


def words(**changed):
    wanted = {**CONTENTS, **changed}
    return ["interface=wan0", *(f"{key}={value}" for key, value in wanted.items() if value)]


class Monitor:
    """nft monitor: which elements are added and deleted, in their order."""

    def __init__(self, lab, file):
        self.lab, self.file, self.marks, self.told = lab, file, itertools.count(1), 0
        lab.gw.nft("table ip marks { set every { type inet_service\n}\n}")
        with file.open("w") as output:
            self.process = subprocess.Popen(lab.gw.command("nft", "monitor", "elements"),
                                            stdout=output)
        self.changes()

    def _is_past_a_new_mark(self):
        mark = f"add element ip marks every {{ {next(self.marks)} }}"
        self.lab.gw.nft(mark)
        return f"{mark}\n" in self.file.read_text()

    def changes(self):
        """Since the last call."""
        wait_until(self._is_past_a_new_mark, "nft has told everything so far")
        lines = [line for line in self.file.read_text().splitlines() if "ip portreeve" in line]
        told, self.told = lines[self.told:], len(lines)
        return [line.replace(" element ip portreeve", "") for line in told]

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def monitor(lab, tmp_path):
    """Of a gateway whose rules are installed with CONTENTS."""
    lab.ruleset("install", *words())
    made = Monitor(lab, tmp_path / "changes")
    yield made
    made.stop()
    lab.gw.nft("delete table ip marks")


def test_what_stays_is_not_touched_when_the_contents_change(lab, monitor):
    lab.ruleset("update", *words(tcp="22,49152-65535", udp="53,123", targets="10.0.0.6"))
    assert sorted(monitor.changes()) == [
        "add udp_ports { 123 }", "delete targets { 10.0.0.5 }", "delete tcp_ports { 80-81 }"
    ]


def test_nothing_is_touched_when_nothing_changes(lab, monitor):
    lab.ruleset("update", *words())
    assert monitor.changes() == []


def test_what_stays_is_not_touched_when_the_rules_are_installed_again(lab, monitor):
    """A restart: a packet that meets neither the old nor the new elements would be lost, or leave
    with its private source."""
    lab.ruleset("install", *words(external="192.0.2.1"))
    assert monitor.changes() == ["delete external { 192.0.2.9 }"]


def test_a_range_that_grows_is_replaced(lab, monitor):
    lab.ruleset("update", *words(tcp="22,80-82,49152-65535"))
    assert monitor.changes() == ["delete tcp_ports { 80-81 }", "add tcp_ports { 80-82 }"]


def ports_of(elements):
    found = set()
    for element in elements:
        first, last = element["range"] if isinstance(element, dict) else (element, element)
        found.update(range(first, last + 1))
    return found


def some_ranges(chance):
    """Up to six ranges of a few ports, often at an end of what there is, or touching."""
    pool = [0, 1, 2, 3, 4, 5, 65531, 65532, 65533, 65534, 65535]
    ends = sorted(chance.sample(pool, 2 * chance.randint(0, 5)))
    return [(ends[i], ends[i + 1]) for i in range(0, len(ends), 2)]


def test_a_set_always_becomes_what_is_wanted(lab):
    chance = random.Random(1)
    lab.ruleset("install", *words(tcp=""))
    for _ in range(60):
        ranges = some_ranges(chance)
        lab.ruleset(chance.choice(["install", "update"]),
                    *words(tcp=",".join(f"{first}-{last}" for first, last in ranges)))
        expected = {port for first, last in ranges for port in range(first, last + 1)}
        assert ports_of(lab.set_elements("tcp_ports")) == expected, ranges


def test_a_set_that_another_program_has_filled_is_put_right(lab):
    lab.ruleset("install", "life=shared", *words())
    lab.gw.nft("flush set ip portreeve tcp_ports")
    lab.gw.nft("add element ip portreeve tcp_ports { 5-22, 79, 30000 }")
    lab.gw.nft("add element ip portreeve targets { 10.9.9.9 }")
    lab.gw.nft("add element ip portreeve external_names { \"nosuch0\" }")
    lab.ruleset("install", "life=shared", *words())
    assert ports_of(lab.set_elements("tcp_ports")) == {22, 80, 81, *range(49152, 65536)}
    assert sorted(lab.set_elements("targets")) == ["10.0.0.5", "10.0.0.6"]
    assert lab.set_elements("external_names") == ["wan0"]
