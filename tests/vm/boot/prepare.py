"""Before the machine is started again: portreeved is installed and enabled, with interfaces that
will not exist yet when it starts
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parents[1] / "e2e"), str(HERE.parents[1])]

import host  # noqa: E402

host.make("install")
host.Service().write(host.BODY)
host.systemctl("enable", host.Service.NAME)
os.sync()
