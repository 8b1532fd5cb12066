"""How people write ages."""

from __future__ import annotations

import re

from secreg_host.base.errors import bad_input

AGE = re.compile(r"([0-9]{1,6})([smhdwy])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 366 * 86400}


def seconds(option: str, said: str) -> int:
    """The age that is `said` for `option`. Raises BadInput."""
    if not (found := AGE.fullmatch(said)):
        raise bad_input(option, f"{said!r} is no age", "write a number and s, m, h, d, w or y: 30d")
    return int(found[1]) * SECONDS[found[2]]
