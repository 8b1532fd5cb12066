"""What a unit said, as systemd's journal has it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from secreg_host.base import process, utf8

LINES = 100  # a panic of Go comes before its stack, which may be long
FIELDS = ("MESSAGE", "_SYSTEMD_INVOCATION_ID", "INVOCATION_ID")
FAILED = "Failed to start "


def last_words(unit: str, starts: Collection[str], since: float) -> list[str]:
    """The last lines, at most LINES of them, that `unit` wrote in its `starts`, and what systemd said when it could not
    start it.

    starts: numbers of starts (systemd.exec(5), INVOCATION_ID), the first of which was at `since` (seconds since the
    epoch). journald looks the number up when it reads a line, and finds none when the start is over by then: such a
    line counts, if it is not older than `since`.
    """
    process.run(["journalctl", "--sync"])  # what was just said is there
    said = [f"_SYSTEMD_UNIT={unit}", "_TRANSPORT=stdout"]
    told = [*(f"INVOCATION_ID={one}" for one in sorted(starts)), "PRIORITY=3"]
    how = ["-q", "-a", "-o", "json", f"--output-fields={','.join(FIELDS)}", f"--since=@{since:.6f}"]
    lines = process.run(["journalctl", *how, *said, "+", *told]).stdout.splitlines()
    return of_starts([json.loads(line) for line in lines], starts)[-LINES:]


def of_starts(entries: Collection[dict[str, Any]], starts: Collection[str]) -> list[str]:
    """The messages among `entries` (`journalctl -o json`) that are of one of `starts`, or of none that is known."""
    ours = [one for one in entries if one.get("_SYSTEMD_INVOCATION_ID", one.get("INVOCATION_ID")) in {None, *starts}]
    return [message for one in ours if not (message := _text(one.get("MESSAGE"))).startswith(FAILED)]


def _text(value: object) -> str:
    """A field's value: journalctl gives bytes that aren't text as a list of numbers (systemd.journal-fields(7))."""
    text = utf8.shown(bytes(value)) if isinstance(value, list) else str(value or "")
    return text.strip()
