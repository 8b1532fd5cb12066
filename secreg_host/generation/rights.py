"""What access.yml says as maps of nginx's: who may do what is looked up, not computed, so that it takes as long with
many patterns as with few.

A name is looked up by its first segment, which leaves the patterns that can be about it, the longest first; the first
that matches is the line that decides. A user is one of a class: of those whom the same rules are about. The line and
the class together say what is given. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from secreg_host.base import quoting
from secreg_host.wanted.access import deciding, globs
from secreg_host.wanted.access.policy import ACTIONS, Policy, Repository, Rule

NONE = "0"
"""The line where no pattern is about a name, and the class of users whom no rule is about."""

LONG = 40
"""Characters (bytes) of a key that each hash of nginx's takes, whatever its size was set to (ngx_hash_init)."""

CAPITALS = "A"
"""What the key of a name with capitals begins with (access.conf.j2)."""

KINDS = {"read": "r", "head": "rcu", "begin": "cu", "push": "cu", "delete": "d"}
"""What is asked, and the letters of what must be given for it, one of them."""

WORDS = {"r": "read", "c": "push to", "u": "move tags of", "d": "delete in"}
"""What the letters are called where somebody is refused."""


@dataclass(frozen=True)
class Keyed:
    """A key of a map as it stands in nginx.conf, and what it leads to: a word, or (more) the number of another map."""

    key: quoting.Quoted
    value: str = ""
    more: int = 0


@dataclass(frozen=True)
class Maps:
    """tops: the line that decides about names with a first segment, or the map of `names` in which they are looked up,
    the last one for all other segments; names: keys for whole names, and lines; users: keys for users, and classes, or
    the map of `cased`; cased: of names with capitals, which it is; everyone: what whoever is logged in may do by line;
    guests: the same of whoever asks; given: by line and class, where that is something else; programs: the same of
    robots, to whom is given what guests have, where it is something else."""

    tops: tuple[Keyed, ...] = ()
    names: tuple[tuple[Keyed, ...], ...] = ()
    users: tuple[Keyed, ...] = ()
    cased: tuple[tuple[Keyed, ...], ...] = ()
    everyone: Mapping[str, str] = field(default_factory=dict)
    guests: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)


def letters(actions: Iterable[str]) -> str:
    """`actions` by their first letters, in the order in which they are known."""
    found = frozenset(actions)
    return "".join(action[0] for action in ACTIONS if action in found)


def allowing() -> Iterator[tuple[str, str]]:
    """Each kind of what is asked, with each combination of letters for which it is given."""
    for number in range(1, 1 << len(ACTIONS)):
        found = letters(action for place, action in enumerate(ACTIONS) if number >> place & 1)
        yield from ((kind, found) for kind, one_of in KINDS.items() if set(one_of) & set(found))


def words() -> Iterator[tuple[str, str]]:
    """Each combination of letters, in words."""
    for found in dict.fromkeys(found for _, found in allowing()):
        said = [WORDS[letter] for letter in found]
        yield found, " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))


def sums() -> Iterator[tuple[str, str]]:
    """What a robot's own rights and those that it has by access.yml, joined by a "+", are together."""
    every = [letters(one for n, one in enumerate(ACTIONS) if number >> n & 1) for number in range(1 << len(ACTIONS))]
    for own in ("", "r", "rc", "rcu"):
        yield from ((f"{own}+{more}", _together(own, more)) for more in every if own or more)


def of(policy: Policy | None) -> Maps:
    """The maps of `policy`; None: nothing is given by any."""
    policy = policy or Policy()
    tops, names = _lines(policy)
    classes = _classes(policy)
    kinds = dict.fromkeys(classes.values())
    numbers = {places: str(number) for number, places in enumerate(kinds, 1)}
    users, cased = _users({user: numbers[places] for user, places in classes.items()})
    everyone = {str(line): letters(one.default | one.anonymous) for line, one in _numbered(policy)}
    guests = {str(line): letters(one.anonymous) for line, one in _numbered(policy)}
    given, programs = (dict(_given(policy, kinds, others)) for others in (everyone, guests))
    return Maps(tops, names, users, cased, everyone, guests, given, programs)


def _numbered(policy: Policy) -> Iterator[tuple[int, Repository]]:
    """The patterns of `policy`, each with its number, from 1."""
    return enumerate(policy.repositories, 1)


def _lines(policy: Policy) -> tuple[tuple[Keyed, ...], tuple[tuple[Keyed, ...], ...]]:
    """How the line that decides about a name is found: `tops` and `names` of the maps."""
    first = sorted(_numbered(policy), key=lambda pair: (-globs.specific(pair[1].pattern), pair[0]))
    begins = {number: globs.first_segments(one.pattern) for number, one in first}
    names: list[tuple[Keyed, ...]] = []

    def looked_up(key: quoting.Quoted, top: str | None = None) -> Keyed:
        """The line, or the map, for names that begin with the segment `top` (None: with none of those known)."""
        found: list[Keyed] = []
        for number, one in first:
            begin = begins[number]
            if begin is not None and (top is None or top not in begin):
                continue
            if _covers(one.pattern, top):
                if not found:
                    return Keyed(key, str(number))
                found.append(Keyed(quoting.Quoted('"~^"'), str(number)))
                break
            found += _keys(policy, one, number)
        if not found:
            return Keyed(key, NONE)
        names.append(tuple(found))
        return Keyed(key, more=len(names))

    every = sorted(set().union(*(begin for begin in begins.values() if begin is not None)))
    tops = tuple(looked_up(_top(top), top) for top in every)
    return (*tops, looked_up(quoting.Quoted("default"))), tuple(names)


def _top(segment: str) -> quoting.Quoted:
    """The key of a first segment."""
    return _key(f"/{segment}" if len(segment) < LONG else f"~^/{segment.replace('.', '[.]')}$")


def _covers(pattern: str, top: str | None) -> bool:
    """Whether `pattern` is about each name that begins with the segment `top` (None: with any)."""
    known = {".*"} if top is None else {".*", f"{top.replace('.', '[.]')}(?:/.*)?"}
    return not known.isdisjoint(globs.expressions(pattern))


def _keys(policy: Policy, one: Repository, number: int) -> Iterator[Keyed]:
    """The keys of `one`, the pattern of that `number`; none of a name that a longer pattern decides about."""
    name = globs.literal(one.pattern)
    if name is not None and len(name) < LONG:
        if deciding.decider(policy, name) is one:
            yield Keyed(_key(f"/{name}"), str(number))
        return
    for expression in globs.expressions(one.pattern):
        yield Keyed(_key(f"~^/(?:{expression})$"), str(number))


def _rules(policy: Policy) -> list[tuple[str, Rule]]:
    """Each rule, with the line that it is of; the admin policy is of none ("")."""
    return [("", policy.admin), *((str(line), rule) for line, one in _numbered(policy) for rule in one.policies)]


def _classes(policy: Policy) -> dict[str, tuple[int, ...]]:
    """The places in `_rules` of those that are about each user who is named: who has the same is of one class."""
    inside = {group.name: group.users for group in policy.groups}
    about: defaultdict[str, list[int]] = defaultdict(list)
    for place, (_, rule) in enumerate(_rules(policy)):
        for user in {*rule.users, *(user for name in rule.groups for user in inside.get(name, ()))}:
            about[user].append(place)
    return {user: tuple(places) for user, places in sorted(about.items())}


def _users(classes: Mapping[str, str]) -> tuple[tuple[Keyed, ...], tuple[tuple[Keyed, ...], ...]]:
    """The keys of users, by their classes. nginx looks keys up without regard to capitals: names with capitals have
    keys of their own, and are looked at once more."""
    users, cased = [], []
    alike: defaultdict[str, list[Keyed]] = defaultdict(list)
    for user, number in classes.items():
        exactly = Keyed(_key(f"~^{CAPITALS}?={_escaped(user)}=$"), number)
        if len(user.encode()) >= LONG:
            users.append(exactly)
        elif re.search("[A-Z]", user):
            alike[_lower(user)].append(exactly)
        else:
            users.append(Keyed(_key(f"={user}="), number))
    for lower, found in alike.items():
        cased.append(tuple(found))
        users.append(Keyed(_key(f"{CAPITALS}={lower}="), more=len(cased)))
    return tuple(users), tuple(cased)


def _lower(text: str) -> str:
    """`text` as nginx looks it up: ASCII alone has capitals for it (ngx_tolower)."""
    return re.sub("[A-Z]", lambda found: found[0].lower(), text)


def _escaped(text: str) -> str:
    """`text` in a regular expression of PCRE, which looks at bytes here."""
    return re.sub(r"[^A-Za-z0-9_\x80-\U0010ffff]", r"\\\g<0>", text)


def _given(policy: Policy, kinds: Iterable[tuple[int, ...]], everyone: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What each class of `kinds` may do by each line, where that is not what everyone may."""
    rules = _rules(policy)
    for number, places in enumerate(kinds, 1):
        lines: defaultdict[str, str] = defaultdict(str)
        for line, rule in (rules[place] for place in places):
            for one in (line,) if line else (NONE, *everyone):
                lines[one] += letters(rule.actions)
        for line, more in lines.items():
            before = everyone.get(line, "")
            if found := _together(before, more):
                yield from [(f"{line} {number}", found)] if found != before else ()


def _together(*some: str) -> str:
    """The letters of all of `some`."""
    return "".join(action[0] for action in ACTIONS if any(action[0] in one for one in some))


def _key(text: str) -> quoting.Quoted:
    """`text` as a key of a map, where a `$` is no variable."""
    return quoting.nginx_text(text)
