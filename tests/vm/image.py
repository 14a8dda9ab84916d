"""The disk of a virtual machine: a stock Debian of one release, made from the registries that this
machine's apt is configured with

An image's name has a digest of what it is made of, so that the next run finds it. It is

    root/        the file system: programs are built in it, and the disk is made of it
    disk         ext4; never written, each guest writes to a copy that ends with it
    kernel       the distribution's, as it is
    initrd       the few modules that it takes to mount the disk, and a script that does
"""

import hashlib
import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

RELEASES = ("bookworm", "trixie")

# What the tests of the project need, and what portreeve has to live beside.
GROUPS = ("build", "unit", "control", "kernel", "e2e")
NEIGHBOURS = ("bind9 bind9-dnsutils conntrack ethtool firewalld iptables nftables openssh-server"
              " ufw unbound wireguard-tools").split()
SYSTEM = "busybox-static dbus kmod linux-image-amd64 systemd systemd-sysv udev".split()

# A test starts what it is about. Nothing else runs.
OFF = ("apt-daily-upgrade.timer apt-daily.timer coturn.service dpkg-db-backup.timer"
       " e2scrub_all.timer firewalld.service fstrim.timer iperf3.service logrotate.timer"
       " named.service nftables.service nginx.service ssh.service systemd-timesyncd.service"
       " ufw.service unbound.service").split()

# Parts of the kernel's package that no virtual machine needs, and what people read.
DRIVERS = ("ata gpu hid hwmon i2c iio infiniband input media mtd net/ethernet net/wireless platform"
           " scsi staging usb").split()
LEFT_OUT = [f"/lib/modules/*/kernel/drivers/{part}/*" for part in DRIVERS]
LEFT_OUT += ["/lib/modules/*/kernel/sound/*", *(f"/usr{path}" for path in LEFT_OUT)]
LEFT_OUT += ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*"]
# The distribution's initial file system has all drivers there are: it takes half a minute to make.
LEFT_OUT += ["/etc/kernel/postinst.d/*"]

BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "crc32c_generic", "ext4")
DISK_SIZE = "12G"  # sparse
HOW = 1  # one more when an image is made in another way of the same parts

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </modules/order
until [ -b /dev/vda ]; do /bin/busybox usleep 20000; done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || exec /bin/busybox poweroff -f
/bin/busybox umount /proc
exec /bin/busybox switch_root /root /sbin/init
"""

# The second disk is an archive: the project, its programs, and what to do with them.
RUNNER = """#!/bin/sh
[ -d /portreeve ] || { mkdir /portreeve && tar -xf /dev/vdb -C /portreeve; }
exec /usr/bin/python3 /portreeve/tests/vm/inside.py
"""
UNIT = """[Unit]
Description=What the virtual machine was started for
After=multi-user.target
[Service]
ExecStart=/usr/local/sbin/vm-runner
Environment=HOME=/root
StandardOutput=journal+console
StandardError=journal+console
[Install]
WantedBy=graphical.target
"""


class ImageError(Exception):
    """The image cannot be made; the text says why."""


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "portreeve-vm"


def packages():
    listed = subprocess.run([PROJECT / "tests/install-deps.sh", "--packages", *GROUPS], check=True,
                            capture_output=True, text=True).stdout.split()
    return sorted({*listed, *NEIGHBOURS, *SYSTEM})


def registry():
    """Where this machine's apt gets Debian's packages."""
    if os.environ.get("VM_REGISTRY"):
        return os.environ["VM_REGISTRY"]
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)",
                             "Created-By: Packages", "Origin: Debian", "Component: main"],
                            check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        address, suite = line.split()
        if "-" not in suite:  # not bookworm-security, bookworm-updates
            return address
    raise ImageError("apt on this machine has no source of Debian's packages, or its lists were "
                     "never fetched: run apt-get update, or give VM_REGISTRY=ADDRESS")


class Image:
    """The image of one release: where its parts are."""

    def __init__(self, release):
        self.release = release
        self.packages = packages()
        parts = (self.packages, OFF, LEFT_OUT, BOOT_MODULES, DISK_SIZE, HOW, INIT, RUNNER, UNIT)
        digest = hashlib.sha256(repr(parts).encode())
        self.directory = cache_directory() / f"{release}-{digest.hexdigest()[:12]}"
        self.root = self.directory / "root"
        self.disk = self.directory / "disk"
        self.kernel = self.directory / "kernel"
        self.initrd = self.directory / "initrd"

    def make_sure(self):
        """Makes the image if there is none; one that is half made never has the name."""
        if not self.directory.is_dir():
            print(f"vm: making the image of {self.release}, {len(self.packages)} packages and what "
                  "they depend on", flush=True)
            _remove_others(self)
            with tempfile.TemporaryDirectory(prefix="making-", dir=cache_directory()) as scratch:
                made = Path(scratch) / "image"
                made.mkdir()
                _make(self, made)
                made.rename(self.directory)
        return self


def _remove_others(image):
    """Earlier images of the release, which were made of something else."""
    for other in cache_directory().glob(f"{image.release}-*"):
        shutil.rmtree(other)


def _make(image, made):
    _make_root(image, made / "root")
    kernel = max((made / "root/boot").glob("vmlinuz-*"))
    shutil.copy(kernel, made / "kernel")
    _make_initrd(made, kernel.name.removeprefix("vmlinuz-"))
    _run(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-O", "^has_journal", "-d",
          made / "root", made / "disk", DISK_SIZE])


def _run(argv, **options):
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **options)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise ImageError(f"{argv[0]} returned {done.returncode}:\n{tail}")


def _make_root(image, root):
    address = registry()
    try:
        _run([
            "mmdebstrap", "--mode=root", "--variant=minbase",
            f"--include={','.join(image.packages)}", '--aptopt=Acquire::Retries "5"',
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            image.release, root, address
        ])
    except ImageError as error:
        raise ImageError(
            f"the image of {image.release} cannot be made from {address}. Without a registry that "
            f"can be reached and has {image.release}, no virtual machine can be tried, and that is "
            f"a failure.\n{error}") from None
    (root / "etc/hostname").write_text(f"{image.release}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {image.release}\n")
    _write_program(root / "usr/local/sbin/vm-runner", RUNNER)
    (root / "etc/systemd/system/vm-runner.service").write_text(UNIT)
    _run(["chroot", root, "systemctl", "enable", "vm-runner.service"])
    for unit in OFF:
        if (root / f"usr/lib/systemd/system/{unit}").exists():
            _run(["chroot", root, "systemctl", "disable", unit])


def _write_program(path, text):
    path.write_text(text)
    path.chmod(0o755)


def _make_initrd(made, version):
    """The modules of the disk's driver and file system, in the order that they depend on each
    other, uncompressed: busybox loads no other.
    """
    top = made / "initial"
    for name in ("bin", "dev", "proc", "root", "modules"):
        (top / name).mkdir(parents=True)
    shutil.copy(made / "root/bin/busybox", top / "bin/busybox")
    order = []
    for module in BOOT_MODULES:
        for path in _needed(made / "root", version, module):
            data = path.read_bytes()
            name = path.name.removesuffix(".xz")
            if name not in order:
                order.append(name)
                (top / "modules" / name).write_bytes(
                    lzma.decompress(data) if path.suffix == ".xz" else data)
    (top / "modules/order").write_text("".join(f"{name}\n" for name in order))
    _write_program(top / "init", INIT)
    _run(["sh", "-c", f"find . | cpio --quiet -o -H newc -R 0:0 >{made / 'initrd'}"], cwd=top)
    shutil.rmtree(top)


def _needed(root, version, module):
    listed = subprocess.run(["chroot", root, "modprobe", "-S", version, "--show-depends", module],
                            capture_output=True, text=True, check=False).stdout
    return [root / line.split()[1].lstrip("/") for line in listed.splitlines()
            if line.startswith("insmod ")]
