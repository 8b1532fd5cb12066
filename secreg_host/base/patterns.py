"""The files for which a pattern stands, as nginx finds them (glob(3)): `**` is nothing but `*`, and `*` no dot file.

What is looked at is bounded: an `include` that goes through the whole machine is told, not waited for.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import itertools
import os
import re
from functools import partial
from pathlib import Path

from secreg_host.base import distant
from secreg_host.base.errors import bad_input

ENTRIES = 20_000
"""Names that are looked at for one pattern."""


def expand(pattern: str) -> tuple[Path, ...]:
    """What is there for the absolute path `pattern`, sorted. Raises BadInput when that goes through more than
    `ENTRIES` names, or through a file system that does not answer."""
    places, looked_at = [""], 0
    for part in filter(None, pattern.split("/")):
        if not glob.has_magic(part):
            places = [f"{place}/{part}" for place in places]
            continue
        fits = re.compile(fnmatch.translate(part.replace("[^", "[!")))
        found = []
        for place in places:
            names = distant.ask(place or "/", partial(_names, place or "/"))
            looked_at += len(names)
            if looked_at > ENTRIES:
                what = f"this pattern goes through more than {ENTRIES} files"
                raise bad_input(pattern, what, "name the directory: include /etc/nginx/conf.d/*.conf;")
            shown = part.startswith(".")
            found += [f"{place}/{name}" for name in names if fits.match(name) and (shown or not name.startswith("."))]
        places = found
    return tuple(Path(place) for place in sorted(places) if distant.ask(place, partial(os.path.lexists, place)))


def _names(directory: str) -> list[str]:
    """Names in `directory`, one more than `ENTRIES` at the most; none if there is no such directory."""
    with contextlib.suppress(OSError, ValueError), os.scandir(directory) as listing:
        return [entry.name for entry in itertools.islice(listing, ENTRIES + 1)]
    return []
