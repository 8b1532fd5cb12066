"""An image gets one more tag, as a registry writes it, and no tag is moved unasked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.command import asking, cli
from secreg_host.images import flight
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.layout import Repository, Tree
from tests.distribution import Distribution, image
from tests.stores import digest_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def registry(root: Path, service_users: None) -> Distribution:
    """The registry of an instance below `root`, with two images."""
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.registry_yml.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {paths.storage}}}}}\n")
    made = Distribution(Tree(paths.storage))
    for name in ("blobs", "repositories"):
        (made.tree.base / name).mkdir(parents=True)
    for tag in ("1", "2"):
        made.put("team/app", tag, image(*(made.upload("team/app", data) for data in (b"{}", tag.encode()))))
    return made


def typed(root: Path, *words: str) -> int:
    return cli.main(["images", "tag", *words, "--root", str(root)], {})


def current(registry: Distribution, tag: str) -> str:
    return Path(Repository(registry.tree, "team/app").current(tag)).read_text()


@pytest.mark.promise("one-more-tag")
def test_an_image_has_one_more_tag(registry: Distribution, root: Path, capsys: Capture) -> None:
    """Seen red: without its history, by which the registry deletes it, and it is mended."""
    one, two = current(registry, "1"), current(registry, "2")
    assert typed(root, "team/app:1", "stable") == 0
    assert capsys.readouterr().out == f"team/app:stable is {one}\n"
    assert current(registry, "stable") == one and registry.wrong() == []
    link = Path(Repository(registry.tree, "team/app").once("stable", one))
    assert link.read_text() == one and link.stat().st_mode & 0o777 == 0o660
    assert typed(root, f"team/app@{two}", "v2") == 0 and current(registry, "v2") == two
    capsys.readouterr()
    assert typed(root, "team/app:stable", "1") == 0 and capsys.readouterr().out == f"team/app:1 is {one} already\n"


@pytest.mark.promise("one-more-tag")
def test_a_tag_of_another_image_is_moved_when_that_is_said(
    registry: Distribution, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: moved unasked."""
    one, two, repository = current(registry, "1"), current(registry, "2"), Repository(registry.tree, "team/app")
    assert typed(root, "team/app:1", "2") == 2
    assert "add --yes" in capsys.readouterr().err and current(registry, "2") == two
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(asking, "agreed", lambda question: False)
    assert typed(root, "team/app:1", "2") == 1 and current(registry, "2") == two
    assert typed(root, "team/app:1", "2", "--yes") == 0 and current(registry, "2") == one
    assert {link.rsplit("/", 2)[1] for link in repository.history("2")} == {one[7:], two[7:]}, "its history stays"
    Path(repository.current("1")).write_text("")
    assert typed(root, "team/app:2", "1", "--yes") == 0 and current(registry, "1") == one


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("team/app:3", "x"), 1, "there is no such tag"),
        ((f"team/app@{digest_of(b'none')}", "x"), 1, "its manifest is not there"),
        (("team/none:1", "x"), 1, "there is no such tag"),
        (("team/app", "x"), 2, "is a whole repository"),
        (("team/app:1", "team/app:x"), 2, "is no tag"),
        (("team/app:1", "../x"), 2, "is no tag"),
    ],
)
def test_what_can_not_be_tagged(
    words: tuple[str, ...], code: int, said: str, registry: Distribution, root: Path, capsys: Capture
) -> None:
    assert typed(root, *words) == code and said in capsys.readouterr().err
    assert [*Repository(registry.tree, "team/app").tags()] == ["1", "2"]


def test_what_says_nothing_or_is_not_whole_is_no_image(registry: Distribution, root: Path, capsys: Capture) -> None:
    Path(Repository(registry.tree, "team/app").current("1")).write_text("")
    Path(registry.tree.blob(digest_of(b"2"))).unlink()
    assert typed(root, "team/app:1", "x") == 1 and "check --repair" in capsys.readouterr().err
    assert typed(root, "team/app:2", "x") == 1 and "it is not whole" in capsys.readouterr().err


def test_what_it_needs_comes_back_from_the_trash(registry: Distribution, root: Path) -> None:
    """What had no tag, and was about to go for that."""
    one = current(registry, "1")
    assert cli.main(["images", "rm", "team/app:1", "--yes", "--root", str(root)], {}) == 0
    list(Collector(registry.tree, Wish(grace=0), registry.settled).collect())
    Path(Repository(registry.tree, "team/app").layer(digest_of(b"1"))).unlink()
    registry.upload("team/app", b"1")
    assert typed(root, f"team/app@{one}", "again") == 0 and registry.wrong() == []


def test_who_changes_it_meanwhile_wins(
    registry: Distribution, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight, "SECONDS", 0.01)
    one = current(registry, "1")
    two = image(registry.upload("team/app", b"{}"), registry.upload("team/app", b"3"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(asking, "agreed", lambda question: bool(registry.put("team/app", "2", two)))
    assert typed(root, "team/app:1", "2") == 1 and "somebody changes it" in capsys.readouterr().err
    assert current(registry, "2") == digest_of(two) != one
