"""Where it stands how dockerd is started: what the watchdog looks at."""

from __future__ import annotations

from pathlib import Path

from secreg_host.base import records
from secreg_host.host import dockerfiles
from secreg_host.host.host import Host
from secreg_host.wanted import sources


def test_what_is_not_there_yet_is_watched_too(host: Host) -> None:
    """A drop-in that is added later, and a file that is told by systemd only."""
    root = host.paths.root
    elsewhere = root / "etc/else/docker.env"
    records.save(host.paths.trust, {dockerfiles.PLACES: [str(elsewhere)]})
    drop_in = root / "etc/systemd/system/docker.service.d/later.conf"
    watched = tuple(map(str, dockerfiles.watched(host.paths)))
    for path in (drop_in, root / "etc/docker/daemon.json", root / "etc/default/docker", elsewhere):
        before = sources.marks(host.paths, watched, ())
        path.parent.mkdir(parents=True, exist_ok=True)
        assert any(path.is_relative_to(folder) for folder in sources.directories(host.paths, watched))
        path.write_text("x")
        assert sources.marks(host.paths, watched, ()) != before, path
    daemon = root / "etc/docker/daemon.json"
    assert set(dockerfiles.there(host.paths)) == {drop_in, daemon, root / "etc/default/docker", Path(elsewhere)}
