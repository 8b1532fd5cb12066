"""A removed user is out, whatever else is broken, full, locked or hanging; judged from outside, over TLS.

Each obstacle is there when the user is removed, and still there when it is asked whether he is out. How many seconds
it takes is printed (`pytest -s`), and judged by nobody here.
"""

from __future__ import annotations

import itertools
import time

from tests.booted.chaos import SETTLED
from tests.booted.registry import ETC, Registry
from tests.hosts.fixtures import releases

LIB = "/var/lib/secure-registry"
SECONDS = 20.0
FILL = """
head -c 300M /dev/zero > {0}/fill 2>/dev/null || test -s {0}/fill
! (echo x > {0}/one) 2>/dev/null
rm -f {0}/one
"""
"""Leaves no byte, and says so."""

USE_UP = "i=0; while (true > {0}/inode-$i) 2>/dev/null; do i=$((i+1)); done; test $i -gt 0"
SHRINK_RUN = "mount -o remount,size=$(($(df --output=used -k /run | tail -1) + 256))k /run"
GROW_RUN = "mount -o remount,size=64m /run"
KILL = "systemctl kill -s"
OBSTACLES = {
    "nothing": ("true", "true"),
    "a pipe in place of nginx.conf": (f"mv {ETC}/nginx.conf /root/n; mkfifo {ETC}/nginx.conf", "{nginx}"),
    "a pattern that no library takes": (f"sed -i '1i include /**/x*.conf;' {ETC}/nginx.conf", "{nginx}"),
    "98 MB of nginx.conf": (f"yes '#' | head -c 98000000 >> {ETC}/nginx.conf", "{nginx}"),
    "a program that is not there": (f"echo NGINX_BINARY=/usr/sbin/nignx >> {ETC}/secure-registry.conf", "{conf}"),
    "settings that can't be read": (f"rm {ETC}/secure-registry.conf; mkdir {ETC}/secure-registry.conf", "{conf}"),
    "/var full": (FILL.format(LIB), f"rm {LIB}/fill"),
    "no inode left in /var": (USE_UP.format(LIB), f"rm {LIB}/inode-*"),
    "state that is read-only": (f"mount -o remount,ro {LIB}", f"mount -o remount,rw {LIB}"),
    "/run full": (f"{SHRINK_RUN}\n{FILL.format('/run')}", f"{GROW_RUN}; rm /run/fill"),
    "/etc full": (FILL.format(ETC), f"rm {ETC}/fill"),
    "no inode left in /etc": (USE_UP.format(ETC), f"rm {ETC}/inode-*"),
    "all of them full": (
        "\n".join([SHRINK_RUN, *(FILL.format(place) for place in ("/run", LIB, ETC))]),
        f"{GROW_RUN}; rm /run/fill {LIB}/fill {ETC}/fill",
    ),
    "1,200 backups": (f"for i in $(seq 1200); do : > {ETC}/.backup-$i; done", f"rm {ETC}/.backup-*"),
    "the bus was restarted": ("systemctl restart dbus", "true"),
    "what is ready hangs": (f"{KILL} STOP secure-registry-apply", f"{KILL} CONT secure-registry-apply"),
    "a stranger's lock": (
        f"setpriv --reuid=nobody --regid=nogroup --clear-groups flock -n {ETC} sleep 600 >/dev/null 2>&1 & sleep 0.2",
        "pkill -u nobody sleep",
    ),
}  # fmt: skip
RESTORE = {
    "nginx": f"rm -rf {ETC}/nginx.conf; cp -p /root/nginx.conf {ETC}/nginx.conf",
    "conf": f"rm -rf {ETC}/secure-registry.conf; cp -p /root/secure-registry.conf {ETC}/secure-registry.conf",
}
NO_NEW_FILE = ("/etc full", "no inode left in /etc", "all of them full")
"""Where only `htpasswd -D` can remove anybody."""


def small(registry: Registry) -> None:
    """/etc/secure-registry and /var/lib/secure-registry on file systems that are soon full."""
    script = f"""
        systemctl stop secure-registry
        cp -p {ETC}/nginx.conf {ETC}/secure-registry.conf /root/
        for dir in {LIB} {ETC}; do
            cp -a $dir /root/copy
            mount -t tmpfs -o size=120m,nr_inodes=2000,mode=755 tmpfs $dir
            cp -a /root/copy/. $dir/
            rm -r /root/copy
        done
        systemctl start secure-registry
    """
    registry.machine.run("sh", "-ec", script)


def test_a_removed_user_is_out_whatever_is_wrong(watched: Registry, release: str) -> None:
    """By the command and by an editor in turns, on each release the other way round."""
    machine = watched.machine
    watched.expected.append(r".*")  # what is said of each of these has tests of its own
    small(watched)
    sh = lambda script: machine.run("sh", "-ec", script)  # noqa: E731
    stays = []
    for number, (name, (obstacle, undo)) in zip(itertools.count(), OBSTACLES.items(), strict=False):
        by_command = name in NO_NEW_FILE or (number + releases().index(release)) % 2 == 0
        user = f"guest{number}"
        sh(f"echo '{user}:{{SHA}}sjtLjWgc/4GRCphLKHWUi/wyyOE=' >> {ETC}/.htpasswd")
        machine.wait_for(user, lambda u=user: watched.status_of("/v2/", user=f"{u}:chaos") == "200", SECONDS)
        machine.wait_for("quiet", lambda: machine.run("python3", "-c", SETTLED, check=False).returncode == 0, SECONDS)
        sh(obstacle)
        try:
            remove = f"secure-registry htpasswd -D {user}" if by_command else f"sed -i /^{user}:/d {ETC}/.htpasswd"
            began = time.monotonic()
            done = machine.run("sh", "-c", remove, check=False, timeout=30)
            assert done.returncode == 0, (name, done.stdout, done.stderr)
            assert user not in machine.read(f"{ETC}/.htpasswd")
            out = lambda u=user: watched.status_of("/v2/", user=f"{u}:chaos") == "401"  # noqa: E731
            try:
                machine.wait_for("he is out", out, SECONDS)
                print(f"{release}, {name}: out {time.monotonic() - began:.2f} s after `{remove.split()[0]}` began")
            except AssertionError:
                stays.append(name)
            assert watched.status_of("/v2/", user="docker") == "200", name
        finally:
            sh(undo.format(**RESTORE))
        machine.wait_for("quiet", lambda: machine.run("python3", "-c", SETTLED, check=False).returncode == 0, 60)
    assert stays == []
