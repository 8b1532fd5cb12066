"""What is typed of images that go and come back, what is answered, and the exit codes."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secreg_host.base.paths import Paths
from secreg_host.command import asking, cli
from secreg_host.images.layout import Repository, Tree
from secreg_host.upkeep import holding, settling
from secreg_host.upkeep.progress import Progress
from tests.distribution import Distribution, image
from tests.stores import digest_of

YML = "version: 0.1\nstorage:\n  filesystem: {rootdirectory: %s}\n%s\n"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def registry(root: Path, monkeypatch: pytest.MonkeyPatch, service_users: None) -> Distribution:
    """The registry of an instance below `root`, in which `1` was overwritten."""
    monkeypatch.setattr(settling, "SECONDS", 0.01)
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.registry_yml.write_text(YML % (paths.storage, ""))
    made = Distribution(Tree(paths.storage))
    for name in ("blobs", "repositories"):
        (made.tree.base / name).mkdir(parents=True)
    for words in ("old", "new"):
        push(made, words)
    time.sleep(0.01)
    return made


def push(registry: Distribution, words: str) -> str:
    return registry.put("a", "1", image(*(registry.upload("a", data) for data in (b"{}", words.encode()))))


def typed(root: Path, *words: str) -> int:
    return cli.main([*words, "--root", str(root)], {})


def tags(registry: Distribution) -> list[str]:
    return [*Repository(registry.tree, "a").tags()]


def test_space_comes_back(registry: Distribution, root: Path, capsys: Capture) -> None:
    now = ("gc", "--untagged-older", "0s", "--grace", "0s", "--purge", "--yes")
    assert typed(root, *now, "--dry-run", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["manifests"], planned["blobs"], planned["freed_blobs"], planned["dry_run"]) == (1, 1, 2, True)
    assert typed(root, *now) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "moved to the trash: 1 manifest, links to 1 blob"
    assert "freed: 2 blobs (" in said.out and "0s is short" in said.err
    assert registry.wrong() == [] and len([*registry.tree.blobs()]) == 3
    assert typed(root, *now, "--json") == 0
    assert json.loads(capsys.readouterr().out)["freed_blobs"] == 0


def test_by_default_people_may_pull_what_they_pinned(registry: Distribution, root: Path, capsys: Capture) -> None:
    assert typed(root, "gc", "--grace", "0s") == 0
    assert "moved to the trash: 0 manifests, links to 0 blobs" in capsys.readouterr().out
    assert len([*registry.tree.blobs()]) == 5


def test_somebody_at_a_terminal_sees_how_far_it_is(
    registry: Distribution, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, before something is waited for. Seen red: told with the next thing that is found."""
    said: list[str] = []

    @contextlib.contextmanager
    def steps(self: Progress) -> Iterator[Callable[[str], None]]:
        yield said.append

    monkeypatch.setattr(Progress, "steps", steps)
    assert typed(root, "gc", "--untagged-older", "0s", "--grace", "0s") == 0 and said == []
    push(registry, "newer")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    time.sleep(0.01)
    assert typed(root, "gc", "--untagged-older", "0s", "--grace", "0s") == 0
    assert said[0].startswith("looking for what nothing needs: 0 rep") and settling.UNDER_WAY in said


@pytest.mark.promise("deleted-comes-back")
def test_a_deleted_tag_comes_back_by_one_command(registry: Distribution, root: Path, capsys: Capture) -> None:
    assert typed(root, "images", "rm", "a:1", "--dry-run") == 0 and tags(registry) == ["1"]
    assert typed(root, "images", "rm", "a:1", "--yes") == 0 and tags(registry) == []
    assert typed(root, "images", "trash", "list") == 0
    said = capsys.readouterr().out
    assert "deleted: a:1 (sha256:" in said and "a:1 (sha256:" in said.splitlines()[-1] and "by images rm" in said
    assert "it is in the trash; to bring it back: secure-registry images undelete a:1\n" in said
    assert typed(root, "images", "undelete", "a:1") == 0 and tags(registry) == ["1"]
    assert typed(root, "images", "trash", "list") == 0
    assert capsys.readouterr().out.endswith("nothing is in the trash\n") and registry.wrong() == []


@pytest.mark.promise("images-exit-codes")
def test_what_can_not_be_done_and_what_is_bad_input(registry: Distribution, root: Path, capsys: Capture) -> None:
    """Nothing is done, by the exit code too, of what is there beside it."""
    for words in (("rm", "a:2", "a:1"), ("rm", "b:1"), ("rm", "--all", "b", "--yes"), ("undelete", "a:1")):
        assert typed(root, "images", *words) == 1, words
        assert "  -> see" in capsys.readouterr().err, words
    for words in (("rm", "a"), ("rm", "--all", "a:1"), ("rm", "A:1"), ("undelete", "a:"), ("rm", "--all", "a")):
        assert typed(root, "images", *words) == 2, words
    assert typed(root, "images", "rm", "a") == 2 and "secure-registry images rm --all a" in capsys.readouterr().err
    assert typed(root, "gc", "--grace", "soon") == 2
    assert "'soon' is no age" in capsys.readouterr().err and tags(registry) == ["1"]


def test_a_whole_repository_is_typed_again(
    registry: Distribution, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed(root, "images", "rm", "--all", "a") == 2, "nobody is there who could"
    monkeypatch.setattr(asking, "typed_again", lambda word, said: False)
    assert typed(root, "images", "rm", "--all", "a") == 1 and tags(registry) == ["1"]
    monkeypatch.setattr(asking, "typed_again", lambda word, said: word == "a")
    assert typed(root, "images", "rm", "--all", "a") == 0 and [*registry.tree.repositories()] == []
    assert typed(root, "images", "undelete", "a") == 0 and registry.wrong() == [] and tags(registry) == ["1"]


def test_the_trash_is_emptied_of_what_is_named(registry: Distribution, root: Path, capsys: Capture) -> None:
    digest = Path(Repository(registry.tree, "a").current("1")).read_text()
    assert typed(root, "images", "rm", f"a@{digest}", "--yes") == 0
    assert typed(root, "gc", "--grace", "0s") == 0
    for words in (("b",), (f"a@{digest_of(b'none')}",)):
        for last in ("--yes", "--dry-run"):
            assert typed(root, "images", "trash", "empty", *words, last) == 1
        assert f"{words[0]}: nothing of it is in the trash" in capsys.readouterr().err
    for which in ([], ["a"]):
        assert typed(root, "images", "trash", "empty", *which, "--older", "1d", "--yes") == 0
    assert typed(root, "images", "trash", "list", "--json") == 0
    said = capsys.readouterr().out
    assert {type(one["bytes"]) for one in json.loads(said[said.index("[\n") :])} == {int}
    assert typed(root, "images", "trash", "empty", f"a@{digest}", "--dry-run") == 0
    assert "to be taken out of the trash for good: 3 links" in capsys.readouterr().out
    assert registry.tree.size(digest_of(b"new")) == 3
    assert typed(root, "images", "trash", "empty", f"a@{digest}", "--yes") == 0
    said = capsys.readouterr().out
    assert "out of the trash: 3 links" in said and "freed: 2 blobs (" in said
    assert typed(root, "images", "undelete", f"a@{digest}") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [("  cache: {blobdescriptor: other}", "takes broken images"), ("proxy: {remoteurl: https://x}", "left alone")],
)
def test_what_would_break_images_is_refused(
    registry: Distribution, root: Path, capsys: Capture, more: str, said: str
) -> None:
    paths = Paths(root)
    paths.registry_yml.write_text(YML % (paths.storage, more))
    assert typed(root, "gc") == 2 and said in capsys.readouterr().err


LOOKS = [("images", *words) for words in (("list",), ("show", "a:1"), ("usage",), ("check",))]
CHANGES = [
    ("gc",),
    ("gc", "--dry-run"),
    *(
        ("images", *words)
        for words in (
            ("rm", "a:1", "--yes"),
            ("tag", "a:1", "2"),
            ("undelete", "a:0"),
            ("trash", "list"),
            ("trash", "empty", "--yes"),
            ("check", "--repair"),
        )
    ),
]


@pytest.mark.promise("left-alone")
@pytest.mark.parametrize(("words", "code"), [*((words, 0) for words in LOOKS), *((words, 2) for words in CHANGES)])
def test_a_pull_through_cache_is_looked_at_and_left_alone(
    registry: Distribution, root: Path, capsys: Capture, words: tuple[str, ...], code: int
) -> None:
    """Seen red: tags were given, undeleted and mended there."""
    registry.put(
        "a", "0", Path(registry.tree.blob(Path(Repository(registry.tree, "a").current("1")).read_text())).read_bytes()
    )
    assert typed(root, "images", "rm", "a:0", "--yes") == 0
    paths = Paths(root)
    paths.registry_yml.write_text(YML % (paths.storage, "proxy: {remoteurl: https://x}"))
    before = {path: path.lstat().st_mtime_ns for path in registry.tree.base.rglob("*")}
    capsys.readouterr()
    assert typed(root, *words) == code
    said = capsys.readouterr().err
    assert ("another registry's, which this one passes through: they are left alone" in said) == bool(code)
    assert {path: path.lstat().st_mtime_ns for path in registry.tree.base.rglob("*")} == before


@pytest.mark.promise("left-alone")
@pytest.mark.parametrize("words", [*LOOKS, *CHANGES])
@pytest.mark.parametrize("engine", ["s3", "swift"])
def test_what_is_on_no_file_system_is_left_alone(
    registry: Distribution, root: Path, capsys: Capture, words: tuple[str, ...], engine: str
) -> None:
    Paths(root).registry_yml.write_text(f"version: 0.1\nstorage: {{{engine}: {{}}}}\n")
    assert typed(root, *words) == 2
    assert "the images are on no file system of this host" in capsys.readouterr().err


def test_a_backup_is_not_in_the_way_of_deleting(registry: Distribution, root: Path, capsys: Capture) -> None:
    with holding.shared(Paths(root).space, "backup create"):
        assert typed(root, "gc", "--grace", "0s") == 1
        assert "a backup is made" in capsys.readouterr().err
        assert typed(root, "images", "rm", "a:1", "--yes") == 0
