"""What `trust show` prints, run by sh: no other registry's file is overwritten, and that is told by the exit code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from secreg_host.clients import elsewhere, served
from secreg_host.host.host import Host
from tests.unit.clients.test_trust import generation
from tests.unit.pki.test_clientrules import CA, OTHER

NAME = "reg.example.org"
PLACES = (f"docker/certs.d/{NAME}:5000/ca.crt", f"containerd/certs.d/{NAME}:5000/ca.crt")
HOSTS = f"containerd/certs.d/{NAME}:5000/hosts.toml"


class Machine:
    """Another machine: a directory as its /etc, docker and containerd installed, a registry that serves its CA."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.etc, self.programs = folder / "etc", folder / "bin"
        self.programs.mkdir()
        (folder / "served").write_bytes(CA.crt)
        fakes = {
            "id": "echo 0",
            "docker": "exit 0",
            "containerd": "exit 0",
            "sudo": 'exec "$@"',
            "curl": f'for last in "$@"; do if [ "$output" = next ]; then cp {folder}/served "$last"; done=1; fi; '
            f'case $last in --output) output=next;; *) output=;; esac; done; [ "$done" ] || cat {folder}/served',
        }
        for name, text in fakes.items():
            (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.programs / name).chmod(0o755)
        known = served.of(generation(names=(NAME,), ca=CA.crt))
        shown = [elsewhere.show(host.paths, known, line=line) for line in (False, True)]
        self.script, self.line = (text.replace("/etc/", f"{self.etc}/") for text in shown)

    def run(self, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.programs}:/usr/bin:/bin", **environment}
        return subprocess.run(["sh"], input=text, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def machine(tmp_path: Path, host: Host) -> Machine:
    return Machine(tmp_path, host)


def test_the_script_writes_what_is_missing_and_a_second_run_nothing(machine: Machine) -> None:
    done = machine.run(machine.script)
    assert done.returncode == 0, done
    assert all((machine.etc / place).read_bytes() == CA.crt for place in PLACES)
    assert "now log in" in done.stdout and "wrote" in done.stdout
    again = machine.run(machine.script)
    assert again.returncode == 0 and "wrote" not in again.stdout


@pytest.mark.parametrize("place", [*PLACES, HOSTS])
def test_the_script_leaves_another_registrys_file(machine: Machine, place: str) -> None:
    path = machine.etc / place
    path.parent.mkdir(parents=True)
    path.write_bytes(OTHER.crt)
    done = machine.run(machine.script)
    assert done.returncode == 1 and f"{path} is there and differs" in done.stderr and "REPLACE=1" in done.stderr
    assert path.read_bytes() == OTHER.crt
    assert (machine.etc / PLACES[0]).read_bytes() == (OTHER.crt if place == PLACES[0] else CA.crt)
    assert (machine.etc / HOSTS).exists() is (place != PLACES[1]), "nothing half: without its CA no hosts.toml"
    assert machine.run(machine.script, REPLACE="1").returncode == 0
    assert (machine.etc / PLACES[0]).read_bytes() == CA.crt and path.read_bytes() != OTHER.crt


def test_the_script_writes_through_no_link(machine: Machine, tmp_path: Path) -> None:
    path, theirs = machine.etc / PLACES[0], tmp_path / "theirs.pem"
    path.parent.mkdir(parents=True)
    theirs.write_bytes(OTHER.crt)
    path.symlink_to(theirs)
    assert machine.run(machine.script).returncode == 1
    assert machine.run(machine.script, REPLACE="1").returncode == 0
    assert theirs.read_bytes() == OTHER.crt and path.read_bytes() == CA.crt and not path.is_symlink()


def test_what_can_not_be_written_is_a_failure(machine: Machine) -> None:
    (machine.etc / "docker").mkdir(parents=True)
    (machine.etc / "docker/certs.d").write_text("no directory")
    done = machine.run(machine.script)
    assert done.returncode == 1 and f"wrote {machine.etc}/docker" not in done.stdout


def test_the_line_leaves_another_registrys_file(machine: Machine) -> None:
    path = machine.etc / PLACES[0]
    assert machine.run(machine.line).returncode == 0
    assert path.read_bytes() == CA.crt
    assert machine.run(machine.line).returncode == 0
    path.write_bytes(OTHER.crt)
    done = machine.run(machine.line)
    assert done.returncode == 1 and f"{path} is there and differs" in done.stderr
    assert path.read_bytes() == OTHER.crt
