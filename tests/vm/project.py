"""The project inside an image: its programs and tests built with the release's own compiler and
libraries, warnings as errors, and packed for the second disk
"""

import json
import os
import subprocess

from image import ImageError, PROJECT

# A mount namespace of our own: nothing of it is left, however this ends.
_BUILD = """
set -e
mount --make-rprivate /
mount --bind "$PROJECT" "$ROOT/mnt"
mount --bind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
exec chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    make -s -C /mnt -j"$JOBS" WERROR=1 BUILD="$BUILD" SANITIZE= $GOALS
"""


def build_directory(release):
    return f"build-vm-{release}"


def build(image, suite):
    """What the suite needs, below build-vm-RELEASE of the work tree."""
    print(f"vm: building for {image.release}", flush=True)
    goals = "all" if suite in ("system", "e2e") else "all test-programs"
    environment = {**os.environ, "PROJECT": str(PROJECT), "ROOT": str(image.root), "GOALS": goals,
                   "BUILD": build_directory(image.release), "JOBS": str(os.cpu_count())}
    for left_over in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environment.pop(left_over, None)
    done = subprocess.run(["nice", "unshare", "--mount", "sh", "-c", _BUILD], env=environment,
                          stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise ImageError(f"portreeve cannot be built on {image.release} (make returned "
                         f"{done.returncode}); what the compiler says is above")


def pack(image, task, archive):
    """The sources, the programs and `task`, as an archive that the guest reads from its disk."""
    task_file = archive.with_name("task.json")
    task_file.write_text(json.dumps({**task, "build": build_directory(image.release)}))
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=PROJECT, check=True, capture_output=True).stdout
    files = [name for name in listed.decode().split("\0") if name and (PROJECT / name).exists()]
    names = archive.with_name("names")
    names.write_text("".join(f"{name}\n" for name in [*files, build_directory(image.release)]))
    subprocess.run(["tar", "-c", "--owner=0", "--group=0", "--numeric-owner", "-f", archive,
                    "-C", PROJECT, "-T", names, "-C", archive.parent, task_file.name], check=True)
