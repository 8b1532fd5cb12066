"""What can go wrong, said so that an administrator knows what to do next.

One root, `SecregError`; only `cli.main` catches it and turns it into words and an exit code. Anything else that
escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every verb."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    DEGRADED = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what the administrator wrote.

    where: the place, as `file:line` or `file`; what: one sentence; hint: what to do (may be empty).
    """

    where: str
    what: str
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("where", "what", "hint"):  # names of files may be no text (PEP 383), and are printed
            text = str(getattr(self, name)).encode(errors="backslashreplace").decode()
            object.__setattr__(self, name, text)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  -> {self.hint}" if self.hint else text


class Note(Problem):
    """Nothing is wrong, but there is something to know or to do, such as a restart when it suits."""


class Later(Problem):
    """Something that can't be done at the moment, and is tried again without anybody's doing."""


class SecregError(Exception):
    """Something failed: a message of one line, and a hint that says what to do."""

    code = Exit.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The same as problems, for those that print or record them."""
        return (Problem("", self.message, self.hint),)


class BadInput(SecregError):
    """What the administrator gave can't be used; carries every problem found, not only the first."""

    code = Exit.BAD_INPUT

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("BadInput needs at least one problem")
        super().__init__(str(problems[0]))
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._problems


def bad_input(where: str, what: str, hint: str = "") -> BadInput:
    """A `BadInput` with a single problem."""
    return BadInput([Problem(where, what, hint)])
