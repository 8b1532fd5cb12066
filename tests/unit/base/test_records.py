"""The program's memory: what it wrote, and the redo log that makes several files one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply import activate
from secreg_host.base import files, records
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.records import Ledger, Write
from secreg_host.base.rendered import Rendered
from secreg_host.formats.listening import Listen
from secreg_host.generation import assemble, generations
from secreg_host.host.host import Host
from secreg_host.services.services import Idle
from secreg_host.wanted import provision
from secreg_host.wanted.parts.part import Parts
from tests import made


def pair(host: Host, text: bytes) -> list[Write]:
    host.paths.etc.mkdir(parents=True, exist_ok=True)
    return [Write(host.paths.key, text + b" key", 0o600), Write(host.paths.crt, text + b" crt")]


def both(host: Host) -> tuple[bytes, bytes]:
    return host.paths.key.read_bytes(), host.paths.crt.read_bytes()


@pytest.mark.promise("killed-runs")
@pytest.mark.parametrize("writes_before_the_crash", [0, 1])
def test_a_crash_between_two_files_is_finished_later(
    host: Host, monkeypatch: pytest.MonkeyPatch, writes_before_the_crash: int
) -> None:
    records.write_together(host.paths, pair(host, b"old"))
    real, count = files.write, 0

    def crashing(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        nonlocal count
        if path.parent == host.paths.etc:
            count += 1
            if count > writes_before_the_crash:
                raise KeyboardInterrupt  # as sudden as a power cut: nothing runs after it
        real(path, data, mode, owner)

    monkeypatch.setattr(files, "write", crashing)
    with pytest.raises(KeyboardInterrupt):
        records.write_together(host.paths, pair(host, b"new"))
    monkeypatch.setattr(files, "write", real)
    records.redo(host.paths)
    assert both(host) == (b"new key", b"new crt")
    assert not host.paths.pending.exists()


def test_an_edit_after_the_crash_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write_together(host.paths, pair(host, b"old"))
    monkeypatch.setattr(records, "redo", lambda _: None)
    records.write_together(host.paths, pair(host, b"new"))
    monkeypatch.undo()
    host.paths.crt.write_bytes(b"by hand")
    records.redo(host.paths)
    assert host.paths.crt.read_bytes() == b"by hand"


def test_what_can_not_be_written_at_all_is_as_if_never_asked_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write_together(host.paths, pair(host, b"old"))
    real = files.write

    def read_only(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        if path.parent == host.paths.etc:
            raise SecregError("cannot write")
        real(path, data, mode, owner)

    monkeypatch.setattr(files, "write", read_only)
    with pytest.raises(SecregError):
        records.write_together(host.paths, pair(host, b"new"))
    assert not host.paths.pending.exists() and both(host) == (b"old key", b"old crt")


def test_what_is_written_together_is_on_disk_first_and_nobody_elses(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the moment at which a crash would finish it: a key is among it, and the log's name must be durable."""
    synced = list[tuple[Path, bool]]()

    def sync(path: Path) -> None:
        synced.append((path, host.paths.pending.exists()))

    monkeypatch.setattr(files, "sync_directory", sync)
    monkeypatch.setattr(records, "redo", lambda _: None)
    before = os.umask(0)
    records.write_together(host.paths, pair(host, b"new"))
    os.umask(before)
    assert synced[-1] == (host.paths.state, True)
    assert host.paths.state.stat().st_mode & 0o777 == host.paths.pending.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in host.paths.pending.iterdir()}
    assert modes == {"0": 0o600, "1": 0o600, "entries.json": 0o600}


def test_a_record_of_a_later_version_is_none(host: Host) -> None:
    """What it says may mean something else; one without a version is of 0.1."""
    host.paths.state.mkdir(parents=True)
    for version, found in ((None, {"x": ["a"]}), (0, {"x": ["a"]}), (1, {"x": ["a"]}), (2, {})):
        known = {} if version is None else {"version": version}
        host.paths.written.write_text(json.dumps({"x": ["a"], **known}))
        assert records.load(host.paths.written, records.WRITTEN) == found


def test_the_ledger_knows_what_was_edited(host: Host) -> None:
    path = host.paths.nginx_conf
    ledger = Ledger(host.paths)
    assert not ledger.knows(path) and not ledger.wrote(path, b"x")
    ledger.record([Write(path, b"x")])
    again = Ledger(host.paths)
    assert again.knows(path) and again.wrote(path, b"x") and not again.wrote(path, b"edited")
    assert not again.wrote(path, None)


def test_a_damaged_record_is_an_empty_one(host: Host) -> None:
    host.paths.state.mkdir(parents=True)
    host.paths.written.write_bytes(b"{half")
    assert records.load(host.paths.written, records.WRITTEN) == {}


@pytest.mark.promise("secrets")
def test_secrets_have_their_mode_from_the_first_byte(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import stat

    host.paths.etc.mkdir(parents=True)
    os.umask(0)
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(stat.S_IMODE(os.fstat(fd).st_mode)), real(fd))[1])
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    files.write(host.paths.key, b"secret", 0o600)
    assert seen[0] == 0o600
    os.umask(0o022)


def everything(host: Host) -> dict[Path, Callable[[], object]]:
    """Each of our records, written as it is in use, and what reads it."""
    from secreg_host.apply import report
    from secreg_host.apply.report import Finding, Report
    from secreg_host.clients import trust
    from secreg_host.generation import generations
    from secreg_host.generation.generations import Generation
    from secreg_host.wanted import defaults
    from secreg_host.wanted.parts.nginx import NginxPart
    from secreg_host.wanted.parts.registry import RegistryPart

    parts = Parts(
        made.settings(),
        made.certificate({"front/pair": b"x"}, ("a.example",), ("/x",)),
        RegistryPart(files={"registry/yml": b"x"}, root="/srv", debug=Listen("", 5001, tls=False)),
        NginxPart(files={"front/nginx.conf": b"x"}, listens=(Listen("", 443),), outside={"/y": "d"}),
    )
    one = Generation(parts, "a", {"auth/y": b""})
    manifest = generations.stage(host, one, {"front/generation.conf": b"z"}) / generations.MANIFEST
    finding = Finding("rejected", "nginx", Problem("nginx.conf:1", "wrong", "mend it"))
    report.save(host.paths, Report(one.name, 1.5, (finding,), {"nginx": 2}, "f", ("/x",), "c"))
    Ledger(host.paths).record([Write(host.paths.nginx_conf, b"x")])
    defaults.facts(host)
    credentials = host.paths.state / "credentials.json"
    records.save(credentials, {"stamp": ["docker", "", None, [1, 2, 3]]})
    mine = {"before": "{}", "wrote": "d", "added": ["a"], "made": True}
    docker = {"failed": "", "path": "/x", "variable": "", "mine": mine, "problem": ["a", "b", "c"]}
    records.save(host.paths.trust, {"docker": docker, "k3s": mine, "chosen": {"podman": "ca"}, "files": {"podman": {}}})
    listing = host.paths.pending / "entries.json"
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(records, "redo", lambda _: None)
        records.write_together(host.paths, [Write(host.paths.crt, b"new")])
    return {
        manifest: lambda: generations.load(host, one.name),
        host.paths.report: lambda: report.load(host.paths),
        host.paths.written: lambda: Ledger(host.paths).digests,
        host.paths.trust: lambda: trust.Trust(host, None).told(),
        host.paths.state / "facts.json": lambda: defaults.facts(host).hostname,
        credentials: lambda: records.load(credentials, {"stamp": list}),
        listing: lambda: records.redo(host.paths),
    }


def mutants(value: Any) -> Iterator[Any]:
    """`value` with one thing in it of another JSON type, or missing."""
    yield from (None, True, -1, 1e300, "\ud800", [], {}, [value], {"version": 2})
    if isinstance(value, dict):
        for key in value:
            yield {name: one for name, one in value.items() if name != key}
            yield from ({**value, key: one} for one in mutants(value[key]))
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from ([*value[:number], other, *value[number + 1 :]] for other in mutants(one))


def test_a_broken_record_is_made_anew(host: Host) -> None:
    """Empty, cut, deeply nested, not JSON, no file, of another version, or with another type anywhere in it: read, or
    as if there were none; never an exception."""
    host.paths.etc.mkdir(parents=True)
    every = everything(host)
    for path, read in every.items():
        whole = path.read_bytes()
        broken = [b"", b"\0" * 100, whole[: len(whole) // 2], b"[" * 100_000, b"9" * 10_000, b"\xff\xfe{\0}\0", b"NaN"]
        broken += [json.dumps(one).encode() for one in mutants(json.loads(whole))]
        assert b"version" in whole or path.name == "facts.json"
        for data in broken:
            path.parent.mkdir(exist_ok=True)
            path.chmod(0o600) if path.exists() else None
            path.write_bytes(data)
            read()
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        read()
        path.unlink(missing_ok=True)
        if path.parent == host.paths.state:
            path.mkdir()  # seen: what an apply found was never kept, or each apply failed
            read()
            records.save(path, {"made": "anew"})
            assert records.parsed(path.read_bytes())["made"] == "anew"


def test_what_stands_in_the_place_of_our_own_holds_up_nothing(host: Host) -> None:
    """Seen: a directory or a pipe at state/front.secret or state/rendered.sha256 let each apply fail."""
    own: tuple[tuple[Path, Callable[[], object]], ...] = (
        (host.paths.front_secret, lambda: assemble._bits(host.paths)),
        (host.paths.rendered, lambda: Rendered(host.paths).record({host.paths.lib / "a unit": b"data"})),
        (host.paths.lib / "http.secret", lambda: provision.make_http_secret(host.paths.lib / "http.secret")),
        (host.paths.current, lambda: files.flip(host.paths.current, "generations/x")),
    )
    for path, use in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        (path / "somebody's").touch()
        use()
        assert path.is_symlink() or path.is_file()
        assert path.with_name(f"{path.name}.old-1").is_dir(), "it may be somebody's"
        path.unlink()
        os.mkfifo(path)
        use()
        assert path.is_symlink() or path.is_file()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_lock_that_is_no_file_holds_up_nobody(host: Host, make: Callable[[Path], None]) -> None:
    """Seen: status waited for ever for who writes to the pipe; with a directory each apply failed."""
    lock = host.paths.lock
    lock.parent.mkdir(parents=True)
    make(lock)
    asked = threading.Thread(target=files.held, args=(lock,), daemon=True)
    asked.start()
    asked.join(5.0)
    assert not asked.is_alive()
    with files.lock(lock, "reload"):
        assert files.held(lock)


def test_a_link_that_leads_nowhere_is_passed_by_for_what_was_proven(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: with anything else at `current`, each apply took itself for the first one, and every slot was taken."""
    asked: Any = activate.Stage(host, Idle())
    monkeypatch.setattr(generations, "load", lambda _, name: name and generations.Generation(Parts(), name, {}))
    host.paths.lib.mkdir(parents=True)
    host.paths.proven.symlink_to("generations/good")
    found = activate.last_good(asked)
    assert found is not None and found.slot == "good"


def test_a_damaged_generation_is_staged_again(host: Host) -> None:
    from secreg_host.generation import generations

    path = next(path for path in everything(host) if path.name == generations.MANIFEST)
    found = generations.load(host, path.parent.name)
    assert found is not None
    for damage in ("generation.json", "front/nginx.conf", "auth/y"):
        (path.parent / damage).chmod(0o600)
        (path.parent / damage).write_bytes(b"damaged")
        assert generations.load(host, found.name) is None
        generations.stage(host, found, {})
        assert generations.load(host, found.name) == found
    generations.prune(host)
    assert not list(host.paths.generations.glob(".*"))


def test_a_record_that_can_not_be_read_ends_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails, or (for the watchdog, which has no capability) its mode is another one. What clients were given
    is not forgotten for it."""
    from secreg_host.apply import report
    from secreg_host.base import reading
    from secreg_host.clients import trust
    from secreg_host.generation import njs
    from secreg_host.watchdog import watch

    everything(host)
    asked = []
    watcher = watch.Watcher(host.paths, lambda _: asked.append(True))
    host.paths.current.symlink_to("generations/x")

    def failing(path: Path, *_: object) -> bytes:
        raise SecregError(f"cannot read {path}: Input/output error")

    monkeypatch.setattr(reading, "read", failing)
    assert report.load(host.paths) == report.Report()
    assert njs._record(host) == {}
    assert watcher.sources() == []
    watcher.look(periodic=False)
    assert asked, "an apply writes it anew"
    with pytest.raises(SecregError):
        trust.Trust(host, None)
