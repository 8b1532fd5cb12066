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

from secreg_host.apply import choice
from secreg_host.base.errors import Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.clients import trust, trustcheck
from secreg_host.clients.served import Endpoint, Served
from secreg_host.command.call import Call
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.pki import handshake
from secreg_host.pki.handshake import Rule
from secreg_host.wanted.parts import kinds
from secreg_host.wanted.parts.part import Context, Parts
from tests import made
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
    assert sorted(EXAMPLES) == ["clients/trust_skopeo", "command/verbs/version", "wanted/parts/motd"]


def test_each_file_of_the_table_is_there() -> None:
    """Each change names one: of the program, or a template."""
    table = TEXT.partition("| --- | --- |\n")[2].partition("\n## ")[0]
    rows = [re.findall(r"`((?:\w+/)+[\w.]+)`", row) for row in table.splitlines() if row]
    assert len(rows) >= 10 and all(rows)
    for path in (path for row in rows for path in row):
        below = CHECKOUT if path.startswith("templates/") else CHECKOUT / "secreg_host"
        assert list(below.glob(path.replace("NAME", "*"))), path
