"""nginx.conf with all that it reads, as a whole: what it is made of, and what others may say of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base.errors import Problem
from secreg_host.formats.listening import Listen
from secreg_host.formats.nginxsyntax import Directive


@dataclass(frozen=True)
class Server:
    """A server { } of http { }: where it begins, and its directives, each with its place."""

    where: str
    directives: list[tuple[Directive, str]]


class Rules:
    """What else there is to the files that nginx reads: nothing. Subclasses know more."""

    def problems(self, directives: Sequence[Directive], where: str) -> Iterable[Problem]:
        """What is wrong with the directives of file `where`."""
        return ()

    def additions(
        self, directives: Sequence[Directive], context: tuple[str, ...], sets: Callable[[str], set[str]]
    ) -> Mapping[int, str]:
        """What is added to the copy of a file that is included in blocks `context`: offset in it -> text.

        sets: names of the directives that an included file holds outside of blocks, by the word of `include`.
        """
        return {}

    def module(self, word: str) -> str:
        """The path of the module that `load_module` calls `word`: relative ones are looked up beside the copies."""
        return word


@dataclass(frozen=True)
class Bundle:
    """nginx.conf with everything of the administrator's that it reads: ready to be staged.

    files: path below the front's directory -> bytes; origin: the same path -> where it comes from; sources: every
    file of /etc that was read; listens: TCP addresses that stand in any file; own_pair: whether docker-registry.crt is
    what it serves; outside: files elsewhere that nginx itself reads; patterns: what was included by a pattern, as
    absolute paths; servers: those in files of ours.
    """

    files: dict[str, bytes]
    sources: tuple[Path, ...]
    listens: tuple[Listen, ...]
    origin: dict[str, Path]
    own_pair: bool
    outside: tuple[Path, ...]
    patterns: tuple[str, ...]
    servers: tuple[Server, ...]
