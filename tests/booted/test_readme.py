"""What README.md tells people to type, typed: each line of each code block, in its order, on a booted host.

A line that is new or changed finds its way in WAYS, or fails the test with a word of what to do.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import readme
from tests.booted.registry import ETC, Registry
from tests.hosts import docker
from tests.hosts.machine import Machine
from tests.hosts.terminal import answering

RELEASE = "bookworm"
"""One is enough: what is typed is the same on each."""

NAME = "registry.example.org"
CHECKOUT = Path(__file__).resolve().parents[2]


class Typist:
    """Somebody who follows README.md on a fresh host."""

    def __init__(self, machine: Machine, deb: Path) -> None:
        self.machine = machine
        self.registry = Registry(machine)
        machine.copy_in(deb, f"/root/{deb.name}")
        machine.write("/etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')
        machine.run("sh", "-c", f"echo 127.0.0.1 {NAME} >> /etc/hosts")
        machine.run("useradd", "--create-home", "guest")

    def answer(self, user: str) -> str:
        """The status that `user` gets, whoever signed the certificate by now."""
        return self.registry.curl("/v2/", "--insecure", user=user).stdout.rpartition("\n")[2]

    def shell(self, command: str) -> None:
        self.machine.run("bash", "-c", f"cd; set -e; {command}")

    def install(self, command: str) -> None:
        self.machine.run("bash", "-c", f"cd; {command}", network="outside", timeout=600)

    def tag(self, command: str) -> None:
        docker.make_image(self.machine, "alpine:latest")
        self.shell(command)

    def settings(self, command: str) -> None:
        """Names, an address and a user of one's own, at the first start: a CA that is there already has its limits."""
        self.machine.run("secure-registry", "uninstall", "--purge")
        self.shell(command)
        assert self.answer("crazy:fool") == "200"
        assert NAME in self.registry.command("status").stdout

    def line(self, command: str) -> None:
        """What it prints is pasted; here the other host is the same one."""
        line = self.machine.run(*command.split()).stdout
        argv = self.machine.command("bash", "-c", line)
        assert "Login Succeeded" in answering(argv, ("Username", "crazy"), ("Password", "fool"))

    def piped(self, command: str) -> None:
        """There is no ssh between hosts here."""
        self.shell(re.sub(r"ssh \S+ ", "", command))
        assert self.machine.exists(f"/etc/docker/certs.d/{NAME}/ca.crt")
        self.shell("rm -r /etc/docker/certs.d /etc/containers/certs.d /etc/containerd/certs.d")

    def check(self, command: str) -> None:
        """The address in README is none of this host, so it is not reached."""
        said = self.machine.run(*command.split(), check=False).stdout
        for client in ("docker", "podman", "containerd"):
            assert re.search(rf"(?m)^{client} +{re.escape(NAME)} +accepts it", said), said

    def own_certificate(self, command: str) -> None:
        live = f"/etc/letsencrypt/live/{NAME}"
        before = self.registry.fingerprint()
        if not self.machine.exists(live):
            self.shell(
                f"mkdir -p {live}; openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN={NAME} "
                f"-addext subjectAltName=DNS:{NAME} -keyout {live}/privkey.pem -out {live}/fullchain.pem 2>/dev/null"
            )
        self.shell(command)
        if "privkey" in command:
            self.machine.wait_for("the new certificate", lambda: self.registry.fingerprint() != before)

    def alice(self, command: str) -> None:
        """Asked on a terminal; what is typed is not shown."""
        argv = self.machine.command(*command.split())
        shown = answering(argv, ("password", "secret-of-alice"), ("password", "secret-of-alice"))
        assert "secret-of-alice" not in shown
        assert self.answer("alice:secret-of-alice") == "200"

    def no_alice(self, command: str) -> None:
        self.shell(command)
        assert self.answer("alice:secret-of-alice") == "401"

    def bob(self, command: str) -> None:
        self.machine.write("/root/file", "secret-of-bob\n", 0o600)
        self.shell(command)
        assert self.answer("bob:secret-of-bob") == "200"

    def debugged(self, command: str) -> None:
        """It follows what comes; here, what has come by then."""
        self.machine.run("sh", "-c", f"echo '# seen' >> {ETC}/nginx.conf")
        shown = command.replace(" -f", "")
        self.machine.wait_for("an apply", lambda: " apply: " in self.machine.run("sh", "-c", shown).stdout)

    def foreground(self, command: str) -> None:
        """Without root: until it says how to log in."""
        argv = self.machine.command("runuser", "-u", "guest", "--", "bash", "-c", f"cd ~; exec {command}")
        argv[argv.index("HOME=/root")] = "HOME=/home/guest"
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if "log in with" in line:
                    break
            self.machine.run("pkill", f"-{signal.SIGTERM.value}", "-u", "guest", "-f", "secure-registry start")
            process.stdout.read()
        assert any("log in with" in line for line in said), said


WAYS: tuple[tuple[str, Callable[[Typist, str], None] | str], ...] = (
    (r"apt-get update && apt-get install -y make", Typist.install),
    (r"make start", "make deb built the package that is tried here; for the rest see test_make_start, test_bare_tree"),
    (r"make check", "it is what runs this"),
    (r"apt install \./secure-registry_.*\.deb", Typist.install),
    (r"systemctl enable --now secure-registry", Typist.shell),
    (r"docker login -u docker --password-stdin .*", Typist.shell),
    (r"docker tag alpine .*", Typist.tag),
    (r"docker (push|pull) 127\.0\.0\.1/alpine", Typist.shell),
    (r"SERVER_NAME=\S+ SERVER_IP=\S+ USERNAME=crazy PASSWORD=fool secure-registry start", Typist.settings),
    (r"secure-registry trust show --line", Typist.line),
    (r"secure-registry trust show \| ssh \S+ sh", Typist.piped),
    (r"secure-registry trust check", Typist.check),
    (r"secure-registry trust (install|remove)( [a-z]+)*", Typist.shell),
    (r"ln -sf /etc/letsencrypt/\S+\s+\S+", Typist.own_certificate),
    (r"secure-registry htpasswd alice", Typist.alice),
    (r"secure-registry htpasswd -D alice", Typist.no_alice),
    (r"secure-registry htpasswd -i bob < file", Typist.bob),
    (r"secure-registry start --foreground .*", Typist.foreground),
    (r"secure-registry backup create /srv/backup", Typist.shell),
    (r"secure-registry (status|reload|setup|gencert|users)", Typist.shell),
    (r"systemctl (set-environment SECREG_DEBUG=1|restart secure-registry-watchdog)", Typist.shell),
    (r"journalctl -f -u 'secure-registry\*'", Typist.debugged),
)
"""What is done with a line that matches; a text is the reason why it is not typed here."""


def way(line: readme.Line) -> Callable[[Typist, str], None] | str | None:
    return next((how for pattern, how in WAYS if re.fullmatch(pattern, line.command)), None)


@pytest.mark.promise("lines-to-type")
def test_each_line_of_the_readme(base_tree: Path, release: str, deb: Path) -> None:
    lines = readme.block_lines()
    unknown = [str(line) for line in lines if way(line) is None]
    assert unknown == [], "README.md has lines that nobody tries: give each a way in WAYS, above"
    if release != RELEASE:
        return
    with Machine.boot(base_tree, "host") as machine:
        typist = Typist(machine, deb)
        for line in lines:
            how = way(line)
            if callable(how):
                try:
                    how(typist, line.command)
                except AssertionError as error:
                    raise AssertionError(f"{line}: {error}") from error
        typist.registry.expected.append("waiting: |certificate|it is not for")
        assert typist.registry.unexpected() == []
        assert machine.read(f"{ETC}/secure-registry.conf").count(NAME) >= 1


@pytest.mark.promise("make-start")
def test_make_start(base_tree: Path, release: str, deb: Path) -> None:
    """What `make start` does when `make deb` has built the package: it installs it, starts, and says how to log in."""
    if release != RELEASE:
        return
    with Machine.boot(base_tree, "host") as machine:
        machine.copy_in(deb, "/root/new.deb")
        machine.copy_in(CHECKOUT / "packaging", "/root/packaging")
        done = machine.run("/root/packaging/start", "/root/new.deb", timeout=600)
        assert "log in with: docker login " in done.stdout
        assert f"is in {ETC}/.password" in done.stdout
        registry = Registry(machine)
        assert registry.systemctl("is-enabled", "secure-registry").stdout.strip() == "enabled"
        assert registry.login().returncode == 0
        assert registry.unexpected() == []
