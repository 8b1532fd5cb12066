"""Links that say nothing any more though their place tells what they held: of blobs, of manifests, of what a tag was. A
full disk leaves them so: the registry cuts a link before it writes it anew, and the image that was there is broken.

Such a link is written again where the bytes are what the digest says. Its date stays: the history of a tag goes by it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from secreg_host.images import layout, linking
from secreg_host.images.layout import Malformed, Repository, Tree


def mend(tree: Tree, names: Iterable[str], doubtful: Collection[tuple[str, str]] | None) -> Iterator[str]:
    """Mend the links of the repositories `names`; which were. doubtful: tags, each with its repository, of which nobody
    knows yet what they are: their history stays as it is, for they are judged by it (None: all tags are). Raises
    OSError."""
    for name in names:
        one = Repository(tree, name)
        tags = [] if doubtful is None else [tag for tag in one.tags() if (name, tag) not in doubtful]
        for link in list(_cut(one, tags)):
            digest = layout.digest_of(link)
            if linking.is_right(tree.blob(digest), digest) and linking.write_again(link, digest):
                yield str(Path(link).relative_to(tree.base))


def _cut(one: Repository, tags: Iterable[str]) -> Iterator[str]:
    """The links of the repository that are files, and hold no digest."""
    for links in (one.layers(), one.revisions(), *map(one.history, tags)):
        for link in links:
            with contextlib.suppress(OSError):  # it can't be read: who looks for that says so
                try:
                    layout.linked(link)
                except Malformed:
                    if layout.written(link) is not None and layout.content(link, 1) is not None:
                        yield link
