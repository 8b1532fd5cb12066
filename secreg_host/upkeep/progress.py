"""How far it is, for somebody at a terminal: by a bar, or, where tqdm is not installed, by a line now and then. Nothing
is told elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from secreg_host.base import waiting
from secreg_host.upkeep.pool import ignored

SECONDS = 10.0
"""Between two lines."""


@dataclass(frozen=True)
class Progress:
    """How far it is. shown: to somebody."""

    shown: bool

    @contextlib.contextmanager
    def of(self, size: int, doing: str) -> Iterator[Callable[[int], None]]:
        """What is told of bytes as they go by, of `size` in all; threads may share it."""
        if not self.shown:
            yield ignored
            return
        bar = _bar(size, doing)
        if bar is None:
            bar = _Lines(size, doing)
        turn = threading.Lock()

        def tell(count: int) -> None:
            with turn:
                bar.update(count)

        with bar:
            yield tell

    @contextlib.contextmanager
    def steps(self) -> Iterator[Callable[[str], None]]:
        """What is told in words how far it is, where nobody knows how long it takes."""
        if not self.shown:
            yield lambda _: None
            return
        line = _line()
        if line is None:
            line = _Words()
        with line:
            yield line.set_description_str


class _Words:
    """In the place of a line that changes: one now and then, the first one after a while."""

    def __init__(self) -> None:
        self.due = waiting.within(SECONDS)

    def set_description_str(self, said: str) -> None:
        """It is so far."""
        if self.due.over:
            self.due = waiting.within(SECONDS)
            print(said, file=sys.stderr)

    def __enter__(self) -> _Words:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is to be wiped away."""


class _Lines:
    """In the place of a bar: a line now and then, the first one after a while."""

    def __init__(self, size: int, doing: str) -> None:
        self.size, self.doing, self.done, self.due = size, doing, 0, waiting.within(SECONDS)

    def update(self, count: int) -> None:
        """So many bytes more."""
        self.done += count
        if self.due.over:
            self.due = waiting.within(SECONDS)
            share = min(100 * self.done // max(self.size, 1), 100)
            print(f"{self.doing}: {self.done / 1e6:,.0f} of {self.size / 1e6:,.0f} MB ({share} %)", file=sys.stderr)

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is to be wiped away."""


def to_terminal(*, wanted: bool = True) -> Progress:
    """A bar, or lines, on stderr, if that is a terminal, and it is `wanted`."""
    return Progress(wanted and sys.stderr.isatty())


def _line() -> Any:
    """A line of tqdm's; None: it is not there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    tqdm.monitor_interval = 0  # no thread of its own
    return tqdm(bar_format="{desc} [{elapsed}]", dynamic_ncols=True, leave=False)


def _bar(size: int, doing: str):  # type: ignore[no-untyped-def]
    """A bar of tqdm's; None: it is not there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    tqdm.monitor_interval = 0  # no thread of its own
    return tqdm(total=size, desc=doing, unit="B", unit_scale=True, dynamic_ncols=True, leave=False)
