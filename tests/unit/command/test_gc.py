"""The timer's run: by the settings, and told by status; where nothing can be freed that is no failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.command import foreground, instance
from secreg_host.images import lastrun
from secreg_host.images.layout import Repository
from secreg_host.images.trash import Trash
from secreg_host.upkeep import tending
from secreg_host.wanted.settings import Settings
from tests.distribution import Distribution
from tests.unit.command.test_deletes import YML, Capture, push, registry, typed

__all__ = ["registry"]


@pytest.fixture
def paths(registry: Distribution, root: Path) -> Paths:
    found = Paths(root)
    found.state.mkdir(parents=True, exist_ok=True)
    return found


@pytest.mark.promise("gc-by-itself")
def test_it_goes_by_the_settings(
    registry: Distribution, paths: Paths, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = registry.upload("a", b"of no image")
    assert typed(root, "gc", "--daily") == 0 and registry.head("a", left), "it is younger than GC_GRACE"
    monkeypatch.setattr(tending, "settings", lambda _: Settings(gc_grace="0s", trash_days=1))
    said = capsys.readouterr()
    assert typed(root, "gc", "--daily") == 0 and not registry.head("a", left)
    assert "is short" not in said.err, "status says so"
    trash = Trash(registry.tree)
    assert [*trash.digests()] == [left]
    monkeypatch.setattr(Trash, "now", lambda _, real=trash.now: real() + 2 * 86400 * 10**9)
    assert typed(root, "gc", "--daily") == 0 and [*trash.digests()] == []
    last = lastrun.read(paths)
    assert last is not None and last.freed >= len(b"of no image") and last.failed == last.passed == ""
    assert typed(root, "gc") == 0 and f"{paths.conf}: 0s is short" in capsys.readouterr().err


@pytest.mark.promise("gc-by-itself")
@pytest.mark.promise("left-alone")
@pytest.mark.parametrize("more", ["proxy: {remoteurl: https://x}", "s3"])
def test_what_is_not_ours_is_left_alone_and_said_once(paths: Paths, root: Path, capsys: Capture, more: str) -> None:
    paths.registry_yml.write_text("version: 0.1\nstorage: {s3: {}}\n" if more == "s3" else YML % (paths.storage, more))
    assert typed(root, "gc", "--daily") == 0
    assert capsys.readouterr().out.startswith("no space is freed by itself: the images are ")
    assert typed(root, "gc", "--daily") == 0 and capsys.readouterr().out == ""
    assert typed(root, "gc") == 2
    last = lastrun.read(paths)
    assert last is not None and last.passed and not last.failed


def test_what_failed_is_told_by_status(paths: Paths, root: Path, capsys: Capture) -> None:
    paths.registry_yml.write_text(YML % (paths.storage, "  cache: {blobdescriptor: other}"))
    assert typed(root, "gc", "--daily") == 2
    last = lastrun.read(paths)
    assert last is not None and "takes broken images" in last.failed and "take the lines" in last.hint
    assert typed(root, "gc") == 2 and lastrun.read(paths) == last


@pytest.mark.promise("gc-under-a-cache")
def test_a_registry_in_the_foreground_can_not_forget(
    registry: Distribution, paths: Paths, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.registry_yml.write_text(YML % (paths.storage, "  cache: {blobdescriptor: inmemory}"))
    monkeypatch.setattr(foreground, "pid_of", lambda _: 1)
    assert typed(root, "gc", "--grace", "0s") == 2
    assert "as long as it runs" in capsys.readouterr().err
    monkeypatch.setattr(foreground, "pid_of", lambda _: None)
    left = registry.upload("a", b"of no image")
    assert typed(root, "gc", "--grace", "0s") == 0 and not registry.head("a", left)


@pytest.mark.promise("gc-under-a-cache")
def test_a_registry_that_does_not_forget_has_all_of_it_back(
    registry: Distribution, paths: Paths, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root is asked by the deputy, and its answer is what the command says."""
    paths.registry_yml.write_text(YML % (paths.storage, "  cache: {blobdescriptor: inmemory}"))
    asked: list[str] = []

    def renew() -> None:
        asked.append("renew")
        raise SecregError("it stays in its slot", "see status")

    monkeypatch.setattr(instance.InForeground, "renewal", lambda _: renew)
    push(registry, "newest")
    left = registry.upload("a", b"of no image")
    now = ("gc", "--untagged-older", "0s", "--grace", "0s", "--purge", "--yes")
    assert typed(root, *now) == 1 and asked == ["renew"]
    said = capsys.readouterr().err
    assert "it stays in its slot" in said and "see status" in said
    assert registry.head("a", left) and len([*Repository(registry.tree, "a").revisions()]) == 3


@pytest.mark.promise("gc-under-a-cache")
def test_what_is_deleted_by_hand_is_forgotten_too(
    registry: Distribution,
    paths: Paths,
    root: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths.registry_yml.write_text(YML % (paths.storage, "  cache: {blobdescriptor: inmemory}"))
    asked: list[str] = []
    monkeypatch.setattr(instance.InForeground, "renewal", lambda _: lambda: asked.append("renew"))
    assert typed(root, "images", "rm", "a:1", "--yes") == 0 and asked == [], "a tag is not remembered"
    digest = push(registry, "newest")
    assert typed(root, "images", "rm", f"a@{digest}", "--yes") == 0 and asked == ["renew"]

    def refuse() -> None:
        raise SecregError("it stays in its slot", "see status")

    monkeypatch.setattr(instance.InForeground, "renewal", lambda _: refuse)
    assert typed(root, "images", "rm", f"a@{push(registry, 'more')}", "--yes") == 3
    assert "it stays in its slot" in capsys.readouterr().err
