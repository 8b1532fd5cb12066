"""What the log of who did what says: made of what the services and the front said, written and read as a line of JSON.

Everything here is pure. A line has no character but those of ASCII that can be seen, so that nothing that a client
sends is another line, or steers a terminal; and each text in it has its bounds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from secreg_host.base import records, utf8
from secreg_host.images.dates import plausible
from secreg_host.push import audit

MICRO = 10**6
LONGEST = 1000
"""Characters of a text at the most."""

PUSH, OVERWRITE, DELETE, REFUSED, PULL = "push", "overwrite", "delete", "refused", "pull"
ADDED, REMOVED, CHANGED = "user added", "user removed", "user changed"
CUT = "log cut"
"""What was done. Of a part of the configuration: `NAME changed`."""

USERS, CHANGE = "users", "change"
"""Kinds of root's entries in the journal (SECREG_KIND), besides that of the manifest service's."""

BY_NAME = {"ADDED": ADDED, "REMOVED": REMOVED, "CHANGED": CHANGED}
REFUSALS = (401, 403, 405)

NAMED = re.compile(
    r"/v2/(?P<name>[a-z0-9._/-]{1,255})/"
    r"(?:(?:manifests|referrers)/(?P<reference>[A-Za-z0-9_+.:-]{1,200})(?:[?]|$)|(?:manifests|blobs|tags|referrers)/)"
)
"""Addresses that are about a repository, as they were sent or as nginx read them."""

FRONT: dict[Any, records.Shape] = {
    **dict.fromkeys(("user", "address", "method", "uri", "path", "digest"), str),
    "at": (int, float),
    "status": int,
}


@dataclass(frozen=True)
class Entry:
    """at: microseconds since the epoch; did: what was done; user: by whom, or to which user; address: of the client;
    repository, tag, digest: which image; was: the digest that the tag had before; status: the answer's; said: more of
    it, in words; by: which of our programs says so ("front" and "manifests" hear of it from clients)."""

    at: int
    did: str
    user: str = ""
    address: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    was: str = ""
    status: int = 0
    said: str = ""
    by: str = ""

    @property
    def time(self) -> str:
        """When it was, as RFC 3339 has it, in UTC."""
        when = datetime.fromtimestamp(plausible(self.at // MICRO), UTC)
        return f"{when:%Y-%m-%dT%H:%M:%S}.{self.at % MICRO:06}Z"

    @property
    def as_dict(self) -> dict[str, Any]:
        """What is known of it, for JSON."""
        known = {name: _short(value) for name, value in asdict(self).items() if value and name != "at"}
        return {"time": self.time, **known}

    @property
    def line(self) -> bytes:
        """The line of the log, with its end."""
        return json.dumps(self.as_dict).encode() + b"\n"


def _short(value: Any) -> Any:
    return f"{value[:LONGEST]}..." if isinstance(value, str) and len(value) > LONGEST else value


NAMES = {one.name: str(one.type) for one in fields(Entry)}


def read(line: bytes) -> Entry | None:
    """What a line of the log says; None: it is none."""
    found = records.parsed(line)
    if not isinstance(found, dict) or not isinstance(found.get("did"), str):
        return None
    known = {name: found[name] for name in NAMES if name in found and name != "at"}
    if not all(isinstance(value, int if name == "status" else str) for name, value in known.items()):
        return None
    try:
        at = round(datetime.fromisoformat(str(found.get("time"))).timestamp() * MICRO)
    except (ValueError, OverflowError):
        return None
    return Entry(at, **known)


def of_journal(said: Mapping[str, str], at: int) -> Iterator[Entry]:
    """What an entry of the journal with the fields `said` (without SECREG_), of the time `at`, is about."""
    kind = said.get("KIND", "")
    if kind == audit.KIND:
        yield from _manifest(said, at)
    elif kind == USERS:
        yield from _users(said, at)
    elif kind == CHANGE:
        yield Entry(at, f"{said.get('PART', '')} changed", said=said.get("SAID", ""), by=said.get("BY", ""))


def _manifest(said: Mapping[str, str], at: int) -> Iterator[Entry]:
    status, was = _number(said.get("STATUS", "")), said.get("WAS", "")
    if status in REFUSALS:
        did = REFUSED
    elif status // 100 != 2:  # it was not done, and nobody was kept from it
        return
    elif said.get("METHOD") == "DELETE":
        did = DELETE
    else:
        did = OVERWRITE if was else PUSH
    reference = said.get("REFERENCE", "")
    tag = "" if ":" in reference else reference
    digest = said.get("DIGEST", "") or ("" if tag else reference)
    more = f"{said.get('METHOD', '')} of a manifest" if did == REFUSED else ""
    who = said.get("USER", ""), said.get("ADDRESS", "")
    yield Entry(at, did, *who, said.get("REPOSITORY", ""), tag, digest, was, status, more, by="manifests")


def _number(text: str) -> int:
    return int(text) if len(text) < 4 and text.isascii() and text.isdecimal() else 0


def _users(said: Mapping[str, str], at: int) -> Iterator[Entry]:
    """One for each user who is named; of too many, what was said of them."""
    named = [(did, name) for field, did in BY_NAME.items() for name in said.get(field, "").split("\n") if name]
    yield from (Entry(at, did, user=name, by="root") for did, name in named)
    if not named:
        yield Entry(at, "users changed", said=said.get("MESSAGE", ""), by="root")


def of_front(line: bytes) -> Entry | None:
    """What a line of the front's is about; None: nothing that is kept, or no line of the front's."""
    found = records.parsed(utf8.shown(line).encode())
    if not records.fits(found, FRONT) or not isinstance(found, dict) or not FRONT.keys() <= found.keys():
        return None
    status, method = found["status"], found["method"]
    is_good = status // 100 == 2
    did = PULL if is_good and method == "GET" else DELETE if is_good and method == "DELETE" else REFUSED
    about = NAMED.match(found["path"]) or NAMED.match(found["uri"])  # in the end, it may be one of the front's own
    reference = str(about["reference"] or "") if about else ""
    said = f"{method} {found['uri']}" if did == REFUSED else ""
    digest = found["digest"] or (reference if ":" in reference else "")
    which = about["name"] if about else "", "" if ":" in reference else reference, digest
    at = round(min(max(found["at"], 0), plausible(int(found["at"])) + 1) * MICRO)
    return Entry(at, did, found["user"], found["address"], *which, status=status, said=said, by="front")


def cut(at: int, lost: int) -> Entry:
    """That `lost` bytes of the log are gone, and nobody of ours took them."""
    return Entry(at, CUT, said=f"{lost} bytes that were written are gone: the file was removed, cut or replaced")


GLOB = re.compile(r"(?P<any>\*\*/)|(?P<rest>/\*\*$)|(?P<all>\*\*)|(?P<star>\*)|(?P<one>\?)")
MEANS = {"any": "(?:.*/)?", "rest": "(?:/.*)?", "all": ".*", "star": "[^/]*", "one": "[^/]"}


def pattern(glob: str) -> re.Pattern[str]:
    """What the names of repositories that `glob` means look like: `*` stands for a part of a segment, `?` for one
    character of it, `**` for any number of segments."""
    pieces, at = [], 0
    for found in GLOB.finditer(glob):
        pieces += [re.escape(glob[at : found.start()]), MEANS[str(found.lastgroup)]]
        at = found.end()
    return re.compile("".join([*pieces, re.escape(glob[at:])]))


@dataclass(frozen=True)
class Wanted:
    """Which entries are asked for. user: of this one; repositories: of those that fit (None: whatever it is about);
    since: not before (microseconds since the epoch)."""

    user: str | None = None
    repositories: re.Pattern[str] | None = None
    since: int = 0

    def has(self, one: Entry) -> bool:
        """Whether `one` is."""
        if one.at < self.since or (self.user is not None and one.user != self.user):
            return False
        return self.repositories is None or self.repositories.fullmatch(one.repository) is not None
