"""Remedies name what the host's own package manager knows; EL, which has no registry, is told the way out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from secreg_host.base import distro, paths, systemd
from secreg_host.base.errors import SecregError
from secreg_host.formats import users
from secreg_host.host import host

RELEASES = {
    "debian": "ID=debian\nVERSION_ID=12\n",
    "ubuntu": "ID=ubuntu\nID_LIKE=debian\n",
    "fedora": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=42\n',
    "rocky": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.1"\n',
    "rhel": 'ID="rhel"\nID_LIKE="centos fedora"\nVERSION_ID="9.6"\n',
    "nothing": "",
}


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    def put(name: str) -> None:
        (tmp_path / "os-release").write_text(RELEASES[name])
        monkeypatch.setattr(paths, "OS_RELEASE", tmp_path / "os-release")

    return put


@pytest.mark.parametrize(
    ("name", "registry", "nginx"),
    [
        ("debian", "apt install docker-registry", "apt install nginx"),
        ("ubuntu", "apt install docker-registry", "apt install nginx"),
        ("fedora", "dnf install docker-distribution", "dnf install nginx"),
        ("rocky", "to /usr/local/bin/registry", "dnf install nginx"),
        ("rhel", "to /usr/local/bin/registry", "dnf install nginx"),
        ("nothing", "apt install docker-registry", "apt install nginx"),
    ],
)
def test_a_missing_program(on: object, monkeypatch: pytest.MonkeyPatch, name: str, registry: str, nginx: str) -> None:
    on(name)  # type: ignore[operator]
    monkeypatch.setattr(host, "find_program", lambda _: None)
    with pytest.raises(SecregError) as caught:
        host.registry()
    assert registry in caught.value.hint and "REGISTRY_BINARY in secure-registry.conf" in caught.value.hint
    with pytest.raises(SecregError) as caught:
        host.nginx()
    assert nginx in caught.value.hint and "NGINX_BINARY" in caught.value.hint


def test_an_account_that_is_gone_is_known_as_long_as_it_serves(tmp_path: Path) -> None:
    """A removed user is out, whatever was done to /etc/passwd; root's directories tell nothing."""
    with pytest.raises(SecregError, match="does not exist"):
        host._account("no-such-account", tmp_path / "away", Path("/proc/self/stat"), Path("/"))
    if os.geteuid() == 0:
        os.chown(tmp_path, 4711, 4712)
    there = tmp_path.stat()
    assert host._account("no-such-account", tmp_path / "away", tmp_path).owner == (there.st_uid, there.st_gid)


def test_no_os_release_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "OS_RELEASE", tmp_path / "none")
    assert distro.install("nginx") == "apt install nginx"


def test_without_pydbus_gi_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """EL: gi (python3-gobject-base) is there, pydbus is not."""
    bus = object()
    gi, repository = ModuleType("gi"), ModuleType("gi.repository")
    flags = SimpleNamespace(AUTHENTICATION_CLIENT=1, MESSAGE_BUS_CONNECTION=8)
    gio = SimpleNamespace(
        BusType=SimpleNamespace(SYSTEM=1),
        DBusConnectionFlags=flags,
        dbus_address_get_for_bus_sync=lambda kind, _: "unix:path=/bus" if kind == 1 else None,
        DBusConnection=SimpleNamespace(new_for_address_sync=lambda *given: {("unix:path=/bus", 9): bus}[given[:2]]),
    )
    repository.Gio = gio  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gi", gi)
    monkeypatch.setitem(sys.modules, "gi.repository", repository)
    monkeypatch.setitem(sys.modules, "pydbus", None)
    assert systemd._system_bus() is bus


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("debian", "apt install python3-pydbus"),
        ("fedora", "dnf install python3-pydbus"),
        ("rhel", "dnf install python3-gobject-base"),
    ],
)
def test_without_both_the_package_is_named(on: object, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str) -> None:
    on(name)  # type: ignore[operator]
    for module in ("pydbus", "gi", "gi.repository"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SecregError) as caught, systemd._explained("reach systemd"):
        systemd._system_bus()
    assert caught.value.hint == remedy


def test_bcrypt_where_dnf_installs(on: object, monkeypatch: pytest.MonkeyPatch) -> None:
    on("fedora")  # type: ignore[operator]
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(SecregError) as caught:
        users.make_hash("secret", users.Scheme.BCRYPT)
    assert caught.value.hint == "dnf install python3-bcrypt, or use -5"
