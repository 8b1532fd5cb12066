"""README.md knows every command, setting and target, and none that isn't there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.apply.report import Finding
from secreg_host.base.errors import Exit
from secreg_host.base.paths import HOMES, NOT_KEPT
from secreg_host.command import cli, helptext
from secreg_host.observe.state import State
from secreg_host.wanted import settings
from tests import readme
from tests.unit.syntax import MODULES, tree

MAKEFILE = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
TARGETS = {name for line in re.findall(r"(?m)^([a-z -]+):.*## ", MAKEFILE) for name in line.split()}
COMMANDS = sorted(
    {span for span in readme.spans() if span.startswith("secure-registry ")}
    | {line.command for line in readme.block_lines() if line.command.startswith("secure-registry ")}
)


def words(cells: list[str]) -> set[str]:
    return set(re.findall(r"`([^`]+)`", " ".join(cells)))


@pytest.mark.promise("lines-to-type")
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_can_be_typed(command: str) -> None:
    argv = shlex.split(re.split(r"\s[<>|]", command)[0])[1:]
    if argv[0].startswith("-"):
        argv = argv if argv != ["--version"] else []
    cli.build_parser().parse_args([word for word in argv if word != "…"])


def test_each_command_is_in_the_table() -> None:
    assert set(cli.VERBS) <= words([row[0] for row in readme.rows("Commands")])


@pytest.mark.promise("settings")
def test_each_setting_is_in_the_table() -> None:
    names = words([row[0] for row in readme.rows("Settings")])
    assert names == set(settings.BY_NAME) | set(settings.ALIASES)


@pytest.mark.promise("settings")
def test_each_default_is_in_the_table() -> None:
    found = settings.Settings()
    for names, shown, _ in readme.rows("Settings"):
        for name in words([names]) & set(settings.BY_NAME):
            value = getattr(found, settings.BY_NAME[name].field)
            value = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
            assert value in ("", ()) or str(value) in re.split(r"[ ,`(]+", shown), (name, value, shown)


@pytest.mark.promise("images-anywhere")
def test_where_images_can_not_be_is_said() -> None:
    (about,) = (row[1] for row in readme.rows("Files") if row[0] == "`docker-registry.yml`")
    assert {str(path) for path in (*NOT_KEPT, *HOMES[:2])} == {one for one in words([about]) if one.startswith("/")}


@pytest.mark.promise("exit-codes")
def test_exit_codes_are_what_they_are_called() -> None:
    said = readme.PATH.read_text().partition("Exit codes: ")[2].partition(".")[0]
    told = {code: meaning.replace(",", "") for code, meaning in helptext.EXIT_CODES}
    assert {int(one[0]): one[2:] for one in said.split(", ")} == told and set(told) == set(Exit)


def kinds() -> Iterator[object]:
    """The words by which the program calls what an apply, or a look at a component, finds."""
    for module in MODULES:
        for node in ast.walk(tree(module)):
            match node:
                case ast.Call(func=ast.Name(id="findings" | "Finding"), args=[kind, *_]):
                    pass
                case ast.Call(func=ast.Attribute(attr="warning"), args=[_, _, _, kind, *_]):
                    pass
                case _:
                    continue
            either = [kind.body, kind.orelse] if isinstance(kind, ast.IfExp) else [kind]
            yield from (one.value for one in either if isinstance(one, ast.Constant))


@pytest.mark.promise("events")
def test_hooks_are_told_these_events() -> None:
    """A whole apply that failed (`failed`) is what status alone says: nobody was there to tell hooks."""
    text = readme.PATH.read_text().partition("`SECREG_EVENT` is")[2].partition("Processes that answer")[0]
    told = words([text]) - {""}
    described = words([Finding.__doc__ or "", (State.__doc__ or "").partition("event: ")[2].partition(";")[0]])
    assert told == described - {"failed"} | {"applied", "resolved"}
    assert set(kinds()) - {"", "failed"} <= told and {"unproven", "expiring"} <= set(kinds())


@pytest.mark.promise("targets")
def test_each_target_is_in_the_table() -> None:
    assert words([row[0] for row in readme.rows("Development")]) == TARGETS
    named = {found for span in readme.spans() for found in re.findall(r"^make ([a-z-]+)", span)}
    named |= {found for line in readme.block_lines() for found in re.findall(r"^make ([a-z-]+)", line.command)}
    assert named <= TARGETS
