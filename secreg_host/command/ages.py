"""How people write ages."""

from __future__ import annotations

from secreg_host.base.errors import bad_input
from secreg_host.wanted import values


def seconds(option: str, said: str) -> int:
    """The age that is `said` for `option`. Raises BadInput."""
    try:
        return values.age(said)
    except values.Invalid:
        raise bad_input(option, f"{said!r} is no age", "write a number and s, m, h, d, w or y: 30d") from None
