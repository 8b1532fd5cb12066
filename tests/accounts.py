"""The users that the package makes, on a machine that never had it: the one that runs the tests stands for each.

As a program, `python -m tests.accounts WORDS...`, it is `secure-registry WORDS...` on such a machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from secreg_host.base.process import Account
from secreg_host.entry import main
from secreg_host.host import host as hosts

ACCOUNT = f"{hosts.__name__}._account"
"""What is to be replaced by `found`."""


def found(name: str, *_: Path) -> Account:
    """The account of user `name`."""
    return Account(name, os.geteuid(), os.getegid())


if __name__ == "__main__":
    hosts._account = found
    sys.exit(main())
