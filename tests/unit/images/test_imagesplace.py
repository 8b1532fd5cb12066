"""Where images may be, and the doors that the registry's unit opens for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secreg_host.apply import backend
from secreg_host.base.errors import BadInput
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import registryconf
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.images import imagesplace
from secreg_host.services import units
from secreg_host.wanted.parts.part import Context, Parts
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made

TMPFS = "TemporaryFileSystem=/home:ro,mode=0755 /root:ro,mode=0755 /run/user:ro,mode=0755"


def unit_for(host: Host, monkeypatch: pytest.MonkeyPatch, root: str, real: str) -> list[str]:
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/usr/sbin/nginx"))
    monkeypatch.setattr(hosts, "registry", lambda _: Path("/usr/bin/registry"))
    rendered = units.render(host, Parts(made.settings(), RegistryPart(root=root, real=real)))
    for path, data in rendered.items():
        own = "registry@" in path.name or path.name == units.unit_of("manifests")
        assert (TMPFS.encode() in data) <= own, "a door for who writes images alone"
        assert (f"BindPaths=-{real}".encode() in data) <= (path.name == units.unit_of("manifests"))
    return rendered[host.paths.units / units.unit_of("registry@")].decode().splitlines()


@pytest.mark.promise("homes")
@pytest.mark.parametrize("place", ["/home/x/a b", "/root/registry", "/run/user/7/x"])
def test_of_homes_the_registry_sees_its_images_alone(host: Host, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    lines = unit_for(host, monkeypatch, place, place)
    named = f'"{place}"' if " " in place else place
    assert f"BindPaths={named}" in lines and TMPFS in lines and "ProtectHome=yes" not in lines
    assert not any(line.startswith(("ReadWritePaths", "Environment=REGISTRY_STORAGE")) for line in lines)


@pytest.mark.promise("homes")
def test_elsewhere_homes_stay_shut(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = unit_for(host, monkeypatch, "/srv/homes", "/srv/homes")
    assert "ReadWritePaths=/srv/homes" in lines and "ProtectHome=yes" in lines
    assert not any(line.startswith(("BindPaths", TMPFS)) for line in lines)


def test_a_link_is_followed_outside_of_the_sandbox(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = unit_for(host, monkeypatch, "/srv/link", "/root/images")
    assert "BindPaths=/root/images" in lines
    assert "Environment=REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/root/images" in lines


@pytest.mark.promise("images-anywhere")
@pytest.mark.parametrize(
    "place",
    [
        "/", "/home", "/root", "/run/user", "/tmp/x", "/var/tmp", "/dev/shm/x", "/proc/x", "/sys/x", "/home/a:b",
        "/etc/secure-registry/images", "/var/lib/secure-registry", "/var/lib/secure-registry/state/x",
        "/run/secure-registry/x", "/run",
    ],
)  # fmt: skip
def test_where_images_can_not_be(host: Host, place: str) -> None:
    system = replace(host, paths=Paths(), by_systemd=True)
    wrong = imagesplace.refused(system, "/srv/link", place)
    assert wrong is not None and "rootdirectory /srv/link" in wrong[0]
    assert imagesplace.refused(host, place, place) is None, "an instance in the foreground has no walls"


@pytest.mark.parametrize(
    "place", ["/srv", "/home/a", "/root/a", "/mnt/a:b", "/var/lib/secure-registry/storage", "/run/x"]
)
def test_where_they_can_be(host: Host, place: str) -> None:
    assert imagesplace.refused(replace(host, paths=Paths(), by_systemd=True), place, place) is None


def test_a_link_that_leads_elsewhere_moves_the_registry() -> None:
    def parts(real: str | None) -> Parts:
        return Parts(made.settings(), RegistryPart(root="/srv/link", real=real))

    current = Generation(parts("/srv/one"), "a", {})
    assert backend.slot_for(parts("/srv/one"), current, ()) == "a"
    assert backend.slot_for(parts("/srv/two"), current, ()) == "b"
    before = Generation(parts(None), "a", {})
    assert backend.slot_for(parts("/srv/link"), before, ()) == "a", "a part of an earlier version does not say it"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (":5001", ("", 5001)),
        ("0.0.0.0:5001", ("", 5001)),
        ("localhost:5001", ("127.0.0.1", 5001)),
        ("'[::1]:5001'", ("::1", 5001)),
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("''", None),
    ],
)
def test_where_metrics_are_asked_for(given: str, found: tuple[str, int] | None) -> None:
    data = f"version: 0.1\nstorage: inmemory\nhttp:\n  debug:\n    addr: {given}\n".encode()
    assert registryconf.parse(data, "f").debug == found


@pytest.mark.parametrize(
    "given", ["5001", "localhost:http", "metrics.example:5001", "127.0.0.1:0", ":99999", "[1]", "a b:1"]
)
def test_what_is_no_address_for_metrics(given: str) -> None:
    data = f"version: 0.1\nstorage: inmemory\nhttp:\n  debug:\n    addr: {given}\n".encode()
    with pytest.raises(BadInput, match=r"f:5: http\.debug\.addr"):
        registryconf.parse(data, "f")


def test_a_directory_of_images_that_can_not_be_one_is_told_with_its_line(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "registry", lambda: Path("/usr/bin/registry"))
    file = tmp_path / "file"
    file.write_bytes(b"")
    host.paths.etc.mkdir(parents=True)
    yml = host.paths.registry_yml
    context = Context(host, Snapshot(host.paths), datetime.now(UTC), Parts(made.settings()), Parts())
    for place, why in ((file, "is not a directory"), (file / "below", "Not a directory")):
        yml.write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {place}\n")
        found = RegistryPart.read(replace(context, disk=Snapshot(host.paths)))
        (problem,) = found.problems
        assert found.part is None and problem.where == f"{yml}:4" and why in problem.what
