"""Whether what somebody writes may be: by the letters that the front says he has (access.yml), and by what the tag is
now. It is asked under the tag's lock, so of two first pushes at once one wins."""

from __future__ import annotations

from secreg_host.images.layout import Malformed, Repository, Tree, linked
from secreg_host.push import upstream
from secreg_host.push.answers import Answer, refusal
from secreg_host.push.asked import Asked


def refused(asked: Asked, tree: Tree | None) -> Answer | None:
    """Why `asked` may not be written; None: it may. tree: the store, where it is ours to look at. Raises Walled."""
    if asked.method != "PUT" or {"c", "u"} <= set(asked.rights):
        return None
    if not asked.target.tag:
        return None if {"c", "u"} & set(asked.rights) else _denied(asked, "may not push to it")
    now = _now(asked, tree)
    if isinstance(now, Answer):
        return now
    if now in asked.digests:
        return None  # it is pushed again, as by a job that is tried again
    if now:
        return None if "u" in asked.rights else _denied(asked, f"is {now} already, and may not be moved")
    return None if "c" in asked.rights else _denied(asked, "is not there, and may not be made")


def _denied(asked: Asked, why: str) -> Answer:
    return refusal(403, "DENIED", f"{asked.target} {why}", digest=asked.digests[0])


def _now(asked: Asked, tree: Tree | None) -> str | Answer:
    """The digest that the tag has ("": there is no such tag), or why nobody can tell."""
    if tree is not None:
        try:
            return linked(Repository(tree, asked.repository).current(asked.target.tag)) or ""
        except (Malformed, OSError):
            pass  # the registry says what it makes of it
    found = upstream.ask(asked.looking())
    if found.status == 404:
        return ""
    digest = found.has("Docker-Content-Digest")
    if found.status == 200 and digest:
        return digest
    return found if found.status >= 400 else refusal(503, "UNAVAILABLE", "nobody can tell what the tag is now")
