"""What can go wrong, said so that an administrator knows what to do next.

One root, `SecregError`; only `cli.main` catches it and turns it into words and an exit code. Anything else that
escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from secreg_host.base import masking


class Exit(IntEnum):
    """Exit codes of every verb."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    DEGRADED = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what the administrator wrote.

    where: the place, as `file:line` or `file`; what: one sentence; hint: what to do (may be empty). What is secret of a
    URL that one of them quotes is masked: paths and values of the administrator's may be URLs.
    """

    where: str
    what: str
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("where", "what", "hint"):  # names of files may be no text (PEP 383), and are printed
            text = str(getattr(self, name)).encode(errors="backslashreplace").decode()
            object.__setattr__(self, name, masking.urls(text))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  -> {self.hint}" if self.hint else text


class Note(Problem):
    """Nothing is wrong, but there is something to know or to do, such as a restart when it suits."""


class Later(Problem):
    """Something that can't be done at the moment, for a reason outside of what is read (another process, a host, a
    program that is not there yet), and is tried again without anybody's doing."""


class SecregError(Exception):
    """Something failed: a message of one line, and a hint that says what to do. Both are masked as a problem's."""

    code = Exit.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = masking.urls(message), masking.urls(hint)
        super().__init__(self.message)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The same as problems, for those that print or record them."""
        return (Problem("", self.message, self.hint),)

    def at(self, where: str) -> tuple[Problem, ...]:
        """The same, with the place `where` for those that have none."""
        return tuple(one if one.where else replace(one, where=where) for one in self.problems)


class Several(SecregError):
    """Something failed for several reasons; carries every problem found. message and hint are of the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError(f"{type(self).__name__} needs at least one problem")
        first = problems[0]
        super().__init__(f"{first.where}: {first.what}" if first.where else first.what, first.hint)
        self._problems = tuple(problems)
        self.args = (self._problems,)  # of which pickle makes it again

    def __str__(self) -> str:
        return str(self._problems[0])

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._problems


class BadInput(Several):
    """What the administrator gave can't be used."""

    code = Exit.BAD_INPUT


class Refused(BadInput):
    """What a command was called with can't be taken over. Nothing was changed for it, and nothing of it is recorded: it
    is the fault of no file, and over when the command has ended."""


def bad_input(where: str, what: str, hint: str = "") -> BadInput:
    """A `BadInput` with a single problem."""
    return BadInput([Problem(where, what, hint)])
