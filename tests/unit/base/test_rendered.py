"""Units: only what was rendered for this host is replaced or removed; links are never written through."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.base import rendered
from secreg_host.base.errors import SecregError
from secreg_host.base.marks import digest
from secreg_host.base.rendered import Rendered
from secreg_host.host.host import Host
from secreg_host.services import units

TEXT = b"# Written by secure-registry setup; ...\n[Unit]\n"


def unit(host: Host, name: str) -> Path:
    host.paths.units.mkdir(parents=True, exist_ok=True)
    host.paths.state.mkdir(parents=True, exist_ok=True)
    return host.paths.units / f"secure-registry-{name}.service"


def written(host: Host) -> dict[Path, bytes]:
    made = {unit(host, name): TEXT + name.encode() for name in ("nginx", "auth", "registry@")}
    assert units.write(host, made) is True
    return made


@pytest.mark.promise("edited-units-stay")
def test_what_was_rendered_is_removed_and_nothing_else(host: Host) -> None:
    made = written(host)
    edited = unit(host, "auth")
    edited.write_bytes(edited.read_bytes() + b"# mine\n")
    theirs = unit(host, "backup")
    theirs.write_bytes(TEXT)
    moved, link = host.paths.root / "moved", unit(host, "nginx")
    link.rename(moved)
    link.symlink_to(moved)
    drop_in = host.paths.units / "secure-registry-nginx.service.d/limits.conf"
    drop_in.parent.mkdir()
    drop_in.write_bytes(b"[Service]\n")
    removed, stays = units.remove(host)
    assert set(removed) == set(made) - {edited, link} and set(stays) == {edited, link}
    assert link.is_symlink() and moved.read_bytes() == made[link]
    assert edited.exists() and theirs.exists() and drop_in.exists()
    assert units.remove(host) == ((), ())
    assert edited.exists(), "it is not taken for a unit of version 0.1 either"


def test_a_link_in_the_place_of_a_unit_is_left_and_told(host: Host) -> None:
    """systemctl mask makes one to /dev/null, which was replaced by a file once."""
    target = host.paths.root / "null"
    target.write_bytes(b"")
    masked, own = unit(host, "nginx"), unit(host, "auth")
    masked.symlink_to("/dev/null")
    own.symlink_to(target)
    made = {masked: TEXT, own: TEXT, unit(host, "registry@"): TEXT}
    assert units.write(host, made) is True
    assert units.write(host, made) is False
    assert masked.is_symlink() and own.is_symlink() and target.read_bytes() == b""
    first, second = units.links(host)
    assert "masked" in first.what and "systemctl unmask secure-registry-nginx.service" in first.hint
    assert str(target) in second.what and "systemctl edit" in second.hint
    assert units.remove(host)[0] == (unit(host, "registry@"),)
    assert masked.is_symlink() and own.is_symlink()


def test_an_edited_unit_is_kept_beside_when_ours_is_needed(host: Host) -> None:
    made = written(host)
    path = unit(host, "nginx")
    path.write_bytes(b"mine\n")
    assert units.write(host, made) is True
    (kept,) = host.paths.units.glob("*.bak-*")
    assert (path.read_bytes(), kept.read_bytes()) == (made[path], b"mine\n")
    newer = {path: made[path] + b"newer\n"}
    assert units.write(host, newer) is True
    assert list(host.paths.units.glob("*.bak-*")) == [kept], "what we wrote ourselves needs no copy"
    assert path in units.remove(host)[0] and kept.exists()


def test_what_version_0_1_rendered_is_ours_with_and_without_a_record(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps none, on a fresh host and after a downgrade; what it rendered is not what somebody edited since."""
    for name in ("nginx", "registry@"):
        monkeypatch.setitem(rendered.OF_0_1, name, digest(TEXT))
    nginx, registry = unit(host, "nginx"), unit(host, "registry@")
    theirs, edited = unit(host, "backup"), unit(host, "auth")
    for recorded in (False, True):
        for path in (nginx, theirs):
            path.write_bytes(TEXT)
        edited.write_bytes(TEXT + b"# mine\n")
        registry.symlink_to(theirs)
        assert host.paths.rendered.exists() is recorded
        assert units.remove(host)[0] == (nginx,)
        assert theirs.exists() and edited.exists()
        registry.unlink()
        nginx.write_bytes(TEXT)
        assert units.write(host, {nginx: TEXT + b"newer", edited: TEXT}) is True
        (kept,) = host.paths.units.glob("*.bak-*")
        assert kept.name.startswith(edited.name)
        kept.unlink()


def test_a_crash_between_record_and_write(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    made = written(host)
    path = unit(host, "nginx")

    real = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            units.write(host, {path: b"new\n"})
    assert Rendered(host.paths).has(path)
    path.write_bytes(b"new\n")
    assert Rendered(host.paths).has(path)
    assert set(units.remove(host)[0]) == set(made)


def test_a_record_that_can_not_be_written_holds_up_nothing_that_did_not_change(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = written(host)
    host.paths.rendered.unlink()

    def full(*_: object) -> None:
        raise SecregError("no space")

    monkeypatch.setattr("secreg_host.base.rendered.files.write", full)
    assert units.write(host, made) is False
    with pytest.raises(SecregError):
        units.write(host, {unit(host, "nginx"): b"other"})


def test_the_record_is_what_sha256sum_reads(host: Host) -> None:
    import hashlib

    for path, data in written(host).items():
        assert f"{hashlib.sha256(data).hexdigest()}  {path}\n" in host.paths.rendered.read_text()
    host.paths.rendered.write_bytes(b"\xff\xfe broken\n" + host.paths.rendered.read_bytes())
    assert Rendered(host.paths).has(unit(host, "auth"))
