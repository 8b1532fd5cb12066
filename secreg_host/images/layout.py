"""Where a registry's store has what, on a file system, and walking it while the registry writes.

    blobs/sha256/xx/HEX/data                            the bytes
    repositories/NAME/_layers/sha256/HEX/link           that this repository has that blob
    repositories/NAME/_manifests/revisions/sha256/HEX/link      ... that manifest
    repositories/NAME/_manifests/tags/T/current/link    what a tag is
    repositories/NAME/_manifests/tags/T/index/sha256/HEX/link   what it ever was

A link holds a digest. The registry writes it in place: one can be empty for a moment, or for good, after a crash.
No symbolic link is followed: whoever took over the registry may have made one. Source: distribution,
registry/storage/paths.go.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from secreg_host.base import utf8
from secreg_host.images import dates
from secreg_host.images.readable import TREE

DIGEST = re.compile(r"(?P<algorithm>sha256):(?P<hex>[0-9a-f]{64})|(?P<other>sha512):(?P<longer>[0-9a-f]{128})")
"""Digests that a registry takes (OCI image-spec, descriptor.md)."""

WORD = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
NAME = re.compile(f"{WORD}(?:/{WORD})*")
"""The name of a repository (distribution, reference/regexp.go)."""

LONGEST = 255
"""Characters of one, at the most."""

TAG = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
ALGORITHMS = ("sha256", "sha512")
"""Those of digests."""

LINK_BYTES = 256
"""More than a link ever has."""

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

OWN = "_"
"""How directories of a repository's own begin; no word of a name does."""

LOST = "lost+found"
"""What fsck(8) has at the top of a disk."""


class Malformed(Exception):
    """A file of the store that is not what the registry writes there: `path`, and what is wrong with it."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path, self.what = path, what


@dataclass(frozen=True)
class Tree:
    """The store below `root`, the rootdirectory of docker-registry.yml; within: where, if it does not serve yet."""

    root: Path
    within: str = TREE

    @functools.cached_property
    def base(self) -> Path:
        """What holds blobs and repositories."""
        return self.root / self.within

    def blob(self, digest: str) -> str:
        """Where the bytes of `digest` are: as text, for there are many."""
        algorithm, _, value = digest.partition(":")
        return f"{self.root}/{self.within}/blobs/{algorithm}/{value[:2]}/{value}/data"

    def size(self, digest: str) -> int | None:
        """How many bytes of `digest` there are; None: it is not there, or no regular file."""
        try:
            found = os.lstat(self.blob(digest))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def blobs(self, hollow: Callable[[str], object] = lambda _: None) -> Iterator[str]:
        """The digests of which there are bytes, in order; none is held in memory for long. hollow: is told of those of
        which there is a directory alone."""
        for digest in self.places():
            if self.size(digest) is not None:
                yield digest
            else:
                hollow(digest)

    def places(self) -> Iterator[str]:
        """The digests of which there is a directory, with bytes or without, in order."""
        for algorithm in _folders(self.base / "blobs"):
            for two in _folders(self.base / "blobs" / algorithm):
                for value in _folders(f"{self.root}/{self.within}/blobs/{algorithm}/{two}"):
                    if DIGEST.fullmatch(digest := f"{algorithm}:{value}"):
                        yield digest

    def repositories(self, wrong: Callable[[OSError], object] | None = None) -> Iterator[Repository]:
        """Every repository, in the order of names; one that holds others, too. wrong: is told of a directory that can't
        be read, and of what is no repository by its name, or a link; without it the first is raised."""
        yield from self._below("", wrong)

    def _below(self, name: str, wrong: Callable[[OSError], object] | None) -> Iterator[Repository]:
        try:
            found, links = inside(self._at(name))
        except OSError as error:
            if wrong is None:
                raise
            wrong(error)
            return
        if name and any(one.startswith(OWN) for one in found):
            yield Repository(self, name)
        for one in found:
            inner = f"{name}/{one}".lstrip("/")
            if (name and one.startswith(OWN)) or one == LOST:
                continue
            if len(inner) <= LONGEST and NAME.fullmatch(inner):
                yield from self._below(inner, wrong)
            elif wrong is not None:
                wrong(OSError(errno.EINVAL, "no repository is called so: it is left out", self._at(inner)))
        for one in links:
            if wrong is not None:
                wrong(OSError(errno.ELOOP, "it is a link: what it leads to is left out", self._at(f"{name}/{one}")))

    def _at(self, name: str) -> str:
        return f"{self.root}/{self.within}/repositories/{name.lstrip('/')}".rstrip("/")


HERE = Tree(Path())
"""The store in the working directory."""


@dataclass(frozen=True)
class Repository:
    """A repository of `tree`, by its name. Paths are text: there are many."""

    tree: Tree
    name: str

    @functools.cached_property
    def path(self) -> str:
        """Its directory."""
        return f"{self.tree.root}/{self.tree.within}/repositories/{self.name}"

    @functools.cached_property
    def tagged(self) -> str:
        """Its directory of tags."""
        return f"{self.path}/_manifests/tags"

    @functools.cached_property
    def revised(self) -> str:
        """Its directory of manifests, in one for each algorithm."""
        return f"{self.path}/_manifests/revisions"

    @property
    def uploads(self) -> str:
        """Its directory of pushes that were begun, in one for each."""
        return f"{self.path}/_uploads"

    def tags(self) -> Iterator[str]:
        """Its tags, in order."""
        yield from (tag for tag in _folders(self.tagged) if TAG.fullmatch(tag))

    def current(self, tag: str) -> str:
        """The link that says what `tag` is."""
        return f"{self.tagged}/{tag}/current/link"

    def history(self, tag: str) -> Iterator[str]:
        """The links of what `tag` ever was."""
        return _links(f"{self.tagged}/{tag}/index")

    def once(self, tag: str, digest: str) -> str:
        """The link that says that `tag` was `digest`."""
        return f"{self.tagged}/{tag}/index/{digest.replace(':', '/')}/link"

    def revisions(self) -> Iterator[str]:
        """The links of its manifests."""
        return _links(self.revised)

    def layers(self) -> Iterator[str]:
        """The links of its blobs."""
        return _links(f"{self.path}/_layers")

    def revision(self, digest: str) -> str:
        """The link of manifest `digest`."""
        return f"{self.revised}/{digest.replace(':', '/')}/link"

    def layer(self, digest: str) -> str:
        """The link of blob `digest`."""
        return f"{self.path}/_layers/{digest.replace(':', '/')}/link"


class Link(NamedTuple):
    """What a link holds, and when it was written (seconds since the epoch)."""

    digest: str
    seconds: int


def linked(link: str) -> str | None:
    """The digest that the file `link` holds; None: there is no such file (any more). Raises Malformed for what is no
    link of the registry's, OSError for what can't be read."""
    found = dated(link)
    return None if found is None else found.digest


def dated(link: str) -> Link | None:
    """The same with its date."""
    try:
        found = content(link, LINK_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if found is None:
        raise Malformed(link, "it is no regular file")
    data, seconds = found
    if not data:
        raise Malformed(link, "it is empty: a push was cut short, or the disk was full")
    said = utf8.shown(data)
    if not DIGEST.fullmatch(said):
        raise Malformed(link, "it holds no digest")
    return Link(said, seconds)


def content(path: str, limit: int) -> tuple[bytes, int] | None:
    """The first `limit` bytes of the file `path`, and when it was written; None: it is no regular file. Nothing is
    waited for, and no link followed in its place. Raises OSError."""
    descriptor = os.open(path, FLAGS)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        pieces, left, wanted = [], limit, min(limit, found.st_size + 1)
        while left > 0 and (piece := os.read(descriptor, wanted)):
            pieces.append(piece)
            left -= len(piece)
            if len(piece) < wanted:
                break  # that was its end
            wanted = left
        return b"".join(pieces), dates.plausible(found.st_mtime)
    finally:
        os.close(descriptor)


def written(link: str) -> int | None:
    """When the file `link` was written (seconds since the epoch); None: there is no such file (any more)."""
    try:
        return dates.plausible(os.lstat(link).st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest_of(link: str) -> str:
    """The digest that the place of the file `link` says, which is that in it."""
    algorithm, value = link.rsplit("/", 3)[1:3]
    return f"{algorithm}:{value}"


def _links(folder: str) -> Iterator[str]:
    """The links below `folder`, ALGORITHM/HEX/link, in order."""
    for algorithm in ALGORITHMS:
        above = f"{folder}/{algorithm}"
        if is_folder(above):
            for value in _folders(above):
                if DIGEST.fullmatch(f"{algorithm}:{value}"):
                    yield f"{above}/{value}/link"


def is_folder(path: str) -> bool:
    """Whether there is a directory at `path` itself. Raises OSError."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:  # it is about the one above
        raise PermissionError(error.errno, error.strerror, str(Path(path).parent)) from None


def _folders(path: Path | str) -> list[str]:
    """The names of the directories in `path`, in order; none where it is gone, or is no directory."""
    return inside(path)[0]


def inside(path: Path | str) -> tuple[list[str], list[str]]:
    """The names of the directories in `path`, in order, and those of links; none where it is gone, or is none."""
    try:
        with os.scandir(path) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    folders = sorted([entry.name for entry in found if entry.is_dir(follow_symlinks=False)])
    others = len(folders) < len(found)
    return folders, sorted([entry.name for entry in found if entry.is_symlink()]) if others else []
