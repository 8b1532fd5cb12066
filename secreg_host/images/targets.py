"""What somebody names: a repository, a tag of it, or a manifest by its digest."""

from __future__ import annotations

from dataclasses import dataclass

from secreg_host.base.errors import bad_input
from secreg_host.images import layout


@dataclass(frozen=True)
class Target:
    """A repository, and a tag of it, or a digest ("": neither)."""

    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}".rstrip(":")


def parse(said: str) -> Target:
    """What `said` names: REPO, REPO:TAG, REPO@DIGEST. Raises BadInput. (Nothing of a host: a port would be a tag.)"""
    repository, at, digest = said.partition("@")
    tag = ""
    if not at:
        repository, _, tag = said.partition(":")
    if not (len(repository) <= layout.LONGEST and layout.NAME.fullmatch(repository)):
        raise bad_input(repr(said), "no repository is called so", "write it without the host: team/app")
    if (at and not layout.DIGEST.fullmatch(digest)) or (":" in said and not at and not layout.TAG.fullmatch(tag)):
        raise bad_input(repr(said), "names neither a tag nor a digest", "write REPO:TAG, or REPO@sha256:... in whole")
    return Target(repository, tag, digest)
