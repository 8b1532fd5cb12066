"""What docs/floods.md has an administrator load into his firewall: it loads, bounds what it says, and goes again."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests import readme
from tests.real import floodnet
from tests.real.floodnet import FRIEND, FRIEND6, NEIGHBOUR6, OTHER, OTHER6, STRANGER, STRANGER6

PAGE = Path(__file__).resolve().parents[2] / "docs/floods.md"
RULES = re.findall(r"(?ms)^```nft\n(.*?)^```$", PAGE.read_text())[0]
QUICK = ("limit rate over 20/second burst 200", "limit rate over 90000/second burst 90000")
"""Where what is counted is how many are open at a time."""


def line(word: str) -> str:
    """A command of the page."""
    (found,) = (one.command for one in readme.block_lines(PAGE) if one.command.startswith(word))
    return found


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    found = tmp_path / "registry-limits.nft"
    found.write_text(RULES)
    return found


def put(rules: Path, old: str, new: str) -> None:
    text = rules.read_text()
    assert old in text
    rules.write_text(text.replace(old, new))


@pytest.mark.promise("firewall-bounds")
def test_the_rules_are_whole_and_replace_themselves(rules: Path) -> None:
    load = f"nft -f {rules}"
    check = line("nft -c").replace("/etc/registry-limits.nft", str(rules))
    listed, tables = line("nft list table"), "nft list tables"
    _, _, once, _, again, there = floodnet.results(rules, check, load, listed, load, listed, tables)
    assert once == again and "policy accept" in once
    assert there == "table inet registry_limits\n"


@pytest.mark.promise("firewall-bounds")
def test_new_connections_of_a_stranger_are_bounded_and_no_others(rules: Path) -> None:
    many = 240
    steps = [(one, many) for one in (STRANGER, FRIEND, STRANGER6, FRIEND6)]
    stranger, friend, stranger6, friend6 = floodnet.results(rules, *steps)
    assert (friend, friend6) == ("all", "all")
    for said in (stranger, stranger6):
        number, how = said.split(", ")
        assert 200 <= int(number) < many and how == "dropped"  # 20 a second go on meanwhile
    (other, neighbour, elsewhere) = floodnet.results(
        rules, (STRANGER, many), (STRANGER6, many), (OTHER, 100), (NEIGHBOUR6, 100), (OTHER6, 100)
    )[2:]
    assert (other, elsewhere) == ("all", "all")
    assert neighbour.endswith("dropped"), "a network of IPv6 is one client"


@pytest.mark.promise("firewall-bounds")
def test_open_connections_of_a_stranger_are_bounded_and_no_others(rules: Path) -> None:
    put(rules, *QUICK)
    steps: list[floodnet.Step] = [(STRANGER, 300), (STRANGER, 1), (OTHER, 100), (FRIEND, 400)]
    steps += [
        (STRANGER6, 300),
        (NEIGHBOUR6, 1),
        (OTHER6, 100),
        (FRIEND6, 400),
        line("ss -Htn state"),
        line("ss -Htn 'sport"),
        "close",
    ]
    found = floodnet.results(rules, *steps, (STRANGER, 250), (STRANGER6, 250))
    assert found[:4] == ["250, refused", "0, refused", "all", "all"]
    assert found[4:8] == ["250, refused", "0, refused", "all", "all"]
    counted = [row.split() for row in found[8].splitlines()]
    assert ["250", STRANGER] in counted or ["250", f"[::ffff:{STRANGER}]"] in counted, counted
    assert ["250", f"[{STRANGER6}]"] in counted, counted
    assert ["1500", "ESTAB"] in [row.split() for row in found[9].splitlines()]
    assert found[11:] == ["all", "all"], "who has closed them may open others"


@pytest.mark.promise("firewall-bounds")
def test_all_strangers_are_bounded_together_and_friends_are_not(rules: Path) -> None:
    put(rules, *QUICK)
    put(rules, "ct count over 20000", "ct count over 300")
    found = floodnet.results(rules, (FRIEND, 400), (STRANGER, 250), (OTHER, 100), (STRANGER6, 1), (FRIEND, 100))
    assert found == ["all", "all", "50, refused", "0, refused", "all"]


@pytest.mark.promise("firewall-bounds")
def test_one_command_undoes_it(rules: Path) -> None:
    found = floodnet.results(rules, line("nft delete"), (STRANGER, 400), "nft list tables")
    assert found == ["", "all", ""]


def test_the_unit_is_one(tmp_path: Path) -> None:
    unit = tmp_path / "registry-limits.service"
    text = re.search(r"(?ms)^cat > (\S+) <<'END'\n(.*?)^END$", PAGE.read_text())
    assert text is not None and text[1] == f"/etc/systemd/system/{unit.name}"
    assert line("nft delete") in text[2], "stopped, it undoes it"
    unit.write_text(text[2].replace("/usr/sbin/nft", "/bin/true"))
    argv = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
