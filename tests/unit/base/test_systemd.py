"""Names on the bus."""

from __future__ import annotations

import pytest

from secreg_host.base import systemd


@pytest.mark.parametrize(
    ("unit", "path"),
    [
        ("avahi-daemon.service", "avahi_2ddaemon_2eservice"),  # org.freedesktop.systemd1(5)
        ("secure-registry-registry@a.service", "secure_2dregistry_2dregistry_40a_2eservice"),
        ("9p_x.mount", "_39p_5fx_2emount"),
    ],
)
def test_where_a_unit_is(unit: str, path: str) -> None:
    assert systemd.object_of(unit) == f"/org/freedesktop/systemd1/unit/{path}"
