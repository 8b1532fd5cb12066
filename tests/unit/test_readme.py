"""README.md knows every command, setting and target, and none that isn't there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from secreg_host.command import cli
from secreg_host.wanted import settings
from tests import readme

MAKEFILE = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
TARGETS = {name for line in re.findall(r"(?m)^([a-z -]+):.*## ", MAKEFILE) for name in line.split()}
COMMANDS = sorted(
    {span for span in readme.spans() if span.startswith("secure-registry ")}
    | {line.command for line in readme.block_lines() if line.command.startswith("secure-registry ")}
)


def words(cells: list[str]) -> set[str]:
    return set(re.findall(r"`([^`]+)`", " ".join(cells)))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_can_be_typed(command: str) -> None:
    argv = shlex.split(re.split(r"\s[<>|]", command)[0])[1:]
    if argv[0].startswith("-"):
        argv = argv if argv != ["--version"] else []
    cli.build_parser().parse_args([word for word in argv if word != "…"])


def test_each_command_is_in_the_table() -> None:
    assert set(cli.VERBS) <= words([row[0] for row in readme.rows("Commands")])


def test_each_setting_is_in_the_table() -> None:
    names = words([row[0] for row in readme.rows("Settings")])
    assert names == set(settings.BY_NAME) | set(settings.ALIASES)


def test_each_target_is_in_the_table() -> None:
    assert words([row[0] for row in readme.rows("Development")]) == TARGETS
    named = {found for span in readme.spans() for found in re.findall(r"^make ([a-z-]+)", span)}
    named |= {found for line in readme.block_lines() for found in re.findall(r"^make ([a-z-]+)", line.command)}
    assert named <= TARGETS
