"""`secure-registry WORDS...` as tests.accounts runs it, where no registry runs that would have to be waited for."""

from __future__ import annotations

import sys

from secreg_host.entry import main
from secreg_host.host import host as hosts
from secreg_host.upkeep import tending
from tests import accounts

if __name__ == "__main__":
    hosts._account = accounts.found
    tending.SETTLE_SECONDS = 0.0
    sys.exit(main())
