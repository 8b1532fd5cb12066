"""What becomes of a host whose restore fails, or is killed: what was there, or what is to be, and never neither."""

from __future__ import annotations

import array
import fcntl
import functools
import multiprocessing
import os
import random
import shutil
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import pytest

from secreg_host.base import attributes, files, leftovers
from secreg_host.base.errors import SecregError
from secreg_host.base.paths import Paths
from secreg_host.command import bringback, cli
from secreg_host.command.instance import InForeground
from secreg_host.host.host import Accounts, Host
from secreg_host.images import site, survey
from secreg_host.upkeep import refill
from tests.accounts import found as account
from tests.stores import Store

YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"
FORK = multiprocessing.get_context("fork")
CALLS = ("mkdir", "rename", "replace", "unlink", "fsync", "link", "write", "rmdir")
"""At which a process is killed: all that changes names here, and more."""

Capture = pytest.CaptureFixture[str]


class Both:
    """A host that has images and a configuration of its own, and a backup of others."""

    def __init__(self, root: Path, there: Path) -> None:
        self.paths, self.there = Paths(root), there
        self._make("backed up", "new")
        assert cli.main(["backup", "create", str(there), "--root", str(root)], {}) == 0
        self.new = self.seen()
        for path in root.iterdir():
            shutil.rmtree(path)
        self._make("mine", "old")
        self.old = self.seen()

    def _make(self, words: str, repository: str) -> None:
        self.paths.etc.mkdir(parents=True)
        self.paths.state.mkdir(parents=True)
        self.paths.storage.mkdir(parents=True)
        self.paths.registry_yml.write_text(f"# {words}\n{YML % self.paths.storage}")
        self.paths.ca_key.write_text(words)
        self.store = Store(self.paths.storage)
        self.store.push(repository, words, "1", "2")

    def seen(self) -> tuple[str, str, list[Any]]:
        """The configuration, the key, and the images."""
        yml = self.paths.registry_yml
        return (
            yml.read_text() if yml.exists() else "",
            self.paths.ca_key.read_text(),
            self.store.entries() if self.store.tree.base.exists() else [],
        )

    def typed(self, *words: str) -> int:
        return cli.main(["restore", str(self.there), *words, "--root", str(self.paths.root)], {})


@pytest.fixture
def both(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_users: None) -> Both:
    monkeypatch.setattr(survey, "PAUSE", 0.001)
    return Both(root, tmp_path / "there")


class Running:
    """A registry that runs until it is stopped; then: what happens instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None) -> None:
        self.runs, self.then = True, then
        monkeypatch.setattr(InForeground, "running", lambda _: self.runs)
        monkeypatch.setattr(InForeground, "start", lambda _: None)
        monkeypatch.setattr(InForeground, "stop", lambda _: self.stop())

    def stop(self) -> None:
        self.then()
        self.runs = False


@pytest.mark.promise("restore-loses-nothing")
def test_what_serves_serves_until_all_is_proven(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen red: what was there was moved away first, and the registry stopped for as long as it took to copy."""
    seen = []
    running = Running(monkeypatch, lambda: seen.append(both.seen()))
    real = refill.proof

    def proof(*args: Any) -> Any:
        assert running.runs and both.seen() == both.old
        return real(*args)

    monkeypatch.setattr(refill, "proof", proof)
    assert both.typed("--force") == 0
    assert seen == [both.old] and both.seen() == both.new and not running.runs


@pytest.mark.promise("restore-loses-nothing")
def test_what_is_locked_stops_nothing(both: Both, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Seen red: the lock of an apply was waited for once all was stopped."""
    running, real = Running(monkeypatch), files.lock
    monkeypatch.setattr(files, "lock", functools.partial(real, wait=0.1))
    with real(both.paths.lock, "apply"):
        assert both.typed("--force") == 1
    assert running.runs and both.seen() == both.old and "waited" in capsys.readouterr().err
    assert both.typed("--force") == 0 and both.seen() == both.new


@pytest.mark.promise("restore-loses-nothing")
def test_what_came_meanwhile_is_not_replaced(both: Both, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Copying may take hours. Seen red: images that were pushed by then were moved aside without --force."""
    shutil.rmtree(both.paths.storage / "docker")
    shutil.rmtree(both.paths.etc)
    both.paths.ca_key.unlink()
    real = refill.proof

    def proof(*args: Any) -> Any:
        both.store.push("meanwhile", "x", "1")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(refill, "proof", proof)
        assert both.typed() == 2
    assert "of its own now" in capsys.readouterr().err and not both.paths.etc.exists()
    assert {entry[1] for entry in both.store.entries() if entry[0] == "repository"} == {"meanwhile"}
    assert both.typed() == 2 and both.typed("--force") == 0 and both.seen() == both.new


@pytest.mark.promise("restore-loses-nothing")
@pytest.mark.parametrize("fails", ["stop", "images", "start"])
def test_the_way_back_is_told(
    both: Both, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path, fails: str
) -> None:
    """By commands, which go back. Seen red: only that something was aside, and not always."""

    def fail(*_: object) -> Any:
        raise SecregError("it can't be", "no")

    Running(monkeypatch, *([fail] if fails == "stop" else []))
    if fails == "images":
        monkeypatch.setattr(site, "place", fail)
    elif fails == "start":
        monkeypatch.setattr(bringback, "_serve", fail)
    assert both.typed("--force") == 1
    said = capsys.readouterr().err.splitlines()
    commands = [line.strip() for line in said if line.startswith("  ") and "->" not in line]
    assert commands.pop().startswith("secure-registry start --foreground --root /")
    assert len(commands) == {"stop": 0, "images": 2, "start": 3}[fails]
    for path in [*both.paths.etc.parent.glob("*.bak-*"), *both.paths.storage.glob("docker.*Z")]:
        assert any(str(path) in line for line in said if line.startswith("what was there is in"))
    for command in commands:
        assert os.system(command) == 0
    assert both.seen() == both.old


@pytest.mark.promise("restore-loses-nothing")
@pytest.mark.parametrize("force", [False, True])
def test_one_that_was_cut_when_all_was_in_its_place(both: Both, monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    """It is gone on with; --force moves aside whatever is there, be it of this restore or not."""
    for path in (both.paths.etc, both.paths.lib):
        shutil.rmtree(path)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(site, "done", cut)
        assert both.typed() == 130
    assert both.seen() == both.new
    assert both.typed(*(["--force"] if force else [])) == 0 and both.seen() == both.new
    names = sorted(path.name.partition("20")[0] for path in both.paths.storage.iterdir())
    assert names == (["docker", "docker."] if force else ["docker"])
    assert not (both.paths.storage / "docker" / site.MARK).exists()
    assert both.typed() == 2, "these are somebody's images now"


def counted(both: Both, at: int, counter: Synchronized[int]) -> None:
    """In a process of its own: be killed with all its forks at the call `at` of those that change something."""
    os.setsid()

    def failing(name: str) -> None:
        real = getattr(os, name)

        def act(*args: Any, **more: Any) -> Any:
            with counter.get_lock():
                counter.value += 1
                now = counter.value
            if now == at:
                os.killpg(0, 9)
            return real(*args, **more)

        setattr(os, name, act)

    for name in CALLS:
        failing(name)
    os._exit(both.typed("--force"))


def killed(both: Both, at: int) -> tuple[int | None, int]:
    """The exit code of such a process, and how many calls there were."""
    counter: Synchronized[int] = FORK.Value("i", 0)
    child = FORK.Process(target=counted, args=(both, at, counter))
    child.start()
    child.join(60)
    return child.exitcode, counter.get_obj().value  # whoever was killed may hold its lock


def apply_again(both: Both) -> None:
    """What the next apply does about it."""
    leftovers.sweep(both.paths)
    me = account("x")
    site.finish(Host(both.paths, Accounts(me, me, me)))


def wrong(both: Both) -> Iterator[str]:
    """What is neither as it was nor as it is to be."""
    for what, found, old, new in zip(("etc", "key", "images"), both.seen(), both.old, both.new, strict=True):
        if found not in (old, new):
            yield f"{what}: {found}"
    for path in both.paths.storage.glob("docker.*Z"):
        if Store(path.parent).entries() == both.new[2] and not (path / "registry/v2/repositories/old").is_dir():
            yield f"{path} is not what was there"


@pytest.mark.promise("restore-loses-nothing", "killed-runs")
def test_a_kill_at_random(both: Both, tmp_path: Path) -> None:
    """At any call that changes something, also of the forks; then typed again. Nothing of what was there is lost."""
    whole = tmp_path / "whole"
    shutil.copytree(both.paths.root, whole, symlinks=True)
    code, calls = killed(both, -1)
    assert code == 0 and both.seen() == both.new and calls > 80
    seen: set[str] = set()
    chance = random.Random(int(os.environ.get("SECREG_POWER_SEED", "1")))
    for at in sorted({1, calls, *chance.sample(range(1, calls), 5), *chance.sample(range(calls - 40, calls), 9)}):
        for path in both.paths.root.iterdir():
            shutil.rmtree(path)
        shutil.copytree(whole, both.paths.root, symlinks=True, dirs_exist_ok=True)
        code, _ = killed(both, at)
        assert code in (-9, 0), at
        apply_again(both)
        assert list(wrong(both)) == [], at
        seen.add("old" if both.seen() == both.old else "new" if both.seen() == both.new else "both")
        assert both.typed("--force") == 0, at
        assert both.seen() == both.new, at
        aside = [path.name for path in both.paths.storage.iterdir() if path.name.startswith("docker.")]
        kept = [path for path in map(both.paths.storage.joinpath, aside) if (path / site.INNER).is_dir()]
        assert any((path / site.INNER / "repositories/old").is_dir() for path in kept), at
        ymls = [path.read_text() for path in both.paths.etc.parent.glob("*.bak-*/docker-registry.yml")]
        assert both.old[0] in ymls and not [name for name in aside if name.endswith(".new")], at
    assert {"old", "new"} <= seen


@pytest.fixture
def fixed() -> Iterator[Callable[[Path], None]]:
    """Fixes something in its place (chattr +i)."""
    done: list[Path] = []

    def change(path: Path, flags: int) -> None:
        """FS_IOC_SETFLAGS (linux/fs.h)."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, 0x40086602, array.array("l", [flags]))
        except OSError:
            pytest.skip("nothing can be fixed in its place here")
        finally:
            os.close(descriptor)

    def fix(path: Path) -> None:
        change(path, attributes.IMMUTABLE)
        done.append(path)

    yield fix
    for path in done:
        change(path, 0)


@pytest.mark.promise("restore-loses-nothing")
@pytest.mark.parametrize("what", ["etc", "ca_key", "docker"])
def test_what_is_fixed_in_its_place_is_known_before(
    both: Both, fixed: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, capsys: Capture, what: str
) -> None:
    """By somebody who wants no one to change it. Seen red: /etc was replaced, the key was not, and nothing served."""
    path = both.paths.storage / "docker" if what == "docker" else getattr(both.paths, what)
    stopped: list[int] = []
    monkeypatch.setattr(InForeground, "stop", lambda _: stopped.append(1))
    monkeypatch.setattr(InForeground, "running", lambda _: True)
    fixed(path)
    assert both.typed("--force") == 1
    assert f"chattr -i {path}" in capsys.readouterr().err
    assert both.seen() == both.old and not stopped


@pytest.mark.promise("restore-modes")
def test_a_mode_that_can_not_be_mended_is_told(both: Both, fixed: Callable[[Path], None], capsys: Capture) -> None:
    """All else is done. Seen red: nothing served."""
    both.typed("--force")
    both.paths.registry_yml.chmod(0o666)
    fixed(both.paths.registry_yml)
    capsys.readouterr()
    both.typed("--force", "--config-only")
    said = capsys.readouterr().err
    assert f"chattr -i {both.paths.registry_yml}; chmod 0644" in said and both.seen() == both.new
