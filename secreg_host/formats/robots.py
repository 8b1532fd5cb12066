"""The file of robots: users that are programs. We make their secrets (256 random bits), and their days are numbered.

A line is one of them; what stands behind its hash is in any order, the rights as often as there are some:

    NAME:HASH made=TIME expires=TIME [old=HASH until=TIME] [read=GLOB] [create=GLOB] [push=GLOB]

TIME is as 2026-12-01T12:00:00Z, of expires also `never`. HASH is {SSHA} with 16 random bytes, which nginx checks by
itself in a microsecond; `old` is that of the secret before, which counts until then, too. All of a line has to be
understood: one that is not, or was cut, is no robot. Of two lines of one name the first decides, whatever it says. A
robot logs in as robot-NAME. No message ever holds a hash, or anything of a line but a name.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from secreg_host.base import utf8
from secreg_host.base.errors import Problem
from secreg_host.formats import users

PREFIX = "robot-"
"""How the names begin by which robots log in; in any case no new user's name does."""

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")
NAMED = "a robot's name is 1 to 32 small letters and digits, with . _ - between them"

HASH = re.compile(r"\{SSHA\}[A-Za-z0-9+/]{48}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NEVER = "never"

ACTIONS = {
    "read": frozenset({"read"}),
    "create": frozenset({"read", "create"}),
    "push": frozenset({"read", "create", "update"}),
}
"""What a right is, by its word in the file and in the options of `token create`: the actions of access.yml."""

SINGLE = ("made", "expires", "old", "until")
SALT_BYTES = 16
MARK = "srt_"
"""How secrets begin, so that who finds one knows what it is, and programs that look for lost secrets, too."""

PLAIN = re.compile(r"[a-z0-9._/*-]{1,255}")
"""Patterns that are such whatever the rules are: there is no sign in them that could be wrong."""

Own = tuple[tuple[str, frozenset[str]], ...]
"""A robot's rights: patterns of repositories, and the actions there."""


@dataclass(frozen=True)
class Robot:
    """A robot, and the line (from 1) that says so. made, expires: when its secret was made and ends (seconds since the
    epoch; None: it never ends); old: the hash of the secret before ("": there is none that counts), and `until` when;
    rights: words of ACTIONS and patterns."""

    name: str
    hash: str = field(repr=False)
    made: int
    expires: int | None
    old: str = field(default="", repr=False)
    until: int = 0
    rights: tuple[tuple[str, str], ...] = ()
    line: int = 0

    @property
    def login(self) -> str:
        """The user's name."""
        return f"{PREFIX}{self.name}"

    @property
    def own(self) -> Own:
        """Its rights, as access.yml's are told."""
        return tuple((glob, ACTIONS[word]) for word, glob in self.rights)

    def counts(self, now: float) -> bool:
        """Whether it may log in at the moment `now`."""
        return self.expires is None or now < self.expires

    def has_old(self, now: float) -> bool:
        """Whether the secret before counts, too."""
        return bool(self.old) and self.counts(now) and now < self.until


def is_reserved(user: str) -> bool:
    """Whether the name `user` is one of a robot's, in any case."""
    return user.casefold().startswith(PREFIX)


def new_secret() -> str:
    """A secret that nobody can guess, of characters that no shell takes for anything else."""
    return f"{MARK}{secrets.token_hex(32)}"


def hash_of(secret: str) -> str:
    """Its hash, with another salt each time."""
    return users.fast_hash(secret, secrets.token_bytes(SALT_BYTES))


def parse(data: bytes, where: str, wrong: Callable[[str], str]) -> tuple[tuple[Robot, ...], tuple[Problem, ...]]:
    """The robots in the bytes of the file `where`, and a problem for each line that can't be used. wrong: what is wrong
    with a pattern ("": nothing). After `users.TOLD` bad lines, the others are told as one."""
    if utf8.is_utf16(data):
        return (), (Problem(where, utf8.UTF_16, f"none of the robots in it can log in; {utf8.HINT}"),)
    found: list[Robot] = []
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    bad = 0
    for number, raw in enumerate(data.removeprefix(utf8.BOM.encode()).split(b"\n"), 1):
        line = utf8.shown(raw.rstrip(b"\r"))
        if not line.strip() or line.startswith("#"):
            continue
        name = line.partition(":")[0]
        if name in lines:
            one: Robot | str = f"robot {name!r} stands again (first in line {lines[name]})"
        else:
            one = _robot(line, number, wrong)
        if NAME.fullmatch(name):
            lines.setdefault(name, number)
        if isinstance(one, Robot):
            found.append(one)
            continue
        bad += 1
        if bad <= users.TOLD:
            problems.append(Problem(f"{where}:{number}", one, _remedy(name)))
    if bad > users.TOLD:
        hint = "see whether it is the right file, and what is read of it: secure-registry token list"
        problems.append(Problem(where, f"{bad - users.TOLD} more lines can't be used", hint))
    return tuple(found), tuple(problems)


def names(data: bytes) -> list[str]:
    """The names in the bytes of the file, those of lines that can't be used, too."""
    found = (utf8.shown(line.partition(b":")[0]) for line in data.splitlines() if b":" in line)
    return [name for name in dict.fromkeys(found) if NAME.fullmatch(name)]


def _remedy(name: str) -> str:
    if NAME.fullmatch(name) is None:
        return "remove the line, and make the robot anew: secure-registry token create NAME"
    return f"make it anew: secure-registry token revoke {name}, then token create {name}"


def _robot(line: str, number: int, wrong: Callable[[str], str]) -> Robot | str:
    """The robot of one line, or what is wrong with it."""
    if not (line.isascii() and line.isprintable()):
        return "it holds other characters than those of ASCII that can be seen"
    head, *words = line.split(" ")
    name, colon, value = head.partition(":")
    if not colon:
        return "no colon: a line is NAME:HASH made=TIME expires=TIME, and rights"
    if NAME.fullmatch(name) is None:
        return NAMED
    single: dict[str, str] = {"hash": value}
    rights: list[tuple[str, str]] = []
    for word in filter(None, words):
        key, _, said = word.partition("=")
        if key in ACTIONS:
            if not PLAIN.fullmatch(said) and (why := wrong(said)):
                return f"robot {name!r} can't log in: a pattern of {key}= is none: {why}"
            rights.append((key, said))
        elif key not in SINGLE or key in single:
            return f"robot {name!r} can't log in: what stands behind its hash is not understood"
        else:
            single[key] = said
    return _checked(name, single, tuple(rights), number)


def _checked(name: str, single: dict[str, str], rights: tuple[tuple[str, str], ...], number: int) -> Robot | str:
    made, expires, until = (
        _time(single.get("made", "")),
        _time(single.get("expires", "")),
        _time(single.get("until", "")),
    )
    never, old = single.get("expires") == NEVER, single.get("old", "")
    if HASH.fullmatch(single["hash"]) is None or (old and HASH.fullmatch(old) is None):
        return f"robot {name!r} can't log in: a hash of it is none of a robot's"
    if made is None or (expires is None and not never):
        return f"robot {name!r} can't log in: made= and expires= are not times, as 2026-12-01T12:00:00Z"
    if ("old" in single) != ("until" in single) or ("until" in single and (until is None or not old)):
        return f"robot {name!r} can't log in: old= and until= stand together, a hash and a time"
    return Robot(name, single["hash"], made, expires, old, until or 0, rights, number)


def _time(text: str) -> int | None:
    """The seconds since the epoch; None: it is no time."""
    if not text or TIME.fullmatch(text) is None:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return None


def time_text(seconds: float) -> str:
    """A moment (seconds since the epoch) as it stands in the file."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render(robot: Robot) -> bytes:
    """Its line, without an end."""
    words = [f"{robot.name}:{robot.hash}", f"made={time_text(robot.made)}"]
    words.append(f"expires={NEVER if robot.expires is None else time_text(robot.expires)}")
    if robot.old:
        words += [f"old={robot.old}", f"until={time_text(robot.until)}"]
    return " ".join([*words, *(f"{word}={glob}" for word, glob in robot.rights)]).encode()


def password_lines(robots: Iterable[Robot]) -> bytes:
    """The lines by which nginx checks their secrets."""
    return "".join(f"{robot.login}:{robot.hash}\n" for robot in robots).encode()
