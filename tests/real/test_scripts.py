"""What `trust show` prints, run by sh: no other registry's file is overwritten, and that is told by the exit code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

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
            "curl": '[ "$1" = --noproxy ] || [ -z "${https_proxy:-}" ] || exit 7; '
            f'for last in "$@"; do if [ "$output" = next ]; then cp {folder}/served "$last"; done=1; fi; '
            f'case $last in --output) output=next;; *) output=;; esac; done; [ "$done" ] || cat {folder}/served',
        }
        for name, text in fakes.items():
            self.program(name, text)
        known = served.of(generation(names=(NAME,), ca=CA.crt))
        shown = [
            elsewhere.show(host.paths, known, line=line, within=within)
            for within in (False, True)
            for line in (False, True)
        ]
        texts = (text.replace("/etc/", f"{self.etc}/") for text in shown)
        self.script, self.line, self.whole_script, self.whole_line = texts

    def program(self, name: str, text: str) -> None:
        """Put one there."""
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

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


@pytest.mark.promise("script-leaves-others")
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


@pytest.mark.promise("script-leaves-others")
def test_the_line_leaves_another_registrys_file(machine: Machine) -> None:
    path = machine.etc / PLACES[0]
    assert machine.run(machine.line).returncode == 0
    assert path.read_bytes() == CA.crt
    assert machine.run(machine.line).returncode == 0
    path.write_bytes(OTHER.crt)
    done = machine.run(machine.line)
    assert done.returncode == 1 and f"{path} is there and differs" in done.stderr
    assert path.read_bytes() == OTHER.crt


@pytest.mark.promise("script-proxy")
@pytest.mark.parametrize("text", ["script", "line"])
def test_a_proxy_that_does_not_know_the_registry_is_gone_round(machine: Machine, text: str) -> None:
    done = machine.run(getattr(machine, text), https_proxy="http://proxy.test:1")
    assert done.returncode == 0, done
    assert (machine.etc / PLACES[0]).read_bytes() == CA.crt


@pytest.mark.promise("script-checks-the-ca")
@pytest.mark.parametrize("text", ["whole_script", "whole_line"])
def test_the_ca_may_stand_in_what_is_printed(machine: Machine, text: str) -> None:
    """Whoever has no certificate of his own is not given /ca.crt then: curl --fail would be 22, wget 8."""
    machine.program("curl", 'for word; do [ "$word" != --fail ] && [ "$word" != -fsSk ] || exit 22; done')
    done = machine.run(getattr(machine, text))
    assert done.returncode == 0, done
    assert (machine.etc / PLACES[0]).read_bytes() == CA.crt
    (machine.etc / PLACES[0]).unlink()
    machine.program("curl", "exit 7")
    assert machine.run(getattr(machine, text)).returncode == 1, "nobody answers under that name"
    assert not (machine.etc / PLACES[0]).exists()


def test_a_proxy_of_dockerd_is_told(machine: Machine) -> None:
    machine.program("docker", "echo http://proxy.test:1")
    assert f"add {NAME}:5000 to NO_PROXY of docker.service" in machine.run(machine.script).stdout


@pytest.mark.promise("k3s")
@pytest.mark.parametrize("kind", ["k3s", "rke2"])
def test_k3s_is_told_and_a_registries_yaml_that_is_there_stays(machine: Machine, kind: str) -> None:
    place = machine.etc / "rancher" / kind
    place.mkdir(parents=True)
    done = machine.run(machine.script)
    assert done.returncode == 0 and f"restart {kind}" in done.stdout
    ca, written = place / "secure-registry-ca.crt", (place / "registries.yaml").read_text()
    assert ca.read_bytes() == CA.crt
    assert yaml.safe_load(written) == {"configs": {f"{NAME}:5000": {"tls": {"ca_file": str(ca)}}}}
    assert machine.run(machine.script).returncode == 0
    theirs = "configs:\n  other.test:\n    auth: {}\n"
    (place / "registries.yaml").write_text(theirs)
    done = machine.run(machine.script, REPLACE="1")
    assert done.returncode == 1 and written.splitlines()[1] in done.stderr
    assert (place / "registries.yaml").read_text() == theirs
    (place / "registries.yaml").write_text(f"{theirs}  {NAME}:5000:\n    tls:\n      ca_file: {ca}\n")
    assert machine.run(machine.script).returncode == 0


@pytest.mark.promise("script-kubernetes")
@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("", "set config_path"),
        ('# config_path = "/etc/containerd/certs.d"\n', "set config_path"),
        ('[plugins."io.containerd.grpc.v1.cri".registry]\n config_path = "/etc/containerd/certs.d"\n', ""),
        ('[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\n', "leave config_path out"),
        ('[plugins."io.containerd.grpc.v1.cri".registry.configs."a".tls]\n', "leave config_path out"),
    ],
)
def test_a_kubernetes_node_is_told_what_containerd_needs(machine: Machine, conf: str, said: str) -> None:
    (machine.etc / "containerd").mkdir(parents=True)
    (machine.etc / "containerd/config.toml").write_text(conf.replace("/etc/", f"{machine.etc}/"))
    assert machine.run(machine.script).returncode == 0, "no node"
    machine.program("kubelet", "exit 0")
    done = machine.run(machine.script)
    assert done.returncode == bool(said) and said in done.stderr and ("config_path" in done.stderr) is bool(said)


@pytest.mark.promise("script-system-store")
def test_the_systems_store_is_offered(machine: Machine) -> None:
    machine.program("update-ca-certificates", "exit 0")
    assert "run this with SYSTEM=1" in machine.run(machine.script).stdout
    script = machine.script.replace("/usr/local/", f"{machine.etc}/")
    done = machine.run(script, SYSTEM="1")
    assert done.returncode == 0 and "SYSTEM=1" not in done.stdout
    assert (machine.etc / "share/ca-certificates/secure-registry.crt").read_bytes() == CA.crt
    machine.program("update-ca-certificates", "exit 3")
    (machine.etc / "share/ca-certificates/secure-registry.crt").unlink()
    assert machine.run(script, SYSTEM="1").returncode != 0


def test_where_no_client_is_nothing_is_done_and_that_is_no_success(machine: Machine) -> None:
    for name in ("docker", "containerd"):
        (machine.programs / name).unlink()
    for name in ("sh", "cat", "cp", "rm", "mkdir", "mktemp", "sed", "grep", "base64", "sha256sum"):
        (machine.programs / name).symlink_to(f"/usr/bin/{name}")
    done = machine.run(machine.script, PATH=str(machine.programs))
    assert done.returncode == 1 and "no client is here" in done.stderr
