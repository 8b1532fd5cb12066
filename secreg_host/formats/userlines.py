"""Lines of an htpasswd file, replaced, added and taken out; all others stay as they are, whatever they hold."""

from __future__ import annotations

from secreg_host.base import utf8

NAMED = 20
"""Users whom one line of the journal names."""

LISTED = 300
"""Users whom one entry of the journal lists, of at most 255 bytes each (a datagram has some 200,000)."""


def with_line(data: bytes, user: str, line: bytes | None) -> bytes:
    """`data`, the bytes of an htpasswd file, with the user's line replaced by `line`, or added, or removed (None).

    Other lines stay as they are.
    """
    kept: list[bytes] = []
    for raw in data.split(b"\n"):
        if not _names(raw, user):
            kept.append(raw)
        elif line is not None:
            kept.append(line)
            line = None
    if line is not None:
        if kept and not kept[-1].strip():
            kept.pop()
        kept += [line, b""]
    return b"\n".join(kept)


def blanked(data: bytes, user: str) -> bytes:
    """`data`, the bytes of an htpasswd file, with empty lines in the place of the user's: every other line stays where
    it is in the file. None of them is at its end."""
    lines = data.split(b"\n")
    left = b"\n".join(b"\n" * len(raw) if _names(raw, user) else raw for raw in lines).rstrip(b"\n")
    return left + b"\n"[: len(data) - len(left)] if left else b""


def has_line(data: bytes, user: str) -> bool:
    """Whether a line of `data`, the bytes of an htpasswd file, is the user's."""
    return any(_names(raw, user) for raw in data.split(b"\n"))


def line_of(data: bytes, user: str) -> bytes:
    """The user's line in `data`, the bytes of an htpasswd file, without its end; nothing where there is none."""
    return next((raw.rstrip(b"\r") for raw in data.split(b"\n") if _names(raw, user)), b"")


def _names(raw: bytes, user: str) -> bool:
    return raw.removeprefix(b"\xef\xbb\xbf").startswith(user.encode() + b":")


def changed(before: bytes, after: bytes) -> dict[str, list[bytes]]:
    """Who was `added`, `removed` and `changed` from `before` to `after`, checked lines USER:HASH. Pure."""
    old, new = (dict(line.split(b":", 1) for line in data.splitlines()) for data in (before, after))
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and old[name] != new[name]],
    }


def changes(before: bytes, after: bytes) -> str:
    """What became of whom from `before` to `after`, by name: "added alice; removed bob"; of many, the first ones. Pure;
    no hash is part of it."""
    return "; ".join(f"{did} {_named(names)}" for did, names in changed(before, after).items() if names)


def listed(before: bytes, after: bytes) -> dict[str, str]:
    """The names of all who were `added`, `removed` and `changed`, one a line; nothing where they are too many for one
    entry of the journal. Pure."""
    groups = {did: names for did, names in changed(before, after).items() if names}
    few = sum(map(len, groups.values())) <= LISTED
    return {did: "\n".join(map(utf8.shown, names)) for did, names in groups.items()} if few else {}


def _named(names: list[bytes]) -> str:
    shown = ", ".join(utf8.shown(name) for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
