"""`secure-registry WORDS...` as tests.accounts runs it, where no registry runs that would have to be waited for.

In the place of waiting the link LINK of the environment is written, and is on disk: a push needs what it names.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from secreg_host.base import files
from secreg_host.entry import main
from secreg_host.host import host as hosts
from secreg_host.images import layout, moving
from secreg_host.upkeep import settling
from tests import accounts


def push() -> None:
    if link := os.environ.get("LINK"):
        moving.made(str(Path(link).parent), 0o755)
        files.write(Path(link), layout.digest_of(link).encode(), 0o644)


if __name__ == "__main__":
    hosts._account = accounts.found
    settling._wait = push
    sys.exit(main())
