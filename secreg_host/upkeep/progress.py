"""How far it is, for somebody at a terminal: nothing is told elsewhere, nor where tqdm is not installed."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from secreg_host.upkeep.pool import ignored


@dataclass(frozen=True)
class Progress:
    """How far it is. shown: to somebody."""

    shown: bool

    @contextlib.contextmanager
    def of(self, size: int, doing: str) -> Iterator[Callable[[int], None]]:
        """What is told of bytes as they go by, of `size` in all; threads may share it."""
        bar = _bar(size, doing) if self.shown else None
        if bar is None:
            yield ignored
            return
        turn = threading.Lock()

        def tell(count: int) -> None:
            with turn:
                bar.update(count)

        with bar:
            yield tell


def to_terminal(*, wanted: bool = True) -> Progress:
    """A bar on stderr, if that is a terminal, and it is `wanted`."""
    return Progress(wanted and sys.stderr.isatty())


def _bar(size: int, doing: str):  # type: ignore[no-untyped-def]
    """A bar of tqdm's; None: it is not there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    tqdm.monitor_interval = 0  # no thread of its own
    return tqdm(total=size, desc=doing, unit="B", unit_scale=True, dynamic_ncols=True, leave=False)
