"""What robots may do, as nginx reads it beside the users that count: they come and go without another generation.

    robots.conf    of each robot, by its name, the tokens of its rights; of a user who is called like one, nothing
    globs.conf     what the patterns mean that are no plain ones, for the robots that have such

A token is a letter for what is given (r: read; c: create, too; u: update, too) and for where: u/team-a/ is team-a and
all below it, u/ is everything, U/team-a/app/ is one repository (capitals), and u#PATTERN is any other pattern. They are
looked up by one expression each, whatever they are (templates/front/access.conf.j2), so that ten thousand robots take
no longer than one. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, unquote

from secreg_host.base import quoting
from secreg_host.formats import robots
from secreg_host.formats.robots import Own
from secreg_host.generation import rights
from secreg_host.wanted.access import globs

ROBOTS_CONF, GLOBS_CONF = "robots.conf", "globs.conf"

LEVELS = {"u": "rcu", "c": "rc", "r": "r"}
"""The letters of tokens, and what is given, by the first letters of actions; who has more has all that is less."""

OF_ACTIONS = {actions: word[0].replace("p", "u") for word, actions in robots.ACTIONS.items()}
"""Those letters, by what is given."""

EVERY, BELOW = "**", "/**"
PLAIN = re.compile(r"[a-z0-9._-]+(?:/[a-z0-9._-]+)*")
SAFE = "/*?[]{},!^-._"
"""Characters of a pattern that stand in a token as they are."""

TOKEN = re.compile(r"([urcURC])([/#])(.*)")


def conf(own: Mapping[str, Own], people: Iterable[str]) -> bytes:
    """robots.conf: of robots with these rights, by their logins, and of those `people` who are called like robots."""
    lines = [f"{_key(login)} {_quoted(' '.join(['', *_tokens(given), '']))};" for login, given in own.items()]
    lines += [f'{_key(name)} "";' for name in people if is_called(name) and name not in own]
    return "".join(f"{line}\n" for line in lines).encode()


def is_called(user: str) -> bool:
    """Whether `user` is called as robots are, whose names have no capitals."""
    return user.startswith(robots.PREFIX) and not re.search("[A-Z]", user)


def globs_conf(own: Mapping[str, Own]) -> bytes:
    """globs.conf: an expression for each pattern that is no plain one, those that give more first."""
    odd = [right for given in own.values() for right in given if not _is_plain(right[0])]
    every = {(token[0], token[2:]) for token in _tokens(odd)}
    lines = []
    for level, given in LEVELS.items():
        for pattern in sorted(pattern for one, pattern in every if one == level):
            for expression in globs.expressions(unquote(pattern)):
                key = quoting.nginx_text(rf"~^/(?:{expression})/\|.* {level}#{re.escape(pattern)} ")
                lines.append(f"{key} {given};\n")
    return "".join(lines).encode()


def read(text: str) -> Own:
    """The rights that the tokens `text` say; what is none gives nothing."""
    return tuple(_right(found) for one in text.split() if (found := TOKEN.fullmatch(one)))


def _right(token: re.Match[str]) -> tuple[str, frozenset[str]]:
    level, kind, rest = token.groups()
    actions = frozenset(word for word in robots.ACTIONS["push"] if word[0] in LEVELS[level.lower()])
    if kind == "#":
        return unquote(rest), actions
    name = rest.rstrip("/")
    if level.isupper():
        return name, actions
    return f"{name}{BELOW}" if name else EVERY, actions


def _is_plain(pattern: str) -> bool:
    return pattern == EVERY or PLAIN.fullmatch(pattern.removesuffix(BELOW)) is not None


def _tokens(own: Iterable[tuple[str, frozenset[str]]]) -> Iterator[str]:
    """Each right as a token."""
    for pattern, actions in own:
        level = OF_ACTIONS[actions]
        if not _is_plain(pattern):
            yield f"{level}#{quote(pattern, safe=SAFE)}"
        elif pattern == EVERY:
            yield f"{level}/"
        elif pattern.endswith(BELOW):
            yield f"{level}/{pattern.removesuffix(BELOW)}/"
        else:
            yield f"{level.upper()}/{pattern}/"


def _key(user: str) -> quoting.Quoted:
    """A user as `$secreg_capitals$secreg_..._user` has one without capitals; others are no robots."""
    text = f"={user}="
    return quoting.nginx_text(text if len(text.encode()) <= rights.LONG else f"~^{re.escape(text)}$")


def _quoted(text: str) -> str:
    return f'"{text}"'
