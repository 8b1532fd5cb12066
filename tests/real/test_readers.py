"""What must not keep a removed user in: for each file one that hangs, is huge or that its reader chokes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests import der, silent
from tests.real.program import Instance
from tests.unit.test_readers import bomb


def fifo(instance: Instance, name: str) -> None:
    (instance.etc / name).unlink()
    os.mkfifo(instance.etc / name)


def link(instance: Instance, name: str, target: str | Path) -> None:
    (instance.etc / name).unlink()
    (instance.etc / name).symlink_to(target)


def odd(instance: Instance, **fields: object) -> None:
    """A certificate for the key that is there, with odd fields."""
    served = x509.load_pem_x509_certificate((instance.etc / "docker-registry.crt").read_bytes()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key = served.public_bytes(serialization.Encoding.DER, form)
    instance.write("docker-registry.crt", der.pem(der.certificate(key, **fields)))  # type: ignore[arg-type]


def included(instance: Instance) -> None:
    os.mkfifo(instance.etc / "pipe.conf")
    instance.edit("nginx.conf", "http {", "http { include pipe.conf;")


def settings(line: str) -> Callable[[Instance], None]:
    return lambda it: it.write("secure-registry.conf", f"PORT={it.port}\n{line}\n")


Spoil = Callable[[Instance], object]
ROUNDS: dict[str, dict[str, tuple[Spoil, str]]] = {
    "pipes": {
        "nginx.conf": (lambda it: fifo(it, "nginx.conf"), "a pipe"),
        "secure-registry.conf": (lambda it: fifo(it, "secure-registry.conf"), "a pipe"),
        "docker-registry.crt": (lambda it: fifo(it, "docker-registry.crt"), "a pipe"),
    },
    "bombs": {
        "nginx.conf": (lambda it: it.write("nginx.conf", b"#" * (98 << 20)), f"{98 << 20} bytes"),
        "docker-registry.yml": (lambda it: it.write("docker-registry.yml", bomb()), "values"),
        "secure-registry.conf": (settings("NGINX_BINARY=/usr/sbin/nignx"), "program not found: /usr/sbin/nignx"),
        "docker-registry.crt": (lambda it: odd(it, version=der.VERSIONS[1]), "the certificate there is"),
    },
    "odd ones": {
        "pipe.conf": (included, "a pipe"),
        "docker-registry.yml": (lambda it: link(it, "docker-registry.yml", "/dev/zero"), "a device"),
        "openssl.cnf": (lambda it: fifo(it, "openssl.cnf"), "a pipe"),
        "docker-registry.crt": (lambda it: odd(it, extensions=(der.EXTENSIONS[0],) * 2), "is malformed"),
    },
    "the rest": {
        "nginx.conf": (lambda it: link(it, "nginx.conf", "nginx.conf"), "links lead in a circle"),
        "docker-registry.yml": (lambda it: it.write("docker-registry.yml", b"[" * 900_000), "nested"),
        "secure-registry.conf": (settings("REGISTRY_BINARY=/bin/regsitry"), "program not found: /bin/regsitry"),
        "docker-registry.crt": (lambda it: link(it, "docker-registry.crt", "/nowhere"), "which does not exist"),
    },
}


@contextlib.contextmanager
def bob(instance: Instance) -> Iterator[None]:
    """A user who can log in, and is removed at the end of the block; then he is out, and nobody else."""
    instance.take_over("htpasswd", "-b", "bob", "secret")
    assert instance.ask("/v2/", user="bob", password="secret").status == 200
    yield
    said = instance.take_over("htpasswd", "-D", "bob")
    assert instance.ask("/v2/", user="bob", password="secret").status == 401, said
    assert instance.ask("/v2/", user="docker").status == 200, said


@pytest.mark.promise("reading", "removed-user-is-out")
@pytest.mark.parametrize("name", ROUNDS)
def test_whatever_its_files_are_a_removed_user_is_out(serving: Instance, name: str) -> None:
    """Each of a round is told by its name, and none is a bug's traceback."""
    with bob(serving):
        for spoil, _ in ROUNDS[name].values():
            spoil(serving)
    status = serving.run("status")
    assert (status.returncode, status.stderr) == (3, ""), status
    for file, (_, told) in ROUNDS[name].items():
        lines = [line for line in status.stdout.splitlines() if told in line]
        assert any(f"{serving.etc}/{file}" in line for line in status.stdout.splitlines()) and lines, status.stdout
    assert "Traceback" not in "".join(serving.said) and "a bug in" not in status.stdout
    for file in ROUNDS[name]:
        (serving.etc / file).unlink()


@pytest.mark.parametrize("pattern", ["/**x/*.conf", "{root}/conf/**/x*.conf"])
def test_two_stars_are_one(serving: Instance, pattern: str) -> None:
    """nginx takes it as one, so it is no reason to hold anything back."""
    with bob(serving):
        serving.edit("nginx.conf", "http {", f"http {{ include {pattern.format(root=serving.root)};")
    assert serving.run("status").returncode == 0


@pytest.mark.promise("users-come-first")
def test_a_certificate_on_a_server_that_is_gone(serving: Instance) -> None:
    """What a dead NFS server does: nobody ever answers. The program is told so, and goes on."""
    assert os.geteuid() == 0, "only root can mount a file system that never answers"
    point = serving.root / "net"
    with silent.mounted(point):
        with bob(serving):
            for name in ("docker-registry.crt", "docker-registry.key", "conf"):
                (serving.etc / name).unlink(missing_ok=True)
                (serving.etc / name).symlink_to(point / name)
        status = serving.run("status").stdout
        assert f"{serving.etc}/docker-registry.crt: {point} does not answer" in status, status
    (serving.etc / "conf").unlink()
