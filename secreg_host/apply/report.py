"""What the last apply found, kept for `status`: what is held back, what is waited for, warnings."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from secreg_host.base import records
from secreg_host.base.errors import Later, Problem
from secreg_host.base.paths import Paths
from secreg_host.generation.generations import Generation
from secreg_host.wanted.provision import Provisioned

TOLD = 5
"""Findings of one kind and part that hooks are told one by one."""

LATEST = 1 << 33
"""Seconds since the epoch (in the year 2242) that a record may speak of."""


@dataclass(frozen=True)
class Finding:
    """A problem of one part. kind: `rejected`, `waiting`, `unproven`, `warning`, `failed`: a whole apply, `away`: the
    registry does not answer, all else serves, or `pending`: a client of this host is told later, by itself. since: when
    it was found first (seconds since the epoch). later: it may be over without any edit, and is tried again."""

    kind: str
    part: str
    problem: Problem
    since: float = field(default=0.0, compare=False)
    later: bool = field(default=False, compare=False)

    @property
    def facts(self) -> dict[str, str]:
        """What the journal and hooks are told."""
        problem = self.problem
        return {"part": self.part, "where": problem.where, "reason": problem.what, "remedy": problem.hint}


@dataclass(frozen=True)
class Report:
    """The outcome of one apply.

    generation: what serves now ("": nothing runs); since: when it began to (seconds since the epoch); waiting: parts
    of which a half is awaited, and since when; fingerprint: of the files as they were read (sources.py), those outside
    of /etc being `sources`; users: a digest of those that count; checked: the generation that was found good; again:
    when time alone has the same files read otherwise (seconds since the epoch; 0: never), such as a certificate; fresh:
    findings that the report before did not have; gone: those that only it had; changed: whether this apply changed what
    serves; provisioned: what it wrote to /etc; served: the generation that serves, where that is known without asking;
    count: how many users may log in; changes: when each part that serves, users among them, became what it is (seconds
    since the epoch), kept by a check of what does not run, as `users` are; by: what was done when that changed last.
    """

    generation: str = ""
    since: float = 0.0
    findings: tuple[Finding, ...] = ()
    waiting: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    sources: tuple[str, ...] = ()
    checked: str = ""
    users: str = ""
    again: float = 0.0
    fresh: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    changed: bool = False
    provisioned: Provisioned = field(default_factory=Provisioned)
    served: Generation | None = None
    count: int = 0
    changes: dict[str, float] = field(default_factory=dict)
    by: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """What is kept of it, as JSON values."""
        return {
            "generation": self.generation,
            "since": self.since,
            "findings": [asdict(finding) for finding in self.findings],
            "waiting": self.waiting,
            "fingerprint": self.fingerprint,
            "sources": list(self.sources),
            "checked": self.checked,
            "users": self.users,
            "count": self.count,
            "changes": self.changes,
            "by": self.by,
            "again": self.again,
        }

    @property
    def later(self) -> tuple[Problem, ...]:
        """What is tried again, after pauses that grow."""
        return tuple(one.problem for one in self.findings if one.later or one.kind in ("away", "pending"))

    @property
    def rejected(self) -> tuple[Finding, ...]:
        """What is held back, waited for or not proven."""
        return tuple(finding for finding in self.findings if finding.kind not in records.MILD)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What an administrator should know, though nothing is held back for it."""
        return tuple(finding for finding in self.findings if finding.kind in records.MILD)

    def unproven(self, part: str) -> bool:
        """Whether something of `part` serves that could not be proven."""
        return any((finding.kind, finding.part) == ("unproven", part) for finding in self.findings)

    @property
    def told(self) -> tuple[tuple[str, dict[str, str]], ...]:
        """What is new, for hooks, each of which is a process: events and facts; of many alike the first ones."""
        events = [(finding.kind, finding) for finding in self.fresh] + [("resolved", one) for one in self.gone]
        alike: dict[tuple[str, str], list[dict[str, str]]] = {}
        for event, finding in events:
            alike.setdefault((event, finding.part), []).append(finding.facts)
        found = [(event, facts) for (event, _), group in alike.items() for facts in _first(group)]
        if self.changed and self.generation:
            found.append(("applied", {"generation": self.generation}))
        return tuple(found)


def _first(group: list[dict[str, str]]) -> list[dict[str, str]]:
    """The first facts of `group`, and how many there are more."""
    more = len(group) - TOLD
    rest = {"reason": f"{more} more like these", "remedy": "see them: secure-registry status"}
    return [*group[:TOLD], *([group[TOLD] | rest] if more > 0 else ())]


def findings(kind: str, part: str, problems: Iterable[Problem]) -> tuple[Finding, ...]:
    """`problems` of `part` as findings of `kind`, one each, as they are when they were kept."""
    return tuple(
        Finding(kind, part, Problem(one.where, one.what, one.hint), later=isinstance(one, Later)) for one in problems
    )


def without(found: Iterable[Finding], others: Collection[Finding]) -> tuple[Finding, ...]:
    """Those of `found` that are not among the `others`."""
    return tuple(finding for finding in found if finding not in others)


def dated(found: Iterable[Finding], before: Iterable[Finding], now: float) -> tuple[Finding, ...]:
    """`found`, each since when it was found first: in the report `before`, or `now` (seconds since the epoch)."""
    known = {finding: finding.since for finding in before}
    return tuple(replace(finding, since=known.get(finding) or now) for finding in found)


def save(paths: Paths, report: Report, before: Report | None = None) -> None:
    """Keep `report`, unless `before`, which is kept, says the same. Raises SecregError when it can't be written."""
    if before is None or report.record != before.record:
        records.save(paths.report, report.record)


def load(paths: Paths) -> Report:
    """The report of the last apply; an empty one when there was none."""
    found = records.peek(paths.report, records.REPORT)
    try:
        items = tuple(
            Finding(item["kind"], item["part"], Problem(**item["problem"]), float(item.get("since", 0)), later)
            for item in found.get("findings", [])
            for later in (bool(item.get("later")),)
        )
        waiting = {str(part): float(since) for part, since in found.get("waiting", {}).items()}
        seen = found.get("fingerprint", ""), tuple(found.get("sources", ()))
        good = found.get("checked", ""), found.get("users", "")
        changes = {str(part): float(at) for part, at in found.get("changes", {}).items()}
        since = float(found.get("since", 0))
        if not all(0 <= at < LATEST for at in (since, *changes.values())):
            return Report()
        known = Report(found.get("generation", ""), since, items, waiting, *seen, *good, float(found.get("again", 0)))
        return replace(known, count=int(found.get("count", 0)), changes=changes, by=found.get("by", ""))
    except (KeyError, TypeError, ValueError, OverflowError):
        return Report()
