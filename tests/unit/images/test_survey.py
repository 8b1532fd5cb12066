"""What a survey tells of a store that registry and clients change meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secreg_host.images import survey
from secreg_host.images.layout import Repository
from secreg_host.images.survey import Entry
from tests.stores import Store, digest_of

Tell = Callable[[], None]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    return Store(tmp_path)


def of(found: list[Entry], *words: str) -> list[Entry]:
    return [entry for entry in found if entry[0] in words]


def before(monkeypatch: pytest.MonkeyPatch, phase: str, *acts: Tell) -> None:
    """Let each of `acts` happen once, just before a survey reads what Repository.`phase` tells."""
    real = getattr(Repository, phase)
    pending = list(acts)

    def told(self: Repository, *args: str) -> Iterator[str]:
        if pending:
            pending.pop(0)()
        yield from real(self, *args)

    monkeypatch.setattr(Repository, phase, told)


def test_what_is_there_is_told_and_each_blob_once(store: Store) -> None:
    one, two = store.push("a", "one", "1", "latest"), store.push("b/c", "two", "1")
    untagged = store.push("a", "three")
    found = store.entries()
    assert of(found, "repository", "tag") == [
        ("repository", "a"),
        ("tag", "1", one, "1000"),
        ("tag", "latest", one, "1000"),
        ("repository", "b/c"),
        ("tag", "1", two, "1000"),
    ]
    assert ("was", "latest", one, "1000") in found
    assert {entry[1] for entry in of(found, "revision")} == {one, two, untagged}
    blobs = [entry[1] for entry in of(found, "blob")]
    assert len(blobs) == len(set(blobs)) == 8, "three manifests, three layers, the one that all have, a configuration"
    assert ("blob", digest_of(b"shared"), "6") in found
    assert of(found, "broken", "gone") == []


def test_each_link_has_its_blob(store: Store) -> None:
    for number in range(3):
        store.push(f"r{number}", str(number), "1")
    linked: set[str] = set()
    for entry in store.entries():
        if entry[0] in ("layer", "revision"):
            linked.add(entry[1])
        assert entry[0] != "blob" or entry[1] in linked, "bytes are looked at after the link"
    assert linked == {entry[1] for entry in of(store.entries(), "blob")}


@pytest.mark.promise("backup-while-it-runs")
def test_a_tag_that_is_moved_meanwhile_is_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = store.push("a", "one", "1")
    moved: list[str] = []

    def move() -> None:
        moved.append(store.push("a", "two", "1"))
        store.delete("a", old)

    before(monkeypatch, "revisions", move)
    found = store.entries()
    assert of(found, "tag") == [("tag", "1", moved[0], "1000")]
    assert of(found, "broken", "gone") == [] and old not in {entry[1] for entry in of(found, "revision")}


@pytest.mark.promise("backup-while-it-runs")
def test_a_tag_that_is_deleted_meanwhile_is_left_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.push("a", "two", "2")
    old = store.push("a", "one", "1")
    before(monkeypatch, "revisions", lambda: store.delete("a", old))
    found = store.entries()
    assert [entry[1] for entry in of(found, "tag")] == ["2"]
    assert of(found, "gone", "broken") == [("gone", "1")]


def test_it_is_looked_at_until_nothing_is_on_the_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = store.push("a", "one", "1"), store.push("a", "two", "2")
    store.push("a", "three", "3")
    before(monkeypatch, "revisions", lambda: store.delete("a", one), lambda: store.delete("a", two))
    found = store.entries()
    assert [entry[1] for entry in of(found, "tag")] == ["3"]
    assert of(found, "gone", "broken") == [("gone", "1"), ("gone", "2")]


@pytest.mark.promise("backup-while-it-runs")
def test_a_tag_that_is_another_one_at_each_look_is_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who moves it and deletes what it was without a pause. Seen red: it was left out as broken."""
    digests = [store.push("a", "0", "1")]
    kept = store.push("a", "kept", "kept")

    def move() -> None:
        digests.append(store.push("a", str(len(digests)), "1"))
        store.delete("a", digests[-2])

    monkeypatch.setattr(survey, "SECONDS", 0.1)
    before(monkeypatch, "revisions", *[move] * 10_000)
    found = store.entries()
    assert {entry[1]: entry[2] for entry in of(found, "tag")} == {"1": digests[-1], "kept": kept}
    assert of(found, "broken", "gone") == []
    there = {entry[1] for entry in of(found, "blob")}
    assert {digests[-1], digest_of(str(len(digests) - 1).encode())} <= there
    assert ("was", "1", digests[-1], "1000") in found
    assert len(digests) > 3, "it was looked at until the time was over, and no longer"


@pytest.mark.promise("backup-while-it-runs")
def test_a_tag_whose_manifest_goes_first_is_deleted_and_not_broken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the registry does, tag by tag. Seen red: two looks were enough to call all of them broken."""
    old = store.push("a", "one", *map(str, range(9)))
    one = Repository(store.tree, "a")
    Path(one.revision(old)).unlink()
    tags = list(one.tags())

    def untag() -> None:
        if tags:
            shutil.rmtree(f"{one.path}/_manifests/tags/{tags.pop()}")

    before(monkeypatch, "revisions", *[act for _ in range(9) for act in (lambda: None, lambda: None, untag)])
    found = store.entries()
    assert of(found, "tag", "broken") == []
    assert [entry[1] for entry in of(found, "gone")] == [str(number) for number in range(9)]


def test_an_index_whose_child_is_listed_too_late_is_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is read while names come may tell the later one alone; a cache has blobs as children."""
    cached = store.layer("a", b"cache")
    child = store.push("a", "one")
    index = store.manifest("a", {"manifests": [{"digest": child}, {"digest": cached}]}, "all")
    real = Repository.revisions

    def late(self: Repository) -> Iterator[str]:
        return (path for path in real(self) if child.partition(":")[2] not in path)

    monkeypatch.setattr(Repository, "revisions", late)
    found = store.entries()
    assert of(found, "tag", "broken") == [("tag", "all", index, "1000")]
    assert {entry[1] for entry in of(found, "revision")} == {index, child}


def test_a_link_that_leads_elsewhere_is_none(store: Store) -> None:
    store.push("a", "one", "1")
    store.link(Repository(store.tree, "a").layer(digest_of(b"one")), digest_of(b"shared"))
    found = store.entries()
    assert {entry[1:3] for entry in of(found, "broken")} == {("-", digest_of(b"one")), ("1", digest_of(b"one"))}
    assert "another digest than its place says" in of(found, "broken")[0][3]


def test_a_blob_that_is_deleted_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = store.push("a", "one", "1")

    def delete() -> None:
        store.delete("a", old)
        Path(Repository(store.tree, "a").layer(digest_of(b"one"))).unlink()

    before(monkeypatch, "layers", delete)
    found = store.entries()
    assert of(found, "tag", "revision", "broken") == [] and of(found, "gone") == [("gone", "1")]
    assert digest_of(b"one") not in {entry[1] for entry in found if len(entry) > 1}


@pytest.mark.promise("backup-while-it-runs")
def test_a_link_that_is_just_being_written_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = store.push("a", "one", "1")
    link = Repository(store.tree, "a").current("1")
    Path(link).write_text("")
    before(monkeypatch, "layers", lambda: (store.link(link, one), None)[1])
    found = store.entries()
    assert of(found, "tag") == [("tag", "1", one, "1000")] and of(found, "broken") == []


@pytest.mark.promise("backup-names-what-is-broken")
def test_what_stays_broken_is_named_and_the_rest_is_told(store: Store) -> None:
    one = store.push("a", "one", "1", "good")
    two = store.push("a", "two", "2")
    other = store.push("b", "other", "1")
    Path(Repository(store.tree, "a").current("1")).write_text("")
    Path(store.tree.blob(digest_of(b"two"))).unlink()
    found = store.entries()
    assert [entry[1:3] for entry in of(found, "broken")] == [
        ("1", "-"),
        ("-", digest_of(b"two")),
        ("2", digest_of(b"two")),
    ]
    assert of(found, "broken")[0][3].endswith("it is empty: a push was cut short, or the disk was full")
    assert of(found, "tag") == [("tag", "1", other, "1000"), ("tag", "2", two, "1000"), ("tag", "good", one, "1000")]
    assert digest_of(b"two") not in {entry[1] for entry in of(found, "layer", "blob")}
    assert of(found, "gone") == []


def test_manifests_of_an_index_must_be_there_too(store: Store) -> None:
    child = store.push("a", "one")
    index = store.manifest("a", {"manifests": [{"digest": child}]}, "1")
    assert of(store.entries(), "broken") == []
    store.delete("a", child)
    assert of(store.entries(), "broken") == [("broken", "1", child, "a manifest of it is not there")]
    store.push("a", "one")
    Path(Repository(store.tree, "a").layer(digest_of(b"one"))).unlink()
    assert of(store.entries(), "broken") == [("broken", "1", digest_of(b"one"), "a blob of it is not there")]
    assert index in {entry[1] for entry in of(store.entries(), "revision")}


def test_an_index_without_a_tag_may_be_taken_apart(store: Store) -> None:
    """Seen red: a clean-up by digests had each backup end with 3, for ever. What is there of one is kept."""
    children = [store.push("a", words) for words in ("one", "two")]
    index = store.manifest("a", {"manifests": [{"digest": digest} for digest in children]})
    store.delete("a", children[0])
    found = store.entries()
    assert of(found, "broken") == []
    assert {entry[1] for entry in of(found, "revision")} == {index, children[1]}
    data = Path(store.tree.blob(index)).read_bytes()
    assert store.manifest("a", json.loads(data), "1") == index
    assert of(store.entries(), "broken") == [("broken", "1", children[0], "a manifest of it is not there")]


def test_a_cache_is_an_index_of_blobs(store: Store) -> None:
    """As BuildKit pushes it (type=registry). Seen red: each was broken."""
    store.manifest("a", {"manifests": [{"digest": store.layer("a", b"cached")}]}, "cache")
    assert of(store.entries(), "broken") == []
    Path(Repository(store.tree, "a").layer(digest_of(b"cached"))).unlink()
    assert [entry[1] for entry in of(store.entries(), "broken")] == ["cache"]


def test_what_a_registry_need_not_have_is_not_missed(store: Store) -> None:
    """A layer that is elsewhere (urls), and a subject that is not there, or is none; signatures by sha512."""
    config, layer = store.layer("a", b"{}"), store.layer("a", b"layer")
    away = {"digest": digest_of(b"away"), "urls": ["https://x"]}
    away["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    subjects: list[object] = [{"digest": digest_of(b"gone")}, {"digest": "none"}, "none", None]
    for number, subject in enumerate(subjects):
        content = {"config": {"digest": config}, "layers": [{"digest": layer}, away], "subject": subject}
        store.manifest("a", content, str(number), f"sha512-{number:064}")
    found = store.entries()
    assert of(found, "broken", "gone") == [] and len(of(found, "tag")) == 2 * len(subjects)
    assert digest_of(b"away") not in {entry[1] for entry in found if len(entry) > 1}


def test_what_is_no_manifest_is_named(store: Store) -> None:
    one = store.push("a", "one", "1")
    Path(store.tree.blob(one)).write_bytes(b"{}")
    (broken,) = of(store.entries(), "broken")
    assert broken[:3] == ("broken", "1", one) and "can't be read: it names neither" in broken[3]


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_a_registry_that_was_taken_over_planted(store: Store, tmp_path: Path, kind: str) -> None:
    """Nothing waits, and nothing of others' is read."""
    store.push("a", "one", "1")
    secret = tmp_path / "secret"
    secret.write_text(digest_of(b"shared"))
    plants: dict[str, Callable[[Path], None]] = {
        "link": lambda path: path.symlink_to(secret),
        "pipe": os.mkfifo,
        "directory": Path.mkdir,
    }
    for path in (Path(Repository(store.tree, "a").current("1")), Path(store.tree.blob(digest_of(b"one")))):
        path.unlink()
        plants[kind](path)
    found = store.entries()
    assert {entry[1:3] for entry in of(found, "broken")} == {("1", "-"), ("-", digest_of(b"one"))}
    assert of(found, "tag") == []


def test_what_the_program_tries_itself_is_left_out(store: Store) -> None:
    store.push("secure-registry-probe", "one", "1")
    store.push("a/secure-registry-probe", "two", "1")
    assert [entry[1] for entry in of(store.entries(), "repository")] == ["a/secure-registry-probe"]


def test_names_at_the_limits(store: Store) -> None:
    name, tag = "/".join(["a" * 50] * 5), "t" * 128
    store.push(name, "one", tag)
    assert len(name) <= 255 and of(store.entries(), "repository") == [("repository", name)]
    assert [entry[1] for entry in of(store.entries(), "tag")] == [tag]


def test_what_can_not_be_read_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.push("a", "one", "1")
    store.push("b", "two", "1")
    real = os.scandir

    def scandir(path: Path) -> object:
        if "repositories/a" in str(path) and not str(path).endswith("repositories/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = store.entries()
    assert {entry[3] for entry in of(found, "broken")} == {
        f"{Repository(store.tree, 'a').path}/{path}: Permission denied"
        for path in ("_manifests/tags", "_manifests/revisions/sha256", "_layers/sha256")
    }
    assert of(found, "tag")[0][1] == "1" and len(of(found, "repository")) == 2


@pytest.mark.promise("backup-names-what-is-broken")
def test_what_is_no_repository_is_named_and_is_of_none(store: Store, tmp_path: Path) -> None:
    """Seen red: it was left out in silence, and what could not be read was of the last repository."""
    store.push("a", "one", "1")
    top = store.tree.base / "repositories"
    (tmp_path / "elsewhere").mkdir()
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    for name in ("Upper/_manifests", "_x", "lost+found", "a/B/_layers"):
        (top / name).mkdir(parents=True)
    found = store.entries()
    broken = of(found, "broken")
    assert found[: len(broken)] == broken and {entry[1:3] for entry in broken} == {("-", "-")}
    named = {entry[3].removeprefix(f"{top}/").partition(":")[0] for entry in broken}
    assert named == {"a/B", "Upper", "_x", "linked"}
    assert [entry[1] for entry in of(found, "repository")] == ["a"]
