"""Where an instance in the foreground can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.base.process import Account
from secreg_host.host.host import Accounts, Host
from secreg_host.services import foreground


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sr-") as directory:
        yield Path(directory)


def test_what_keeps_service_users_out_is_named(short: Path) -> None:
    """README's `start --foreground --root ~/registry`, typed by root, whose home directory is closed."""
    home = short / "home"
    (home / "registry").mkdir(parents=True)
    (home / "registry").chmod(0o755)
    home.chmod(0o700)
    me = Account("me", os.geteuid(), os.getegid())
    host = Host(Paths(home / "registry"), Accounts(me, me, me))
    foreground.fit(host)
    other = replace(me, uid=me.uid + 1)
    with pytest.raises(SecregError) as raised:
        foreground.fit(replace(host, accounts=Accounts(other, me, me)))
    [problem] = raised.value.problems
    assert str(home) in problem.what and "/srv" in problem.hint
    with pytest.raises(SecregError, match="too long"):
        foreground.fit(Host(Paths(short / ("x" * 100)), Accounts(me, me, me)))
