"""Whether images are whole: all that a manifest names is there, and so on down to the last layer.

Of the registry's own rules: what a repository has no link of, it does not give out, whatever other repositories have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from typing import NamedTuple

from secreg_host.images.manifests import Manifest, Unreadable


class Flaw(NamedTuple):
    """What is wrong with an image: the tag that leads there ("": none does), the digest that is to blame, and why."""

    tag: str
    digest: str
    why: str


def flaws(
    tags: Mapping[str, str],
    revisions: Collection[str],
    layers: Container[str],
    manifest: Callable[[str], Manifest],
) -> Iterator[Flaw]:
    """What keeps the images of one repository from being whole.

    tags: the manifest of each; revisions: its manifests, layers: its blobs, as far as their bytes are there; manifest:
    what one of them names, which raises Unreadable. Each flaw is told for every tag that leads to it. That an index
    which no tag leads to lacks manifests is none: clients that delete by digest take such apart one by one. Pure.
    """
    apart: dict[str, list[tuple[str, str]]] = {}
    wrong: dict[str, list[tuple[str, str]]] = {}
    children: dict[str, tuple[str, ...]] = {}
    for revision in revisions:
        try:
            found = manifest(revision)
        except Unreadable as error:
            wrong[revision] = [(revision, f"its manifest can't be read: {error}")]
            continue
        lacking = [(one, "a blob of it is not there") for one in found.blobs if one not in layers]
        away = [one for one in found.children if one not in revisions and one not in layers]  # blobs, of a cache
        if lacking:
            wrong[revision] = lacking
        if away:
            apart[revision] = [(one, "a manifest of it is not there") for one in away]
        if found.children:
            children[revision] = found.children
    told = set()
    for tag, digest in tags.items():
        if digest not in revisions:
            yield Flaw(tag, digest, "its manifest is not there")
        for revision in _reached(digest, children) if wrong or apart else ():
            told.add(revision)
            yield from (Flaw(tag, *one) for one in (*wrong.get(revision, ()), *apart.get(revision, ())))
    for revision, lacking in wrong.items():
        if revision not in told:
            yield from (Flaw("", *one) for one in lacking)


def _reached(digest: str, children: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Manifest `digest`, and those below it, each once."""
    seen, todo = {digest}, [digest]
    while todo:
        here = todo.pop()
        yield here
        below = [one for one in children.get(here, ()) if one not in seen]
        seen.update(below)
        todo += below
