"""What is in a store, for somebody who looks at it: repositories, their tags and manifests, and what these name. It is
told in lines of JSON by who looked (see `looker`):

    ["folder", NAME, MARK, IS_REPOSITORY, [CHILD, ...]]
    ["repository", NAME, MARK, {TAG: [DIGEST, SECONDS]}, {DIGEST: SECONDS}, {TAG: WHY}, [LINK, ...]]
    ["manifest", DIGEST, [...], {BLOB: SIZE}]   the fields of Named, and what it names, once for all repositories
    ["same", NAME]                      folder and repository are as they were
    ["wrong", NAME, WHY]                something of either can't be read
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from secreg_host.base import utf8


class Named(NamedTuple):
    """What one manifest says. size: its own bytes; children: manifests that it names; platforms: what an image is for;
    kind: what it is, if it is no image; subject: what it is about ("": nothing); why: it can't be read ("": it can)."""

    size: int = 0
    children: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    kind: str = ""
    subject: str = ""
    why: str = ""


class Held(NamedTuple):
    """What one repository holds: what each tag is, and its manifests, each with its date (seconds since the epoch).
    odd: tags that are nothing, and why; mark: another one whenever any of that may be ("": it can't be told); away:
    links of manifests that were deleted."""

    mark: str
    tags: Mapping[str, tuple[str, int]]
    revisions: Mapping[str, int]
    odd: Mapping[str, str] = MappingProxyType({})
    away: tuple[str, ...] = ()


class Folder(NamedTuple):
    """One directory of repositories. is_repository: it is one itself; children: the directories in it that may be."""

    mark: str
    is_repository: bool
    children: tuple[str, ...]


Blobs = Mapping[str, int]
"""Digests of blobs, and how many bytes each has."""


@dataclass
class Overview:
    """What a look found. weights: how many bytes each image needs, and alone needs, where that was computed (by
    repository and digest); kept: JSON of `blobs` that nobody needed yet; wrong: which repositories, or folders of such,
    can't be read, and why; news: whether anything is other than at the look before."""

    folders: dict[str, Folder] = field(default_factory=dict)
    repositories: dict[str, Held] = field(default_factory=dict)
    manifests: dict[str, Named] = field(default_factory=dict)
    weights: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    kept: bytes = b"{}"
    wrong: dict[str, str] = field(default_factory=dict)
    news: bool = False

    @functools.cached_property
    def blobs(self) -> dict[str, Blobs]:
        """Those that each manifest names, by what it says of them."""
        return dict(json.loads(utf8.shown(self.kept)))

    def heard(self, lines: Iterable[str], before: Overview) -> None:
        """Take over what is told in `lines`, by somebody who knew what was `before`."""
        new: dict[str, Blobs] = {}
        for line in lines:
            word, name, *rest = json.loads(line)
            if word in ("same", "repository") and name in before.folders:
                self.folders.setdefault(name, before.folders[name])
            if word == "same":
                if name in before.repositories:
                    self.repositories[name] = before.repositories[name]
                continue
            self.news = True
            if word == "folder":
                self.folders[name] = Folder(rest[0], rest[1], tuple(rest[2]))
            elif word == "wrong":
                self.wrong[name] = rest[0]
            elif word == "repository":
                self.repositories[name] = held(rest)
            else:
                self.manifests[name], new[name] = named(rest[0]), rest[1]
        self.news = self.news or len(self.folders) != len(before.folders)
        for digest in [digest for one in self.repositories.values() for digest in one.revisions]:
            if digest not in self.manifests and digest in before.manifests:
                self.manifests[digest] = before.manifests[digest]
        if self.news:
            self.blobs = {one: new[one] if one in new else before.blobs.get(one, {}) for one in self.manifests}
        else:
            self.kept, self.weights = before.kept, before.weights


def held(values: list[Any]) -> Held:
    """What `values` of JSON say of a repository."""
    mark, tags, revisions, odd, away = values
    linked = {tag: (digest, seconds) for tag, (digest, seconds) in tags.items()}
    return Held(mark, linked, revisions, odd, tuple(away))


def named(values: list[Any]) -> Named:
    """What `values` of JSON say of a manifest."""
    size, children, platforms, *rest = values
    return Named(size, tuple(children), tuple(platforms), *rest)
