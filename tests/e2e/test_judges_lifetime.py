"""How long a mapping lives, as a program finds out that asks for answers later and later"""

from daemon import SHARE
from judges import natdiscovery, stun_server

CONFIG = SHARE + "[timeouts]\nudp = 2s\n"


def test_rfc4787_req5_a_judge_finds_the_mappings_lifetime(lab, daemon, tmp_path):
    """
    RFC 5780 section 4.6: the answer is asked for at the mapping's port by another socket, some
    seconds later. Two seconds are configured (and warned about): after one the mapping is there,
    after four it is gone.
    """
    assert "RFC 4787" in daemon.log_so_far()
    with stun_server(lab.out, tmp_path):
        early, late = [
            natdiscovery(lab.lab1, lab.out, tmp_path, "-t", "-T", seconds) for seconds in (1, 4)
        ]
        assert "RFC 5780 response 2" in early.report
        assert "STUN receive timeout" not in early.report
        assert "STUN receive timeout" in late.report
        assert "RFC 5780 response 2" not in late.report
        assert daemon.drops("no-session") > 0
