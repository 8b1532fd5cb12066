"""The fixture itself: what tests on booted hosts take for granted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import docker, files, tree
from tests.hosts.commands import CommandFailed, NotInTime
from tests.hosts.machine import Machine
from tests.hosts.terminal import answering

pytestmark = pytest.mark.host


def test_commands(booted_host: Machine) -> None:
    assert booted_host.run("cat", input="text").stdout == "text"
    assert booted_host.run("sh", "-c", "exit 3", check=False).returncode == 3
    assert booted_host.run("sh", "-c", "echo $WORD", env={"WORD": "said"}).stdout == "said\n"
    with pytest.raises(CommandFailed, match=r"(?s)sh -c 'echo oops >&2; exit 3': exit status 3.*oops"):
        booted_host.run("sh", "-c", "echo oops >&2; exit 3")


def test_command_that_does_not_end_is_ended(booted_host: Machine) -> None:
    with pytest.raises(NotInTime, match="sleep 98765"):
        booted_host.run("sleep", "98765", timeout=0.2)
    assert booted_host.run("pgrep", "-f", "sleep 9876[5]", check=False).stdout == ""


def test_unit_run_is_inside_the_control_groups(booted_host: Machine) -> None:
    done = booted_host.unit_run("sh", "-c", "cat - /proc/self/cgroup; id -un", input="in ", properties=["User=nobody"])
    assert done.stdout.startswith("in ")
    assert "/system.slice/run-" in done.stdout
    assert done.stdout.endswith("nobody\n")


def test_files(booted_host: Machine, tmp_path: Path) -> None:
    booted_host.write("/srv/made/secret", "text", mode=0o600)
    assert booted_host.read("/srv/made/secret") == "text"
    assert booted_host.run("stat", "-c", "%a %U", "/srv/made/secret").stdout == "600 root\n"
    booted_host.run("ln", "-s", "/nowhere", "/srv/made/dangling")
    assert booted_host.exists("/srv/made/dangling")
    assert not booted_host.exists("/nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/program").write_bytes(b"\0\xff")
    (tmp_path / "folder/program").chmod(0o755)
    booted_host.copy_in(tmp_path, "/srv/copied")
    booted_host.copy_in(tmp_path / "folder/program", "/srv/other/program")
    assert booted_host.run("cmp", "/srv/copied/folder/program", "/srv/other/program").returncode == 0
    assert booted_host.run("stat", "-c", "%a", "/srv/other/program").stdout == "755\n"


def test_listing_shows_what_changed_and_nothing_else(booted_host: Machine) -> None:
    booted_host.write("/srv/listing/stays", "as it was")
    booted_host.write("/srv/listing/goes", "")
    booted_host.write("/srv/listing/changes", "one")
    before = booted_host.snapshot_files()
    booted_host.run("rm", "/srv/listing/goes")
    booted_host.write("/srv/listing/changes", "two")
    booted_host.run("chmod", "750", "/srv/listing")
    booted_host.run("ln", "-s", "/etc/passwd", "/srv/listing/comes")
    found = files.difference(before, booted_host.snapshot_files())
    assert found
    assert {path: entry.content for path, entry in found.added.items()} == {"/srv/listing/comes": "/etc/passwd"}
    assert list(found.removed) == ["/srv/listing/goes"]
    assert sorted(found.changed) == ["/srv/listing", "/srv/listing/changes"]
    assert "+ /srv/listing/comes symlink 0777 0:0 /etc/passwd" in str(found)


def test_journal(booted_host: Machine) -> None:
    end = booted_host.journal_end()
    booted_host.run("systemd-run", "--wait", "--quiet", "sh", "-c", "echo '<4>first'; echo '<6>second'")
    booted_host.run("journalctl", "--sync")
    found = [entry for entry in booted_host.journal(after=end) if entry.get("SYSLOG_IDENTIFIER") == "sh"]
    assert [(entry["PRIORITY"], entry["MESSAGE"]) for entry in found] == [("4", "first"), ("6", "second")]
    unit = found[0]["_SYSTEMD_UNIT"]
    only = booted_host.journal(unit, priority="warning", fields=["MESSAGE"])
    assert [entry["MESSAGE"] for entry in only] == ["first"]
    assert {name for name in only[0] if not name.startswith("__")} <= {"MESSAGE", "_BOOT_ID"}


def test_wait_unit_says_why(booted_host: Machine) -> None:
    booted_host.write(
        "/run/systemd/system/bad.service", "[Service]\nType=oneshot\nExecStart=sh -c 'echo because; exit 1'\n"
    )
    booted_host.run("systemctl", "start", "bad.service", check=False)
    with pytest.raises(AssertionError, match=r"(?s)bad\.service is failed, not active.*because"):
        booted_host.wait_unit("bad.service")
    booted_host.wait_unit("bad.service", "failed")
    assert "bad.service" in booted_host.failed_units()


def test_images_without_the_internet(booted_host: Machine) -> None:
    first = docker.make_image(booted_host, "test/image:1", [(3_000_000, 1), (10, 2)])
    again = docker.make_image(booted_host, "test/same", [(3_000_000, 1), (10, 2)])
    assert first == again, "the same seeds make the same image"
    assert docker.make_image(booted_host, "test/other", [(3_000_000, 3)]) != first
    docker.remove_image(booted_host, "test/same")
    assert docker.push(booted_host, "localhost:1/test:1").returncode != 0
    assert docker.login(booted_host, "localhost:1", "user", "password").returncode != 0


def test_two_hosts_talk(booted_host: Machine, base_tree: Path) -> None:
    with Machine.boot(base_tree, "other", docker=False) as other:
        assert other.unit_state("docker.service") == "inactive"
        refused = other.run("curl", "-sS", f"http://{booted_host.address}:81/", check=False)
        assert "refused" in refused.stderr or "connect to" in refused.stderr, refused.stderr
        outside = other.run("curl", "-sS", "--max-time", "3", "http://192.0.2.1/", check=False)
        assert outside.returncode != 0, "the host's network must lead nowhere"


def test_stopping_a_service_stops_it_on_one_host_only(booted_host: Machine, base_tree: Path) -> None:
    with Machine.boot(base_tree, "other") as other:
        other.run("systemctl", "kill", "--signal=KILL", "docker.service")
        other.wait_unit("docker.service")  # restarted by systemd
        assert booted_host.run("systemctl", "show", "-P", "NRestarts", "docker.service").stdout == "0\n"
        other.run("systemctl", "stop", "docker.service", "docker.socket")
    assert booted_host.run("docker", "info").returncode == 0


def test_what_survives(fresh_host: Machine) -> None:
    leader, machine_id = fresh_host.leader, fresh_host.read("/etc/machine-id")
    docker.make_image(fresh_host, "test/kept")
    fresh_host.write("/etc/kept", "one")
    fresh_host.write("/run/lost", "")
    fresh_host.reboot()
    assert fresh_host.leader != leader
    assert fresh_host.read("/etc/kept") == "one"
    assert not fresh_host.exists("/run/lost")
    fresh_host.write("/etc/kept", "two")
    fresh_host.run("sync", "/etc/kept")
    fresh_host.power_cut()
    assert fresh_host.read("/etc/kept") == "two"
    assert fresh_host.read("/etc/machine-id") == machine_id
    assert docker.image_id(fresh_host, "test/kept")
    assert len({entry["_BOOT_ID"] for entry in fresh_host.journal(since_boot=False, fields=["_BOOT_ID"])}) == 3
    fresh_host.shutdown()
    with pytest.raises(RuntimeError, match="is off"):
        fresh_host.run("true")
    assert (fresh_host.disk / "etc/kept").read_text() == "two"
    fresh_host.start()
    assert fresh_host.read("/etc/kept") == "two"


def test_install_and_copy(base_tree: Path) -> None:
    with Machine.boot(base_tree, "first", docker=False) as first:
        first.install("python3-passlib", "nginx")
        first.wait_unit("nginx.service")
        assert first.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://first/").stdout == "200"
        with pytest.raises(RuntimeError, match="shut it down"):
            Machine.boot(first, "copy")
        first.shutdown()
        with Machine.boot(first, "copy", docker=False) as copy:
            copy.wait_unit("nginx.service")
            copy.run("rm", "/usr/sbin/nginx")
        with Machine.boot(first, "copy", docker=False) as copy:
            assert copy.exists("/usr/sbin/nginx"), "a copy changes only itself"
            assert copy.read("/etc/machine-id").strip()


def test_nothing_is_left_behind(base_tree: Path) -> None:
    with Machine.boot(base_tree, "ends", volatile=False, docker=False) as machine:
        folder, leader = machine.disk.parent, machine.leader
        group = Path((folder / "group").read_text())
        assert group.is_dir()
    assert not folder.exists()
    assert not group.exists()
    assert not Path(f"/proc/{leader}").exists()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()


def test_a_killed_run_is_cleaned_up_by_the_next(base_tree: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.hosts.machine import Machine\n"
        "m = Machine.boot(Path(sys.argv[1]), 'killed', docker=False); print(m.leader, m.disk.parent, flush=True)\n"
        "time.sleep(600)"
    )
    checkout = Path(__file__).resolve().parents[2]
    argv = [sys.executable, "-c", program, str(base_tree)]
    with subprocess.Popen(argv, cwd=checkout, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        leader, folder = run.stdout.readline().split()
        os.kill(run.pid, signal.SIGKILL)
    namespaces = Path("/run/netns")
    assert Path(folder).exists()
    assert Path(f"/proc/{leader}").exists()
    with Machine.boot(base_tree, "next", docker=False) as machine:
        assert not Path(folder).exists()
        machine.wait_for("the end of the other host", lambda: not Path(f"/proc/{leader}").exists(), timeout=5)
        assert not list(namespaces.glob(f"secreg-{run.pid}-*"))


def test_a_tree_is_built_once(base_tree: Path, release: str) -> None:
    assert tree.base(release) == base_tree
    assert tree.recipe(release).name == base_tree.name


def test_a_shell_on_a_terminal(base_tree: Path, release: str) -> None:
    """`make host`: a login on a terminal, with job control, and the host is gone when it ends."""
    argv = [sys.executable, "-m", "tests.hosts.shell", "--release", release, "--no-docker"]
    shown = answering(argv, ("host:~# ", "tty; jobs; systemctl is-active dbus"), ("host:~# ", "exit"))
    assert "/dev/pts/" in shown and "\nactive" in shown.replace("\r", "") and "no job control" not in shown
