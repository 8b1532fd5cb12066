"""A host whose files hang: the watchdog sees what changes elsewhere, applies end, and all is well once it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.booted.registry import ETC, Registry

SILENT = Path(__file__).parents[1] / "silent.py"
POINT = "/srv/net"
MOUNTED = f"""
import signal, sys
sys.path.insert(0, "/root")
from pathlib import Path
import silent
with silent.mounted(Path("{POINT}")):
    print("mounted", flush=True)
    signal.sigwait([signal.SIGTERM])
"""
SECONDS = 15.0
"""Less than the look every 30 seconds."""

pytestmark = pytest.mark.one_release(-1)


def removed_in_time(registry: Registry) -> None:
    """A user who is removed by an edit is out by itself."""
    htpasswd = registry.machine.read(f"{ETC}/.htpasswd")
    registry.put(".htpasswd", "".join(line for line in htpasswd.splitlines(True) if not line.startswith("bob:")))
    registry.machine.wait_for("bob is out", lambda: registry.status_of("/v2/", "bob:secret") == "401", SECONDS)
    registry.machine.run("secure-registry", "htpasswd", "-b", "bob", "secret", check=False)


@pytest.mark.promise("reading", "renewals-are-noticed")
def test_files_that_hang_hold_up_nothing_else(watched: Registry) -> None:
    machine = watched.machine
    watched.expected.append(r"is a pipe|does not answer|while .* was read|Failed with result|a bug in|ZeroDivision")
    machine.run("secure-registry", "htpasswd", "-b", "bob", "secret")
    machine.run("sh", "-c", "test -e /dev/fuse || mknod /dev/fuse c 10 229")
    machine.copy_in(SILENT, "/root/silent.py")
    machine.write("/root/mounted.py", MOUNTED)
    machine.run("systemd-run", "--unit=silent", "--collect", "python3", "/root/mounted.py")
    machine.wait_for("the mount", lambda: POINT in machine.read("/proc/self/mounts"))

    spoil = f"rm docker-registry.crt nginx.conf; ln -s {POINT}/crt docker-registry.crt; mkfifo nginx.conf"
    machine.run("sh", "-ec", f"cd {ETC}; cp -a . /root/etc; {spoil}")
    machine.wait_for("both are told", lambda: watched.command("status").stdout.count("rejected") == 2, SECONDS)
    told = watched.command("status").stdout
    assert f"{ETC}/docker-registry.crt: {POINT} does not answer" in told
    assert f"{ETC}/nginx.conf: is a pipe (FIFO), not a file" in told
    removed_in_time(watched)
    assert machine.run("systemctl", "is-active", "secure-registry-watchdog").stdout == "active\n"

    machine.run("sh", "-ec", f"rm {ETC}/nginx.conf; cp -a /root/etc/nginx.conf {ETC}")
    machine.wait_for("one is mended", lambda: watched.command("status").stdout.count("rejected") == 1, SECONDS)
    removed_in_time(watched)
    machine.run("systemctl", "stop", "silent")
    machine.run("sh", "-ec", f"umount -l {POINT} || true; cp -a /root/etc/docker-registry.crt {POINT}/crt")
    # links to it are looked at when nothing happens, too
    machine.wait_for("the certificate serves", lambda: watched.command("status").returncode == 0, 60)


@pytest.mark.promise("bugs-are-findings")
def test_a_bug_in_a_reader_is_one_finding(watched: Registry) -> None:
    """Its traceback is in the journal, as one entry; whoever was removed in the same moment is out."""
    machine = watched.machine
    watched.expected.append(r"ZeroDivisionError|Reload failed for secure-registry")  # while what is ready begins anew
    machine.run("secure-registry", "htpasswd", "-b", "bob", "secret")
    program = "/usr/share/secure-registry/secreg_host/formats/registryconf.py"
    machine.run("cp", program, "/root/registryconf.py")
    mark = machine.journal_end()
    machine.run("sh", "-c", f"printf '\\n\\ndef parse(*_):\\n    return 1 // 0\\n' >> {program}")
    watched.edit("docker-registry.yml", "level: warn", "level: error")
    removed_in_time(watched)
    bug = "a bug in secure-registry: ZeroDivisionError"
    machine.wait_for("it is told", lambda: bug in watched.command("status").stdout)
    entries = [entry["MESSAGE"] for entry in machine.journal(priority="err", after=mark)]
    bugs = [entry for entry in entries if entry.startswith("bug: ZeroDivisionError")]
    assert bugs and "return 1 // 0" in bugs[0] and f"{ETC}/docker-registry.yml" in bugs[0]
    machine.run("cp", "/root/registryconf.py", program)
    watched.command("reload")
    assert watched.command("status").returncode == 0
