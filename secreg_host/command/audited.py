"""How the command tells who did what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from secreg_host.command.amounts import columns
from secreg_host.command.images import NONE, SHORT
from secreg_host.observe.audit.entries import Entry
from secreg_host.upkeep.listing import plain

AT_ONCE = 1000
"""Lines that are put one below the other: of a year there may be more than fit into memory."""

HEAD = ("TIME (UTC)", "DID", "USER", "FROM", "IMAGE", "DIGEST", "MORE")


def table(found: Iterable[Entry]) -> None:
    """Each of the entries in a line."""
    every = iter(found)
    head = [HEAD]
    while rows := [row(one) for one in islice(every, AT_ONCE)]:
        for line in columns([*head, *rows]):
            print(line)
        head = []
    if head:
        print("there is nothing of that in the log of who did what")


def row(one: Entry) -> tuple[str, ...]:
    """The columns of one line. Nothing in them steers a terminal. Pure."""
    image = f"{one.repository}{f':{one.tag}' if one.tag else ''}"
    said = one.time[:19].replace("T", " "), one.did, one.user, one.address, image, one.digest[:SHORT]
    return tuple(plain(text) or NONE for text in (*said, ", ".join(_more(one))))


def _more(one: Entry) -> Iterator[str]:
    if one.was:
        yield f"was {one.was[:SHORT]}"
    if one.said:
        yield one.said
    if one.by not in ("", "front", "manifests", "root"):
        yield f"by {one.by}"
