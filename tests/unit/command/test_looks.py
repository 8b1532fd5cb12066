"""What is typed of images, what is answered, and the exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secreg_host.base import marks
from secreg_host.base.paths import Paths
from secreg_host.command import asking, cli, images
from secreg_host.images import survey
from secreg_host.images.layout import Repository
from secreg_host.images.purging import Purge
from tests.stores import Store, digest_of

YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"
CHECKOUT = Path(__file__).resolve().parents[3]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(root: Path, monkeypatch: pytest.MonkeyPatch, service_users: None) -> Store:
    """The store of an instance below `root`, with an image."""
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.registry_yml.write_text(YML % paths.storage)
    paths.storage.mkdir(parents=True)
    made = Store(paths.storage)
    made.push("team/app", "one", "1.0", "latest")
    return made


def typed(root: Path, *words: str) -> int:
    return cli.main(["images", *words, "--root", str(root)], {})


def test_list(store: Store, root: Path, capsys: Capture) -> None:
    two = store.push("other", "two", "1")
    store.push("other", "three")
    assert typed(root, "list") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["REPOSITORY", "TAG", "DIGEST", "PLATFORMS", "SIZE", "UNIQUE", "PUSHED", "BY"]
    assert [line.split()[:3] for line in said[1:4]] == [
        ["other", "1", two[:19]],
        ["team/app", "1.0", digest(store, "team/app", "1.0")[:19]],
        ["team/app", "latest", digest(store, "team/app", "latest")[:19]],
    ]
    assert "1970-01-01 00:16" in said[1] and said[4].startswith("and 1 image without a tag, which alone need ")
    assert typed(root, "list", "other", "--untagged") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert typed(root, "list", "other", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["tag"], one["pushed"]) for one in found] == [(tag, "1970-01-01T00:16:40Z") for tag in ("1", None)]
    assert all(one["bytes"] == one["unique_bytes"] + one["shared_bytes"] for one in found)


def digest(store: Store, name: str, tag: str) -> str:
    return Path(Repository(store.tree, name).current(tag)).read_text()


def test_an_empty_store(store: Store, root: Path, capsys: Capture) -> None:
    store.delete("team/app", digest(store, "team/app", "1.0"))
    assert typed(root, "list") == 0 and capsys.readouterr().out == "there is no image\n"
    assert typed(root, "check") == 0
    assert typed(root, "usage", "--by", "repo") == 0


def test_who_pushed_it_is_said_where_it_is_known(store: Store, root: Path, capsys: Capture) -> None:
    log = Paths(root).log / "access.json"
    log.parent.mkdir(parents=True)
    one = digest(store, "team/app", "1.0")
    said = {"user": "alice\x1b[2J", "method": "PUT", "status": 201, "repository": "team/app", "reference": "1.0"}
    log.write_text(json.dumps({**said, "digest": one}, separators=(",", ":")) + "\n")
    assert typed(root, "list") == 0
    lines = capsys.readouterr().out
    assert "alice?[2J" in lines and "\x1b" not in lines, "nothing that a client wrote steers a terminal"


@pytest.mark.parametrize(("seconds", "said"), [(0, "-"), (1 << 60, "9999-12-31 23:59"), (-9999, "1970-01-01 00:00")])
def test_dates_that_nobody_has(seconds: int, said: str) -> None:
    """A file may have any; whoever took over the registry may give it. Seen red: an error of datetime's."""
    assert images.date(seconds) == said


def test_show(store: Store, root: Path, capsys: Capture) -> None:
    old = digest(store, "team/app", "1.0")
    new = store.push("team/app", "two", "1.0")
    about = store.manifest(
        "team/app", {"layers": [], "config": {"digest": digest_of(b"{}")}, "subject": {"digest": new}}
    )
    signed = store.push("team/app", "signature", f"{new.replace(':', '-')}.sig")
    os.utime(Repository(store.tree, "team/app").once("1.0", new), (2000, 2000))
    assert typed(root, "show", "team/app:1.0") == 0
    said = capsys.readouterr().out
    for word in (
        new,
        f"{new} since 1970-01-01 00:33",
        f"{old} since 1970-01-01 00:16",
        digest_of(b"two"),
        f"referrer   {about}",
        f"referrer   {signed}",
    ):
        assert word in said, word
    assert typed(root, "show", f"team/app@{old}", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tags"], found["digest"]) == (["latest"], old)
    assert typed(root, "show", "team/app") == 0
    assert capsys.readouterr().out.count("image ") == 4, "three tags, and what has none"


def test_show_of_a_child(store: Store, root: Path, capsys: Capture) -> None:
    child = store.push("multi", "one")
    store.manifest("multi", {"manifests": [{"digest": child}]}, "1")
    assert typed(root, "show", f"multi@{child}") == 0
    assert "0 B of its own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "team/app:2.0"], 1, "there is no image team/app:2.0"),
        (["show", "team"], 1, "there is no repository team"),
        (["list", "nobody"], 1, "there is no repository nobody"),
        (["show", "Team/app"], 2, "no repository is called so"),
        (["show", "team/app@sha256:12"], 2, "names neither a tag nor a digest"),
        (["show", "team/app:"], 2, "names neither a tag nor a digest"),
        (["show", "../../etc"], 2, "no repository is called so"),
        (["list", "team/app:1.0"], 2, "is more than a repository"),
    ],
)
def test_what_can_not_be_shown(
    words: list[str], code: int, said: str, store: Store, root: Path, capsys: Capture
) -> None:
    assert typed(root, *words) == code and said in capsys.readouterr().err


@pytest.mark.promise("what-is-in-the-trash-is-said")
def test_usage_of_what_is_in_the_trash(store: Store, root: Path, capsys: Capture) -> None:
    """What a repository still has is not freed by emptying it. Seen red: with all that the trash names."""
    gone, both = store.push("team/app", "gone"), store.push("team/app", "both")
    store.push("other", "both", "1")
    assert typed(root, "usage", "--json") == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["trash"], before["trash_due"]) == (0, [])
    assert typed(root, "rm", f"team/app@{gone}", f"team/app@{both}", "--yes") == 0
    capsys.readouterr()
    assert typed(root, "usage", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    size = len(b"gone") + Path(store.tree.blob(gone)).stat().st_size
    assert (found["trash"], found["unnamed"], sum(one["bytes"] for one in found["trash_due"])) == (size, size, size)
    due = datetime.fromisoformat(found["trash_due"][0]["from"]) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < due <= timedelta(days=14)
    assert typed(root, "usage") == 0
    assert f"of that in the trash  {size} B" in capsys.readouterr().out


@pytest.mark.promise("what-deleting-would-free")
def test_usage(store: Store, root: Path, capsys: Capture) -> None:
    store.push("team/app", "two", "latest")
    store.push("other", "threes", "1")
    store.blob(b"orphan")
    upload = Path(Repository(store.tree, "other").path) / "_uploads/1-2/data"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"12345")
    assert typed(root, "usage", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["unnamed"], found["uploads"], found["untagged"]) == (6, 5, 0) and found["disk"]["free"] > 0
    every = sum(path.stat().st_size for path in (store.tree.base / "blobs").rglob("data"))
    assert found["tagged"] + found["unnamed"] == every
    assert typed(root, "usage", "--by", "repo", "--json") == 0
    found = {one["repository"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["other"]["bytes"] - found["other"]["frees"] == len(b"{}") + len(b"shared")
    assert typed(root, "usage") == 0 and typed(root, "usage", "--by", "repo") == 0
    assert "needed by nothing     6 B" in capsys.readouterr().out


def test_check_of_what_is_whole(store: Store, root: Path, capsys: Capture) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in store.tree.root.rglob("*"))
    assert typed(root, "check", "--read-data", "--repair") == 0
    assert capsys.readouterr().out.startswith("whole: 1 repository, 2 tags, 1 manifest, 4 blobs (")
    assert before == sorted((path, path.stat().st_mtime_ns) for path in store.tree.root.rglob("*"))


@pytest.mark.promise("check-names-what-is-broken")
def test_what_is_broken_is_named(store: Store, root: Path, capsys: Capture) -> None:
    """Seen red: a blob of another size was whole; without --read-data, other bytes of the same size are."""
    digest = store.layer("sized", b"12345")
    layer = {"digest": digest, "size": 5}
    store.manifest("sized", {"config": {"digest": store.layer("sized", b"{}"), "size": 2}, "layers": [layer]}, "1")
    Path(store.tree.blob(digest)).write_bytes(b"1234")
    Path(store.tree.blob(digest_of(b"one"))).write_bytes(b"onf")
    assert typed(root, "check", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert [(one["repository"], one["tag"], one["why"]) for one in found["broken"]] == [
        ("sized", "1", "it has 4 bytes instead of 5")
    ]
    assert typed(root, "check", "--read-data", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert sorted((one["repository"], one["tag"]) for one in found["broken"]) == [
        ("sized", "1"),
        ("team/app", "1.0"),
        ("team/app", "latest"),
    ]
    Path(store.tree.blob(digest_of(b"one"))).unlink()
    assert typed(root, "check") == 3
    said = capsys.readouterr()
    assert f"team/app:latest: {digest_of(b'one')}" in said.err and said.out.startswith("NOT whole: ")


@pytest.mark.promise("mends-without-doubt")
def test_a_tag_that_says_nothing_is_mended(store: Store, root: Path, capsys: Capture) -> None:
    """Seen red: without the write; with all that is doubtful mended, too."""
    one, twice = Repository(store.tree, "team/app"), Repository(store.tree, "doubt")
    sure = digest(store, "team/app", "1.0")
    for words in ("one", "two"):
        store.push("doubt", words, "1")  # both of the same moment
    for link in (one.current("1.0"), twice.current("1")):
        Path(link).write_text("")
    assert typed(root, "check", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["cut"], found["mended"]) == (["doubt:1", "team/app:1.0"], [])
    assert Path(one.current("1.0")).read_text() == "", "nothing is written without --repair"
    assert typed(root, "check", "--repair") == 3
    said = capsys.readouterr()
    assert f"mended: team/app:1.0 is {sure}" in said.out and Path(one.current("1.0")).read_text() == sure
    assert "doubt:1: it is a tag of nothing" in said.err and Path(twice.current("1")).read_text() == ""


@pytest.mark.promise("emptied-links-are-mended")
def test_links_that_a_full_disk_emptied_are_mended(store: Store, root: Path, capsys: Capture) -> None:
    """Seen red: without the links; with the tag judged before they are; with their dates as of now."""
    one, digests = Repository(store.tree, "team/app"), digest(store, "team/app", "1.0")
    links = [one.layer(digest_of(b"shared")), one.revision(digests), one.current("1.0"), one.once("latest", digests)]
    for link in links:
        Path(link).write_text("" if link != links[0] else "sha256:odd")
        os.utime(link, (2000, 2000))
    assert typed(root, "check") == 3
    assert "images check --repair" in capsys.readouterr().err
    assert typed(root, "check", "--repair") == 0
    said = capsys.readouterr().out
    assert said.count("mended: ") == 4 and "team/app:1.0 is" in said
    assert [Path(link).read_text() for link in links] == [digest_of(b"shared"), digests, digests, digests]
    assert [int(Path(link).stat().st_mtime) for link in (links[0], links[1], links[3])] == 3 * [2000]


def test_what_a_collection_that_was_killed_had_moved_away_is_back(store: Store, root: Path, capsys: Capture) -> None:
    """Seen red: it was broken until the next collection."""
    data = Path(store.tree.blob(digest_of(b"one")))
    away = Path(Purge(store.tree).place(digest_of(b"one")))
    away.parent.mkdir(parents=True)
    data.rename(away)
    assert typed(root, "check") == 3
    assert typed(root, "check", "--repair") == 0
    assert "is back, which gc had moved away" in capsys.readouterr().out and data.read_bytes() == b"one"


@pytest.mark.promise("mends-without-doubt")
def test_the_history_of_a_tag_in_doubt_is_left(store: Store, root: Path, capsys: Capture) -> None:
    """A push that was cut as it wrote there has not come to be what the tag is. Seen red: it became that next time."""
    new, one = store.push("team/app", "two", "1.0"), Repository(store.tree, "team/app")
    for link in (one.once("1.0", new), one.current("1.0")):
        Path(link).write_text("")
    for _ in range(2):
        assert typed(root, "check", "--repair") == 3
        assert Path(one.once("1.0", new)).read_text() == Path(one.current("1.0")).read_text() == ""


@pytest.mark.promise("emptied-links-are-mended")
def test_a_link_is_not_mended_to_bytes_that_are_wrong(store: Store, root: Path, capsys: Capture) -> None:
    """Seen red: an honest 404 became an image of no bytes. And that a push alone mends it is not said."""
    one, wrong = Repository(store.tree, "team/app"), store.tree.blob(digest_of(b"one"))
    Path(one.layer(digest_of(b"one"))).write_text("")
    Path(wrong).write_bytes(b"")
    assert typed(root, "check", "--repair") == 3
    assert f": rm {wrong}\n" in capsys.readouterr().err
    assert Path(one.layer(digest_of(b"one"))).read_text() == ""


def test_what_is_in_the_trash_is_nobodys_image(store: Store, root: Path, capsys: Capture) -> None:
    assert typed(root, "rm", "team/app:1.0", "team/app:latest", "--yes") == 0
    assert typed(root, "rm", "--all", "team/app", "--yes") == 0
    capsys.readouterr()
    assert typed(root, "check", "--repair", "--read-data") == 0 and typed(root, "list") == 0
    assert capsys.readouterr().out.splitlines() == ["whole: no images", "there is no image"]
    assert typed(root, "show", "team/app") == 1


@pytest.mark.promise("mends-without-doubt")
def test_what_is_in_doubt_is_asked(store: Store, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ("one", "two"):
        store.push("doubt", words, "1")
    twice, asked = Repository(store.tree, "doubt"), list[str]()
    Path(twice.current("1")).write_text("")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(asking, "agreed", lambda question: bool(asked.append(question)) or len(asked) == 2)
    assert typed(root, "check", "--repair") == 0
    assert len(asked) == 2 and Path(twice.current("1")).read_text() in asked[1]


@pytest.mark.promise("looks-are-quick-again")
def test_a_list_that_was_made_ahead_is_told_only_where_nothing_is_new(
    root: Path, store: Store, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is made of what was there while that is looked at again. Seen red: with it told whatever was found."""
    monkeypatch.setattr(marks, "COARSE", -60.0)

    def told(*words: str) -> str:
        assert typed(root, "list", *words) == 0
        return capsys.readouterr().out

    first = told()
    assert told() == first and told("team/app") == first
    store.push("team/more", "two", "2.0")
    assert "team/more" in told()
    store.delete("team/app", store.push("team/app", "three", "1.0"))
    one = Repository(store.tree, "team/app")
    assert "1.0" not in told("team/app") == told("team/app")
    Path(one.current("latest")).unlink()
    assert "team/app:latest: it is a tag of nothing" in told()
    shutil.rmtree(one.path)
    assert "team/app" not in told()
    assert typed(root, "list", "team/app") == 1


@pytest.mark.real
def test_a_list_loads_nothing_that_applies_or_deletes() -> None:
    """Two fifths of what a list loaded was that. Seen red: with the modules of all actions loaded for their options."""
    code = "import sys; from secreg_host.command import cli; from secreg_host.command.verbs import images\n"
    code += "cli.build_parser('images'); images._loaded('list'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=CHECKOUT)
    names = loaded.stdout.split()
    assert "secreg_host.command.looks" in names
    needless = (
        "secreg_host.apply",
        "secreg_host.queue",
        "secreg_host.services",
        "secreg_host.command.deletes",
        "secreg_host.upkeep.listing",
        "secreg_host.images.trash",
        "asyncio",
    )
    assert [one for one in names if one.startswith(needless)] == []
