"""Backups to file systems that are not like a disk of Linux: FAT, and another host's by SSH.

The kernel on which hosts are booted has neither FAT, nor NFS, nor CIFS (CONFIG_VFAT_FS, CONFIG_NFS_FS and CONFIG_CIFS
are not set), and a container can load no module. exFAT by way of FUSE is as they are in what counts here: one mode for
all files, which chmod(2) changes to no effect, no links of either kind, names without ? : * and so on. Linux's own FAT
(-t vfat) and NFS 4.2, with root as nobody and as root, were tried by hand in a user-mode kernel (Debian:
user-mode-linux): what creates, verifies, prunes and restores from there, and a store there. CIFS was not.
"""

from __future__ import annotations

import pytest

from tests.booted.registry import Registry
from tests.booted.test_backup import Pushers, has_images
from tests.hosts.machine import Machine

DEVICES = """
[ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229
[ -e /dev/loop-control ] || mknod -m 600 /dev/loop-control c 10 237
for number in 0 1 2 3 4 5 6 7; do [ -e /dev/loop$number ] || mknod -m 600 /dev/loop$number b 7 $number; done
"""
FAT = """
truncate --size 300M /root/fat
mkfs.exfat /root/fat
device=$(losetup --find --show /root/fat)
mkdir -p /mnt/fat
mount.exfat-fuse -o umask=022 $device /mnt/fat
losetup --detach $device
"""
"""The device is detached once the file system is unmounted, or the host is gone."""

SERVER = """
useradd --create-home keeper
ssh-keygen -q -N '' -t ed25519 -f /root/.ssh/id_ed25519
install -d -m 700 -o keeper /home/keeper/.ssh
install -m 600 -o keeper /root/.ssh/id_ed25519.pub /home/keeper/.ssh/authorized_keys
install -d -m 700 -o keeper /home/keeper/kept
mkdir -p /mnt/ssh
"""
MOUNT = "sshfs -o StrictHostKeyChecking=accept-new keeper@127.0.0.1:kept /mnt/ssh"


@pytest.fixture
def filled(registry: Registry) -> Registry:
    """With images, and with what such mounts need."""
    machine = registry.machine
    with Pushers(registry):
        machine.wait_for("images", lambda: has_images(machine))
    machine.run("sh", "-ec", DEVICES)
    return registry


@pytest.mark.one_release(0)
@pytest.mark.promise("backup-refuses-where-others-read", "backup-is-sealed")
def test_a_stick_with_fat(filled: Registry) -> None:
    machine = filled.machine
    machine.install("exfat-fuse", "exfatprogs")
    machine.run("sh", "-ec", FAT)
    there, sealed = "/mnt/fat/backup", "/mnt/fat/sealed"
    refused = filled.command("backup", "create", there)
    assert refused.returncode == 2 and "keeps no modes" in refused.stderr and "--encrypt" in refused.stderr, refused
    assert machine.run("find", "/mnt/fat", "-type", "f").stdout == "", "nothing of ours is there"
    for _ in range(2):
        done = filled.command("backup", "create", there, "--insecure-destination")
        assert done.returncode == 0, done
    assert filled.command("backup", "prune", there, "--keep-last", "1").returncode == 0
    done = filled.command("backup", "create", sealed, "--encrypt", input="correct horse\n")
    assert done.returncode == 0, done
    assert machine.run("grep", "-rl", "rootdirectory", sealed, check=False).stdout == ""
    for each in (there, sealed):
        assert filled.command("backup", "verify", each).returncode == 0
    machine.run("umount", "/mnt/fat")
    gone = filled.command("backup", "create", there, "--insecure-destination")
    assert gone.returncode == 1 and "is their disk not mounted?" in gone.stderr, gone


@pytest.mark.one_release(0)
@pytest.mark.promise("backup-that-is-cut", "backup-of-a-disk-that-is-away")
def test_another_host_by_ssh(filled: Registry) -> None:
    machine = filled.machine
    machine.install("sshfs", "openssh-server")
    machine.run("sh", "-ec", SERVER)
    machine.run("systemctl", "start", "ssh")
    machine.run("sh", "-ec", MOUNT)
    refused = filled.command("backup", "create", "/mnt/ssh")
    assert refused.returncode == 2 and "it is of another user" in refused.stderr, refused
    machine.run("umount", "/mnt/ssh")
    machine.run("sh", "-ec", f"{MOUNT} -o idmap=user")
    with Pushers(filled):
        for _ in range(2):
            done = filled.command("backup", "create", "/mnt/ssh")
            assert done.returncode == 0, done
    odd = machine.run("find", "/home/keeper/kept", "-type", "f", "!", "-perm", "600")
    assert odd.stdout == "", "modes hold"
    assert filled.command("backup", "verify", "/mnt/ssh").returncode == 0
    assert filled.command("backup", "prune", "/mnt/ssh", "--keep-last", "1").returncode == 0
    machine.run("pkill", "-KILL", "-u", "keeper")  # the mount ends with it, sooner or later
    filled.expected += [r"^user@\d+\.service: ", r"mm_reap: preauth child", r"/run/user/\d+/systemd/generator"]
    lost = filled.command("backup", "create", "/mnt/ssh")
    assert lost.returncode in (1, 2) and "Traceback" not in lost.stderr, lost
    machine.run("umount", "/mnt/ssh", check=False)
    gone = filled.command("backup", "create", "/mnt/ssh")
    assert gone.returncode == 1 and "is their disk not mounted?" in gone.stderr, gone
    machine.run("sh", "-ec", f"{MOUNT} -o idmap=user")
    assert filled.command("backup", "verify", "/mnt/ssh").returncode == 0, "what was there is whole"
    machine.run("umount", "/mnt/ssh")


@pytest.mark.one_release(0)
def test_without_a_bar(filled: Registry) -> None:
    """tqdm is recommended, no more."""
    machine: Machine = filled.machine
    machine.run("dpkg", "--remove", "--force-depends", "python3-tqdm")
    for line in ("create /srv/backup", "verify /srv/backup", "list /srv/backup"):
        done = machine.run("script", "--quiet", "--return", "--command", f"secure-registry backup {line}", "/dev/null")
        assert "Traceback" not in done.stdout and "20" in done.stdout, done.stdout
