"""CONTRIBUTING.md's examples are what the program takes, and the files that its table names are there."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from secreg_host.base.snapshot import Snapshot
from secreg_host.clients.served import Endpoint, Served
from secreg_host.command.call import Call
from secreg_host.host.host import Host
from secreg_host.images.driver import Driver, Reader
from secreg_host.images.filesystem import Filesystem
from secreg_host.images.looker import Look
from secreg_host.images.overview import Overview
from secreg_host.wanted.parts.part import Context, Parts
from tests import made
from tests.stores import Store

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


@pytest.mark.parametrize("example", ["clients/trust_skopeo"], indirect=True)
def test_a_client(example: Any, host: Host) -> None:
    served = Served((Endpoint("a.example", 5000),), b"CA")
    (path,) = example.wants(host.paths, served, insecure=False)
    assert path.name == "skopeo.crt" and "a.example:5000" in str(path)
    (drop_in,) = example.wants(host.paths, served, insecure=True).values()
    assert b'location = "a.example:5000"' in drop_in, "each client can be told not to verify"
    assert example.NAME and example.notes(host.paths, served) == () and example.found(host.paths) in (True, False)


def test_every_example_is_tried() -> None:
    assert sorted(EXAMPLES) == ["clients/trust_skopeo", "command/verbs/version", "images/objects", "wanted/parts/motd"]


def test_each_file_of_the_table_is_there() -> None:
    table = TEXT.partition("Where things go:")[2].partition("\n## ")[0]
    named = re.findall(r"`((?:\w+/)+[\w]+\.py|(?:\w+/)+\w+)`", table)
    assert len(named) >= 10
    for path in named:
        exact = path.replace("NAME", "*").replace("_*", "_*")
        assert list((CHECKOUT / "secreg_host").glob(exact)), path


@pytest.mark.parametrize("example", ["images/objects"], indirect=True)
def test_a_driver(example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of a store what the one of a file system tells, and takes away and brings back."""
    store = Store(tmp_path)
    multi = store.push("a/b", "one", "1")
    store.manifest("c", {"manifests": [{"digest": multi}]}, "2")
    monkeypatch.chdir(tmp_path)
    found = {f"./{path}": (path.read_bytes(), 1000) for path in Path().rglob("*") if path.is_file()}
    driver: Driver = example.Objects(found)
    assert told(driver) == told(Filesystem()) != []
    key = next(key for key in found if key.endswith("current/link"))
    before, name = found[key][0], driver.hide(key)
    assert driver.look(key) is None and told(driver) != told(Filesystem())
    assert driver.restore(name) and not driver.restore(name) and driver.read(key, 999) == before
    again = driver.hide(key)
    found[key] = (b"written since", 2000)
    assert not driver.restore(again) and driver.purge(again) == len(before) and driver.space() is None


def told(driver: Reader) -> list[Any]:
    """All that a look tells, but for marks."""
    lines = [json.loads(line) for line in Look(driver, Overview()).lines()]
    return [[*line[:2], *line[3:]] if line[0] in ("folder", "repository") else line for line in lines]
