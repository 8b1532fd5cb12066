"""What is typed to bring a backup back, what is answered, and the exit codes. (That it serves: tests/booted.)"""

from __future__ import annotations

import io
import os
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from secreg_host.base.paths import Paths
from secreg_host.command import cli, restoring
from secreg_host.images import imagesplace, survey
from secreg_host.upkeep import holding, refill, sealing, source
from tests.stores import Store, digest_of

YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_users: None) -> Store:
    """The store of an instance below `root`, with two images, which was backed up."""
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.registry_yml.write_text(YML % paths.storage)
    paths.state.mkdir(parents=True)
    paths.ca_key.write_text("KEY")
    paths.storage.mkdir(parents=True)
    made = Store(paths.storage)
    made.push("team/app", "one", "1.0")
    made.push("other", "two", "1.0")
    assert cli.main(["backup", "create", str(tmp_path / "there"), "--root", str(root)], {}) == 0
    return made


def typed(root: Path, *words: str) -> int:
    return cli.main(["restore", *words, "--root", str(root)], {})


def away(root: Path) -> None:
    """The host is destroyed."""
    for path in root.iterdir():
        shutil.rmtree(path)


def say(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(line))


@pytest.mark.promise("backup-is-sealed")
def test_what_is_sealed_comes_back_by_its_passphrase(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "COST", 2)
    there, paths = tmp_path / "sealed", Paths(root)
    say(monkeypatch, "\n")
    assert cli.main(["backup", "create", str(there), "--encrypt", "--root", str(root)], {}) == 2
    say(monkeypatch, "correct horse\n")
    assert cli.main(["backup", "create", str(there), "--encrypt", "--root", str(root)], {}) == 0
    assert "without the passphrase nobody can bring them back" in capsys.readouterr().out
    for path in there.rglob("*"):
        assert not path.is_file() or b"rootdirectory" not in path.read_bytes()
    assert cli.main(["backup", "verify", str(there)], {}) == 0, "nobody needs the passphrase for that"
    away(root)
    for wrong in ("\n", "correct\n", "\0\n", "\x01correct horse\n", "a" * 5000):
        say(monkeypatch, wrong)
        assert typed(root, str(there)) == 2
        assert not paths.etc.exists()
        said = capsys.readouterr().err
        assert wrong != "correct\n" or (f"{there}/config/" in said and "--at NAME" in said), "seen red: of which one"
    monkeypatch.setattr(sys, "stdin", None)  # closed; seen red: a traceback
    assert typed(root, str(there)) == 2
    say(monkeypatch, "correct horse\n")
    assert typed(root, str(there)) == 0
    assert paths.ca_key.read_text() == "KEY"
    say(monkeypatch, "")
    assert typed(root, str(there), "--only", "other") == 0, "images are not sealed"
    assert cli.main(["backup", "prune", str(there), "--keep-last", "1"], {}) == 0
    assert len(list((there / "config").iterdir())) == 1


@pytest.mark.promise("restores")
def test_all_of_it_on_a_fresh_host(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, there = store.entries(), str(tmp_path / "there")
    away(root)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert typed(root, there, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "this host is called another" in said and f"images: all of them, to {Paths(root).storage}" in said
    assert not Paths(root).etc.exists() and not Paths(root).storage.exists()
    assert typed(root, there) == 0
    said = capsys.readouterr().out
    assert "images: 2 repositories, 2 tags" in said and "all proven" in said
    assert f"start --foreground --root {root}" in said
    assert store.entries() == before and Paths(root).ca_key.read_text() == "KEY"
    assert typed(root, there, "--at", next((tmp_path / "there/backups").iterdir()).name) == 2, "there are images"
    assert "--force" in capsys.readouterr().err


def test_parts_of_it(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    before, there, paths = store.entries(), str(tmp_path / "there"), Paths(root)
    shutil.rmtree(paths.storage)
    assert typed(root, there, "--images-only") == 0
    assert store.entries() == before
    shutil.rmtree(paths.etc)
    assert typed(root, there, "--config-only") == 0
    assert paths.registry_yml.read_text() == YML % paths.storage


@pytest.mark.promise("restores")
def test_what_comes_back_has_images(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Seen red: a backup of the configuration alone, made later, came back as all there is."""
    before, there = store.entries(), tmp_path / "there"
    (full,) = (path.name for path in (there / "backups").iterdir())
    assert cli.main(["backup", "create", str(there), "--config-only", "--root", str(root)], {}) == 0
    (bare,) = {path.name for path in (there / "backups").iterdir()} - {full}
    assert typed(root, str(there), "--images-only", "--at", bare) == 2
    assert f"{bare} has no images" in capsys.readouterr().err
    away(root)
    assert typed(root, str(there), "--dry-run", "--config-only") == 0
    assert f"backup {bare} of" in capsys.readouterr().out
    assert typed(root, str(there)) == 0
    assert f"{bare} is newer, and has no images" in capsys.readouterr().out and store.entries() == before
    (there / "backups" / full).unlink()
    away(root)
    assert typed(root, str(there)) == 2
    assert "--config-only" in capsys.readouterr().err and not Paths(root).etc.exists()
    assert typed(root, str(there), "--config-only") == 0


@pytest.mark.promise("restore-loses-nothing")
def test_nothing_of_somebody_is_touched_without_force(
    store: Store, root: Path, tmp_path: Path, capsys: Capture
) -> None:
    there, paths = str(tmp_path / "there"), Paths(root)
    paths.registry_yml.write_text(f"# mine\n{YML % paths.storage}")
    store.push("mine", "three", "1")
    before = store.entries()
    for words in ((), ("--images-only",), ("--config-only",)):
        assert typed(root, there, *words) == 2
    assert capsys.readouterr().err.count("--force") == 4
    assert typed(root, there, "--dry-run") == 2 and typed(root, there, "--dry-run", "--force") == 0
    assert "images are there already" in capsys.readouterr().out
    assert store.entries() == before and paths.registry_yml.read_text().startswith("# mine")
    assert typed(root, there, "--force") == 0
    said = capsys.readouterr().out
    assert "what was there is in " in said and "the images that were there are in " in said
    (aside,) = paths.etc.parent.glob("secure-registry.bak-*")
    assert (aside / paths.registry_yml.name).read_text().startswith("# mine")
    assert list(paths.storage.glob("docker.*")) and "mine" not in {entry[1] for entry in store.entries()}


def test_one_repository(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = str(tmp_path / "there")
    shutil.rmtree(Paths(root).storage / "docker/registry/v2/repositories/other")
    kept = store.push("team/app", "newer", "1.0")
    assert typed(root, there, "--only", "other:1.0") == 0
    assert typed(root, there, "--only", "team/app") == 3
    assert "is another image here, and stays that" in capsys.readouterr().err
    tags = {entry[2] for entry in store.entries() if entry[0] == "tag"}
    assert kept in tags
    assert typed(root, there, "--only", "team/app", "--force") == 0
    assert kept not in {entry[2] for entry in store.entries() if entry[0] == "tag"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "gone"], "has no such image: gone\n  -> see what is in it: less "),
        (["--only", "other:2"], "has no such image: other:2"),
        (["--only", ":x"], "is no repository"),
        (["--at", "20200101T000000Z"], "there is no backup"),
    ],
)
def test_what_can_not_be_done(
    words: list[str], said: str, store: Store, root: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert typed(root, str(tmp_path / "there"), *words) == 2
    assert said in capsys.readouterr().err


def test_which_backup_has_what_was_deleted_since(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = tmp_path / "there"
    (older,) = (path.name for path in (there / "backups").iterdir())
    shutil.rmtree(Paths(root).storage / "docker/registry/v2/repositories/other")
    assert cli.main(["backup", "create", str(there), "--root", str(root)], {}) == 0
    assert typed(root, str(there), "--only", "other:1.0") == 2
    assert f"other:1.0\n  -> backup {older} has it: --at {older}\n" in capsys.readouterr().err
    assert typed(root, str(there), "--only", "other:1.0", "--at", older) == 0


def test_an_instance_below_another_root(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    assert typed(tmp_path / "elsewhere", str(tmp_path / "there")) == 2
    assert f"add --root {root}" in capsys.readouterr().err


def test_a_damaged_backup_changes_nothing(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    (path,) = (tmp_path / "there/backups").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    away(root)
    assert typed(root, str(tmp_path / "there")) == 1
    said = capsys.readouterr().err
    assert "cut short" in said and "take another backup, with --at NAME" in said
    assert list(root.glob("etc/secure-registry")) == []


@pytest.mark.promise("restore-proves")
def test_a_blob_that_the_backup_lost_is_named(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    digest = digest_of(b"two")
    (tmp_path / f"there/blobs/sha256/{digest[7:9]}/{digest[7:]}").unlink()
    away(root)
    assert typed(root, str(tmp_path / "there")) == 3
    said = capsys.readouterr()
    assert f"other:1.0: {digest}" in said.err and "not all proven" in said.out
    assert {entry[2] for entry in store.entries() if entry[0] == "tag"}, "all else is there"


def test_no_room_is_known_before_anything_is_touched(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    away(root)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=10, f_frsize=1))
    assert typed(root, str(tmp_path / "there")) == 1
    assert "has no room for that" in capsys.readouterr().err and not Paths(root).etc.exists()


@pytest.mark.promise("restore-loses-nothing")
def test_a_disk_that_is_not_mounted_is_not_filled_from_below(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: the mount point was."""
    shutil.rmtree(store.tree.base)
    monkeypatch.setattr(source, "unmounted", lambda *_: "nothing is mounted at /disk, where the images were")
    assert typed(root, str(tmp_path / "there"), "--images-only") == 2
    said = capsys.readouterr().err
    assert "nothing is mounted at /disk" in said and "--force" in said and not store.tree.base.exists()
    assert typed(root, str(tmp_path / "there"), "--images-only", "--force") == 0


@pytest.mark.promise("restore-loses-nothing")
def test_what_can_not_be_done_is_known_before_anything_is_replaced(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: the configuration was replaced by then, and the registry stopped."""
    there, paths = str(tmp_path / "there"), Paths(root)
    paths.registry_yml.write_text(f"# mine\n{YML % paths.storage}")
    store.push("mine", "three", "1")
    before = store.entries()
    with monkeypatch.context() as patch:
        patch.setattr(imagesplace, "unwritable", lambda *_: ("can't write there", "chown"))
        assert typed(root, there, "--force") == 1
    for mounted in (paths.etc, paths.storage / "docker"):
        with monkeypatch.context() as patch:
            patch.setattr(os.path, "ismount", lambda path, mounted=mounted: Path(path) == mounted)
            assert typed(root, there, "--force") == 1
        assert f"{mounted} is to be replaced, and something is mounted there" in capsys.readouterr().err
    assert store.entries() == before and paths.registry_yml.read_text().startswith("# mine")


@pytest.mark.promise("restore-proves")
def test_what_rotted_in_the_store_is_copied_anew(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Seen red: it had its size, and was left as it was, however often one tried."""
    before, rotten = store.entries(), Path(store.tree.blob(digest_of(b"two")))
    rotten.write_bytes(b"tw0")
    assert typed(root, str(tmp_path / "there"), "--only", "other") == 0
    assert rotten.read_bytes() == b"two" and store.entries() == before
    assert "all proven" in capsys.readouterr().out


def test_one_at_a_time(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: two wrote the same files, and prune removed what was read."""
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    there, lock = tmp_path / "there", Paths(root).run / "restore"
    away(root)
    lock.parent.mkdir(parents=True)
    with holding.held(lock, "restore"):
        assert typed(root, str(there)) == 1
    with holding.held(there / "lock", "backup prune"):
        assert typed(root, str(there)) == 1
        assert typed(root, str(there), "--dry-run") == 0
    assert capsys.readouterr().err.count("works in") == 2 and not Paths(root).etc.exists()


@pytest.mark.promise("backups")
def test_half_a_restore_is_not_backed_up(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Seen red: it was a backup like others."""
    there = tmp_path / "there"
    storage = Paths(root).storage
    left = storage / "docker.20261130T051500Z.new"
    left.mkdir()
    (storage / "docker").rename(left / "docker")
    assert cli.main(["backup", "create", str(there), "--root", str(root)], {}) == 1
    said = capsys.readouterr().err
    assert "20261130T051500Z are not all restored yet" in said and f"rm -rf {left}" in said
    assert len(list((there / "backups").iterdir())) == 1
    (left / "docker").rename(storage / "docker")
    assert cli.main(["backup", "create", str(there), "--root", str(root)], {}) == 0, "what serves is whole"


def test_it_is_gone_on_with(store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was cut while all was proven."""
    before, real = store.entries(), refill.proof
    away(root)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(refill, "proof", cut)
    assert typed(root, str(tmp_path / "there")) == 130
    monkeypatch.setattr(refill, "proof", real)
    assert typed(root, str(tmp_path / "there")) == 0
    assert store.entries() == before and [path.name for path in Paths(root).storage.iterdir()] == ["docker"]


def test_an_empty_directory_of_backups(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Of whoever must bring something back. Seen red: he was told to make a backup."""
    next((tmp_path / "there/backups").iterdir()).unlink()
    assert typed(root, str(tmp_path / "there")) == 1
    said = capsys.readouterr().err
    assert f"findmnt -T {tmp_path}/there" in said and "backup create" not in said


@pytest.mark.promise("backup-is-sealed")
def test_only_what_is_sealed(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: who can write there could have put a plain one in the place of the sealed one."""
    there = str(tmp_path / "there")
    away(root)
    assert typed(root, there, "--encrypted") == 1
    assert "is not sealed" in capsys.readouterr().err and not Paths(root).etc.exists()
    assert typed(root, there, "--encrypted", "--images-only") == 2
    monkeypatch.setattr(sealing, "COST", 2)
    assert typed(root, there) == 0
    for _ in range(2):
        say(monkeypatch, "correct horse\n")
        there = str(tmp_path / "sealed")
        assert cli.main(["backup", "create", there, "--encrypt", "--root", str(root)], {}) == 0
    away(root)
    for path in (tmp_path / "sealed/config").iterdir():
        path.with_suffix(".tar").write_bytes(b"stale")
    say(monkeypatch, "correct horse\n")
    assert typed(root, there, "--encrypted") == 0 and Paths(root).ca_key.read_text() == "KEY"


@pytest.mark.promise("backup-refuses-where-others-read")
@pytest.mark.parametrize("place", [".", "backups", "config", "blobs/sha256"])
def test_what_others_can_write_to_is_not_trusted(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, place: str
) -> None:
    """Seen red: their users and keys would have come back."""
    there = tmp_path / "there"
    away(root)
    (there / place).chmod(0o770)
    for words in ((), ("--dry-run",), ("--only", "other")):
        assert typed(root, str(there), *words) == 2
        said = capsys.readouterr().err
        assert "others can write there" in said and "--insecure-destination" in said
    assert not Paths(root).etc.exists()
    assert typed(root, str(there), "--insecure-destination") == 0


@pytest.mark.promise("backup-refuses-where-others-read")
def test_where_others_could_put_another_one(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Seen red: whoever owns what it is in can swap it as it is read."""
    (tmp_path / "home").mkdir()
    (tmp_path / "there").rename(tmp_path / "home/there")
    (tmp_path / "link").symlink_to("home/there")
    (tmp_path / "home").chmod(0o777)
    for path in ("home/there", "link"):
        assert typed(root, str(tmp_path / path), "--dry-run", "--force") == 2
        assert "can write there, can put another directory in its place" in capsys.readouterr().err
    (tmp_path / "home").chmod(0o1777)
    assert typed(root, str(tmp_path / "link"), "--dry-run", "--force") == 0, "as in /tmp"


def test_a_place_that_images_can_not_have_is_refused_before(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    away(root)
    monkeypatch.setattr(imagesplace, "refused", lambda *_: ("it is hidden from the registry", "elsewhere"))
    assert typed(root, str(tmp_path / "there")) == 1
    assert "it is hidden" in capsys.readouterr().err and not Paths(root).etc.exists()


@pytest.mark.parametrize(
    ("said", "is_later"),
    [
        ("0.1", False),
        ("0.2.0", False),
        ("0.10", True),
        ("99", True),
        ("1" * 5000, True),
        ("0" * 5000, False),
        ("", False),
    ],
    ids=lambda value: str(value)[:8],
)
def test_whether_a_backup_is_of_a_later_version_is_told_of_any_number(said: str, is_later: bool) -> None:
    """Seen red: thousands of digits ended in a traceback of int()."""
    problem = restoring.later({"version": said})
    assert (problem is not None) == is_later
    assert problem is None or len(problem.what) < 200


def test_a_version_of_escape_sequences_is_said_plainly() -> None:
    problem = restoring.later({"version": "99\x1b[2J"})
    assert problem
    assert "\x1b" not in problem.what
