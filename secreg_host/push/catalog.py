"""The catalogue, of which somebody is shown what he may read, by access.yml. Pages and order are the registry's own
(distribution, docs/spec/api.md, "Catalog")."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode

from secreg_host.base import marks, reading
from secreg_host.base.errors import SecregError
from secreg_host.formats.robots import Own
from secreg_host.formats.users import PROBE
from secreg_host.images import layout
from secreg_host.push import answers, upstream
from secreg_host.push.answers import Answer
from secreg_host.push.asked import CATALOG, Asked
from secreg_host.wanted.access import parsing
from secreg_host.wanted.access.deciding import Decider
from secreg_host.wanted.access.policy import READ, Policy

PAGE, MOST = 100, 10_000
"""How many names a page has where nobody says it, as the registry has it, and at the most."""

AT_ONCE, PAGES = 1000, 1000
"""Names that are asked for at once where the store is not ours, and how often at the most."""

LAYERS = "_layers"
"""The directory by which the registry knows a repository where it shows all of them."""

NONE, OURS = -1, -2

UNTOLD = answers.away("the catalogue can't be shown now")


@dataclass
class Listing:
    """The repositories of a store, for who asks again and again: a directory is read anew when it changed. known: by
    name, whether it is a repository, and which may be in it."""

    top: str
    known: dict[str, tuple[str, bool, tuple[str, ...]]] = field(default_factory=dict)

    def names(self) -> Iterator[str]:
        """Every repository, in the registry's order. Raises OSError."""
        now = time.time()
        pending = [""]
        while pending:
            name = pending.pop()
            is_repository, inner = self._inside(name, now)
            if is_repository:
                yield name
            pending += reversed(inner)

    def _inside(self, name: str, now: float) -> tuple[bool, tuple[str, ...]]:
        path = f"{self.top}/{name}"
        stamp = marks.stamp(path)
        lasting = stamp.lasting(now) if stamp else ""
        before = self.known.get(name)
        if lasting and before is not None and before[0] == lasting:
            return before[1:]
        folders = layout.inside(path)[0]
        inner = (f"{name}/{one}".lstrip("/") for one in folders)
        names = tuple(one for one in inner if len(one) <= layout.LONGEST and layout.NAME.fullmatch(one))
        self.known[name] = (lasting, bool(name) and LAYERS in folders, names)
        return self.known[name][1:]


@dataclass
class Rules:
    """Rules, and what of them was found of names. lines: by name, the place of the pattern that decides (NONE: none
    does, OURS: it is nobody's)."""

    decider: Decider
    lines: dict[str, int] = field(default_factory=dict)

    def line(self, name: str) -> int:
        """Which line decides about repository `name`."""
        found = self.lines.get(name)
        if found is None:
            if len(self.lines) > 10 * MOST:
                self.lines.clear()
            one = self.decider.decider(name)
            every = self.decider.policy.repositories
            found = NONE if one is None else next(place for place, each in enumerate(every) if each is one)
            self.lines[name] = found = OURS if name == PROBE else found
        return found


@dataclass
class Reader:
    """What one user (None: who does not say who he is) may read; own: the rights of a robot. known: by line."""

    rules: Rules
    user: str | None
    own: Own | None = None
    known: dict[int, bool] = field(default_factory=lambda: {OURS: False})

    def reads(self, name: str) -> bool:
        """Whether the user may read repository `name`."""
        if self.own is not None:  # these are by names
            return name != PROBE and READ in self.rules.decider.rights(self.user, name, self.own)
        line = self.rules.line(name)
        found = self.known.get(line)
        if found is None:
            found = self.known[line] = READ in self.rules.decider.rights(self.user, name)
        return found


_one = threading.Lock()
"""Threads take turns: what they find, they keep for each other."""


@functools.lru_cache(4)
def _listing(store: str) -> Listing:
    return Listing(f"{store}/{layout.TREE}/repositories")


@functools.lru_cache(4)
def _rules(place: str) -> Rules:
    """Raises SecregError, LookupError."""
    if not place:
        return Rules(Decider(Policy()))  # only a robot is shown less than all where there is no access.yml
    policy, _ = parsing.parse(reading.read(Path(place), reading.YAML) or b"", place)
    if policy is None:
        raise LookupError(place)
    return Rules(Decider(policy))


@functools.lru_cache(256)
def _reader(place: str, user: str | None, own: Own | None) -> Reader:
    return Reader(_rules(place), user, own)


def shown(asked: Asked) -> Answer:
    """The page of the catalogue that is `asked` for. Raises Walled."""
    said = parse_qs(asked.query)
    count, last = _count(said.get("n", [""])[0]), said.get("last", [""])[0]
    try:
        with _one:
            reads = _reader(asked.access, asked.user or None, asked.own).reads
            if asked.behind.store:
                return _page(_after(_listing(asked.behind.store).names(), last), reads, count)
        return _page(_elsewhere(asked, last), reads, count)
    except (SecregError, LookupError, OSError, _Refused) as error:
        if isinstance(error, upstream.Walled):
            raise
        return error.answer if isinstance(error, _Refused) else UNTOLD


def _count(said: str) -> int:
    """How many names are asked for."""
    with contextlib.suppress(ValueError):
        if int(said) > 0:
            return min(int(said), MOST)
    return PAGE


def _page(names: Iterable[str], reads: Callable[[str], bool], count: int) -> Answer:
    """The first `count` of the `names` that somebody `reads`."""
    found: list[str] = []
    more = False
    for name in names:
        if reads(name):
            more = len(found) == count
            if more:
                break
            found.append(name)
    body = json.dumps({"repositories": found}).encode() + b"\n"
    link = f'<{CATALOG}?{urlencode({"last": found[-1], "n": count})}>; rel="next"' if more else ""
    return Answer(200, (answers.VERSION, answers.JSON, *([("Link", link)] if link else [])), body)


def _after(names: Iterable[str], last: str) -> Iterator[str]:
    """Those of `names` that come after `last`."""
    place = last.split("/")
    return (name for name in names if not last or name.split("/") > place)


class _Refused(Exception):
    """What the registry says in the place of a catalogue."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _elsewhere(asked: Asked, last: str) -> Iterator[str]:
    """The names that come after `last`, of a registry whose store is not ours. Raises _Refused."""
    for _ in range(PAGES):
        query = f"?n={AT_ONCE}" + (f"&last={quote(last, safe='')}" if last else "")
        answer = upstream.get(asked, f"{CATALOG}{query}")
        try:
            names = json.loads(answer.body)["repositories"] if answer.status == 200 else None
        except (ValueError, LookupError, TypeError):
            names = None
        if not isinstance(names, list):
            raise _Refused(answer if answer.status >= 400 else UNTOLD)
        yield from (name for name in names if isinstance(name, str))
        if not names or not answer.has("Link"):
            return
        last = str(names[-1])
