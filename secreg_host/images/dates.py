"""Dates of files in a store. Whoever took over the registry may have set any, and so may whoever wrote a foreign list
of a backup: some file systems (tmpfs, btrfs) keep what no calendar, and no list, has a place for."""

LAST = 253_402_300_799
"""The end of the year 9999."""


def plausible(seconds: float) -> int:
    """`seconds` since the epoch as a whole number, or, where that is no date of four digits, the nearest one. Pure."""
    return int(min(max(seconds, 0), LAST))
