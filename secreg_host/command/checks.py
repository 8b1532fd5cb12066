"""How the command tells what a check of images found: as text, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secreg_host.base import quoting
from secreg_host.base.errors import Problem
from secreg_host.command import backups, printing
from secreg_host.images.layout import HERE
from secreg_host.upkeep.checking import Checked


def told(found: Checked, place: Path, mended: Sequence[str], *, as_json: bool) -> None:
    """What a check of the store in the directory `place` found, after what was `mended`."""
    if as_json:
        said: dict[str, Any] = {"whole": found.is_whole, "bytes": found.size, "mended": mended}
        said |= {name: found.counts[word] for word, name in backups.COUNTED.items()}
        said |= {"broken": [one._asdict() for one in found.broken], "foreign": found.foreign and found.foreign[0]}
        print(json.dumps(said | {"cut": [f"{one.repository}:{one.tag}" for one in found.cut]}, indent=2))
        return
    printing.warnings(
        backups.problems(
            [one for one in found.broken if one.digest not in found.rotten],
            "it is not whole",
            "mend it: secure-registry images check --repair; or push it again, or delete it",
        )
    )
    for digest in sorted(found.rotten):  # the registry keeps bytes that are there, so a push alone mends nothing
        hint = f"remove them, and push it again: rm {quoting.shell(place / HERE.blob(digest))}"
        broken = [one for one in found.broken if one.digest == digest]
        printing.warnings(backups.problems(broken, "its bytes are wrong", hint))
    for one in found.cut:
        what = "it is a tag of nothing: a push was cut, or the disk was full"
        hint = "bring back what it was: secure-registry images check --repair; or push it again"
        printing.warnings([Problem(f"{one.repository}:{one.tag}", what, hint)])
    if found.foreign:
        printing.warnings([Problem("images", *found.foreign)])
    for said_of in mended:
        print(f"mended: {said_of}")
    print(f"{'whole' if found.is_whole else 'NOT whole'}: {backups.contents(found.counts, found.size)}")
