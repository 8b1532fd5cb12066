"""README's set-up commands in any order: each does what it says after each other one, and takes nobody away.

A fixed dozen of pairs in the gate, all of them by `make chaos-readme`, or a part of them (SECREG_ORDERS=2/6: the second
of six).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.booted.registry import ETC, Registry
from tests.hosts.commands import Result
from tests.hosts.machine import Machine

NAME = "registry.example.org"
LIVE = f"/etc/letsencrypt/live/{NAME}"
NAMED = f"SERVER_NAME={NAME} SERVER_IP=192.0.2.10 USERNAME=crazy PASSWORD=fool secure-registry start"
NOT_OF_THIS_CA = f"may not sign {NAME}"


@dataclass
class Model:
    """What must be so after the commands until now. users: with their passwords (None: the one in .password)."""

    users: dict[str, str | None] = field(default_factory=dict)
    there: bool = False
    served: bool = False
    runs: bool = False
    enabled: bool = False
    named: bool = False
    waits: bool = False
    own: bool = False
    port: str = "443"

    def first(self, user: str = "docker", password: str | None = None) -> None:
        """What is missing is made, with this first user."""
        if not self.there or password is not None:
            self.users[user] = password
        self.there = True


@dataclass
class Typed:
    """One host; `model` is what was typed since it was fresh."""

    registry: Registry
    model: Model = field(default_factory=Model)

    def shell(self, command: str, input: str | None = None) -> Result:
        return self.registry.machine.run("bash", "-c", command, check=False, input=input)

    def did(self, done: Result, *codes: int) -> None:
        assert done.returncode in (codes or (0,)), done.stdout + done.stderr

    # --- what README tells to type ---
    def enable_now(self) -> None:
        self.did(self.shell("systemctl enable --now secure-registry"))
        self.model.first()
        self.model.runs = self.model.served = self.model.enabled = True

    def start(self) -> None:
        self.did(self.shell("secure-registry start"))
        self.model.first()
        self.model.runs = self.model.served = self.model.enabled = True

    def named_start(self) -> None:
        """With a CA of which clients may know, the name is refused for its limits; all else counts."""
        limits = self.model.served and not self.model.named and not self.model.own
        done = self.shell(NAMED)
        self.did(done, 3 if limits else 0)
        assert (NOT_OF_THIS_CA in done.stdout + done.stderr) == limits
        assert not limits or "gencert --new-ca" in done.stdout + done.stderr
        self.model.first("crazy", "fool")
        self.model.runs = self.model.served = self.model.enabled = True
        self.model.named, self.model.waits = self.model.named or not limits, limits

    def another_port(self) -> None:
        self.did(self.shell("PORT=8443 secure-registry start"))
        self.model.first()
        self.model.runs = self.model.served = self.model.enabled = True
        self.model.port = "8443"

    def setup(self) -> None:
        self.did(self.shell("secure-registry setup"))
        self.model.first()

    def alice(self) -> None:
        self.did(self.shell("secure-registry htpasswd -i alice", "secret\n"), 0 if self.model.there else 1)
        if self.model.there:
            self.model.users["alice"] = "secret"

    def gencert(self) -> None:
        self.did(self.shell("secure-registry gencert"), 2 if self.model.own else 0)

    def new_ca(self) -> None:
        self.did(self.shell("secure-registry gencert --new-ca"), 2 if self.model.own else 0)

    def own_certificate(self) -> None:
        self.did(self.shell(f"mkdir -p {ETC}; ln -sf {LIVE}/fullchain.pem {ETC}/docker-registry.crt"))
        self.did(self.shell(f"ln -sf {LIVE}/privkey.pem {ETC}/docker-registry.key"))
        self.model.own = True

    def stop(self) -> None:
        self.did(self.shell("secure-registry stop"))
        self.model.runs = False

    def restart(self) -> None:
        self.did(self.shell("systemctl restart secure-registry"))
        self.model.first()
        self.model.runs = self.model.served = True

    def reload(self) -> None:
        self.did(self.shell("secure-registry reload"), 0 if self.model.runs else 1)

    # --- what must be so then ---
    def check(self) -> None:
        """Let it run, and ask it for everybody."""
        model, machine = self.model, self.registry.machine
        assert (self.registry.systemctl("is-enabled", "secure-registry").returncode == 0) == model.enabled
        assert (machine.unit_state("secure-registry") == "active") == model.runs
        if not model.runs:
            self.did(self.shell("systemctl start secure-registry"))
            model.first()
        made = self.shell(f"cat {ETC}/.password").stdout.strip()
        assert bool(made) == (None in model.users.values()), "it is there as long as it is true"
        if model.waits and not model.own:
            self.did(self.shell("secure-registry gencert --new-ca"))
            model.named = True
        if model.own:
            machine.wait_for("the certificate that was brought", lambda: self.shown(LIVE) in self.served())
        for user, password in model.users.items():
            for word, status in ((password or made, "200"), ("wrong", "401")):
                assert self.answer(user, word) == status, (user, word)
        if model.named:
            assert f"DNS:{NAME}" in self.served()
            self.did(self.shell("secure-registry status"))
        if "crazy" in model.users:
            assert f"SERVER_NAME={NAME}\n" in machine.read(f"{ETC}/secure-registry.conf")

    def shown(self, live: str) -> str:
        return self.shell(f"openssl x509 -noout -fingerprint -in {live}/fullchain.pem").stdout.strip()

    def served(self) -> str:
        ask = f"openssl s_client -connect localhost:{self.model.port} </dev/null 2>/dev/null"
        return self.shell(f"{ask} | openssl x509 -noout -fingerprint -ext subjectAltName").stdout

    def answer(self, user: str, password: str) -> str:
        config = f'user = "{user}:{password}"\nurl = "https://localhost:{self.model.port}/v2/"\n'
        trust = "--insecure" if self.model.own else f"--cacert {ETC}/ca.crt"
        argv = f"curl --silent --max-time 20 {trust} --output /dev/null --write-out '%{{http_code}}' --config -"
        return self.shell(argv, config).stdout


COMMANDS: dict[str, Callable[[Typed], None]] = {
    "enable": Typed.enable_now,
    "start": Typed.start,
    "named": Typed.named_start,
    "port": Typed.another_port,
    "setup": Typed.setup,
    "alice": Typed.alice,
    "gencert": Typed.gencert,
    "new-ca": Typed.new_ca,
    "own": Typed.own_certificate,
    "stop": Typed.stop,
    "restart": Typed.restart,
    "reload": Typed.reload,
}
GATE = (
    *("enable named", "named enable", "start named", "named alice", "alice start", "setup named", "port named"),
    *("own start", "start own", "named new-ca", "setup restart", "start gencert"),
)


def pairs() -> list[tuple[str, ...]]:
    wanted = os.environ.get("SECREG_ORDERS")
    if not wanted:
        return [tuple(pair.split()) for pair in GATE]
    part, of = map(int, wanted.split("/"))
    return list(itertools.product(COMMANDS, repeat=2))[part - 1 :: of]


@pytest.fixture(scope="module")
def typed(installed_base: Machine) -> Iterator[Typed]:
    """One host for all, made fresh by the program's own purge."""
    with Machine.boot(installed_base, "host", docker=False) as machine:
        found = Typed(Registry(machine))
        found.did(
            found.shell(
                f"mkdir -p {LIVE}; openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN={NAME} -addext "
                f"subjectAltName=DNS:{NAME} -keyout {LIVE}/privkey.pem -out {LIVE}/fullchain.pem; "
                f"echo 127.0.0.1 {NAME} >> /etc/hosts"
            )
        )
        yield found


@pytest.mark.promise("ca-follows-names", "settings-take-no-user-away", "start-enables")
@pytest.mark.one_release(0)
def test_any_two_commands_in_any_order(typed: Typed) -> None:
    """Seen: named after enable replaced user docker, or was refused for what the file said; alone, it was gone after a
    reboot."""
    wrong = []
    for pair in pairs():
        print(*pair, flush=True)
        typed.did(typed.shell("secure-registry uninstall --purge; systemctl reset-failed"))
        typed.model = Model()
        try:
            for command in pair:
                COMMANDS[command](typed)
            typed.check()
        except AssertionError as error:
            wrong.append(f"{' '.join(pair)}: {error}")
    assert wrong == [], "\n".join(wrong)
