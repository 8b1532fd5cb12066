"""Commands and files of a booted host, from out here."""

from __future__ import annotations

import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from tests.hosts import files

Network = Literal["machine", "outside"]
Result = subprocess.CompletedProcess[str]

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class CommandFailed(AssertionError):
    """A command in a host ended with another status than it should; shows all that it said."""

    def __init__(self, done: Result) -> None:
        said = "".join(f"\n--- {name}\n{text}" for name, text in (("out", done.stdout), ("err", done.stderr)) if text)
        super().__init__(f"{shlex.join(done.args)}: exit status {done.returncode}{said}")
        self.done = done


class NotInTime(AssertionError):
    """Something that was waited for did not come."""


class Commands(ABC):
    """What can be done in a host whose PID 1 is `leader`."""

    @property
    @abstractmethod
    def leader(self) -> int:
        """The process id, out here, of the host's PID 1; another one after each boot."""

    def command(self, *argv: str, network: Network = "machine", env: Mapping[str, str] | None = None) -> list[str]:
        """The command out here that runs `argv` as root in the host, outside its control groups.

        network: the host's own, or this computer's (`outside`, for apt).
        """
        spaces = ["-m", "-u", "-i", "-p", "-C", *(["-n"] if network == "machine" else [])]
        variables = [f"{name}={value}" for name, value in (_ENVIRONMENT | dict(env or {})).items()]
        return ["nsenter", "-t", str(self.leader), *spaces, "-r", "-w", "env", "-i", *variables, *argv]

    def run(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,
        network: Network = "machine",
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run `argv` to its end. Raises NotInTime after `timeout` seconds, and CommandFailed unless `check` is off."""
        limited = self.command("timeout", "--kill-after=2", f"{timeout}", *argv, network=network, env=env)
        started = time.monotonic()
        done = subprocess.run(
            limited,
            stdin=subprocess.DEVNULL if input is None else None,
            input=input,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout + 10,
            check=False,
        )
        result = Result(list(argv), done.returncode, done.stdout, done.stderr)
        if done.returncode in (124, 137) and time.monotonic() - started >= timeout:
            raise NotInTime(f"no end within {timeout:g} s: {CommandFailed(result)}")
        if check and done.returncode != 0:
            raise CommandFailed(result)
        return result

    def unit_run(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,
        properties: Sequence[str] = (),
        timeout: float = 120,
    ) -> Result:
        """Run `argv` as a service of the host, in its own control group, with unit `properties` (`User=nobody`)."""
        flags = ["--pipe", "--wait", "--quiet", "--collect", *(f"--property={text}" for text in properties)]
        return self.run("systemd-run", *flags, "--", *argv, check=check, input=input, timeout=timeout)

    def install(
        self, *packages: str | Path, check: bool = True, options: Sequence[str] = (), timeout: float = 600
    ) -> Result:
        """`apt-get install`: a Path is a .deb out here, a str is the name of a package.

        Packages are fetched by this machine's network; what their scripts see is the host's own, as on a real one.
        """
        names = []
        for package in packages:
            if isinstance(package, Path):
                self.copy_in(package, f"/var/tmp/{package.name}")
                names.append(f"/var/tmp/{package.name}")
            else:
                names.append(package)
        argv = ["apt-get", "--yes", "--quiet", *options, "install", *names]
        self.run(*argv, "--download-only", check=False, network="outside", timeout=timeout)
        return self.run(*argv, check=check, timeout=timeout)

    # ---- files

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file owned by root; directories that are missing are made."""
        self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, input=text)

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def exists(self, path: str) -> bool:
        """Whether there is anything at `path`, a dangling symlink included."""
        return self.run("sh", "-c", 'test -e "$1" || test -L "$1"', "-", path, check=False).returncode == 0

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file or a whole directory from out here; the path `target` is its new name."""
        unpack = ["sh", "-c", 'mkdir -p "$1" && tar -C "$1" -x --strip-components=1 --no-same-owner', "-", target]
        if source.is_dir():
            with subprocess.Popen(["tar", "-C", str(source), "-c", "."], stdout=subprocess.PIPE) as tar:
                subprocess.run(self.command(*unpack), stdin=tar.stdout, check=True)
        else:
            with source.open("rb") as file:
                mode = f"{source.stat().st_mode & 0o7777:o}"
                subprocess.run(self.command("install", "-D", "-m", mode, "/dev/stdin", target), stdin=file, check=True)

    def snapshot_files(self, excluded: Collection[str] = files.EXCLUDED) -> files.Listing:
        """Every path that the host sees, for `files.difference`, but for the trees in `excluded`."""
        return files.listing(self.root, excluded)

    @property
    def root(self) -> Path:
        """Its files seen from out here, as it sees them. Absolute symlinks lead astray: only for walking."""
        return Path(f"/proc/{self.leader}/root")
