"""The configuration of a backup back on a host, and nothing of somebody else's lost."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secreg_host.base import files, leftovers, reading
from secreg_host.base.errors import Note, SecregError
from secreg_host.base.paths import Paths
from secreg_host.command import removal
from secreg_host.host.host import Host
from secreg_host.upkeep import archived, create, hashing, listing, present, staging, unpacking
from secreg_host.upkeep.archived import Item
from secreg_host.upkeep.place import Place
from tests.stores import Store, digest_of
from tests.unit.upkeep.conftest import BEGIN, SILENT, Back

STAMP = "20261130-051500"


@pytest.fixture
def paths(host: Host, store: Store) -> Paths:
    """What is backed up: files, a link to a file beside, one to elsewhere, what is remembered."""
    found = host.paths
    (found.etc / "hooks.d").mkdir()
    (found.etc / "hooks.d/mail").write_text("#!/bin/sh\n")
    (found.etc / "hooks.d/mail").chmod(0o755)
    found.htpasswd.write_text("docker:x\n")
    found.htpasswd.chmod(0o640)
    found.http_secret.write_text("SECRET")
    found.http_secret.chmod(0o600)
    found.trust.write_text('{"chosen": {}}')
    return found


def tree(path: Path) -> dict[str, str]:
    return {
        str(one.relative_to(path)): f"-> {one.readlink()}" if one.is_symlink() else one.read_text()
        for one in path.rglob("*")
        if one.is_symlink() or one.is_file()
    }


def left(paths: Paths) -> list[Path]:
    """What of secrets is beside."""
    return [path for path in leftovers.restoring(paths) if path.exists()]


def away(paths: Paths) -> None:
    """The host is destroyed."""
    shutil.rmtree(paths.etc)
    shutil.rmtree(paths.state)


def nobody() -> str:
    raise AssertionError("nothing is sealed")


def put(paths: Paths, there: Place, *, same_machine: bool = False) -> unpacking.Put:
    return unpacking.put(paths, unpacking.read(there, there.names()[-1], nobody), STAMP, same_machine=same_machine)


@pytest.mark.promise("restores")
def test_it_is_as_it_was(paths: Paths, there: Place, back: Back) -> None:
    back(None)
    before = tree(paths.etc), tree(paths.state)
    away(paths)
    done = put(paths, there, same_machine=True)
    assert (tree(paths.etc), tree(paths.state)) == before
    assert (done.aside, done.notes, done.count) == ([], [], 6)
    modes = [
        path.stat().st_mode & 0o777
        for path in (paths.htpasswd, paths.etc / "hooks.d/mail", paths.http_secret, paths.state)
    ]
    assert modes == [0o640, 0o755, 0o600, 0o700]
    assert left(paths) == []
    again = put(paths, there, same_machine=True)
    assert (again.aside, again.count, tree(paths.etc)) == ([], 0, before[0]), "it is gone on with"


def test_directories_are_whose_they_were(
    paths: Paths, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: a group that could look into /etc/secure-registry could not any more."""
    (paths.etc / "hooks.d").chmod(0o750)
    back(None)
    away(paths)
    items = unpacking.read(there, there.names()[-1], nobody)
    etc = str(paths.etc.relative_to(paths.root))
    for name in (etc, f"{etc}/hooks.d"):
        items[name] = replace(items[name], owner=("daemon", "no-such-group"))
    owned: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, *ids: owned.update({path.name: ids}))
    unpacking.put(paths, items, STAMP, same_machine=True)
    assert set(owned.values()) == {(pwd.getpwnam("daemon").pw_uid, 0)} and "hooks.d" in owned and len(owned) == 2
    assert (paths.etc / "hooks.d").stat().st_mode & 0o777 == 0o750


def test_what_is_of_the_machine_stays_there(paths: Paths, there: Place, back: Back) -> None:
    back(None)
    away(paths)
    put(paths, there)
    assert not paths.trust.exists() and paths.ca_key.read_text() == "KEY"


def test_links(paths: Paths, there: Place, back: Back, tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (live / "crt").write_text("CRT")
    (live / "key").write_text("KEY")
    (live / "key").chmod(0o600)
    paths.crt.symlink_to(live / "crt")
    paths.key.symlink_to(live / "key")
    (paths.etc / "beside").symlink_to("secure-registry.conf")
    (paths.etc / "directory").symlink_to(live)
    back(None)
    away(paths)
    (live / "key").unlink()
    done = put(paths, there)
    assert (paths.crt.readlink(), (paths.etc / "beside").readlink()) == (live / "crt", Path("secure-registry.conf"))
    assert not paths.key.is_symlink() and paths.key.read_text() == "KEY" and paths.key.stat().st_mode & 0o777 == 0o600
    assert [note.where for note in done.notes] == [str(paths.key.relative_to(paths.root))]
    assert isinstance(done.notes[0], Note)
    shutil.rmtree(live)
    shutil.rmtree(paths.etc)
    put(paths, there)
    assert tree(paths.etc / "directory") == {"crt": "CRT", "key": "KEY"}
    assert put(paths, there).aside == [], "seen red: what came back as a directory was in the way of going on"
    assert present.in_the_way(paths, unpacking.read(there, there.names()[-1], nobody)) == []


def test_what_is_large_is_compared_too(paths: Paths, there: Place, back: Back) -> None:
    """Seen red: a file of more than 4 MB was always in the way."""
    (paths.etc / "crl.pem").write_bytes(bytes(5 << 20))
    back(None)
    assert present.in_the_way(paths, unpacking.read(there, there.names()[-1], nobody)) == []
    assert put(paths, there).aside == []


@pytest.mark.promise("restore-loses-nothing")
def test_nothing_of_somebody_is_replaced_in_silence(paths: Paths, there: Place, back: Back) -> None:
    back(None)
    items = unpacking.read(there, there.names()[-1], nobody)
    assert present.in_the_way(paths, items) == []
    paths.conf.write_text("PORT=1\n")
    (paths.etc / "mine").write_text("x")
    paths.ca_key.write_text("MINE")
    (paths.state / "report.json").write_text("{}")
    assert present.in_the_way(paths, items) == [paths.etc / "mine", paths.conf, paths.ca_key]
    assert "--force" in present.refuse(there, present.in_the_way(paths, items)).hint
    before = tree(paths.etc)
    done = put(paths, there)
    aside = paths.etc.with_name(f"secure-registry.bak-{STAMP}")
    assert tree(aside) == before and aside in done.aside
    assert (paths.state.with_name(f"state.bak-{STAMP}") / "ca.key").read_text() == "MINE"
    assert paths.conf.read_text() == "PORT=8443\n" and (paths.state / "report.json").exists()
    paths.conf.write_text("PORT=2\n")
    assert put(paths, there).aside == [paths.etc.with_name(f"secure-registry.bak-{STAMP}-2")]


def test_an_archive_that_is_not_as_it_was_is_not_used(paths: Paths, there: Place, back: Back) -> None:
    name = back(None).name
    data = there.config(name).read_bytes()
    there.config(name).write_bytes(data.replace(b"PORT=8443", b"PORT=8444"))
    with pytest.raises(SecregError, match="not as it was written"):
        unpacking.read(there, name, nobody)
    there.config(name).unlink()
    with pytest.raises(SecregError):
        unpacking.read(there, name, nobody)


@pytest.mark.promise("restore-loses-nothing")
def test_what_can_not_be_written_changes_nothing(
    paths: Paths, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: the state, with the CA's key, was replaced before /etc was known to be writable."""
    back(None)
    (paths.state / "deep").mkdir()
    paths.ca_key.write_text("MINE")
    paths.conf.write_text("PORT=1\n")
    before = tree(paths.etc), tree(paths.state)

    real, written = files.create, list[Path]()

    def full(path: Path, *args: Any, **more: Any) -> None:
        if len(written) == allowed:
            raise SecregError("no space", "free some")
        written.append(path)
        real(path, *args, **more)

    allowed = -1
    while True:
        allowed += 1
        written.clear()
        with monkeypatch.context() as patch:
            patch.setattr(files, "create", full)
            try:
                done = put(paths, there)
                break
            except SecregError:
                assert (tree(paths.etc), tree(paths.state)) == before
        assert left(paths) == [], "seen red: keys were left there"
    assert allowed == 4 and done.aside and paths.ca_key.read_text() == "KEY"


@pytest.mark.promise("restore-loses-nothing")
def test_there_is_a_way_back(paths: Paths, there: Place, back: Back) -> None:
    """The commands that are told where something fails afterwards."""
    back(None)
    paths.ca_key.write_text("MINE")
    paths.conf.write_text("PORT=1\n")
    before = tree(paths.etc), tree(paths.state)
    done = put(paths, there)
    assert len(done.back) == len(done.aside) == 2 and paths.ca_key.read_text() == "KEY"
    for command in done.back:
        assert os.system(command) == 0
    assert (tree(paths.etc), tree(paths.state)) == before


@pytest.mark.promise("restore-loses-nothing")
def test_one_that_can_not_be_put_in_its_place_is_not(
    paths: Paths, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red: /etc was away then."""
    back(None)
    paths.conf.write_text("PORT=1\n")
    before, real = tree(paths.etc), Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path == leftovers.restoring(paths).whole:
            raise OSError(16, "Device or resource busy", str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(SecregError, match="busy"):
        put(paths, there)
    assert tree(paths.etc) == before and left(paths) == []
    assert not list(paths.etc.parent.glob("*.bak-*"))


class Killed(BaseException):
    """The process is."""


@pytest.mark.promise("restore-loses-nothing", "killed-runs")
@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_a_killed_one_left_is_swept(
    paths: Paths, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """By the next apply. Seen red: keys and hashes stayed in /etc, and between both renames there was no /etc."""
    back(None)
    paths.conf.write_text("PORT=1\n")
    before, real, calls = tree(paths.etc), Path.rename, iter(range(9))

    def rename(path: Path, target: Path) -> Path:
        if next(calls) == at:
            raise Killed
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        patch.setattr(unpacking.Staged, "drop", lambda _: None)
        with pytest.raises(Killed):
            put(paths, there)
    assert left(paths) != []
    leftovers.sweep(paths)
    assert left(paths) == []
    assert tree(paths.etc) == (before if at < 2 else before | {"secure-registry.conf": "PORT=8443\n"})


def test_purge_leaves_no_secrets_beside(paths: Paths, back: Back) -> None:
    for path in leftovers.restoring(paths):
        path.mkdir()
        (path / "key").write_text("KEY")
    removal._purge(paths, lambda _: None)
    assert left(paths) == []


@pytest.mark.promise("backup-is-sealed")
def test_what_is_beside_the_one_that_is_meant_is_no_trap(
    paths: Paths, there: Place, back: Back, tmp_path: Path
) -> None:
    """Seen red: a NAME.sealed that was left was taken for NAME.tar."""
    name = back(None).name
    (there.configs / f"{name}.sealed").write_bytes(b"stale")
    assert unpacking.read(there, name, nobody)
    with pytest.raises(SecregError, match="is not sealed"):
        unpacking.read(there, name, nobody, sealed=True)


@pytest.mark.promise("backup-is-sealed")
def test_a_plain_one_that_was_left_is_no_trap(host: Host, paths: Paths, there: Place, store: Store) -> None:
    """Seen red where the first of the two, which is not the one that is meant, ended the search."""
    name = create.create(host, there, None, BEGIN, SILENT, "correct horse").name
    (there.configs / f"{name}.tar").write_bytes(b"stale")
    assert unpacking.read(there, name, lambda: "correct horse", sealed=True)


def test_a_small_configuration_takes_little_memory(
    paths: Paths, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen red on a host with 1 GiB: as much was asked for as the largest one needs (MemoryError)."""
    name = back(None).name
    monkeypatch.setattr(archived, "LARGEST", 1 << 50)
    assert unpacking.read(there, name, nobody)


def test_what_is_hashed_is_what_is_read(
    paths: Paths, there: Place, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who can write there puts another one in its place between two looks: there is one look."""
    name = back(None).name
    looks = list[str]()
    opened = hashing.opened
    monkeypatch.setattr(hashing, "opened", lambda path: (looks.append(path), opened(path))[1])
    assert unpacking.read(there, name, nobody)
    assert looks.count(str(there.config(name))) == 1, "seen red: it was hashed, and then opened anew"


@pytest.mark.parametrize("empty", [False, True])
def test_the_configuration_of_another_backup_is_not_used(paths: Paths, there: Place, back: Back, empty: bool) -> None:
    """Whoever can write there may put an older one, that is sealed as it should be, in its place. Seen red: nothing but
    zeros was an empty one, and /etc was that, too."""
    first, second = back(None).name, back(None).name
    shutil.copy(there.config(first), there.config(second))
    if empty:
        there.config(second).write_bytes(bytes(10240))
    data = there.config(second).read_bytes()
    new = next(one for one in listing.entries(there.lists / second) if one[0] == "config")
    old = ("config", str(len(data)), digest_of(data))
    path = there.lists / second
    body = path.read_bytes().replace(" ".join(new).encode(), " ".join(old).encode())
    lines = body.splitlines(keepends=True)[:-1]
    end = f"end {len(lines)} {digest_of(b''.join(lines))}\n".encode()
    path.write_bytes(b"".join(lines) + end)
    with pytest.raises(SecregError, match="that of another one"):
        unpacking.read(there, second, nobody)


@pytest.mark.promise("restore-loses-nothing")
def test_what_is_moved_aside_keeps_its_place(paths: Paths, there: Place, back: Back) -> None:
    """Seen red: of two of one name, one was lost."""
    for folder in ("a", "b"):
        (paths.state / folder).mkdir()
        (paths.state / folder / "record").write_text("old")
    back(None)
    for folder in ("a", "b"):
        (paths.state / folder / "record").write_text(f"mine, {folder}")
    (aside,) = put(paths, there).aside
    assert tree(aside) == {"a/record": "mine, a", "b/record": "mine, b"}


@pytest.mark.promise("restore-modes")
def test_what_is_there_already_gets_the_modes_of_a_fresh_one(
    paths: Paths, there: Place, back: Back, tmp_path: Path
) -> None:
    """Seen red: hashes and keys that everybody could read, with the right bytes, stayed so after `restore --force`."""
    (tmp_path / "live").mkdir()
    (tmp_path / "live/key").write_text("KEY")
    (tmp_path / "live/key").chmod(0o600)
    for name in ("there", "gone"):
        (paths.etc / name).symlink_to(tmp_path / "live")
    paths.ca_key.chmod(0o600)
    back(None)
    (paths.etc / "gone").unlink()
    shutil.copytree(tmp_path / "live", paths.etc / "gone")
    mine = (paths.htpasswd, paths.etc / "gone/key", paths.etc / "hooks.d", paths.ca_key)
    before = [path.stat().st_mode for path in mine]
    for path in (*mine, tmp_path / "live/key"):
        path.chmod(0o777)
    done = put(paths, there)
    assert [path.stat().st_mode for path in mine] == before and (done.aside, done.count) == ([], 0)
    assert {note.where for note in done.notes} == {*map(str, mine)} and "0777" in done.notes[0].what
    assert (tmp_path / "live/key").stat().st_mode & 0o777 == 0o777, "nothing of somebody else's"
    assert put(paths, there).notes == []
    paths.conf.write_text("MINE=1\n")
    paths.ca_key.chmod(0o644)
    assert [note.where for note in put(paths, there).notes] == [str(paths.ca_key)], "what is put there needs no word"


TOP = "etc/secure-registry"


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    for key, value in more.items():
        setattr(info, key, value)
    return info


def archive(*entries: tarfile.TarInfo) -> bytes:
    data = io.BytesIO()
    with tarfile.TarFile(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info in (entry(TOP, tarfile.DIRTYPE), *entries):
            tar.addfile(info, io.BytesIO(bytes(min(info.size, 512))) if info.size else None)
    return data.getvalue()


@pytest.mark.parametrize(
    "entries",
    [
        [entry("/etc/passwd")],
        [entry("../etc/passwd")],
        [entry("etc/../../x")],
        [entry(f"{TOP}//etc/cron.d/x")],
        [entry(f"{TOP}/./x")],
        [entry("./etc")],
        [entry(".")],
        [entry(f"{TOP}/l", tarfile.SYMTYPE, "/out"), entry(f"{TOP}/l/through")],
        [entry(f"{TOP}/l/through"), entry(f"{TOP}/l", tarfile.SYMTYPE, "/out")],
        [entry("etc", tarfile.SYMTYPE, "/out")],
        [entry(f"{TOP}/l", tarfile.SYMTYPE, "/out"), entry(f"{TOP}/l")],
        [entry(f"{TOP}/file"), entry(f"{TOP}/file/x")],
        [entry(f"{TOP}/x", tarfile.LNKTYPE, "/etc/shadow")],
        [entry(f"{TOP}/x", tarfile.FIFOTYPE)],
        [entry(f"{TOP}/x", tarfile.CHRTYPE)],
        [entry(f"{TOP}/x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})],
        [entry(f"{TOP}/x", tarfile.DIRTYPE, size=512)],
    ],
)
def test_an_archive_that_leads_elsewhere_is_refused_as_a_whole(entries: list[tarfile.TarInfo]) -> None:
    """Seen red: each of them was unpacked, but for the first three, which were passed over."""
    with pytest.raises(SecregError, match="/there/config/x.tar is none that secure-registry writes") as caught:
        archived.items(archive(entry(f"{TOP}/good"), *entries), Path("/there/config/x.tar"))
    assert "backup list /there;" in caught.value.hint, "seen red: of which file, in which directory"


def test_what_is_no_archive_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SecregError, match="none that secure-registry writes"):
        archived.items(b"x" * 2000)
    monkeypatch.setattr(reading, "OTHER", 5)
    assert archived.items(archive(entry(f"{TOP}/x", size=5)))[f"{TOP}/x"].data == bytes(5)
    with pytest.raises(SecregError, match="too large"):
        archived.items(archive(entry(f"{TOP}/x", size=6)))


def test_no_mode_makes_anybody_root() -> None:
    data = archive(entry(f"{TOP}/d", tarfile.DIRTYPE, mode=0o7777), entry(f"{TOP}/x", mode=0o6755))
    assert [item.mode for item in archived.items(data).values()][1:] == [0o777, 0o755]


class Walked(dict[str, Item]):
    """An archive that counts how many of its items were looked at one after the other."""

    count = 0

    def items(self) -> Any:
        self.count += len(self)
        return super().items()

    def values(self) -> Any:
        self.count += len(self)
        return super().values()


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE])
def test_many_files_take_as_long_as_they_are_many(paths: Paths, monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    """Of a forged archive, say. Seen red: each link looked at all others (200,000 of them took hours), and each file
    waited for the disk (200,000 took five minutes)."""
    waits: list[object] = []
    monkeypatch.setattr(os, "fsync", waits.append)
    monkeypatch.setattr(os, "sync", lambda: waits.append("all"))
    monkeypatch.setattr(staging, "FEW", 100)
    names = [f"{TOP}/{number}" for number in range(500)]
    state = [f"var/lib/secure-registry/state/{number}" for number in range(500)]
    found = (*(entry(name, kind, "/nowhere") for name in names), *map(entry, state))
    there = Walked(archived.items(archive(*found)))
    done = unpacking.put(paths, there, STAMP, same_machine=True)
    assert len(list(paths.etc.iterdir())) == 500 and done.aside
    assert there.count < 10 * len(there) and len(waits) < 20 and "all" in waits


def test_a_deep_archive_is_looked_at_once() -> None:
    """Seen red: each name looked at all that is above it, and at any depth."""
    deep = "/".join(["x"] * 100)
    looked: list[str] = []

    class Counted(dict[str, Item]):
        def get(self, name: str, default: Any = None) -> Any:
            looked.append(name)
            return super().get(name, default)

    found = Counted(archived.items(archive(*(entry(f"{TOP}/{deep}/{number}") for number in range(200)))))
    known = set[str]()
    assert not any(archived._not_a_directory(name, found, known) for name in found) and len(looked) < 110
    for name in ("/".join(["x"] * 129), "x" * 4097):
        with pytest.raises(SecregError, match="does not stay"):
            archived.items(archive(entry(name)))


def test_no_archive_has_more_than_can_be_brought_back(
    paths: Paths, back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who makes a backup is told. Seen red."""
    assert not back(None).degraded
    monkeypatch.setattr(archived, "MOST", 5)
    entries = [entry(f"{TOP}/{number}") for number in range(5)]
    assert len(archived.items(archive(*entries[:4]))) == 5
    with pytest.raises(SecregError, match="more than 5 files"):
        archived.items(archive(*entries))
    (problem,) = back(None).problems
    assert "can't be brought back" in problem.what and str(paths.etc) in problem.hint
    monkeypatch.undo()
    monkeypatch.setattr(archived, "LARGEST", 5)
    assert back(None).degraded


def test_headers_without_an_end_are_no_bug() -> None:
    """Each says something of the next one. Seen red: RecursionError."""
    info = tarfile.TarInfo("x")
    info.type = b"L"
    info.size = 2
    with pytest.raises(SecregError, match="none that secure-registry writes"):
        archived.items((info.tobuf() + b"x".ljust(512, b"\0")) * 5000)
