"""Unit tests run anywhere: none of them starts a program or speaks to systemd."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from secreg_host.base import process
from secreg_host.base.systemd import Systemd
from tests.conftest import Banned


@pytest.mark.promise("unit-tests-run-anywhere")
@pytest.mark.parametrize("act", [lambda: process.run(["true"]), lambda: process.spawn(["true"]), Systemd])
def test_what_needs_a_machine_of_its_own_is_banned(act: Callable[[], object]) -> None:
    with pytest.raises(Banned, match="mark it real"):
        act()
