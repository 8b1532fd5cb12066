"""What may be broken, full, locked or hanging while a user is removed, and how long he stays; asked over TLS.

Each obstacle is there when the user is removed, and still there when it is asked whether he is out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from tests.booted.chaos import SETTLED
from tests.booted.registry import ETC, Registry

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
CROWD = (
    f"seq 20000 | sed 's,.*,crowd&:{{0}},' >> {ETC}/.htpasswd\n"
    "until grep -q ^crowd20000: /run/secure-registry/users/live/htpasswd; do sleep 0.1; done"
)
"""So many users with one hash, who are live."""

DISPERSED = f"sed -i /^crowd/d {ETC}/.htpasswd"
OBSTACLES = {
    "nothing": ("true", "true"),
    "a pipe in place of nginx.conf": (f"mv {ETC}/nginx.conf /root/n; mkfifo {ETC}/nginx.conf", "{nginx}"),
    "a pattern that no library takes": (f"sed -i '1i include /**/x*.conf;' {ETC}/nginx.conf", "{nginx}"),
    "98 MB of nginx.conf": (f"yes '#' | head -c 98000000 >> {ETC}/nginx.conf", "{nginx}"),
    "a program that is not there": (f"echo NGINX_BINARY=/usr/sbin/nignx >> {ETC}/secure-registry.conf", "{conf}"),
    "an odd certificate": (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout /root/k -subj /CN=x -sigopt rsa_padding_mode:pss"
        f" -addext subjectAltName=DNS:x -days 9 2>/dev/null > {ETC}/docker-registry.crt",
        f"cp -p /root/docker-registry.crt {ETC}/docker-registry.crt",
    ),
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
    "20,000 users, apr1": (CROWD.format("$apr1$nwBIpvAS$Fm3b1iMsEtQK9GDSAAAB1."), DISPERSED),
    "20,000 users, bcrypt": (CROWD.format("$2y$10$" + "a" * 53), DISPERSED),
    "20,000 users, scrypt": (CROWD.format("$7$CU..../....abcdefgh$" + "a" * 43), DISPERSED),
    "1,200 backups": (f"for i in $(seq 1200); do : > {ETC}/.backup-$i; done", f"rm {ETC}/.backup-*"),
    "the bus was restarted": ("systemctl restart dbus", "true"),
    "what is ready hangs": (f"{KILL} STOP secure-registry-apply", f"{KILL} CONT secure-registry-apply"),
    "a unit of the watchdog's is masked": (
        "systemctl mask --runtime --now secure-registry-apply.socket",
        "systemctl unmask --runtime secure-registry-apply.socket; systemctl start secure-registry-apply.socket",
    ),
    "an account is gone": (
        "cp -p /etc/passwd /root/passwd; sed -i /^secure-registry-auth:/d /etc/passwd",
        "cp -p /root/passwd /etc/passwd",
    ),
    "the file is mounted by itself": (
        f"cp -p {ETC}/.htpasswd /root/h; mount --bind /root/h {ETC}/.htpasswd",
        f"umount {ETC}/.htpasswd",
    ),
    "a stranger's lock": (
        f"setpriv --reuid=nobody --regid=nogroup --clear-groups flock -n {ETC} sleep 600 >/dev/null 2>&1 & sleep 0.2",
        "pkill -u nobody sleep",
    ),
}  # fmt: skip
RESTORE = {
    "nginx": f"rm -rf {ETC}/nginx.conf; cp -p /root/nginx.conf {ETC}/nginx.conf",
    "conf": f"rm -rf {ETC}/secure-registry.conf; cp -p /root/secure-registry.conf {ETC}/secure-registry.conf",
}
NO_NEW_FILE = ("/etc full", "no inode left in /etc", "all of them full", "the file is mounted by itself")
"""Where only `htpasswd -D` can remove anybody."""


def small(registry: Registry) -> None:
    """/etc/secure-registry and /var/lib/secure-registry on file systems that are soon full."""
    script = f"""
        systemctl stop secure-registry
        cp -p {ETC}/nginx.conf {ETC}/secure-registry.conf {ETC}/docker-registry.crt /root/
        for dir in {LIB} {ETC}; do
            cp -a $dir /root/copy
            mount -t tmpfs -o size=120m,nr_inodes=2000,mode=755 tmpfs $dir
            cp -a /root/copy/. $dir/
            rm -r /root/copy
        done
        systemctl start secure-registry
    """
    registry.machine.run("sh", "-ec", script)


def removals(registry: Registry, commands_first: bool) -> Iterator[tuple[str, float | None]]:
    """Each obstacle, and the seconds from the begin of `htpasswd -D` or an editor's save, in turns, until the user is
    out; None when he stays. Everybody else gets in meanwhile."""
    small(registry)
    machine = registry.machine

    def sh(script: str) -> None:
        machine.run("sh", "-ec", script)

    def quiet() -> bool:
        return machine.run("python3", "-c", SETTLED, check=False).returncode == 0

    def status_of(user: str) -> str:
        return registry.status_of("/v2/", user=f"{user}:chaos")

    for number, (name, (obstacle, undo)) in enumerate(OBSTACLES.items()):
        by_command = name in NO_NEW_FILE or (number % 2 == 0) is commands_first
        user = f"guest{number}"
        sh(f"echo '{user}:{{SHA}}sjtLjWgc/4GRCphLKHWUi/wyyOE=' >> {ETC}/.htpasswd")
        machine.wait_for(user, partial(lambda user: status_of(user) == "200", user), SECONDS)
        machine.wait_for("quiet", quiet, SECONDS)
        sh(obstacle)
        try:
            remove = f"secure-registry htpasswd -D {user}" if by_command else f"sed -i /^{user}:/d {ETC}/.htpasswd"
            began = time.monotonic()
            done = machine.run("sh", "-c", remove, check=False, timeout=30)
            assert done.returncode == 0, (name, done.stdout, done.stderr)
            assert user not in machine.read(f"{ETC}/.htpasswd")
            seconds = None
            while seconds is None and time.monotonic() < began + SECONDS:
                if status_of(user) == "401":
                    seconds = time.monotonic() - began
            yield name, seconds
            assert registry.status_of("/v2/", user="docker") == "200", name
        finally:
            sh(undo.format(**RESTORE))
        machine.wait_for("quiet", quiet, 60)
