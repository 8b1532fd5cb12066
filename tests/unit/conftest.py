"""What unit tests share."""

from __future__ import annotations

import pytest

from secreg_host.host.host import Host
from tests import accounts
from tests import world as worlds
from tests.world import World


@pytest.fixture
def world(host: Host, monkeypatch: pytest.MonkeyPatch) -> World:
    """A host whose processes are in memory, and time that passes when it is slept through."""
    found = World(host)
    worlds.patch(found, monkeypatch)
    return found


@pytest.fixture
def service_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are the users that the package makes, whoever runs the tests: on a machine that never had it, too."""
    monkeypatch.setattr(accounts.ACCOUNT, accounts.found)
