"""One look at a repository, for who decides what of it is needed: each link that is there, with its stamp.

Links of blobs are listed first, then manifests, then tags: a push goes the same way, so what needs a link that was
seen is seen as well, or comes to be after the look. What was written since the look began has a stamp of then. No
link's date is compared with the clock here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from secreg_host.base import marks
from secreg_host.base.marks import Stamp
from secreg_host.images import layout, manifests
from secreg_host.images.layout import Malformed, Repository, Tree
from secreg_host.images.manifests import Manifest, Unreadable


@dataclass(frozen=True)
class Links:
    """Links of blobs. names: the digests of which there is a place for a link; stamp: that of the link in it (None: it
    is gone), looked up when it is asked for: most blobs are needed, whatever their stamps."""

    names: Sequence[str] = ()
    stamp: Callable[[str], Stamp | None] = lambda _: None

    def besides(self, needed: Container[str]) -> dict[str, Stamp]:
        """Those that are there, and not `needed`, with their stamps."""
        found = ((name, self.stamp(name)) for name in self.names if name not in needed)
        return {name: stamp for name, stamp in found if stamp is not None}


@dataclass(frozen=True)
class Sight:
    """What was seen of a repository. tags: what each is; revisions: its manifests, each with the stamp of its link;
    layers: its blobs; odd: what could not be read, so that nobody knows what is needed; hollow: whether the link of
    some manifest is gone from its place."""

    tags: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, Stamp] = field(default_factory=dict)
    layers: Links = field(default_factory=Links)
    odd: tuple[str, ...] = ()
    hollow: bool = False


def look(one: Repository) -> Sight:
    """What is in the repository `one` now. Raises OSError for a directory that can't be read."""
    names = tuple(map(layout.digest_of, one.layers()))
    places = list(one.revisions())
    revisions = dict(_stamped(places))
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
    layers = Links(names, lambda digest: marks.stamp(one.layer(digest)))
    return Sight(tags, revisions, layers, tuple(odd), len(revisions) < len(places))


def _stamped(links: Sequence[str]) -> Iterator[tuple[str, Stamp]]:
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
