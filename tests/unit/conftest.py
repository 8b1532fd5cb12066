"""What unit tests share."""

from __future__ import annotations

import pytest

from secreg_host.host.host import Host
from tests import world as worlds
from tests.world import World


@pytest.fixture
def world(host: Host, monkeypatch: pytest.MonkeyPatch) -> World:
    """A host whose processes are in memory, and time that passes when it is slept through."""
    found = World(host)
    worlds.patch(found, monkeypatch)
    return found
