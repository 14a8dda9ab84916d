"""Our table among the rules that an administrator saves for the next boot"""

import contextlib
import re
from pathlib import Path

import pytest

import process
from daemon import DAEMON, SHARE
from deadline import eventually

MANUAL = Path(__file__).resolve().parents[2] / "doc/portreeved.8"
RULES = "table ip mine {\n\tset odd {\n\t\ttype inet_service\n\t\telements = { 1, 3 }\n\t}\n}\n"


@contextlib.contextmanager
def nftables_conf(lab, text):
    """What the gateway has as /etc/nftables.conf (ip-netns(8): /etc/netns/NAME)."""
    directory = Path("/etc/netns") / lab.gw.namespace
    there_was_one = directory.parent.exists()
    directory.mkdir(parents=True)
    try:
        (directory / "nftables.conf").write_text(text)
        yield
    finally:
        process.remove_tree(directory)
        if not there_was_one:
            directory.parent.rmdir()


def save(lab):
    """The command of the manual, with its output here."""
    text = MANUAL.read_text()
    [command] = re.findall(r"\.nf\n(\{ echo flush ruleset.*?\}) > /etc/nftables\.conf\n", text,
                           re.S)
    return lab.gw.run("sh", "-c", command.replace("\\-", "-")).stdout


def test_the_command_of_the_manual_saves_all_other_tables(lab, start_daemon):
    lab.gw.nft(RULES)
    try:
        start_daemon(SHARE)
        saved = save(lab)
        assert "portreeve" not in saved
        lab.gw.run("nft", "delete", "table", "ip", "mine")
        lab.gw.nft(saved)
        assert "elements = { 1, 3 }" in lab.gw.run("nft", "list", "table", "ip", "mine").stdout
    finally:
        lab.gw.run("nft", "delete", "table", "ip", "mine", check=False)


def warnings(daemon):
    return [one["text"] for one in daemon.status()["notices"] if one["name"] == "saved-rules"]


@pytest.fixture
def saved_whole(lab, start_daemon):
    """What `nft list ruleset` prints while a daemon runs."""
    daemon = start_daemon(SHARE)
    text = lab.gw.run("nft", "list", "ruleset").stdout
    daemon.stop()
    return text


def test_nft_cannot_load_what_it_lists_of_our_table(lab, saved_whole):
    """When this fails, nft can, and the warning can go."""
    done = lab.gw.run("nft", "-c", "-f", "-", stdin=saved_whole, check=False)
    assert done.returncode != 0


def test_a_saved_copy_of_our_table_is_a_warning(lab, saved_whole, start_daemon):
    with nftables_conf(lab, "#!/usr/sbin/nft -f\nflush ruleset\n" + RULES + saved_whole):
        daemon = start_daemon(SHARE)
        [text] = warnings(daemon)
        assert "/etc/nftables.conf" in text
        done = lab.gw.run(DAEMON, "-t", "-c", daemon.config)
        assert "warning: /etc/nftables.conf has a copy of table ip portreeve" in done.stderr


@pytest.mark.parametrize("text", [
    RULES,
    "# table ip portreeve\n",
    "table ip portreeves {\n}\n",
    "table inet portreeve {\n}\n",
    "",
])
def test_other_rules_are_no_warning(lab, start_daemon, text):
    with nftables_conf(lab, text):
        assert warnings(start_daemon(SHARE)) == []


def test_the_warning_ends_when_the_copy_is_gone(lab, start_daemon):
    with nftables_conf(lab, "  table ip portreeve {\n}\n"):
        daemon = start_daemon(SHARE)
        assert warnings(daemon)
        (Path("/etc/netns") / lab.gw.namespace / "nftables.conf").write_text(RULES)
        eventually(lambda: not warnings(daemon), "the warning is gone", 15)
