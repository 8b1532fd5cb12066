"""The clients of Debian on a booted host: docker, podman, skopeo and containerd's ctr. Each logs in (where it can),
pushes a small image and pulls it back; None is right, anything else is what the client said."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tests.hosts.commands import Result
from tests.hosts.machine import Machine

ROOTFS, ARCHIVE = "/root/rootfs.tar", "/root/image.tar"
CERTS_D = "/etc/containerd/certs.d"


def prepare(machine: Machine) -> None:
    """One image with one program, known to each client."""
    machine.run(
        "sh", "-c", f"mkdir -p /root/image && cp /bin/busybox /root/image/ && tar -C /root/image -cf {ROOTFS} ."
    )
    machine.run("docker", "import", "--change", 'ENTRYPOINT ["/busybox"]', ROOTFS, "small:1")
    machine.run("docker", "save", "--output", ARCHIVE, "small:1")
    machine.run("podman", "import", "--quiet", ROOTFS, "localhost/small:1")
    machine.run("ctr", "images", "import", ARCHIVE)


def run_container(machine: Machine, name: str) -> str:
    """A container that does nothing, and ends at once when dockerd is stopped; returns its process id."""
    idle = ("--detach", "--stop-signal=KILL", "--name", name, "small:1", "sleep", "1000000")
    machine.run("docker", "run", *idle)
    return pid(machine, name)


def pid(machine: Machine, name: str) -> str:
    return machine.run("docker", "inspect", "--format={{.State.Pid}} {{.State.Status}}", name).stdout.strip()


@dataclass(frozen=True)
class Client(ABC):
    """A client of `machine`; password: that of user docker."""

    machine: Machine
    password: str

    def __str__(self) -> str:
        return type(self).__name__.lower()

    def takes(self, address: str) -> bool:
        """Whether the client can name an image at `address`: most know no IPv6 addresses there, only at login."""
        return "[" not in address

    @abstractmethod
    def login(self, address: str) -> str | None: ...

    @abstractmethod
    def push(self, address: str) -> str | None: ...

    @abstractmethod
    def pull(self, address: str) -> str | None: ...

    def forget(self) -> None:
        """Log out everywhere."""
        self.machine.run("rm", "-rf", "/root/.docker", "/run/containers/0/auth.json")

    def works(self, address: str) -> str | None:
        """All of it; what went wrong."""
        steps = [self.login, self.push, self.pull] if self.takes(address) else [self.login]
        for step in steps:
            if (said := step(address)) is not None:
                return f"{self} {step.__name__} {address}: {said}"
        return None

    def _said(self, *argv: str, secret: bool = False) -> str | None:
        done: Result = self.machine.run(*argv, check=False, input=self.password if secret else None)
        return None if done.returncode == 0 else (done.stderr + done.stdout).strip()


class Docker(Client):
    def takes(self, address: str) -> bool:
        return super().takes(address) or self.machine.run("docker", "--version").stdout.split()[2] > "23"

    def login(self, address: str) -> str | None:
        return self._said("docker", "login", "--username=docker", "--password-stdin", address, secret=True)

    def push(self, address: str) -> str | None:
        self.machine.run("docker", "tag", "small:1", f"{address}/docker:1")
        return self._said("docker", "push", "--quiet", f"{address}/docker:1")

    def pull(self, address: str) -> str | None:
        self.machine.run("docker", "image", "rm", f"{address}/docker:1")
        return self._said("docker", "pull", "--quiet", f"{address}/docker:1")


class Podman(Client):
    def login(self, address: str) -> str | None:
        return self._said("podman", "login", "--username=docker", "--password-stdin", address, secret=True)

    def push(self, address: str) -> str | None:
        return self._said("podman", "push", "--quiet", "localhost/small:1", f"docker://{address}/podman:1")

    def pull(self, address: str) -> str | None:
        return self._said("podman", "pull", "--quiet", f"{address}/podman:1")


class Skopeo(Client):
    def login(self, address: str) -> str | None:
        return self._said("skopeo", "login", "--username=docker", "--password-stdin", address, secret=True)

    def push(self, address: str) -> str | None:
        return self._said("skopeo", "copy", "--quiet", f"docker-archive:{ARCHIVE}", f"docker://{address}/skopeo:1")

    def pull(self, address: str) -> str | None:
        self.machine.run("rm", "-rf", "/root/pulled")
        return self._said("skopeo", "copy", "--quiet", f"docker://{address}/skopeo:1", "dir:/root/pulled")


class Ctr(Client):
    """containerd's own client; it knows no login, and looks into certs.d only when it is told to."""

    def takes(self, address: str) -> bool:
        return True

    def login(self, address: str) -> str | None:
        return None

    def push(self, address: str) -> str | None:
        self.machine.run("ctr", "images", "tag", "--force", "docker.io/library/small:1", f"{address}/ctr:1")
        return self._said("ctr", "images", "push", *self._how(), f"{address}/ctr:1")

    def pull(self, address: str) -> str | None:
        self.machine.run("ctr", "images", "rm", f"{address}/ctr:1")
        return self._said("ctr", "images", "pull", *self._how(), f"{address}/ctr:1")

    def _how(self) -> tuple[str, ...]:
        return f"--hosts-dir={CERTS_D}", f"--user=docker:{self.password}"


def of(machine: Machine, password: str) -> list[Client]:
    return [kind(machine, password) for kind in (Docker, Podman, Skopeo, Ctr)]
