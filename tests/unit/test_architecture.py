"""The rooms of the house, as ARCHITECTURE.md's table lists them: what is where, and who may look into what."""

from __future__ import annotations

import ast
import configparser
import functools
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from secreg_host.watchdog import ask

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "secreg_host"
ROW = re.compile(r"^\| `(?P<room>[a-z/.]*)/?` \| [^|]+ \| (?P<modules>[^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")


def read_rooms() -> dict[str, list[str]]:
    """The modules of each folder, top to bottom; `.` is the package itself. A folder in a room is part of it."""
    table = (CHECKOUT / "ARCHITECTURE.md").read_text().partition("## Where to find things")[2].partition("\n## ")[0]
    return {found["room"].rstrip("/"): NAME.findall(found["modules"]) for found in ROW.finditer(table)}


ROOMS = read_rooms()
ORDER = list(ROOMS)
MODULES = sorted(
    str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"
)
"""Every module, as `room/name`; those of the package itself as `name`."""


def room_of(module: str) -> str:
    return module.partition("/")[0] if "/" in module else "."


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


@functools.cache
def imported(module: str) -> frozenset[str]:
    """Modules of the package that `module` imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "secreg_host":
            path = (node.module or "").replace(".", "/").removeprefix("secreg_host").lstrip("/")
            found |= {path} if path in MODULES else {f"{path}/{alias.name}".lstrip("/") for alias in node.names}
    return frozenset(found & set(MODULES))


@pytest.mark.promise("rooms")
def test_every_folder_and_module_is_listed_once() -> None:
    listed = [f"{room}/{name}".removeprefix("./") for room, names in ROOMS.items() for name in names]
    assert sorted(listed) == MODULES
    folders = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    assert folders == set(ROOMS)


def test_every_folder_is_installed_by_pip() -> None:
    """Each by its name: templates are a package there, and are none here."""
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    folders = {f"secreg_host/{room}".removesuffix("/.").replace("/", ".") for room in ROOMS}
    assert set(setup["options"]["packages"].split()) == folders | {"secreg_host.templates"}


@pytest.mark.promise("rooms")
@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) != "."])
def test_rooms_look_down_only(module: str) -> None:
    own = ORDER.index(room_of(module))
    wrong = [other for other in imported(module) if room_of(other) != room_of(module)]
    assert [other for other in wrong if ORDER.index(room_of(other)) <= own] == []


@pytest.mark.promise("rooms")
def test_no_circle_within_a_room() -> None:
    TopologicalSorter({module: imported(module) for module in MODULES}).prepare()


def importers(name: str) -> set[str]:
    found = set()
    for module in MODULES:
        for node in ast.walk(tree(module)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            if any(item.partition(".")[0] == name for item in names):
                found.add(module)
    return found


def test_edges_have_one_owner() -> None:
    assert importers("pydbus") == {"base/systemd"}
    assert importers("jinja2") == {"base/templating"}
    assert importers("yaml") == {"formats/yamlfile"}
    assert importers("passlib") == {"formats/users"}
    assert importers("ipaddress") == {"base/names"}
    assert importers("hashlib") == {"base/marks", "formats/users"}, "one digest, besides what is a format of passwords"


STARTS = re.compile(
    r"(subprocess\.(run|call|check_\w+|Popen|get\w+)|os\.(posix_spawn\w*|exec\w+|spawn\w+|system|popen)|pty\.\w+)\("
)
FORKS = re.compile(r"\b(os\.fork|multiprocessing)\b")
"""Copies of ourselves, which run no other program: one that may be left behind, and one for each apply."""


def test_programs_are_started_in_one_place() -> None:
    found = {module: (PACKAGE / f"{module}.py").read_text() for module in MODULES}
    assert {module for module, text in found.items() if STARTS.search(text)} == {"base/process"}
    assert {module for module, text in found.items() if FORKS.search(text)} == {"base/distant", "command/ready"}


STAT = re.compile(r"\bst_(ino|ctime|ctime_ns|mtime_ns)\b")


def test_whether_a_file_is_the_same_is_asked_in_one_place() -> None:
    """How old one is (st_mtime) is another question, and so is whether two paths lead to one file (samestat)."""
    assert {module for module in MODULES if STAT.search((PACKAGE / f"{module}.py").read_text())} == {"base/marks"}


def test_whether_systemd_runs_is_asked_once() -> None:
    """All others have the answer: Host.by_systemd."""
    asks = re.compile(r"\bSYSTEMD\b|sd_booted")
    found = {module for module in MODULES if asks.search((PACKAGE / f"{module}.py").read_text())}
    assert found == {"base/paths", "host/host"}


DECODES = re.compile(r"\.decode\(|UnicodeDecodeError")


def test_bytes_become_text_by_one_rule() -> None:
    """base/errors turns text into bytes and back, to print what is none; formats/opensslcnf has it in a remedy."""
    found = {module for module in MODULES if DECODES.search((PACKAGE / f"{module}.py").read_text())}
    assert found == {"base/utf8", "base/errors", "formats/opensslcnf"}


CLOCK = re.compile(r"\btime\.(sleep|monotonic\w*|perf_counter\w*)\b")


def test_seconds_are_waited_for_in_one_place() -> None:
    """What reads the date (time.time), or waits for a descriptor or an event, is something else."""
    assert {module for module in MODULES if CLOCK.search((PACKAGE / f"{module}.py").read_text())} == {"base/waiting"}


ABSOLUTE = re.compile(r"/(bin|dev|etc|home|lib|proc|root|run|sbin|sys|tmp|usr|var)\b")


def test_absolute_paths_are_in_one_place() -> None:
    found = set()
    for module in MODULES:
        texts = {id(node.value) for node in ast.walk(tree(module)) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
                found |= {module} if ABSOLUTE.match(node.value) else set()
    assert found == {"base/paths", "watchdog/ask"}, "ask imports nothing that takes time"
    unit = (CHECKOUT / "units/secure-registry-apply.socket").read_text()
    assert f"ListenStream={ask.SOCKET}\n" in unit


def calls(module: str) -> Iterator[str]:
    """The names of what `module` calls, without what they are attributes of."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id


OPENS = {"read_bytes", "read_text", "open"}
KERNEL = {
    *("base/distro", "base/process", "host/activity", "host/host", "host/ports", "host/sandbox", "host/views"),
    *("services/nginxmaster", "wanted/settings", "command/foreground", "command/ready"),
}
"""Read /proc, /sys and os-release, and nothing else."""

PLACES = {"base/directories", "apply/asking", "command/cli"}
"""Open directories, sockets as places, and the null device, and read nothing."""

ROOTS = {"generation/liveusers", "base/reserve"}
"""Open files that only root can have put there."""

READERS = {"base/reading", "base/files", "base/temporary", "base/distant"}
"""Of what others wrote; locks of ours, and what was left of such; the table of mounts."""


def test_one_module_opens_what_others_wrote() -> None:
    assert {module for module in MODULES if OPENS & set(calls(module))} - KERNEL - PLACES - ROOTS == READERS


def test_modules_and_functions_are_short() -> None:
    """Those of modules in lines as they are; of functions, with their docstring."""
    long = {module for module in MODULES if len((PACKAGE / f"{module}.py").read_text().splitlines()) > 300}
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                long.add(f"{module}: {node.name}")
    assert long == set()


def test_nobody_ends_the_process_but_the_entry() -> None:
    for module in MODULES:
        names = {node.attr if isinstance(node, ast.Attribute) else node.id for node in ast.walk(tree(module))
                 if isinstance(node, ast.Attribute | ast.Name)}  # fmt: skip
        ends = names & {"exit", "SystemExit"}  # _exit is a fork's end
        assert not ends or module == "__main__", (module, ends)
