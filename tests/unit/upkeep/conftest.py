"""A host with images, and backups of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secreg_host.host.host import Host
from secreg_host.images import survey
from secreg_host.upkeep import create, holding, place
from secreg_host.upkeep.create import Made
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.progress import Progress
from tests.stores import Store, digest_of

BEGIN = datetime(2026, 11, 30, 5, 15, tzinfo=UTC)
SILENT = Progress(shown=False)
Back = Callable[..., Made]


@pytest.fixture
def store(host: Host, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of `host`, whose configuration is there, too."""
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(holding, "SPACE_SECONDS", 0.05)
    host.paths.etc.mkdir(parents=True)
    host.paths.conf.write_text("PORT=8443\n")
    host.paths.state.mkdir(parents=True)
    host.paths.ca_key.write_text("KEY")
    host.paths.storage.mkdir(parents=True)
    return Store(host.paths.storage)


@pytest.fixture
def there(tmp_path: Path) -> Place:
    return place.prepared(tmp_path / "backups", insecure=False)


@pytest.fixture
def back(host: Host, store: Store, there: Place) -> Back:
    """Makes a backup, an hour after the one before."""
    made: list[Made] = []

    def act(images: Path | None = store.tree.root, hours: int = 1) -> Made:
        made.append(create.create(host, there, images, BEGIN + timedelta(hours=hours * len(made)), SILENT))
        return made[-1]

    return act


def forge(path: Path, old: str, new: str) -> None:
    """Write the list `path` anew with `new` where `old` is, as anybody can who can write there: its end is right."""
    body = path.read_text()
    assert old in body
    lines = body.replace(old, new).encode().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(lines) + f"end {len(lines)} {digest_of(b''.join(lines))}\n".encode())
