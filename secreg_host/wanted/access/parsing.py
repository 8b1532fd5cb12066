"""access.yml -> who may do what. Each mistake has its line; what is not known is an error, for it may have been meant
to keep somebody out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from secreg_host.base.errors import BadInput, Problem
from secreg_host.formats import users, yamlfile
from secreg_host.formats.yamlfile import Lined
from secreg_host.wanted.access import deciding, globs
from secreg_host.wanted.access.policy import ACTIONS, READ, Group, Policy, Repository, Rule

PARENTS = ("http", "accessControl")
"""Keys, one in the other, below which the same stands in zot's own configuration."""

IGNORED = "detectManifestCollision"
"""An action of zot's that is about nothing here."""

T = TypeVar("T")
Pairs = dict[str, tuple[int, Lined]]
"""The values of a mapping by their keys, with the lines of these."""


@dataclass
class Found:
    """What is wrong in the file `where`, and what is worth a warning."""

    where: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def wrong(self, line: int, what: str, hint: str) -> None:
        """Note a mistake."""
        self.problems.append(Problem(f"{self.where}:{line}", what, hint))

    def odd(self, line: int, what: str, hint: str) -> None:
        """Note a warning."""
        self.warnings.append(Problem(f"{self.where}:{line}", what, hint))


def parse(data: bytes, where: str) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The policy in `data`, which the file `where` holds, and warnings; None: nothing stands in it, but comments
    perhaps. Raises BadInput with all mistakes."""
    node = yamlfile.lined(data, where)
    if node is None or node.nothing or node.pairs == ():
        return None, ()
    found = Found(where)
    policy = _policy(_unwrapped(node), found)
    if not found.problems and not policy.repositories and not policy.admin.actions:
        found.wrong(node.line, "it gives nobody anything", "name repositories, or an adminPolicy")
    if found.problems:
        raise BadInput(found.problems)
    return policy, (*found.warnings, *_groups(policy, where), *_idle(policy, where))


def unknown_users(policy: Policy, where: str, known: Collection[str]) -> Iterator[Problem]:
    """A warning for each user that `policy` names and who is none of `known`, at his first place."""
    rules = [rule for one in policy.repositories for rule in one.policies]
    lines: dict[str, int] = {}
    for line, names in (
        *((rule.line, rule.users) for rule in (policy.admin, *rules)),
        *((group.line, group.users) for group in policy.groups),
    ):
        for name in names:
            lines[name] = min(line, lines.get(name, line))
    for name, line in sorted(lines.items(), key=lambda pair: (pair[1], pair[0])):
        if name not in known:
            hint = "see how it is spelled, or add it: secure-registry htpasswd USER"
            yield Problem(f"{where}:{line}", f"there is no user {name!r}", hint)


def _idle(policy: Policy, where: str) -> Iterator[Problem]:
    """A warning for each name that a longer pattern decides about: `team-a/x` is shorter than `team-a/**`."""
    for one in policy.repositories:
        name = globs.literal(one.pattern)
        other = deciding.decider(policy, name) if name else None
        if other is not None and other is not one:
            what = f"{one.pattern!r} never counts: {other.pattern!r} (line {other.line}) is longer, and so decides"
            yield Problem(f"{where}:{one.line}", what, f"write it longer, such as {f'{one.pattern}{{,/**}}'!r}")


def _groups(policy: Policy, where: str) -> Iterator[Problem]:
    """A warning for each group that is named and does not stand under groups."""
    known = {group.name for group in policy.groups}
    for rule in (policy.admin, *(rule for one in policy.repositories for rule in one.policies)):
        for name in rule.groups:
            if name not in known:
                yield Problem(f"{where}:{rule.line}", f"there is no group {name!r}", "add it under groups")


def _policy(node: Lined, found: Found) -> Policy:
    """All that stands in the file."""
    pairs = _mapping(node, found, ("repositories", "adminPolicy", "groups", "metrics"), "access.yml")
    admin = _under(pairs, "adminPolicy", Rule(), lambda line, value: _rule(line, value, found))
    none: Pairs = {}
    metrics = _under(pairs, "metrics", none, lambda _, value: _mapping(value, found, ("users",), "metrics"))
    return Policy(
        repositories=_under(pairs, "repositories", (), lambda _, value: _repositories(value, found)),
        admin=admin,
        groups=_under(pairs, "groups", (), lambda _, value: _all_groups(value, found)),
        metrics=_under(metrics, "users", (), lambda _, value: _names(value, found)),
    )


def _repositories(node: Lined, found: Found) -> tuple[Repository, ...]:
    words = ("policies", "defaultPolicy", "anonymousPolicy")
    made = []
    for pattern, (line, value) in _mapping(node, found, None, "repositories").items():
        if wrong := globs.problem(pattern):
            found.wrong(line, f"{pattern!r} is no pattern: {wrong}", "write one such as team-a/** or apps/{web,db}")
            continue
        if not globs.possible(pattern):
            hint = "names of repositories are small letters, digits, and . _ - / between them"
            found.odd(line, f"no repository can be called {pattern!r}", hint)
        pairs = _mapping(value, found, words, f"the pattern {pattern!r}")
        default, default_line = _actions_at(pairs, "defaultPolicy", found)
        anonymous, anonymous_line = _actions_at(pairs, "anonymousPolicy", found)
        if more := anonymous - {READ}:
            what = f"anonymousPolicy gives {', '.join(sorted(more))}: whoever asks may only read"
            found.wrong(anonymous_line, what, "write [read], and give users the rest under policies")
        policies = _rules(pairs["policies"][1], found) if "policies" in pairs else ()
        made.append(Repository(pattern, policies, default, anonymous, line, default_line, anonymous_line))
    return tuple(made)


def _rules(node: Lined, found: Found) -> tuple[Rule, ...]:
    return tuple(_rule(one.line, one, found) for one in _list(node, found, "policies"))


def _rule(line: int, node: Lined, found: Found) -> Rule:
    pairs = _mapping(node, found, ("users", "groups", "actions"), "a policy")
    return Rule(
        users=_under(pairs, "users", (), lambda _, value: _names(value, found)),
        groups=_under(pairs, "groups", (), lambda _, value: _texts(value, found, "groups")),
        actions=_actions_at(pairs, "actions", found)[0],
        line=line,
    )


def _all_groups(node: Lined, found: Found) -> tuple[Group, ...]:
    made = []
    for name, (line, value) in _mapping(node, found, None, "groups").items():
        pairs = _mapping(value, found, ("users",), f"the group {name!r}")
        made.append(Group(name, _under(pairs, "users", (), lambda _, value: _names(value, found)), line))
    return tuple(made)


def _actions_at(pairs: Pairs, key: str, found: Found) -> tuple[frozenset[str], int]:
    """The actions below `key`, and its line; none where it does not stand there."""
    if key not in pairs:
        return frozenset(), 0
    line, node = pairs[key]
    return _actions(node, found, key), line


def _actions(node: Lined, found: Found, what: str) -> frozenset[str]:
    given = set()
    for one in _list(node, found, what):
        text = _text(one, found, what)
        if text == IGNORED:
            found.odd(one.line, f"{IGNORED} does nothing here", "the right to delete is all that is asked for")
        elif text in ACTIONS:
            given.add(text)
        elif text is not None:
            found.wrong(one.line, f"{text!r} is no action", f"actions are {', '.join(ACTIONS)}")
    return frozenset(given)


def _names(node: Lined, found: Found) -> tuple[str, ...]:
    """The users in a list."""
    names = []
    for one in _list(node, found, "users"):
        text = _text(one, found, "users")
        if text is None:
            continue
        if wrong := users.name_problem(text):
            found.wrong(one.line, f"nobody can be called {text!r}: {wrong}", "leave it out")
        else:
            names.append(text)
    return tuple(dict.fromkeys(names))


def _texts(node: Lined, found: Found, what: str) -> tuple[str, ...]:
    given = [text for one in _list(node, found, what) if (text := _text(one, found, what)) is not None]
    return tuple(dict.fromkeys(given))


def _under(pairs: Pairs, key: str, default: T, read: Callable[[int, Lined], T]) -> T:
    """What `read` makes of the line and the value of `key`; `default` where it does not stand there."""
    return read(*pairs[key]) if key in pairs else default


def _mapping(node: Lined, found: Found, words: Collection[str] | None, what: str) -> Pairs:
    """The values below `node`, whose keys must be of `words` (None: any); nothing is an empty one."""
    if node.nothing:
        return {}
    if node.pairs is None:
        found.wrong(node.line, f"{what} must be a mapping (KEY: VALUE)", "see the example in the file as shipped")
        return {}
    pairs: Pairs = {}
    for key, value in node.pairs:
        text = _text(key, found, f"a key of {what}")
        if text is None:
            continue
        if words is not None and text not in words:
            meant = next((word for word in words if word.lower() == text.lower()), "")
            hint = f"write {meant}" if meant else f"here stand {', '.join(words)}"
            found.wrong(key.line, f"unknown word {text!r} in {what}", hint)
        elif text in pairs:
            found.wrong(key.line, f"{text!r} stands again (first in line {pairs[text][0]})", "leave one of them")
        else:
            pairs[text] = (key.line, value)
    return pairs


def _list(node: Lined, found: Found, what: str) -> tuple[Lined, ...]:
    """The values in the list `node`; nothing is an empty one."""
    if node.nothing:
        return ()
    if node.items is None:
        found.wrong(node.line, f"{what} must be a list ([A, B])", "write it in brackets")
        return ()
    return node.items


def _text(node: Lined, found: Found, what: str) -> str | None:
    """The text that `node` is; None, and a mistake: it is something else, such as a number or `yes`."""
    if node.text is None:
        hint = "quote it, if it is meant as it stands" if node.other or node.nothing else "write a text"
        found.wrong(node.line, f"{what} must be text", hint)
    return node.text


def _unwrapped(node: Lined) -> Lined:
    """What stands below zot's own parent keys, as far as they are there."""
    for name in PARENTS:
        node = _only(node, name)
    return node


def _only(node: Lined, name: str) -> Lined:
    """The value of key `name`, if that is all that stands in `node`; else `node`."""
    if node.pairs is not None and len(node.pairs) == 1 and node.pairs[0][0].text == name:
        return node.pairs[0][1]
    return node
