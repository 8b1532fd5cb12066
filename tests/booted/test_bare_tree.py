"""What README says under "In a hurry", on machines that have nothing but `make`: no systemd, no Python, no git.

They have this computer's network, for apt, so the registry gets a port of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import shutil
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests import readme
from tests.hosts.bare import BareTree
from tests.hosts.commands import Result
from tests.hosts.fixtures import releases
from tests.real.program import CHECKOUT
from tests.real.test_supply import IGNORED

RELEASES = releases() if "SECREG_TEST_RELEASES" in os.environ else [*releases(), "testing"]
HERE = "/srv/secure-registry"
ETC = "/etc/secure-registry"
ENDED = {"nginx", "docker-registry", "secure-registry", "apt-get"}


def free_port() -> int:
    """One that nobody is given by the kernel (ip(7), ip_local_port_range) until it is listened on, a minute later."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port


class Newcomer:
    """Somebody with a checkout on a bare machine."""

    def __init__(self, bare: BareTree) -> None:
        self.bare = bare
        self.port = free_port()
        shutil.copytree(CHECKOUT, bare.root / HERE[1:], ignore=IGNORED, symlinks=True)

    def make(self, *words: str, who: str = "", check: bool = True) -> Result:
        """`make WORDS…` in the checkout; `who` runs it, if not root."""
        line = f"cd '{HERE}' && exec make {' '.join(words)}"
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if who else []
        return self.bare.run(*argv, "sh", "-c", line, check=check, env={"PORT": str(self.port)}, timeout=600)

    def answer(self) -> int:
        """What /v2/ answers to the password of the first user, over TLS that `ca.crt` vouches for."""
        password = self.bare.read(f"{ETC}/.password").strip()
        context = ssl.create_default_context(cadata=self.bare.read(f"{ETC}/ca.crt"))
        link = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=30)
        link.request(
            "GET", "/v2/", headers={"Authorization": "Basic " + b64encode(f"docker:{password}".encode()).decode()}
        )
        status = link.getresponse().status
        link.close()
        return status

    def programs(self) -> dict[str, list[str]]:
        """The process ids of each program that runs."""
        found: dict[str, list[str]] = {}
        script = 'for file in /proc/[0-9]*/comm; do echo "$file $(cat $file)"; done 2> /dev/null'
        for line in self.bare.run("sh", "-c", script).stdout.splitlines():
            path, _, name = line.partition(" ")
            found.setdefault(name, []).append(path.split("/")[2])
        return found


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def newcomer(release: str) -> Iterator[Newcomer]:
    with BareTree(release) as bare:
        yield Newcomer(bare)


@pytest.mark.promise("make-start")
def test_make_start_on_a_bare_machine(newcomer: Newcomer) -> None:
    bare = newcomer.bare
    assert bare.run("make", "--version", check=False).returncode == 0
    assert not any(bare.exists(f"/usr/bin/{name}") for name in ("python3", "git", "curl", "nginx", "systemctl"))
    refused = newcomer.make("start", who="nobody", check=False)
    assert refused.returncode != 0 and "run make start as root" in refused.stderr

    said = newcomer.make("start").stdout
    assert re.search(rf"(?m)^log in with: docker login .*:{newcomer.port}$", said), said[-2000:]
    assert f"the password is in {ETC}/.password" in said
    assert newcomer.answer() == 200
    before = newcomer.programs()
    assert len(before["docker-registry"]) == 1, "only ours; the package's own service was never started"

    again = newcomer.make("start").stdout
    assert "log in with: docker login " in again and newcomer.answer() == 200
    assert newcomer.programs()["docker-registry"] == before["docker-registry"], "what runs goes on"

    newcomer.make("stop")
    deadline = time.monotonic() + 10  # what has ended is seen until the machine's first process looks after it
    while (left := ENDED & set(newcomer.programs())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert not bare.exists("/usr/sbin/policy-rc.d")


def test_the_line_that_installs_make_is_in_the_readme() -> None:
    commands = [line.command for line in readme.block_lines()]
    assert commands[:2] == ["apt-get update && apt-get install -y make", "make start"]
