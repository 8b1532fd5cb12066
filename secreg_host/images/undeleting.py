"""Undeleting: links come back from the trash, first those of blobs, last the tag, so that nothing is there by half.

Told are entries as of deleting: what came back, or what is wrong, for which nothing was done.
"""

from __future__ import annotations

from collections.abc import Iterator

from secreg_host.images import bringing, flight, sighting, trash
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.manifests import Unreadable
from secreg_host.images.survey import Entry
from secreg_host.images.targets import Target
from secreg_host.images.trash import REVISION, TAG, Item, Run, Trash

SEE = "see what is in the trash: secure-registry images trash list"


def undelete(tree: Tree, target: Target) -> Iterator[Entry]:
    """Bring back what `target` names, as it was deleted last; of a whole repository all that is in the trash."""
    there = Trash(tree)
    with flight.still(tree, target.repository) as still:
        if not still:
            yield "wrong", str(target), "manifests keep coming to that repository", "try again"
        elif target.tag:
            yield from _tag(there, target)
        elif target.digest:
            yield from _revision(there, target)
        else:
            yield from _all(there, target)


def _tag(there: Trash, target: Target) -> Iterator[Entry]:
    found = there.find(target.repository, TAG, [target.tag]).get(target.tag)
    if found is None:
        yield "wrong", str(target), "there is no such tag in the trash", SEE
    elif target.tag in {*Repository(there.tree, target.repository).tags()}:
        hint = f"give it another name first: secure-registry images tag {target} NEWTAG; then images rm {target}"
        yield "wrong", str(target), "there is such a tag again", hint
    else:
        yield from _tagged(there, found)


def _tagged(there: Trash, item: Item) -> Iterator[Entry]:
    """Bring back a tag, with what it was."""
    digest = trash.tagged(there, item)
    target = Target(item.repository, item.name)
    wrong = _manifest(there.tree, item.repository, digest) if digest else ("what it was can't be read", SEE)
    if wrong:
        yield "wrong", str(target), *wrong
    elif there.back(item):
        yield "tag", item.repository, item.name, digest


def _revision(there: Trash, target: Target) -> Iterator[Entry]:
    found = [item for run in there.runs() for item in _about(there, run, target)]
    if not found:
        yield "wrong", str(target), "there is no such manifest in the trash", SEE
    elif wrong := _manifest(there.tree, target.repository, target.digest):
        yield "wrong", str(target), *wrong
    else:
        yield "revision", target.repository, target.digest
        now = {*Repository(there.tree, target.repository).tags()}
        latest = {item.name: item for item in found if item.kind == TAG and item.name not in now}
        for item in latest.values():
            yield from _tagged(there, item)


def _about(there: Trash, run: Run, target: Target) -> list[Item]:
    """The manifest that is `target`, and the tags that lead to it, as far as they are in the trash by `run`. (Who was
    killed as he brought them back has the manifest back first.)"""
    items = [item for item in there.items(run, target.repository) if item.kind in (REVISION, TAG)]
    return [item for item in items if target.digest == (trash.tagged(there, item) if item.kind == TAG else item.name)]


def _all(there: Trash, target: Target) -> Iterator[Entry]:
    items = [item for run in there.runs() for item in there.items(run, target.repository)]
    if not items:
        yield "wrong", str(target), "nothing of it is in the trash", SEE
    for digest in dict.fromkeys(item.name for item in items if item.kind == REVISION):
        if wrong := _manifest(there.tree, target.repository, digest):
            yield "wrong", f"{target}@{digest}", *wrong
        else:
            yield "revision", target.repository, digest
    latest = {item.name: item for item in items if item.kind == TAG}
    for tag in latest.keys() - {*Repository(there.tree, target.repository).tags()}:
        yield from _tagged(there, latest[tag])


def _manifest(tree: Tree, repository: str, digest: str) -> tuple[str, str] | None:
    """Bring back manifest `digest` with all that it needs; why that can't be done, and what to do."""
    try:
        found = sighting.manifest(tree, digest)
    except Unreadable as error:
        return f"its manifest can't be read: {error}", "push it again"
    if lacking := bringing.named(tree, repository, found):
        return f"{lacking[0]} was purged, which it needs", "push it again"
    if not bringing.itself(tree, repository, digest):
        return "its manifest is neither there nor in the trash", "push it again"
    return None
