"""CONTRIBUTING.md's examples are what the program takes, and the files that its table names are there."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from secreg_host.apply import choice
from secreg_host.base.errors import Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.clients import trust, trustcheck
from secreg_host.clients.served import Endpoint, Served
from secreg_host.command.call import Call
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.images import flight, layout
from secreg_host.images.driver import Move, Reader
from secreg_host.images.filesystem import Filesystem
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.looker import Look
from secreg_host.images.overview import Overview
from secreg_host.images.purging import Purge
from secreg_host.images.trash import REVISION, Trash
from secreg_host.pki import handshake
from secreg_host.pki.handshake import Rule
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.part import Context, Parts
from tests import drivers, made
from tests.stores import Store
from tests.world import World

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "CONTRIBUTING.md").read_text()
EXAMPLE = re.compile(r"^```python\n# (?P<path>\S+)\.py\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {found["path"]: found["code"] for found in EXAMPLE.finditer(TEXT)}


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The module that CONTRIBUTING.md has in a room."""
    path = request.param
    module = ModuleType(f"secreg_host.{path.replace('/', '.')}")
    sys.modules[module.__name__] = module  # dataclasses look there
    exec(compile(EXAMPLES[path], path, "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize("example", ["command/verbs/version"], indirect=True)
def test_a_command(example: Any, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    example.add(parser)
    assert example.run(Call(parser.parse_args([]), host.paths, {}, parser)) == 0
    assert capsys.readouterr().out and example.ABOUT


@pytest.mark.parametrize("example", ["wanted/parts/motd"], indirect=True)
def test_a_part(example: Any, host: Host) -> None:
    host.paths.etc.mkdir(parents=True)
    (host.paths.etc / "motd").write_text("one\ntwo\n")
    part = example.MotdPart.read(Context(host, Snapshot(host.paths), made.BEGIN, Parts(), Parts())).part
    facts = json.loads(json.dumps(part.facts))
    assert facts == {"lines": 2} and type(part).restored(part.files, part.sources, facts) == part
    assert part.place == str(host.paths.etc / "motd")
    assert type(part).restored({}, (), {}).lines == 0, "in a generation of before"


@pytest.mark.parametrize("example", ["wanted/parts/motd"], indirect=True)
def test_a_part_goes_the_way_of_all(example: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its file and its lines in `kinds` alone: what served before it was known serves on, it is part of the next
    generation, and is held back by itself."""
    kind, path = example.MotdPart, example.MotdPart.where(world.host.paths)
    before = world.serving(made.parts())
    for name in ("FILES", "ALL", "REVERTIBLE"):
        monkeypatch.setattr(kinds, name, (*getattr(kinds, name), kind))
    current = generations.load(world.host, before.name)
    assert current is not None and current.parts == made.parts(kind())

    def read() -> Parts:
        context = Context(world.host, Snapshot(world.host.paths), made.BEGIN, Parts(), Parts())
        return current.parts.having(kind.read(context).part)

    assert read() == current.parts, "there is no such file"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one\ntwo\n")
    new, found = choice.choose(world.stage, read(), current, None, "", live=True, renew=False)
    assert (new.files["front/motd"], found) == (b"one\ntwo\n", ())
    path.write_text("bad\n")
    world.bad = lambda one: (Problem("motd", "bad", "mend it"),) if b"bad" in one.files["front/motd"] else ()
    kept, (rejected,) = choice.choose(world.stage, read(), new, None, "", live=True, renew=False)
    assert (kept.parts, rejected.part) == (new.parts, kind.NAME)


@pytest.mark.parametrize("example", ["clients/trust_skopeo"], indirect=True)
def test_a_client(example: Any, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its file and its line in OTHERS alone it is checked, too, and goes by what it was told."""
    served = Served((Endpoint("a.example", 5000),), b"CA")
    (path,) = example.wants(host.paths, served, insecure=False)
    assert path.name == "skopeo.crt" and "a.example:5000" in str(path)
    (drop_in,) = example.wants(host.paths, served, insecure=True).values()
    assert b'location = "a.example:5000"' in drop_in, "each client can be told not to verify"
    assert example.NAME and example.notes(host.paths, served) == () and example.found(host.paths) in (True, False)
    monkeypatch.setattr(trust, "OTHERS", (trust.of(example),))
    went: list[Rule] = []
    monkeypatch.setattr(handshake, "shake", lambda *by: went.append(by[2]) or "")
    for insecure in (False, True):
        for place, data in example.wants(host.paths, served, insecure=insecure).items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        (checked,), problems = trustcheck.check(host.paths, None, served, [example.NAME])
        assert checked.client == example.NAME and not problems
    assert [(rule.insecure, rule.cas) for rule in went] == [(False, (b"CA",)), (True, (b"CA",))]


def test_every_example_is_tried() -> None:
    assert sorted(EXAMPLES) == ["clients/trust_skopeo", "command/verbs/version", "images/objects", "wanted/parts/motd"]


def test_each_file_of_the_table_is_there() -> None:
    """Each change names one: of the program, or a template."""
    table = TEXT.partition("| --- | --- |\n")[2].partition("\n## ")[0]
    rows = [re.findall(r"`((?:\w+/)+[\w.]+)`", row) for row in table.splitlines() if row]
    assert len(rows) >= 10 and all(rows)
    for path in (path for row in rows for path in row):
        below = CHECKOUT if path.startswith("templates/") else CHECKOUT / "secreg_host"
        assert list(below.glob(path.replace("NAME", "*"))), path


@pytest.mark.parametrize("example", ["images/objects"], indirect=True)
def test_a_driver_keeps_to_what_drivers_do(example: Any) -> None:
    one, ticks = example.Objects(), itertools.count()
    drivers.keeps_to_it(one, lambda key, data: one.objects.update({key: (data, next(ticks))}), "docker/registry/v2")
    assert one.objects == {} and one.space() is None


@pytest.fixture
def objects(example: Any, tmp_path: Path) -> Any:
    """A store on disk, and the same in the memory of the example."""
    store = Store(tmp_path)
    multi = store.push("a/b", "one", "1")
    store.manifest("c", {"manifests": [{"digest": multi}]}, "2")
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    return example.Objects({str(path): (path.read_bytes(), 1000 * 10**9) for path in files})


@pytest.mark.parametrize("example", ["images/objects"], indirect=True)
def test_a_driver_tells_what_the_one_of_a_file_system_tells(objects: Any, tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert told(objects, tree) == told(Filesystem(tree), tree) != []
    assert objects.move_folder(f"{Repository(tree, 'a/b').tagged}/1", "elsewhere", "current/link")
    assert told(objects, tree) != told(Filesystem(tree), tree)


@pytest.mark.parametrize("example", ["images/objects"], indirect=True)
def test_a_driver_is_all_by_which_links_and_bytes_go_and_come_back(
    objects: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on disk is left alone meanwhile, but for the locks, which are there."""
    monkeypatch.setattr(Trash, "driver", objects)
    tree = Tree(tmp_path)
    with flight.still(tree, flight.BLOBS):
        pass
    trash, purge, one = Trash(tree), Purge(tree), Repository(tree, "a/b")
    run, before, on_disk = trash.begin("test"), contents(objects), sorted(tmp_path.rglob("*"))
    link = next(one.revisions())
    digest = layout.digest_of(link)
    (item,) = trash.hide(run, "a/b", REVISION, {digest: objects.stamp(link)})
    assert objects.look(link) is None and trash.find("a/b", REVISION, [digest]) == {digest: item}
    tag = trash.hide_tag(run, "a/b", "1")
    assert tag is not None and objects.list(one.tagged) == [] and trash.hide_tag(run, "a/b", "1") is None
    assert purge.away([(digest, objects.stamp(tree.blob(digest)))]) == [digest]
    assert objects.look(tree.blob(digest)) is None
    assert trash.back(item) and trash.back(tag) and purge.back(digest) and contents(objects) == before
    assert not trash.back(tag), "it is there again"
    (item,) = trash.hide(run, "a/b", REVISION, {digest: objects.stamp(link)})
    tag = trash.hide_tag(run, "a/b", "1")
    assert tag is not None
    trash.forget(item), trash.forget(tag)
    assert not trash.back(item) and not trash.back(tag)
    assert not any("_trash" in key for key in objects.objects) and sorted(tmp_path.rglob("*")) == on_disk


class Dying(dict[str, tuple[bytes, int]]):
    """Objects whose driver is killed before one more than `left` changes."""

    def __init__(self, objects: dict[str, tuple[bytes, int]], left: int) -> None:
        super().__init__(objects)
        self.left = left

    def _one_more(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise InterruptedError

    def __setitem__(self, key: str, value: tuple[bytes, int]) -> None:
        self._one_more()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._one_more()
        super().__delitem__(key)

    def pop(self, key: str, default: Any = None) -> Any:
        self._one_more()
        return super().pop(key, default)


@pytest.mark.parametrize("what", ["hide", "restore", "move"])
@pytest.mark.parametrize("example", ["images/objects"], indirect=True)
def test_a_driver_that_is_killed_leaves_a_thing_in_one_place_or_in_both(example: Any, what: str) -> None:
    """A tag is never there by half: where what says what it is, is all that it was."""
    whole, last = {f"a/{name}": (name.encode(), 1) for name in ("current/link", "index/1", "index/2")}, "current/link"
    for number in itertools.count():
        one = example.Objects(Dying(whole, number))
        seen = one.stamp(f"a/{last}")
        with contextlib.suppress(InterruptedError):
            if what == "hide":
                one.hide([Move(f"a/{last}", f"b/{last}", seen)])
            elif what == "restore":
                one.restore(f"a/{last}", f"b/{last}")
            else:
                one.move_folder("a", "b", last)
            break
        places = [{key[2:] for key in one.objects if key.startswith(where)} for where in "ab"]
        assert places[0] | places[1] == {key[2:] for key in whole}
        assert any(last in there for there in places)
        assert what != "move" or all(len(there) == 3 for there in places if last in there)
    assert number >= 2 and f"a/{last}" not in one.objects and f"b/{last}" in one.objects


@pytest.mark.parametrize("example", ["images/objects"], indirect=True)
def test_a_driver_leaves_what_is_written_while_it_goes(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is written again has the same bytes."""
    one = example.Objects({"a": (b"one", 1)})
    real = one._copied
    monkeypatch.setattr(one, "_copied", lambda move: real(move) and one.objects.update({"a": (b"one", 2)}) is None)
    assert one.hide([Move("a", "b", one.stamp("a"))]) == [] and one.objects == {"a": (b"one", 2)}


def contents(objects: Any) -> dict[str, bytes]:
    """The bytes of each key."""
    return {key: data for key, (data, _) in objects.objects.items()}


def told(driver: Reader, tree: Tree) -> list[Any]:
    """All that a look tells, but for marks."""
    lines = [json.loads(line) for line in Look(driver, Overview(), tree).lines()]
    return [[*line[:2], *line[3:]] if line[0] in ("folder", "repository") else line for line in lines]
