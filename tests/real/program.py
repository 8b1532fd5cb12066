"""The program as an ordinary user runs it: an instance in the foreground, judged from outside, over TLS."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
OLD = CHECKOUT / "tests/data/secure-registry_0.1.0_all.deb"
"""The package of version 0.1, which others are compared with."""

PYTHON = "/usr/bin/python3"
NOBODY = 65534


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = itertools.cycle(random.sample(range(20_000 + WORKER, 32_000, 8), 1_500))
"""Those of this worker alone, and none that the kernel gives a client (ip_local_port_range) before it is bound."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has; another one each time, for many may be chosen before the first is bound."""
    for port in PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("there is always a next one")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Instance:
    """An instance below `root`, run by a user who is not root."""

    root: Path
    program: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    said: list[str] = field(default_factory=list)

    @property
    def etc(self) -> Path:
        return self.root / "etc/secure-registry"

    @property
    def lib(self) -> Path:
        return self.root / "var/lib/secure-registry"

    def _argv(self, *args: str) -> list[str]:
        argv = [PYTHON, "-IB", str(self.program), *args]
        if os.geteuid() == 0:
            argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
        return argv

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **given}

    def popen(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        return self._popen(subprocess.PIPE, args, environment)

    def on_terminal(self, *args: str) -> str:
        """What one command below this root shows on a terminal."""
        ours, theirs = os.openpty()
        process = self._popen(theirs, (*args, "--root", str(self.root)), {})
        assert process.wait(60) == 0
        os.close(theirs)
        shown = os.read(ours, 1 << 16).decode()
        os.close(ours)
        return shown

    def _popen(self, output: int, args: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._argv(*args),
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """One command below this root, to its end."""
        return subprocess.run(
            [*self._argv(*args), "--root", str(self.root)],
            env=self._environment(environment),
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *options: str, **environment: str) -> None:
        """Start it and wait until it says how to log in; edits serve after `reload`, unless `options` has --watch."""
        options = options or ("--no-watch",)
        self.said = []
        self.process = self.popen(
            "start", "--foreground", *options, "--root", str(self.root), **{"PORT": str(self.port)} | environment
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        self.wait_for("the start", lambda: self.has_said("log in with") or self.process.poll() is not None)  # type: ignore[union-attr]
        assert self.process.poll() is None, "".join(self.said)

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        said = self.said
        for line in process.stdout:
            said.append(line)

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.said)

    def wait_for(self, what: str, check: Callable[[], object], timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not check():
            assert time.monotonic() < deadline, f"{what} did not come:\n" + "".join(self.said)
            time.sleep(0.02)

    def reload(self) -> str:
        """Let it take over changes; what it said of them."""
        return self.take_over("reload")

    def take_over(self, *args: str, input: str = "") -> str:
        """A command that ends with a reload; returns what the instance said of it when that was through."""
        before = len(self.said)
        answered = sum("log in with" in line for line in self.said)
        done = self.run(*args, input=input)
        assert done.returncode in (0, 2, 3), done.stderr
        self.wait_for("the reload", lambda: sum("log in with" in line for line in self.said) > answered)
        return "".join(self.said[before:])

    def stop(self) -> int:
        """End it as systemd would; its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    @property
    def password(self) -> str:
        return (self.etc / ".password").read_text().strip()

    def write(self, name: str, text: str | bytes) -> None:
        """Save a file of /etc as its owner would."""
        path = self.etc / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def edit(self, name: str, old: str, new: str) -> str:
        """Replace `old`; returns the file as it was."""
        text = (self.etc / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        self.write(name, text.replace(old, new))
        return text

    def context(self) -> ssl.SSLContext:
        """A client that trusts ca.crt and nothing else."""
        return ssl.create_default_context(cafile=str(self.etc / "ca.crt"))

    @contextmanager
    def connection(self, address: str = "localhost", port: int | None = None) -> Iterator[http.client.HTTPSConnection]:
        link = http.client.HTTPSConnection(address, port or self.port, context=self.context(), timeout=30)
        try:
            yield link
        finally:
            link.close()

    def ask(
        self,
        path: str,
        method: str = "GET",
        user: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        address: str = "localhost",
        port: int | None = None,
    ) -> Answer:
        """One request over a fresh verified TLS connection; with `user` None, without a password."""
        sent = dict(headers or {})
        if user is not None:
            secret = password if password is not None else self.password
            sent["Authorization"] = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
        with self.connection(address, port) as link:
            link.request(method, path, body=body, headers=sent)
            answer = link.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def served_fingerprint(self) -> str:
        import hashlib

        with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain) as link:
                return hashlib.sha256(link.getpeercert(binary_form=True) or b"").hexdigest()


@contextmanager
def unpacked(package: Path) -> Iterator[Path]:
    """Where a DEB of this project holds its modules and templates."""
    with tempfile.TemporaryDirectory(prefix="srd-") as directory:
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
        yield Path(directory) / "usr/share/secure-registry"


@contextmanager
def installed(package: Path | None = None) -> Iterator[Path]:
    """This checkout's program, or that of a DEB, where every user can read it; returns its launcher."""
    directory = Path(tempfile.mkdtemp(prefix="srp-", dir="/tmp"))
    with unpacked(package) if package else nullcontext(CHECKOUT) as source:
        for name in ("secreg_host", "templates"):
            shutil.copytree(source / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    launcher = directory / "secure-registry"
    launcher.write_text(
        f"import sys\nsys.path.insert(0, {str(directory)!r})\nfrom secreg_host.entry import main\nsys.exit(main())\n"
    )
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    try:
        yield launcher
    finally:
        shutil.rmtree(directory)
