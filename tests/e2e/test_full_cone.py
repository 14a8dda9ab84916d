"""What conf/examples/full-cone.conf promises"""

from daemon import ROOT
from judges import natdiscovery, stun, stun_server


def full_cone():
    """conf/examples/full-cone.conf for this network: its [gateway] is the harness's."""
    text = (ROOT / "conf/examples/full-cone.conf").read_text()
    assert "192.168.1.0/24" in text
    return text[text.index("[share"):].replace("192.168.1.0/24", "10.0.0.0/24")


CONFIG = full_cone()


def test_the_full_cone_example_is_a_full_cone(lab, daemon, tmp_path):
    with stun_server(lab.out, tmp_path):
        asked = {
            option: natdiscovery(lab.lab1, lab.out, tmp_path, option)
            for option in ("-m", "-f", "-H")
        }
        old = stun(lab.lab1, lab.out, tmp_path, lab.lab1.address)
        assert "NAT with Endpoint Independent Mapping!" in asked["-m"].report
        assert "NAT with Endpoint Independent Filtering!" in asked["-f"].report
        assert "Received a request (maybe a successful hairpinning)" in asked["-H"].report
        assert "Independent Mapping, Independent Filter" in old.report


def test_full_cone_lets_in_whoever_learns_the_endpoint(lab, daemon):
    """A stranger that the host inside never spoke to is heard, and its answer finds the way back.
    """
    with lab.out.udp(7) as server, lab.far.udp(9999) as stranger, lab.lab1.udp() as inside:
        inside.sendto(b"where am I?", (lab.out.address, 7))
        seen = server.recvfrom(100)[1]
        stranger.sendto(b"hello", seen)
        assert inside.recvfrom(100) == (b"hello", (lab.far.address, 9999))
        inside.sendto(b"welcome", (lab.far.address, 9999))
        assert stranger.recvfrom(100) == (b"welcome", seen)
