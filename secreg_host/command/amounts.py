"""How many, and how much, for people; in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

UNITS = ("B", "KB", "MB", "GB", "TB")


def bytes_of(size: int) -> str:
    """`size` for people."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {UNITS[unit]}" if unit else f"{size} B"


def numbered(count: int, names: str) -> str:
    """So many of what is called `names`."""
    one = f"{names.removesuffix('ies')}y" if names.endswith("ies") else names.removesuffix("s")
    return f"{count} {one if count == 1 else names}"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """`rows` with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
