#!/usr/bin/python3
"""Compares what the RFCs ask of a NAT with the table in portreeved(8), and the table with the
tests.

Every requirement below has an entry in the section STANDARDS, every test that an entry names
exists, and every test whose name carries an RFC's number is in an entry. Prints what is out of
step, a line each, and then ends with 1.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "doc" / "portreeved.8"

# By the heading of the table's part: tag of the entry, and what is asked.
# M: must, S: should, m: may.
REQUIREMENTS = {
    "RFC 4787, UDP": {
        "REQ-1": "M endpoint-independent mapping",
        "REQ-2": "S paired address pooling",
        "REQ-3": "M no port overloading",
        "REQ-3a": "S keep the class of the port",
        "REQ-4": "S port parity",
        "REQ-5": "M at least 120 s, configurable; S 300 s",
        "REQ-5a": "m shorter for some well-known destination ports",
        "REQ-6": "M refresh",
        "REQ-6a": "M outbound traffic refreshes",
        "REQ-6b": "m inbound traffic refreshes",
        "REQ-7": "M notice an external address that meets the inside's prefix",
        "REQ-8": "S endpoint-independent filtering, or address-dependent for strictness",
        "REQ-8a": "m filtering configurable",
        "REQ-9": "M hairpin",
        "REQ-9a": "M with the external source address and port",
        "REQ-10": "S ALGs for UDP off",
        "REQ-10a": "S each switchable by itself",
        "REQ-11": "M deterministic at all times",
        "REQ-12": "M ICMP never ends a mapping",
        "REQ-12a": "S no filtering of ICMP by its source",
        "REQ-12b": "S Destination Unreachable",
        "REQ-13": "M DF=1 and too big: Fragmentation Needed",
        "REQ-13a": "M DF=0: fragment, S in order",
        "REQ-14": "M fragments in order and out of order",
        "REQ-14a": "M a flood of fragments must not hurt other packets",
    },
    "RFC 5382, TCP": {
        "REQ-1": "M endpoint-independent mapping",
        "REQ-2": "M every valid sequence of packets, simultaneous open included",
        "REQ-3": "S filtering as for UDP",
        "REQ-3a": "m filtering configurable",
        "REQ-3b": "m apart from UDP's",
        "REQ-4": "M no answer to an unsolicited SYN for 6 s; S then ICMP 3/3",
        "REQ-4a": "M silent drop where policy says so",
        "REQ-5": "M established 7440 s, transitory 240 s, configurable",
        "REQ-5a": "m keepalives",
        "REQ-6": "S all ALGs but FTP off",
        "REQ-7": "M no overloading",
        "REQ-8": "M hairpin with external source",
        "REQ-9": "S translate ICMP type 3",
        "REQ-10": "M ICMP never ends a mapping or a connection",
    },
    "RFC 5508, ICMP": {
        "REQ-1": "M permit outbound queries",
        "REQ-1a": "S query id mapping independent of the remote",
        "REQ-2": "M query timer at least 60 s",
        "REQ-2a": "S configurable",
        "REQ-3": "S drop errors that are damaged",
        "REQ-3a": "S drop a bad ICMP checksum",
        "REQ-3b": "S drop a bad embedded IP checksum",
        "REQ-3c": "M skip embedded IP options",
        "REQ-3d": "S do not check the embedded transport checksum; M leave extensions out of it",
        "REQ-4": "M errors from outside",
        "REQ-5": "M errors from inside",
        "REQ-6": "M errors neither refresh nor delete a session",
        "REQ-7": "M hairpin ICMP errors",
        "REQ-7a": "M outer destination is the translated embedded source",
        "REQ-8": "S no resources or policy: ICMP 3/13 and drop",
        "REQ-10": "M Destination Unreachable, Time Exceeded, Echo; S-NOT Source Quench, "
                  "Information Request",
        "REQ-11": "m drop other types",
    },
    "RFC 7857, updates": {
        "2": "S TCP state machine of RFC 6146",
        "2.1": "S separate timers for opening and closing",
        "2.2": "M translate RST; S keep state 4 minutes after it",
        "3": "m reuse an external port for different destinations",
        "4": "S paired: drop when that address has no port left; m soft fallback",
        "5": "S mapping switchable per protocol",
        "6": "S filtering switchable per protocol",
        "7": "S refused inbound does not refresh",
        "7.1": "S outbound ICMP errors and RST do not refresh",
        "8": "m parity off",
        "9": "S port randomization",
        "10": "S IP ids as RFC 6864",
        "11": "m delete the ICMP mapping with its last session",
        "12": "M hairpin ICMP",
    },
    "RFC 6888, many subscribers": {
        "REQ-1": "M RFC 4787, 5382, 5508",
        "REQ-2": "M paired by default",
        "REQ-3": "M pools that are not contiguous",
        "REQ-4": "M limit of ports per host; S rate of new mappings",
        "REQ-5": "S limits of state and rate per host",
        "REQ-6": "M exempt destinations",
        "REQ-7": "S endpoint-independent filtering",
        "REQ-8": "S 120 s before a port is used again; M configurable",
        "REQ-9": "S PCP server",
        "REQ-10": "S MIB",
        "REQ-11": "M drop at exhaustion, S tell, M never evict existing mappings",
        "REQ-12": "S do not log destinations",
        "REQ-13": "S use ports well",
        "REQ-14": "S keep logs small",
        "REQ-15": "S ports hard to guess",
        "logging": "protocol, internal and external endpoint, time",
    },
    "Others": {
        "RFC 3022, 4.1": "a UDP checksum of 0 stays",
        "RFC 3022, 4.2": "incremental checksums",
        "RFC 3022, ids": "the map of ICMP ids",
        "RFC 3022, 4.3": "the payload of ICMP errors",
        "RFC 6056": "choosing ports at random",
        "RFC 6146, 3.5.2": "TCP states",
        "RFC 6335": "classes of ports",
        "RFC 6864": "unique ids of what may be fragmented",
        "RFC 5780": "how a client finds out what a NAT does",
    },
}


def page_entries(text):
    """Yields (heading, tags, tests) of each entry of the section STANDARDS."""
    section = re.search(r"^\.SH STANDARDS\n(.*?)(?=^\.SH )", text, re.M | re.S)
    for part in re.split(r"^\.SS ", section.group(1) if section else "", flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        for entry in re.split(r"^\.TP.*\n", body, flags=re.M)[1:]:
            tag = re.match(r"\.B (.*)", entry).group(1)
            names = re.findall(r"^\.I (.*)", entry, re.M)
            yield heading, split_tag(tag), [name.replace("\\:", "") for name in names]


def split_tag(tag):
    """REQ-6, 6a are REQ-6 and REQ-6a."""
    if not tag.startswith("REQ-"):
        return [tag]
    first, *others = tag.split(", ")
    return [first] + ["REQ-" + other for other in others]


def existing_tests():
    """Names of all tests, and the files they are in."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix == ".c":
            pattern = r"^START_TEST\((\w+)\)"
        elif path.suffix == ".py":
            pattern = r"^ *def (test_\w+)\("
        else:
            continue
        for name in re.findall(pattern, path.read_text(), re.M):
            found.setdefault(name, path.relative_to(ROOT))
    return found


def complaints():
    """What is out of step."""
    entries = list(page_entries(PAGE.read_text()))
    tests = existing_tests()
    listed = {(heading, tag) for heading, tags, _ in entries for tag in tags}
    named = [(tags[0], test) for _, tags, names in entries for test in names]
    asked = {(heading, tag) for heading, tags in REQUIREMENTS.items() for tag in tags}

    for heading, tag in sorted(asked - listed):
        yield f"{heading}: {tag} ({REQUIREMENTS[heading][tag]}) has no entry"
    for heading, tag in sorted(listed - asked):
        yield f"{heading}: {tag} has an entry, but is not asked"
    for tag, test in named:
        if test not in tests:
            yield f"{tag} names {test}, which does not exist"
    for test in sorted(set(tests) - {test for _, test in named}):
        if re.search(r"rfc\d{4}_", test):
            yield f"{test} ({tests[test]}) carries a requirement, but is in no entry"


def main():
    found = list(complaints())
    for line in found:
        print(f"{PAGE.relative_to(ROOT)}: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
