"""Lines of an htpasswd file, replaced, added and taken out; all others stay as they are, whatever they hold."""

from __future__ import annotations


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


def has_line(data: bytes, user: str) -> bool:
    """Whether a line of `data`, the bytes of an htpasswd file, is the user's."""
    return any(_names(raw, user) for raw in data.split(b"\n"))


def _names(raw: bytes, user: str) -> bool:
    return raw.removeprefix(b"\xef\xbb\xbf").startswith(user.encode() + b":")
