"""The Docker daemon of this host: its insecure registries, changed without a restart, proven, or undone.

What is written where is decided by `dockerflags`, `daemonjson` and `edits`; here it is done: look, write, let dockerd
read it, go back if it does not show it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from secreg_host.base import files, marks, reading
from secreg_host.base.errors import BadInput, Note, Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.clients import edits
from secreg_host.clients.docker import daemonjson, dockerflags, dockerinfo
from secreg_host.clients.docker.daemonjson import DaemonJson
from secreg_host.clients.docker.dockerd import ENDLESS, Dockerd, Manager, NotNow, Patience, Proof
from secreg_host.clients.docker.dockerflags import Flags, Target
from secreg_host.clients.docker.unit import Unit
from secreg_host.clients.edits import Kind, Mine, Original
from secreg_host.host import dockerfiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """What we did to the daemon: where our entries are, a failure that is not tried again, and a digest of what dockerd
    was seen to have taken over last."""

    target: Target | None = None
    mine: Mine | None = None
    failed: str = ""
    problem: Problem | None = None
    proven: str = ""

    def as_json(self) -> dict[str, Any]:
        """The record as JSON values, which `from_json` takes."""
        found: dict[str, Any] = {"failed": self.failed, "proven": self.proven}
        if self.target is not None and self.mine is not None:
            found |= {"path": str(self.target.path), "variable": self.target.variable, "mine": self.mine.as_json()}
        if self.problem is not None:
            found["problem"] = [self.problem.where, self.problem.what, self.problem.hint]
        return found

    @staticmethod
    def from_json(found: dict[str, Any]) -> Record:
        """The record of which `as_json` made `found`; what is missing there is as at the beginning."""
        mine = Mine.from_json(found.get("mine"))
        known = mine is not None and {"path", "variable"} <= set(found)
        target = Target(Path(found["path"]), found["variable"]) if known else None
        problem = Problem(*found["problem"]) if len(found.get("problem", ())) == 3 else None
        return Record(target, mine if known else None, found.get("failed", ""), problem, found.get("proven", ""))


class Docker:
    """What we put into the files of the daemon of the host below `paths`; ask: see Dockerd."""

    def __init__(
        self,
        paths: Paths,
        manager: Manager | None,
        ask: Callable[[Path], dict[str, Any]] | None = None,
        patience: Patience = ENDLESS,
    ) -> None:
        self.paths = paths
        self.dockerd = Dockerd(paths, manager, ask, patience)
        self.undone: Record | None = None

    def follow(self, record: Record, wanted: tuple[str, ...], save: Callable[[Record], None]) -> tuple[Problem, ...]:
        """Make `wanted` the insecure registries that we ask of dockerd; returns what the administrator should know.

        save: keeps the record durably; called before a file changes, so that a crash leaves nothing unaccounted for.
        """
        try:
            return self._follow(record, wanted, save)
        except SecregError as error:
            return error.problems

    def _follow(self, record: Record, wanted: tuple[str, ...], save: Callable[[Record], None]) -> tuple[Problem, ...]:
        if self.dockerd.engine is not None and self.dockerd.engine.stale:
            self._stale(record, wanted, self.dockerd.engine.unit, save)
        try:
            target = self._target(record) if self.dockerd.engine else record.target
        except BadInput:
            if record.mine is not None:  # our entries would keep dockerd from starting
                self._edit(record, record.target, (), save, unasked=True)
                self.dockerd.come_back()
            raise
        log.debug("docker: entries in %s: %s", target.path if target else "no file", ", ".join(wanted) or "none")
        if target is None:
            return ()
        attempt = f"{target.path} {marks.digest(repr((self._base(target, record), wanted)).encode())}"
        if record.failed == attempt and record.problem is not None:
            return (record.problem,)
        try:
            if moved := record.target not in (None, target):
                record, _ = self._edit(record, record.target, (), save)
            wanted = wanted if self.dockerd.engine else ()
            going = not wanted and self.dockerd.patience.endless  # for good: nobody is left to try it again
            told = self._edit(record, target, wanted, save, unasked=going)[1]
            if moved:
                self.dockerd.come_back()
            return told
        except BadInput:
            raise
        except SecregError as error:
            if wanted and self.undone and self.dockerd.refused:
                save(replace(self.undone, failed=attempt, problem=error.problems[0]))
            raise

    def _stale(self, record: Record, wanted: tuple[str, ...], unit: Unit, save: Callable[[Record], None]) -> None:
        """Raise NotNow where what systemd will have read next may matter: nothing tells but the files of `unit`, which
        it has not read. Entries with which dockerd would not start then are taken out of daemon.json; it has them on
        until it does."""
        hint = "systemctl daemon-reload; then it goes on by itself, or at once: secure-registry trust install docker"
        target, mine = record.target, record.mine
        if set(wanted) - set(mine.added if mine is not None else ()):
            said = "or a drop-in was changed on disk, and systemd has not read it: dockerd's flags are not known"
            raise NotNow(said, hint)
        if target is None or mine is None or target.variable or dockerflags.flagged(unit):
            return
        flag, files = dockerflags.FLAG.encode(), {*dockerfiles.there(self.paths), *unit.places}
        if any(flag in reading.peek(path, reading.SETTINGS) for path in files):
            seen = edits.read(target.path)
            edits.replace(seen, edits.plan(seen.data, mine, self._kind(target), ())[0])
            save(Record())
            said = f"or a drop-in has the flag {dockerflags.FLAG} now, and systemd has not read it: our entries are out"
            raise NotNow(f"{said} of {target.path}, for dockerd would not start with both", hint)

    def _kind(self, target: Target) -> Kind:
        where = str(target.path)
        return Flags(where, target.variable) if target.variable else DaemonJson(where)

    def _base(self, target: Target, record: Record) -> bytes | None:
        """The file without our entries."""
        mine = record.mine if record.target == target else None
        return edits.plan(edits.read(target.path).data, mine, self._kind(target), ())[0]

    def _target(self, record: Record) -> Target:
        assert self.dockerd.engine is not None
        path = dockerflags.config_file(self.dockerd.engine.unit, self.paths.docker / "daemon.json")
        theirs = DaemonJson(str(path)).entries(self._base(Target(path), record))
        unit = self.dockerd.engine.unit
        if record.mine is not None and record.target is not None and record.target.variable:
            without = self._base(record.target, record)
            kept = [(at, without if at == record.target.path else data) for at, data in unit.files]
            unit = replace(unit, files=tuple((at, data) for at, data in kept if data is not None))
            if dockerflags.decide(unit, path, in_json=theirs is not None) == Target(path) and theirs is None:
                return record.target  # only ours are there, as in the beginning
        return dockerflags.decide(unit, path, in_json=theirs is not None)

    def _edit(
        self,
        record: Record,
        target: Target | None,
        wanted: tuple[str, ...],
        save: Callable[[Record], None],
        *,
        unasked: bool = False,
    ) -> tuple[Record, tuple[Problem, ...]]:
        """unasked: the file is edited even where dockerd, which is starting, can't be asked."""
        assert target is not None
        seen = edits.read(target.path)
        kind = self._kind(target)
        earlier = record.mine if record.target == target else None
        new, mine = edits.plan(seen.data, earlier, kind, wanted)
        after = Record(target if mine else None, mine)
        proven = replace(after, proven=marks.digest(repr((target, wanted)).encode(), new or b""))
        if new == seen.data and record == proven:
            log.debug("docker: %s is as dockerd was seen to have read it", target.path)
            return record, ()
        due = self.dockerd.running or (self.dockerd.starting and not unasked)
        deaf = bool(target.variable) or self.dockerd.outdated
        reloads = due and not deaf
        shown = self.dockerd.shown() if reloads else frozenset()
        if new == seen.data:
            log.debug("docker: %s is as it should be", target.path)
            if reloads and not set(wanted) <= shown:  # a run was killed before the reload
                self._proven(Proof(frozenset(wanted)), after, seen, Record(), mine.before if mine else seen.data, save)
            return _saved(proven if reloads else after, record, save), ()
        forgets = self.dockerd.forgets() if reloads else ""
        if forgets and wanted:
            hint = "set DOCKER_TRUST=ca (verified, needs no reload), or upgrade Docker"
            raise bad_input(dockerinfo.UNIT, forgets, hint)
        self._prepare(seen)
        if reloads and not forgets and not wanted and earlier and DaemonJson(str(target.path)).entries(new) is None:
            self._withdraw(target, earlier, save)
            return Record(), ()
        if mine is not None:
            added = (*mine.added, *(earlier.added if earlier else ()))
            save(replace(after, mine=replace(mine, added=added)))
        edits.replace(seen, new)
        save(after)
        if forgets or (deaf and (self.dockerd.running or self.dockerd.starting)):
            hint = "when it suits: systemctl restart docker (ends containers, unless live-restore is set)"
            said = forgets or "dockerd reads it only when it is restarted"
            return after, (Note(str(target.path), f"is changed; {said}", hint),)
        if not reloads and not deaf and self.dockerd.engine is not None:
            self.dockerd.engine = self.dockerd.look()  # it may have started, and read the file, just before
            reloads = self.dockerd.running
        if reloads:
            stays = set(DaemonJson(str(target.path)).entries(new) or ())
            back = Record(target, earlier) if earlier else Record()
            proof = Proof((shown & stays) | set(wanted), frozenset(earlier.added if earlier else ()) - stays)
            if not wanted:
                self.dockerd.reload(proof)
            elif self._proven(proof, after, edits.read(target.path), back, seen.data, save):
                return _saved(proven, after, save), ()
        return after, ()

    def _proven(
        self,
        proof: Proof,
        done: Record,
        seen: Original,
        back: Record,
        before: bytes | None,
        save: Callable[[Record], None],
    ) -> bool:
        """Reload; whether dockerd shows what it should (False: it was stopped). If it runs and does not, put `before`
        and its record `back`, and raise."""
        try:
            return self.dockerd.reload(proof)
        except SecregError as error:
            if seen.data == before:
                raise
            log.debug("docker: undone, for %s", error.message)
            self.undone = back
            if done.target and done.mine and DaemonJson("").entries(before) is None:
                with contextlib.suppress(SecregError):  # what is wrong is known
                    self._withdraw(done.target, done.mine, save)
            else:
                edits.replace(seen, before)
                save(back)
                self.dockerd.hang_up()
            kind = NotNow if isinstance(error, NotNow) else SecregError
            raise kind(f"{error.message}; so the change is undone", error.hint) from error

    def _withdraw(self, target: Target, ours: Mine, save: Callable[[Record], None]) -> None:
        """Take out ours, and the list with it. dockerd keeps the list that it has when the file has none, so it reads
        an empty one first. Raises SecregError when it does not; the file is without ours then, too."""
        path = target.path
        seen = edits.read(path)
        assert seen.data is not None
        empty = daemonjson.emptied(seen.data, str(path))
        ours = replace(ours, wrote=marks.digest(empty))
        save(Record(target, ours))
        edits.replace(seen, empty)
        try:
            self.dockerd.reload(Proof(frozenset(), frozenset(ours.added)))
        finally:
            seen = edits.read(path)
            edits.replace(seen, edits.plan(seen.data, ours, self._kind(target), ())[0])
            save(Record())

    def _prepare(self, seen: edits.Original) -> None:
        """A copy of the file that is to be edited, or the directory of one that is to be made."""
        if not reading.is_directory(seen.path.parent):
            files.make_directory(seen.path.parent, 0o755)
        if seen.data is not None:
            files.make_directory(self.paths.backups, 0o700)
            files.write(self.paths.backups / seen.path.name, seen.data, files.PRIVATE)


def _saved(now: Record, before: Record, save: Callable[[Record], None]) -> Record:
    """`now`, kept unless it is what is kept already."""
    if now != before:
        save(now)
    return now
