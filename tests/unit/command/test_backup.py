"""What is typed of backups, what is answered, and the exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.apply import report as reports
from secreg_host.apply.report import Report
from secreg_host.base.errors import Problem
from secreg_host.base.paths import Paths
from secreg_host.command import cli
from secreg_host.generation import generations
from secreg_host.images import survey
from secreg_host.upkeep import holding, sealing
from secreg_host.upkeep.listing import Writer
from tests.stores import Store, digest_of

YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(root: Path, monkeypatch: pytest.MonkeyPatch, service_users: None) -> Store:
    """The store of an instance below `root`, with an image."""
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    monkeypatch.setattr(holding, "WAIT_SECONDS", 0.05)
    paths = Paths(root)
    paths.etc.mkdir(parents=True)
    paths.registry_yml.write_text(YML % paths.storage)
    paths.storage.mkdir(parents=True)
    made = Store(paths.storage)
    made.push("team/app", "one", "1.0", "latest")
    return made


def typed(root: Path, *words: str) -> int:
    return cli.main(["backup", *words, "--root", str(root)], {})


def test_the_life_of_backups(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = str(tmp_path / "there")
    assert typed(root, "create", there) == 0
    said = capsys.readouterr().out.splitlines()
    assert ": 1 repository, 2 tags, 1 manifest, 4 blobs (" in said[0] and "; new: 4 blobs (" in said[0]
    assert said[1].startswith("keys and hashes of passwords are in it") and "is a new directory of backups" in said[2]
    store.push("team/app", "two", "2.0")
    assert typed(root, "create", there, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["tags"], made["blobs"], made["new_blobs"], made["broken"]) == (3, 6, 2, [])
    assert typed(root, "list", there, "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["tags"], one["damaged"], one["images"]) for one in listed] == [
        (2, [], str(store.tree.root)),
        (3, [], str(store.tree.root)),
    ]
    assert typed(root, "verify", there, "--at", made["name"]) == 0
    assert capsys.readouterr().out.startswith(f"{made['name']}: proven: 1 repository, 3 tags")
    assert typed(root, "prune", there, "--keep-last", "1", "--dry-run") == 0
    assert f"to be removed: {listed[0]['name']}" in capsys.readouterr().out
    assert typed(root, "prune", there, "--keep-last", "1", "--keep-within", "0h", "--dry-run") == 0
    assert "to be freed: 0 blobs (0 B); to be kept: " in capsys.readouterr().out
    assert typed(root, "prune", there, "--keep-last", "1") == 0
    assert capsys.readouterr().out == f"removed: {listed[0]['name']}\nfreed: 0 blobs (0 B); kept: 1 backup\n"
    assert typed(root, "list", there) == 0
    assert capsys.readouterr().out.startswith(f"{made['name']}  of ")


def test_what_is_broken_is_degraded(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = str(tmp_path / "there")
    Path(store.tree.blob(digest_of(b"one"))).unlink()
    assert typed(root, "create", there) == 3
    said = capsys.readouterr()
    assert f"team/app:1.0: {digest_of(b'one')}" in said.err and "backup 2" in said.out
    assert typed(root, "verify", there) == 3
    assert "so it was when it was backed up" in capsys.readouterr().out


def test_what_became_of_a_backup_is_named(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = tmp_path / "there"
    assert typed(root, "create", str(there)) == 0
    blob = there / f"blobs/sha256/{digest_of(b'one')[7:9]}/{digest_of(b'one')[7:]}"
    blob.write_bytes(b"onf")
    capsys.readouterr()
    assert typed(root, "verify", str(there)) == 3
    said = capsys.readouterr().out
    assert f"team/app:latest: {digest_of(b'one')}: its bytes are others than its digest says" in said
    assert typed(root, "verify", str(there), "--json") == 3
    (found,) = json.loads(capsys.readouterr().out)
    assert [(one["tag"], one["digest"]) for one in found["broken"]] == [
        ("1.0", digest_of(b"one")),
        ("latest", digest_of(b"one")),
    ]
    (listed,) = (there / "backups").iterdir()
    listed.write_bytes(listed.read_bytes()[:-9])
    assert typed(root, "list", str(there)) == 3
    assert "it is cut short" in capsys.readouterr().out
    assert typed(root, "verify", str(there)) == 3
    assert f"its list {listed}: it is cut short" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prune", "{there}"], "--keep-last N or --keep-within"),
        (["prune", "{there}", "--keep-within", "30"], "write a number and h, d, w or y"),
        (["prune", "{there}", "--keep-last", "-1"], "--keep-last N"),
        (["verify", "{there}", "--at", "20200101T000000Z"], "there is no backup"),
        (["list", "{there}/gone"], "but in one\n  -> name that: {there}"),
        (["list", "{there}-gone"], "is no directory of backups: it is not there"),
        (["verify", "/"], "is no directory of backups"),
        (["create", "{root}/etc/secure-registry/backups"], "which is backed up"),
        (["create", "{root}/var/lib/secure-registry/storage/backups"], "which is backed up"),
        (["create", "{root}"], "and other files are in it\n  -> name an empty one, or one that is not there: {root}/"),
        (["create", "/dev/null"], "is no directory of backups, and no other one"),
    ],
)
def test_what_can_not_be_done(
    words: list[str], said: str, store: Store, root: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert typed(root, "create", str(tmp_path / "there")) == 0
    before = sorted(tmp_path.rglob("*"))
    assert typed(root, *(word.format(there=tmp_path / "there", root=root) for word in words)) == 2
    assert said.format(there=tmp_path / "there", root=root) in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "words", [("backup", "create", ""), ("backup", "prune", "", "--keep-last", "1"), ("restore", "")]
)
def test_a_variable_that_is_not_set(words: tuple[str, ...], capsys: Capture) -> None:
    """Seen red: that was the directory where one just was."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(list(words), {})
    assert "argument DIR: it is empty" in capsys.readouterr().err


@pytest.mark.real
def test_what_is_closed_fails_nobody(store: Store, root: Path, tmp_path: Path) -> None:
    """Seen red: a traceback, once it was done; and what was opened first had the number of what is printed."""
    there = tmp_path / "there"
    assert typed(root, "create", str(there)) == 0
    for words in ("list", "verify", "prune --keep-last 1"):
        for closed in (">&-", "<&- >&-", "<&- >&- 2>&-"):
            argv = f"exec {sys.executable} -m secreg_host backup {words} {there} {closed}"
            done = subprocess.run(["sh", "-c", argv], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), argv


def test_one_that_is_not_sealed_among_those_that_are(
    store: Store, root: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: keys went there in the clear, and no list said which."""
    monkeypatch.setattr(sealing, "COST", 2)
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))
    there = str(tmp_path / "there")
    assert typed(root, "create", there, "--encrypt") == 0
    assert "is not: keys" not in capsys.readouterr().err
    assert typed(root, "create", there) == 0
    assert "there is sealed, and" in capsys.readouterr().err
    assert typed(root, "create", there) == 0
    assert "there is sealed" not in capsys.readouterr().err
    assert typed(root, "list", there) == 0
    assert [line.endswith("; sealed") for line in capsys.readouterr().out.splitlines()] == [True, False, False]
    assert typed(root, "list", there, "--json") == 0
    assert [one["sealed"] for one in json.loads(capsys.readouterr().out)] == [True, False, False]


@pytest.mark.promise("backup-refuses-where-others-read")
def test_secrets_where_others_read(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    tmp_path.chmod(0o777)
    assert typed(root, "create", str(tmp_path)) == 2
    assert "--insecure-destination" in capsys.readouterr().err
    assert typed(root, "create", str(tmp_path), "--insecure-destination") == 0


@pytest.mark.promise("backup-of-a-disk-that-is-away")
def test_the_mount_point_of_a_disk_that_is_away_is_not_filled(
    store: Store, root: Path, tmp_path: Path, capsys: Capture
) -> None:
    there = tmp_path / "there"
    assert typed(root, "create", str(there)) == 0
    there.rename(tmp_path / "away")
    there.mkdir(0o700)
    assert typed(root, "create", str(there)) == 1
    said = capsys.readouterr().err
    assert "is their disk not mounted?" in said and list(there.iterdir()) == []
    Path(said.rpartition("rm ")[2].strip()).unlink()
    assert typed(root, "create", str(there)) == 0, "it is meant"
    for path in (there, tmp_path / "away"):
        assert typed(root, "create", str(path)) == 0


def test_a_busy_directory_is_refused(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = tmp_path / "there"
    assert typed(root, "create", str(there), "--config-only") == 0
    assert "no images" in capsys.readouterr().out
    with holding.held(there / "lock", "backup create"):
        assert typed(root, "create", str(there)) == 1
        assert typed(root, "prune", str(there), "--keep-last", "1") == 1
        assert capsys.readouterr().err.count("works in") == 2
        assert typed(root, "verify", str(there)) == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_prune_asks_at_a_terminal(
    answer: str, code: int, store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    for _ in range(2):
        assert typed(root, "create", str(there)) == 0
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer.strip)
    assert typed(root, "prune", str(there), "--keep-last", "1") == code
    assert len(list((there / "backups").iterdir())) == (1 if code == 0 else 2)


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("y\n", 1)])
def test_prune_asks_though_its_output_goes_elsewhere(
    answer: str, left: int, store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """`backup prune | tee`. Seen red: it did not ask."""
    there = tmp_path / "there"
    for _ in range(2):
        assert typed(root, "create", str(there)) == 0
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer.strip)
    assert typed(root, "prune", str(there), "--keep-last", "1") == 2
    assert "add --yes" in capsys.readouterr().err and len(list((there / "backups").iterdir())) == 2
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    typed(root, "prune", str(there), "--keep-last", "1")
    assert "Remove 1 of 2 backups" in capsys.readouterr().err
    assert len(list((there / "backups").iterdir())) == left


class Closed(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_prune_that_nobody_hears_is_done_to_its_end(
    store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`backup prune | head`: the pipe is closed."""
    there = tmp_path / "there"
    for number in range(3):
        store.push("team/app", str(number), "moved")
        assert typed(root, "create", str(there)) == 0
        store.delete("team/app", store.push("team/app", str(number), "moved"))
    with monkeypatch.context() as patched:
        patched.setattr(cli, "_discard", lambda *outputs: None)
        patched.setattr(sys, "stdout", Closed())
        assert typed(root, "prune", str(there), "--keep-last", "1") == 1
    assert len(list((there / "backups").iterdir())) == 1
    assert typed(root, "verify", str(there)) == 0
    assert typed(root, "prune", str(there), "--keep-last", "1", "--dry-run") == 0, "nothing is left to be freed"


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000], ids=len)
def test_more_than_there_will_ever_be(number: str, store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = tmp_path / "there"
    assert typed(root, "create", str(there)) == 0
    if len(number) > 4300:
        with pytest.raises(SystemExit):
            typed(root, "prune", str(there), "--keep-last", number)
    else:
        assert typed(root, "prune", str(there), "--keep-last", number) == 0
    assert typed(root, "prune", str(there), "--keep-within", "99999y") == 0
    assert typed(root, "prune", str(there), "--keep-within", f"{number}y") == 2
    assert len(list((there / "backups").iterdir())) == 1


def test_what_somebody_called_a_backup(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    """Names that are no dates, and lists that steer a terminal, or have text that is none."""
    there = tmp_path / "there"
    assert typed(root, "create", str(there)) == 0
    (made,) = (there / "backups").iterdir()
    said = {"host": "\x1b]0;x\x07\ud800\u202e", "version": "\x9b", "name": 7, "root": "/", "machine": ["\x1b"]}
    path = there / "backups/20261399T999999Z"
    writer = Writer(path)
    writer.add(("about", json.dumps(said)))
    writer.add(("broken", "-", "-", "\x1b[2J\udfff"))
    writer.finish()
    capsys.readouterr()
    assert typed(root, "list", str(there)) == 0
    assert typed(root, "list", str(there), "--json") == 0
    assert typed(root, "verify", str(there)) == 3
    assert typed(root, "create", str(there)) == 2, "it is of another machine"
    assert typed(root, "prune", str(there), "--keep-within", "1h") == 0
    shown = "".join(capsys.readouterr())
    assert not set("\x1b\x07\x9b\ud800\udfff\u202e") & set(shown) and shown.encode()
    assert made.exists() and path.exists()


def test_verify_of_nothing(store: Store, root: Path, tmp_path: Path, capsys: Capture) -> None:
    assert typed(root, "create", str(tmp_path / "there"), "--config-only") == 0
    next((tmp_path / "there/backups").iterdir()).unlink()
    assert typed(root, "verify", str(tmp_path / "there")) == 3
    assert "no backup yet" in capsys.readouterr().err


@pytest.fixture
def applied(root: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An instance that was applied: what is in /etc serves."""
    paths = Paths(root)
    paths.state.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(generations, "current_name", lambda host: "generation")
    reports.save(paths, Report())
    return paths


@pytest.mark.promise("backup-of-held-back-edits")
def test_what_is_held_back_is_told(store: Store, applied: Paths, root: Path, tmp_path: Path, capsys: Capture) -> None:
    there = str(tmp_path / "there")
    assert typed(root, "create", there) == 0
    assert capsys.readouterr().err == "", "all that is in it serves"
    bad = Problem(f"{applied.nginx_conf}:3", "unknown directive", "mend it")
    reports.save(applied, replace(reports.load(applied), findings=reports.findings("rejected", "nginx", [bad])))
    assert typed(root, "create", there) == 3
    said = capsys.readouterr()
    assert f"{applied.nginx_conf}:3: is in the backup as it is now, and does not serve" in said.err
    assert ": 1 repository" in said.out, "it is made nevertheless"
