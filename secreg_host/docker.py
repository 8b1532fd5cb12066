"""The Docker daemon of this host: its insecure registries, changed without a restart, proven, or undone.

What is written where is decided by `dockerflags`, `daemonjson` and `foreign`; here it is done: look, write, SIGHUP
through systemd, ask dockerd (what `docker info` prints), go back if it does not say so.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from secreg_host import dockerflags, dockerinfo, files, foreign, records
from secreg_host.daemonjson import DaemonJson
from secreg_host.dockerflags import Flags, Target, Unit
from secreg_host.dockerinfo import UNIT, insecure
from secreg_host.errors import BadInput, Note, Problem, SecregError, bad_input
from secreg_host.foreign import Kind, Mine, Seen
from secreg_host.paths import Paths

SNAP = "snap.docker.dockerd.service"
STARTING_SECONDS, PROOF_SECONDS = 20.0, 10.0
FORGETFUL = ("23.", "24.")
"""Versions of dockerd that lose "insecure-registries" when they are reloaded while mirrors are set."""


class Manager(Protocol):
    """What is needed of systemd.Systemd."""

    def unit(self, name: str) -> dict[str, Any]: ...
    def call(self, method: str, *args: Any) -> Any: ...


@dataclass(frozen=True)
class Engine:
    """dockerd as this host has it; running: it can be told to reload; stale: its unit changed on disk since systemd
    read it."""

    unit: Unit
    running: bool
    stale: bool = False


@dataclass(frozen=True)
class Proof:
    """What `docker info` must show after a reload, and what it must not show any more."""

    there: Set[str]
    gone: Set[str] = frozenset()

    def holds(self, shown: Set[str]) -> bool:
        return self.there <= shown and not self.gone & shown


@dataclass(frozen=True)
class Record:
    """What we did to the daemon: where our entries are, and a failure that is not tried again."""

    target: Target | None = None
    mine: Mine | None = None
    failed: str = ""
    problem: Problem | None = None

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"failed": self.failed}
        if self.target is not None and self.mine is not None:
            found |= {"path": str(self.target.path), "variable": self.target.variable, "mine": self.mine.as_json()}
        if self.problem is not None:
            found["problem"] = [self.problem.where, self.problem.what, self.problem.hint]
        return found

    @staticmethod
    def from_json(found: dict[str, Any]) -> Record:
        mine = Mine.from_json(found.get("mine"))
        target = Target(Path(found["path"]), found["variable"]) if mine else None
        problem = Problem(*found["problem"]) if "problem" in found else None
        return Record(target, mine, found.get("failed", ""), problem)


class Docker:
    """The Docker daemon of the host below `paths`; ask(path of its socket) returns what `docker info` prints."""

    def __init__(
        self, paths: Paths, manager: Manager | None, ask: Callable[[Path], dict[str, Any]] | None = None
    ) -> None:
        self.paths = paths
        self.manager = manager
        self.ask = ask or dockerinfo.info
        self.engine = self._look()
        self.undone: Record | None = None
        self.refused = False

    def _look(self) -> Engine | None:
        if self.manager is None:
            return None
        found = self.manager.unit(UNIT)
        deadline = time.monotonic() + STARTING_SECONDS
        while found.get("ActiveState") == "activating" and time.monotonic() < deadline:
            time.sleep(0.1)  # a SIGHUP before dockerd is ready would end it
            found = self.manager.unit(UNIT)
        if found.get("LoadState") != "loaded" or not found.get("ExecStart"):
            return None
        given = []
        for name, _ in found.get("EnvironmentFiles", ()):
            path = Path(name)
            if self.paths.root != Path("/") and not path.is_relative_to(self.paths.root):
                path = self.paths.root / name.lstrip("/")
            if (data := files.read_or_none(path)) is not None:
                given.append((path, data))
        unit = Unit(tuple(found["ExecStart"][0][1]), tuple(found.get("Environment", ())), tuple(given))
        return Engine(unit, found.get("ActiveState") == "active", bool(found.get("NeedDaemonReload")))

    @property
    def socket(self) -> Path:
        """Where dockerd listens."""
        given = list(dockerflags.words(self.engine.unit)) if self.engine else []
        hosts = [value for flag in ("-H", "--host") for value, _ in dockerflags.values(given, flag)]
        own = [host.removeprefix("unix://") for host in hosts if host.startswith("unix://")]
        return Path(own[0]) if own and "fd://" not in hosts else self.paths.docker_socket

    def strangers(self) -> tuple[Problem, ...]:
        """Daemons of kinds whose files are left alone."""
        found = []
        hint = 'add the entries to "insecure-registries" there yourself (see: secure-registry trust show)'
        if self.manager is not None and self.manager.unit(SNAP).get("LoadState") == "loaded":
            found.append(
                Problem("/var/snap/docker/current/config/daemon.json", "Docker is a snap, which is not edited", hint)
            )
        for path in sorted(self.paths.user_runs.glob("*/docker.sock")):
            found.append(Problem(str(path), "a rootless Docker, in ~/.config/docker/daemon.json, is not edited", hint))
        return tuple(found)

    def follow(self, record: Record, wanted: tuple[str, ...], save: Callable[[Record], None]) -> tuple[Problem, ...]:
        """Make `wanted` the insecure registries that we ask of dockerd; returns what the administrator should know.

        save: keeps the record durably; called before a file changes, so that a crash leaves nothing unaccounted for.
        """
        try:
            return self._follow(record, wanted, save)
        except SecregError as error:
            return error.problems

    def _follow(self, record: Record, wanted: tuple[str, ...], save: Callable[[Record], None]) -> tuple[Problem, ...]:
        if (
            self.engine is not None
            and self.engine.stale
            and set(wanted) - set(record.mine.added if record.mine else ())
        ):
            raise bad_input(
                UNIT,
                "or a drop-in was changed on disk, and systemd has not read it: dockerd's flags are not known",
                "systemctl daemon-reload; then: secure-registry trust install docker",
            )
        try:
            target = self._target(record) if self.engine else record.target
        except BadInput:
            if record.mine is not None:  # our entries would keep dockerd from starting
                self._edit(record, record.target, (), save)
            raise
        if target is None:
            return ()
        attempt = f"{target.path} {records.digest(repr((self._base(target, record), wanted)).encode())}"
        if record.failed == attempt and record.problem is not None:
            return (record.problem,)
        try:
            if record.target not in (None, target):
                record, _ = self._edit(record, record.target, (), save)
            return self._edit(record, target, wanted if self.engine else (), save)[1]
        except BadInput:
            raise
        except SecregError as error:
            if wanted and self.undone and self.refused:
                save(replace(self.undone, failed=attempt, problem=error.problems[0]))
            raise

    def _kind(self, target: Target) -> Kind:
        where = str(target.path)
        return Flags(where, target.variable) if target.variable else DaemonJson(where)

    def _base(self, target: Target, record: Record) -> bytes | None:
        """The file without our entries."""
        mine = record.mine if record.target == target else None
        return foreign.plan(foreign.read(target.path).data, mine, self._kind(target), ())[0]

    def _target(self, record: Record) -> Target:
        assert self.engine is not None
        path = dockerflags.config_file(self.engine.unit, self.paths.docker / "daemon.json")
        theirs = DaemonJson(str(path)).entries(self._base(Target(path), record))
        unit = self.engine.unit
        if record.mine is not None and record.target is not None and record.target.variable:
            without = self._base(record.target, record)
            kept = [(at, without if at == record.target.path else data) for at, data in unit.files]
            unit = replace(unit, files=tuple((at, data) for at, data in kept if data is not None))
            if dockerflags.decide(unit, path, theirs is not None) == Target(path) and theirs is None:
                return record.target  # only ours are there, as in the beginning
        return dockerflags.decide(unit, path, theirs is not None)

    def _edit(
        self, record: Record, target: Target | None, wanted: tuple[str, ...], save: Callable[[Record], None]
    ) -> tuple[Record, tuple[Problem, ...]]:
        assert target is not None
        seen = foreign.read(target.path)
        kind = self._kind(target)
        earlier = record.mine if record.target == target else None
        new, mine = foreign.plan(seen.data, earlier, kind, wanted)
        after = Record(target if mine else None, mine)
        reloads = self.engine is not None and self.engine.running and not target.variable
        shown = insecure(self.ask(self.socket)) if reloads else frozenset()
        if new == seen.data:
            if after != record:
                save(after)
            if reloads and not set(wanted) <= shown:  # a run was killed before the reload
                self._proven(Proof(frozenset(wanted)), target, seen, Record(), mine.before if mine else seen.data, save)
            return after, ()
        if reloads and wanted:
            self._refuse_forgetful()
        if not target.path.parent.is_dir():
            files.make_directory(target.path.parent, 0o755)
        self._back_up(seen)
        if mine is not None:
            added = (*mine.added, *(earlier.added if earlier else ()))
            save(replace(after, mine=replace(mine, added=added)))
        foreign.replace(seen, new)
        save(after)
        if target.variable and self.engine is not None and self.engine.running:
            hint = "when it suits: systemctl restart docker (ends containers, unless live-restore is set)"
            return after, (Note(str(target.path), "is changed; dockerd reads it only when it is restarted", hint),)
        if not reloads and self.engine is not None:
            self.engine = self._look()  # it may have started, and read the file, just before
            reloads = self.engine is not None and self.engine.running
        if reloads:
            stays = set(DaemonJson(str(target.path)).entries(new) or ())
            back = Record(target, earlier) if earlier else Record()
            proof = Proof((shown & stays) | set(wanted), frozenset(earlier.added if earlier else ()) - stays)
            if wanted:
                self._proven(proof, target, foreign.read(target.path), back, seen.data, save)
            else:
                self._reload(proof)
        return after, ()

    def _proven(
        self,
        proof: Proof,
        target: Target,
        seen: Seen,
        back: Record,
        before: bytes | None,
        save: Callable[[Record], None],
    ) -> None:
        """Reload; if dockerd does not show what it should, put `before` and its record `back`, and raise."""
        try:
            self._reload(proof)
        except SecregError as error:
            if seen.data == before:
                raise
            foreign.replace(seen, before)
            self.undone = back
            save(back)
            self._hang_up()
            raise SecregError(f"{error.message}; so the change is undone", error.hint) from error

    def _hang_up(self) -> bool:
        """Let dockerd read its file again; False: it does not run any more, and reads it when it starts."""
        self.engine = self._look()
        if self.manager is None or self.engine is None or not self.engine.running:
            return False
        self.manager.call("KillUnit", UNIT, "main", signal.SIGHUP.value)
        return True

    def _refuse_forgetful(self) -> None:
        said = self.ask(self.socket)
        version = str(said.get("ServerVersion", ""))
        if version.startswith(FORGETFUL) and said["RegistryConfig"].get("Mirrors"):
            raise bad_input(
                UNIT,
                f"Docker {version} loses its insecure registries when it is reloaded while registry-mirrors are set",
                "set DOCKER_TRUST=ca (verified, needs no reload), or upgrade Docker",
            )

    def _back_up(self, seen: foreign.Seen) -> None:
        if seen.data is not None:
            files.make_directory(self.paths.backups, 0o700)
            files.write(self.paths.backups / seen.path.name, seen.data, files.PRIVATE)

    def _reload(self, proof: Proof) -> None:
        """SIGHUP, then wait until dockerd shows what it should. Raises SecregError with its reason."""
        began = time.time()
        if not self._hang_up():
            return
        deadline = time.monotonic() + PROOF_SECONDS
        while True:
            late = time.monotonic() > deadline
            try:
                if proof.holds(insecure(self.ask(self.socket))):
                    return
            except SecregError:
                if late:
                    raise
            said = dockerinfo.last_error(began)
            if said or late:
                self.refused = True
                raise SecregError(
                    f"dockerd did not take the change over: {said or 'docker info does not show it'}",
                    "see: journalctl -u docker -n 20; then: secure-registry trust install docker, or DOCKER_TRUST=ca",
                )
            time.sleep(0.1)
