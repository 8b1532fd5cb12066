"""How the command tells who may do what, and why."""

from __future__ import annotations

from collections.abc import Iterator

from secreg_host.formats.robots import Own
from secreg_host.images.targets import Target
from secreg_host.wanted.access import deciding
from secreg_host.wanted.access.policy import ACTIONS, CREATE, UPDATE, Policy


def explained(
    policy: Policy | None, where: str, user: str | None, target: Target, own: Own | None = None
) -> Iterator[str]:
    """What `user` may do with `target` by `policy`, which the file `where` holds, in lines. own: a robot's rights."""
    who = "whoever asks" if user is None else user
    may = deciding.rights(policy, user, target.repository, own)
    words = [action for action in ACTIONS if action in may]
    yield f"{who} may {' and '.join(words) if words else 'do nothing'} in {target.repository}"
    if target.tag and CREATE in may and UPDATE not in may:
        yield f"{target}: may be pushed once, and then stays what it is (create without update)"
    if policy is not None:
        decider = deciding.decider(policy, target.repository)
        if decider is None:
            yield f"{where}: no pattern is about it"
        else:
            yield f"{where}:{decider.line}: {decider.pattern!r} decides, the longest pattern that is about it"
    for one in deciding.grants(policy, user, target.repository, own):
        given = ", ".join(action for action in ACTIONS if action in one.actions)
        yield f"{where}:{one.line}: {given} ({one.why})" if one.line else f"{given} ({one.why})"
