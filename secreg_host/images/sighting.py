"""One look at a repository, for who decides what of it is needed: each link that is there, with its stamp.

Links of blobs are looked at first, then manifests, then tags: a push goes the same way, so what needs a link that was
seen is seen as well, or comes to be after the look. No link's date is compared with the clock here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from secreg_host.base import marks
from secreg_host.base.marks import Stamp
from secreg_host.images import layout, manifests
from secreg_host.images.layout import Malformed, Repository, Tree
from secreg_host.images.manifests import Manifest, Unreadable


@dataclass(frozen=True)
class Sight:
    """What was seen of a repository. tags: what each is; revisions, layers: its manifests and blobs, each with the
    stamp of its link; odd: what could not be read, so that nobody knows what is needed."""

    tags: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, Stamp] = field(default_factory=dict)
    layers: Mapping[str, Stamp] = field(default_factory=dict)
    odd: tuple[str, ...] = ()


def look(one: Repository) -> Sight:
    """What is in the repository `one` now. Raises OSError for a directory that can't be read."""
    layers = dict(_stamped(one.layers()))
    revisions = dict(_stamped(one.revisions()))
    tags: dict[str, str] = {}
    odd: list[str] = []
    for tag in one.tags():
        try:
            found = layout.linked(one.current(tag))
        except (Malformed, OSError) as error:
            odd.append(str(error))
        else:
            if found is not None:
                tags[tag] = found
    return Sight(tags, revisions, layers, tuple(odd))


def _stamped(links: Iterator[str]) -> Iterator[tuple[str, Stamp]]:
    """The digests that `links` are of, by their places, with their stamps. What a link holds does not count: one that
    is being written is empty, and who needs what it leads to does not care."""
    for link in links:
        if (found := marks.stamp(link)) is not None:
            yield layout.digest_of(link), found


def manifest(tree: Tree, digest: str) -> Manifest:
    """What manifest `digest` names. Raises Unreadable."""
    try:
        found = layout.content(tree.blob(digest), manifests.LARGEST + 1)
    except OSError as error:
        raise Unreadable(str(error.strerror)) from None
    if found is None:
        raise Unreadable("it is no regular file")
    return manifests.read(found[0])
